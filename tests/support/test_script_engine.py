"""What would let a test pass that should fail: all else of the scriptable engine is tried by those that use it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import websocket

from sessionlib.protocol import frames

from .script_engine import Hook, ScriptEngine, http_response, text_frame
from .waiting import eventually
from .ws_bytes import CLOSE, PING


@contextmanager
def client(engine: ScriptEngine, **options: Any) -> Iterator[websocket.WebSocket]:
    ws = websocket.create_connection(engine.ws_url + "/ws/session", timeout=30, http_no_proxy=["*"], **options)
    try:
        yield ws
    finally:
        ws.abort()
        ws.shutdown()


def say(ws: websocket.WebSocket, frame: dict[str, Any]) -> None:
    ws.send(json.dumps(frame))


def hear(ws: websocket.WebSocket) -> dict[str, Any]:
    return json.loads(ws.recv())


def ask(ws: websocket.WebSocket, frame: dict[str, Any]) -> dict[str, Any]:
    say(ws, frame)
    return hear(ws)


def read_all(sock: socket.socket) -> int:
    """Reads to the end; gives the number of bytes."""
    return sum(len(data) for data in iter(lambda: sock.recv(1 << 20), b""))


def post_to_hook(hook: Hook, then: Callable[[ScriptEngine], Any]) -> None:
    """Posts a message to an engine with a hook, then does something with the engine."""
    with ScriptEngine() as engine, client(engine) as ws:
        engine.on("post_message", hook)
        say(ws, frames.post_message("s1", "hi"))
        then(engine)


class TestOrdinaryAnswers:
    def test_what_arrives_is_logged(self) -> None:
        with ScriptEngine() as engine:
            with client(engine, header=["Authorization: Bearer k"]) as ws:
                before = time.monotonic()
                ask(ws, frames.ping_session("s1"))
            with client(engine) as ws:
                ask(ws, frames.connect_session("s1"))
            assert engine.received == [frames.ping_session("s1"), frames.connect_session("s1")]
            assert [frame.connection for frame in engine.received] == [1, 2]
            assert before <= engine.received[0].at <= time.monotonic()
            assert engine.authorizations() == ["Bearer k", ""]
            assert engine.handshakes[0].startswith(b"GET /v1/ws/session HTTP/1.1\r\n")
            assert engine.bytes_received > len(b"".join(engine.handshakes))


class TestHooks:
    def test_a_failing_hook_fails_the_test_at_exit(self) -> None:
        with pytest.raises(ZeroDivisionError):
            post_to_hook(lambda conn, frame: 1 / 0, lambda engine: eventually(lambda: engine.errors))

    def test_a_failing_hook_ends_a_wait_at_once(self) -> None:
        began = time.monotonic()
        with pytest.raises(ZeroDivisionError):
            post_to_hook(lambda conn, frame: 1 / 0, lambda engine: engine.wait_for("get_messages", timeout=30))
        assert time.monotonic() - began < 10

    def test_a_failing_hook_does_not_mask_the_tests_own_failure(self, capsys: pytest.CaptureFixture[str]) -> None:
        def fail(engine: ScriptEngine) -> None:
            assert eventually(lambda: engine.errors)
            raise LookupError

        with pytest.raises(LookupError):
            post_to_hook(lambda conn, frame: 1 / 0, fail)
        assert "ZeroDivisionError" in capsys.readouterr().err

    def test_a_wait_in_a_hook_that_is_in_vain_fails(self) -> None:
        with pytest.raises(TimeoutError, match="no get_messages"):
            post_to_hook(
                lambda conn, frame: conn.wait_for("get_messages", timeout=0.05),
                lambda engine: eventually(lambda: engine.errors),
            )

    def test_exit_ends_hooks_that_wait_sleep_or_send(self) -> None:
        def flood(conn: Any, frame: Any) -> None:
            while True:
                conn.send_raw(bytes(1 << 20))

        began = time.monotonic()
        with ScriptEngine() as engine:
            engine.on("post_message", lambda conn, frame: conn.wait_for("never", timeout=60))
            engine.on("get_messages", lambda conn, frame: conn.sleep(60))
            engine.on("ping_session", flood)
            clients = []
            for frame in (frames.post_message("s1", "x"), frames.get_messages("s1"), frames.ping_session("s1")):
                clients.append(websocket.create_connection(engine.ws_url + "/ws/session", http_no_proxy=["*"]))
                say(clients[-1], frame)
            engine.wait_for("ping_session")
        for ws in clients:
            ws.shutdown()
        assert time.monotonic() - began < 30

    def test_waiting_off_the_runner_is_refused(self) -> None:
        with ScriptEngine() as engine, client(engine):
            conn = engine.wait_connected()
            with pytest.raises(RuntimeError, match=r"engine\.wait_for"):
                conn.wait_for("post_message")


class TestFromTheTest:
    def test_wait_for_gives_the_frames(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            for text in ("one", "two"):
                say(ws, frames.post_message("s1", text))
            assert [frame["content"] for frame in engine.wait_for("post_message", 2)] == ["one", "two"]
            with pytest.raises(TimeoutError, match="post_message on 1"):
                engine.wait_for("get_messages", timeout=0.01)
            with pytest.raises(TimeoutError, match="1 instead of 2"):
                engine.wait_connected(2, timeout=0.01)


class TestEndings:
    def test_fin_leaves_the_other_direction_open(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            engine.wait_connected().fin()
            assert ws.sock.recv(1) == b""
            say(ws, frames.post_message("s1", "still heard"))
            engine.wait_for("post_message")

    def test_reset_while_a_hook_is_stuck_sending(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            engine.on("post_message", lambda conn, frame: conn.send_raw(bytes(1 << 26)))
            say(ws, frames.post_message("s1", "x"))
            assert eventually(lambda: engine.latest.bytes_sent > 1 << 16)
            engine.latest.reset()
            with pytest.raises(ConnectionResetError):
                read_all(ws.sock)


class TestHandshake:
    def test_a_handshake_that_never_answers_ends_with_the_engine(self) -> None:
        with ScriptEngine() as engine:
            engine.handshake = lambda conn, head: conn.sleep(60)
            with pytest.raises((TimeoutError, websocket.WebSocketTimeoutException)):
                websocket.create_connection(engine.ws_url, timeout=0.1, http_no_proxy=["*"])

    def test_a_refusal_survives_a_body_that_is_still_coming(self) -> None:
        with ScriptEngine() as engine:
            engine.handshake = lambda conn, head: conn.send_raw(http_response(413))
            with socket.create_connection(("127.0.0.1", engine.port)) as sock:
                sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n" + bytes(3_000_000))
                time.sleep(0.05)
                sock.sendall(bytes(1_000_000))
                assert sock.recv(12) == b"HTTP/1.1 413"


class TestStrictness:
    @pytest.mark.parametrize(
        ("data", "complaint"),
        [
            (text_frame(b"{}"), "not masked"),
            (text_frame(b"{}", mask=True, rsv=4), "reserved bits"),
            (text_frame(b"x" * 126, mask=True, opcode=PING), "control frame"),
            (text_frame(b"", mask=True, opcode=3), "unknown opcode"),
            (text_frame(b"x", mask=True, opcode=0), "mixed up"),
            (text_frame(b"x", mask=True, length_form=64), "shortest form"),
            (text_frame(b"\xff", mask=True), "not JSON"),
            (text_frame(b"[]", mask=True), "no frame"),
            (text_frame(b"x", mask=True, opcode=CLOSE), "one byte"),
            (text_frame(b"\x03\xe8", mask=True, opcode=CLOSE) + text_frame(b"{}", mask=True), "after the close"),
        ],
        ids=lambda value: value if isinstance(value, str) else "frame",  # whose mask is random
    )
    def test_a_client_that_breaks_the_rules_fails_the_test(self, data: bytes, complaint: str) -> None:
        def misbehave() -> None:
            with ScriptEngine() as engine, client(engine) as ws:
                engine.wait_connected()
                ws.sock.sendall(data)
                assert eventually(lambda: engine.violations)

        with pytest.raises(AssertionError, match=complaint):
            misbehave()

    def test_unless_that_is_what_it_is_for(self) -> None:
        with ScriptEngine(strict=False) as engine, client(engine) as ws:
            engine.wait_connected()
            ws.sock.sendall(text_frame(b"{}"))
            engine.wait_idle()
            assert engine.violations == ["connection 1 broke RFC 6455: a frame is not masked"]

    def test_cut_bytes_are_no_violation(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            engine.wait_connected()
            ws.sock.sendall(text_frame(b"half", mask=True)[:-2])
            ws.sock.shutdown(socket.SHUT_WR)
            engine.wait_idle()


def test_exit_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    with ScriptEngine() as engine, client(engine):
        engine.wait_connected()
        assert len(set(threading.enumerate()) - before) == 3
    assert set(threading.enumerate()) <= before
