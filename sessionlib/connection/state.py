"""The state of a session's connection: for threads that wait for another one, and for callbacks."""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable

from sessionlib._util.executor import SerialExecutor
from sessionlib._util.timing import Deadline
from sessionlib.errors import ForkedSessionError, SessionDisconnectedError, SessionError, SessionTimeoutError
from sessionlib.protocol.client import ClientProtocol, SessionState, may_follow
from sessionlib.transport.base import Transport

__all__ = ["ConnectionState", "StateCallback", "StateObservers"]

logger = logging.getLogger("sessionlib")


class ConnectionState:
    """The state of one session's connection, the transport that goes with it, and why there is none any more.

    Args:
        protocol: Whose connection it is.
        host: Host and port of the engine, for the log.
        on_state: Called with each new state, in order; must not block.

    Attributes:
        state: Where the connection is.
        transport: What to write to; None while there is no connection.
        will_look: Whether a beat is due soon that looks for posts without an answer.
        quiet_since: When something last came or left that bears on turns, or the history was last looked at, on the
            monotonic clock.
    """

    def __init__(self, protocol: ClientProtocol, host: str, on_state: Callable[[SessionState], object]) -> None:
        self._protocol = protocol
        self._host = host
        self._on_state = on_state
        # Protects the state, the transport that goes with it, and why there is none any more.
        self._lock = threading.Lock()
        # Made by the first thread that waits for a change: most sessions never have one.
        self._changed: threading.Condition | None = None
        self.state = SessionState.CONNECTING
        self.transport: Transport | None = None
        self.will_look = False
        self.quiet_since = 0.0
        self._loss: Callable[[], SessionError] | None = None
        # Protects the order in which changes are reported: that in which they were made.
        self._reporting = threading.Lock()
        self._unreported: list[SessionState] = []
        self._pid = os.getpid()

    @property
    def is_open(self) -> bool:
        """Whether it is joined, or joining again."""
        return self.state in (SessionState.CONNECTED, SessionState.RECONNECTING)

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that connected, and not a fork of it."""
        return os.getpid() == self._pid

    def change(
        self,
        state: SessionState,
        transport: Transport | None = None,
        loss: Callable[[], SessionError] | None = None,
    ) -> None:
        """Moves on, unless the one state cannot come after the other, and wakes threads that wait for a change.

        Args:
            state: The new state.
            transport: The transport from now on.
            loss: Makes the error for calls that find none.
        """
        with self._lock:
            if not may_follow(self.state, state):
                return
            self.state = state
            self.transport = transport
            # Kept, so that calls to come get the reason as well.
            self._loss = loss or self._loss
            # Under the same lock as the change, so that the order is the same.
            self._unreported.append(state)
            if self._changed is not None:
                self._changed.notify_all()
        # Outside: a log handler may block, and may be anything.
        logger.info("= session %s %s at %s", self._protocol.session_id, state, self._host)
        with self._reporting:
            while self._unreported:  # the first thread reports the changes of other threads as well
                self._on_state(self._unreported.pop(0))

    def wait_usable(self, deadline: Deadline) -> Transport:
        """Returns the transport, waiting while the connection is being opened again.

        Raises:
            SessionDisconnectedError: The session is not connected, or its connection is lost.
            SessionTimeoutError: The connection was not back in time.
            ForkedSessionError: This is a fork of the process that connected.
        """
        self.check_process()
        # One read of one attribute, as every post passes here; `change` sets it under the lock.
        transport = self.transport
        if transport is not None:
            return transport
        with self._lock:
            self._wait_while(
                lambda: self.state is SessionState.RECONNECTING,
                deadline,
                f"session {self._session_id} was not connected again within",
            )
            if self.transport is not None:
                return self.transport
            raise self._loss() if self._loss is not None else self.left()

    def check_usable(self) -> None:
        """Makes sure that something can be sent, now or once the connection is back.

        Raises:
            SessionDisconnectedError: The session is not connected, or its connection is lost.
            ForkedSessionError: This is a fork of the process that connected.
        """
        self.check_process()
        if self.transport is None and not self.is_open:
            raise self._loss() if self._loss is not None else self.left()

    def check_process(self) -> None:
        """Makes sure that this is the process that connected.

        Raises:
            ForkedSessionError: It is a fork of it.
        """
        if os.getpid() != self._pid:
            raise ForkedSessionError(
                f"session {self._session_id} was connected in the parent process; open one of your own in this one",
                session_id=self._session_id,
            )

    def left(self) -> SessionError:
        """Makes the error for a session that is not connected."""
        return SessionDisconnectedError(
            f"session {self._session_id} is not connected; call connect() first",
            session_id=self._session_id,
        )

    def await_loss(self, transport: Transport, deadline: Deadline) -> None:
        """Waits until the reader has noticed that a transport is dead.

        Raises:
            SessionTimeoutError: It did not in time.
        """
        with self._lock:
            self._wait_while(
                lambda: self.transport is transport,
                deadline,
                "the connection broke and was not back within",
            )

    @property
    def _session_id(self) -> str | None:
        return self._protocol.session_id

    def _wait_while(self, lasts: Callable[[], bool], deadline: Deadline, message: str) -> None:
        """Waits for a change, with the lock held; raises SessionTimeoutError with the message when it is too late."""
        while lasts():
            left = deadline.remaining()
            if left == 0.0:
                raise SessionTimeoutError(f"{message} {deadline.timeout:g} s", session_id=self._session_id)
            if self._changed is None:
                self._changed = threading.Condition(self._lock)
            self._changed.wait(left)


StateCallback = Callable[[SessionState], object]


class StateObservers:
    """Calls callbacks with changes, one after another on the executor's thread.

    Args:
        dispatcher: Where they run.
    """

    def __init__(self, dispatcher: SerialExecutor) -> None:
        self._dispatcher = dispatcher
        # Protects the callbacks.
        self._lock = threading.Lock()
        self._callbacks: list[StateCallback] = []

    def register(self, callback: StateCallback) -> Callable[[], None]:
        """Adds a callback; returns the function that removes it."""
        if not callable(callback):
            raise TypeError(f"a state callback is a callable, not {type(callback).__name__}")
        with self._lock:
            self._callbacks.append(callback)
        return functools.partial(self._remove, callback)

    def notify(self, state: SessionState) -> None:
        """Has every callback called; never blocks."""
        with self._lock:
            # So that a session without callbacks starts no thread for them.
            wanted = bool(self._callbacks)
        if wanted:
            self._dispatcher.submit(functools.partial(self._call, state))

    def _call(self, state: SessionState) -> None:
        with self._lock:
            # A copy: a callback may remove itself, which takes the lock.
            callbacks = list(self._callbacks)
        for callback in callbacks:
            try:
                callback(state)
            except BaseException:  # one that fails, or exits, must not keep the rest from being called
                logger.exception("! a state callback failed")

    def _remove(self, callback: StateCallback) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)
