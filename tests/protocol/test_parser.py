"""Bytes into frames, frames into events: the protocol's tables, row by row, and all that is not in them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessionlib import ParticipantStatus, SessionEvent, SessionEventType, SessionProtocolError
from sessionlib.protocol import codec, frames
from sessionlib.protocol.parser import END, KNOWN_TYPES, parse_event, parse_frame, parse_run
from tests.support.script_engine import notification
from tests.support.shapes import FRAMES, assert_well_formed, damaged, json_objects, json_values, nearly_frames

Type = SessionEventType


@pytest.fixture(params=["orjson", "standard library"])
def either_codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test with each of the two JSON readers."""
    if request.param == "standard library":
        monkeypatch.setattr(codec, "bare_loads", codec._standard_loads)
    return str(request.param)


def event_of(frame: Any, session_id: str = "s1") -> SessionEvent | None:
    return parse_event(parse_frame(json.dumps(frame).encode()), session_id)


# ---- every frame of the protocol ---------------------------------------------------------------


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_becomes_its_event(name: str) -> None:
    frame, event = FRAMES[name]
    assert event_of(frame) == event


@pytest.mark.parametrize("name", FRAMES)
def test_an_event_is_what_its_type_says(name: str) -> None:
    event = event_of(FRAMES[name][0])
    assert_well_formed(event)
    told = {"delta": event.delta, "text": event.text, "tool_name": event.tool_name, "error": event.error}
    mine = {
        Type.MESSAGE_DELTA: {"delta"},
        Type.MESSAGE_COMPLETE: {"text"},
        Type.TOOL_CALL: {"tool_name"},
        Type.ERROR: {"error"},
    }
    assert {field for field, value in told.items() if value is not None} == mine.get(event.type, set())
    assert event.is_complete == (event.type is Type.MESSAGE_COMPLETE)
    assert event.requires_action == (event.type in (Type.APPROVAL_REQUEST, Type.REAUTH_REQUEST))
    assert (event.participant_status is not None) == (event.type is Type.PARTICIPANT_STATUS)


def test_the_tables_reach_every_type_of_event() -> None:
    assert {event.type for _, event in FRAMES.values()} == set(SessionEventType)


@pytest.mark.parametrize("kind", ["get_messages", "disconnect_session", "terminate_session"])
def test_a_known_frame_that_is_no_event(kind: str) -> None:
    assert event_of({"type": kind, "session_id": "s1", "success": True, "messages": []}) is None
    assert kind in KNOWN_TYPES


def test_an_unknown_type_of_frame_is_left_to_the_caller() -> None:
    assert event_of({"type": "hologram", "session_id": 7}) is None
    assert "hologram" not in KNOWN_TYPES


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_that_names_no_session_belongs_to_this_one(name: str) -> None:
    frame, event = FRAMES[name]
    without = {field: value for field, value in frame.items() if field != "session_id"}
    found = event_of(without, "mine")
    assert (found.type, found.session_id, found.message_id) == (event.type, "mine", event.message_id)


@pytest.mark.parametrize("name", FRAMES)
def test_unknown_fields_are_kept_or_at_least_harmless(name: str) -> None:
    frame, event = FRAMES[name]
    found = event_of({**frame, "new_field": [1, {"a": None}]})
    assert (found.type, found.message_id) == (event.type, event.message_id)
    assert found.data.items() >= event.data.items()


@pytest.mark.parametrize("kind", ["connect_session", "post_message", "post_messages"])
@pytest.mark.parametrize("success", [{}, {"success": None}, {"success": 0}])
def test_an_ack_that_does_not_say_that_it_failed_did_not(kind: str, success: dict[str, Any]) -> None:
    event = event_of({"type": kind, "session_id": "s1", **success})
    assert event.type is FRAMES[kind][1].type


def test_unknown_fields_of_a_tool_call_are_kept() -> None:
    content = {"type": "tool_call", "tool_name": "f", "arguments": {"x": 1}}
    event = event_of(notification("s1", "m1", content))
    assert event.data == {"tool_name": "f", "tool_id": None, "status": None, "arguments": {"x": 1}}


@pytest.mark.parametrize("status", list(ParticipantStatus))
def test_every_status_of_a_participant(status: ParticipantStatus) -> None:
    event = event_of(frames.participant_status("s1", status.value))
    assert event.participant_status is status
    assert event.is_turn_end == (status is ParticipantStatus.IDLE)
    assert event.requires_action == (status is ParticipantStatus.AWAITING_APPROVAL)


def test_an_unknown_status_of_a_participant_is_kept_as_text() -> None:
    event = event_of(frames.participant_status("s1", "Daydreaming"))
    assert (event.participant_status, event.data["status"]) == (None, "Daydreaming")


