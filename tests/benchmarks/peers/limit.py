"""One thread that splits frames and parses them with orjson: what Python can do at most.

It checks nothing, answers no ping and hands nothing on, so nobody could use it; it is the ceiling.
"""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import orjson

from tests.benchmarks.peers.common import raw_scenarios, serve
from tests.support.ws_bytes import text_frame

READ_SIZE = 1 << 18


class BareWire:
    """Frames split off a socket, with no check at all."""

    def __init__(self, url: str, authorization: str) -> None:
        parts = urlsplit(url)
        self._sock = socket.create_connection((parts.hostname or "", parts.port or 80))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        head = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Upgrade: websocket", "Connection: Upgrade"]
        head += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", f"Authorization: {authorization}", "", ""]
        self._sock.sendall("\r\n".join(head).encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self._sock.recv(1)
        self.recv = self._payloads().__next__

    def send(self, text: str) -> None:
        """Sends a text message."""
        self._sock.sendall(text_frame(text, mask=True))

    def close(self) -> None:
        """Closes, with no close frame."""
        self._sock.close()

    def _payloads(self) -> Iterator[bytes]:
        buffer, at = b"", 0
        while True:
            end = -1
            left = len(buffer) - at
            if left >= 2:
                size, start = buffer[at + 1], at + 2
                if size == 126:
                    size, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
                elif size == 127:
                    size, start = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
                end = start + size
            if 0 < end <= len(buffer) and left >= 10:
                yield buffer[start:end]
                at = end
            else:
                buffer, at = self._more(buffer[at:], end - at), 0

    def _more(self, buffer: bytes, needed: int) -> bytes:
        chunks, size = [buffer], len(buffer)
        while True:
            chunk = self._sock.recv(READ_SIZE)
            if not chunk:
                raise EOFError
            chunks.append(chunk)
            size += len(chunk)
            if size >= needed:
                return b"".join(chunks)


if __name__ == "__main__":
    serve(raw_scenarios(BareWire, orjson.loads))
