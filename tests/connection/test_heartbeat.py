"""Pings whatever the user's code is doing, links that have died, and the one thread for all sessions."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sessionlib.connection import heartbeat
from sessionlib.connection.heartbeat import HeartbeatThread
from sessionlib.connection.options import ConnectionOptions
from sessionlib.transport.base import Traffic
from tests.streams.test_hub import CollectingEvents
from tests.support.interrupts import Interrupter
from tests.support.script_engine import ScriptEngine
from tests.support.secrets import LogWatch
from tests.support.sessions import opened, resumed_session
from tests.support.threads import in_threads
from tests.support.waiting import eventually

pytestmark = pytest.mark.pings


class CountingHeart:
    """Counts its beats, by default one every few milliseconds."""

    def __init__(self, every: float = 0.005) -> None:
        self.every, self.beats = every, 0
        self.let_go_by = ""

    def beat(self, now: float) -> float:
        self.beats += 1
        return now + self.every

    def close_nowait(self) -> None:
        self.let_go_by = threading.current_thread().name


class CollectingTime(float):
    """A time in the middle of whose comparison the garbage is collected, as may happen at any time."""

    def __lt__(self, other: float) -> bool:
        gc.collect()
        return super().__lt__(other)


@pytest.fixture
def keeper() -> Iterator[HeartbeatThread]:
    keeper = HeartbeatThread()
    yield keeper
    for heart in list(keeper._due):
        keeper.unwatch(heart)


def keepers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sessionlib-heartbeat"]


def test_a_heart_that_fails_is_tried_again_later_and_not_at_once(keeper: HeartbeatThread, log_watch: LogWatch) -> None:
    class Failing(CountingHeart):
        def beat(self, now: float) -> float:
            super().beat(now)
            raise RuntimeError("no beat")

    began = time.monotonic()
    failing, sound = Failing(), CountingHeart()
    keeper.watch(failing, 0.0)
    keeper.watch(sound, 0.0)
    assert eventually(lambda: sound.beats >= 20)
    assert failing.beats == 1
    assert keeper._due[failing] >= began + heartbeat.SESSION_PING_INTERVAL
    assert sum("a heartbeat failed" in line for line in log_watch.lines) == 1


def test_a_heart_beats_earlier_where_it_is_asked_to_and_not_later(keeper: HeartbeatThread) -> None:
    heart, other = CountingHeart(every=3600.0), CountingHeart()
    soon = time.monotonic()
    keeper.watch(heart, soon + 3600.0)
    keeper.wake_by(heart, soon + 7200.0)
    keeper.wake_by(other, soon)  # which it does not keep
    keeper.wake_by(heart, soon)
    assert eventually(lambda: heart.beats == 1)
    assert eventually(lambda: keeper._due[heart] > soon + 3600.0)
    assert other.beats == 0


@pytest.mark.parametrize(("hearts", "is_busy"), [(heartbeat.MANY, False), (heartbeat.MANY + 1, True)])
def test_the_thread_is_busy_while_it_is_at_many(keeper: HeartbeatThread, hearts: int, is_busy: bool) -> None:
    class First(CountingHeart):
        def beat(self, now: float) -> float:
            return now + 3600.0 * go_on.wait(30)

    class Noting(CountingHeart):
        def beat(self, now: float) -> float:
            noted.append(keeper.is_busy)
            return super().beat(now)

    go_on, noted = threading.Event(), list[bool]()
    keeper.watch(First(), 0.0)
    assert eventually(lambda: not keeper._queue)
    for _ in range(hearts):  # while it is at the first, the others come together
        keeper.watch(Noting(every=3600.0), 0.0)
    go_on.set()
    assert eventually(lambda: noted == [is_busy] * hearts)
    assert eventually(lambda: not keeper.is_busy)


def test_whether_the_thread_of_the_process_is_busy(keeper: HeartbeatThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_heartbeat", keeper)
    assert heartbeat.is_busy() is False
    keeper.is_busy = True
    assert heartbeat.is_busy() is True


# ---- pings -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_silent_engine_gets_pings_of_both_kinds_while_the_users_code_is_busy(engine: ScriptEngine) -> None:
    engine.on("ping_session", lambda conn, frame: None)
    began, count = time.monotonic(), engine.log.count
    with opened(engine, ping_interval=0.1):
        while time.monotonic() < began + 60.0 and (count("ws:ping") < 3 or count("ping_session") < 5):
            sum(range(1_000_000))
        for kind, at_least in (("ws:ping", 3), ("ping_session", 5)):
            assert count(kind) >= at_least
            # How much later than its tenth of a second one arrives is the machine's doing.
            assert all(ping.at - began >= 0.09 * number for number, ping in enumerate(engine.frames(kind), 1))
        assert engine.frames("ping_session")[0] == {"type": "ping_session", "session_id": "s1"}


class AnsweringLink:
    """Hears a pong to every session's ping, or to every WebSocket ping, at once."""

    def __init__(self, now: float, answers: str) -> None:
        self.now = self.last_received_at = now
        self.answers = answers
        self.sent: list[tuple[float, str]] = []
        self.traffic = Traffic()
        self.is_dead = False

    def ping(self) -> None:
        self._send("ping")

    def enqueue(self, payload: bytes, *, more: bool = False) -> None:
        self._send("ping_session")

    def abort(self) -> None:
        self.is_dead = True

    def _send(self, kind: str) -> None:
        self.sent.append((self.now, kind))
        if kind == self.answers:
            self.last_received_at = self.now

    def live(self, seconds: float, **options: Any) -> None:
        pulse, end = heartbeat.PingSchedule(ConnectionOptions(**options)), self.now + seconds
        following = pulse.begin(self.now)
        while following < end and not self.is_dead:
            self.now = following
            following = pulse.beat(cast(Any, self), "s1", self.now)
            assert following > self.now


