"""What can be wrong between this machine and an engine, looked at one by one."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from sessionlib.cli.say import one_line
from sessionlib.client import Client
from sessionlib.config import Endpoint, is_loopback
from sessionlib.errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    SessionlibError,
    SessionProtocolError,
)
from sessionlib.timing import Deadline
from sessionlib.transport.dial import Attempt
from sessionlib.transport.websocket import open_websocket

__all__ = ["Finding", "Patient", "examine"]

OK, NOTE, SKIPPED, FAILED = "ok", "note", "skipped", "FAILED"

_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}
_VARIABLES = ("SESSIONLIB_{}", "VECTORSHIFT_{}")


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        name: What was looked at.
        outcome: "ok", "note", "skipped" or "FAILED".
        text: What was found.
        advice: What to do about it.
    """

    name: str
    outcome: str
    text: str
    advice: str = ""

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return self.outcome == FAILED


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
    proxy = _proxy(endpoint.base_url)
    yield proxy
    reached = True
    for url in _targets(endpoint):
        reached = (yield from _reach(url, patient.timeout)) and reached
    through_proxy = proxy.outcome == NOTE
    yield _when(not key.failed and (reached or through_proxy), "HTTP", lambda: _http(endpoint, patient.timeout))
    yield _when(not key.failed and reached, "WebSocket", lambda: _websocket(endpoint, patient.timeout))


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
        return Finding(
            "key", FAILED, one_line(str(error)), "Set SESSIONLIB_API_KEY to the key, with nothing around it."
        )
    return Finding("key", OK, f"set{_source('API_KEY') if endpoint.source is None else ''}")


def _proxy(base_url: str) -> Finding:
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    found = urllib.request.getproxies()
    url = found.get(parts.scheme) or found.get("all")
    if is_loopback(host) or not url or urllib.request.proxy_bypass(host):
        return Finding("proxy", OK, "none is used")
    # Never its user and password.
    shown = urlsplit(url).netloc.rpartition("@")[2] or "one that cannot be read"
    return Finding("proxy", NOTE, f"{shown}, from the environment", "NO_PROXY names hosts that are reached without it.")


def _targets(endpoint: Endpoint) -> list[SplitResult]:
    urls = [urlsplit(endpoint.base_url), urlsplit(endpoint.ws_url)]
    places = {(url.hostname, _port(url), _is_secure(url)): url for url in reversed(urls)}
    return list(reversed(places.values()))


def _port(url: SplitResult) -> int:
    return url.port or _PORTS[url.scheme]


def _is_secure(url: SplitResult) -> bool:
    return url.scheme in ("https", "wss")


# ---- the way there -----------------------------------------------------------------------------


def _reach(url: SplitResult, timeout: float) -> Generator[Finding, None, bool]:
    """Tells about the name, the connection and TLS; returns whether all of it works."""
    name = _name(url, timeout)
    yield name
    if name.failed:
        return False
    connection, sock = _connect(url, timeout)
    yield connection
    if sock is None:
        return False
    with sock:
        if not _is_secure(url):
            yield Finding("TLS", OK, "not used on this machine itself")
            return True
        tls = _tls(sock, url.hostname or "")
    yield tls
    return not tls.failed


def _name(url: SplitResult, timeout: float) -> Finding:
    host = url.hostname or ""
    began = time.monotonic()
    addresses: list[str] = []
    failure: list[OSError] = []

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, _port(url), type=socket.SOCK_STREAM)
            addresses.extend(dict.fromkeys(str(entry[4][0]) for entry in found))
        except (OSError, UnicodeError) as error:
            failure.append(error if isinstance(error, OSError) else OSError("not a host name"))

    # A daemon: a resolver that hangs must not hold up the end of the program.
    thread = threading.Thread(target=look_up, name="sessionlib-doctor-dns", daemon=True)
    thread.start()
    thread.join(timeout)
    if addresses:
        return Finding("DNS", OK, f"{host} is {', '.join(addresses[:3])} ({_since(began)})")
    told = (failure[0].strerror or str(failure[0])) if failure else f"no answer within {timeout:g} s"
    return Finding(
        "DNS", FAILED, f"{host}: {told}", "Check the host in the address, and this machine's network and DNS."
    )


