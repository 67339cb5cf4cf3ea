"""Waiting for what happens by itself."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable

__all__ = ["eventually", "is_up"]


def eventually(condition: Callable[[], object], timeout: float = 60.0, interval: float = 0.005) -> bool:
    """Waits until a condition holds; tells whether it does.

    Example:
        ``assert eventually(lambda: not session.is_connected)``
    """
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= end:
            return bool(condition())
        time.sleep(interval)
    return True


def is_up(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
