"""One session's link to the engine: it owns the reader thread, the heartbeat and the socket's life."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from sessionlib import heartbeat, network
from sessionlib.config import Endpoint
from sessionlib.errors import (
    DeliveryUnknownError,
    ForkedSessionError,
    SessionConnectionError,
    SessionDisconnectedError,
    SessionError,
    SessionlibError,
    SessionProtocolError,
    SessionTimeoutError,
)
from sessionlib.events import ParticipantStatus, SessionEvent, SessionEventType
from sessionlib.heartbeat import Pulse
from sessionlib.hub import Hub
from sessionlib.joining import Joiner
from sessionlib.link import Callbacks, LinkOptions, Owner, Post
from sessionlib.outgoing import Outgoing, Progress
from sessionlib.retrying import Retries, is_transient
from sessionlib.timing import Deadline, acquire
from sessionlib.transport import Transport
from sessionlib.wire import codec
from sessionlib.wire.codec import Payload
from sessionlib.wire.parse import Frame, Run
from sessionlib.wire.recovery import Pending, Seen, summarise
from sessionlib.wire.state import SessionState, may_follow

__all__ = ["Connection"]

logger = logging.getLogger("sessionlib")

# So many illegal frames in so many seconds are no accident.
ILLEGAL_LIMIT = 3
ILLEGAL_PERIOD = 60.0


class Connection:
    """Joins a session, reads it in a thread of its own, writes to it from any, and joins it again when
    the link is lost.

    Args:
        endpoint: Where the engine is.
        owner: Whom a new session is with; not needed with ``session_id``.
        session_id: The session to join; None creates one.
        options: How it behaves.
        callbacks: What it tells.

    Attributes:
        hub: Where its events go.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        owner: Owner | None,
        session_id: str | None,
        options: LinkOptions,
        callbacks: Callbacks,
    ) -> None:
        self.hub = Hub(options.backlog_size, callbacks.on_request, callbacks.on_left, alone=session_id is None)
        self._joiner = Joiner(endpoint, owner, session_id, options)
        self._intake = self._joiner.intake
        self._options = options
        self._callbacks = callbacks
        # Protects the state, the transport that goes with it, and why there is none any more.
        self._changed = threading.Condition(threading.Lock())
        self._state = SessionState.CONNECTING
        self._transport: Transport | None = None
        self._loss: Callable[[], SessionError] | None = None
        # Keeps the tickets of posts in the order of their frames.
        self._posting = threading.Lock()
        # Set when this client is leaving; what the reader meets from then on is no failure.
        self._leaving = threading.Event()
        self._retries = Retries(options, self._leaving.wait)
        self._seen: Seen | None = None
        self._reader: threading.Thread | None = None
        # Set when the reader ends: unlike `Thread.join`, waiting for it stands being interrupted.
        self._read_out = threading.Event()
        self._illegal: list[float] = []
        self._pulse = Pulse(options)
        self._pid = os.getpid()

    @property
    def session_id(self) -> str | None:
        """The session's id; None before one was created."""
        return self._joiner.session_id

    @property
    def state(self) -> SessionState:
        """Where the connection is."""
        return self._state

    @property
    def is_open(self) -> bool:
        """Whether it is joined, or joining again."""
        return self._state in (SessionState.CONNECTED, SessionState.RECONNECTING)

    # ---- joining and leaving -------------------------------------------------------------------

    def open(self, deadline: Deadline) -> None:
        """Connects, creates or joins the session, and starts to read.

        Args:
            deadline: When to give up.

        Raises:
            ConfigurationError: There is no usable API key.
            SessionConnectionError: The engine cannot be reached.
            HandshakeError: It refused the connection.
            SessionError: It refused the session.
            SessionTimeoutError: It took too long.
        """
        transport: Transport | None = None
        try:
            transport = self._joiner.connect(deadline, self._join)
            self._begin(transport)
        except BaseException:
            self._undo_opening(transport)
            raise

    def _begin(self, transport: Transport) -> None:
        # A daemon, so that a script that forgets to disconnect still ends; `close` joins it.
        name = f"sessionlib-reader-{(self.session_id or '')[:8]}"
        self._reader = threading.Thread(target=self._run, args=(transport,), name=name, daemon=True)
        self._change(SessionState.CONNECTED, transport)
        try:
            heartbeat.watch(self, self._pulse.begin(time.monotonic()))
            self._reader.start()
        except RuntimeError as error:  # no more threads
            raise SessionConnectionError(
                f"session {self.session_id} cannot be read: {error}", session_id=self.session_id
            ) from error

    def _undo_opening(self, transport: Transport | None) -> None:
        self._leaving.set()
        heartbeat.unwatch(self)
        reader, self._reader = self._reader, None
        self._change(SessionState.DISCONNECTED)
        if transport is None:
            return
        if reader is None or reader.ident is None:
            transport.release()
        else:
            transport.abort()  # the reader releases it

    def cancel(self) -> None:
        """Begins to leave, without waiting: whoever connects or waits for a connection gives up."""
        self._leaving.set()
        self._joiner.cancel()

    def close(self, farewell: Frame | None = None, final: SessionState = SessionState.DISCONNECTED) -> None:
        """Leaves: listeners end, the engine is told, and the thread and the socket are gone on return.

        Args:
            farewell: The last frame to send.
            final: The state to end in.
        """
        transport = self._transport
        if self._state is not SessionState.CONNECTED or transport is None:
            self.cancel()
        self._leaving.set()
        heartbeat.unwatch(self)
        self._change(final)
        self.hub.end()
        self._intake.replies.fail(self._left, for_good=True)
        reader = self._reader
        if reader is None or reader is threading.current_thread():
            return
        # While the interpreter is ending, its other threads do not run any more.
        wait = 0.0 if sys.is_finalizing() else self._options.close_timeout
        try:
            if transport is not None:
                if farewell is not None:
                    transport.post(codec.dumps(farewell))
                transport.close()
            self._read_out.wait(wait)
        finally:
            self._joiner.cancel()
            if transport is not None:
                transport.abort()
        if not sys.is_finalizing():
            self._read_out.wait()
            reader.join()

    def abandon(self) -> None:
        """Has it let go when nobody holds the session any more; for the garbage collector, takes no lock."""
        if os.getpid() == self._pid:
            heartbeat.abandon(self)

    def let_go(self) -> None:
        """Lets go without waiting; see `heartbeat.Heart`."""
        if os.getpid() == self._pid:
            self.cancel()

    def _join(self, transport: Transport, deadline: Deadline) -> None:
        is_new = self.session_id is None
        events = self._joiner.join(transport, deadline)
        self._seen = Seen(self._joiner.known_id, from_start=is_new)
        self._deliver(events)

    # ---- the state -----------------------------------------------------------------------------

    def _change(
        self,
        state: SessionState,
        transport: Transport | None = None,
        loss: Callable[[], SessionError] | None = None,
    ) -> bool:
        with self._changed:
            if not may_follow(self._state, state):
                return False
            self._state = state
            self._transport = transport
            self._loss = loss or self._loss
            self._changed.notify_all()
        logger.info("= session %s %s at %s", self.session_id, state, self._joiner.host)
        self._callbacks.on_state(state)
        return True

    def _wait_usable(self, deadline: Deadline) -> Transport:
        """Gives the transport, waiting while the link is being re-opened."""
        self.check_process()
        with self._changed:
            while self._state is SessionState.RECONNECTING:
                left = deadline.remaining()
                if left == 0.0:
                    raise SessionTimeoutError(
                        f"session {self.session_id} was not connected again within {deadline.timeout:g} s",
                        session_id=self.session_id,
                    )
                self._changed.wait(left)
            if self._transport is not None:
                return self._transport
            raise self._loss() if self._loss is not None else self._left()

    def check_usable(self) -> None:
        """Makes sure that something can be sent, now or once the link is back.

        Raises:
            SessionDisconnectedError: The session is not connected, or its link is lost.
            ForkedSessionError: This is a fork of the process that connected.
        """
        self.check_process()
        if not self.is_open:
            raise self._loss() if self._loss is not None else self._left()

    def check_process(self) -> None:
        """Makes sure that this is the process that connected.

        Raises:
            ForkedSessionError: It is a fork of it.
        """
        if os.getpid() != self._pid:
            raise ForkedSessionError(
                f"session {self.session_id} was connected in the parent process; open one of your own in this one",
                session_id=self.session_id,
            )

    def _left(self) -> SessionError:
        return SessionDisconnectedError(
            f"session {self.session_id} is not connected; call connect() first", session_id=self.session_id
        )

    # ---- writing -------------------------------------------------------------------------------

    def post(
        self,
        frame: Frame,
        *,
        makes_turn: bool = True,
        attend: bool = False,
        within: Deadline | None = None,
        progress: Progress | None = None,
    ) -> Post:
        """Sends a message, waiting while the link is being re-opened.

        Args:
            frame: A ``post_message`` or ``post_messages``.
            makes_turn: Whether the engine answers it with a turn; what is over before such a post is not
                replayed after it.
            attend: Whether to open a mailbox for that turn, before the frame leaves.
            within: When to give up, if that is before ``send_timeout``.
            progress: Hears how many bytes of files have left, and of how many; True shows a bar.

        Returns:
            The post's ticket, and the mailbox if one was asked for.

        Raises:
            SessionDisconnectedError: The session is not connected, or its link is lost.
            SessionTimeoutError: The message did not go out in time.
            OSError: A file in it cannot be read; when part of it has left, the link is cut.
        """
        outgoing = Outgoing(frame, progress)
        contents = summarise(frame) if makes_turn else (str(frame.get("parent_message_id") or ""),)
        deadline = (within or Deadline(None)).sooner(self._options.send_timeout)
        try:
            self.check_usable()
            stand_in = network.stand_in()
            if stand_in is not None:
                stand_in.admit(self._transport, frame, deadline)
            if not acquire(self._posting, deadline):
                raise SessionTimeoutError(f"other messages were still being sent after {deadline.timeout} s")
            try:
                return self._post(outgoing, contents, makes_turn, attend, deadline)
            finally:
                self._posting.release()
        finally:
            outgoing.close()

    def _post(
        self, outgoing: Outgoing, contents: tuple[str, ...], makes_turn: bool, attend: bool, deadline: Deadline
    ) -> Post:
        while True:
            transport = self._wait_usable(deadline)
            ticket = self.hub.begin_post(makes_turn, contents)
            mailbox = self.hub.attend(ticket) if attend else None
            try:
                if outgoing.payload is None:
                    transport.send_pieces(outgoing.pieces(), deadline)
                else:
                    transport.send(outgoing.payload, deadline)
            except BaseException as error:
                if not transport.has_unsent:
                    self.hub.withdraw(ticket)
                if mailbox is not None:
                    self.hub.leave(mailbox)
                if not isinstance(error, SessionDisconnectedError):
                    raise
                self._await_loss(transport, deadline)  # not all of it left, so that sending it again is safe
            else:
                outgoing.finish()
                return Post(ticket, mailbox)

    def call(self, frame: Frame, deadline: Deadline) -> Frame:
        """Sends a request that may be repeated, and waits for the engine's answer.

        Raises:
            SessionDisconnectedError: The session is not connected, or its link is lost.
            SessionTimeoutError: No answer came in time.
            SessionError: The engine refused.
        """
        payload = codec.dumps(frame)
        while True:
            transport = self._wait_usable(deadline)
            try:
                return self._intake.replies.call(frame["type"], lambda: transport.send(payload, deadline), deadline)  # noqa: B023
            except SessionDisconnectedError:
                self._await_loss(transport, deadline)

    def _await_loss(self, transport: Transport, deadline: Deadline) -> None:
        """Waits until the reader has noticed that a transport is dead."""
        with self._changed:
            while self._transport is transport:
                left = deadline.remaining()
                if left == 0.0:
                    raise SessionTimeoutError(
                        f"session {self.session_id}: the connection broke and was not back within "
                        f"{deadline.timeout:g} s",
                        session_id=self.session_id,
                    )
                self._changed.wait(left)

    # ---- the reader thread ---------------------------------------------------------------------

    def _run(self, transport: Transport) -> None:
        current: Transport | None = transport
        try:
            while current is not None:
                cause = self._read_until_lost(current)
                current = None if self._leaving.is_set() else self._resume(cause)
        finally:
            self._read_out.set()

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
            logger.exception("! session %s: the reader failed", self.session_id)
            return error
        finally:
            transport.release()

    def _note_illegal(self, error: SessionProtocolError) -> None:
        """Tells of an illegal frame, and decides whether it is worth joining the session again."""
        now = time.monotonic()
        self._illegal = [then for then in self._illegal if now - then < ILLEGAL_PERIOD] + [now]
        error.transient = len(self._illegal) < ILLEGAL_LIMIT
        told = {"error": f"illegal frame: {error}", "request_type": None}
        self.hub.dispatch([SessionEvent(SessionEventType.ERROR, self.session_id or "", None, told)])

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
        if logger.isEnabledFor(logging.DEBUG):
            for event in events:
                logger.debug("< session %s %s", self.session_id, event.type)
        if self._options.reconnect:
            events = self._seen.admit(events, runs)
        self.hub.dispatch(events)

    # ---- when the link is lost -----------------------------------------------------------------

    def _resume(self, cause: Exception) -> Transport | None:
        """Opens the link again; None when the session is over."""
        if not self._options.reconnect or not is_transient(cause):
            self._give_up(cause)
            return None
        assert self._seen is not None
        self._seen.interrupt()
        try:
            self._change(SessionState.RECONNECTING)
            self._intake.replies.fail(self._broken, for_good=False)
            return self._retries.run(cause, lambda deadline: self._joiner.connect(deadline, self._rejoin))
        except Exception as error:  # noqa: BLE001 - a callable that gives the key may raise anything
            self._give_up(error)
            return None

    def _rejoin(self, transport: Transport, deadline: Deadline) -> None:
        try:
            joined, live = self._joiner.join_again(transport, deadline)
            self._retries.succeed()
            self._intake.replies.forget_late()
            history, more = self._joiner.history(transport, deadline)
        except SessionProtocolError as error:
            self._note_illegal(error)
            raise
        connected = SessionEvent(SessionEventType.SESSION_CONNECTED, self._joiner.known_id, None, joined)
        self.hub.dispatch([connected], keep=False)
        self._close_gap(history, live + more, joined.get("status"))
        self._change(SessionState.CONNECTED, transport)

    def _close_gap(self, history: list[Any], live: list[SessionEvent], status: object) -> None:
        """Delivers what was missed, then what has come since; fails the posts whose fate is unknown."""
        assert self._seen is not None
        posts = self.hub.posts()
        is_idle = status == str(ParticipantStatus.IDLE) if isinstance(status, str) else None
        if any(event.participant_status is not None for event in live):
            is_idle = False  # what goes on, or ends, tells so by itself
        pending = Pending(posts.unanswered, posts.unacknowledged, posts.running, is_idle)
        missed = self._seen.catch_up(history, pending)
        for ticket in posts.unacknowledged:
            if not ticket.makes_turn:
                self.hub.withdraw(ticket)
                self._callbacks.on_lost_answer(ticket.contents[0])
            elif ticket not in missed.found:
                self.hub.give_up(ticket, self._unknown)
        self._seen.note(missed.events)
        self.hub.dispatch(missed.events)
        self._deliver(live)

    def _give_up(self, cause: Exception) -> None:
        def loss() -> SessionError:
            code, reason = getattr(cause, "code", None), getattr(cause, "reason", "")
            error = SessionDisconnectedError(
                f"session {self.session_id} lost its connection: {cause}; connect() resumes it",
                session_id=self.session_id,
                code=code,
                reason=reason,
            )
            error.__cause__ = cause
            return error

        heartbeat.unwatch(self)
        self._change(SessionState.DISCONNECTED, loss=loss)
        self._intake.replies.fail(loss, for_good=True)
        self.hub.end(loss)

    def _broken(self) -> SessionError:
        return SessionDisconnectedError(f"session {self.session_id}: the connection broke", session_id=self.session_id)

    def _unknown(self) -> SessionError:
        return DeliveryUnknownError(
            f"session {self.session_id}: the connection broke around a message, and the history does not hold it; "
            "it was not sent again. Look at get_messages() before doing so.",
            session_id=self.session_id,
        )

    # ---- the heartbeat -------------------------------------------------------------------------

    def beat(self, now: float) -> float:
        """Pings what is due and gives up on a silent link; see `heartbeat.Heart`."""
        transport = self._transport
        if transport is None or self.session_id is None:
            return self._pulse.rest(now)
        return self._pulse.beat(transport, self.session_id, now)
