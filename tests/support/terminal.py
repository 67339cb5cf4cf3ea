"""Terminals for programs, with a person at the keyboard: one that this process draws, and tmux."""

from __future__ import annotations

import itertools
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import termios
import textwrap
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyte

from .processes import ROOT
from .programs import need

_numbers = itertools.count(1)
_OPTIONS = "set -g history-limit 5000\nset -g status off\nset -s escape-time 0\n"
_KEPT = ("PATH", "HOME", "TMPDIR", "COVERAGE_PROCESS_START", "SESSIONLIB_COVERAGE")
_KEYS = {
    "C-c": "\x03",
    "C-d": "\x04",
    "C-u": "\x15",
    "C-z": "\x1a",
    "End": "\x1b[F",
    "Enter": "\r",
    "M-Enter": "\x1b\r",
    "Space": " ",
    "Tab": "\t",
    "Up": "\x1b[A",
}
_BRACKETED_PASTE = 2004 << 5  # as pyte keeps a private mode


class _AnyTerminal(ABC):
    """Runs a program on a terminal of its own; a context manager that ends whatever is left of it.

    Args:
        folder: Where the program runs.
        command: What a shell is told to run.
        env: Environment variables on top of a clean environment.
        size: Columns and lines.
    """

    _INTERVAL: float
    """Seconds between two looks at a screen that reports no change."""

    def __init__(
        self, folder: Path, command: str, *, env: Mapping[str, str] | None = None, size: tuple[int, int] = (120, 60)
    ) -> None:
        self._changed = threading.Condition()
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._env = {**kept, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT), **(env or {})}
        # The shell outlives Ctrl-C and says how the program ended.
        self._start(folder, f'trap : INT; {command}; echo "ended with $?"; sleep 600', *size)

    @classmethod
    def script(cls, folder: Path, source: str, *args: str, redirect: str = "") -> Any:
        """Runs Python source."""
        script = folder / "script.py"
        script.write_text(textwrap.dedent(source))
        return cls(folder, f"{shlex.join([sys.executable, str(script), *args])} {redirect}")

    def __enter__(self) -> Any:
        return self

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    @abstractmethod
    def _start(self, folder: Path, shell: str, columns: int, lines: int) -> None: ...

    @abstractmethod
    def type(self, text: str) -> None:
        """Types a text and Enter."""

    @abstractmethod
    def paste(self, text: str) -> None:
        """Pastes a text, in brackets where the program has asked for them."""

    @abstractmethod
    def press(self, *keys: str) -> None:
        """Presses keys by their names in tmux, such as C-c."""

    @abstractmethod
    def shown(self) -> str:
        """What is and was on the screen, without blanks at the ends of lines."""

    def wait_for(self, text: str, count: int = 1, *, after: str = "", timeout: float = 100.0) -> str:
        """Waits until a text is on the screen so many times; gives all that is."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                shown = self.shown()
                _, found, rest = shown.rpartition(after) if after else ("", "yes", shown)
                if found and rest.count(text) >= count:
                    return shown
                if (left := end - time.monotonic()) <= 0:
                    raise AssertionError(f"no {count} x {text!r} on the screen within {timeout} s:\n{shown}")
                self._changed.wait(min(left, self._INTERVAL))

    def enter(self, text: str, then: str, count: int = 1, *, after: str = "") -> str:
        """Types a text and Enter, and waits for what comes of it, as `wait_for` does."""
        self.type(text)
        return self.wait_for(then, count, after=after)

    def status(self) -> int:
        """Waits until the program has ended; gives its exit status."""
        return int(re.findall(r"ended with (\d+)\n", self.wait_for("ended with "))[-1])


class Screen(pyte.HistoryScreen):
    """A screen that remembers which lines it has folded, and what has left it at the top.

    It goes on behind a character that it cannot draw, where pyte drops the rest of what is written.
    """

    def draw(self, data: str) -> None:
        for char in data:
            is_full, line = self.cursor.x == self.columns, self.buffer[self.cursor.y]
            super().draw(char)
            if is_full and self.cursor.x < self.columns:
                line.is_folded = True

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        """Erases a line, or what is before or behind the cursor."""
        super().erase_in_line(how, private)
        if how != 1:
            self.buffer[self.cursor.y].is_folded = False

    def text(self) -> str:
        """Returns all lines, folded ones as one, without blanks at their ends."""
        lines, part = [], ""
        for line in (*self.history.top, *(self.buffer[y] for y in range(self.lines))):
            part += "".join(line[x].data for x in range(self.columns))
            if not getattr(line, "is_folded", False):
                lines.append(part.rstrip())
                part = ""
        return "\n".join([*lines, part]).rstrip() + "\n"


class Terminal(_AnyTerminal):
    __doc__ = _AnyTerminal.__doc__

    _INTERVAL = 60.0

    def _start(self, folder: Path, shell: str, columns: int, lines: int) -> None:
        self._screen = Screen(columns, lines, history=5000)
        self._screen.write_process_input = self._write
        self._ours, self._theirs = pty.openpty()
        self._left, self._leave = os.pipe()
        termios.tcsetwinsize(self._theirs, (lines, columns))
        # The leader of a session gets, from the first terminal that it opens, Ctrl-C and the end of all.
        opened = f"exec <>{os.ttyname(self._theirs)} >&0 2>&0; {shell}"
        env = {**self._env, "TERM": "xterm-256color"}
        self._shell = subprocess.Popen(["/bin/sh", "-c", opened], cwd=folder, env=env, start_new_session=True)
        self._reader = threading.Thread(target=self._read, name=f"terminal-{self._shell.pid}")
        self._reader.start()

    def __exit__(self, *_: object) -> None:
        # The terminal hangs up with its leader; what is deaf to that may keep it open.
        self._shell.kill()
        self._shell.wait()
        os.close(self._leave)
        self._reader.join()
        for end in (self._ours, self._theirs, self._left):
            os.close(end)

    def type(self, text: str) -> None:
        self._write(f"{text}\r")

    def paste(self, text: str) -> None:
        with self._changed:
            in_brackets = _BRACKETED_PASTE in self._screen.mode
        self._write(f"\x1b[200~{text}\x1b[201~" if in_brackets else text)

    def press(self, *keys: str) -> None:
        self._write("".join(_KEYS.get(key, key) for key in keys))

    def shown(self) -> str:
        with self._changed:
            return self._screen.text()

    def resize(self, columns: int, lines: int) -> None:
        """Gives the terminal another size, which the program is notified of; lines are cut off as in xterm."""
        with self._changed:
            self._screen.resize(lines, columns)
        termios.tcsetwinsize(self._theirs, (lines, columns))

    def screen(self) -> list[str]:
        """The lines of the screen as they are drawn, folded ones too, without blanks at their ends."""
        with self._changed:
            return [line.rstrip() for line in self._screen.display]

    def _write(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def _read(self) -> None:
        stream = pyte.ByteStream(self._screen)
        while self._left not in select.select([self._ours, self._left], [], [])[0]:
            data = os.read(self._ours, 65536)
            with self._changed:
                stream.feed(data)
                self._changed.notify_all()


class Tmux(_AnyTerminal):
    """A real terminal, for what depends on one: another size, how it folds lines, colours.

    The arguments are those of `Terminal`.
    """

    # It reports no change.
    _INTERVAL = 0.05

    def _start(self, folder: Path, shell: str, columns: int, lines: int) -> None:
        need("tmux")
        self._server = f"sessionlib-{os.getpid()}-{next(_numbers)}"
        options = folder / f"{self._server}.conf"
        options.write_text(_OPTIONS)
        where = ["-x", str(columns), "-y", str(lines), "-c", str(folder)]
        self._tmux("-f", str(options), "new-session", "-d", *where, "/bin/sh", "-c", shell)

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")

    def type(self, text: str) -> None:
        if text:
            self._tmux("send-keys", "-l", "--", text)
        self.press("Enter")

    def paste(self, text: str) -> None:
        self._tmux("set-buffer", "--", text)
        self._tmux("paste-buffer", "-p", "-r")

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def shown(self) -> str:
        captured = self._tmux("capture-pane", "-p", "-J", "-S", "-")
        return "\n".join(line.rstrip() for line in captured.splitlines()).rstrip() + "\n"

    def resize(self, columns: int, lines: int) -> None:
        """Gives the terminal another size, which the program is notified of."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def screen(self) -> list[str]:
        return [line.rstrip() for line in self._tmux("capture-pane", "-p").splitlines()]

    def coloured(self) -> str:
        """What is on the screen, with its SGR sequences."""
        return self._tmux("capture-pane", "-p", "-e").strip("\n")

    def _tmux(self, *args: str) -> str:
        command = ["tmux", "-L", self._server, *args]
        return subprocess.run(command, env=self._env, capture_output=True, text=True, check=True).stdout
