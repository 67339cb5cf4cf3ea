"""Bounded, closeable event queue that reports overflow in-band."""

from __future__ import annotations

import bisect
import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sessionlib._util.ipython import in_one_line
from sessionlib._util.timing import Deadline, acquire
from sessionlib.errors import ForkedSessionError, SessionError
from sessionlib.events import SessionEvent, SessionEventType

__all__ = ["EVENT_BYTES", "OVERFLOW", "PARTS", "QUEUE_BYTES", "Closed", "Mailbox", "TimedMailbox", "weight"]

OVERFLOW = "subscriber queue overflow"
QUEUE_BYTES = 8 * 1024 * 1024
"""How many bytes may wait in a mailbox that is bounded."""
# What an event takes beside the bytes that came for it, about.
EVENT_BYTES = 500
# Deltas are joined up to so many characters: one that is not Latin makes all of its event's take up to four bytes.
_JOINED_CHARS = 65_536
# What a complete message or thought repeats.
PARTS = frozenset({SessionEventType.MESSAGE_DELTA, SessionEventType.MESSAGE_STREAMING, SessionEventType.THINKING})


class Closed(Exception):
    """The mailbox is empty, and nothing more will come."""


def weight(event: SessionEvent) -> int:
    """Returns how many bytes an event takes, about."""
    # The event and its dict, rounded up: a delta of 14 characters takes 350 bytes in all (CPython 3.11, tracemalloc).
    return 300 + sys.getsizeof(event.message_id) + _size(event.data)


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return sum(_size(name) + _size(item) for name, item in value.items())
    return sum(map(_size, value)) if isinstance(value, list) else sys.getsizeof(value)


