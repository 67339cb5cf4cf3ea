"""Asking a person in a notebook whether a tool may run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sessionlib._util.ipython import is_between_cells, is_free, kernel_here, runs_a_cell, takes_input
from sessionlib._util.optional import extra
from sessionlib.approvals import ApprovalRequest
from sessionlib.approvals.policies import ask_console
from sessionlib.content import ApprovalResponse

if TYPE_CHECKING:
    from sessionlib.notebook.forms import Form
    from sessionlib.session import Session

__all__ = ["approvals", "ask_notebook"]

# As with nbconvert or papermill, where a question would hold up the run for ever.
HEADLESS = "no person could be asked: the notebook is run without anybody to answer"
# Seconds for which a cell may run before a form, which waits for its end, is replaced by a prompt.
_PATIENCE = 2.0
_LOOK_AGAIN = 0.1


def ask_notebook(request: ApprovalRequest) -> ApprovalResponse | None:
    """Asks in the notebook: with a form, which stays when the cell has ended, or at a prompt.

    A kernel takes in clicks between cells, and not while one runs. So a form is shown for requests that
    are handled beside the cells, on the session's own thread; a cell that waits for its own turn, as
    `Session.ask` does, gets a prompt, and so does one that keeps running while a form waits for its end.
    `Session.chat` with ``wait=False`` lets its cell end, and shows forms of its own. Where no person is there to
    answer (a notebook that is run as a script) it denies with the reason. Outside of notebooks, and without
    ipywidgets, it does what `ask_console` does.
    """
    return _ask(request, lambda form: _Place().ask(form))


def approvals(session: Session) -> Callable[[], None]:
    """Shows a place below this cell in which the session asks for approvals, now and later.

    It asks there about every request of the session that no cell waits for, each with a form: the
    arguments to edit, Approve, Always, and Deny with a reason. A click takes effect between cells. Requests of
    a turn that a cell waits for are asked at a prompt, as by `ask_notebook`.

    Args:
        session: The session.

    Returns:
        The function that asks there no more.

    Raises:
        MissingExtraError: ipywidgets is not installed.
    """
    with extra("notebook", "a place for approvals"):
        place = _Place()

    def ask_here(request: ApprovalRequest) -> ApprovalResponse | None:
        return _ask(request, place.ask)

    ask_here.__qualname__ = ask_notebook.__name__  # what the record calls it
    remove: Callable[[], None] = session.on_approval(ask_here)
    return remove


class _Place:
    """Where forms are shown, one at a time, and their outcome afterwards."""

    def __init__(self) -> None:
        from sessionlib.notebook.display import Stage

        self._stage = Stage()
        self._past = ""

    def ask(self, form: Form) -> ApprovalResponse | None:
        """Shows a form until it is answered."""
        if self._past:
            # What was decided before, as freezing it has taken the widgets away.
            self._stage.place(self._past)
        self._stage.keep(f"{self._past}{form.kept()}")
        self._stage.add(form.box)
        try:
            return _wait(form)
        finally:
            self._past += f'<div style="margin: 6px 0">{form.html}</div>'
            self._stage.freeze(self._past)


def _ask(request: ApprovalRequest, ask: Callable[[Form], ApprovalResponse | None]) -> ApprovalResponse | None:
    kernel = kernel_here()
    if kernel is None:
        # No IPython kernel: a script or a console, which has a prompt.
        return ask_console(request)
    if is_between_cells():
        return None  # clicks come in on this thread, so it must not block on one; its caller asks
    if not takes_input(kernel):
        return ApprovalResponse(False, deny_reason=HEADLESS)
    # The cell waits for this very answer, so no click could come in.
    if runs_a_cell(threading.get_ident()):
        return ask_console(request)
    try:
        from sessionlib.notebook.forms import Form
    except ImportError:  # no widgets here
        return ask_console(request)
    return ask(Form(request))


def _wait(form: Form) -> ApprovalResponse | None:
    request = form.request
    busy_since: float | None = None
    # Clicks arrive on another thread; looked at again, since another handler may have answered.
    while not form.pressed.wait(_LOOK_AGAIN):
        now = time.monotonic()
        busy_since = None if is_free() else busy_since or now
        if not request.is_open:
            form.settle()
            return None
        if not request.session.is_connected:
            form.settle("the session was left")
            return None
        if busy_since is not None and now - busy_since > _PATIENCE:
            form.settle("asked at the prompt, because a cell is running")
            return ask_console(request)
    return form.response
