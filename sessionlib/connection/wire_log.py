"""The wire log: what passes over a connection, one line at level DEBUG of the logger ``sessionlib`` for each message.

Each line begins with what it is: ``<`` received, ``>`` sent, ``%`` keepalive, ``!`` trouble. It has a frame's type
and size and nothing of its content, unless the logger ``sessionlib.content`` was itself set to DEBUG.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionlibError
from sessionlib.protocol import codec
from sessionlib.protocol.codec import Payload
from sessionlib.protocol.frames import KEEPALIVE
from sessionlib.transport.base import Traffic, Transport

__all__ = ["LoggingTransport", "TransportWrapper", "logged"]

logger = logging.getLogger("sessionlib")
content_logger = logging.getLogger("sessionlib.content")

# So many bytes of a message's content are logged.
_SHOWN = 2000


def logged(transport: Transport, session_id: Callable[[], str | None], key: str = "") -> Transport:
    """Has what passes over a new connection logged, where the log wants it.

    Args:
        transport: The connection.
        session_id: Returns the session's id, or None before it was created.
        key: The API key that the connection was opened with, which is never logged; "" when there was none.

    Returns:
        A `LoggingTransport` around it, or ``transport`` itself while the logger is not set to DEBUG: a level that is
        changed later holds from the next connection on.
    """
    # Once per connection: a wrapper in between costs every message a call, even if nothing is logged.
    return LoggingTransport(transport, session_id, key) if logger.isEnabledFor(logging.DEBUG) else transport


class TransportWrapper:
    """A `Transport` that passes all on to another one; a base for those that note what passes.

    Args:
        inner: The other one.

    Attributes:
        inner: The other one.
    """

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self._closing = False
        # The latest message in fragments, as it was given and as it was passed on.
        self._message_given: object = None
        self._message: Iterable[tuple[bytes, bool]] = ()

    def _on_message(self, message: bytes) -> None:
        """Notes a message that was received."""

    def _on_error(self, error: SessionlibError) -> None:
        """Notes why no message was received; not called for an end that this side asked for."""

    def _pass_on(self, given: object, chunks: Iterable[tuple[bytes, bool]], deadline: Deadline) -> None:
        """Sends a message in fragments in place of the one that was given, for which `has_left` is asked."""
        self._message_given, self._message = given, chunks
        self.inner.send_chunks(chunks, deadline)

    @property
    def traffic(self) -> Traffic:
        """See `Transport.traffic`."""
        return self.inner.traffic

    @traffic.setter
    def traffic(self, traffic: Traffic) -> None:
        self.inner.traffic = traffic

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
        """See `Transport.recv`."""
        try:
            messages = self.inner.recv(deadline)
        except SessionlibError as error:
            if not self._closing:
                self._on_error(error)
            raise
        for message in messages:
            # A copy, since a message may be a view into a buffer that is used again.
            self._on_message(bytes(message))
        return messages

    def share(self) -> int:
        """See `Transport.share`."""
        return self.inner.share()

    @property
    def has_unread(self) -> bool:
        """See `Transport.has_unread`."""
        return self.inner.has_unread

    def ping(self) -> None:
        """See `Transport.ping`."""
        self.inner.ping()

    def close(self, code: int = 1000, reason: str = "", deadline: Deadline | None = None) -> None:
        """See `Transport.close`."""
        self._closing = True
        self.inner.close(code, reason, deadline)

    def abort(self) -> None:
        """See `Transport.abort`."""
        self.inner.abort()

    def release(self) -> None:
        """See `Transport.release`."""
        self._closing = True
        self.inner.release()


class LoggingTransport(TransportWrapper):
    """A `Transport` around another one that logs what passes.

    Args:
        inner: The other one.
        session_id: Returns the session's id.
        key: What is never logged.
    """

    def __init__(self, inner: Transport, session_id: Callable[[], str | None], key: str = "") -> None:
        super().__init__(inner)
        self._session_id = session_id
        self._key = key

    def _on_message(self, message: bytes) -> None:
        self._log("<", message)

    def _on_error(self, error: SessionlibError) -> None:
        logger.debug("! session %s: %s", self._session_id(), error)

    def send(self, payload: bytes, deadline: Deadline) -> None:
        """See `Transport.send`."""
        # Before it leaves, or its answer could stand above it.
        self._log(">", payload)
        self.inner.send(payload, deadline)

    def send_chunks(self, chunks: Iterable[tuple[bytes, bool]], deadline: Deadline) -> None:
        """See `Transport.send_chunks`."""
        size = 0

        def counted() -> Iterator[tuple[bytes, bool]]:
            nonlocal size
            for chunk, is_last in chunks:
                size += len(chunk)
                yield chunk, is_last

        # Counted as it passes: the size of a stream is known only at its end.
        self._pass_on(chunks, counted(), deadline)
        logger.debug("> session %s a post with files, %d bytes", self._session_id(), size)

    def enqueue(self, payload: bytes, *, more: bool = False) -> None:
        """See `Transport.enqueue`."""
        self._log(">", payload)
        self.inner.enqueue(payload, more=more)

    def ping(self) -> None:
        """See `Transport.ping`."""
        logger.debug("%% session %s ping", self._session_id())
        self.inner.ping()

    def _log(self, sign: str, payload: bytes) -> None:
        # Before the message is parsed, which costs most.
        if not logger.isEnabledFor(logging.DEBUG):  # the level was changed meanwhile
            return
        try:
            frame = codec.loads(payload)
        except ValueError:
            frame = None
        frame_type = frame.get("type") if isinstance(frame, dict) else None
        # A type is the peer's text: control characters could forge lines of the log.
        name = frame_type[:80] if isinstance(frame_type, str) and frame_type.isprintable() else "(no frame)"
        content = ""
        # Its own level, and not one that it inherits: content is for those who ask for it.
        if content_logger.level == logging.DEBUG:
            text = payload[:_SHOWN].decode("utf-8", "replace")
            content = f" {text.replace(self._key, '***') if self._key else text}"
        sign = "%" if name in KEEPALIVE else sign
        logger.debug("%s session %s %s, %d bytes%s", sign, self._session_id(), name, len(payload), content)
