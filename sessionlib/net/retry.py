"""The one retry policy: which failures pass by themselves, how long to wait, and when to stop trying.

HTTP calls, the opening handshake, a lost session, a one-shot run and a model's endpoint all decide by the tables and
the parser here. Nothing in this module sleeps by itself or opens a socket.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import threading
import time
from bisect import bisect, bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from datetime import timezone
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sessionlib._util.timing import Deadline
from sessionlib.errors import (
    ApiConnectionError,
    ApiError,
    SessionConnectionError,
    SessionDisconnectedError,
    SessionlibError,
    SessionProtocolError,
)

if TYPE_CHECKING:
    import ssl

__all__ = [
    "MAX_RETRY_AFTER",
    "Backoff",
    "Pace",
    "PaceRecord",
    "Retries",
    "Throttle",
    "Tries",
    "is_transient",
    "is_transient_status",
    "is_transient_tls",
    "parse_retry_after",
    "retry_after",
    "wait_at_least",
]

logger = logging.getLogger("sessionlib")

Result = TypeVar("Result")

# ---- which failures are transient: the one table ------------------------------------------------------------------

# HTTP statuses, of a call, a refused handshake or a proxy's CONNECT: request timeout, too early, too many requests.
# All from 500 on are transient too.
_TRANSIENT_STATUSES = frozenset({408, 425, 429})
# WebSocket close codes (RFC 6455, 7.4; the IANA registry for 1012 to 1014). None is a connection that ended without a
# close frame. All further ones are final: done (1000), a violation (1002, 1003, 1007 to 1010), the application's.
_TRANSIENT_CLOSES = frozenset({None, 1001, 1006, 1011, 1012, 1013, 1014})
_TRY_AGAIN_LATER = 1013
# TLS alerts (RFC 8446, 6.2) that depend on configuration, and so come again with every try. OpenSSL names them with
# a prefix that depends on the version in which the alert first appeared.
_FINAL_ALERTS = frozenset(
    {
        *("BAD_CERTIFICATE", "UNSUPPORTED_CERTIFICATE", "CERTIFICATE_REVOKED", "CERTIFICATE_EXPIRED"),
        *("CERTIFICATE_UNKNOWN", "UNKNOWN_CA", "ACCESS_DENIED", "CERTIFICATE_REQUIRED"),
        *("PROTOCOL_VERSION", "INSUFFICIENT_SECURITY", "NO_APPLICATION_PROTOCOL"),
    }
)
# What OpenSSL itself objects to while the handshake runs, and what only bytes damaged or lost on the way explain. All
# else that it objects to then is final: no certificate that verifies, no common version, no TLS on this port.
_DAMAGED = frozenset({"DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "UNEXPECTED_EOF_WHILE_READING", "BAD_DIGEST_LENGTH"})


def is_transient_status(status: int) -> bool:
    """Returns whether a request that was answered with this HTTP status may succeed later."""
    return status in _TRANSIENT_STATUSES or status >= 500


def is_transient_tls(error: ssl.SSLError, *, established: bool = False) -> bool:
    """Returns whether a TLS connection that failed may succeed later.

    Args:
        error: How it failed.
        established: Whether the TLS handshake had succeeded: then the peer was the right one, and only an alert about
            the client's certificate is final, which TLS 1.3 sends after the handshake.
    """
    reason = (getattr(error, "reason", None) or "").upper()
    _, is_alert, alert = reason.partition("ALERT_")
    if is_alert:
        return alert not in _FINAL_ALERTS
    return established or reason in _DAMAGED or "EOF" in type(error).__name__


def is_transient(cause: BaseException) -> bool:
    """Returns whether a failure may pass by itself, so that trying again can help."""
    if isinstance(cause, ApiError):
        return is_transient_status(cause.status_code)
    if isinstance(cause, (SessionConnectionError, SessionProtocolError)):
        return cause.transient
    if isinstance(cause, SessionDisconnectedError):
        return cause.code in _TRANSIENT_CLOSES
    # A timeout is an OSError. So is what requests and urllib raise from a callable that fetches the API key.
    return isinstance(cause, (ApiConnectionError, OSError))


# ---- how long to wait ---------------------------------------------------------------------------------------------

# What a server asks to wait is believed up to here, in seconds.
MAX_RETRY_AFTER = 60.0
# RFC 9110 has whole seconds. Servers send what their language makes of a number, and clients read it as such.
# Patterns that most programs never use are compiled at their first use, as that takes longer than all of this module.
_NUMBER = r"(?ai)\+?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?"


def parse_retry_after(value: str | None, *, now: float | None = None) -> float | None:
    """Parses a ``Retry-After`` header (RFC 9110, 10.2.3).

    Args:
        value: The header's value: seconds, decimals allowed, or an HTTP date. None when there is none.
        now: The time, in seconds since the epoch; the system's when None.

    Returns:
        Seconds to wait, 0 to `MAX_RETRY_AFTER`; None for a negative number and for all else that is neither.
    """
    text = "" if value is None else value.strip()
    if re.fullmatch(_NUMBER, text):
        return min(float(text), MAX_RETRY_AFTER)  # of thousands of digits, it is infinite
    if not text[:3].isalpha():  # a date begins with the day of the week or, as some send it, is no date
        return None
    import email.utils  # which takes long to load, and is rarely needed

    try:
        moment = email.utils.parsedate_to_datetime(text)
        if moment.tzinfo is None:  # "-0000"; an HTTP date is always in UTC
            moment = moment.replace(tzinfo=timezone.utc)
        wait = moment.timestamp() - (time.time() if now is None else now)
    except (ValueError, OverflowError):
        return None
    return min(max(wait, 0.0), MAX_RETRY_AFTER)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds that a response's headers ask to wait.

    Args:
        headers: The headers, under names in any case. ``retry-after-ms``, as OpenAI and some more send it, is more
            precise and takes precedence over ``Retry-After``.

    Returns:
        0 to `MAX_RETRY_AFTER`; None when no header asks for a wait.
    """
    found = {name.lower(): value for name, value in headers.items()}
    exact = found.get("retry-after-ms", "").strip()
    if re.fullmatch(_NUMBER, exact):
        return min(float(exact) / 1000, MAX_RETRY_AFTER)
    return parse_retry_after(found.get("retry-after"))


