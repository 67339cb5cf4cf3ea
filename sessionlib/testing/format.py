"""Recordings as files.

A recording is JSON lines in UTF-8. The first line identifies the format, the last one proves that it is complete::

    {"recording": "sessionlib", "version": 1, "made": "2025-11-03T09:15:00+00:00", "by": "0.1.0"}
    ...
    {"end": 27}

Each line between them is one thing that happened, in order: when (``t``, seconds from the start), where
(a connection or a call, `WEBSOCKET` or `CALL`, each numbered from 1), and, under one of these
signs, what:

``=``
    A connection's course: ``{"open": URL, "thread": name}``, and ``{"close": code}`` when this client closed it.
``>``
    What was sent. On a connection, the frame, and beside it which thread sent it (``by``, numbered from 1), and
    ``"look": true`` where the session looked at its history by itself, as nothing had come for a while. Of a call,
    ``method``, ``path``, ``query`` and ``body``; a form is ``form``, files are ``files``.
``<``
    What was received. On a connection, the frame. Of a call, ``status``, ``headers`` (only those that matter) and
    ``body``; a streamed answer has ``lines``.
``!``
    What failed: a refused handshake, a lost connection, a call without an answer; the error's
    ``kind`` and its facts.

What a peer sent that is not JSON is ``{"base64": ...}`` under ``<*``. A file that was sent is not in a recording:
in place of ``raw_bytes`` are its SHA-256 and its size. Request headers are not in it, and so no key; how other
secrets are kept out is described in `sessionlib.testing.redaction`. Keepalive frames are not in it either.
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

__all__ = [
    "CALL",
    "VERSION",
    "WEBSOCKET",
    "Line",
    "RecordingError",
    "ReplayMismatchError",
    "cassette_path",
    "from_json",
    "read",
    "replayed",
    "to_json",
    "write",
]

VERSION = 1
WEBSOCKET = "link"
CALL = "call"
# State, sent, received, received and no JSON, failed.
_SIGNS = ("=", ">", "<", "<*", "!")


class RecordingError(SessionlibError):
    """A recording cannot be used: it is missing or damaged, or has the format of another version."""


class ReplayMismatchError(AssertionError):
    """The code sent a request that differs from the recorded one, or did not send one that was recorded.

    An AssertionError, so that no ``except SessionError`` of the code under test catches it.

    Attributes:
        path: The recording's file.
        line: The number of the line with the expected request, from 1; None when none was expected.
    """

    def __init__(self, message: str, *, path: str = "", line: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.line = line


@dataclass(frozen=True)
class Line:
    """One thing that happened.

    Attributes:
        at: When, in seconds from the start.
        where: `WEBSOCKET` or `CALL`.
        number: Which of them.
        sign: The kind of line: "=", ">", "<", "<*" or "!"; see the module.
        value: Its content.
        by: The thread that sent it, numbered from 1; 0 for all but frames that were sent.
        line: Its number in the file; 0 while it is in none.
        is_look: Whether it was a session's own look at its history.
    """

    at: float
    where: str
    number: int
    sign: str
    value: Any
    by: int = 0
    line: int = 0
    is_look: bool = False


def read(path: Path) -> list[Line]:
    """Reads a recording.

    Raises:
        RecordingError: It is missing, incomplete, or not of a version that can be read.
    """
    try:
        # Not splitlines(), which knows line ends that JSON texts hold.
        texts = path.read_text("utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise RecordingError(f"there is no recording {path}; make it in the mode 'once' or 'all'") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"the recording {path} cannot be read: {error}") from error
    head = _object(texts[0]) if texts else None
    if head is None or head.get("recording") != "sessionlib":
        raise RecordingError(f"{path} is not a recording of sessionlib")
    if head.get("version") != VERSION:
        raise RecordingError(
            f"the recording {path} has version {head.get('version')!r}, and sessionlib {__version__} reads "
            f"version {VERSION}; record it again"
        )
    lines = [_line(path, number, text) for number, text in enumerate(texts[1:], 2)]
    # The count at the end shows a file that was truncated, as by a full disk or a merge.
    if not lines or not isinstance(lines[-1], int):
        raise RecordingError(f"the recording {path} is truncated: its last line is missing; record it again")
    if lines[-1] != len(lines) - 1 or any(isinstance(line, int) for line in lines[:-1]):
        raise RecordingError(f"the recording {path} is damaged: lines are missing from it; record it again")
    return [line for line in lines if isinstance(line, Line)]


def write(path: Path, lines: Iterable[Line]) -> None:
    """Writes a recording atomically, readable by its owner only.

    Raises:
        OSError: It cannot be written.
    """
    made = datetime.now(timezone.utc).isoformat(timespec="seconds")
    fields = {"recording": "sessionlib", "version": VERSION, "made": made, "by": __version__}
    texts = [_dumps(_json(line)) for line in lines]
    whole = "".join(f"{text}\n" for text in (_dumps(fields), *texts, _dumps({"end": len(texts)})))
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes files of mode 0600, which they keep under their new name. Beside the target, because a rename
    # is atomic only within one file system.
    number, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(whole.encode())
        # A recording that is there stays whole until the new one is.
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _line(path: Path, number: int, text: str) -> Line | int:
    fields = _object(text) or {}
    if isinstance(fields.get("end"), int):
        return int(fields["end"])
    where = next((name for name in (WEBSOCKET, CALL) if isinstance(fields.get(name), int)), None)
    sign = next((sign for sign in _SIGNS if sign in fields), None)
    at = fields.get("t")
    if where is None or sign is None or not isinstance(at, (int, float)):
        raise RecordingError(
            f"the recording {path} is damaged: line {number} is not one of a recording; record it again"
        )
    by, look = fields.get("by"), fields.get("look") is True
    return Line(float(at), where, fields[where], sign, fields[sign], by if isinstance(by, int) else 0, number, look)


def _json(line: Line) -> dict[str, Any]:
    # Tenths of a millisecond; more digits would only make differences between two recordings longer.
    fields = {"t": round(line.at, 4), line.where: line.number, line.sign: line.value}
    return {**fields, **({"by": line.by} if line.by else {}), **({"look": True} if line.is_look else {})}


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _dumps(value: Any) -> str:
    # One line each, readable in a review.
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


# What a connection or a call can fail with; subclasses before their bases.
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
    """Returns an error's kind and attributes as JSON."""
    if isinstance(error, ApiError):
        fields = {"kind": "ApiError", "status": error.status_code, "retry_after": error.retry_after}
        return {**fields, "method": error.method, "path": error.endpoint, "message": error.error_message}
    kind = next((kind for kind in _KINDS if isinstance(error, kind)), errors.SessionDisconnectedError)
    # Only what decides how the client goes on: whether it retries, and what it reports.
    facts = {name: getattr(error, name) for name in _FACTS if getattr(error, name, None) not in (None, "")}
    return {"kind": kind.__name__, "message": error.message, **facts}


