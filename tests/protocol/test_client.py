"""The client's side of a session, without I/O: joining, calls, decoding, and what a history adds."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from sessionlib import SessionError, SessionEvent, SessionProtocolError, SessionState, SessionTerminatedError
from sessionlib.protocol import frames
from sessionlib.protocol.client import ClientProtocol, PendingCall, PendingCalls, Received, may_follow
from sessionlib.protocol.parser import parse_event
from sessionlib.protocol.turns import PendingPost
from tests.support.script_engine import agent_message, notification, text_content, user_message
from tests.support.secrets import LogWatch

Frame = dict[str, Any]

# ---- joining -----------------------------------------------------------------------------------


JOIN = {"type": "join_session", "session_id": "s1"}


@pytest.mark.parametrize(
    ("frame", "at_first", "again"),
    [
        ({"type": "join_session", "success": True}, False, False),
        ({"type": "join_session", "success": False, "error": "no"}, SessionError, SessionError),
        ({"type": "join_session", "success": False, "code": "session_terminated"}, *(SessionTerminatedError,) * 2),
        ({"type": "post_message", "success": False, "error": "no"}, False, False),
        ({"type": "error", "error": "no"}, SessionError, False),
        ({"type": "error", "error": "no", "request_type": "join_session"}, SessionError, SessionError),
        ({"type": "error", "error": "no", "request_type": "post_message"}, False, False),
        ({"type": "session_connected", "session_id": "s1", "features": ["parts", 5]}, True, True),
    ],
)
def test_what_answers_the_request_to_join(frame: Frame, at_first: Any, again: Any) -> None:
    for expected, is_again in ((at_first, False), (again, True)):
        protocol = ClientProtocol("s1")
        if isinstance(expected, bool):
            assert protocol.match_join(frame, JOIN, "session_connected", again=is_again) is expected
            assert protocol.features == ({"parts"} if expected else set())
        else:
            with pytest.raises(SessionError) as raised:
                protocol.match_join(frame, JOIN, "session_connected", again=is_again)
            assert type(raised.value) is expected


CREATE = frames.create_session("agent", "a1")


def test_a_created_session_has_the_id_that_the_engine_gives_it() -> None:
    protocol = ClientProtocol(None)
    assert protocol.recovery.session_id == ""
    assert protocol.match_join({"type": "session_created", "session_id": "s7"}, CREATE, "session_created")
    assert (protocol.known_id, protocol.recovery.session_id) == ("s7", "s7")
    # It keeps that: an ack names the session as the engine sees it, or not at all.
    assert protocol.match_join({"type": "connect_session", "session_id": "s8"}, CREATE, "connect_session")
    assert protocol.session_id == "s7"


@pytest.mark.parametrize("session_id", [{}, {"session_id": None}, {"session_id": ""}, {"session_id": 7}])
def test_a_created_session_without_an_id_is_an_error(session_id: Frame) -> None:
    protocol = ClientProtocol(None)
    with pytest.raises(SessionProtocolError, match="without an id"):
        protocol.match_join({"type": "session_created", **session_id}, CREATE, "session_created")
    assert protocol.session_id is None


@pytest.mark.parametrize(
    ("session_id", "error", "message"),
    [
        (None, {"error": "no tea"}, "refused create_session for agent a1: no tea"),
        (None, {}, "refused create_session for agent a1: it gave no reason"),
        ("s1", {"error": ""}, "refused create_session for s1: it gave no reason"),
    ],
)
def test_a_refusal_names_what_was_refused(session_id: str | None, error: Frame, message: str) -> None:
    frame = {"type": "create_session", "success": False, **error}
    with pytest.raises(SessionError, match=message) as raised:
        ClientProtocol(session_id).match_join(frame, CREATE, "session_created")
    assert raised.value.session_id == session_id
    for refusal in (raised.value, pickle.loads(pickle.dumps(raised.value))):
        assert refusal.engine_reason == message.rpartition(": ")[2]
    assert SessionError("lost").engine_reason is None


@pytest.mark.parametrize("session_id", [None, "s1"])
def test_only_a_session_that_was_created_here_has_no_other_client_and_no_past(session_id: str | None) -> None:
    protocol = ClientProtocol(session_id)
    assert protocol.history_too_large is False
    assert protocol.features == frozenset()
    post = PendingPost()
    protocol.turns.post(post)
    event = parse_event(frames.participant_status("s1", "Processing"), "s1")
    owners, _ = protocol.turns.follow(event)
    assert list(owners) == ([post] if session_id is None else [])
    missed = ClientProtocol(session_id).rejoined(None, [agent_message("s1", "m0", "before")], ())
    assert [event.text for event in missed.events if event.is_complete] == (["before"] if session_id is None else [])


# ---- states ----------------------------------------------------------------------------------


def test_which_states_may_follow_which() -> None:
    following = {
        state.value: {other.value for other in SessionState if may_follow(state, other)} for state in SessionState
    }
    assert following == {
        "connecting": {"connected", "disconnected", "terminated"},
        "connected": {"reconnecting", "disconnected", "terminated"},
        "reconnecting": {"connected", "disconnected", "terminated"},
        "disconnected": {"connecting"},
        "terminated": set(),
    }


# ---- calls -------------------------------------------------------------------------------------


def test_calls_are_answered_in_their_order_and_late_answers_are_dropped() -> None:
    calls = PendingCalls("get_messages")
    assert not calls.is_waited_for("get_messages")
    done: list[str] = []
    first, second = (PendingCall("get_messages", lambda name=name: done.append(name)) for name in ("first", "second"))
    for call in (first, second):
        calls.begin(call)
    assert calls.is_waited_for("get_messages")
    calls.end(first, has_left=True)
    assert calls.match(frames.history("s1", [])) is True  # late
    assert calls.match({"type": "get_messages", "success": False}) is second
    assert (second.reply, second.error, first.reply, first.error) == (None, "it gave no reason", None, None)
    assert not calls.is_waited_for("get_messages")
    calls.end(second, has_left=True)  # its answer has come, and none is to be expected
    third = PendingCall("get_messages", list)
    calls.begin(third)
    assert calls.match(frames.history("s1", [])) is third


def test_a_call_that_did_not_leave_expects_no_answer() -> None:
    calls = PendingCalls("get_messages")
    first, second = (PendingCall("get_messages", list) for _ in range(2))
    calls.begin(first)
    calls.end(first, has_left=False)
    assert not calls.is_waited_for("get_messages")
    calls.begin(second)
    assert calls.match(frames.error("no", "get_messages")) is second
    assert second.error == "no"


def test_a_new_connection_owes_the_answers_of_those_that_wait_to_none() -> None:
    calls = PendingCalls("get_messages")
    first, second = (PendingCall("get_messages", list) for _ in range(2))
    for call in (first, second):
        calls.begin(call)
    calls.end(first, has_left=True)
    assert calls.clear() == [second]
    assert calls.clear() == []
    assert calls.match(frames.history("s1", [])) is True
    assert calls.match(frames.error("no", "get_messages")) is False
    assert calls.match(frames.pong("s1")) is None
    assert calls.match(frames.error("no", "post_message")) is None


FIRST = frames.get_messages("s1")
BEHIND = frames.get_messages("s1", limit=1000, after="m9")


@pytest.mark.parametrize(
    ("reply", "request_frame"),
    [
        ({"messages": [{"id": "m8"}, {"id": "m9"}], "more": True}, BEHIND),
        ({"messages": [{"id": "m9"}], "more": 1}, None),
        ({"messages": [{"id": "m9"}], "more": False}, None),
        ({"messages": [{"id": "m9"}]}, None),
        ({"messages": [], "more": True}, None),
        ({"messages": {"id": "m9"}, "more": True}, None),
        ({"more": True}, None),
        ({"messages": ["m9"], "more": True}, None),
        ({"messages": [{"id": 9}], "more": True}, None),
    ],
)
def test_a_history_is_asked_for_until_its_last_part(reply: Frame, request_frame: Frame | None) -> None:
    protocol = ClientProtocol("s1")
    assert protocol.history_request() == FIRST
    assert protocol.history_request(reply) == request_frame
    protocol.features = frozenset({"history_parts"})
    assert protocol.history_request() == {**FIRST, "limit": 1000}


# ---- what a history adds -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("is_idle", "live", "is_quiet", "added"),
    [
        (True, "", False, "tea ~Idle"),
        (False, "", False, "tea"),
        (None, "", False, "tea"),
        (None, "", True, "tea ~Idle"),
        # It was made when these had been sent, unless the engine is idle and only repeats them.
        (None, "m", True, "~Idle"),
        (True, "m", False, "tea ~Idle"),
        # An idle engine has begun another turn then.
        (True, "S", False, "tea ~Idle"),
        (True, "Sm", False, "~Idle"),
        # What goes on shows by itself.
        (None, "S", True, "tea"),
        (False, "S", True, "tea"),
    ],
)
def test_what_is_missing_depends_on_what_has_come(is_idle: bool | None, live: str, is_quiet: bool, added: str) -> None:
    protocol = ClientProtocol(None)
    protocol.match_join({"type": "session_created", "session_id": "s1"}, CREATE, "session_created")
    begun = parse_event(frames.participant_status("s1", "Processing"), "s1")
    protocol.turns.follow(begun)
    come = {"m": notification("s1", "m1", text_content("tea")), "S": frames.participant_status("s1", "Typing")}
    events = [event for event in (parse_event(come[letter], "s1") for letter in live) if event is not None]
    history = [user_message("s1", "u1", "hi"), agent_message("s1", "m1", "tea")]
    found = protocol.rejoined(is_idle, history, events, is_quiet=is_quiet).events
    assert " ".join(event.text or f"~{event.data['status']}" for event in found) == added


# ---- decoding ----------------------------------------------------------------------------------


def decoded(protocol: ClientProtocol, *messages: Frame) -> list[Received]:
    received: list[Received] = []
    protocol.decode([json.dumps(message).encode() for message in messages], received)
    return received


def deltas(*texts: str, message_id: str | None = "m1", begin: int = 0) -> list[Frame]:
    frame = frames.message_delta("s1", "", 0, "")
    return [{**frame, "message_id": message_id, "index": begin + at, "value": text} for at, text in enumerate(texts)]


def texts_of(received: list[Received]) -> list[str | None]:
    return [event.delta for events, _, _ in received for event in events]


@pytest.mark.parametrize("count", [7, 8, 40])
def test_deltas_that_come_together_are_known_to_be_of_one_message(count: int) -> None:
    ((events, runs, frame),) = decoded(ClientProtocol("s1"), *deltas(*"x" * count))
    assert ([event.delta for event in events], frame) == (["x"] * count, None)
    assert [tuple(run) for run in runs] == ([(0, count, "m1", count, count)] if count >= 8 else [])


@pytest.mark.parametrize("count", [2, 9])
@pytest.mark.parametrize("answer", [frames.history("s1", []), frames.error("no", "get_messages")], ids=["it", "error"])
def test_what_may_answer_a_call_stands_behind_what_came_before_it(answer: Frame, count: int) -> None:
    texts = [str(at) for at in range(count)]
    received = decoded(
        ClientProtocol("s1"), *deltas(*texts), answer, *deltas(*texts, begin=count), frames.error("no", "x")
    )
    assert [frame for _, _, frame in received] == [answer, None]
    assert [len(events) for events, _, _ in received] == [count, count + 1]
    assert [[(run.start, run.stop) for run in runs] for _, runs, _ in received] == [[(0, count)] * (count > 2)] * 2


@pytest.mark.parametrize("burst", [0, 8])
def test_an_unknown_frame_is_reported_once_and_one_of_another_session_is_dropped(
    burst: int, log_watch: LogWatch
) -> None:
    protocol = ClientProtocol("s1")
    odd = [{"type": "hologram"}, {"type": "hologram"}, frames.pong("s2"), frames.pong("s1"), {"type": "pong"}]
    ((events, _, _),) = decoded(protocol, *odd, *deltas(*"x" * burst))
    assert [event.type.name for event in events] == ["PONG", "PONG"] + ["MESSAGE_DELTA"] * burst
    decoded(protocol, {"type": "hologram"}, {"type": "disconnect_session"})
    assert sum("unknown type" in line for line in log_watch.lines) == 1
    ((events, _, _),) = decoded(ClientProtocol(None), frames.pong("s2"))
    assert [event.session_id for event in events] == ["s2"]


HALVES: dict[str, tuple[list[Frame], list[str]]] = {
    "an emoji in two parts": (deltas("a\ud83d", "\ude00b"), ["a", "😀b"]),
    "the first of all pairs": (deltas("\ud800", "\udc00"), ["", "\U00010000"]),
    "the last of all pairs": (deltas("\udbff", "\udfff"), ["", "\U0010ffff"]),
    "two second halves": (deltas("\udc00", "\udc00"), ["\ufffd", "\ufffd"]),
    "two first halves": (deltas("\ud83d", "\ud83d", "\ude00"), ["", "\ufffd", "😀"]),
    "what is no half": (deltas("\ud7ff", "\ue000"), ["\ud7ff", "\ue000"]),
    "nothing between": (deltas("\ud83d", "", "\ude00"), ["", "", "😀"]),
    "a whole one that follows": (deltas("\ud83d", "b"), ["", "\ufffdb"]),
    "another message between": (
        [*deltas("\ud83d"), *deltas("\ude00", message_id="m2"), *deltas("\ude00", begin=1)],
        ["", "\ufffd", "😀"],
    ),
    "a message without an id": (deltas("\ud83d", "\ude00", message_id=None), ["\ufffd", "\ufffd"]),
    "a pong between": ([*deltas("\ud83d"), {**frames.pong("s1"), "x": "\ud83d"}, *deltas("\ude00")], ["", "😀"]),
    "its whole text between": (
        [*deltas("\ud83d"), notification("s1", "m1", text_content("\ud83d")), *deltas("\ude00")],
        ["", "\ufffd"],
    ),
}


@pytest.mark.parametrize("before", [0, 9])
@pytest.mark.parametrize("name", HALVES)
def test_half_a_character_waits_for_its_other_half(name: str, before: int) -> None:
    messages, texts = HALVES[name]
    start = deltas(*"." * before, message_id="m0")
    for reads in ([[*start, *messages]], [start, *([message] for message in messages)]):
        protocol = ClientProtocol("s1")
        received = [part for read in reads for part in decoded(protocol, *read)]
        assert [text for text in texts_of(received)[before:] if text is not None] == texts
        for events, _, _ in received:
            assert all(isinstance(json.dumps(event.data, ensure_ascii=False).encode(), bytes) for event in events)


def test_halves_anywhere_else_are_replaced() -> None:
    frame = {"type": "post_message", "session_id": "s1", "\ud83d": ["\ude00", {"x": "\ud83d\ude00"}, 7]}
    ((events, _, _),) = decoded(ClientProtocol("s1"), frame)
    assert events == [
        SessionEvent(
            events[0].type,
            "s1",
            None,
            {"type": "post_message", "session_id": "s1", "\ufffd": ["\ufffd", {"x": "😀"}, 7]},
        )
    ]


def test_deltas_behind_a_half_are_of_one_message_again() -> None:
    protocol = ClientProtocol("s1")
    decoded(protocol, *deltas("\ud83d"))
    # The half belongs to the first of these; only behind it may the rest be read together.
    ((events, runs, _),) = decoded(protocol, *deltas("\ude00", *"x" * 9, begin=1))
    assert [event.delta for event in events] == ["😀", *"x" * 9]
    assert runs == []
    ((_, runs, _),) = decoded(protocol, *deltas(*"x" * 9, begin=11))
    assert [(run.start, run.stop) for run in runs] == [(0, 9)]
