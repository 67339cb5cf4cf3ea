"""Seeing to what one turn asks for, on the thread that reads it."""

from __future__ import annotations

from sessionlib._util.timing import Deadline
from sessionlib.approvals.handlers import Registration
from sessionlib.approvals.manager import ApprovalDesk
from sessionlib.approvals.models import ApprovalHandler, ApprovalRequest
from sessionlib.errors import ApprovalRequiredError, ReauthRequiredError, SessionError
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.protocol.turns import Ticket

__all__ = ["Attendance"]

Type = SessionEventType

_ASKING = frozenset({Type.APPROVAL_REQUEST, Type.REAUTH_REQUEST})
_POSTS = frozenset({"post_message", "post_messages"})


class Attendance:
    """What the reader of a turn has read that asks for something, and what became of it.

    Args:
        desk: Who answers.
        ticket: The post that the turn belongs to.
        session_id: The session.
        first: A handler to ask before the registered ones.
    """

    def __init__(self, desk: ApprovalDesk, ticket: Ticket, session_id: str, first: ApprovalHandler | None) -> None:
        self._desk = desk
        self._ticket = ticket
        self._session_id = session_id
        self._first = None if first is None else Registration(first)
        # What has been read last and asks for something, until it is seen to.
        self._unhandled: SessionEvent | None = None
        # The requests read so far, and the reauthorisations that the caller was told of.
        self._requests: list[SessionEvent] = []
        self._told: list[SessionEvent] = []

    @property
    def pending(self) -> list[ApprovalRequest]:
        """The turn's approval requests without an answer."""
        return self._desk.open_requests(self._ticket)

    @property
    def would_wait_for_itself(self) -> bool:
        """Whether the turn cannot begin, because this thread runs a handler that another one waits for."""
        return self._ticket.first is None and self._desk.is_waited_for_here()

    def begin(self) -> None:
        """Takes the requests of the turn on, instead of the dispatcher."""
        self._ticket.attended = True

    def end(self) -> None:
        """Leaves the requests of the turn to the dispatcher."""
        self._desk.release(self._ticket)

    def note(self, event: SessionEvent) -> None:
        """Notes an event that was read."""
        if event.type is Type.APPROVAL_REQUEST and event not in self._requests:
            self._requests.append(event)
        if event.type in _ASKING or (event.type is Type.ERROR and event.data.get("request_type") in _POSTS):
            self._unhandled = event

    def forget_last(self) -> None:
        """Forgets an event that will be read again."""
        self._unhandled = None

    def offer_last(self, deadline: Deadline) -> None:
        """Has the handlers see to the last event; what they leave is the caller's, who has it.

        Raises:
            Exception: What a handler raised; the request was denied.
        """
        event, self._unhandled = self._unhandled, None
        if event is not None:
            self._is_seen_to(event, deadline)

    def settle_last(self, deadline: Deadline) -> None:
        """Makes sure that the last event is seen to.

        Raises:
            ApprovalRequiredError: No handler decides.
            ReauthRequiredError: There is nobody to show it to.
            Exception: What a handler raised; the request was denied.
        """
        event = self._unhandled
        # A turn that has ended meanwhile was helped by somebody else.
        if event is not None and not self._is_seen_to(event, deadline) and self._ticket.last is None:
            raise self._unanswered(event)
        self._unhandled = None

    def _is_seen_to(self, event: SessionEvent, deadline: Deadline) -> bool:
        if event.type is Type.APPROVAL_REQUEST:
            return self._desk.handle(event, self._first, deadline)
        if event.type is Type.REAUTH_REQUEST:
            # Nothing tells when it was done, so it is told once.
            if self._desk.handle_reauth(event) or event in self._told:
                return True
            self._told.append(event)
            return False
        # The engine refused an answer: what it was about may be open again.
        return self._reopened() is None

    def _reopened(self) -> SessionEvent | None:
        return next((event for event in self._requests if self._desk.is_open(event)), None)

    def _unanswered(self, event: SessionEvent) -> SessionError:
        if event.type is Type.REAUTH_REQUEST:
            return ReauthRequiredError(
                f"session {self._session_id}: the turn waits until an account is authorised again; do that where "
                "the agent's tools are set up (on_reauth gets the details), then go on with error.turn",
                session_id=self._session_id,
                event=event,
            )
        asking = event if event.type is Type.APPROVAL_REQUEST else self._reopened()
        request = None if asking is None else self._desk.request(asking)
        tool = (request.tool_name if request is not None else "") or "a tool"
        why = f"the engine refused the answer ({event.error})" if event.error else "no handler decides"
        return ApprovalRequiredError(
            f"session {self._session_id}: the agent asks to run {tool} and {why}; answer error.request and go on "
            "with error.turn.result(), or register a handler with on_approval",
            session_id=self._session_id,
            request=request,
        )
