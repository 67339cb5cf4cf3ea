"""Running one tool within bounds: of time, of what it returns, of what it prints."""

from __future__ import annotations

import contextvars
import logging
import threading
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from sessionlib.engine.sessions.cancellation import Stop
from sessionlib.engine.tools.capture import capture
from sessionlib.engine.tools.schema import InvalidArgumentsError, LocalTool
from sessionlib.protocol import codec

__all__ = ["Outcome", "call_tool", "cap_output", "run_tool"]

logger = logging.getLogger(__name__)

_JSON: TypeAdapter[Any] = TypeAdapter(Any, config=ConfigDict(ser_json_inf_nan="constants"))
_PRINTED_CHARS = 16 * 1024


@dataclass(frozen=True)
class Outcome:
    """What became of a tool call.

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
    with stop.calling(run.settled.set):
        run.start()
        run.settled.wait(seconds)
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
        except BaseException as error:
            logger.debug("! tool %s failed", tool.name, exc_info=True)
            outcome = Outcome.error(describe(error))
    return Outcome(outcome.status, outcome.output, printed.text)


def describe(error: BaseException) -> str:
    """Gives a tool's exception in words for the model, within bounds."""
    try:
        told = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ is the tool's fault as well
        told = "(its message cannot be read)"
    return _clean(f"{type(error).__name__}: {told}"[:2000] if told else type(error).__name__)


def cap_output(value: Any, limit: int) -> Any:
    """Gives a result as JSON, and a text cut to size when it is too large.

    Raises:
        TypeError: It has no JSON form.
    """
    if isinstance(value, str):
        return _cut(_clean(value), limit)
    try:
        plain = _JSON.dump_python(value, mode="json")
        data = codec.dumps(plain)
    except (ValueError, TypeError, RecursionError) as error:
        raise TypeError(f"the result, of type {type(value).__name__}, has no JSON form") from error
    return plain if len(data) <= limit else _cut(data.decode(), limit)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit and len(text.encode()) <= limit:
        return text
    kept = text[:limit].encode()[:limit].decode(errors="ignore")
    return f"{kept}\n[cut: {len(text)} characters in all]"


def _clean(text: str) -> str:
    # Lone surrogates cannot be sent as UTF-8.
    return text.encode(errors="replace").decode()
