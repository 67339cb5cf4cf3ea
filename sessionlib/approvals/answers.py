"""What was asked and what was answered: one answer for each request, whoever gives it."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from sessionlib.approvals.models import ApprovalRecord, Registration, check_response, key_of, tool_of
from sessionlib.approvals.reauth import is_attended
from sessionlib.content import ApprovalResponse
from sessionlib.errors import ApprovalAlreadyAnsweredError, SessionError
from sessionlib.events import SessionEvent
from sessionlib.protocol.turns import EventOrigin, PendingPost, TurnHandle

__all__ = ["Answers", "Entry", "Ledger", "Send"]


@dataclass
class Entry:
    """One request.

    Attributes:
        record: What became of it, as far as users are told.
        origin: Where it comes from.
        answer: The post of its answer, once that has left.
        unsure: Whether the answer may have been lost with the link.
        asked: Whom it was put to.
    """

    record: ApprovalRecord
    origin: EventOrigin
    answer: PendingPost | None = None
    unsure: bool = False
    asked: set[Registration] = field(default_factory=set)


class Ledger:
    """The approval requests of a session. It asks nobody and sends nothing."""

    def __init__(self) -> None:
        # Protects the entries, their records, and what is remembered.
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._for_session: dict[str, ApprovalResponse] = {}
        self._for_turn: dict[str, tuple[TurnHandle, ApprovalResponse]] = {}

    @property
    def records(self) -> list[ApprovalRecord]:
        """What was asked so far, in order, as it stands now."""
        with self._lock:
            return [replace(entry.record) for entry in self._entries.values()]

    # ---- asked ---------------------------------------------------------------------------------

    def note(self, event: SessionEvent, origin: EventOrigin) -> ApprovalRecord | None:
        """Takes in a request; gives its record if it was answered and the answer has to be sent again."""
        with self._lock:
            entry = self._entries.setdefault(key_of(event), Entry(ApprovalRecord(event), origin))
            lost, entry.unsure = entry.unsure and not entry.record.is_open, False
            return replace(entry.record) if lost else None

    def expect_again(self, message_id: str) -> None:
        """Notes that the answer to a request may be lost; if the request comes again, so must the answer."""
        with self._lock:
            if message_id in self._entries:
                self._entries[message_id].unsure = True

    def is_open(self, event: SessionEvent) -> bool:
        """Whether a request waits for an answer."""
        with self._lock:
            entry = self._entries.get(key_of(event))
            return entry is not None and entry.record.is_open

    def open_of(self, ticket: PendingPost) -> list[SessionEvent]:
        """Gives the requests without an answer in the turn of a post."""
        with self._lock:
            return [
                entry.record.event
                for entry in self._entries.values()
                if entry.origin.ticket is ticket and entry.record.is_open
            ]

    def loose(self) -> list[SessionEvent]:
        """Gives the requests without an answer whose turn goes on and which no reader of it will see to."""
        with self._lock:
            return [
                entry.record.event
                for entry in self._entries.values()
                if entry.record.is_open and not entry.origin.course.over and not is_attended(entry.origin.ticket)
            ]

    def has_been_put_to(self, registration: Registration, event: SessionEvent) -> bool:
        """Whether a handler was asked about a request before."""
        with self._lock:
            entry = self._entries.get(key_of(event))
            return entry is not None and registration in entry.asked

    def put_to(self, registration: Registration, event: SessionEvent) -> None:
        """Notes that a handler is asked about a request."""
        with self._lock:
            self._entries[key_of(event)].asked.add(registration)

    # ---- answered ------------------------------------------------------------------------------

    def claim(self, event: SessionEvent, response: ApprovalResponse, by: str) -> None:
        """Enters the answer to a request, if it is the first.

        Raises:
            ApprovalAlreadyAnsweredError: It is not.
        """
        with self._lock:
            new = Entry(ApprovalRecord(event), EventOrigin(None, TurnHandle()))
            record = self._entries.setdefault(key_of(event), new).record
            if not record.is_open:
                raise _answered(record)
            _enter(record, response.approved, by)
            record.confirm, record.deny_reason = response.confirm, response.deny_reason

    def reopen(self, event: SessionEvent) -> None:
        """Strikes out an answer that could not be sent; whoever gave it may be asked again."""
        with self._lock:
            entry = self._entries[key_of(event)]
            _clear(entry.record)
            entry.asked.clear()

    def sent(self, event: SessionEvent, answer: PendingPost) -> None:
        """Notes the post of an answer."""
        with self._lock:
            self._entries[key_of(event)].answer = answer

    def refused(self, answer: PendingPost, verdict: tuple[bool | None, str] | None) -> Entry | None:
        """Corrects what was entered, for the engine did not take an answer.

        Args:
            answer: Its post.
            verdict: What stands instead, as far as it is known, and by whom; None when nothing does, so
                that the request is open again.

        Returns:
            A copy of the entry; None when the answer is not known, or was refused before.
        """
        with self._lock:
            entry = next((entry for entry in self._entries.values() if entry.answer is answer), None)
            if entry is None:
                return None
            entry.answer, said = None, entry.record.approved
            _clear(entry.record)
            if verdict is not None:
                approved, by = verdict
                _enter(entry.record, bool(said if approved is None else approved), by)
            return replace(entry, record=replace(entry.record))

    # ---- remembered ----------------------------------------------------------------------------

    def remember(self, event: SessionEvent, response: ApprovalResponse) -> None:
        """Keeps an answer for further requests for the same tool, if it is meant so."""
        tool_name = tool_of(event)
        if not tool_name:
            return  # it would stand for every tool that has no name either
        with self._lock:
            if response.remember == "session":
                self._for_session[tool_name] = response
            elif response.remember == "turn":
                self._for_turn[tool_name] = (self._entries[key_of(event)].origin.course, response)

    def recall(self, event: SessionEvent) -> ApprovalResponse | None:
        """Gives the answer that was kept for a request, if any."""
        tool_name = tool_of(event)
        with self._lock:
            entry = self._entries.get(key_of(event))
            course, told = self._for_turn.get(tool_name, (None, None))
            if told is None or entry is None or entry.origin.course is not course:
                told = self._for_session.get(tool_name)
        # The arguments were for the request that they were given with.
        return None if told is None else ApprovalResponse(told.approved, deny_reason=told.deny_reason)


def _enter(record: ApprovalRecord, approved: bool, by: str) -> None:
    record.approved, record.by, record.answered_at = approved, by, datetime.now(timezone.utc)


def _clear(record: ApprovalRecord) -> None:
    record.approved = record.by = record.answered_at = record.confirm = record.deny_reason = None


def _answered(record: ApprovalRecord) -> ApprovalAlreadyAnsweredError:
    return ApprovalAlreadyAnsweredError(
        f"session {record.event.session_id}: the request to run {record.tool_name or 'a tool'} was "
        f"{'approved' if record.approved else 'denied'} before, by {record.by}; that answer stands",
        session_id=record.event.session_id,
        event=record.event,
        approved=record.approved,
    )


logger = logging.getLogger("sessionlib")

Send = Callable[[SessionEvent, bool, "Mapping[str, Any] | None", "str | None"], PendingPost]

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

    def refused(self, answer: PendingPost, error: SessionEvent) -> Callable[[], None] | None:
        """Enters that the engine did not take an answer; gives what tells of it."""
        settled_by = _SETTLED.get(str(error.data.get("code")))
        told = error.data.get("approved") if settled_by != "expired" else False
        verdict = None if settled_by is None else (told if isinstance(told, bool) else None, settled_by)
        entry = self._ledger.refused(answer, verdict)
        return None if entry is None else functools.partial(self._on_refused, entry, error)

    def _transmit(self, event: SessionEvent, response: ApprovalResponse) -> PendingPost | None:
        send = self._send()
        if send is None:
            return None
        post = send(event, response.approved, response.confirm, response.deny_reason)
        self._ledger.sent(event, post)
        return post
