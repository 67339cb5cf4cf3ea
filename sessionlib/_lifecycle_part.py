"""The life of a session: joining it, leaving it, and what state it is in."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from sessionlib._util.executor import Dispatcher
from sessionlib._util.timing import Deadline
from sessionlib.approvals import ApprovalDesk
from sessionlib.config import Endpoint
from sessionlib.connection.connection import Connection
from sessionlib.connection.join import load_transport
from sessionlib.connection.observers import StateCallback, StateObservers
from sessionlib.connection.options import Callbacks, LinkOptions, Owner
from sessionlib.display.text import count_of
from sessionlib.errors import SessionDisconnectedError, SessionError, SessionTerminatedError
from sessionlib.protocol import frames
from sessionlib.protocol.state import SessionState
from sessionlib.streams.stats import SessionStats, no_stats

__all__ = ["Lifecycle"]

Living = TypeVar("Living", bound="Lifecycle")
_Farewell = Callable[[str], frames.Frame]


class Lifecycle:
    """What connects and leaves: the ground that `Session` and its other parts stand on.

    Args:
        endpoint: Where the engine is.
        owner: Whom a new session is with; None when there is one to resume.
        session_id: The session to resume; None creates one.
        options: How its link behaves.

    Attributes:
        agent_name: The name of the agent or chatbot, where that is known; telemetry tells it.
    """

    # Made by the session as a whole, which is what it hands to handlers.
    _approvals: ApprovalDesk

    def __init__(self, endpoint: Endpoint, owner: Owner | None, session_id: str | None, options: LinkOptions) -> None:
        load_transport()
        self._endpoint = endpoint
        self._owner = owner
        self.agent_name: str | None = None
        self._session_id = session_id
        self._options = options
        # Held while the session connects or leaves, so that two threads do not do it at once.
        self._changing = threading.Lock()
        self._connection: Connection | None = None
        # Not a method of ours: the dispatcher's thread must not keep a forgotten session alive.
        self._dispatcher = Dispatcher(lambda: (owner.object_id if owner else session_id) or "")
        self._observers = StateObservers(self._dispatcher)
        self._terminated = False

    @property
    def session_id(self) -> str | None:
        """The session's id; None before it was created."""
        return self._connection.session_id if self._connection is not None else self._session_id

    @property
    def is_connected(self) -> bool:
        """Whether the session is joined, or being joined again after its link was lost."""
        return self._connection is not None and self._connection.is_open

    @property
    def state(self) -> SessionState:
        """Where the session's connection is."""
        if self._terminated:
            return SessionState.TERMINATED
        return SessionState.DISCONNECTED if self._connection is None else self._connection.state

    @property
    def stats(self) -> SessionStats:
        """What happened since the session was connected, in numbers: counts, queues, round trips, turns."""
        return no_stats() if self._connection is None else self._connection.hub.stats()

    def on_state(self, callback: StateCallback) -> Callable[[], None]:
        """Registers a callback for changes of `state`; as a call or as a decorator.

        It gets the new state, on a thread that the session keeps for callbacks, in order.

        Args:
            callback: The callback.

        Returns:
            The function that unregisters it.
        """
        return self._observers.register(callback)

    def connect(self: Living, timeout: float | None = 30.0) -> Living:
        """Opens the socket, creates or joins the session, and starts to read.

        Does nothing when already connected.

        Args:
            timeout: Seconds that all of it may take together; None for as long as it takes.

        Returns:
            The session itself.

        Raises:
            ConfigurationError: There is no usable API key.
            SessionConnectionError: The engine cannot be reached.
            HandshakeError: It refused the connection; also the `ApiError` of its status.
            SessionTerminatedError: The session was terminated.
            ForkedSessionError: The parent of this process has it connected.
            SessionError: The engine refused the session, or there is nothing to create one from.
            SessionTimeoutError: It took too long.
        """
        deadline = Deadline(timeout)
        if self._connection is not None and self.is_connected:
            self._connection.link.check_process()
        with self._changing:
            if self._terminated:
                raise SessionTerminatedError(
                    f"session {self.session_id} was terminated; create a new one", session_id=self.session_id
                )
            if not self.is_connected:
                if self._connection is not None:
                    self._connection.await_end(deadline)
                self._connection = self._new_connection()
                self._connection.open(deadline)
        return self

    def disconnect(self) -> None:
        """Detaches this client; the session lives on in the engine and can be resumed by its id.

        Every listener's iteration ends. Does nothing when not connected.
        """
        self._leave(frames.disconnect_session, SessionState.DISCONNECTED)

    def terminate(self) -> None:
        """Tells the engine to destroy the session, then detaches; it cannot be resumed.

        Does nothing when not connected. A link that is down, or that has to be cut in the middle of another thread's
        upload, cannot tell it: then the engine still has the session, and this client has left it.
        """
        if self.is_connected:
            self._leave(frames.terminate_session, SessionState.TERMINATED)
            self._terminated = True

    def __enter__(self: Living) -> Living:
        return self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.disconnect()

    def __del__(self) -> None:
        if not hasattr(self, "_terminated"):  # the constructor raised
            return
        self._dispatcher.stop(0.0)
        connection = self._connection
        if connection is not None and connection.is_open:
            connection.abandon()
            # No repr, which takes the hub's lock: the collector may run inside it.
            told = f"session {self.session_id} at {self._endpoint.host} was never disconnected"
            warnings.warn(told, ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        waiting = f"{count_of(self._waiting, 'event')} waiting"
        return f"<Session {self.session_id or 'new'} at {self._endpoint.host}: {self.state}, {waiting}>"

    @property
    def _waiting(self) -> int:
        return sum(self._connection.hub.depths) if self._connection is not None else 0

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a Session cannot be pickled or copied; pass its session_id and resume it there")

    # ---- within --------------------------------------------------------------------------------

    def _new_connection(self) -> Connection:
        if self.session_id is None and self._owner is None:
            raise SessionError(
                "there is nothing to create a session from: pass owner_type and owner_id, or a session_id to resume"
            )
        desk = self._approvals
        callbacks = Callbacks(desk.note, desk.release, desk.expect_again, self._observers.tell)
        return Connection(self._endpoint, self._owner, self.session_id, self._options, callbacks, self.agent_name or "")

    def _leave(self, farewell: _Farewell, final: SessionState) -> None:
        connection = self._connection
        if connection is None:
            return
        connection.link.check_process()
        if sys.is_finalizing():
            connection.close_at_exit(_farewell(connection, farewell), final)
            return
        if connection.state is SessionState.CONNECTING:
            connection.cancel()  # so that a thread in connect() lets go of the lock
        with self._changing:
            connection.close(_farewell(connection, farewell), final)
        self._dispatcher.stop(self._options.close_timeout)

    def _connected(self) -> tuple[Connection, str]:
        usable = self._usable()
        self._approvals.raise_kept()
        return usable

    def _usable(self) -> tuple[Connection, str]:
        connection = self._connection
        session_id = None if connection is None else connection.session_id
        if connection is None or session_id is None:
            raise SessionDisconnectedError(
                f"session {self.session_id or '(new)'} is not connected; call connect() first",
                session_id=self.session_id,
            )
        if connection.link.transport is None:
            connection.link.check_usable()
        return connection, session_id


def _farewell(connection: Connection, farewell: _Farewell) -> frames.Frame | None:
    session_id = connection.session_id
    return farewell(session_id) if connection.is_open and session_id else None
