"""A deadline for each public call, and taking a lock within it."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from sessionlib.errors import SessionTimeoutError

__all__ = ["MAX_WAIT", "NEVER", "Deadline", "Flag", "acquire", "held"]

# The longest single wait that every primitive takes: poll() and socket timeouts count milliseconds in a C int, which
# ends after 24.8 days; Windows' locks end after 49. An infinity fits nowhere.
MAX_WAIT = 2_000_000.0
# Seconds that stand for any longer time, as an int may be too large for a float.
NEVER = 1e18


class Deadline:
    """The moment by which one public call has to be over, handed down through its steps.

    Args:
        timeout: Seconds from now, on the monotonic clock; None and infinity never expire.
        clock: Returns the current time in seconds; for tests.

    Attributes:
        timeout: As given, for messages.
    """

    __slots__ = ("_at", "_clock", "timeout")

    def __init__(self, timeout: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.timeout = timeout
        self._clock = clock
        self._at = None if timeout is None or timeout == math.inf else clock() + min(timeout, NEVER)

    def __repr__(self) -> str:
        left = self.remaining()
        return "Deadline(never)" if left is None else f"Deadline({left:.3f} s left)"

    def remaining(self) -> float | None:
        """Returns the seconds left, as a timeout for one wait.

        Returns:
            0 to `MAX_WAIT`, which any lock, event or socket takes; None when there is no limit.
        """
        return None if self._at is None else min(max(0.0, self._at - self._clock()), MAX_WAIT)

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.remaining() == 0.0

    def sooner(self, timeout: float | None) -> Deadline:
        """Returns the earlier of this deadline and one ``timeout`` seconds from now."""
        left = self.remaining()
        if timeout is None or (left is not None and left <= timeout):
            return self
        return Deadline(timeout, clock=self._clock)


def acquire(lock: Any, deadline: Deadline) -> bool:
    """Acquires a `threading.Lock` or ``RLock`` before a deadline; returns whether it did."""
    if lock.acquire(blocking=False):  # uncontended, as nearly always: no clock is read
        return True
    left = deadline.remaining()
    return bool(lock.acquire(timeout=-1 if left is None else left))


class Flag:
    """A `threading.Event` for one that each of thousands of sessions has: without a lock, a condition and a queue that
    are there although no thread waits. Once set it stays set; setting it never blocks.

    Attributes:
        is_set: Whether `set` was called.
    """

    __slots__ = ("_gates", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        # One for each thread that waits; opened to wake it. Changed in single steps, which need no lock.
        self._gates: list[threading.Lock] = []

    def set(self) -> None:
        """Wakes every thread that waits, now and later."""
        # First: a thread that is about to wait leaves its gate, and then looks again.
        self.is_set = True
        while self._gates:
            with contextlib.suppress(IndexError):  # one by one, as a thread that gives up takes its gate away
                self._gates.pop().release()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set, for up to ``timeout`` seconds; returns whether it is."""
        if not self.is_set:
            gate = threading.Lock()
            gate.acquire()
            self._gates.append(gate)
            try:
                if not self.is_set:
                    gate.acquire(timeout=-1 if timeout is None else timeout)
            finally:
                with contextlib.suppress(ValueError):
                    self._gates.remove(gate)
        return self.is_set


class held:
    """Holds a lock for the length of a block, if it can be acquired in time.

    An exception out of a signal handler does not leave it taken: it may strike when the lock is acquired and
    nothing has been noted of that, which is why the lock has to know its owner.

    Args:
        lock: A `threading.RLock`; a thread that holds it already is refused like any other.
        deadline: When to stop waiting.
        why: What the error names as being in the way; "within n s" is added.

    Raises:
        SessionTimeoutError: It was not acquired in time.
    """

    # The exit is the lock's own, which is no Python function: an interrupt could strike at the beginning of one.
    __slots__ = ("__exit__", "_deadline", "_lock", "_why")

    __exit__: Callable[..., None]

    def __init__(self, lock: Any, deadline: Deadline, why: str) -> None:
        self.__exit__ = lock.__exit__
        self._lock = lock
        self._deadline = deadline
        self._why = why

    def __enter__(self) -> None:
        lock, deadline = self._lock, self._deadline
        if lock._is_owned():
            raise SessionTimeoutError(f"{self._why}, by this very thread")
        try:
            # Uncontended, as nearly always, without a call: three of these stand on the way of every message.
            if not lock.acquire(False) and not acquire(lock, deadline):
                raise SessionTimeoutError(f"{self._why} after {deadline.timeout} s")
        except BaseException:
            if lock._is_owned():
                lock.release()
            raise
