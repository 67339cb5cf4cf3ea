"""Showing a turn as it comes: in a cell as HTML, a few times a second; elsewhere as text.

All of it happens on the thread that reads the turn. A view draws what is new when it is time to and reports
how long it can wait otherwise; the events themselves are never held up.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from typing import Protocol

from sessionlib._util.ipython import kernel_here
from sessionlib.approvals import ApprovalHandler, ApprovalRequest, Decision, check_handler
from sessionlib.approvals.models import Registration
from sessionlib.display.text import Streamed, TextPrinter, describe
from sessionlib.errors import ApprovalRequiredError
from sessionlib.events import SessionEvent
from sessionlib.notebook.approvals import ask_notebook
from sessionlib.notebook.sections import EventLine, EventLines, Section
from sessionlib.reply import Reply
from sessionlib.turn import Turn

__all__ = ["CellView", "Place", "PrintView", "Start", "View", "announced", "decide", "follow", "new_view", "show_turn"]

Place = Callable[[str], Callable[[str], None]]
"""Shows some HTML below what is there; returns the function that replaces it."""

# Seconds between two messages to the front end, at most twenty a second.
_INTERVAL = 0.05
# A section is drawn when a part of it is new, or after so many seconds: what is drawn in all stays
# within so many times the text.
_PART = 64
_PATIENCE = 0.25


class View(Protocol):
    """Where a turn is shown."""

    def show(self, event: SessionEvent) -> None:
        """Takes the next event, and draws if it is time."""

    def until_due(self) -> float | None:
        """Returns the seconds until something should be drawn; None when nothing waits."""

    def draw(self) -> None:
        """Draws what is new."""


class CellView:
    """Shows a turn as HTML.

    Args:
        place: Where.
        clock: Returns the time.
    """

    def __init__(self, place: Place, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._clock = clock
        self._streamed = Streamed()
        self._lines = EventLines()
        self._message_id: str | None = None
        # Each section is an output of its own in the cell, so that the ones before are not drawn again.
        self._sections = [Section()]
        self._drawn: list[Callable[[str], None]] = []
        # Where each line stands, because what it is about may change when its section has ended.
        self._homes: dict[str, Section] = {}
        self._stale: list[Section] = []
        self._last = self._next = 0.0

    def show(self, event: SessionEvent) -> None:
        """Takes the next event, and draws if it is time."""
        for chunk in self._streamed.new_text(event):
            self._write(chunk, event.message_id)
        line = self._lines.line(event)
        if line is not None:
            self._put(line)
        if self.until_due() == 0.0:
            self.draw()

    def decided(self, event: SessionEvent, outcome: str) -> None:
        """Takes note of what somebody has decided about a request."""
        self._put(self._lines.decided(event, outcome))

    def until_due(self) -> float | None:
        """Returns the seconds until something should be drawn; None when nothing waits."""
        if not self._stale:
            return None
        # The last one decides, as it is the one that grows.
        last = self._stale[-1]
        at = self._next if last.fresh * _PART >= last.size else max(self._next, self._last + _PATIENCE)
        return max(0.0, at - self._clock())

    def draw(self) -> None:
        """Draws what is new."""
        while (rest := self._sections[-1].overflow()) is not None:
            self._sections.append(rest)
            self._touch(rest)
        stale, self._stale = self._stale, []
        for section in stale:
            section.fresh = 0
            at = self._sections.index(section)
            if at < len(self._drawn):
                self._drawn[at](section.html())
            else:
                self._drawn.append(self._place(section.html()))
            now = self._clock()
            self._last, self._next = now, max(now, self._next) + _INTERVAL

    @property
    def html(self) -> str:
        """All of it."""
        return "".join(section.html() for section in self._sections)

    # ---- within --------------------------------------------------------------------------------

    def _write(self, chunk: str, message_id: str | None) -> None:
        if message_id != self._message_id:
            self._message_id = message_id
            self._section().end_text()
        section = self._sections[-1]
        section.write(chunk)
        self._touch(section)

    def _put(self, line: EventLine) -> None:
        section = self._homes.setdefault(line.key, self._section())
        section.put(line)
        self._touch(section)

    def _section(self) -> Section:
        """Returns the section for a new block."""
        if self._sections[-1].is_full:
            self._sections.append(Section())
        return self._sections[-1]

    def _touch(self, section: Section) -> None:
        if section not in self._stale:
            self._stale.append(section)


class PrintView(TextPrinter):
    """Prints a turn: its text to standard output, what else happens to standard error, a line each."""

    def __init__(self) -> None:
        super().__init__(sys.stdout or io.StringIO())

    def show(self, event: SessionEvent) -> None:
        """Prints what is new."""
        super().show(event)
        details = describe(event)
        if details is not None and sys.stderr is not None:
            self.close()
            sys.stderr.write(f"{details}\n")

    def until_due(self) -> None:
        """Nothing ever waits."""

    draw = TextPrinter.close


class Start(Protocol):
    """Sends the message and returns its turn."""

    def __call__(self, *, on_approval: ApprovalHandler | None) -> Turn:
        """Begins the turn."""


def show_turn(start: Start, on_approval: ApprovalHandler | None, *, ask: bool = False) -> Reply:
    """Shows a turn as it comes, on the calling thread, and returns the whole answer.

    Args:
        start: Begins the turn.
        on_approval: Decides about its requests first; None for the registered handlers alone.
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
        # An error that holds the turn leaves it to the caller, who may go on with it.
        if getattr(error, "turn", None) is not turn:
            turn.close()
        raise
    # Or the cell's value would show the text a second time.
    reply.mark_shown()
    return reply


def new_view() -> View:
    """Returns what a turn is shown on here: the cell, or standard output."""
    if kernel_here() is None:
        return PrintView()
    from sessionlib.notebook.display import below_the_cell

    # A kernel shows HTML; elsewhere the text is printed.
    return CellView(below_the_cell)


def follow(turn: Turn, view: View, *, ask: bool) -> Reply:
    """Shows a turn to its end; arguments and errors as for `show_turn`."""
    try:
        while not turn.is_over:
            try:
                for event in turn.attended():
                    view.show(event)
                    while (seconds := view.until_due()) is not None and not turn.wait(seconds):
                        view.draw()
                break
            except ApprovalRequiredError as error:
                if not ask or error.request is None:
                    raise
                decide(error.request)
    finally:
        # Also where it fails, so that what came before the error is on the screen.
        view.draw()
    return turn.result()


def decide(request: ApprovalRequest) -> None:
    """Asks a person about a request, at a prompt."""
    response = ask_notebook(request)
    if response is not None and request.is_open:
        request.answer(response, by=ask_notebook.__name__)


def announced(view: View, handler: ApprovalHandler | None) -> ApprovalHandler:
    """Returns a handler that has everything drawn, and what is asked, before somebody decides."""
    if handler is not None:
        check_handler(handler)

    def announce(request: ApprovalRequest) -> Decision:
        view.show(request.event)
        view.draw()
        return None if handler is None else handler(request)

    if handler is not None:
        # What the record of approvals names is the caller's handler.
        announce.__qualname__ = Registration(handler).name
    return announce