@pytest.mark.parametrize("interval", [20.0, 60.0])
def test_an_engine_that_answers_the_sessions_pings_of_every_five_seconds_gets_no_others(interval: float) -> None:
    link = AnsweringLink(1234.5, "ping_session")
    link.live(60.0, ping_interval=interval)
    assert [kind for _, kind in link.sent] == ["ping_session"] * len(link.sent)
    assert 11 <= len(link.sent) <= 13


def test_pings_that_were_missed_are_not_made_up_for() -> None:
    link, pulse = AnsweringLink(1234.5, "ping_session"), heartbeat.PingSchedule(ConnectionOptions())
    pulse.begin(link.now)
    link.now += 30.0
    following = pulse.beat(cast(Any, link), "s1", link.now)
    assert [kind for _, kind in link.sent] == ["ping", "ping_session"]
    assert following - link.now >= 4.5


def test_an_engine_that_does_not_answer_them_gets_pings_that_it_must() -> None:
    link = AnsweringLink(1234.5, "ping")
    link.live(61.0)
    assert [at - 1234.5 for at, kind in link.sent if kind == "ping"] == [20.0, 40.0, 60.0]
    assert not link.is_dead


def test_a_link_that_answers_nothing_is_dead_after_both_times() -> None:
    link = AnsweringLink(1234.5, "")
    link.live(100.0)
    assert link.is_dead
    assert link.now == 1234.5 + 40.0


def test_the_pings_of_sessions_that_began_apart_go_out_together() -> None:
    pulse = heartbeat.PingSchedule(ConnectionOptions(ping_interval=2.0))
    due = {pulse.begin(1234.55 + number / 1000) for number in range(100)}
    # The moments are a tenth of a second apart, as is what began first from what began last.
    assert len(due) == 2


def test_a_listener_receives_every_pong(engine: ScriptEngine) -> None:
    with opened(engine, ping_interval=0.1) as session:
        events = session.listen(event_types=["pong"], timeout=30)
        assert [next(events).data["type"] for _ in range(3)] == ["pong"] * 3


# ---- the one thread ----------------------------------------------------------------------------


