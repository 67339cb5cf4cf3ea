"""The client's side of a session, without I/O: what frames mean, in the order in which they come.

`ClientProtocol` owns the session id, the matching of replies to calls, the turns and the recovery after a lost
connection. It has no socket, thread, lock or clock. Decoding and recovery are the reading thread's alone; the turns and
the pending calls are used by every thread that sends, so a thread that touches those holds `Hub.lock`.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any, Union

from sessionlib._util.models import StrEnum
from sessionlib.errors import SessionError, SessionProtocolError, SessionTerminatedError
from sessionlib.events import SessionEvent
from sessionlib.protocol import codec, frames
from sessionlib.protocol.codec import Payload
from sessionlib.protocol.frames import Frame
from sessionlib.protocol.parser import (
    END,
    EVENT_FRAMES,
    KNOWN_TYPES,
    HalfCharacterError,
    Run,
    check_frame,
    parse_event,
    parse_frame,
    parse_run,
    without_halves,
)
from sessionlib.protocol.recovery import CatchUp, PendingPosts, RecoveryTracker
from sessionlib.protocol.turns import TurnTracker

__all__ = ["ClientProtocol", "PendingCall", "PendingCalls", "Received", "SessionState", "may_follow"]

logger = logging.getLogger("sessionlib")

# So many messages at once are probably deltas of one; looking for that costs more than fewer would gain.
MANY = 8
# How deltas are distinguished from other frames without parsing these, nearly always.
DELTA_MARK = b'"message_delta"'
GUESSED = 32


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
    # By `connect()`, which resumes the session under its id.
    _S.DISCONNECTED: frozenset({_S.CONNECTING}),
    # The engine refuses to join a terminated session, so nothing follows.
    _S.TERMINATED: frozenset(),
}


def may_follow(state: SessionState, following: SessionState) -> bool:
    """Whether one state may come directly after another."""
    return following in _NEXT[state]


class PendingCall:
    """A request whose answer bears its type.

    Args:
        request_type: That type.
        done: Called once `reply` or `error` is set.

    Attributes:
        reply: The answer.
        error: What the engine refused it with.
        is_abandoned: Whether no caller waits for the answer any more.
    """

    def __init__(self, request_type: str, done: Callable[[], object]) -> None:
        self.request_type = request_type
        self.done = done
        self.reply: Frame | None = None
        self.error: object = None
        self.is_abandoned = False
        # Whether a late answer came for an earlier call while this one waited.
        self._saw_late_answer = False


# So many messages at most are asked for in one part of a history; the engine has a bound in bytes as well.
_PART = 1000


class PendingCalls:
    """Matches answers to calls: frames carry no request ids, so calls of a type are answered in their order.

    Args:
        types: The requests whose answers bear the same type.
    """

    def __init__(self, *types: str) -> None:
        self._calls: dict[str, list[PendingCall]] = {name: [] for name in types}
        # An error names in `request_type` the request that it refuses.
        self._frame_types = frozenset({*types, "error"})

    def begin(self, call: PendingCall) -> None:
        """Notes a request that is about to leave."""
        self._calls[call.request_type].append(call)

    def end(self, call: PendingCall, *, has_left: bool) -> None:
        """Notes that no caller waits for a call any more; an answer that comes later is dropped.

        Args:
            call: The call.
            has_left: Whether its request was sent.
        """
        calls = self._calls[call.request_type]
        if call not in calls:
            return
        # If an answer came meanwhile that was taken for a late one, it was this call's: to expect another one would
        # give every later call the answer of the one before it.
        if has_left and not call._saw_late_answer:
            call.is_abandoned = True
        else:
            calls.remove(call)

    def is_waited_for(self, request_type: str) -> bool:
        """Whether a call of a type has no answer yet."""
        return bool(self._calls[request_type])

    def match(self, frame: Frame) -> PendingCall | bool | None:
        """Finds the call that a frame answers, and enters the answer.

        Returns:
            The call, whose `PendingCall.done` is to be called; True for an answer that no caller waits
            for; False or None for a frame that is no answer.
        """
        frame_type = frame["type"]
        if frame_type not in self._frame_types:
            return None
        failed = frame_type == "error"
        answered = frame.get("request_type") if failed else frame_type
        calls = self._calls.get(answered) if isinstance(answered, str) else None
        if calls is None:
            return None
        if not calls:
            # A late answer is of no use any more; an error may be news, and becomes an event.
            return not failed
        # The oldest, as the engine answers one connection's requests in their order.
        call = calls.pop(0)
        if call.is_abandoned:
            for other in calls:
                other._saw_late_answer = True
            return True
        if failed or frame.get("success") is False:
            call.error = frame.get("error") or "it gave no reason"
        else:
            call.reply = frame
        return call

    def clear(self) -> list[PendingCall]:
        """Forgets all calls, as a new connection answers none of the old one's; returns those that are waited for."""
        waiting = [call for calls in self._calls.values() for call in calls if not call.is_abandoned]
        for calls in self._calls.values():
            calls.clear()
        return waiting


