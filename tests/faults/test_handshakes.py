"""Handshakes that are refused, redirected, endless, or not quite in order."""

from __future__ import annotations

import base64
import email.utils
import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from sessionlib import (
    ApiError,
    AuthenticationError,
    Session,
    SessionConnectionError,
    SessionDisconnectedError,
    SessionProtocolError,
    SessionTimeoutError,
)
from sessionlib.errors import HandshakeError
from sessionlib.net.retry import is_transient
from tests.support.script_engine import Connection, ScriptEngine, accept_session, refuse
from tests.support.secrets import SENTINEL_KEY
from tests.support.servers import held_port
from tests.support.sessions import lose_link, make
from tests.support.waiting import SLACK, Stalls, eventually, within
from tests.support.ws_bytes import header, http_response

REDIRECTS = [301, 302, 303, 307, 308]
FINAL = [200, 204, 400, 401, 403, 404, 410, 422, *REDIRECTS]
PASSING = [408, 425, 429, 500, 502, 503, 504]


@pytest.mark.parametrize("status", FINAL)
def test_a_lost_link_that_is_refused_for_good(engine: ScriptEngine, status: int) -> None:
    with make(engine) as session:
        engine.handshake = refuse(status)
        engine.drop_all()
        with pytest.raises(SessionDisconnectedError) as caught, within(1):
            list(session.listen(timeout=30))
        assert isinstance(caught.value.__cause__, ApiError)
        assert caught.value.__cause__.status_code == status
        assert len(engine.handshakes) == 2


@pytest.mark.parametrize("status", PASSING)
def test_a_lost_link_that_is_refused_for_now(engine: ScriptEngine, status: int) -> None:
    with make(engine) as session:
        engine.handshake = refuse(status, times=2)
        engine.drop_all("RST")
        engine.wait_connected(2)
        assert session.get_messages(timeout=30) == []
        assert len(engine.handshakes) == 4