@pytest.mark.slow
def test_one_thread_keeps_all_sessions_alive_and_ends_with_the_last(engine: ScriptEngine) -> None:
    sessions = [resumed_session(engine, f"s{number}", ping_interval=0.1).connect() for number in range(10)]
    assert len(keepers()) == 1
    engine.wait_for("ping_session", 30)
    # Those that were connected first may have pinged often before the last one has.
    kept_alive = {f"s{n}" for n in range(10)}
    assert eventually(lambda: {frame["session_id"] for frame in engine.frames("ping_session")} == kept_alive)
    for session in sessions[1:]:
        session.disconnect()
    count = len(engine.frames("ping_session"))
    engine.wait_for("ping_session", count + 3)
    sessions[0].disconnect()
    assert eventually(lambda: not keepers())


def test_sessions_that_come_and_go_find_the_thread_alive(engine: ScriptEngine) -> None:
    for _ in range(20):
        with opened(engine, ping_interval=0.01):
            count = len(engine.frames("ping_session"))
            engine.wait_for("ping_session", count + 1)


def test_a_heart_beats_until_it_is_let_alone() -> None:
    heart = CountingHeart()
    heartbeat.watch(heart, time.monotonic())
    assert eventually(lambda: heart.beats > 5)
    heartbeat.unwatch(heart)
    assert eventually(lambda: not keepers())  # it may be in a beat still
    beats = heart.beats
    time.sleep(0.05)
    assert heart.beats == beats
    assert heart.let_go_by == ""


def test_an_abandoned_heart_is_let_go_on_the_thread_and_beats_no_more() -> None:
    heart, other = CountingHeart(), CountingHeart()
    heartbeat.watch(heart, time.monotonic())
    heartbeat.watch(other, time.monotonic())
    heartbeat.discard(heart)
    assert eventually(lambda: heart.let_go_by == "sessionlib-heartbeat")
    beats, before = heart.beats, other.beats
    assert eventually(lambda: other.beats > before + 3)
    assert heart.beats <= beats + 1
    heartbeat.unwatch(other)


# ---- garbage -----------------------------------------------------------------------------------


def forget_one(engine: ScriptEngine) -> Any:
    """Leaves a connected session behind that only the collector can find; gives its hub."""
    session = resumed_session(engine).connect()
    circle: list[Any] = [session]
    circle.append(circle)
    return session._connection.hub


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.filterwarnings("ignore:.*never disconnected:ResourceWarning")
def test_a_session_collected_while_another_is_begun_to_be_watched_does_no_harm(engine: ScriptEngine) -> None:
    hearts = [CountingHeart() for _ in range(2)]
    now = time.monotonic()
    forget_one(engine)
    heartbeat.watch(hearts[0], now + 60)
    with in_threads(lambda: heartbeat.watch(hearts[1], CollectingTime(now))):
        pass
    assert eventually(lambda: hearts[1].beats > 3)
    assert engine.latest.over.wait(30)
    for heart in hearts:
        heartbeat.unwatch(heart)


@pytest.mark.slow
@pytest.mark.usefixtures("uncollected")
@pytest.mark.filterwarnings("ignore:.*never disconnected:ResourceWarning")
def test_a_session_collected_while_its_own_events_are_delivered_does_no_harm(engine: ScriptEngine) -> None:
    hub = forget_one(engine)
    with in_threads(lambda: hub.dispatch(CollectingEvents("aP"))):
        pass
    assert engine.latest.over.wait(30)


def test_the_thread_sleeps_until_something_is_due() -> None:
    waits: list[float | None] = []
    keeper, slow, slower = HeartbeatThread(), CountingHeart(), CountingHeart()
    wait = keeper._changed.wait

    def noted(timeout: float | None = None) -> bool:
        waits.append(timeout)
        return wait(timeout)

    keeper._changed.wait = noted  # type: ignore[method-assign]
    now = time.monotonic()
    keeper.watch(slow, now + 1000)
    keeper.watch(slower, now + 2000)
    assert eventually(lambda: len(waits) >= 1)
    assert all(timeout is not None and 900 < timeout <= 1000 for timeout in waits)
    for heart in (slow, slower):
        keeper.unwatch(heart)
    assert eventually(lambda: keeper._thread is None)
    assert (slow.beats, slower.beats, keeper._queue) == (0, 0, [])


