"""Waiting for sockets, without a limit on how high their numbers are."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterable

__all__ = ["wait_readable", "wait_writable"]


def wait_readable(socks: Iterable[socket.socket], timeout: float | None) -> list[socket.socket]:
    """Waits until one of the sockets can be read from, or has ended.

    Args:
        socks: The sockets; closed ones count as ready.
        timeout: Seconds to wait, or None.
    """
    return _wait(list(socks), timeout, reading=True)


def wait_writable(socks: Iterable[socket.socket], timeout: float | None) -> list[socket.socket]:
    """Waits until one of the sockets can be written to, or has ended; as `wait_readable`."""
    return _wait(list(socks), timeout, reading=False)


def _wait(socks: list[socket.socket], timeout: float | None, *, reading: bool) -> list[socket.socket]:
    numbers = {sock.fileno(): sock for sock in socks}
    if -1 in numbers:
        return [sock for sock in socks if sock.fileno() == -1]
    if not hasattr(select, "poll"):
        ready = select.select(socks, [], [], timeout)[0] if reading else select.select([], socks, [], timeout)[1]
        return list(ready)
    poll = select.poll()
    for number in numbers:
        poll.register(number, select.POLLIN if reading else select.POLLOUT)
    found = poll.poll(None if timeout is None else timeout * 1000)
    return [numbers[number] for number, _ in found]
