"""A link as others see it from within: what passes is counted, and told to the log where that is asked for.

Each line begins with what it is: ``<`` received, ``>`` sent, ``%`` keepalive, ``!`` trouble. It tells a frame's type
and size and nothing of its content, unless the logger ``sessionlib.content`` was itself set to DEBUG.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionlibError
from sessionlib.protocol import codec
from sessionlib.protocol.codec import Payload
from sessionlib.streams.stats import Counters
from sessionlib.transport.base import Transport

__all__ = ["LoggingTransport"]

logger = logging.getLogger("sessionlib")
content_logger = logging.getLogger("sessionlib.content")

KEEPALIVE = frozenset({"ping_session", "pong"})
_PING = b'{"type":"ping_session"'
_SHOWN = 2000


class LoggingTransport:
    """A `Transport` around another one.

    Args:
        inner: The other one.
        gauges: What counts.
        session_id: Tells whose link it is.
        key: The key that it was opened with, which is never told; "" when there was none.

    Attributes:
        inner: The other one.
    """

    def __init__(self, inner: Transport, gauges: Counters, session_id: Callable[[], str | None], key: str = "") -> None:
        self.inner = inner
        self._gauges = gauges
        self._session_id = session_id
        self._key = key
        self._closing = False
        self._received = 0
        # The latest message in fragments, as it was given and as it is passed on.
        self._message_given: object = None
        self._message: Iterable[tuple[bytes, bool]] = ()
        gauges.begin_link()

    def has_left(self, message: object) -> bool:
        """See `Transport.has_left`."""
        return self.inner.has_left(self._message if message is self._message_given else message)

    @property
    def last_received_at(self) -> float:
        """See `Transport.last_received_at`."""
        return self.inner.last_received_at

    @property
    def bytes_received(self) -> int:
        """See `Transport.bytes_received`."""
        return self.inner.bytes_received

    def recv(self, deadline: Deadline | None = None) -> list[Payload]:
        """Waits for messages; see `Transport.recv`."""
        try:
            messages = self.inner.recv(deadline)
        except SessionlibError as error:
            if not self._closing:
                logger.debug("! session %s: %s", self._session_id(), error)
            raise
        gauges = self._gauges
        gauges.messages_in += len(messages)
        received = self.inner.bytes_received
        gauges.bytes_in += received - self._received
        self._received = received
        if logger.isEnabledFor(logging.DEBUG):
            for message in messages:
                self._tell("<", bytes(message))
        return messages

    def send(self, payload: bytes, deadline: Deadline) -> None:
        """Sends one message; see `Transport.send`."""
        if logger.isEnabledFor(logging.DEBUG):
            self._tell(">", payload)
        self.inner.send(payload, deadline)
        self._gauges.sent(len(payload))

    def send_pieces(self, pieces: Iterable[tuple[bytes, bool]], deadline: Deadline) -> None:
        """Sends one message in pieces; see `Transport.send_pieces`."""
        size = 0

        def counted() -> Iterator[tuple[bytes, bool]]:
            nonlocal size
            for piece, is_last in pieces:
                size += len(piece)
                yield piece, is_last

        self._message_given, self._message = pieces, counted()
        self.inner.send_pieces(self._message, deadline)
        self._gauges.sent(size)
        logger.debug("> session %s a post with files, %d bytes", self._session_id(), size)

    def enqueue(self, payload: bytes) -> None:
        """Leaves one small message to be sent; see `Transport.enqueue`."""
        if payload.startswith(_PING):
            self._gauges.pinged()
        if logger.isEnabledFor(logging.DEBUG):
            self._tell(">", payload)
        self._gauges.sent(len(payload))
        self.inner.enqueue(payload)

    def ping(self) -> None:
        """Leaves a WebSocket ping to be sent; see `Transport.ping`."""
        logger.debug("%% session %s ping", self._session_id())
        self.inner.ping()

    def close(self, code: int = 1000, reason: str = "", deadline: Deadline | None = None) -> None:
        """Starts the closing handshake; see `Transport.close`."""
        self._closing = True
        self.inner.close(code, reason, deadline)

    def abort(self) -> None:
        """Ends the connection at once; see `Transport.abort`."""
        self.inner.abort()

    def release(self) -> None:
        """Gives the socket back; see `Transport.release`."""
        self._closing = True
        self.inner.release()

    def _tell(self, sign: str, payload: bytes) -> None:
        frame_type = _type_of(payload)
        content = ""
        # Its own level, and not one that it inherits: content is for those who ask for it.
        if content_logger.level == logging.DEBUG:
            text = payload[:_SHOWN].decode("utf-8", "replace")
            content = f" {text.replace(self._key, '***') if self._key else text}"
        sign = "%" if frame_type in KEEPALIVE else sign
        logger.debug("%s session %s %s, %d bytes%s", sign, self._session_id(), frame_type, len(payload), content)


def _type_of(payload: bytes) -> str:
    try:
        frame = codec.loads(payload)
    except ValueError:
        return "(no frame)"
    told = frame.get("type") if isinstance(frame, dict) else None
    return told[:80] if isinstance(told, str) and told.isprintable() else "(no frame)"