@pytest.mark.parametrize(
    ("value", "least"),
    [
        ("1", 1.0),
        (lambda: email.utils.formatdate(time.time() + 2, usegmt=True), 1.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
    ids=["seconds", "date", "negative", "garbage", "empty"],
)
def test_what_the_server_asks_to_wait_is_waited(
    engine: ScriptEngine, value: str | Callable[[], str], least: float
) -> None:
    times = []

    def answer(conn: Connection, head: bytes) -> bool:
        times.append(time.monotonic())
        if len(times) == 2:
            told = value if isinstance(value, str) else value()
            conn.send_raw(http_response(503, headers=[("Retry-After", told)]))
            return False
        return accept_session(conn, head)

    engine.handshake = answer
    with make(engine) as session, Stalls() as stalls:
        lose_link(engine, session)
    most = max(least, 2.0 if callable(value) else 0) * 1.2
    assert least <= times[2] - times[1] <= most + SLACK + stalls.seconds


def test_a_server_cannot_ask_for_a_thousand_years(engine: ScriptEngine) -> None:
    engine.handshake = refuse(429, headers=[("Retry-After", "1000000000")])
    with pytest.raises(ApiError) as caught:
        make(engine).connect(30)
    assert caught.value.retry_after == 60.0


def test_a_session_that_waits_for_a_minute_can_leave_at_once(engine: ScriptEngine) -> None:
    with make(engine) as session:
        engine.handshake = refuse(429, headers=[("Retry-After", "60")])
        engine.drop_all()
        assert eventually(lambda: len(engine.handshakes) == 2)
        with within(0.2):
            session.disconnect()


# ---- credentials ---------------------------------------------------------------------------


@pytest.fixture
def keys() -> Iterator[Callable[[], str]]:
    """Gives a different key each time it is asked."""
    numbers = itertools.count(1)
    return lambda: f"{SENTINEL_KEY}-{next(numbers)}"


def accept_only(key: str) -> Callable[[Connection, bytes], bool]:
    """A handshake that wants a certain key."""

    def answer(conn: Connection, head: bytes) -> bool:
        if f"Bearer {key}\r\n".encode() in head:
            return accept_session(conn, head)
        conn.send_raw(http_response(401))
        return False

    return answer


def test_a_callable_is_asked_for_the_key_once_more(engine: ScriptEngine, keys: Callable[[], str]) -> None:
    engine.handshake = accept_only(f"{SENTINEL_KEY}-2")
    with make(engine, api_key=keys):
        pass
    assert engine.authorizations() == [f"Bearer {SENTINEL_KEY}-1", f"Bearer {SENTINEL_KEY}-2"]


def test_a_callable_is_asked_once_more_only(engine: ScriptEngine, keys: Callable[[], str]) -> None:
    engine.handshake = refuse(401)
    with pytest.raises(AuthenticationError):
        make(engine, api_key=keys).connect(30)
    assert len(engine.handshakes) == 2


def test_a_callable_is_asked_anew_for_each_link(engine: ScriptEngine, keys: Callable[[], str]) -> None:
    with make(engine, api_key=keys) as session:
        lose_link(engine, session)
    assert engine.authorizations() == [f"Bearer {SENTINEL_KEY}-1", f"Bearer {SENTINEL_KEY}-2"]


def test_a_callable_that_goes_on_failing_ends_the_session_and_is_named(engine: ScriptEngine) -> None:
    answers = iter([SENTINEL_KEY])
    with make(engine, api_key=lambda: next(answers), reconnect_max_delay=0.02, reconnect_timeout=1.0) as session:
        engine.drop_all()
        with pytest.raises(SessionDisconnectedError, match="api_key callable raised StopIteration") as caught:
            list(session.listen(timeout=30))
        assert isinstance(caught.value.__cause__, SessionConnectionError)
        assert isinstance(caught.value.__cause__.__cause__, StopIteration)


# ---- redirects -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", REDIRECTS)
def test_no_redirect_is_followed(engine: ScriptEngine, status: int) -> None:
    with ScriptEngine() as other:
        elsewhere = f"http://127.0.0.1:{other.port}/v1/ws/session"
        for location in (elsewhere, f"{other.ws_url}/ws/session", f"{engine.ws_url}/ws/session", "/v1/ws/session"):
            engine.handshake = refuse(status, headers=[("Location", location)])
            with pytest.raises(HandshakeError) as caught:
                make(engine).connect(30)
            assert isinstance(caught.value, ApiError)
            assert caught.value.status_code == status
        assert other.handshakes == []
    assert len(engine.handshakes) == 4


# ---- endless, huge, slow -------------------------------------------------------------------


def endless(conn: Connection, head: bytes) -> bool:
    """Sends headers for as long as anybody reads them."""
    conn.send_raw(b"HTTP/1.1 101 Switching Protocols\r\n")
    while True:
        conn.send_raw(b"X-More: " + b"x" * 1000 + b"\r\n")


def one_line(conn: Connection, head: bytes) -> bool:
    """Sends one header of 8 MiB."""
    conn.send_raw(b"HTTP/1.1 101 Switching Protocols\r\nX-Long: " + b"x" * (8 << 20) + b"\r\n\r\n")
    return True


@pytest.mark.parametrize("answer", [endless, one_line])
def test_a_handshake_without_measure_is_refused(
    engine: ScriptEngine, answer: Callable[[Connection, bytes], bool]
) -> None:
    engine.handshake = answer
    used = time.thread_time()
    with pytest.raises(SessionProtocolError), within(1):
        make(engine).connect(30)
    assert time.thread_time() - used < 0.5


def test_the_body_of_a_refusal_is_not_waited_for(engine: ScriptEngine) -> None:
    def answer(conn: Connection, head: bytes) -> bool:
        conn.send_raw(b"HTTP/1.1 500 Oops\r\nContent-Length: 67108864\r\n\r\n" + b"x" * 65536)
        conn.sleep(3)
        return False

    engine.handshake = answer
    with pytest.raises(ApiError) as caught, within(0.5):
        make(engine).connect(30)
    assert len(str(caught.value)) < 300


def test_a_handshake_that_drips_takes_no_longer_than_it_may(engine: ScriptEngine) -> None:
    def answer(conn: Connection, head: bytes) -> bool:
        for byte in b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n":
            conn.send_raw(bytes([byte]))
            conn.sleep(0.05)
        return False

    engine.handshake = answer
    with pytest.raises(SessionTimeoutError), within(0.5):
        make(engine).connect(0.5)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 1O1 Nearly\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
    ],
    ids=["ssh", "odd status", "no headers", "wrong accept"],
)
def test_what_is_no_handshake_is_refused_for_good(engine: ScriptEngine, answer: bytes) -> None:
    engine.handshake = lambda conn, head: conn.send_raw(answer)
    with pytest.raises(SessionProtocolError) as caught, within(1):
        make(engine).connect(30)
    assert not is_transient(caught.value)


def test_each_handshake_has_a_key_of_its_own(engine: ScriptEngine) -> None:
    with make(engine), make(engine):
        pass
    keys = [header(head, "Sec-WebSocket-Key") for head in engine.handshakes]
    assert len(set(keys)) == 2
    assert all(len(base64.b64decode(key, validate=True)) == 16 for key in keys)


def test_cookies_of_one_session_are_not_sent_by_another(engine: ScriptEngine) -> None:
    engine.handshake = lambda conn, head: conn.accept([("Set-Cookie", "id=1; Domain=127.0.0.1")])
    with make(engine), make(engine):
        pass
    assert not any(b"cookie" in head.lower() for head in engine.handshakes)


# ---- somebody else decides -----------------------------------------------------------------


def test_nobody_there_is_told_at_once() -> None:
    with held_port() as port, pytest.raises(SessionConnectionError), within(0.5):
        Session(session_id="s1", api_key=SENTINEL_KEY, ws_url=f"ws://127.0.0.1:{port}/v1").connect(30)
