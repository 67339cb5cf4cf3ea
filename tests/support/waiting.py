"""Waiting for what happens by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["eventually"]


def eventually(condition: Callable[[], object], timeout: float = 15.0, interval: float = 0.005) -> bool:
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
