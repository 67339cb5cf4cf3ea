"""From a URL to a connected socket: names, TCP and TLS, each within one deadline."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import SplitResult

from sessionlib.errors import SessionConnectionError, SessionDisconnectedError, SessionTimeoutError
from sessionlib.timing import Deadline
from sessionlib.transport.proxy import Proxy
from sessionlib.transport.readiness import shut, wait_readable, wait_writable

__all__ = ["Attempt", "dial"]

Address = tuple[Any, ...]
_DEFAULT_PORTS = {"wss": 443, "ws": 80}


class Attempt:
    """One try to connect, which another thread may cancel while it waits."""

    def __init__(self) -> None:
        # Protects what the attempt waits for, and whether it was cancelled.
        self._lock = threading.Lock()
        self._end: Callable[[], object] | None = None
        self._waits_for: threading.Event | None = None
        self._cancelled = False

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled

    def cancel(self) -> None:
        """Makes the attempt fail at once, wherever it is."""
        with self._lock:
            self._cancelled = True
            if self._end is not None:
                self._end()
            if self._waits_for is not None:
                self._waits_for.set()

    def hold(self, sock: socket.socket) -> None:
        """Notes the socket that is being connected.

        Raises:
            SessionDisconnectedError: The attempt was cancelled.
        """
        self.end_by(partial(shut, sock))

    def end_by(self, end: Callable[[], object]) -> None:
        """Notes how to end what is being connected; ``end`` must not wait.

        Raises:
            SessionDisconnectedError: The attempt was cancelled.
        """
        with self._lock:
            self._end = end
        self.check()

    def check(self) -> None:
        """Makes sure that the attempt was not cancelled.

        Raises:
            SessionDisconnectedError: It was.
        """
        if self._cancelled:
            raise SessionDisconnectedError("the session was disconnected while it was connecting")

    def wait_for(self, done: threading.Event, deadline: Deadline) -> bool:
        """Waits for what a helper thread does; False when the deadline came first.

        Raises:
            SessionDisconnectedError: The attempt was cancelled.
        """
        with self._lock:
            self._waits_for = done
        self.check()
        in_time = done.wait(deadline.remaining())
        self.check()
        return in_time


def dial(
    url: SplitResult,
    deadline: Deadline,
    attempt: Attempt,
    *,
    tls: ssl.SSLContext | None = None,
    proxy: Proxy | None = None,
) -> socket.socket:
    """Opens a connection to the host of a ``ws`` or ``wss`` URL.

    Args:
        url: Where to.
        deadline: When to give up.
        attempt: What another thread can cancel it by.
        tls: What to verify the peer by; None for the system's certificates.
        proxy: What to go through.

    Raises:
        SessionDisconnectedError: The attempt was cancelled.
        SessionConnectionError: The name, the host, its certificate or the proxy is not to be had.
        SessionTimeoutError: It took too long.
    """
    host = url.hostname or ""
    port = url.port or _DEFAULT_PORTS[url.scheme]
    first = (host, port) if proxy is None else (proxy.host, proxy.port)
    sock = _connect_any(_resolve(*first, deadline, attempt), "{}:{}".format(*first), deadline, attempt)
    try:
        _tune(sock)
        if proxy is not None:
            proxy.tunnel(sock, host, port, deadline)
        if url.scheme == "wss":
            sock = _secure(sock, host, tls or ssl.create_default_context(), deadline, attempt)
        return sock
    except BaseException:
        sock.close()
        raise


class _Lookup:
    """A name resolution in a thread of its own, because getaddrinfo takes no timeout."""

    def __init__(self, host: str, port: int) -> None:
        self.addresses: list[Address] = []
        self.error: OSError | None = None
        self._host = host
        self._port = port
        self.done = threading.Event()
        # A daemon: a resolver that hangs for a minute must not hold up the interpreter's exit.
        threading.Thread(target=self._run, name=f"sessionlib-resolve-{host}", daemon=True).start()

    def _run(self) -> None:
        try:
            self.addresses = list(socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM))
        except OSError as error:
            self.error = error
        except UnicodeError:
            self.error = OSError("not a host name")
        finally:
            self.done.set()


def _resolve(host: str, port: int, deadline: Deadline, attempt: Attempt) -> list[Address]:
    with contextlib.suppress(OSError):  # a numeric address needs no resolver, and so no thread
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    try:
        lookup = _Lookup(host, port)
    except RuntimeError as error:  # no more threads
        raise SessionConnectionError(f"cannot resolve the name {host}: {error}") from error
    if not attempt.wait_for(lookup.done, deadline):
        raise SessionTimeoutError(f"the name {host} was not resolved within {deadline.timeout} s")
    if lookup.error is not None:
        raise SessionConnectionError(
            f"cannot resolve the name {host}: {lookup.error.strerror or lookup.error}; check the URL and the network"
        ) from lookup.error
    return lookup.addresses


def _connect_any(addresses: list[Address], target: str, deadline: Deadline, attempt: Attempt) -> socket.socket:
    failure: OSError | None = None
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        left = deadline.remaining()
        # An address that does not answer must leave time for those behind it.
        share = deadline if left is None else deadline.sooner(left / (len(addresses) - tried))
        try:
            return _connect(socket.socket(family, kind, protocol), address, share, attempt)
        except OSError as error:
            attempt.check()
            failure = error
    if deadline.expired:
        raise SessionTimeoutError(f"no connection to {target} within {deadline.timeout} s") from failure
    told = (failure and failure.strerror) or failure or "no address"
    raise SessionConnectionError(f"cannot connect to {target}: {told}; is the engine running there?") from failure


def _connect(sock: socket.socket, address: Any, deadline: Deadline, attempt: Attempt) -> socket.socket:
    left = deadline.remaining()
    try:
        attempt.hold(sock)
        sock.settimeout(None if left is None else max(left, 0.001))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _secure(
    sock: socket.socket, host: str, context: ssl.SSLContext, deadline: Deadline, attempt: Attempt
) -> ssl.SSLSocket:
    sock.setblocking(False)
    secured = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    try:
        attempt.hold(secured)
        _shake_hands(secured, host, deadline)
    except BaseException:
        secured.close()
        raise
    return secured


def _shake_hands(secured: ssl.SSLSocket, host: str, deadline: Deadline) -> None:
    while True:
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            ready = wait_readable(secured, deadline)
        except ssl.SSLWantWriteError:
            ready = wait_writable(secured, deadline)
        except ssl.SSLCertVerificationError as error:
            raise SessionConnectionError(
                f"the certificate of {host} is not valid: {error.verify_message}", transient=False
            ) from error
        except ssl.SSLEOFError as error:
            raise SessionConnectionError(f"{host} cut the connection during the TLS handshake") from error
        except ssl.SSLError as error:
            raise SessionConnectionError(
                f"no TLS connection to {host}: {error.reason or error}; does it speak TLS on this port?",
                transient=False,
            ) from error
        except OSError as error:
            raise SessionConnectionError(f"the connection to {host} broke during the TLS handshake: {error}") from error
        else:
            return
        if not ready:
            raise SessionTimeoutError(f"no TLS handshake with {host} within {deadline.timeout} s")
