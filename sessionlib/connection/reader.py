"""The reading thread: what comes in over a connection, and how the session is joined again when that is lost."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from sessionlib._util.retry import Retries, is_transient
from sessionlib._util.timing import Deadline
from sessionlib.connection.join import Dialer, as_transient, create, fetch_history, join
from sessionlib.connection.options import Callbacks, ConnectionOptions, Owner
from sessionlib.connection.sender import Sender
from sessionlib.connection.state import ConnectionState
from sessionlib.errors import (
    DeliveryUnknownError,
    MessageTooLargeError,
    SessionDisconnectedError,
    SessionError,
    SessionlibError,
    SessionProtocolError,
    UnansweredError,
)
from sessionlib.events import ParticipantStatus, SessionEvent, SessionEventType
from sessionlib.protocol.client import ClientProtocol, PendingCall, Received, SessionState
from sessionlib.protocol.codec import Payload
from sessionlib.protocol.frames import Frame
from sessionlib.protocol.parser import Run
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
        protocol: What frames mean.
        dialer: Opens connections.
        hub: Where events go.
        link: The state that the reader keeps up to date.
        sender: Whose calls fail with the connection.
        options: How a connection behaves.
        callbacks: What is reported to the session.
        counters: What counts.
        leaving: Set when this client is leaving; what the reader meets from then on is no failure.
        on_turns: Called when something has come that bears on turns; must not block.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        dialer: Dialer,
        hub: Hub,
        link: ConnectionState,
        sender: Sender,
        options: ConnectionOptions,
        callbacks: Callbacks,
        counters: Counters,
        leaving: threading.Event,
        on_turns: Callable[[], object],
    ) -> None:
        self._protocol = protocol
        self._dialer = dialer
        self._hub = hub
        self._link = link
        self._sender = sender
        self._reconnect = options.reconnect
        self._callbacks = callbacks
        self._counters = counters
        self._leaving = leaving
        self._on_turns = on_turns
        # Waits on the flag of leaving, so that `disconnect` need not wait for the next try.
        self._retries = Retries(
            leaving.wait,
            delay=options.reconnect_delay,
            max_delay=options.reconnect_max_delay,
            timeout=options.reconnect_timeout,
            attempt_timeout=options.connect_timeout,
        )
        self._steps = 0
        self._illegal: list[float] = []

    # ---- joining, first and again --------------------------------------------------------------

    def open(self, owner: Owner | None, deadline: Deadline) -> Transport:
        """Opens the first connection, creates or joins the session, and delivers what came meanwhile.

        Args:
            owner: Whom a new session is with; not needed for one that has an id.
            deadline: When to stop waiting.

        Raises:
            SessionError: The engine refused it, or the connection broke.
            Exception: What a callable ``api_key`` raised.
        """
        protocol = self._protocol
        transport = self._dialer.open(deadline)
        try:
            events: list[SessionEvent] = []
            if protocol.session_id is None:
                assert owner is not None
                events = create(protocol, transport, owner, deadline)
            # Also for a session that was just created: the engine sends its events to clients that have joined.
            events += join(protocol, transport, deadline)[1]
            self._deliver(events)
            # Left meanwhile: then the session is not to look connected for a moment.
            self._dialer.token.check()
        except BaseException:
            # No reading thread is there to do it.
            transport.release()
            self._dialer.token.check()
            raise
        return transport

    def _reopen(self, deadline: Deadline) -> Transport:
        """Opens another connection, joins the session again, and closes the gap from its history."""
        protocol = self._protocol
        try:
            transport = self._dialer.open(deadline)
        except Exception as error:  # noqa: BLE001 - a callable that returns the key may raise anything
            transient = as_transient(error)
            # Whatever it raises, the next try may not meet it: a token service that was restarting.
            raise transient from transient.__cause__
        try:
            # The history is asked for behind the ack: what comes between the two is in `live`, and nothing is missed.
            ack, live = join(protocol, transport, deadline, again=True)
            # The engine answered: the next loss begins with short delays again.
            self._retries.backoff.reset()
            history, more = fetch_history(protocol, transport, deadline)
            connected = SessionEvent(SessionEventType.SESSION_CONNECTED, protocol.known_id, None, ack)
            # For those who listen now: a later listener has no use for the news that there was a connection.
            self._hub.dispatch([connected], keep=False)
            status = ack.get("status")
            is_idle = status == str(ParticipantStatus.IDLE) if isinstance(status, str) else None
            # Before the state changes: threads that wait to send must not post into a gap that is being closed.
            self._close_gap(is_idle, history, live + more)
            self._counters.reconnects += 1
            self._dialer.token.check()
        except BaseException as error:
            transport.release()
            self._dialer.token.check()
            if isinstance(error, SessionProtocolError):
                self._note_illegal(error)
            raise
        # Only now can others send, so nothing of theirs comes between the history and what is read next.
        self._link.change(SessionState.CONNECTED, transport)
        self._steps = protocol.turns.steps
        self._on_turns()
        return transport

    def _close_gap(self, is_idle: bool | None, history: list[Any], live: list[SessionEvent]) -> None:
        """Delivers what was missed, then what has come since; fails the posts whose fate is unknown."""
        with self._hub.lock:
            # As they were before the history settles them: each gets its fate below.
            unacknowledged = self._protocol.turns.unacknowledged
            missed = self._protocol.rejoined(is_idle, history, live)
        for post in unacknowledged:
            if not post.makes_turn:
                self._hub.cancel_post(post)
                # An answer to an approval can be sent again, as the engine takes the first; a message cannot.
                self._callbacks.on_lost_answer(post.contents[0])
            elif post not in missed.found:
                # The fate of a message that may have arrived is its caller's to find out: it is not sent again here.
                with self._hub.lock:
                    self._protocol.turns.lose(post)
                self._hub.fail(post, self._unknown)
        if missed.events:
            # Delivered in any case, and noted, as the engine may repeat them by itself.
            self._protocol.recovery.note(missed.events)
            self._hub.dispatch(missed.events)
        with self._hub.lock:
            self._protocol.turns.rejoin(is_idle)
        # Then no turn is to come for what the history does not answer, and nothing is worth waiting for. What came
        # since the join may be another client's turn, or the last answer again.
        if is_idle:
            self._settle_by(history, self._protocol.turns.steps)
        if live:
            self._deliver(live)

    # ---- the reading thread --------------------------------------------------------------------

    def run(self, transport: Transport) -> None:
        """Reads, and joins again as often as that is needed, until the session is over.

        Args:
            transport: The connection over which it was joined.
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
                    # RFC 6455, 7.1.7: the peer gets the code; what it sends until then is not read.
                    transport.close(error.close_code)
                    self._note_illegal(error)
                    return error
                del messages  # whose memory is not to be held while nothing comes
        except SessionlibError as error:
            return error
        except Exception as error:  # a reader that dies quietly would hang every caller
            logger.exception("! session %s: the reader failed", self._protocol.session_id)
            return error
        finally:
            transport.release()

    def _receive(self, messages: list[Payload]) -> None:
        received: list[Received] = []
        try:
            self._protocol.decode(messages, received)
        finally:
            # What came before an illegal frame is whole, and belongs to the user.
            for events, runs, reply in received:
                if events:
                    self._deliver(events, runs)
                if reply is not None:
                    self._take_reply(reply)

    def _take_reply(self, frame: Frame) -> None:
        # The calls are shared with every thread that sends; `done` is called outside, as it may take the lock itself.
        with self._hub.lock:
            matched = self._protocol.calls.match(frame)
        if isinstance(matched, PendingCall):
            matched.done()
        elif not matched:
            event = self._protocol.event_of(frame)  # an error that answers no call
            if event is not None:
                self._deliver([event])

    def _deliver(self, events: list[SessionEvent], runs: Sequence[Run] = ()) -> None:
        passed = self._protocol.recovery.filter(events, runs)
        # Runs name places in the list as it came; what was filtered has others.
        self._hub.dispatch(passed, runs if passed is events else ())
        turns = self._protocol.turns
        if turns.steps != self._steps:
            self._steps = turns.steps
            # Asked only when a turn has moved: for each delta it would cost more than the delta.
            if turns.check_delay() is not None:
                self._on_turns()

    def _note_illegal(self, error: SessionProtocolError) -> None:
        """Reports an illegal frame, and decides whether it is worth joining the session again."""
        now = time.monotonic()
        self._illegal = [then for then in self._illegal if now - then < ILLEGAL_PERIOD] + [now]
        # One bad frame may be a gateway's; an engine that goes on like this is not going to stop after a rejoin.
        error.transient = len(self._illegal) < ILLEGAL_LIMIT
        data = {"error": f"illegal frame: {error}", "request_type": None}
        self._hub.dispatch([SessionEvent(SessionEventType.ERROR, self._protocol.session_id or "", None, data)])

    # ---- posts that only the history can settle -----------------------------------------------

    def settle(self, history: list[Any] | None, steps: int) -> None:
        """Takes the answer to a look at the history; see `Hub.settle`.

        Args:
            history: The session's messages; None where the engine does not give them.
            steps: `TurnTracker.steps` when it was sent.
        """
        turns = self._protocol.turns
        if history is not None and turns.is_blind and turns.steps == steps:
            with self._hub.lock:
                missed = self._protocol.rejoined(None, history, (), is_quiet=True)
            self._protocol.recovery.note(missed.events)
            if missed.events:
                self._hub.dispatch(missed.events)
                with self._hub.lock:
                    turns.rejoin(None, looks=1)
                    self._steps = turns.steps  # which nothing of the engine's has changed
                return
        self._settle_by(history, steps)

    def _settle_by(self, history: list[Any] | None, steps: int) -> None:
        for post, arrived, may_come in self._hub.settle(history, steps):
            if may_come:
                self._hub.warn(post, self._undecided)
            else:
                self._hub.fail(post, self._unanswered if arrived else self._unknown)
        self._steps = self._protocol.turns.steps

    # ---- when the connection is lost -----------------------------------------------------------

    def _resume(self, cause: Exception) -> Transport | None:
        """Opens another connection; None when the session is over."""
        failure = self._broken
        with self._hub.lock:
            is_history = self._protocol.calls.is_waited_for("get_messages")
        if isinstance(cause, MessageTooLargeError) and cause.size is not None and is_history:
            # Whoever asked for it gets the error, and the session goes on; by closing the connection it is not read.
            self._protocol.history_too_large = cause.transient = True
            failure = functools.partial(self._too_large, cause)
        if not self._reconnect or not is_transient(cause):
            self._give_up(cause)
            return None
        # Before any frame of the next connection, which may repeat what had come.
        self._protocol.recovery.interrupt()
        try:
            # From here on, threads that send wait for the next transport in place of failing.
            self._link.change(SessionState.RECONNECTING)
            # Their answers will not come over another connection; they are asked again by their callers.
            self._sender.fail_calls(failure, for_good=False)
            return self._retries.run(cause, self._reopen)
        except Exception as error:  # noqa: BLE001 - a reader that dies quietly would hang every caller
            self._give_up(error)
            return None

    def _give_up(self, cause: Exception) -> None:
        def loss() -> SessionError:
            # A new error for each caller: one that is raised in several threads would collect the tracebacks of all.
            code, reason = getattr(cause, "code", None), getattr(cause, "reason", "")
            error = SessionDisconnectedError(
                f"session {self._protocol.session_id} lost its connection: {cause}; connect() resumes it",
                session_id=self._protocol.session_id,
                code=code,
                reason=reason,
            )
            error.__cause__ = cause
            return error

        self._link.change(SessionState.DISCONNECTED, loss=loss)
        # Before the hub ends: who is woken there and calls meets the reason.
        self._sender.fail_calls(loss, for_good=True)
        self._hub.end(loss)

    def _broken(self) -> SessionError:
        session_id = self._protocol.session_id
        return SessionDisconnectedError("the connection broke", session_id=session_id)

    def _too_large(self, cause: MessageTooLargeError) -> SessionError:
        session_id = self._protocol.session_id
        return MessageTooLargeError(
            f"the history has {cause.size} bytes, and {cause.limit} are accepted at most; the session goes on. "
            "Connect again with a larger max_message_size to read it",
            session_id=session_id,
            size=cause.size,
            limit=cause.limit,
        )

    def _unknown(self) -> SessionError:
        session_id = self._protocol.session_id
        return DeliveryUnknownError(
            "the connection broke around a message, and the history does not hold it; "
            "it was not sent again. Look at get_messages() before doing so.",
            session_id=session_id,
        )

    def _undecided(self) -> SessionError:
        session_id = self._protocol.session_id
        return UnansweredError(
            f"session {session_id}: the connection broke in a turn, the engine does not report whether it still works "
            "on it, and its history holds no answer; error.turn.result() waits for one.",
            session_id=session_id,
        )

    def _unanswered(self) -> SessionError:
        session_id = self._protocol.session_id
        return UnansweredError(
            "the engine reports that it is idle, and its history holds no answer to a message; "
            "look at get_messages() before sending it again.",
            session_id=session_id,
        )
