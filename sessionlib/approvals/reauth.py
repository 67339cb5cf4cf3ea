"""Requests to authorise an account again: shown to somebody once, since no frame answers them."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable

from sessionlib.approvals.models import key_of
from sessionlib.events import SessionEvent
from sessionlib.protocol.turns import EventOrigin, PendingPost

__all__ = ["ReauthHandler", "ReauthManager"]

ReauthHandler = Callable[[SessionEvent], object]


class ReauthManager:
    """The reauthorisation requests of a session, and who is told of them."""

    def __init__(self) -> None:
        # Protects the handlers and what has been told to them.
        self._lock = threading.Lock()
        self._handlers: list[ReauthHandler] = []
        self._untold: dict[str, tuple[SessionEvent, EventOrigin]] = {}
        self._told: set[str] = set()

    def register(self, handler: ReauthHandler) -> Callable[[], None]:
        """Adds a handler; gives the function that takes it away again."""
        if not callable(handler):
            raise TypeError(f"a reauthorisation handler is a callable, not {type(handler).__name__}")
        with self._lock:
            self._handlers.append(handler)
        return functools.partial(self._remove, handler)

    def note(self, event: SessionEvent, origin: EventOrigin) -> None:
        """Takes in a request."""
        with self._lock:
            if key_of(event) not in self._told:
                self._untold.setdefault(key_of(event), (event, origin))

    def unclaimed(self) -> list[SessionEvent]:
        """Gives the requests that handlers can be told of and that no reader of a turn will see to."""
        with self._lock:
            if not self._handlers:
                return []
            return [event for event, origin in self._untold.values() if _is_unclaimed(origin)]

    def notify(self, event: SessionEvent) -> bool:
        """Tells the handlers, on the calling thread and once; False when there are none.

        Raises:
            Exception: What a handler raised.
        """
        with self._lock:
            handlers = list(self._handlers)
            told_before = key_of(event) in self._told
            if handlers:
                self._told.add(key_of(event))
                self._untold.pop(key_of(event), None)
        for handler in () if told_before else handlers:
            handler(event)
        return told_before or bool(handlers)

    def _remove(self, handler: ReauthHandler) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._handlers.remove(handler)


def _is_unclaimed(origin: EventOrigin) -> bool:
    return not is_attended(origin.ticket) and not origin.course.over


def is_attended(ticket: PendingPost | None) -> bool:
    """Whether a reader of its turn sees to what it asks."""
    return ticket is not None and ticket.attended
