"""Turns: ask, stream and what they give, with real sockets on both ends."""

from __future__ import annotations

import gc
import pickle
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sessionlib import (
    ParticipantStatus,
    Reply,
    Session,
    SessionDisconnectedError,
    SessionError,
    SessionEvent,
    SessionEventType,
    SessionMessageStatus,
    SessionTimeoutError,
    ToolCall,
)
from sessionlib.protocol import frames
from sessionlib.protocol.frames import Frame
from sessionlib.streams import mailbox as mailbox_module
from tests.support.script_engine import (
    Connection,
    Received,
    ScriptEngine,
    notification,
    turn,
)
from tests.support.sessions import rest_of_turn, settle
from tests.support.threads import in_threads, interrupted_after
from tests.support.toolbox import Toolbox, connect, kinds, say, status

Type = SessionEventType
TURN = ["Processing", "message_delta", "message_delta", "message_complete", "Idle"]


@pytest.fixture
def session(engine: ScriptEngine) -> Iterator[Session]:
    """A session whose engine answers every post with the same short turn."""
    engine.on("post_message", lambda conn, frame: conn.send_many(turn()))
    with connect(engine) as session:
        yield session


def script(engine: ScriptEngine, *told: Frame) -> None:
    """Has the next post answered with these frames after its ack."""
    engine.on("post_message", lambda conn, frame: conn.send_many([frames.ack("post_message", "s1"), *told]))


def tool(kind: str, message_id: str, **told: Any) -> Frame:
    return notification("s1", message_id, {"type": kind, **told})


# ---- what a turn gives ---------------------------------------------------------------------


def test_ask_gives_the_whole_answer(session: Session) -> None:
    began = time.monotonic()
    reply = session.ask("Hi", timeout=30)
    took = time.monotonic() - began
    assert (reply.text, reply.message_id, reply.error) == ("Hello there", "m1", None)
    assert reply.status is SessionMessageStatus.COMPLETE
    assert kinds(reply.events) == TURN
    assert 0 < reply.duration <= took
    assert str(reply) == "Hello there"


def test_a_reply_shows_itself_in_a_line(session: Session) -> None:
    reply = Reply("x" * 500, events=session.ask("Hi", timeout=30).events)
    assert len(repr(reply)) < 160
    assert "5 events" in repr(reply)


def test_stream_iterates_over_the_events_of_its_turn_and_ends_with_it(session: Session) -> None:
    stream = session.stream("Hi", timeout=30)
    assert iter(stream) is stream
    assert kinds(stream) == TURN
    assert stream.is_over
    assert list(stream) == []
    assert stream.result(30).text == "Hello there"


def test_a_turn_says_how_far_it_is(engine: ScriptEngine, session: Session) -> None:
    engine.off("post_message")
    stream = session.stream("Hi", timeout=30)
    assert "not begun" in repr(stream)
    settle(session)
    engine.push_many(turn(ack=None, complete=False, idle=False))
    next(stream)
    assert "running, 1 events" in repr(stream)
    engine.push(status("Idle"))
    assert not stream.is_over
    list(stream)
    assert "over, 4 events" in repr(stream)


