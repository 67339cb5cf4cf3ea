"""Recordings as files.

A recording is JSON lines in UTF-8. The first line tells what it is, the last one that it is whole::

    {"recording": "sessionlib", "version": 1, "made": "2025-11-03T09:15:00+00:00", "by": "0.1.0"}
    ...
    {"end": 27}

Each line between them is one thing that happened, in order: when (``t``, seconds from the start), where
(``link``, a WebSocket connection, or ``call``, an HTTP call, both numbered from 1), and, under one of these
signs, what:

``=``
    A link's course: ``{"open": URL, "thread": name}``, and ``{"close": code}`` when this client closed it.
``>``
    What was said. On a link, the frame, and beside it which thread said it (``by``, numbered from 1). Of a call,
    ``method``, ``path``, ``query`` and ``body``; a form is ``form``, files are ``files``.
``<``
    What was heard. On a link, the frame. Of a call, ``status``, ``headers`` (only those that matter) and
    ``body``; a streamed answer has ``lines``.
``!``
    What went wrong: a refused handshake, a link that was lost, a call without an answer; the error's
    ``kind`` and its facts.

What a peer sent that is not JSON is ``{"base64": ...}`` under ``<*``. A file that was sent is not in a recording:
in place of ``raw_bytes`` stand its SHA-256 and its size. No header of ours is in it, and so no key; how other
secrets are kept out is told in `sessionlib.testing.redaction`. Keepalive frames are not in it either.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

from sessionlib import errors
from sessionlib._version import __version__
from sessionlib.errors import ApiConnectionError, ApiError, SessionlibError, api_error
from sessionlib.hooks import Outcome
from sessionlib.protocol import codec
from sessionlib.rest.calls import Answer, Call, Failure, OpenLines
from sessionlib.testing.errors import RecordingError

__all__ = ["CALL", "LINK", "VERSION", "Line", "from_json", "read", "replayed", "tape_of", "to_json", "write"]

VERSION = 1
LINK = "link"
CALL = "call"
_SIGNS = ("=", ">", "<", "<*", "!")


@dataclass(frozen=True)
class Line:
    """One thing that happened.

    Attributes:
        at: When, in seconds from the start.
        where: `LINK` or `CALL`.
        number: Which of them.
        sign: What it is; see the module.
        value: The rest of it.
        by: The thread that said it, if it was said on a link; else 0.
        line: Its number in the file; 0 while it is in none.
    """

    at: float
    where: str
    number: int
    sign: str
    value: Any
    by: int = 0
    line: int = 0


def read(path: Path) -> list[Line]:
    """Reads a recording.

    Raises:
        RecordingError: It is not there, not whole, or none that this version can read.
    """
    try:
        # Not splitlines(), which knows line ends that JSON texts hold.
        texts = path.read_text("utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise RecordingError(f"there is no recording {path}; make it in the mode 'once' or 'all'") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"the recording {path} cannot be read: {error}") from error
    _check_head(path, texts)
    lines = [_line(path, number, text) for number, text in enumerate(texts[1:], 2)]
    if not lines or not isinstance(lines[-1], int):
        raise RecordingError(f"the recording {path} is cut short: its last line is missing; record it anew")
    if lines[-1] != len(lines) - 1 or any(isinstance(line, int) for line in lines[:-1]):
        raise RecordingError(f"the recording {path} is damaged: lines are missing from it; record it anew")
    return [line for line in lines if isinstance(line, Line)]


def write(path: Path, lines: Iterable[Line]) -> None:
    """Writes a recording, whole or not at all, for its owner only.

    Raises:
        OSError: It cannot be written.
    """
    told = {"recording": "sessionlib", "version": VERSION, "made": _now(), "by": __version__}
    texts = [_dumps(_json(line)) for line in lines]
    whole = "".join(f"{text}\n" for text in (_dumps(told), *texts, _dumps({"end": len(texts)})))
    path.parent.mkdir(parents=True, exist_ok=True)
    # A temporary file is its owner's alone, and stays so under its new name.
    number, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(whole.encode())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _check_head(path: Path, texts: list[str]) -> None:
    head = _object(texts[0]) if texts else None
    if head is None or head.get("recording") != "sessionlib":
        raise RecordingError(f"{path} is not a recording of sessionlib")
    if head.get("version") != VERSION:
        raise RecordingError(
            f"the recording {path} has version {head.get('version')!r}, and sessionlib {__version__} reads "
            f"version {VERSION}; record it anew"
        )


def _line(path: Path, number: int, text: str) -> Line | int:
    told = _object(text) or {}
    if isinstance(told.get("end"), int):
        return int(told["end"])
    where = next((name for name in (LINK, CALL) if isinstance(told.get(name), int)), None)
    sign = next((sign for sign in _SIGNS if sign in told), None)
    at = told.get("t")
    if where is None or sign is None or not isinstance(at, (int, float)):
        raise RecordingError(f"the recording {path} is damaged: line {number} is none of a recording; record it anew")
    by = told.get("by")
    return Line(float(at), where, told[where], sign, told[sign], by if isinstance(by, int) else 0, number)


def _json(line: Line) -> dict[str, Any]:
    told = {"t": round(line.at, 4), line.where: line.number, line.sign: line.value}
    return {**told, "by": line.by} if line.by else told


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


# What a link or a call can fail by, by name; the most specific first.
_KINDS: tuple[type[SessionlibError], ...] = (
    errors.SessionConnectionError,
    errors.SessionDisconnectedError,
    errors.SessionTimeoutError,
    errors.MessageTooLargeError,
    errors.SessionProtocolError,
    errors.ApiTimeoutError,
    errors.ApiConnectionError,
)
_BY_NAME = {kind.__name__: kind for kind in _KINDS}
_FACTS = ("code", "reason", "transient", "close_code", "size", "limit")


def to_json(error: SessionlibError) -> dict[str, Any]:
    """Gives an error's kind and facts."""
    if isinstance(error, ApiError):
        told = {"kind": "ApiError", "status": error.status_code, "retry_after": error.retry_after}
        return {**told, "method": error.method, "path": error.endpoint, "message": error.error_message}
    kind = next((kind for kind in _KINDS if isinstance(error, kind)), errors.SessionDisconnectedError)
    facts = {name: getattr(error, name) for name in _FACTS if getattr(error, name, None) not in (None, "")}
    return {"kind": kind.__name__, "message": error.message, **facts}


