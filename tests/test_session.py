"""A session's life: joining, refusals, leaving, forgetting, and calls from many threads."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from sessionlib import (
    ApiError,
    ConfigurationError,
    HandshakeError,
    MessageTooLargeError,
    Session,
    SessionDisconnectedError,
    SessionError,
    SessionEvent,
    SessionEventType,
    SessionProtocolError,
    SessionState,
    SessionTerminatedError,
    SessionTimeoutError,
)
from sessionlib.engine import Limits, LocalEngine
from sessionlib.errors import api_error
from sessionlib.protocol import frames
from sessionlib.testing import FaultProxy
from tests.support.engine import Caller
from tests.support.script_engine import ScriptEngine, refuse
from tests.support.secrets import SENTINEL_KEY, assert_keeps_secret
from tests.support.sessions import new_session, numbered_deltas, opened, resumed_session
from tests.support.threads import in_threads, raised_by
from tests.support.waiting import eventually, within

CONNECT, LEAVE, END = "connect_session", "disconnect_session", "terminate_session"
REQUEST = SessionEvent(SessionEventType.APPROVAL_REQUEST, "s1", "m1", {"tool_name": "refund"})


def patient(session: Session) -> Session:
    """Gives the engine all the time that it takes to take in a farewell, on a machine that is busy elsewhere."""
    session._options = dataclasses.replace(session._options, close_timeout=15.0)
    return session


def sent(engine: ScriptEngine) -> list[str]:
    """The types of what the engine has received."""
    return [frame["type"] for frame in engine.received]


def until_still(number: Callable[[], int]) -> None:
    """Waits until a number has not changed for a while."""
    before = -1
    while before != number():
        before = number()
        time.sleep(0.1)


# ---- joining -----------------------------------------------------------------------------------


def test_connecting_twice_is_connecting_once(engine: ScriptEngine) -> None:
    session = resumed_session(engine)
    assert session.connect() is session
    with session as same:
        assert same is session
        assert session.connect(timeout=0.0) is session
    assert len(engine.handshakes) == 1
    assert not session.is_connected


def test_a_session_tells_where_it_is(engine: ScriptEngine) -> None:
    session = new_session(engine)
    assert (session.session_id, session.is_connected, session.state) == (None, False, SessionState.DISCONNECTED)
    assert repr(session) == f"<Session new at 127.0.0.1:{engine.port}: disconnected, 0 events waiting>"
    session.connect()
    assert (session.session_id, session.is_connected, session.state) == ("s1", True, SessionState.CONNECTED)
    assert f"<Session s1 at 127.0.0.1:{engine.port}: connected" in repr(session)
    session.disconnect()
    assert (session.session_id, session.is_connected, session.state) == ("s1", False, SessionState.DISCONNECTED)


def test_a_session_that_was_left_can_be_joined_again(engine: ScriptEngine) -> None:
    session = new_session(engine)
    for _ in range(3):
        with session:
            session.send("Hello")
        engine.wait_idle()
    assert [kind for kind in sent(engine) if kind != LEAVE] == ["create_session", *[CONNECT, "post_message"] * 3]


def test_without_a_key_or_an_id_no_connection_is_opened(engine: ScriptEngine) -> None:
    with pytest.raises(ConfigurationError, match="API key"):
        Session(session_id="s1", ws_url=engine.ws_url).connect()
    with pytest.raises(SessionError, match=r"owner_type.*session_id"):
        Session(api_key="k", ws_url=engine.ws_url).connect()
    assert engine.handshakes == []


# ---- refusals ----------------------------------------------------------------------------------

REFUSALS = {
    "an ack that failed": frames.refusal("connect_session", "s9", "no such session"),
    "an error that names the request": frames.error("no such session", "connect_session", "s9"),
    "an error that names nothing": {"type": "error", "error": "no such session"},
    "its end": frames.refusal("connect_session", "s9", "no such session any more", code="session_terminated"),
}


@pytest.mark.parametrize("how", REFUSALS)
def test_a_session_is_refused_at_once_by_its_id_and_can_be_tried_again(engine: ScriptEngine, how: str) -> None:
    engine.on("connect_session", lambda conn, frame: conn.send(REFUSALS[how]))
    session = resumed_session(engine, "s9")
    before = time.monotonic()
    with pytest.raises(SessionError, match=r"s9.*no such session") as caught:
        session.connect(timeout=30.0)
    assert time.monotonic() - before < 10.0
    assert caught.value.session_id == "s9"
    assert isinstance(caught.value, SessionTerminatedError) == (how == "its end")
    assert (session.is_connected, session.state) == (False, SessionState.DISCONNECTED)
    engine.off("connect_session")
    with session:
        assert session.is_connected


@pytest.mark.parametrize("told", [frames.error("no such agent", "create_session"), {"type": "error", "error": "no"}])
def test_an_unknown_agent_is_refused_at_once_by_its_id(engine: ScriptEngine, told: frames.Frame) -> None:
    engine.on("create_session", lambda conn, frame: conn.send(told))
    session = new_session(engine)
    with pytest.raises(SessionError, match=rf"agent a1.*{told['error']}"):
        session.connect()
    assert session.session_id is None


@pytest.mark.slow
@pytest.mark.parametrize("request_type", ["create_session", "connect_session"])
def test_an_answer_that_does_not_come_is_waited_for_in_all_no_longer_than_told(
    engine: ScriptEngine, request_type: str
) -> None:
    engine.on(request_type, lambda conn, frame: None)
    engine.handshake = lambda conn, head: conn.sleep(0.3) or conn.accept()  # type: ignore[func-returns-value]
    session = new_session(engine)
    before = time.monotonic()
    with pytest.raises(SessionTimeoutError, match=r"0\.6 s"):
        session.connect(timeout=0.6)
    assert time.monotonic() - before < 10.0
    assert not session.is_connected


def test_what_else_comes_while_joining_waits_for_the_first_listener(engine: ScriptEngine) -> None:
    status = {"type": "participant_status", "message": {"status": "Connected"}}  # which names no session
    more = [numbered_deltas(1)[0], status]
    engine.on("create_session", lambda conn, frame: conn.send_many([frames.session_created("s1"), *more]))
    ack = frames.ack("connect_session", "s1")
    engine.on("connect_session", lambda conn, frame: conn.send_many([*more, ack, *more]))
    with new_session(engine) as session:
        session.get_messages()
        events = session.listen(timeout=0)
        heard = [next(events) for _ in range(6)]
    assert [(event.delta, event.participant_status) for event in heard] == [("0", None), (None, "Connected")] * 3
    assert {event.session_id for event in heard} == {"s1"}


def test_an_error_behind_the_ack_is_an_event_and_no_refusal(engine: ScriptEngine) -> None:
    told = [frames.ack("connect_session", "s1"), {"type": "error", "error": "a tool is missing"}]
    engine.on("connect_session", lambda conn, frame: conn.send_many(told))
    with opened(engine) as session:
        assert next(session.listen(timeout=30)).error == "a tool is missing"


# ---- handshakes that are refused ---------------------------------------------------------------

STATUSES = [200, 204, 301, 303, 307, 400, 401, 403, 404, 407, 408, 410, 418, 422, 425, 426, 429, 500, 502, 503, 504]


@pytest.mark.parametrize("status", STATUSES)
def test_a_refused_handshake_is_told_by_its_status_and_nothing_else(engine: ScriptEngine, status: int) -> None:
    said = b"the body says hunter2"
    headers = [("X-Token", "hunter2"), ("Set-Cookie", "id=hunter2"), ("Retry-After", "7")]
    engine.handshake = refuse(status, said, headers)
    with pytest.raises(HandshakeError) as caught, within(1):
        resumed_session(engine).connect(timeout=30)
    error = caught.value
    assert isinstance(error, type(api_error(status, "GET", "/")))
    assert isinstance(error, ApiError)
    assert (error.status_code, error.retry_after) == (status, 7.0)
    assert str(status) in str(error)
    for secret in ("hunter2", SENTINEL_KEY):
        assert_keeps_secret(error, secret)
    assert len(engine.handshakes) == 1


# ---- leaving -----------------------------------------------------------------------------------


def test_leaving_twice_is_leaving_once(engine: ScriptEngine) -> None:
    session = resumed_session(engine)
    session.disconnect()
    session.connect()
    for _ in range(3):
        session.disconnect()
    session.terminate()
    engine.wait_idle()
    assert sent(engine) == [CONNECT, LEAVE]


def test_many_threads_that_leave_leave_once(engine: ScriptEngine) -> None:
    with opened(engine) as session, in_threads(*[session.disconnect] * 8):
        pass
    assert len(engine.wait_for("disconnect_session")) == 1


def test_a_terminated_session_cannot_be_joined_again(engine: ScriptEngine) -> None:
    session = resumed_session(engine)
    session.connect()
    for _ in range(2):
        session.terminate()
    assert (session.state, session.is_connected) == (SessionState.TERMINATED, False)
    with pytest.raises(SessionTerminatedError, match="s1"):
        session.connect()
    engine.wait_idle()
    assert sent(engine) == [CONNECT, END]


USES: dict[str, Callable[[Session], Any]] = {
    "send": lambda session: session.send("Hello"),
    "send_many": lambda session: session.send_many(["Hello"]),
    "respond": lambda session: session.respond(REQUEST, approved=True),
    "respond_approval": lambda session: session.respond_approval(REQUEST, approved=False),
    "get_messages": lambda session: session.get_messages(),
    "listen": lambda session: session.listen(),
    "ask": lambda session: session.ask("Hello"),
    "stream": lambda session: session.stream("Hello"),
}


@pytest.mark.parametrize("use", USES)
def test_a_session_that_is_not_connected_says_so(engine: ScriptEngine, use: str) -> None:
    session = resumed_session(engine)
    for prepare in (lambda: None, lambda: session.connect().disconnect(), lambda: session.connect().terminate()):
        prepare()
        with pytest.raises(SessionDisconnectedError, match="s1") as caught:
            USES[use](session)
        assert caught.value.session_id == "s1"
    assert set(sent(engine)) <= {CONNECT, LEAVE, END}


@pytest.mark.parametrize("use", [use for use in USES if use != "listen"])
def test_a_session_whose_connection_is_lost_says_how(engine: ScriptEngine, use: str) -> None:
    with opened(engine, reconnect=False) as session:
        engine.latest.close(1011, "out of tea")
        assert eventually(lambda: not session.is_connected)
        with pytest.raises(SessionDisconnectedError, match=r"s1.*out of tea") as caught:
            USES[use](session)
        assert (caught.value.code, caught.value.reason) == (1011, "out of tea")


def test_leaving_does_not_hide_what_went_wrong_inside(engine: ScriptEngine) -> None:
    with pytest.raises(ZeroDivisionError), opened(engine):
        raise ZeroDivisionError
    assert engine.wait_for("disconnect_session")


def test_leaving_takes_no_longer_than_the_engine_gets_to_answer(engine: ScriptEngine) -> None:
    engine.on("ws:close", lambda conn, frame: None)  # and no FIN either
    session = resumed_session(engine).connect()
    with within(1.0):
        session.disconnect()


@pytest.mark.parametrize("stage", ["handshake", "create_session", "connect_session"])
def test_leaving_ends_a_connect_that_waits(engine: ScriptEngine, stage: str) -> None:
    if stage == "handshake":
        engine.handshake = lambda conn, head: conn.sleep(30)  # type: ignore[assignment]
    else:
        engine.on(stage, lambda conn, frame: None)
    session = new_session(engine)
    with in_threads(lambda: raised_by(lambda: session.connect(timeout=30))) as results:
        assert eventually(lambda: engine.handshakes if stage == "handshake" else engine.frames(stage))
        with within(1.0):
            session.disconnect()
    assert isinstance(results[0], SessionDisconnectedError)
    assert not session.is_connected


# ---- forgetting --------------------------------------------------------------------------------


@pytest.mark.parametrize("in_a_circle", [False, True])
def test_a_session_that_was_never_left_is_told_of_and_leaves_nothing(engine: ScriptEngine, in_a_circle: bool) -> None:
    kept: list[Any] = [resumed_session(engine).connect()]
    forgotten = weakref.ref(kept[0])
    forget: Callable[[], object] = kept.clear
    if in_a_circle:
        kept.append(kept)
        forget = gc.collect
    del kept
    with pytest.warns(ResourceWarning, match=r"session s1.*never disconnected"):
        forget()
    assert forgotten() is None
    assert engine.latest.over.wait(30)
    assert eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("sessionlib")])


def test_a_session_that_was_left_is_forgotten_quietly(engine: ScriptEngine) -> None:
    session = resumed_session(engine).connect()
    session.disconnect()
    forgotten = weakref.ref(session)
    del session
    gc.collect()
    assert forgotten() is None


def test_no_text_of_a_session_shows_the_key(engine: ScriptEngine) -> None:
    with opened(engine) as session:
        session.send("Hello")
        listener = session.listen()
        for value in (session, listener, session._connection, session._options):
            assert_keeps_secret(value)
            assert SENTINEL_KEY not in repr(vars(value))
        assert_keeps_secret(session._endpoint)


# ---- the history -------------------------------------------------------------------------------


@pytest.mark.parametrize("messages", [None, "x", {}, [7], [None], [["x"]]], ids=repr)
def test_a_history_that_is_none_is_illegal(engine: ScriptEngine, messages: Any) -> None:
    engine.on("get_messages", lambda conn, frame: conn.send({"type": "get_messages", "messages": messages}))
    with opened(engine) as session, pytest.raises(SessionProtocolError, match=r"s1.*history"):
        session.get_messages()


# ---- many threads ------------------------------------------------------------------------------


def test_leaving_amid_many_sends_breaks_no_rule_and_says_farewell(engine: ScriptEngine) -> None:
    def send() -> None:
        with contextlib.suppress(SessionDisconnectedError):
            while True:
                session.send("x" * 3000)

    for round_ in range(1, 6):
        session = patient(resumed_session(engine)).connect()
        with in_threads(*[send] * 6):
            time.sleep(0.05)
            session.disconnect()
        # ScriptEngine fails the test for a frame behind the close frame.
        assert len(engine.wait_for("disconnect_session", round_)) == round_
        assert len(engine.wait_for("ws:close", round_)) == round_


def test_the_farewell_waits_for_a_peer_that_was_busy(engine: ScriptEngine) -> None:
    left: list[str] = []

    def send(text: str) -> None:
        with contextlib.suppress(SessionDisconnectedError):
            for number in range(10_000):
                session.send(f"{text}{number}")
                left.append(f"{text}{number}")

    session = patient(resumed_session(engine)).connect()
    engine.latest.stop_reading()
    with in_threads(*[lambda letter=letter: send(letter * 3000) for letter in "abc"]):
        until_still(lambda: len(left))
        resume = threading.Timer(0.2, engine.latest.resume_reading)
        resume.start()
        session.disconnect()
    resume.join()
    engine.wait_for("ws:close")
    assert len(engine.wait_for("disconnect_session")) == 1
    # One of each thread may have left whole while its sender was told that the session has ended.
    posted = [frame["content"] for frame in engine.frames("post_message")]
    assert set(left) <= set(posted)
    assert len(posted) == len(set(posted)) <= len(left) + 3


def test_everything_at_once(engine: ScriptEngine) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_many(numbered_deltas(5)))

    def use(number: int) -> int:
        for _ in range(10):
            with session.listen(timeout=30) as events:
                session.send("x")
                assert isinstance(next(events), SessionEvent)
            session.get_messages()
            session.send_many(["a", "b"])
        return number

    with opened(engine) as session, in_threads(*[lambda at=at: use(at) for at in range(12)]) as done:
        pass
    assert done == list(range(12))
    assert len(engine.wait_for("post_message", 120)) == 120


# ---- histories that are larger than a message may be -----------------------------------------


def test_a_history_larger_than_a_message_comes_in_parts() -> None:
    texts = [f"{number} " + "caf\u00e9" * 10_000 for number in range(8)]
    with (
        LocalEngine(limits=Limits(history_bytes=120_000)) as engine,
        FaultProxy.in_front_of(engine) as proxy,
        Session(
            owner_type="agent",
            owner_id=engine.agent().id,
            api_key=engine.api_key,
            ws_url=proxy.ws_url,
            max_message_size=250_000,
            reconnect_delay=0.01,
        ) as session,
    ):
        for text in texts:
            session.ask(text)
        history = session.get_messages()
        assert [message.text for message in history if message.is_user] == texts
        assert len({message.id for message in history}) == len(history)
        # Beside a notice that the model was given less than all of it.
        answers = [message for message in history if message.is_agent and message.content_type == "data_type_message"]
        assert len(answers) == len(texts)
        # The gap is closed from it as well.
        events = session.listen(timeout=30)
        proxy.cut()
        assert eventually(lambda: session.stats.reconnects == 1)
        assert session.ask("again").text
        session.disconnect()
        assert [event.error for event in events if event.type is SessionEventType.ERROR] == []


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ({"limit": 0}, "bad_request"),
        ({"limit": "all"}, "bad_request"),
        ({"limit": 5, "after": 7}, "bad_request"),
        ({"after": "nothing"}, "message_not_found"),
    ],
)
def test_a_part_that_there_is_not(part: dict[str, Any], code: str) -> None:
    with LocalEngine() as engine, Caller.on(engine) as caller:
        caller.ask("hello")
        whole = caller.history()
        caller.say(frames.get_messages(caller.session_id, limit=1))
        first = caller.until(lambda frame: frame["type"] == "get_messages")
        assert (first["messages"], first["more"]) == (whole[:1], True)
        caller.say(frames.get_messages(caller.session_id, limit=1, after=whole[0]["id"]))
        last = caller.until(lambda frame: frame["type"] == "get_messages")
        assert (last["messages"], last["more"]) == (whole[1:], False)
        caller.say(frames.get_messages(caller.session_id, **part))
        assert caller.until(lambda frame: frame["type"] == "error")["code"] == code


def test_a_history_that_is_too_large_is_an_error_that_leaves_the_session_alone(engine: ScriptEngine) -> None:
    message = {"id": "m1", "sender": {"user_id": "u"}, "content": {"type": "data_type_message", "value": "x" * 100_000}}
    engine.on("get_messages", lambda conn, frame: conn.send({"type": "get_messages", "messages": [message]}))
    with opened(engine, max_message_size=50_000, reconnect_delay=0.01) as session:
        events = session.listen(timeout=30)
        for _ in range(4):  # and over and over
            with pytest.raises(MessageTooLargeError, match="the session goes on") as caught:
                session.get_messages()
            assert caught.value.limit == 50_000
            assert caught.value.size is not None
            assert eventually(lambda: session.is_connected)
        session.send("still here")
        assert eventually(lambda: len(engine.frames("post_message")) == 1)
        errors = [next(event for event in events if event.error == "gap") for _ in range(4)]
        assert "larger than a message may be" in errors[-1].data["detail"]
