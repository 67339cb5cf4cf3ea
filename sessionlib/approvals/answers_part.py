"""Sending answers: the first one to each request, and again when the link may have lost it."""

from __future__ import annotations

import contextlib
import functools
import logging
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from sessionlib.approvals.answers import Entry, Ledger
from sessionlib.approvals.models import ApprovalRecord, check_response, tool_of
from sessionlib.content import ApprovalResponse
from sessionlib.errors import ApprovalAlreadyAnsweredError, SessionError
from sessionlib.events import SessionEvent
from sessionlib.protocol.turns import Ticket

__all__ = ["Answers", "Send"]

logger = logging.getLogger("sessionlib")

Send = Callable[[SessionEvent, bool, "Mapping[str, Any] | None", "str | None"], Ticket]

# How the embedded engine says that an answer came too late; any other refusal leaves the request open.
_SETTLED = {
    "approval_already_answered": "another client",
    "approval_expired": "expired",
    "approval_not_found": "expired",
}


class Answers:
    """Enters answers in the ledger and sends them.

    Args:
        ledger: Who has answered what.
        send: Sends an answer and gives its post: the request, whether to approve, arguments, reason. A
            method, whose object is held weakly.
        on_refused: Gets what was entered about a request whose answer the engine did not take, and its
            error; on the reading thread or on that of the answer, must not wait.
    """

    def __init__(self, ledger: Ledger, send: Send, on_refused: Callable[[Entry, SessionEvent], None]) -> None:
        self._ledger = ledger
        self._on_refused = on_refused
        self._send = weakref.WeakMethod(send)

    def give(self, event: SessionEvent, response: ApprovalResponse, *, by: str) -> None:
        """Sends the answer to a request, if it is the first.

        Raises:
            ApprovalAlreadyAnsweredError: It is not.
            SessionDisconnectedError: It could not be sent; the request stays open.
            TypeError: The answer makes no sense; the request stays open.
            ValueError: Likewise.
        """
        check_response(response)
        self._ledger.claim(event, response, by)
        try:
            post = self._transmit(event, response)
        except BaseException:
            self._ledger.reopen(event)
            raise
        self._ledger.remember(event, response)
        word = "approved" if response.approved else "denied"
        logger.info("= session %s: %s was %s by %s", event.session_id, tool_of(event) or "a tool", word, by)
        if post is not None and post.refusal is not None:  # it was back before its post was noted
            tell = self.refused(post, post.refusal)
            if tell is not None:
                tell()

    def give_remembered(self, event: SessionEvent) -> bool:
        """Gives the answer that was kept for a request's tool; False when there is none."""
        told = self._ledger.recall(event)
        if told is not None:
            with contextlib.suppress(ApprovalAlreadyAnsweredError):
                self.give(event, told, by="remembered")
        return told is not None

    def deny(self, event: SessionEvent, reason: str, *, by: str) -> bool:
        """Denies what is still open; False when somebody had answered it."""
        try:
            self.give(event, ApprovalResponse(False, deny_reason=reason), by=by)
        except ApprovalAlreadyAnsweredError:
            return False
        except SessionError as error:  # it must not hide why the request is denied
            logger.info("! session %s: a denial was not sent: %s", event.session_id, error)
        return True

    def give_again(self, record: ApprovalRecord) -> None:
        """Sends an answer that may have been lost once more.

        Raises:
            SessionError: It could not be sent.
        """
        self._transmit(record.event, ApprovalResponse(bool(record.approved), record.confirm, record.deny_reason))

    def refused(self, answer: Ticket, error: SessionEvent) -> Callable[[], None] | None:
        """Enters that the engine did not take an answer; gives what tells of it."""
        settled_by = _SETTLED.get(str(error.data.get("code")))
        told = error.data.get("approved") if settled_by != "expired" else False
        verdict = None if settled_by is None else (told if isinstance(told, bool) else None, settled_by)
        entry = self._ledger.refused(answer, verdict)
        return None if entry is None else functools.partial(self._on_refused, entry, error)

    def _transmit(self, event: SessionEvent, response: ApprovalResponse) -> Ticket | None:
        send = self._send()
        if send is None:
            return None
        post = send(event, response.approved, response.confirm, response.deny_reason)
        self._ledger.sent(event, post)
        return post
