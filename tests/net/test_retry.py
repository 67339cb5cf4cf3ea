"""The one retry policy, row by row: which failures pass, what servers ask to wait, and when tries end."""

from __future__ import annotations

import email.utils
import pickle
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from sessionlib import errors
from sessionlib._util.timing import Deadline
from sessionlib.net.retry import (
    MAX_RETRY_AFTER,
    Backoff,
    Pace,
    Retries,
    is_transient,
    is_transient_status,
    is_transient_tls,
    parse_retry_after,
    retry_after,
    wait_at_least,
)
from tests.support.clock import FakeClock
from tests.support.threads import in_threads

# ---- which failures are transient --------------------------------------------------------------

STATUSES = {
    **dict.fromkeys([200, 204, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 409, 410], False),
    **dict.fromkeys([411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 426, 428, 431, 451], False),
    **dict.fromkeys([408, 425, 429, 500, 501, 502, 503, 504, 520, 529, 599], True),
}
CLOSES = {
    **dict.fromkeys([None, 1001, 1006, 1011, 1012, 1013, 1014], True),
    **dict.fromkeys([1000, 1002, 1003, 1005, 1007, 1008, 1009, 1010, 1015, 2999, 3000, 4000, 4001, 4999], False),
}


@pytest.mark.parametrize(("status", "transient"), STATUSES.items())
def test_statuses(status: int, transient: bool) -> None:
    assert is_transient_status(status) is transient
    for handshake in (False, True):
        assert is_transient(errors.api_error(status, "GET", "/agent", handshake=handshake)) is transient


@pytest.mark.parametrize(("code", "transient"), CLOSES.items())
def test_close_codes(code: int | None, transient: bool) -> None:
    assert is_transient(errors.SessionDisconnectedError("closed", code=code)) is transient


def tls_error(reason: str | None, kind: type[ssl.SSLError] = ssl.SSLError) -> ssl.SSLError:
    error = kind(1, f"[SSL: {reason}] as OpenSSL puts it (_ssl.c:1000)")
    if reason is not None:
        error.reason = reason
    return error


FOR_GOOD = """
    SSLV3_ALERT_BAD_CERTIFICATE SSLV3_ALERT_UNSUPPORTED_CERTIFICATE SSLV3_ALERT_CERTIFICATE_REVOKED
    SSLV3_ALERT_CERTIFICATE_EXPIRED SSLV3_ALERT_CERTIFICATE_UNKNOWN TLSV1_ALERT_UNKNOWN_CA TLSV1_ALERT_ACCESS_DENIED
    TLSV1_ALERT_PROTOCOL_VERSION TLSV1_ALERT_INSUFFICIENT_SECURITY TLSV13_ALERT_CERTIFICATE_REQUIRED
    TLSV1_ALERT_NO_APPLICATION_PROTOCOL
"""
FOR_NOW = """
    TLSV1_ALERT_INTERNAL_ERROR SSLV3_ALERT_UNEXPECTED_MESSAGE SSLV3_ALERT_BAD_RECORD_MAC SSLV3_ALERT_HANDSHAKE_FAILURE
    TLSV1_ALERT_DECODE_ERROR TLSV1_ALERT_DECRYPT_ERROR TLSV1_ALERT_USER_CANCELLED TLSV1_ALERT_INAPPROPRIATE_FALLBACK
    TLSV1_ALERT_RECORD_OVERFLOW
"""
ALERTS = {**dict.fromkeys(FOR_GOOD.split(), False), **dict.fromkeys(FOR_NOW.split(), True)}


@pytest.mark.parametrize("established", [False, True])
@pytest.mark.parametrize(("reason", "transient"), ALERTS.items())
def test_tls_alerts(reason: str, transient: bool, established: bool) -> None:
    assert is_transient_tls(tls_error(reason), established=established) is transient


