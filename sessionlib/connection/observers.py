"""Who wants to know when a session's state changes."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable

from sessionlib._util.executor import Dispatcher
from sessionlib.protocol.state import SessionState

__all__ = ["StateCallback", "StateObservers"]

logger = logging.getLogger("sessionlib")

StateCallback = Callable[[SessionState], object]


class StateObservers:
    """Tells callbacks of changes, one after another on the dispatcher's thread.

    Args:
        dispatcher: Where they run.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        # Protects the callbacks.
        self._lock = threading.Lock()
        self._callbacks: list[StateCallback] = []

    def register(self, callback: StateCallback) -> Callable[[], None]:
        """Adds a callback; gives the function that takes it away again."""
        if not callable(callback):
            raise TypeError(f"a state callback is a callable, not {type(callback).__name__}")
        with self._lock:
            self._callbacks.append(callback)
        return functools.partial(self._remove, callback)

    def tell(self, state: SessionState) -> None:
        """Has every callback told; never waits."""
        with self._lock:
            wanted = bool(self._callbacks)
        if wanted:
            self._dispatcher.submit(functools.partial(self._call, state))

    def _call(self, state: SessionState) -> None:
        with self._lock:
            callbacks = list(self._callbacks)
        for callback in callbacks:
            try:
                callback(state)
            except Exception:  # one that fails must not keep the others from being told
                logger.exception("! a state callback failed")

    def _remove(self, callback: StateCallback) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)
