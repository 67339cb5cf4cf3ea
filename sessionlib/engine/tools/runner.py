"""Running one tool within bounds: of time, of what it returns, of what it prints."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import io
import itertools
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, ValuesView
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NoReturn, TextIO, cast

from pydantic import ConfigDict, TypeAdapter

from sessionlib._util.timing import Deadline
from sessionlib.engine.sessions.cancellation import Stop
from sessionlib.engine.tools.schema import InvalidArgumentsError, LocalTool
from sessionlib.protocol import codec

__all__ = [
    "MARK",
    "Outcome",
    "Printed",
    "ToolBatch",
    "call_tool",
    "cap_output",
    "capture",
    "kill_marked",
    "run_tool",
]

MARK = "SESSIONLIB_TOOLS_PROCESS"
"""In the environment of a worker, and so of all that its tools start, detached or not: which worker it was."""

# By context: tools run beside each other, and each prints into its own.
_buffer: ContextVar[Printed | None] = ContextVar("sessionlib_printed", default=None)
# Protects the switches and the count of those who need them.
_lock = threading.Lock()
_users = 0
_switches: list[_Switch] = []


class Printed(io.TextIOBase):
    """Keeps the first ``limit`` characters of what is written to it."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._pieces: list[str] = []
        self._size = 0

    def writable(self) -> bool:
        """Whether it can be written to: yes."""
        return True

    def write(self, text: str) -> int:
        """Keeps what there is room for, and takes the rest all the same."""
        # The rest is taken and dropped, as a tool that prints too much has done nothing wrong.
        room = self._limit - self._size
        if room > 0:
            self._pieces.append(text[:room])
            self._size += len(self._pieces[-1])
        return len(text)

    @property
    def text(self) -> str:
        """What is kept."""
        return "".join(self._pieces)


class _Switch:
    """Stands in for a standard stream; attributes it does not have, such as ``encoding``, are the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        # Prints of the program itself go where they always went.
        return (_buffer.get() or self.stream).write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        # Another context's buffer, or a stream that its owner has closed since, needs none.
        if _buffer.get() is None and not self.stream.closed:
            self.stream.flush()

    def close(self) -> None:
        """Leaves the stream open: it is the program's."""

    def detach(self) -> NoReturn:
        raise io.UnsupportedOperation("detach")  # the stream would be of no use to the program any more

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def capture(limit: int) -> Iterator[Printed]:
    """Keeps what this context prints to the standard streams.

    Args:
        limit: Characters that are kept.
    """
    global _users
    printed = Printed(limit)
    token = _buffer.set(printed)
    with _lock:
        _users += 1
        if _users == 1:
            # With the first of several at once, and taken out with the last: sys.stdout is one for all threads.
            _switches[:] = [_Switch(sys.stdout), _Switch(sys.stderr)]
            sys.stdout, sys.stderr = cast("list[TextIO]", _switches)
    try:
        yield printed
    finally:
        with _lock:
            _users -= 1
            # A stream that was replaced since stays as it is.
            if not _users and sys.stdout is _switches[0]:
                sys.stdout = _switches[0].stream
            if not _users and sys.stderr is _switches[1]:
                sys.stderr = _switches[1].stream
        _buffer.reset(token)


logger = logging.getLogger(__name__)

# Pydantic knows more types than `json`: dates, UUIDs, dataclasses, models.
_JSON: TypeAdapter[Any] = TypeAdapter(Any, config=ConfigDict(ser_json_inf_nan="strings"))
_PRINTED_CHARS = 16 * 1024
# Of an iterator that never ends, so many items are a result.
_ITEMS = 10_000


@dataclass(frozen=True)
class Outcome:
    """The outcome of a tool call.

    Attributes:
        status: "complete", "error" or "denied".
        output: What the tool returned, as JSON; else why there is nothing.
        printed: What it printed.
    """

    status: str
    output: Any
    printed: str = ""

    @classmethod
    def error(cls, why: str, printed: str = "") -> Outcome:
        """Makes the outcome of a call that failed."""
        return cls("error", why, printed)


