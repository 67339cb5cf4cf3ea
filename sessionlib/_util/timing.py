"""Time as values: a deadline for each public call, a backoff for each row of retries."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

from sessionlib.errors import SessionTimeoutError

__all__ = ["Backoff", "Deadline", "acquire", "held", "parse_retry_after"]

MAX_RETRY_AFTER = 60.0


class Deadline:
    """The moment by which one public call has to be over, handed down through its steps.

    Args:
        timeout: Seconds from now, on the monotonic clock; None never expires.
        clock: What tells the time; for tests.
    """

    __slots__ = ("_at", "_clock", "timeout")

    def __init__(self, timeout: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.timeout = timeout
        self._clock = clock
        self._at = None if timeout is None else clock() + timeout

    def __repr__(self) -> str:
        left = self.remaining()
        return "Deadline(never)" if left is None else f"Deadline({left:.3f} s left)"

    def remaining(self) -> float | None:
        """Seconds left, never below 0; None when there is no limit."""
        return None if self._at is None else max(0.0, self._at - self._clock())

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.remaining() == 0.0

    def sooner(self, timeout: float | None) -> Deadline:
        """Gives the earlier of this deadline and one ``timeout`` seconds from now."""
        left = self.remaining()
        if timeout is None or (left is not None and left <= timeout):
            return self
        return Deadline(timeout, clock=self._clock)


def acquire(lock: Any, deadline: Deadline) -> bool:
    """Takes a lock if that is possible before a deadline, and tells whether it was."""
    if lock.acquire(blocking=False):  # as nearly always
        return True
    left = deadline.remaining()
    return bool(lock.acquire(timeout=-1 if left is None else min(left, threading.TIMEOUT_MAX)))


class Backoff:
    """Delays between tries: full jitter, doubling up to a cap.

    Each delay is uniform between 0 and a bound that starts at ``base`` and doubles up to ``cap``, so
    that clients dropped together do not come back together.

    Args:
        base: Upper bound of the first delay, in seconds.
        cap: Upper bound of any delay, in seconds.
        uniform: Draws from a range; for tests.
    """

    def __init__(
        self, base: float = 2.0, cap: float = 30.0, *, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self.base = base
        self.cap = cap
        self.tries = 0
        self._uniform = uniform

    def next_delay(self, at_least: float = 0.0) -> float:
        """Draws the next delay.

        Args:
            at_least: What the server asked to wait, in seconds; the draw comes on top, up to a fifth.

        Returns:
            Seconds to wait before the next try.
        """
        bound = min(self.cap, self.base * 2.0 ** min(self.tries, 32))
        self.tries += 1
        drawn = self._uniform(0.0, bound)
        return at_least + min(drawn, at_least / 5) if at_least > drawn else drawn

    def reset(self) -> None:
        """Starts again from ``base``, after a success."""
        self.tries = 0


def parse_retry_after(value: str) -> float | None:
    """Gives the seconds that a ``Retry-After`` header asks to wait, between 0 and `MAX_RETRY_AFTER`.

    Args:
        value: Seconds or an HTTP date (RFC 9110, 10.2.3).

    Returns:
        The seconds, or None for anything else.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER)
    import email.utils  # which loads a good deal, for what is seldom met

    try:
        wait = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(wait, 0.0), MAX_RETRY_AFTER)


class held:
    """Holds a lock for the length of a block, if it is to be had in time.

    An exception out of a signal handler does not leave it taken: it may strike when the lock is acquired and
    nothing has been noted of that, which is why the lock has to know its owner.

    Args:
        lock: A `threading.RLock`; a thread that holds it already is refused like any other.
        deadline: When to give up.
        why: What the error says is in the way; "within n s" is added.

    Raises:
        SessionTimeoutError: It was not to be had in time.
    """

    __slots__ = ("_deadline", "_lock", "_why")

    def __init__(self, lock: Any, deadline: Deadline, why: str) -> None:
        self._lock = lock
        self._deadline = deadline
        self._why = why

    def __enter__(self) -> None:
        lock, deadline = self._lock, self._deadline
        if lock._is_owned():
            raise SessionTimeoutError(f"{self._why}, by this very thread")
        try:
            if not acquire(lock, deadline):
                raise SessionTimeoutError(f"{self._why} after {deadline.timeout} s")
        except BaseException:
            if lock._is_owned():
                lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._lock.release()