@pytest.fixture
def flooded(engine: ScriptEngine, session: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session whose engine answers with more deltas than may wait, of messages between which a tool runs."""
    monkeypatch.setattr(mailbox_module, "QUEUE_BYTES", 200_000)
    script(
        engine,
        status("Processing"),
        *(frames.message_delta("s1", "m1", index, f"{index} " * 2000) for index in range(50)),
        notification("s1", "t1", {"type": "tool_call", "tool_name": "search", "tool_call_id": "c1"}),
        *(frames.message_delta("s1", "m2", index, f"{index}") for index in range(5)),
    )
    return session


FLOOD = "".join(f"{index} " * 2000 for index in range(50))


def test_a_turn_that_is_not_read_in_time_has_its_whole_text_all_the_same(
    engine: ScriptEngine, flooded: Session
) -> None:
    ends = [say(FLOOD, "m1"), say("01234", "m2"), status("Idle")]
    turns = []
    for _ in range(2):
        turns.append(flooded.stream("Hi", timeout=60))
        settle(flooded)
        engine.push_many(ends)
        settle(flooded)
    reply = turns[0].result()
    assert (reply.text, reply.status, reply.error) == ("01234", SessionMessageStatus.COMPLETE, None)
    assert [call.tool_name for call in reply.tool_calls] == ["search"]
    gaps = [event.data["dropped"] for event in reply.events if event.error == "subscriber queue overflow"]
    assert len(gaps) == 1
    assert gaps[0] > 10
    assert sum(len(event.delta or "") for event in reply.events) <= 200_000
    assert len(reply.times) == len(reply.events)
    assert "".join(turns[1].text_stream) == FLOOD + "01234"


def test_a_turn_that_is_not_read_in_time_and_never_whole_is_no_success(engine: ScriptEngine, flooded: Session) -> None:
    turns = []
    for _ in range(2):
        turns.append(flooded.stream("Hi", timeout=60))
        settle(flooded)
        engine.push(status("Idle"))
        settle(flooded)
    reply = turns[0].result()
    assert (reply.status, reply.error) == (SessionMessageStatus.ERROR, "subscriber queue overflow")
    with pytest.raises(SessionError, match="the text is not whole"):
        list(turns[1].text_stream)


def test_text_that_was_not_streamed_comes_in_one_piece(engine: ScriptEngine, session: Session) -> None:
    script(engine, *turn(message_id="m1", ack=None, idle=False), say("And more.", "m2"), status("Idle"))
    assert list(session.stream("Hi", timeout=30).text_stream) == ["Hello", " there", "And more."]


def test_a_result_holds_what_was_iterated_over_before(session: Session) -> None:
    stream = session.stream("Hi", timeout=30)
    for event in stream:
        if event.delta:
            break
    assert kinds(stream.result(30).events) == TURN


def test_files_and_their_types_go_out_with_the_question(engine: ScriptEngine, session: Session) -> None:
    engine.on("post_messages", lambda conn, frame: conn.send_many(turn(ack="post_messages")))
    engine.on("post_message", lambda conn, frame: conn.send_many(turn()))
    session.ask("Look", files=[b"data"], timeout=30)
    session.ask(b"1;2", filename="a.csv", mime_type="text/x-own", timeout=30)
    (batch,), (single,) = engine.frames("post_messages"), engine.frames("post_message")
    assert batch["messages"][0] == "Look"
    assert batch["messages"][1]["type_string"] == "file"
    assert single["content"]["value"]["metadata"] == {"name": "a.csv", "mime_type": "text/x-own"}


REPLIES: dict[str, tuple[list[Frame], tuple[str, str | None, str | None]]] = {
    "the last message": ([say("Let me see.", "m1"), say("It is 7.", "m2")], ("It is 7.", "m2", None)),
    "one that was cut off": ([say("Let me see.", "m1"), frames.message_delta("s1", "m2", 0, "It")], ("It", "m2", None)),
    "nothing": ([], ("", None, None)),
    "an error of the turn": ([tool("error_message", "m1", error="no")], ("", None, "no")),
    "an error of the session": ([frames.error("no", session_id="s1"), say("Hello", "m1")], ("Hello", "m1", "no")),
}


@pytest.mark.parametrize("what", REPLIES)
def test_the_answer_is(engine: ScriptEngine, session: Session, what: str) -> None:
    told, (text, message_id, error) = REPLIES[what]
    script(engine, status("Processing"), *told, status("Idle"))
    reply = session.ask("Hi", timeout=30)
    assert (reply.text, reply.message_id, reply.error) == (text, message_id, error)
    assert (reply.status is SessionMessageStatus.ERROR) == (error is not None)


# ---- tool calls ----------------------------------------------------------------------------


def test_tool_calls_are_gathered(engine: ScriptEngine, session: Session) -> None:
    script(
        engine,
        status("Processing"),
        tool("tool_call", "m1", tool_name="add", tool_id="t1", tool_call_id="c1", status="running", arguments={"a": 1}),
        tool("tool_call", "m2", tool_name="search", status="running"),
        tool("tool_result", "m3", tool_name="add", tool_call_id="c1", status="success", output=3),
        tool("tool_call", "m2", tool_name="search", status="done", output=["x"]),
        status("Idle"),
    )
    calls = session.ask("Hi", timeout=30).tool_calls
    assert calls == [
        ToolCall("add", "t1", "c1", "success", {"a": 1}, 3),
        ToolCall("search", None, None, "done", {}, ["x"]),
    ]


def test_tool_calls_of_odd_shapes_do_no_harm(engine: ScriptEngine, session: Session) -> None:
    odd = tool("tool_call", "m1", tool_name=["x"], tool_call_id={"a": 1}, status=7, arguments="a=1")
    script(engine, status("Processing"), odd, status("Idle"))
    reply = session.ask("Hi", timeout=30)
    assert reply.tool_calls == [ToolCall("['x']")]
    assert Reply.from_json(reply.to_json()) == reply


def test_a_reply_pickles_and_has_a_json_form(session: Session) -> None:
    reply = session.ask("Hi", timeout=30)
    reply.tool_calls.append(ToolCall("add", arguments={"a": 1}, output=2))
    assert pickle.loads(pickle.dumps(reply)) == reply
    assert Reply.from_json(reply.to_json()) == reply
    assert Reply.from_dict(reply.to_dict()) == reply
    assert ToolCall.from_dict(reply.tool_calls[0].to_dict()) == reply.tool_calls[0]
    assert isinstance(Reply.from_json(reply.to_json()).events[0], SessionEvent)


# ---- which events are a turn's -------------------------------------------------------------


def test_a_turn_takes_its_place_before_its_frame_leaves(engine: ScriptEngine, session: Session) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_many(turn(pieces=[frame["content"]])))
    for number in range(300):
        assert session.ask(f"question {number}", timeout=30).text == f"question {number}"


def test_asking_while_an_earlier_turn_runs_gives_the_own_answer(engine: ScriptEngine, session: Session) -> None:
    engine.off("post_message")
    session.send("first")
    settle(session)
    engine.push_many(turn(ack=None, pieces=["first answer"], complete=False, idle=False))
    stream = session.stream("second", timeout=30)
    settle(session)
    engine.push_many([say("first answer", "m1"), status("Idle")])
    engine.push_many(turn(ack=None, message_id="m2", pieces=["second answer"]))
    assert stream.result().text == "second answer"
    assert [event.text for event in rest_of_turn(session) if event.is_complete] == ["first answer"]


def test_listeners_hear_a_turn_as_well(session: Session) -> None:
    with session.listen() as listener:
        reply = session.ask("Hi", timeout=30)
        heard = [next(listener) for _ in range(6)]
    assert heard[0].type is Type.MESSAGE_POSTED
    assert heard[1:] == reply.events


def test_a_finished_turn_is_not_heard_again(session: Session) -> None:
    session.ask("Hi", timeout=30)
    with session.listen(timeout=0.2) as listener, pytest.raises(SessionTimeoutError):
        print(next(listener))


# ---- refusals ------------------------------------------------------------------------------

REFUSALS = {
    "in its ack": frames.refusal("post_message", "s1", "too many turns"),
    "in an error": frames.error("too many turns", "post_message", "s1"),
    "in an error that names nothing": frames.error("too many turns"),
    "behind its ack": frames.error("too many turns", session_id="s1"),
}


@pytest.mark.parametrize("how", REFUSALS)
def test_a_refused_message_raises(engine: ScriptEngine, session: Session, how: str) -> None:
    told = [frames.ack("post_message", "s1")] * (how == "behind its ack") + [REFUSALS[how]]
    engine.on("post_message", lambda conn, frame: conn.send_many(told))
    for read in (lambda: session.ask("Hi", timeout=30), lambda: list(session.stream("Hi", timeout=30))):
        with pytest.raises(SessionError, match="refused the message: too many turns") as caught:
            read()
        assert caught.value.session_id == "s1"
    engine.on("post_message", lambda conn, frame: conn.send_many(turn()))
    assert session.ask("Hi", timeout=30).text == "Hello there"


# ---- time ----------------------------------------------------------------------------------


def test_a_turn_that_takes_too_long_is_told_in_time(engine: ScriptEngine, session: Session) -> None:
    script(engine, status("Processing"))
    began = time.monotonic()
    with pytest.raises(SessionTimeoutError, match=r"did not end within 0\.3 s") as caught:
        session.ask("Hi", timeout=0.3)
    assert 0.3 <= time.monotonic() - began < 20
    assert isinstance(caught.value, TimeoutError)


def test_after_a_timeout_the_turn_can_be_waited_for_again(engine: ScriptEngine, session: Session) -> None:
    script(engine, *turn(ack=None, complete=False, idle=False))
    with pytest.raises(SessionTimeoutError) as caught:
        session.ask("Hi", timeout=0.2)
    settle(session)
    late = caught.value.turn
    for _ in range(3):
        with pytest.raises(SessionTimeoutError) as again:
            late.result(0.05)
        assert again.value.turn is late
    engine.push_many(turn(ack=None)[3:])
    settle(session)
    assert kinds(late.result().events) == TURN
    # What it has read is kept for no listener.
    with session.listen(timeout=0.2) as listener, pytest.raises(SessionTimeoutError):
        next(listener)


@pytest.mark.parametrize("why", [SessionTimeoutError, KeyboardInterrupt])
def test_what_an_ask_leaves_that_did_not_end_is_not_lost_to_the_next_listener(
    engine: ScriptEngine, session: Session, why: type[BaseException]
) -> None:
    script(engine, *turn(ack=None, complete=False, idle=False))

    def post() -> None:
        engine.wait_for("post_message")
        settle(session)

    interrupted = interrupted_after(post) if why is KeyboardInterrupt else in_threads(post)
    with interrupted, pytest.raises(why) as caught:
        session.ask("Hi", timeout=0.3 if why is SessionTimeoutError else 60)
    engine.push_many(turn(ack=None)[3:])
    # The error is held all the while, as notebooks and debuggers do. The ack may have come before it.
    heard = [event for event in rest_of_turn(session) if event.type is not Type.MESSAGE_POSTED]
    assert kinds(heard) == TURN
    assert why is KeyboardInterrupt or caught.value.turn is not None
    engine.on("post_message", lambda conn, frame: conn.send_many(turn()))
    assert session.ask("Hi", timeout=30).text == "Hello there"


@pytest.mark.slow
def test_idle_timeout_bounds_the_wait_between_two_events(engine: ScriptEngine, session: Session) -> None:
    @engine.on("post_message")
    def dawdle(conn: Connection, frame: Received) -> None:
        for one in turn(pieces=list("abcdefgh")):
            conn.sleep(0.3)
            conn.send(one)

    assert session.ask("Hi", idle_timeout=3.0).text == "abcdefgh"
    script(engine, status("Processing"))
    with pytest.raises(SessionTimeoutError, match=r"nothing came within 0\.3 s") as caught:
        session.ask("Hi", idle_timeout=0.3, timeout=30)
    settle(session)
    engine.push_many(turn(ack=None)[1:])
    assert caught.value.turn.result().text == "Hello there"


def test_iteration_obeys_the_time_and_can_go_on(engine: ScriptEngine, session: Session) -> None:
    script(engine, status("Processing"))
    stream = session.stream("Hi", timeout=0.3)
    settle(session)  # what is there can be read, whatever the time
    assert next(stream).participant_status is ParticipantStatus.PROCESSING
    with pytest.raises(SessionTimeoutError):
        next(stream)
    engine.push_many(turn(ack=None)[1:])
    assert kinds(stream) == TURN[1:]


def test_the_time_of_a_call_covers_the_sending(engine: ScriptEngine, session: Session) -> None:
    engine.latest.stop_reading()
    began = time.monotonic()
    with pytest.raises((SessionTimeoutError, SessionDisconnectedError)):
        session.ask("x" * 16_000_000, timeout=0.5)
    assert time.monotonic() - began < 30
    engine.latest.resume_reading()


# ---- leaving a turn ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_what_a_turn_did_not_read_waits_for_the_next_listener(engine: ScriptEngine, session: Session, how: str) -> None:
    script(engine, *turn(ack=None, complete=False, idle=False))
    stream = session.stream("Hi", timeout=30)
    assert next(stream).participant_status is ParticipantStatus.PROCESSING
    settle(session)
    if how == "closed":
        with stream:
            pass
        assert list(stream) == []
        with pytest.raises(SessionDisconnectedError, match="the turn was closed"):
            stream.result()
    del stream
    gc.collect()
    engine.push_many(turn(ack=None)[3:])
    assert kinds(rest_of_turn(session)) == TURN[1:]


def test_an_open_listener_does_not_hear_twice_what_a_closed_turn_did_not_read(session: Session) -> None:
    with session.listen(timeout=0.3) as listener:
        session.stream("Hi", timeout=30).close()
        settle(session)
        assert kinds(next(listener) for _ in range(6)) == ["message_posted", *TURN]
        with pytest.raises(SessionTimeoutError):
            next(listener)


def test_leaving_ends_an_iteration(engine: ScriptEngine, session: Session) -> None:
    script(engine, status("Processing"))
    stream = session.stream("Hi")
    next(stream)
    with in_threads(session.disconnect):
        assert list(stream) == []
    with pytest.raises(SessionDisconnectedError, match="did not end before the session was disconnected"):
        stream.result()


def test_a_lost_link_is_told_after_what_had_come(engine: ScriptEngine, session: Session) -> None:
    script(engine, *turn(ack=None, complete=False, idle=False))
    stream = session.stream("Hi", timeout=30)
    seen = [next(stream) for _ in range(2)]
    engine.drop_all()
    with pytest.raises(SessionDisconnectedError, match="lost its connection"):
        seen.extend(iter(lambda: next(stream), None))
    assert kinds(seen) == TURN[:3]


def test_what_an_ask_had_received_when_the_link_broke_can_be_heard(engine: ScriptEngine, session: Session) -> None:
    script(engine, *turn(ack=None, complete=False, idle=False))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(session.ask, "Hi", timeout=30)
        engine.wait_for("post_message")
        settle(session)
        engine.drop_all()
        with pytest.raises(SessionDisconnectedError, match="lost its connection"):
            asked.result(30)
    heard: list[SessionEvent] = []
    with pytest.raises(SessionDisconnectedError):
        heard.extend(session.listen(timeout=30))
    assert kinds(heard) == TURN[:3]


def test_posting_in_a_loop_over_events_does_not_wait_for_that_loop(engine: ScriptEngine, session: Session) -> None:
    Toolbox(engine)
    session.send("one")
    texts = []
    for event in session.listen(timeout=30):
        if event.is_complete:
            texts.append(event.text)
            if len(texts) == 5:
                break
            assert session.get_messages(timeout=30) == []
            session.send("more")
    assert texts == ["one", "more", "more", "more", "more"]


def test_a_turn_may_be_read_on_another_thread_than_it_was_begun(session: Session) -> None:
    stream = session.stream("Hi", timeout=30)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(stream.result).result(30).text == "Hello there"
