"""Close codes: which of them end a session, which are worth another try, and what is told of each."""

from __future__ import annotations

import time

import pytest

from sessionlib import MessageTooLargeError, Session, SessionDisconnectedError, SessionProtocolError
from sessionlib.protocol import frames
from tests.support.script_engine import Connection, Received, ScriptEngine
from tests.support.sessions import make
from tests.support.turns import agent_message, turn, user_message
from tests.support.waiting import eventually, within

PASSING = [1001, 1011, 1012, 1013, 1014]
FINAL = [1000, 1002, 1003, 1007, 1008, 1009, 1010, 3000, 3999, 4000, 4001, 4999]
ILLEGAL = [999, 1004, 1005, 1006, 1015, 2999, 5000]
ALL = [*PASSING, *FINAL, *ILLEGAL]


def assert_told(error: BaseException | None, code: int) -> None:
    """Fails unless an error, or its cause, tells of a code and its reason."""
    assert isinstance(error, SessionDisconnectedError)
    if code in ILLEGAL:
        assert isinstance(error.__cause__, SessionProtocolError)
        assert str(code) in str(error)
    else:
        assert (error.code, error.reason) == (code, "why")
        assert (code == 1009) == isinstance(getattr(error.__cause__, "__cause__", None), MessageTooLargeError)


def assert_over(session: Session, code: int) -> None:
    """Fails unless a session has ended because of a code."""
    with pytest.raises(SessionDisconnectedError) as caught:
        list(session.listen(timeout=30))
    assert_told(caught.value, code)
    assert session.state == "disconnected"
    with pytest.raises(SessionDisconnectedError):
        session.send("too late")


@pytest.mark.parametrize("code", ALL)
def test_a_close_while_joining(engine: ScriptEngine, code: int) -> None:
    engine.on("connect_session", lambda conn, frame: conn.close(code, "why"))
    session = make(engine)
    with pytest.raises((SessionDisconnectedError, SessionProtocolError)) as caught, within(1):
        session.connect(30)
    if code in ILLEGAL:
        assert isinstance(caught.value, SessionProtocolError)
        assert str(code) in str(caught.value)
    else:
        assert (caught.value.code, caught.value.reason) == (code, "why")  # type: ignore[union-attr]
    assert session.state == "disconnected"
    engine.off("connect_session")
    session.connect(30)
    session.disconnect()


@pytest.mark.parametrize("code", [*ALL, None])
def test_a_close_while_nothing_happens(engine: ScriptEngine, code: int | None) -> None:
    with make(engine) as session:
        told = time.monotonic()  # not when the answer was read: the client may be ahead of that
        engine.latest.close(code, "why")
        if code is not None and code not in PASSING:
            assert_over(session, code)
            assert len(engine.handshakes) == 1
            return
        engine.wait_connected(2)
        assert session.get_messages(timeout=30) == []
        if code == 1013:
            assert engine.frames("connect_session")[1].at - told >= 1.0


@pytest.mark.parametrize("code", ALL)
def test_a_close_in_the_middle_of_a_turn(engine: ScriptEngine, code: int) -> None:
    def post(conn: Connection, frame: Received) -> None:
        engine.history += [user_message("s1", "u1", "hi"), agent_message("s1", "m1", "Hello there")]
        conn.send_many(turn(complete=False, idle=False)[:-1])
        conn.close(code, "why")

    engine.on("post_message", post)
    with make(engine) as session:
        if code in PASSING:
            reply = session.ask("hi", timeout=30)
            assert reply.text == "Hello there" == "".join(event.delta or "" for event in reply.events)
            assert len(engine.frames("post_message")) == 1
            return
        with pytest.raises(SessionDisconnectedError) as caught, within(1):
            session.ask("hi", timeout=30)
        assert_told(caught.value, code)
        assert_over(session, code)


def test_nothing_is_tried_again_when_that_is_not_wanted(engine: ScriptEngine) -> None:
    with make(engine, reconnect=False) as session:
        engine.latest.close(1012, "why")
        assert_over(session, 1012)
        assert len(engine.handshakes) == 1


def test_a_session_that_was_lost_can_be_connected_again(engine: ScriptEngine) -> None:
    with make(engine) as session:
        engine.latest.close(1008, "why")
        assert eventually(lambda: session.state == "disconnected")
        session.connect(30)
        assert session.state == "connected"
        engine.push(frames.pong("s1"))
        assert next(session.listen(event_types=["pong"], timeout=30)).session_id == "s1"
