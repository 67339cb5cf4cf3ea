"""Sessions of the shop, on their way through an approval."""

from __future__ import annotations

from sessionlib import Session, SessionEvent, SessionEventType
from tests.support.secrets import LogWatch
from tests.support.shop import order
from tests.support.waiting import eventually

Type = SessionEventType
REFUNDED = "Demo model: echoes your message. refund gave: refunded 7"


class Oops(Exception):
    """What handlers fail with here."""


def request_in(session: Session, text: str | None = None) -> SessionEvent:
    """Sends a message and returns the approval request that follows."""
    with session.listen(event_types=[Type.APPROVAL_REQUEST], timeout=30) as requests:
        session.send(text or order(7))
        return next(requests)


def await_log(log_watch: LogWatch, text: str) -> None:
    """Waits until something has been logged."""
    assert eventually(lambda: any(text in line for line in log_watch.lines)), text


def await_failure(session: Session) -> None:
    """Waits until the error of a handler on the dispatcher is kept for the next call; that follows its log line."""
    assert eventually(lambda: session._approvals.kept)
