"""HTTP proxies: which one a URL is reached through, and the CONNECT that turns it into a tunnel."""

from __future__ import annotations

import base64
import socket
import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote

from sessionlib._util.timing import Deadline
from sessionlib._version import USER_AGENT
from sessionlib.errors import SessionConnectionError, SessionTimeoutError
from sessionlib.net.proxies import check_proxy, environment_proxy, is_loopback
from sessionlib.net.retry import is_transient_status
from sessionlib.net.sockets import wait_readable, wait_writable

__all__ = ["Proxy", "choose_proxy", "parse_proxy"]

MAX_HEAD = 65536


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy; its credentials never show in a repr.

    Attributes:
        host: Its host.
        port: Its port.
        authorization: The value of its ``Proxy-Authorization`` header, or None.
        secure: Whether the connection to it is TLS.
        origin: What named it, for messages.
    """

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)
    secure: bool = False
    origin: str = "proxy"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def tunnel(self, sock: socket.socket, host: str, port: int, deadline: Deadline) -> None:
        """Turns a connection to the proxy into one to a host behind it.

        Args:
            sock: Connected to the proxy, after the TLS handshake of a secure one.
            host: The host.
            port: Its port.
            deadline: When to stop waiting.

        Raises:
            SessionConnectionError: The proxy refused, or does not speak HTTP.
            SessionTimeoutError: It took too long.
        """
        sock.setblocking(False)
        try:
            _write(sock, self._request(host, port), self, deadline)
            head = _read_head(sock, self, deadline)
        except SessionTimeoutError:  # which is an OSError as well
            raise
        except OSError as error:
            raise SessionConnectionError(f"the connection to the proxy {self} broke: {error}") from error
        version, _, rest = head.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise SessionConnectionError(f"the proxy {self} did not answer in HTTP", transient=False)
        status = int(rest[:3])
        # In full, because the URL is where they have to go; a proxy that asks again would be asked for ever.
        if status == 407:
            raise SessionConnectionError(
                f"the proxy {self} wants other credentials (407); give them as http://user:password@{self}",
                transient=False,
            )
        if not 200 <= status < 300:
            raise SessionConnectionError(
                f"the proxy {self} refused the connection with {status}", transient=is_transient_status(status)
            )

    def _request(self, host: str, port: int) -> bytes:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        credentials = f"Proxy-Authorization: {self.authorization}\r\n" if self.authorization else ""
        # RFC 9112, 3.2.3: authority form, with the port always; an IPv6 address has brackets.
        return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {USER_AGENT}\r\n{credentials}\r\n".encode()


def parse_proxy(url: str, origin: str = "proxy") -> Proxy:
    """Parses the URL of a proxy, such as ``http://user:password@host:3128`` or ``https://host``.

    Args:
        url: The URL.
        origin: What it came from, for messages.

    Raises:
        ConfigurationError: It is no URL of an HTTP proxy; the message does not quote it.
    """
    parts = check_proxy(url if "://" in url else f"http://{url}", origin)
    secure = parts.scheme == "https"
    authorization = None
    if parts.username is not None:
        # Percent-encoded in the URL (RFC 3986, 3.2.1), plain in the header (RFC 7617).
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        authorization = "Basic " + base64.b64encode(credentials).decode("ascii")
    return Proxy(parts.hostname or "", parts.port or (443 if secure else 80), authorization, secure, origin)


def choose_proxy(given: str | None, url: SplitResult) -> Proxy | None:
    """Returns the proxy to reach a URL through; None to go there directly.

    Args:
        given: The proxy's URL; "" for none; None for the environment's.
        url: Where to.

    Raises:
        ConfigurationError: The proxy's URL cannot be used.
    """
    # This machine is never reached through a proxy, whatever the environment sets.
    if is_loopback(url.hostname or ""):
        return None
    if given is not None:
        return parse_proxy(given) if given else None
    found = environment_proxy(url)
    return None if found is None else parse_proxy(*found)


def _write(sock: socket.socket, data: bytes, proxy: Proxy, deadline: Deadline) -> None:
    view = memoryview(data)
    while view:
        if not wait_writable(sock, deadline):
            raise _too_late(proxy, deadline)
        try:
            view = view[sock.send(view) :]
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            continue


def _read_head(sock: socket.socket, proxy: Proxy, deadline: Deadline) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if deadline.expired:
            raise _too_late(proxy, deadline)
        try:
            # One by one, for what is behind the head is not the proxy's, and TLS has no way to look ahead.
            byte = sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            if not wait_readable(sock, deadline):
                raise _too_late(proxy, deadline) from None
            continue
        if not byte:
            raise SessionConnectionError(f"the proxy {proxy} closed the connection")
        # Bounded below; a head has some hundred bytes, so that this costs nothing that matters.
        head += byte
        if len(head) > MAX_HEAD:
            raise SessionConnectionError(f"the answer of the proxy {proxy} is too long", transient=False)
    return head


def _too_late(proxy: Proxy, deadline: Deadline) -> SessionTimeoutError:
    return SessionTimeoutError(f"the proxy {proxy} did not connect within {deadline.timeout} s")
