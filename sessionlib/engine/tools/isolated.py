"""Running the tools of a file in processes of their own, which can be ended when a thread cannot."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
from typing import Any

from sessionlib._util.timing import Deadline
from sessionlib.engine.sessions.cancellation import Stop
from sessionlib.engine.tools.runner import MARK, Outcome, kill_marked
from sessionlib.engine.tools.schema import InvalidArgumentsError, LocalTool
from sessionlib.net.sockets import wait_readable

__all__ = ["IsolatedTools"]

logger = logging.getLogger(__name__)

# An idle worker saves the start of an interpreter and of the tools file; each holds memory.
_IDLE = 4
# So long a worker has to end by itself before it is killed.
_TERM_SECONDS = 2.0
# More than any outcome has, and a bound on what a broken worker can send.
_LINE_BYTES = 4 * 1024 * 1024
# What the tools have no business with.
_PRIVATE = ("SESSIONLIB_API_KEY", "VECTORSHIFT_API_KEY")


class IsolatedTools:
    """Worker processes for the tools of one file; an idle one takes the next call.

    Args:
        path: The tools file.
        processes: How many calls may run at once; more wait.
    """

    def __init__(self, path: str, processes: int) -> None:
        # The process may change its folder before the next worker starts.
        self._path = os.path.abspath(path)
        self._processes = processes
        # Protects the count of calls, the list of idle workers, the set of all, and the closed flag.
        self._changed = threading.Condition()
        self._calls = 0
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._closed = False

    def run(
        self, tool: LocalTool[..., Any], arguments: dict[str, Any], stop: Stop, seconds: float, limit: int
    ) -> Outcome:
        """Runs a tool in a worker; one that takes too long, or is stopped, ends with its whole process group.

        Args:
            tool: The tool.
            arguments: Its arguments, as the model or a person gave them.
            stop: The turn's.
            seconds: How long it may run.
            limit: Bytes of its result that are kept.
        """
        try:
            # Here as well as in the worker: what does not fit needs no process.
            tool.validate(arguments)
        except InvalidArgumentsError as error:
            return Outcome.error(str(error))
        # Waits for room, unless the turn or the engine is stopped before there is any.
        with stop.calling(self._notify), self._changed:
            self._changed.wait_for(lambda: self._calls < self._processes or stop.stopped or self._closed)
            if stop.stopped or self._closed:
                return Outcome.error(f"tool {tool.name} was stopped: {stop.reason or 'the engine was stopped'}")
            self._calls += 1
        try:
            worker = self._take(limit)
            if worker is None:
                return Outcome.error("the engine is stopping")
            with stop.calling(worker.end):
                outcome = worker.call(tool.name, arguments, seconds)
            with self._changed:
                # Whatever its tool is doing, it is not for the next call.
                usable = outcome is not None and not stop.stopped
                kept = usable and not self._closed and len(self._idle) < _IDLE
                if kept:
                    self._idle.append(worker)
            if not kept:
                self._drop(worker)
            if stop.stopped:
                return Outcome.error(f"tool {tool.name} was stopped: {stop.reason}")
            return outcome or Outcome.error(worker.epitaph(tool.name, seconds))
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify()

    def close(self) -> None:
        """Ends all workers, and whatever their tools have started."""
        with self._changed:
            self._closed = True
            workers, self._all = self._all, set()
            self._idle.clear()
            self._changed.notify_all()
        for worker in workers:
            # All of them first: they end beside each other.
            worker.end()
        for worker in workers:
            worker.bury()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _take(self, limit: int) -> _Worker | None:
        while True:
            with self._changed:
                idle = self._idle.pop() if self._idle else None
            if idle is None:
                break
            # It may have been killed while it was idle, as by a system that runs out of memory.
            if idle.alive:
                return idle
            self._drop(idle)
        # Outside the lock, as starting an interpreter takes tens of milliseconds.
        worker = _Worker(self._path, limit)
        with self._changed:
            if not self._closed:
                self._all.add(worker)
                return worker
        # It was closed meanwhile, and nothing else knows of this one.
        worker.end()
        worker.bury()
        return None

    def _drop(self, worker: _Worker) -> None:
        with self._changed:
            self._all.discard(worker)
        worker.end()
        worker.bury()


class _Worker:
    def __init__(self, path: str, limit: int) -> None:
        # Random, so that no other process has it by accident.
        self._mark = secrets.token_hex(16)
        environment = {name: value for name, value in os.environ.items() if name not in _PRIVATE}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sessionlib.engine.tools.worker", path, str(limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment, MARK: self._mark},
            # A group of its own, so that what its tools start can be ended with it.
            start_new_session=True,
        )
        self._late = self._broken = False

    @property
    def alive(self) -> bool:
        """Whether the worker has not ended since its last call: then its pipe would have."""
        assert self._process.stdout is not None
        return not wait_readable(self._process.stdout, Deadline(0.0))

    def call(self, tool: str, arguments: dict[str, Any], seconds: float) -> Outcome | None:
        """Returns the tool's outcome; None when the worker is late, gone, or not to be understood."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = b""
        try:
            # One line, as JSON escapes line breaks.
            self._process.stdin.write(json.dumps({"tool": tool, "arguments": arguments}).encode() + b"\n")
            self._process.stdin.flush()
            deadline = Deadline(seconds)
            while not line.endswith(b"\n") and len(line) < _LINE_BYTES:
                if not wait_readable(self._process.stdout, deadline):
                    self._late = True
                    return None
                # Not by the buffered file: what it holds back, no poll would show.
                chunk = os.read(self._process.stdout.fileno(), 65536)
                if not chunk:
                    return None  # it died, perhaps while it wrote
                line += chunk
            return Outcome(**json.loads(line))
        except OSError:
            return None
        except (ValueError, TypeError):
            # The tool has found the pipe among its descriptors: what comes next may be of this call or of the next.
            self._broken = True
            return None

    def end(self) -> None:
        """Asks the worker's group to end."""
        self._signal(signal.SIGTERM)

    def bury(self) -> None:
        """Waits a while for the worker to end, and makes sure that nothing is left of its group."""
        assert self._process.stdout is not None
        deadline = Deadline(_TERM_SECONDS)
        while wait_readable(self._process.stdout, deadline):
            if not os.read(self._process.stdout.fileno(), 65536):
                break
        # Before the process is waited for: until then its number, and so its group's, is no other process's.
        self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        self._process.wait()
        kill_marked(self._mark)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was still to be written has no reader
                    pipe.close()

    def epitaph(self, tool: str, seconds: float) -> str:
        """Returns why there is no outcome."""
        if self._late:
            return f"tool {tool} did not finish within {seconds:g} s and was ended"
        if self._broken:
            return f"tool {tool} wrote into the pipe of its process, which was ended"
        return f"tool {tool} ended its process (status {self._process.returncode})"

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # nothing is left of it
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, number)
            else:
                self._process.terminate()
