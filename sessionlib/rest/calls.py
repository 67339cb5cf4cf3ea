"""HTTP calls as values: what goes out, what came back, and whether to try again.

No socket or thread may live here. Facts about the hosted engine (from its public SDK,
``vectorshift`` 0.1.15): flags in a query are ``true`` and ``false``; an error is a status that is
not 2xx with a JSON object holding one of ``error``, ``message``, ``detail`` and ``errors``.
"""

from __future__ import annotations

import contextlib
import email.utils
import re
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote, urlsplit

from sessionlib._util.timing import Backoff, Deadline
from sessionlib.config import check_id
from sessionlib.errors import ApiConnectionError, ApiError, ConfigurationError, api_error
from sessionlib.protocol import codec

__all__ = ["Answer", "Call", "Failure", "OpenLines", "Tries", "Upload", "make_call", "segment"]

Opened = TypeVar("Opened", bound="OpenLines")

MAX_RETRY_AFTER = 60.0
MAX_ERROR_TEXT = 500

Upload = tuple[str, tuple[str, bytes] | tuple[str, bytes, str]]
"""A file of a multipart body: its field, then its name, its bytes and, where given, its MIME type."""

_PATH = re.compile(r"(/[A-Za-z0-9._~%-]+)+")
_ERROR_FIELDS = ("error", "message", "detail", "errors")
_SECONDS = re.compile(r"\d{1,12}(\.\d+)?", re.ASCII)

# Statuses after which the same call may well succeed; only calls that change nothing act on them.
_PASSING = frozenset({408, 425, 429})
# Statuses that say, together with Retry-After, that nothing was done and when to come back.
_TURNED_AWAY = frozenset({429, 503})


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

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    files: tuple[Upload, ...] = field(default=(), repr=False)
    stream: bool = False

    @property
    def changes_nothing(self) -> bool:
        """Whether it can be made twice without harm."""
        return self.method in ("GET", "HEAD")

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
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asked to wait, or None."""
        return wait_in(self.headers.get("Retry-After"))

    def value(self) -> Any:
        """Gives the JSON value of the body; an empty body is an empty object.

        Raises:
            ApiError: The status is not 2xx.
            ApiConnectionError: The body is not JSON.
        """
        if not self.ok:
            raise self.error()
        if not self.body.strip():
            return {}
        with contextlib.suppress(ValueError):
            return codec.loads(self.body)
        # Raised here, where no traceback leads to the body.
        raise ApiConnectionError(
            f"{self.call} was answered with {self.status} and a body that is not JSON. Is base_url an engine's?"
        )

    def error(self) -> ApiError:
        """Makes the error of a status that is not 2xx."""
        told = error_text(self.body)
        if 300 <= self.status < 400 and self.headers.get("Location"):
            told = _redirect_text(self.headers["Location"])
        return api_error(self.status, self.call.method, self.call.path, told, self.retry_after)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call got no answer.

    Attributes:
        call: The call.
        error: What to tell the caller.
        cause: What the system said, or None.
        may_pass: Whether another try can do better.
    """

    call: Call
    error: ApiConnectionError
    cause: BaseException | None = None
    may_pass: bool = True

    def value(self) -> NoReturn:
        """Raises the error.

        Raises:
            ApiConnectionError: Always.
        """
        raise self.error from self.cause


