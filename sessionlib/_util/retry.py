"""When a link that was lost, or could not be had, is worth another try, and how soon."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from sessionlib._util.timing import Backoff, Deadline
from sessionlib.errors import (
    ApiError,
    SessionConnectionError,
    SessionDisconnectedError,
    SessionlibError,
    SessionProtocolError,
    SessionTimeoutError,
)

__all__ = ["Retries", "is_transient", "wait_at_least"]

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
