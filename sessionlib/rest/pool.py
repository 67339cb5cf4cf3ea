"""Pooled connections of `requests`, held to a deadline.

What `requests` does by itself (measured with 2.34.2 on urllib3 2.8.0) and this room does not want: each
timeout starts again with every byte that comes, so a dripping server holds a call forever; a
``.netrc`` overrides the ``Authorization`` header; proxies of the environment apply to this machine
too; a redirect's body is read whole, unpacked, even when the redirect is not followed; cookies are
kept between calls.
"""

from __future__ import annotations

import http.client
import http.cookiejar
import io
import ipaddress
import os
import queue
import re
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from sessionlib._version import __version__
from sessionlib.config import is_loopback
from sessionlib.errors import ApiConnectionError, ApiTimeoutError, ConfigurationError
from sessionlib.rest.calls import Answer, Call, Failure
from sessionlib.timing import Deadline

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Lines", "Pool"]

MAX_BODY = 32 * 2**20
MAX_ERROR_BODY = 64 * 2**10
MAX_LINE = 4 * 2**20
_PIECE = 64 * 2**10
_POOL_SIZE = 64

# Everything that the libraries below raise for a call that got no usable answer.
_FOREIGN = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)

_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})")


class Limit:
    """The deadline of the call that a connection serves; a stream moves it with every line."""

    __slots__ = ("deadline",)

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline

    def left(self) -> float | None:
        """Gives the seconds left for the next operation on the socket.

        Raises:
            TimeoutError: None is left.
        """
        left = self.deadline.remaining()
        if left == 0:
            raise TimeoutError("the deadline has passed")
        return left


# urllib3 opens, writes and reads connections far below the call and hands down no deadline, all
# of it on the calling thread: the limit of the call that runs there.
_limit: ContextVar[Limit] = ContextVar("sessionlib_rest_limit", default=Limit(Deadline(None)))  # noqa: B039 - never moved


# ---- connections -------------------------------------------------------------------------------


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
        super().__init__(sock, *args, **options)
        self._reader = _BoundedReader(self.fp.detach(), sock, _limit.get())
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        super().begin()
        # http.client takes the end of a connection for the end of the headers, and an answer that was
        # cut there for one without a body.
        if self._reader.ended:
            raise http.client.IncompleteRead(b"")


class _Connection(HTTPConnection):
    response_class = _BoundedResponse

    def _new_conn(self) -> socket.socket:
        limit = _limit.get()
        return _dial(_resolve(self.host, self.port, limit), limit, self.socket_options or ())

    def send(self, data: Any) -> None:
        # One sendall over TLS starts its timeout again with each record, so long bodies go in pieces.
        if not isinstance(data, bytes) or self.sock is None:
            super().send(data)
            return
        view = memoryview(data)
        for start in range(0, len(view), _PIECE):
            self.sock.settimeout(_limit.get().left())
            super().send(view[start : start + _PIECE])


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


