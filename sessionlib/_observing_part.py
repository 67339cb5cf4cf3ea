"""What watches turns from outside, for all sessions of the process; nothing does unless it is installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sessionlib.events import SessionEvent
from sessionlib.protocol.turns import Ticket

__all__ = ["About", "Observer", "install", "observer"]


@dataclass(frozen=True)
class About:
    """Whose turns they are.

    Attributes:
        session_id: Tells the session's id; None before it was created.
        host: Host and port of the engine.
        agent_id: The agent's or chatbot's id; "" when it is not known.
        agent_name: Its name; likewise.
    """

    session_id: Callable[[], str | None]
    host: str
    agent_id: str = ""
    agent_name: str = ""


class Observer(Protocol):
    """Hears of turns; never called with a lock of ours held, and must neither wait nor raise."""

    def posted(self, ticket: Ticket, frame: dict[str, Any], about: About) -> None:
        """A post is about to leave; called on the thread that sends it."""

    def heard(self, ticket: Ticket, event: SessionEvent) -> None:
        """An event of its turn has come that is no further piece of a text; called on the reading thread."""

    def gone(self, ticket: Ticket, why: str) -> None:
        """It did not leave, or nothing more will be heard of it."""


_observer: Observer | None = None


def observer() -> Observer | None:
    """Gives what watches; None while nothing does."""
    return _observer


def install(new: Observer) -> Callable[[], None]:
    """Has something watch all turns that begin from now on.

    Returns:
        The function that ends that.

    Raises:
        RuntimeError: Something watches already.
    """
    global _observer
    if _observer is not None:
        raise RuntimeError("something watches the turns of this process already; end that first")
    _observer = new
    return _uninstall


def _uninstall() -> None:
    global _observer
    _observer = None
