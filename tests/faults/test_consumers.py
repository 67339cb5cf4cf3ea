"""Programs that leave, block or raise at the worst moment, with a peer that does not help."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from sessionlib import Session, SessionDisconnectedError
from sessionlib.protocol import frames
from sessionlib.testing import FaultProxy
from tests.support.script_engine import ScriptEngine
from tests.support.sessions import make
from tests.support.turns import notification, turn
from tests.support.waiting import eventually, within

ASKED = notification("s1", "r1", {"type": "tool_call_approval", "tool_name": "refund", "tool_call_id": "c1"})

WAITS: dict[str, Callable[[Session], object]] = {
    "listen": lambda session: list(session.listen()),
    "ask": lambda session: session.ask("hi"),
    "stream": lambda session: list(session.stream("hi")),
    "get_messages": lambda session: session.get_messages(timeout=None),
    "send": lambda session: session.send("x" * 50_000_000),
}


@pytest.mark.parametrize("leave", ["disconnect", "terminate"])
@pytest.mark.parametrize("wait", WAITS)
def test_leaving_ends_every_wait_though_the_peer_is_gone(engine: ScriptEngine, wait: str, leave: str) -> None:
    engine.on("post_message", lambda conn, frame: None)
    engine.on("get_messages", lambda conn, frame: None)
    with FaultProxy("127.0.0.1", engine.port) as proxy, ThreadPoolExecutor(1) as pool:
        session = make(proxy).connect(30)
        proxy.blackhole()
        using = pool.submit(WAITS[wait], session)
        time.sleep(0.2)
        assert using.running()
        with within(1.0):
            getattr(session, leave)()
            assert told(using) in ([], SessionDisconnectedError)
        proxy.clear()


def told(using: Future[object]) -> object:
    """Returns what came of a call, or the kind of its error."""
    error = using.exception(30)
    return using.result() if error is None else type(error)


def test_leaving_while_the_link_is_being_got_back_ends_every_wait(engine: ScriptEngine) -> None:
    with make(engine, reconnect_delay=60.0) as session, ThreadPoolExecutor(len(WAITS)) as pool:
        engine.stop_listening()
        engine.drop_all()
        assert eventually(lambda: session.state == "reconnecting")
        # A session that was left already has no listeners; to the others it makes no difference.
        listening = pool.submit(WAITS["listen"], session)
        assert eventually(lambda: session.stats.queues)
        others = [pool.submit(wait, session) for name, wait in WAITS.items() if name != "listen"]
        time.sleep(0.1)
        with within(1.0):
            session.disconnect()
            outcomes = [told(using) for using in (listening, *others)]
        assert outcomes == [[], *[SessionDisconnectedError] * 4]


def test_a_handler_that_blocks_holds_up_nothing_else(engine: ScriptEngine) -> None:
    let_go = threading.Event()
    with make(engine, ping_interval=0.1, pong_timeout=5) as session:
        session.on_approval(lambda request: let_go.wait(30))
        engine.push(ASKED)
        with session.listen(event_types=["pong"], timeout=30) as listener:
            for _ in range(5):
                assert next(listener).type == "pong"
        assert session.get_messages(timeout=30) == []
        assert len(engine.handshakes) == 1
        let_go.set()
        engine.wait_for("post_message")


@pytest.mark.parametrize("leave", ["disconnect", "terminate"])
def test_a_handler_may_leave(engine: ScriptEngine, leave: str) -> None:
    left = threading.Event()

    def handler(request: object) -> bool:
        getattr(session, leave)()
        left.set()
        return False

    session = make(engine).connect(30)
    session.on_approval(handler)
    engine.push(ASKED)
    assert left.wait(30)
    assert not session.is_connected
    engine.wait_idle()


def test_a_callback_for_states_that_raises_or_leaves_does_no_harm(engine: ScriptEngine) -> None:
    heard: list[str] = []

    def failing(state: object) -> None:
        raise RuntimeError("of the callback")

    with make(engine) as session:
        session.on_state(failing)
        session.on_state(lambda state: heard.append(str(state)))
        engine.drop_all()
        engine.wait_connected(2)
        assert eventually(lambda: heard[-2:] == ["reconnecting", "connected"])
        assert session.get_messages(timeout=30) == []


def test_a_turn_its_listener_and_a_handler_all_live_through_a_lost_link(engine: ScriptEngine) -> None:
    def post(conn, frame):  # type: ignore[no-untyped-def]
        if frame.get("parent_message_id"):
            conn.send_many([frames.ack("post_message", "s1"), *turn(ack=None)])
        else:
            conn.send_many([frames.ack("post_message", "s1"), frames.participant_status("s1", "Processing")])
            conn.drop()

    def join(conn, frame):  # type: ignore[no-untyped-def]
        conn.answer(frame)
        if conn.number == 2:
            conn.send_many([frames.participant_status("s1", "AwaitingApproval"), ASKED])

    engine.on("post_message", post)
    engine.on("connect_session", join)
    with make(engine) as session, session.listen(timeout=30) as listener:
        reply = session.ask("hi", timeout=30, on_approval=lambda request: True)
        assert reply.text == "Hello there"
        heard = [str(event.type) for event in listener if not event.is_turn_end or listener.close()]
        assert heard.count("approval_request") == 1
        assert heard.count("message_complete") == 1