def _resolve(host: str, port: int, limit: Limit) -> list[Any]:
    # getaddrinfo knows no timeout and cannot be interrupted: a name that may take long is looked up
    # on a thread of its own, which a call whose time is over leaves behind.
    if is_loopback(host) or _is_address(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()
    # A daemon, because a resolver that hangs must not hold up the end of the program.
    threading.Thread(target=_look_up, args=(host, port, found), name=f"sessionlib-dns-{host}", daemon=True).start()
    try:
        answer = found.get(timeout=limit.left())
    except queue.Empty:
        raise TimeoutError("the name was not resolved in time") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _look_up(host: str, port: int, found: queue.SimpleQueue[list[Any] | Exception]) -> None:
    try:
        found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        found.put(error if isinstance(error, OSError) else socket.gaierror(str(error)))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _dial(addresses: list[Any], limit: Limit, options: Any) -> socket.socket:
    failure: OSError = socket.gaierror("the name has no address")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        left = limit.left()
        # An address that swallows packets must not eat the time of those after it.
        share = None if left is None else left / (len(addresses) - index)
        try:
            return _connect(socket.socket(family, kind, protocol), address, share, options)
        except OSError as error:
            failure = error
    raise failure


def _connect(sock: socket.socket, address: Any, timeout: float | None, options: Any) -> socket.socket:
    try:
        for option in options:
            sock.setsockopt(*option)
        sock.settimeout(timeout)
        sock.connect(address)
        # For the TLS handshake, which takes the socket's timeout as that of the whole handshake.
        sock.settimeout(_limit.get().left())
    except BaseException:
        sock.close()
        raise
    return sock


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        if type(manager) is urllib3.ProxyManager:
            manager.pool_classes_by_scheme = _POOLS
        return manager


class _Session(requests.Session):
    def get_redirect_target(self, resp: Any) -> None:
        # Even with allow_redirects=False, requests prepares the next request, and reads the whole body for it.
        return None


# ---- exchanges ---------------------------------------------------------------------------------


class Pool:
    """The connections of one client in one process. Threads may share it.

    Args:
        proxy: The proxy for every call; None takes the environment's, for other machines only.
    """

    def __init__(self, proxy: str | None = None) -> None:
        self._proxy = proxy
        self._session = _Session()
        self._session.trust_env = False
        self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(pool_connections=8, pool_maxsize=_POOL_SIZE))

    def close(self) -> None:
        """Closes the connections that no call uses; idempotent."""
        self._session.close()

    def exchange(self, call: Call, base_url: str, key: str, deadline: Deadline) -> Answer | Failure | Lines:
        """Makes a call once.

        Args:
            call: The call.
            base_url: Where to.
            key: The API key.
            deadline: When the answer has to be there, to its last byte; for a stream, to its headers.

        Returns:
            What came back: lines for a stream that was answered with 2xx. Nothing is raised for a
            call that got no answer, because the libraries' exceptions hold the request, and with it
            the key.
        """
        limit = Limit(deadline)
        token = _limit.set(limit)
        try:
            response = self._open(call, base_url, key, limit)
            try:
                answer = _read(call, response, key, limit)
            except BaseException:
                response.close()
                raise
            if not isinstance(answer, Lines):
                response.close()
            return answer
        except _FOREIGN as error:
            return _failure(call, urlsplit(base_url).netloc, error, deadline)
        finally:
            _limit.reset(token)

    def _open(self, call: Call, base_url: str, key: str, limit: Limit) -> requests.Response:
        url = base_url + call.path
        headers = {
            "Authorization": f"Bearer {key}",
            "Accept-Encoding": "identity",
            "User-Agent": f"sessionlib/{__version__}",
        }
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        return self._session.request(
            call.method,
            url,
            params=call.query,
            data=call.body if call.form is None else call.form,
            files=call.files or None,
            headers=headers,
            timeout=limit.left(),
            proxies=self._proxies(url),
            verify=_certificates(),
            allow_redirects=False,
            stream=True,
        )

    def _proxies(self, url: str) -> dict[str, str]:
        if self._proxy is not None:
            return {"http": self._proxy, "https": self._proxy}
        if is_loopback(urlsplit(url).hostname or ""):
            return {}
        return dict(requests.utils.get_environ_proxies(url))


def _certificates() -> str | bool:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(name)
        if path and not os.path.exists(path):
            raise ConfigurationError(f"{name} names a certificate bundle that is not there: {path!r}")
        if path:
            return path
    return True


