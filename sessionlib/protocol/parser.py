"""Frames from the engine and the events they become: one table for frames, one for contents.

From the official SDK (``vectorshift`` 0.1.15). A frame that is not an object, has no type, or has a
known field of the wrong type is a `SessionProtocolError`; unknown fields are kept, unknown content
types become MESSAGE_STREAMING, and unknown frame types are left to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sessionlib.errors import SessionProtocolError
from sessionlib.events import EventDraft, SessionEvent, SessionEventType, make_event
from sessionlib.protocol import codec
from sessionlib.protocol.frames import Frame

__all__ = [
    "END",
    "KNOWN_TYPES",
    "Frame",
    "HalfCharacterError",
    "Run",
    "check_frame",
    "join_halves",
    "parse_event",
    "parse_frame",
    "parse_run",
    "without_halves",
]

Type = SessionEventType

# Looked up once: see `sessionlib.events`.
_DELTA = Type.MESSAGE_DELTA
_STATUS = Type.PARTICIPANT_STATUS
_COMPLETE = Type.MESSAGE_COMPLETE
_NOTHING = object()
# Stands behind the last message; not None, which is a JSON value.
END = object()
_MISSING: dict[str, Any] = {}


class Run(NamedTuple):
    """Deltas of one message, one behind the other in a list of events.

    Attributes:
        start: Where in the list they begin.
        stop: Where in the list they have ended.
        message_id: The message.
        next_index: The index that the delta behind them has.
        length: The length of their text.
    """

    start: int
    stop: int
    message_id: str
    next_index: int
    length: int


def parse_run(
    messages: Iterator[codec.Payload], session_id: str, events: list[SessionEvent]
) -> tuple[Run | None, object]:
    """Reads text messages for as long as they are deltas of one message of this session; the hot path.

    Args:
        messages: The payloads.
        session_id: The session.
        events: What the deltas are appended to.

    Returns:
        What was appended, if anything, and what stood behind it: the JSON value of a message that is
        no such delta, or does not follow the one before it, the SessionProtocolError of one that is no JSON, or `END`.
    """
    # Local names: each look-up of a global would be paid for every delta.
    loads, append, draft, event_class, delta = codec.bare_loads, events.append, EventDraft, SessionEvent, _DELTA
    start, length = len(events), 0
    run_id: Any = _NOTHING
    expected: Any = _NOTHING
    behind: object = END
    for message in messages:
        try:
            frame = loads(message)
            # Whatever does not look exactly like a delta is left to the plain path, which reports why.
            if frame["type"] != "message_delta" or frame["session_id"] != session_id:
                behind = frame
                break
            message_id, value = frame["message_id"], frame["value"]
            # Deltas of one message nearly always come in a row, and a run has one id; another one ends it.
            if message_id != run_id:
                if run_id is not _NOTHING or message_id.__class__ is not str:
                    behind = frame
                    break
                run_id = message_id
            if value.__class__ is not str:
                behind = frame
                break
            index = frame["index"]
            if index != expected:
                # The first of them sets the count; without one there is nothing to follow.
                if expected is not _NOTHING or index.__class__ is not int:
                    behind = frame
                    break
                expected = index
            expected += 1
        except (KeyError, TypeError):
            behind = frame
            break
        except (ValueError, RecursionError):
            behind = _unreadable(message)
            break
        event = draft()
        event.type = delta
        event.session_id = session_id
        event.message_id = message_id
        event.data = {"delta": value, "index": index}
        # Frozen from here on, without a call of its constructor; see `sessionlib.events`.
        event.__class__ = event_class  # type: ignore[assignment]
        append(event)  # type: ignore[arg-type]
        length += len(value)
    stop = len(events)
    if stop == start:
        return None, behind
    return Run(start, stop, run_id, expected, length), behind


def parse_frame(data: codec.Payload) -> Frame:
    """Returns the frame in a text message.

    Args:
        data: The message's payload.

    Raises:
        SessionProtocolError: It is not UTF-8, not JSON, no object, or has no ``type``.
    """
    try:
        return check_frame(codec.bare_loads(data))
    except (ValueError, RecursionError) as error:
        raise _unreadable(data) from error


def check_frame(frame: object) -> Frame:
    """Returns a JSON value if it is a frame.

    Raises:
        SessionProtocolError: It is no object or has no ``type``.
    """
    # A JSON parser makes no subclasses, so comparing classes is `isinstance` without the call.
    if frame.__class__ is not dict or frame.get("type").__class__ is not str:
        raise SessionProtocolError("the engine sent a frame that is not an object with a type")
    return frame


def parse_event(frame: Frame, session_id: str) -> SessionEvent | None:
    """Returns the event that a frame becomes.

    Args:
        frame: The frame, as `parse_frame` returns it.
        session_id: The session's own id, for frames that name none.

    Returns:
        The event, or None for frames that become none (`KNOWN_TYPES` distinguishes them from unknown ones).

    Raises:
        SessionProtocolError: A known field has the wrong type.
    """
    frame_type = frame["type"]
    make = _FRAMES.get(frame_type)
    if make is None:
        return None
    # The protocol lets an engine leave it out, and the connection has one session.
    owner = frame.get("session_id") or session_id
    if owner.__class__ is not str:
        raise _wrong(f"{frame_type}.session_id", "a string", owner)
    return make(frame, owner)


class HalfCharacterError(SessionProtocolError):
    """A frame holds half of a character: legal JSON, of which the next delta may bring the other half.

    Gateways that count UTF-16 units split an emoji into two halves of a surrogate pair, which strict parsers refuse.

    Attributes:
        frame: The frame, with the half in it.
    """

    def __init__(self, frame: object) -> None:
        super().__init__("the engine sent half a character")
        self.frame = frame


def join_halves(text: str) -> str:
    """Joins halves of characters that stand side by side; what stays half becomes U+FFFD."""
    # In UTF-16 the two halves of a pair are one character again.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def without_halves(value: Any) -> Any:
    """Returns a JSON value in which no text holds half a character."""
    if isinstance(value, str):
        return join_halves(value)
    if isinstance(value, list):
        return [without_halves(item) for item in value]
    if isinstance(value, dict):
        return {join_halves(name): without_halves(item) for name, item in value.items()}
    return value


def _unreadable(data: codec.Payload) -> SessionProtocolError:
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError:
        return SessionProtocolError("the engine sent a text message that is not UTF-8", close_code=1007)
    frame = codec.loads_with_halves(text)
    if frame is not None:
        return HalfCharacterError(frame)
    return SessionProtocolError("the engine sent a text message that is not JSON")


def _wrong(path: str, wanted: str, got: object) -> SessionProtocolError:
    return SessionProtocolError(f"the engine sent {path} as {type(got).__name__} where {wanted} belongs")


# ---- frames --------------------------------------------------------------------------------


def _delta(frame: Frame, session_id: str) -> SessionEvent:
    value = frame.get("value")
    message_id = frame.get("message_id")
    if value.__class__ is not str:
        raise _wrong("message_delta.value", "a string", value)
    if message_id.__class__ is not str and message_id is not None:
        raise _wrong("message_delta.message_id", "a string", message_id)
    return make_event(_DELTA, session_id, message_id, {"delta": value, "index": frame.get("index")})


def _whole(event_type: Type) -> Callable[[Frame, str], SessionEvent]:
    return lambda frame, session_id: make_event(event_type, session_id, None, frame)


def _acknowledged(event_type: Type) -> Callable[[Frame, str], SessionEvent]:
    def make(frame: Frame, session_id: str) -> SessionEvent:
        # Only an explicit false refuses: an ack without the field is one.
        if frame.get("success") is not False:
            return make_event(event_type, session_id, None, frame)
        # What an engine adds, such as a code, is kept: users find it in `data`.
        more = {name: value for name, value in frame.items() if name not in ("type", "session_id", "success")}
        details = _error_text(frame.get("error"), f"{frame['type']} failed")
        return make_event(Type.ERROR, session_id, None, {**more, "error": details, "request_type": frame["type"]})

    return make


def _status(frame: Frame, session_id: str) -> SessionEvent:
    message = frame.get("message", _MISSING)
    if message.__class__ is not dict:
        raise _wrong("participant_status.message", "an object", message)
    return make_event(_STATUS, session_id, None, message)


def _error(frame: Frame, session_id: str) -> SessionEvent:
    request_type = frame.get("request_type")
    if request_type is not None and not isinstance(request_type, str):
        raise _wrong("error.request_type", "a string", request_type)
    more = {name: value for name, value in frame.items() if name not in ("type", "session_id")}
    details = {**more, "error": _error_text(frame.get("error")), "request_type": request_type}
    return make_event(Type.ERROR, session_id, None, details)


def _notification(frame: Frame, session_id: str) -> SessionEvent:
    message = frame.get("message", _MISSING)
    if message.__class__ is not dict:
        raise _wrong("message_notification.message", "an object", message)
    content = message.get("content", _MISSING)
    if content.__class__ is not dict:
        raise _wrong("message.content", "an object", content)
    message_id = message.get("id")
    if message_id is not None and not isinstance(message_id, str):
        raise _wrong("message.id", "a string", message_id)
    content_type = content.get("type")
    # An unknown content is something new that the message has, which is no reason to lose it or to end.
    make = _CONTENTS.get(content_type) if isinstance(content_type, str) else None
    event_type, data = make(content) if make else (Type.MESSAGE_STREAMING, content)
    return make_event(event_type, session_id, message_id, data)


def _error_text(details: object, otherwise: str = "Unknown error") -> str:
    if details is None or details == "":
        return otherwise
    # Some errors are objects. `data["error"]` is text, so that it can be shown as it is.
    return details if isinstance(details, str) else codec.dumps(details).decode()


_FRAMES: dict[str, Callable[[Frame, str], SessionEvent]] = {
    "message_delta": _delta,
    "message_notification": _notification,
    "participant_status": _status,
    "session_created": _whole(Type.SESSION_CREATED),
    "connect_session": _acknowledged(Type.SESSION_CONNECTED),
    "post_message": _acknowledged(Type.MESSAGE_POSTED),
    "post_messages": _acknowledged(Type.MESSAGES_POSTED),
    "pong": _whole(Type.PONG),
    "error": _error,
}

# Those that become an event whatever else is in them, and answer no call.
EVENT_FRAMES = {name: make for name, make in _FRAMES.items() if name != "error"}

# The three that are added answer requests and become no event.
KNOWN_TYPES = frozenset({*_FRAMES, "get_messages", "disconnect_session", "terminate_session"})

# ---- contents of a message_notification ------------------------------------------------------

Read = tuple[Type, Frame]


def _text_message(content: Frame) -> Read:
    value = content.get("value")
    # Exactly this word ends a message; with any other status, or none, more of it may come.
    if content.get("status") == "Complete":
        return _COMPLETE, {"text": value, "status": "complete"}
    return Type.MESSAGE_STREAMING, {"text": value, "status": "streaming"}


def _tool_result(content: Frame) -> Read:
    # An engine may send the outcome under either name, and the platform's published examples read "result".
    outcome = content.get("output", content.get("result"))
    facts = _fields(content, "tool_id", "tool_name", "tool_call_id", "status")
    return Type.TOOL_RESULT, {**facts, "output": outcome, "result": content.get("result", outcome)}


def _fields(content: Frame, *names: str) -> Frame:
    # The named fields are always there; what else the content carries comes along, but its type.
    return {**dict.fromkeys(names), **{name: value for name, value in content.items() if name != "type"}}


def _text_or_content(content: Frame) -> Frame:
    return {"text": content.get("value") or content.get("content")}


def _reasoning(content: Frame) -> Read:
    data = _text_or_content(content)
    if content.get("status") == "Streaming":  # a part, which the whole follows
        data.update(status="streaming", index=content.get("index"))
    return Type.THINKING, data


_CONTENTS: dict[str, Callable[[Frame], Read]] = {
    "data_type_message": _text_message,
    "error_message": lambda content: (Type.ERROR, {"error": _error_text(content.get("error"))}),
    "tool_call": lambda content: (Type.TOOL_CALL, _fields(content, "tool_name", "tool_id", "status")),
    "tool_result": _tool_result,
    "thinking": lambda content: (Type.THINKING, _fields(content, "content", "summary")),
    "reasoning": _reasoning,
    "tool_call_approval": lambda content: (Type.APPROVAL_REQUEST, content),
    "reauthorization_request": lambda content: (Type.REAUTH_REQUEST, content),
    "search_message": lambda content: (Type.SEARCH_RESULT, content),
    "agent_task": lambda content: (Type.MESSAGE_STREAMING, _text_or_content(content)),
}
