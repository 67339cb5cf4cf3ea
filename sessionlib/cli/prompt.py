"""Lines from a person at the keyboard, with the lines of earlier chats at hand."""

from __future__ import annotations

import contextlib
import glob
import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from sessionlib.approvals import ApprovalRequest
from sessionlib.approvals.policies import ask_console
from sessionlib.cli.notes import tell
from sessionlib.content import ApprovalResponse
from sessionlib.display.text import is_terminal
from sessionlib.errors import SessionlibError

__all__ = ["STOPPED", "Keyboard", "ask_on_terminal"]

_MAX_KEPT = 1000
_PROMPT = "> "
_MORE = "… "


class Keyboard:
    """Reads lines at a prompt; a context manager that keeps them for the next time.

    Where there is no readline, lines are read without editing and not kept.

    Args:
        commands: What Tab completes at the beginning of a line; after one, it completes file names.
        history: The file that lines are kept in; None keeps none.
    """

    def __init__(self, commands: Iterable[str], history: Path | None) -> None:
        self._commands = sorted(commands)
        self._history = history
        self._readline: Any = None
        self._added = 0

    def __enter__(self) -> Keyboard:
        with contextlib.suppress(ImportError):
            self._readline = importlib.import_module("readline")
            self._set_up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._readline is not None and self._history is not None and self._added:
            with contextlib.suppress(OSError):  # a chat is not worth failing for it
                self._keep()

    def read(self) -> str | None:
        """Returns the next line; None after Ctrl-D.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed twice in a row.
        """
        warned = False
        while True:
            try:
                return self._read()
            except EOFError:
                print()
                return None
            except KeyboardInterrupt:
                print()
                if warned:
                    raise
                warned = True
                print("Ctrl-C again to quit, or Ctrl-D.")

    # ---- within --------------------------------------------------------------------------------

    def _read(self) -> str:
        lines = [input(_PROMPT)]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            lines.append(input(_MORE))
        for line in lines:
            self._remember(line)
        return "\n".join(lines)

    def _remember(self, line: str) -> None:
        if self._readline is None or not line.strip():
            return
        last = self._readline.get_current_history_length()
        if last and self._readline.get_history_item(last) == line:
            return
        self._readline.add_history(line)
        self._added += 1

    def _set_up(self) -> None:
        readline = self._readline
        # Answers to approval requests are typed at prompts too, and are no history.
        readline.set_auto_history(False)
        readline.set_completer(self._complete)
        readline.set_completer_delims(" \t")
        readline.parse_and_bind("tab: complete")
        if self._history is not None:
            with contextlib.suppress(OSError):
                readline.read_history_file(self._history)

    def _keep(self) -> None:
        assert self._history is not None
        self._history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Messages to an agent are for the user alone.
        os.close(os.open(self._history, os.O_WRONLY | os.O_CREAT, 0o600))
        self._readline.set_history_length(_MAX_KEPT)
        if hasattr(self._readline, "append_history_file"):
            self._readline.append_history_file(self._added, self._history)
        else:
            self._readline.write_history_file(self._history)

    def _complete(self, text: str, state: int) -> str | None:
        at_start = self._readline.get_begidx() == 0
        found = [name for name in self._commands if name.startswith(text)] if at_start else _paths(text)
        return found[state] if state < len(found) else None


def _paths(text: str) -> list[str]:
    found = sorted(glob.glob(glob.escape(os.path.expanduser(text)) + "*"))
    return [path + "/" if os.path.isdir(path) else path for path in found]


STOPPED = "the person has stopped this turn"
"""The reason that an agent gets when a question was answered with Ctrl-C."""

_TERMINAL = "/dev/tty"
_NOBODY = "no person could be asked: there is no terminal to ask on"


def ask_on_terminal(request: ApprovalRequest) -> ApprovalResponse:
    """Asks the person at the terminal; where there is none, denies with the reason."""
    with _terminal() as found:
        if found:
            try:
                return ask_console(request)
            except KeyboardInterrupt:
                print()  # what is typed next is no answer to the question
                with contextlib.suppress(SessionlibError):
                    request.deny(STOPPED)
                raise
    tell(f"{request.tool_name or 'a tool'} was denied, because there is no terminal to ask on (--yes approves)")
    return ApprovalResponse(False, deny_reason=_NOBODY)


@contextlib.contextmanager
def _terminal() -> Iterator[bool]:
    """Puts `input` and `print` on the terminal for a block; returns whether there is one."""
    if is_terminal(sys.stdin) and is_terminal(sys.stdout):
        yield True
        return
    with contextlib.ExitStack() as opened:
        found = is_terminal(sys.stdin) or is_terminal(sys.stderr)
        try:
            # The answer goes to a file, or the question came from one; the person still sits there.
            keyboard = opened.enter_context(open(_TERMINAL)) if found else None
            display = opened.enter_context(open(_TERMINAL, "w")) if found else None
        except OSError:
            keyboard = display = None
        if keyboard is None or display is None:
            yield False
            return
        opened.enter_context(contextlib.redirect_stdout(display))
        opened.enter_context(_stdin_from(keyboard))
        yield True


@contextlib.contextmanager
def _stdin_from(stream: TextIO) -> Iterator[None]:
    before, sys.stdin = sys.stdin, stream
    try:
        yield
    finally:
        sys.stdin = before
