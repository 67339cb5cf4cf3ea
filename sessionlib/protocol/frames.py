"""The frames of the protocol, both ways, as plain dicts.

From the official SDK (``vectorshift`` 0.1.15) and its documentation; what the embedded engine adds
is marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Frame = dict[str, Any]

# The types of the frames that only keep a session alive.
KEEPALIVE = frozenset({"ping_session", "pong"})

# ---- client to engine ----------------------------------------------------------------------


def create_session(object_type: str, object_id: str) -> Frame:
    """Asks for a new session with an agent or chatbot; answered by ``session_created``."""
    return {"type": "create_session", "object_type": object_type, "object_id": object_id}


def connect_session(session_id: str) -> Frame:
    """Joins a session; answered by its ack."""
    return {"type": "connect_session", "session_id": session_id}


def disconnect_session(session_id: str) -> Frame:
    """Leaves a session, which lives on; its ack is ignored by clients."""
    return {"type": "disconnect_session", "session_id": session_id}


def terminate_session(session_id: str) -> Frame:
    """Ends a session for good; its ack is ignored by clients."""
    return {"type": "terminate_session", "session_id": session_id}


def post_message(session_id: str, content: Any, parent_message_id: str | None = None) -> Frame:
    """Posts one content; answered by its ack."""
    frame = {"type": "post_message", "session_id": session_id, "content": content}
    # The official client leaves it out where an approval request has no id.
    if parent_message_id:
        frame["parent_message_id"] = parent_message_id
    return frame


def post_messages(session_id: str, messages: Sequence[Any]) -> Frame:
    """Posts several contents as one turn; answered by its ack."""
    return {"type": "post_messages", "session_id": session_id, "messages": list(messages)}


def with_response_format(post: Frame, name: str, schema: Frame) -> Frame:
    """Asks that the answer to a post fits a JSON schema; ours, for engines that name it among their ``features``."""
    return {**post, "response_format": {"name": name, "schema": schema}}


def get_messages(session_id: str, **part: Any) -> Frame:
    """Asks for the history; answered by ``get_messages`` with ``messages``.

    Args:
        session_id: The session.
        **part: Ours, for engines that name "history_parts" among their ``features``: at most ``limit`` messages, those
            behind the one of the id ``after``. The answer then has ``more``, which is true if the history goes on.
    """
    return {"type": "get_messages", "session_id": session_id, **part}


def ping_session(session_id: str) -> Frame:
    """Keeps a session alive; answered by ``pong``. The official client sends one every 5 s."""
    return {"type": "ping_session", "session_id": session_id}


def summarise(frame: Frame) -> tuple[str, ...]:
    """Returns what a post's contents can be recognised by in the history, without their bytes."""
    content = frame.get("content")
    # What stands in the history of a text is the text itself, whatever type it was sent with.
    if isinstance(content, str):  # as nearly every post is
        return (f"text:{content}",)
    return tuple([_summary(content) for content in frame.get("messages") or [content]])


def _summary(content: Any) -> str:
    if isinstance(content, str):
        return f"text:{content}"
    value = content.get("value") if isinstance(content, dict) else None
    if isinstance(value, str):
        return f"text:{value}"
    metadata = value.get("metadata") if isinstance(value, dict) else None
    # By its name, as the base64 of a file would have to be kept for as long as its turn runs.
    return f"file:{metadata['name']}" if isinstance(metadata, dict) and "name" in metadata else "other:"


# ---- engine to client ----------------------------------------------------------------------


def session_created(session_id: str) -> Frame:
    """Answers ``create_session``."""
    return {"type": "session_created", "session_id": session_id}


def ack(request_type: str, session_id: str, **facts: Any) -> Frame:
    """Answers a request of ``request_type`` that succeeded."""
    return {"type": request_type, "session_id": session_id, "success": True, **facts}


def refusal(request_type: str, session_id: str, error: str, **facts: Any) -> Frame:
    """Answers a request of ``request_type`` that failed."""
    return {"type": request_type, "session_id": session_id, "success": False, "error": error, **facts}


def history(session_id: str, messages: Sequence[Frame], **part: bool) -> Frame:
    """Answers ``get_messages``; with ``more`` if a part was asked for."""
    return {"type": "get_messages", "session_id": session_id, "messages": list(messages), **part}


def message_delta(session_id: str, message_id: str, index: int, value: str) -> Frame:
    """A delta of a message's text; ``index`` counts the deltas of one message from 0."""
    return {
        "type": "message_delta",
        "session_id": session_id,
        "message_id": message_id,
        "index": index,
        "value": value,
    }


def message_notification(session_id: str, message: Frame) -> Frame:
    """A message ``{id, session_id, sender, content}``, new or changed."""
    return {"type": "message_notification", "session_id": session_id, "message": message}


def participant_status(session_id: str, status: str, **facts: Any) -> Frame:
    """What the agent is doing."""
    return {"type": "participant_status", "session_id": session_id, "message": {"status": status, **facts}}


def pong(session_id: str) -> Frame:
    """Answers ``ping_session``."""
    return {"type": "pong", "session_id": session_id}


def error(message: str, request_type: str | None = None, session_id: str | None = None, **facts: Any) -> Frame:
    """Reports that a request, or the session, failed."""
    frame: Frame = {"type": "error", "error": message, "request_type": request_type, **facts}
    if session_id is not None:
        frame["session_id"] = session_id
    return frame