def run_tool(tool: LocalTool[..., Any], arguments: dict[str, Any], stop: Stop, seconds: float, limit: int) -> Outcome:
    """Runs a tool on a thread of its own, and waits for it.

    A thread cannot be ended from outside: a tool that is still running when its time is over, or when
    its turn is stopped, runs on, and its result is dropped.

    Args:
        tool: The tool.
        arguments: Its arguments, as the model or a person gave them.
        stop: The turn's.
        seconds: How long it may run.
        limit: Bytes of its result that are kept.
    """
    try:
        values = tool.validate(arguments)
    except InvalidArgumentsError as error:
        return Outcome.error(str(error))
    run = _Run(tool, values, limit)
    # A stop wakes the wait by the same event as a result does.
    with stop.calling(run.settled.set):
        run.start()
        run.settled.wait(Deadline(seconds).remaining())
    if stop.stopped:
        return Outcome.error(f"tool {tool.name} was stopped: {stop.reason}")
    return run.outcome or Outcome.error(f"tool {tool.name} did not finish within {seconds:g} s")


class _Run:
    def __init__(self, tool: LocalTool[..., Any], values: dict[str, Any], limit: int) -> None:
        self.outcome: Outcome | None = None
        self.settled = threading.Event()
        self._tool = tool
        self._values = values
        self._limit = limit

    def start(self) -> None:
        # Threads begin with an empty context, and what the caller has set is expected in its tools.
        context = contextvars.copy_context()
        # A daemon, because a tool that never returns must not keep the interpreter from ending.
        threading.Thread(
            target=context.run, args=(self._run,), name=f"sessionlib-tool-{self._tool.name}", daemon=True
        ).start()

    def _run(self) -> None:
        self.outcome = call_tool(self._tool, self._values, self._limit)
        self.settled.set()


def call_tool(tool: LocalTool[..., Any], values: dict[str, Any], limit: int) -> Outcome:
    """Calls a tool's function here and now; whatever it does is an outcome.

    Args:
        tool: The tool.
        values: Its arguments, validated.
        limit: Bytes of its result that are kept.
    """
    with capture(_PRINTED_CHARS) as printed:
        try:
            outcome = Outcome("complete", cap_output(tool.function(**values), limit))
        # SystemExit as well: a tool that calls sys.exit() must not end the thread without an outcome.
        except BaseException as error:
            logger.debug("! tool %s failed", tool.name, exc_info=True)
            outcome = Outcome.error(describe(error))
    return Outcome(outcome.status, outcome.output, printed.text)


def kill_marked(mark: str) -> None:
    """Kills what the tools of a worker have started and what has left its group; this process excepted.

    Args:
        mark: The worker's.
    """
    # A tool's child may have left the group (setsid), but it has inherited the environment.
    wanted = f"{MARK}={mark}".encode()
    found = True
    while found:  # again, for what was forked meanwhile; what was killed has no environment any more
        found = False
        with contextlib.suppress(FileNotFoundError):  # a system without /proc
            for name in os.listdir("/proc"):
                if not name.isdigit() or int(name) == os.getpid():
                    continue
                with contextlib.suppress(OSError):  # it has just ended, or is another user's
                    with open(f"/proc/{name}/environ", "rb") as file:
                        is_marked = wanted in file.read().split(b"\0")
                    if is_marked:
                        os.kill(int(name), signal.SIGKILL)
                        found = True


def describe(error: BaseException) -> str:
    """Returns a tool's exception in words for the model, within bounds."""
    try:
        details = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ is the tool's fault as well
        details = "(its message cannot be read)"
    return _clean(f"{type(error).__name__}: {details}"[:2000] if details else type(error).__name__)


