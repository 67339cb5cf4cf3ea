"""The nine rules of listen(), over real sockets."""

from __future__ import annotations

import gc
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sessionlib import (
    Listener,
    Session,
    SessionDisconnectedError,
    SessionError,
    SessionEvent,
    SessionEventType,
    SessionProtocolError,
    SessionTimeoutError,
)
from sessionlib.protocol import frames
from tests.support.script_engine import Connection, Received, ScriptEngine, notification, text_content, turn
from tests.support.sessions import letters, numbered_deltas, opened, settle, until_complete
from tests.support.threads import in_threads, interrupted_after
from tests.support.waiting import eventually

Type = SessionEventType


@pytest.fixture
def session(engine: ScriptEngine) -> Iterator[Session]:
    """A session connected to the engine."""
    with opened(engine) as session:
        yield session


def answer_turns(engine: ScriptEngine) -> None:
    """Makes the engine answer each post with a whole turn, at once."""
    engine.on("post_message", lambda conn, frame: conn.send_many(turn()))


# ---- 1. registered when called -----------------------------------------------------------------


def test_a_listener_hears_from_the_call_on(engine: ScriptEngine, session: Session) -> None:
    first, second = session.listen(), session.listen()
    engine.push_many(turn())
    # Were one of them registered by its first next(), the other would have taken the backlog with it.
    assert letters(until_complete(first)) == "aPddC"
    assert letters(until_complete(second)) == "aPddC"


# ---- 2. nothing is lost after a send -----------------------------------------------------------


def test_a_turn_that_is_over_is_heard_to_its_idle(engine: ScriptEngine, session: Session) -> None:
    answer_turns(engine)
    for _ in range(3):
        session.send("Hello")
        heard = []
        for event in session.listen(timeout=30):
            heard.append(event)
            if event.is_turn_end:
                break
        assert letters(heard) == "aPddCI"


def test_a_backlog_that_overflows_tells_it_in_order(engine: ScriptEngine) -> None:
    with opened(engine, backlog_size=5) as session:
        engine.push_many(numbered_deltas(20))
        settle(session)
        events = session.listen(timeout=30)
        assert [next(events).delta for _ in range(5)] == list("01234")
        assert next(events).data == overflow(15)


def overflow(dropped: int, kind: str = "message_delta") -> dict[str, Any]:
    return {"error": "subscriber queue overflow", "dropped_event_type": kind, "dropped": dropped}


# When the Idle of a turn comes: with the answer, soon after it, or only when the next post has
# arrived: before its ack, after its ack, or after its ack in a write of its own.
IDLE = ["with the answer", "soon", "before the next ack", "after the next ack", "apart from the next ack"]


