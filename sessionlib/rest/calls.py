"""HTTP calls as values: what goes out, what came back, and whether to try again.

No socket or thread may live here. Facts about the hosted engine (from its public SDK,
``vectorshift`` 0.1.15): flags in a query are ``true`` and ``false``; an error is a status that is
not 2xx with a JSON object holding one of ``error``, ``message``, ``detail`` and ``errors``.
"""

from __future__ import annotations

import contextlib
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn, TypeVar
from urllib.parse import quote, urlsplit

from sessionlib.config import check_id
from sessionlib.errors import ApiConnectionError, ApiError, ConfigurationError, api_error
from sessionlib.net.retry import is_transient_status, retry_after
from sessionlib.protocol import codec

__all__ = ["Answer", "Call", "Failure", "OpenLines", "Upload", "make_call", "segment"]

Opened = TypeVar("Opened", bound="OpenLines")

MAX_ERROR_TEXT = 500

Upload = tuple[str, tuple[str, bytes] | tuple[str, bytes, str]]
"""A file of a multipart body: its field, then its name, its bytes and, where given, its MIME type."""

# Neither "?" nor "#" nor "//": a path that is made from an id must not become another request.
_PATH = re.compile(r"(/[A-Za-z0-9._~%-]+)+")
_ERROR_FIELDS = ("error", "message", "detail", "errors")


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call, checked and encoded: making it can no longer fail on the caller's input.

    Attributes:
        method: The HTTP method.
        path: The path below the base URL.
        query: The query's fields, as text.
        body: The JSON body, or None.
        form: The fields of a form, or None.
        files: The files of a multipart form.
        stream: Whether the answer is read line by line.
    """

    # A line break in the method or the path would end the request line: `make_call` lets neither in.
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    # Not in a repr: what users write, and what they upload, ends up in logs otherwise.
    body: bytes | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    files: tuple[Upload, ...] = field(default=(), repr=False)
    stream: bool = False

    @property
    def changes_nothing(self) -> bool:
        """Whether it can be made twice without harm."""
        # RFC 9110, 9.2.1. A PUT or DELETE may be repeated too by the RFC, which the platform does not promise.
        return self.method in ("GET", "HEAD")

    @property
    def info(self) -> dict[str, str]:
        """What an error that has no answer to show has of it."""
        return {"method": self.method, "endpoint": self.path}

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back on a call, whatever its status.

    Attributes:
        call: The call.
        status: The HTTP status.
        headers: The answer's headers.
        body: The answer's body; for a status other than 2xx, its beginning.
    """

    call: Call
    status: int
    # A server may set cookies or quote the request in them; neither belongs into a log.
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asked to wait, or None."""
        return retry_after(self.headers)

    @property
    def may_pass(self) -> bool:
        """Whether the same call may succeed later."""
        # One table for HTTP and for the status that refuses a WebSocket handshake; see `net.retry`.
        return is_transient_status(self.status)

    def value(self) -> Any:
        """Returns the JSON value of the body; an empty body is an empty object.

        Raises:
            ApiError: The status is not 2xx.
            ApiConnectionError: The body is not JSON.
        """
        if not self.ok:
            raise self.error()
        # The platform answers some deletions with 200 and nothing.
        if not self.body.strip():
            return {}
        with contextlib.suppress(ValueError):
            return codec.loads(self.body)
        # Raised here, where no traceback leads to the body.
        raise ApiConnectionError(
            f"{self.call} was answered with {self.status} and a body that is not JSON. Is base_url an engine's?",
            request_info=self.call.info,
        )

    def error(self) -> ApiError:
        """Makes the error of a status that is not 2xx."""
        message = error_text(self.body)
        if 300 <= self.status < 400 and self.headers.get("Location"):
            # The path and the query stay out: they may hold a token.
            try:
                parts = urlsplit(self.headers["Location"])
                target = f"{parts.scheme}://{parts.hostname}" if parts.hostname else "another path"
            except ValueError:
                target = "something that is not a URL"
            message = _one_line(
                f"redirects are not followed, and this one leads to {target}; if that is right, set base_url to it"
            )
        # The key was taken out of it as it was read; see `Pool`.
        raw = self.body.decode("utf-8", "replace")
        return api_error(self.status, self.call.method, self.call.path, message, self.retry_after, raw_response=raw)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call got no answer.

    Attributes:
        call: The call.
        error: What the caller gets.
        cause: The system's error, or None.
        may_pass: Whether another try can do better.
    """

    call: Call
    error: ApiConnectionError
    cause: BaseException | None = None
    may_pass: bool = True
    # So that the retry loop asks an `Answer` and a `Failure` the same questions.
    status: ClassVar[None] = None
    retry_after: ClassVar[None] = None

    def value(self) -> NoReturn:
        """Raises the error.

        Raises:
            ApiConnectionError: Always.
        """
        raise self.error from self.cause


