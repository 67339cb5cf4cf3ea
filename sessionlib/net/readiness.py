"""Waiting for sockets, without a limit on how high their numbers are."""

from __future__ import annotations

import select
from collections.abc import Iterable
from typing import Protocol, TypeVar

__all__ = ["wait_readable", "wait_writable"]


class HasFileno(Protocol):
    """A socket or a pipe."""

    def fileno(self) -> int:
        """Gives its number, or -1 when it is closed."""


Waited = TypeVar("Waited", bound=HasFileno)


def wait_readable(socks: Iterable[Waited], timeout: float | None) -> list[Waited]:
    """Waits until one of the sockets can be read from, or has ended.

    Args:
        socks: The sockets; closed ones count as ready.
        timeout: Seconds to wait, or None.
    """
    return _wait(list(socks), timeout, reading=True)


def wait_writable(socks: Iterable[Waited], timeout: float | None) -> list[Waited]:
    """Waits until one of the sockets can be written to, or has ended; as `wait_readable`."""
    return _wait(list(socks), timeout, reading=False)


def _wait(socks: list[Waited], timeout: float | None, *, reading: bool) -> list[Waited]:
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
