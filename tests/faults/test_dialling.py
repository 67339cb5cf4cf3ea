"""Getting there: names, addresses, certificates and proxies, each within the time that connect() has."""

from __future__ import annotations

import base64
import contextlib
import datetime
import os
import pickle
import socket
import ssl
import struct
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme

from sessionlib import (
    Agent,
    ApiConnectionError,
    ApiError,
    Chatbot,
    Client,
    ConfigurationError,
    Session,
    SessionConnectionError,
    SessionDisconnectedError,
    SessionTimeoutError,
)
from sessionlib._util.timing import Deadline
from sessionlib._version import USER_AGENT
from sessionlib.engine import LocalEngine
from sessionlib.net.connect import CancelToken
from sessionlib.net.retry import is_transient
from sessionlib.testing import FaultProxy
from sessionlib.transport.dial import secure as secure_socket
from sessionlib.transport.proxy import parse_proxy
from tests.support.processes import run_script
from tests.support.programs import need
from tests.support.proxies import HttpProxy, TlsFront
from tests.support.script_engine import ScriptEngine
from tests.support.secrets import SENTINEL_KEY, LogWatch, assert_keeps_secret
from tests.support.servers import full_backlog
from tests.support.sessions import lose_link, make
from tests.support.turns import turn
from tests.support.waiting import eventually, within
from tests.support.ws_bytes import header

CLOSED = 7  # TCP_CLOSE, the first byte of TCP_INFO
Resolve = Callable[[str], "list[str] | Exception"]
Resolver = Callable[[Resolve], None]


def remote(port: int, **options: Any) -> Session:
    """A session at a host that only a resolver or a proxy knows."""
    given = {"session_id": "s1", "ws_url": f"ws://engine.example:{port}/v1", "allow_insecure": True}
    return Session(api_key=SENTINEL_KEY, **{**given, "reconnect_delay": 0.01, **options})


# ---- names ---------------------------------------------------------------------------------


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """Lets a function resolve names instead of the system."""
    real = socket.getaddrinfo

    def use(resolve: Resolve) -> None:
        def getaddrinfo(host: str, port: int, *args: Any, flags: int = 0, **kwargs: Any) -> list[Any]:
            if flags & socket.AI_NUMERICHOST:
                return real(host, port, *args, flags=flags, **kwargs)
            found = resolve(host)
            if isinstance(found, Exception):
                raise found
            return [entry for address in found for entry in real(address, port, *args, **kwargs)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return use


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_AGAIN], ids=["no such name", "server failure"])
def test_a_name_that_cannot_be_resolved_may_be_resolved_later(resolver: Resolver, code: int) -> None:
    resolver(lambda host: socket.gaierror(code, "the resolver says no"))
    with pytest.raises(SessionConnectionError, match=r"engine\.example") as caught, within(0.5):
        remote(1).connect(30)
    assert is_transient(caught.value)


@pytest.mark.parametrize("host", ["a..b", f"{'x' * 64}.example"])
def test_a_host_that_cannot_be_one(host: str) -> None:
    with pytest.raises(SessionConnectionError, match="not a host name"):
        remote(1, ws_url=f"wss://{host}/v1").connect(30)


def test_a_lost_link_survives_a_resolver_that_fails_for_a_while(engine: ScriptEngine, resolver: Resolver) -> None:
    answers: list[Any] = [["127.0.0.1"], socket.gaierror(socket.EAI_AGAIN, "not now"), ["127.0.0.1"]]
    resolver(lambda host: answers.pop(0))
    with remote(engine.port) as session:
        lose_link(engine, session)
    assert answers == []


def test_a_dead_address_is_followed_by_the_next(engine: ScriptEngine, resolver: Resolver) -> None:
    resolver(lambda host: ["::1", "127.0.0.3", "127.0.0.1"])
    with within(1), remote(engine.port) as session:
        assert session.get_messages(timeout=30) == []


