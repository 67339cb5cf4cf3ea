"""One turn: from a post of ours to the moment the agent is idle again, and the whole answer of it."""

# Annotations are real objects here, because dataclasses-json makes marshmallow schemas only from those.

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Optional

from sessionlib.approvals import ApprovalDesk, ApprovalHandler, ApprovalRequest
from sessionlib.errors import (
    ApprovalRequiredError,
    ReauthRequiredError,
    SessionDisconnectedError,
    SessionError,
    SessionTimeoutError,
)
from sessionlib.events import SessionEvent, SessionEventType, SessionMessageStatus
from sessionlib.hub import Hub
from sessionlib.mailbox import Closed, Mailbox
from sessionlib.models import JsonModel
from sessionlib.timing import Deadline
from sessionlib.wire.turns import Ticket

__all__ = ["Reply", "ToolCall", "Turn"]

_ACKS = frozenset({SessionEventType.MESSAGE_POSTED, SessionEventType.MESSAGES_POSTED})


@dataclass
class ToolCall(JsonModel):
    """One tool that ran, or was to run, in a turn.

    Attributes:
        tool_name: The tool.
        tool_id: Its id, or None.
        tool_call_id: The id of this call of it, or None.
        status: The last status that the engine told of it, or None.
        arguments: What it was called with, as far as the engine tells.
        output: What it gave, or None.
    """

    tool_name: str
    tool_id: Optional[str] = None
    tool_call_id: Optional[str] = None
    status: Optional[str] = None
    arguments: dict[str, Any] = field(default_factory=dict)
    output: Any = None


@dataclass
class Reply(JsonModel):
    """The whole answer of a turn.

    Attributes:
        text: The text of its last message; "" when there was none.
        message_id: The id of that message, or None.
        events: All events of the turn, in order.
        tool_calls: The tools that it called, in order.
        duration: Seconds from the post to the end of the turn.
        status: "complete", or "error" when the turn told an error.
        error: The last error that it told, or None.
    """

    text: str
    message_id: Optional[str] = None
    events: list[SessionEvent] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    duration: float = 0.0
    status: SessionMessageStatus = SessionMessageStatus.COMPLETE
    error: Optional[str] = None

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Reply(text={self.text[:80]!r}, status={self.status}, {len(self.events)} events, {self.duration:.2f} s)"


