"""Deadlines, on a clock that the test sets."""

from __future__ import annotations

import math
import socket
import threading
import time
from typing import Any

import pytest

from sessionlib._util.timing import MAX_WAIT, Deadline, Flag, acquire
from tests.support.clock import FakeClock
from tests.support.threads import in_threads
from tests.support.waiting import eventually


def test_a_deadline_runs_down_and_not_below_nothing() -> None:
    clock = FakeClock()
    deadline = Deadline(5.0, clock=clock.monotonic)
    assert (deadline.remaining(), deadline.expired) == (5.0, False)
    clock.now += 4.5
    assert (deadline.remaining(), deadline.expired) == (0.5, False)
    assert repr(deadline) == "Deadline(0.500 s left)"
    clock.now += 10
    assert (deadline.remaining(), deadline.expired) == (0.0, True)
    assert deadline.timeout == 5.0


@pytest.mark.parametrize("timeout", [0.0, -3.0, -math.inf])
def test_a_deadline_of_no_time_has_expired(timeout: float) -> None:
    assert Deadline(timeout, clock=FakeClock().monotonic).expired


@pytest.mark.parametrize("timeout", [None, math.inf])
def test_no_timeout_never_expires(timeout: float | None) -> None:
    clock = FakeClock()
    deadline = Deadline(timeout, clock=clock.monotonic)
    clock.now += 1e9
    assert (deadline.remaining(), deadline.expired) == (None, False)
    assert repr(deadline) == "Deadline(never)"


def test_the_sooner_of_two_deadlines() -> None:
    clock = FakeClock()
    deadline = Deadline(5.0, clock=clock.monotonic)
    assert deadline.sooner(None) is deadline
    assert deadline.sooner(7.0) is deadline
    assert deadline.sooner(math.inf) is deadline
    assert deadline.sooner(2.0).remaining() == 2.0
    assert Deadline(None, clock=clock.monotonic).sooner(None).remaining() is None
    assert Deadline(None, clock=clock.monotonic).sooner(2.0).remaining() == 2.0
    clock.now += 4
    assert deadline.sooner(2.0) is deadline


def test_a_deadline_does_not_mind_the_time_of_day(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = Deadline(5.0)
    for jump in (3600.0, -3600.0):
        monkeypatch.setattr(time, "time", lambda jump=jump: 1_700_000_000.0 + jump)
        assert 3.0 < deadline.remaining() <= 5.0


@pytest.mark.parametrize("timeout", [30 * 86400, 1e9, 1e300, math.inf])
def test_a_timeout_of_any_length_is_one_that_every_wait_takes(timeout: float) -> None:
    deadline = Deadline(timeout)
    left = deadline.remaining()
    assert left is None or left == MAX_WAIT
    assert deadline.timeout == timeout
    done, lock = threading.Event(), threading.Lock()
    done.set()
    assert done.wait(left)
    assert acquire(lock, deadline)
    threading.Timer(0.01, lock.release).start()
    assert acquire(lock, deadline)
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(left)
        far.send(b"x")
        assert near.recv(1) == b"x"


def test_a_timeout_of_a_month_is_over_after_a_month() -> None:
    clock = FakeClock()
    deadline = Deadline(30 * 86400, clock=clock.monotonic)
    clock.now += 30 * 86400 - 1
    assert deadline.remaining() == 1.0
    clock.now += 1
    assert deadline.expired


def test_a_flag_wakes_all_that_wait_and_stays_set() -> None:
    flag = Flag()
    assert not flag.wait(0)
    assert not flag.is_set
    with in_threads(*[flag.wait] * 5) as woken:
        assert eventually(lambda: len(flag._gates) == 5)
        flag.set()
    assert woken == [True] * 5
    assert (flag.is_set, flag.wait(), flag._gates) == (True, True, [])


def test_a_flag_that_is_set_as_a_thread_begins_to_wait() -> None:
    for _ in range(200):
        flag = Flag()
        with in_threads(flag.set):
            assert flag.wait()  # for ever, if the thread missed it


def test_a_flag_that_is_set_before_its_gate_is_there_wakes_the_thread_all_the_same() -> None:
    class Gates(list[Any]):
        """They are set at the worst moment: as a thread leaves its own, which is opened no more."""

        def append(self, gate: Any) -> None:
            flag.set()
            super().append(gate)

    flag = Flag()
    flag._gates = Gates()
    assert flag.wait()