@pytest.mark.parametrize(
    ("error", "before"),
    [
        (tls_error("CERTIFICATE_VERIFY_FAILED", ssl.SSLCertVerificationError), False),
        *(
            (tls_error(reason), False)
            for reason in ("WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL", "NO_SHARED_CIPHER", None)
        ),
        *(
            (tls_error(reason), True)
            for reason in ("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "UNEXPECTED_EOF_WHILE_READING")
        ),
        (tls_error(None, ssl.SSLEOFError), True),
    ],
    ids=str,
)
def test_what_openssl_objects_to(error: ssl.SSLError, before: bool) -> None:
    assert is_transient_tls(error) is before
    assert is_transient_tls(error, established=True)


PASSING = [errors.SessionConnectionError, errors.SessionTimeoutError, ConnectionResetError, TimeoutError]
OF_A_KEYS_SERVER = [errors.ApiConnectionError, errors.ApiTimeoutError, requests.ConnectionError, requests.Timeout]
OF_THE_ENGINE = [errors.SessionProtocolError, errors.MessageTooLargeError, errors.SessionTerminatedError]
OF_A_SESSION = [errors.SessionError, errors.DeliveryUnknownError, errors.ForkedSessionError]
OF_THE_CALLER = [errors.ConfigurationError, StopIteration, TypeError, KeyError]


@pytest.mark.parametrize("kind", [*PASSING, *OF_A_KEYS_SERVER, *OF_THE_ENGINE, *OF_A_SESSION, *OF_THE_CALLER])
def test_other_failures(kind: type[Exception]) -> None:
    assert is_transient(kind("why")) is (kind in PASSING or kind in OF_A_KEYS_SERVER)


def test_a_failure_may_be_known_to_pass_or_to_last() -> None:
    assert not is_transient(errors.SessionConnectionError("a bad certificate", transient=False))
    error = errors.SessionProtocolError("illegal")
    error.transient = True
    assert is_transient(error)


def test_what_a_failure_asks_to_wait() -> None:
    assert wait_at_least(errors.api_error(429, "GET", "/agent", retry_after=7.0)) == 7.0
    assert wait_at_least(errors.api_error(503, "GET", "/agent")) == 0.0
    assert wait_at_least(errors.SessionDisconnectedError("try again later", code=1013)) == 1.0
    assert wait_at_least(errors.SessionDisconnectedError("restart", code=1012)) == 0.0


# ---- Retry-After -------------------------------------------------------------------------------

NOW = 1_000_000.0


WAITS: dict[str | None, Any] = {
    **{
        text: float(text)
        for text in ("0", "3", " 7 ", "2.5", "1.", "0.05", "60", "0000000000000005", "+5", ".5", "1e1")
    },
    **dict.fromkeys(["120", "61.5", "1000000000", "9" * 400, "9" * 5000, "1E+3", "1e9999"], MAX_RETRY_AFTER),
    **dict.fromkeys(["-5", "-0.5", "-1e3", "e3", ".", "1_0", "nan", "inf", "1,5", "5s", "5 seconds", "٧", "", " "]),
    **dict.fromkeys([None, "soon", "Fri, 99 Nov 2020", "Fri, 32 Foo 2020 99:99:99 GMT"]),
    "3\x1f": 3.0,
    "9.5e-07": 9.5e-07,
    f"1.{'5' * 5000}": pytest.approx(1.5555555),
    email.utils.formatdate(NOW + 30, usegmt=True): 30.0,
    email.utils.formatdate(NOW + 30): 30.0,
    email.utils.formatdate(NOW - 100_000, usegmt=True): 0.0,
    email.utils.formatdate(NOW + 100_000, usegmt=True): MAX_RETRY_AFTER,
    "Thu, 01 Jan 9999 00:00:00 GMT": MAX_RETRY_AFTER,
    "Monday, 12-Jan-70 13:46:50 GMT": 10.0,
}


@pytest.mark.parametrize(("value", "seconds"), WAITS.items())
def test_seconds_to_wait(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=NOW) == seconds


def test_a_date_is_compared_with_the_clock() -> None:
    soon = parse_retry_after(email.utils.formatdate(time.time() + 30, usegmt=True))
    assert 27.0 < soon <= 30.0


@given(
    st.text(max_size=40)
    | st.from_regex(r"[A-Za-z]{3}, \d+ [A-Za-z]{3} \d+ \d+:\d+:\d+ [A-Z+0-9]*", fullmatch=True)
    | st.from_regex(r"[+-]?\d{0,30}\.?\d{0,30}([eE][+-]?\d{0,5})?", fullmatch=True)
)
def test_any_text_is_a_wait_or_nothing(value: str) -> None:
    for seconds in (parse_retry_after(value), retry_after({"retry-after-ms": value})):
        assert seconds is None or 0.0 <= seconds <= MAX_RETRY_AFTER


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "2"}, 2.0),
        ({"retry-after": "2"}, 2.0),
        ({"RETRY-AFTER": "2.5"}, 2.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"Retry-After-Ms": "1500.5", "Retry-After": "9"}, 1.5005),
        ({"retry-after-ms": "soon", "Retry-After": "9"}, 9.0),
        ({"retry-after-ms": "-1", "Retry-After": "9"}, 9.0),
        ({"retry-after-ms": "99999999"}, MAX_RETRY_AFTER),
        ({"retry-after-ms": "9" * 500}, MAX_RETRY_AFTER),
        ({"retry-after-ms": "Thu, 01 Jan 9999 00:00:00 GMT"}, None),
    ],
)
def test_headers_that_ask_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


