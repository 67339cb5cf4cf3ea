"""What would let a test pass that should fail: all else of the scriptable engine is tried by those that use it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import websocket

from sessionlib.protocol import frames

from .script_engine import Hook, ScriptEngine
from .waiting import eventually
from .ws_bytes import CLOSE, PING, text_frame


@contextmanager
def client(engine: ScriptEngine, *said: dict[str, Any]) -> Iterator[websocket.WebSocket]:
    """Connects to an engine, and says something."""
    ws = websocket.create_connection(engine.ws_url + "/ws/session", timeout=30, http_no_proxy=["*"])
    try:
        engine.wait_connected()
        for frame in said:
            ws.send(json.dumps(frame))
        yield ws
    finally:
        ws.abort()
        ws.shutdown()


def post_to_hook(hook: Hook, then: Callable[[ScriptEngine], Any]) -> None:
    """Posts a message to an engine with a hook, then does something with the engine."""
    with ScriptEngine() as engine:
        engine.on("post_message", hook)
        with client(engine, frames.post_message("s1", "hi")):
            then(engine)


class TestHooks:
    @pytest.mark.parametrize(
        ("hook", "error", "message"),
        [
            (lambda conn, frame: 1 / 0, ZeroDivisionError, "division by zero"),
            (lambda conn, frame: conn.wait_for("get_messages", timeout=0.05), TimeoutError, "no get_messages"),
        ],
        ids=["one that fails", "one that waits in vain"],
    )
    def test_a_failing_hook_fails_the_test_at_exit(self, hook: Hook, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            post_to_hook(hook, lambda engine: eventually(lambda: engine.errors))

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

    def test_exit_ends_hooks_that_wait_sleep_or_send(self) -> None:
        def flood(conn: Any, frame: Any) -> None:
            while True:
                conn.send_raw(bytes(1 << 20))

        began = time.monotonic()
        hooks = {
            "post_message": lambda conn, frame: conn.wait_for("never", timeout=60),
            "get_messages": lambda conn, frame: conn.sleep(60),
            "ping_session": flood,
        }
        with ExitStack() as clients, ScriptEngine() as engine:
            for name, hook in hooks.items():
                engine.on(name, hook)
                clients.enter_context(client(engine, {"type": name}))
                engine.wait_for(name)
        assert time.monotonic() - began < 30

    def test_waiting_off_the_runner_is_refused(self) -> None:
        with ScriptEngine() as engine, client(engine), pytest.raises(RuntimeError, match=r"engine\.wait_for"):
            engine.latest.wait_for("post_message")


def test_waiting_in_vain_fails() -> None:
    with ScriptEngine() as engine, client(engine, frames.post_message("s1", "one")):
        engine.wait_for("post_message")
        with pytest.raises(TimeoutError, match="post_message on 1"):
            engine.wait_for("get_messages", timeout=0.01)
        with pytest.raises(TimeoutError, match="1 instead of 2"):
            engine.wait_connected(2, timeout=0.01)


def test_a_reset_is_one_though_a_hook_is_stuck_sending() -> None:
    with ScriptEngine() as engine:
        engine.on("post_message", lambda conn, frame: conn.send_raw(bytes(1 << 26)))
        with client(engine, frames.post_message("s1", "x")) as ws:
            assert eventually(lambda: engine.latest.bytes_sent > 1 << 16)
            engine.latest.reset()
            with pytest.raises(ConnectionResetError):
                list(iter(lambda: ws.sock.recv(1 << 20), b""))


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
                ws.sock.sendall(data)
                assert eventually(lambda: engine.violations)

        with pytest.raises(AssertionError, match=complaint):
            misbehave()

    def test_unless_that_is_what_it_is_for(self) -> None:
        with ScriptEngine(strict=False) as engine, client(engine) as ws:
            ws.sock.sendall(text_frame(b"{}"))
            engine.wait_idle()
            assert engine.violations == ["connection 1 broke RFC 6455: a frame is not masked"]
