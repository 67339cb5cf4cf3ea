"""What a session needs of a connection, and what passes over it in numbers.

Nothing above this package knows of sockets or WebSocket frames.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Protocol

from sessionlib._util.timing import Deadline
from sessionlib.protocol.codec import Payload

__all__ = ["BUSY", "NOW", "Traffic", "Transport"]

# Why a message could not begin to leave in time.
BUSY = "other messages were still being sent"
# The deadline of a read that does not wait; known by its identity.
NOW = Deadline(0.0)
_PINGS = 16


class Traffic:
    """Counts what passes over the transports of one session, one after another.

    Attributes:
        messages_in: Messages received; written by the reading thread alone.
        bytes_in: Bytes received, with framing and handshakes; likewise.
        messages_out: Messages sent, or queued to be sent.
        bytes_out: Their bytes, without framing.
        pings: When the session's latest pings left that no pong has answered, on the monotonic clock.
    """

    def __init__(self) -> None:
        self.messages_in = 0
        self.bytes_in = 0
        self.messages_out = 0
        self.bytes_out = 0
        self.pings: list[float] = []
        # Protects what any thread that sends adds to.
        self._lock = threading.Lock()

    def pinged(self, now: float) -> None:
        """Notes that a ping of the session leaves."""
        # The oldest are dropped: an engine that answers no ping must not fill the memory.
        del self.pings[: 1 - _PINGS]
        self.pings.append(now)

    def sent(self, size: int) -> None:
        """Counts a message of so many bytes that leaves."""
        with self._lock:
            self.messages_out += 1
            self.bytes_out += size


class Transport(Protocol):
    """A connected WebSocket, read by one thread and written by any.

    Attributes:
        traffic: What counts what passes; its own, until the session sets it to the one it has for all its connections.
    """

    traffic: Traffic

    def send(self, payload: bytes, deadline: Deadline) -> None:
        """Sends one text message, whole.

        Raises:
            SessionTimeoutError: It did not go out in time; the transport is dead.
            SessionDisconnectedError: The transport is dead.
        """

    def send_chunks(self, chunks: Iterable[tuple[bytes, bool]], deadline: Deadline) -> None:
        """Sends one text message in fragments, each of which is made when the one before has left.

        Other messages wait until it is over; pings and pongs do not.

        Args:
            chunks: The chunks, and of each whether it is the last.
            deadline: When to stop waiting.

        Raises:
            SessionTimeoutError: It did not go out in time; the transport is dead.
            SessionDisconnectedError: The transport is dead.
            Exception: What ``chunks`` raised; the transport is dead if a part of the message has left.
        """

    def has_left(self, message: object) -> bool:
        """Whether a message has left, or its rest will, though sending it was interrupted.

        Args:
            message: What `send` or `send_chunks` was given, by identity; the latest of them.
        """

    @property
    def last_received_at(self) -> float:
        """When the peer's last bytes came, on the monotonic clock."""

    @property
    def bytes_received(self) -> int:
        """How many bytes have come from the peer."""

    def recv(self, deadline: Deadline | None = None) -> list[Payload]:
        """Waits for text messages; returns all that have arrived, at least one.

        The messages are valid until it is called again.

        Args:
            deadline: How long to wait. `NOW`, after `share`: it does not wait, reads from the socket once at most, and
                returns an empty list when no message is whole.

        Raises:
            SessionTimeoutError: None came before the deadline; the transport is of no use any more.
            SessionDisconnectedError: The connection has ended; ``code`` and ``reason`` describe how.
            SessionProtocolError: The peer sent what WebSockets do not allow; a close frame with the reason was sent.
        """

    def share(self) -> int:
        """Prepares for a thread that reads many transports; returns the descriptor to poll, -1 when there is none."""

    @property
    def has_unread(self) -> bool:
        """Whether another `recv` may return more although nothing comes over the descriptor."""

    def enqueue(self, payload: bytes, *, more: bool = False) -> None:
        """Sends one small text message as soon as that is possible without waiting, now or later.

        Args:
            payload: The message.
            more: Whether the close follows at once: then it leaves with that, in one write.
        """

    def ping(self) -> None:
        """Sends a WebSocket ping as soon as that is possible without waiting, now or later."""

    def close(self, code: int = 1000, reason: str = "", deadline: Deadline | None = None) -> None:
        """Starts the closing handshake without waiting for the peer to answer; `recv` raises when it is over.

        Args:
            code: The close code.
            reason: The reason in the close frame.
            deadline: Until when to wait for the peer to take in what is to be sent; None does not wait.
        """

    def abort(self) -> None:
        """Ends the connection at once, waking threads that read or write."""

    def release(self) -> None:
        """Closes the socket; for the reading thread, once it reads no more."""