# ---- backoff -----------------------------------------------------------------------------------


def test_the_bound_doubles_up_to_the_cap() -> None:
    clock = FakeClock(fraction=1.0)
    backoff = Backoff(2.0, 30.0, uniform=clock.uniform)
    assert [backoff.next_delay() for _ in range(1100)] == [2, 4, 8, 16, *[30] * 1096]
    assert {low for low, _ in clock.draws} == {0.0}
    backoff.reset()
    assert backoff.next_delay() == 2.0


@given(st.floats(0.01, 10), st.floats(0.01, 60), st.integers(1, 60))
def test_every_delay_is_within_its_bound(base: float, cap: float, tries: int) -> None:
    backoff = Backoff(base, cap)
    for tried in range(tries):
        assert 0.0 <= backoff.next_delay() <= min(cap, base * 2.0**tried)


@pytest.mark.parametrize(("drawn", "delay"), [(0.0, 10.0), (1.0, 11.0), (5.0, 12.0), (11.0, 11.0)])
def test_clients_that_were_asked_to_wait_do_not_come_back_together(drawn: float, delay: float) -> None:
    assert Backoff(uniform=lambda low, high: drawn).next_delay(10.0) == delay


@given(st.floats(0.0, 60.0), st.integers(0, 6))
def test_what_the_server_asked_for_is_waited_and_at_most_a_fifth_more(asked: float, tries: int) -> None:
    drawn: list[float] = []
    backoff = Backoff(uniform=lambda low, high: drawn.append((low + high) / 2) or drawn[-1])
    for _ in range(tries + 1):
        delay = backoff.next_delay(asked)
        assert delay >= asked
        assert delay <= max(asked * 1.2, drawn[-1]) + 1e-9


# ---- a lost connection -------------------------------------------------------------------------

LOST = errors.SessionDisconnectedError("lost")


def retries(clock: FakeClock, wait: Callable[[float], object] | None = None, timeout: float | None = 60.0) -> Retries:
    """Tries that take no time but what ``clock`` is advanced by."""
    return Retries(
        lambda delay: bool((wait or clock.sleep)(delay)),
        timeout=timeout,
        clock=clock.monotonic,
        uniform=clock.uniform,
    )


