"""The scriptable engine, driven by websocket-client and by plain sockets."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import websocket

from sessionlib.protocol import frames

from .script_engine import (
    Hook,
    PeerGone,
    ScriptEngine,
    http_response,
    ping_frame,
    refuse,
    text_frame,
    turn,
    upgrade_response,
)
from .waiting import eventually
from .ws_bytes import CLOSE, PING, PONG, TEXT, fragments


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
    def test_every_request_has_its_answer(self) -> None:
        history = [{"id": "m1", "session_id": "s9", "sender": {}, "content": {}}]
        with ScriptEngine(session_id="s9", history=history) as engine, client(engine) as ws:
            assert ask(ws, frames.create_session("agent", "a")) == frames.session_created("s9")
            assert ask(ws, frames.connect_session("s9")) == frames.ack("connect_session", "s9")
            assert ask(ws, frames.post_message("s9", "hi")) == frames.ack("post_message", "s9")
            assert ask(ws, frames.post_messages("s9", ["hi"])) == frames.ack("post_messages", "s9")
            assert ask(ws, frames.get_messages("s9")) == frames.history("s9", history)
            assert ask(ws, frames.ping_session("s9")) == frames.pong("s9")
            assert ask(ws, frames.disconnect_session("s9")) == frames.ack("disconnect_session", "s9")
            assert ask(ws, frames.terminate_session("s9")) == frames.ack("terminate_session", "s9")
            assert ask(ws, {"type": "dance"})["type"] == "error"

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

    def test_pings_are_answered_while_a_hook_sleeps(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            engine.on("post_message", lambda conn, frame: conn.sleep(30))
            say(ws, frames.post_message("s1", "hi"))
            ws.ping("are you there")
            assert ws.recv_data(control_frame=True) == (PONG, b"are you there")

    def test_a_close_is_answered_with_its_code_and_the_end_of_the_stream(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            ws.send_close(4001, b"enough")
            assert ws.recv_data(control_frame=True) == (CLOSE, struct.pack("!H", 4001) + b"enough")
            assert ws.sock.recv(1) == b""
            assert (engine.latest.close_code, engine.latest.close_reason) == (4001, "enough")

    def test_another_path_is_not_found(self) -> None:
        with ScriptEngine() as engine, pytest.raises(websocket.WebSocketBadStatusException, match="404"):
            websocket.create_connection(engine.ws_url + "/elsewhere", http_no_proxy=["*"])

    def test_a_turn(self) -> None:
        kinds = [frame["type"] for frame in turn("s1", "m1", ["a", "b"])]
        assert kinds == [
            "post_message",
            "participant_status",
            "message_delta",
            "message_delta",
            "message_notification",
            "participant_status",
        ]


class TestHooks:
    def test_a_hook_answers_instead(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            engine.on("post_message", lambda conn, frame: conn.send_many(turn("s1", "m1", [frame["content"]])))
            say(ws, frames.post_message("s1", "echo"))
            assert [hear(ws)["type"] for _ in range(5)][2] == "message_delta"
            engine.off("post_message")
            assert ask(ws, frames.post_message("s1", "echo")) == frames.ack("post_message", "s1")

    def test_a_hook_waits_for_the_next_frame_while_others_are_answered(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:

            @engine.on("post_message")
            def approval(conn: Any, frame: dict[str, Any]) -> None:
                conn.answer(frame)
                answered = conn.wait_for("post_message")
                conn.send({"type": "got", "content": answered["content"]})

            ask(ws, frames.post_message("s1", "question"))
            assert ask(ws, frames.ping_session("s1")) == frames.pong("s1")
            assert ask(ws, frames.post_message("s1", "answer")) == {"type": "got", "content": "answer"}

    def test_control_frames_have_hooks_too(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            engine.on("ws:ping", lambda conn, frame: conn.send({"type": "pinged"}))
            ws.ping("x")
            assert hear(ws) == {"type": "pinged"}
            assert engine.frames("ws:ping") == [{"type": "ws:ping", "payload": b"x"}]

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
    def test_push_reaches_all_or_the_latest(self) -> None:
        with ScriptEngine() as engine, client(engine) as first, client(engine) as second:
            engine.wait_connected(2)
            assert engine.push({"type": "all"}) == 2
            assert engine.push({"type": "latest"}, latest=True) == 1
            assert engine.push_many([{"type": "one"}, {"type": "two"}]) == 2
            assert [hear(first)["type"] for _ in range(3)] == ["all", "one", "two"]
            assert [hear(second)["type"] for _ in range(4)] == ["all", "latest", "one", "two"]

    def test_wait_for_gives_the_frames(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            for text in ("one", "two"):
                say(ws, frames.post_message("s1", text))
            assert [frame["content"] for frame in engine.wait_for("post_message", 2)] == ["one", "two"]
            with pytest.raises(TimeoutError, match="post_message on 1"):
                engine.wait_for("get_messages", timeout=0.01)
            with pytest.raises(TimeoutError, match="1 instead of 2"):
                engine.wait_connected(2, timeout=0.01)

    def test_it_stops_listening_and_comes_back_on_the_same_port(self) -> None:
        with ScriptEngine() as engine:
            port = engine.port
            with client(engine) as ws:
                engine.stop_listening()
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port))
                assert ask(ws, frames.ping_session("s1")) == frames.pong("s1")
            engine.start_listening()
            assert engine.port == port
            with client(engine) as ws:
                assert ask(ws, frames.ping_session("s1")) == frames.pong("s1")
            engine.wait_connected(2)
            engine.wait_idle()


class TestEndings:
    def test_fin_leaves_the_other_direction_open(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            engine.wait_connected().fin()
            assert ws.sock.recv(1) == b""
            say(ws, frames.post_message("s1", "still heard"))
            engine.wait_for("post_message")

    @pytest.mark.parametrize("who", ["test", "hook"])
    def test_reset(self, who: str) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            engine.on("post_message", lambda conn, frame: conn.reset())
            engine.wait_connected()
            if who == "test":
                engine.latest.reset()
            else:
                say(ws, frames.post_message("s1", "x"))
            with pytest.raises(ConnectionResetError):
                ws.sock.recv(1)

    def test_reset_while_a_hook_is_stuck_sending(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            engine.on("post_message", lambda conn, frame: conn.send_raw(bytes(1 << 26)))
            say(ws, frames.post_message("s1", "x"))
            assert eventually(lambda: engine.latest.bytes_sent > 1 << 16)
            engine.latest.reset()
            with pytest.raises(ConnectionResetError):
                read_all(ws.sock)

    def test_drop_all_and_sending_afterwards(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            conn = engine.wait_connected()
            engine.drop_all()
            assert ws.sock.recv(1) == b""
            with pytest.raises(PeerGone):
                conn.send({"type": "late"})
            assert engine.push({"type": "late"}) == 0

    def test_close_with_code_and_reason(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            engine.wait_connected().close(1013, "later")
            assert ws.recv_data(control_frame=True) == (CLOSE, struct.pack("!H", 1013) + b"later")
            # websocket-client has answered the close frame by itself.
            assert eventually(lambda: engine.latest.close_code is not None)

    def test_stop_reading_fills_the_clients_buffers(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            conn = engine.wait_connected()
            conn.stop_reading()
            before = conn.bytes_received
            ws.settimeout(0.2)
            with pytest.raises(TimeoutError):
                ws.sock.sendall(text_frame(bytes(1 << 25), mask=True))
            assert conn.bytes_received == before
            conn.resume_reading()
            assert eventually(lambda: conn.bytes_received > before)


class TestBytes:
    @pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
    def test_lengths(self, size: int) -> None:
        text = "x" * size
        with ScriptEngine() as engine, client(engine) as ws:
            engine.wait_connected().send_text(text)
            assert ws.recv() == text
            assert ask(ws, {"type": "ping_session", "pad": text})["type"] == "pong"
            assert engine.received[-1]["pad"] == text

    @pytest.mark.parametrize(
        ("frame", "expected"),
        [
            (text_frame(b"ab"), b"\x81\x02ab"),
            (text_frame(b"", fin=False, opcode=2, rsv=5), b"\x52\x00"),
            (text_frame(b"ab", length_form=16), b"\x81\x7e\x00\x02ab"),
            (text_frame(b"ab", length_form=64), b"\x81\x7f" + b"\x00" * 7 + b"\x02ab"),
            (text_frame(b"", declared=2**32), b"\x81\x7f\x00\x00\x00\x01\x00\x00\x00\x00"),
            (ping_frame(b"p"), b"\x89\x01p"),
        ],
    )
    def test_frames_as_bytes(self, frame: bytes, expected: bytes) -> None:
        assert frame == expected

    def test_a_masked_frame(self) -> None:
        frame = text_frame(b"abc", mask=True)
        assert frame[1] == 0x83
        assert bytes(byte ^ frame[2 + index % 4] for index, byte in enumerate(frame[6:])) == b"abc"

    def test_fragments_with_pings_between(self) -> None:
        with ScriptEngine() as engine, client(engine) as ws:
            engine.wait_connected().send_fragments({"type": "long"}, 5, between=ping_frame(b"x"), delay=0.001)
            assert hear(ws) == {"type": "long"}
            engine.wait_for("ws:pong", 4)

    def test_fragments_at_offsets(self) -> None:
        assert fragments(b"abc", [1]) == [text_frame(b"a", fin=False), text_frame(b"bc", opcode=0)]
        assert fragments(b"abc", 1) == [text_frame(b"abc")]


class TestHandshake:
    def test_refusals(self) -> None:
        with ScriptEngine() as engine:
            engine.handshake = refuse(503, b'{"error": "busy"}', [("Retry-After", "1")], times=1)
            with pytest.raises(websocket.WebSocketBadStatusException) as caught, client(engine):
                pass
            assert caught.value.status_code == 503
            assert caught.value.resp_headers["retry-after"] == "1"
            with client(engine) as ws:
                assert ask(ws, frames.ping_session("s1")) == frames.pong("s1")
            assert len(engine.handshakes) == 2

    def test_a_slow_drip(self) -> None:
        def drip(conn: Any, head: bytes) -> bool:
            conn.drip(upgrade_response(head, [("X-Slow", "yes")]), size=40, delay=0.005)
            return True

        with ScriptEngine() as engine:
            engine.handshake = drip
            with client(engine) as ws:
                assert ws.headers["x-slow"] == "yes"
                assert ask(ws, frames.ping_session("s1")) == frames.pong("s1")

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

    def test_fragments_of_a_client_are_put_together(self) -> None:
        text = json.dumps(frames.ping_session("s1")).encode()
        with ScriptEngine() as engine, client(engine) as ws:
            ws.sock.sendall(text_frame(text[:5], fin=False, mask=True) + text_frame(b"", opcode=PING, mask=True))
            ws.sock.sendall(text_frame(text[5:], opcode=0, mask=True))
            assert ws.recv_data(control_frame=True) == (PONG, b"")
            assert ws.recv_data()[0] == TEXT

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
