"""The pool against servers, proxies and names that misbehave."""

import gzip
import pickle
import resource
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from sessionlib.client import Client
from sessionlib.errors import ApiConnectionError, ApiError, ApiTimeoutError, ConfigurationError, InternalServerError
from sessionlib.rest import pool
from tests.support.http_server import KEY, Handler, Reply, Server, raw
from tests.support.leaks import allow_threads
from tests.support.processes import run_script
from tests.support.secrets import assert_keeps_secret
from tests.support.secured import write_certificate
from tests.support.servers import full_backlog, held_port
from tests.support.threads import in_threads
from tests.support.waiting import eventually, within


def reset(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def times_out(url: str, timeout: float = 0.5, match: str | None = None, slack: float = 0.0, **call: Any) -> None:
    """Makes a call that gets no answer in its time."""
    failed = pytest.raises(ApiTimeoutError, match=match)
    with Client(KEY, url, timeout=timeout) as client, within(timeout + slack), failed as caught:
        client.request("POST" if call else "GET", "/agent", **call)
    assert_keeps_secret(caught.value)


def failure_of(url: str, match: str | None = None, **options: Any) -> ApiConnectionError:
    """The error of a call that gets no answer."""
    with Client(KEY, url, **{"max_retries": 0, **options}) as client:  # noqa: SIM117 - too long in one line
        with pytest.raises(ApiConnectionError, match=match) as caught:
            client.request("GET", "/agent")
    assert_keeps_secret(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).request_info == {"method": "GET", "endpoint": "/agent"}
    return caught.value


# ---- deadlines ---------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\n"
NOTHING, CHUNKED = raw(b"", pause=10), HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def dripping(piece: bytes, head: bytes = b"") -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.wfile.write(HEAD + head)
        raw(piece, pause=0.05, forever=True)(handler)

    return answer


DRIPS = {
    "nothing at all": NOTHING,
    "the status line": raw(*(bytes([byte]) for byte in HEAD), pause=0.05),
    "headers": dripping(b"X-Drip: 1\r\n"),
    "the body": dripping(b" ", b"Content-Length: 100000\r\n\r\n"),
    "chunks": dripping(b"1\r\n \r\n", b"Transfer-Encoding: chunked\r\n\r\n"),
    "a body without end": dripping(b" ", b"Connection: close\r\n\r\n"),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_a_deadline_holds_for_the_whole_call(server: Server, drip: str) -> None:
    server.answer(DRIPS[drip])
    began = time.monotonic()
    times_out(server.url, 0.6, r"did not answer within 0\.6 s")
    assert time.monotonic() - began >= 0.6


def test_a_timeout_of_one_call(server: Server, client: Client) -> None:
    server.answer(NOTHING, Reply(body={"ok": 1}))
    with within(0.3), pytest.raises(ApiTimeoutError):
        client.request("POST", "/agent", timeout=0.3)
    assert client.request("POST", "/agent") == {"ok": 1}


def test_no_timeout(server: Server) -> None:
    server.answer(raw(HEAD + b"Content-Length: 2\r\n\r\n{", b"}", pause=0.1))
    with Client(KEY, server.url, timeout=None) as client:
        assert client.request("GET", "/agent") == {}


def test_a_deadline_covers_retries_and_waits(server: Server) -> None:
    server.answer(Reply(503, headers={"Retry-After": "0.5"}))
    with (
        Client(KEY, server.url, timeout=2.0, max_retries=100) as client,
        within(2.0),
        pytest.raises((InternalServerError, ApiTimeoutError)),
    ):
        client.request("POST", "/agent")
    assert 2 <= len(server.seen) <= 4


def test_a_peer_that_does_not_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        times_out(f"http://127.0.0.1:{deaf.getsockname()[1]}", json={"text": "x" * 30_000_000})


def test_an_address_that_swallows_packets() -> None:
    # With the queue full, Linux drops what else wants to connect.
    with full_backlog("127.0.0.1") as port:
        times_out(f"http://127.0.0.1:{port}")


def test_a_name_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_threads("sessionlib-resolve-slow.example")
    release = threading.Event()

    def hang(*args: object, flags: int = 0, **options: object) -> list[object]:
        return _no_name() if flags else [] * release.wait(30)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    times_out("https://slow.example", 0.4, r"slow\.example did not answer")
    release.set()


def test_a_name_that_is_none() -> None:
    failure_of("https://no-such-host.invalid", r"no-such-host\.invalid could not be resolved")


def test_the_second_address_is_tried(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with held_port() as dead:
        ports = (dead, server.server_port)
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: addresses)
        with Client(KEY, "http://two.example/v1", timeout=30, allow_insecure=True) as client:
            assert client.request("GET", "/agent") == {}


# ---- connections that fail ---------------------------------------------------------------------


def test_a_refused_connection() -> None:
    with held_port() as port:
        error = failure_of(f"http://127.0.0.1:{port}", rf"127\.0\.0\.1:{port} refused the connection")
    assert isinstance(error.__cause__, ConnectionRefusedError)


BROKEN = {
    "cut before the answer": raw(),
    "reset before the answer": reset,
    "cut in the headers": raw(HEAD + b"Content-"),
    "cut in the body": raw(HEAD + b"Content-Length: 10\r\n\r\n{"),
    "cut in a chunk": raw(CHUNKED + b"8\r\n{"),
    "not HTTP": raw(b"SSH-2.0-OpenSSH_9.6 secret banner\r\n"),
    "a line too long": raw(HEAD + b"X: " + b"x" * 70_000),
    "too many headers": raw(HEAD + b"X: 1\r\n" * 200 + b"\r\n"),
    "a chunk size that is none": raw(CHUNKED + b"zz\r\n{}"),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_broken_answer(server: Server, broken: str, method: str) -> None:
    server.answer(BROKEN[broken], Reply(body={"ok": True}))
    with Client(KEY, server.url, timeout=30) as client:
        if method == "GET":
            assert client.request("GET", "/agent") == {"ok": True}
            return
        with pytest.raises(ApiConnectionError, match="POST /agent") as caught:
            client.request("POST", "/agent", json={})
    assert len(server.seen) == 1
    assert "secret" not in str(caught.value)
    assert_keeps_secret(caught.value)


def test_a_kept_connection_that_the_server_closed(server: Server, client: Client) -> None:
    server.answer(lambda handler: (Reply()(handler), setattr(handler, "close_connection", True))[0])  # type: ignore[func-returns-value]
    client.request("POST", "/agent")
    assert eventually(lambda: server.closed == 1)
    time.sleep(0.1)  # until the client's side of it knows as well
    client.request("POST", "/agent")
    assert server.connections == 2


def test_ctrl_c_interrupts_a_call_at_once(server: Server) -> None:
    server.answer(Reply(), NOTHING)
    program = """
        import os, signal, sys, threading, time
        from sessionlib.client import Client
        client = Client("k", sys.argv[1])
        client.request("GET", "/agent")  # which loads all that it takes
        began = time.monotonic()
        try:
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            client.request("GET", "/agent")
        except KeyboardInterrupt:
            print(time.monotonic() - began < 8)
    """
    done = run_script(program, server.url, timeout=100.0)
    assert (done.stdout, done.stderr) == ("True\n", "")


# ---- bodies ------------------------------------------------------------------------------------


def _endless(size: int, head: bytes = HEAD) -> Callable[[Handler], None]:
    return raw(head + b"Connection: close\r\n\r\n", *[b" " * 65536] * (size // 65536))


def test_a_body_that_is_announced_too_large(server: Server, client: Client) -> None:
    server.answer(_endless(10**9, HEAD + b"Content-Length: 1000000000\r\n"))
    with pytest.raises(ApiConnectionError, match="is larger than 33554432 bytes"):
        client.request("GET", "/agent")
    assert len(server.seen) == 1


def test_a_body_that_turns_out_too_large(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MAX_BODY", 2**20)
    server.answer(_endless(10**8))
    with Client(KEY, server.url) as client, pytest.raises(ApiConnectionError, match="is larger than 1048576 bytes"):
        client.request("GET", "/agent")


BOMB = gzip.compress(b" " * 100_000_000)


@pytest.mark.parametrize("status", [200, 302, 500])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "x-gzip", "br"])
def test_a_packed_body_is_not_unpacked(server: Server, status: int, encoding: str) -> None:
    server.answer(Reply(status, BOMB, {"Content-Encoding": encoding, "Location": "/v2"}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Client(KEY, server.url, max_retries=0) as client:
        expected = pytest.raises(ApiConnectionError, match="packed") if status == 200 else pytest.raises(ApiError)
        with expected:
            client.request("GET", "/agent")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before <= 8 * 1024


def test_the_body_of_an_error_is_read_in_part(server: Server, client: Client) -> None:
    server.answer(Reply(400, b'{"error": "' + b"x" * 10**7 + b'"}'))
    with pytest.raises(ApiError) as caught:
        client.request("POST", "/agent")
    assert caught.value.error_message == ""


def test_an_error_whose_body_does_not_come(server: Server) -> None:
    server.answer(raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n{"))
    with Client(KEY, server.url, timeout=30) as client, pytest.raises(ApiError) as caught:
        client.request("GET", "/agent")
    assert caught.value.status_code == 404


# ---- redirects ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("target", ["elsewhere", "the same server", "a loop"])
def test_no_redirect_is_followed(
    server: Server, other_server: Server, client: Client, status: int, method: str, target: str
) -> None:
    location = {"elsewhere": other_server.url, "the same server": f"{server.url}/other", "a loop": "agent"}[target]
    server.answer(Reply(status, {"error": "moved"}, {"Location": location}))
    with pytest.raises(ApiError, match="redirects are not followed") as caught:
        client.request(method, "/agent")
    assert caught.value.status_code == status
    assert len(server.seen) == 1
    assert other_server.connections == 0


def test_a_redirect_with_a_large_body_is_not_read(server: Server, client: Client) -> None:
    server.answer(_endless(10**8, b"HTTP/1.1 302 Found\r\nLocation: /v2\r\n"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ApiError):
        client.request("GET", "/agent")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before <= 8 * 1024


# ---- the environment ---------------------------------------------------------------------------


def test_a_netrc_is_not_used(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    client.request("GET", "/agent")
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"


PROXY_VARIABLES = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_proxy_of_the_environment_for_this_machine(
    server: Server, other_server: Server, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.setenv(name, other_server.origin)
    with Client(KEY, server.url.replace("127.0.0.1", host)) as client:
        client.request("GET", "/agent")
    assert len(server.seen) == 1
    assert other_server.connections == 0


def test_a_proxy_of_the_environment_for_other_machines(other_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", other_server.origin)
    other_server.answer(Reply(body={"via": "proxy"}))
    with Client(KEY, "http://engine.example/v1", allow_insecure=True) as client:
        assert client.request("GET", "/agent") == {"via": "proxy"}
        monkeypatch.setenv("no_proxy", "engine.example")
        monkeypatch.setattr(socket, "getaddrinfo", _no_name)
        with pytest.raises(ApiConnectionError, match="could not be resolved"):
            client.request("POST", "/agent")
    assert len(other_server.seen) == 1


def _no_name(*args: object, **options: object) -> NoReturn:
    raise socket.gaierror(socket.EAI_NONAME, "no name")


def test_a_proxy_that_was_asked_for(server: Server, other_server: Server) -> None:
    other_server.answer(Reply(body={"via": "proxy"}))
    proxy = other_server.origin.replace("//", "//user:pa55@")
    with Client(KEY, server.url, proxy=proxy) as client:
        assert client.request("GET", "/agent") == {"via": "proxy"}
    assert server.connections == 0
    assert other_server.seen[0].headers["proxy-authorization"].startswith("Basic ")


@pytest.mark.parametrize(("status", "tries"), [(407, 1), (403, 1), (502, 2)])
def test_a_proxy_that_refuses(other_server: Server, status: int, tries: int) -> None:
    other_server.answer(Reply(status, {"error": "no"}))
    proxy = other_server.origin.replace("//", "//user:pa55@")
    refused = f"the proxy refused .* with {status}"
    error = failure_of("https://engine.example", refused, proxy=proxy, max_retries=1)
    assert [seen.method for seen in other_server.seen] == ["CONNECT"] * tries
    assert all("authorization" not in seen.headers for seen in other_server.seen)
    assert_keeps_secret(error, "pa55")


@pytest.mark.parametrize(
    ("variable", "proxy"),
    [("all_proxy", "socks5://127.0.0.1:9"), ("https_proxy", "::pa55::"), ("https_proxy", "http://")],
)
def test_a_proxy_of_the_environment_that_cannot_be_one(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str
) -> None:
    monkeypatch.setenv(variable, proxy)
    wrong = pytest.raises(ConfigurationError, match=f"^{variable} has to be a URL")
    with Client(KEY, "https://engine.example") as client, wrong as caught:
        client.request("GET", "/agents")
    assert_keeps_secret(caught.value, "pa55")


@pytest.mark.parametrize("host", ["*", ".example", "a..b", "x" * 70])
def test_a_host_that_cannot_be_one(host: str) -> None:
    failure_of(f"https://{host}", "base_url")


def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with held_port() as port:
        monkeypatch.setenv("https_proxy", f"http://user:pa55@127.0.0.1:{port}")
        assert_keeps_secret(failure_of("https://engine.example"), "pa55")


# ---- TLS ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, in one file."""
    return write_certificate(tmp_path_factory.mktemp("tls") / "whole.pem", "127.0.0.1")


def _context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[Server]:
    running = Server(_context(certificate))
    yield running
    running.stop()


def test_tls(tls_server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with Client(KEY, tls_server.url.replace("http:", "https:")) as client:
        assert client.request("POST", "/agent", json={"text": "x" * 1_000_000}) == {}
        assert client.request("GET", "/agent") == {}
    assert tls_server.connections == 1


def test_a_certificate_that_nobody_vouches_for(tls_server: Server) -> None:
    failure_of(tls_server.url.replace("http:", "https:"), r"self.signed certificate", max_retries=2)
    assert tls_server.seen == []
    assert tls_server.connections == 1


def test_tls_where_none_is_spoken(server: Server) -> None:
    failure_of(server.url.replace("http:", "https:"), "no TLS connection", timeout=3, max_retries=2)
    assert server.connections == 1


def test_a_handshake_that_is_cut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def cut() -> None:
            for _ in range(2):
                listener.accept()[0].close()

        with in_threads(cut):
            failure_of(f"https://127.0.0.1:{listener.getsockname()[1]}", "closed the connection", max_retries=1)


def test_a_handshake_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        times_out(f"https://127.0.0.1:{silent.getsockname()[1]}")


def test_a_peer_that_reads_tls_slowly(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    done = threading.Event()

    def read_slowly() -> None:
        with _context(certificate).wrap_socket(listener.accept()[0], server_side=True) as peer:
            while not done.wait(0.05) and peer.recv(16384):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener, in_threads(read_slowly):
        times_out(f"https://127.0.0.1:{listener.getsockname()[1]}", 1.0, slack=1.0, json={"text": "x" * 30_000_000})
        done.set()


def test_a_bundle_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem")
    with Client(KEY, "https://127.0.0.1:9") as client, pytest.raises(ConfigurationError, match="certificate bundle"):
        client.request("GET", "/agent")


# ---- streams -----------------------------------------------------------------------------------


def _stream(*pieces: bytes, pause: float = 0.0) -> Callable[[Handler], None]:
    chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    return raw(CHUNKED, *chunks, b"0\r\n\r\n", pause=pause)


def test_lines_come_as_they_are_sent(server: Server, client: Client) -> None:
    pieces, taken = [b"data: a\r\n\r\nda", b"ta: b\n", b"\n\ndata: c"], threading.Semaphore()

    def answer(handler: Handler) -> None:
        handler.wfile.write(CHUNKED)
        for piece in pieces:
            assert taken.acquire(timeout=30)  # no piece before the line in the one before was taken
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n")

    server.answer(answer)
    lines = []
    for line in client.stream("POST", "/chatbot/c/run", json={"stream": True}):
        lines.append(line)
        taken.release()
    assert lines == [b"data: a", b"data: b", b"data: c"]


def test_a_stream_may_outlast_its_timeout_but_not_stall(server: Server) -> None:
    server.answer(_stream(*(b"line %d\n" % number for number in range(6)), pause=0.35))
    with Client(KEY, server.url, timeout=2.5) as client:
        assert len(list(client.stream("GET", "/x"))) == 6
        client.close()
        server.answer(raw(CHUNKED + b"4\r\none\n\r\n", pause=10))
        lines = client.stream("GET", "/x")
        assert next(lines) == b"one"
        with pytest.raises(ApiTimeoutError):
            next(lines)
        with pytest.raises(StopIteration):
            next(lines)


def test_a_stream_that_is_cut(server: Server, client: Client) -> None:
    server.answer(raw(CHUNKED + b"4\r\none\n\r\n4\r\nt"))
    lines = client.stream("GET", "/x")
    assert next(lines) == b"one"
    with pytest.raises(ApiConnectionError) as caught:
        list(lines)
    assert_keeps_secret(caught.value)
    assert_keeps_secret(repr(lines))


def test_a_stream_that_is_left(server: Server, client: Client) -> None:
    server.answer(_stream(*(b"line\n" for _ in range(100)), pause=0.05))
    with client.stream("GET", "/x") as lines:
        next(lines)
    assert repr(lines) == "<Lines of GET /x, closed>"
    assert list(lines) == []
    forgotten = client.stream("GET", "/x")
    next(forgotten)
    del forgotten


def test_a_stream_that_is_refused(server: Server, client: Client) -> None:
    server.answer(Reply(404, {"error": "gone"}))
    with pytest.raises(ApiError, match="gone"):
        client.stream("POST", "/x")


def test_a_stream_with_an_endless_line(server: Server, client: Client) -> None:
    server.answer(_endless(10**8))
    with pytest.raises(ApiConnectionError, match="has a line of more than 4194304 bytes"):
        list(client.stream("GET", "/x"))
