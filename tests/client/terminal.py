"""A Python script on a real terminal, driven with tmux."""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import TracebackType

from tests.support.processes import ROOT

__all__ = ["Terminal"]

_numbers = itertools.count(1)


class Terminal:
    """Runs a script on a terminal of its own; a context manager that ends whatever is left of it.

    Args:
        folder: For the script.
        source: The script; its indentation is taken away.
        args: For ``sys.argv[1:]``.
        redirect: What the shell does with the script's streams, such as ``<&-``.
    """

    def __init__(self, folder: Path, source: str, *args: str, redirect: str = "") -> None:
        self._server = f"sessionlib-client-{os.getpid()}-{next(_numbers)}"
        script = folder / "script.py"
        script.write_text(textwrap.dedent(source))
        command = shlex.join([sys.executable, str(script), *args])
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        self._env = {**kept, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT), "TERM": "xterm"}
        shell = f'trap : INT; {command} {redirect}; echo "ended with $?"; sleep 60'
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "60", "/bin/sh", "-c", shell)

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

    def press(self, *keys: str) -> None:
        """Presses keys by their names in tmux, such as C-c."""
        self._tmux("send-keys", *keys)

    def shown(self) -> str:
        """What is on the screen, without blanks at the ends of lines."""
        told = self._tmux("capture-pane", "-p", "-J", "-S", "-")
        return "\n".join(line.rstrip() for line in told.splitlines()).rstrip()

    def wait_for(self, text: str, count: int = 1, timeout: float = 20.0) -> str:
        """Waits until a text is on the screen so many times; gives all that is.

        Raises:
            AssertionError: It did not come; the message holds the screen.
        """
        end = time.monotonic() + timeout
        while (shown := self.shown()).count(text) < count:
            if time.monotonic() > end:
                raise AssertionError(f"no {count} x {text!r} on the screen within {timeout} s:\n{shown}")
            time.sleep(0.05)
        return shown

    def _tmux(self, *args: str) -> str:
        command = ["tmux", "-L", self._server, *args]
        return subprocess.run(command, env=self._env, capture_output=True, text=True, check=True).stdout
