"""The engine's end of one WebSocket: wsproto reads the frames, the outlet carries the answers.

Compression is never agreed to, so that no small frame can become a large message.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

from wsproto.connection import Connection, ConnectionType
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Message, Ping, Request
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, Opcode, RsvBits
from wsproto.handshake import H11Handshake
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from sessionlib._util.timing import Deadline
from sessionlib.engine.limits import Limits
from sessionlib.engine.server.http import HttpError
from sessionlib.engine.server.send_queue import SendQueue, close_frame
from sessionlib.net.sockets import wait_readable

__all__ = ["WebSocket", "accept"]

UNSUPPORTED_DATA = 1003
MESSAGE_TOO_BIG = 1009
_PING = b"\x89\x00"


def accept(head: bytes) -> bytes:
    """Answers a WebSocket handshake.

    Args:
        head: The request's head.

    Returns:
        The bytes that accept the connection.

    Raises:
        HttpError: It is no WebSocket handshake of version 13.
    """
    handshake = H11Handshake(ConnectionType.SERVER)
    try:
        # Only the head: what is behind it are frames, which `WebSocket` is given.
        handshake.receive_data(head)
        if not isinstance(next(handshake.events(), None), Request):
            raise HttpError(400, "this is no WebSocket handshake")
        return handshake.send(AcceptConnection())
    except (RemoteProtocolError, LocalProtocolError):
        headers = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        raise HttpError(426, "this address speaks WebSocket, version 13", headers) from None


class _SizeLimit(Extension):
    """Refuses a message by what its frames' headers announce, before any of it is read.

    Never on the wire: an extension is where wsproto lets somebody look at a header.
    """

    def __init__(self, limit: int) -> None:
        self.exceeded = False
        self._limit = limit
        self._size = 0
        self._control = False

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return False

    def frame_inbound_header(
        self, proto: object, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        # Nothing is counted here: a header that arrives in two chunks is shown twice.
        self._control = opcode.iscontrol()
        self.exceeded = not self._control and self._size + payload_length > self._limit
        return CloseReason.MESSAGE_TOO_BIG if self.exceeded else RsvBits(False, False, False)

    def frame_inbound_payload_data(self, proto: object, data: bytes) -> bytes:
        self._size += 0 if self._control else len(data)
        return data

    def frame_inbound_complete(self, proto: object, fin: bool) -> None:
        if fin and not self._control:
            self._size = 0


class WebSocket:
    """Reads one client's messages, on one thread, and answers its pings and its close.

    Args:
        sock: The socket; non-blocking, after the handshake.
        received: What came behind the handshake so far.
        outlet: Where answers go.
        limits: Of messages, and of silence.
    """

    def __init__(self, sock: socket.socket, received: bytes, outlet: SendQueue, limits: Limits) -> None:
        self._size_limit = _SizeLimit(limits.message_bytes)
        # What came with the handshake's request may hold the first frames already.
        self._protocol = Connection(ConnectionType.SERVER, [self._size_limit], received)
        self._sock = sock
        self._outlet = outlet
        self._limits = limits
        # One buffer, not a list: a message may come in millions of tiny fragments.
        self._message = bytearray()
        self._waiting = False

    def messages(self) -> Iterator[bytes]:
        """Returns the client's messages until either side ends the connection."""
        data: bytes | None = b""
        while data is not None:
            if data:
                self._protocol.receive_data(data)
            for event in self._protocol.events():
                whole = self._take(event)
                if whole is not None:
                    yield whole
                # A close was sent: what comes behind it is of no effect any more.
                if self._outlet.closing:
                    return
            data = self._receive()

    def settle(self, deadline: Deadline) -> None:
        """Waits until all that had arrived when this was called is handled, from any thread."""
        while not deadline.expired and self._sock.fileno() != -1:
            # In this order: what is not readable any more was taken by the reader, which waits again only
            # when it is done with it.
            if not wait_readable(self._sock, Deadline(0.0)) and self._waiting:
                return
            # A poll and no event: the reader is not to do anything for a wait that nearly never happens.
            time.sleep(0.001)

    def close(self, code: int, reason: str) -> None:
        """Sends a close frame; the reading ends when the client answers or does not."""
        self._outlet.finish(close_frame(code, reason))

    def _take(self, event: Event) -> bytes | None:
        if isinstance(event, BytesMessage):
            self.close(UNSUPPORTED_DATA, "text messages only")
        elif isinstance(event, Message):
            self._message += event.data.encode() if isinstance(event.data, str) else event.data
            if event.message_finished:
                whole = bytes(self._message)
                self._message.clear()
                return whole
        elif isinstance(event, Ping):
            # RFC 6455, 5.5.3: a pong has the data of its ping.
            self._outlet.send(self._protocol.send(event.response()))
        elif isinstance(event, CloseConnection) and self._size_limit.exceeded:
            self.close(MESSAGE_TOO_BIG, f"a message has at most {self._limits.message_bytes} bytes")
        elif isinstance(event, CloseConnection):
            self._outlet.finish(self._protocol.send(event.response()))
        return None

    def _receive(self) -> bytes | None:
        # Three pings without an answer: then the client is gone, though TCP does not know it.
        silence = Deadline(3 * self._limits.silence_seconds)
        while not silence.expired:
            self._waiting = True
            ready = wait_readable(self._sock, Deadline(self._limits.silence_seconds))
            self._waiting = False
            if ready:
                try:
                    return self._sock.recv(65536) or None
                except BlockingIOError:
                    continue
                except OSError:
                    return None
            # Also keeps proxies in between from closing an idle connection.
            self._outlet.send(_PING)
        return None
