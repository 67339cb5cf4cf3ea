"""When a link that was lost, or could not be had, is worth another try, and how soon."""

from __future__ import annotations

import contextlib
import logging
import math
import random
import threading
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from sessionlib._util.timing import MAX_RETRY_AFTER, Backoff, Deadline
from sessionlib.errors import (
    ApiError,
    SessionConnectionError,
    SessionDisconnectedError,
    SessionlibError,
    SessionProtocolError,
    SessionTimeoutError,
)

__all__ = ["Pace", "Retries", "is_transient", "wait_at_least"]

logger = logging.getLogger("sessionlib")

Got = TypeVar("Got")

# HTTP statuses of a refused handshake, and WebSocket close codes, that a later try may not meet again.
_TRANSIENT_STATUSES = frozenset({408, 425, 429})
_TRANSIENT_CLOSES = frozenset({None, 1001, 1006, 1011, 1012, 1013, 1014})
_TRY_AGAIN_LATER = 1013


def is_transient(cause: Exception) -> bool:
    """Whether trying again can help."""
    if isinstance(cause, ApiError):
        return cause.status_code in _TRANSIENT_STATUSES or cause.status_code >= 500
    if isinstance(cause, (SessionConnectionError, SessionProtocolError)):
        return cause.transient
    if isinstance(cause, SessionDisconnectedError):
        return cause.code in _TRANSIENT_CLOSES
    return isinstance(cause, SessionTimeoutError)


def wait_at_least(cause: Exception) -> float:
    """Gives the seconds that the server asked to wait before the next try."""
    if isinstance(cause, ApiError):
        return cause.retry_after or 0.0
    return 1.0 if getattr(cause, "code", None) == _TRY_AGAIN_LATER else 0.0


