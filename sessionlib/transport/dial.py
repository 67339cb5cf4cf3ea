"""From a URL to a connected socket: names, TCP and TLS, each within one deadline."""

from __future__ import annotations

import socket
import ssl
import traceback
from urllib.parse import SplitResult

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionConnectionError, SessionTimeoutError
from sessionlib.net.connect import Address, CancelToken, connect, resolve
from sessionlib.net.proxies import default_context
from sessionlib.net.retry import is_transient_tls
from sessionlib.net.sockets import wait_readable, wait_writable
from sessionlib.transport.proxy import Proxy
from sessionlib.transport.stream import NestedTls

__all__ = ["dial", "secure"]

_DEFAULT_PORTS = {"wss": 443, "ws": 80}
# Without NODELAY, a small frame waits for the ack of the last one, which the peer may delay by 40 ms.
_OPTIONS = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))


def dial(
    url: SplitResult,
    deadline: Deadline,
    attempt: CancelToken,
    *,
    tls: ssl.SSLContext | None = None,
    proxy: Proxy | None = None,
) -> socket.socket | NestedTls:
    """Opens a connection to the host of a ``ws`` or ``wss`` URL.

    Args:
        url: Where to.
        deadline: When to stop waiting.
        attempt: What another thread can cancel it by.
        tls: What to verify the peer by, and a proxy that is reached over TLS; None for the default certificates.
        proxy: What to go through.

    Raises:
        SessionDisconnectedError: The attempt was cancelled.
        SessionConnectionError: The name, the host, its certificate or the proxy is at fault.
        SessionTimeoutError: It took too long.
    """
    host = url.hostname or ""
    port = url.port or _DEFAULT_PORTS[url.scheme]
    first = (host, port) if proxy is None else (proxy.host, proxy.port)
    sock = _connect(_resolve(*first, deadline, attempt), "{}:{}".format(*first), deadline, attempt)
    try:
        if proxy is not None:
            if proxy.secure:
                name = f"the proxy {proxy}"
                # The proxy's own certificate first; the engine's is verified inside the tunnel.
                secured = secure(sock, proxy.host, tls or default_context(), deadline, attempt, name)
                assert isinstance(secured, ssl.SSLSocket)
                sock = secured
            proxy.tunnel(sock, host, port, deadline)
        if url.scheme == "wss":
            return secure(sock, host, tls or default_context(), deadline, attempt)
        return sock
    except BaseException:
        sock.close()
        raise


def _resolve(host: str, port: int, deadline: Deadline, attempt: CancelToken) -> list[Address]:
    try:
        # On a thread of its own where it may block; see there.
        return resolve(host, port, deadline, attempt)
    except TimeoutError as error:
        raise SessionTimeoutError(f"the name {host} was not resolved within {deadline.timeout} s") from error
    except OSError as error:
        raise SessionConnectionError(
            f"cannot resolve the name {host}: {error.strerror or error}; check the URL and the network"
        ) from error


def _connect(addresses: list[Address], target: str, deadline: Deadline, attempt: CancelToken) -> socket.socket:
    try:
        return connect(addresses, deadline, attempt, _OPTIONS)
    except OSError as error:
        if isinstance(error, TimeoutError) and deadline.expired:  # and not the system's own limit
            raise SessionTimeoutError(f"no connection to {target} within {deadline.timeout} s") from error
        raise SessionConnectionError(
            f"cannot connect to {target}: {error.strerror or error}; is the engine running there?"
        ) from error


def secure(
    sock: socket.socket, host: str, context: ssl.SSLContext, deadline: Deadline, attempt: CancelToken, name: str = ""
) -> ssl.SSLSocket | NestedTls:
    """Performs a TLS handshake over a connection, which may be TLS already.

    Args:
        sock: The connection.
        host: Whom the peer's certificate has to be for.
        context: What to verify it by.
        deadline: When to stop waiting.
        attempt: What another thread can cancel it by.
        name: What the peer is called in messages; by default its host.

    Raises:
        SessionDisconnectedError: The attempt was cancelled.
        SessionConnectionError: The certificate is not valid, or the handshake failed.
        SessionTimeoutError: It took too long.
    """
    name = name or host
    # A handshake that blocks has one timeout for each read, and a peer that drips would never meet it.
    sock.setblocking(False)
    if isinstance(sock, ssl.SSLSocket):  # whose descriptor the attempt holds already
        nested = NestedTls(sock, context, host)
        _shake_hands(nested, name, deadline)
        return nested
    try:
        secured = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except OSError as error:
        _close_half_made(error)
        raise SessionConnectionError(f"{name} closed the connection before the TLS handshake") from error
    try:
        attempt.hold(secured)
        _shake_hands(secured, name, deadline)
    except BaseException:
        secured.close()
        raise
    return secured


def _close_half_made(error: OSError) -> None:
    """Closes the socket that `wrap_socket` makes and forgets when the connection is over already."""
    for frame, _ in traceback.walk_tb(error.__traceback__):  # nothing else knows of it
        made = frame.f_locals.get("self")
        if isinstance(made, ssl.SSLSocket):
            made.close()


def _shake_hands(secured: ssl.SSLSocket | NestedTls, host: str, deadline: Deadline) -> None:
    while True:
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            ready = wait_readable(secured, deadline)
        except ssl.SSLWantWriteError:
            ready = wait_writable(secured, deadline)
        # Before SSLError, of which it is one. Final: the certificate is the same at the next try.
        except ssl.SSLCertVerificationError as error:
            raise SessionConnectionError(
                f"the certificate of {host} is not valid: {error.verify_message}", transient=False
            ) from error
        # A server that is going down ends the handshake like this, so that it is worth another try.
        except ssl.SSLEOFError as error:
            raise SessionConnectionError(f"{host} closed the connection during the TLS handshake") from error
        except ssl.SSLError as error:
            raise SessionConnectionError(
                f"no TLS connection to {host}: {error.reason or error}; does it speak TLS on this port?",
                transient=is_transient_tls(error),
            ) from error
        except OSError as error:
            raise SessionConnectionError(f"the connection to {host} broke during the TLS handshake: {error}") from error
        else:
            return
        if not ready:
            raise SessionTimeoutError(f"no TLS handshake with {host} within {deadline.timeout} s")
