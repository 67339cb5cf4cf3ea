"""Where the engine is and who the caller is: URLs, keys and ids, from arguments, module attributes or the environment.

A value comes from the first of these that has it: the argument, the `Client`, ``sessionlib.api_key`` and
``sessionlib.base_url``, the environment's variables, a ``.env`` file in the working directory or above it. The
variables are of two families, ``SESSIONLIB_*`` and ``VECTORSHIFT_*``, and the first family that has any of ``API_KEY``,
``BASE_URL`` and ``WS_URL`` counts as a whole: a key of one never goes to a URL of the other.

Facts about the hosted engine (from its public SDK, ``vectorshift`` 0.1.15): the HTTP base is
``https://api.vectorshift.ai/v1``, the WebSocket base is the same with ``wss``, the session endpoint
is ``/ws/session`` below it, and both take ``Authorization: Bearer <key>``.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, urlsplit

from sessionlib.errors import ConfigurationError, InsecureTransportError, MissingExtraError
from sessionlib.net.proxies import is_loopback

if TYPE_CHECKING:
    import ssl

    from sessionlib._util.timing import Deadline
    from sessionlib.net.connect import CancelToken

__all__ = [
    "DEFAULT_BASE_URL",
    "ApiKey",
    "ConnectionSettings",
    "Endpoint",
    "Setting",
    "check_headers",
    "check_id",
    "check_url",
    "find_setting",
    "is_configured",
    "is_loopback",
    "unused_settings",
]

DEFAULT_BASE_URL = "https://api.vectorshift.ai/v1"
SESSION_PATH = "/ws/session"

ApiKey = str | Callable[[], str]
"""A key, or a callable that returns one and is called for each connection."""

# Our own family takes precedence over that of the official SDK.
_FAMILIES = ("SESSIONLIB_", "VECTORSHIFT_")
_NAMES = ("API_KEY", "BASE_URL", "WS_URL")
# Such files have a few lines; what is larger is something else of that name.
_MAX_DOTENV = 2**20
_IN_DOTENV = rf"(?m)^\s*(?:export\s+)?['\"]?(?:{'|'.join(_FAMILIES)})(?:{'|'.join(_NAMES)})\b"  # compiled when needed

_WS_SCHEMES = {"https": "wss", "http": "ws", "wss": "wss", "ws": "ws"}


class Setting(NamedTuple):
    """A value that no argument gave.

    Attributes:
        value: The value.
        origin: What it came from, for messages: a module attribute, or a variable and perhaps its file.
    """

    value: ApiKey
    origin: str


class ConnectionSettings(NamedTuple):
    """What a client has for the connections of its sessions.

    Attributes:
        allow_insecure: Whether a key may travel unencrypted to another machine.
        proxy: The proxy's URL; None for the environment's.
        tls: What to verify the engine by; None for the environment's certificates, or the system's.
        headers: Further headers of the opening handshake.
        timeout: Seconds that re-opening a lost connection may take each time; None for the default.
        readers: How many threads read all sessions of the process; None for a thread each.
    """

    allow_insecure: bool = False
    proxy: str | None = None
    tls: ssl.SSLContext | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    timeout: float | None = None
    readers: int | None = None


@dataclass(frozen=True)
class Endpoint:
    """An engine's addresses and the key for them; the key never shows in a repr.

    Attributes:
        base_url: HTTP base, without a trailing slash.
        ws_url: WebSocket base, without a trailing slash.
        source: The key, a callable that returns it, or None to look it up when it is needed.
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
        """Fills in what was not given, in the order of the module's docstring, and checks all of it.

        Args:
            api_key: A key or a callable that returns one; else it is looked up whenever it is needed.
            base_url: HTTP base; else ``sessionlib.base_url``, the environment's, or that of the hosted engine.
            ws_url: WebSocket base; else the environment's, where the HTTP base is the environment's or the default;
                else the HTTP base with ``ws`` for ``http``.
            allow_insecure: Lets a key travel unencrypted to another machine.

        Raises:
            ConfigurationError: Something is empty, malformed or holds control characters.
            InsecureTransportError: A URL is unencrypted and not on this machine.
            MissingExtraError: A ``.env`` file has it, and python-dotenv is not installed.
        """
        # A callable is asked for each connection: its key is checked then.
        if isinstance(api_key, str):
            check_key(api_key)
        elif api_key is not None and not callable(api_key):
            raise TypeError(f"api_key takes a str or a callable that returns one, not {type(api_key).__name__}")
        # What an error calls the URL: the argument, or the variable that it comes from.
        base_name, ws_name = "base_url", "ws_url"
        # A URL that was given goes without the environment's other one: the two may be of different engines.
        if base_url is None:
            found = find_setting("BASE_URL")
            # The environment's WebSocket URL belongs to the environment's HTTP base, or to the default.
            if ws_url is None and (found is None or found.origin != _ATTRIBUTES["BASE_URL"]):
                beside = find_setting("WS_URL")
                ws_url, ws_name = (None, ws_name) if beside is None else beside  # type: ignore[assignment]
            base_url, base_name = (DEFAULT_BASE_URL, base_name) if found is None else found  # type: ignore[assignment]
        base_url = check_url(base_name, base_url, ("https", "http"), allow_insecure)
        if ws_url is None:
            scheme, rest = base_url.split(":", 1)
            ws_url = f"{_WS_SCHEMES[scheme]}:{rest}"
        ws_url = check_url(ws_name, ws_url, ("wss", "ws"), allow_insecure)
        return cls(base_url, ws_url, api_key)

    def __copy__(self) -> Endpoint:
        return self

    def __deepcopy__(self, memo: object) -> Endpoint:
        return self

    def __reduce__(self) -> tuple[type[Endpoint], tuple[str, str]]:
        # A pickle may be stored or sent: the key stays here, and the other side looks its own up.
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
        """Returns the API key, calling a callable each time.

        Raises:
            ConfigurationError: There is none, or it cannot be sent in a header.
            MissingExtraError: A ``.env`` file has it, and python-dotenv is not installed.
        """
        source, origin = self.source, "api_key"
        if source is None:
            # Looked up at each use, so that a key that is set later, or replaced, counts.
            found = find_setting("API_KEY")
            if found is None:
                message = (
                    "No API key: pass api_key=..., set sessionlib.api_key, or set SESSIONLIB_API_KEY (or "
                    "VECTORSHIFT_API_KEY) in the environment or in a .env file."
                )
                prefix, values, _ = _family()
                other = next((one for one in _FAMILIES if one != prefix and os.environ.get(f"{one}API_KEY")), None)
                if values and other:
                    url = next(name for name in _NAMES if values.get(prefix + name))
                    message += (
                        f" {other}API_KEY is not used, because {prefix}{url} is set and may be of another engine."
                    )
                raise ConfigurationError(message)
            source, origin = found
        return check_key(source() if callable(source) else source, origin)

    def key_within(self, deadline: Deadline, token: CancelToken) -> str | None:
        """Returns the API key, calling a callable on a thread of its own, as it may block.

        Args:
            deadline: When to stop waiting.
            token: What another thread can cancel that by.

        Returns:
            The key; None when the deadline came first.

        Raises:
            ConfigurationError: There is none, or it cannot be sent in a header.
            SessionDisconnectedError: It was cancelled.
            Exception: What the callable raised.
        """
        # A key that is given as text needs no thread, as nearly always.
        if not callable(self.source):
            return self.key()
        result: list[str | BaseException] = []
        done = threading.Event()

        def ask() -> None:
            try:
                result.append(self.key())
            except BaseException as error:  # noqa: BLE001 - it is raised where the key is needed
                result.append(error)
            finally:
                done.set()

        # A daemon: a callable that never returns must not hold up the interpreter's exit.
        thread = threading.Thread(target=ask, name="sessionlib-key", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads: better late than not at all
            return self.key()
        if not token.wait_for(done, deadline):
            return None
        # It has set the event and ends: no thread is to outlive the call.
        thread.join()
        key = result[0]
        if isinstance(key, BaseException):
            raise key
        return key


# ---- where values come from ----------------------------------------------------------------------------------------

_ATTRIBUTES = {"API_KEY": "sessionlib.api_key", "BASE_URL": "sessionlib.base_url"}


def find_setting(name: str) -> Setting | None:
    """Looks up a value that no argument gave; module attributes and the environment are read each time.

    Args:
        name: "API_KEY", "BASE_URL" or "WS_URL".

    Returns:
        The value and its origin; None when it is set nowhere, or only in a family that does not count.

    Raises:
        TypeError: A module attribute is of another type than it takes.
        ConfigurationError: A ``.env`` file cannot be read.
        MissingExtraError: A ``.env`` file has it, and python-dotenv is not installed.
    """
    origin = _ATTRIBUTES.get(name)
    if origin is not None:
        # Not by import: the package imports this module. Unset, the attribute is not in its namespace.
        value = vars(sys.modules["sessionlib"]).get(origin.partition(".")[2])
        if value is not None:
            if not isinstance(value, str) and not (name == "API_KEY" and callable(value)):
                raise TypeError(f"{origin} takes a str, not {type(value).__name__}")
            return Setting(value, origin)
    prefix, values, path = _family()
    found = values.get(prefix + name)
    return Setting(found, _origin(prefix + name, path)) if found else None


def is_configured() -> bool:
    """Whether a module attribute, the environment or a ``.env`` file names a key or a URL of an engine."""
    return any(find_setting(name) is not None for name in _NAMES)


def unused_settings() -> list[str]:
    """Returns the variables that are set and do not count, because another family or the environment does.

    Raises:
        ConfigurationError: A ``.env`` file cannot be read.
        MissingExtraError: A ``.env`` file has some, and python-dotenv is not installed.
    """
    counting, _, counting_path = _family()
    places: list[tuple[Mapping[str, str | None], str]] = [(os.environ, "")]
    if path := _find_dotenv():
        places.append((_read_dotenv(path), path))
    return [
        _origin(prefix + name, path)
        for values, path in places
        for prefix in _FAMILIES
        for name in _NAMES
        if values.get(prefix + name) and (prefix, path) != (counting, counting_path)
    ]


def _origin(variable: str, path: str) -> str:
    return f"{variable} in {path}" if path else variable


def _family() -> tuple[str, Mapping[str, str | None], str]:
    """Returns the family that counts: its prefix, the values it is in, and their file, "" for the environment."""
    for prefix in _FAMILIES:
        if any(os.environ.get(prefix + name) for name in _NAMES):
            return prefix, os.environ, ""
    path = _find_dotenv()
    if path:
        values = _read_dotenv(path)
        # The environment as a whole before any file.
        for prefix in _FAMILIES:
            if any(values.get(prefix + name) for name in _NAMES):
                return prefix, values, path
    return _FAMILIES[0], {}, ""


def _find_dotenv() -> str:
    try:
        folder = os.getcwd()
    except OSError:  # it was removed
        return ""
    while True:
        path = os.path.join(folder, ".env")
        # The nearest one alone: values of several files may be of several engines.
        if os.path.isfile(path):
            # In a folder such as /tmp any user may leave a file that sends this user's key to a URL of theirs.
            try:
                may_be_strangers = hasattr(os, "geteuid") and bool(os.stat(folder).st_mode & 0o002)
                if not may_be_strangers or os.stat(path).st_uid == os.geteuid():
                    return path
            except OSError:
                pass  # what cannot be looked at is not trusted
        parent = os.path.dirname(folder)
        if parent == folder:
            return ""
        folder = parent


def _read_dotenv(path: str) -> Mapping[str, str | None]:
    try:
        with open(path, encoding="utf-8-sig") as file:  # editors on Windows begin it with a mark
            text = file.read(_MAX_DOTENV)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {type(error).__name__}") from None
    if not re.search(_IN_DOTENV, text):  # most such files are about other programs
        return {}
    try:
        import dotenv
    except ImportError:
        raise MissingExtraError(
            f"{path} sets variables of this package, and reading it needs python-dotenv; install it with: "
            "pip install 'sessionlib[cli]'",
            extra="cli",
        ) from None
    import io

    return dotenv.dotenv_values(stream=io.StringIO(text))


# ---- checks --------------------------------------------------------------------------------------------------------

_HEADER_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
# What a call or a handshake sets itself.
_RESERVED = frozenset({"authorization", "connection", "content-length", "content-type", "host", "upgrade"}) | {
    "accept-encoding",
    "transfer-encoding",
}


def check_readers(readers: int | None) -> int | None:
    """Returns how many threads are to read all sessions, if that is possible.

    Raises:
        ConfigurationError: It is no whole number from 1 on.
    """
    if readers is not None and (not isinstance(readers, int) or readers < 1):
        raise ConfigurationError("readers takes a whole number, 1 or above, or None for a thread for each session")
    return readers


def check_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Returns further headers of requests, if they can be sent; no value is ever quoted.

    Raises:
        TypeError: A name or a value is not a str.
        ConfigurationError: One holds what a header cannot, is there twice, or is one that this package sets itself.
    """
    checked: dict[str, str] = {}
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("headers takes a mapping of str to str")
        if not re.fullmatch(_HEADER_NAME, name):
            raise ConfigurationError(f"headers holds what is no header's name: {name[:40]!r}")
        if name.lower() in _RESERVED or name.lower().startswith("sec-websocket-"):
            raise ConfigurationError(f"the header {name} is set by this package")
        # A line break would begin another header.
        if not value.isascii() or not value.isprintable():
            raise ConfigurationError(f"the header {name} holds a line break or a character outside ASCII")
        # Names have no case (RFC 9110, 5.1); this one takes the place of the package's own.
        name = "User-Agent" if name.lower() == "user-agent" else name
        if name.lower() in map(str.lower, checked):
            raise ConfigurationError(f"headers has {name} twice")
        checked[name] = value
    return checked


def check_key(key: object, origin: str = "api_key") -> str:
    """Returns the key if it can stand in a header, without ever quoting it.

    Args:
        key: The key.
        origin: What it came from, for the message.

    Raises:
        TypeError: It is not a str.
        ConfigurationError: It is empty, or holds something other than visible ASCII.
    """
    if not isinstance(key, str):
        raise TypeError(f"{origin} takes a str, not {type(key).__name__}")
    message = "" if origin == "api_key" else f" It comes from {origin}."
    if not key:
        raise ConfigurationError(f"The API key is empty.{message}")
    # A key that was copied with its line break would split the header.
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError(
            "The API key holds a space, a line break or another character that cannot stand in a header; "
            f"was it copied with something around it?{message}"
        )
    return key


def check_id(name: str, value: object) -> str:
    """Returns an id if it can stand in a frame and a URL.

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
    # Ids end up in paths, frames, log lines and file names.
    if len(value) > 512 or not value.isprintable():
        raise ConfigurationError(f"{name} is too long or holds control characters: {value[:40]!r}")
    return value


def check_url(
    name: str, url: object, schemes: tuple[str, str] = ("https", "http"), allow_insecure: bool = False
) -> str:
    """Returns the base URL of an engine if it can be used.

    Args:
        name: What the URL is called in the error.
        url: The URL.
        schemes: Those that it may have, the encrypted one first.
        allow_insecure: Whether the key may travel unencrypted to another machine.

    Raises:
        TypeError: It is not a str.
        ConfigurationError: It has another scheme, no host, or parts that a base URL may not have.
        InsecureTransportError: The key would travel unencrypted.
    """
    if not isinstance(url, str):
        raise TypeError(f"{name} takes a str, not {type(url).__name__}")
    if not url:
        raise ConfigurationError(f"{name} is empty.")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigurationError(f"{name} holds a space, a line break or a character outside ASCII.")
    parts = _split(name, url)
    if parts.scheme not in schemes or not parts.hostname:
        raise ConfigurationError(f"{name} has to begin with {schemes[0]}:// or {schemes[1]}:// and name a host.")
    # Paths are appended to it, which would come behind a query; and a password in a URL ends up in logs.
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(f"{name} may hold no user, password, query or fragment.")
    if parts.scheme == schemes[1] and not allow_insecure and not is_loopback(parts.hostname):
        raise InsecureTransportError(
            f"{name} is unencrypted ({schemes[1]}://) and {parts.hostname} is not this machine, so the API key "
            f"could be read on the way. Use {schemes[0]}://, or pass allow_insecure=True on a network you trust."
        )
    # A scheme's case means nothing (RFC 3986, 3.1), and all that comes later compares it.
    return f"{parts.scheme}{url[len(parts.scheme) :].rstrip('/')}"


def _split(name: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises when it is not a number below 65536
    except ValueError as error:
        raise ConfigurationError(f"{name} is not a URL: {error}") from None
    return parts