def test_what_is_due_is_taken_once_and_at_its_latest_time(keeper: HeartbeatThread) -> None:
    first, second = CountingHeart(), CountingHeart()
    with keeper._lock:
        for heart, at in ((first, 5.0), (second, 6.0), (first, 4.0), (second, 7.0)):
            keeper._schedule(heart, at)
    assert keeper._take_due(3.9) == []
    assert keeper._take_due(4.0) == [first]
    assert keeper._take_due(6.5) == []
    assert keeper._take_due(7.0) == [second]
    assert (keeper._queue, keeper._at) == ([], {})


@pytest.mark.parametrize("change", ["watch", "later", "earlier", "again", "unwatch"])
def test_an_interrupt_at_any_line_leaves_it_as_it_was_or_as_it_is_to_be(change: str) -> None:
    lines = 0
    while True:
        lines += 1
        keeper, heart, other = HeartbeatThread(), CountingHeart(), CountingHeart()
        keeper._thread = threading.current_thread()  # so that it starts none
        keeper.watch(other, 9.0)
        if change != "watch":
            keeper.watch(heart, 5.0)
        times = {"watch": (None, 4.0), "later": (5.0, 6.0), "earlier": (5.0, 4.0), "again": (5.0, 5.0)}
        before, after = times.get(change, (5.0, None))
        interrupter = Interrupter(lines)
        interrupter.call(partial(keeper.unwatch, heart) if after is None else partial(keeper.watch, heart, after))
        assert not keeper._lock.locked()
        # Taken once, at one of the two times; and nothing is in the way of what follows.
        taken = [number / 2 for number in range(17) if heart in keeper._take_due(number / 2)]
        assert taken in ([at for at in (before,) if at], [at for at in (after,) if at]), interrupter.where
        keeper.watch(heart, 7.0)
        assert keeper._take_due(8.0) == [heart], interrupter.where
        keeper.unwatch(heart)
        assert keeper._take_due(9.5) == [other], interrupter.where
        if not interrupter.where:
            return


def test_what_comes_up_in_a_beat_is_not_put_off_to_the_next_but_one(keeper: HeartbeatThread) -> None:
    class Posting(CountingHeart):
        def beat(self, now: float) -> float:
            if not self.beats:
                keeper.wake_by(self, now)
            return super().beat(now) + 3600.0

    heart = Posting()
    keeper.watch(heart, 0.0)
    assert eventually(lambda: heart.beats == 2)


@pytest.mark.parametrize(
    ("count", "size"), [(2 * heartbeat.ROUND + 1, heartbeat.ROUND), (2 * heartbeat.ROUND * heartbeat.ROUNDS + 1, 17)]
)
def test_between_the_beats_of_many_there_is_time_to_read_the_answers(
    keeper: HeartbeatThread, monkeypatch: pytest.MonkeyPatch, count: int, size: int
) -> None:
    def pause(seconds: float) -> None:
        pauses.append((keeper.is_busy, sum(heart.beats for heart in hearts)))

    pauses, monotonic = list[tuple[bool, int]](), time.monotonic
    monkeypatch.setattr(heartbeat, "time", SimpleNamespace(monotonic=monotonic, sleep=pause))
    hearts = [CountingHeart(every=3600.0) for _ in range(count)]
    with keeper._lock:
        for heart in hearts[1:]:
            keeper._schedule(heart, 0.0)
    keeper.watch(hearts[0], 0.0)
    assert eventually(lambda: all(heart.beats for heart in hearts))
    assert pauses == [(False, beats) for beats in range(size, count, size)]


@pytest.mark.parametrize("meanwhile", [None, 6.0, 7.0])
def test_what_became_due_earlier_meanwhile_is_not_put_off(meanwhile: float | None) -> None:
    class Changing(dict[Any, Any]):
        """Changes as it is looked at for the first time, as by another thread."""

        def get(self, key: Any, default: Any = None) -> Any:
            return times.pop(0)

    times = [8.0, meanwhile]
    keeper, heart = HeartbeatThread(), CountingHeart()
    keeper._due = Changing()
    keeper.wake_by(heart, 7.0)
    assert (times, keeper._queue) == ([], [])
