"""An engine that sends prepared frames as fast as the socket takes them, in a process of its own.

``python -m tests.benchmarks.engine`` prints ``ready PORT``. A posted text is an order:
``{"blast": {"size": 110, "count": 50000}}`` for a turn of so many deltas of so many characters,
``{"prepare": ...}`` to have that ready when it is ordered, anything else for a turn of one delta. Raw
sockets, which one thread reads: a thread each would be what limits thousands of sessions.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import threading
from collections.abc import Generator, Iterator
from functools import lru_cache
from typing import TypeVar

from sessionlib.protocol import frames
from sessionlib.protocol.frames import Frame
from tests.support.script_engine import notification, text_content, turn
from tests.support.ws_bytes import CLOSE, PING, PONG, apply_mask, pong_frame, text_frame, upgrade_response

WRITE_SIZE = 1 << 20
Value = TypeVar("Value")
Steps = Generator["list[bytes]", memoryview, Value]
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
    """One connection.

    Args:
        sock: Its socket.

    Attributes:
        steps: What serves it until it leaves: takes what has come, and yields a turn that takes long to send, or none.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self._unread = bytearray()
        self.steps = self._serve()
        next(self.steps)

    def _serve(self) -> Steps[None]:
        while (end := self._unread.find(b"\r\n\r\n")) < 0:
            self._unread += yield []
        self.sock.sendall(upgrade_response((yield from self._exactly(end + 4))))
        while True:
            opcode, start = yield from self._read_message()
            turn = self._answer(opcode, start)
            if turn:
                self._unread += yield turn
            if opcode == CLOSE:
                return

    def _read_message(self) -> Steps[tuple[int, bytes]]:
        """Gives the opcode of a message and its first bytes, answering pings between its fragments."""
        kind, start = 0, b""
        while True:
            first, second = yield from self._exactly(2)
            opcode, size = first & 0x0F, second & 0x7F
            if size >= 126:
                size = int.from_bytes((yield from self._exactly(2 if size == 126 else 8)), "big")
            key = yield from self._exactly(4)
            kept = min(size, KEPT if opcode >= CLOSE else KEPT - len(start))
            data = apply_mask((yield from self._exactly(kept)), key)
            yield from self._skip(size - kept)
            if opcode >= CLOSE and kind:
                self._answer(opcode, data)
                continue
            kind, start = kind or opcode, start + data
            if first & 0x80:
                return kind, start

    def _exactly(self, size: int) -> Steps[bytes]:
        while len(self._unread) < size:
            self._unread += yield []
        data = bytes(self._unread[:size])
        del self._unread[:size]
        return data

    def _skip(self, size: int) -> Steps[None]:
        size -= len((yield from self._exactly(min(size, len(self._unread)))))
        while size:
            chunk = yield []  # past the buffer: an upload is as fast as it can be read
            self._unread += chunk[size:]
            size -= min(size, len(chunk))

    def _answer(self, opcode: int, start: bytes) -> list[bytes]:
        if opcode == CLOSE:
            self.sock.sendall(text_frame(start, opcode=CLOSE))
        elif opcode == PING:
            self.sock.sendall(pong_frame(start))
        elif opcode != PONG:
            return self._answer_request(start)
        return []

    def _answer_request(self, start: bytes) -> list[bytes]:
        if len(start) >= KEPT:
            kind = _TYPE.search(start)
            self.sock.sendall(text_frame(frames.ack(kind[1].decode() if kind else "post_message", "s1")))
            return []
        frame = json.loads(start)
        kind, session_id = frame["type"], frame.get("session_id", "s1")
        if kind == "post_message":
            return self._post(session_id, frame["content"])
        if kind == "create_session":
            answer = frames.session_created("s1")
        elif kind == "ping_session":
            answer = frames.pong(session_id)
        elif kind == "get_messages":
            answer = frames.history(session_id, [])
        else:
            answer = frames.ack(kind, session_id)
        self.sock.sendall(text_frame(answer))
        return []

    def _post(self, session_id: str, content: object) -> list[bytes]:
        order = json.loads(content) if isinstance(content, str) and content.startswith("{") else {}
        if "prepare" in order:
            blast(session_id, **order["prepare"])
        if "blast" in order:
            return blast(session_id, **order["blast"])
        self.sock.sendall(_bytes(turn(session_id, "m1", ["x"])))
        return []


class Engine:
    """Serves any number of clients.

    Args:
        listener: Where they come from.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)

    def serve(self) -> None:
        """Reads and answers, for as long as the process lives."""
        scratch = memoryview(bytearray(WRITE_SIZE))
        while True:
            for key, _ in self._selector.select():
                client, sock = key.data, key.fileobj
                assert isinstance(sock, socket.socket)
                if client is None:
                    accepted = sock.accept()[0]
                    self._selector.register(accepted, selectors.EVENT_READ, Client(accepted))
                    continue
                try:
                    size = sock.recv_into(scratch)
                    turn = client.steps.send(scratch[:size]) if size else None
                except (OSError, StopIteration):
                    turn = None
                if turn == []:
                    continue
                self._selector.unregister(sock)
                if turn is None:
                    sock.close()
                else:  # a daemon: the harness ends this process by a signal, whoever is connected
                    threading.Thread(target=self._blast, args=(client, turn), daemon=True).start()

    def _blast(self, client: Client, turn: list[bytes]) -> None:
        """Sends what takes long, while other clients are served; what this one sends meanwhile waits, pings too."""
        try:
            while turn:
                for data in turn:
                    client.sock.sendall(data)
                turn = client.steps.send(memoryview(b""))
        except (OSError, StopIteration):
            client.sock.close()
        else:
            self._selector.register(client.sock, selectors.EVENT_READ, client)


def main() -> int:
    """Serves until the process is ended."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print("ready", listener.getsockname()[1], flush=True)
        Engine(listener).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
