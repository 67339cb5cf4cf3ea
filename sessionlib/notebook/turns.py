"""Turns that are shown while they are waited for."""

from __future__ import annotations

from typing import Protocol

from sessionlib._util.kernel import kernel_here
from sessionlib.approvals import ApprovalHandler, ApprovalRequest, Decision, check_handler
from sessionlib.approvals.handlers import Registration
from sessionlib.errors import ApprovalRequiredError
from sessionlib.notebook.approvals import ask_notebook
from sessionlib.notebook.views import CellView, PrintView, View
from sessionlib.reply import Reply
from sessionlib.turn import Turn

__all__ = ["Start", "announced", "decide", "follow", "new_view", "show_turn"]


class Start(Protocol):
    """Sends the message and gives its turn."""

    def __call__(self, *, on_approval: ApprovalHandler | None) -> Turn:
        """Begins the turn."""


def show_turn(start: Start, on_approval: ApprovalHandler | None, *, ask: bool = False) -> Reply:
    """Shows a turn as it comes, on the calling thread, and gives the whole answer.

    Args:
        start: Begins the turn.
        on_approval: Decides about its requests first; None for nobody but the registered handlers.
        ask: Whether a person is asked where no handler decides.

    Raises:
        SessionError: As for `Session.ask`.
        Exception: What an approval handler raised; the request was denied.
    """
    view = new_view()
    turn = start(on_approval=announced(view, on_approval))
    try:
        reply = follow(turn, view, ask=ask)
    except BaseException as error:
        if getattr(error, "turn", None) is not turn:
            turn.close()
        raise
    reply.mark_shown()
    return reply


def new_view() -> View:
    """Gives what a turn is shown on here: the cell, or standard output."""
    if kernel_here() is None:
        return PrintView()
    from sessionlib.notebook.display import below_the_cell

    return CellView(below_the_cell)


def follow(turn: Turn, view: View, *, ask: bool) -> Reply:
    """Shows a turn to its end; arguments and errors as for `show_turn`."""
    try:
        while not turn.is_over:
            try:
                _show_events(turn, view)
                break
            except ApprovalRequiredError as error:
                if not ask or error.request is None:
                    raise
                decide(error.request)
    finally:
        view.draw()
    return turn.result()


def decide(request: ApprovalRequest) -> None:
    """Asks a person about a request, at a prompt."""
    response = ask_notebook(request)
    if response is not None and request.is_open:
        request.answer(response, by=ask_notebook.__name__)


def announced(view: View, handler: ApprovalHandler | None) -> ApprovalHandler:
    """Gives a handler that has everything drawn, and what is asked, before somebody decides."""
    if handler is not None:
        check_handler(handler)

    def announce(request: ApprovalRequest) -> Decision:
        view.show(request.event)
        view.draw()
        return None if handler is None else handler(request)

    if handler is not None:
        announce.__qualname__ = Registration(handler).name
    return announce


def _show_events(turn: Turn, view: View) -> None:
    for event in turn.attended():
        view.show(event)
        while (seconds := view.until_due()) is not None and not turn.wait(seconds):
            view.draw()
