"""One thread that keeps all sessions of the process alive, and notices links that have died."""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from typing import Protocol

__all__ = ["Heart", "unwatch", "watch"]


class Heart(Protocol):
    """What can be kept alive."""

    def beat(self, now: float) -> float:
        """Does what is due without ever waiting, and gives the time of the next beat."""


class _Keeper:
    """Calls each heart when its time has come; its thread lives for as long as there are any."""

    def __init__(self) -> None:
        # Protects the hearts, their times, and whether the thread runs.
        self._changed = threading.Condition(threading.Lock())
        self._due: list[tuple[float, int, Heart]] = []
        self._hearts: set[Heart] = set()
        self._order = itertools.count()
        self._thread: threading.Thread | None = None

    def watch(self, heart: Heart, first: float) -> None:
        with self._changed:
            self._hearts.add(heart)
            heapq.heappush(self._due, (first, next(self._order), heart))
            self._changed.notify()
            if self._thread is None:
                # A daemon: it must not keep a script alive that forgot to disconnect.
                self._thread = threading.Thread(target=self._run, name="sessionlib-heartbeat", daemon=True)
                self._thread.start()

    def unwatch(self, heart: Heart) -> None:
        with self._changed:
            self._hearts.discard(heart)
            if not self._hearts:
                self._due.clear()
                self._changed.notify()

    def _run(self) -> None:
        while True:
            heart = self._next()
            if heart is None:
                return
            following = heart.beat(time.monotonic())
            with self._changed:
                if heart in self._hearts:
                    heapq.heappush(self._due, (following, next(self._order), heart))

    def _next(self) -> Heart | None:
        """Waits until a heart is due; None when there are none left and the thread is to end."""
        with self._changed:
            while self._hearts:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    heart = heapq.heappop(self._due)[2]
                    if heart in self._hearts:
                        return heart
                else:
                    self._changed.wait(wait)
            self._thread = None
            return None


_keeper = _Keeper()


def watch(heart: Heart, first: float) -> None:
    """Begins to call a heart's `beat`.

    Args:
        heart: What to keep alive.
        first: The time of its first beat, on the monotonic clock; each beat tells the next.
    """
    _keeper.watch(heart, first)


def unwatch(heart: Heart) -> None:
    """Stops calling a heart; it may be in a beat still."""
    _keeper.unwatch(heart)


def _start_anew() -> None:
    # The thread did not come along into the child, and its lock may have.
    global _keeper
    _keeper = _Keeper()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
