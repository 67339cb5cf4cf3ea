"""Asking a person in a notebook whether a tool may run."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from sessionlib.approvals import ApprovalRequest
from sessionlib.content import ApprovalResponse
from sessionlib.notebook.kernel import is_free, kernel_here, runs_a_cell, takes_input
from sessionlib.policies import ask_console

if TYPE_CHECKING:
    from sessionlib.notebook.buttons import Buttons

__all__ = ["ask_notebook"]

HEADLESS = "nobody could be asked: the notebook is run without anybody to answer"
# Seconds for which a cell may run before buttons, which wait for its end, give way to a prompt.
_PATIENCE = 2.0
_LOOK_AGAIN = 0.1


def ask_notebook(request: ApprovalRequest) -> ApprovalResponse | None:
    """Asks in the notebook: with buttons, which stay when the cell has ended, or at a prompt.

    Buttons take effect between cells. So they are shown for requests that are handled beside the
    cells, on the session's own thread; a cell that waits for its own turn, as `Session.ask` does,
    gets a prompt, and so does one that keeps running while buttons wait for its end. Where nobody is
    there to answer (a notebook that is run as a script) it denies and says why. Outside of notebooks it
    does what `ask_console` does.
    """
    kernel = kernel_here()
    if kernel is not None and not takes_input(kernel):
        return ApprovalResponse(False, deny_reason=HEADLESS)
    buttons = None if kernel is None or runs_a_cell(threading.get_ident()) else _buttons_for(request)
    return ask_console(request) if buttons is None else _wait(request, buttons)


def _buttons_for(request: ApprovalRequest) -> Buttons | None:
    try:
        from sessionlib.notebook.buttons import Buttons
    except ImportError:  # no widgets here
        return None
    return Buttons(request)


def _wait(request: ApprovalRequest, buttons: Buttons) -> ApprovalResponse | None:
    busy_since: float | None = None
    while not buttons.pressed.wait(_LOOK_AGAIN):
        now = time.monotonic()
        busy_since = None if is_free() else busy_since or now
        if not (request.is_open and request.session.is_connected):
            buttons.close("no answer is needed any more")
            return None
        if busy_since is not None and now - busy_since > _PATIENCE:
            buttons.close("asked at the prompt, because a cell is running")
            return ask_console(request)
    return buttons.response
