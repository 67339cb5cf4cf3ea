"""Engines that kill themselves at a chosen point: ``python -m tests.support.crashing_engine``.

Reads lines ``DATABASE TRACES N``, and for each forks an engine that sends itself SIGKILL at its N-th
boundary: before and after every commit, before and after every tool, at every piece of a model's answer.
Forked from a process without threads that has everything imported, so that hundreds are cheap.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sessionlib.engine import LocalEngine, tool
from sessionlib.engine.models import DemoModel, ModelRequest, Piece
from sessionlib.engine.store.database import Database
from tests.support.engine import KEY


def make_tools(traces: Path) -> list[Any]:
    """Tools that leave a line for each run."""

    def leave(line: str) -> str:
        with traces.open("a") as file:
            file.write(line + "\n")
        return f"left {line}"

    @tool
    def trace(line: str) -> str:
        """Leave a line."""
        return leave(line)

    @tool(approval="requires_approval")
    def asked(line: str) -> str:
        """Leave a line, if a person agrees."""
        return leave(line)

    @tool
    def stuck(line: str) -> str:
        """Leave a line, and never come back."""
        leave(line)
        threading.Event().wait()
        return line

    return [trace, asked, stuck]


class _Boundaries:
    def __init__(self, fatal: int) -> None:
        self._numbers = itertools.count(1)
        self._fatal = fatal

    def cross(self) -> None:
        if next(self._numbers) == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


class _Model(DemoModel):
    def __init__(self, boundaries: _Boundaries) -> None:
        self._boundaries = boundaries

    def answer(self, question: ModelRequest) -> Iterator[Piece]:
        for piece in super().answer(question):
            self._boundaries.cross()
            yield piece


def _around(boundaries: _Boundaries, function: Any) -> Any:
    def crossing(*args: Any, **kwargs: Any) -> Any:
        boundaries.cross()
        result = function(*args, **kwargs)
        boundaries.cross()
        return result

    return crossing


def _run(database: str, traces: str, fatal: int) -> None:
    boundaries = _Boundaries(fatal)
    tools = make_tools(Path(traces))
    for item in tools:
        item.function = _around(boundaries, item.function)
    Database._commit = _around(boundaries, Database._commit)  # type: ignore[method-assign]
    engine = LocalEngine(tools=tools, path=database, api_key=KEY, model=_Model(boundaries))
    engine.start()
    print(engine.base_url, flush=True)
    signal.pause()


def main() -> None:
    for line in sys.stdin:
        database, traces, fatal = line.split()
        child = os.fork()
        if not child:
            _run(database, traces, int(fatal))
        os.waitpid(child, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main()
