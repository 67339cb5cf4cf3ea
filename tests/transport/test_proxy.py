"""Which proxy a URL names, and what is made of a proxy's answer; sessions through one are in `tests.faults`."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionConnectionError, SessionTimeoutError
from sessionlib.transport.proxy import Proxy, choose_proxy, parse_proxy
from tests.support.threads import in_threads
from tests.support.waiting import eventually


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://h", Proxy("h", 80)),
        ("h", Proxy("h", 80)),
        ("h:3128", Proxy("h", 3128)),
        ("https://h", Proxy("h", 443, secure=True)),
        ("https://h:3128", Proxy("h", 3128, secure=True)),
        ("http://u:p%40s@h", Proxy("h", 80, "Basic dTpwQHM=")),
        ("http://u@h", Proxy("h", 80, "Basic dTo=")),
        ("http://[::1]:3128", Proxy("::1", 3128)),
    ],
)
def test_what_a_url_names(url: str, proxy: Proxy) -> None:
    assert parse_proxy(url) == proxy
    assert choose_proxy(url, urlsplit("wss://engine.example/v1")) == proxy
    assert choose_proxy(url, urlsplit("ws://127.0.0.1:8000/v1")) is None


@pytest.mark.parametrize(
    ("name", "value", "chosen"),
    [
        *((name, "http://p:1", "p:1") for name in ("https_proxy", "wss_proxy", "all_proxy")),
        ("https_proxy", "p:1", "p:1"),
        ("http_proxy", "http://p:1", None),
    ],
)
def test_which_variable_is_for_which_url(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, chosen: str | None
) -> None:
    url = urlsplit("wss://e.example/v1")
    monkeypatch.setenv(name, value)
    found = choose_proxy(None, url)
    assert (None if found is None else str(found)) == chosen
    assert choose_proxy("", url) is None
    monkeypatch.setenv("no_proxy", "example")
    assert choose_proxy(None, url) is None


def tunnelled(answer: bytes, timeout: float = 5.0, proxy: Proxy | None = None, host: str = "h") -> tuple[bytes, bytes]:
    """Asks a proxy for a tunnel; returns the request, and what came behind the answer."""
    near, far = socket.socketpair()
    with near, far:
        far.sendall(answer)
        (proxy or Proxy("p", 80)).tunnel(near, host, 443, Deadline(timeout))
        return far.recv(10_000), near.recv(100)


@pytest.mark.parametrize(
    ("proxy", "host", "target", "credentials"),
    [
        (Proxy("p", 80), "h", "h:443", False),
        (Proxy("p", 80, "Basic x"), "h", "h:443", True),
        (Proxy("p", 80), "::1", "[::1]:443", False),
    ],
)
@pytest.mark.parametrize("status", ["200 Connected", "200", "299 x"])
def test_a_tunnel_leaves_what_is_behind_the_answer(
    proxy: Proxy, host: str, target: str, credentials: bool, status: str
) -> None:
    request, rest = tunnelled(f"HTTP/1.1 {status}\r\nVia: p\r\n\r\nmore".encode(), proxy=proxy, host=host)
    assert request.startswith(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: ".encode())
    assert request.endswith(b"\r\n\r\n")
    assert request.count(b"\r\nProxy-Authorization: Basic x\r\n") == credentials
    assert rest == b"more"


@pytest.mark.parametrize(
    ("answer", "message", "transient"),
    [
        ("HTTP/1.1 407 x", "other credentials", False),
        *((f"HTTP/1.1 {code} x", f"refused the connection with {code}", code == 503) for code in (403, 503, 300, 199)),
        *(
            (line, "did not answer in HTTP", False)
            for line in ("HTTP/2 200 x", "HTTP/1.1 2x0 x", "HTTP/1.1 OK", "SSH-2.0")
        ),
        ("HTTP/1.1 200 x\r\n" + "x" * 66_000, "too long", False),
    ],
)
def test_an_answer_that_is_no_tunnel(answer: str, message: str, transient: bool) -> None:
    with pytest.raises(SessionConnectionError, match=message) as raised:
        tunnelled(f"{answer}\r\n\r\n".encode())
    assert raised.value.transient is transient


def test_a_proxy_that_does_not_answer_or_leaves() -> None:
    with pytest.raises(SessionTimeoutError, match="p:80 did not connect within 0"):
        tunnelled(b"HTTP/1.1 ", timeout=0.01)
    near, far = socket.socketpair()
    with near:
        far.close()
        with pytest.raises(SessionConnectionError, match=r"broke|closed"):
            Proxy("p", 80).tunnel(near, "h", 443, Deadline(5))


def test_an_answer_is_waited_for_in_parts() -> None:
    near, far = socket.socketpair()
    with near, far, in_threads(lambda: Proxy("p", 80).tunnel(near, "h", 443, Deadline(30))):
        assert eventually(lambda: far.recv(10_000, socket.MSG_PEEK).endswith(b"\r\n\r\n"))
        for part in (b"HTTP/1.1 200", b" x\r\n", b"\r\n"):
            far.sendall(part)
