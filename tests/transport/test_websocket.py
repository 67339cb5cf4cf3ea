"""What the transport sends, and says about it, while the connection ends."""

from __future__ import annotations

from typing import Any

import pytest

from sessionlib._util.timing import Deadline
from sessionlib.connection.wire_log import LoggingTransport
from sessionlib.errors import SessionDisconnectedError
from sessionlib.testing.recorder import RecordedTransport, Recorder
from sessionlib.testing.redaction import Redaction
from sessionlib.transport.websocket import WebSocketTransport

TEXT, CLOSE = 0x81, 0x88


class OpenStream:
    """Takes every frame whole."""

    is_committed = False

    def __init__(self) -> None:
        self.written: list[int] = []
        self.writes = 0

    def recv(self, size: int) -> bytes:
        raise AssertionError("nothing is read here")

    def try_write(self, data: memoryview) -> int:
        self.writes += 1
        at = 0
        while at < len(data):
            self.written.append(data[at])
            at += 6 + (data[at + 1] & 0x7F)
        return len(data)

    def wait_writable(self, deadline: Deadline) -> bool:
        return True

    def shutdown(self) -> None:
        """Has nothing to end."""


class EndingStream(OpenStream):
    """Takes one frame whole; the peer's close arrives at that moment, and nothing goes out after it."""

    transport: WebSocketTransport

    def try_write(self, data: memoryview) -> int:
        if self.written:
            raise SessionDisconnectedError("the connection was reset")
        self.transport.close(1012)  # as the reader does on its own thread
        return super().try_write(data)


class FullStream(OpenStream):
    """Takes nothing in until somebody has waited for that."""

    is_full = True

    def try_write(self, data: memoryview) -> int:
        return 0 if self.is_full else super().try_write(data)

    def wait_writable(self, deadline: Deadline) -> bool:
        self.is_full = False
        return True


class InterruptedStream(FullStream):
    """Interrupts whoever waits for room, when others have left their frames meanwhile."""

    transport: WebSocketTransport

    def wait_writable(self, deadline: Deadline) -> bool:
        self.transport.enqueue(b"{}")
        self.transport.close()
        super().wait_writable(deadline)
        raise KeyboardInterrupt


def test_a_message_that_left_whole_is_sent_even_if_the_answer_to_a_close_is_not() -> None:
    stream: Any = EndingStream()
    stream.transport = transport = WebSocketTransport(stream, 1000)
    message = b"{}"
    transport.send(message, Deadline(1.0))
    assert stream.written == [TEXT]


def test_nothing_follows_a_close() -> None:
    stream: Any = OpenStream()
    transport = WebSocketTransport(stream, 1000)
    transport.enqueue(b"{}")
    transport.close()
    transport.ping()
    transport.enqueue(b"{}")
    with pytest.raises(SessionDisconnectedError):
        transport.send(b"{}", Deadline(1.0))
    assert stream.written == [TEXT, CLOSE]


def test_a_farewell_leaves_in_one_write_with_the_close() -> None:
    stream: Any = OpenStream()
    transport = WebSocketTransport(stream, 1000)
    transport.enqueue(b"{}", more=True)
    assert stream.written == []
    transport.close()
    transport.ping()
    transport.enqueue(b"{}", more=True)
    transport.close(deadline=Deadline(1.0))
    assert (stream.written, stream.writes) == ([TEXT, CLOSE], 1)


def test_an_interrupted_sender_sends_what_was_left_for_it() -> None:
    stream: Any = InterruptedStream()
    stream.transport = transport = WebSocketTransport(stream, 1000)
    message = b"{}"
    with pytest.raises(KeyboardInterrupt):
        transport.send(message, Deadline(1.0))
    assert not transport.has_left(message)
    assert stream.written == [TEXT, CLOSE]


def test_an_interrupted_sender_does_not_take_back_what_has_begun_to_leave() -> None:
    stream: Any = InterruptedStream()
    stream.is_committed = True  # as over TLS, where a record is encrypted once
    stream.transport = transport = WebSocketTransport(stream, 1000)
    message = b"{}"
    with pytest.raises(KeyboardInterrupt):
        transport.send(message, Deadline(1.0))
    assert transport.has_left(message)
    assert stream.written == [TEXT, TEXT, CLOSE]


def test_a_refused_sender_sends_what_was_left_for_it() -> None:
    stream: Any = FullStream()
    transport = WebSocketTransport(stream, 1000)
    transport.enqueue(b"{}")
    transport.close()
    assert stream.written == []
    stream.is_full = False
    with pytest.raises(SessionDisconnectedError):
        transport.send(b"{}", Deadline(1.0))
    assert stream.written == [TEXT, CLOSE]


def test_a_sender_interrupted_behind_another_frame_leaves_that_frame_alone() -> None:
    stream: Any = InterruptedStream()
    stream.transport = transport = WebSocketTransport(stream, 1000)
    transport.enqueue(b"[]")  # as long as the message
    message = b"{}"
    with pytest.raises(KeyboardInterrupt):
        transport.send(message, Deadline(1.0))
    assert not transport.has_left(message)
    assert stream.written == [TEXT, TEXT, CLOSE]


def test_closing_waits_for_room() -> None:
    stream: Any = FullStream()
    transport = WebSocketTransport(stream, 1000)
    transport.enqueue(b"{}")
    transport.close(deadline=Deadline(1.0))
    assert stream.written == [TEXT, CLOSE]


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda inner: LoggingTransport(inner, lambda: "s1"),
        lambda inner: RecordedTransport(inner, Recorder(Redaction()), 1),
    ],
    ids=["logged", "recorded"],
)
def test_what_notes_what_passes_tells_whether_a_post_with_files_has_left(wrapped: Any) -> None:
    stream: Any = OpenStream()
    transport = wrapped(WebSocketTransport(stream, 1000))
    pieces = [(b"{", False), (b"}", True)]
    transport.send_chunks(pieces, Deadline(1.0))
    assert transport.has_left(pieces)
    assert not transport.has_left([*pieces])
