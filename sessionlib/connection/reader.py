"""What comes in over a link, and how the session is joined again when that is lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

from sessionlib._util.retry import Retries, is_transient
from sessionlib._util.timing import Deadline
from sessionlib.connection.join import Joiner
from sessionlib.connection.options import Callbacks, ConnectionOptions
from sessionlib.connection.state import ConnectionState
from sessionlib.errors import (
    DeliveryUnknownError,
    SessionDisconnectedError,
    SessionError,
    SessionlibError,
    SessionProtocolError,
)
from sessionlib.events import ParticipantStatus, SessionEvent, SessionEventType
from sessionlib.protocol.client import SessionState
from sessionlib.protocol.codec import Payload
from sessionlib.protocol.parser import Run
from sessionlib.protocol.recovery import PendingPosts, RecoveryTracker
from sessionlib.streams.hub import Hub
from sessionlib.streams.stats import Counters
from sessionlib.transport.base import Transport

__all__ = ["Reader"]

logger = logging.getLogger("sessionlib")

# So many illegal frames in so many seconds are no accident.
ILLEGAL_LIMIT = 3
ILLEGAL_PERIOD = 60.0


class Reader:
    """Reads one session until it is left or lost for good; the body of its thread.

    Args:
        joiner: Joins the session.
        hub: Where its events go.
        link: What the reader keeps up to date.
        options: How the link behaves.
        callbacks: What is told.
        gauges: What counts.
        leaving: Set when this client is leaving; what the reader meets from then on is no failure.
    """

    def __init__(
        self,
        joiner: Joiner,
        hub: Hub,
        link: ConnectionState,
        options: ConnectionOptions,
        callbacks: Callbacks,
        gauges: Counters,
        leaving: threading.Event,
    ) -> None:
        self._joiner = joiner
        self._intake = joiner.intake
        self._replies = joiner.replies
        self._hub = hub
        self._link = link
        self._reconnect = options.reconnect
        self._callbacks = callbacks
        self._gauges = gauges
        self._leaving = leaving
        self._retries = Retries(
            leaving.wait,
            delay=options.reconnect_delay,
            max_delay=options.reconnect_max_delay,
            timeout=options.reconnect_timeout,
            attempt_timeout=options.connect_timeout,
        )
        self._seen: RecoveryTracker | None = None
        self._illegal: list[float] = []

    # ---- the first link ------------------------------------------------------------------------

    def join(self, transport: Transport, deadline: Deadline) -> None:
        """Creates or joins the session over a new link, and delivers what came meanwhile.

        Raises:
            SessionError: The engine refused it, or the link broke.
        """
        is_new = self._session_id is None
        events = self._joiner.join(transport, deadline)
        self._seen = RecoveryTracker(self._joiner.known_id, from_start=is_new)
        self._deliver(events)

    # ---- the reader thread ---------------------------------------------------------------------

    def run(self, transport: Transport) -> None:
        """Reads, and joins again as often as that is needed, until the session is over.

        Args:
            transport: The link over which it was joined.
        """
        current: Transport | None = transport
        while current is not None:
            cause = self._read_until_lost(current)
            current = None if self._leaving.is_set() else self._resume(cause)

    def _read_until_lost(self, transport: Transport) -> Exception:
        try:
            while True:
                messages = transport.recv()
                try:
                    self._receive(messages)
                except SessionProtocolError as error:
                    transport.close(error.close_code)
                    self._note_illegal(error)
                    return error
                del messages  # whose memory is not to be held while nothing comes
        except SessionlibError as error:
            return error
        except Exception as error:  # a reader that dies quietly would hang everybody
            logger.exception("! session %s: the reader failed", self._session_id)
            return error
        finally:
            transport.release()

    def _note_illegal(self, error: SessionProtocolError) -> None:
        """Tells of an illegal frame, and decides whether it is worth joining the session again."""
        now = time.monotonic()
        self._illegal = [then for then in self._illegal if now - then < ILLEGAL_PERIOD] + [now]
        error.transient = len(self._illegal) < ILLEGAL_LIMIT
        told = {"error": f"illegal frame: {error}", "request_type": None}
        self._hub.dispatch([SessionEvent(SessionEventType.ERROR, self._session_id or "", None, told)])

    def _receive(self, messages: list[Payload]) -> None:
        events: list[SessionEvent] = []
        runs: list[Run] = []

        def deliver() -> None:
            self._deliver(events[:], runs[:])
            events.clear()
            runs.clear()

        try:
            self._intake.take_all(messages, events, runs, deliver)
        finally:
            if events:
                self._deliver(events, runs)

    def _deliver(self, events: list[SessionEvent], runs: Sequence[Run] = ()) -> None:
        assert self._seen is not None
        if self._reconnect:
            events = self._seen.filter(events, runs)
        self._hub.dispatch(events)

    # ---- when the link is lost -----------------------------------------------------------------

    def _resume(self, cause: Exception) -> Transport | None:
        """Opens the link again; None when the session is over."""
        if not self._reconnect or not is_transient(cause):
            self._give_up(cause)
            return None
        assert self._seen is not None
        self._seen.interrupt()
        try:
            self._link.change(SessionState.RECONNECTING)
            self._replies.fail(self._broken, for_good=False)
            return self._retries.run(cause, lambda deadline: self._joiner.connect(deadline, self._rejoin))
        except Exception as error:  # noqa: BLE001 - a callable that gives the key may raise anything
            self._give_up(error)
            return None

    def _rejoin(self, transport: Transport, deadline: Deadline) -> None:
        try:
            joined, live = self._joiner.join_again(transport, deadline)
            self._retries.succeed()
            self._replies.forget_late()
            history, more = self._joiner.history(transport, deadline)
        except SessionProtocolError as error:
            self._note_illegal(error)
            raise
        connected = SessionEvent(SessionEventType.SESSION_CONNECTED, self._joiner.known_id, None, joined)
        self._hub.dispatch([connected], keep=False)
        self._close_gap(history, live + more, joined.get("status"))
        self._gauges.reconnects += 1
        self._link.change(SessionState.CONNECTED, transport)

    def _close_gap(self, history: list[Any], live: list[SessionEvent], status: object) -> None:
        """Delivers what was missed, then what has come since; fails the posts whose fate is unknown."""
        assert self._seen is not None
        posts = self._hub.posts()
        is_idle = status == str(ParticipantStatus.IDLE) if isinstance(status, str) else None
        if any(event.participant_status is not None for event in live):
            is_idle = False  # what goes on, or ends, tells so by itself
        pending = PendingPosts(posts.unanswered, posts.unacknowledged, posts.running, is_idle)
        missed = self._seen.catch_up(history, pending)
        for ticket in posts.unacknowledged:
            if not ticket.makes_turn:
                self._hub.withdraw(ticket)
                self._callbacks.on_lost_answer(ticket.contents[0])
            elif ticket not in missed.found:
                self._hub.give_up(ticket, self._unknown)
        self._seen.note(missed.events)
        self._hub.dispatch(missed.events)
        self._deliver(live)

    def _give_up(self, cause: Exception) -> None:
        def loss() -> SessionError:
            code, reason = getattr(cause, "code", None), getattr(cause, "reason", "")
            error = SessionDisconnectedError(
                f"session {self._session_id} lost its connection: {cause}; connect() resumes it",
                session_id=self._session_id,
                code=code,
                reason=reason,
            )
            error.__cause__ = cause
            return error

        self._link.change(SessionState.DISCONNECTED, loss=loss)
        self._replies.fail(loss, for_good=True)
        self._hub.end(loss)

    @property
    def _session_id(self) -> str | None:
        return self._joiner.session_id

    def _broken(self) -> SessionError:
        return SessionDisconnectedError(
            f"session {self._session_id}: the connection broke", session_id=self._session_id
        )

    def _unknown(self) -> SessionError:
        return DeliveryUnknownError(
            f"session {self._session_id}: the connection broke around a message, and the history does not hold it; "
            "it was not sent again. Look at get_messages() before doing so.",
            session_id=self._session_id,
        )
