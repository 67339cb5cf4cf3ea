"""What a tool prints, kept apart from what the program prints.

``sys.stdout`` belongs to the process. While any tool runs it is replaced by a switch that sends what
the tool's own context prints to the tool's buffer, and everything else where it went before.
"""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, TextIO

__all__ = ["Printed", "capture"]

_buffer: ContextVar[Printed | None] = ContextVar("sessionlib_printed", default=None)
# Protects the switches and the count of those who need them.
_lock = threading.Lock()
_users = 0
_switches: list[_Switch] = []


class Printed(io.TextIOBase):
    """Keeps the first ``limit`` characters of what is written to it."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._pieces: list[str] = []
        self._size = 0

    def writable(self) -> bool:
        """Whether it can be written to: yes."""
        return True

    def write(self, text: str) -> int:
        """Keeps what there is room for, and takes the rest all the same."""
        room = self._limit - self._size
        if room > 0:
            self._pieces.append(text[:room])
            self._size += len(self._pieces[-1])
        return len(text)

    @property
    def text(self) -> str:
        """What is kept."""
        return "".join(self._pieces)


class _Switch(io.TextIOBase):
    """Stands in for a standard stream; attributes it does not have are the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    def write(self, text: str) -> int:
        return (_buffer.get() or self.stream).write(text)

    def flush(self) -> None:
        # Another context's buffer, or a stream that its owner has closed since, needs none.
        if _buffer.get() is None and not self.stream.closed:
            self.stream.flush()

    def fileno(self) -> int:
        return self.stream.fileno()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def capture(limit: int) -> Iterator[Printed]:
    """Keeps what this context prints to the standard streams.

    Args:
        limit: Characters that are kept.
    """
    printed = Printed(limit)
    token = _buffer.set(printed)
    _enter()
    try:
        yield printed
    finally:
        _leave()
        _buffer.reset(token)


def _enter() -> None:
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _switches[:] = [_Switch(sys.stdout), _Switch(sys.stderr)]
            sys.stdout, sys.stderr = _switches


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users:
            return
        # Whoever has replaced a stream since keeps theirs.
        if sys.stdout is _switches[0]:
            sys.stdout = _switches[0].stream
        if sys.stderr is _switches[1]:
            sys.stderr = _switches[1].stream
