"""The one queue type: bounded, closeable, with its overflow told in the stream itself."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence

from sessionlib.errors import ForkedSessionError, SessionError
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.timing import Deadline

__all__ = ["OVERFLOW", "Closed", "Mailbox"]

OVERFLOW = "subscriber queue overflow"


class Closed(Exception):
    """The mailbox is empty, and nothing more will come."""


class Mailbox:
    """Holds events between the reader, which never waits for it, and one consumer, which does.

    Args:
        maxsize: How many events may wait; 0 for any number.
        types: The kinds of event to hold; None for all.

    Attributes:
        dropped: How many events found it full.
        taken: How many were taken; near enough when several threads take.
        high_water: The largest number of events that ever waited.
    """

    def __init__(self, maxsize: int = 0, types: Collection[SessionEventType] | None = None) -> None:
        self.maxsize = maxsize
        self.types = types
        self.dropped = 0
        self.taken = 0
        self.high_water = 0
        # Appended to under the lock only; taken from without it, which deques allow.
        self._queue: deque[SessionEvent] = deque()
        # Protects the end of the queue, the overflow notice in it, the troubles, and how it ended.
        self._changed = threading.Condition(threading.Lock())
        self._notice: SessionEvent | None = None
        self._consumers_waiting = 0
        self._closed = False
        self._failure: Callable[[], SessionError] | None = None
        self._pid = os.getpid()
        self._troubles: deque[Callable[[], SessionError]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def ends_with(self, kind: SessionEventType) -> bool:
        """Whether the last event that waits is of a kind."""
        with self._changed:
            return bool(self._queue) and self._queue[-1].type is kind

    def waiting(self) -> list[SessionEvent]:
        """Gives what waits in it, without taking it."""
        with self._changed:
            return list(self._queue)

    def discard(self, events: Sequence[SessionEvent]) -> None:
        """Drops some of what waits in it; nobody may be taking from it."""
        unwanted = {id(event) for event in events}
        with self._changed:
            kept = [event for event in self._queue if id(event) not in unwanted]
            self._queue.clear()
            self._queue.extend(kept)

    def put(self, events: Sequence[SessionEvent]) -> None:
        """Appends events without ever waiting; what finds no room is dropped and told."""
        if self.types is not None:
            events = [event for event in events if event.type in self.types]
        if not events:
            return
        with self._changed:
            if self._closed:
                return
            if not self.maxsize or len(self._queue) + len(events) <= self.maxsize:
                self._queue.extend(events)
            else:
                self._put_bounded(events)
            self.high_water = max(self.high_water, len(self._queue))
            if self._consumers_waiting:
                self._changed.notify(len(events))

    def get(self, deadline: Deadline) -> SessionEvent:
        """Waits for the next event and takes it.

        Raises:
            TimeoutError: None came in time.
            Closed: The mailbox was closed, and all that was in it has been taken.
            ForkedSessionError: This is a fork of the process that made it, and nothing is in it.
            SessionError: It was closed with a failure, likewise.
        """
        try:
            event = self._queue.popleft()
        except IndexError:
            event = self._wait(deadline)
        self.taken += 1
        if event is self._notice:
            with self._changed:  # from here on, a drop begins a notice of its own
                self._notice = None
        return event

    def close(self, failure: Callable[[], SessionError] | None = None) -> None:
        """Ends it: what is in it can still be taken, then `get` raises. The first end stands.

        Args:
            failure: Makes the error to raise; None for a normal end.
        """
        with self._changed:
            if not self._closed:
                self._closed = True
                self._failure = failure
            self._changed.notify_all()

    def trouble(self, failure: Callable[[], SessionError]) -> None:
        """Has `get` raise once, behind what is in it, and go on afterwards."""
        with self._changed:
            self._troubles.append(failure)
            self._changed.notify()

    def put_back(self, events: Sequence[SessionEvent]) -> None:
        """Puts what was taken in front again, in its order; also after the end."""
        with self._changed:
            self._queue.extendleft(reversed(events))

    def take_over(self, other: Mailbox) -> None:
        """Moves in what waits in another mailbox, whatever its number, as far as the types fit."""
        with other._changed:
            moved, other._queue = other._queue, deque()
            notice, other._notice = other._notice, None
            troubles, other._troubles = other._troubles, deque()
        with self._changed:
            while moved:  # and not a loop over it: its consumer may still be taking
                event = moved.popleft()
                if self.types is None or event.type in self.types or event is notice:
                    self._queue.append(event)
            self._notice = notice or self._notice
            self._troubles.extend(troubles)
            self._changed.notify_all()

    def discard_through(self, last: Callable[[SessionEvent], bool]) -> None:
        """Drops everything up to and including the last event for which ``last`` is true."""
        with self._changed:
            ends = [at for at, event in enumerate(self._queue) if last(event)]
            for _ in range(ends[-1] + 1 if ends else 0):
                if self._queue.popleft() is self._notice:
                    self._notice = None

    def _put_bounded(self, events: Sequence[SessionEvent]) -> None:
        assert self._changed._is_owned()  # type: ignore[attr-defined]
        for event in events:
            # The notice has a slot of its own.
            if len(self._queue) - (self._notice is not None) < self.maxsize:
                self._queue.append(event)
            else:
                self._tell_dropped(event)

    def _tell_dropped(self, event: SessionEvent) -> None:
        assert self._changed._is_owned()  # type: ignore[attr-defined]
        self.dropped += 1
        if self._notice is not None:
            self._notice.data["dropped"] += 1
            return
        told = {"error": OVERFLOW, "dropped_event_type": str(event.type), "dropped": 1}
        self._notice = SessionEvent(SessionEventType.ERROR, event.session_id, None, told)
        self._queue.append(self._notice)

    def _wait(self, deadline: Deadline) -> SessionEvent:
        if os.getpid() != self._pid:  # before the lock, which may have been held when the process forked
            raise ForkedSessionError("nothing more comes here: the session belongs to the parent process")
        with self._changed:
            self._consumers_waiting += 1
            try:
                while not self._queue:
                    if self._troubles:
                        raise self._troubles.popleft()()
                    if self._closed:
                        raise self._failure() if self._failure else Closed
                    left = deadline.remaining()
                    if left == 0.0:
                        raise TimeoutError
                    self._changed.wait(left)
                return self._queue.popleft()
            finally:
                self._consumers_waiting -= 1
