"""The way to an engine, step by step: proxy, name, connection, tunnel and TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Generator
from types import TracebackType
from typing import Any
from urllib.parse import SplitResult

from sessionlib._util.timing import Deadline
from sessionlib.cli.findings import FAILED, NOTE, OK, Finding, since
from sessionlib.errors import ConfigurationError, SessionlibError
from sessionlib.net.connect import Address, Attempt, connect, resolve
from sessionlib.transport.proxy import Proxy, choose_proxy

__all__ = ["CERTIFICATE_ADVICE", "Way"]

_PORTS = {"wss": 443, "ws": 80}

CERTIFICATE_ADVICE = (
    "Check this machine's clock. Where a company's proxy opens TLS, name its certificate in SSL_CERT_FILE (for "
    "sessions) and REQUESTS_CA_BUNDLE (for HTTP)."
)


class Way:
    """Goes the way to one place, and tells of each step; a context manager that leaves nothing open.

    Args:
        url: A ``ws`` or ``wss`` URL of the place.
        timeout: Seconds that each step may take.
    """

    def __init__(self, url: SplitResult, timeout: float) -> None:
        self._host, self._port = url.hostname or "", url.port or _PORTS[url.scheme]
        self._url = url
        self._timeout = timeout
        self._proxy: Proxy | None = None
        self._addresses: list[Address] = []
        self._sock: socket.socket | None = None

    def __enter__(self) -> Way:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sock is not None:
            self._sock.close()

    def go(self) -> Generator[Finding, None, bool]:
        """Goes it and tells of each step; returns whether it leads there."""
        for step in (self._choose_proxy, self._resolve, self._connect, self._tunnel, self._secure):
            finding = step()
            if finding is not None:
                yield finding
                if finding.failed:
                    return False
        return True

    def _choose_proxy(self) -> Finding:
        try:
            self._proxy = choose_proxy(None, self._url)
        except ConfigurationError as error:
            return Finding("proxy", FAILED, str(error), "Correct the variable HTTPS_PROXY, HTTP_PROXY or ALL_PROXY.")
        if self._proxy is None:
            return Finding("proxy", OK, "none is used")
        advice = "NO_PROXY names hosts that are reached without it."
        return Finding("proxy", NOTE, f"{self._proxy}, from the environment", advice)

    @property
    def _first(self) -> tuple[str, int]:
        # Behind a proxy, names need not be known here.
        return (self._host, self._port) if self._proxy is None else (self._proxy.host, self._proxy.port)

    def _resolve(self) -> Finding:
        host, port = self._first
        began = time.monotonic()
        advice = "Check the host in the address, and this network's DNS."
        try:
            self._addresses = resolve(host, port, Deadline(self._timeout), Attempt())
        except TimeoutError:
            return Finding("DNS", FAILED, f"{host}: no answer within {self._timeout:g} s", advice)
        except OSError as error:
            return Finding("DNS", FAILED, f"{host}: {error.strerror or error}", advice)
        names = list(dict.fromkeys(str(address[4][0]) for address in self._addresses))
        return Finding("DNS", OK, f"{host} is {', '.join(names[:3])} ({since(began)})")

    def _connect(self) -> Finding:
        host, port = self._first
        began = time.monotonic()
        try:
            self._sock = connect(self._addresses, Deadline(self._timeout), Attempt())
        except TimeoutError:
            advice = "A firewall may be in the way. If this network needs a proxy, set HTTPS_PROXY."
            return Finding("connection", FAILED, f"{host}:{port}: no answer within {self._timeout:g} s", advice)
        except OSError as error:
            advice = "Is an engine running there? sessionlib serve prints its address."
            if self._proxy is not None:
                advice = "Is this the right proxy? The variable HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names it."
            return Finding("connection", FAILED, f"{host}:{port}: {error.strerror or error}", advice)
        return Finding("connection", OK, f"{host}:{port} answers ({since(began)})")

    def _tunnel(self) -> Finding | None:
        if self._proxy is None or self._sock is None:
            return None
        began = time.monotonic()
        try:
            self._proxy.tunnel(self._sock, self._host, self._port, Deadline(self._timeout))
        except SessionlibError as error:
            return Finding("tunnel", FAILED, str(error), "The proxy has to let CONNECT through to this host.")
        return Finding("tunnel", OK, f"the proxy connects to {self._host}:{self._port} ({since(began)})")

    def _secure(self) -> Finding:
        if self._url.scheme != "wss" or self._sock is None:
            return Finding("TLS", OK, "not used on this machine itself")
        began = time.monotonic()
        self._sock.settimeout(self._timeout)
        try:
            with ssl.create_default_context().wrap_socket(self._sock, server_hostname=self._host) as secured:
                days = _days_left(secured.getpeercert() or {})
                told = f"{secured.version()}, certificate valid for {days} days ({since(began)})"
                return Finding("TLS", OK, told)
        except ssl.SSLCertVerificationError as error:
            told = f"the certificate is not accepted: {error.verify_message}"
            return Finding("TLS", FAILED, told, CERTIFICATE_ADVICE)
        except OSError as error:
            told = str(getattr(error, "reason", None) or error.strerror or type(error).__name__)
            advice = "Does the address begin with https:// where the server speaks plain HTTP, or is it another's port?"
            return Finding("TLS", FAILED, f"no handshake: {told.replace('_', ' ').lower()}", advice)


def _days_left(certificate: dict[str, Any]) -> int:
    with contextlib.suppress(KeyError, ValueError):
        return int((ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) // 86400)
    return 0
