"""Streams over TCP, over TLS, and over TLS within TLS."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionDisconnectedError, SessionTimeoutError
from sessionlib.transport import stream as streams
from sessionlib.transport.base import NOW
from sessionlib.transport.stream import (
    HUGE_MESSAGE,
    LARGE_MESSAGE,
    LARGEST,
    BufferedStream,
    NothingYetError,
    _broken,
    _spare,
    wrap,
)
from sessionlib.transport.websocket import WebSocketTransport
from tests.support.secured import KINDS, connected
from tests.support.threads import in_threads
from tests.support.ws_bytes import text_frame

DATA = bytes(range(97, 123)) * 100_000


@pytest.mark.parametrize("kind", KINDS)
def test_long_messages_arrive_whole(kind: str) -> None:
    with connected(kind) as (near, far):

        def answer() -> None:
            received = 0
            while received < len(DATA):
                received += len(far.recv(1 << 20))
            far.sendall(text_frame(DATA))

        transport = WebSocketTransport(wrap(near), 2 * len(DATA))
        with in_threads(answer):
            transport.send(DATA, Deadline(20))
            assert transport.recv(Deadline(20)) == [DATA]
        assert transport.bytes_received == len(text_frame(DATA))
        transport.release()


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_connection_takes_in_what_it_has_begun(kind: str) -> None:
    received = bytearray()
    with connected(kind) as (near, far):
        stream = wrap(near)
        sent, rest = bytearray(), memoryview(DATA)[:20_000]
        while taken := stream.try_write(rest):
            sent += rest[:taken]
        # A record of which a part may be out cannot be taken back; of plain bytes, none are.
        assert stream.is_committed == (kind != "tcp")

        def read() -> None:
            while not received.endswith(b"!"):
                received.extend(far.recv(len(DATA)))

        with in_threads(read):
            for left in (rest, memoryview(b"!")):
                while left:
                    assert stream.wait_writable(Deadline(20))
                    taken = stream.try_write(left)
                    sent += left[:taken]
                    left = left[taken:]
        assert not stream.is_committed
        stream.close()
    assert received == sent


@pytest.mark.parametrize("kind", KINDS)
def test_waits_end(kind: str) -> None:
    with connected(kind) as (near, far):
        stream = wrap(near)
        stream.deadline = Deadline(0.05)
        with pytest.raises(SessionTimeoutError):
            stream.fill()
        far.sendall(b"last words")
        far.close()
        stream.deadline = Deadline(20)
        stream.fill()
        assert stream.take(LARGEST) == b"last words"
        with pytest.raises(SessionDisconnectedError):
            stream.fill()
        stream.close()


@pytest.mark.parametrize("kind", KINDS)
def test_another_thread_can_end_a_wait(kind: str) -> None:
    with connected(kind) as (near, _):
        stream = wrap(near)
        ending = threading.Timer(0.05, stream.shutdown)
        ending.start()
        with pytest.raises(SessionDisconnectedError):
            stream.fill()
        ending.join()
        stream.close()


@pytest.fixture
def plain() -> Iterator[tuple[BufferedStream, socket.socket]]:
    near, far = socket.socketpair()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with near, far:
        yield BufferedStream(near), far


@pytest.mark.parametrize("is_shared", [False, True])
def test_more_is_read_at_once_where_more_comes(plain: tuple[BufferedStream, socket.socket], is_shared: bool) -> None:
    stream, far = plain
    if is_shared:
        assert stream.share() >= 0
    read = []
    for size in (16_384, 32_768, 16_383, 65_536, 131_072, 131_072, 16_383, 4_000, 4_000, 1, 20_000):
        far.sendall(bytes(size))
        left = size
        while left:
            stream.fill()
            assert stream.pos == 0
            read.append(len(stream.data))
            left -= len(stream.take(LARGEST))
    assert stream.bytes_received == sum(read)
    most = [65_536, 65_536] if is_shared else [131_072]
    assert read == [
        *(16_384, 32_768, 16_383, 16_384, 32_768, 16_384, 65_536, 65_536),
        *(*most, 16_383, 4_000, 4_000, 1, 16_384, 3_616),
    ]


@pytest.mark.parametrize("is_shared", [False, True])
def test_how_much_is_read_at_once_of_large_messages(
    plain: tuple[BufferedStream, socket.socket], is_shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As they are, but for that a socket takes as much at once.
    for name in ("", "_SHARED", "_OF_HUGE", "_OF_LARGE"):
        monkeypatch.setattr(streams, f"LARGEST{name}", getattr(streams, f"LARGEST{name}") // 4)
    stream, far = plain
    if is_shared:
        assert stream.share() >= 0
    read = []
    for size in (LARGE_MESSAGE, HUGE_MESSAGE, HUGE_MESSAGE - 1, LARGE_MESSAGE - 1):
        stream.expect(size)
        assert stream.expects_large == (size >= LARGE_MESSAGE)
        most = 0
        for _ in range(6):
            far.sendall(bytes(131_072))
            left = 131_072
            while left:
                stream.fill()
                most = max(most, len(stream.data))
                left -= len(stream.take(1 << 20))
        read.append(most)
    assert read == [131_072, 16_384, 131_072, 16_384 if is_shared else 65_536]


def test_where_large_messages_are_read_to_is_kept_for_as_long_as_they_come(
    plain: tuple[BufferedStream, socket.socket],
) -> None:
    stream, far = plain
    stream.expect(LARGE_MESSAGE)
    kept: list[object] = []
    for size in (16_384, 30_000, 20_000, 4_097, 16_000, 100, 100):
        far.sendall(bytes([size % 251]) * size)
        stream.fill()
        assert stream.data == bytes([size % 251]) * size
        kept.append(stream.data.obj if isinstance(stream.data, memoryview) else None)
        stream.take(size)
    assert kept[1] is kept[2] is kept[3]
    assert [buffer is not None for buffer in kept] == [True, True, True, True, True, True, False]
    assert not stream.expects_large


def test_what_was_not_consumed_stays_in_front_of_what_comes(plain: tuple[BufferedStream, socket.socket]) -> None:
    stream, far = plain
    far.sendall(b"abc")
    assert stream.recv(1) == b"a"
    far.sendall(b"de")
    stream.fill()
    assert (stream.data, stream.pos, stream.take(9), stream.bytes_received) == (b"bcde", 0, b"bcde", 5)


def test_a_read_that_must_not_block_goes_to_the_socket_once(plain: tuple[BufferedStream, socket.socket]) -> None:
    stream, far = plain
    stream.share()
    stream.deadline = NOW
    for _ in range(2):
        with pytest.raises(NothingYetError):
            stream.fill()
    far.sendall(b"ab")
    with pytest.raises(NothingYetError):
        stream.fill()  # in the same read
    stream.take_back()
    stream.fill()
    assert stream.take(9) == b"ab"
    with pytest.raises(NothingYetError):
        stream.fill()
    far.sendall(bytes(70_000))
    for _ in range(3):
        stream.take_back()
        with pytest.raises(NothingYetError):
            stream.take_exactly(100_000)
        far.sendall(bytes(10_000))
    stream.take_back()
    assert len(stream.take_exactly(100_000)) == 100_000


def test_the_buffer_of_a_large_message_is_lent_to_one_at_a_time(plain: tuple[BufferedStream, socket.socket]) -> None:
    stream, far = plain
    _spare.clear()
    for size in (70_000, 60_000):
        far.sendall(bytes(size))
        view = stream.take_exactly(size)
        assert (len(view), len(_spare)) == (size, 0)
        del view
        stream.take_back()
        (buffer,) = _spare
        assert len(buffer) == 70_000
        _spare.clear()
        stream.take_back()  # it has none any more
        assert not _spare
        _spare.append(buffer)
    _spare.clear()


def test_a_read_over_tls_is_no_longer_than_it_may_be() -> None:
    with connected("tls") as (near, far):
        stream = wrap(near)
        far.sendall(DATA[: 4 * 16_384])
        stream.deadline = Deadline(20)
        read = b""
        while len(read) < 4 * 16_384:
            stream.fill()
            assert len(stream.data) <= max(16_384, len(read) * 2)
            read += stream.take(LARGEST)
        assert read == DATA[: 4 * 16_384]
        stream.close()


@pytest.mark.parametrize("arguments", [(errno.ECONNRESET, "Connection reset by peer"), ("odd",)])
def test_what_broke_is_named(arguments: tuple[Any, ...]) -> None:
    assert str(_broken(OSError(*arguments))).startswith(f"the connection broke: {arguments[-1]}")
