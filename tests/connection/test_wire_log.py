"""What the log of the wire shows of each message, and what it never shows."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any

import pytest

from sessionlib._util.timing import Deadline
from sessionlib.connection.wire_log import LoggingTransport, TransportWrapper, logged
from sessionlib.errors import SessionDisconnectedError
from sessionlib.protocol import codec, frames
from sessionlib.transport.base import Traffic
from tests.support.script_engine import ScriptEngine, turn
from tests.support.secrets import SENTINEL_KEY, LogWatch
from tests.support.sessions import opened


class Wire:
    last_received_at, bytes_received, has_unread = 2.5, 7, True

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.given: list[Any] = []
        self.received: list[bytes] = []

    def recv(self, deadline: Deadline | None = None) -> list[bytes]:
        if not self.received:
            raise SessionDisconnectedError("gone")
        received, self.received = self.received, []
        return received

    def share(self) -> int:
        return 3

    def has_left(self, message: object) -> bool:
        return message in self.given

    def send_chunks(self, chunks: Iterable[tuple[bytes, bool]], deadline: Deadline) -> None:
        self.given.append(list(chunks))

    def __getattr__(self, name: str) -> Any:
        """Notes each call of another method."""
        return lambda *args, **options: self.given.append((name, *args, *options.values()))


@pytest.fixture(params=[False, True], ids=["names", "content"])
def with_content(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    level = logging.DEBUG if request.param else logging.NOTSET
    monkeypatch.setattr(logging.getLogger("sessionlib.content"), "level", level)
    return request.param


@pytest.mark.parametrize(
    ("payload", "line", "content"),
    [
        (b'{"type":"pong"}', "% session s1 pong, 15 bytes", '{"type":"pong"}'),
        (b'{"type":"ping_session"}', "% session s1 ping_session, 23 bytes", '{"type":"ping_session"}'),
        (b'{"type":"x","k":"se-cret"}', "> session s1 x, 26 bytes", '{"type":"x","k":"***"}'),
        (b'{"type":7}', "> session s1 (no frame), 10 bytes", '{"type":7}'),
        (b'{"type":"a\\nb"}', "> session s1 (no frame), 15 bytes", '{"type":"a\\nb"}'),
        (b"[]", "> session s1 (no frame), 2 bytes", "[]"),
        (b"\xff", "> session s1 (no frame), 1 bytes", "\ufffd"),
        (b'"' + b"x" * 5000, "> session s1 (no frame), 5001 bytes", '"' + "x" * 1999),
        (b'{"type":"%s"}' % (b"t" * 90), f"> session s1 {'t' * 80}, 101 bytes", '{"type":"%s"}' % ("t" * 90)),
    ],
)
def test_a_line_for_each_message(
    payload: bytes, line: str, content: str, with_content: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "sessionlib")
    wire: Any = Wire()
    transport = LoggingTransport(wire, lambda: "s1", "se-cret")
    deadline = Deadline(1)
    transport.send(payload, deadline)
    transport.enqueue(payload)
    assert wire.given == [("send", payload, deadline), ("enqueue", payload, False)]
    assert caplog.messages == [f"{line} {content}" if with_content else line] * 2
    caplog.clear()
    transport.ping()
    transport.send_chunks([(b"ab", False), (b"c", True)], deadline)
    assert caplog.messages == ["% session s1 ping", "> session s1 a post with files, 3 bytes"]
    assert wire.given[2:] == [("ping",), [(b"ab", False), (b"c", True)]]
    caplog.set_level(logging.INFO, "sessionlib")
    caplog.clear()
    transport.send(payload, deadline)
    assert caplog.messages == []
    assert logged(wire, lambda: "s1") is wire


@pytest.mark.parametrize("leave", [TransportWrapper.close, TransportWrapper.release])
def test_what_is_received_and_an_end_that_none_asked_for(leave: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sessionlib")
    wire: Any = Wire()
    transport = LoggingTransport(wire, lambda: "s1")
    wire.received = [b'{"type":"x"}', b'{"type":"y"}']
    assert transport.recv() == [b'{"type":"x"}', b'{"type":"y"}']
    for _ in range(2):
        with pytest.raises(SessionDisconnectedError):
            transport.recv()
        leave(transport)
    lines = ["< session s1 x, 12 bytes", "< session s1 y, 12 bytes", "! session s1: gone"]
    assert caplog.messages == lines


def test_all_else_is_as_it_is_without_a_log() -> None:
    wire: Any = Wire()
    transport = TransportWrapper(wire)
    assert transport.traffic is wire.traffic
    traffic = transport.traffic = Traffic()
    assert wire.traffic is traffic
    assert (transport.last_received_at, transport.bytes_received, transport.has_unread) == (2.5, 7, True)
    assert transport.share() == 3
    transport.ping()
    transport.close(1002, "why")
    transport.abort()
    transport.release()
    assert wire.given == [("ping",), ("close", 1002, "why", None), ("abort",), ("release",)]
    assert (transport.has_left(("release",)), transport.has_left("more")) == (True, False)


def test_each_frame_is_a_line_and_content_for_those_who_ask_for_it_without_the_key(
    engine: ScriptEngine, log_watch: LogWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_many(turn()))
    with opened(engine) as session:
        session.ask("a secret")
        before = "\n".join(log_watch.lines)
        monkeypatch.setattr(logging.getLogger("sessionlib.content"), "level", logging.DEBUG)
        session.ask(f"a secret and {SENTINEL_KEY}")

    def line(sign: str, frame: frames.Frame) -> str:
        return f"{sign} session s1 {frame['type']}, {len(codec.dumps(frame))} bytes"

    ours = [found[1] for found in map(re.compile(r"\w+ sessionlib \[.*?\] (.*)").match, log_watch.lines) if found]
    assert ours[:10] == [
        line(">", frames.connect_session("s1")),
        line("<", frames.ack("connect_session", "s1")),
        f"= session s1 connected at 127.0.0.1:{engine.port}",
        line(">", frames.post_message("s1", "a secret")),
        *[line("<", frame) for frame in turn()],
    ]
    for text, line in (("a secret", '"content":"a secret and ***"'), ("Hello there", "Hello there")):
        assert text not in before
        assert line in "\n".join(log_watch.lines)
    assert SENTINEL_KEY not in "\n".join(log_watch.lines)
