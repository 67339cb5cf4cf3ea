"""Closing the gap that a lost connection leaves: what was delivered, and what came after it by the history.

A session's history is the proof. What it shows as finished is delivered once, marked with
``data["recovered"] = True``; what it cannot show to be whole is reported by an ERROR with
``data["error"] == "gap"``. Deltas of a message that follow missing ones are held back until its whole
text is there, so that the deltas always add up to the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sessionlib.events import ParticipantStatus, SessionEvent, SessionEventType, SessionMessage
from sessionlib.protocol import frames
from sessionlib.protocol.parser import Frame, Run, parse_event
from sessionlib.protocol.turns import PendingPost, find_posts, is_content, is_final

__all__ = ["GAP", "CatchUp", "PendingPosts", "RecoveryTracker", "gap"]

GAP = "gap"
# So many message ids are remembered, and so many characters of them, about 2 MiB in all; a history goes back further,
# but not what has to be recognised in it.
_REMEMBERED = 20_000
_REMEMBERED_CHARS = 1_000_000
# So many deltas of one message may come too early before the rest of it is left to its complete text.
_EARLY = 1024
_EARLY_CHARS = 2_000_000
Type = SessionEventType

# Looked up once: see `sessionlib.events`.
_DELTA = Type.MESSAGE_DELTA
_COMPLETE = Type.MESSAGE_COMPLETE
_ERROR = Type.ERROR
_POSTED = Type.MESSAGE_POSTED
_THINKING = Type.THINKING
_REQUESTS = frozenset({Type.APPROVAL_REQUEST, Type.REAUTH_REQUEST})


# Without what is not used of a dataclass: each method takes 60 microseconds of every import.
@dataclass(eq=False, repr=False)
class CatchUp:
    """What a history adds to what was delivered.

    Attributes:
        events: The events that were missed, in order.
        found: The posts without an ack that the history holds.
    """

    events: list[SessionEvent] = field(default_factory=list)
    found: list[PendingPost] = field(default_factory=list)


@dataclass(frozen=True, eq=False, repr=False)
class PendingPosts:
    """What was under way when a connection was lost, and what is known to go on.

    Attributes:
        acknowledged: Our posts with an ack whose turns have not ended, in order.
        unacknowledged: Our posts without an ack, in order.
        running: Whether a turn was running, ours or another's.
        is_idle: Whether the engine reports that it does nothing now; None when it does not report it.
        is_quiet: Whether it has sent nothing for a while.
        live: The ids of the messages that have come by themselves since the session was joined again.
        answered: Whether the last thing that happened in that turn was a complete message.
    """

    acknowledged: Sequence[PendingPost] = ()
    unacknowledged: Sequence[PendingPost] = ()
    running: bool = False
    is_idle: bool | None = None
    is_quiet: bool = False
    live: frozenset[str] = frozenset()
    answered: bool = False


class RecoveryTracker:
    """What has been delivered of a session's messages, and in which order; for the reading thread alone.

    Args:
        session_id: The session.
        from_start: Whether it has been followed since it was created.
    """

    def __init__(self, session_id: str, from_start: bool) -> None:
        self.session_id = session_id
        # Of a session that was joined in the middle, older messages are no gap: they were never this client's.
        self._from_start = self._sees_beginnings = from_start
        # The ids of the latest messages, oldest first, and of each whether it was delivered whole.
        self._known: dict[str, bool] = {}
        self._chars = 0
        # For each message that is streaming: the index expected next, and the length of what was delivered.
        self._partial: dict[str, list[int]] = {}
        # For each thought of which only parts were delivered: the index expected next.
        self._thoughts: dict[str, int] = {}
        # Streaming messages of which deltas are missing, and messages that came from the history.
        self._torn: set[str] = set()
        self._recovered: set[str] = set()
        # Requests that came from the history, which the engine may send again by itself.
        self._asked: set[str] = set()
        # Messages whose deltas bear an index twice, or do not begin with the first: with which they do, or -1 once an
        # earlier one came behind.
        self._suspect: dict[str, int] = {}
        # Deltas that came before their turn, by message and index.
        self._early: dict[str, dict[int, SessionEvent]] = {}
        self._early_chars = 0
        # Whether this engine counts the deltas of a message, which the protocol does not promise; the id of the message
        # whose deltas bear one index, until that is known.
        self._counts = False
        self._interrupted = False

    def filter(self, events: list[SessionEvent], runs: Sequence[Run] = ()) -> list[SessionEvent]:
        """Notes events on their way to the user.

        Args:
            events: The events.
            runs: Where there are deltas of one message in a row among them, as far as that is known.

        Returns:
            Those that may go on: in the order of their indices, and none that was delivered before.
        """
        if not self._interrupted and not self._early:
            passed = self._note_in_order(events, runs) if runs else self._note_plain(events, 0, len(events))
            if passed == len(events):
                return events
            admitted, events = events[:passed], events[passed:]
        else:
            admitted = []
        for event in events:  # one at a time: what may pass depends on what has passed just before
            for accepted in self._accept(event):
                self._note(accepted)
                admitted.append(accepted)
        return admitted

    def note(self, events: Sequence[SessionEvent]) -> None:
        """Notes events that are delivered in any case."""
        for event in events:
            self._note(event)

    def doubt(self, message_id: str, again: bool = False) -> None:
        """Notes that the deltas of a message may not be its text, which shows when that is whole.

        Args:
            message_id: The message.
            again: Whether it is a second sign: where there was a first, they are not.
        """
        if not again:
            self._suspect.setdefault(message_id, 0)
        elif message_id in self._suspect:
            self._suspect[message_id] = -1

    def _note_in_order(self, events: list[SessionEvent], runs: Sequence[Run]) -> int:
        """Notes events up to the first delta out of order; returns how many there were."""
        at = 0
        for run in runs:
            noted = self._note_plain(events, at, run.start)
            index = events[run.start].data["index"]
            if noted < run.start or self._is_out_of_order(run.message_id, index):
                return noted
            state = self._state_of(run.message_id, index)
            state[0] = run.next_index
            state[1] += run.length
            self._counts = self._counts or run.stop - run.start > 1
            at = run.stop
        return self._note_plain(events, at, len(events))

    def _note_plain(self, events: list[SessionEvent], start: int, stop: int) -> int:
        """Notes events one by one; returns the number of the first that is out of order, else where they end."""
        # As `_is_out_of_order` and `_note`, without a call for each event: every event passes here.
        partial, known, suspect, torn = self._partial, self._known, self._suspect, self._torn
        for number in range(start, stop):
            event = events[number]
            message_id = event.message_id
            if message_id is None:
                # What was streaming as the session was joined has shown by then, nearly always.
                self._sees_beginnings = self._sees_beginnings or event.type is _POSTED
                continue
            if event.type is not _DELTA:
                if event.type is _COMPLETE:
                    if message_id in suspect or message_id in torn:
                        return number
                    partial.pop(message_id, None)
                    if message_id in known:
                        known[message_id] = True
                    else:
                        self._remember(message_id, True)
                elif event.type is _ERROR:
                    partial.pop(message_id, None)  # no more of it comes
                    self._remember(message_id, True)
                elif event.type is _THINKING:
                    self._note_thought(event, message_id)
                elif message_id not in known:
                    self._remember(message_id, False)
                continue
            state = partial.get(message_id)
            if state is None:
                index = event.data["index"]
                state = self._state_of(message_id, index)
                state[:] = index + 1 if isinstance(index, int) else -1, len(event.data["delta"])
            elif event.data["index"] == state[0]:
                state[0] += 1
                state[1] += len(event.data["delta"])
                self._counts = True
            elif self._is_out_of_order(message_id, event.data["index"]):
                return number
            else:
                self._note(event)
        return stop

    def _is_out_of_order(self, message_id: str, index: object) -> bool:
        """Whether a delta of a message is, by its index."""
        state = self._partial.get(message_id)
        if state is None or not isinstance(index, int) or index == state[0] or state[0] < 0:
            return False
        if index < self._suspect.get(message_id, 0):
            self._suspect[message_id] = -1
            return False
        if index == 0 or (index == state[0] - 1 and not self._counts):
            # It begins again, or all deltas bear one index: whether the text is right shows when it is whole.
            self.doubt(message_id)
            return False
        return True

    def _state_of(self, message_id: str, index: object) -> list[int]:
        """Returns what is known of a message that is streaming, which may begin with a delta of an index."""
        state = self._partial.get(message_id)
        if state is None:
            self._remember(message_id, False)
            state = self._partial[message_id] = [0, 0]
            # What was streaming when an existing session was joined begins with any.
            if isinstance(index, int) and index > 0 and (self._sees_beginnings or len(self._known) > 1):
                self._suspect[message_id] = index
        return state

    def _remember(self, message_id: str, whole: bool) -> None:
        known = self._known
        if message_id not in known:
            # Ids are the engine's choice, and may be long: counting them alone would not bound the memory.
            self._chars += len(message_id)
        known[message_id] = whole or known.get(message_id, False)
        while len(known) > _REMEMBERED or (self._chars > _REMEMBERED_CHARS and len(known) > 1):
            # A dict keeps the order of insertion, and a message that is seen again keeps its place.
            oldest = next(iter(known))
            del known[oldest]
            self._chars -= len(oldest)
            self._partial.pop(oldest, None)
            self._thoughts.pop(oldest, None)
            self._early.pop(oldest, None)
            self._recovered.discard(oldest)
            self._torn.discard(oldest)
            self._suspect.pop(oldest, None)
            self._asked.discard(oldest)

    def _note(self, event: SessionEvent) -> None:
        message_id = event.message_id
        if message_id is None:
            return
        if event.type is _DELTA:
            index = event.data["index"]
            state = self._state_of(message_id, index)
            if isinstance(index, int):
                self._counts = self._counts or (state[1] > 0 and index == state[0])
                state[0] = index + 1
            else:
                state[0] = -1
            state[1] += len(event.data["delta"])
        else:
            if event.type is _THINKING:
                self._note_thought(event, message_id)
                return
            is_whole = event.type is _COMPLETE or event.type is _ERROR
            self._remember(message_id, is_whole)
            if is_whole:
                self._partial.pop(message_id, None)

    def _note_thought(self, event: SessionEvent, message_id: str) -> None:
        index = event.data.get("index")
        self._remember(message_id, False)
        if _is_part(event):
            self._thoughts[message_id] = index + 1 if isinstance(index, int) else -1
        else:
            self._thoughts.pop(message_id, None)

    def interrupt(self) -> None:
        """Notes that the connection was lost: from here on, deltas may be missing."""
        # For good: when an engine repeats what it had sent before a rejoin, and how long after it, is nowhere
        # promised.
        self._interrupted = True
        self._torn.update(self._partial)
        self._asked.clear()
        self._early.clear()

    def _accept(self, event: SessionEvent) -> list[SessionEvent]:
        """Returns what may be delivered now that an event has come."""
        message_id = event.message_id
        if message_id is None:
            return [event]
        if event.type is _DELTA:
            return self._accept_delta(event, message_id)
        if event.type is _COMPLETE:
            early = self._early.pop(message_id, None)
            if early:
                self._torn.add(message_id)  # what came too early is in its text
            if message_id in self._recovered or (self._interrupted and self._known.get(message_id)):
                return []
            return self._completed(event, message_id)
        if event.type in _REQUESTS and message_id not in self._asked:
            return [event]
        self._asked.discard(message_id)
        is_repeated = event.type is _ERROR and self._interrupted and self._known.get(message_id)
        if self._interrupted and _is_part(event):
            # Its whole follows: what would leave a hole is left to that.
            index, expected = event.data.get("index"), self._thoughts.get(message_id, 0)
            is_repeated = isinstance(index, int) and index != expected
        return [] if is_repeated or message_id in self._recovered else [event]

    def _accept_delta(self, event: SessionEvent, message_id: str) -> list[SessionEvent]:
        state = self._partial.get(message_id)
        # An engine may repeat after a rejoin what had been delivered.
        if message_id in self._recovered or (self._interrupted and state is None and self._known.get(message_id)):
            return []
        index = event.data["index"]
        expected = 0 if state is None else state[0]
        if self._interrupted:
            if index == expected:
                self._torn.discard(message_id)
            elif state is None:
                self._torn.add(message_id)
            # What is held back here comes with the whole text, so that the deltas add up to it.
            if message_id in self._torn:
                return []
        if not isinstance(index, int) or expected < 0 or state is None or index == expected:
            ripe, early = [event], self._early.get(message_id)
            if early and isinstance(index, int):
                # One delta may close a hole in front of many that came too early.
                while index + len(ripe) in early:
                    ripe.append(early.pop(index + len(ripe)))
                if not early:
                    del self._early[message_id]
            return ripe
        # An index of 0 begins the message again, and an engine that does not count repeats one index: both pass.
        if index < expected:
            if not self._counts or not index:
                return [event]
            self._torn.add(message_id)  # what it should have been shows in the whole text
            return []
        self._counts = True
        if not self._early:
            self._early_chars = 0
        held_back = self._early.setdefault(message_id, {})
        self._early_chars += len(event.data["delta"])
        # One that finds no room is missing then, and the whole text makes up for it.
        if len(held_back) < _EARLY and self._early_chars <= _EARLY_CHARS:
            held_back.setdefault(index, event)
        return []

    def catch_up(self, history: Sequence[Any], posts: PendingPosts) -> CatchUp:
        """Finds in the history what was missed.

        Args:
            history: The session's messages, oldest first, as the engine gave them.
            posts: What was under way when the connection was lost, and what the engine is doing now.
        """
        # What is no object cannot be recognised, and is no reason to lose the rest.
        messages = [message for message in history if isinstance(message, dict)]
        result = CatchUp()
        known = (at for at, message in enumerate(messages) if message.get("id") in self._known)
        last: int | None = max(known, default=-1)
        if last == -1 and messages and (self._known or not self._from_start):
            # Nothing in it is known, but what we posted is: behind that, all is new.
            ours = [post for post in posts.acknowledged if post.contents]
            places = find_posts(messages, ours)
            last = min(places.values()) - 1 if ours and len(places) == len(ours) else None
            if self._known or last is None:
                result.events.append(gap(self.session_id, "the history does not go back to the messages seen last"))
        writer = _Writer(self, result, posts)
        if last is not None:
            # Also those before the last known one: a message may have been streaming when the connection was lost.
            for at, message in enumerate(messages):
                writer.take(message, is_new=at > last)
        writer.finish(messages[-1] if messages else None)
        return result

    def _completed(self, event: SessionEvent, message_id: str) -> list[SessionEvent]:
        """Returns a complete message, behind the rest of its text if deltas of it are missing."""
        delivered = self._partial[message_id][1] if message_id in self._partial else 0
        text = event.text
        begun_at = self._suspect.pop(message_id, None)
        if begun_at is not None:
            is_torn = message_id in self._torn
            is_short = not is_torn and isinstance(text, str) and len(text) != delivered
            # Where deltas are counted and one is missing as well, its rest does not follow on what was delivered.
            if begun_at < 0 or is_short or (is_torn and self._counts):
                self._torn.discard(message_id)
                return [gap(self.session_id, f"the deltas of message {message_id} do not add up to its text"), event]
        if message_id not in self._torn:
            return [event]
        self._torn.discard(message_id)
        if not isinstance(text, str) or len(text) < delivered:
            return [gap(self.session_id, f"the deltas of message {message_id} do not add up to its text"), event]
        rest = {"delta": text[delivered:], "index": None, "recovered": True}
        delta = [SessionEvent(Type.MESSAGE_DELTA, event.session_id, message_id, rest)] if rest["delta"] else []
        return [*delta, event]


def _is_part(event: SessionEvent) -> bool:
    """Whether an event is a part of a thought."""
    return event.type is _THINKING and event.data.get("status") == "streaming"


def gap(session_id: str, detail: str) -> SessionEvent:
    """Returns the ERROR that reports an unrecoverable gap."""
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
        self._is_quiet = posts.is_quiet
        self._live = posts.live
        # How many turns of ours are still to begin.
        self._to_begin = sum(ticket.first is None for ticket in posts.acknowledged)
        self._answered = False
        self._was_answered = posts.answered

    def take(self, message: Frame, is_new: bool) -> None:
        sender = SessionMessage.from_dict(message)
        message_id = sender.id
        if message_id in self._live:
            return  # the history was made when these had been sent
        if message_id in self._seen._partial or message_id in self._seen._thoughts:
            self._write(message, message_id)
        elif is_new and sender.is_user:
            post = next((one for one in self._posts if one.contents and is_content(one.contents[0], sender)), None)
            # A batch stands in the history as several messages; its first decides.
            if post is not None:
                self._posts.remove(post)
            if post is not None and post in self._unsure:
                self._result.found.append(post)
                # An answer to an approval goes on with a turn and begins none.
                self._to_begin += post.makes_turn
                kind = Type.MESSAGE_POSTED if len(post.contents) == 1 else Type.MESSAGES_POSTED
                details = {"success": True, "recovered": True}
                self._result.events.append(SessionEvent(kind, self._seen.session_id, None, details))
        elif is_new and message_id:
            self._write(message, message_id)

    def finish(self, last: Frame | None) -> None:
        """Ends the turn that was running if it is over, since its Idle may have been missed."""
        # The engine reported that it works on: its own Idle will come.
        if self._is_idle is False or not self._running:
            return
        is_answer = last is not None and is_final(last) and not SessionMessage.from_dict(last).is_user
        if self._is_idle and not (is_answer or self._answered or self._was_answered):
            detail = "the engine is idle, and its history holds no answer to this turn"
            self._result.events.append(gap(self._seen.session_id, detail))
        # A complete message may be a word before the answer, which then goes on soon.
        if self._is_idle or (is_answer and self._is_quiet):
            self._end()

    def _write(self, message: Frame, message_id: str) -> None:
        event = parse_event(frames.message_notification(self._seen.session_id, message), self._seen.session_id)
        if event is None or event.type is Type.MESSAGE_STREAMING:
            return  # not finished: the rest of it is still to come
        if event.type is Type.APPROVAL_REQUEST and event.data.get("status") not in (None, "pending"):
            return  # answered meanwhile
        if self._running and self._answered and self._to_begin and is_final(message):
            self._end()  # one answer to each: the history shows no more
        if not self._running:
            self._begin()
        self._answered = self._answered or is_final(message)
        details = SessionEvent(event.type, event.session_id, message_id, {**event.data, "recovered": True})
        events = self._seen._completed(details, message_id) if details.is_complete else [details]
        self._seen._recovered.add(message_id)
        if event.type in _REQUESTS:
            self._seen._asked.add(message_id)
        self._result.events += events

    def _begin(self) -> None:
        # Readers count on a Processing and an Idle around each turn, and the live ones are lost.
        self._status(ParticipantStatus.PROCESSING)
        self._running, self._answered = True, False
        self._to_begin = max(0, self._to_begin - 1)

    def _end(self) -> None:
        self._status(ParticipantStatus.IDLE)
        self._running = False

    def _status(self, status: ParticipantStatus) -> None:
        details = {"status": str(status), "recovered": True}
        self._result.events.append(SessionEvent(Type.PARTICIPANT_STATUS, self._seen.session_id, None, details))
