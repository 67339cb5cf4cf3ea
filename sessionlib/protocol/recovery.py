"""Closing the gap that a lost link leaves: what was delivered, and what the history says came after it.

A session's history is the proof. What it shows as finished is delivered once, marked with
``data["recovered"] = True``; what it cannot show to be whole is told by an ERROR with
``data["error"] == "gap"``. Pieces of a message that follow missing ones are held back until its whole
text is there, so that the pieces always add up to the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sessionlib.events import ParticipantStatus, SessionEvent, SessionEventType, SessionMessage
from sessionlib.protocol import frames
from sessionlib.protocol.parser import Frame, Run, parse_event
from sessionlib.protocol.turns import PendingPost

__all__ = ["GAP", "CatchUp", "PendingPosts", "RecoveryTracker", "gap", "summarise"]

GAP = "gap"
Type = SessionEventType

# Looked up once: see `sessionlib.events`.
_DELTA = Type.MESSAGE_DELTA
_COMPLETE = Type.MESSAGE_COMPLETE
_REQUESTS = frozenset({Type.APPROVAL_REQUEST, Type.REAUTH_REQUEST})


@dataclass
class CatchUp:
    """What a history adds to what was delivered.

    Attributes:
        events: The events that were missed, in order.
        found: The posts without an ack that the history holds.
    """

    events: list[SessionEvent] = field(default_factory=list)
    found: list[PendingPost] = field(default_factory=list)


@dataclass(frozen=True)
class PendingPosts:
    """What was under way when a link was lost, and what is known to go on.

    Attributes:
        acknowledged: Our posts with an ack whose turns have not ended, in order.
        unacknowledged: Our posts without an ack, in order.
        running: Whether a turn was running, ours or another's.
        is_idle: Whether the engine says that it does nothing now; None when it says nothing about it.
    """

    acknowledged: Sequence[PendingPost] = ()
    unacknowledged: Sequence[PendingPost] = ()
    running: bool = False
    is_idle: bool | None = None


class RecoveryTracker:
    """What has been delivered of a session's messages; for the reading thread alone.

    Args:
        session_id: The session.
        from_start: Whether it has been followed since it was created.
    """

    def __init__(self, session_id: str, from_start: bool) -> None:
        self._session_id = session_id
        self._from_start = from_start
        self._known: set[str] = set()
        # For each message that is streaming: the index expected next, and the length of what was delivered.
        self._partial: dict[str, list[int]] = {}
        # Streaming messages of which pieces are missing, and messages that came from the history.
        self._torn: set[str] = set()
        self._recovered: set[str] = set()
        # Requests that came from the history, of which the engine may tell once more by itself.
        self._asked: set[str] = set()
        self._interrupted = False

    def filter(self, events: list[SessionEvent], runs: Sequence[Run] = ()) -> list[SessionEvent]:
        """Notes events on their way to the user, and gives those that may go on; ``runs`` as for `note`."""
        if not self._interrupted:
            self.note(events, runs)
            return events
        admitted: list[SessionEvent] = []
        for event in events:  # one at a time: what may pass depends on what has passed just before
            passed = self._filter(event)
            self.note(passed)
            admitted += passed
        return admitted

    def note(self, events: list[SessionEvent], runs: Sequence[Run] = ()) -> None:
        """Notes events that are delivered.

        Args:
            events: The events.
            runs: Where there are pieces of one message in a row among them, as far as that is known.
        """
        at = 0
        for run in runs:
            self._note_each(events[at : run.start])
            state = self._state_of(run.message_id)
            state[0] = run.next_index
            state[1] += run.length
            at = run.stop
        self._note_each(events[at:] if at else events)

    def _state_of(self, message_id: str) -> list[int]:
        state = self._partial.get(message_id)
        if state is None:
            self._known.add(message_id)
            state = self._partial[message_id] = [0, 0]
        return state

    def _note_each(self, events: list[SessionEvent]) -> None:
        partial, known = self._partial, self._known
        for event in events:
            message_id = event.message_id
            if message_id is None:
                continue
            if event.type is _DELTA:
                state = self._state_of(message_id)
                index = event.data["index"]
                state[0] = index + 1 if isinstance(index, int) else -1
                state[1] += len(event.data["delta"])
            else:
                known.add(message_id)
                if event.type is _COMPLETE:
                    partial.pop(message_id, None)

    def interrupt(self) -> None:
        """Notes that the link was lost: from here on, pieces may be missing."""
        self._interrupted = True
        self._torn.update(self._partial)
        self._asked.clear()

    def catch_up(self, history: Sequence[Any], posts: PendingPosts) -> CatchUp:
        """Finds in the history what was missed.

        Args:
            history: The session's messages, oldest first, as the engine gave them.
            posts: What was under way when the link was lost, and what the engine is doing now.
        """
        messages = [message for message in history if isinstance(message, dict)]
        result = CatchUp()
        known = (at for at, message in enumerate(messages) if message.get("id") in self._known)
        last: int | None = max(known, default=-1)
        if last == -1 and messages and (self._known or not self._from_start):
            last = _before_our_posts(messages, posts.acknowledged)
            if self._known or last is None:
                result.events.append(gap(self._session_id, "the history does not go back to the messages seen last"))
        writer = _Writer(self, result, posts)
        if last is not None:
            for at, message in enumerate(messages):
                writer.take(message, is_new=at > last)
        if messages:
            writer.finish(messages[-1])
        return result

    def _filter(self, event: SessionEvent) -> list[SessionEvent]:
        message_id = event.message_id
        if message_id is None:
            return [event]
        if event.type is _DELTA:
            return [] if self._is_out_of_order(event, message_id) else [event]
        if event.type is _COMPLETE:
            return [] if message_id in self._recovered else self._completed(event, message_id)
        if event.type in _REQUESTS and message_id not in self._asked:
            return [event]
        self._asked.discard(message_id)
        return [] if message_id in self._recovered else [event]

    def _is_out_of_order(self, event: SessionEvent, message_id: str) -> bool:
        if message_id in self._recovered:
            return True
        expected = self._partial.get(message_id, (0,))[0]
        if event.data["index"] == expected:
            self._torn.discard(message_id)
        elif message_id not in self._partial:
            self._torn.add(message_id)
        return message_id in self._torn

    def _completed(self, event: SessionEvent, message_id: str) -> list[SessionEvent]:
        """Gives a complete message, behind the rest of its text if pieces of it are missing."""
        if message_id not in self._torn:
            return [event]
        self._torn.discard(message_id)
        delivered = self._partial.get(message_id, (0, 0))[1]
        text = event.text
        if not isinstance(text, str) or len(text) < delivered:
            return [gap(self._session_id, f"the pieces of message {message_id} do not add up to its text"), event]
        rest = {"delta": text[delivered:], "index": None, "recovered": True}
        piece = [SessionEvent(Type.MESSAGE_DELTA, event.session_id, message_id, rest)] if rest["delta"] else []
        return [*piece, event]


def gap(session_id: str, detail: str) -> SessionEvent:
    """Gives the ERROR that tells of what cannot be proved whole."""
    return SessionEvent(Type.ERROR, session_id, None, {"error": GAP, "detail": detail, "request_type": None})


class _Writer:
    """Writes the missed events down, in the order of the history."""

    def __init__(self, seen: RecoveryTracker, result: CatchUp, posts: PendingPosts) -> None:
        self._seen = seen
        self._result = result
        # The same text may have been posted twice; the history's first is the one acknowledged before.
        self._posts = [*posts.acknowledged, *posts.unacknowledged]
        self._unsure = list(posts.unacknowledged)
        self._running = posts.running
        self._is_idle = posts.is_idle
        # How many turns of ours are still to begin.
        self._to_begin = sum(ticket.first is None for ticket in posts.acknowledged)
        self._answered = False

    def take(self, message: Frame, is_new: bool) -> None:
        sender = SessionMessage.from_dict(message)
        message_id = sender.id
        if message_id in self._seen._partial:
            self._write(message, message_id)
        elif is_new and sender.is_user:
            self._find_post(sender)
        elif is_new and message_id:
            self._write(message, message_id)

    def finish(self, last: Frame) -> None:
        """Ends the turns if the history ends with an answer, since their Idle may have been missed."""
        if self._is_idle is False or not _is_final(last) or SessionMessage.from_dict(last).is_user:
            return
        if self._running:
            self._end()
        while self._is_idle and self._to_begin:
            self._begin()
            self._end()

    def _write(self, message: Frame, message_id: str) -> None:
        event = parse_event(frames.message_notification(self._seen._session_id, message), self._seen._session_id)
        if event is None or event.type is Type.MESSAGE_STREAMING:
            return  # not finished: the rest of it is still to come
        if event.type is Type.APPROVAL_REQUEST and event.data.get("status") not in (None, "pending"):
            return  # answered meanwhile
        if self._running and self._answered and self._to_begin and _is_final(message):
            self._end()  # one answer to each, as far as anybody can tell
        if not self._running:
            self._begin()
        self._answered = self._answered or _is_final(message)
        told = SessionEvent(event.type, event.session_id, message_id, {**event.data, "recovered": True})
        events = self._seen._completed(told, message_id) if told.is_complete else [told]
        self._seen._recovered.add(message_id)
        if event.type in _REQUESTS:
            self._seen._asked.add(message_id)
        self._result.events += events

    def _begin(self) -> None:
        self._status(ParticipantStatus.PROCESSING)
        self._running, self._answered = True, False
        self._to_begin = max(0, self._to_begin - 1)

    def _end(self) -> None:
        self._status(ParticipantStatus.IDLE)
        self._running = False

    def _find_post(self, message: SessionMessage) -> None:
        for ticket in self._posts:
            if not ticket.contents or not _is_content(ticket.contents[0], message):
                continue
            # A batch stands in the history as several messages; its first decides.
            self._posts.remove(ticket)
            if ticket not in self._unsure:
                return
            self._result.found.append(ticket)
            self._to_begin += ticket.makes_turn
            kind = Type.MESSAGE_POSTED if len(ticket.contents) == 1 else Type.MESSAGES_POSTED
            self._result.events.append(
                SessionEvent(kind, self._seen._session_id, None, {"success": True, "recovered": True})
            )
            return

    def _status(self, status: ParticipantStatus) -> None:
        told = {"status": str(status), "recovered": True}
        self._result.events.append(SessionEvent(Type.PARTICIPANT_STATUS, self._seen._session_id, None, told))


def _before_our_posts(messages: Sequence[Frame], posts: Sequence[PendingPost]) -> int | None:
    """Gives the place before the first of our posts, which ends what is old; None if they are not there."""
    at = len(messages)
    for ticket in reversed([post for post in posts if post.contents]):
        found = (i for i in range(at - 1, -1, -1) if _is_post(messages[i], ticket))
        at = next(found, -1)
        if at < 0:
            return None
    return at - 1 if at < len(messages) else None


def _is_post(message: Frame, ticket: PendingPost) -> bool:
    told = SessionMessage.from_dict(message)
    return told.is_user and _is_content(ticket.contents[0], told)


def _is_final(message: Frame) -> bool:
    content = message.get("content")
    return isinstance(content, dict) and (content.get("status") == "Complete" or content.get("type") == "error_message")


def summarise(frame: Frame) -> tuple[str, ...]:
    """Gives what a post's contents can be recognised by in the history, without their bytes."""
    contents = frame.get("messages") or [frame.get("content")]
    return tuple([_summary(content) for content in contents])


def _summary(content: Any) -> str:
    if isinstance(content, str):
        return f"text:{content}"
    value = content.get("value") if isinstance(content, dict) else None
    if isinstance(value, str):
        return f"text:{value}"
    metadata = value.get("metadata") if isinstance(value, dict) else None
    return f"file:{metadata['name']}" if isinstance(metadata, dict) and "name" in metadata else "other:"


def _is_content(summary: str, message: SessionMessage) -> bool:
    kind, _, told = summary.partition(":")
    if kind == "text":
        return message.text == told
    return kind == "file" and told in _strings(message.raw.get("content"))


def _strings(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {text for item in inner for text in _strings(item)}
