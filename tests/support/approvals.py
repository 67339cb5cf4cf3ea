"""Sessions of the shop, on their way through an approval."""

from __future__ import annotations

from sessionlib import (
    Session,
    SessionEvent,
    SessionEventType,
)
from tests.support.secrets import LogWatch
from tests.support.shop import order
from tests.support.waiting import eventually

__all__ = ["REFUNDED", "Oops", "Type", "await_failure", "await_log", "request_in", "rest_of_turn", "settle"]

Type = SessionEventType
REFUNDED = "This is the demo model: it quotes you, and knows nothing. refund gave: refunded 7"


class Oops(Exception):
    """What handlers fail with here."""


def settle(session: Session) -> None:
    """Waits until what the engine has sent so far has been processed."""
    session.get_messages(timeout=5)


def request_in(session: Session, text: str | None = None) -> SessionEvent:
    """Sends a message and returns the approval request that follows."""
    with session.listen(event_types=[Type.APPROVAL_REQUEST], timeout=5) as requests:
        session.send(text or order(7))
        return next(requests)


def await_log(log_watch: LogWatch, text: str) -> None:
    """Waits until something has been logged."""
    assert eventually(lambda: any(text in line for line in log_watch.lines)), text


def await_failure(session: Session) -> None:
    """Waits until the error of a handler on the dispatcher is kept for the next call; that follows its log line."""
    assert eventually(lambda: session._approvals._kept)


def rest_of_turn(session: Session) -> list[SessionEvent]:
    """Reads the events up to the end of the turn."""
    events = []
    for event in session.listen(timeout=5):
        events.append(event)
        if event.is_turn_end:
            break
    return events
