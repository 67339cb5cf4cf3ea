"""Showing a turn as it comes: as text, as JSON lines, or not at all until its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TextIO

from sessionlib.approvals import ApprovalHandler, ApprovalRequest
from sessionlib.cli.notes import CommandError, warn
from sessionlib.cli.options import Where
from sessionlib.content import ApprovalResponse
from sessionlib.display.text import describe, one_line
from sessionlib.errors import ApprovalAlreadyAnsweredError, SessionTimeoutError
from sessionlib.events import ParticipantStatus, SessionEvent, SessionEventType
from sessionlib.reply import Reply
from sessionlib.session import Session
from sessionlib.turn import Turn

__all__ = [
    "JsonLinesPrinter",
    "NotingPrinter",
    "Printer",
    "SilentPrinter",
    "WaitingForApproval",
    "follow",
    "settle",
    "watch",
]


class Printer(Protocol):
    """Shows the events of a turn."""

    def show(self, event: SessionEvent) -> None:
        """Shows the next event."""

    def close(self) -> None:
        """Ends what is shown, at the end of the turn or where it was interrupted."""


def follow(turn: Turn, printer: Printer, on_quiet: Callable[[], None] | None = None) -> Reply:
    """Shows a turn to its end and returns the whole answer.

    Args:
        turn: The turn.
        printer: Shows it.
        on_quiet: Called when nothing came for the turn's ``idle_timeout``, instead of raising.

    Raises:
        SessionError: As for `Turn.result`.
    """
    try:
        for event in watch(turn, on_quiet):
            printer.show(event)
    finally:
        printer.close()
    return turn.result()


def watch(events: Iterator[SessionEvent], on_quiet: Callable[[], None] | None = None) -> Iterator[SessionEvent]:
    """Returns events as they come.

    Args:
        events: A turn or a listener.
        on_quiet: Called whenever its time for one event is over; None lets it raise then.
    """
    while True:
        try:
            yield next(events)
        except StopIteration:
            return
        except SessionTimeoutError:
            if on_quiet is None:
                raise
            on_quiet()


class SilentPrinter:
    """Shows nothing."""

    def show(self, event: SessionEvent) -> None:
        """Shows nothing."""

    def close(self) -> None:
        """Ends nothing."""


class JsonLinesPrinter:
    """Writes each event as one line of JSON.

    Args:
        out: Where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, event: SessionEvent) -> None:
        """Writes an event."""
        fields = {"type": event.type, "session_id": event.session_id, "message_id": event.message_id}
        # Only ASCII, so that nothing is lost whatever the encoding at the other end.
        self._out.write(json.dumps({**fields, "data": event.data}, default=str) + "\n")
        self._out.flush()

    def close(self) -> None:
        """Ends nothing: every line is whole."""


class NotingPrinter:
    """Notes on stderr what happens in a turn besides its text, and leaves the rest to another printer.

    Args:
        printer: The other printer.
    """

    def __init__(self, printer: Printer) -> None:
        self._printer = printer

    def show(self, event: SessionEvent) -> None:
        """Shows an event."""
        self._printer.show(event)
        details = describe(event)
        if details:
            self._printer.close()
            warn(details)

    def close(self) -> None:
        """Ends the other printer's."""
        self._printer.close()


class WaitingForApproval(CommandError):
    """A command stops at requests that are not decided; they stay open in the engine.

    Args:
        requests: The requests.
        where: How their session is reached again.
    """

    exit_code = 3

    def __init__(self, requests: Sequence[ApprovalRequest], where: Where) -> None:
        calls = ", ".join(f"{one_line(request.tool_name, 80)} ({request.message_id})" for request in requests)
        command = f"sessionlib approvals {where.to_go_on(requests[0].event.session_id)}"
        super().__init__(f"stopped for approval of {calls}; to see it: {command}; to answer: --approve ID or --deny ID")


def settle(
    session: Session,
    printer: Printer,
    decide: ApprovalHandler,
    *,
    quiet_seconds: float | None = None,
    on_quiet: Callable[[], None] | None = None,
) -> list[ApprovalRequest]:
    """Answers the open approval requests of a session, and shows its turn to the end.

    A message sent before that would wait behind them for ever.

    Args:
        session: The session, just joined.
        printer: Shows the turn.
        decide: Decides about each request; None leaves it open.
        quiet_seconds: How long nothing may happen before ``on_quiet`` is called.
        on_quiet: Called then; None waits on.

    Returns:
        The requests that are left open, at which the turn waits; none when it is over.
    """
    # From the history as well: the engine need not send an open request again.
    waiting = session.pending_approvals()
    if not waiting:
        return []
    # Before anything is answered, or the turn could go on unseen. Unbounded, as nothing of it may be missing.
    with session.listen(maxsize=0, timeout=quiet_seconds) as events:
        try:
            decided = [_answer(session, request, decide) for request in waiting]
            if not any(decided):
                # Nothing was decided, so nothing goes on: waiting would be for ever.
                return waiting
            goes_on = False
            for event in watch(events, on_quiet):
                printer.show(event)
                status = event.participant_status
                goes_on = goes_on or status is ParticipantStatus.PROCESSING
                if event.type is SessionEventType.APPROVAL_REQUEST:
                    request = ApprovalRequest(event, session)
                    if all(request.message_id != known.message_id for known in waiting):
                        waiting.append(request)
                        _answer(session, request, decide)
                # One that was sent before the answer may still be on its way.
                elif status is ParticipantStatus.AWAITING_APPROVAL and goes_on:
                    left = [request for request in waiting if request.is_open]
                    if left:
                        return left
                if event.is_turn_end:
                    break
        finally:
            printer.close()
    return []


def _answer(session: Session, request: ApprovalRequest, decide: ApprovalHandler) -> bool:
    """Returns whether a request was decided about."""
    decision = decide(request)
    if decision is None:
        return False
    answer = decision if isinstance(decision, ApprovalResponse) else ApprovalResponse(decision)
    try:
        # By what was shown: if the request has changed meanwhile, it is not approved.
        session.answer(request, approved=answer.approved, confirm=answer.confirm, deny_reason=answer.deny_reason)
    except ApprovalAlreadyAnsweredError as error:
        warn(str(error))
    return True
