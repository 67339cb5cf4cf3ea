"""Where in a turn a session is, and whose turn it is, read off its events.

A turn runs from the status Processing to the next Idle; on an engine that never tells a
participant's status, from the first thing it says after the ack to its MESSAGE_COMPLETE, or to its
error (from the official SDK and its documentation). Acks come in the order of the posts, and turns in
the order of the acks.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from sessionlib.events import ParticipantStatus, SessionEvent, SessionEventType

__all__ = ["NEUTRAL", "EventOrigin", "PendingPost", "TurnHandle", "TurnTracker"]

_DELTA = SessionEventType.MESSAGE_DELTA
_COMPLETE = SessionEventType.MESSAGE_COMPLETE
_STATUS = SessionEventType.PARTICIPANT_STATUS
_ERROR = SessionEventType.ERROR
_PROCESSING = ParticipantStatus.PROCESSING
_IDLE = ParticipantStatus.IDLE
_POSTED = frozenset({SessionEventType.MESSAGE_POSTED, SessionEventType.MESSAGES_POSTED})
_POSTS = frozenset({"post_message", "post_messages"})
# These come between a finished answer and its Idle without meaning that the turn goes on.
NEUTRAL = frozenset({SessionEventType.PONG, SessionEventType.SESSION_CONNECTED, *_POSTED})
# On an engine without statuses.
_LAST_WORDS = frozenset({_COMPLETE, _ERROR})
# How errors begin that this client tells itself: they are no answers of the engine's.
_OWN_NOTICES = ("gap", "illegal frame")


class TurnHandle:
    """One turn, whoever began it.

    Attributes:
        over: Whether it has ended.
    """

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False


class PendingPost:
    """One post of ours, on its way to a turn.

    Attributes:
        makes_turn: Whether the engine answers it with a turn; not so for answers to approval requests.
        contents: What it can be recognised by in the history.
        attended: Whether somebody reads its turn and sees to what that asks; the approval desk's lock
            protects it.
        first: The event that began its turn, once it has begun.
        last: The event that ended its turn, once it has ended.
        refusal: The ERROR by which the engine refused it.
    """

    __slots__ = ("attended", "contents", "first", "last", "makes_turn", "refusal")

    def __init__(self, makes_turn: bool = True, contents: tuple[str, ...] = ()) -> None:
        self.makes_turn = makes_turn
        self.contents = contents
        self.attended = False
        self.first: SessionEvent | None = None
        self.last: SessionEvent | None = None
        self.refusal: SessionEvent | None = None


class EventOrigin(NamedTuple):
    """Where an event comes from.

    Attributes:
        ticket: The post of ours that it belongs to; None when it is none of ours.
        course: The turn that it came in.
    """

    ticket: PendingPost | None
    course: TurnHandle


class TurnTracker:
    """Follows the turns of one session.

    Args:
        alone: Whether nobody else can know the session yet, because it was created here. A turn that
            begins between a post and its ack is then that post's, until an ack has come first.

    Attributes:
        running: Whether a turn has begun and not ended.
        answered: Whether the last thing that happened in it was a complete message.
        has_statuses: Whether the engine has ever told a status that begins or ends a turn.
        current: The post whose turn is running; None between turns and in those of others.
    """

    __slots__ = (
        "_acknowledged",
        "_acks_come_first",
        "_course",
        "_sent",
        "answered",
        "current",
        "has_statuses",
        "running",
    )

    def __init__(self, alone: bool = False) -> None:
        self.running = False
        self.answered = False
        self.has_statuses = False
        self.current: PendingPost | None = None
        self._course = TurnHandle()
        self._sent: deque[PendingPost] = deque()
        self._acknowledged: deque[PendingPost] = deque()
        self._acks_come_first = not alone

    @property
    def course(self) -> TurnHandle:
        """The turn that is running; between turns, one of its own for whoever asks."""
        return self._course if self.running else TurnHandle()

    @property
    def unacknowledged(self) -> list[PendingPost]:
        """Our posts whose acks have not come, in order."""
        return list(self._sent)

    @property
    def unanswered(self) -> list[PendingPost]:
        """Our posts with an ack whose turns have not ended, in order."""
        current = [] if self.current is None else [self.current]
        return [*current, *self._acknowledged]

    def post(self, makes_turn: bool = True, contents: tuple[str, ...] = ()) -> PendingPost:
        """Notes a post that is about to leave, and gives its ticket."""
        ticket = PendingPost(makes_turn, contents)
        self._sent.append(ticket)
        return ticket

    def withdraw(self, ticket: PendingPost) -> None:
        """Forgets a post that did not leave."""
        if ticket in self._sent:
            self._sent.remove(ticket)

    def follow(self, event: SessionEvent) -> PendingPost | None:
        """Takes in the next event and gives the post of ours that it belongs to, if any."""
        kind = event.type
        if kind is _DELTA:
            self.answered = False
        elif kind in _POSTED or (kind is _ERROR and event.data.get("request_type") in _POSTS):
            return self._acknowledge(event)
        elif kind is _STATUS:
            return self._follow_status(event)
        elif kind in NEUTRAL:
            return None
        elif kind is _ERROR and _names_nothing(event) and (refused := self._refuse(event)) is not None:
            return refused
        else:
            self.answered = kind is _COMPLETE
        if self._acknowledged and not self.has_statuses and not self.running:
            self._begin(event)
        owner = self.current
        if kind in _LAST_WORDS and not self.has_statuses:
            self._end(event)
        return owner

    def ends_turn(self, event: SessionEvent) -> bool:
        """Whether an event is the last of its turn, on this engine."""
        return event.is_turn_end or (event.type is _COMPLETE and not self.has_statuses)

    def _acknowledge(self, event: SessionEvent) -> PendingPost | None:
        if not self._sent:
            return None
        ticket = self._sent.popleft()
        if event.type is _ERROR:
            ticket.refusal = event
        elif ticket.makes_turn and ticket.first is None:
            self._acknowledged.append(ticket)
        return ticket

    def _refuse(self, event: SessionEvent) -> PendingPost | None:
        """Gives the post that an error is about which names neither a request nor a message."""
        # The oldest post without an ack has probably just got its answer; and one whose turn has not
        # begun by then will not begin it any more.
        waiting = self._sent or (None if self.running else self._acknowledged)
        if not waiting:
            return None
        ticket = waiting.popleft()
        ticket.refusal = event
        return ticket

    def _follow_status(self, event: SessionEvent) -> PendingPost | None:
        status = event.data.get("status")
        if status == _PROCESSING:
            self.has_statuses, self.answered = True, False
            if not self.running:
                self._begin(event)
        elif status == _IDLE:
            self.has_statuses = True
            owner = self.current
            self._end(event)
            return owner
        return self.current

    def _begin(self, event: SessionEvent) -> None:
        self.running = True
        self._course = TurnHandle()
        self.current = self._next_in_line()
        if self.current is not None:
            self.current.first = event

    def _next_in_line(self) -> PendingPost | None:
        if self._acknowledged:
            self._acks_come_first = True
            return self._acknowledged.popleft()
        if self._acks_come_first:
            return None
        return next((ticket for ticket in self._sent if ticket.makes_turn and ticket.first is None), None)

    def _end(self, event: SessionEvent) -> None:
        self.running = self.answered = False
        self._course.over = True
        if self.current is not None:
            self.current.last = event
        self.current = None


def _names_nothing(error: SessionEvent) -> bool:
    told = error.data
    return (
        error.message_id is None
        and told.get("request_type") is None
        and not str(told.get("error")).startswith(_OWN_NOTICES)
    )