@pytest.mark.parametrize("told", [{"code": 7}, ["a", "b"], 404, True])
def test_an_error_that_is_no_text_becomes_its_json(told: Any) -> None:
    for frame in (
        {"type": "error", "error": told},
        {"type": "post_message", "success": False, "error": told},
        notification("s1", "m1", {"type": "error_message", "error": told}),
    ):
        event = event_of(frame)
        assert event.type is Type.ERROR
        assert json.loads(event.error or "") == told


# ---- what is not in the tables -----------------------------------------------------------------


@pytest.mark.parametrize("name", FRAMES)
def test_a_field_of_any_kind_gives_an_event_or_a_typed_error(name: str) -> None:
    outcomes = {path: outcome_of(frame) for path, frame in damaged(FRAMES[name][0])}
    assert {"type absent", "type null", "type int"} <= {path for path, told in outcomes.items() if is_error(told)}
    assert any(isinstance(told, SessionEvent) for told in outcomes.values())
    for told in outcomes.values():
        if isinstance(told, SessionEvent):
            assert_well_formed(told)


@given(nearly_frames)
def test_frames_that_are_nearly_right_give_an_event_or_a_typed_error(frame: dict[str, Any]) -> None:
    told = outcome_of(frame)
    if isinstance(told, SessionEvent):
        assert_well_formed(told)


def outcome_of(frame: Any) -> SessionEvent | SessionProtocolError | None:
    try:
        return event_of(frame)
    except SessionProtocolError as error:
        return error


def is_error(told: object) -> bool:
    return isinstance(told, SessionProtocolError) and told.close_code == 1002


UNREADABLE = {
    "nothing": b"",
    "a space": b" ",
    "half an object": b'{"type": "pong"',
    "two objects": b'{"type": "pong"}{"type": "pong"}',
    "more behind it": b'{"type": "pong"} x',
    "a byte order mark": b'\xef\xbb\xbf{"type": "pong"}',
    "single quotes": b"{'type': 'pong'}",
    "NaN": b'{"type": "pong", "x": NaN}',
    "Infinity": b'{"type": "pong", "x": -Infinity}',
    "a number that is infinite": b'{"type": "pong", "x": -1e999}',
    "half a surrogate pair": b'{"type": "pong", "x": "\\ud83d."}',
    "the other half, in a name": b'{"type": "pong", "\\uDE00": 1}',
    "a whole number that is infinite": b'{"type": "pong", "x": ' + b"9" * 309 + b"}",
    "a number of 5,000 digits": b'{"type": "pong", "x": ' + b"9" * 5000 + b"}",
    "deep arrays": b'{"type": "pong", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"type": "pong", "x": ' + b'{"x":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    "a raw control character": b'{"type": "pong\x00"}',
    "a cut UTF-8 character": b'{"type": "pong", "x": "\xe2\x82"}',
    "an overlong UTF-8 character": b'{"type": "pong", "x": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"type": "pong", "x": "\xed\xa0\x80"}',
    "beyond U+10FFFF": b'{"type": "pong", "x": "\xf5\x80\x80\x80"}',
    "latin-1": '{"type": "pöng"}'.encode("latin-1"),
    "an array": b"[]",
    "a number": b"1",
    "null": b"null",
    "a text": b'"pong"',
    "true": b"true",
    "no type": b"{}",
    "null for a type": b'{"type": null}',
    "a number for a type": b'{"type": 7}',
    "a list for a type": b'{"type": ["pong"]}',
    "an object for a type": b'{"type": {"type": "pong"}}',
}


@pytest.mark.usefixtures("either_codec")
@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_frame_is_a_protocol_error(name: str) -> None:
    with pytest.raises(SessionProtocolError) as caught:
        parse_frame(UNREADABLE[name])
    # The message goes into logs: nothing that the peer or the user said may be in it.
    assert "pong" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.usefixtures("either_codec")
def test_what_is_a_frame_though_it_looks_odd() -> None:
    assert parse_frame(b' {"type":"a","type":"pong"}\n')["type"] == "pong"
    assert parse_frame(b'{"type":"\\u0070ong","x":"\\u0000\\ud83d\\ude00"}') == {"type": "pong", "x": "\0😀"}
    assert parse_frame(b'{"type":"pong","x":' + b"[" * 64 + b"]" * 64 + b"}")["type"] == "pong"


@given(st.binary(max_size=200))
@example(b'{"type":"error","error":"\\udc80"}')
def test_any_bytes_are_a_frame_or_a_protocol_error(data: bytes) -> None:
    try:
        frame = parse_frame(data)
    except SessionProtocolError:
        return
    assert isinstance(frame["type"], str)


# ---- JSON --------------------------------------------------------------------------------------


@given(json_values)
def test_what_is_written_is_read_back(value: Any) -> None:
    text = codec.dumps(value)
    assert codec.loads(text) == value
    assert codec._standard_loads(text) == value


@given(json_objects)
def test_both_readers_agree(value: dict[str, Any]) -> None:
    # Spaces and escapes as an engine in another language may write them.
    text = json.dumps(value, indent=1).encode()
    assert codec.loads(text) == codec._standard_loads(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "\ud800", {"x": ["\udfff"]}])
