"""A chat on a terminal: an editor for messages; Markdown that is formatted while it streams, grey lines for the rest.

Blocks that are complete are printed for good and scroll away; only the last one is drawn again as it
grows, so that a long answer costs no more than a short one and never outgrows the window. All of it
happens on the calling thread: a second one that draws would tear what the first prints.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import History as MessageHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import Layout
from prompt_toolkit.output import Output
from prompt_toolkit.renderer import CPR_Support, Renderer
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import BaseStyle
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.padding import Padding
from rich.segment import ControlType, Segment
from rich.spinner import Spinner
from rich.text import Text

from sessionlib._util.text import TextCleaner
from sessionlib.display.markup import markdown_tokens
from sessionlib.display.text import Streamed, clean, describe, one_line
from sessionlib.events import ParticipantStatus, SessionEvent, SessionEventType, SessionMessageStatus
from sessionlib.history import History, body_of, who

__all__ = ["EchoOff", "KeptMessages", "Keyboard", "Screen", "ctrl_d_kept"]


_MAX_KEPT = 1000
_PROMPT = "> "
_MORE = "… "


class Keyboard:
    """Reads messages at a prompt, with an editor for several lines; what is pasted is one message.

    Enter sends; Alt-Enter, or Enter behind a backslash, begins another line.

    Args:
        commands: What Tab completes at the beginning of a message; after one, it completes file names.
        history: The file that messages are kept in; None keeps none.
    """

    def __init__(self, commands: Iterable[str], history: Path | None) -> None:
        self._prompt: PromptSession[str] = PromptSession(
            _PROMPT,
            multiline=True,
            prompt_continuation=_MORE,
            key_bindings=_keys(),
            completer=_Completer(commands),
            # Tab completes in the line, and lists where there are several: no menu that takes room on the screen.
            complete_style=CompleteStyle.READLINE_LIKE,
            complete_while_typing=False,
            reserve_space_for_menu=0,
            history=KeptMessages(history),
            enable_suspend=True,
        )
        app = self._prompt.app
        app.renderer = _Renderer(app.renderer.style, app.output, app.layout)
        if hasattr(signal, "SIGWINCH"):
            # A second drawing, half a second after that by the signal, may meet a window that has been resized again.
            app.terminal_size_polling_interval = None

    def read(self) -> str | None:
        """Returns the next message; None after Ctrl-D.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed twice in a row.
        """
        warned = False
        while True:
            try:
                with self._terminable():
                    return self._prompt.prompt()
            except EOFError:
                return None
            except KeyboardInterrupt:
                if warned:
                    raise
                warned = True
                print("Ctrl-C again to quit, or Ctrl-D.")

    @contextlib.contextmanager
    def _terminable(self) -> Iterator[None]:
        """Lets SIGTERM end the editor by itself, which then leaves the terminal as it was.

        Raised in the middle of it, an exception may end in one of its tasks, and the terminal stays without echo.
        """
        app = self._prompt.app

        def leave(number: int, frame: FrameType | None) -> None:
            error = SystemExit(128 + number)
            if app.future is None or app.future.done():
                raise error
            app.exit(exception=error)

        before = signal.signal(signal.SIGTERM, leave)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)


class _Renderer(Renderer):
    """Erases a message in all the rows that it takes, where its base class counts those that it was drawn in.

    The folded rows stayed as ghosts: prompt_toolkit's issues 29 and 1933.
    """

    def __init__(self, style: BaseStyle, output: Output, layout: Layout) -> None:
        super().__init__(style, output)
        self._layout = layout
        # For menus and toolbars, which there are none of, it would ask how much room there is below, and draw again.
        self.cpr_support = CPR_Support.NOT_SUPPORTED

    def erase(self, leave_alternate_screen: bool = True) -> None:
        """Erases what was drawn last, and leaves the cursor where it began."""
        output, drawn = self.output, self.last_rendered_screen
        if drawn is not None:
            cursor = drawn.get_cursor_position(self._layout.current_window)
            rows, width = [drawn.data_buffer[y].items() for y in range(drawn.height)], output.get_size().columns
            lengths = [max((x + char.width for x, char in row if char.char != " "), default=0) for row in rows]
            # The cursor goes with the character that it is on, behind the last one it stays in that one's row.
            above = [*lengths[: cursor.y], min(cursor.x + 1, lengths[cursor.y])]
            output.write_raw("\r")
            output.cursor_up(cursor.y + _folds(above, width))
            output.erase_end_of_line()
            if drawn.height + _folds(lengths, width) > 1:
                # From the second row: tmux keeps what is erased from the window's first position in its history.
                output.cursor_down(1)
                output.erase_down()
                output.cursor_up(1)
            output.reset_attributes()
            output.enable_autowrap()
            output.flush()
        self.reset(leave_alternate_screen=leave_alternate_screen)


def _folds(lengths: Iterable[int], width: int) -> int:
    """Returns in how many more rows lines are than they were drawn in, now that the window has this width.

    Terminals fold what is on them again when their window becomes narrower. xterm cuts it off instead (its manual,
    "resize"), and tmux, which hands its variable on, folds again in there too.
    """
    if "XTERM_VERSION" in os.environ and "TMUX" not in os.environ:
        return 0
    return sum(max(0, -(-length // width) - 1) for length in lengths)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        # Terminals send the same for Enter and Shift-Enter; the backslash works in all of them.
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def begin_line(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    return keys


class _Completer(Completer):
    def __init__(self, commands: Iterable[str]) -> None:
        self._commands = sorted(commands)
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        text = document.text_before_cursor
        command, space, path = text.partition(" ")
        if not space:
            yield from (Completion(name, -len(text)) for name in self._commands if name.startswith(text))
        elif command in self._commands:
            yield from self._paths.get_completions(Document(path), complete_event)


class KeptMessages(MessageHistory):
    """The messages of earlier chats, one line of JSON each, in a file for the user alone.

    A chat is not worth failing for it: what cannot be read or written is left out.

    Args:
        file: The file; None keeps messages only until the end of the program.
    """

    def __init__(self, file: Path | None) -> None:
        super().__init__()
        self._file = file

    def load_history_strings(self) -> Iterator[str]:
        """Yields the latest messages, the last one first; what is older is removed from the file."""
        if self._file is None:
            return
        try:
            # As bytes: a line that is damaged is left out, and does not hide the rest.
            lines = self._file.read_bytes().splitlines()
            if len(lines) > 2 * _MAX_KEPT:
                self._write(os.O_TRUNC, b"".join(line + b"\n" for line in lines[-_MAX_KEPT:]))
        except OSError:
            return
        for line in reversed(lines[-_MAX_KEPT:]):
            with contextlib.suppress(ValueError):
                yield str(json.loads(line))

    def store_string(self, string: str) -> None:
        """Keeps a message."""
        if self._file is not None and string.strip():
            with contextlib.suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._write(os.O_APPEND, json.dumps(string).encode() + b"\n")

    def _write(self, how: int, data: bytes) -> None:
        assert self._file is not None
        with open(os.open(self._file, os.O_WRONLY | os.O_CREAT | how, 0o600), "wb", buffering=0) as file:
            file.write(data)


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
            # The fourth field has the local modes (termios).
            quiet = [*before[:3], before[3] & ~self._termios.ECHO, *before[4:]]
            self._termios.tcsetattr(self._keyboard, self._termios.TCSADRAIN, quiet)
            self._before = before
            self._set_paste_mode("h")

    def end(self) -> None:
        """Turns the echo on again, if it was on."""
        before, self._before = self._before, None
        if before is not None:
            with contextlib.suppress(self._termios.error, OSError):
                self._termios.tcsetattr(self._keyboard, self._termios.TCSADRAIN, before)
                self._set_paste_mode("l")

    def _set_paste_mode(self, switch: str) -> None:
        # What is pasted meanwhile comes in brackets, so that the prompt after it can see that it is one message.
        sys.stdout.write(f"\x1b[?2004{switch}")
        sys.stdout.flush()


@contextlib.contextmanager
def ctrl_d_kept(keyboard: TextIO) -> Iterator[None]:
    """In a block, keeps Ctrl-D for the next prompt as any other key, when it is typed while an answer comes.

    A terminal that reads lines makes it the end of one, which an editor that reads keys gets as a zero (termios(3),
    VEOF). Does nothing where there is no termios, or no terminal.

    Args:
        keyboard: Standard input.
    """
    try:
        termios: Any = importlib.import_module("termios")
    except ImportError:
        yield
        return
    before = termios.tcgetattr(keyboard)
    kept = [*before[:6], list(before[6])]
    kept[6][termios.VEOF] = bytes([os.fpathconf(keyboard.fileno(), "PC_VDISABLE")])
    termios.tcsetattr(keyboard, termios.TCSADRAIN, kept)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


_DRAW_SECONDS = 0.1
# A block that outgrows this is drawn unformatted until it is complete.
_MAX_FORMATTED = 8000
_QUIET = "bright_black"
# Characters of a thought that are shown while it grows.
_MAX_THOUGHT = 60


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
        # Across deltas, as an escape sequence may be split between two.
        self._cleaner = TextCleaner()
        self._thought = ""
        self._next_draw = 0.0

    def expect(self, place: str, activity: str) -> None:
        """Shows what is waited for, until something else is to be shown: who answers, in which session, and why."""
        self._tail.place, self._tail.activity = place, activity
        self._start()

    def show(self, event: SessionEvent) -> None:
        """Shows the next event of a turn."""
        if event.participant_status is ParticipantStatus.PROCESSING:
            self._tail.activity = "working"
        if event.type is SessionEventType.APPROVAL_REQUEST:
            self.close()  # the question needs the terminal for itself
            return
        self._start()
        for chunk in self._streamed.new_text(event):
            self._tail.text += self._cleaner.feed(chunk)
            self._draw_if_due()
        if event.type is SessionEventType.THINKING:
            is_part = event.status is SessionMessageStatus.STREAMING
            self._thought = self._thought[-_MAX_THOUGHT:] + str(event.data.get("text")) if is_part else ""
            self._tail.activity = f"thinks: {one_line(self._thought)[-_MAX_THOUGHT:]}" if is_part else "working"
            self._draw_if_due()
        details = describe(event)
        if details is not None:
            self._end_message()
            self._console.print(Text(f"  {details}", "red" if event.type is SessionEventType.ERROR else _QUIET))
        elif event.is_complete:
            self._end_message()
        elif event.is_turn_end:
            self.close()
            # An empty line between two turns.
            self._console.print()

    def tick(self) -> None:
        """Draws what was put off, when nothing else has happened for a while."""
        if self._live is not None:
            self._erase_folded()
            self._live.refresh()

    def close(self) -> None:
        """Prints what is still being drawn for good, and leaves the terminal to other output."""
        live, self._live = self._live, None
        text, self._tail.text = self._tail.text, ""
        try:
            if live is not None:
                self._erase_folded()
                self._tail.idle = True
                live.stop()
        finally:
            self._hush.end()
        if text.strip():
            self._print_block(text)
        self._tail.apart = False

    def note(self, text: str) -> None:
        """Prints a quiet line of our own."""
        self._console.print(Text(clean(text), _QUIET))

    def error(self, text: str) -> None:
        """Prints a line about something that went wrong."""
        self._console.print(Text(clean(text), "red"))

    def messages(self, history: History) -> None:
        """Prints messages of the history."""
        for message in history:
            self._console.print(Text(who(message), "bold"))
            self._console.print(_markdown(clean(body_of(message))))
            self._console.print()

    # ---- within --------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._live is None:
            self._hush.begin()
            self._tail.idle = False
            self._live = Live(
                self._tail,
                console=self._console,
                # rich would draw from a thread of its own; see the head of this module.
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)

    def _draw_if_due(self) -> None:
        now = time.monotonic()
        if self._live is not None and now >= self._next_draw:
            self._erase_folded()
            # What is complete does not change any more, whatever comes.
            head, rest = split_blocks(self._tail.text)
            if head:
                self._tail.text = rest
                self._print_block(head)
            self._live.refresh()
            # Drawing takes longer the longer the block is; most of the time goes to what arrives.
            self._next_draw = now + max(_DRAW_SECONDS, 10 * (time.monotonic() - now))

    def _end_message(self) -> None:
        text, self._tail.text = self._tail.text, ""
        if text.strip():
            self._print_block(text)
        self._tail.apart = False

    def _print_block(self, text: str) -> None:
        block = _markdown(text)
        self._console.print(Padding(block, (1, 0, 0, 0)) if self._tail.apart else block)
        self._tail.apart = True

    def _erase_folded(self) -> None:
        """Erases what rich does not know of: the rows that a window made narrower has folded the last drawing into."""
        rows = _folds(self._tail.drawn, self._console.width)
        self._tail.drawn = []
        if rows:
            self._console.file.write("\r\x1b[2K" + "\x1b[1A\x1b[2K" * rows)


def _markdown(text: str) -> Markdown:
    # A hyperlink shows either its text or its target, by the terminal; written out it shows both.
    drawn = Markdown("", hyperlinks=False)
    # rich's own parser leaves out what looks like HTML, which would be a part of what was written.
    drawn.parsed = markdown_tokens(text)
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
    # By the parser: blank lines alone do not end a list or a fence.
    starts = [token.map[0] for token in markdown_tokens(text) if token.level == 0 and token.map]
    if not starts or starts[-1] == 0:
        return "", text
    lines = text.split("\n")
    return "\n".join(lines[: starts[-1]]), "\n".join(lines[starts[-1] :])


# Reports of a new size come late (in tmux up to 250 ms): what is drawn meanwhile stays in its rows, to be erased there.
# That there is a code, whichever, makes rich count no columns.
_NO_WRAP, _WRAP = (Segment(f"\x1b[?7{switch}", None, [(ControlType.HOME,)]) for switch in "lh")


class _Tail:
    """What is drawn again and again: the end of the last block, or a sign that work is being done."""

    def __init__(self) -> None:
        self.text = ""
        self.apart = False
        self.idle = False
        self.place = self.activity = ""
        # The lengths of the lines that were drawn last, in columns.
        self.drawn: list[int] = []
        self._spinner = Spinner("dots", style=_QUIET)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text, self.drawn = self.text, []
        if self.idle:
            # One empty line: rich, where it leaves, takes back at least one.
            yield Text()
            return
        if not text.strip():
            status = " · ".join(filter(None, (self.place, self.activity)))
            waiting = Text(f"{self._spinner.render(console.get_time())} {status}", _QUIET)
            # Never more than one line, whatever the window's width: it is drawn again and again in its place.
            waiting.truncate(options.max_width, overflow="ellipsis")
            self.drawn = [waiting.cell_len]
            yield _NO_WRAP
            yield waiting
            yield _WRAP
            return
        drawn = _markdown(text) if len(text) <= _MAX_FORMATTED else Text(text[-_MAX_FORMATTED:])
        if self.apart:
            yield Segment.line()
        yield _NO_WRAP
        # Two lines less than the window has: what scrolls out of it cannot be drawn again.
        for line in console.render_lines(drawn, options.update(height=None), pad=False)[2 - options.max_height :]:
            self.drawn.append(Segment.get_line_length(line))
            yield from line
            yield Segment.line()
        yield _WRAP
