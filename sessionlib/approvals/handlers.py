"""The approval handlers of a session, and which of them decide about a tool."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import cast

from sessionlib.approvals.models import ApprovalHandler

__all__ = ["Handlers", "Registration", "check_handler", "make_registration"]


@dataclass(frozen=True, eq=False)
class Registration:
    """A handler, and what it was registered for.

    Attributes:
        handler: The handler.
        pattern: The tools that it decides about; None for all.
        timeout: Seconds that it may take; None for as long as it takes.
    """

    handler: ApprovalHandler
    pattern: str | None = None
    timeout: float | None = None

    @property
    def name(self) -> str:
        """What the record calls it."""
        return getattr(self.handler, "__qualname__", None) or type(self.handler).__name__

    def takes(self, tool_name: str) -> bool:
        """Whether it decides about a tool."""
        return self.pattern is None or fnmatchcase(tool_name, self.pattern)


class Handlers:
    """The registered handlers, in order."""

    def __init__(self) -> None:
        # Protects the list.
        self._lock = threading.Lock()
        self._registrations: list[Registration] = []

    def __bool__(self) -> bool:
        return bool(self._registrations)

    def add(self, registration: Registration) -> Callable[[], None]:
        """Adds one behind those there are; gives the function that takes it away again."""
        with self._lock:
            self._registrations.append(registration)
        return functools.partial(self._remove, registration)

    def for_tool(self, tool_name: str) -> list[Registration]:
        """Gives those that decide about a tool."""
        with self._lock:
            registrations = list(self._registrations)
        return [registration for registration in registrations if registration.takes(tool_name)]

    def _remove(self, registration: Registration) -> None:
        with self._lock:
            self._registrations = [other for other in self._registrations if other is not registration]


def make_registration(handler: object, pattern: object, timeout: float | None) -> Registration:
    """Makes a registration of what a caller gave.

    Raises:
        TypeError: ``handler`` cannot be called, or ``pattern`` is not a text.
        ValueError: ``timeout`` is not above 0.
    """
    check_handler(handler)
    if pattern is not None and not isinstance(pattern, str):
        raise TypeError(f"tool takes a name or a pattern, not {type(pattern).__name__}")
    if timeout is not None and not timeout > 0:
        raise ValueError("timeout takes a number of seconds above 0, or None for no limit")
    return Registration(cast("ApprovalHandler", handler), pattern, timeout)


def check_handler(handler: object) -> None:
    """Makes sure that something can be a handler.

    Raises:
        TypeError: It cannot be called.
    """
    if not callable(handler):
        raise TypeError(f"an approval handler is a callable, not {type(handler).__name__}")
