"""Running scripts in interpreters of their own: for exits, forks, signals and kills.

Example:
    ::

        result = run_script('''
            import sessionlib
            ...
        ''', engine.ws_url)
        assert (result.rc, result.stderr) == (0, "")
"""

from __future__ import annotations

import contextlib
import glob
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
MARKER = "ready"
"""What a script prints on a line of its own when it is where the test wants it."""

PIPE_GRACE = 1.0
"""Seconds that forked children may keep the pipes once the script has ended."""

# Nothing of the developer's environment but what an interpreter needs to start.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "COVERAGE_PROCESS_START", "SESSIONLIB_COVERAGE")


@dataclass(frozen=True)
class Result:
    """What became of a script.

    Attributes:
        rc: Exit status; the negative number of the signal that ended it, as -9.
        stdout: All it wrote there.
        stderr: All it wrote there.
        duration: Seconds from its start to its end.
    """

    rc: int
    stdout: str
    stderr: str
    duration: float

    def check(self) -> Result:
        """Gives itself back if the script ended well and said nothing on stderr."""
        assert (self.rc, self.stderr) == (0, ""), self
        return self


def run_script(source: str, *args: str, timeout: float = 100.0, **options: Any) -> Result:
    """Runs Python source to its end in a new interpreter, warnings turned on."""
    with Script(source, *args, **options) as script:
        return script.wait(timeout)


def is_running(pid: int) -> bool:
    """Whether anything of a process still runs, which may not be this one's child."""
    # Thread by thread: the first can be a zombie while the others still hold the files of the process.
    for stat in glob.glob(f"/proc/{pid}/task/*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if Path(stat).read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X"):
                return True
    return False


class Script:
    """A script that runs next to the test; a context manager that kills what is left of it.

    Args:
        source: The source; its indentation is taken away.
        args: For ``sys.argv[1:]``.
        env: Environment variables on top of a clean environment.
        options: For the interpreter, such as ``["-X", "dev"]``.
        stdin: What it can read; None closes its stdin.
    """

    def __init__(
        self,
        source: str,
        *args: str,
        env: Mapping[str, str] | None = None,
        options: Iterable[str] = (),
        stdin: str | None = None,
    ) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stdout: list[str] = []
        self._stderr: list[str] = []
        self._began = time.monotonic()
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ} | {"PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, *options, "-c", textwrap.dedent(source), *args],
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            cwd=ROOT,
            env={**kept, "PYTHONWARNINGS": "default", "PYTHONFAULTHANDLER": "1", **(env or {})},
            # A group of its own, so that what it forks can be killed with it.
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._threads = [
            threading.Thread(target=keep, args=(stream,), name=f"script-{self.pid}", daemon=True)
            for keep, stream in ((self._keep_stdout, self._process.stdout), (self._keep_stderr, self._process.stderr))
        ]
        for thread in self._threads:
            thread.start()
        if self._process.stdin is not None:
            with self._process.stdin as stream:
                stream.write(stdin or "")

    def __enter__(self) -> Script:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._kill_group()
        self._finish()
        if error is not None:
            print("".join(self._stdout), "".join(self._stderr), sep="\n", file=sys.stderr)

    def wait_for(self, marker: str = MARKER, timeout: float = 100.0) -> str:
        """Waits for a line on stdout that begins with a marker; gives the rest of the line."""
        end = time.monotonic() + timeout
        while True:
            try:
                line = self._lines.get(timeout=max(0.001, end - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"no {marker!r} within {timeout} s; stdout: {self._stdout}") from None
            if line is None:
                raise AssertionError(f"the script ended without {marker!r}: {self._finish()}")
            if line.startswith(marker):
                return line[len(marker) :].strip()

    def interrupt_at(self, marker: str = MARKER, *, after: float = 0.0) -> None:
        """Sends Ctrl-C, that is SIGINT, so many seconds after a marker line: to hit a call that begins right then."""
        self.wait_for(marker)
        time.sleep(after)
        self.send_signal(signal.SIGINT)

    def send_signal(self, number: int) -> None:
        """Sends a signal to the script alone, not to what it forked."""
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout: float = 100.0) -> Result:
        """Waits for its end; kills it when the time is over, which shows as ``rc == -9``."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._kill_group()
        return self._finish()

    def _finish(self) -> Result:
        rc = self._process.wait()
        duration = time.monotonic() - self._began
        for thread in self._threads:
            thread.join(PIPE_GRACE)
            if thread.is_alive():  # a forked child has the pipe
                self._kill_group()
                thread.join()
        return Result(rc, "".join(self._stdout), "".join(self._stderr), duration)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _keep_stdout(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._stdout.append(line)
                self._lines.put(line)
        self._lines.put(None)

    def _keep_stderr(self, stream: IO[str]) -> None:
        with stream:
            self._stderr += stream
