"""An engine that sends prepared frames as fast as the socket takes them, in a process of its own.

``python -m tests.benchmarks.engine`` prints ``ready PORT``. A posted text is an order:
``{"blast": {"size": 110, "count": 50000}}`` for a turn of so many deltas of so many characters,
``{"prepare": ...}`` to have that ready when it is ordered, anything else for a turn of one delta. Raw
sockets, a thread for each connection.
"""

from __future__ import annotations

import io
import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from functools import lru_cache

from sessionlib.protocol import frames
from sessionlib.protocol.frames import Frame
from tests.support.script_engine import notification, text_content, turn
from tests.support.ws_bytes import CLOSE, PING, apply_mask, pong_frame, text_frame, upgrade_response

WRITE_SIZE = 1 << 20
KEPT = 1 << 16
"""Bytes of a message that are looked at; the rest of an upload is only counted."""

_TYPE = re.compile(rb'"type"\s*:\s*"([a-z_]+)"')
_LETTERS = "The quick brown fox jumps over the lazy dog. "


def text(size: int) -> str:
    """Gives so many characters of plain text."""
    return (_LETTERS * (size // len(_LETTERS) + 1))[:size]


@lru_cache(maxsize=8)
def blast(session_id: str, size: int, count: int) -> list[bytes]:
    """Gives a turn of ``count`` deltas as large writes, prepared once."""
    opening = [frames.ack("post_message", session_id), frames.participant_status(session_id, "Processing")]
    deltas = (frames.message_delta(session_id, "m1", index, text(size)) for index in range(count))
    closing = [
        notification(session_id, "m1", text_content("done")),
        frames.participant_status(session_id, "Idle"),
    ]
    return [_bytes(opening), *_writes(deltas), _bytes(closing)]


def _bytes(many: list[Frame]) -> bytes:
    return b"".join(map(text_frame, many))


def _writes(many: Iterator[Frame]) -> Iterator[bytes]:
    buffer = bytearray()
    for frame in many:
        buffer += text_frame(frame)
        if len(buffer) >= WRITE_SIZE:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


class Client:
    """One connection, served until it ends."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._stream = io.BufferedReader(sock.makefile("rb", buffering=0), WRITE_SIZE)
        self._scratch = bytearray(WRITE_SIZE)

    def serve(self) -> None:
        """Shakes hands and answers, until the client leaves."""
        try:
            self._sock.sendall(upgrade_response(self._read_head()))
            while self._answer(*self._read_message()):
                pass
        except (OSError, EOFError):
            pass
        finally:
            self._stream.close()
            self._sock.close()

    def _read_head(self) -> bytes:
        lines = iter(self._stream.readline, b"\r\n")
        return b"".join(line or _leave() for line in lines)

    def _read_message(self) -> tuple[int, bytes]:
        """Gives the opcode of a message and its first bytes, answering pings between its fragments."""
        kind, start = 0, b""
        while True:
            first, second = self._exactly(2)
            opcode, size = first & 0x0F, second & 0x7F
            if size >= 126:
                size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
            key = self._exactly(4)
            kept = min(size, KEPT if opcode >= CLOSE else KEPT - len(start))
            data = apply_mask(self._exactly(kept), key)
            self._skip(size - kept)
            if opcode >= CLOSE and kind:
                self._answer(opcode, data)
                continue
            kind, start = kind or opcode, start + data
            if first & 0x80:
                return kind, start

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        return data if len(data) == size else _leave()

    def _skip(self, size: int) -> None:
        view = memoryview(self._scratch)
        while size:
            size -= self._stream.readinto(view[: min(size, len(view))]) or len(_leave())

    def _answer(self, opcode: int, start: bytes) -> bool:
        if opcode == CLOSE:
            self._sock.sendall(text_frame(start, opcode=CLOSE))
            return False
        if opcode == PING:
            self._sock.sendall(pong_frame(start))
        else:
            self._answer_request(start)
        return True

    def _answer_request(self, start: bytes) -> None:
        if len(start) >= KEPT:
            kind = _TYPE.search(start)
            self._sock.sendall(text_frame(frames.ack(kind[1].decode() if kind else "post_message", "s1")))
            return
        frame = json.loads(start)
        kind, session_id = frame["type"], frame.get("session_id", "s1")
        if kind == "post_message":
            self._post(session_id, frame["content"])
        elif kind == "create_session":
            self._sock.sendall(text_frame(frames.session_created("s1")))
        elif kind == "ping_session":
            self._sock.sendall(text_frame(frames.pong(session_id)))
        elif kind == "get_messages":
            self._sock.sendall(text_frame(frames.history(session_id, [])))
        else:
            self._sock.sendall(text_frame(frames.ack(kind, session_id)))

    def _post(self, session_id: str, content: object) -> None:
        order = json.loads(content) if isinstance(content, str) and content.startswith("{") else {}
        if "prepare" in order:
            blast(session_id, **order["prepare"])
        if "blast" not in order:
            self._sock.sendall(_bytes(turn(session_id, "m1", ["x"])))
            return
        for data in blast(session_id, **order["blast"]):
            self._sock.sendall(data)


def _leave() -> bytes:
    raise EOFError


def main() -> int:
    """Serves until the process is ended."""
    threading.stack_size(1 << 18)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print("ready", listener.getsockname()[1], flush=True)
        while True:
            client = Client(listener.accept()[0])
            # Daemons: the harness ends this process by a signal, whoever is connected.
            threading.Thread(target=client.serve, name="benchmark-client", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
