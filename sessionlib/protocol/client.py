"""What comes in: each frame is an answer that somebody waits for, an event, or nothing for us."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from sessionlib._util.models import StrEnum
from sessionlib.errors import SessionProtocolError
from sessionlib.events import SessionEvent
from sessionlib.protocol import codec
from sessionlib.protocol.codec import Payload
from sessionlib.protocol.parser import END, KNOWN_TYPES, Frame, Run, check_frame, parse_event, parse_frame, parse_run

__all__ = ["Intake", "SessionState", "may_follow"]

logger = logging.getLogger("sessionlib")

# So many messages at once are probably pieces of one; looking for that costs more than fewer would gain.
MANY = 8
# How the pieces of a message are told from other frames without reading these, nearly always.
PIECE = b'"message_delta"'
GUESSED = 32


class Replies(Protocol):
    """Where answers to pending calls go."""

    frame_types: frozenset[str]

    def offer(self, frame: Frame) -> bool:
        """Takes a frame if it answers a call."""

    def is_answer(self, frame: Frame) -> bool:
        """Whether a frame answers a call of one of the types."""


class Intake:
    """Sorts the frames of one session; for whoever reads it.

    Args:
        session_id: The session's id; None before one was created.
        replies: Where answers go.

    Attributes:
        session_id: Likewise.
        replies: Where answers go.
    """

    def __init__(self, session_id: str | None, replies: Replies) -> None:
        self.session_id = session_id
        self.replies = replies
        self._unknown_types: set[str] = set()

    def take_all(
        self,
        messages: Sequence[Payload],
        events: list[SessionEvent],
        runs: list[Run],
        before_answer: Callable[[], None],
    ) -> None:
        """Appends the events that text messages become, in order.

        Args:
            messages: Their payloads.
            events: What they are appended to; up to the illegal message, if there is one.
            runs: Gets where in them there are pieces of one message in a row, as far as that is known.
            before_answer: Called before an answer is given to whoever waits for it, who may rely on having
                been told what came before it; to deliver and empty both.

        Raises:
            SessionProtocolError: One is not a frame, or a known field of it has the wrong type.
        """
        if not codec.fast_path or self.session_id is None or len(messages) < MANY:
            for message in messages:
                self._add(parse_frame(message), events, before_answer)
            return
        left = iter(messages)
        for message in left:
            # Only a guess: whatever is wrong for a run is left to the plain path by it, and the other way round.
            if PIECE not in bytes(message[:GUESSED]):
                self._add(parse_frame(message), events, before_answer)
                continue
            run, behind = parse_run(itertools.chain((message,), left), self.session_id, events)
            if run is not None:
                runs.append(run)
            if isinstance(behind, SessionProtocolError):
                raise behind
            if behind is not END:
                self._add(check_frame(behind), events, before_answer)

    def _add(self, frame: Frame, events: list[SessionEvent], before_answer: Callable[[], None]) -> None:
        if frame["type"] in self.replies.frame_types:
            if events and self.replies.is_answer(frame):
                before_answer()
            event = self.take(frame)
        else:
            event = self._event(frame)
        if event is not None:
            events.append(event)

    def take(self, frame: Frame) -> SessionEvent | None:
        """Gives the event that a frame becomes, if it becomes one.

        Raises:
            SessionProtocolError: A known field has the wrong type.
        """
        return None if self.replies.offer(frame) else self._event(frame)

    def _event(self, frame: Frame) -> SessionEvent | None:
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


class SessionState(StrEnum):
    """Where a session's connection is."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    DISCONNECTED = "disconnected"
    TERMINATED = "terminated"


_S = SessionState
_NEXT: dict[SessionState, frozenset[SessionState]] = {
    _S.CONNECTING: frozenset({_S.CONNECTED, _S.DISCONNECTED, _S.TERMINATED}),
    _S.CONNECTED: frozenset({_S.RECONNECTING, _S.DISCONNECTED, _S.TERMINATED}),
    _S.RECONNECTING: frozenset({_S.CONNECTED, _S.DISCONNECTED, _S.TERMINATED}),
    _S.DISCONNECTED: frozenset({_S.CONNECTING}),
    _S.TERMINATED: frozenset(),
}


def may_follow(state: SessionState, following: SessionState) -> bool:
    """Whether one state may come directly after another."""
    return following in _NEXT[state]
