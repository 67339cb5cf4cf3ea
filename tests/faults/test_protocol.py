"""Peers that break the protocol: what is refused, with which code, and what the session makes of it."""

from __future__ import annotations

import itertools
import json
import random
import threading
from functools import partial

import pytest

from sessionlib import MessageTooLargeError, SessionDisconnectedError, SessionError, SessionProtocolError
from sessionlib.errors import SessionTimeoutError
from sessionlib.protocol import frames
from sessionlib.protocol.frames import Frame
from tests.support.fuzzing import RAW
from tests.support.script_engine import Connection, Received, ScriptEngine
from tests.support.sessions import created, make
from tests.support.threads import in_threads
from tests.support.turns import agent_message, notification, text_content, turn, user_message
from tests.support.waiting import eventually, within
from tests.support.ws_bytes import text_frame

NOT_UTF8 = [
    b"\xff", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xfe", b"\x80", b"\xbf", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98",
    b"\xc3\x28", b"\xe2\x28\xa1", b"\xe2\x82\x28", b"\xf0\x28\x8c\xbc", b"\xf0\x90\x28\xbc", b"\xf8\x88\x80\x80\x80",
]  # fmt: skip

NOT_FRAMES = [
    b"", b" ", b"{", b"}", b"nope", b'{"type":"pong"} x', b"\xef\xbb\xbf{}", b"[]", b"[1]", b"1", b"null", b'"x"',
    b"true", b"{}", b'{"type":1}', b'{"type":null}', b'{"type":[]}', b'{"type":{}}', b'{"type":"pong","x":NaN}',
    b'{"type":"pong","x":Infinity}', b"[" * 100_000,
    b'{"type":"message_delta"}', b'{"type":"message_delta","value":1}',
    b'{"type":"message_notification","message":[]}', b'{"type":"pong","session_id":7}',
]  # fmt: skip


def assert_refused(engine: ScriptEngine, data: bytes, code: int) -> None:
    """Fails unless a frame is answered with a close code, told, and followed by a link that works."""
    with make(engine) as session, session.listen(event_types=["error"], timeout=30) as listener:
        engine.push_raw(data)
        assert str(next(listener).error).startswith("illegal frame")
        engine.wait_connected(2)
        assert session.get_messages(timeout=30) == []
        assert engine.wait_for("ws:close")[0]["payload"][:2] == code.to_bytes(2, "big")


@pytest.mark.parametrize("payload", NOT_FRAMES, ids=lambda payload: repr(payload[:30]))
def test_what_is_no_frame_is_told_and_costs_one_link(engine: ScriptEngine, payload: bytes) -> None:
    assert_refused(engine, text_frame(payload), 1002)


@pytest.mark.parametrize("payload", NOT_UTF8)
def test_what_is_not_utf8_is_told_and_costs_one_link(engine: ScriptEngine, payload: bytes) -> None:
    assert_refused(engine, text_frame(b'{"type":"pong","x":"' + payload + b'"}'), 1007)


def test_the_third_illegal_frame_within_a_minute_ends_the_session(engine: ScriptEngine) -> None:
    with make(engine) as session:
        for number in range(1, 4):
            engine.wait_connected(number)
            engine.wait_for("connect_session", number)
            engine.latest.send_text(b"no")
        with pytest.raises(SessionDisconnectedError) as caught:
            list(session.listen(timeout=30))
        assert isinstance(caught.value.__cause__, SessionProtocolError)
        assert len(engine.handshakes) == 3


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (text_frame(b"x", opcode=2), 1003),
        (text_frame(b"{}", opcode=11), 1002),  # all further ones: `transport.test_conformance`
    ],
    ids=["binary", "opcode 11"],
)
def test_what_websockets_do_not_allow_ends_the_session(engine: ScriptEngine, data: bytes, code: int) -> None:
    with make(engine) as session:
        engine.push_raw(data)
        with pytest.raises(SessionDisconnectedError) as caught:
            list(session.listen(timeout=30))
        assert isinstance(caught.value.__cause__, SessionProtocolError)
        assert engine.wait_for("ws:close")[0]["payload"][:2] == code.to_bytes(2, "big")
        assert len(engine.handshakes) == 1


def sized(size: int) -> bytes:
    """A message of exactly so many bytes."""
    empty = json.dumps(notification("s1", "m1", text_content(""))).encode()
    return json.dumps(notification("s1", "m1", text_content("x" * (size - len(empty))))).encode()