def test_what_json_cannot_hold_is_not_written(value: Any) -> None:
    with pytest.raises(ValueError):
        codec.dumps(value)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), {(1, 2): 3}])
def test_what_has_no_json_form_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        codec.dumps(value)


def test_a_value_within_itself_is_not_written() -> None:
    circle: list[Any] = []
    circle.append(circle)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (circle, deep):
        with pytest.raises(ValueError):
            codec.dumps(value)
    while deep:  # taken apart by hand: freeing it in one go is the interpreter's affair
        deep = deep[0]


def test_the_package_works_without_orjson() -> None:
    code = (
        "import sys; sys.modules['orjson'] = None; from sessionlib.protocol import codec; "
        "assert codec.bare_loads is codec._standard_loads; assert codec.loads(b'[1]') == [1]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("names", [("output",), ("result",), ("output", "result")])
def test_the_outcome_of_a_tool_has_both_its_names(names: tuple[str, ...]) -> None:
    content = {"type": "tool_result", "tool_name": "refund", **{name: {"ok": True} for name in names}}
    event = event_of(notification("s1", "m1", content))
    assert event.data["output"] == event.data["result"] == {"ok": True}


@pytest.mark.parametrize("odd", [{"message_id": 5}, {"value": 5}, {"index": "0"}, {"session_id": "s2"}, {"type": "x"}])
def test_what_only_looks_like_a_delta_is_left_to_the_plain_way(odd: dict[str, Any]) -> None:
    frame = {**frames.message_delta("s1", "m1", 0, "a"), **odd}
    events: list[SessionEvent] = []
    assert parse_run(iter([json.dumps(frame).encode()]), "s1", events) == (None, frame)
    assert events == []


_ODD: list[bytes] = [
    *(
        json.dumps({**frames.message_delta("s1", "m1", 2, "x"), **odd}).encode()
        for odd in ({"message_id": "m2"}, {"value": 5}, {"index": 3}, {"session_id": "s2"}, {"type": "x"})
    ),
    *(b'{"type":"message_delta"}', b"[]", b"7", b"{", b"\xff", b'{"type":"x","x":"\\ud83d"}'),
]


@pytest.mark.parametrize("odd", _ODD)
def test_a_run_ends_with_the_first_message_that_does_not_follow(odd: bytes) -> None:
    deltas = [codec.dumps(frames.message_delta("s1", "m1", index, "ab")) for index in range(4)]
    left = iter([*deltas[:2], odd, *deltas[2:]])
    events: list[SessionEvent] = []
    run, behind = parse_run(left, "s1", events)
    assert (run and tuple(run), [event.data["index"] for event in events]) == ((0, 2, "m1", 2, 4), [0, 1])
    assert list(left) == deltas[2:]
    if not isinstance(behind, SessionProtocolError):
        assert behind == json.loads(odd)
    assert parse_run(iter([]), "s1", events) == (None, END)


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ({"type": "pong", "session_id": 7}, "pong.session_id as int where a string"),
        ({"type": "error", "request_type": 7}, "error.request_type as int where a string"),
        ({"type": "message_delta", "value": None}, "message_delta.value as NoneType where a string"),
        ({"type": "message_delta", "value": "", "message_id": 7}, "message_delta.message_id as int where a string"),
        ({"type": "participant_status", "message": []}, "participant_status.message as list where an object"),
        ({"type": "message_notification", "message": ""}, "message_notification.message as str where an object"),
        ({"type": "message_notification", "message": {"content": 1.5}}, "message.content as float where an object"),
        ({"type": "message_notification", "message": {"content": {}, "id": 7}}, "message.id as int where a string"),
    ],
)
def test_a_known_field_of_the_wrong_type_is_named(frame: frames.Frame, field: str) -> None:
    with pytest.raises(SessionProtocolError, match=f"the engine sent {field} belongs"):
        event_of(frame)


@pytest.mark.usefixtures("either_codec")
def test_what_ends_the_connection_has_its_code() -> None:
    for data, code in ((b"\xff", 1007), (b"{", 1002), (b"[]", 1002)):
        with pytest.raises(SessionProtocolError) as raised:
            parse_frame(data)
        assert raised.value.close_code == code


@pytest.mark.usefixtures("either_codec")
def test_text_that_is_nested_too_deeply_is_no_json() -> None:
    with pytest.raises(ValueError):
        codec.loads(b"[" * 100_000 + b"]" * 100_000)


def test_text_is_written_as_it_is_and_numbers_are_held_to_a_double() -> None:
    assert codec.dumps({"x": "ü😀"}) == codec.dumps_checked({"x": "ü😀"}) == '{"x":"ü😀"}'.encode()
    assert codec.dumps_checked([10**300]) == codec.dumps([10**300])
    with pytest.raises(ValueError):
        codec.dumps_checked([10**309])
