"""Waiting for a socket and for an end at once."""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import threading
import traceback

__all__ = ["Waker", "stack", "wait_io"]

_READ_MASK = getattr(select, "POLLIN", 0) | getattr(select, "POLLHUP", 0) | getattr(select, "POLLERR", 0)
_WRITE_MASK = getattr(select, "POLLOUT", 0) | getattr(select, "POLLHUP", 0) | getattr(select, "POLLERR", 0)


class Waker:
    """A flag that a poll can see: once set it stays set, and every wait on it returns at once.

    Threads of the tools for tests block in a poll on their socket and on a waker, never in ``recv`` or
    ``sendall``, so that ending them takes no timeout and no closing of a descriptor in use.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._is_set = False

    def set(self) -> None:
        """Wakes everything that waits, now and later."""
        if not self._is_set:
            self._is_set = True
            with contextlib.suppress(OSError):  # closed meanwhile, because nobody waits any more
                self._writer.send(b"!")

    def is_set(self) -> bool:
        """Whether ``set`` was called."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until set; tells whether it is."""
        if not self._is_set:
            wait_io(None, self, timeout=timeout)
        return self._is_set

    def close(self) -> None:
        """Frees the descriptors; nobody may wait on it any more."""
        self._is_set = True
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """The descriptor that becomes readable."""
        return self._reader.fileno()


def wait_io(sock: socket.socket | None, waker: Waker, *, write: bool = False, timeout: float | None = None) -> bool:
    """Waits until a socket is ready, the waker is set, or the time is over.

    Returns:
        Whether the socket is ready. The caller asks the waker first.
    """
    if not hasattr(select, "poll"):
        return _select_io(sock, waker, write, timeout)
    poll = select.poll()
    poll.register(waker.fileno(), select.POLLIN)
    if sock is not None:
        poll.register(sock.fileno(), _WRITE_MASK if write else _READ_MASK)
    ready = poll.poll(None if timeout is None else max(0.0, timeout) * 1000)
    return sock is not None and any(descriptor == sock.fileno() for descriptor, _ in ready)


def _select_io(sock: socket.socket | None, waker: Waker, write: bool, timeout: float | None) -> bool:
    readers: list[int] = [waker.fileno()]
    writers: list[int] = []
    if sock is not None:
        (writers if write else readers).append(sock.fileno())
    can_read, can_write, _ = select.select(readers, writers, [], timeout)
    return sock is not None and (sock.fileno() in can_read or sock.fileno() in can_write)


def stack(thread: threading.Thread) -> str:
    """Says what a thread is doing, for a failure's message."""
    frame = sys._current_frames().get(thread.ident or 0)
    return "" if frame is None else "".join(traceback.format_stack(frame))
