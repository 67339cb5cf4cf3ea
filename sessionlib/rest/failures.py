"""What is told of a call that got no usable answer."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
from collections.abc import Callable
from typing import Any

import requests
import urllib3

from sessionlib._util.timing import Deadline
from sessionlib.errors import ApiConnectionError, ApiTimeoutError
from sessionlib.rest.calls import Call, Failure

__all__ = ["FOREIGN", "UnwantedAnswerError", "failure_of"]

FOREIGN = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)
"""Everything that the libraries below raise for a call that got no usable answer."""

_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})")


class UnwantedAnswerError(OSError):
    """An answer that is not read on; its text ends the sentence "the answer ..."."""


def failure_of(call: Call, host: str, error: BaseException, deadline: Deadline) -> Failure:
    """Gives the failure that one of `FOREIGN` stands for.

    Args:
        call: The call.
        host: Where it went.
        error: What was raised; it holds the request, and with it the key, so it goes no further.
        deadline: The call's deadline.
    """
    cause = _system_error(error)
    if isinstance(error, ValueError):
        told = f"{call}: base_url or a proxy of the environment cannot be used ({type(error).__name__})."
        return Failure(call, ApiConnectionError(told), may_pass=False)
    if deadline.expired or isinstance(cause, TimeoutError) or isinstance(error, requests.Timeout):
        seconds = "" if deadline.timeout is None else f" within {deadline.timeout:g} s"
        return Failure(call, ApiTimeoutError(f"{call}: {host} did not answer{seconds}."), _bare(cause), may_pass=False)
    told, may_pass = next(describe(cause) for kind, describe in _CAUSES if isinstance(cause, kind))
    return Failure(call, ApiConnectionError(f"{call}: {told.replace('HOST', host)}"), _bare(cause), may_pass)


def _system_error(error: BaseException) -> OSError | None:
    """Finds what the system said below the libraries' wrappers."""
    seen: list[Any] = [error]
    for found in seen:
        # requests' own exceptions are OSErrors too.
        if isinstance(found, OSError) and not isinstance(found, requests.RequestException):
            return found
        inner = (*found.args, getattr(found, "reason", None), found.__cause__, found.__context__)
        seen += [one for one in inner if isinstance(one, BaseException) and one not in seen][: 50 - len(seen)]
    return None


def _bare(cause: OSError | None) -> OSError | None:
    # Its traceback leads through the libraries' frames, which hold the request's headers.
    if cause is not None:
        cause.__traceback__ = cause.__cause__ = cause.__context__ = None
    return cause


def _tls(cause: Any) -> tuple[str, bool]:
    told = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or "the handshake failed"
    return f"no TLS connection to HOST: {str(told).replace('_', ' ').lower()}.", False


def _other(cause: Any) -> tuple[str, bool]:
    refused = _TUNNEL_REFUSED.search(str(cause))
    if refused:
        told = f"the proxy refused the connection to HOST with {refused[1]}. Check the proxy and its password."
        return told, refused[1][0] == "5"
    return f"no connection to HOST: {os.strerror(cause.errno) if cause.errno else type(cause).__name__}.", True


# What is told about the first kind that fits, and whether another try can do better.
_CAUSES: tuple[tuple[type[object], Callable[[Any], tuple[str, bool]]], ...] = (
    (UnwantedAnswerError, lambda cause: (f"the answer of HOST {cause}, and was not read on.", False)),
    (ssl.SSLEOFError, lambda _: ("HOST cut the connection before its answer was complete.", True)),
    (ssl.SSLError, _tls),
    (socket.gaierror, lambda _: ("the name of HOST could not be resolved. Check base_url.", True)),
    (ConnectionRefusedError, lambda _: ("HOST refused the connection. Is the server running?", True)),
    (ConnectionError, lambda _: ("HOST cut the connection before its answer was complete.", True)),
    (OSError, _other),
    (object, lambda _: ("the answer of HOST was cut short, or is not HTTP.", True)),
)