class Mailbox:
    """Holds events between the reader, which never waits for it, and one consumer, which does.

    Args:
        maxsize: How many events may wait, and `QUEUE_BYTES` of them at most; 0 for any number and size.
        types: The kinds of event to hold; None for all.

    Attributes:
        dropped: How many events found it full.
        high_water: The largest number of events that ever waited.
    """

    __slots__ = (
        "_appended",
        "_bytes",
        "_closed",
        "_discarded",
        "_errors",
        "_failure",
        "_gates",
        "_lock",
        "_measured",
        "_most",
        "_notice",
        "_notice_at",
        "_pid",
        "_queue",
        "dropped",
        "high_water",
        "maxsize",
        "take",
        "types",
    )

    def __init__(self, maxsize: int = 0, types: Collection[SessionEventType] | None = None) -> None:
        self.maxsize = maxsize
        # How many may wait in a bounded one; None for any number and size.
        self._most = maxsize or None
        self.types = types
        self.dropped = 0
        self.high_water = 0
        # Appended to under the lock only; taken from without it, which deques allow.
        self._queue: deque[SessionEvent] = deque()
        # Returns the next event, or raises IndexError when none waits. With the lock for as long as a notice waits:
        # what is counted in it while it is taken would be reported to no reader.
        self.take: Callable[[], SessionEvent] = self._queue.popleft
        # Protects the end of the queue, the overflow notice in it, who waits, the troubles, and how it ended.
        self._lock = threading.Lock()
        # How many events were ever appended, and how many before the notice: whether it has been read
        # shows by counting, so that `take` need not look at what it takes.
        self._appended = 0
        # What waited when it was last measured, in bytes, and what was put since; and `taken` at that time. What is
        # taken is not looked at: to measure costs as much as there are events, and is needed once in 8 MiB.
        self._bytes = 0
        self._measured = -1
        # How many have left it otherwise than by `take`.
        self._discarded = 0
        self._notice: SessionEvent | None = None
        self._notice_at = -1
        # One for each consumer that waits, oldest first; opened to wake it.
        # Few if any, and of each session: an empty deque holds 64 places, an empty list none.
        self._gates: list[threading.Lock] = []
        self._closed = False
        self._failure: Callable[[], SessionError] | None = None
        self._pid = os.getpid()
        self._errors: list[Callable[[], SessionError]] = []

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def taken(self) -> int:
        """How many events have been taken, near enough to see whether any are taken."""
        return self._appended - len(self._queue) - self._discarded

    def ends_with(self, kind: SessionEventType) -> bool:
        """Whether the last event that waits is of a kind."""
        with self._lock:
            return bool(self._queue) and self._queue[-1].type is kind

    def waiting(self) -> list[SessionEvent]:
        """Returns what waits in it, without taking it."""
        with self._lock:
            return [*self._queue, *(event for _, event in self._kept_back())]

    def discard(self, events: Sequence[SessionEvent]) -> None:
        """Drops some of what waits in it; no thread may be taking from it."""
        unwanted = {id(event) for event in events}
        with self._lock:
            kept = [event for event in self._queue if id(event) not in unwanted]
            self._discarded = -self.taken  # counting begins again, but for what was taken
            self._queue.clear()
            self._queue.extend(kept)
            self._appended = len(kept)
            self._notice_at = next((at for at, event in enumerate(kept) if event is self._notice), -1)
            self._measured = -1

    def put(self, events: Sequence[SessionEvent], size: int = 0) -> None:
        """Appends events without ever waiting; what finds no room is dropped and reported.

        Args:
            events: The events.
            size: How many bytes came for them, about.
        """
        if self.types is not None:
            events = [event for event in events if event.type in self.types]
        if not events:
            return
        queue = self._queue
        with self._lock:
            # What comes after the end is for no reader.
            if self._closed:
                return
            # What is put is weighed by the bytes on the wire, which are at hand; only near the bound is it measured.
            most = self._most
            if most is None or (len(queue) + len(events) <= most and self._bytes + size <= QUEUE_BYTES):
                self._bytes += size
                self._measured = -1
                queue.extend(events)
                self._appended += len(events)
            else:
                self._put_bounded(events)
            if len(queue) > self.high_water:
                self.high_water = len(queue)
            if self._gates:
                # One waiting consumer for each event: more would wake to find nothing.
                self._wake(len(events))

    def get(self, deadline: Deadline) -> SessionEvent:
        """Waits for the next event and takes it.

        Raises:
            TimeoutError: None came in time.
            Closed: The mailbox was closed, and all that was in it has been taken.
            ForkedSessionError: This is a fork of the process that made it, and nothing is in it.
            SessionError: It was closed with a failure, likewise.
        """
        try:
            return self.take()
        except IndexError:
            pass  # and leave the block: what is raised while waiting must not look like a consequence of this
        return self._wait(deadline)

    def close(self, failure: Callable[[], SessionError] | None = None) -> None:
        """Ends it: what is in it can still be taken, then `get` raises. The first end stands.

        Args:
            failure: Makes the error to raise; None for a normal end.
        """
        with self._lock:
            if not self._closed:
                self._closed = True
                self._failure = failure
            self._wake(len(self._gates))

    def push_error(self, failure: Callable[[], SessionError]) -> None:
        """Has `get` raise once, behind what is in it, and go on afterwards."""
        with self._lock:
            self._errors.append(failure)
            self._wake(1)

    def put_back(self, events: Sequence[SessionEvent]) -> None:
        """Puts what was taken in front again, in its order; also after the end."""
        with self._lock:
            # Without counting: they were counted when they were appended, and `taken` goes back by as many.
            self._queue.extendleft(reversed(events))

    def transfer_from(self, other: Mailbox) -> None:
        """Moves in what waits in another mailbox, whatever its number, as far as the types fit."""
        # One lock after the other, never both: two mailboxes that move into each other could not deadlock.
        with other._lock:
            moved = []
            with contextlib.suppress(IndexError):  # and not by its length: its consumer may still be taking
                while True:
                    moved.append(other._queue.popleft())
            other._discarded += len(moved)
            moved += [event for _, event in other._kept_back(forget=True)]
            size, other._bytes = other._bytes, 0
            notice, other._notice = other._notice, None
            troubles, other._errors = other._errors, []
        with self._lock:
            for event in moved:
                if event is notice:
                    self._notice, self._notice_at = notice, self._appended
                    self.take = self._take_locked
                if self.types is None or event.type in self.types or event is notice:
                    self._queue.append(event)
                    self._appended += 1
            self._bytes += size
            self._errors.extend(troubles)
            self._wake(len(self._gates))

    def discard_through(self, last: Callable[[SessionEvent], bool]) -> None:
        """Drops everything up to and including the last event for which ``last`` is true."""
        if not self._queue:
            return
        with self._lock:
            ends = [at for at, event in enumerate(list(self._queue)) if last(event)]
            for _ in range(ends[-1] + 1 if ends else 0):
                self._queue.popleft()
                self._discarded += 1
            self._measured = -1

    def _kept_back(self, *, forget: bool = False) -> list[tuple[float, SessionEvent]]:
        """Returns what waits behind all that can be taken yet, and when it came."""
        return []

    def _put_bounded(self, events: Sequence[SessionEvent]) -> None:
        assert self._lock.locked()
        weights = list(map(weight, events))
        if self._bytes + sum(weights) > QUEUE_BYTES and self._measured != self.taken:
            self._bytes, self._measured = sum(map(weight, list(self._queue))), self.taken
        for event, size in zip(events, weights, strict=True):
            # The notice has a slot of its own. An event that is larger than all that may wait is alone in it.
            waiting = len(self._queue) - self._has_notice()
            if waiting < self.maxsize and (self._bytes + size <= QUEUE_BYTES or not waiting):
                self._queue.append(event)
                self._appended += 1
                self._bytes += size
            else:
                self._report_dropped(event)

    def _take_locked(self) -> SessionEvent:
        if os.getpid() != self._pid:  # the lock may have been held when the process forked
            return self._queue.popleft()
        with self._lock:
            return self._pop()

    def _pop(self) -> SessionEvent:
        assert self._lock.locked()
        event = self._queue.popleft()
        if not self._has_notice():
            self.take = self._queue.popleft
        return event

    def _has_notice(self) -> bool:
        """Whether there is a notice that has not been read."""
        return self._notice is not None and self._appended - len(self._queue) <= self._notice_at

    def _report_dropped(self, event: SessionEvent, count: int = 1) -> None:
        assert self._lock.locked()
        self.dropped += count
        if self._notice is not None and self._has_notice():
            self._notice.data["dropped"] += count
            return
        details = {"error": OVERFLOW, "dropped_event_type": str(event.type), "dropped": count}
        self._notice, self._notice_at = (
            SessionEvent(SessionEventType.ERROR, event.session_id, None, details),
            self._appended,
        )
        self.take = self._take_locked
        self._queue.append(self._notice)
        self._appended += 1

    def _wake(self, count: int) -> None:
        assert self._lock.locked()
        for _ in range(min(count, len(self._gates))):
            self._gates.pop(0).release()

    def _wait(self, deadline: Deadline) -> SessionEvent:
        if os.getpid() != self._pid:  # before the lock, which may have been held when the process forked
            raise ForkedSessionError("nothing more comes here: the session belongs to the parent process")
        is_late = False
        while True:
            gate = threading.Lock()
            # A lock to be acquired twice, as a `Condition` makes for each wait as well; but this one wakes one
            # consumer and no other.
            gate.acquire()
            # From before the gate is in the list: one that was left there would be opened in place of another's.
            try:
                with self._lock:
                    if self._queue:
                        # Unless another consumer is quicker: `take` needs no lock.
                        with contextlib.suppress(IndexError):
                            return self._pop()
                    if self._errors:
                        # Made here, on the thread that raises it: an error in two threads would mix their tracebacks.
                        raise self._errors.pop(0)()
                    if self._closed:
                        raise self._failure() if self._failure else Closed
                    if is_late:
                        raise TimeoutError
                    self._gates.append(gate)
                is_late = not acquire(gate, deadline)
                if is_late:
                    self._stop_waiting(gate)
            except BaseException as error:
                self._stop_waiting(gate, interrupted=True)
                in_one_line(error)
                raise

    def _stop_waiting(self, gate: threading.Lock, *, interrupted: bool = False) -> None:
        with self._lock:
            if gate in self._gates:
                self._gates.remove(gate)
            elif interrupted and self._queue:
                self._wake(1)  # it was for us, and another consumer has to come


