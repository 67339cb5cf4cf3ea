"""``sessionlib doctor``: each thing that can be wrong is found, told with what to do, and the key is never shown."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionlib.engine import LocalEngine
from sessionlib.net.listener import TcpListener
from tests.support.cli import KEY, Cli, Here
from tests.support.processes import Result
from tests.support.script_engine import http_response, upgrade_response
from tests.support.secrets import SENTINEL_KEY
from tests.support.secured import write_certificate

ORDER = ["address", "key", "proxy", "DNS", "connection", "TLS", "HTTP", "WebSocket"]
SKIPPED = "not checked before the above is right"
Answer = Callable[[socket.socket], None]


def findings(result: Result) -> dict[str, tuple[str, str]]:
    """The findings by name: outcome, and text with the advice below it."""
    assert SENTINEL_KEY not in result.stdout + result.stderr
    found: dict[str, tuple[str, str]] = {}
    *lines, verdict = result.stdout.splitlines()[2:]
    for line in lines:
        outcome, name, text = line[:8].strip(), line[8:20].strip(), line[20:]
        if outcome:
            found[name] = (outcome, text)
            last = name
        else:
            found[last] = (found[last][0], f"{found[last][1]}\n{text}")
    assert verdict == ("Something is wrong." if result.rc else "All is well.")
    assert result.rc == int(any(outcome == "FAILED" for outcome, _ in found.values()))
    return found


def test_with_nothing_configured_the_embedded_engine_is_looked_at(cli: Cli) -> None:
    result = cli.run("doctor").check()
    found = findings(result)
    assert list(found) == ["settings", *ORDER]
    assert "SESSIONLIB_API_KEY" in found["settings"][1]
    assert {outcome for outcome, _ in found.values()} == {"ok"}
    assert result.stdout.startswith("sessionlib 0.")
    assert "websocket-client 1." in result.stdout


def test_the_embedded_engine_is_looked_at_on_demand(here: Here, configured: dict[str, str]) -> None:
    found = findings(here.run("doctor", "--local", env=configured).check())
    assert found["settings"][1].startswith("--local: commands run on the embedded engine")
    assert configured["SESSIONLIB_BASE_URL"] not in found["address"][1]
    assert "SESSIONLIB" not in found["address"][1]


def test_all_is_well(cli: Cli, configured: dict[str, str]) -> None:
    found = findings(cli.run("doctor", env=configured).check())
    assert list(found) == ORDER
    assert found["address"][1] == f"{configured['SESSIONLIB_BASE_URL']}, from SESSIONLIB_BASE_URL"
    assert found["key"] == ("ok", "set, from SESSIONLIB_API_KEY")
    assert found["HTTP"][1].startswith("the key is accepted")
    assert found["WebSocket"][1].startswith("sessions can be opened")


def test_an_agent_and_a_session_are_looked_for(here: Here, local: LocalEngine, configured: dict[str, str]) -> None:
    with local.agent(name="Other").create_session() as session:
        session_id = str(session.session_id)
    found = findings(here.run("doctor", "--agent", "Other", "--session", session_id, env=configured))
    assert found["agent"][1].startswith("Other (")
    assert found["session"] == ("ok", f"{session_id} can be joined")
    found = findings(here.run("doctor", "--agent", "Nobody", "--session", "s0", env=configured))
    assert "no agent with the id or name Nobody" in found["agent"][1]
    assert found["session"][0] == "FAILED"


@pytest.mark.parametrize(
    ("env", "args", "name", "text"),
    [
        ({}, ["--base-url", "ftp://x.example"], "address", "base_url has to begin with https://"),
        ({}, ["--base-url", "http://x.example/v1"], "address", "base_url is unencrypted"),
        ({}, ["--base-url", "http://127.0.0.1:1/v1"], "key", "No API key"),
        ({"SESSIONLIB_API_KEY": "two words"}, [], "key", "The API key holds a space"),
        (KEY, ["--base-url", "https://nowhere.invalid/v1"], "DNS", "nowhere.invalid: "),
        (KEY, ["--base-url", "http://127.0.0.1:1/v1"], "connection", "127.0.0.1:1: Connection refused"),
        (KEY, ["--base-url", "http://127.0.0.1:1/v1"], "connection", "sessionlib serve prints its address"),
    ],
)
def test_what_is_wrong_on_the_way(here: Here, env: dict[str, str], args: list[str], name: str, text: str) -> None:
    found = findings(here.run("doctor", "--timeout", "5", *args, env=env))
    assert found[name][0] == "FAILED"
    assert text in found[name][1]
    assert found.get("HTTP", ("skipped", SKIPPED)) == ("skipped", SKIPPED)
    assert found.get("WebSocket", ("skipped", SKIPPED)) == ("skipped", SKIPPED)


def test_a_refused_key_is_told_twice(here: Here, configured: dict[str, str]) -> None:
    result = here.run("doctor", env={**configured, "SESSIONLIB_API_KEY": "another-key"})
    found = findings(result)
    for name in ("HTTP", "WebSocket"):
        assert found[name][0] == "FAILED"
        assert "401" in found[name][1]
        assert "The engine does not know this key" in found[name][1]
    assert "another-key" not in result.stdout


def test_the_older_variables_count_too(here: Here, configured: dict[str, str]) -> None:
    env = {name.replace("SESSIONLIB", "VECTORSHIFT"): value for name, value in configured.items()}
    found = findings(here.run("doctor", env=env).check())
    assert found["key"] == ("ok", "set, from VECTORSHIFT_API_KEY")


def test_the_default_is_named_as_one(here: Here) -> None:
    found = findings(here.run("doctor", "--timeout", "1", env={**KEY, "HTTPS_PROXY": "http://127.0.0.1:1"}))
    assert found["address"][1] == "https://api.vectorshift.ai/v1, from the default, the hosted engine"


def test_each_value_has_its_origin(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configured: dict[str, str], local: LocalEngine
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in configured.items()))
    found = findings(here.run("doctor").check())
    for name, variable in (("address", "BASE_URL"), ("key", "API_KEY")):
        assert found[name][1].endswith(f", from SESSIONLIB_{variable} in {tmp_path / '.env'}")
    assert "settings" not in found
    # The environment counts before the file, and of two families the first that has anything.
    env = {**configured, "SESSIONLIB_WS_URL": local.ws_url.replace("127.0.0.1", "localhost")}
    found = findings(here.run("doctor", env={**env, "VECTORSHIFT_API_KEY": "other"}).check())
    assert found["address"][1].endswith(", from SESSIONLIB_BASE_URL")
    assert found["sessions"][1].endswith(", from SESSIONLIB_WS_URL")
    outcome, text = found["settings"]
    assert outcome == "note"
    assert text.startswith(f"set, and not used: VECTORSHIFT_API_KEY, SESSIONLIB_API_KEY in {tmp_path / '.env'}, ")
    found = findings(here.run("doctor", "--base-url", local.base_url, env=configured).check())
    assert found["address"][1] == f"{local.base_url}, from --base-url"


def test_a_silent_host_takes_no_longer_than_the_timeout(here: Here) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        result = here.run("doctor", "--timeout", "1", "--base-url", url, env=KEY)
    found = findings(result)
    assert found["connection"][0] == "ok"
    assert "within 1" in found["HTTP"][1]
    assert "within 1" in found["WebSocket"][1]
    assert result.duration < 30


# ---- TLS -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, in one file."""
    return write_certificate(tmp_path_factory.mktemp("tls") / "whole.pem", "127.0.0.1", "engine.example", days=9)