# Part of what one read brought: events, in order; where among them there are deltas of one message in a row, as far as
# that is known; behind them, a frame that may answer a pending call. A bare tuple: every read makes one.
Received = tuple[list[SessionEvent], list[Run], Union[Frame, None]]


class ClientProtocol:
    """One session, as its client knows it from the frames that passed.

    Args:
        session_id: The session's id; None before one was created.

    Attributes:
        session_id: Likewise.
        turns: Which turn answers which post.
        calls: The requests without an answer.
        recovery: What has been delivered.
        features: What the engine's acks of a join name: what it can do beyond the protocol.
        history_too_large: Whether the engine's history is larger than a message may be: no gap can be closed from it.
    """

    def __init__(self, session_id: str | None) -> None:
        self.session_id = session_id
        # What the engine can do beyond the protocol, from its last ack; the hosted one names nothing.
        self.features: frozenset[str] = frozenset()
        self.history_too_large = False
        # A session that is created here has no other client before this one has published its id.
        self.turns = TurnTracker(alone=session_id is None)
        self.calls = PendingCalls("get_messages")
        self.recovery = RecoveryTracker(session_id or "", from_start=session_id is None)
        self._unknown_types: set[str] = set()
        # Halves of characters at the end of deltas, by message.
        self._halves: dict[str, str] = {}

    @property
    def known_id(self) -> str:
        """The session's id, once there is one."""
        assert self.session_id is not None
        return self.session_id

    # ---- joining -------------------------------------------------------------------------------

    def match_join(self, frame: Frame, request: Frame, reply_type: str, *, again: bool = False) -> bool:
        """Whether a frame answers a request of the join; the id of a session that was created is taken from it.

        Args:
            frame: The frame.
            request: The request.
            reply_type: The type of its answer.
            again: Whether the session was joined before. Then an error that names no request may be that of a turn
                which is still running, and is no answer.

        Raises:
            SessionError: It refuses the request.
            SessionProtocolError: It creates a session without an id.
        """
        request_type = request["type"]
        if frame["type"] == "error":
            named = frame.get("request_type")
            # As a session is joined for the first time, an error can be about nothing else; later, it may be a
            # turn's.
            refuses = named == request_type or (named is None and not again)
        else:
            refuses = frame["type"] == request_type and frame.get("success") is False
        if refuses:
            about = self.session_id or f"{request.get('object_type')} {request.get('object_id')}"
            # An ack with `success: false` may come without one, too.
            reason = frame.get("error") or "it gave no reason"
            kind = SessionTerminatedError if frame.get("code") == "session_terminated" else SessionError
            refusal = kind(f"the engine refused {request_type} for {about}: {reason}", session_id=self.session_id)
            refusal.engine_reason = str(reason)
            raise refusal
        if frame["type"] != reply_type:
            return False
        features = frame.get("features")
        if isinstance(features, list):
            self.features = frozenset(name for name in features if isinstance(name, str))
        if self.session_id is None:
            created = frame.get("session_id")
            if not isinstance(created, str) or not created:
                raise SessionProtocolError("the engine created a session without an id")
            # What comes right behind it may belong to the new session.
            self.session_id = self.recovery.session_id = created
        return True

    def history_request(self, reply: Frame | None = None) -> Frame | None:
        """Returns the request for the history, in parts where the engine can send parts.

        Args:
            reply: The reply to the request before; None for the first.

        Returns:
            The request; None when the reply has the last part.
        """
        if reply is None:
            part: dict[str, Any] = {"limit": _PART} if "history_parts" in self.features else {}
            return frames.get_messages(self.known_id, **part)
        messages = reply.get("messages")
        # An engine that announces more and sends no message to go on behind would be asked for ever.
        last = messages[-1] if isinstance(messages, list) and messages else None
        if reply.get("more") is not True or not isinstance(last, dict) or not isinstance(last.get("id"), str):
            return None
        return frames.get_messages(self.known_id, limit=_PART, after=last["id"])

    def rejoined(
        self, is_idle: bool | None, history: Sequence[Any], live: Sequence[SessionEvent], *, is_quiet: bool = False
    ) -> CatchUp:
        """Finds out what was missed while there was no connection; `Hub.lock` is held.

        Args:
            is_idle: Whether the engine reported as it was joined that it is idle; None when it reported nothing.
            history: The session's messages, oldest first, as the engine sent them.
            live: The events that came since the join.
            is_quiet: Whether nothing has come for a while since.
        """
        # The ack was made first: a status behind it is newer than what it reports.
        turns = self.turns
        has_status = any(event.participant_status is not None for event in live)
        seen = frozenset(event.message_id for event in live if event.message_id is not None)
        if is_idle and not has_status:
            seen = frozenset()  # an idle engine only repeats: what it has sent is as finished as its history shows it
        elif has_status and not is_idle:
            is_idle = False  # what goes on, or ends, shows by itself
        pending = PendingPosts(
            turns.unanswered, turns.unacknowledged, turns.running, is_idle, is_quiet, seen, turns.answered
        )
        return self.recovery.catch_up(history, pending)

    # ---- decoding: the hot path ----------------------------------------------------------------

    def decode(self, messages: Sequence[Payload], received: list[Received]) -> None:
        """Appends what text messages mean, in order; divided at frames that may answer a call.

        Args:
            messages: Their payloads.
            received: What is appended to; up to the illegal message, if there is one.

        Raises:
            SessionProtocolError: One is not a frame, or a known field of it has the wrong type.
        """
        events: list[SessionEvent] = []
        runs: list[Run] = []
        received.append((events, runs, None))
        # Local names, as what follows runs for every frame that comes.
        loads, session_id = codec.bare_loads, self.session_id
        is_burst = codec.fast_path and len(messages) >= MANY and not self._halves
        left = iter(messages)
        for message in left:
            # Only a guess: whatever is wrong for a run is left to the plain path by it, and the other way round.
            if is_burst and session_id is not None and DELTA_MARK in bytes(message[:GUESSED]) and not self._halves:
                run, behind = parse_run(itertools.chain((message,), left), session_id, events)
                if run is not None:
                    runs.append(run)
                if behind is END:
                    return
                if isinstance(behind, HalfCharacterError):
                    frame = self._mended(check_frame(behind.frame))
                elif isinstance(behind, SessionProtocolError):
                    raise behind
                else:
                    frame = check_frame(behind)
            else:
                # As nearly always: a frame of this session that becomes an event, and answers no call.
                try:
                    frame = loads(message)
                    # A frame without a session id is legal, and is this session's; it goes the plain path, as those of
                    # other sessions do.
                    make = EVENT_FRAMES.get(frame["type"]) if frame["session_id"] == session_id else None
                except (ValueError, RecursionError, LookupError, TypeError):
                    make = None  # the plain path reports what is wrong, if anything is
                if make is not None and session_id is not None and not self._halves:
                    events.append(make(frame, session_id))
                    continue
                frame = self.frame_of(message)
            kind = frame["type"]
            if kind == "get_messages" or (kind == "error" and frame.get("request_type") == "get_messages"):
                # The caller that waits for it may rely on having what came before it.
                received[-1] = (events, runs, frame)
                events, runs = [], []
                received.append((events, runs, None))
                continue
            event = self.event_of(frame)
            if event is not None:
                events.append(event)

    def frame_of(self, message: Payload) -> Frame:
        """Returns the frame in a text message, whole characters in it.

        Raises:
            SessionProtocolError: It is not UTF-8, not JSON, no object, or has no ``type``.
        """
        try:
            frame = parse_frame(message)
        except HalfCharacterError as error:
            return self._mended(check_frame(error.frame))
        return self._mended(frame) if self._halves else frame

    def _mended(self, frame: Frame) -> Frame:
        """Joins what a delta begins and ends with to the halves around it; replaces the halves that have no other."""
        value, message_id = frame.get("value"), frame.get("message_id")
        if frame["type"] != "message_delta" or not isinstance(value, str) or not isinstance(message_id, str):
            if frame["type"] == "message_notification":
                for one in self._halves:
                    self.recovery.doubt(one, again=True)  # a half that was left over
                self._halves.clear()  # a whole text follows what was streamed of it
            whole: Frame = without_halves(frame)
            return whole
        value = self._halves.pop(message_id, "") + value
        # The first half of a pair (UTF-16's high surrogates): its other half begins the next delta of the message.
        if value and "\ud800" <= value[-1] <= "\udbff":
            self._halves[message_id], value = value[-1], value[:-1]
        mended: Frame = without_halves({**frame, "value": value})
        if mended["value"].count("\ufffd") > value.count("\ufffd"):
            self.recovery.doubt(message_id)  # its other half may come in another order
        return mended

    def event_of(self, frame: Frame) -> SessionEvent | None:
        """Returns the event that a frame becomes, if it becomes one of this session.

        Raises:
            SessionProtocolError: A known field has the wrong type.
        """
        event = parse_event(frame, self.session_id or "")
        if event is None:
            frame_type = frame["type"]
            if frame_type not in KNOWN_TYPES and frame_type not in self._unknown_types:
                # Once for each type: a newer engine may send one with every delta.
                self._unknown_types.add(frame_type)
                logger.warning("! session %s: dropping frames of unknown type %.80r", self.session_id, frame_type)
        elif self.session_id is not None and event.session_id != self.session_id:
            logger.debug("! session %s: dropped a frame for another session", self.session_id)
            return None
        return event
