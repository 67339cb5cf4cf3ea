"""What a connection does by itself, on a clock that a test moves: looks at the history, beats, and leaving."""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sessionlib import Session, SessionState, Turn
from sessionlib._util.timing import MAX_WAIT, NEVER, Deadline
from sessionlib.connection import connection as module
from sessionlib.connection.connection import CLOSING_READS, LOOK_BYTES, ClosingHandshake, Connection
from sessionlib.connection.options import ConnectionOptions
from sessionlib.connection.reader import SHORT
from sessionlib.errors import SessionConnectionError, SessionDisconnectedError, UnansweredError
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.protocol import codec, frames
from sessionlib.protocol.parser import Run, parse_event
from sessionlib.protocol.turns import PendingPost
from tests.support.script_engine import ScriptEngine
from tests.support.sessions import opened, resumed_session
from tests.support.threads import in_threads
from tests.support.turns import agent_message
from tests.support.virtual_engine import Manners, VirtualEngine, VirtualNetwork
from tests.support.waiting import eventually
from tests.support.ws_bytes import text_frame

QUIET = 0.9


class Stage:
    """A session with an engine that takes in what it is sent when a test has it do so."""

    def __init__(self, network: VirtualNetwork, session: Session) -> None:
        self.network, self.session = network, session
        self.connection: Connection = session._connection
        network.is_prompt = False

    @property
    def sent(self) -> list[str]:
        """The types of what waits for the engine, but pings."""
        return [frame["type"] for frame in self.network.link.to_engine if frame["type"] != "ping_session"]

    @property
    def asked_behind(self) -> list[str | None]:
        """Behind which message each request for the history that waits for the engine begins."""
        return [frame.get("after") for frame in self.network.link.to_engine if frame["type"] == "get_messages"]

    def answer(self) -> None:
        """Has the engine write its answer to the history, and what it is asked for."""
        engine = self.network.engine
        engine.history = [*engine.history, agent_message("s1", "m1", "tea.")]
        engine.take_all(self.network.link)
        self.say()

    def ask(self) -> Turn:
        """Asks something, which the engine acknowledges, and reports that it is idle."""
        turn = self.session.stream("tea?")
        self.network.engine.take_all(self.network.link)
        self.network.engine.queue.clear()
        self.say(frames.participant_status("s1", "Idle"))
        return turn

    def say(self, *told: frames.Frame) -> None:
        """Has the client receive what waits for it, and more."""
        for frame in told:
            self.network.engine.send(frame)
        self.network.link.deliver(len(self.network.link.to_client))
        self.network.await_reader()

    def advance(self, seconds: float) -> None:
        self.network.clock.advance(seconds)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with (
        VirtualNetwork(VirtualEngine(Manners())) as network,
        Session(
            session_id="s1", api_key="key", base_url="http://127.0.0.1:1", ping_interval=60, reconnect_delay=0.001
        ) as session,
    ):
        yield Stage(network, session)
        network.is_prompt = True


def test_an_idle_engine_is_looked_at_once_it_has_been_quiet_for_a_while(stage: Stage) -> None:
    turn = stage.ask()
    stage.advance(QUIET / 2)
    assert stage.sent == []
    stage.advance(QUIET / 2)
    assert stage.sent == ["get_messages"]
    stage.answer()
    assert turn.result(timeout=30).text == "tea."
    stage.advance(10 * QUIET)
    assert stage.sent == []


def test_a_look_whose_answer_is_owed_is_not_asked_for_again(stage: Stage) -> None:
    stage.ask()
    for _ in range(2):
        stage.advance(QUIET)
        assert stage.sent == ["get_messages"]
    # It comes at last, and is none of the second look: that one was decided without.
    stage.answer()
    assert len(stage.connection.protocol.turns.unanswered) == 1


@pytest.mark.parametrize(
    "answer",
    [
        frames.error("no", "get_messages"),
        frames.refusal("get_messages", "s1", "no"),
        {"type": "get_messages", "session_id": "s1"},
        {"type": "get_messages", "session_id": "s1", "messages": "none"},
        {"type": "get_messages", "session_id": "s1", "messages": [], "more": True},
        None,
    ],
    ids=["error", "refusal", "nothing", "no list", "no end", "none"],
)
def test_an_engine_that_refuses_the_history_is_asked_again_and_leaves_no_wait(stage: Stage, answer: Any) -> None:
    turn = stage.ask()
    for _ in range(2):
        stage.advance(2 * QUIET)
        assert stage.sent == ["get_messages"]
        if answer is not None:  # or it is owed, and asked for once
            stage.network.link.to_engine.clear()
            stage.say(answer)
    stage.advance(2 * QUIET)
    with pytest.raises(UnansweredError):
        turn.result(timeout=30)