def wait_at_least(cause: BaseException) -> float:
    """Returns the seconds that the server asked to wait before the next try, 0.0 when it asked for none."""
    if isinstance(cause, ApiError):
        return cause.retry_after or 0.0
    return 1.0 if getattr(cause, "code", None) == _TRY_AGAIN_LATER else 0.0


class Backoff:
    """Delays between tries: full jitter, doubling up to a cap.

    Each delay is uniform between 0 and a bound that starts at ``base`` and doubles up to ``cap``, so
    that clients that were disconnected together do not come back together.

    Args:
        base: Upper bound of the first delay, in seconds.
        cap: Upper bound of any delay, in seconds.
        uniform: Draws from a range, in place of `random.uniform`; for tests.

    Attributes:
        tries: How many delays were drawn since the last success.
    """

    def __init__(
        self, base: float = 2.0, cap: float = 30.0, *, uniform: Callable[[float, float], float] | None = None
    ) -> None:
        # Here, as it seeds itself, which would take half a millisecond of each import of the package.
        import random

        self.base = base
        self.cap = cap
        self.tries = 0
        self._uniform = uniform or random.uniform

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


# ---- when to try again: one HTTP call -----------------------------------------------------------------------------

# Statuses that mean, together with Retry-After, that nothing was done and when to come back.
_TURNED_AWAY = frozenset({429, 503})


