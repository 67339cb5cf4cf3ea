"""Connections of `requests` that are held to a deadline.

Its timeouts start again with every byte that comes (measured with 2.34.2 on urllib3 2.8.0), so a
dripping server holds a call forever, and looking up a name knows no timeout at all. Here every
operation on a socket gets what is left of the call's deadline.
"""

from __future__ import annotations

import http.client
import http.cookiejar
import io
import os
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from sessionlib._util.timing import Deadline
from sessionlib._version import USER_AGENT
from sessionlib.errors import ApiConnectionError, ApiTimeoutError
from sessionlib.net.connect import CancelToken, connect, resolve
from sessionlib.net.proxies import default_context
from sessionlib.net.retry import is_transient_status, is_transient_tls
from sessionlib.rest.calls import Call, Failure

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["FOREIGN", "Limit", "UnwantedAnswerError", "failure_of", "open_session"]

_CHUNK = 64 * 2**10
# urllib3 keeps so many connections to one host for the next calls. Further threads are served too, over connections
# that are closed behind their calls.
_POOL_SIZE = 64


class Limit:
    """The deadline of the call that a connection serves; a stream moves it with every line.

    In its ``with`` block, it holds for what this thread does with connections.

    Attributes:
        deadline: The deadline.
    """

    __slots__ = ("_token", "deadline")

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self._token: Token[Limit]

    def left(self) -> float | None:
        """Returns the seconds left for the next operation on the socket.

        Raises:
            TimeoutError: None is left.
        """
        left = self.deadline.remaining()
        if left == 0:
            raise TimeoutError("the deadline has passed")
        return left

    # A context variable and no attribute of the session: threads share the session, and each has a limit of its own.
    def __enter__(self) -> Limit:
        self._token = _limit.set(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        _limit.reset(self._token)


# urllib3 opens, writes and reads connections far below the call and hands down no deadline, all
# of it on the calling thread: the limit of the call that runs there.
_limit: ContextVar[Limit] = ContextVar("sessionlib_rest_limit", default=Limit(Deadline(None)))  # noqa: B039 - never moved


class _BoundedReader(io.RawIOBase):
    """Reads a socket with what is left of a limit as each read's timeout."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, limit: Limit) -> None:
        self._raw = raw
        self._sock = sock
        self._limit = limit
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        # Set before each read, since a socket's timeout is that of one system call.
        self._sock.settimeout(self._limit.left())
        size = self._raw.readinto(buffer)
        self.ended = size == 0
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    """Reads status line, headers and body through a `_BoundedReader`."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        # http.client reads through the buffered file that it makes of the socket; what is below that is exchanged, so
        # that readline() and read(n) are held to the deadline as well.
        super().__init__(sock, *args, **options)
        self._reader = _BoundedReader(self.fp.detach(), sock, _limit.get())
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        super().begin()
        # http.client takes the end of a connection for the end of the headers, and an answer that was
        # truncated there for one without a body.
        if self._reader.ended:
            raise http.client.IncompleteRead(b"")


class _Connection(HTTPConnection):
    response_class = _BoundedResponse

    def _new_conn(self) -> socket.socket:
        limit, attempt = _limit.get(), CancelToken()
        # urllib3 would resolve without a limit, and then give each of the addresses the whole timeout.
        addresses = resolve(self.host, self.port, limit.deadline, attempt)
        sock = connect(addresses, limit.deadline, attempt, self.socket_options or ())
        try:
            # For the TLS handshake, which takes the socket's timeout as that of the whole handshake.
            sock.settimeout(limit.left())
        except TimeoutError:
            sock.close()
            raise
        return sock

    def send(self, data: Any) -> None:
        # One sendall over TLS starts its timeout again with each record, so long bodies go in chunks.
        if not isinstance(data, bytes) or self.sock is None:
            super().send(data)
            return
        view = memoryview(data)
        for start in range(0, len(view), _CHUNK):
            self.sock.settimeout(_limit.get().left())
            super().send(view[start : start + _CHUNK])


class _TlsConnection(_Connection, HTTPSConnection):
    def set_tunnel(
        self, host: str, port: int | None = None, headers: Mapping[str, str] | None = None, scheme: str = "http"
    ) -> None:
        # Not as a header of the adapter's proxies, which would replace that of a call without a tunnel.
        super().set_tunnel(host, port, {"User-Agent": USER_AGENT, **(headers or {})}, scheme)


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


class _Adapter(HTTPAdapter):
    def __init__(self, tls: ssl.SSLContext | None, **options: Any) -> None:
        self._tls = tls
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        # For a proxy that is reached over TLS itself; the engine's comes with each request.
        if urlsplit(proxy).scheme == "https":
            options["proxy_ssl_context"] = self._tls or default_context()
        manager = super().proxy_manager_for(proxy, **options)
        if type(manager) is urllib3.ProxyManager:
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def build_connection_pool_key_attributes(self, *args: Any, **options: Any) -> Any:
        host, tls = super().build_connection_pool_key_attributes(*args, **options)
        # Not the certificates that requests would load, which sessions do not know of.
        return host, {"ssl_context": self._tls or default_context()} if host["scheme"] == "https" else tls

    def cert_verify(self, *args: Any, **options: Any) -> None:
        """Adds nothing to the context."""


class _Session(requests.Session):
    def get_redirect_target(self, resp: Any) -> None:
        # Even with allow_redirects=False, requests prepares the next request, and reads the whole body for it.
        return None


def open_session(tls: ssl.SSLContext | None = None) -> requests.Session:
    """Returns a session that follows no redirect, keeps no cookie, and reads neither .netrc nor environment.

    Args:
        tls: What to verify servers by; None for what each request names.
    """
    session = _Session()
    # With it, requests takes a password out of ~/.netrc in place of the key, and the environment's proxies by a rule
    # of its own.
    session.trust_env = False
    # Calls of different keys share the connections; a cookie would tie one's calls to the other's.
    session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(tls, pool_connections=8, pool_maxsize=_POOL_SIZE))
    return session


