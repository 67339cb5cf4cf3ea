"""Networks that are slow, half-open, gone, or there again: what is lost, what is told, and how soon."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sessionlib import DeliveryUnknownError, Session, SessionDisconnectedError, SessionTimeoutError
from sessionlib.errors import SessionConnectionError
from sessionlib.protocol import frames
from sessionlib.testing import FaultProxy
from tests.support.conversations import FRONT, WAYS, check, make_engine, one_session
from tests.support.engine import KEY, Process, make_agent
from tests.support.script_engine import Connection, Received, ScriptEngine
from tests.support.servers import held_port
from tests.support.sessions import created, make, texts
from tests.support.turns import agent_message, notification, text_content, turn, user_message
from tests.support.waiting import eventually, within
from tests.support.ws_bytes import text_frame

BIG = "x" * (1 << 20)


@pytest.fixture
def proxy(engine: ScriptEngine, seed: int) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", engine.port, seed=seed) as proxy:
        yield proxy


def answer_whole(engine: ScriptEngine, text: str) -> None:
    """Has an engine answer each post with a text, kept in the history first."""

    def post(conn: Connection, frame: Received) -> None:
        number = frame.number
        engine.history += [user_message("s1", f"u{number}", frame["content"])]
        engine.history += [agent_message("s1", f"m{number}", text)]
        conn.send_many(turn("s1", f"m{number}", [text]))

    engine.on("post_message", post)


# ---- cuts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_a_large_message_that_is_cut_in_half_arrives_once(engine: ScriptEngine, proxy: FaultProxy, how: str) -> None:
    answer_whole(engine, BIG)
    with make(proxy) as session:
        proxy.downstream.limit_data(proxy.bytes_down + len(BIG) // 2, how, times=1)  # type: ignore[arg-type]
        reply = session.ask("hi", timeout=30)
        assert texts(reply.events) == [BIG]
        assert len(engine.frames("post_message")) == 1


def test_a_post_whose_ack_never_came_is_found_in_the_history(engine: ScriptEngine) -> None:
    def post(conn: Connection, frame: Received) -> None:
        engine.history.append(user_message("s1", "u1", "hi"))
        conn.drop()

    engine.on("post_message", post)
    with created(engine) as session:
        turn_of = session.stream("hi", timeout=30)
        engine.wait_connected(2)
        engine.push_many(turn(ack=None))
        assert turn_of.result().text == "Hello there"
        assert len(engine.frames("post_message")) == 1


def test_a_post_of_which_nothing_is_known_is_told_and_not_sent_again(engine: ScriptEngine) -> None:
    engine.on("post_message", lambda conn, frame: conn.drop())
    with make(engine) as session:
        with pytest.raises(DeliveryUnknownError), within(0.5):
            session.ask("hi", timeout=30)
        session.send("hi")
        with pytest.raises(DeliveryUnknownError), within(0.5):
            next(session.listen(event_types=["message_complete"], timeout=30))
        assert len(engine.frames("post_message")) == 2
        assert session.state in ("connected", "reconnecting")


@pytest.mark.parametrize("batch", [False, True], ids=["a message", "a batch"])
@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_a_connection_lost_while_the_history_is_read_loses_no_post(engine: ScriptEngine, how: str, batch: bool) -> None:
    kind = "post_messages" if batch else "post_message"
    said = ["one", "two"] if batch else ["one"]

    def post(conn: Connection, frame: Received) -> None:
        engine.history += [user_message("s1", f"u{number}", text) for number, text in enumerate(said)]
        engine.history += [agent_message("s1", "m1", text_content("answer"))]
        conn.drop()

    @engine.on("get_messages")
    def history(conn: Connection, frame: Received) -> None:
        if frame.number == 1:
            conn.reset() if how == "RST" else conn.drop()
        else:
            conn.send_many([frames.history("s1", engine.history), frames.participant_status("s1", "Idle")])

    engine.on(kind, post)
    with created(engine) as session, session.listen(timeout=30) as listener:
        if batch:
            session.send_many(said)
        else:
            assert session.ask("one", timeout=30).text == "answer"
        events = []
        while not (events and events[-1].is_turn_end):
            events.append(next(listener))
        assert len(engine.frames(kind)) == 1
    posted = [(event.type, event.data) for event in events if "posted" in event.type]
    assert posted == [(f"message{'s' * batch}_posted", {"success": True, "recovered": True})]
    assert (texts(events), [event.error for event in events if event.error]) == (["answer"], [])


def test_the_same_text_twice_is_not_taken_for_one(engine: ScriptEngine) -> None:
    first = turn("s1", "m1", ["one"])

    def post(conn: Connection, frame: Received) -> None:
        if frame.number == 1:
            engine.history += [user_message("s1", "u1", "hi"), agent_message("s1", "m1", "one")]
            conn.send_many(first)
        else:
            conn.drop()  # and it is not kept: the one in the history is the first

    engine.on("post_message", post)
    with make(engine) as session:
        assert session.ask("hi", timeout=30).text == "one"
        with pytest.raises(DeliveryUnknownError):
            session.ask("hi", timeout=30)


def test_what_cannot_be_proved_whole_is_told(engine: ScriptEngine) -> None:
    engine.history = [agent_message("s1", "m1", "one")]
    with make(engine) as session:
        with session.listen(timeout=30) as listener:
            engine.push(notification("s1", "m1", text_content("one")))
            assert next(listener).text == "one"
            engine.history = [agent_message("s1", "m9", "another time")]
            engine.drop_all()
            errors = [event.error for event in (next(listener) for _ in range(2))]
        assert "gap" in errors


def test_an_engine_that_keeps_its_history_to_itself_leaves_a_gap(engine: ScriptEngine) -> None:
    engine.on("get_messages", lambda conn, frame: conn.send(frames.error("not for you", "get_messages", "s1")))
    with make(engine) as session, session.listen(event_types=["error"], timeout=30) as listener:
        engine.drop_all()
        told = next(listener)
        assert told.error == "gap"
        assert "not for you" in told.data["detail"]
        # The gap is told on the way there.
        assert eventually(lambda: session.state == "connected")


# ---- silence -------------------------------------------------------------------------------


def test_a_half_open_link_is_noticed_by_its_silence(proxy: FaultProxy, engine: ScriptEngine) -> None:
    with make(proxy, ping_interval=0.3, pong_timeout=0.3) as session:
        proxy.blackhole()
        with within(0.6):
            assert eventually(lambda: session.state == "reconnecting")
        proxy.clear()
        engine.wait_connected(2)
        assert session.get_messages(timeout=30) == []
        # With so little patience it may be lost again where the machine is busy.
        assert eventually(lambda: session.state == "connected")


def test_a_link_on_which_anything_comes_is_alive(engine: ScriptEngine) -> None:
    engine.on("ws:ping", lambda conn, frame: None)
    engine.on("ping_session", lambda conn, frame: None)
    # Between two frames two seconds may pass on a machine that is busy, and all of them take longer than that.
    with make(engine, ping_interval=0.2, pong_timeout=2) as session:
        for number in range(25):
            engine.push(frames.participant_status("s1", f"Unheard of {number}"))
            time.sleep(0.1)
        assert len(engine.handshakes) == 1
        with within(2.2):
            assert eventually(lambda: session.state == "reconnecting" or len(engine.handshakes) > 1)


def test_odd_pongs_do_no_harm(engine: ScriptEngine) -> None:
    engine.on("ws:ping", lambda conn, frame: conn.send_raw(text_frame(b"never sent", opcode=10) * 3))
    with make(engine, ping_interval=0.1, pong_timeout=5) as session:
        engine.wait_for("ws:ping", 5)
        assert session.get_messages(timeout=30) == []
        assert len(engine.handshakes) == 1


@pytest.mark.parametrize("call", ["ask", "get_messages"])
def test_a_call_into_a_black_hole_takes_no_longer_than_it_may(
    engine: ScriptEngine, proxy: FaultProxy, call: str
) -> None:
    with make(proxy) as session:
        proxy.blackhole()
        with pytest.raises(SessionTimeoutError), within(0.4):
            session.ask("hi", timeout=0.4) if call == "ask" else session.get_messages(timeout=0.4)
        proxy.clear()
        assert session.get_messages(timeout=30) == []


def test_a_message_that_drips_is_delivered_whole_though_a_call_gave_up(engine: ScriptEngine) -> None:
    def drip(conn: Connection, frame: Received) -> None:
        data = text_frame(frames.history("s1", [agent_message("s1", "m1", "late")]))
        size = len(data) // 25
        for at in range(0, len(data), size):
            conn.send_raw(data[at : at + size])
            conn.sleep(0.1)
        conn.send(notification("s1", "m2", text_content("whole")))

    engine.on("get_messages", drip)
    engine.on("ws:ping", lambda conn, frame: None)  # an answer would come in the middle of the message
    # Between two pieces two seconds may pass on a machine that is busy, and all of them take longer than that.
    with make(engine, ping_interval=0.2, pong_timeout=2) as session:
        listener = session.listen(event_types=["message_complete"], timeout=30)
        with pytest.raises(SessionTimeoutError), within(0.3):
            session.get_messages(timeout=0.3)
        assert next(listener).text == "whole"
        engine.off("get_messages")
        assert session.get_messages(timeout=30) == []
        assert len(engine.handshakes) == 1


def test_a_slow_link_only_takes_longer() -> None:
    engine, runs = make_engine()
    with engine:
        agent = engine.agent()
        with FaultProxy("127.0.0.1", engine.port, host=FRONT, port=engine.port, seed=1) as proxy:
            proxy.upstream.latency(30, 20)
            proxy.downstream.latency(30, 20)
            proxy.downstream.slicer(7, 0.0005)
            session = Session(owner_type="agent", owner_id=agent.id, api_key="k", ws_url=proxy.ws_url)
            check(one_session(session, WAYS[0]), runs.count)
            assert len(proxy.connections) == 1


def test_a_peer_that_stops_reading_ends_the_connection_for_good(engine: ScriptEngine, proxy: FaultProxy) -> None:
    with make(proxy, send_timeout=0.4, reconnect=False) as session:
        proxy.upstream.blackhole()
        with pytest.raises(SessionTimeoutError), within(0.4):
            session.send("x" * 20_000_000)
        assert eventually(lambda: session.state == "disconnected")
        with pytest.raises(SessionDisconnectedError), within(0.2):
            session.send("nobody may read this behind the other")
        proxy.clear()
        engine.wait_idle()
    assert engine.frames("post_message") == []


# ---- engines that go and come back ----------------------------------------------------------


TOOLS = """
import time
from sessionlib.engine import tool

