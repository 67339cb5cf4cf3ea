"""Who may speak to the engine: checked on every request, before anything else, upgrades included.

A page in the user's browser can reach 127.0.0.1 as well. So any Origin is refused unless it is listed
(a page from elsewhere), any Host but this machine's (a name rebound to 127.0.0.1), and then the key.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import threading
import time
from collections import deque
from collections.abc import Iterable

from sessionlib.config import is_loopback
from sessionlib.engine.server.http import HttpError, Request

__all__ = ["Authenticator"]

_LOCAL_HOSTS = ("127.0.0.1", "[::1]", "localhost")


class Authenticator:
    """Checks Host, Origin and key.

    Args:
        api_key: The key; compared in constant time.
        host: The address that is listened on.
        port: The port that is listened on.
        allowed_hosts: Further host names to answer to, without port.
        allowed_origins: Origins to answer to, such as "http://localhost:8888".
        failures_per_minute: Wrong keys a minute after which they are answered with 429.
    """

    def __init__(
        self,
        api_key: str,
        host: str,
        port: int,
        allowed_hosts: Iterable[str] = (),
        allowed_origins: Iterable[str] = (),
        failures_per_minute: int = 20,
    ) -> None:
        # Encoded once: `compare_digest` takes text of ASCII alone, and a header may hold anything.
        self._credentials = f"Bearer {api_key}".encode()
        self._port = port
        # On an address of a network, clients name the engine by that address, which is not known here.
        self._remote = not is_loopback(host)
        self._hosts = frozenset((*_LOCAL_HOSTS, *(name.lower() for name in allowed_hosts)))
        # Only added to, which needs no lock.
        self._authorities: set[str] = set()
        self._origins = frozenset(allowed_origins)
        self._limit = failures_per_minute
        # Protects the times of the last failures.
        self._lock = threading.Lock()
        # A ring: the oldest of them shows whether there were that many within a minute.
        self._failures: deque[float] = deque(maxlen=failures_per_minute)

    def __repr__(self) -> str:
        return f"<Authenticator of port {self._port}>"

    def allow_host(self, authority: str) -> None:
        """Lets a further Host pass, such as that of a proxy, which has a port of its own."""
        self._authorities.add(authority.lower())

    def check(self, request: Request) -> None:
        """Lets a request pass.

        Raises:
            HttpError: 400 without exactly one Host, 403 for a foreign Host or Origin, 401 without the
                key, 429 after too many wrong keys.
        """
        hosts = request.header_values("host")
        # RFC 9112, 3.2: none or several is a 400. Proxies disagree about which of several counts.
        if len(hosts) != 1:
            raise HttpError(400, "a request needs exactly one Host")
        authority = hosts[0].lower()
        # Clients leave out the port where it is 80, HTTP's own (RFC 9110, 4.2.3); an IPv6 address has colons too.
        name, _, port = (authority if re.search(r":\d+$", authority) else f"{authority}:80").rpartition(":")
        # Rebinding takes a name; an address in the Host is what the client really connected to.
        try:
            is_address = not ipaddress.ip_address(name.strip("[]")).is_unspecified
        except ValueError:
            is_address = False
        is_ours = port == str(self._port) and (name in self._hosts or (self._remote and is_address))
        if not is_ours and authority not in self._authorities:
            raise HttpError(403, "this Host is not allowed: name it in allowed_hosts, or serve with --allow-host NAME")
        # Programs send none; a browser always sends one with a WebSocket handshake (RFC 6455, 4.1).
        if any(origin not in self._origins for origin in request.header_values("origin")):
            raise HttpError(403, "the engine does not answer to this Origin")
        # Last: a page that may not ask at all must not be able to use up the guesses.
        given = request.header_values("authorization")
        if len(given) == 1 and hmac.compare_digest(given[0].encode("latin-1"), self._credentials):
            return
        now = time.monotonic()
        with self._lock:
            full = len(self._failures) == self._limit and now - self._failures[0] < 60.0
            if not full:
                self._failures.append(now)
        # The right key passes all the same: a stranger's guesses must not lock its owner out.
        if full:
            raise HttpError(429, "too many wrong API keys", {"Retry-After": "60"})
        raise HttpError(401, "the API key is missing or wrong", {"WWW-Authenticate": "Bearer"})
