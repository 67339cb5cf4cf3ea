"""One session's connection to its engine: it owns the reading thread, the heartbeat and the socket's life."""

from __future__ import annotations

import atexit
import functools
import os
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

from sessionlib._util.timing import Deadline, Flag
from sessionlib.config import Endpoint
from sessionlib.connection import heartbeat
from sessionlib.connection.heartbeat import PingSchedule
from sessionlib.connection.join import Dialer
from sessionlib.connection.options import Callbacks, ConnectionOptions, Owner
from sessionlib.connection.reader import Reader, Shared, shared_reader
from sessionlib.connection.sender import Sender
from sessionlib.connection.state import ConnectionState
from sessionlib.errors import SessionConnectionError, SessionlibError
from sessionlib.hooks import SessionInfo
from sessionlib.net.connect import CancelToken
from sessionlib.protocol import codec
from sessionlib.protocol.client import ClientProtocol, PendingCall, SessionState
from sessionlib.protocol.frames import Frame
from sessionlib.protocol.turns import QUIET
from sessionlib.streams.hub import Hub
from sessionlib.streams.stats import Counters
from sessionlib.transport.base import NOW, Transport

__all__ = ["Connection"]

# A look reads a history to its end, where posts stand; in parts, up to so many bytes, since it holds all of them.
LOOK_BYTES = 64 * 1024 * 1024
# So often a connection that was left is read in one beat at most.
CLOSING_READS = 8


