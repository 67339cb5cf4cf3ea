"""Waiting for sockets within a deadline, by poll(), which takes descriptors of any number.

``select`` fails for descriptors from 1024 on; it is used only where there is no poll (Windows).
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar

from sessionlib._util.timing import Deadline

__all__ = ["Waker", "wait_any", "wait_readable", "wait_writable"]


_HAS_POLL = hasattr(select, "poll")
_READ, _WRITE = (select.POLLIN, select.POLLOUT) if _HAS_POLL else (1, 4)


class HasFileno(Protocol):
    """A socket or a pipe."""

    def fileno(self) -> int:
        """Returns its descriptor, or -1 when it is closed."""


Waited = TypeVar("Waited", bound=HasFileno)


def wait_readable(sock: HasFileno, deadline: Deadline, waker: Waker | None = None) -> bool:
    """Waits until a read would not block: there is data, the peer has ended, or the socket is closed.

    Args:
        sock: What is to be read.
        deadline: When to stop waiting.
        waker: Ends the wait early.

    Returns:
        Whether ``sock`` is ready; False when the deadline or the waker came first.
    """
    return _wait_one(sock, _READ, deadline, waker)


def wait_writable(sock: HasFileno, deadline: Deadline, waker: Waker | None = None) -> bool:
    """Waits until a write would not block; as `wait_readable`."""
    return _wait_one(sock, _WRITE, deadline, waker)


def wait_any(deadline: Deadline, *, readable: Sequence[Waited] = (), writable: Sequence[Waited] = ()) -> list[Waited]:
    """Waits until at least one of several sockets is ready.

    Args:
        deadline: When to stop waiting.
        readable: Sockets to read from.
        writable: Sockets to write to; none may be in both.

    Returns:
        Those that are ready, have ended, or are closed; empty when the deadline came first.
    """
    known: dict[int, Waited] = {}
    events: dict[int, int] = {}
    closed: list[Waited] = []
    for socks, event in ((readable, _READ), (writable, _WRITE)):
        for sock in socks:
            number = sock.fileno()
            if number < 0:
                closed.append(sock)
            else:
                known[number], events[number] = sock, event
    # A closed socket counts as ready, so that its owner meets the error where it reads.
    if closed:  # poll() would refuse them
        return closed
    return [known[number] for number in _wait(events, deadline)]


def _wait_one(sock: HasFileno, event: int, deadline: Deadline, waker: Waker | None) -> bool:
    number = sock.fileno()
    if number < 0:
        return True
    events = {number: event}
    if waker is not None:
        # Also where the socket is ready: a thread that was asked to end must not be kept by a peer that never stops.
        if waker.is_set():
            return False
        events[waker.fileno()] = _READ
    return number in _wait(events, deadline)


def _wait(events: dict[int, int], deadline: Deadline) -> Collection[int]:
    while True:
        timeout = deadline.remaining()
        ready: Collection[int]
        if _HAS_POLL:
            poll = select.poll()
            for number, event in events.items():
                poll.register(number, event)
            # Rounded up, or the last millisecond would be spent polling.
            ready = dict(poll.poll(None if timeout is None else math.ceil(timeout * 1000)))
        else:  # pragma: no cover - Windows
            reads = [number for number, event in events.items() if event == _READ]
            writes = [number for number, event in events.items() if event == _WRITE]
            # Whether a connection was refused is in the third list there.
            found = select.select(reads, writes, writes, timeout)
            ready = {number for numbers in found for number in numbers}
        # A deadline may be further away than one wait can last.
        if ready or deadline.expired:
            return ready


class Waker:
    """A flag that a poll can see: once set it stays set, and every wait on it returns at once.

    Threads that wait for a socket and for this together, and never block in ``recv`` or ``accept``, end without a
    timeout and without closing a descriptor that another thread uses.
    """

    def __init__(self) -> None:
        # Not a pipe, which select() does not take on Windows.
        self._reader, self._writer = socket.socketpair()
        self._is_set = False

    def set(self) -> None:
        """Wakes every thread that waits, now and later."""
        if not self._is_set:
            self._is_set = True
            with contextlib.suppress(OSError):  # closed meanwhile, when no thread waits any more
                # The byte is never read, so that the descriptor stays readable for every thread that waits on it.
                self._writer.send(b"!")

    def is_set(self) -> bool:
        """Whether `set` was called."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set, for up to ``timeout`` seconds; returns whether it is."""
        if not self._is_set:
            wait_readable(self, Deadline(timeout))
        return self._is_set

    def close(self) -> None:
        """Frees the descriptors; no thread may wait for it any more."""
        self._is_set = True
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """The descriptor that becomes readable."""
        return self._reader.fileno()