@pytest.fixture(params=["resolving", "connecting", "shaking hands", "joining"])
def stuck(engine: ScriptEngine, resolver: Resolver, request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session that gets no further than that."""
    let_go, host, port = threading.Event(), "127.0.0.1", engine.port
    resolver(lambda host: [str(let_go.wait(30) and "127.0.0.1")])
    engine.on("connect_session", lambda conn, frame: None)
    with contextlib.ExitStack() as stack:
        if request.param == "resolving":
            host = "engine.example"
        elif request.param == "connecting":
            port = stack.enter_context(full_backlog("127.0.0.1"))
        elif request.param == "shaking hands":
            port = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        yield remote(port, ws_url=f"ws://{host}:{port}/v1")
        let_go.set()


def test_a_session_that_is_stuck_takes_no_longer_than_it_may(stuck: Session) -> None:
    with pytest.raises(SessionTimeoutError), within(0.3):
        stuck.connect(0.3)


def test_a_session_that_is_stuck_can_be_told_not_to_connect(stuck: Session) -> None:
    with ThreadPoolExecutor(1) as pool:
        connecting = pool.submit(stuck.connect, 30)
        assert eventually(lambda: stuck.state == "connecting")
        time.sleep(0.1)
        with within(0.2):
            stuck.disconnect()
            assert type(connecting.exception(30)) is SessionDisconnectedError


# ---- certificates --------------------------------------------------------------------------

AUTHORITY = trustme.CA()
STRANGER = trustme.CA()


def server_context(authority: trustme.CA = AUTHORITY, name: str = "engine.example", **options: Any) -> ssl.SSLContext:
    """The TLS of a server that an authority vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **options).configure_cert(context)
    return context


def expired() -> ssl.SSLContext:
    """The TLS of a server whose certificate is over."""
    return server_context(not_after=datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))