@pytest.mark.parametrize("timeout", [0.001, 10.0, 900.0])
def test_a_machine_that_sleeps_while_it_waits_tries_when_it_wakes(timeout: float) -> None:
    clock = FakeClock(fraction=1.0)

    def wait(delay: float) -> None:
        clock.sleep(delay)
        if delay and len(clock.sleeps) == 1:
            clock.advance(3600)

    assert retries(clock, wait, timeout).run(LOST, lambda deadline: deadline.remaining())


@pytest.mark.parametrize("timeout", [5.0, 60.0, 900.0])
def test_a_machine_that_sleeps_while_it_connects_tries_when_it_wakes(timeout: float) -> None:
    clock = FakeClock(fraction=1.0)
    asleep = [3600.0]

    def attempt(deadline: Deadline) -> str:
        if asleep:
            clock.advance(asleep.pop())
            assert deadline.expired
            raise errors.SessionTimeoutError("nothing came")
        assert not deadline.expired
        return "back"

    assert retries(clock, timeout=timeout).run(LOST, attempt) == "back"


def test_tries_that_all_overrun_come_to_an_end() -> None:
    clock = FakeClock(fraction=1.0)
    tried = []

    def attempt(deadline: Deadline) -> str:
        tried.append(clock.now)
        clock.advance(3600)
        raise errors.SessionTimeoutError("nothing came")

    with pytest.raises(errors.SessionTimeoutError):
        retries(clock).run(LOST, attempt)
    assert len(tried) == 3  # two of 30 s, and the last


def test_a_failure_of_the_network_behind_a_key_is_tried_again() -> None:
    clock = FakeClock(fraction=0.0)
    failures: list[Exception] = [requests.ConnectionError("down"), TimeoutError(), errors.ApiConnectionError("down")]

    def attempt(deadline: Deadline) -> str:
        if failures:
            raise failures.pop()
        return "back"

    assert retries(clock).run(LOST, attempt) == "back"


@pytest.mark.parametrize("timeout", [None, float("inf"), 30 * 86400.0])
def test_tries_may_go_on_for_any_time(timeout: float | None) -> None:
    assert tries_until(FakeClock(fraction=1.0), 29 * 86400, timeout, each=290.0)


def tries_until(clock: FakeClock, seconds: float, timeout: float | None = 900.0, each: float = 0.0) -> list[float]:
    """Loses a connection, fails to get it back for so long, and returns the times of the tries."""
    began, times = clock.now, []

    def attempt(deadline: Deadline) -> str:
        times.append(clock.now - began)
        if times[-1] < seconds:
            clock.advance(each)
            raise errors.SessionConnectionError("refused")
        return "back"

    assert retries(clock, timeout=timeout).run(LOST, attempt) == "back"
    return times


def test_an_engine_that_is_down_for_nine_minutes_is_not_asked_too_often() -> None:
    clock = FakeClock()
    times = tries_until(clock, 540)
    assert 540 <= times[-1] <= 570
    assert len(times) <= 70
    bounds = [min(30.0, 2.0 * 2**number) for number in range(len(times))]
    assert clock.draws == [(0.0, bound) for bound in bounds]
    # Behind each try that failed it asks, without waiting, whether the client is leaving.
    assert all(delay <= bound for delay, bound in zip(clock.sleeps[::2], bounds, strict=True))


def test_clients_dropped_together_do_not_come_back_together(seed: int) -> None:
    clock = FakeClock()
    clock.rng.seed(seed)
    first = [tries_until(clock, 0)[0] for _ in range(1000)]
    crowds = Counter(int(at * 10) for at in first)
    assert max(crowds.values()) <= 120


