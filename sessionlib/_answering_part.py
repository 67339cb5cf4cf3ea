"""What a session answers: its agent's requests for approval and for authorisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sessionlib._lifecycle_part import Lifecycle
from sessionlib.approvals import ApprovalHandler, ApprovalRecord, ReauthHandler
from sessionlib.content import ApprovalResponse, encode_approval
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.protocol import frames
from sessionlib.protocol.turns import Ticket

__all__ = ["Answering"]


class Answering(Lifecycle):
    """The part of `Session` that gives answers, by handlers or one by one."""

    @property
    def approvals(self) -> list[ApprovalRecord]:
        """What the agent asked leave for so far, and who answered what and when."""
        return self._approvals.records

    def on_approval(
        self, handler: ApprovalHandler | None = None, *, tool: str | None = None, timeout: float | None = None
    ) -> Any:
        """Registers a handler of approval requests; as a call or as a decorator.

        It gets an `ApprovalRequest` and returns True, False, an `ApprovalResponse`, or None to leave the
        request to the next handler, or to whoever listens. If it raises, returns anything else, or takes
        longer than ``timeout``, the request is denied. It runs on the thread that is in `ask` or reads
        a `stream`; for requests of other turns on a thread that this session keeps for it.

        Args:
            handler: The handler; None to use the result as a decorator.
            tool: The tool that it decides about, or a pattern such as "delete_*"; None for all.
            timeout: Seconds that it may take; None for as long as it takes.

        Returns:
            The function that unregisters it; without ``handler``, a decorator that gives that function.
        """
        if handler is None:
            return lambda decorated: self._approvals.register(decorated, tool, timeout)
        return self._approvals.register(handler, tool, timeout)

    def on_reauth(self, handler: ReauthHandler) -> Callable[[], None]:
        """Registers a handler of reauthorisation requests; as a call or as a decorator.

        It gets the REAUTH_REQUEST and shows what to do; no frame answers it, and the turn goes on by itself
        once the account is authorised again. It runs where approval handlers do.

        Args:
            handler: The handler; what it returns is ignored.

        Returns:
            The function that unregisters it.
        """
        return self._approvals.register_reauth(handler)

    def respond(
        self,
        event: SessionEvent,
        *,
        approved: bool | None = None,
        confirm: Mapping[str, Any] | None = None,
        deny_reason: str | None = None,
    ) -> None:
        """Answers an event that asks for an answer: an APPROVAL_REQUEST.

        Args:
            event: The request.
            approved: Whether the tool may run.
            confirm: Arguments to run it with instead of the proposed ones, by name.
            deny_reason: What the agent is told when it may not.

        Raises:
            TypeError: The event cannot be answered, or ``approved`` is missing.
            ValueError: The event is another session's, or ``confirm`` holds what JSON cannot.
            ApprovalAlreadyAnsweredError: The request was answered before.
            SessionDisconnectedError: The session is not connected, or its link broke.
        """
        if _event_type(event) is SessionEventType.APPROVAL_REQUEST and approved is None:
            raise TypeError("respond() to an APPROVAL_REQUEST needs approved=True or approved=False")
        self.respond_approval(event, approved=approved or False, confirm=confirm, deny_reason=deny_reason)

    def respond_approval(
        self,
        event: SessionEvent,
        *,
        approved: bool,
        confirm: Mapping[str, Any] | None = None,
        deny_reason: str | None = None,
    ) -> None:
        """Answers an approval request; arguments and errors as for `respond`."""
        if _event_type(event) is not SessionEventType.APPROVAL_REQUEST:
            raise TypeError(f"cannot answer an event of type {event.type}; only an APPROVAL_REQUEST takes an answer")
        encode_approval(approved, confirm, deny_reason)  # before the answer counts as given
        _, session_id = self._connected()
        if event.session_id != session_id:
            raise ValueError(f"the request is session {event.session_id}'s and cannot be answered in {session_id}")
        self._approvals.answer(event, ApprovalResponse(approved, confirm, deny_reason), by="respond")

    def _send_answer(
        self, event: SessionEvent, approved: bool, confirm: Mapping[str, Any] | None, deny_reason: str | None
    ) -> Ticket:
        # An answer is given whatever has gone wrong with another.
        connection, session_id = self._usable()
        answer = encode_approval(approved, confirm, deny_reason)
        return connection.poster.post(
            frames.post_message(session_id, answer, event.message_id), makes_turn=False
        ).ticket


def _event_type(event: object) -> SessionEventType:
    if not isinstance(event, SessionEvent):
        raise TypeError(f"takes a SessionEvent, not {type(event).__name__}")
    return event.type