def test_an_answer_that_is_older_than_what_has_come_decides_nothing(stage: Stage) -> None:
    turn = stage.ask()
    stage.advance(QUIET)
    stage.network.engine.take_all(stage.network.link)
    # It was made before these had been sent.
    history = stage.network.link.to_client.pop()
    stage.say(frames.participant_status("s1", "Processing"), frames.message_delta("s1", "m1", 0, "tea."), history)
    assert len(stage.connection.protocol.turns.unanswered) == 1
    answer = frames.message_notification("s1", agent_message("s1", "m1", "tea."))
    stage.say(answer, frames.participant_status("s1", "Idle"))
    assert turn.result(timeout=30).text == "tea."


# ---- a history in parts ------------------------------------------------------------------------


def part(*messages: Any, more: bool = True) -> frames.Frame:
    return {"type": "get_messages", "session_id": "s1", "messages": list(messages), "more": more}


def test_a_history_in_parts_is_looked_at_to_its_end(stage: Stage) -> None:
    turn = stage.ask()
    stage.advance(QUIET)
    stage.advance(QUIET / 2)
    (ours,) = stage.network.engine.history
    stage.say(part(ours))
    assert stage.asked_behind == [None, ours["id"]]
    # A caller may ask meanwhile, and the look that goes on is not overtaken by one of its own.
    assert stage.connection.sender.calling.acquire(blocking=False)
    stage.connection.sender.calling.release()
    stage.advance(QUIET * 0.6)
    assert stage.asked_behind == [None, ours["id"]]
    stage.say(part(agent_message("s1", "m1", "tea."), more=False))
    assert turn.result(timeout=30).text == "tea."


def test_a_look_gives_way_to_a_caller_that_asks_for_parts(stage: Stage) -> None:
    stage.ask()
    stage.advance(QUIET)
    with stage.connection.sender.calling:
        stage.say(part(*stage.network.engine.history))
    assert stage.asked_behind == [None]
    stage.advance(QUIET)
    assert stage.asked_behind == [None, None]


def test_a_look_that_has_become_old_is_not_gone_on_with(stage: Stage) -> None:
    stage.ask()
    stage.advance(QUIET)
    stage.say(frames.participant_status("s1", "Processing"), part(*stage.network.engine.history))
    assert stage.asked_behind == [None]


@pytest.mark.parametrize(("above", "times"), [(0, 2), (1, 1)])
def test_a_look_reads_no_more_than_so_many_bytes(stage: Stage, above: int, times: int) -> None:
    stage.connection._counters.bytes_in = 7
    stage.ask()
    stage.advance(QUIET)
    stage.connection._counters.bytes_in += LOOK_BYTES + above
    stage.say(part(*stage.network.engine.history))
    assert len(stage.asked_behind) == times


def test_what_a_look_has_found_is_not_found_again(stage: Stage) -> None:
    stage.ask()
    engine, network = stage.network.engine, stage.network
    network.is_prompt, engine.manners = True, Manners(join_status=False)
    with stage.session.listen(timeout=30) as listener:
        network.link.abort()
        assert eventually(lambda: len(network.links) == 2 and stage.session.state is SessionState.CONNECTED)
        network.await_reader()  # which has noted by then that it is quiet from here on
        network.is_prompt = False
        # What bears on no turn does not put the first look off.
        stage.advance(QUIET / 2)
        stage.say(frames.pong("s1"))
        # One look finds what comes before the answer, the next one the answer.
        called = {"type": "tool_call", "tool_name": "t", "tool_id": "t", "status": "done"}
        for message_id, content, after in (("t1", called, QUIET * 0.6), ("m1", "tea.", 2 * QUIET)):
            engine.history = [*engine.history, agent_message("s1", message_id, content)]
            stage.advance(after)
            assert stage.sent == ["get_messages"]
            engine.take_all(network.link)
            stage.say()
        found = itertools.takewhile(lambda event: event.message_id != "m1", listener)
        assert [event.message_id for event in found].count("t1") == 1


# ---- leaving -----------------------------------------------------------------------------------


def test_what_interrupts_leaving_ends_the_connection_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(module, "_say_farewell", interrupt)
        with pytest.raises(KeyboardInterrupt):
            stage.connection.close()
    assert stage.network.link.is_dead


