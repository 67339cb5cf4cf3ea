"""``sessionlib doctor``: what is wrong, and what to do about it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import socket
import ssl
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import SplitResult, urlsplit

import click

from sessionlib._util.timing import Deadline
from sessionlib._version import __version__
from sessionlib.cli.options import Positive, Where, debug_option, examples, where_options
from sessionlib.cli.target import embedded, find_agent
from sessionlib.client import Client
from sessionlib.config import Endpoint, find_setting, unused_settings
from sessionlib.display.text import one_line
from sessionlib.errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    MissingExtraError,
    NotFoundError,
    PermissionDeniedError,
    SessionlibError,
    SessionProtocolError,
)
from sessionlib.net.connect import Address, CancelToken, connect, resolve
from sessionlib.net.proxies import CA_VARIABLES, default_context
from sessionlib.session import Session
from sessionlib.transport.dial import secure
from sessionlib.transport.proxy import Proxy, choose_proxy
from sessionlib.transport.stream import NestedTls
from sessionlib.transport.websocket import open_websocket

__all__ = [
    "CERTIFICATE_ADVICE",
    "FAILED",
    "NOTE",
    "OK",
    "SKIPPED",
    "CheckResult",
    "ConnectivityProbe",
    "Patient",
    "doctor",
    "examine",
    "since",
]

OK, NOTE, SKIPPED, FAILED = "ok", "note", "skipped", "FAILED"


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: What was looked at.
        outcome: "ok", "note", "skipped" or "FAILED".
        text: What was found.
        advice: What to do about it.
    """

    name: str
    outcome: str
    text: str
    advice: str = ""

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return self.outcome == FAILED


def since(began: float) -> str:
    """Returns the time since a moment of the monotonic clock."""
    return f"{(time.monotonic() - began) * 1000:.0f} ms"


_PORTS = {"wss": 443, "ws": 80}

CERTIFICATE_ADVICE = (
    "Check this machine's clock. Where a company's proxy opens TLS, name its certificate in SSL_CERT_FILE."
)