FOREIGN = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)
"""Everything that the libraries below raise for a call that got no usable answer."""

_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})")


class UnwantedAnswerError(OSError):
    """An answer that is not read on; its text ends the sentence "the answer ..."."""


def failure_of(call: Call, host: str, error: BaseException, deadline: Deadline) -> Failure:
    """Returns the failure that one of `FOREIGN` stands for.

    Args:
        call: The call.
        host: Where it went.
        error: What was raised; it holds the request, and with it the key, so it goes no further.
        deadline: The call's deadline.
    """
    # The libraries wrap a failure several deep (requests around urllib3 around http.client); what the system reported
    # is at the bottom, and decides.
    cause: OSError | None = None
    seen: list[Any] = [error]
    for found in seen:
        # requests' own exceptions are OSErrors too.
        if isinstance(found, OSError) and not isinstance(found, requests.RequestException):
            cause = found
            break
        inner = (*found.args, getattr(found, "reason", None), found.__cause__, found.__context__)
        # At most 50, since chains of contexts grow with whatever the caller was handling at the time.
        seen += [one for one in inner if isinstance(one, BaseException) and one not in seen][: 50 - len(seen)]
    kind: type[ApiConnectionError] = ApiConnectionError
    # requests' InvalidURL is one. Its text quotes the URL, and another try would end the same.
    if isinstance(error, ValueError):
        message, may_pass, cause = f"base_url cannot be used ({type(error).__name__}).", False, None
    # Before the causes: what a library raises for a deadline that has passed depends on where it struck.
    elif deadline.expired or isinstance(cause, TimeoutError) or isinstance(error, requests.Timeout):
        seconds = "" if deadline.timeout is None else f" within {round(deadline.timeout, 2) or deadline.timeout:g} s"
        kind, message, may_pass = ApiTimeoutError, f"HOST did not answer{seconds}.", False
    else:
        message, may_pass = next(describe(cause) for kinds, describe in _CAUSES if isinstance(cause, kinds))
        proxied = any(isinstance(one, urllib3.exceptions.ProxyError) for one in seen)
        if proxied and isinstance(cause, (socket.gaierror, ConnectionRefusedError)):
            host, message = f"the proxy to {host}", message.replace("base_url", "the proxy's address")
    failed = kind(f"{call}: {message.replace('HOST', host)}", request_info=call.info)
    if cause is not None:
        # Its traceback leads through the libraries' frames, which hold the request's headers.
        cause.__traceback__ = cause.__cause__ = cause.__context__ = None
    return Failure(call, failed, cause, may_pass)


def _tls(cause: Any) -> tuple[str, bool]:
    message = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or "the handshake failed"
    return f"no TLS connection to HOST: {str(message).replace('_', ' ').lower()}.", is_transient_tls(cause)


def _other(cause: Any) -> tuple[str, bool]:
    # http.client has no other place for the proxy's status than the text of its OSError.
    refused = _TUNNEL_REFUSED.search(str(cause))
    if refused:
        message = f"the proxy refused the connection to HOST with {refused[1]}. Check the proxy and its password."
        return message, is_transient_status(int(refused[1]))
    return f"no connection to HOST: {os.strerror(cause.errno) if cause.errno else type(cause).__name__}.", True


# The message for the first kind that fits, and whether another try may end better.
_CAUSES: tuple[tuple[type[object], Callable[[Any], tuple[str, bool]]], ...] = (
    (UnwantedAnswerError, lambda cause: (f"the answer of HOST {cause}, and was not read on.", False)),
    (ssl.SSLEOFError, lambda _: ("HOST closed the connection before its answer was complete.", True)),
    # A connection that was reset while the handshake was sent, where OpenSSL has lost the system's error number.
    (ssl.SSLSyscallError, lambda _: ("HOST closed the connection before its answer was complete.", True)),
    (ssl.SSLError, _tls),
    (socket.gaierror, lambda _: ("the name of HOST could not be resolved. Check base_url.", True)),
    (ConnectionRefusedError, lambda _: ("HOST refused the connection. Is the server running?", True)),
    (ConnectionError, lambda _: ("HOST closed the connection before its answer was complete.", True)),
    (OSError, _other),
    (object, lambda _: ("the answer of HOST was truncated, or is not HTTP.", True)),
)
