"""Waiting for a socket within a deadline."""

from __future__ import annotations

import select
import socket

from sessionlib._util.timing import Deadline

__all__ = ["wait_readable", "wait_writable"]


def wait_readable(sock: socket.socket, deadline: Deadline) -> bool:
    """Waits until a read would not block; False when the deadline came first."""
    return _wait(sock, False, deadline)


def wait_writable(sock: socket.socket, deadline: Deadline) -> bool:
    """Waits until a write would not block; False when the deadline came first."""
    return _wait(sock, True, deadline)


def _wait(sock: socket.socket, write: bool, deadline: Deadline) -> bool:
    left = deadline.remaining()
    if not hasattr(select, "poll"):  # Windows
        reads, writes = ([], [sock]) if write else ([sock], [])
        return any(select.select(reads, writes, [], left))
    poll = select.poll()
    poll.register(sock, select.POLLOUT if write else select.POLLIN)
    return bool(poll.poll(None if left is None else int(left * 1000) + 1))
