"""The bytes: websocket-client behind a few verbs, its exceptions translated.

Nothing above this room knows of sockets or WebSocket frames, and ``websocket`` is imported nowhere else.
"""

from __future__ import annotations

from typing import Protocol

from sessionlib.timing import Deadline

__all__ = ["Transport"]


class Transport(Protocol):
    """A connected WebSocket, read by one thread and written by any."""

    def send(self, payload: bytes, deadline: Deadline) -> None:
        """Sends one text message, whole.

        Raises:
            SessionTimeoutError: It did not go out in time; the transport is dead.
            SessionDisconnectedError: The transport is dead.
        """

    @property
    def has_unsent(self) -> bool:
        """Whether a message that was interrupted has left in part, and its rest will follow."""

    @property
    def heard(self) -> float:
        """When the peer's last bytes came, on the monotonic clock."""

    def recv(self, deadline: Deadline | None = None) -> list[bytes]:
        """Waits for text messages and gives all that have arrived, at least one.

        Raises:
            SessionTimeoutError: None came before the deadline; the transport is of no use any more.
            SessionDisconnectedError: The connection has ended; ``code`` and ``reason`` tell how.
            SessionProtocolError: The peer sent what WebSockets do not allow; it has been told.
        """

    def post(self, payload: bytes) -> None:
        """Sends one small text message as soon as that is possible without waiting, now or later."""

    def ping(self) -> None:
        """Sends a WebSocket ping as soon as that is possible without waiting, now or later."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Starts the closing handshake without waiting for the peer; `recv` tells when it is over."""

    def abort(self) -> None:
        """Ends the connection at once, waking whoever reads or writes."""

    def release(self) -> None:
        """Gives the socket back; for the reading thread, once it reads no more."""
