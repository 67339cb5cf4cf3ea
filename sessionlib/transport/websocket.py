"""A WebSocket over a stream: one reading thread, any number of writing ones."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from websocket import ABNF

from sessionlib._util.timing import Deadline, held
from sessionlib.net.connect import CancelToken
from sessionlib.protocol.codec import Payload
from sessionlib.transport.base import BUSY, Traffic
from sessionlib.transport.dial import dial
from sessionlib.transport.frame_reader import FrameReader
from sessionlib.transport.frame_writer import encode_frame
from sessionlib.transport.handshake import shake_hands
from sessionlib.transport.proxy import choose_proxy, parse_proxy
from sessionlib.transport.stream import BufferedStream, wrap

__all__ = ["WebSocketTransport", "open_websocket"]


def open_websocket(
    url: str,
    key: str,
    deadline: Deadline,
    attempt: CancelToken,
    *,
    max_message_size: int,
    tls: ssl.SSLContext | None = None,
    proxy: str | None = None,
    proxy_always: bool = False,
    headers: Mapping[str, str] | None = None,
) -> WebSocketTransport:
    """Connects, performs the opening handshake, and returns the transport.

    Args:
        url: A ``ws`` or ``wss`` URL.
        key: The API key.
        deadline: When to stop waiting.
        attempt: What another thread can cancel it by.
        max_message_size: The largest message accepted, in bytes.
        tls: What to verify the peer by; None for the system's certificates.
        proxy: URL of the proxy to go through; "" for none; None for the environment's.
        proxy_always: Whether ``proxy`` is used for this machine too.
        headers: Further headers of the handshake.

    Raises:
        ConfigurationError: The proxy's URL cannot be used.
        SessionConnectionError: The engine cannot be reached.
        HandshakeError: It refused the handshake.
        SessionProtocolError: It does not speak WebSocket.
        SessionTimeoutError: It took too long.
    """
    # Checked long since: `config.check_url` has refused what is no such URL.
    parts = urlsplit(url)
    chosen = parse_proxy(proxy) if proxy and proxy_always else choose_proxy(proxy, parts)
    stream = wrap(dial(parts, deadline, attempt, tls=tls, proxy=chosen))
    try:
        shake_hands(stream, parts, key, deadline, headers)
    except BaseException:
        stream.close()
        raise
    return WebSocketTransport(stream, max_message_size)


class WebSocketTransport(FrameReader):
    """The `Transport` over a real socket, once the handshake is done.

    Args:
        stream: The socket.
        max_message_size: The largest message accepted, in bytes.

    Attributes:
        traffic: See `Transport`.
    """

    def __init__(self, stream: BufferedStream, max_message_size: int) -> None:
        super().__init__(stream, max_message_size)
        self.traffic = Traffic()
        # How many of the stream's bytes are counted in `traffic`.
        self._counted = 0
        # Held for the length of a message, so that no other comes between its fragments.
        self._message_lock: Any = threading.RLock()

    def send(self, payload: bytes, deadline: Deadline) -> None:
        """Sends one text message, whole; see `Transport.send`."""
        frame = encode_frame(ABNF.OPCODE_TEXT, payload)
        with held(self._message_lock, deadline, BUSY):
            self.write(frame, deadline, message=payload)
        # Counted when it has left: a message that is sent again counts once.
        self.traffic.sent(len(payload))

    def send_chunks(self, chunks: Iterable[tuple[bytes, bool]], deadline: Deadline) -> None:
        """Sends one text message in fragments; see `Transport.send_chunks`."""
        with held(self._message_lock, deadline, BUSY):
            opcode, size = ABNF.OPCODE_TEXT, 0
            try:
                for chunk, is_last in chunks:
                    size += len(chunk)
                    self.write(encode_frame(opcode, chunk, is_last), deadline, is_last, chunks)
                    # RFC 6455, 5.4: the first fragment has the opcode of the message, all further ones that of a
                    # continuation.
                    opcode = ABNF.OPCODE_CONT
            except BaseException:
                if self.in_message:  # its rest will never follow, and no other message may
                    self.abort()
                raise
        self.traffic.sent(size)

    @property
    def last_received_at(self) -> float:
        """When the peer's last bytes came, on the monotonic clock."""
        return self._stream.last_received_at

    @property
    def bytes_received(self) -> int:
        """How many bytes have come from the peer."""
        return self._stream.bytes_received

    def share(self) -> int:
        """Returns the descriptor to poll; see `Transport.share`."""
        return self._stream.share()

    def recv(self, deadline: Deadline | None = None) -> list[Payload]:
        """Waits for text messages; returns all that have arrived; see `Transport.recv`."""
        messages = FrameReader.recv(self, deadline)  # `super()` would cost each read more
        # Per read and not per message: a fast stream brings hundreds with each.
        traffic, received = self.traffic, self._stream.bytes_received
        traffic.messages_in += len(messages)
        traffic.bytes_in += received - self._counted
        self._counted = received
        return messages

    def enqueue(self, payload: bytes, *, more: bool = False) -> None:
        """Sends one small text message as soon as that is possible without waiting; see `Transport.enqueue`."""
        self.traffic.sent(len(payload))
        super().enqueue(payload, more=more)
