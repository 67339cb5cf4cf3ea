"""What can be wrong between this machine and an engine, looked at one by one."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from sessionlib._util.timing import Deadline
from sessionlib.cli.findings import FAILED, OK, SKIPPED, Finding, since
from sessionlib.cli.way import CERTIFICATE_ADVICE, Way
from sessionlib.client import Client
from sessionlib.config import Endpoint
from sessionlib.display.text import one_line
from sessionlib.errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    SessionlibError,
    SessionProtocolError,
)
from sessionlib.net.connect import Attempt
from sessionlib.transport.websocket import open_websocket

__all__ = ["Patient", "examine"]

_VARIABLES = ("SESSIONLIB_{}", "VECTORSHIFT_{}")
_WS_SCHEMES = {"https": "wss", "http": "ws"}


@dataclass(frozen=True)
class Patient:
    """What is looked at.

    Attributes:
        base_url: The HTTP base that was given; None takes the environment's.
        timeout: Seconds that each check may take.
        endpoint: Where the engine is, when it is known already.
    """

    base_url: str | None
    timeout: float
    endpoint: Endpoint | None = None


def examine(patient: Patient) -> Iterator[Finding]:
    """Looks at everything, in the order in which it is needed, and tells as it goes."""
    try:
        endpoint = patient.endpoint or Endpoint.resolve(base_url=patient.base_url)
    except ConfigurationError as error:
        yield Finding("address", FAILED, str(error), "Correct --base-url or the variable, then run this again.")
        return
    yield Finding("address", OK, f"{endpoint.base_url}{_source('BASE_URL', patient.base_url)}")
    key = _key(endpoint)
    yield key
    possible = not key.failed
    for url in _places(endpoint):
        with Way(url, patient.timeout) as way:
            possible = (yield from way.go()) and possible
    yield _when(possible, "HTTP", lambda: _http(endpoint, patient.timeout))
    yield _when(possible, "WebSocket", lambda: _websocket(endpoint, patient.timeout))


def _when(possible: bool, name: str, check: Callable[[], Finding]) -> Finding:
    return check() if possible else Finding(name, SKIPPED, "nothing can be said before the above is right")


# ---- settings ----------------------------------------------------------------------------------


def _source(name: str, given: str | None = None) -> str:
    if given:
        return ""
    found = next((variable.format(name) for variable in _VARIABLES if os.environ.get(variable.format(name))), None)
    return f", from {found}" if found else ""


def _key(endpoint: Endpoint) -> Finding:
    try:
        endpoint.key()
    except ConfigurationError as error:
        advice = "Set SESSIONLIB_API_KEY to the key, with nothing around it."
        return Finding("key", FAILED, one_line(str(error)), advice)
    return Finding("key", OK, f"set{_source('API_KEY') if endpoint.source is None else ''}")


def _places(endpoint: Endpoint) -> list[SplitResult]:
    """Gives where HTTP and sessions go, once where that is the same place."""
    base, sessions = urlsplit(endpoint.base_url), urlsplit(endpoint.ws_url)
    base = base._replace(scheme=_WS_SCHEMES[base.scheme])
    return [base] if (base.scheme, base.netloc) == (sessions.scheme, sessions.netloc) else [base, sessions]


# ---- the engine --------------------------------------------------------------------------------


def _http(endpoint: Endpoint, timeout: float) -> Finding:
    began = time.monotonic()
    try:
        with Client(endpoint.source, endpoint.base_url, endpoint.ws_url, timeout, max_retries=0) as client:
            client.request("GET", "/agents", query={"limit": 1})
    except SessionlibError as error:
        return Finding("HTTP", FAILED, one_line(str(error)), _advice(error))
    return Finding("HTTP", OK, f"the key is accepted ({since(began)})")


def _websocket(endpoint: Endpoint, timeout: float) -> Finding:
    began = time.monotonic()
    try:
        url, deadline = endpoint.session_url, Deadline(timeout)
        transport = open_websocket(url, endpoint.key(), deadline, Attempt(), max_message_size=2**20)
    except SessionlibError as error:
        return Finding("WebSocket", FAILED, one_line(str(error)), _advice(error))
    transport.close()
    transport.release()
    return Finding("WebSocket", OK, f"sessions can be opened ({since(began)})")


def _advice(error: SessionlibError) -> str:
    if isinstance(error.__cause__, ssl.SSLError):
        return CERTIFICATE_ADVICE
    return next((advice for kind, advice in _ADVICE if isinstance(error, kind)), _OTHER_ADVICE)


_ADVICE: tuple[tuple[type[SessionlibError], str], ...] = (
    (AuthenticationError, "The engine does not know this key: copy it anew, and see which variable it is in."),
    (PermissionDeniedError, "The key may not do this: ask for one that may list agents and open sessions."),
    (NotFoundError, "Is the path of the address right? The hosted engine's ends in /v1."),
    (ApiError, "The engine is there and has trouble of its own: try again later."),
    (SessionProtocolError, "What answers there is no engine, or something on the way does not let WebSockets pass."),
)
_OTHER_ADVICE = "Is this the address of an engine? If a proxy is used, does it let this through?"
