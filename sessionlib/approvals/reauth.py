"""Requests to authorise an account again: shown to a person once, as no frame answers them."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable

from sessionlib.approvals.models import key_of
from sessionlib.events import SessionEvent
from sessionlib.protocol.turns import EventOrigin, PendingPost
from sessionlib.streams.mailbox import QUEUE_BYTES, weight

__all__ = ["ReauthHandler", "ReauthManager"]

ReauthHandler = Callable[[SessionEvent], object]

_NOTIFIED = 10_000
"""So many requests are known to have been shown; one that comes again after as many more is shown again."""


class ReauthManager:
    """The reauthorisation requests of a session, and the handlers that are notified of them.

    About 8 MiB of requests wait for a handler; of more, the oldest are forgotten.
    """

    def __init__(self) -> None:
        # Protects the handlers and what they have been notified of.
        self._lock = threading.Lock()
        self._handlers: list[ReauthHandler] = []
        self._pending: dict[str, tuple[SessionEvent, EventOrigin]] = {}
        self._bytes = 0
        self._notified: dict[str, None] = {}

    def register(self, handler: ReauthHandler) -> Callable[[], None]:
        """Adds a handler; returns the function that removes it."""
        if not callable(handler):
            raise TypeError(f"a reauthorisation handler is a callable, not {type(handler).__name__}")
        with self._lock:
            self._handlers.append(handler)
        return functools.partial(self._remove, handler)

    def note(self, event: SessionEvent, origin: EventOrigin) -> None:
        """Takes in a request."""
        with self._lock:
            # An engine may repeat it after a rejoin, and a person need not be asked twice.
            if key_of(event) not in self._notified and key_of(event) not in self._pending:
                self._pending[key_of(event)] = (event, origin)
                self._bytes += weight(event)
                while self._bytes > QUEUE_BYTES and len(self._pending) > 1:
                    # The oldest: a dict keeps the order in which they came.
                    self._drop(next(iter(self._pending)))

    def unclaimed(self) -> list[SessionEvent]:
        """Returns the requests that handlers can be notified of and that no reader of a turn will handle."""
        with self._lock:
            if not self._handlers:
                return []
            return [
                event
                for event, origin in self._pending.values()
                if not is_attended(origin.ticket) and not origin.course.over
            ]

    def notify(self, event: SessionEvent) -> bool:
        """Notifies the handlers, on the calling thread and once; False when there are none.

        Raises:
            Exception: What a handler raised.
        """
        with self._lock:
            # Called outside the lock, as they may block for as long as a person takes.
            handlers = list(self._handlers)
            was_notified = key_of(event) in self._notified
            if handlers:
                self._notified[key_of(event)] = None
                if len(self._notified) > _NOTIFIED:
                    del self._notified[next(iter(self._notified))]
                self._drop(key_of(event))
        for handler in () if was_notified else handlers:
            handler(event)
        return was_notified or bool(handlers)

    def _drop(self, key: str) -> None:
        dropped = self._pending.pop(key, None)
        self._bytes -= weight(dropped[0]) if dropped else 0

    def _remove(self, handler: ReauthHandler) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._handlers.remove(handler)


def is_attended(ticket: PendingPost | None) -> bool:
    """Whether a reader of its turn handles its requests."""
    return ticket is not None and ticket.attended
