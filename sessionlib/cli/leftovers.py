"""What a session that is gone on with still waits for: approvals that were asked for before."""

from __future__ import annotations

from collections.abc import Callable

from sessionlib.approvals import ApprovalHandler, ApprovalRequest
from sessionlib.cli.output import Printer, watch
from sessionlib.content import ApprovalResponse
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.session import Session

__all__ = ["settle"]


def settle(
    session: Session,
    printer: Printer,
    decide: ApprovalHandler,
    *,
    quiet_seconds: float | None = None,
    on_quiet: Callable[[], None] | None = None,
) -> None:
    """Answers the open approval requests of a session, and shows its turn to the end.

    A message sent before that would wait behind them for ever.

    Args:
        session: The session, just joined.
        printer: Shows the turn.
        decide: Decides about each request.
        quiet_seconds: How long nothing may happen before ``on_quiet`` is called.
        on_quiet: Called then; None waits on.
    """
    # Requests that are open are told again on joining, before the answer to anything asked later.
    session.get_messages()
    waiting = [record.event for record in session.approvals if record.is_open]
    if not waiting:
        return
    with session.listen(maxsize=0, timeout=quiet_seconds) as events:
        try:
            for event in waiting:
                _answer(session, event, decide)
            for event in watch(events, on_quiet):
                printer.show(event)
                if event.type is SessionEventType.APPROVAL_REQUEST and event not in waiting:
                    _answer(session, event, decide)
                if event.is_turn_end:
                    return
        finally:
            printer.close()


def _answer(session: Session, event: SessionEvent, decide: ApprovalHandler) -> None:
    decision = decide(ApprovalRequest(event, session))
    answer = decision if isinstance(decision, ApprovalResponse) else ApprovalResponse(decision is True)
    session.respond(event, approved=answer.approved, confirm=answer.confirm, deny_reason=answer.deny_reason)