def old_tls() -> ssl.SSLContext:
    """The TLS of a server that speaks 1.1 at best."""
    context = server_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def trusting(authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    """The TLS of a client that believes an authority alone."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def assert_reaches(client: Client) -> None:
    """Fails unless a client's session and its calls get to the engine."""
    with Session(session_id="s1", client=client) as session:
        assert session.get_messages(timeout=30) == []
    with pytest.raises(ApiError):  # the scripted engine has no such path, and was asked
        client.request("GET", "/agents")


def trust_by(name: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a variable, and no other, name the certificates to trust."""
    for other in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, str(path))


def secure(port: int, **options: Any) -> Session:
    """A session that reaches the engine over TLS."""
    given = {"ws_url": f"wss://engine.example:{port}/v1", "tls": trusting(), "allow_insecure": False}
    return remote(port, **{**given, **options})


@pytest.fixture
def at_home(resolver: Resolver) -> None:
    """Every name is this machine."""
    resolver(lambda host: ["127.0.0.1"])


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("readers", [None, 1])
def test_a_session_over_tls(engine: ScriptEngine, readers: int | None) -> None:
    numbers = list(map(str, range(2000)))
    engine.on("post_message", lambda conn, frame: conn.send_many(turn(pieces=numbers)))
    with TlsFront(engine.port, server_context()) as front:
        with secure(front.port, readers=readers) as session:
            assert session.get_messages(timeout=30) == []
            assert list(session.stream("hi").text_stream) == numbers
        assert SENTINEL_KEY.encode() in front.clear


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize(
    "context",
    [expired, lambda: server_context(name="other.example"), lambda: server_context(STRANGER), old_tls],
    ids=["expired", "another host", "nobody vouches for it", "TLS 1.1"],
)
def test_no_key_goes_to_a_server_that_is_not_proved(
    engine: ScriptEngine, context: Callable[[], ssl.SSLContext]
) -> None:
    with TlsFront(engine.port, context()) as front:
        with pytest.raises(SessionConnectionError) as caught, within(1):
            secure(front.port).connect(30)
        assert not is_transient(caught.value)
        assert front.clear == b""
    assert engine.handshakes == []


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("count", [0, 1, 100, 700])
def test_a_cut_in_the_tls_handshake_is_worth_another_try(engine: ScriptEngine, how: Any, count: int) -> None:
    with TlsFront(engine.port, server_context()) as front, FaultProxy("127.0.0.1", front.port) as proxy:
        proxy.downstream.limit_data(count, how, times=1)
        session = secure(proxy.port)
        with pytest.raises(SessionDisconnectedError) as caught, within(1):
            session.connect(30)
        assert is_transient(caught.value)
        session.connect(30).disconnect()


def test_a_reset_before_the_tls_handshake_is_worth_another_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as rude, socket.create_connection(rude.getsockname()) as near:
        far, _ = rude.accept()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        assert eventually(lambda: near.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == CLOSED)
        with pytest.raises(SessionConnectionError) as caught:
            secure_socket(near, "engine.example", ssl.create_default_context(), Deadline(5), CancelToken())
    assert is_transient(caught.value)


@pytest.mark.usefixtures("at_home")
def test_a_link_over_tls_that_is_lost_comes_back(engine: ScriptEngine) -> None:
    with (
        TlsFront(engine.port, server_context()) as front,
        FaultProxy("127.0.0.1", front.port) as proxy,
        secure(proxy.port) as session,
    ):
        for how in (proxy.cut, proxy.reset):
            before = engine.log.opened
            how()
            engine.wait_connected(before + 1)
            assert session.get_messages(timeout=30) == []


class AlertFront(TlsFront):
    """Speaks TLS, and at a certain moment sends a fatal alert as plain bytes, as a broken load balancer does.

    Attributes:
        alerts: The alert's number for each of the next connections; behind them, and for None, it passes bytes on.
    """

    def __init__(self, target: int, context: ssl.SSLContext, alerts: list[int | None], moment: str) -> None:
        self.alerts = alerts
        self._moment = moment
        super().__init__(target, context)

    def _serve(self, sock: socket.socket) -> None:
        alert = self.alerts.pop(0) if self.alerts else None
        if alert is None:
            super()._serve(sock)
        elif self._moment == "TLS handshake":
            sock.recv(10_000)
            sock.sendall(bytes([21, 3, 3, 0, 2, 2, alert]))
        else:
            with self._wrap(sock) as secured:
                secured.recv(65536)
                # Beside its TLS: after the handshake an alert has to be encrypted, so what is plain is damaged.
                os.write(secured.fileno(), bytes([21, 3, 3, 0, 2, 2, alert]))


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("moment", ["TLS handshake", "WebSocket handshake"])
@pytest.mark.parametrize("alert", [10, 20, 40, 80])
def test_a_tls_alert_at_any_point_is_worth_another_try(
    engine: ScriptEngine, alert: int, moment: str, version: ssl.TLSVersion
) -> None:
    context = server_context()
    context.maximum_version = version
    with AlertFront(engine.port, context, [alert], moment) as front:
        with pytest.raises(SessionConnectionError, match="TLS") as caught, within(1):
            secure(front.port).connect(30)
        assert is_transient(caught.value)
        front.alerts[:] = [None, alert, alert]
        with secure(front.port) as session:
            lose_link(engine, session)
        assert front.alerts == []


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_certificates_that_the_environment_names(
    engine: ScriptEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, kind: str
) -> None:
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    subprocess.run([need("openssl"), "rehash", str(tmp_path)], check=True, timeout=30)
    is_folder = kind == "folder" or name == "SSL_CERT_DIR"
    trust_by(name, tmp_path if is_folder else tmp_path / "ca.pem", monkeypatch)
    with TlsFront(engine.port, server_context()) as front:
        with secure(front.port, tls=None) as session:
            assert session.get_messages(timeout=30) == []
        with Client(SENTINEL_KEY, f"https://engine.example:{front.port}/v1", max_retries=0) as client:
            assert_reaches(client)


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("text", [None, "no certificate"])
def test_certificates_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "ca.pem").write_text(text)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(ConfigurationError, match=r"ca\.pem"):
        secure(server.getsockname()[1], tls=None).connect(30)


# ---- one client, all of it ---------------------------------------------------------------------


def test_what_a_client_has_holds_for_its_sessions(engine: ScriptEngine) -> None:
    with HttpProxy(engine.port) as proxy:
        client = Client(
            SENTINEL_KEY,
            "http://engine.example:80/v1",
            proxy=proxy.url,
            headers={"X-Team": "blue", "user-agent": "ours"},
            allow_insecure=True,
            timeout=7.0,
        )
        for made in (client, pickle.loads(pickle.dumps(client))):
            with Session(session_id="s1", client=made, api_key=SENTINEL_KEY) as session:
                assert session.get_messages(timeout=30) == []
        assert len(proxy.heads) == 2
    assert [header(head, "X-Team") for head in engine.handshakes] == ["blue", "blue"]
    assert [head.lower().count(b"user-agent: ours") for head in engine.handshakes] == [1, 1]
    assert [head.lower().count(b"user-agent") for head in engine.handshakes] == [1, 1]


IN_WORKERS = """
import multiprocessing, pickle, sys
from concurrent.futures import ProcessPoolExecutor

if __name__ == "__main__":
    agent = pickle.loads(bytes.fromhex(sys.argv[1]))
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        for result in agent.map(["a", "b", "c"], executor=pool):
            print(result.status)
"""


CONNECTIONS = 5 + 8  # of calls, as the engine ends each with its answer, and of sessions


@pytest.mark.slow
def test_the_proxy_of_a_client_sees_all_of_its_traffic_and_no_other(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The engine is reached through a gate alone, which counts what there is to count."""
    bundle = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(bundle))
    with (
        LocalEngine() as engine,
        TlsFront(engine.port, server_context()) as front,
        FaultProxy("127.0.0.1", front.port) as gate,
        HttpProxy(gate.port) as proxy,
    ):
        address = f"engine.example:{gate.port}"
        engine.allow_host(address)
        made, url = engine.agent(name="Remote"), f"https://{address}/v1"
        # A pickle leaves the key behind.
        monkeypatch.setenv("SESSIONLIB_API_KEY", engine.api_key)
        monkeypatch.chdir(tmp_path)

        def use(client: Client) -> int:
            """Makes calls, sessions, runs and batches; returns how many connections the engine got."""
            before = len(gate.connections)
            agent = Agent.fetch(id=made.id, client=client)
            with agent.create_session() as session:
                assert session.ask("hello", files=[b"x"], timeout=30).text
            with agent.resume_session(session.session_id) as session:
                assert len(session.get_messages()) == 3
            agent.save()
            bot = Chatbot.new("Bot", "A bot", "p1", client=client)
            assert bot.run("hello")["output_message"]
            with bot.create_session() as session:
                assert session.ask("hello", timeout=30).text
            bot.delete()
            with Session(owner_type="agent", owner_id=agent.id, client=client, api_key=engine.api_key) as session:
                assert session.get_messages() == []
            assert agent.run("hello").status == "complete"
            assert [one.status for one in agent.map(["a", "b", "c"], max_workers=2)] == ["complete"] * 3
            client.close()
            return len(gate.connections) - before

        with Client(base_url=url, tls="ca.pem", proxy=proxy.url, headers={"X-Team": "blue"}) as client:
            resolver(lambda host: [host])  # addresses alone: the name is known to the proxy
            assert use(client) == len(proxy.heads) == CONNECTIONS
            assert use(pickle.loads(pickle.dumps(client))) == CONNECTIONS
            monkeypatch.chdir("/")
            sent, key = pickle.dumps(Agent.fetch(id=made.id, client=client)).hex(), engine.api_key
            ran = run_script(IN_WORKERS, sent, env={"SESSIONLIB_API_KEY": key}, timeout=60)
            assert (ran.rc, ran.stdout.split()) == (0, ["complete"] * 3), ran
            assert len(gate.connections) == len(proxy.heads) == 2 * CONNECTIONS + 4
            requests = front.clear.count(b"Authorization: Bearer ")
            assert front.clear.count(b"X-Team: blue") == requests >= len(proxy.heads)
        seen = len(proxy.heads)
        resolver(lambda host: ["127.0.0.1"])
        with Client(base_url=url, tls=bundle.read_bytes()) as client:
            assert use(client) == CONNECTIONS
        assert len(proxy.heads) == seen


@pytest.mark.usefixtures("at_home")
def test_the_certificates_of_a_client_hold_for_its_sessions_and_calls(engine: ScriptEngine) -> None:
    with TlsFront(engine.port, server_context()) as front:
        url = f"https://engine.example:{front.port}/v1"
        with Client(SENTINEL_KEY, url, tls=trusting(), max_retries=0) as client:
            assert_reaches(client)
            with pytest.raises(TypeError, match="the path of a file of certificates, or their PEM bytes"):
                pickle.dumps(client)
        with Client(SENTINEL_KEY, url, tls=trusting(STRANGER), max_retries=0) as client:
            with pytest.raises(SessionConnectionError, match="certificate"):
                Session(session_id="s1", client=client).connect(30)
            with pytest.raises(ApiConnectionError, match="certificate"):
                client.request("GET", "/agents")


# ---- proxies -------------------------------------------------------------------------------


@pytest.fixture
def proxy(engine: ScriptEngine) -> Iterator[HttpProxy]:
    with HttpProxy(engine.port) as proxy:
        yield proxy


def test_a_session_through_a_proxy(proxy: HttpProxy) -> None:
    with remote(80, proxy=proxy.url) as session:
        assert session.get_messages(timeout=30) == []
    target = "engine.example:80"
    assert proxy.heads == [f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {USER_AGENT}\r\n\r\n".encode()]


def test_a_session_over_tls_through_a_proxy(engine: ScriptEngine) -> None:
    with TlsFront(engine.port, server_context()) as front, HttpProxy(front.port) as proxy:
        with secure(443, proxy=proxy.url) as session:
            assert session.get_messages(timeout=30) == []
        assert SENTINEL_KEY.encode() in front.clear
        assert SENTINEL_KEY.encode() not in proxy.heads[0]


def test_a_proxy_gets_its_credentials_and_nobody_else(
    engine: ScriptEngine, proxy: HttpProxy, log_watch: LogWatch
) -> None:
    with remote(80, proxy=f"http://jo%40x:se%3Acret@127.0.0.1:{proxy.port}") as session:
        assert_keeps_secret(session, "cret")
    told = base64.b64encode(b"jo@x:se:cret")
    assert b"Proxy-Authorization: Basic " + told in proxy.heads[0]
    assert SENTINEL_KEY.encode() not in proxy.heads[0]
    assert b"Proxy-Authorization" not in engine.handshakes[0]
    log_watch.check("cret")
    log_watch.check(told.decode())


def test_the_environments_proxy_is_used(proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    with remote(80):
        pass
    assert len(proxy.heads) == 1


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ws_proxy", "explicit"])
def test_an_engine_on_this_machine_is_never_reached_through_a_proxy(
    engine: ScriptEngine, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, proxy.url)
    for host in ("127.0.0.1", "localhost"):
        url = f"ws://{host}:{engine.port}/v1"
        with make(engine, ws_url=url, proxy=proxy.url if name == "explicit" else None):
            pass
    assert proxy.heads == []


@pytest.mark.parametrize(("status", "transient"), [(403, False), (407, False), (429, True), (502, True), (503, True)])
def test_a_proxy_that_refuses(proxy: HttpProxy, status: int, transient: bool) -> None:
    proxy.answers = [b"HTTP/1.1 %d No\r\n\r\n" % status]
    session = remote(80, proxy=proxy.url.replace("//", "//jo:se3cret@"))
    with pytest.raises(SessionConnectionError, match=str(status)) as caught, within(1):
        session.connect(30)
    assert_keeps_secret(caught.value, "se3cret")
    assert is_transient(caught.value) is transient
    assert len(proxy.heads) == 1


def test_a_lost_link_comes_back_through_a_proxy_that_was_overloaded(engine: ScriptEngine, proxy: HttpProxy) -> None:
    proxy.answers = [None, b"HTTP/1.1 502 Bad gateway\r\n\r\n"]
    with remote(80, proxy=proxy.url) as session:
        lose_link(engine, session)
    assert len(proxy.heads) == 3


def test_a_lost_link_does_not_come_back_through_a_proxy_that_wants_a_password(
    engine: ScriptEngine, proxy: HttpProxy
) -> None:
    proxy.answers = [None, b"HTTP/1.1 407 Who are you\r\n\r\n"]
    with remote(80, proxy=proxy.url) as session:
        engine.drop_all()
        with pytest.raises(SessionDisconnectedError, match="407"):
            list(session.listen(timeout=30))
    assert len(proxy.heads) == 2


def test_a_proxy_that_drops_the_link_once_it_is_connected(proxy: HttpProxy) -> None:
    proxy.answers = [b"HTTP/1.1 200 OK\r\n\r\n"]
    with pytest.raises(SessionDisconnectedError) as caught, within(1):
        remote(80, proxy=proxy.url).connect(30)
    assert is_transient(caught.value)


@pytest.fixture
def secure_proxy(engine: ScriptEngine) -> Iterator[tuple[HttpProxy, str]]:
    """A proxy in front of an engine, both over TLS, and the proxy's URL."""
    with (
        TlsFront(engine.port, server_context()) as front,
        HttpProxy(front.port) as proxy,
        TlsFront(proxy.port, server_context(name="proxy.example")) as outer,
    ):
        yield proxy, f"https://proxy.example:{outer.port}"


@pytest.mark.usefixtures("at_home")
def test_a_session_over_tls_through_a_proxy_over_tls(
    engine: ScriptEngine, secure_proxy: tuple[HttpProxy, str], log_watch: LogWatch
) -> None:
    proxy, url = secure_proxy
    with secure(443, proxy=url.replace("//", "//jo:se3cret@")) as session:
        assert session.get_messages(timeout=30) == []
        lose_link(engine, session)
    told = b"Proxy-Authorization: Basic " + base64.b64encode(b"jo:se3cret")
    head = f"CONNECT engine.example:443 HTTP/1.1\r\nHost: engine.example:443\r\nUser-Agent: {USER_AGENT}\r\n"
    request = head.encode() + told + b"\r\n\r\n"
    assert proxy.heads == [request, request]
    log_watch.check("se3cret")


@pytest.mark.usefixtures("at_home")
def test_a_plain_session_through_a_proxy_over_tls(proxy: HttpProxy) -> None:
    with TlsFront(proxy.port, server_context(name="proxy.example")) as outer:
        with remote(80, proxy=f"https://proxy.example:{outer.port}", tls=trusting()) as session:
            assert session.get_messages(timeout=30) == []
        assert SENTINEL_KEY.encode() in outer.clear
    assert len(proxy.heads) == 1


@pytest.mark.usefixtures("at_home")
def test_a_long_conversation_through_two_layers_of_tls() -> None:
    text = "".join(map(str, range(150_000)))
    with (
        LocalEngine() as engine,
        TlsFront(engine.port, server_context()) as front,
        HttpProxy(front.port) as proxy,
        TlsFront(proxy.port, server_context()) as outer,
    ):
        engine.allow_host(f"engine.example:{front.port}")
        agent = engine.agent(name="Remote")
        url, proxy_url = f"https://engine.example:{front.port}/v1", f"https://engine.example:{outer.port}"
        with Client(engine.api_key, url, tls=trusting(), proxy=proxy_url) as client:
            with Session(owner_type="agent", owner_id=agent.id, client=client) as session:
                assert session.ask(text, timeout=60).text
                assert session.get_messages()[0].text == text
            assert Agent.fetch(id=agent.id, client=client).name == "Remote"
        assert len(outer.clear) > len(text)


@pytest.mark.usefixtures("at_home")
def test_a_proxy_that_is_not_proved_gets_nothing(proxy: HttpProxy) -> None:
    for context in (server_context(name="proxy.example"), server_context(STRANGER)):
        with TlsFront(proxy.port, context) as outer:
            with pytest.raises(SessionConnectionError, match="certificate of the proxy") as caught, within(1):
                secure(443, proxy=f"https://other.example:{outer.port}").connect(30)
            assert not is_transient(caught.value)
            assert outer.clear == b""
    assert proxy.heads == []


@pytest.mark.usefixtures("at_home")
def test_a_proxy_over_tls_takes_no_longer_than_it_may(proxy: HttpProxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(SessionTimeoutError), within(0.3):
        secure(443, proxy=f"https://proxy.example:{mute.getsockname()[1]}").connect(0.3)
    proxy.answers = [b""]
    with (
        TlsFront(proxy.port, server_context(name="proxy.example")) as outer,
        pytest.raises(SessionTimeoutError),
        within(0.4),
    ):
        secure(443, proxy=f"https://proxy.example:{outer.port}").connect(0.4)


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("named", ["tls", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_client_through_a_proxy_over_tls(
    engine: ScriptEngine,
    secure_proxy: tuple[HttpProxy, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    named: str,
) -> None:
    proxy, url = secure_proxy
    if named != "tls":
        AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        trust_by(named, tmp_path / "ca.pem", monkeypatch)
    monkeypatch.setenv("HTTPS_PROXY", url)
    tls = trusting() if named == "tls" else None
    with Client(SENTINEL_KEY, "https://engine.example/v1", tls=tls, max_retries=0) as client:
        assert_reaches(client)
    assert [header(head, "User-Agent") for head in proxy.heads] == [USER_AGENT] * 2


@pytest.mark.parametrize(
    "url",
    ["socks5://h:1", "ftp://h:1", "https://h:99999", "http://h:99999", "http://", "http://a b:1", "http://h\r\n:1"],
)
def test_what_is_no_proxy_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        remote(80, proxy=url)
    assert f"{url!r}" not in str(caught.value)


def test_a_proxy_does_not_show_its_credentials() -> None:
    assert_keeps_secret(repr(parse_proxy("http://jo:se3cret@h:1")), base64.b64encode(b"jo:se3cret").decode())