def from_json(told: dict[str, Any]) -> SessionlibError:
    """Makes the error that `to_json` told of."""
    if told.get("kind") == "ApiError":
        return api_error(
            int(told["status"]),
            str(told.get("method", "GET")),
            str(told.get("path", "")),
            str(told.get("message", "")),
            told.get("retry_after"),
            handshake=True,
        )
    error = _BY_NAME.get(str(told.get("kind")), errors.SessionDisconnectedError)(str(told.get("message", "")))
    for name in _FACTS:
        if name in told:
            setattr(error, name, told[name])
    return error


def replayed(call: Call, heard: Line, told: Any) -> Outcome:
    """Gives what a call gave when it was recorded.

    Args:
        call: The call that is made now.
        heard: Its recorded answer, or its failure.
        told: What that holds, with the ids of now.
    """
    if heard.sign == "!":
        error = from_json(told)
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
            raise from_json(error)
        raise StopIteration

    def value(self) -> _ReplayedLines:
        return self

    def close(self) -> None:
        self._lines = iter(())


FOLDER = "cassettes"
_LONGEST = 100
_ODD = re.compile(r"[^\w.-]+")


def tape_of(test_file: Path, test: str, path: str | Path | None = None) -> Path:
    """Gives the path of a test's recording.

    Args:
        test_file: The file that the test stands in.
        test: The test's name, with its parameters.
        path: Another path, relative to the test's file.
    """
    if path is not None:
        return test_file.parent / path
    name = _ODD.sub("-", test).strip("-.") or "test"
    if name != test or len(name) > _LONGEST:
        # What was left out may be all that two tests differ in.
        name = f"{name[:_LONGEST]}-{hashlib.sha256(test.encode()).hexdigest()[:8]}"
    return test_file.parent / FOLDER / test_file.stem / f"{name}.jsonl"
