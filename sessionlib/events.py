"""What a session emits: events, messages of the history, and the enums in them.

Names and values are those of the official async SDK (``vectorshift`` 0.1.15).
"""

# Annotations are real objects here (no ``from __future__ import annotations``), because
# dataclasses-json makes marshmallow schemas only from those.

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from sessionlib._util.models import JsonModel, StrEnum

__all__ = [
    "EventDraft",
    "MessageSender",
    "ParticipantStatus",
    "SessionEvent",
    "SessionEventType",
    "SessionMessage",
    "SessionMessageRole",
    "SessionMessageStatus",
]


class SessionEventType(StrEnum):
    """The kinds of event that a session emits; the values are those of the official SDK (``vectorshift`` 0.1.15).

    Most come of a ``message_notification`` frame, by the type of its content, which is named here in parentheses.

    Attributes:
        MESSAGE_DELTA: A chunk of an answer's text, in `SessionEvent.delta` (frame ``message_delta``).
        MESSAGE_COMPLETE: A whole text, in `SessionEvent.text` (``data_type_message`` with the status "Complete").
        MESSAGE_STREAMING: An answer's state without a new chunk (``data_type_message`` with any other status,
            ``agent_task``, and every type that this version does not know).
        TOOL_CALL: The state of a tool call: ``data`` has ``tool_name``, ``tool_id`` and ``status``, and usually
            ``tool_call_id`` and ``arguments`` (``tool_call``).
        TOOL_RESULT: What a tool returned: ``data`` has ``tool_name``, ``tool_call_id``, ``status`` and ``output``
            (``tool_result``). The embedded engine sends it; the hosted one is not known to.
        THINKING: The model's reasoning: ``data`` has ``content`` and ``summary`` (``thinking``), or ``text``
            (``reasoning``). Parts of it that come while the model thinks have the status "streaming" and an ``index``;
            the whole, with ``content``, follows them under the same ``message_id``.
        SEARCH_RESULT: What a search found (``search_message``).
        APPROVAL_REQUEST: A tool may only run once it is approved; the turn waits (``tool_call_approval``).
        REAUTH_REQUEST: An integration needs a new authorisation; the turn waits (``reauthorization_request``).
        ERROR: The engine or the agent reported an error, in `SessionEvent.error` (``error_message``; frame ``error``;
            a frame with ``success: false``), or this client dropped or could not read something.
        PARTICIPANT_STATUS: The agent's state has changed; Idle ends a turn (frame of that name).
        SESSION_CREATED: The engine has created the session (frame of that name).
        SESSION_CONNECTED: This connection has joined the session (frame ``connect_session``).
        MESSAGE_POSTED: The engine has accepted a post (frame ``post_message``).
        MESSAGES_POSTED: The engine has accepted a batch (frame ``post_messages``).
        PONG: The answer to a keepalive (frame of that name).
    """

    MESSAGE_DELTA = "message_delta"
    MESSAGE_COMPLETE = "message_complete"
    MESSAGE_STREAMING = "message_streaming"
    TOOL_CALL = "tool_call"
    # In the SDK's enum, though no frame of the hosted engine is known to become one; the embedded engine sends it.
    TOOL_RESULT = "tool_result"
    THINKING = "thinking"
    SEARCH_RESULT = "search_result"
    APPROVAL_REQUEST = "approval_request"
    REAUTH_REQUEST = "reauth_request"
    ERROR = "error"
    PARTICIPANT_STATUS = "participant_status"
    SESSION_CREATED = "session_created"
    SESSION_CONNECTED = "session_connected"
    MESSAGE_POSTED = "message_posted"
    MESSAGES_POSTED = "messages_posted"
    PONG = "pong"


class ParticipantStatus(StrEnum):
    """The agent's state, as PARTICIPANT_STATUS events carry it; a turn lasts from PROCESSING to the next IDLE."""

    IDLE = "Idle"
    PROCESSING = "Processing"
    OFFLINE = "Offline"
    CONNECTED = "Connected"
    TYPING = "Typing"
    AWAITING_APPROVAL = "AwaitingApproval"


class SessionMessageStatus(StrEnum):
    """The state of a message; the wire writes it in any case, as in "Complete"."""

    STREAMING = "streaming"
    COMPLETE = "complete"
    ERROR = "error"


class SessionMessageRole(StrEnum):
    """The kind of a message's sender: USER for a person, OBJECT for an agent or chatbot, UNKNOWN otherwise."""

    USER = "user"
    OBJECT = "object"
    UNKNOWN = "unknown"


