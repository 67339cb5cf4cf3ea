"""Every frame of the protocol, and what makes an event or a message well-formed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from sessionlib import (
    MessageSender,
    ParticipantStatus,
    SessionEvent,
    SessionEventType,
    SessionMessage,
    SessionMessageRole,
    SessionMessageStatus,
)
from sessionlib.protocol import frames
from sessionlib.protocol.frames import Frame
from tests.support.turns import agent_message, notification, user_message

Type = SessionEventType

# ---- contents of a message_notification: its content, the event's type, the event's data -----


def _tool(kind: str, **facts: Any) -> Frame:
    return {"type": kind, "tool_name": "refund", "tool_id": "t1", **facts}


ARGUMENTS = {"order_id": "7", "amount": 1.5}
APPROVAL = _tool("tool_call_approval", tool_call_id="c1", arguments=ARGUMENTS)
REAUTHORIZATION = {"type": "reauthorization_request", "integration": "mail"}
SEARCH = {"type": "search_message", "query": "tea", "results": [{"url": "https://example.org"}]}
UNKNOWN = {"type": "hologram", "value": {"x": 1}}
TEXT = {"type": "data_type_message"}
PART = {"text": "Hel", "status": "streaming"}
THOUGHT = {"content": "Well...", "summary": "thinks"}
RESULT = {"tool_id": "t1", "tool_name": "refund", "tool_call_id": "c1", "status": "Complete", "output": "refunded"}

CONTENTS: dict[str, tuple[Frame, SessionEventType, Frame]] = {
    "complete": (
        {**TEXT, "status": "Complete", "value": "Hello"},
        Type.MESSAGE_COMPLETE,
        {"text": "Hello", "status": "complete"},
    ),
    "streaming": ({**TEXT, "status": "Streaming", "value": "Hel"}, Type.MESSAGE_STREAMING, PART),
    "no status": ({**TEXT, "value": "Hel"}, Type.MESSAGE_STREAMING, PART),
    "error_message": ({"type": "error_message", "error": "out of tea"}, Type.ERROR, {"error": "out of tea"}),
    "tool_call": (
        _tool("tool_call", status="Running"),
        Type.TOOL_CALL,
        {"tool_name": "refund", "tool_id": "t1", "status": "Running"},
    ),
    "thinking": ({"type": "thinking", **THOUGHT}, Type.THINKING, THOUGHT),
    "reasoning": ({"type": "reasoning", "value": "because"}, Type.THINKING, {"text": "because"}),
    "reasoning content": ({"type": "reasoning", "content": "because"}, Type.THINKING, {"text": "because"}),
    "tool_call_approval": (APPROVAL, Type.APPROVAL_REQUEST, dict(APPROVAL)),
    "reauthorization_request": (REAUTHORIZATION, Type.REAUTH_REQUEST, dict(REAUTHORIZATION)),
    "search_message": (SEARCH, Type.SEARCH_RESULT, dict(SEARCH)),
    "agent_task": ({"type": "agent_task", "value": "look it up"}, Type.MESSAGE_STREAMING, {"text": "look it up"}),
    "agent_task content": ({"type": "agent_task", "content": "look"}, Type.MESSAGE_STREAMING, {"text": "look"}),
    "unknown": (UNKNOWN, Type.MESSAGE_STREAMING, dict(UNKNOWN)),
}

# Ours: no frame of the hosted engine is known to become a TOOL_RESULT.
TOOL_RESULT = ({"type": "tool_result", **RESULT}, Type.TOOL_RESULT, {**RESULT, "result": "refunded"})


# ---- every frame from the engine: the frame, and the event it becomes ------------------------


def _whole(frame: Frame, event_type: SessionEventType) -> tuple[Frame, SessionEvent]:
    return frame, SessionEvent(event_type, "s1", None, frame)


def _told(frame: Frame, error: str, request_type: str | None) -> tuple[Frame, SessionEvent]:
    return frame, SessionEvent(Type.ERROR, "s1", None, {"error": error, "request_type": request_type})


FRAMES: dict[str, tuple[Frame, SessionEvent]] = {
    "session_created": _whole(frames.session_created("s1"), Type.SESSION_CREATED),
    "connect_session": _whole(frames.ack("connect_session", "s1"), Type.SESSION_CONNECTED),
    "message_delta": (
        frames.message_delta("s1", "m1", 3, "lo"),
        SessionEvent(Type.MESSAGE_DELTA, "s1", "m1", {"delta": "lo", "index": 3}),
    ),
    "post_message": _whole(frames.ack("post_message", "s1"), Type.MESSAGE_POSTED),
    "post_messages": _whole(frames.ack("post_messages", "s1"), Type.MESSAGES_POSTED),
    "pong": _whole(frames.pong("s1"), Type.PONG),
    "participant_status": (
        frames.participant_status("s1", "Processing"),
        SessionEvent(Type.PARTICIPANT_STATUS, "s1", None, {"status": "Processing"}),
    ),
    "error": _told(frames.error("no", "post_message", "s1"), "no", "post_message"),
    "error of nothing": _told({"type": "error", "session_id": "s1"}, "Unknown error", None),
    "connect_session refused": _told(
        frames.refusal("connect_session", "s1", "not yours"), "not yours", "connect_session"
    ),
    "post_message refused": _told(frames.refusal("post_message", "s1", "too fast"), "too fast", "post_message"),
    "post_messages refused": _told(
        {"type": "post_messages", "session_id": "s1", "success": False}, "post_messages failed", "post_messages"
    ),
}
for _name, (_content, _type, _data) in {**CONTENTS, "tool_result": TOOL_RESULT}.items():
    FRAMES[f"notification: {_name}"] = (notification("s1", "m1", _content), SessionEvent(_type, "s1", "m1", _data))

HISTORY = [
    user_message("s1", "m1", "Hello"),
    agent_message("s1", "m2", "Hello there"),
    agent_message("s1", "m3", {"type": "error_message", "error": "out of tea", "status": "Error"}),
    agent_message("s1", "m4", {"type": "tool_call", "tool_name": "refund", "status": "Complete"}),
]


# ---- wrong in every way ----------------------------------------------------------------------

_ABSENT = object()
WRONG: dict[str, Any] = {
    "absent": _ABSENT,
    "null": None,
    "str": "a string",
    "int": 7,
    "float": 0.5,
    "bool": True,
    "list": ["x"],
    "list of dicts": [{}],
    "dict": {"x": 1},
    "empty": "",
    "zero": 0,
    "empty list": [],
    "empty dict": {},
}


def damaged(frame: Frame) -> Iterator[tuple[str, Frame]]:
    """Gives a frame with each field, at any depth, replaced by a value of each kind, named by its path."""
    for path in _paths(frame):
        for kind, value in WRONG.items():
            yield f"{'.'.join(path)} {kind}", _with(frame, path, value)


def _paths(value: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*above, name)
            yield from _paths(inner, (*above, name))


def _with(frame: Frame, path: tuple[str, ...], value: Any) -> Frame:
    changed = copy.deepcopy(frame)
    holder = changed
    for name in path[:-1]:
        holder = holder[name]
    if value is _ABSENT:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return changed


# ---- well-formed -----------------------------------------------------------------------------


def assert_well_formed(event: SessionEvent) -> None:
    """Fails when something in an event is not of the type that it is declared to have."""
    assert isinstance(event.type, SessionEventType)
    assert isinstance(event.session_id, str)
    assert isinstance(event.message_id, (str, type(None)))
    assert isinstance(event.data, dict)
    for text in (event.delta, event.text, event.tool_name, event.error):
        assert isinstance(text, (str, type(None)))
    assert isinstance(event.status, (SessionMessageStatus, type(None)))
    assert isinstance(event.participant_status, (ParticipantStatus, type(None)))
    for flag in (event.is_complete, event.is_turn_end, event.requires_action):
        assert isinstance(flag, bool)


def assert_well_formed_message(message: SessionMessage) -> None:
    """Fails when something in a message of the history is not of the type that it is declared to have."""
    assert isinstance(message.sender, MessageSender)
    assert isinstance(message.sender.role, SessionMessageRole)
    for text in (message.id, message.session_id, message.content_type):
        assert isinstance(text, str)
    sender = message.sender
    for text_or_none in (message.text, sender.user_id, sender.object_id, sender.object_type):
        assert isinstance(text_or_none, (str, type(None)))
    assert isinstance(message.status, (SessionMessageStatus, type(None)))
    assert isinstance(message.raw, dict)
    assert isinstance(repr(message), str)


# ---- drawn at random -------------------------------------------------------------------------

# What both JSON readers keep as it is: integers of 64 bits, finite floats, text that is Unicode.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
json_objects = st.dictionaries(texts, json_values, max_size=5)

_FIELDS = sorted({name for frame, _ in FRAMES.values() for path in _paths(frame) for name in path})
_WORDS = sorted(
    {frame["type"] for frame, _ in FRAMES.values()}
    | {content["type"] for content, _, _ in CONTENTS.values()}
    | {"Complete", "Idle", "get_messages", "s1", "m1"}
)
# Frames that are nearly right: known fields and words in any place.
nearly_frames = st.dictionaries(
    st.sampled_from(_FIELDS),
    st.recursive(
        scalars | st.sampled_from(_WORDS),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=5),
        max_leaves=8,
    ),
    max_size=6,
)