class Connection:
    """Joins a session, reads it in a thread of its own or in one that reads other sessions as well, writes to it from
    any, and joins it again when the connection is lost.

    Args:
        endpoint: Where the engine is.
        owner: Whom a new session is with; not needed with ``session_id``.
        session_id: The session to join; None creates one.
        options: How it behaves.
        callbacks: What it reports.
        agent_name: Whom it is with, for observers.

    Attributes:
        protocol: What it knows of the session.
        hub: Where its events go.
        channel: Its state.
        sender: What sends.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        owner: Owner | None,
        session_id: str | None,
        options: ConnectionOptions,
        callbacks: Callbacks,
        agent_name: str = "",
    ) -> None:
        # Set when this client is leaving: what fails from then on is no failure, and no attempt begins.
        self._leaving = Flag()
        counters = self._counters = Counters()
        self._owner = owner
        protocol = self.protocol = ClientProtocol(session_id)
        self.hub = Hub(
            protocol,
            options.backlog_size,
            callbacks.on_request,
            callbacks.on_delivered,
            callbacks.on_left,
            counters,
        )
        self._dialer = Dialer(endpoint, options, protocol, counters, self._leaving)
        # By its host alone: the rest of a URL may hold a token, and this ends up in the log.
        self.channel = ConnectionState(protocol, endpoint.host, callbacks.on_state)
        agent_id = owner.object_id if owner is not None else ""
        info = SessionInfo(lambda: protocol.session_id, endpoint.host, agent_id, agent_name)
        self.sender = Sender(self.channel, self.hub, protocol.calls, options.send_timeout, info, self._look_soon)
        self._reader = Reader(
            protocol,
            self._dialer,
            self.hub,
            self.channel,
            self.sender,
            options,
            callbacks,
            counters,
            self._leaving,
            self._look_soon,
        )
        self._readers = options.readers
        # What reads, or did until the connection was lost; and the thread of our own that reads or joins again.
        self._shared: Shared | None = None
        self._thread: threading.Thread | None = None
        # Set when the reader ends: unlike `Thread.join`, waiting for it stands being interrupted.
        self._read_out = Flag()
        self._pings = PingSchedule(options)
        self._close_timeout = options.close_timeout
        # The look at the history that waits for an answer.
        self._look: PendingCall | None = None

    @property
    def session_id(self) -> str | None:
        """The session's id; None before one was created."""
        return self.protocol.session_id

    # ---- joining and leaving -------------------------------------------------------------------

    def open(self, deadline: Deadline) -> None:
        """Connects, creates or joins the session, and starts to read.

        Args:
            deadline: When to stop waiting.

        Raises:
            ConfigurationError: There is no usable API key.
            SessionConnectionError: The engine cannot be reached.
            HandshakeError: It refused the connection.
            SessionError: It refused the session.
            SessionTimeoutError: It took too long.
            Exception: What a callable ``api_key`` raised.
        """
        transport: Transport | None = None
        try:
            transport = self._reader.open(self._owner, deadline)
            # Before the thread runs: a reader that loses its connection at once could not go from CONNECTING to
            # RECONNECTING.
            self.channel.change(SessionState.CONNECTED, transport)
            try:
                # Before the thread too: of the two only this can be undone, and both fail for want of a thread.
                heartbeat.watch(self, self._pings.begin(time.monotonic()))
                self._begin_reading(transport)
            except (RuntimeError, OSError) as error:  # no more threads, or descriptors
                raise SessionConnectionError(
                    f"session {self.session_id} cannot be read: {error}", session_id=self.session_id
                ) from error
        except BaseException:
            self._undo_opening(transport)
            raise

    def _undo_opening(self, transport: Transport | None) -> None:
        self._leaving.set()
        heartbeat.unwatch(self)
        # What is left of a reader that did not start must not be waited for by `close`.
        if self._thread is not None and self._thread.ident is None:
            self._thread = None
        if self._shared is not None and self._shared.descriptor < 0:
            self._shared = None
        self.channel.change(SessionState.DISCONNECTED)
        if transport is None:
            return
        # Without a reader, this thread is the one that may close the descriptor.
        if self._thread is None and self._shared is None:
            transport.release()
        else:
            transport.abort()  # the reader releases it

    def cancel(self) -> None:
        """Begins to leave, without waiting: a thread that connects or waits for a connection stops."""
        self._leaving.set()
        # Behind the flag: an attempt that begins now makes its token first, and then looks at the flag.
        self._dialer.token.cancel()

    def close(self, farewell: Frame | None = None, final: SessionState = SessionState.DISCONNECTED) -> None:
        """Leaves: listeners end, and the engine is notified.

        A thread of its own and the socket are gone on return. Of sessions that share a thread, the heartbeat thread
        finishes the closing handshakes: to wait for each would take most of the time of leaving thousands.

        Args:
            farewell: The last frame to send.
            final: The state to end in.
        """
        transport = self.channel.transport
        # An attempt under way is of no use any more, and there is no connection to send a farewell over.
        if self.channel.state is not SessionState.CONNECTED or transport is None:
            self.cancel()
        self._leaving.set()
        self.channel.change(final)
        # Before the farewell, which may take `close_timeout`: what blocks on events or answers ends at once.
        self.hub.end()
        self.sender.fail_calls(self.channel.left, for_good=True)
        # A callback on the reading thread cannot wait for its end; the reader closes the socket as it leaves.
        if not self._has_other_reader:
            return
        deadline = Deadline(self._close_timeout)
        shared = self._shared
        try:
            # Not where a session is ended for good: who joins it next is not to find it alive.
            if shared is not None and final is SessionState.DISCONNECTED:
                shared.reader.take(shared)
            _say_farewell(transport, farewell, deadline)
            if shared is None or not shared.is_taken:
                # For the peer's answer to the close, at which the reader ends by itself.
                self._read_out.wait(deadline.remaining())
        finally:
            # Also after Ctrl-C in the waits above: the reader ends, and its socket with it.
            if shared is not None and shared.is_taken:
                # This one is done with the socket: to leave again must not shut it down.
                self._shared, self._dialer.token = None, CancelToken()
                ClosingHandshake(shared.transport, deadline).begin()
                self._end_reading()
            else:
                self._dialer.token.cancel()
                if transport is not None:
                    transport.abort()
        if shared is None or not shared.is_taken:
            self._read_out.wait()
            if self._thread is not None:
                self._thread.join()

    def close_at_exit(self, farewell: Frame | None = None, final: SessionState = SessionState.DISCONNECTED) -> None:
        """Leaves while the interpreter is ending: other threads do not run any more, and may have died with a lock.

        Args:
            farewell: The last frame to send.
            final: The state to end in.
        """
        transport = self.channel.transport
        # Without the lock and without callbacks, for the reason that is given above.
        self.channel.state, self.channel.transport = final, None
        _say_farewell(transport, farewell, None)  # a thread that was sending may never release the lock
        if transport is not None:
            transport.abort()

    def await_end(self, deadline: Deadline) -> None:
        """Waits until a connection that was lost has reported its end, which comes soon after its last state."""
        if self._has_other_reader and self.channel.is_ours:
            self._read_out.wait(deadline.remaining())

    def discard(self) -> None:
        """Schedules closing when nothing refers to the session any more. Lock-free; safe in a finalizer."""
        # A fork shares the parent's descriptors: to close the session there would close it for the parent.
        if self.channel.is_ours:
            heartbeat.discard(self)

    def close_nowait(self) -> None:
        """Closes without waiting; see `heartbeat.Monitored`."""
        if self.channel.is_ours:
            self.cancel()
            transport = self.channel.transport
            if transport is not None:
                transport.abort()

    # ---- what runs in threads ------------------------------------------------------------------

    @property
    def _has_other_reader(self) -> bool:
        """Whether the session is read, or was, by another thread than this one."""
        if self._thread is None and self._shared is None:
            return False
        if self._shared is not None and self._shared.reader.is_this_thread:
            return False
        return self._thread is not threading.current_thread()

    def _begin_reading(self, transport: Transport) -> None:
        """Has a connection read, by a thread that reads other sessions as well where that is wanted and possible."""
        self._thread = self._shared = None
        reader = shared_reader(self._readers) if self._readers is not None else None
        if reader is not None:
            # Before it reads: it may lose the connection at once.
            self._shared = Shared(reader, transport, self._reader.read, self._on_lost)
            if reader.add(self._shared):
                return
            self._shared = None
        self._start_thread(self._run, transport)

    def _start_thread(self, target: Callable[..., object], argument: object) -> None:
        # A daemon, so that a script that forgets to disconnect still ends; `close` joins it.
        name = f"sessionlib-reader-{(self.session_id or '')[:8]}"
        self._thread = threading.Thread(target=target, args=(argument,), name=name, daemon=True)
        self._thread.start()

    def _run(self, transport: Transport) -> None:
        try:
            self._reader.run(transport)
        finally:
            self._end_reading()

    def _on_lost(self, cause: BaseException) -> None:
        """Takes the session over from the shared reader, which must not block until it is joined again."""
        if self._leaving.is_set:
            self._end_reading()
            return
        try:
            self._start_thread(self._rejoin, cause)
        except RuntimeError:  # no more threads
            self._thread = None
            self._reader.give_up(cause)
            self._end_reading()

    def _rejoin(self, cause: BaseException) -> None:
        lost: BaseException | None = cause
        try:
            while lost is not None:
                transport = self._reader.resume(lost)
                if transport is None:
                    self._end_reading()
                    return
                try:
                    self._begin_reading(transport)
                    lost = None
                except (RuntimeError, OSError) as error:  # no more threads, or descriptors
                    transport.release()
                    lost = error
        except BaseException:
            self._end_reading()
            raise

    def _end_reading(self) -> None:
        heartbeat.unwatch(self)
        self._read_out.set()

    def _look_soon(self) -> None:
        """Has the heartbeat check, once it has been quiet for a while, whether posts are left without an answer."""
        self.channel.quiet_since = now = time.monotonic()
        # Once for all that comes until then: every post passes here, and the beat looks for itself when to come again.
        if not self.channel.will_look:
            self.channel.will_look = True
            heartbeat.wake_by(self, now + QUIET)

    def beat(self, now: float) -> float:
        """Pings what is due and closes a silent connection; see `heartbeat.Monitored`."""
        self.channel.will_look = False  # before anything is read: what comes meanwhile asks for a beat of its own
        transport = self.channel.transport
        if transport is None or self.session_id is None:
            return self._pings.rest(now)
        following = self._pings.beat(transport, self.session_id, now)
        look = self._look_if_due(transport, now)
        return following if look is None else min(following, look)

    def _look_if_due(self, transport: Transport, now: float) -> float | None:
        """Asks for the history if posts are left that an idle engine does not answer; returns when to look again."""
        turns = self.protocol.turns
        # Read without the lock: at worst a beat comes in vain, and `settle` compares the steps under it.
        delay = turns.check_delay()
        if delay is None:
            return None
        due = self.channel.quiet_since + delay
        self.channel.will_look = due <= now + QUIET  # else what comes meanwhile asks for an earlier one
        # A beat that was asked for as something came may be that much early.
        if now < due - QUIET / 20:
            return due
        self.channel.quiet_since = now
        with self.hub.lock:
            steps = turns.steps
            # One look at a time; an answer that comes to the one before is dropped as a late one.
            pending, self._look = self._look, None
            if pending is not None:
                self.protocol.calls.end(pending, has_left=True)
            is_taken = self.protocol.calls.is_waited_for("get_messages")
            if not is_taken:
                before = self._counters.bytes_in
                self._begin_look(functools.partial(self._take_look, steps=steps, earlier=[], before=before))
        if is_taken:
            # The engine owes an answer to an earlier request, and does not give it.
            self._reader.settle(None, steps)
        else:
            transport.enqueue(codec.dumps(self.protocol.history_request()))
        return now + QUIET

    def _take_look(self, call: PendingCall, steps: int, earlier: list[Any], before: int) -> None:
        """Takes the answer to a look, on the reading thread; asks on where it is a part of the history."""
        self._look = None
        reply = call.reply
        messages = None if reply is None else reply.get("messages")
        if reply is None or not isinstance(messages, list):
            self._reader.settle(None, steps)  # the engine refused
            return
        history = [*earlier, *messages]
        if reply.get("more") is not True:
            self._reader.settle(history, steps)
            return
        request, transport = self.protocol.history_request(reply), self.channel.transport
        if request is None or self._counters.bytes_in - before > LOOK_BYTES:
            self._reader.settle(None, steps)  # of a part that is not the last, what follows is unknown
        # Parts are known by the order of the requests alone; a caller that is asking for them goes first, and the next
        # look begins again.
        elif (
            self.protocol.turns.steps == steps and transport is not None and self.sender.calling.acquire(blocking=False)
        ):
            try:
                self.channel.quiet_since = time.monotonic()  # no look of its own while this one goes on
                with self.hub.lock:
                    self._begin_look(functools.partial(self._take_look, steps=steps, earlier=history, before=before))
                transport.enqueue(codec.dumps(request))
            finally:
                self.sender.calling.release()

    def _begin_look(self, take: Callable[[PendingCall], object]) -> None:
        """Notes that a request for the history is about to leave; with `Hub.lock` held."""
        call = PendingCall("get_messages", lambda: None)
        call.done = functools.partial(take, call)
        self.protocol.calls.begin(call)
        self._look = call


