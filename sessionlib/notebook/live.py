"""A turn that is shown beside the cells: its cell ends at once, and other cells can be run meanwhile."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from sessionlib._util.ipython import kernel_here, takes_input, without_input
from sessionlib._util.optional import extra
from sessionlib.approvals import ApprovalHandler
from sessionlib.display.markup import alarm, safe_html
from sessionlib.errors import SessionDisconnectedError, SessionError
from sessionlib.events import SessionEventType
from sessionlib.notebook.approvals import ask_notebook
from sessionlib.notebook.views import CellView, Start, View, announced, decide, follow, new_view
from sessionlib.reply import Reply
from sessionlib.turn import Turn

if TYPE_CHECKING:
    from sessionlib.notebook.display import Stage
    from sessionlib.notebook.forms import Form

__all__ = ["LiveReply", "begin"]

# Seconds between two looks at the turn, and how long one may keep the kernel from other things.
_TICK = 0.05
_SLICE = 0.03
# After these, there may be something to ask: a request, or an answer that was refused.
_ASKING = frozenset({SessionEventType.APPROVAL_REQUEST, SessionEventType.ERROR})


def begin(start: Start, on_approval: ApprovalHandler | None) -> LiveReply:
    """Begins a turn that is shown beside the cells; where that cannot be, it is waited for.

    Args:
        start: Begins the turn.
        on_approval: Decides about its requests first; None for the registered handlers alone.

    Raises:
        MissingExtraError: ipywidgets is not installed.
        SessionError: As for `Session.stream`.
    """
    kernel = kernel_here()
    # Without a kernel's loop nothing could draw once the cell has ended.
    if kernel is None or not takes_input(kernel) or not hasattr(kernel, "io_loop"):
        view = new_view()
        live = LiveReply(start(on_approval=announced(view, on_approval)), view)
        live.wait()
        return live
    with extra("notebook", "chat(wait=False)"):
        from sessionlib.notebook.display import Stage

        # Before the turn begins: without widgets, nothing is sent.
        stage = Stage()
    view = CellView(stage.place)
    turn = start(on_approval=announced(view, on_approval))
    live = LiveReply(turn, view, stage)
    # On the kernel's own loop, where widgets may be changed, and between cells by nature.
    kernel.io_loop.add_callback(live._look_after, kernel)
    return live


class LiveReply:
    """A turn on its way. Made by `Session.chat` with ``wait=False``.

    The kernel handles it between cells: it shows what is new, and asks for approvals with forms, whose
    buttons work for the same reason. While a cell runs both pause, and nothing is lost. Once the turn is over, what
    was shown stays in the notebook as it is.

    Attributes:
        turn: The turn.
    """

    def __init__(self, turn: Turn, view: View, stage: Stage | None = None) -> None:
        self.turn = turn
        self._view = view
        self._stage = stage
        self._forms: list[Form] = []
        self._kept: list[str] | None = None
        self._reply: Reply | None = None
        self._error: BaseException | None = None
        self._ended = False

    def __repr__(self) -> str:
        state = "failed" if self._error is not None else "over" if self._ended else "on its way"
        return f"<LiveReply in session {self.turn.session_id}: {state}>"

    def _ipython_display_(self) -> None:
        pass  # it shows itself

    @property
    def is_over(self) -> bool:
        """Whether the turn has ended, or failed."""
        return self._ended

    @property
    def reply(self) -> Reply | None:
        """The whole answer; None before the end of the turn.

        Raises:
            SessionError: What went wrong with the turn.
            Exception: What an approval handler raised.
        """
        if self._error is not None:
            raise self._error
        return self._reply

    def wait(self) -> Reply:
        """Waits in this cell for the end of the turn, and returns the whole answer.

        While it waits, clicks do not come in: what is to be approved is asked at a prompt.

        Raises:
            SessionError: As for `Session.ask`.
            Exception: What an approval handler raised; the request was denied.
        """
        if self._reply is None and self._error is None:
            for form in self._forms:
                form.settle("asked at the prompt, because a cell waits for it")
            try:
                # Those that came before the cell waited, and that had forms until now.
                for request in self.turn.pending:
                    decide(request)
                self._reply = follow(self.turn, self._view, ask=True)
            except SessionError as error:
                if getattr(error, "turn", None) is not self.turn:
                    self._fail(error)
                raise
            self._end()
        reply = self.reply
        assert reply is not None
        return reply

    def stop(self) -> None:
        """Stops showing it; the turn itself goes on in the engine."""
        if not self._ended:
            self.turn.close()
            self._fail(SessionDisconnectedError("the turn is not shown any more: stop() was called"))

    def _look_after(self, kernel: Any) -> None:
        """Shows what is new, and has the kernel's loop call this again until the turn is over."""
        if self._ended:
            return
        try:
            # Handlers run here, and one that calls input() must not hold up the kernel.
            with without_input():
                self._advance()
        except BaseException as error:  # noqa: BLE001 - no caller is there to catch it; `reply` raises it
            self._fail(error)
        if not self._ended:
            kernel.io_loop.call_later(_TICK, self._look_after, kernel)

    # ---- within --------------------------------------------------------------------------------

    def _advance(self) -> None:
        self._settle_forms()
        end = time.monotonic() + _SLICE
        # Bounded in time: a fast answer must not keep the kernel from running a cell.
        while self.turn.wait(0) and time.monotonic() < end:
            event = next(self.turn, None)
            if event is None:
                self._reply = self.turn.result()
                self._end()
                return
            self._view.show(event)
            if event.type in _ASKING:
                # The session's handlers first, as everywhere; what they leave open gets a form.
                self.turn.offer()
                self._ask()
        if self._view.until_due() == 0.0:
            self._view.draw()
        self._keep()

    def _ask(self) -> None:
        """Shows a form for each request that no handler has decided about."""
        from sessionlib.notebook.forms import Form

        asked = {form.request.event for form in self._forms if form.is_open}
        for request in self.turn.pending:
            if request.event not in asked and self._stage is not None:
                # So that the text before the question stands above it.
                self._view.draw()
                form = Form(request, functools.partial(request.answer, by=ask_notebook.__name__))
                self._forms.append(form)
                self._stage.add(form.box)

    def _keep(self) -> None:
        """Has the notebook saved with what there is, whenever a form has come or was answered."""
        kept = [form.html for form in self._forms]
        if kept != self._kept and self._stage is not None and isinstance(self._view, CellView):
            self._kept = kept
            forms = "".join(f"<div>{form.kept()}</div>" for form in self._forms)
            self._stage.keep(f"{self._view.html}{forms}<div>The turn went on when this was saved.</div>")

    def _settle_forms(self) -> None:
        for form in self._forms:
            if form.is_open and not form.request.is_open:
                form.settle()

    def _end(self) -> None:
        self._ended = True
        self._settle_forms()
        if self._stage is not None and isinstance(self._view, CellView):
            for form in self._forms:
                self._view.decided(form.request.event, form.outcome.partition(":")[0])
            failure = "" if self._error is None else alarm(safe_html(f"{type(self._error).__name__}: {self._error}"))
            # The widgets go with the kernel, and a notebook that is opened again shows this.
            self._stage.freeze(f"{self._view.html}{failure}")

    def _fail(self, error: BaseException) -> None:
        self._error = error
        for form in self._forms:
            form.settle("it cannot be answered any more")
        self._end()