class TimedMailbox(Mailbox):
    """The mailbox of a turn, which also notes when events came, once for all that came together.

    Any number may wait in it, of `QUEUE_BYTES` in all. What has filled it is made smaller first: deltas of one message
    that wait in a row are joined. Where that is not enough, parts that a complete message or thought repeats are left
    out until the notice of it has been read; other events may take as much again, twice, and of those that find no room
    even so the latest of each type is kept, so that the end of the turn is among them.

    Attributes:
        arrivals: When events came, on the monotonic clock, and how many there had been by then.
        joins: Whether deltas may be joined; not while what waits here waits in another mailbox too.
    """

    __slots__ = ("_came", "_kept", "_kept_bytes", "_latest", "arrivals", "joins")

    def __init__(self) -> None:
        super().__init__()
        self._most = sys.maxsize
        self._came = 0
        self._kept: list[tuple[float, SessionEvent]] = []
        self._kept_bytes = 0
        self._latest: dict[SessionEventType, tuple[float, SessionEvent]] = {}
        self.arrivals: list[tuple[float, int]] = []
        self.joins = True

    def put(self, events: Sequence[SessionEvent], size: int = 0) -> None:
        """Appends events without ever waiting, and notes the time."""
        self._came += len(events)
        # Not the events themselves: to hold on to lists of them costs more than all the rest.
        self.arrivals.append((time.monotonic(), self._came))
        super().put(events, size)

    def discard_through(self, last: Callable[[SessionEvent], bool]) -> None:
        """Drops everything up to and including the last event for which ``last`` is true."""
        super().discard_through(last)
        if not self._queue:
            self._kept_back(forget=True)

    def _kept_back(self, *, forget: bool = False) -> list[tuple[float, SessionEvent]]:
        kept = [*self._kept, *self._latest.values()]
        if forget:
            self._kept.clear()
            self._latest.clear()
            self._kept_bytes = 0
        return kept

    def _put_bounded(self, events: Sequence[SessionEvent]) -> None:
        assert self._lock.locked()
        now, _ = self.arrivals.pop()  # not all of them may come to be read
        self._came -= len(events)
        if not self._has_notice() and self._measured != self.taken:
            if self.joins:
                self._join_deltas()
            self._bytes, self._measured = sum(map(weight, list(self._queue))), self.taken
        came = self._came
        for event, size in zip(events, map(weight, events), strict=True):
            room = QUEUE_BYTES if event.type in PARTS else 2 * QUEUE_BYTES
            if not self._has_notice() and (self._bytes + size <= room or not self._queue):
                self._queue.append(event)
                self._appended += 1
                self._bytes += size
                self._came += 1
                continue
            if not self._has_notice():
                self._came += 1
                self._bytes = 2 * QUEUE_BYTES  # nothing passes by the notice
            self._keep_back(event, size, now)
        if self._came > came:
            self.arrivals.append((now, self._came))

    def _keep_back(self, event: SessionEvent, size: int, now: float) -> None:
        if event.type in PARTS:
            self._report_dropped(event)
        elif self._kept_bytes + size <= 2 * QUEUE_BYTES and not self._latest:
            self._report_dropped(event, count=0)
            self._kept.append((now, event))
            self._kept_bytes += size
        else:
            _, former = self._latest.pop(event.type, (now, None))
            self._report_dropped(event, count=int(former is not None))
            if former is not None and self._notice is not None:
                self._notice.data["dropped_event_type"] = str(event.type)  # which no other event repeats
            self._latest[event.type] = (now, event)
        self.take = self._take_locked  # again, where the notice was put back

    def _pop(self) -> SessionEvent:
        event = super()._pop()
        if event is self._notice:
            for came, kept in self._kept_back(forget=True):
                self._queue.append(kept)
                self._appended += 1
                self._came += 1
                self.arrivals.append((came, self._came))
        return event

    def _join_deltas(self) -> None:
        assert self._lock.locked()
        queue, events = self._queue, list[SessionEvent]()
        # From the end, because the consumer may still be taking from the beginning: it waits for the lock once it has
        # found none.
        with contextlib.suppress(IndexError):
            while True:
                events.append(queue.pop())
        events.reverse()
        firsts: list[int] = []
        joined: list[SessionEvent] = []
        texts: list[str] = []
        chars = 0
        for number, event in enumerate(events):
            text = event.data.get(_text_key(event))
            if firsts and chars < _JOINED_CHARS and _goes_on(events[firsts[-1]], event) and isinstance(text, str):
                texts.append(text)
                chars += len(text)
                continue
            if len(texts) > 1:
                joined[-1] = _joined(joined[-1], texts)
            firsts.append(number)
            joined.append(event)
            texts = [text] if isinstance(text, str) else []
            chars = len(text) if isinstance(text, str) else _JOINED_CHARS
        if len(texts) > 1:
            joined[-1] = _joined(joined[-1], texts)
        queue.extend(joined)
        self._appended -= len(events) - len(joined)
        before = self._came - len(events)
        self._came = before + len(joined)
        # One that was joined came when its first delta did.
        arrivals: list[tuple[float, int]] = []
        for at, count in self.arrivals:
            count = count if count <= before else before + bisect.bisect_left(firsts, count - before)
            if not arrivals or count > arrivals[-1][1]:
                arrivals.append((at, count))
        self.arrivals = arrivals


def _goes_on(first: SessionEvent, event: SessionEvent) -> bool:
    if event.type is not first.type or event.message_id != first.message_id or "recovered" in event.data:
        return False
    is_part = event.type is SessionEventType.MESSAGE_DELTA or event.data.get("status") == "streaming"
    return is_part and event.data.keys() == first.data.keys()


def _joined(first: SessionEvent, texts: Sequence[str]) -> SessionEvent:
    data = {**first.data, _text_key(first): "".join(texts)}
    return SessionEvent(first.type, first.session_id, first.message_id, data)


def _text_key(event: SessionEvent) -> str:
    return "text" if event.type is SessionEventType.THINKING else "delta"
