"""RFC 6455, case by case, against the engine."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator

import pytest

from sessionlib.engine import LocalEngine
from tests.support.engine_bytes import upgraded
from tests.support.rfc6455 import NOT_JSON, Case, cases
from tests.support.ws_bytes import CLOSE, PONG, TEXT

CASES = cases(from_client=True)


@pytest.fixture(scope="module")
def strict() -> Iterator[LocalEngine]:
    with LocalEngine() as engine:
        yield engine


def test_all_cases_are_there() -> None:
    assert len({found.id for found in CASES}) == len(CASES) == 302


@pytest.mark.parametrize("wanted", CASES, ids=lambda wanted: wanted.id)
def test_a_case(strict: LocalEngine, wanted: Case) -> None:
    with upgraded(strict) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):  # it has failed the connection already, as it should
            for data in wanted.sent:
                sock.sendall(data)
        told = list(_read(sock))
    assert told[:-1] == wanted.told
    assert told[-1] in [b"close %d" % code for code in wanted.codes]


def _read(sock: socket.socket) -> Iterator[bytes]:
    """All that the engine sends, held to RFC 6455."""
    received = bytearray()
    while piece := sock.recv(1 << 20):
        received += piece
    while received:
        first, size, start = received[0], received[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(received[2:start], "big")
        assert start == (2 if size < 126 else 4 if size < 65536 else 10)
        payload = bytes(received[start : start + size])
        assert len(payload) == size
        del received[: start + size]
        yield _content(first, payload)


def _content(first: int, payload: bytes) -> bytes:
    if first == 0x80 | PONG:
        return payload
    if first == 0x80 | CLOSE:
        payload[2:].decode()
        return b"close %d" % (int.from_bytes(payload[:2], "big") if payload else 1005)
    assert first == 0x80 | TEXT
    frame = json.loads(payload)
    return frame["session_id"].encode() if frame["type"] == "pong" else NOT_JSON
