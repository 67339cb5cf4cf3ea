"""One session's connection to its engine: it owns the reader thread, the heartbeat and the socket's life."""

from __future__ import annotations

import threading
import time

from sessionlib._util.timing import Deadline
from sessionlib.config import Endpoint
from sessionlib.connection import heartbeat
from sessionlib.connection.heartbeat import PingSchedule
from sessionlib.connection.join import Joiner
from sessionlib.connection.options import Callbacks, ConnectionOptions, Owner
from sessionlib.connection.reader import Reader
from sessionlib.connection.sender import Sender
from sessionlib.connection.state import ConnectionState
from sessionlib.errors import SessionConnectionError
from sessionlib.hooks import SessionInfo
from sessionlib.protocol import codec
from sessionlib.protocol.client import SessionState
from sessionlib.protocol.parser import Frame
from sessionlib.streams.hub import Hub
from sessionlib.streams.stats import Counters
from sessionlib.transport.base import Transport

__all__ = ["Connection"]


class Connection:
    """Joins a session, reads it in a thread of its own, writes to it from any, and joins it again when
    the link is lost.

    Args:
        endpoint: Where the engine is.
        owner: Whom a new session is with; not needed with ``session_id``.
        session_id: The session to join; None creates one.
        options: How it behaves.
        callbacks: What it tells.
        agent_name: Whom it is with, for observers.

    Attributes:
        hub: Where its events go.
        link: The state of its link.
        poster: What sends.
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
        gauges = Counters()
        self.hub = Hub(options.backlog_size, callbacks.on_request, callbacks.on_left, gauges, alone=session_id is None)
        self._joiner = Joiner(endpoint, owner, session_id, options, gauges)
        self.link = ConnectionState(self._joiner, callbacks.on_state)
        self._replies = self._joiner.replies
        agent_id = owner.object_id if owner is not None else ""
        about = SessionInfo(lambda: self.session_id, endpoint.host, agent_id, agent_name)
        self.poster = Sender(self.link, self.hub, self._replies, options.send_timeout, about)
        # Set when this client is leaving; what the reader meets from then on is no failure.
        self._leaving = threading.Event()
        self._reader = Reader(self._joiner, self.hub, self.link, options, callbacks, gauges, self._leaving)
        self._thread: threading.Thread | None = None
        # Set when the reader ends: unlike `Thread.join`, waiting for it stands being interrupted.
        self._read_out = threading.Event()
        self._pulse = PingSchedule(options)
        self._close_timeout = options.close_timeout

    @property
    def session_id(self) -> str | None:
        """The session's id; None before one was created."""
        return self._joiner.session_id

    @property
    def state(self) -> SessionState:
        """Where the connection is."""
        return self.link.state

    @property
    def is_open(self) -> bool:
        """Whether it is joined, or joining again."""
        return self.link.is_open

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
            transport = self._joiner.connect(deadline, self._reader.join)
            self._begin(transport)
        except BaseException:
            self._undo_opening(transport)
            raise

    def _begin(self, transport: Transport) -> None:
        # A daemon, so that a script that forgets to disconnect still ends; `close` joins it.
        name = f"sessionlib-reader-{(self.session_id or '')[:8]}"
        self._thread = threading.Thread(target=self._run, args=(transport,), name=name, daemon=True)
        self.link.change(SessionState.CONNECTED, transport)
        try:
            heartbeat.watch(self, self._pulse.begin(time.monotonic()))
            self._thread.start()
        except RuntimeError as error:  # no more threads
            raise SessionConnectionError(
                f"session {self.session_id} cannot be read: {error}", session_id=self.session_id
            ) from error

    def _undo_opening(self, transport: Transport | None) -> None:
        self._leaving.set()
        heartbeat.unwatch(self)
        thread, self._thread = self._thread, None
        self.link.change(SessionState.DISCONNECTED)
        if transport is None:
            return
        if thread is None or thread.ident is None:
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
        transport = self.link.transport
        if self.link.state is not SessionState.CONNECTED or transport is None:
            self.cancel()
        self._leaving.set()
        heartbeat.unwatch(self)
        self.link.change(final)
        self.hub.end()
        self._replies.fail(self.link.left, for_good=True)
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        deadline = Deadline(self._close_timeout)
        try:
            _say_farewell(transport, farewell, deadline)
            self._read_out.wait(deadline.remaining())
        finally:
            self._joiner.cancel()
            if transport is not None:
                transport.abort()
        self._read_out.wait()
        thread.join()

    def close_at_exit(self, farewell: Frame | None = None, final: SessionState = SessionState.DISCONNECTED) -> None:
        """Leaves while the interpreter is ending: other threads do not run any more, and may have died with a lock.

        Args:
            farewell: The last frame to send.
            final: The state to end in.
        """
        transport = self.link.transport
        self.link.state, self.link.transport = final, None
        _say_farewell(transport, farewell, None)  # whoever sends may never give the lock back
        if transport is not None:
            transport.abort()

    def await_end(self, deadline: Deadline) -> None:
        """Waits until a connection that was lost has told its end, which comes soon after its last state."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread() and self.link.is_ours:
            self._read_out.wait(deadline.remaining())

    def abandon(self) -> None:
        """Has it let go when nobody holds the session any more; for the garbage collector, takes no lock."""
        if self.link.is_ours:
            heartbeat.abandon(self)

    def close_nowait(self) -> None:
        """Lets go without waiting; see `heartbeat.Monitored`."""
        if self.link.is_ours:
            self.cancel()

    # ---- what runs in threads ------------------------------------------------------------------

    def _run(self, transport: Transport) -> None:
        try:
            self._reader.run(transport)
        finally:
            heartbeat.unwatch(self)
            self._read_out.set()

    def beat(self, now: float) -> float:
        """Pings what is due and gives up on a silent link; see `heartbeat.Monitored`."""
        transport = self.link.transport
        if transport is None or self.session_id is None:
            return self._pulse.rest(now)
        return self._pulse.beat(transport, self.session_id, now)


def _say_farewell(transport: Transport | None, farewell: Frame | None, deadline: Deadline | None) -> None:
    if transport is not None:
        if farewell is not None:
            transport.enqueue(codec.dumps(farewell))
        transport.close(deadline=deadline)
