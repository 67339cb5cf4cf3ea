"""What was asked and what was answered: one answer for each request, from whatever source."""

from __future__ import annotations

import contextlib
import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from sessionlib.approvals.models import ApprovalRecord, Registration, encode_response, key_of, tool_of
from sessionlib.approvals.reauth import is_attended
from sessionlib.content import ApprovalResponse
from sessionlib.errors import ApprovalAlreadyAnsweredError, SessionError
from sessionlib.events import SessionEvent, SessionEventType, SessionMessage
from sessionlib.protocol import frames
from sessionlib.protocol.parser import Frame, parse_event
from sessionlib.protocol.turns import EventOrigin, PendingPost, TurnHandle, is_final
from sessionlib.streams.mailbox import QUEUE_BYTES, weight

__all__ = ["ApprovalLog", "Entry", "SendAnswer", "answered_error"]

logger = logging.getLogger("sessionlib")

SendAnswer = Callable[[SessionEvent, dict[str, Any]], PendingPost]

# How the embedded engine reports that an answer came too late; any other refusal leaves the request open.
_SETTLED = {
    "approval_already_answered": "another client",
    "approval_expired": "expired",
    "approval_not_found": "expired",
}


@dataclass(eq=False)
class Entry:
    """One request.

    Attributes:
        record: Its outcome, as users see it.
        origin: Where it comes from.
        content: The answer as it was sent, once one was given.
        answer: The post of its answer, once that has left.
        unsure: Whether the answer may have been lost with the connection.
        asked: The handlers that were asked.
    """

    record: ApprovalRecord
    origin: EventOrigin
    content: dict[str, Any] | None = None
    answer: PendingPost | None = None
    unsure: bool = False
    asked: set[Registration] = field(default_factory=set)


