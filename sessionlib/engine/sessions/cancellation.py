"""The off switch of one running turn."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

__all__ = ["Stop", "StoppedError"]


class StoppedError(Exception):
    """A turn was stopped; the text says why."""


class Stop:
    """Stops a turn once, and wakes what it waits for."""

    def __init__(self) -> None:
        # Protects the reason and the calls.
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._calls: list[Callable[[], None]] = []

    @property
    def stopped(self) -> bool:
        """Whether the turn was stopped."""
        return self._reason is not None

    @property
    def reason(self) -> str:
        """Why, or "" while it was not."""
        return self._reason or ""

    def stop(self, reason: str) -> None:
        """Stops the turn; only the first reason counts."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def check(self) -> None:
        """Does nothing while the turn may go on.

        Raises:
            StoppedError: It was stopped.
        """
        if self._reason is not None:
            raise StoppedError(self._reason)

    @contextlib.contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        """Calls ``call`` when the turn is stopped during the block, or was before it."""
        with self._lock:
            stopped = self.stopped
            if not stopped:
                self._calls.append(call)
        if stopped:
            call()
        try:
            yield
        finally:
            with self._lock:
                if call in self._calls:
                    self._calls.remove(call)