class Turn:
    """Iterates over the events of one turn, from Processing to Idle; also a context manager.

    Approval requests are handled on the thread that reads the turn, when it asks for what comes next.
    Made by `Session.stream`.
    """

    def __init__(
        self,
        hub: Hub,
        desk: ApprovalDesk,
        ticket: Ticket,
        mailbox: Mailbox,
        *,
        session_id: str,
        timeout: Optional[float] = None,
        idle_timeout: Optional[float] = None,
        on_approval: Optional[ApprovalHandler] = None,
    ) -> None:
        self.session_id = session_id
        self._hub = hub
        self._desk = desk
        self._ticket = ticket
        self._mailbox = mailbox
        self._deadline = Deadline(timeout)
        self._idle_timeout = idle_timeout
        self._handler = on_approval
        self._events: list[SessionEvent] = []
        # What has been handed out and asks for an answer before the next event is waited for.
        self._unhandled: Optional[SessionEvent] = None
        self._requests: list[SessionEvent] = []
        self._over = False
        self._began = time.monotonic()
        self._ended: Optional[float] = None

    def __iter__(self) -> "Turn":
        return self

    def __next__(self) -> SessionEvent:
        """Waits for the next event of the turn.

        Raises:
            StopIteration: The turn is over, or the session was disconnected here.
            SessionTimeoutError: It did not come in time; the turn stays usable.
            SessionDisconnectedError: The connection was lost for good.
            SessionError: The engine refused the post.
            Exception: What an approval handler raised; the request was denied.
        """
        event, self._unhandled = self._unhandled, None
        if event is not None:
            self._handle(event)
        try:
            event = self._next(self._deadline)
        except Closed:
            raise StopIteration from None
        if event in self._requests[-1:] or event.type is SessionEventType.REAUTH_REQUEST:
            self._unhandled = event
        return event

    def __enter__(self) -> "Turn":
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_mailbox"):
            self._hub.abandon(self._mailbox)

    def __repr__(self) -> str:
        state = "over" if self._over else "running" if self._ticket.first is not None else "not begun"
        return f"<Turn of session {self.session_id}: {state}, {len(self._events)} events read>"

    @property
    def is_over(self) -> bool:
        """Whether its last event has been read."""
        return self._over

    @property
    def pending(self) -> list[ApprovalRequest]:
        """Its approval requests read so far that nobody has answered."""
        return self._desk.open_requests(self._requests)

    @property
    def text_stream(self) -> Iterator[str]:
        """The pieces of its text, as they come; a message that was not streamed comes in one piece.

        Raises:
            ApprovalRequiredError: It waits for an approval that no handler gives.
            SessionError: As for iteration.
        """
        streamed: set[Optional[str]] = set()
        while True:
            try:
                event = self._advance(self._deadline)
            except Closed:
                return
            if event.delta:
                streamed.add(event.message_id)
                yield event.delta
            elif event.is_complete and event.message_id not in streamed and event.text is not None:
                yield str(event.text)

    def result(self, timeout: Optional[float] = None) -> Reply:
        """Waits for the end of the turn and gives the whole answer.

        Args:
            timeout: Seconds that this call may take; None for as long as the turn has.

        Raises:
            SessionTimeoutError: The turn did not end in time; the error's ``turn`` can be waited for again,
                and what it has not read goes to the next listener when it is dropped.
            ApprovalRequiredError: It waits for an approval that no handler gives; likewise.
            ReauthRequiredError: It waits for an authorisation that no handler sees to; likewise.
            SessionDisconnectedError: The connection was lost for good, or the session disconnected here.
            SessionError: The engine refused the post.
            Exception: What an approval handler raised; the request was denied.
        """
        deadline = self._deadline.sooner(timeout)
        already = len(self._events)
        try:
            while not self._over:
                self._advance(deadline)
        except Closed:
            raise SessionDisconnectedError(
                f"session {self.session_id} was disconnected before the turn ended", session_id=self.session_id
            ) from None
        except (SessionTimeoutError, ApprovalRequiredError, ReauthRequiredError) as error:
            error.turn = self
            self._mailbox.put_back(self._events[already:])
            del self._events[already:]
            raise
        return self._reply()

    def close(self) -> None:
        """Stops reading it; the turn itself goes on in the engine.

        What was not read waits for the next listener, and open requests go to the registered handlers.
        """
        self._hub.leave(self._mailbox)
        for request in self.pending:
            self._desk.note(request.event, attended=False)

    # ---- within --------------------------------------------------------------------------------

    def _next(self, deadline: Deadline) -> SessionEvent:
        while not self._over:
            event = self._take(deadline)
            if event is self._ticket.refusal:
                self._end()
                raise SessionError(
                    f"session {self.session_id}: the engine refused the message: {event.error}",
                    session_id=self.session_id,
                )
            if event.type in _ACKS:
                continue
            self._note(event)
            return event
        raise Closed

    def _take(self, deadline: Deadline) -> SessionEvent:
        within = deadline.sooner(self._idle_timeout)
        try:
            return self._mailbox.get(within)
        except TimeoutError:
            what = "the turn did not end" if within is deadline else "nothing came"
            raise SessionTimeoutError(
                f"session {self.session_id}: {what} within {within.timeout:g} s; the session stays usable",
                session_id=self.session_id,
            ) from None

    def _note(self, event: SessionEvent) -> None:
        self._events.append(event)
        if event.type is SessionEventType.APPROVAL_REQUEST and event not in self._requests:
            self._requests.append(event)
        if event is self._ticket.last:
            self._end()

    def _end(self) -> None:
        self._over = True
        self._ended = time.monotonic()
        self._hub.leave(self._mailbox)
        self._desk.forget_turn()

    def _advance(self, deadline: Deadline) -> SessionEvent:
        """Waits for the next event and sees to it that a request gets its answer."""
        event = self._next(deadline)
        if not self._handle(event):
            raise self._unanswered(event)
        return event

    def _handle(self, event: SessionEvent) -> bool:
        if event.type is SessionEventType.APPROVAL_REQUEST:
            return self._desk.handle(event, self._handler)
        if event.type is SessionEventType.REAUTH_REQUEST:
            return self._desk.handle_reauth(event)
        return True

    def _unanswered(self, event: SessionEvent) -> SessionError:
        if event.type is SessionEventType.REAUTH_REQUEST:
            return ReauthRequiredError(
                f"session {self.session_id}: the turn waits until an account is authorised again; do that where the "
                "agent's tools are set up (on_reauth gets the details), then go on with error.turn",
                session_id=self.session_id,
                event=event,
            )
        requests = self._desk.open_requests([event])
        tool = event.data.get("tool_name") or "a tool"
        return ApprovalRequiredError(
            f"session {self.session_id}: the agent asks to run {tool} and no handler decides; register one "
            "with on_approval, or answer error.request and go on with error.turn.result()",
            session_id=self.session_id,
            request=requests[0] if requests else None,
        )

    def _reply(self) -> Reply:
        error = next((event.error for event in reversed(self._events) if event.error is not None), None)
        message_id, text = _last_text(self._events)
        return Reply(
            text=text,
            message_id=message_id,
            events=list(self._events),
            tool_calls=_tool_calls(self._events),
            duration=(self._ended or time.monotonic()) - self._began,
            status=SessionMessageStatus.COMPLETE if error is None else SessionMessageStatus.ERROR,
            error=error,
        )


def _last_text(events: list[SessionEvent]) -> tuple[Optional[str], str]:
    for event in reversed(events):
        if event.is_complete:
            return event.message_id, "" if event.text is None else str(event.text)
    # A turn that was cut off has only pieces.
    message_id = next((event.message_id for event in reversed(events) if event.delta), None)
    return message_id, "".join(event.delta or "" for event in events if event.message_id == message_id)


def _tool_calls(events: list[SessionEvent]) -> list[ToolCall]:
    calls: dict[object, ToolCall] = {}
    for event in events:
        if event.type not in (SessionEventType.TOOL_CALL, SessionEventType.TOOL_RESULT):
            continue
        told = event.data
        key = told.get("tool_call_id") or event.message_id or id(event)
        call = calls.setdefault(key, ToolCall(str(told.get("tool_name") or "")))
        for name in ("tool_id", "tool_call_id", "status", "arguments", "output"):
            if told.get(name) is not None:
                setattr(call, name, told[name])
    return list(calls.values())