@pytest.mark.parametrize(
    "data",
    [
        text_frame(sized(100_001)),
        text_frame(b"", declared=2**63, length_form=64),
        text_frame(b"x" * 10, fin=False) + text_frame(b"x" * 10, opcode=0, fin=False) * 10_000,
    ],
    ids=["one more", "2^63", "in fragments"],
)
def test_a_message_that_is_too_large_is_refused_before_it_is_read(engine: ScriptEngine, data: bytes) -> None:
    with make(engine, max_message_size=100_000) as session, within(2):
        engine.push_raw(data)
        with pytest.raises(SessionDisconnectedError) as caught:
            list(session.listen(timeout=30))
        assert isinstance(caught.value.__cause__, MessageTooLargeError)
        assert engine.wait_for("ws:close")[0]["payload"][:2] == (1009).to_bytes(2, "big")


def test_frames_of_other_sessions_go_to_nobody(engine: ScriptEngine) -> None:
    with make(engine) as session, session.listen(maxsize=0, timeout=30) as listener:
        strangers = [frame for number in range(200) for frame in turn("s2", f"m{number}")]
        assert len(strangers) > 1000
        engine.push_many([*strangers, frames.pong("s1")])
        assert next(listener).type == "pong"


def test_acks_nobody_waits_for_answer_nothing(engine: ScriptEngine) -> None:
    with make(engine) as session:
        for _ in range(1000):
            engine.push(frames.history("s1", [user_message("s1", "u1", "of nobody's")]))
        engine.push(frames.participant_status("s1", "Unheard of"))
        next(session.listen(event_types=["participant_status"], timeout=30))  # by now all of them have come
        assert session.get_messages(timeout=30) == []
        engine.push(frames.ack("post_message", "s1"))
        engine.on("post_message", lambda conn, frame: conn.send_many(turn()))
        assert session.ask("hi", timeout=30).text == "Hello there"


def test_a_thousand_calls_get_their_own_answers_though_these_come_in_any_order(engine: ScriptEngine, seed: int) -> None:
    """Frames carry no request ids: calls of one type take turns, those of other types go between them."""
    draw, waiting, asked = random.Random(seed), threading.Semaphore(0), itertools.count()
    unanswered: list[tuple[Connection, list[Frame]]] = []

    def leave(conn: Connection, answer: list[Frame]) -> None:
        unanswered.append((conn, answer))
        waiting.release()

    def answer_in_any_order() -> None:
        for _ in range(1000 + 200):
            waiting.acquire()
            draw.shuffle(unanswered)
            conn, answer = unanswered.pop()
            conn.send_many(answer)

    def numbered(conn: Connection, frame: Received) -> None:
        leave(conn, [frames.history("s1", [user_message("s1", str(next(asked)), "")])])

    engine.on("get_messages", numbered)
    engine.on("post_message", lambda conn, frame: leave(conn, turn(message_id=frame["content"], pieces=["x"])))
    got: list[list[int]] = [[] for _ in range(20)]
    with make(engine) as session, session.listen(maxsize=0, event_types=["message_complete"], timeout=30) as heard:

        def call(mine: list[int], number: int) -> None:
            for at in range(50):
                mine.append(int(session.get_messages(timeout=30)[0].id))
                if at % 5 == 0:
                    session.send(f"{number}/{at}")

        with in_threads(answer_in_any_order, *(partial(call, mine, number) for number, mine in enumerate(got))):
            pass
        posted = {next(heard).message_id for _ in range(200)}
    assert sorted(itertools.chain(*got)) == list(range(1000))
    assert all(mine == sorted(mine) for mine in got)
    assert posted == {f"{number}/{at}" for number in range(20) for at in range(0, 50, 5)}


@pytest.mark.parametrize("status", ["Dreaming", "Processing", ""])
def test_a_status_that_never_ends_holds_nobody_longer_than_the_timeout(engine: ScriptEngine, status: str) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_many(turn(idle=False)))
    with make(engine) as session, session.listen(timeout=30) as listener:
        engine.push(frames.participant_status("s1", status))
        assert next(listener).data["status"] == status
        with pytest.raises(SessionTimeoutError), within(0.2):
            session.ask("hi", timeout=0.2)
        assert session.get_messages(timeout=30) == []


@pytest.mark.parametrize("request_type", ["create_session", "connect_session", None])
def test_an_error_while_joining_is_raised_at_once(engine: ScriptEngine, request_type: str | None) -> None:
    refused = request_type or "connect_session"
    engine.on(refused, lambda conn, frame: conn.send(frames.error("no such agent", request_type)))
    session = make(engine, session_id=None, owner_type="agent", owner_id="a1")
    with pytest.raises(SessionError, match="no such agent"), within(0.05):
        session.connect(30)


