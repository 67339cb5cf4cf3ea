"""Deadlines, backoff and Retry-After, on a clock that the test sets."""

from __future__ import annotations

import email.utils
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib._util.timing import MAX_RETRY_AFTER, Backoff, Deadline, parse_retry_after


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# ---- deadlines ---------------------------------------------------------------------------------


def test_a_deadline_runs_down_and_not_below_nothing() -> None:
    clock = Clock()
    deadline = Deadline(5.0, clock=clock)
    assert (deadline.remaining(), deadline.expired) == (5.0, False)
    clock.now += 4.5
    assert (deadline.remaining(), deadline.expired) == (0.5, False)
    assert repr(deadline) == "Deadline(0.500 s left)"
    clock.now += 10
    assert (deadline.remaining(), deadline.expired) == (0.0, True)
    assert deadline.timeout == 5.0


@pytest.mark.parametrize("timeout", [0.0, -3.0])
def test_a_deadline_of_no_time_has_expired(timeout: float) -> None:
    assert Deadline(timeout, clock=Clock()).expired


def test_no_timeout_never_expires() -> None:
    clock = Clock()
    deadline = Deadline(None, clock=clock)
    clock.now += 1e9
    assert (deadline.remaining(), deadline.expired) == (None, False)
    assert repr(deadline) == "Deadline(never)"


def test_the_sooner_of_two_deadlines() -> None:
    clock = Clock()
    deadline = Deadline(5.0, clock=clock)
    assert deadline.sooner(None) is deadline
    assert deadline.sooner(7.0) is deadline
    assert deadline.sooner(2.0).remaining() == 2.0
    assert Deadline(None, clock=clock).sooner(None).remaining() is None
    assert Deadline(None, clock=clock).sooner(2.0).remaining() == 2.0
    clock.now += 4
    assert deadline.sooner(2.0) is deadline


def test_a_deadline_does_not_mind_the_time_of_day(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = Deadline(5.0)
    for jump in (3600.0, -3600.0):
        monkeypatch.setattr(time, "time", lambda jump=jump: 1_700_000_000.0 + jump)
        left = deadline.remaining()
        assert left is not None
        assert 3.0 < left <= 5.0


# ---- backoff -----------------------------------------------------------------------------------


def test_the_bound_doubles_up_to_the_cap() -> None:
    backoff = Backoff(2.0, 30.0, uniform=lambda low, high: high)
    assert [backoff.next_delay() for _ in range(7)] == [2, 4, 8, 16, 30, 30, 30]
    backoff.reset()
    assert backoff.next_delay() == 2.0


def test_full_jitter_begins_at_nothing() -> None:
    lows: list[float] = []
    backoff = Backoff(uniform=lambda low, high: lows.append(low) or low)
    assert [backoff.next_delay() for _ in range(3)] == [0.0, 0.0, 0.0]
    assert lows == [0.0, 0.0, 0.0]


@given(st.floats(0.01, 10), st.floats(0.01, 60), st.integers(1, 60))
def test_every_delay_is_within_its_bound(base: float, cap: float, tries: int) -> None:
    backoff = Backoff(base, cap)
    for tried in range(tries):
        assert 0.0 <= backoff.next_delay() <= min(cap, base * 2.0**tried)


def test_a_thousand_tries_are_no_more_than_the_cap() -> None:
    backoff = Backoff(1.0, 30.0)
    assert max(backoff.next_delay() for _ in range(1100)) <= 30.0


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


# ---- Retry-After -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1000000000", MAX_RETRY_AFTER),
        ("9" * 5000, MAX_RETRY_AFTER),
        ("-5", None),
        ("1.5", None),
        ("\u0667", None),
        ("", None),
        ("soon", None),
        ("Fri, 99 Nov 2020", None),
    ],
)
def test_seconds_to_wait(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value) == seconds


def test_a_date_to_wait_for() -> None:
    def wait(offset: float) -> float | None:
        return parse_retry_after(email.utils.formatdate(time.time() + offset, usegmt=True))

    soon = wait(30)
    assert soon is not None
    assert 27.0 < soon <= 30.0
    assert wait(-1000) == 0.0
    assert wait(1e6) == MAX_RETRY_AFTER
    assert parse_retry_after("Thu, 01 Jan 9999 00:00:00 GMT") == MAX_RETRY_AFTER


@given(st.text(max_size=40) | st.from_regex(r"[A-Za-z]{3}, \d+ [A-Za-z]{3} \d+ \d+:\d+:\d+ [A-Z+0-9]*", fullmatch=True))
def test_any_text_is_a_wait_or_nothing(value: str) -> None:
    seconds = parse_retry_after(value)
    assert seconds is None or 0.0 <= seconds <= MAX_RETRY_AFTER
