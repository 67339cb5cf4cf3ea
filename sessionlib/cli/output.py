"""Showing a turn as it comes: as text, as JSON lines, or not at all until its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Protocol, TextIO

from sessionlib.approvals import ApprovalHandler, ApprovalRequest
from sessionlib.cli.notes import tell
from sessionlib.content import ApprovalResponse
from sessionlib.display.text import describe
from sessionlib.errors import SessionTimeoutError
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.reply import Reply
from sessionlib.session import Session
from sessionlib.turn import Turn

__all__ = ["JsonLinesPrinter", "NotingPrinter", "Printer", "SilentPrinter", "follow", "settle", "watch"]


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
        on_quiet: Called when nothing came for the turn's ``idle_timeout``, instead of giving up.

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
            tell(details)

    def close(self) -> None:
        """Ends the other printer's."""
        self._printer.close()


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
