"""RFC 6455 as bytes: building frames, lawful or not, and reading what a client sent."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import struct
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_REASONS = {101: "Switching Protocols", 200: "OK", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}


class Violation(Exception):
    """A client broke RFC 6455."""


# ---- building ------------------------------------------------------------------------------


def as_payload(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def text_frame(
    payload: Any,
    fin: bool = True,
    opcode: int = TEXT,
    rsv: int = 0,
    mask: bool = False,
    *,
    declared: int | None = None,
    length_form: int | None = None,
) -> bytes:
    """Builds any one WebSocket frame, legal or not.

    Args:
        payload: Bytes, text, or something for JSON.
        fin: Whether it is the last of its message.
        opcode: 0 to 15.
        rsv: The three reserved bits, 0 to 7.
        mask: Whether to mask, as only a client may.
        declared: Length to claim instead of the payload's.
        length_form: 7, 16 or 64 bits of length instead of the shortest.
    """
    data = as_payload(payload)
    head = bytes([(0x80 if fin else 0) | (rsv & 7) << 4 | (opcode & 15)])
    head += _length(len(data) if declared is None else declared, length_form, 0x80 if mask else 0)
    if not mask:
        return head + data
    key = os.urandom(4)
    return head + key + apply_mask(data, key)


def _length(size: int, form: int | None, mask_bit: int) -> bytes:
    if form is None:
        form = 7 if size < 126 else 16 if size < 65536 else 64
    if form == 7:
        return bytes([mask_bit | size])
    if form == 16:
        return struct.pack("!BH", mask_bit | 126, size)
    return struct.pack("!BQ", mask_bit | 127, size)


def close_frame(code: int | None = 1000, reason: str | bytes = "") -> bytes:
    """Builds a close frame; ``code=None`` leaves the payload empty."""
    return text_frame(b"" if code is None else struct.pack("!H", code) + as_payload(reason), opcode=CLOSE)


def ping_frame(payload: bytes = b"") -> bytes:
    return text_frame(payload, opcode=PING)


def pong_frame(payload: bytes = b"") -> bytes:
    return text_frame(payload, opcode=PONG)


def fragments(payload: Any, cuts: int | Sequence[int]) -> list[bytes]:
    """Builds the frames of one text message cut into pieces."""
    data = as_payload(payload)
    if isinstance(cuts, int):
        cuts = [len(data) * index // cuts for index in range(1, cuts)]
    edges = [0, *cuts, len(data)]
    last = len(edges) - 2
    return [
        text_frame(data[start:end], fin=index == last, opcode=CONTINUATION if index else TEXT)
        for index, (start, end) in enumerate(itertools.pairwise(edges))
    ]


def http_response(status: int, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """Builds an HTTP answer that closes the connection, the length of its body declared."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}", *(f"{name}: {value}" for name, value in headers)]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def upgrade_response(head: bytes, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """Builds the 101 answer to a request head, as received."""
    key = header(head, "Sec-WebSocket-Key").encode("latin-1")
    accept = base64.b64encode(hashlib.sha1(key + _ACCEPT_GUID).digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Accept: {accept}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def header(head: bytes, name: str) -> str:
    """Gives the value of a header of a request head, or an empty text."""
    for line in head.decode("latin-1").split("\r\n")[1:]:
        found, _, value = line.partition(":")
        if found.strip().lower() == name.lower():
            return value.strip()
    return ""


def apply_mask(data: bytes, key: bytes) -> bytes:
    # One exclusive-or of two big integers is the fastest that the standard library has.
    size = len(data)
    pattern = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pattern, "little")).to_bytes(size, "little")


# ---- reading -------------------------------------------------------------------------------


class Message(NamedTuple):
    """A whole message or a control frame from a client."""

    opcode: int
    payload: bytes


class ClientReader:
    """Takes a client's bytes and gives its messages, holding the client to RFC 6455."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._pieces: list[bytes] = []
        self._opcode: int | None = None
        self._closed = False

    def feed(self, data: bytes) -> Iterable[Message]:
        """Gives the messages that these bytes complete."""
        self._buffer += data
        while (found := self._take_frame()) is not None:
            message = self._assemble(*found)
            if message is not None:
                yield message

    def _take_frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        start, size = 2, second & 0x7F
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < 2 + width:
                return None
            start, size = 2 + width, int.from_bytes(buffer[2 : 2 + width], "big")
        self._check_head(first, second, size, start)
        if len(buffer) < start + 4 + size:
            return None
        key, payload = bytes(buffer[start : start + 4]), bytes(buffer[start + 4 : start + 4 + size])
        del buffer[: start + 4 + size]
        return first, apply_mask(payload, key)

    def _check_head(self, first: int, second: int, size: int, start: int) -> None:
        opcode, fin = first & 0x0F, first & 0x80
        # websocket-client answers the answer to its own close frame, which does no harm.
        if self._closed and opcode != CLOSE:
            raise Violation("a frame after the close frame")
        if first & 0x70:
            raise Violation(f"reserved bits are set in {first:#04x}")
        if not second & 0x80:
            raise Violation("a frame is not masked")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Violation(f"unknown opcode {opcode:#x}")
        if opcode >= CLOSE and (not fin or size > 125):
            raise Violation("a control frame is fragmented or longer than 125 bytes")
        if start != (2 if size < 126 else 4 if size < 65536 else 10):
            raise Violation("the length is not in its shortest form")

    def _assemble(self, first: int, payload: bytes) -> Message | None:
        opcode, fin = first & 0x0F, bool(first & 0x80)
        if opcode == CLOSE:
            again, self._closed = self._closed, True
            return None if again else Message(opcode, payload)
        if opcode > CLOSE:
            return Message(opcode, payload)
        if (opcode == CONTINUATION) != (self._opcode is not None):
            raise Violation("fragments of messages are mixed up")
        if self._opcode is None:
            self._opcode = opcode
        self._pieces.append(payload)
        if not fin:
            return None
        whole = Message(self._opcode, b"".join(self._pieces))
        self._opcode, self._pieces = None, []
        return whole