def from_json(fields: dict[str, Any]) -> SessionlibError:
    """Returns the error that `to_json` made this of; of an unknown kind, a `SessionDisconnectedError`."""
    if fields.get("kind") == "ApiError":
        return api_error(
            int(fields["status"]),
            str(fields.get("method", "GET")),
            str(fields.get("path", "")),
            str(fields.get("message", "")),
            fields.get("retry_after"),
            handshake=True,
        )
    error = _BY_NAME.get(str(fields.get("kind")), errors.SessionDisconnectedError)(str(fields.get("message", "")))
    for name in _FACTS:
        if name in fields:
            setattr(error, name, fields[name])
    return error


def replayed(call: Call, response: Line, value: Any) -> Outcome:
    """Returns the outcome of a recorded call.

    Args:
        call: The call that is made now.
        response: Its recorded answer, or its failure.
        value: The content of that, with the current ids.
    """
    if response.sign == "!":
        error = from_json(value)
        assert isinstance(error, ApiConnectionError)
        return Failure(call, error, None, bool(value.get("may_pass", True)))
    if "lines" in value:
        return cast("Outcome", _ReplayedLines(value))
    body = base64.b64decode(value["base64"]) if "base64" in value else codec.dumps(value.get("body"))
    return Answer(call, int(value["status"]), value.get("headers", {}), body)


class _ReplayedLines(OpenLines):
    """Recorded lines of a streamed answer; see `sessionlib.rest.pool.Lines`."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._lines: Iterator[bytes] = iter([line.encode() for line in fields["lines"]])
        self._error: dict[str, Any] | None = fields.get("error")

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


_FOLDER = "cassettes"
# File systems bound a name to 255 bytes; 100 characters leave room for the digest, the suffix and UTF-8.
_LONGEST = 100
_UNSAFE = re.compile(r"[^\w.-]+")


def cassette_path(test_file: Path, test: str, path: str | Path | None = None) -> Path:
    """Returns the path of a test's recording.

    Args:
        test_file: The file that contains the test.
        test: The test's name, with its parameters.
        path: Another path, relative to the test's file.
    """
    if path is not None:
        return test_file.parent / path
    # Parametrised tests have brackets, slashes and spaces in their names.
    name = _UNSAFE.sub("-", test).strip("-.") or "test"
    if name != test or len(name) > _LONGEST:
        # Two tests may differ only in what was replaced or truncated.
        name = f"{name[:_LONGEST]}-{hashlib.sha256(test.encode()).hexdigest()[:8]}"
    return test_file.parent / _FOLDER / test_file.stem / f"{name}.jsonl"
