"""A session as it is while somebody is attached to it or it works: who hears it, and whose turn it is."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from sessionlib.engine.errors import RefusedError
from sessionlib.engine.net.outlet import text_frame
from sessionlib.engine.stop import Stop
from sessionlib.engine.store.records import Json, SessionRecord, Turn
from sessionlib.events import ParticipantStatus
from sessionlib.timing import Deadline
from sessionlib.wire import codec, frames

__all__ = ["LiveSession", "Subscriber", "encode"]

_SETTLE_SECONDS = 0.25


class Subscriber(Protocol):
    """Somebody who hears a session's frames; `put` is called under a lock and only queues."""

    def put(self, data: bytes) -> None:
        """Queues a frame."""

    def flush(self) -> None:
        """Sends what is queued, without blocking."""

    def settle(self, deadline: Deadline) -> None:
        """Waits until what this client has said so far is done."""


class LiveSession:
    """One session's subscribers and its queue of turns.

    All frames that everybody hears go through `publish`, so that all clients see them in one order. At
    most one thread works on a session; a turn that waits for a person has none.

    Args:
        record: The session.
        turns: Its turns that have not ended: first the one that is being answered, if any.
        pending: Frames of its open approval requests, by message id.
    """

    def __init__(
        self, record: SessionRecord, turns: Iterable[Turn] = (), pending: dict[str, Json] | None = None
    ) -> None:
        self.record = record
        self.id = record.id
        # Held while a post is kept and queued, so that turns are answered in the order of the history.
        self.posting = threading.Lock()
        # Protects everything below.
        self._changed = threading.Condition()
        self._subscribers: list[Subscriber] = []
        self._queue: deque[Turn] = deque(turns)
        self._current: Turn | None = None
        if self._queue and self._queue[0].state != "queued":
            self._current = self._queue.popleft()
        self._status = ParticipantStatus.AWAITING_APPROVAL if self._current else ParticipantStatus.IDLE
        self._working = False
        self._woken = False
        self._closing = False
        self._terminated = record.state != "open"
        self._pending = dict(pending or {})
        self._streamed: tuple[str, list[str]] | None = None
        self._stop = Stop()

    def __repr__(self) -> str:
        return f"<session {self.id} {self._status}, {len(self._subscribers)} attached>"

    @property
    def sender(self) -> Json:
        """The sender of what the agent says."""
        return {"object_id": self.record.object_id, "object_type": self.record.object_type}

    @property
    def terminated(self) -> bool:
        """Whether the session is over for good."""
        return self._terminated

    # ---- who hears it ------------------------------------------------------------------------

    def attach(self, subscriber: Subscriber, request_type: str = "connect_session") -> None:
        """Lets somebody hear the session, after an ack and what is open now.

        Raises:
            RefusedError: The session is terminated.
        """
        with self._changed:
            self.check()
            subscriber.put(encode(frames.ack(request_type, self.id, **self._state())))
            if self._status is not ParticipantStatus.IDLE:
                subscriber.put(encode(self._status_frame()))
            for frame in self._pending.values():
                subscriber.put(encode(frame))
            if subscriber not in self._subscribers:
                self._subscribers.append(subscriber)
        subscriber.flush()

    def settle(self, but: Subscriber) -> None:
        """Waits a moment for what the other clients have said so far to be done.

        A client that lost its link, or left without waiting, and is back on a new one finds what it
        said on the old one.
        """
        with self._changed:
            others = [subscriber for subscriber in self._subscribers if subscriber is not but]
        deadline = Deadline(_SETTLE_SECONDS)
        for subscriber in others:
            subscriber.settle(deadline)

    def detach(self, subscriber: Subscriber) -> None:
        """Lets somebody hear it no more; what runs goes on."""
        with self._changed:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

    def publish(self, frame: Json) -> None:
        """Tells everybody; nobody after the session is terminated."""
        data = encode(frame)
        with self._changed:
            heard = self._spread(data)
        _flush(heard)

    def check(self) -> None:
        """Does nothing while the session can be used.

        Raises:
            RefusedError: It is terminated.
        """
        if self._terminated:
            raise RefusedError(
                f"session {self.id} was terminated and cannot be used again; create a new one", "session_terminated"
            )

    # ---- what it is doing --------------------------------------------------------------------

    def set_status(self, status: ParticipantStatus) -> None:
        """Changes what the agent is doing, and tells everybody."""
        with self._changed:
            self._status = status
            heard = self._spread(encode(self._status_frame()))
        _flush(heard)

    def ask(self, message_id: str, frame: Json) -> None:
        """Tells everybody, now and later, that a person is asked."""
        data = encode(frame)
        with self._changed:
            self._pending[message_id] = frame
            self._changed.notify_all()
            heard = self._spread(data)
        _flush(heard)

    def answered(self, message_id: str) -> bool:
        """Drops a question that was answered; whether the caller has to begin working now."""
        with self._changed:
            self._pending.pop(message_id, None)
            return self._wake()

    def stream(self, message_id: str, piece: str) -> None:
        """Tells everybody a piece of a text."""
        with self._changed:
            if self._streamed is None or self._streamed[0] != message_id:
                self._streamed = (message_id, [])
            index = len(self._streamed[1])
            self._streamed[1].append(piece)
        self.publish(frames.message_delta(self.id, message_id, index, piece))

    def end_stream(self) -> None:
        """Forgets the pieces: the text is in the history now, or never will be."""
        with self._changed:
            self._streamed = None

    def streamed(self) -> tuple[str, str] | None:
        """Gives id and text so far of the message that is being streamed, or None."""
        with self._changed:
            return None if self._streamed is None else (self._streamed[0], "".join(self._streamed[1]))

    # ---- whose turn it is --------------------------------------------------------------------

    def room(self, limit: int) -> None:
        """Does nothing while another turn may be queued.

        Raises:
            RefusedError: Too many wait already, or the session is terminated.
        """
        with self._changed:
            self.check()
            if len(self._queue) >= limit:
                raise RefusedError(f"session {self.id} has {limit} turns waiting already", "too_many_turns")

    def queue(self, turn: Turn, subscriber: Subscriber, ack: Json) -> bool:
        """Queues a turn that is kept, behind its ack; whether the caller has to begin working now."""
        with self._changed:
            self.check()
            subscriber.put(encode(ack))
            self._queue.append(turn)
            begin = self._claim()
        subscriber.flush()
        return begin

    def resume(self) -> bool:
        """Goes on with what is open, after a restart; whether the caller has to begin working now."""
        with self._changed:
            return self._wake() or self._claim()

    def current(self) -> tuple[Turn, Stop] | None:
        """Gives the turn to work on, and its off switch; None when nothing is to be done."""
        with self._changed:
            if self._current is None:
                self._take_next()  # posted since the last turn's end, and left to this worker
            if self._current is None or self._terminated:
                self._working = False
                return None
            self._stop = Stop()
            self._woken = False
            return self._current, self._stop

    def park(self, turn: Turn) -> bool:
        """Leaves the turn to a person; False when the answer has come meanwhile."""
        with self._changed:
            self._current = turn
            if self._woken:
                return False
            self._working = False
            return True

    def end(self) -> None:
        """Ends the current turn, tells everybody, and takes the next one."""
        with self._changed:
            self._status = ParticipantStatus.IDLE
            heard = self._spread(encode(self._status_frame()))
            self._pending.clear()
            self._current = None
            self._take_next()
            self._changed.notify_all()
        _flush(heard)

    def wait_for(self, turn_id: str, timeout: float) -> bool:
        """Waits until a turn has ended or asks a person; False when time or engine are over before."""

        def settled() -> bool:
            open_turns = [turn.id for turn in (self._current, *self._queue) if turn is not None]
            return self._terminated or turn_id not in open_turns or bool(self._pending)

        with self._changed:
            self._changed.wait_for(lambda: self._closing or settled(), timeout)
            return settled()

    def close(self) -> None:
        """Lets nobody wait here any more: the engine stops."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def stop(self, reason: str) -> None:
        """Stops what runs now."""
        self._stop.stop(reason)

    @contextlib.contextmanager
    def terminating(self) -> Iterator[None]:
        """Lets nobody join any more while the end is being kept: clients that leave do not wait for it."""
        with self._changed:
            self.check()
            self._terminated = True
        try:
            yield
        except BaseException:
            self._terminated = False
            raise

    def terminate(self, by: Subscriber) -> None:
        """Ends the session for good: one last frame to everybody, and what runs is stopped."""
        told = encode(frames.ack("terminate_session", self.id))
        with self._changed:
            heard = {id(subscriber): subscriber for subscriber in (*self._subscribers, by)}.values()
            self._subscribers, self._current = [], None
            self._queue.clear()
            self._pending.clear()
            for subscriber in heard:
                subscriber.put(told)
            self._changed.notify_all()
        self._stop.stop("the session was terminated")
        _flush(heard)

    # ---- for callers that hold the lock ------------------------------------------------------

    def _spread(self, data: bytes) -> list[Subscriber]:
        heard = [] if self._terminated else list(self._subscribers)
        for subscriber in heard:
            subscriber.put(data)
        return heard

    def _claim(self) -> bool:
        if self._working or self._current is not None or not self._queue:
            return False
        self._take_next()
        self._working = True
        return True

    def _take_next(self) -> None:
        if self._queue:
            self._current = self._queue.popleft()
            # Whoever joins before the turn has begun must not take the session for an idle one.
            self._status = ParticipantStatus.PROCESSING

    def _wake(self) -> bool:
        if self._current is None:
            return False
        self._woken = True
        self._status = ParticipantStatus.PROCESSING
        began = not self._working
        self._working = True
        return began

    def _state(self) -> Json:
        state: dict[str, Any] = {"status": str(self._status)}
        return {**state, "turn_id": self._current.id} if self._current else state

    def _status_frame(self) -> Json:
        turn = {"turn_id": self._current.id} if self._current else {}
        return frames.participant_status(self.id, str(self._status), **turn)


def encode(frame: Json) -> bytes:
    """Gives a frame as it goes to every client."""
    return text_frame(codec.dumps(frame))


def _flush(subscribers: Iterable[Subscriber]) -> None:
    for subscriber in subscribers:
        subscriber.flush()