@tool
def nap() -> str:
    'Sleeps.'
    time.sleep(0.3)
    return "slept"
"""


@contextmanager
def served(directory: Path, port: int) -> Iterator[Process]:
    """Runs an engine in a process of its own, on a database in a directory."""
    tools = directory / "tools.py"
    tools.write_text(TOOLS)
    options = ["--port", str(port), "--db", str(directory / "db.sqlite"), "--tools", str(tools)]
    engine = Process(directory, *options)
    try:
        yield engine.ready()
    finally:
        engine.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_engine_that_is_killed_and_started_again_in_the_middle_of_a_turn(
    tmp_path: Path, number: signal.Signals
) -> None:
    with held_port() as port:
        with served(tmp_path, port) as engine:
            agent = {"owner_type": "agent", "owner_id": make_agent(engine, agent_type="conversational")}
            session = make(engine, session_id=None, **agent, api_key=KEY).connect(30)
            assert 'You said: "before"' in session.ask("before", timeout=30).text
            running = session.stream("/tool nap", timeout=120)
            assert next(event for event in running if event.tool_name == "nap")
            engine.stop(number)
        with served(tmp_path, port):
            reply = running.result()
            assert reply.error is not None or "slept" in reply.text  # cut, and told so; never silently repeated
            assert session.ask("after", timeout=30).text
            said = [message.text for message in session.get_messages(timeout=30) if message.is_user]
            assert said == ["before", "/tool nap", "after"]
            session.disconnect()


def test_an_engine_that_is_away_between_two_turns_is_not_missed(engine: ScriptEngine) -> None:
    answer_whole(engine, "Hello")
    with make(engine) as session:
        assert session.ask("one", timeout=30).text == "Hello"
        engine.stop_listening()
        engine.drop_all("RST")
        assert eventually(lambda: session.state == "reconnecting")
        threading.Timer(0.2, engine.start_listening).start()
        assert session.ask("two", timeout=30).text == "Hello"
        assert [frame["content"] for frame in engine.frames("post_message")] == ["one", "two"]


def test_a_session_that_is_not_back_in_time_is_lost_and_says_so(engine: ScriptEngine) -> None:
    with make(engine, reconnect_timeout=1.0) as session:
        engine.stop_listening()
        engine.drop_all()
        with pytest.raises(SessionDisconnectedError) as caught, within(1.1):
            list(session.listen(timeout=30))
        # What the last try met: nobody there, unless it was the one that the time cut off.
        assert isinstance(caught.value.__cause__, (SessionConnectionError, SessionTimeoutError))
        assert session.state == "disconnected"


def test_a_send_waits_for_the_link_no_longer_than_it_may(engine: ScriptEngine) -> None:
    with make(engine, send_timeout=0.3) as session:
        engine.stop_listening()
        engine.drop_all()
        assert eventually(lambda: session.state == "reconnecting")
        with pytest.raises(SessionTimeoutError), within(0.3):
            session.send("hi")
        with pytest.raises(SessionTimeoutError), within(0.2):
            session.get_messages(timeout=0.2)


# ---- connections that do not last ------------------------------------------------------------


@pytest.mark.parametrize("when", ["after the handshake", "after the join"])
def test_flapping(engine: ScriptEngine, when: str) -> None:
    joins = []

    def flap(conn: Connection, frame: Received) -> None:
        joins.append(time.monotonic())
        if len(joins) == 1 or len(joins) > 6:
            conn.answer(frame)
            return
        if when == "after the join":
            conn.answer(frame)
        conn.drop()

    engine.on("connect_session", flap)
    with make(engine, reconnect_delay=0.02, reconnect_max_delay=0.1) as session:
        engine.drop_all()
        assert eventually(lambda: len(joins) == 7)
        assert eventually(lambda: session.state == "connected")
        assert session.get_messages(timeout=30) == []
