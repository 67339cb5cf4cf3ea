"""Events and messages as values: what they tell, and how they travel as dicts, JSON, schemas and pickles."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib import (
    ApprovalResponse,
    MessageSender,
    ParticipantStatus,
    SessionEvent,
    SessionEventType,
    SessionMessage,
    SessionMessageRole,
    SessionMessageStatus,
    UserSessionMessage,
)
from tests.support.script_engine import agent_message, text_content, user_message
from tests.support.shapes import HISTORY, assert_well_formed_message, damaged, json_objects, nearly_frames, texts

# ---- models at random --------------------------------------------------------------------------

maybe_text = st.none() | texts
senders = st.builds(MessageSender, st.sampled_from(SessionMessageRole), maybe_text, maybe_text, maybe_text)
messages = st.builds(
    SessionMessage,
    texts,
    texts,
    senders,
    texts,
    maybe_text,
    st.none() | st.sampled_from(SessionMessageStatus),
    json_objects,
)
events = st.builds(SessionEvent, st.sampled_from(SessionEventType), texts, maybe_text, json_objects)
user_messages = st.builds(UserSessionMessage, maybe_text, st.none(), maybe_text, maybe_text, st.none() | json_objects)
approvals = st.builds(ApprovalResponse, st.booleans(), st.none() | json_objects, maybe_text)
models = events | senders | messages | user_messages | approvals


# ---- how they travel ---------------------------------------------------------------------------


@given(models)
def test_dicts_and_json_round_trip(model: Any) -> None:
    kind = type(model)
    assert kind.from_dict(model.to_dict()) == model
    assert kind.from_json(model.to_json()) == model
    assert json.loads(model.to_json()) == json.loads(json.dumps(model.to_dict(encode_json=True)))


@given(models)
def test_pickles_and_copies_round_trip(model: Any) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(model, protocol)) == model
    assert copy.copy(model) == model
    assert copy.deepcopy(model) == model


MODELS = {
    SessionEvent: events,
    MessageSender: senders,
    SessionMessage: messages,
    UserSessionMessage: user_messages,
    ApprovalResponse: approvals,
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_schema_loads_what_it_dumps(kind: Any) -> None:
    with warnings.catch_warnings():
        # By means that marshmallow deprecates; RemovedInMarshmallow4Warning is such a warning.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="`Field` should not be instantiated")
        warnings.filterwarnings("ignore", message="Unknown type .* at (UserSessionMessage|ApprovalResponse)")
        schema, many = kind.schema(), kind.schema(many=True)

    @given(MODELS[kind])
    def check(model: Any) -> None:
        assert schema.load(schema.dump(model)) == model
        assert schema.loads(schema.dumps(model)) == model
        assert many.loads(many.dumps([model, model])) == [model, model]

    check()


def test_a_damaged_dict_is_an_ordinary_error() -> None:
    with pytest.raises(KeyError):
        SessionEvent.from_dict({"session_id": "s1"})
    with pytest.raises(ValueError):
        SessionEvent.from_dict({"type": "hologram", "session_id": "s1"})
    with pytest.raises(ValueError):
        SessionEvent.from_json("{")
    with pytest.raises(TypeError, match="not list"):
        SessionMessage.from_dict([])


# ---- events ------------------------------------------------------------------------------------


def test_an_event_can_be_neither_changed_nor_extended() -> None:
    event = SessionEvent(SessionEventType.PONG, "s1")
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.session_id = "s2"  # type: ignore[misc]
    assert not hasattr(event, "__dict__")
    event.data["x"] = 1
    assert SessionEvent(SessionEventType.PONG, "s1").data == {}


def test_events_compare_and_hash_by_what_they_say() -> None:
    one, same = (SessionEvent(SessionEventType.PONG, "s1", None, {"a": [1]}) for _ in "12")
    assert one == same
    assert hash(one) == hash(same)
    assert one != SessionEvent(SessionEventType.PONG, "s1", None, {"a": [2]})
    assert one != SessionEvent(SessionEventType.PONG, "s2", None, {"a": [1]})
    assert dataclasses.replace(one, message_id="m1") == SessionEvent(SessionEventType.PONG, "s1", "m1", {"a": [1]})


@pytest.mark.parametrize("kind", list(SessionEventType))
def test_a_property_is_empty_where_it_does_not_belong(kind: SessionEventType) -> None:
    data = {"delta": "d", "text": "t", "tool_name": "n", "error": "e", "status": "Idle"}
    event = SessionEvent(kind, "s1", "m1", data)
    assert (event.delta == "d", event.delta is None) == (kind == "message_delta", kind != "message_delta")
    assert (event.text == "t", event.text is None) == (kind == "message_complete", kind != "message_complete")
    assert (event.tool_name == "n", event.tool_name is None) == (kind == "tool_call", kind != "tool_call")
    assert (event.error == "e", event.error is None) == (kind == "error", kind != "error")
    assert event.is_complete == (kind == "message_complete")
    assert event.is_turn_end == (kind == "participant_status")
    assert event.requires_action == (kind in ("approval_request", "reauth_request"))
    assert event.status is None


def test_an_answer_that_is_no_text_reads_as_text() -> None:
    def text(value: Any) -> str | None:
        return SessionEvent(SessionEventType.MESSAGE_COMPLETE, "s1", "m1", {"text": value}).text

    assert (text(7), text(""), text(None), text({"x": 1})) == ("7", "", None, "{'x': 1}")


@pytest.mark.parametrize("name", [None, 7, ["refund"], {"name": "refund"}])
def test_a_tool_without_a_readable_name(name: Any) -> None:
    assert SessionEvent(SessionEventType.TOOL_CALL, "s1", "m1", {"tool_name": name}).tool_name is None


@pytest.mark.parametrize("status", list(SessionMessageStatus))
def test_the_status_of_a_message_event(status: SessionMessageStatus) -> None:
    event = SessionEvent(SessionEventType.MESSAGE_STREAMING, "s1", "m1", {"status": status.value})
    assert event.status is status


@pytest.mark.parametrize("raw", [None, 7, ["Idle"], {"Idle": 1}, "", "idle"])
def test_a_status_that_is_none_of_the_known_ones(raw: Any) -> None:
    event = SessionEvent(SessionEventType.PARTICIPANT_STATUS, "s1", None, {"status": raw})
    assert (event.status, event.participant_status, event.is_turn_end) == (None, None, False)


def test_enums_are_strings_and_print_as_their_value() -> None:
    assert f"{SessionEventType.TOOL_CALL} {SessionEventType.TOOL_CALL!s}" == "tool_call tool_call"
    assert SessionEventType.TOOL_CALL == "tool_call"
    assert f"{ParticipantStatus.AWAITING_APPROVAL:>17}" == " AwaitingApproval"
    assert json.dumps(SessionMessageRole.USER) == '"user"'


# ---- messages of the history -------------------------------------------------------------------


def test_who_sent_a_message() -> None:
    by_user, by_agent = SessionMessage.from_dict(HISTORY[0]), SessionMessage.from_dict(HISTORY[1])
    by_nobody = SessionMessage.from_dict({**HISTORY[0], "sender": {}})
    assert (by_user.is_user, by_user.is_agent, by_user.sender.user_id) == (True, False, "u1")
    assert (by_agent.is_user, by_agent.is_agent) == (False, True)
    assert (by_agent.sender.object_id, by_agent.sender.object_type) == ("a1", "agent")
    assert (by_nobody.is_user, by_nobody.is_agent) == (False, False)
    assert by_nobody.sender == MessageSender(SessionMessageRole.UNKNOWN)
    assert SessionMessage.from_dict({**HISTORY[0], "sender": None}).sender == by_nobody.sender


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"type": "data_type_message", "value": "Hello"}, "Hello"),
        ({"type": "data_type_message", "value": 7}, "7"),
        ({"type": "data_type_message", "value": ""}, ""),
        ({"type": "data_type_message"}, None),
        ({"type": "error_message", "error": "out of tea"}, "out of tea"),
        ({"type": "thinking", "content": "Well..."}, "Well..."),
        ({"type": "tool_call", "tool_name": "refund"}, "refund"),
        ({"type": "tool_call", "tool_name": "refund", "content": "refunds"}, "refunds"),
        ({"type": "agent_task", "content": "look it up"}, "look it up"),
        ({"type": "search_message", "content": "not a text"}, None),
        ({"type": "hologram", "value": "x"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_the_text_of_a_message(content: dict[str, Any], text: str | None) -> None:
    message = SessionMessage.from_dict(agent_message("s1", "m1", content))
    assert (message.text, message.content_type) == (text, content.get("type", ""))


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("Complete", SessionMessageStatus.COMPLETE),
        ("streaming", SessionMessageStatus.STREAMING),
        ("ERROR", SessionMessageStatus.ERROR),
        ("Paused", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_the_status_of_a_message(raw: Any, status: SessionMessageStatus | None) -> None:
    content = {"type": "data_type_message", "value": "x", "status": raw}
    assert SessionMessage.from_dict(agent_message("s1", "m1", content)).status is status


def test_a_message_keeps_all_that_came() -> None:
    raw = {**user_message("s1", "m1", text_content("Hello")), "created_at": "today"}
    message = SessionMessage.from_dict(raw)
    assert message.raw == raw
    assert message.raw is not raw
    assert repr(message) == "SessionMessage(role='user', text='Hello', status=complete)"
    assert len(repr(SessionMessage.from_dict(user_message("s1", "m1", "x" * 10_000)))) < 200
    plain = SessionMessage.from_dict({**raw, "content": "Hello"})
    assert (plain.content_type, plain.text, plain.raw["content"]) == ("", None, "Hello")


@pytest.mark.parametrize("at", range(len(HISTORY)))
def test_a_field_of_any_kind_gives_a_message_that_is_well_formed(at: int) -> None:
    for path, raw in damaged(HISTORY[at]):
        message = SessionMessage.from_dict(raw)
        assert_well_formed_message(message)
        assert message.raw == raw, path


@given(nearly_frames)
def test_a_message_that_is_nearly_right_is_well_formed(raw: dict[str, Any]) -> None:
    assert_well_formed_message(SessionMessage.from_dict(raw))


def test_unknown_fields_that_look_like_ours_are_only_kept() -> None:
    raw = {**HISTORY[1], "content_type": "markdown", "sender": {"object_id": "a1", "role": "assistant"}}
    message = SessionMessage.from_dict(raw)
    assert (message.is_agent, message.text, message.content_type) == (True, "Hello there", "data_type_message")
