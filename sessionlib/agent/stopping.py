"""Ending the runs of one `Agent.map` that are under way in this process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from sessionlib.errors import SessionError

__all__ = ["StoppedError", "Stopper"]


class StoppedError(SessionError):
    """A run was ended because nobody waits for its result any more."""


class Stopper:
    """Ends what is under way, and lets nothing begin.

    Pickled, it arrives as one that nobody will use: runs in other processes end by themselves.
    """

    def __init__(self) -> None:
        # Protects the ways to end what is under way, and whether they have been used.
        self._lock = threading.Lock()
        self._ways: dict[int, Callable[[], object]] = {}
        self._stopped = False

    def __reduce__(self) -> tuple[Any, ...]:
        return (Stopper, ())

    @property
    def stopped(self) -> bool:
        """Whether it was used."""
        return self._stopped

    @contextlib.contextmanager
    def able_to(self, end: Callable[[], object]) -> Iterator[None]:
        """Runs a block that can be ended from outside.

        Args:
            end: Ends it; called on another thread.

        Raises:
            StoppedError: It is too late to begin.
        """
        with self._lock:
            if self._stopped:
                raise StoppedError("the runs were stopped")
            self._ways[id(end)] = end
        try:
            yield
        finally:
            with self._lock:
                self._ways.pop(id(end), None)

    def stop(self) -> None:
        """Ends what is under way here; does not wait for it."""
        with self._lock:
            self._stopped = True
            ways = list(self._ways.values())
        for end in ways:
            end()
