"""A real terminal for a command, driven with tmux."""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from types import TracebackType

from tests.support.processes import ROOT

from .support import Cli

__all__ = ["Terminal"]

_numbers = itertools.count(1)
_OPTIONS = "set -g remain-on-exit on\nset -g history-limit 5000\nset -g status off\nset -s escape-time 0\n"


class Terminal:
    """Runs a command line on a terminal of its own; a context manager that ends whatever is left of it.

    Args:
        cli: Gives the environment, and the folder that the command runs in.
        command: What a shell is told; ``sessionlib`` stands for the command line under test.
        env: Further environment variables.
        size: Columns and lines.
    """

    def __init__(
        self, cli: Cli, command: str, *, env: Mapping[str, str] | None = None, size: tuple[int, int] = (100, 40)
    ) -> None:
        self._server = f"sessionlib-test-{os.getpid()}-{next(_numbers)}"
        options = cli.home / f"{self._server}.conf"
        options.write_text(_OPTIONS)
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        self._env = {**kept, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT), "HOME": str(cli.home), **cli.env}
        self._env.update(env or {})
        self._env.pop("COLUMNS", None)
        run = command.replace("sessionlib", f"{shlex.quote(sys.executable)} -m sessionlib", 1)
        # By way of the shell, because tmux at times forgets the status of what ends at once.
        self._status = cli.home / f"{self._server}.status"
        script = f"trap : INT; {run}; echo $? > {shlex.quote(str(self._status))}"
        width, height = map(str, size)
        where = ["-x", width, "-y", height, "-c", str(cli.home)]
        self._tmux("-f", str(options), "new-session", "-d", *where, "/bin/sh", "-c", script)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tmux("kill-server")

    def type(self, text: str) -> None:
        """Types a text and Enter."""
        self._tmux("send-keys", "-l", "--", text)
        self.press("Enter")

    def press(self, *keys: str) -> None:
        """Presses keys by their names in tmux, such as C-c."""
        self._tmux("send-keys", *keys)

    def shown(self) -> str:
        """What is and was on the screen, without blanks at the ends of lines."""
        told = self._tmux("capture-pane", "-p", "-J", "-S", "-")
        return "\n".join(line.rstrip() for line in told.splitlines()).rstrip() + "\n"

    def wait_for(self, text: str, *, after: str = "", timeout: float = 20.0) -> str:
        """Waits until a text is on the screen; gives all that is.

        Args:
            text: The text.
            after: What it has to come after; the last occurrence counts.
            timeout: The longest wait.

        Raises:
            AssertionError: It did not come; the message holds the screen.
        """
        end = time.monotonic() + timeout
        while True:
            shown = self.shown()
            if text in (shown[shown.rindex(after) :] if after and after in shown else "" if after else shown):
                return shown
            if time.monotonic() > end:
                raise AssertionError(f"no {text!r} on the screen within {timeout} s:\n{shown}")
            time.sleep(0.05)

    def status(self, timeout: float = 20.0) -> int:
        """Waits until the command has ended; gives its exit status."""
        end = time.monotonic() + timeout
        while True:
            if self._status.exists() and self._status.read_text().endswith("\n"):
                return int(self._status.read_text())
            if time.monotonic() > end:
                raise AssertionError(f"still running after {timeout} s:\n{self.shown()}")
            time.sleep(0.05)

    def _tmux(self, *args: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._server, *args], env=self._env, capture_output=True, text=True, check=True
        )
        return done.stdout.rstrip("\n")