def cap_output(value: Any, limit: int) -> Any:
    """Returns a result as JSON, or as readable text where it has no JSON form or is too large.

    The tool has acted by now: whatever it returned, the call has succeeded. Only a coroutine is an error, because
    then it has not.

    Raises:
        TypeError: It is a coroutine, which nothing runs.
    """
    if inspect.isawaitable(value) or inspect.isasyncgen(value):
        if inspect.iscoroutine(value):
            # Or Python would warn that it was never awaited, where the user cannot see why.
            value.close()
        kind = type(value).__name__
        raise TypeError(f"the tool returned a {kind}, which was not run: declare a plain function as the tool")
    if isinstance(value, Iterator):
        # A generator is run here, within the tool's time, as its caller would have done.
        value = list(itertools.islice(value, _ITEMS))
    if isinstance(value, memoryview):
        value = value.tobytes()
    if isinstance(value, (bytes, bytearray)):
        try:
            value.decode()
        except UnicodeDecodeError:
            return f"{len(value)} bytes: {bytes(value[:64])!r}"
    try:
        # Into plain values first: a model reads them as JSON and not as text with JSON in it.
        plain = _JSON.serializer.to_python(value, mode="json", fallback=_plain)
        if isinstance(plain, str):
            return _cut(_clean(plain), limit)
        plain = codec.with_long_numbers_as_texts(plain)
        data = codec.dumps(plain)
    except Exception:  # noqa: BLE001 - a value's own methods may raise anything
        return _cut(_clean(_readable(value)), limit)
    return plain if len(data) <= limit else _cut(data.decode(), limit)


def _plain(value: Any) -> Any:
    """Returns what stands for a value that pydantic does not know, alone or within another value."""
    # Known by name, so that none of them is imported here. A scalar is a number; a table is read as it prints.
    if type(value).__module__.partition(".")[0] in ("numpy", "pandas", "polars"):
        return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else str(value)
    if isinstance(value, (KeysView, ValuesView, ItemsView)):
        return list(itertools.islice(value, _ITEMS))
    # Of an object with no words of its own, its address would be all that there is to read.
    kind: Any = type(value)
    if kind.__repr__ is object.__repr__ and kind.__str__ is object.__str__ and vars(value):
        return {name: item for name, item in vars(value).items() if not name.startswith("_")}
    return _readable(value)


def _readable(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a broken __str__ is the tool's fault
        return f"(a result of type {type(value).__name__}, which cannot be shown)"


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit and len(text.encode()) <= limit:
        return text
    # First the characters, or a huge text would be encoded whole only to be truncated.
    kept = text[:limit].encode()[:limit].decode(errors="ignore")
    return f"{kept}\n[truncated: {len(text)} characters in all]"


def _clean(text: str) -> str:
    # Lone surrogates cannot be sent as UTF-8.
    return text.encode(errors="replace").decode()


class ToolBatch:
    """Runs tool calls, each on a thread of its own; all but `wake` is for the one thread that works on the turn.

    Args:
        size: How many may run at once.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._threads: dict[str, threading.Thread] = {}
        self._news: queue.SimpleQueue[tuple[str, Outcome] | None] = queue.SimpleQueue()

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._threads

    @property
    def busy(self) -> bool:
        """Whether a tool runs."""
        return bool(self._threads)

    @property
    def full(self) -> bool:
        """Whether no more may run now."""
        return len(self._threads) >= self._size

    def start(self, call_id: str, run: Callable[[], Outcome]) -> None:
        """Runs a call; ``run`` has to end within its limits, and soon when the turn is stopped."""
        # A daemon, so that an engine that was not closed does not keep the interpreter from ending.
        thread = threading.Thread(
            target=self._run, args=(call_id, run), name=f"sessionlib-call-{call_id[:8]}", daemon=True
        )
        thread.start()
        self._threads[call_id] = thread

    def take(self) -> tuple[str, Outcome] | None:
        """Waits for an outcome, and returns the call's id and it; None when somebody woke the waiting."""
        news = self._news.get()
        if news is not None:
            # It has put its outcome, which was its last step.
            self._threads.pop(news[0]).join()
        return news

    def wake(self) -> None:
        """Ends the waiting, from any thread."""
        self._news.put(None)

    def clear(self) -> None:
        """Waits until nothing runs any more; outcomes are dropped."""
        while self.busy:
            self.take()

    def _run(self, call_id: str, run: Callable[[], Outcome]) -> None:
        try:
            outcome = run()
        except Exception as error:
            # No more descriptors, processes or threads: the system's fault, which no traceback explains.
            expected = isinstance(error, (OSError, RuntimeError))
            logger.warning("! tool call %s could not be run: %s", call_id, error, exc_info=not expected)
            outcome = Outcome.error("the engine could not run this tool; its log has the reason")
        self._news.put((call_id, outcome))
