"""What the log of the wire shows of each message, and what it never shows."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from sessionlib._util.timing import Deadline
from sessionlib.connection.wire_log import LoggingTransport
from sessionlib.transport.base import Traffic


class Wire:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.given: list[Any] = []

    def send(self, payload: bytes, deadline: Deadline) -> None:
        self.given.append(payload)

    def send_chunks(self, chunks: Iterable[tuple[bytes, bool]], deadline: Deadline) -> None:
        self.given.append(list(chunks))

    def enqueue(self, payload: bytes) -> None:
        self.given.append(payload)

    def ping(self) -> None:
        self.given.append("ping")


@pytest.fixture(params=[False, True], ids=["names", "content"])
def with_content(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the content is logged as well."""
    logger = logging.getLogger("sessionlib.content")
    before = logger.level
    logger.setLevel(logging.DEBUG if request.param else logging.NOTSET)
    yield request.param
    logger.setLevel(before)


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
    transport.send(payload, Deadline(1))
    transport.enqueue(payload)
    assert wire.given == [payload] * 2
    assert caplog.messages == [f"{line} {content}" if with_content else line] * 2
    caplog.clear()
    transport.ping()
    transport.send_chunks([(b"ab", False), (b"c", True)], Deadline(1))
    assert caplog.messages == ["% session s1 ping", "> session s1 a post with files, 3 bytes"]
    assert wire.given[2:] == ["ping", [(b"ab", False), (b"c", True)]]
    caplog.set_level(logging.INFO, "sessionlib")
    caplog.clear()
    transport.send(payload, Deadline(1))
    assert caplog.messages == []