class Turns:
    """An engine's side of many turns, each of whose frames tells the turn it belongs to."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.number = 0
        self.withheld: tuple[str, dict[str, Any]] | None = None
        self.counts: Counter[str] = Counter()

    def answer(self, conn: Connection, frame: Received) -> None:
        """Answers a post with a turn."""
        self.number += 1
        mine = self.number
        ack = frames.ack("post_message", "s1", turn=mine)
        status = [_status(word, mine) for word in ("Processing", "Idle")]
        pieces = [frames.message_delta("s1", f"m{mine}", at, str(at)) for at in range(2)]
        answer = notification("s1", f"m{mine}", text_content("01"))
        for some in self._with_withheld(ack):
            conn.send_many(some)
        conn.send_many([status[0], *pieces])
        self._end(conn, answer, status[1])

    def _with_withheld(self, ack: frames.Frame) -> list[list[frames.Frame]]:
        when, idle = self.withheld or ("", {})
        self.withheld = None
        together = {"before the next ack": [[idle, ack]], "after the next ack": [[ack, idle]]}
        return together.get(when, [[ack], [idle]] if when else [[ack]])

    def _end(self, conn: Connection, answer: frames.Frame, idle: frames.Frame) -> None:
        when = self.rng.choice(IDLE)
        self.counts[when] += 1
        if when == "with the answer":
            conn.send_many([answer, idle])
            return
        conn.send(answer)
        if when == "soon":
            conn.sleep(self.rng.uniform(0.0, 0.002))
            conn.send(idle)
        else:
            self.withheld = (when, idle)


def _status(word: str, number: int) -> frames.Frame:
    return {"type": "participant_status", "session_id": "s1", "message": {"status": word, "turn": number}}


def turn_of(event: SessionEvent) -> int:
    return int(event.data["turn"]) if "turn" in event.data else int((event.message_id or "m0")[1:])


Listen = Callable[[Session], list[SessionEvent]]


def listen_in_a_for(session: Session) -> list[SessionEvent]:
    return until_complete(session.listen(timeout=30))


def listen_in_a_with(session: Session) -> list[SessionEvent]:
    with session.listen(timeout=30) as events:
        return until_complete(events)


class ListenByName:
    """Holds on to its listener until it has the next one, as ``events = session.listen()`` does."""

    def __call__(self, session: Session) -> list[SessionEvent]:
        self.events = session.listen(timeout=30)
        return until_complete(self.events)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("listen", "count"),
    [(lambda: listen_in_a_for, 300), (lambda: listen_in_a_with, 100), (ListenByName, 100)],
    ids=["for", "with", "by name"],
)
def test_many_turns_lose_nothing_and_see_nothing_old(
    engine: ScriptEngine, session: Session, seed: int, listen: Callable[[], Listen], count: int
) -> None:
    rng, listen_once = random.Random(seed), listen()
    turns = Turns(random.Random(seed + 1))
    engine.on("post_message", turns.answer)
    for number in range(1, count + 1):
        session.send(f"turn {number}")
        time.sleep(rng.choice([0.0, 0.0, 0.001, 0.002, rng.uniform(0.0, 0.02)]))
        heard = listen_once(session)
        assert letters(heard) == "aPddC", f"turn {number}"
        assert {turn_of(event) for event in heard if event.type is not Type.PONG} == {number}
    assert set(turns.counts) == set(IDLE)


# ---- 3. maxsize --------------------------------------------------------------------------------


def test_a_small_listener_is_told_what_it_missed_beside_one_that_gets_all(
    engine: ScriptEngine, session: Session
) -> None:
    small, large = session.listen(maxsize=8, timeout=30), session.listen(maxsize=0, timeout=30)
    engine.push_many(numbered_deltas(1000))
    settle(session)
    assert [next(small).delta for _ in range(8)] == [str(number) for number in range(8)]
    notice = next(small)
    assert (notice.type, notice.session_id, notice.data) == (Type.ERROR, "s1", overflow(992))
    assert notice.error == "subscriber queue overflow"
    assert [next(large).delta for _ in range(1000)] == [str(number) for number in range(1000)]
    engine.push(frames.pong("s1"))
    assert (next(small).type, next(large).type) == (Type.PONG, Type.PONG)


def test_a_slow_listener_holds_up_neither_the_reader_nor_the_calls(engine: ScriptEngine, session: Session) -> None:
    never_read = session.listen(maxsize=1)
    for _ in range(20):
        engine.push_many(numbered_deltas(200))
        assert session.get_messages(timeout=30) == []
    assert next(never_read).delta == "0"
    assert next(never_read).data["dropped"] == 3999


def test_the_default_holds_1024(engine: ScriptEngine, session: Session) -> None:
    events = session.listen(timeout=30)
    engine.push_many(numbered_deltas(1025))
    settle(session)
    assert [next(events).delta for _ in range(1024)] == [str(number) for number in range(1024)]
    assert next(events).data == overflow(1)


@pytest.mark.parametrize("maxsize", [0, -1])
def test_nothing_and_less_is_unbounded(engine: ScriptEngine, session: Session, maxsize: int) -> None:
    events = session.listen(maxsize=maxsize, timeout=30)
    engine.push_many(numbered_deltas(5000))
    assert [next(events).delta for _ in range(5000)] == [str(number) for number in range(5000)]


# ---- 4. order, and several listeners -----------------------------------------------------------


def test_what_came_before_an_answer_is_there_when_the_answer_is(engine: ScriptEngine, session: Session) -> None:
    told = [*numbered_deltas(50), frames.history("s1", [])]
    engine.on("get_messages", lambda conn, frame: conn.send_many(told))
    events = session.listen(timeout=0)
    for _ in range(100):
        session.get_messages()
        assert [next(events).delta for _ in range(50)] == [str(number) for number in range(50)]


# ---- 5. timeout --------------------------------------------------------------------------------


def test_a_listener_that_hears_nothing_in_time_says_so_and_stays_usable(engine: ScriptEngine, session: Session) -> None:
    events = session.listen(timeout=0.1)
    for _ in range(2):
        before = time.monotonic()
        with pytest.raises(SessionTimeoutError, match=r"s1.*0\.1 s") as caught:
            next(events)
        assert 0.1 <= time.monotonic() - before < 10.0
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, SessionError)
        assert caught.value.session_id == "s1"
    engine.push(frames.pong("s1"))
    settle(session)
    assert next(events).type is Type.PONG


@pytest.mark.slow
def test_the_timeout_is_for_each_event_and_not_for_all(engine: ScriptEngine, session: Session) -> None:
    events = session.listen(timeout=1.0)
    heard = 0
    for _ in range(5):
        engine.push(frames.pong("s1"))
        time.sleep(0.25)
        heard += next(events).type is Type.PONG
    assert heard == 5


def test_no_time_at_all_takes_what_is_there(engine: ScriptEngine, session: Session) -> None:
    events = session.listen(timeout=0)
    engine.push_many(numbered_deltas(2))
    settle(session)
    assert [next(events).delta, next(events).delta] == ["0", "1"]
    with pytest.raises(SessionTimeoutError):
        next(events)


# ---- 6. the end --------------------------------------------------------------------------------


@pytest.mark.parametrize("leave", [Session.disconnect, Session.terminate])
def test_leaving_ends_every_listener_after_what_it_has(
    engine: ScriptEngine, session: Session, leave: Callable[[Session], None]
) -> None:
    first, second = session.listen(), session.listen()
    engine.push_many(numbered_deltas(3))
    settle(session)
    leave(session)
    for events in (first, second):
        assert [event.delta for event in events] == ["0", "1", "2"]
        assert list(events) == []


LOSSES: dict[str, tuple[Callable[[Connection], None], int | None, str]] = {
    "a close frame": (lambda conn: conn.close(1011, "out of tea"), 1011, "out of tea"),
    "a close frame without a code": (lambda conn: conn.close(None), None, ""),
    "the end of the stream": (lambda conn: conn.drop(), None, ""),
    "a reset": (lambda conn: conn.reset(), None, ""),
}


@pytest.mark.parametrize("how", LOSSES)
def test_a_lost_connection_is_raised_after_what_was_heard(engine: ScriptEngine, how: str) -> None:
    lose, code, reason = LOSSES[how]
    with opened(engine, reconnect=False) as session:
        events = session.listen(timeout=30)
        engine.push_many(numbered_deltas(3))
        settle(session)
        lose(engine.latest)
        assert [next(events).delta for _ in range(3)] == ["0", "1", "2"]
        for _ in range(2):
            with pytest.raises(SessionDisconnectedError, match="s1") as caught:
                next(events)
            assert (caught.value.session_id, caught.value.code, caught.value.reason) == ("s1", code, reason)
            assert isinstance(caught.value.__cause__, SessionError)
        assert not session.is_connected


@pytest.mark.parametrize("is_lost", [False, True], ids=["left", "lost"])
def test_what_waits_can_be_heard_after_the_connection_is(engine: ScriptEngine, is_lost: bool) -> None:
    with opened(engine, reconnect=False) as session:
        engine.push_many(numbered_deltas(2))
        settle(session)
        if is_lost:
            engine.latest.drop()
            assert eventually(lambda: not session.is_connected)
        else:
            session.disconnect()
        events = session.listen()
        assert [next(events).delta, next(events).delta] == ["0", "1"]
        with pytest.raises(SessionDisconnectedError if is_lost else StopIteration):
            next(events)


def test_an_illegal_frame_is_told_before_the_connection_ends(engine: ScriptEngine) -> None:
    with opened(engine, reconnect=False) as session:
        events = session.listen(timeout=30)
        engine.push_many(numbered_deltas(1))
        engine.latest.send_text("{")
        assert next(events).delta == "0"
        assert "illegal frame" in (next(events).error or "")
        with pytest.raises(SessionDisconnectedError, match="JSON") as caught:
            next(events)
        assert isinstance(caught.value.__cause__, SessionProtocolError)
        assert engine.wait_for("ws:close")
        assert engine.latest.close_code == 1002


# ---- 7. leaving off ----------------------------------------------------------------------------


def test_a_listener_is_an_iterator_and_a_context_manager(engine: ScriptEngine, session: Session) -> None:
    with session.listen(timeout=30) as events:
        assert iter(events) is events
        engine.push(frames.pong("s1"))
        assert next(events).type is Type.PONG
        assert repr(events) == "<Listener of session s1: 0 waiting>"
    for _ in range(2):
        assert list(events) == []
        events.close()


def test_a_listener_that_is_dropped_is_forgotten(engine: ScriptEngine, session: Session) -> None:
    for _ in range(1000):
        events = session.listen(maxsize=0)
        engine.push(frames.pong("s1"))
        assert next(events).type is Type.PONG
        del events
    circle: list[Any] = [session.listen()]
    circle.append(circle)
    del circle
    gc.collect()
    engine.push(frames.pong("s1"))
    settle(session)
    assert session._connection.hub.depths == []
    assert not any(isinstance(found, Listener) for found in gc.get_objects())


# ---- 8. Ctrl-C: see also test_interrupts.py ----------------------------------------------------


@pytest.mark.parametrize("others", [0, 1], ids=["alone", "two consumers"])
def test_a_listener_goes_on_after_ctrl_c(engine: ScriptEngine, session: Session, others: int) -> None:
    listener = session.listen(timeout=30)
    has_begun = threading.Event()

    def consume() -> SessionEvent:
        assert has_begun.wait(30)  # it is the first that would be woken
        return next(listener)

    def until_all_wait() -> None:
        assert eventually(lambda: len(listener._mailbox._gates) == 1)
        has_begun.set()
        assert eventually(lambda: len(listener._mailbox._gates) == 1 + others)

    with in_threads(*[consume] * others) as results:
        with interrupted_after(until_all_wait), pytest.raises(KeyboardInterrupt):
            next(listener)
        # What was left of this wait would be woken in place of the next one.
        assert len(listener._mailbox._gates) == others
        engine.push_many(turn()[: 1 + others])
        found = next(listener)
    assert sorted(letters([found, *results])) == sorted("aP"[: 1 + others])


# ---- 9. filters --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event_types",
    [[Type.PONG, "error"], ("pong", "error"), {Type.PONG, Type.ERROR}, iter([Type.PONG, Type.ERROR]), Type.ERROR],
    ids=["a list", "a tuple", "a set", "an iterator", "one"],
)
def test_filters_of_every_form(engine: ScriptEngine, session: Session, event_types: Any) -> None:
    events = session.listen(event_types=event_types, timeout=30)
    engine.push_many([frames.pong("s1"), *turn(), frames.error("no", None, "s1")])
    found = [next(events).type for _ in range(1 if event_types is Type.ERROR else 2)]
    assert found == [Type.PONG, Type.ERROR][-len(found) :]


@pytest.mark.parametrize("event_types", [None, [], ()])
def test_no_filter_lets_all_through(engine: ScriptEngine, session: Session, event_types: Any) -> None:
    events = session.listen(event_types=event_types, timeout=30)
    engine.push_many(turn())
    assert letters(next(events) for _ in range(6)) == "aPddCI"


def test_an_unknown_type_is_refused_and_nothing_is_left_behind(engine: ScriptEngine, session: Session) -> None:
    with pytest.raises(ValueError, match="hologram"):
        session.listen(event_types=["hologram"])
    engine.push(frames.pong("s1"))
    settle(session)
    assert next(session.listen(timeout=30)).type is Type.PONG


def test_threads_are_few(engine: ScriptEngine, session: Session) -> None:
    listeners = [session.listen() for _ in range(50)]
    ours = [thread.name for thread in threading.enumerate() if thread.name.startswith("sessionlib")]
    assert sorted(ours) == ["sessionlib-heartbeat", "sessionlib-reader-s1"]
    assert len(listeners) == 50