class ConnectivityProbe:
    """Goes the way to one place, and reports each step; a context manager that leaves nothing open.

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
        self._sock: socket.socket | NestedTls | None = None

    def __enter__(self) -> ConnectivityProbe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sock is not None:
            self._sock.close()

    def go(self) -> Generator[CheckResult, None, bool]:
        """Takes it and reports each step; returns whether it leads there."""
        for finding in self._steps():
            yield finding
            if finding.failed:
                return False
        return True

    def _steps(self) -> Iterator[CheckResult]:
        """Takes the steps of a connection, in its order and by its functions; after a failure `go` takes no other."""
        proxy = None
        try:
            # By the rule of sessions and calls, so that it finds what they would.
            proxy = self._proxy = choose_proxy(None, self._url)
        except ConfigurationError as error:
            yield CheckResult("proxy", FAILED, str(error), "Correct or unset it, then run this again.")
        if proxy is None:
            yield CheckResult("proxy", OK, "none is used")
        else:
            advice = "NO_PROXY names hosts that are reached without it."
            yield CheckResult("proxy", NOTE, f"{proxy}, from {proxy.origin}", advice)
        yield self._resolve()
        yield self._connect()
        if proxy is not None:
            if proxy.secure:
                yield self._shake_hands("proxy TLS", proxy.host)
            # A proxy gets the name itself, and resolves it.
            assert isinstance(self._sock, socket.socket)
            began = time.monotonic()
            try:
                proxy.tunnel(self._sock, self._host, self._port, Deadline(self._timeout))
            except SessionlibError as error:
                yield CheckResult("tunnel", FAILED, str(error), "The proxy has to let CONNECT through to this host.")
            yield CheckResult("tunnel", OK, f"the proxy connects to {self._host}:{self._port} ({since(began)})")
        if self._url.scheme == "wss":
            yield self._shake_hands("TLS", self._host)
        else:
            yield CheckResult("TLS", OK, "not used on this machine itself")

    @property
    def _first(self) -> tuple[str, int]:
        # Behind a proxy, names need not be known here.
        return (self._host, self._port) if self._proxy is None else (self._proxy.host, self._proxy.port)

    def _resolve(self) -> CheckResult:
        host, port = self._first
        began = time.monotonic()
        advice = "Check the host in the address, and this network's DNS."
        try:
            self._addresses = resolve(host, port, Deadline(self._timeout), CancelToken())
        except TimeoutError:
            return CheckResult("DNS", FAILED, f"{host}: no answer within {self._timeout:g} s", advice)
        except OSError as error:
            return CheckResult("DNS", FAILED, f"{host}: {error.strerror or error}", advice)
        names = list(dict.fromkeys(str(address[4][0]) for address in self._addresses))
        return CheckResult("DNS", OK, f"{host} is {', '.join(names[:3])} ({since(began)})")

    def _connect(self) -> CheckResult:
        host, port = self._first
        began = time.monotonic()
        try:
            self._sock = connect(self._addresses, Deadline(self._timeout), CancelToken())
        except TimeoutError:
            advice = "A firewall may be in the way. If this network needs a proxy, set HTTPS_PROXY."
            return CheckResult("connection", FAILED, f"{host}:{port}: no answer within {self._timeout:g} s", advice)
        except OSError as error:
            advice = "Is an engine running there? sessionlib serve prints its address."
            if self._proxy is not None:
                advice = f"Is this the right proxy? It comes from {self._proxy.origin}."
            return CheckResult("connection", FAILED, f"{host}:{port}: {error.strerror or error}", advice)
        return CheckResult("connection", OK, f"{host}:{port} answers ({since(began)})")

    def _shake_hands(self, name: str, host: str) -> CheckResult:
        assert isinstance(self._sock, socket.socket)
        began = time.monotonic()
        try:
            secured = secure(self._sock, host, default_context(), Deadline(self._timeout), CancelToken())
        except SessionlibError as error:
            advice = "Does the address begin with https:// where the server speaks plain HTTP, or is it another's port?"
            refused = isinstance(error.__cause__, ssl.SSLCertVerificationError) or isinstance(error, ConfigurationError)
            return CheckResult(name, FAILED, str(error), CERTIFICATE_ADVICE if refused else advice)
        self._sock = secured
        tls = secured.inner if isinstance(secured, NestedTls) else secured
        certificate, days = tls.getpeercert() or {}, 0
        with contextlib.suppress(KeyError, ValueError):
            days = int((ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) // 86400)
        return CheckResult(name, OK, f"{tls.version()}, certificate valid for {days} days ({since(began)})")


_WS_SCHEMES = {"https": "wss", "http": "ws"}


@dataclass(frozen=True)
class Patient:
    """What is looked at.

    Attributes:
        base_url: The HTTP base that was given; None takes the environment's.
        timeout: Seconds that each check may take.
        endpoint: Where the engine is, when it is known already.
    """

    base_url: str | None
    timeout: float
    endpoint: Endpoint | None = None


def examine(patient: Patient) -> Iterator[CheckResult]:
    """Looks at everything, in the order in which it is needed, and reports as it goes."""
    try:
        # By the function that sessions and calls use, so that it finds what they would.
        endpoint = patient.endpoint or Endpoint.resolve(base_url=patient.base_url)
    except (ConfigurationError, MissingExtraError) as error:
        yield CheckResult("address", FAILED, str(error), "Correct --base-url or the variable, then run this again.")
        return
    yield CheckResult("address", OK, f"{endpoint.base_url}, from {_origin('BASE_URL', patient)}")
    if patient.endpoint is None:
        # Where else values come from, and which are set in vain.
        derived = f"{_WS_SCHEMES[urlsplit(endpoint.base_url).scheme]}:{endpoint.base_url.partition(':')[2]}"
        if endpoint.ws_url != derived:
            yield CheckResult("sessions", OK, f"{endpoint.ws_url}, from {_origin('WS_URL', patient)}")
        bundle = next((name for name in CA_VARIABLES if os.environ.get(name)), None)
        if bundle is not None:
            yield CheckResult("CA bundle", OK, f"{os.environ[bundle]}, from {bundle}")
        unused: list[str] = []
        with contextlib.suppress(ConfigurationError, MissingExtraError):
            unused = unused_settings()
        if unused:
            advice = "Values of one family and one place count: a key never goes to the URL of another."
            yield CheckResult("settings", NOTE, f"set, and not used: {', '.join(unused)}", advice)
    # Only whether it can be sent; whether the engine knows it shows the call below.
    key = _key(endpoint, patient)
    yield key
    possible = not key.failed
    for url in _places(endpoint):
        with ConnectivityProbe(url, patient.timeout) as way:
            # Every place is tried, also behind one that fails: both may be wrong for one reason, or for two.
            possible = (yield from way.go()) and possible
    for name, check in (("HTTP", _check_calls), ("WebSocket", _check_sessions)):
        if not possible:  # each check would repeat the failure of the one before
            yield CheckResult(name, SKIPPED, "not checked before the above is right")
            continue
        began = time.monotonic()
        try:
            yield CheckResult(name, OK, f"{check(endpoint, patient.timeout)} ({since(began)})")
        except SessionlibError as error:
            # From the most particular kind to the most general, as several fit.
            advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), _OTHER_ADVICE)
            is_tls = isinstance(error.__cause__, ssl.SSLError)
            yield CheckResult(name, FAILED, one_line(str(error)), CERTIFICATE_ADVICE if is_tls else advice)


# ---- settings ----------------------------------------------------------------------------------


def _origin(name: str, patient: Patient) -> str:
    """Returns what a value comes from: the way of `Endpoint.resolve`, again."""
    if patient.endpoint is not None:
        return "the embedded engine"
    if name == "BASE_URL" and patient.base_url:
        return "--base-url"
    found = find_setting(name)
    return "the default, the hosted engine" if found is None else found.origin


def _key(endpoint: Endpoint, patient: Patient) -> CheckResult:
    try:
        endpoint.key()
    except (ConfigurationError, MissingExtraError) as error:
        advice = "Set SESSIONLIB_API_KEY to the key, with nothing around it."
        return CheckResult("key", FAILED, one_line(str(error)), advice)
    return CheckResult("key", OK, f"set, from {_origin('API_KEY', patient)}")


def _places(endpoint: Endpoint) -> list[SplitResult]:
    """Returns where HTTP and sessions go, once where that is the same place."""
    base, sessions = urlsplit(endpoint.base_url), urlsplit(endpoint.ws_url)
    base = base._replace(scheme=_WS_SCHEMES[base.scheme])
    return [base] if (base.scheme, base.netloc) == (sessions.scheme, sessions.netloc) else [base, sessions]


# ---- the engine --------------------------------------------------------------------------------


def _check_calls(endpoint: Endpoint, timeout: float) -> str:
    # Without retries: a failure is what it is here to find.
    with Client(endpoint.source, endpoint.base_url, endpoint.ws_url, timeout, max_retries=0) as client:
        # The cheapest call that needs the key.
        client.request("GET", "/agents", query={"limit": 1})
    return "the key is accepted"


def _check_sessions(endpoint: Endpoint, timeout: float) -> str:
    url, deadline = endpoint.session_url, Deadline(timeout)
    # Without a session: this only has to show that the handshake is answered.
    transport = open_websocket(url, endpoint.key(), deadline, CancelToken(), max_message_size=2**20)
    # In order, though nothing was joined: an engine would log an abrupt end.
    transport.close()
    transport.release()
    return "sessions can be opened"


_ADVICE: tuple[tuple[type[SessionlibError], str], ...] = (
    (AuthenticationError, "The engine does not know this key: copy it again, and see which variable it is in."),
    (PermissionDeniedError, "The key may not do this: ask for one that may list agents and open sessions."),
    (NotFoundError, "Is the path of the address right? The hosted engine's ends in /v1."),
    (ApiError, "The engine is there and has trouble of its own: try again later."),
    (SessionProtocolError, "What answers there is no engine, or something on the way does not let WebSockets pass."),
)
_OTHER_ADVICE = "Is this the address of an engine? If a proxy is used, does it let this through?"


_LIBRARIES = ("websocket-client", "requests", "urllib3", "orjson")


@click.command(epilog=examples("sessionlib doctor", "sessionlib doctor --timeout 3"))
@click.option(
    "--timeout",
    type=Positive(),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long each check may take.",
)
@where_options
@debug_option
def doctor(timeout: float, where: Where) -> int:
    """Check the key, the way to the engine and the engine itself, one by one.

    The exit status is 1 when something fails. The key is never shown. With --agent or --session, checks too
    that there is such an agent, and that the session can be joined.
    """
    click.echo(f"sessionlib {__version__}, Python {platform.python_version()} on {platform.platform()}")
    libraries = []
    for name in _LIBRARIES:
        try:
            libraries.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            libraries.append(f"{name} (not installed)")
    click.echo(f"{', '.join(libraries)}, {ssl.OPENSSL_VERSION}")
    # A generator: each finding is shown as it is made, as one may take its time.
    findings = _embedded(where, timeout) if where.is_embedded else _configured(where, timeout)
    failed = False
    for finding in findings:
        failed = failed or finding.failed
        _show(finding)
    click.echo("Something is wrong." if failed else "All is well.")
    return 1 if failed else 0


def _show(finding: CheckResult) -> None:
    colour = {"ok": "green", "FAILED": "red"}.get(finding.outcome, "yellow")
    click.echo(f"{click.style(f'{finding.outcome:<8}', colour)}{finding.name:<12}{one_line(finding.text)}")
    if finding.advice:
        click.echo(f"{'':20}{finding.advice}")


def _configured(where: Where, timeout: float) -> Iterator[CheckResult]:
    broken = False
    for finding in examine(Patient(where.base_url, timeout)):
        broken = broken or finding.failed
        yield finding
    if not broken:
        with Client(base_url=where.base_url, timeout=timeout) as client:
            yield from _named(where, client, timeout)


def _embedded(where: Where, timeout: float) -> Iterator[CheckResult]:
    why = "--local" if where.local else "no key and no URL are set"
    advice = "For another one, set SESSIONLIB_API_KEY, and SESSIONLIB_BASE_URL if it is not the hosted one."
    yield CheckResult("settings", OK, f"{why}: commands run on the embedded engine", advice)
    try:
        with embedded(where.engine) as engine:
            endpoint = Endpoint(engine.base_url, engine.ws_url, engine.api_key)
            yield from examine(Patient(endpoint.base_url, timeout, endpoint))
            yield from _named(where, engine.client(), timeout)
    except (SessionlibError, ImportError, OSError) as error:
        yield CheckResult("engine", FAILED, one_line(str(error)), "pip install 'sessionlib[engine]' has what it needs.")


def _named(where: Where, client: Client, timeout: float) -> Iterator[CheckResult]:
    if where.agent:
        try:
            found = find_agent(client, where.agent)
            yield CheckResult("agent", OK, f"{found.name} ({found.id}), {found.agent_type}")
        except (SessionlibError, click.ClickException) as error:
            yield CheckResult("agent", FAILED, str(error))
    if where.session:
        try:
            with Session(session_id=where.session, client=client).connect(timeout):
                yield CheckResult("session", OK, f"{where.session} can be joined")
        except SessionlibError as error:
            yield CheckResult("session", FAILED, str(error))
