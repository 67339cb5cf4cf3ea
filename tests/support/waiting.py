"""Waiting for what happens by itself."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SLACK = 1.0
"""Seconds that a machine under load may take on top of what is promised, beside those in which it stood still."""


def eventually(condition: Callable[[], object], timeout: float = 60.0, interval: float = 0.005) -> bool:
    """Waits until a condition holds; tells whether it does."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= end:
            return bool(condition())
        time.sleep(interval)
    return True


class Stalls:
    """Measures for how long this process got no turn while a block ran; a context manager.

    A thread asks to be woken all the time. By what it is woken too late, whatever runs beside it may have been late.
    """

    _EVERY = 0.01
    # Threads that take turns, and processes that do on a busy machine, are late by about that much all the time.
    _USUAL = 0.02

    def __init__(self) -> None:
        # How long it was before the thread last woke up, and when that was: one object, as two threads use both.
        self._counted = (0.0, math.inf)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)

    @property
    def seconds(self) -> float:
        """How long that was, so far, with what the thread is late for right now: others may have woken up before it."""
        seconds, woken = self._counted
        late = time.monotonic() - woken - self._EVERY
        return seconds + (late if late > self._USUAL else 0.0)

    def __enter__(self) -> Stalls:
        self._counted = (0.0, time.monotonic())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._counted = (self.seconds, math.inf)

    def _watch(self) -> None:
        while not self._over.wait(self._EVERY):
            self._counted = (self.seconds, time.monotonic())


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails when a block takes longer than promised, also where it ends with an error.

    How long the process stood still is not held against it.
    """
    with Stalls() as stalls:
        began = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - began
            allowed = seconds + SLACK + stalls.seconds
            assert took <= allowed, (
                f"took {took:.2f} s where {seconds} s are promised, {stalls.seconds:.2f} s of stalls"
            )


def is_up(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