class Retries:
    """Tries to get a lost link back until that succeeds, cannot help, or has taken too long.

    The delays go on growing from one loss to the next, until a try has got as far as to `succeed`:
    an engine that takes connections and drops them is not asked faster than one that is down.

    Args:
        delay: The longest wait before the first try, in seconds; it doubles with each.
        max_delay: The longest wait before any try, in seconds.
        timeout: Seconds to go on trying; None for ever.
        attempt_timeout: Seconds that one try may take.
        wait: Waits so many seconds; true when the client is leaving.
        clock: What tells the time; for tests.
        uniform: Draws from a range; for tests.
    """

    def __init__(
        self,
        wait: Callable[[float], bool],
        *,
        delay: float = 2.0,
        max_delay: float = 30.0,
        timeout: float | None = 900.0,
        attempt_timeout: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._timeout = timeout
        self._attempt_timeout = attempt_timeout
        self._wait = wait
        self._clock = clock
        self._backoff = Backoff(delay, max_delay, uniform=uniform)

    def succeed(self) -> None:
        """Starts again from the shortest delay with the next loss."""
        self._backoff.reset()

    def run(self, cause: Exception, attempt: Callable[[Deadline], Got]) -> Got | None:
        """Tries, with a growing delay before each try.

        Args:
            cause: Why the link was lost.
            attempt: One try; gets its deadline.

        Returns:
            What the try gave that succeeded; None when the client is leaving.

        Raises:
            Exception: ``cause``, or what a try raised, when no further try can help or the time is over.
        """
        limit = Deadline(self._timeout, clock=self._clock)
        while True:
            if not is_transient(cause):
                raise cause
            delay = self._backoff.next_delay(wait_at_least(cause))
            logger.info("= the link is lost (%s); next try in %.1f s", cause, delay)
            if self._wait(delay):
                return None
            if limit.expired:
                raise cause
            try:
                return attempt(limit.sooner(self._attempt_timeout))
            except SessionlibError as error:
                if self._wait(0.0):
                    return None
                cause = error


# ---- one pace for many workers --------------------------------------------------------------------------------------

# Seconds for which all workers pause after a 429 that has no Retry-After.
_PAUSE = 1.0
# A server counts in windows that begin when it likes, so that a little more than its limit can fall into one. The pace
# that a refusal teaches stays below what was accepted before it, and then grows by one percent a second.
_BELOW = 0.95
_GROWTH = 0.01
# Paces that came with clients out of other processes, of which each job brings a copy of its own.
_KEPT_PACES = 64


class Pace:
    """When connections may be opened, for all threads that share a client.

    A refusal with 429 or Retry-After pauses all of them, and shows how many a server accepts in that time. From then
    on they are opened at that rate, instead of all at once when the pause ends.

    Args:
        rate: The most that may be opened in a second; None for no limit.
        max_active: The most that may be open at a time; None for no limit.
        clock: Returns the time; for tests.
    """

    def __init__(
        self,
        rate: float | None = None,
        max_active: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate = rate
        self.max_active = max_active
        self._id = uuid.uuid4().hex
        self._clock = clock
        # Protects all below; never held while anything blocks.
        self._lock = threading.Lock()
        self._next = -math.inf
        self._paused_until = -math.inf
        # Changes with each pause: who had been given a place before it has to take another.
        self._pauses = 0
        self._learned = 0.0
        self._learned_at = 0.0
        self._openings: deque[float] = deque()
        self._slots = None if max_active is None else threading.BoundedSemaphore(max_active)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_shared_pace, (self._id, self.rate, self.max_active))

    @contextlib.contextmanager
    def active(self, deadline: Deadline, sleep: Callable[[float], object] = time.sleep) -> Iterator[bool]:
        """Context manager that holds one of the ``max_active`` places, as soon as there is one.

        Args:
            deadline: When to stop waiting for it.
            sleep: Waits for so many seconds; may raise to stop waiting.

        Yields:
            Whether there is one; False when the time is over.
        """
        slots = self._slots
        if slots is None:
            yield True
            return
        while not (held := slots.acquire(timeout=0.1)) and not deadline.expired:
            sleep(0.0)
        try:
            yield held
        finally:
            if held:
                slots.release()

    def admit(self, deadline: Deadline, sleep: Callable[[float], object] = time.sleep) -> bool:
        """Waits until a connection may be opened.

        Args:
            deadline: When to stop waiting.
            sleep: Waits for so many seconds; may raise to stop waiting.

        Returns:
            Whether it may be opened; False when that is not possible before the deadline.
        """
        while True:
            with self._lock:
                now, pauses = self._clock(), self._pauses
                at = max(now, self._next)
                left = deadline.remaining()
                if left is not None and at - now > left:
                    return False
                self._next = at + max(self._spacing(now), 1.0 / self.rate if self.rate else 0.0)
                if at <= now:
                    self._openings.append(now)
                    return True
            sleep(at - now)
            with self._lock:
                if self._pauses == pauses:
                    self._openings.append(self._clock())
                    return True

    def refused(self, retry_after: float | None) -> None:
        """Records that an opening was refused because there were too many, and pauses all.

        Args:
            retry_after: Seconds that the server asked to wait, or None.
        """
        pause = retry_after or _PAUSE
        window = max(pause, _PAUSE)
        with self._lock:
            now = self._clock()
            if self._openings:
                self._openings.pop()  # it was none; which of a burst it was does not matter for their number
            while self._openings and self._openings[0] < now - window:
                self._openings.popleft()
            # The refusals of one burst come one by one; each corrects the number that the one before was made from.
            self._learned, self._learned_at = window / max(1.0, _BELOW * len(self._openings)), now
            self._paused_until = max(self._paused_until, now + pause)
            self._next = self._paused_until
            self._pauses += 1

    def _spacing(self, now: float) -> float:
        """Returns the seconds between two openings that refusals have taught; call with the lock."""
        while self._openings and self._openings[0] < now - MAX_RETRY_AFTER:
            self._openings.popleft()
        return self._learned * math.exp(-_GROWTH * max(0.0, now - self._learned_at))


_paces: OrderedDict[str, Pace] = OrderedDict()
# Protects _paces.
_paces_lock = threading.Lock()


def _shared_pace(identity: str, rate: float | None, max_active: int | None) -> Pace:
    """Returns this process's pace of a client that came here many times, each time as a copy."""
    with _paces_lock:
        pace = _paces.get(identity)
        if pace is None:
            pace = _paces[identity] = Pace(rate, max_active)
            pace._id = identity
            while len(_paces) > _KEPT_PACES:
                _paces.popitem(last=False)
        return pace
