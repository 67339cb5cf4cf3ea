"""Streams over TCP, over TLS, and over TLS within TLS."""

from __future__ import annotations

import itertools
import threading

import pytest

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionDisconnectedError, SessionTimeoutError
from sessionlib.transport.stream import LARGEST, wrap
from sessionlib.transport.websocket import WebSocketTransport
from tests.support.secured import KINDS, connected
from tests.support.ws_bytes import text_frame

DATA = bytes(range(97, 123)) * 100_000


@pytest.mark.parametrize("kind", KINDS)
def test_long_messages_arrive_whole(kind: str) -> None:
    received = bytearray()
    with connected(kind) as (near, far):

        def answer() -> None:
            while len(received) < len(DATA):
                received.extend(far.recv(1 << 20))
            far.sendall(text_frame(DATA))

        transport = WebSocketTransport(wrap(near), 2 * len(DATA))
        answering = threading.Thread(target=answer)
        answering.start()
        transport.send(DATA, Deadline(20))
        assert transport.recv(Deadline(20)) == [DATA]
        answering.join()
        assert transport.bytes_received == len(text_frame(DATA))
        transport.release()
    assert len(received) > len(DATA)


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
        reading = threading.Thread(
            target=lambda: [received.extend(far.recv(len(DATA))) for _ in _until(received, b"!")]
        )
        reading.start()
        for left in (rest, memoryview(b"!")):
            while left:
                assert stream.wait_writable(Deadline(20))
                taken = stream.try_write(left)
                sent += left[:taken]
                left = left[taken:]
        assert not stream.is_committed
        reading.join()
        stream.close()
    assert received == sent


def _until(received: bytearray, end: bytes) -> itertools.takewhile[int]:
    return itertools.takewhile(lambda _: not received.endswith(end), itertools.count())


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
