"""Recorded answers to HTTP calls, as what a call gives."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, cast

from sessionlib.errors import ApiConnectionError
from sessionlib.hooks import Outcome
from sessionlib.protocol import codec
from sessionlib.rest.calls import Answer, Call, Failure, OpenLines
from sessionlib.testing import failures
from sessionlib.testing.format import Line

__all__ = ["replayed"]


def replayed(call: Call, heard: Line, told: Any) -> Outcome:
    """Gives what a call gave when it was recorded.

    Args:
        call: The call that is made now.
        heard: Its recorded answer, or its failure.
        told: What that holds, with the ids of now.
    """
    if heard.sign == "!":
        error = failures.from_json(told)
        assert isinstance(error, ApiConnectionError)
        return Failure(call, error, None, bool(told.get("may_pass", True)))
    if "lines" in told:
        return cast("Outcome", _ReplayedLines(told))
    body = base64.b64decode(told["base64"]) if "base64" in told else codec.dumps(told.get("body"))
    return Answer(call, int(told["status"]), told.get("headers", {}), body)


class _ReplayedLines(OpenLines):
    """Recorded lines of a streamed answer; see `sessionlib.rest.pool.Lines`."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._lines: Iterator[bytes] = iter([line.encode() for line in told["lines"]])
        self._error: dict[str, Any] | None = told.get("error")

    def __next__(self) -> bytes:
        line = next(self._lines, None)
        if line is not None:
            return line
        error, self._error = self._error, None
        if error is not None:
            raise failures.from_json(error)
        raise StopIteration

    def value(self) -> _ReplayedLines:
        return self

    def close(self) -> None:
        self._lines = iter(())