class TryOutcome(Protocol):
    """How one try of a call ended."""

    @property
    def status(self) -> int | None:
        """The HTTP status; None when no response came."""

    @property
    def may_pass(self) -> bool:
        """Whether another try may end better."""

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asked to wait, or None."""


class Tries:
    """Decides after each try of one HTTP call whether, and when, to make it again.

    Without Retry-After only a call that changes nothing is made again, after a transient failure. With Retry-After,
    any call is, after 429 or 503. A wait that would outlast the deadline is not begun, so that the caller
    gets the error, and in it what the server asked for, at once.

    Args:
        is_safe: Whether the call changes nothing, so that making it twice does no harm.
        deadline: When it has to be over.
        max_retries: How often it may be made again.
        backoff: Draws the delays.
    """

    def __init__(self, is_safe: bool, deadline: Deadline, max_retries: int, backoff: Backoff | None = None) -> None:
        self._is_safe = is_safe
        self._deadline = deadline
        self._left = max_retries
        self._backoff = backoff or Backoff(base=0.5, cap=8.0)

    def delay_after(self, outcome: TryOutcome) -> float | None:
        """Returns the seconds to wait before the next try, or None when the outcome is final."""
        asked = outcome.retry_after
        turned_away = outcome.status in _TURNED_AWAY and asked is not None
        if self._left <= 0 or not (turned_away or (self._is_safe and outcome.may_pass)):
            return None
        self._left -= 1
        delay = self._backoff.next_delay(asked or 0.0)
        left = self._deadline.remaining()
        return None if left is not None and delay >= left else delay


# ---- when to try again: a lost session ----------------------------------------------------------------------------

# A wait or a try that took so many seconds longer than it may means that the machine slept, or its clock jumped.
_SUSPENDED = 5.0


class Retries:
    """Re-establishes a lost connection: tries until that succeeds, cannot help, or has taken too long.

    The delays go on growing from one loss to the next until a try resets them: an engine that accepts connections
    and drops them is not asked faster than one that is down.

    Args:
        wait: Waits so many seconds; returns true when the client is leaving.
        delay: The longest wait before the first try, in seconds; it doubles with each.
        max_delay: The longest wait before any try, in seconds.
        timeout: Seconds to go on trying, not counting those in which the machine was suspended; None for ever.
        attempt_timeout: Seconds that one try may take.
        clock: Returns the current time in seconds; for tests.
        uniform: Draws from a range, in place of `random.uniform`; for tests.

    Attributes:
        backoff: The delays; to be reset by a try that succeeds.
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
        uniform: Callable[[float, float], float] | None = None,
    ) -> None:
        self._timeout = float("inf") if timeout is None else timeout
        self._attempt_timeout = attempt_timeout
        self._wait = wait
        self._clock = clock
        self.backoff = Backoff(delay, max_delay, uniform=uniform)

    def run(self, cause: BaseException, attempt: Callable[[Deadline], Result]) -> Result | None:
        """Tries, with a growing delay before each try.

        Args:
            cause: Why the connection was lost.
            attempt: One try; gets its deadline.

        Returns:
            What the try returned that succeeded; None when the client is leaving.

        Raises:
            Exception: ``cause``, or what a try raised, when no further try can help or the time is over.
        """
        left = self._timeout
        suspended = is_last = False
        while is_transient(cause):
            delay = self.backoff.next_delay(wait_at_least(cause))
            logger.info("= the connection is lost (%s); next try in %.1f s", cause, delay)
            began = self._clock()
            if self._wait(delay):
                return None
            passed = self._clock() - began
            suspended = suspended or passed > delay + _SUSPENDED
            # A laptop that slept for an hour has not tried for an hour: the rest of its time remains when it wakes,
            # and one try where there is no rest.
            left -= min(passed, delay)
            if left <= 0:
                if is_last or not suspended:
                    break
                is_last = True
            limit = min(left, self._attempt_timeout) if left > 0 else self._attempt_timeout
            began = self._clock()
            try:
                return attempt(Deadline(limit, clock=self._clock))
            except (SessionlibError, OSError) as error:
                if self._wait(0.0):
                    return None
                cause = error
            passed = self._clock() - began
            suspended = passed > limit + _SUSPENDED
            left -= min(passed, limit)
        raise cause


