"""Where the engine is and who we are: URLs, keys and ids, from arguments or the environment.

Facts about the hosted engine (from its public SDK, ``vectorshift`` 0.1.15): the HTTP base is
``https://api.vectorshift.ai/v1``, the WebSocket base is the same with ``wss``, the session endpoint
is ``/ws/session`` below it, and both take ``Authorization: Bearer <key>``.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from sessionlib.errors import ConfigurationError, InsecureTransportError

__all__ = ["DEFAULT_BASE_URL", "ApiKey", "Endpoint", "check_id", "is_configured"]

DEFAULT_BASE_URL = "https://api.vectorshift.ai/v1"
SESSION_PATH = "/ws/session"

ApiKey = str | Callable[[], str]
"""A key, or what gives one; a callable is asked anew for each connection."""

_WS_SCHEMES = {"https": "wss", "http": "ws", "wss": "wss", "ws": "ws"}
_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


@dataclass(frozen=True)
class Endpoint:
    """An engine's addresses and the key for them; the key never shows in a repr.

    Attributes:
        base_url: HTTP base, without a trailing slash.
        ws_url: WebSocket base, without a trailing slash.
        source: The key, what gives it, or None to look in the environment when it is needed.
    """

    base_url: str
    ws_url: str
    source: ApiKey | None = field(default=None, repr=False)

    @classmethod
    def resolve(
        cls,
        api_key: ApiKey | None = None,
        base_url: str | None = None,
        ws_url: str | None = None,
        *,
        allow_insecure: bool = False,
    ) -> Endpoint:
        """Fills in from the environment what was not given, and checks all of it.

        Args:
            api_key: A key or what gives one; else ``SESSIONLIB_API_KEY``, then ``VECTORSHIFT_API_KEY``,
                read when the key is needed.
            base_url: HTTP base; else ``SESSIONLIB_BASE_URL``, then ``VECTORSHIFT_BASE_URL``.
            ws_url: WebSocket base; else ``SESSIONLIB_WS_URL``, then ``VECTORSHIFT_WS_URL`` (both only
                where ``base_url`` was not given either), else the HTTP base with ``ws`` for ``http``.
            allow_insecure: Lets a key travel unencrypted to another machine.

        Raises:
            ConfigurationError: Something is empty, malformed or holds control characters.
            InsecureTransportError: A URL is unencrypted and not on this machine.
        """
        if isinstance(api_key, str):
            check_key(api_key)
        elif api_key is not None and not callable(api_key):
            raise TypeError(f"api_key takes a str or a callable that returns one, not {type(api_key).__name__}")
        if ws_url is None and base_url is None:
            ws_url = _from_environment("WS_URL")
        if base_url is None:
            base_url = _from_environment("BASE_URL") or DEFAULT_BASE_URL
        base_url = _check_url("base_url", base_url, ("https", "http"), allow_insecure)
        if ws_url is None:
            scheme, rest = base_url.split(":", 1)
            ws_url = f"{_WS_SCHEMES[scheme]}:{rest}"
        ws_url = _check_url("ws_url", ws_url, ("wss", "ws"), allow_insecure)
        return cls(base_url, ws_url, api_key)

    def __copy__(self) -> Endpoint:
        return self

    def __deepcopy__(self, memo: object) -> Endpoint:
        return self

    def __reduce__(self) -> tuple[type[Endpoint], tuple[str, str]]:
        # A pickle may be stored or sent: the key stays here, and the other side asks its environment.
        return (Endpoint, (self.base_url, self.ws_url))

    @property
    def session_url(self) -> str:
        """The URL that a session's WebSocket opens."""
        return self.ws_url + SESSION_PATH

    @property
    def host(self) -> str:
        """Host and port of the WebSocket, for messages."""
        return urlsplit(self.ws_url).netloc

    def key(self) -> str:
        """Gives the API key, asking a callable anew.

        Raises:
            ConfigurationError: There is none, or it cannot be sent in a header.
        """
        key = self.source() if callable(self.source) else self.source
        if key is None:
            key = _from_environment("API_KEY")
        if key is None:
            raise ConfigurationError(
                "No API key: pass api_key=..., or set SESSIONLIB_API_KEY (or VECTORSHIFT_API_KEY)."
            )
        return check_key(key)


def is_configured() -> bool:
    """Whether the environment names a key or a URL of an engine."""
    return any(_from_environment(name) for name in ("API_KEY", "BASE_URL", "WS_URL"))


def check_key(key: object) -> str:
    """Gives the key back if it can stand in a header, without ever quoting it.

    Raises:
        TypeError: It is not a str.
        ConfigurationError: It is empty, or holds something other than visible ASCII.
    """
    if not isinstance(key, str):
        raise TypeError(f"api_key takes a str, not {type(key).__name__}")
    if not key:
        raise ConfigurationError("The API key is empty.")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError(
            "The API key holds a space, a line break or another character that cannot stand in a header; "
            "was it copied with something around it?"
        )
    return key


def check_id(name: str, value: object) -> str:
    """Gives an id back if it can stand in a frame and a URL.

    Args:
        name: What the id is called in the error.
        value: The id.

    Raises:
        TypeError: It is not a str.
        ConfigurationError: It is empty, over 512 characters, or holds control characters.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} takes a str, not {type(value).__name__}")
    if not value.strip():
        raise ConfigurationError(f"{name} is empty.")
    if len(value) > 512 or not value.isprintable():
        raise ConfigurationError(f"{name} is too long or holds control characters: {value[:40]!r}")
    return value


def is_loopback(host: str) -> bool:
    """Whether a host name or address certainly is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in _LOOPBACK_NAMES


def _from_environment(name: str) -> str | None:
    # Our own names win where both are set.
    return os.environ.get(f"SESSIONLIB_{name}") or os.environ.get(f"VECTORSHIFT_{name}") or None


def _check_url(name: str, url: object, schemes: tuple[str, ...], allow_insecure: bool) -> str:
    if not isinstance(url, str):
        raise TypeError(f"{name} takes a str, not {type(url).__name__}")
    if not url:
        raise ConfigurationError(f"{name} is empty.")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigurationError(f"{name} holds a space, a line break or a character outside ASCII.")
    parts = _split(name, url)
    if parts.scheme not in schemes or not parts.hostname:
        raise ConfigurationError(f"{name} has to begin with {schemes[0]}:// or {schemes[1]}:// and name a host.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(f"{name} may hold no user, password, query or fragment.")
    if parts.scheme == schemes[1] and not allow_insecure and not is_loopback(parts.hostname):
        raise InsecureTransportError(
            f"{name} is unencrypted ({schemes[1]}://) and {parts.hostname} is not this machine, so the API key "
            f"could be read on the way. Use {schemes[0]}://, or pass allow_insecure=True on a network you trust."
        )
    return url.rstrip("/")


def _split(name: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises when it is not a number below 65536
    except ValueError as error:
        raise ConfigurationError(f"{name} is not a URL: {error}") from None
    return parts
