"""What comes in: each frame is an answer that somebody waits for, an event, or nothing for us."""

from __future__ import annotations

import logging

from sessionlib.events import SessionEvent
from sessionlib.replies import ReplyLane
from sessionlib.wire.parse import KNOWN_TYPES, Frame, parse_event

__all__ = ["Intake"]

logger = logging.getLogger("sessionlib")


class Intake:
    """Sorts the frames of one session; for whoever reads it.

    Args:
        session_id: The session's id; None before one was created.

    Attributes:
        session_id: Likewise.
        replies: Where answers go.
    """

    def __init__(self, session_id: str | None) -> None:
        self.session_id = session_id
        self.replies = ReplyLane("get_messages")
        self._unknown_types: set[str] = set()

    def take(self, frame: Frame) -> SessionEvent | None:
        """Gives the event that a frame becomes, if it becomes one.

        Raises:
            SessionProtocolError: A known field has the wrong type.
        """
        if self.replies.offer(frame):
            return None
        event = parse_event(frame, self.session_id or "")
        if event is None:
            self._note_unknown(frame["type"])
        elif self.session_id is not None and event.session_id != self.session_id:
            logger.debug("! session %s: dropped a frame for another session", self.session_id)
            return None
        return event

    def _note_unknown(self, frame_type: str) -> None:
        if frame_type not in KNOWN_TYPES and frame_type not in self._unknown_types:
            self._unknown_types.add(frame_type)
            logger.warning("! session %s: dropping frames of unknown type %.80r", self.session_id, frame_type)