class Tries:
    """Decides after each try of one call whether, and when, to make it again.

    Without Retry-After only a call that changes nothing is made again: after a failed connection, 408, 425,
    429 or 5xx. With Retry-After, any call is, after 429 or 503. What the server asks to wait is
    believed up to 60 s; a wait that would outlast the deadline is not begun, so that the caller
    gets the error, with what was asked in it, at once.

    Args:
        call: The call.
        deadline: When it has to be over.
        max_retries: How often it may be made again.
        backoff: Draws the delays.
    """

    def __init__(self, call: Call, deadline: Deadline, max_retries: int, backoff: Backoff | None = None) -> None:
        self._call = call
        self._deadline = deadline
        self._left = max_retries
        self._backoff = backoff or Backoff(base=0.5, cap=8.0)

    def delay_after(self, outcome: Answer | Failure) -> float | None:
        """Gives the seconds to wait before the next try, or None when the outcome stands."""
        if self._left <= 0 or not self._worth_it(outcome):
            return None
        self._left -= 1
        asked = outcome.retry_after if isinstance(outcome, Answer) else None
        delay = self._backoff.next_delay(min(asked or 0.0, MAX_RETRY_AFTER))
        left = self._deadline.remaining()
        return None if left is not None and delay >= left else delay

    def _worth_it(self, outcome: Answer | Failure) -> bool:
        if isinstance(outcome, Failure):
            return outcome.may_pass and self._call.changes_nothing
        if outcome.status in _TURNED_AWAY and outcome.retry_after is not None:
            return True
        return self._call.changes_nothing and (outcome.status >= 500 or outcome.status in _PASSING)


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
    return Call(
        method=method.upper(),
        path=path,
        query={name: _flag(value) for name, value in (query or {}).items() if value is not None},
        body=None if json is None else codec.dumps(json),
        form=None if form is None else {name: _form_value(value) for name, value in form.items()},
        files=tuple(files),
        stream=stream,
    )


def segment(name: str, value: object) -> str:
    """Gives an id as one segment of a path.

    Args:
        name: What the id is called in the error.
        value: The id.

    Raises:
        TypeError: It is not a str.
        ConfigurationError: It is empty, too long, or would name another path.
    """
    checked = check_id(name, value)
    # Percent-encoding leaves dots alone, and a URL's "." and ".." segments are resolved on the way.
    if checked in (".", ".."):
        raise ConfigurationError(f"{name} cannot be {checked!r}")
    return quote(checked, safe="")


def wait_in(header: str | None, now: float | None = None) -> float | None:
    """Reads a Retry-After header (RFC 9110, 10.2.3).

    Args:
        header: Its value: seconds, or a date.
        now: The time, in seconds since the epoch; for tests.

    Returns:
        Seconds from now, never below 0; None for what is neither.
    """
    if header is None:
        return None
    told = header.strip()
    if _SECONDS.fullmatch(told):
        return float(told)
    try:
        moment = email.utils.parsedate_to_datetime(told)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    current = datetime.fromtimestamp(time.time() if now is None else now, tz=timezone.utc)
    return max(0.0, (moment - current).total_seconds())


def error_text(body: bytes) -> str:
    """Gives what a server says in the body of an error, in one line of bounded length.

    Returns:
        The first of ``error``, ``message``, ``detail`` and ``errors`` that says something; "" for a
        body that is not a JSON object with one of them, which is never quoted.
    """
    try:
        told = codec.loads(body)
    except ValueError:
        return ""
    if not isinstance(told, dict):
        return ""
    texts = (_said(told.get(name)) for name in _ERROR_FIELDS)
    return _one_line(next((text for text in texts if text), ""))


def _said(value: Any, depth: int = 3) -> str:
    if isinstance(value, dict) and depth:
        texts = (_said(value.get(name), depth - 1) for name in (*_ERROR_FIELDS, "msg"))
        return next((text for text in texts if text), "")
    if isinstance(value, list) and depth:
        return "; ".join(text for text in (_said(item, depth - 1) for item in value[:20]) if text)
    return str(value) if isinstance(value, (str, int, float)) and value else ""


def _one_line(text: str) -> str:
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * MAX_ERROR_TEXT]).split())
    return line if len(line) <= MAX_ERROR_TEXT else line[: MAX_ERROR_TEXT - 1] + "…"


def _redirect_text(location: str) -> str:
    # The path and the query stay out: they may hold a token.
    try:
        parts = urlsplit(location)
        target = f"{parts.scheme}://{parts.hostname}" if parts.hostname else "another path"
    except ValueError:
        target = "something that is not a URL"
    return _one_line(
        f"redirects are not followed, and this one leads to {target}; if that is right, set base_url to it"
    )


def _flag(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _form_value(value: Any) -> str:
    return codec.dumps(value).decode() if isinstance(value, (dict, list)) else _flag(value)


class OpenLines(Iterator[bytes]):
    """What the lines of any streamed answer are, recorded ones too: an iterator and a context manager."""

    @abstractmethod
    def close(self) -> None:
        """Ends the answer; nobody reads on."""

    def __enter__(self: Opened) -> Opened:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
