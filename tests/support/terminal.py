"""A real terminal for a program, driven with tmux."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from .processes import ROOT
from .programs import need

__all__ = ["Terminal"]

_numbers = itertools.count(1)
_OPTIONS = "set -g history-limit 5000\nset -g status off\nset -s escape-time 0\n"
_KEPT = ("PATH", "HOME", "TMPDIR", "COVERAGE_PROCESS_START", "SESSIONLIB_COVERAGE")


class Terminal:
    """Runs a program on a terminal of its own; a context manager that ends whatever is left of it.

    Args:
        folder: Where the program runs.
        command: What a shell is told to run.
        env: Environment variables on top of a clean environment.
        size: Columns and lines.

    Example:
        ::

            with Terminal(tmp_path, "python -m sessionlib chat") as terminal:
                terminal.wait_for(">")
                terminal.type("/quit")
                assert terminal.status() == 0
    """

    def __init__(
        self, folder: Path, command: str, *, env: Mapping[str, str] | None = None, size: tuple[int, int] = (120, 60)
    ) -> None:
        need("tmux")
        self._server = f"sessionlib-{os.getpid()}-{next(_numbers)}"
        options = folder / f"{self._server}.conf"
        options.write_text(_OPTIONS)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._env = {**kept, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT), **(env or {})}
        width, height = map(str, size)
        where = ["-x", width, "-y", height, "-c", str(folder)]
        # The shell outlives Ctrl-C and says how the program ended, which tmux at times forgets.
        shell = f'trap : INT; {command}; echo "ended with $?"; sleep 600'
        self._tmux("-f", str(options), "new-session", "-d", *where, "/bin/sh", "-c", shell)

    @classmethod
    def script(cls, folder: Path, source: str, *args: str, redirect: str = "") -> Terminal:
        """Runs Python source.

        Args:
            folder: Where it runs, and is written to.
            source: The source; its indentation is taken away.
            args: For ``sys.argv[1:]``.
            redirect: What the shell does with its streams, such as ``<&-``.
        """
        script = folder / "script.py"
        script.write_text(textwrap.dedent(source))
        return cls(folder, f"{shlex.join([sys.executable, str(script), *args])} {redirect}")

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tmux("kill-server")

    def type(self, text: str) -> None:
        """Types a text and Enter."""
        if text:
            self._tmux("send-keys", "-l", "--", text)
        self.press("Enter")

    def paste(self, text: str) -> None:
        """Pastes a text, in brackets where the program has asked for them."""
        self._tmux("set-buffer", "--", text)
        self._tmux("paste-buffer", "-p", "-r")

    def press(self, *keys: str) -> None:
        """Presses keys by their names in tmux, such as C-c."""
        self._tmux("send-keys", *keys)

    def shown(self) -> str:
        """What is and was on the screen, without blanks at the ends of lines."""
        told = self._tmux("capture-pane", "-p", "-J", "-S", "-")
        return "\n".join(line.rstrip() for line in told.splitlines()).rstrip() + "\n"

    def resize(self, columns: int, lines: int) -> None:
        """Gives the terminal another size, which the program is notified of."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def screen(self) -> list[str]:
        """The lines of the screen as they are drawn, folded ones too, without blanks at their ends."""
        return [line.rstrip() for line in self._tmux("capture-pane", "-p").splitlines()]

    def coloured(self) -> str:
        """What is on the screen, with its SGR sequences."""
        return self._tmux("capture-pane", "-p", "-e").strip("\n")

    def wait_for(self, text: str, count: int = 1, *, after: str = "", timeout: float = 20.0) -> str:
        """Waits until a text is on the screen so many times; gives all that is.

        Args:
            text: The text.
            count: How often it has to be there.
            after: What it has to come after; the last time that this is on the screen counts.
            timeout: The longest wait, in seconds.

        Raises:
            AssertionError: It did not come; the message holds the screen.
        """
        end = time.monotonic() + timeout
        while True:
            shown = self.shown()
            _, found, rest = shown.rpartition(after) if after else ("", "yes", shown)
            if found and rest.count(text) >= count:
                return shown
            if time.monotonic() > end:
                raise AssertionError(f"no {count} x {text!r} on the screen within {timeout} s:\n{shown}")
            time.sleep(0.05)

    def status(self, timeout: float = 20.0) -> int:
        """Waits until the program has ended; gives its exit status."""
        shown = self.wait_for("ended with ", timeout=timeout)
        return int(re.findall(r"ended with (\d+)\n", shown)[-1])

    def _tmux(self, *args: str) -> str:
        command = ["tmux", "-L", self._server, *args]
        return subprocess.run(command, env=self._env, capture_output=True, text=True, check=True).stdout
