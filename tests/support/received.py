"""What an engine heard, and waiting to hear it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from sessionlib.protocol.frames import Frame


class Received(Frame):
    """A frame that a client sent, as the dict it is.

    Attributes:
        at: When it was complete, on the monotonic clock.
        connection: The number of its connection, from 1.
        number: How many of its type had come with it. A hook that counts those that came instead counts on while it
            is late.
        size: Length of its JSON in bytes.
    """

    def __init__(self, frame: Frame, at: float, connection: int, size: int) -> None:
        super().__init__(frame)
        self.at = at
        self.connection = connection
        self.number = 0
        self.size = size


class Control(Received):
    """A ping, pong, close or binary message, as ``{"type": "ws:ping", "payload": b""}``."""


class ReceivedLog:
    """Everything that clients did, and everything that went wrong with the engine's own hooks.

    Attributes:
        heads: The request heads, in order.
        accepted: The numbers of the connections whose handshakes were accepted.
        violations: How clients broke RFC 6455.
        errors: What hooks raised.
    """

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.accepted: list[int] = []
        self.violations: list[str] = []
        self.errors: list[BaseException] = []
        self._frames: list[Received] = []
        self._counts: Counter[str] = Counter()
        self._changed = threading.Condition()  # protects everything here, and reports each change

    # -- written by connections --

    def add(self, frame: Received) -> None:
        with self._changed:
            self._frames.append(frame)
            self._counts[frame["type"]] += 1
            frame.number = self._counts[frame["type"]]
            self._changed.notify_all()

    def note(self, kept: list[Any], what: object) -> None:
        """Adds to one of the other lists."""
        with self._changed:
            kept.append(what)
            self._changed.notify_all()

    def touch(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # -- read by tests --

    @property
    def frames(self) -> list[Received]:
        with self._changed:
            return list(self._frames)

    @property
    def opened(self) -> int:
        return len(self.accepted)

    def count(self, frame_type: str) -> int:
        with self._changed:
            return self._counts[frame_type]

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Waits until a condition on the log holds; tells whether it does."""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self.errors, timeout)
            if self.errors and not condition():
                raise self.errors[0]
            return condition()