def _connect(url: SplitResult, timeout: float) -> tuple[Finding, socket.socket | None]:
    where = f"{url.hostname}:{_port(url)}"
    began = time.monotonic()
    try:
        sock = socket.create_connection((url.hostname, _port(url)), timeout)
    except TimeoutError:
        advice = "A firewall may be in the way. If this network needs a proxy, set HTTPS_PROXY."
        return Finding("connection", FAILED, f"{where}: no answer within {timeout:g} s", advice), None
    except OSError as error:
        advice = "Is an engine running there? sessionlib serve prints its address."
        return Finding("connection", FAILED, f"{where}: {error.strerror or error}", advice), None
    return Finding("connection", OK, f"{where} answers ({_since(began)})"), sock


def _tls(sock: socket.socket, host: str) -> Finding:
    began = time.monotonic()
    try:
        with ssl.create_default_context().wrap_socket(sock, server_hostname=host) as secured:
            certificate = secured.getpeercert() or {}
            told = f"{secured.version()}, certificate valid for {_days_left(certificate)} days ({_since(began)})"
            return Finding("TLS", OK, told)
    except ssl.SSLCertVerificationError as error:
        return Finding("TLS", FAILED, f"the certificate is not accepted: {error.verify_message}", _CERTIFICATE_ADVICE)
    except (ssl.SSLError, OSError) as error:
        told = getattr(error, "reason", None) or error.strerror or type(error).__name__
        advice = "Does the address begin with https:// where the server speaks plain HTTP, or is the port another's?"
        return Finding("TLS", FAILED, f"no handshake: {str(told).replace('_', ' ').lower()}", advice)


_CERTIFICATE_ADVICE = (
    "Check this machine's clock. Where a company's proxy opens TLS, name its certificate in SSL_CERT_FILE (for "
    "sessions) and REQUESTS_CA_BUNDLE (for HTTP)."
)


def _days_left(certificate: dict[str, Any]) -> int:
    with contextlib.suppress(KeyError, ValueError):
        return int((ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) // 86400)
    return 0


def _since(began: float) -> str:
    return f"{(time.monotonic() - began) * 1000:.0f} ms"


# ---- the engine --------------------------------------------------------------------------------


def _http(endpoint: Endpoint, timeout: float) -> Finding:
    began = time.monotonic()
    try:
        with Client(endpoint.source, endpoint.base_url, endpoint.ws_url, timeout, max_retries=0) as client:
            client.request("GET", "/agents", query={"limit": 1})
    except SessionlibError as error:
        return Finding("HTTP", FAILED, one_line(str(error)), _advice(error))
    return Finding("HTTP", OK, f"the key is accepted ({_since(began)})")


def _websocket(endpoint: Endpoint, timeout: float) -> Finding:
    began = time.monotonic()
    try:
        url, deadline = endpoint.session_url, Deadline(timeout)
        transport = open_websocket(url, endpoint.key(), deadline, Attempt(), max_message_size=2**20)
    except SessionlibError as error:
        return Finding("WebSocket", FAILED, one_line(str(error)), _advice(error))
    transport.close()
    transport.release()
    return Finding("WebSocket", OK, f"sessions can be opened ({_since(began)})")


def _advice(error: SessionlibError) -> str:
    if isinstance(error.__cause__, ssl.SSLError):
        return _CERTIFICATE_ADVICE
    return next((advice for kind, advice in _ADVICE if isinstance(error, kind)), _OTHER_ADVICE)


_ADVICE: tuple[tuple[type[SessionlibError], str], ...] = (
    (AuthenticationError, "The engine does not know this key: copy it anew, and see which variable it is in."),
    (PermissionDeniedError, "The key may not do this: ask for one that may list agents and open sessions."),
    (NotFoundError, "Is the path of the address right? The hosted engine's ends in /v1."),
    (ApiError, "The engine is there and has trouble of its own: try again later."),
    (SessionProtocolError, "What answers there is no engine, or something on the way does not let WebSockets pass."),
)
_OTHER_ADVICE = "Is this the address of an engine? If a proxy is used, does it let this through?"
