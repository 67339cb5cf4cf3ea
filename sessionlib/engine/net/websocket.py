"""The engine's end of one WebSocket: wsproto reads the frames, the outlet carries the answers.

Compression is never agreed to, so that no small frame can become a large message.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Message, Ping, Request
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from sessionlib.engine.limits import Limits
from sessionlib.engine.net.http import HttpError
from sessionlib.engine.net.outlet import Outlet, close_frame
from sessionlib.engine.net.readiness import wait_readable
from sessionlib.timing import Deadline

__all__ = ["WebSocket", "accept"]

UNSUPPORTED_DATA = 1003
MESSAGE_TOO_BIG = 1009
_PING = b"\x89\x00"


def accept(head: bytes) -> tuple[WSConnection, bytes]:
    """Answers a WebSocket handshake.

    Args:
        head: The request's head and what came after it.

    Returns:
        The protocol object, and the bytes that accept the connection.

    Raises:
        HttpError: It is no WebSocket handshake of version 13.
    """
    protocol = WSConnection(ConnectionType.SERVER)
    try:
        protocol.receive_data(head)
        if not isinstance(next(protocol.events(), None), Request):
            raise HttpError(400, "this is no WebSocket handshake")
        return protocol, protocol.send(AcceptConnection())
    except (RemoteProtocolError, LocalProtocolError):
        headers = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        raise HttpError(426, "this address speaks WebSocket, version 13", headers) from None


class WebSocket:
    """Reads one client's messages, on one thread, and answers its pings and its close.

    Args:
        protocol: The protocol object, after the handshake.
        sock: The socket; non-blocking.
        outlet: Where answers go.
        limits: Of messages, and of silence.
    """

    def __init__(self, protocol: WSConnection, sock: socket.socket, outlet: Outlet, limits: Limits) -> None:
        self._protocol = protocol
        self._sock = sock
        self._outlet = outlet
        self._limits = limits
        self._pieces: list[bytes] = []
        self._size = 0
        self._waiting = False

    def messages(self) -> Iterator[bytes]:
        """Gives the client's messages until the connection ends, whoever ends it."""
        data: bytes | None = b""
        while data is not None:
            if data:
                self._protocol.receive_data(data)
            for event in self._protocol.events():
                whole = self._take(event)
                if whole is not None:
                    yield whole
                if self._outlet.closing:
                    return
            data = self._receive()

    def settle(self, deadline: Deadline) -> None:
        """Waits until all that had arrived when this was called is handled, from any thread."""
        while not deadline.expired and self._sock.fileno() != -1:
            # In this order: what is not readable any more was taken by the reader, which waits again only
            # when it is done with it.
            if not wait_readable([self._sock], 0.0) and self._waiting:
                return
            time.sleep(0.001)

    def close(self, code: int, reason: str) -> None:
        """Sends a close frame; the reading ends when the client answers or does not."""
        self._outlet.finish(close_frame(code, reason))

    def _take(self, event: Event) -> bytes | None:
        if isinstance(event, BytesMessage):
            self.close(UNSUPPORTED_DATA, "text messages only")
        elif isinstance(event, Message):
            return self._collect(event)
        elif isinstance(event, Ping):
            self._outlet.send(self._protocol.send(event.response()))
        elif isinstance(event, CloseConnection):
            self._outlet.finish(self._protocol.send(event.response()))
        return None

    def _collect(self, event: Message[Any]) -> bytes | None:
        piece = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._limits.message_bytes:
            self.close(MESSAGE_TOO_BIG, f"a message has at most {self._limits.message_bytes} bytes")
        if not event.message_finished or self._outlet.closing:
            return None
        whole = b"".join(self._pieces)
        self._pieces, self._size = [], 0
        return whole

    def _receive(self) -> bytes | None:
        silence = Deadline(3 * self._limits.silence_seconds)
        while not silence.expired:
            self._waiting = True
            ready = wait_readable([self._sock], self._limits.silence_seconds)
            self._waiting = False
            if ready:
                try:
                    return self._sock.recv(65536) or None
                except BlockingIOError:
                    continue
                except OSError:
                    return None
            self._outlet.send(_PING)
        return None