class ApprovalLog:
    """The approval requests of a session and their answers; it asks no handler.

    It remembers about 8 MiB of them. Then the oldest are forgotten, those first that are answered: one that is still
    open can be answered all the same, with its event.

    Args:
        send: Sends an encoded answer to a request and returns its post. A method, whose object is held weakly.
        on_refused: Called with what was entered about a request whose answer the engine refused before it was noted,
            and its error; must not block.
    """

    def __init__(self, send: SendAnswer, on_refused: Callable[[Entry, SessionEvent], object]) -> None:
        # Weak, as the session refers to this log: a circle would keep a forgotten session from being collected at
        # once.
        self._send = weakref.WeakMethod(send)
        self._on_refused = on_refused
        # Protects the entries, their size and records, and what is remembered.
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._bytes = 0
        self._for_session: dict[str, ApprovalResponse] = {}
        self._for_turn: dict[str, tuple[TurnHandle, ApprovalResponse]] = {}

    @property
    def records(self) -> list[ApprovalRecord]:
        """What was asked so far, in order, as it stands now."""
        with self._lock:
            return [replace(entry.record) for entry in self._entries.values()]

    # ---- requests ------------------------------------------------------------------------------

    def note(self, event: SessionEvent, origin: EventOrigin) -> None:
        """Enters a request, or that it came again."""
        with self._lock:
            self._add(event, origin)

    def review(self, session_id: str, history: Sequence[Frame]) -> None:
        """Enters the requests of a history, and the outcome of those that were answered elsewhere.

        Engines need not send an open request again to a client that joins, nor notify it of another's answer.
        """
        for event, approved in _outcomes(session_id, history):
            with self._lock:
                # Of no turn that is known: a history does not have them.
                record = self._add(event, EventOrigin(None, TurnHandle())).record
                # What was answered here stands: the history may be older than the answer.
                if record.is_open and approved is not None:
                    _enter(record, approved, "expired" if event.data.get("status") == "expired" else "another client")

    def find(self, key: str) -> ApprovalRecord | None:
        """Returns the outcome of a request; None for one that is unknown."""
        with self._lock:
            entry = self._entries.get(key)
            return None if entry is None else replace(entry.record)

    def take_lost(self, event: SessionEvent) -> dict[str, Any] | None:
        """Returns the answer to a request that came again because the answer was lost, to be sent again."""
        with self._lock:
            entry = self._entries.get(key_of(event))
            if entry is None or not entry.unsure:
                return None
            # Once for each loss.
            entry.unsure = False
            return None if entry.record.is_open else entry.content

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

    def open_of(self, post: PendingPost) -> list[SessionEvent]:
        """Returns the requests without an answer in the turn of a post."""
        with self._lock:
            return [
                entry.record.event
                for entry in self._entries.values()
                if entry.record.is_open
                and (entry.origin.ticket is post or (post.turn is not None and entry.origin.course is post.turn))
            ]

    def unclaimed(self) -> list[SessionEvent]:
        """Returns the requests without an answer whose turn goes on and which no reader of it handles."""
        with self._lock:
            return [
                entry.record.event
                for entry in self._entries.values()
                if entry.record.is_open and not entry.origin.course.over and not is_attended(entry.origin.ticket)
            ]

    def was_asked(self, registration: Registration, event: SessionEvent) -> bool:
        """Whether a handler was asked about a request before."""
        with self._lock:
            entry = self._entries.get(key_of(event))
            return entry is not None and registration in entry.asked

    def note_asked(self, registration: Registration, event: SessionEvent) -> bool:
        """Notes that a handler is about to be asked about a request; False if it was before."""
        with self._lock:
            entry = self._entries.get(key_of(event))
            if entry is None or registration in entry.asked:
                return False
            entry.asked.add(registration)
            return True

    # ---- answers -------------------------------------------------------------------------------

    def answer(self, event: SessionEvent, response: ApprovalResponse, *, by: str) -> None:
        """Sends the answer to a request, if it is the first.

        Raises:
            ApprovalAlreadyAnsweredError: It is not.
            SessionDisconnectedError: It could not be sent; the request stays open.
            TypeError: The answer makes no sense; the request stays open.
            ValueError: Likewise.
        """
        # Before it is claimed: an answer of the wrong type leaves the request open.
        content = encode_response(response)
        # Under the lock, and before it is sent: of two threads that answer, one gets the error.
        self._claim(event, response, content, by)
        try:
            post = self._transmit(event, content)
        except BaseException:
            self._reopen(event)
            raise
        # Only once it has been sent.
        self._remember(event, response)
        word = "approved" if response.approved else "denied"
        logger.info("= session %s: %s was %s by %s", event.session_id, tool_of(event) or "a tool", word, by)
        if post is not None and post.refusal is not None:  # it was back before its post was noted
            corrected = self.refused(post, post.refusal)
            if corrected is not None:
                self._on_refused(corrected, post.refusal)

    def answer_remembered(self, event: SessionEvent) -> bool:
        """Returns the answer that is remembered for a request's tool; False when there is none."""
        remembered = self.recall(event)
        if remembered is not None:
            with contextlib.suppress(ApprovalAlreadyAnsweredError):
                self.answer(event, remembered, by="remembered")
        return remembered is not None

    def deny(self, event: SessionEvent, reason: str, *, by: str) -> bool:
        """Denies what is still open; False when it had been answered."""
        try:
            self.answer(event, ApprovalResponse(False, deny_reason=reason), by=by)
        except ApprovalAlreadyAnsweredError:
            return False
        except SessionError as error:  # it must not hide why the request is denied
            logger.info("! session %s: a denial was not sent: %s", event.session_id, error)
        return True

    def send_again(self, event: SessionEvent, content: dict[str, Any]) -> None:
        """Sends an answer that may have been lost.

        Raises:
            SessionError: It could not be sent.
        """
        self._transmit(event, content)

    def refused(self, answer: PendingPost, error: SessionEvent) -> Entry | None:
        """Corrects what was entered, as the engine did not take an answer.

        What it reports instead stands, as far as it is known; else the request is open again.

        Returns:
            A copy of the entry; None when the answer is not known, or was refused before.
        """
        settled_by = _SETTLED.get(str(error.data.get("code")))
        reported = error.data.get("approved") if settled_by != "expired" else False
        with self._lock:
            # By the post: a refusal names no request, and acks come in the order of posts.
            entry = next((entry for entry in self._entries.values() if entry.answer is answer), None)
            if entry is None:
                return None
            entry.answer, given = None, entry.record.approved
            _clear(entry.record)
            if settled_by is not None:
                _enter(entry.record, bool(reported if isinstance(reported, bool) else given), settled_by)
            return replace(entry, record=replace(entry.record))

    def recall(self, event: SessionEvent) -> ApprovalResponse | None:
        """Returns the answer that is remembered for a request, if any."""
        tool_name = tool_of(event)
        with self._lock:
            entry = self._entries.get(key_of(event))
            course, remembered = self._for_turn.get(tool_name, (None, None))
            if remembered is None or entry is None or entry.origin.course is not course:
                remembered = self._for_session.get(tool_name)
        # The arguments were for the request that they were given with.
        return None if remembered is None else ApprovalResponse(remembered.approved, deny_reason=remembered.deny_reason)

    def _claim(self, event: SessionEvent, response: ApprovalResponse, content: dict[str, Any], by: str) -> None:
        with self._lock:
            entry = self._add(event, EventOrigin(None, TurnHandle()))
            record = entry.record
            if not record.is_open:
                raise answered_error(record)
            _enter(record, response.approved, by)
            record.confirm, record.deny_reason, entry.content = response.confirm, response.deny_reason, content

    def _reopen(self, event: SessionEvent) -> None:
        """Strikes out an answer that could not be sent; its handlers may be asked again."""
        with self._lock:
            entry = self._entries.get(key_of(event))
            if entry is not None:
                _clear(entry.record)
                entry.asked.clear()

    def _remember(self, event: SessionEvent, response: ApprovalResponse) -> None:
        tool_name = tool_of(event)
        if not tool_name:
            return  # it would stand for every tool that has no name either
        with self._lock:
            if response.remember == "session":
                self._for_session[tool_name] = response
            elif response.remember == "turn":
                entry = self._entries.get(key_of(event))
                if entry is not None:
                    self._for_turn[tool_name] = (entry.origin.course, response)

    def _transmit(self, event: SessionEvent, content: dict[str, Any]) -> PendingPost | None:
        send = self._send()
        if send is None:
            return None
        post = send(event, content)
        with self._lock:
            entry = self._entries.get(key_of(event))
            if entry is not None:
                entry.answer = post
        return post

    def _add(self, event: SessionEvent, origin: EventOrigin) -> Entry:
        assert self._lock.locked()
        key = key_of(event)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = Entry(ApprovalRecord(event), origin)
            # Arguments may be of any size, so that counting requests would bound nothing.
            self._bytes += weight(event)
            if self._bytes > QUEUE_BYTES:
                self._forget(key)
        return entry

    def _forget(self, newest: str) -> None:
        # Many at once, since it takes a walk through all.
        for key, entry in sorted(self._entries.items(), key=lambda item: item[1].record.is_open):
            if self._bytes <= QUEUE_BYTES * 7 // 8:
                break
            if key != newest:
                del self._entries[key]
                self._bytes -= weight(entry.record.event)


