"""Requests to the engine as bytes, whole or in parts, for what no client would send."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from tests.support.engine import Address


def connect(engine: Address) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(engine.base_url).port or 0), timeout=60)


def head(engine: Address, line: str = "GET /v1/agents HTTP/1.1", *fields: str) -> bytes:
    given = [f"Host: {urlsplit(engine.base_url).netloc}", f"Authorization: Bearer {engine.api_key}", *fields]
    return "\r\n".join([line, *given, "", ""]).encode("latin-1")


def status(answer: bytes) -> int:
    assert answer.count(b"HTTP/1.1 ") == 1, answer[:500]
    return int(answer[9:12])


def upgrade(engine: Address, *fields: str) -> bytes:
    key = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    return head(engine, "GET /v1/ws/session HTTP/1.1", *key, "Sec-WebSocket-Version: 13", *fields)


def upgraded(engine: Address) -> socket.socket:
    """A connection that is a WebSocket, of which nothing more was read."""
    sock = connect(engine)
    sock.sendall(upgrade(engine))
    assert b" 101 " in sock.recv(1000)
    return sock


def data_frame(first: int, size: int, payload: bytes = b"") -> bytes:
    """A masked frame (with a key of zeros) that announces ``size`` bytes, and what of them is sent."""
    return bytes((first, 0xFF)) + size.to_bytes(8, "big") + b"\0\0\0\0" + payload