class ClosingHandshake:
    """The end of a connection that was left: the heartbeat thread closes the socket once the peer has answered.

    Args:
        transport: The connection, which no other thread reads any more.
        deadline: Until when to wait for the answer.
    """

    # Those under way.
    _all: ClassVar[set[ClosingHandshake]] = set()

    def __init__(self, transport: Transport, deadline: Deadline) -> None:
        self._transport = transport
        self._deadline = deadline
        self._over = Flag()
        self._pid = os.getpid()

    def begin(self) -> None:
        """Has the heartbeat thread look for the answer."""
        self._all.add(self)
        heartbeat.watch(self, self._next_look(time.monotonic()))

    def beat(self, now: float) -> float:
        """Reads what has come, and closes the socket behind the answer; see `heartbeat.Monitored`."""
        try:
            # What else comes is of use to none any more; the beats of sessions do not wait for an end to it.
            reads = 1
            while self._transport.recv(NOW) and reads < CLOSING_READS:
                reads += 1
            if not self._deadline.expired:
                return self._next_look(now)
        except SessionlibError:
            pass  # the answer, or a connection that broke
        self.close_nowait()
        return now

    def close_nowait(self) -> None:
        """Closes the socket; see `heartbeat.Monitored`."""
        self._transport.release()
        heartbeat.unwatch(self)
        self._all.discard(self)
        self._over.set()

    @classmethod
    def finish_all(cls) -> None:
        """Waits for all that this process began: a socket that is closed with an answer unread resets the connection,
        and the peer may lose what was sent last."""
        for handshake in list(cls._all):
            if handshake._pid == os.getpid():
                handshake._over.wait(handshake._deadline.remaining())

    def _next_look(self, now: float) -> float:
        # A peer has half a step at least to answer a close.
        return heartbeat.in_step(now + heartbeat.STEP / 2)


atexit.register(ClosingHandshake.finish_all)


def _say_farewell(transport: Transport | None, farewell: Frame | None, deadline: Deadline | None) -> None:
    if transport is not None:
        if farewell is not None:
            transport.enqueue(codec.dumps_text(farewell), more=True)
        transport.close(deadline=deadline)