# ---- one pace for many workers --------------------------------------------------------------------------------------

# Seconds for which all workers pause after a 429 that has no Retry-After.
_PAUSE = 1.0
# A server counts in windows that begin when it likes, so that a little more than its limit can fall into one. The pace
# that a refusal teaches stays below what was accepted before it. It then grows slowly at first, since a refusal costs a
# whole pause, and faster the longer there was none: by 1 % after 10 s, 9 % after 30 s and 43 % after a minute.
_BELOW = 0.95
_GROWTH = 1e-4
# Paces that came with clients out of other processes, of which each job brings a copy of its own.
_KEPT_PACES = 64


class Throttle(Protocol):
    """When connections may be opened: a `Pace`, or an object of the user's own, over Redis for one."""

    def active(
        self, deadline: Deadline, sleep: Callable[[float], object] = ...
    ) -> contextlib.AbstractContextManager[bool]:
        """See `Pace.active`."""

    def admit(self, deadline: Deadline, sleep: Callable[[float], object] = ...) -> bool:
        """See `Pace.admit`."""

    def refused(self, retry_after: float | None, after: float = ...) -> None:
        """See `Pace.refused`."""


class PaceRecord:
    """What a pace knows, in the memory of one process. All times are those of the pace's clock.

    Attributes:
        next_at: When the next connection may be opened.
        paused_until: When the last pause ends.
        pauses: How many there were: with each, who had been given a time has to take another.
        learned: Seconds between two openings that refusals have taught.
        learned_at: When they did.
    """

    def __init__(self) -> None:
        self.next_at = self.paused_until = self.learned = self.learned_at = 0.0
        self.pauses = 0
        self._openings: deque[float] = deque()

    def opened(self, at: float) -> None:
        """Counts an opening, and forgets those that no refusal can be about."""
        insort(self._openings, at)
        while self._openings[0] < at - MAX_RETRY_AFTER:
            self._openings.popleft()

    def take_back(self, at: float) -> None:
        """Counts one opening before a time less, as it was refused."""
        index = bisect(self._openings, at)
        if index:
            del self._openings[index - 1]

    def opened_between(self, start: float, end: float) -> int:
        """Returns how many were opened in a time."""
        return bisect(self._openings, end) - bisect_left(self._openings, start)


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
        self._id = os.urandom(16).hex()
        self._clock = clock
        # Protects the record; never held while anything blocks.
        self._lock = threading.Lock()
        self._memory = PaceRecord()
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
            with self._record() as record:
                now, pauses = self._clock(), record.pauses
                at = max(now, record.next_at)
                left = deadline.remaining()
                if left is not None and at - now > left:
                    return False
                spacing = record.learned * math.exp(-_GROWTH * max(0.0, now - record.learned_at) ** 2)
                record.next_at = at + max(spacing, 1.0 / self.rate if self.rate else 0.0)
                if at <= now:
                    record.opened(now)
                    return True
            sleep(at - now)
            with self._record() as record:
                if record.pauses == pauses:
                    record.opened(self._clock())
                    return True

    def refused(self, retry_after: float | None, after: float = 0.0) -> None:
        """Records that an opening was refused because there were too many, and pauses all.

        Args:
            retry_after: Seconds that the server asked to wait, or None.
            after: Seconds from its admission to the refusal: those that were admitted since have no answer yet.
        """
        pause = retry_after or _PAUSE
        window = max(pause, _PAUSE)
        with self._record() as record:
            now = self._clock()
            record.take_back(now - after)
            # The refusals of one burst come one by one; each corrects the number that the one before was made from.
            accepted = record.opened_between(now - after - window, now - after)
            record.learned, record.learned_at = window / max(1.0, _BELOW * accepted), now
            record.next_at = record.paused_until = max(record.paused_until, now + pause)
            record.pauses += 1

    @contextlib.contextmanager
    def _record(self) -> Iterator[PaceRecord]:
        """Context manager around a look at the record, and changes to it."""
        with self._lock:
            yield self._memory


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
