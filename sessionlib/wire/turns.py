"""Where in a turn a session is, read off its events.

A turn runs from the status Processing to the next Idle; on an engine that never tells a
participant's status, it ends with its MESSAGE_COMPLETE (both from the official SDK and its
documentation).
"""

from __future__ import annotations

from sessionlib.events import ParticipantStatus, SessionEvent, SessionEventType

__all__ = ["TurnTracker"]

_DELTA = SessionEventType.MESSAGE_DELTA
_COMPLETE = SessionEventType.MESSAGE_COMPLETE
_STATUS = SessionEventType.PARTICIPANT_STATUS
# These come between a finished answer and its Idle without meaning that the turn goes on.
_NEUTRAL = frozenset(
    {
        SessionEventType.PONG,
        SessionEventType.MESSAGE_POSTED,
        SessionEventType.MESSAGES_POSTED,
        SessionEventType.SESSION_CONNECTED,
    }
)


class TurnTracker:
    """Follows the turns of one session.

    Attributes:
        running: Whether a turn has begun and not ended.
        answered: Whether the last thing that happened in it was a complete message.
        has_statuses: Whether the engine has ever told a status that begins or ends a turn.
    """

    __slots__ = ("answered", "has_statuses", "running")

    def __init__(self) -> None:
        self.running = False
        self.answered = False
        self.has_statuses = False

    def follow(self, event: SessionEvent) -> None:
        """Takes in the next event."""
        kind = event.type
        if kind is _DELTA:
            self.answered = False
        elif kind is _COMPLETE:
            self.answered = True
        elif kind is _STATUS:
            self._follow_status(event.participant_status)
        elif kind not in _NEUTRAL:
            self.answered = False

    def ends_turn(self, event: SessionEvent) -> bool:
        """Whether an event is the last of its turn, on this engine."""
        return event.is_turn_end or (event.type is _COMPLETE and not self.has_statuses)

    def _follow_status(self, status: ParticipantStatus | None) -> None:
        if status is ParticipantStatus.PROCESSING:
            self.running, self.answered, self.has_statuses = True, False, True
        elif status is ParticipantStatus.IDLE:
            self.running, self.answered, self.has_statuses = False, False, True