@pytest.fixture
def trusted(certificate: Path) -> dict[str, str]:
    """The environment of who trusts it."""
    return {**KEY, "SSL_CERT_FILE": str(certificate), "REQUESTS_CA_BUNDLE": str(certificate)}


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    """What a server with the certificate secures its connections with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@contextlib.contextmanager
def listening(answer: Answer) -> Iterator[str]:
    """Answers connections for a block; yields the host and port."""
    listener = TcpListener(answer, 0, name="answering").start()
    yield f"127.0.0.1:{listener.port}"
    listener.stop()


@pytest.fixture
def answer(context: ssl.SSLContext) -> Answer:
    """Answers a connection over TLS like an engine without agents."""

    def speak(sock: socket.socket) -> None:
        sock.settimeout(5)
        with sock, contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as secured:
            head = read_head(secured)
            upgrade = b"/ws/session" in head
            secured.sendall(upgrade_response(head) if upgrade else http_response(200, b'{"objects": []}'))

    return speak


def read_head(sock: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (piece := sock.recv(65536)):
            raise ConnectionError("it went away")
        head += piece
    return head


@pytest.fixture
def secure(answer: Answer) -> Iterator[str]:
    """The base URL of what answers over TLS."""
    with listening(answer) as host:
        yield f"https://{host}/v1"


def test_tls(cli: Cli, secure: str, trusted: dict[str, str]) -> None:
    found = findings(cli.run("doctor", "--base-url", secure, env=trusted).check())
    assert found["TLS"][1].startswith("TLSv1.3, certificate valid for 8 days")
    assert {found[name][0] for name in ORDER} == {"ok"}


def test_a_certificate_that_is_not_accepted(here: Here, secure: str) -> None:
    found = findings(here.run("doctor", "--base-url", secure, env=KEY))
    outcome, text = found["TLS"]
    assert outcome == "FAILED"
    assert "the certificate of 127.0.0.1 is not valid: self" in text
    assert "SSL_CERT_FILE" in text
    assert found["HTTP"] == ("skipped", SKIPPED)


def test_tls_where_plain_http_is_spoken(here: Here, local: LocalEngine) -> None:
    found = findings(here.run("doctor", "--base-url", local.base_url.replace("http:", "https:"), env=KEY))
    assert (found["TLS"][0], "speaks plain HTTP" in found["TLS"][1]) == ("FAILED", True)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_all_ways_trust_the_same_certificates(here: Here, secure: str, certificate: Path, name: str) -> None:
    others = dict.fromkeys(["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"], "")
    found = findings(here.run("doctor", "--base-url", secure, env={**KEY, **others, name: str(certificate)}))
    assert (found["TLS"][0], found["HTTP"][0], found["WebSocket"][0]) == ("ok", "ok", "ok")


# ---- proxies -------------------------------------------------------------------------------


@pytest.fixture
def proxy(answer: Answer) -> Iterator[str]:
    """The host and port of a proxy that wants a password, and behind which engine.example is."""

    def connect(sock: socket.socket) -> None:
        sock.settimeout(5)
        with sock, contextlib.suppress(OSError):
            head = read_head(sock)
            if b"CONNECT engine.example:443 " in head and b"Proxy-Authorization: Basic " in head:
                sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                answer(sock)
            else:
                sock.sendall(http_response(407))

    with listening(connect) as host:
        yield host


BEHIND = ["--base-url", "https://engine.example/v1"]


def test_through_a_proxy(here: Here, proxy: str, certificate: Path, trusted: dict[str, str]) -> None:
    result = here.run("doctor", *BEHIND, env={**trusted, "HTTPS_PROXY": f"http://user:pa55word@{proxy}"}).check()
    found = findings(result)
    assert list(found) == ["address", "CA bundle", *ORDER[1:5], "tunnel", *ORDER[5:]]
    assert found["CA bundle"][1] == f"{certificate}, from REQUESTS_CA_BUNDLE"
    assert found["proxy"][0] == "note"
    assert found["proxy"][1].startswith(f"{proxy}, from HTTPS_PROXY")
    assert found["tunnel"][1].startswith("the proxy connects to engine.example:443")
    assert "pa55word" not in result.stdout


@pytest.mark.parametrize(
    ("address", "name", "told"),
    [
        ("http://{proxy}", "tunnel", "wants other credentials (407)"),
        ("http://127.0.0.1:1", "connection", "Is this the right proxy?"),
        ("http://127.0.0.1:1", "connection", "It comes from HTTPS_PROXY"),
        ("socks5://user:pa55word@127.0.0.1:1", "proxy", "HTTPS_PROXY has to be a URL that begins with http://"),
        ("https://{proxy}", "proxy TLS", "where the server speaks plain HTTP"),
    ],
)
def test_a_proxy_that_does_not_help(here: Here, proxy: str, address: str, name: str, told: str) -> None:
    result = here.run("doctor", *BEHIND, env={**KEY, "HTTPS_PROXY": address.format(proxy=proxy)})
    found = findings(result)
    assert found[name][0] == "FAILED"
    assert told in found[name][1]
    assert found["HTTP"] == found["WebSocket"] == ("skipped", SKIPPED)
    assert "pa55word" not in result.stdout + result.stderr


def test_through_a_proxy_over_tls(here: Here, answer: Answer, context: ssl.SSLContext, trusted: dict[str, str]) -> None:
    def connect(sock: socket.socket) -> None:
        near, far = socket.socketpair()
        answering = threading.Thread(target=answer, args=(far,))
        with contextlib.suppress(OSError), near, context.wrap_socket(sock, server_side=True) as secured:
            head = read_head(secured)
            assert b"CONNECT engine.example:443 " in head
            secured.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            answering.start()
            secured.settimeout(0.01)
            near.settimeout(0.01)
            while True:
                for source, target in ((secured, near), (near, secured)):
                    with contextlib.suppress(TimeoutError, ssl.SSLWantReadError):
                        data = source.recv(65536)
                        if not data:
                            raise ConnectionError("it is over")
                        target.sendall(data)
        far.close()

    with listening(connect) as host:
        found = findings(here.run("doctor", *BEHIND, env={**trusted, "HTTPS_PROXY": f"https://{host}"}).check())
    assert found["proxy TLS"][1].startswith("TLSv1.3, certificate valid for 8 days")
    assert found["TLS"][1].startswith("TLSv1.3, certificate valid for 8 days")
    assert (found["HTTP"][0], found["WebSocket"][0]) == ("ok", "ok")


def test_sessions_elsewhere_have_a_way_of_their_own(here: Here, configured: dict[str, str]) -> None:
    result = here.run("doctor", env={**configured, "SESSIONLIB_WS_URL": "ws://127.0.0.1:1/v1"})
    lines = [line for line in result.stdout.splitlines() if "connection" in line]
    assert [line.split()[0] for line in lines] == ["ok", "FAILED"]