_BY_STATUS = {"pending": None, "approved": True, "denied": False, "expired": False}
_CALLS = frozenset({SessionEventType.TOOL_CALL, SessionEventType.TOOL_RESULT})


def _outcomes(session_id: str, history: Sequence[Frame]) -> list[tuple[SessionEvent, bool | None]]:
    """Returns the requests of a history, each with its answer; None for one that is open.

    On an engine that keeps no status, a request counts as answered once the agent has gone on after it.
    """
    found: list[tuple[SessionEvent, bool | None]] = []
    called: set[object] = set()
    has_ended = False
    # From the end, so that what came after a request is known as it is reached.
    for message in reversed(history):
        event = parse_event(frames.message_notification(session_id, message), session_id)
        if event is None or SessionMessage.from_dict(message).is_user:
            continue
        call_id = event.data.get("tool_call_id")
        if event.type is SessionEventType.APPROVAL_REQUEST:
            has_run = call_id is not None and call_id in called
            found.append(
                (event, _BY_STATUS.get(str(event.data.get("status")), has_run or (False if has_ended else None)))
            )
        elif event.type in _CALLS:
            called.add(call_id)
        else:
            has_ended = has_ended or is_final(message)
    return found[::-1]


def _enter(record: ApprovalRecord, approved: bool, by: str) -> None:
    record.approved, record.by, record.answered_at = approved, by, datetime.now(timezone.utc)


def _clear(record: ApprovalRecord) -> None:
    record.approved = record.by = record.answered_at = record.confirm = record.deny_reason = None


def answered_error(record: ApprovalRecord) -> ApprovalAlreadyAnsweredError:
    """Returns what a second answer to a request raises."""
    return ApprovalAlreadyAnsweredError(
        f"the request to run {record.tool_name or 'a tool'} was "
        f"{'approved' if record.approved else 'denied'} before, by {record.by}; that answer stands",
        session_id=record.event.session_id,
        event=record.event,
        approved=record.approved,
    )
