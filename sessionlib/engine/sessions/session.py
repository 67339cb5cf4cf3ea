"""A session in use: its queue of turns, and which posts each of them answers."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from sessionlib.engine.errors import RefusedError
from sessionlib.engine.sessions.broadcast import Broadcaster, Subscriber, encode, terminated_error
from sessionlib.engine.sessions.cancellation import Stop
from sessionlib.engine.store.records import Json, SessionRecord, StoredTurn
from sessionlib.events import ParticipantStatus
from sessionlib.protocol import frames

__all__ = ["LiveSession"]


class LiveSession:
    """One session's queue of turns.

    At most one thread works on a session; a turn that waits for a person has none.

    Args:
        record: The session.
        turns: Its turns that have not ended: first the one that is being answered, if any.
        pending: Frames of its open approval requests, by message id.

    Attributes:
        record: The session.
        id: Its id.
        audience: Who receives it.
        terminated: Whether it is over for good.
        stop: The off switch of the turn that runs; each turn has a new one, as one that was used stays used.
        posting: Held while a post is stored and queued, and while a turn begins: posts keep the order of the
            history, and every post of a turn is acknowledged before the turn's first frame.
        answering: Held while an answer to an approval request is kept and acknowledged, and while a turn looks for
            answers, so that the ack comes before all that comes of it.
    """

    def __init__(
        self, record: SessionRecord, turns: Iterable[StoredTurn] = (), pending: dict[str, Json] | None = None
    ) -> None:
        self.record = record
        self.id = record.id
        # Held while a post is stored and queued: the first for posts, the second for answers to approvals. Taken
        # before `_changed`.
        self.posting = threading.Lock()
        self.answering = threading.Lock()
        # Protects everything below.
        self._changed = threading.Condition()
        self._queue: deque[StoredTurn] = deque(turns)
        self._current: StoredTurn | None = None
        # It had begun before a restart, and goes on before all other turns.
        if self._queue and self._queue[0].state != "queued":
            self._current = self._queue.popleft()
        # Posts in each turn that has not begun, by turn id; and characters in the last of these turns.
        self._posts = dict.fromkeys((turn.id for turn in self._queue), 1)
        self._chars = 0
        self._working = False
        # An answer came since the worker last looked: then it must not park the turn.
        self._woken = False
        self._wake_worker: Callable[[], None] | None = None
        self._closing = False
        self.terminated = record.state != "open"
        self.stop = Stop()
        status = ParticipantStatus.AWAITING_APPROVAL if self._current else ParticipantStatus.IDLE
        self.audience = Broadcaster(self.id, status, self._current.id if self._current else None, pending or {})

    def __repr__(self) -> str:
        return f"<session {self.id} {self.audience!r}>"

    @property
    def sender(self) -> Json:
        """The sender of the agent's messages."""
        return self.record.sender

    def check(self) -> None:
        """Does nothing while the session can be used.

        Raises:
            RefusedError: It is terminated.
        """
        if self.terminated:
            raise terminated_error(self.id)

    # ---- for those who ask -------------------------------------------------------------------

    def room(self, limit: int) -> None:
        """Does nothing while another post may wait.

        Raises:
            RefusedError: Too many wait already, or the session is terminated.
        """
        with self._changed:
            self.check()
            # The first post of a turn that is about to begin does not wait for another turn.
            first = self._current is not None and self._current.id in self._posts
            if sum(self._posts.values()) - first >= limit:
                raise RefusedError(f"session {self.id} has {limit} posts waiting already", "too_many_turns")

    def open_turn(self, limit: int) -> StoredTurn | None:
        """Returns the turn that a further post goes into, or None when it needs a new one; hold ``posting``.

        Args:
            limit: Characters after which a turn takes no further post: a turn has to fit a model's input.
        """
        with self._changed:
            last = self._queue[-1] if self._queue else self._current
            return last if last is not None and last.id in self._posts and self._chars < limit else None

    def queue(self, turn: StoredTurn, chars: int, subscriber: Subscriber, ack: Json) -> bool:
        """Sends a stored post's ack, and queues its turn if it is new; hold ``posting``.

        Returns:
            Whether the caller has to start a worker.
        """
        with self._changed:
            self.check()
            # Under the lock, so that it is queued before anything of its turn.
            subscriber.put(encode(ack))
            joined = self._posts.get(turn.id, 0)
            self._posts[turn.id] = joined + 1
            # Of the last turn alone, as only that takes further posts.
            self._chars = chars + (self._chars if joined else 0)
            if not joined:
                self._queue.append(turn)
            begin = self._claim()
            if self._current is None:
                self._take_next()  # for the worker, which has just ended the turn before
        subscriber.flush()
        return begin

    def answered(self, message_id: str) -> bool:
        """Goes on after an answer to an approval request; whether the caller has to begin working now."""
        self.audience.answered(message_id)
        with self._changed:
            return self._wake()

    def resume(self) -> bool:
        """Goes on with what is open, after a restart; whether the caller has to begin working now."""
        with self._changed:
            return self._wake() or self._claim()

    def wait_for(self, turn_id: str, timeout: float) -> bool:
        """Waits until a turn has ended or asks a person; False when time or engine are over before."""

        def settled() -> bool:
            if self._current is not None and self._current.id == turn_id:
                return self.terminated or not self._working
            return self.terminated or all(turn.id != turn_id for turn in self._queue)

        with self._changed:
            self._changed.wait_for(lambda: self._closing or settled(), timeout)
            return settled()

    @contextlib.contextmanager
    def terminating(self) -> Iterator[None]:
        """Refuses further clients while the end is being kept: clients that leave do not wait for it.

        Raises:
            RefusedError: The session is terminated already.
        """
        with self._changed:
            self.check()
            self.terminated = True
        try:
            yield
        except BaseException:
            # It could not be kept, so the session lives on.
            self.terminated = False
            raise

    def terminate(self, by: Subscriber) -> None:
        """Ends the session for good: one last frame to all subscribers, and what runs is stopped."""
        with self._changed:
            self._current = None
            self._queue.clear()
            self._posts.clear()
            self._changed.notify_all()
        self.audience.close(frames.ack("terminate_session", self.id), by)
        # Last and outside the lock: what it wakes may look at the queue.
        self.stop.stop("the session was terminated")

    def close(self) -> None:
        """Ends all waits here: the engine stops."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    # ---- for the thread that works -----------------------------------------------------------

    def current(self) -> tuple[StoredTurn, Stop] | None:
        """Returns the turn to work on, and its off switch; None when nothing is to be done."""
        with self._changed:
            if self._current is None or self.terminated:
                self._working = False
                return None
            # Under the lock with the look at `terminated`: a termination that comes later stops this one.
            self.stop = Stop()
            return self._current, self.stop

    def close_batch(self, turn: StoredTurn) -> None:
        """Begins a turn: later posts go into the next one; hold ``posting``."""
        with self._changed:
            self._posts.pop(turn.id, None)

    def heed(self, wake: Callable[[], None]) -> None:
        """Takes note that the worker looks now at what was answered; later answers call ``wake``."""
        with self._changed:
            self._woken = False
            self._wake_worker = wake

    def park(self, turn: StoredTurn) -> bool:
        """Leaves the turn to a person; False when the answer has come meanwhile."""
        with self._changed:
            self._current = turn
            # The answer came after the worker had looked, and before it parked the turn: nothing else would wake it.
            if self._woken:
                return False
            self._working = False
            self._changed.notify_all()
            return True

    def end(self, turn: StoredTurn) -> None:
        """Ends the current turn, notifies all subscribers, and takes the next one."""
        with self._changed:
            self._current = self._queue.popleft() if self._queue else None
            # Under the lock, so that a post that comes now is queued behind the Idle.
            subscribers = self.audience.conclude(turn.id, self._current.id if self._current is not None else None)
            self._changed.notify_all()
        for subscriber in subscribers:
            subscriber.flush()

    # ---- for callers that hold the lock ------------------------------------------------------

    def _claim(self) -> bool:
        # One worker for each session at most, which keeps its turns in order.
        if self._working or self._current is not None or not self._queue:
            return False
        self._take_next()
        self._working = True
        return True

    def _take_next(self) -> None:
        if self._queue:
            self._current = self._queue.popleft()
            self.audience.expect(self._current.id)

    def _wake(self) -> bool:
        if self._current is None:
            return False
        began = not self._working
        self._working = self._woken = True
        if began:
            self.audience.expect(self._current.id)
        # It waits for a tool, and looks at the answers before it goes on waiting.
        elif self._wake_worker is not None:
            self._wake_worker()
        return began
