"""A turn on a terminal: Markdown that is formatted while it streams, and quiet lines for the rest.

Blocks that are complete are printed for good and scroll away; only the last one is drawn again as it
grows, so that a long answer costs no more than a short one and never outgrows the window. All of it
happens on the calling thread: a second one that draws would tear what the first prints.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.padding import Padding
from rich.segment import Segment
from rich.spinner import Spinner
from rich.text import Text

from sessionlib._util.text import TextCleaner
from sessionlib.display.text import Streamed, clean, describe
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.history import History, body_of, who

__all__ = ["EchoOff", "Screen"]


class EchoOff:
    """Turns the terminal's echo off and on; what is typed meanwhile waits for the next prompt.

    An echoed key, ``^C`` too, would move the cursor away from where the drawing left it. Does nothing
    where there is no termios, or no terminal.

    Args:
        keyboard: Standard input.
    """

    def __init__(self, keyboard: TextIO) -> None:
        self._keyboard = keyboard
        self._before: list[Any] | None = None
        self._termios: Any = None
        with contextlib.suppress(ImportError):
            self._termios = importlib.import_module("termios")

    def begin(self) -> None:
        """Turns the echo off."""
        if self._termios is None or self._before is not None:
            return
        with contextlib.suppress(self._termios.error, OSError):
            before = self._termios.tcgetattr(self._keyboard)
            quiet = [*before[:3], before[3] & ~self._termios.ECHO, *before[4:]]
            self._termios.tcsetattr(self._keyboard, self._termios.TCSADRAIN, quiet)
            self._before = before

    def end(self) -> None:
        """Turns the echo on again, if it was on."""
        before, self._before = self._before, None
        if before is not None:
            with contextlib.suppress(self._termios.error, OSError):
                self._termios.tcsetattr(self._keyboard, self._termios.TCSADRAIN, before)


_DRAW_SECONDS = 0.1
# A block that outgrows this is drawn unformatted until it is complete.
_MAX_FORMATTED = 8000
_QUIET = "bright_black"


class Screen:
    """Shows a chat on the terminal.

    Args:
        console: The terminal; standard output's when not given.

    Attributes:
        tick_seconds: How long nothing may happen before it wants a `tick`.
    """

    tick_seconds = _DRAW_SECONDS

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stdout, highlight=False)
        self._hush = EchoOff(sys.stdin)
        self._live: Live | None = None
        self._tail = _Tail()
        self._streamed = Streamed()
        self._cleaner = TextCleaner()
        self._next_draw = 0.0

    def show(self, event: SessionEvent) -> None:
        """Shows the next event of a turn."""
        if event.type is SessionEventType.APPROVAL_REQUEST:
            self.close()  # the question needs the terminal for itself
            return
        self._start()
        for piece in self._streamed.new_text(event):
            self._add(piece)
        details = describe(event)
        if details is not None:
            self._end_message()
            self._print(Text(f"  {details}", "red" if event.type is SessionEventType.ERROR else _QUIET))
        elif event.is_complete:
            self._end_message()
        elif event.is_turn_end:
            self.close()
            self._console.print()

    def tick(self) -> None:
        """Draws what was put off, when nothing else has happened for a while."""
        if self._live is not None:
            self._live.refresh()

    def close(self) -> None:
        """Prints what is still being drawn for good, and leaves the terminal to others."""
        live, self._live = self._live, None
        text, self._tail.text = self._tail.text, ""
        try:
            if live is not None:
                self._tail.idle = True
                live.stop()
        finally:
            self._hush.end()
        if text.strip():
            self._print_block(text)
        self._tail.apart = False

    def note(self, text: str) -> None:
        """Prints a quiet line of our own."""
        self._print(Text(clean(text), _QUIET))

    def error(self, text: str) -> None:
        """Prints a line about something that went wrong."""
        self._print(Text(clean(text), "red"))

    def messages(self, history: History) -> None:
        """Prints messages of the history."""
        for message in history:
            self._print(Text(who(message), "bold"))
            self._print(_markdown(clean(body_of(message))))
            self._console.print()

    # ---- within --------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._live is None:
            self._hush.begin()
            self._tail.idle = False
            self._live = Live(
                self._tail,
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)

    def _add(self, piece: str) -> None:
        self._tail.text += self._cleaner.feed(piece)
        now = time.monotonic()
        if self._live is not None and now >= self._next_draw:
            self._print_complete_blocks()
            self._live.refresh()
            # Drawing takes longer the longer the block is; most of the time goes to what arrives.
            self._next_draw = now + max(_DRAW_SECONDS, 10 * (time.monotonic() - now))

    def _print_complete_blocks(self) -> None:
        head, rest = split_blocks(self._tail.text)
        if head:
            self._tail.text = rest
            self._print_block(head)

    def _end_message(self) -> None:
        text, self._tail.text = self._tail.text, ""
        if text.strip():
            self._print_block(text)
        self._tail.apart = False

    def _print_block(self, text: str) -> None:
        block = _markdown(text)
        self._print(Padding(block, (1, 0, 0, 0)) if self._tail.apart else block)
        self._tail.apart = True

    def _print(self, what: Markdown | Padding | Text) -> None:
        self._console.print(what)


def _markdown(text: str) -> Markdown:
    # A hyperlink shows either its text or its target, by the terminal; written out it shows both.
    drawn = Markdown(text, hyperlinks=False)
    for token in drawn.parsed:
        for child in token.children or ():
            if child.type == "image":  # which rich shows without its address, and out of its place
                child.type, child.tag = "text", ""
                child.content = f"[picture: {child.content or 'untitled'}] ({child.attrs.get('src', '')})"
                child.children = None
    return drawn


def split_blocks(text: str) -> tuple[str, str]:
    """Splits Markdown before its last block, which may still grow.

    Returns:
        The complete blocks, "" when there are none, and the rest.
    """
    starts = [token.map[0] for token in Markdown(text).parsed if token.level == 0 and token.map]
    if not starts or starts[-1] == 0:
        return "", text
    lines = text.split("\n")
    return "\n".join(lines[: starts[-1]]), "\n".join(lines[starts[-1] :])


class _Tail:
    """What is drawn again and again: the end of the last block, or a sign that work is being done."""

    def __init__(self) -> None:
        self.text = ""
        self.apart = False
        self.idle = False
        self._spinner = Spinner("dots", style=_QUIET)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = self.text
        if self.idle:
            # One empty line: rich, where it leaves, takes back at least one.
            yield Text()
            return
        if not text.strip():
            yield self._spinner
            return
        drawn = _markdown(text) if len(text) <= _MAX_FORMATTED else Text(text[-_MAX_FORMATTED:])
        if self.apart:
            yield Segment.line()
        # Two lines less than the window has: what scrolls out of it cannot be drawn again.
        for line in console.render_lines(drawn, options.update(height=None), pad=False)[2 - options.max_height :]:
            yield from line
            yield Segment.line()
