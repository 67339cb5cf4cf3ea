"""Proxies and certificates that the environment names, by one rule for HTTP calls and WebSockets."""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import ipaddress
import os
from typing import TYPE_CHECKING, NamedTuple, Union
from urllib.parse import SplitResult, urlsplit

from sessionlib.errors import ConfigurationError

if TYPE_CHECKING:
    # Not when the package is imported: it takes a fifth of the time.
    import ssl

__all__ = [
    "CA_VARIABLES",
    "Certificates",
    "FoundProxy",
    "ca_bundle",
    "check_proxy",
    "default_context",
    "environment_proxy",
    "given_certificates",
    "is_bypassed",
    "is_loopback",
    "trusting",
]

Certificates = Union["ssl.SSLContext", str, "os.PathLike[str]", bytes]
"""What to verify a peer by: a context, or the certificates to trust, as the path of a file or folder or as PEM."""

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Name a file, or a folder, of certificates to trust instead of the default ones; the first that is set counts."""

_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}
# A WebSocket goes through the proxy of the HTTP scheme that it starts as, unless it has one of its own.
_SCHEMES = {"wss": ("wss", "https", "all"), "ws": ("ws", "http", "all"), "https": ("https", "all")}
_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


def is_loopback(host: str) -> bool:
    """Whether a host name or address certainly is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # Other names may lead here as well, but to know that takes a look-up, and this is asked before any.
        return host.lower() in _LOOPBACK_NAMES


def ca_bundle() -> str | None:
    """Returns the certificates that the environment names, or None for the default ones.

    Raises:
        ConfigurationError: They do not exist.
    """
    for name in CA_VARIABLES:
        path = os.environ.get(name)
        # Raised here, where the name of the variable is known.
        if path and not os.path.exists(path):
            raise ConfigurationError(f"{name} names a certificate bundle that is not there: {path!r}")
        if path:
            return path
    return None


def default_context() -> ssl.SSLContext:
    """Returns what peers are verified by unless an argument decides otherwise: one rule for HTTP calls and sessions.

    It trusts what the environment names, else the system's certificates and those of certifi: Python for macOS comes
    without the former, and the latter know no authority that a company has installed on its machines.

    Raises:
        ConfigurationError: What the environment names cannot be read.
    """
    bundle = ca_bundle()
    # Kept, because reading them takes tens of milliseconds; a file that was written since is read again.
    return _context(bundle, None if bundle is None else os.stat(bundle).st_mtime_ns, os.environ.get("SSL_CERT_DIR"))


@functools.lru_cache(maxsize=4)
def _context(bundle: str | None, changed: int | None, folders: str | None) -> ssl.SSLContext:
    import ssl

    if bundle is not None:
        return trusting(bundle)
    # It reads SSL_CERT_DIR by itself, which is why that is part of this cache's key.
    context = ssl.create_default_context()
    with contextlib.suppress(ImportError, OSError):  # a distribution may have taken it out of requests
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def given_certificates(certificates: Certificates) -> Certificates:
    """Returns what peers are verified by, as it can be kept: a path absolute, PEM as bytes.

    Raises:
        ConfigurationError: It is empty.
        TypeError: It is of another type.
    """
    if isinstance(certificates, str) and "-----BEGIN" in certificates:
        # PEM text is taken for what it is: no path looks like this.
        return certificates.encode()
    if isinstance(certificates, (str, bytes, os.PathLike)):
        if not (certificates if isinstance(certificates, bytes) else os.fspath(certificates)):
            raise ConfigurationError("tls is empty; leave it out for the default certificates")
        # A worker that gets the path may be in another folder.
        return certificates if isinstance(certificates, bytes) else os.path.abspath(certificates)
    import ssl

    if not isinstance(certificates, ssl.SSLContext):
        raise TypeError(f"tls takes a path, PEM bytes or an ssl.SSLContext, not {type(certificates).__name__}")
    return certificates


def trusting(certificates: Certificates) -> ssl.SSLContext:
    """Returns the context that trusts these certificates alone; a context itself as it is.

    Raises:
        ConfigurationError: There are none to read.
        TypeError: They are of another type.
    """
    import ssl

    certificates = given_certificates(certificates)
    if isinstance(certificates, ssl.SSLContext):
        return certificates
    try:
        if isinstance(certificates, bytes):
            return ssl.create_default_context(cadata=certificates.decode("ascii"))
        # OpenSSL takes each by a parameter of its own, and fails for the other kind.
        is_folder = os.path.isdir(certificates)
        return ssl.create_default_context(
            cafile=None if is_folder else certificates, capath=certificates if is_folder else None
        )
    except UnicodeDecodeError:
        raise ConfigurationError("the certificates given as bytes are not PEM") from None
    except OSError as error:  # ssl.SSLError for what holds no certificates
        source = "the PEM given" if isinstance(certificates, bytes) else repr(os.fspath(certificates))
        raise ConfigurationError(f"no certificates can be read from {source}: {error.strerror or error}") from None