class Lines:
    """The lines of a streamed answer, without empty ones, as they come.

    An iterator and a context manager; the end of the iteration closes it.

    Args:
        call: The call it answers.
        response: The open response.
        limit: The limit of its connection.
    """

    def __init__(self, call: Call, response: requests.Response, limit: Limit) -> None:
        self._call = call
        self._response = response
        self._limit = limit
        self._timeout = limit.deadline.timeout
        self._lines = _split(response)
        self._close = weakref.finalize(self, response.close)

    def __repr__(self) -> str:
        return f"<Lines of {self._call}, {'open' if self._close.alive else 'closed'}>"

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Waits for the next line, no longer than the call's timeout.

        Raises:
            ApiConnectionError: The answer was cut, or a line is larger than 4 MiB.
            ApiTimeoutError: No line came in time.
        """
        self._limit.deadline = Deadline(self._timeout)
        outcome = self._next()
        if isinstance(outcome, Failure):
            outcome.value()
        if outcome is None:
            raise StopIteration
        return outcome

    def value(self) -> Lines:
        """Gives the lines themselves."""
        return self

    def close(self) -> None:
        """Closes the connection; idempotent."""
        self._close()

    def _next(self) -> bytes | Failure | None:
        if not self._close.alive:
            return None
        try:
            line = next(self._lines, None)
        except _FOREIGN as error:
            host = urlsplit(self._response.url).netloc
            self.close()
            return _failure(self._call, host, error, self._limit.deadline)
        except BaseException:
            self.close()
            raise
        if line is None:
            self.close()
        return line


class _UnwantedAnswerError(OSError):
    """An answer that is not read on; its text ends the sentence "the answer ..."."""


def _split(response: requests.Response) -> Iterator[bytes]:
    # Not a method: a generator that held the lines it feeds would keep them from being freed.
    rest = b""
    while piece := response.raw.read1(_PIECE, decode_content=False):
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.rstrip(b"\r") for line in lines if line.strip())
        if len(rest) > MAX_LINE:
            raise _UnwantedAnswerError(f"has a line of more than {MAX_LINE} bytes")
    if rest.strip():
        yield rest.rstrip(b"\r")


def _read(call: Call, response: requests.Response, key: str, limit: Limit) -> Answer | Lines:
    status = response.status_code
    ok = 200 <= status < 300
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if not ok:
        # Its beginning is enough for what the server says, and a server may quote the key in it.
        body = _beginning(response) if encoding == "identity" else b""
        return Answer(call, status, response.headers, body.replace(key.encode(), b"***"))
    if encoding != "identity":
        raise _UnwantedAnswerError("is packed, although it was asked for unpacked")
    if call.stream:
        return Lines(call, response, limit)
    return Answer(call, status, response.headers, _whole(response))


def _beginning(response: requests.Response) -> bytes:
    try:
        return bytes(response.raw.read(MAX_ERROR_BODY, decode_content=False))
    except _FOREIGN:
        # The status says more than a body that does not come.
        return b""


def _whole(response: requests.Response) -> bytes:
    announced = response.headers.get("Content-Length", "")
    body = io.BytesIO()
    too_large = announced.isdecimal() and int(announced) > MAX_BODY
    while not too_large and (piece := response.raw.read(_PIECE, decode_content=False)):
        body.write(piece)
        too_large = body.tell() > MAX_BODY
    if too_large:
        raise _UnwantedAnswerError(f"is larger than {MAX_BODY} bytes")
    return body.getvalue()


# ---- failures ----------------------------------------------------------------------------------


def _failure(call: Call, host: str, error: BaseException, deadline: Deadline) -> Failure:
    cause = _system_error(error)
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
    (_UnwantedAnswerError, lambda cause: (f"the answer of HOST {cause}, and was not read on.", False)),
    (ssl.SSLError, _tls),
    (socket.gaierror, lambda _: ("the name of HOST could not be resolved. Check base_url.", True)),
    (ConnectionRefusedError, lambda _: ("HOST refused the connection. Is the server running?", True)),
    (ConnectionError, lambda _: ("HOST cut the connection before its answer was complete.", True)),
    (OSError, _other),
    (object, lambda _: ("the answer of HOST was cut short, or is not HTTP.", True)),
)