def test_an_engine_that_takes_connections_and_drops_them_is_asked_ever_less_often() -> None:
    clock = FakeClock(fraction=1.0)
    tries = retries(clock)
    for _ in range(6):
        tries.run(errors.SessionDisconnectedError("dropped before the join"), lambda deadline: "a link, but no session")
    assert clock.sleeps == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    tries.backoff.reset()
    tries.run(errors.SessionDisconnectedError("dropped after the join"), lambda deadline: "")
    assert clock.sleeps[-1] == 2.0


def test_a_retry_after_no_try_can_help_is_not_made() -> None:
    clock = FakeClock()
    with pytest.raises(errors.SessionDisconnectedError, match="policy"):
        retries(clock).run(errors.SessionDisconnectedError("policy", code=1008), lambda deadline: "")
    assert clock.sleeps == []


def test_nobody_tries_for_longer_than_wanted() -> None:
    clock = FakeClock(fraction=1.0)

    def attempt(deadline: Deadline) -> str:
        left = deadline.remaining()
        clock.sleep(left)
        raise errors.SessionTimeoutError("nothing came")

    began = clock.now
    with pytest.raises(errors.SessionTimeoutError):
        retries(clock, timeout=60).run(LOST, attempt)
    assert 60 <= clock.now - began <= 90


# ---- one pace for many workers -------------------------------------------------------------------


def admitted(
    pace: Pace, clock: FakeClock, within: float | None = None, sleep: Callable[[float], None] | None = None
) -> float | None:
    """Returns when an opening was admitted, from the start of the clock; None if it was not."""
    is_admitted = pace.admit(Deadline(within, clock=clock.monotonic), sleep or clock.sleep)
    return clock.now - 1000 if is_admitted else None


def test_openings_keep_the_rate() -> None:
    clock = FakeClock()
    pace = Pace(rate=4, clock=clock.monotonic)
    assert [admitted(pace, clock) for _ in range(9)] == pytest.approx([number / 4 for number in range(9)])


def test_what_does_not_fit_before_the_deadline_is_not_waited_for() -> None:
    clock = FakeClock()
    pace = Pace(rate=0.1, clock=clock.monotonic)
    assert [admitted(pace, clock, within=1) for _ in range(2)] == [0.0, None]
    assert clock.now == 1000


@pytest.mark.parametrize(("retry_after", "pause"), [(7.0, 7.0), (None, 1.0)])
def test_a_refusal_pauses_all_and_teaches_a_rate(retry_after: float | None, pause: float) -> None:
    clock = FakeClock()
    pace = Pace(clock=clock.monotonic)
    assert [admitted(pace, clock) for _ in range(11)] == [0.0] * 11
    pace.refused(retry_after)
    first, second = admitted(pace, clock), admitted(pace, clock)
    assert pause <= first < second  # and not all at once


def test_a_refusal_while_one_waits_has_it_wait_again() -> None:
    clock = FakeClock()
    pace = Pace(rate=1, clock=clock.monotonic)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now < 1002:
            pace.refused(5.0)

    assert admitted(pace, clock) == 0.0
    assert (admitted(pace, clock, sleep=sleep) or 0.0) >= 6


def test_only_so_many_places_are_taken_at_a_time() -> None:
    pace = Pace(max_active=2)
    go_on = threading.Event()
    taken = threading.Barrier(3, timeout=30)

    def hold() -> None:
        with pace.active(Deadline(10)) as held:
            assert held
            taken.wait()
            go_on.wait(30)

    with in_threads(hold, hold):
        taken.wait()
        with pace.active(Deadline(0.2)) as held:
            assert not held
        go_on.set()
    with pace.active(Deadline(10)) as held:
        assert held


def test_copies_of_one_pace_are_one_in_a_process() -> None:
    pace = Pace(rate=3, max_active=4)
    first, second = (pickle.loads(pickle.dumps(pace)) for _ in range(2))
    assert first is second
    assert (first.rate, first.max_active) == (3, 4)
    others = [pickle.loads(pickle.dumps(Pace())) for _ in range(100)]
    assert len(set(map(id, others))) == 100