def interrupt(*args: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.pings
def test_beats_send_pings_and_end_a_silent_connection(stage: Stage) -> None:
    link = stage.network.link
    stage.advance(5.0)
    assert [frame["type"] for frame in link.to_engine] == ["ping_session"]
    link.to_engine.clear()
    stage.network.is_prompt = True
    link.last_received_at = stage.network.clock.now - 1000.0
    stage.advance(5.0)
    assert link.is_dead


def test_a_beat_may_look_a_little_early_and_not_much(stage: Stage) -> None:
    stage.ask()
    now = stage.network.clock.now
    assert stage.connection.beat(now + QUIET * 0.949) == pytest.approx(now + QUIET)
    assert (stage.sent, stage.connection.channel.will_look) == ([], True)
    stage.connection.beat(now + QUIET * 0.951)
    assert stage.sent == ["get_messages"]


def test_leaving_fails_the_calls_that_wait_and_those_to_come(stage: Stage) -> None:
    def call() -> None:
        with pytest.raises(SessionDisconnectedError, match="is not connected"):
            stage.session.get_messages(timeout=60)

    with in_threads(call):
        assert eventually(lambda: stage.sent == ["get_messages"])
        stage.session.disconnect()
    with pytest.raises(SessionDisconnectedError):
        stage.connection.sender.call(frames.get_messages("s1"), Deadline(30))


def test_a_post_that_meets_silence_is_looked_for(stage: Stage) -> None:
    engine = stage.network.engine
    turn = stage.session.stream("tea?")
    engine.take_all(stage.network.link)
    engine.begin()
    while engine.turn is not None:
        engine.step()
    stage.say()
    assert turn.result(timeout=30).text == "<tea?>"
    stage.advance(10 * QUIET)
    stage.session.send("more")
    stage.advance(QUIET)
    assert stage.sent == ["post_message", "get_messages"]
    # What bears on no turn does not put the next look off.
    stage.network.link.to_engine.clear()
    stage.say(frames.error("no", "get_messages"))
    stage.advance(QUIET / 2)
    stage.say(frames.pong("s1"))
    stage.advance(QUIET * 0.6)
    assert stage.sent == ["get_messages"]


@pytest.fixture
def unopened() -> Connection:
    return Session(session_id="s1", api_key="k", ws_url="ws://127.0.0.1:9/v1")._new_connection()


def test_a_session_that_is_left_while_it_is_joined_never_looks_connected(unopened: Connection) -> None:
    class Leaving(VirtualEngine):
        def _join(self, link: Any) -> None:
            super()._join(link)
            unopened.cancel()

    states: list[SessionState] = []
    unopened.channel._on_state = states.append
    with VirtualNetwork(Leaving(Manners())) as network:
        with pytest.raises(SessionDisconnectedError):
            unopened.open(Deadline(30))
        assert network.link.is_dead
    assert states == [SessionState.DISCONNECTED]


def test_what_interrupts_joining_once_it_is_read_ends_what_reads(
    unopened: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = unopened._begin_reading
    monkeypatch.setattr(unopened, "_begin_reading", lambda transport: interrupt(begin(transport)))
    with VirtualNetwork(VirtualEngine(Manners())) as network:
        with pytest.raises(KeyboardInterrupt):
            unopened.open(Deadline(30))
        assert network.link.is_dead
        unopened.close()
        assert unopened.channel.state is SessionState.DISCONNECTED


# ---- over a socket -----------------------------------------------------------------------------


def test_what_comes_before_the_answer_to_joining_is_delivered(engine: ScriptEngine) -> None:
    early = text_frame(frames.message_delta("s1", "m1", 0, "early"))
    joined = text_frame(frames.ack("connect_session", "s1"))
    engine.on("connect_session", lambda conn, frame: conn.send_raw(early + joined))
    with opened(engine) as session, session.listen(timeout=30) as listener:
        assert next(listener).delta == "early"


@pytest.fixture(params=[None, 1], ids=["a thread each", "shared"])
def connection(engine: ScriptEngine, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A connection that is read either way; over once the test is."""
    session = resumed_session(engine, readers=request.param).connect()
    yield session._connection
    session.disconnect()


@pytest.mark.parametrize("delays", [(0.05, 0.0), (0.0, 0.05)], ids=["late", "slowly"])
def test_a_session_is_read_no_more_once_it_is_left(connection: Connection, delays: tuple[float, float]) -> None:
    end, thread = connection._end_reading, connection._thread

    def end_at_leisure() -> None:
        time.sleep(delays[0])
        end()
        time.sleep(delays[1])

    connection._end_reading = end_at_leisure  # type: ignore[method-assign]
    connection._close_timeout = 60.0 if thread else 0.0
    connection.close()
    assert connection._read_out.is_set
    assert thread is None or not thread.is_alive()


def test_a_post_to_a_session_that_was_left_waits_for_no_other(connection: Connection) -> None:
    connection.close()

    def post() -> None:
        with pytest.raises(SessionDisconnectedError):
            connection.sender.post(frames.post_message("s1", "hi"), within=Deadline(0.2))

    with connection.sender._posting, in_threads(post):
        pass


# ---- without a network -------------------------------------------------------------------------


def test_only_another_threads_reading_is_waited_for(unopened: Connection) -> None:
    class Reading:
        def __init__(self, is_this_thread: bool) -> None:
            self.is_this_thread = is_this_thread
            self.reader = self

    def is_waited_for(shared: Reading | None, thread: threading.Thread | None) -> bool:
        unopened._shared, unopened._thread = shared, thread  # type: ignore[assignment]
        return unopened._has_other_reader

    here, other = threading.current_thread(), threading.Thread()
    assert [is_waited_for(None, thread) for thread in (None, here, other)] == [False, False, True]
    assert [is_waited_for(Reading(is_ours), None) for is_ours in (True, False)] == [False, True]
    # The shared reader has lost it, and a thread of its own joins it again.
    assert [is_waited_for(Reading(False), thread) for thread in (here, other)] == [False, True]


def test_runs_name_places_among_events_as_they_came(unopened: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    dispatched: list[tuple[int, Any]] = []
    monkeypatch.setattr(unopened.hub, "dispatch", lambda events, runs: dispatched.append((len(events), runs)))
    deltas = [parse_event(frames.message_delta("s1", "m1", at, "x"), "s1") for at in range(3)]
    events, runs = [event for event in deltas if event is not None], [Run(0, 3, "m1", 3, 3)]
    unopened._reader._deliver(events, runs)
    unopened.protocol.recovery.interrupt()
    unopened._reader._deliver(events, runs)  # which have been delivered
    assert dispatched == [(3, runs), (0, ())]


@pytest.mark.parametrize(
    ("frame", "is_taken"),
    [
        (frames.pong("s1"), True),
        (frames.pong("s2"), False),
        (frames.participant_status("s1", "Idle"), False),
        (frames.pong("s1") | {"padding": "x" * SHORT}, False),
    ],
)
def test_a_pong_of_its_own_is_counted_without_being_dispatched(
    unopened: Connection, frame: frames.Frame, is_taken: bool
) -> None:
    unopened.hub.dispatch([SessionEvent(SessionEventType.PONG, "s1")])
    assert unopened._reader._take_pong(codec.dumps(frame)) is is_taken
    unopened._reader._steps -= 1  # where a turn has moved, it is asked how long it may be quiet
    assert not unopened._reader._take_pong(codec.dumps(frame))


def test_no_ack_is_waited_for_of_an_answer_that_was_lost(unopened: Connection) -> None:
    unopened.hub.begin_post(PendingPost(False, ("r1",)))
    unopened._reader._close_gap(None, [], [])
    assert unopened.protocol.turns.unacknowledged == []


class Flag:
    """Notes how long it is waited for, in place of waiting."""

    def __init__(self) -> None:
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> None:
        self.waits.append(timeout)


def test_the_end_of_what_is_read_is_waited_for_in_the_process_that_joined(unopened: Connection) -> None:
    read_out = unopened._read_out = Flag()  # type: ignore[assignment]
    unopened.await_end(Deadline(60))
    assert read_out.waits == []  # there is nothing that reads
    unopened._thread = threading.Thread()
    unopened.await_end(Deadline(60))
    assert len(read_out.waits) == 1
    unopened.channel._pid = -1
    unopened.await_end(Deadline(60))
    assert len(read_out.waits) == 1


def test_a_program_that_ends_waits_for_the_sessions_that_it_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    handshake = ClosingHandshake(None, Deadline(60))  # type: ignore[arg-type]
    monkeypatch.setattr(ClosingHandshake, "_all", {handshake})
    over = handshake._over = Flag()  # type: ignore[assignment]
    ClosingHandshake.finish_all()
    assert [0 < (wait or 0) <= 60 for wait in over.waits] == [True]
    handshake._pid = -1  # a fork does not close what its parent has
    ClosingHandshake.finish_all()
    assert len(over.waits) == 1


class Wire:
    """A transport that notes what is done to it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self.calls.append(name)


def test_a_post_that_meets_a_dead_connection_waits_for_the_next_one(
    unopened: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dead(Wire):
        def send(self, payload: bytes, deadline: Deadline) -> None:
            raise SessionDisconnectedError("broken")

    def await_loss(transport: object, deadline: Deadline) -> None:
        lost.append(transport)
        raise SessionDisconnectedError("gone")

    lost: list[object] = []
    wire: Any = Dead()
    unopened.channel.transport = wire
    monkeypatch.setattr(unopened.channel, "await_loss", await_loss)
    with pytest.raises(SessionDisconnectedError, match="gone"):
        unopened.sender.post(frames.post_message("s1", "hi"))
    assert lost == [wire]
    assert unopened.protocol.turns.unacknowledged == []


def test_whatever_ends_what_joins_again_is_the_end_of_reading(
    unopened: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(cause: BaseException) -> None:
        raise MemoryError

    monkeypatch.setattr(unopened._reader, "resume", fail)
    with pytest.raises(MemoryError):
        unopened._rejoin(SessionDisconnectedError("broken"))
    assert unopened._read_out.is_set


@pytest.mark.parametrize(
    ("descriptor", "is_started", "done"),
    [
        *((descriptor, is_started, "release") for descriptor, is_started in ((None, None), (-1, None), (None, False))),
        *((descriptor, is_started, "abort") for descriptor, is_started in ((0, None), (None, True))),
    ],
)
def test_who_closes_the_socket_of_what_cannot_be_opened(
    unopened: Connection, descriptor: int | None, is_started: bool | None, done: str
) -> None:
    wire: Any = Wire()
    if descriptor is not None:
        unopened._shared = SimpleNamespace(descriptor=descriptor)  # type: ignore[assignment]
    if is_started is not None:
        unopened._thread = threading.current_thread() if is_started else threading.Thread()
    unopened._undo_opening(wire)
    assert wire.calls == [done]
    assert (unopened._shared is None and unopened._thread is None) == (done == "release")


def test_what_is_left_at_exit_gets_a_farewell_and_no_thread(unopened: Connection) -> None:
    unopened.close_at_exit()
    wire: Any = Wire()
    unopened.channel.transport = wire
    unopened.close_at_exit(frames.pong("s1"), SessionState.TERMINATED)
    assert wire.calls == ["enqueue", "close", "abort"]
    assert (unopened.channel.state, unopened.channel.transport) == (SessionState.TERMINATED, None)
    unopened.channel.transport = wire
    unopened.close_at_exit()
    assert wire.calls[3:] == ["close", "abort"]


def test_a_fork_leaves_what_its_parent_has_joined(unopened: Connection) -> None:
    wire: Any = Wire()
    unopened.channel.transport = wire
    unopened.channel._pid = -1
    unopened.close_nowait()
    assert (wire.calls, unopened._leaving.is_set) == ([], False)
    unopened.channel._pid = os.getpid()
    unopened.close_nowait()
    assert (wire.calls, unopened._leaving.is_set) == (["abort"], True)
    unopened.close_nowait()  # again, which does no harm


def test_what_cannot_be_opened_can_be_closed(unopened: Connection) -> None:
    with pytest.raises(SessionConnectionError):
        unopened.open(Deadline(30))
    assert (unopened.channel.state, unopened._leaving.is_set) == (SessionState.DISCONNECTED, True)
    unopened.close()


def test_what_still_comes_as_a_session_is_left_is_read_in_small_portions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Flood:
        reads, is_released = 0, False

        def recv(self, deadline: Deadline) -> list[bytes]:
            self.reads += 1
            return [b"x"]

        def release(self) -> None:
            self.is_released = True

    flood: Any = Flood()
    handshake = ClosingHandshake(flood, Deadline(60))
    monkeypatch.setattr(ClosingHandshake, "_all", {handshake})
    assert 10.0 < handshake.beat(10.0) <= 10.1
    assert (flood.reads, flood.is_released, ClosingHandshake._all) == (CLOSING_READS, False, {handshake})
    handshake._deadline = Deadline(0)
    handshake.beat(10.0)
    assert (flood.is_released, ClosingHandshake._all, handshake._over.is_set) == (True, set(), True)


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("reconnect_delay", math.inf, MAX_WAIT),
        ("reconnect_max_delay", MAX_WAIT, MAX_WAIT),
        ("reconnect_timeout", None, None),
        *((name, math.inf, NEVER) for name in ("connect_timeout", "ping_interval", "send_timeout")),
        ("pong_timeout", NEVER, NEVER),
        ("send_timeout", None, None),
        ("close_timeout", 2.5, 2.5),
    ],
)
def test_times_are_bounded_by_what_a_clock_and_a_thread_can_take(name: str, given: Any, kept: float | None) -> None:
    assert getattr(ConnectionOptions(**{name: given}), name) == kept