class FoundProxy(NamedTuple):
    """A proxy that no argument gave.

    Attributes:
        url: Its URL, with a scheme.
        origin: What names it, for messages: a variable, or the system's settings.
    """

    url: str
    origin: str


def check_proxy(url: str, origin: str) -> SplitResult:
    """Parses the URL of a proxy, which may hold a password and so is never quoted.

    Args:
        url: The URL.
        origin: What it came from, for the message.

    Raises:
        ConfigurationError: It is no URL of an HTTP proxy.
    """
    wrong = ConfigurationError(f"{origin} has to be a URL that begins with http:// or https:// and names a host")
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        raise wrong
    try:
        parts = urlsplit(url)
        # `port` is only parsed here, and raises ValueError for one beyond 65535.
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise wrong from None
    if not usable:
        raise wrong
    return parts


def environment_proxy(url: SplitResult) -> FoundProxy | None:
    """Returns the proxy that the environment, or the system's settings where it has none, has for a URL.

    Args:
        url: Where to; an engine on this machine is never reached through a proxy.

    Returns:
        The proxy and what names it; None to go there directly.

    Raises:
        ConfigurationError: Its URL cannot be used.
    """
    host = url.hostname or ""
    if is_loopback(host):
        return None
    # Here, because it takes long to load, and engines on this machine have no use for it.
    from urllib.request import getproxies, getproxies_environment, proxy_bypass

    # Lower case counts before upper case there, and HTTP_PROXY not at all in a CGI script, where a client could set
    # it by a header named "Proxy".
    named = getproxies_environment()
    from_variables = bool(named)
    if from_variables:
        exceptions = named.get("no", "")
        # Not `proxy_bypass_environment`, which knows no networks, such as 10.0.0.0/8.
        bypassed = is_bypassed(host, url.port or _DEFAULT_PORTS[url.scheme], exceptions)
    else:  # on macOS and Windows, the system has proxies, and exceptions of its own
        named = getproxies()
        bypassed = bool(named) and bool(proxy_bypass(host))
    if bypassed:
        return None
    schemes = _SCHEMES.get(url.scheme, ("http", "all"))
    scheme = next((scheme for scheme in schemes if named.get(scheme)), None)
    if scheme is None:
        return None
    variable = f"{scheme}_proxy"
    names = (variable, *(name for name in os.environ if name.lower() == variable))  # lower case comes first
    origin = next(name for name in names if os.environ.get(name)) if from_variables else "the system's proxy"
    found = named[scheme] if "://" in named[scheme] else f"http://{named[scheme]}"
    check_proxy(found, origin)
    return FoundProxy(found, origin)


def is_bypassed(host: str, port: int, exceptions: str) -> bool:
    """Whether ``NO_PROXY`` excepts a host.

    Args:
        host: The host, a name or an address, without brackets.
        port: The port.
        exceptions: Entries, separated by commas or blanks: a name, which holds for the names below it too, with or
            without a leading dot; an address; a network such as ``10.0.0.0/8``; any of these but networks with
            ``:port`` behind it, IPv6 addresses then in brackets; patterns with ``*``.
    """
    host = host.lower().rstrip(".")
    try:
        # The zone of an IPv6 address names an interface of this machine, and no network.
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        address = None
    return any(_excepts(entry.lower(), host, address, port) for entry in exceptions.replace(",", " ").split())


_IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def _excepts(entry: str, host: str, address: _IpAddress | None, port: int) -> bool:
    try:
        # Not strict: "10.0.0.5/8" is how people write the network of a host.
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    else:
        # Mixed versions compare as not contained.
        return address is not None and address in network
    name, colon, number = entry.rpartition(":")
    if colon and number.isdecimal():
        return int(number) == port and _excepts(name, host, address, port)
    if "*" in entry and fnmatch.fnmatchcase(host, entry):
        return True
    # "example.com", ".example.com" and "*.example.com" are one: the domain and all below it, as curl reads them.
    name = entry.removeprefix("*").strip(".")
    return bool(name) and address is None and (host == name or host.endswith(f".{name}"))
