"""One pace for many workers: a rate, a number of places, and pauses that refusals ask for."""

from __future__ import annotations

import pickle
import threading

import pytest

from sessionlib import Client, ConfigurationError
from sessionlib._util.timing import Deadline
from sessionlib.net.retry import Pace


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def deadline(self, timeout: float | None) -> Deadline:
        return Deadline(timeout, clock=self)


def test_openings_keep_the_rate() -> None:
    clock = Clock()
    pace = Pace(rate=4, clock=clock)
    times = []
    for _ in range(9):
        assert pace.admit(clock.deadline(None), clock.sleep)
        times.append(clock.now - 100)
    assert times == pytest.approx([number / 4 for number in range(9)])


def test_what_does_not_fit_before_the_deadline_is_not_waited_for() -> None:
    clock = Clock()
    pace = Pace(rate=0.1, clock=clock)
    assert pace.admit(clock.deadline(1), clock.sleep)
    assert not pace.admit(clock.deadline(1), clock.sleep)
    assert clock.now == 100


@pytest.mark.parametrize(("retry_after", "pause"), [(7.0, 7.0), (None, 1.0)])
def test_a_refusal_pauses_all_and_teaches_a_rate(retry_after: float | None, pause: float) -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    for _ in range(11):
        assert pace.admit(clock.deadline(None), clock.sleep)
    pace.refused(retry_after)
    assert pace.admit(clock.deadline(None), clock.sleep)
    assert clock.now - 100 >= pause
    before = clock.now
    assert pace.admit(clock.deadline(None), clock.sleep)
    assert clock.now > before  # and not all at once


def test_a_refusal_while_one_waits_has_it_wait_again() -> None:
    clock = Clock()
    pace = Pace(rate=1, clock=clock)
    assert pace.admit(clock.deadline(None), clock.sleep)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now < 102:
            pace.refused(5.0)

    assert pace.admit(clock.deadline(None), sleep)
    assert clock.now >= 106


def test_only_so_many_places_are_taken_at_a_time() -> None:
    pace = Pace(max_active=2)
    go_on = threading.Event()
    taken = threading.Semaphore(0)

    def hold() -> None:
        with pace.active(Deadline(10)) as held:
            assert held
            taken.release()
            go_on.wait(30)

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert taken.acquire(timeout=30)
    with pace.active(Deadline(0.2)) as held:
        assert not held
    go_on.set()
    for thread in threads:
        thread.join(30)
    with pace.active(Deadline(10)) as held:
        assert held


def test_copies_of_one_pace_are_one_in_a_process() -> None:
    pace = Pace(rate=3, max_active=4)
    first, second = (pickle.loads(pickle.dumps(pace)) for _ in range(2))
    assert first is second
    assert (first.rate, first.max_active) == (3, 4)
    others = [pickle.loads(pickle.dumps(Pace())) for _ in range(100)]
    assert len(set(map(id, others))) == 100


@pytest.mark.parametrize("options", [{"rate": 0}, {"rate": -1}, {"max_active": 0}])
def test_a_pace_of_nothing_is_refused(options: dict[str, float]) -> None:
    with pytest.raises((ConfigurationError, ValueError)):
        Client("k", **options)  # type: ignore[arg-type]