# Looking a member up costs as much as all the rest of a property that is read for every event (CPython 3.11).
_DELTA = SessionEventType.MESSAGE_DELTA
_COMPLETE = SessionEventType.MESSAGE_COMPLETE
_STATUS = SessionEventType.PARTICIPANT_STATUS
_IDLE = ParticipantStatus.IDLE
_EVENT_STATUSES = {status.value: status for status in SessionMessageStatus}
_ROLES = {role.value: role for role in SessionMessageRole}
_PARTICIPANT_STATUSES = {status.value: status for status in ParticipantStatus}
_ACTION_TYPES = frozenset({SessionEventType.APPROVAL_REQUEST, SessionEventType.REAUTH_REQUEST})


@dataclass(frozen=True, slots=True, init=False)
class SessionEvent(JsonModel):
    """One event of a session. Immutable, except for the contents of ``data``; equal when all fields are.

    Attributes:
        type: Its kind.
        session_id: The session it belongs to.
        message_id: The message it belongs to; None when it belongs to none.
        data: The other fields of its frame; the keys depend on ``type``. Fields unknown to this version are kept.
    """

    type: SessionEventType
    session_id: str
    message_id: Optional[str] = None
    data: dict[str, Any] = field(default_factory=dict)

    def __init__(
        self,
        type: SessionEventType,
        session_id: str,
        message_id: Optional[str] = None,
        data: Optional[dict[str, Any]] = None,
    ) -> None:
        # A frozen class refuses assignment, also in its own constructor.
        _set_type(self, type)
        _set_session_id(self, session_id)
        _set_message_id(self, message_id)
        _set_data(self, {} if data is None else data)

    def __reduce__(self) -> tuple[Any, ...]:
        # A frozen dataclass with slots has no __dict__ that pickle could fill.
        return (SessionEvent, (self.type, self.session_id, self.message_id, self.data))

    def __hash__(self) -> int:
        # Without ``data``, whose dicts cannot be hashed; events that differ only there collide, which is allowed.
        return hash((self.type, self.session_id, self.message_id))

    @property
    def delta(self) -> Optional[str]:
        """The chunk of text in a MESSAGE_DELTA, else None."""
        return self.data.get("delta") if self.type is _DELTA else None

    @property
    def text(self) -> Optional[str]:
        """The whole text of a MESSAGE_COMPLETE, else None."""
        return _as_text(self.data.get("text")) if self.type is _COMPLETE else None

    @property
    def tool_name(self) -> Optional[str]:
        """The tool of a TOOL_CALL, else None."""
        return _text_or_none(self.data.get("tool_name")) if self.type is SessionEventType.TOOL_CALL else None

    @property
    def status(self) -> Optional[SessionMessageStatus]:
        """The message status in the event; None when it has none, or one unknown to this version."""
        raw = self.data.get("status")
        return _EVENT_STATUSES.get(raw) if isinstance(raw, str) else None

    @property
    def participant_status(self) -> Optional[ParticipantStatus]:
        """The status in a PARTICIPANT_STATUS, else None; None also for one unknown to this version."""
        if self.type is not _STATUS:
            return None
        raw = self.data.get("status")
        return _PARTICIPANT_STATUSES.get(raw) if isinstance(raw, str) else None

    @property
    def is_complete(self) -> bool:
        """Whether this is a MESSAGE_COMPLETE."""
        return self.type is _COMPLETE

    @property
    def is_turn_end(self) -> bool:
        """Whether the agent has finished its turn and is idle."""
        return self.type is _STATUS and self.data.get("status") == _IDLE

    @property
    def requires_action(self) -> bool:
        """Whether the turn waits for a person: for an approval, or a new authorisation."""
        return self.type in _ACTION_TYPES or self.participant_status is ParticipantStatus.AWAITING_APPROVAL

    @property
    def error(self) -> Optional[str]:
        """The message of an ERROR, else None."""
        return self.data.get("error") if self.type is SessionEventType.ERROR else None


# The slots' own setters: a frozen instance filled through them costs a third of what
# object.__setattr__ makes it cost, and every streamed event is one.
_set_type = SessionEvent.__dict__["type"].__set__
_set_session_id = SessionEvent.__dict__["session_id"].__set__
_set_message_id = SessionEvent.__dict__["message_id"].__set__
_set_data = SessionEvent.__dict__["data"].__set__


class EventDraft(JsonModel):
    """A mutable event with the slots of a `SessionEvent`, which becomes one by assignment to its ``__class__``.

    CPython allows that between classes of the same layout, and it costs half of a call of the constructor.
    """

    __slots__ = ("data", "message_id", "session_id", "type")

    type: SessionEventType
    session_id: str
    message_id: Optional[str]
    data: dict[str, Any]


def make_event(
    type: SessionEventType, session_id: str, message_id: Optional[str], data: dict[str, Any]
) -> SessionEvent:
    """Returns a `SessionEvent`, made from an `EventDraft`: the fast path for streamed events."""
    event: Any = EventDraft()
    event.type = type
    event.session_id = session_id
    event.message_id = message_id
    event.data = data
    event.__class__ = SessionEvent
    made: SessionEvent = event
    return made


