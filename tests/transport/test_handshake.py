"""The opening handshake: what it costs, what it asks for, and which responses it takes."""

from __future__ import annotations

import base64
import hashlib
import socket
import sys
from types import FrameType
from urllib.parse import urlsplit

import pytest

from sessionlib._util.timing import Deadline
from sessionlib._version import USER_AGENT
from sessionlib.errors import HandshakeError, SessionProtocolError
from sessionlib.net.connect import CancelToken
from sessionlib.net.retry import is_transient
from sessionlib.transport.handshake import _GUID, shake_hands
from sessionlib.transport.stream import wrap
from sessionlib.transport.websocket import open_websocket
from tests.support.script_engine import ScriptEngine

# Measured: 112, of which 30 are urllib's and ipaddress's. Read byte by byte by websocket-client it took 650.
MOST_CALLS = 130


def test_a_connection_is_opened_in_few_calls() -> None:
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    with ScriptEngine() as engine:
        for _ in range(2):  # the first one loads what is loaded when it is needed
            calls = 0
            sys.setprofile(count)
            try:
                transport = open_websocket(
                    f"{engine.ws_url}/ws/session", "key", Deadline(5), CancelToken(), max_message_size=1000
                )
            finally:
                sys.setprofile(None)
            transport.close()
            transport.release()
    assert calls <= MOST_CALLS


NONCE = b"0123456789abcdef"
ACCEPT = base64.b64encode(hashlib.sha1(base64.b64encode(NONCE) + _GUID).digest()).decode()
START = "HTTP/1.1 101 Switching Protocols"
FIELDS = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {ACCEPT}")
INTERIM = "HTTP/1.1 100 Continue\r\n\r\n"


def head(*lines: str) -> str:
    return "\r\n".join([*lines, "", ""])


def shaken(response: str, url: str = "ws://h/p", **headers: str) -> tuple[bytes, bytes]:
    """Reads a response; returns the request, and what was left behind the response."""
    near, far = socket.socketpair()
    with far:
        stream = wrap(near)
        near.setblocking(False)
        far.sendall(response.encode("latin-1"))
        try:
            shake_hands(stream, urlsplit(url), "key", Deadline(5), headers)
            return far.recv(10_000), bytes(stream.take(100))
        finally:
            stream.shutdown()
            stream.close()


@pytest.fixture
def nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the server's answer to the key of the request known beforehand."""
    monkeypatch.setattr("sessionlib.transport.handshake.os.urandom", lambda size: NONCE)


@pytest.mark.usefixtures("nonce")
@pytest.mark.parametrize(
    "response",
    [
        head(START, *FIELDS),
        head("HTTP/1.0 101", *FIELDS),
        head("HTTP/1.1 101 ", *FIELDS),
        head(START, *(line.lower().replace(ACCEPT.lower(), ACCEPT) for line in FIELDS)),
        head(START, "Upgrade: h2c, WebSocket", "Connection: keep-alive", "Connection: upgrade", FIELDS[2]),
        head(START, *reversed(FIELDS)),
        head(START, "UPGRADE: WEBSOCKET", "CONNECTION: UPGRADE", FIELDS[2]),
        head(START, "Upgrade:websocket", "Connection:close,Upgrade", FIELDS[2]),
        head(START, "Upgrade:\twebsocket", "Connection:\tclose,\tUpgrade", FIELDS[2], "Sec-WebSocket-Extensions:"),
        head(START, "Via: 1.1 x", *FIELDS, "X-Colon: a:b"),
        head(START, *FIELDS, "Sec-WebSocket-Protocol: ", "X:"),
        head(START, *FIELDS, *[f"X: {number}" for number in range(124)]),
        head(START, *FIELDS, "X: " + "x" * 8189),
        INTERIM + head("HTTP/1.1 199 x", "X: y") + head(START, *FIELDS),
        INTERIM * 7 + head(START, *FIELDS),
    ],
)
def test_a_response_that_opens_a_websocket(response: str) -> None:
    _, rest = shaken(response + "\x81\x00")
    assert rest == b"\x81\x00"


NOT_HTTP, NO_HANDSHAKE = "did not answer in HTTP", "is not a WebSocket handshake"
CHOSE, ILLEGAL = "chose an extension", "illegal header line"
NONE = {
    "\r\n\r\n": NOT_HTTP,
    **{head(start, *FIELDS): NOT_HTTP for start in ("HTTP/2 101", "HTTP/1.1 1010", "HTTP/1.1 10x")},
    **{head(START, *FIELDS[:at], *FIELDS[at + 1 :]): NO_HANDSHAKE for at in range(3)},
    head(START, *FIELDS, FIELDS[2]): NO_HANDSHAKE,
    head(START, "Upgrade: h2c", *FIELDS[1:]): NO_HANDSHAKE,
    head(START, FIELDS[0], "Connection: close", FIELDS[2]): NO_HANDSHAKE,
    **{head(START, *FIELDS, f"Sec-WebSocket-{name}: x"): CHOSE for name in ("Extensions", "Protocol")},
    **{head(START, *FIELDS, line): ILLEGAL for line in ("X", ": x", " folded: yes", "X : y")},
    head(START, *FIELDS, *[f"X: {number}" for number in range(125)]): "too many",
    head(START, *FIELDS, "X: " + "x" * 8190): "too long header lines",
    "HTTP/1.1 101 " + "x" * 66_000: "longer than 65536 bytes",
    INTERIM * 8 + head(START, *FIELDS): 100,
    head("HTTP/1.1 099 x", *FIELDS): 99,
    head("HTTP/1.1 200 OK", *FIELDS): 200,
}


@pytest.mark.usefixtures("nonce")
@pytest.mark.parametrize(("response", "why"), NONE.items())
def test_a_response_that_opens_none(response: str, why: str | int) -> None:
    error = HandshakeError if isinstance(why, int) else SessionProtocolError
    with pytest.raises(error, match=str(why)) as raised:
        shaken(response)
    assert not is_transient(raised.value)


def test_what_a_server_asks_to_wait_is_kept() -> None:
    with pytest.raises(HandshakeError) as raised:
        shaken(head("HTTP/1.1 503 Busy", "Retry-After: 7"))
    assert raised.value.retry_after == 7


@pytest.mark.usefixtures("nonce")
@pytest.mark.parametrize(
    ("url", "target", "host"),
    [
        ("ws://h/p", "/p", "h"),
        ("ws://h", "/", "h"),
        ("ws://h:80/p?q=1", "/p?q=1", "h"),
        ("ws://h:443/p", "/p", "h:443"),
        ("wss://h:443/p", "/p", "h"),
        ("wss://[::1]:8443/p", "/p", "[::1]:8443"),
        ("wss://[::1]/p", "/p", "[::1]"),
    ],
)
def test_what_the_request_asks_for(url: str, target: str, host: str) -> None:
    request, _ = shaken(head(START, *FIELDS) + "\x81\x00", url, **{"X-More": "1"})
    first, *lines = request.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert len(lines) == 8
    assert first == f"GET {target} HTTP/1.1"
    assert dict(line.split(": ", 1) for line in lines) == {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(NONCE).decode(),
        "Sec-WebSocket-Version": "13",
        "Authorization": "Bearer key",
        "User-Agent": USER_AGENT,
        "X-More": "1",
    }