def test_a_delta_after_the_end_and_a_repeated_one_do_not_change_the_text(engine: ScriptEngine) -> None:
    told = turn(idle=False)
    extra = [frames.message_delta("s1", "m1", 1, " there"), frames.message_delta("s1", "m1", 7, "!")]
    engine.on("post_message", lambda conn, frame: conn.send_many([*told, *extra, *turn(ack=None)[-1:]]))
    with make(engine) as session:
        assert session.ask("hi", timeout=30).text == "Hello there"


def test_pieces_that_are_missing_after_a_cut_are_put_in_from_the_whole(engine: ScriptEngine) -> None:
    """The engine goes on with piece 2 after piece 0; piece 1 went down with the link."""
    pieces = ["Al", "pha ", "bet"]

    def post(conn: Connection, frame: Received) -> None:
        engine.history = [user_message("s1", "u1", "hi")]
        conn.send_many(turn("s1", "m1", pieces, complete=False, idle=False)[:3])
        conn.drop()

    engine.on("post_message", post)
    with created(engine) as session:
        running = session.stream("hi", timeout=30)
        engine.wait_connected(2)
        engine.wait_for("get_messages")
        rest = [frames.message_delta("s1", "m1", 2, "bet"), *turn("s1", "m1", pieces, ack=None)[-2:]]
        engine.push_many(rest)
        reply = running.result()
        assert reply.text == "Alpha bet" == "".join(event.delta or "" for event in reply.events)


@pytest.mark.parametrize("answers", [["first", "second"], ["first"]])
def test_two_turns_that_both_ended_meanwhile_are_both_ended(engine: ScriptEngine, answers: list[str]) -> None:
    def post(conn: Connection, frame: Received) -> None:
        conn.send(frames.ack("post_message", "s1"))
        if frame.number == 2:
            engine.history = [user_message("s1", "u1", "one"), user_message("s1", "u2", "two")]
            engine.history += [agent_message("s1", f"m{at}", text) for at, text in enumerate(answers)]
            conn.drop()

    engine.on("post_message", post)
    engine.on("connect_session", lambda conn, frame: conn.send(frames.ack("connect_session", "s1", status="Idle")))
    with created(engine) as session:
        first, second = session.stream("one", timeout=30), session.stream("two", timeout=30)
        replies = [first.result(), second.result()]
        # One answer behind both is the answer to both.
        assert [reply.text for reply in replies] == [answers[0], answers[-1]]
        assert [reply.shared_with for reply in replies] == [2 - len(answers)] * 2


def test_an_approval_that_was_answered_meanwhile_is_not_asked_again(engine: ScriptEngine) -> None:
    asked = {"type": "tool_call_approval", "tool_name": "refund", "tool_call_id": "c1"}

    def post(conn: Connection, frame: Received) -> None:
        conn.send_many(turn(complete=False, idle=False)[:2])
        engine.history = [
            user_message("s1", "u1", "hi"),
            agent_message("s1", "r1", {**asked, "status": "approved"}),
            agent_message("s1", "r2", {**asked, "tool_call_id": "c2", "status": "pending"}),
        ]
        conn.drop()

    def join(conn: Connection, frame: Received) -> None:
        conn.answer(frame)
        if conn.number == 2:
            conn.send(frames.participant_status("s1", "AwaitingApproval"))
            conn.send(notification("s1", "r2", {**asked, "tool_call_id": "c2", "status": "pending"}))

    engine.on("post_message", post)
    engine.on("connect_session", join)
    with created(engine) as session:
        running = session.stream("hi", timeout=30, on_approval=lambda request: None)
        requests = []
        for event in running:
            requests += [event.message_id] if event.type == "approval_request" else []
            if event.participant_status == "AwaitingApproval":
                break
        engine.push_many(turn(ack=None)[-2:])
        requests += [event.message_id for event in running if event.type == "approval_request"]
    assert requests == ["r2"]


@pytest.mark.parametrize("payload", RAW, ids=lambda payload: repr(payload[:20]))
def test_odd_json_never_breaks_the_session(engine: ScriptEngine, payload: bytes) -> None:
    with make(engine) as session:
        engine.push_raw(text_frame(payload))
        engine.push_raw(text_frame(frames.pong("s1")))
        assert eventually(lambda: session.state == "connected")
        assert session.get_messages(timeout=30) == []
