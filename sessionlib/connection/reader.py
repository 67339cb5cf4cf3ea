"""Reading: what comes in over a connection, how the session is joined again when that is lost, and the thread that
reads many."""

from __future__ import annotations

import functools
import logging
import os
import select
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from sessionlib._util.timing import Deadline, Flag
from sessionlib.connection import heartbeat
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
from sessionlib.net.retry import Retries, is_transient
from sessionlib.protocol import codec
from sessionlib.protocol.client import ClientProtocol, PendingCall, Received, SessionState
from sessionlib.protocol.codec import Payload
from sessionlib.protocol.frames import Frame
from sessionlib.protocol.parser import Run
from sessionlib.streams.hub import Hub
from sessionlib.streams.stats import Counters
from sessionlib.transport.base import NOW, Transport

__all__ = ["Reader", "Shared", "SharedReader", "shared_reader"]

logger = logging.getLogger("sessionlib")

# A longer message is no pong, or is decoded like any other.
SHORT = 256
# So many illegal frames in so many seconds are no accident.
ILLEGAL_LIMIT = 3
ILLEGAL_PERIOD = 60.0
# Between two looks at what has come while the pings of many sessions leave.
ANSWERS_COME = 0.001


class Reader:
    """Reads one session until it is left or lost for good: `run` is the body of a thread of its own, and a thread that
    reads many takes the same steps by `read` and `resume`.

    Args:
        protocol: What frames mean.
        dialer: Opens connections.
        hub: Where events go.
        channel: The state that the reader keeps up to date.
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
        channel: ConnectionState,
        sender: Sender,
        options: ConnectionOptions,
        callbacks: Callbacks,
        counters: Counters,
        leaving: Flag,
        on_turns: Callable[[], object],
    ) -> None:
        self._protocol = protocol
        self._dialer = dialer
        self._hub = hub
        self._channel = channel
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
        except BaseException as error:  # noqa: BLE001 - a callable that returns the key may raise anything, and exit
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
        # Only now can other threads send, so nothing of theirs comes between the history and what is read next.
        self._channel.change(SessionState.CONNECTED, transport)
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
            cause = None
            while cause is None:
                cause = self.read(current)
            current.release()
            current = self.resume(cause)

    def read(self, transport: Transport, deadline: Deadline | None = None) -> BaseException | None:
        """Reads once, and delivers what came.

        Args:
            transport: The connection.
            deadline: As for `Transport.recv`.

        Returns:
            Why the connection is lost, and has to be released; None while it is not.
        """
        try:
            messages = transport.recv(deadline)
            # Most of what comes for thousands of idle sessions, and of no use to any reader of events.
            if self._counters.pings and len(messages) == 1 and codec.fast_path and self._take_pong(messages[0]):
                return None
            received: list[Received] = []
            try:
                try:
                    self._protocol.decode(messages, received)
                finally:
                    # What came before an illegal frame is whole, and belongs to the user.
                    for events, runs, reply in received:
                        if events:
                            self._deliver(events, runs)
                        if reply is not None:
                            self._take_reply(reply)
            except SessionProtocolError as error:
                # RFC 6455, 7.1.7: the peer gets the code; what it sends until then is not read.
                transport.close(error.close_code)
                self._note_illegal(error)
                return error
        except SessionlibError as error:
            return error
        except BaseException as error:  # a reader that dies quietly would hang every caller
            logger.exception("! session %s: the reader failed", self._protocol.session_id)
            return error
        return None

    def _take_pong(self, message: Payload) -> bool:
        """Counts a pong that would only be dropped behind the last one; returns whether the message was one."""
        if len(message) > SHORT or self._protocol.turns.steps != self._steps:
            return False
        try:
            frame = codec.bare_loads(message)
            is_pong: bool = frame["type"] == "pong" and frame["session_id"] == self._protocol.session_id
        except (ValueError, RecursionError, LookupError, TypeError):
            return False  # what is wrong is reported where it is decoded for good
        return is_pong and self._hub.take_pong()

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
        # Runs name places in the list as it came; what was filtered has different ones.
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

    def resume(self, cause: BaseException) -> Transport | None:
        """Opens another connection, which may take `ConnectionOptions.reconnect_timeout`.

        Args:
            cause: Why the last one is lost.

        Returns:
            The connection over which the session is joined again; None when it is over.
        """
        if self._leaving.is_set:
            return None
        failure = self._broken
        with self._hub.lock:
            is_history = self._protocol.calls.is_waited_for("get_messages")
        if isinstance(cause, MessageTooLargeError) and cause.size is not None and is_history:
            # Its caller gets the error, and the session goes on; by closing the connection it is not read.
            self._protocol.history_too_large = cause.transient = True
            failure = functools.partial(self._too_large, cause)
        if not self._reconnect or not is_transient(cause):
            self.give_up(cause)
            return None
        # Before any frame of the next connection, which may repeat what had come.
        self._protocol.recovery.interrupt()
        try:
            # From here on, threads that send wait for the next transport in place of failing.
            self._channel.change(SessionState.RECONNECTING)
            # Their answers will not come over another connection; they are asked again by their callers.
            self._sender.fail_calls(failure, for_good=False)
            return self._retries.run(cause, self._reopen)
        except BaseException as error:  # noqa: BLE001 - a reader that dies quietly would hang every caller
            self.give_up(error)
            return None

    def give_up(self, cause: BaseException) -> None:
        """Ends the session, as its connection is lost for good.

        Args:
            cause: Why.
        """

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

        self._channel.change(SessionState.DISCONNECTED, loss=loss)
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


class Shared:
    """A session that a `SharedReader` reads.

    Args:
        reader: What reads it.
        transport: Its connection.
        read: Reads once without waiting; returns why the connection is lost, None while it is not.
        on_lost: Takes the session over; must not block.

    Attributes:
        descriptor: What is polled; negative while it is not.
        is_taken: Whether it was taken from its reader; see `SharedReader.take`.
    """

    __slots__ = ("descriptor", "is_taken", "on_lost", "read", "reader", "transport")

    def __init__(
        self,
        reader: SharedReader,
        transport: Transport,
        read: Callable[[Transport, Deadline], BaseException | None],
        on_lost: Callable[[BaseException], object],
    ) -> None:
        self.reader = reader
        self.transport = transport
        self.read = read
        self.on_lost = on_lost
        self.descriptor = -1
        self.is_taken = False


class SharedReader:
    """One thread that reads many sessions, each once in a round, so that none waits for one that never stops; it lives
    for as long as there are any.

    Args:
        number: Which of the process's readers it is, for the thread's name.
    """

    def __init__(self, number: int) -> None:
        self._name = f"sessionlib-reader-shared-{number}"
        # Protects which sessions there are, and whether the thread runs.
        self._lock = threading.Lock()
        self._selector: selectors.BaseSelector | None = None
        self._thread: threading.Thread | None = None
        # Which session the thread is at.
        self._current: Shared | None = None

    def __len__(self) -> int:
        selector = self._selector
        return len(selector.get_map() or ()) if selector is not None else 0

    @property
    def is_this_thread(self) -> bool:
        """Whether the calling thread is the one that reads."""
        return self._thread is threading.current_thread()

    def add(self, session: Shared) -> bool:
        """Begins to read a session.

        Args:
            session: The session.

        Returns:
            Whether it does; not so where the transport has nothing to poll, or the process no descriptor to poll with.

        Raises:
            OSError: The system polls no more.
            RuntimeError: There are no more threads.
        """
        with self._lock:
            if self._selector is not None:
                # The kernel takes it while the thread waits, which need not be woken for it (epoll_wait(2)).
                return self._register(self._selector, session)
            try:
                selector = selectors.DefaultSelector()
            except OSError:
                return False
            # A daemon, as the reader of one session is: a script that forgets to disconnect still ends.
            thread = threading.Thread(target=self._run, args=(selector,), name=self._name, daemon=True)
            try:
                if self._register(selector, session):
                    self._selector, self._thread = selector, thread
                    thread.start()
            finally:
                if thread.ident is None:
                    self._selector = self._thread = None
                    session.descriptor = -1
                    selector.close()
            return thread.ident is not None

    def _register(self, selector: selectors.BaseSelector, session: Shared) -> bool:
        descriptor = session.transport.share()
        if descriptor >= 0:
            # Ready for writing at once: so the thread looks at what has come already, which no poll would show.
            has_unread = session.transport.has_unread
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if has_unread else 0)
            selector.register(descriptor, events, session)
            session.descriptor = descriptor
        return descriptor >= 0

    def take(self, session: Shared) -> None:
        """Stops reading a session, for another thread to read and release its transport; `Shared.is_taken` shows it.

        Not so while it is being read, nor when it is the last, with which the thread ends.
        """
        with self._lock:
            selector = self._selector
            if selector is None or session.descriptor < 0 or len(selector.get_map()) == 1:
                return
            # First this, then the look at what is being read: the thread takes these steps the other way round.
            session.is_taken = True
            if self._current is session:
                session.is_taken = False
            else:
                selector.unregister(session.descriptor)
                session.descriptor = -1

    def close_in_child(self) -> None:
        """Frees what a fork of the process has of it; the parent's goes on."""
        if self._selector is not None:
            self._selector.close()

    def _run(self, selector: selectors.BaseSelector) -> None:
        unread: dict[int, Shared] = {}
        while True:
            ready, unread = unread, {}
            selected = selector.select(0 if ready else None)
            # Else each answer of thousands of sessions to a ping would wake this thread, between two pings that leave.
            # What comes for a session that owes no answer is not held up for those.
            while not ready and heartbeat.is_busy() and all(key.data.transport.traffic.pings for key, _ in selected):
                time.sleep(ANSWERS_COME)
                selected = selector.select(0)
            for key, events in selected:
                session = ready[key.fd] = key.data
                if events & selectors.EVENT_WRITE:
                    with self._lock:
                        if session.descriptor >= 0:
                            selector.modify(session.descriptor, selectors.EVENT_READ, session)
            for descriptor, session in ready.items():
                self._current = session
                if session.is_taken:
                    with self._lock:  # who takes a session decides under it
                        is_gone = session.is_taken
                    if is_gone:
                        continue
                cause = session.read(session.transport, NOW)
                if cause is not None:
                    if self._remove(selector, session, cause):
                        return  # it was the last
                elif session.transport.has_unread:
                    unread[descriptor] = session
            self._current = None

    def _remove(self, selector: selectors.BaseSelector, session: Shared, cause: BaseException) -> bool:
        """Hands a session over that is lost; returns whether it was the last."""
        with self._lock:
            # Before the descriptor is closed, whose number may be another's at once.
            selector.unregister(session.descriptor)
            session.descriptor = -1
            is_last = not selector.get_map()
            if is_last:
                selector.close()
                self._selector = self._thread = None
        session.transport.release()
        session.on_lost(cause)
        return is_last


# Protects the process's readers while one is added.
_adding = threading.Lock()
_readers: list[SharedReader] = []


def shared_reader(count: int) -> SharedReader | None:
    """Returns the one of the process's first ``count`` readers that has the fewest sessions.

    Returns:
        None where sockets cannot be shared: without epoll or kqueue (Windows), which take a socket while a thread
        waits for other ones, and where a library such as gevent has put its own in the place of the system's.
    """
    if not _CAN_SHARE or socket.socket.__module__ != "socket":
        return None
    with _adding:
        while len(_readers) < count:
            _readers.append(SharedReader(len(_readers) + 1))
    return min(_readers[:count], key=len)


_CAN_SHARE = hasattr(select, "epoll") or hasattr(select, "kqueue")


def _forget_in_child() -> None:
    # The threads did not come along into the child; the selectors did, and are the parent's.
    global _adding, _readers
    for reader in _readers:
        reader.close_in_child()
    _adding, _readers = threading.Lock(), []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
