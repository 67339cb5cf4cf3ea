"""A deadline for each public call, and taking a lock within it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

__all__ = ["MAX_WAIT", "Deadline", "acquire"]

# The longest single wait that every primitive takes: poll() and socket timeouts count milliseconds in a C int, which
# ends after 24.8 days; Windows' locks end after 49. An infinity fits nowhere.
MAX_WAIT = 2_000_000.0


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
        self._at = None if timeout is None or timeout == math.inf else clock() + timeout

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


def acquire(lock: threading.Lock, deadline: Deadline) -> bool:
    """Acquires a lock before a deadline; returns whether it did."""
    if lock.acquire(blocking=False):  # uncontended, as nearly always: no clock is read
        return True
    left = deadline.remaining()
    return lock.acquire(timeout=-1 if left is None else left)