@dataclass(frozen=True)
class MessageSender(JsonModel):
    """The sender of a message of the history.

    Attributes:
        role: The kind of sender.
        user_id: The person's id; None for other senders.
        object_id: The agent's or chatbot's id; None for other senders.
        object_type: "agent" or "chatbot"; None for other senders.
    """

    role: SessionMessageRole
    user_id: Optional[str] = None
    object_id: Optional[str] = None
    object_type: Optional[str] = None

    @classmethod
    def from_dict(cls, data: Any, *, infer_missing: bool = False) -> "MessageSender":
        """Returns a sender from the wire's form or from that of `to_dict`.

        Args:
            data: A mapping, or None for an unknown sender.
            infer_missing: Without effect: every field but the role has a default.
        """
        # Nothing is known of a sender that the engine leaves out.
        if not isinstance(data, Mapping) or not data:
            return cls(SessionMessageRole.UNKNOWN)
        known = {name: _text_or_none(data.get(name)) for name in ("user_id", "object_id", "object_type")}
        # The wire has no role, only the ids; a field of that name with another value is an unknown field of the server.
        role = data.get("role")
        if isinstance(role, str) and role in _ROLES:
            return cls(_ROLES[role], **known)
        if "user_id" in data:
            return cls(SessionMessageRole.USER, **known)
        return cls(SessionMessageRole.OBJECT if "object_id" in data else SessionMessageRole.UNKNOWN, **known)


@dataclass(frozen=True)
class SessionMessage(JsonModel):
    """A message of the history, as `Session.get_messages` and `Session.history` return it.

    Attributes:
        id: Its id, unique in its session.
        session_id: The session it belongs to.
        sender: Its sender.
        content_type: The content's type on the wire, such as "data_type_message".
        text: Its text; None when it has none.
        status: Its state; None when the content has none.
        raw: The message as the server sent it, unknown fields included; empty for one that was made by hand.
    """

    id: str
    session_id: str
    sender: MessageSender
    content_type: str = ""
    text: Optional[str] = None
    status: Optional[SessionMessageStatus] = None
    raw: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        role = "user" if self.is_user else "agent" if self.is_agent else "unknown"
        return f"SessionMessage(role={role!r}, text={(self.text or '')[:80]!r}, status={self.status})"

    def _repr_html_(self) -> str:
        who = "user" if self.is_user else "agent" if self.is_agent else "unknown"
        from sessionlib.display.markup import fold, markdown_html, safe_html  # for notebooks alone

        body = fold(safe_html(f"({self.content_type or 'nothing'})")) if self.text is None else markdown_html(self.text)
        return f"<div><b>{who}</b></div>{body}"

    @property
    def is_user(self) -> bool:
        """Whether a person sent it."""
        return self.sender.role is SessionMessageRole.USER

    @property
    def is_agent(self) -> bool:
        """Whether an agent or chatbot sent it."""
        return self.sender.role is SessionMessageRole.OBJECT

    @classmethod
    def from_dict(cls, data: Any, *, infer_missing: bool = False) -> "SessionMessage":
        """Returns a message from the wire's form (with ``content``) or from that of `to_dict`.

        A field of the wire's form that has an unexpected type is ignored; ``raw`` still has it.

        Args:
            data: The message.
            infer_missing: Whether a missing field of `to_dict`'s form becomes None.

        Raises:
            TypeError: ``data`` is not a mapping.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"a message is a mapping, not {type(data).__name__}")
        # Written by `to_dict`, as in a history that was saved by hand.
        if "content_type" in data and "content" not in data:
            return super().from_dict(data, infer_missing=infer_missing)
        content = data.get("content")
        # Not every content is an object: a bare text is one as well.
        content = content if isinstance(content, Mapping) else {"type": "", "value": content}
        content_type = _text_or_none(content.get("type")) or ""
        return cls(
            id=_text_or_none(data.get("id")) or "",
            session_id=_text_or_none(data.get("session_id")) or "",
            sender=MessageSender.from_dict(data.get("sender")),
            content_type=content_type,
            text=_text_of(content_type, content),
            # "Complete" on the wire, "complete" in what `to_dict` writes.
            status=_EVENT_STATUSES.get(status.lower()) if isinstance(status := content.get("status"), str) else None,
            raw=dict(data),
        )


def _text_of(content_type: str, content: Mapping[str, Any]) -> Optional[str]:
    if content_type == "data_type_message":
        value = content.get("value")
    elif content_type == "error_message":
        value = content.get("error")
    elif content_type in ("thinking", "tool_call", "agent_task"):
        # The rule of the official SDK.
        value = content.get("content") or content.get("tool_name") or None
    else:
        value = None
    return _as_text(value)


def _text_or_none(value: Any) -> Optional[str]:
    return value if isinstance(value, str) else None


def _as_text(value: Any) -> Optional[str]:
    # A message's value need not be text: an agent may answer with a number or an object.
    return None if value is None else str(value)