def make_call(
    method: str,
    path: str,
    *,
    query: Mapping[str, Any] | None = None,
    json: Any = None,
    form: Mapping[str, Any] | None = None,
    files: Iterable[Upload] = (),
    stream: bool = False,
) -> Call:
    """Checks and encodes a call.

    Args:
        method: The HTTP method.
        path: The path below the base URL; ids in it have gone through `segment`.
        query: Fields of the query; None values are left out.
        json: The JSON body, or None.
        form: Fields of a form, sent instead of ``json``.
        files: Files of a multipart form.
        stream: Whether the answer is read line by line.

    Raises:
        TypeError: The body holds something that has no JSON form.
        ValueError: The body cannot be JSON, or the path cannot be one.
    """
    if not _PATH.fullmatch(path) or not method.isalpha():
        raise ConfigurationError(f"not a method and a path below the base URL: {method[:20]!r} {path[:80]!r}")
    fields = {
        name: codec.dumps(value).decode() if isinstance(value, (dict, list)) else _flag(value)
        for name, value in (form or {}).items()
    }
    return Call(
        method=method.upper(),
        path=path,
        query={name: _flag(value) for name, value in (query or {}).items() if value is not None},
        body=None if json is None else codec.dumps(json),
        form=None if form is None else fields,
        files=tuple(files),
        stream=stream,
    )


def segment(name: str, value: object) -> str:
    """Returns an id as one segment of a path.

    Args:
        name: What the id is called in the error.
        value: The id.

    Raises:
        TypeError: It is not a str.
        ConfigurationError: It is empty, too long, or would name another path.
    """
    # An empty id would make the path that of the whole collection: DELETE /agent/ is no DELETE of one agent.
    checked = check_id(name, value)
    # Percent-encoding leaves dots alone, and a URL's "." and ".." segments are resolved on the way.
    if checked in (".", ".."):
        raise ConfigurationError(f"{name} cannot be {checked!r}")
    return quote(checked, safe="")


def error_text(body: bytes) -> str:
    """Returns the server's message in the body of an error, as one line of bounded length.

    Returns:
        The first of ``error``, ``message``, ``detail`` and ``errors`` that holds text; "" for a
        body that is not a JSON object with one of them, which is never quoted.
    """
    try:
        value = codec.loads(body)
    except ValueError:
        # A page of a gateway, most likely. No part of it helps in one line, and the status is in the error anyway.
        return ""
    if not isinstance(value, dict):
        return ""
    texts = (_text_of(value.get(name)) for name in _ERROR_FIELDS)
    return _one_line(next((text for text in texts if text), ""))


def _text_of(value: Any, depth: int = 3) -> str:
    if isinstance(value, dict) and depth:
        # Validation errors come as a list of objects with a "msg" (FastAPI's form).
        texts = (_text_of(value.get(name), depth - 1) for name in (*_ERROR_FIELDS, "msg"))
        return next((text for text in texts if text), "")
    if isinstance(value, list) and depth:
        # Both bounds are for the body of a peer that is no engine: JSON nests deep, and lists are long.
        return "; ".join(text for text in (_text_of(item, depth - 1) for item in value[:20]) if text)
    return str(value) if isinstance(value, (str, int, float)) and value else ""


def _one_line(text: str) -> str:
    # What a server sends ends up on terminals: no control characters, and no more than fits on a screen.
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * MAX_ERROR_TEXT]).split())
    return line if len(line) <= MAX_ERROR_TEXT else line[: MAX_ERROR_TEXT - 1] + "…"


def _flag(value: Any) -> str:
    # As the SDK writes them: true and false, not Python's True and False.
    return str(value).lower() if isinstance(value, bool) else str(value)


class OpenLines(Iterator[bytes]):
    """What the lines of any streamed answer are, recorded ones too: an iterator and a context manager."""

    @abstractmethod
    def close(self) -> None:
        """Ends the answer; no further line is read."""

    def __enter__(self: Opened) -> Opened:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
