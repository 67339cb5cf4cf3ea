"""Who receives a session, and the state that is sent to a client that joins."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from typing import Protocol

from sessionlib._util.timing import Deadline
from sessionlib.engine.errors import RefusedError
from sessionlib.engine.server.send_queue import text_frame
from sessionlib.engine.store.records import Json
from sessionlib.events import ParticipantStatus
from sessionlib.protocol import codec, frames

__all__ = ["Broadcaster", "Subscriber", "encode", "terminated_error"]

# So long a join waits for older connections at most: what they sent has nearly always been read by then.
_SETTLE_SECONDS = 0.25
# What this engine can do beyond the protocol; clients use nothing of it that an ack of their join does not name.
_FEATURES = ["response_format", "history_parts"]


class Subscriber(Protocol):
    """Somebody who receives a session's frames; `put` is called under a lock and only queues."""

    def put(self, data: bytes) -> None:
        """Queues a frame."""

    def flush(self) -> None:
        """Sends what is queued, without blocking."""

    def settle(self, deadline: Deadline) -> None:
        """Waits until what this client has sent so far is handled."""


class Broadcaster:
    """A session's subscribers; whatever all of them receive goes through here, in one order.

    Args:
        session_id: The session.
        status: What its agent is doing.
        turn_id: The turn that is being answered, if any.
        pending: Frames of its open approval requests, by message id.
    """

    def __init__(
        self, session_id: str, status: ParticipantStatus, turn_id: str | None, pending: dict[str, Json]
    ) -> None:
        self._session_id = session_id
        # Protects everything below.
        self._lock = threading.Lock()
        self._subscribers: list[Subscriber] = []
        self._status = status
        self._turn_id = turn_id
        # By message id, in the order in which they were asked: a client that joins later is asked the same.
        self._pending = dict(pending)
        # What has been streamed and is in no history yet; a list, as adding to a text would copy it for each delta.
        self._streamed: tuple[str, list[str]] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<{len(self._subscribers)} attached, {self._status}>"

    # ---- coming and going --------------------------------------------------------------------

    def attach(self, subscriber: Subscriber) -> None:
        """Subscribes a client to the session, after an ack and what is open now.

        Raises:
            RefusedError: The session is terminated.
        """
        with self._lock:
            if self._closed:
                raise terminated_error(self._session_id)
            # Under the lock with all that follows, so that no event can come between the ack and the state.
            facts: Json = {"features": _FEATURES, "status": str(self._status)}
            facts |= {"turn_id": self._turn_id} if self._turn_id else {}
            subscriber.put(encode(frames.ack("connect_session", self._session_id, **facts)))
            # Only for a turn that runs: an Idle would look like the end of one.
            if self._status is not ParticipantStatus.IDLE:
                subscriber.put(encode(self._status_frame()))
            for frame in self._pending.values():
                subscriber.put(encode(frame))
            if subscriber not in self._subscribers:
                self._subscribers.append(subscriber)
        # Outside of the lock, in which `put` only queues: a slow socket holds up no other client.
        subscriber.flush()

    def detach(self, subscriber: Subscriber) -> None:
        """Unsubscribes a client; what runs goes on."""
        with self._lock:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

    def settle(self, but: Subscriber) -> None:
        """Waits a moment for what the other clients have sent so far to be handled.

        A client that lost its connection, or left without waiting, and is back on a new one finds what it
        sent on the old one.
        """
        with self._lock:
            receivers = [subscriber for subscriber in self._subscribers if subscriber is not but]
        # One for all of them, however many there are.
        deadline = Deadline(_SETTLE_SECONDS)
        for subscriber in receivers:
            subscriber.settle(deadline)

    def close(self, frame: Json, by: Subscriber) -> None:
        """Sends all subscribers, and ``by`` in any case, one last frame; no subscriber receives anything after it."""
        data = encode(frame)
        with self._lock:
            # Each of them once, in order: `by` may be subscribed, or have left.
            subscribers = list({id(subscriber): subscriber for subscriber in (*self._subscribers, by)}.values())
            self._closed = True
            self._subscribers = []
            for subscriber in subscribers:
                subscriber.put(data)
        _flush(subscribers)

    # ---- to all subscribers ---------------------------------------------------------------------

    def publish(self, frame: Json) -> None:
        """Sends a frame to all subscribers."""
        self._broadcast(encode(frame))

    def set_status(self, status: ParticipantStatus, turn_id: str) -> None:
        """Changes what the agent is doing, and notifies all subscribers."""
        with self._lock:
            self._status, self._turn_id = status, turn_id
            subscribers = self._spread(encode(self._status_frame()))
        _flush(subscribers)

    def conclude(self, turn_id: str, following: str | None) -> list[Subscriber]:
        """Notifies all subscribers that a turn has ended; returns those to flush.

        Args:
            turn_id: The turn.
            following: The turn that is about to be worked on, if any; see `expect`.
        """
        with self._lock:
            self._status, self._turn_id = ParticipantStatus.IDLE, turn_id
            subscribers = self._spread(encode(self._status_frame()))
            self._turn_id = following
            if following is not None:
                # Who joins from here on must not take the session for idle, though the next turn has not begun.
                self._status = ParticipantStatus.PROCESSING
            # What the turn asked is past with it; its calls have been settled.
            self._pending.clear()
        return subscribers

    def expect(self, turn_id: str) -> None:
        """Takes note that a turn is about to be worked on: who joins now must not take the session for idle."""
        with self._lock:
            self._status, self._turn_id = ParticipantStatus.PROCESSING, turn_id

    def ask(self, message_id: str, frame: Json) -> None:
        """Notifies all subscribers, now and when they join later, that a person is asked."""
        data = encode(frame)
        with self._lock:
            self._pending[message_id] = frame
            subscribers = self._spread(data)
        _flush(subscribers)

    def answered(self, message_id: str) -> None:
        """Drops a question that was answered."""
        with self._lock:
            self._pending.pop(message_id, None)

    def stream(self, message_id: str, chunk: str) -> None:
        """Sends a delta to all subscribers."""
        with self._lock:
            if self._streamed is None or self._streamed[0] != message_id:
                self._streamed = (message_id, [])
            # Counted per message, as the protocol has it; clients find gaps by it.
            index = len(self._streamed[1])
            self._streamed[1].append(chunk)
        frame = frames.message_delta(self._session_id, message_id, index, chunk)
        try:
            # Nearly all that an engine sends is deltas: the faster encoder saves two thirds of the time of each.
            data = text_frame(codec.dumps_text(frame))
        except TypeError:
            data = encode(frame)  # half of a surrogate pair
        self._broadcast(data)

    def end_stream(self) -> None:
        """Forgets the deltas: the text is in the history now, or never will be."""
        with self._lock:
            self._streamed = None

    def streamed(self) -> tuple[str, str] | None:
        """Returns id and text so far of the message that is being streamed, or None."""
        with self._lock:
            return None if self._streamed is None else (self._streamed[0], "".join(self._streamed[1]))

    def _broadcast(self, data: bytes) -> None:
        # Encoded once for all, and before the lock is taken.
        with self._lock:
            subscribers = self._spread(data)
        _flush(subscribers)

    # ---- for callers that hold the lock ------------------------------------------------------

    def _spread(self, data: bytes) -> list[Subscriber]:
        subscribers = list(self._subscribers)
        for subscriber in subscribers:
            subscriber.put(data)
        return subscribers

    def _status_frame(self) -> Json:
        turn = {"turn_id": self._turn_id} if self._turn_id else {}
        return frames.participant_status(self._session_id, str(self._status), **turn)


def encode(frame: Json) -> bytes:
    """Returns a frame as it is sent to every client."""
    try:
        return text_frame(codec.dumps(frame))
    except (TypeError, ValueError):
        # Half of a surrogate pair, which has no UTF-8: some models split an emoji over two deltas. Escaped, it is
        # legal JSON, and the client joins the halves.
        return text_frame(json.dumps(frame).encode())


def terminated_error(session_id: str) -> RefusedError:
    """Makes the refusal of anything that is asked of a terminated session."""
    return RefusedError(
        f"session {session_id} was terminated and cannot be used again; create a new one", "session_terminated"
    )


def _flush(subscribers: Iterable[Subscriber]) -> None:
    for subscriber in subscribers:
        subscriber.flush()
