"""Opening a connection, and the requests that join a session over it while no other thread reads."""

from __future__ import annotations

import importlib
from typing import Any

from sessionlib import hooks
from sessionlib._util.timing import Deadline, Flag
from sessionlib.config import Endpoint
from sessionlib.connection.options import ConnectionOptions, Owner
from sessionlib.connection.wire_log import logged
from sessionlib.errors import (
    AuthenticationError,
    MessageTooLargeError,
    SessionConnectionError,
    SessionDisconnectedError,
    SessionError,
    SessionlibError,
    SessionProtocolError,
    SessionTimeoutError,
)
from sessionlib.events import SessionEvent
from sessionlib.net.connect import CancelToken
from sessionlib.protocol import codec, frames
from sessionlib.protocol.client import ClientProtocol
from sessionlib.protocol.frames import Frame
from sessionlib.protocol.recovery import gap
from sessionlib.streams.stats import Counters
from sessionlib.transport.base import Transport

__all__ = ["Dialer", "as_transient", "create", "fetch_history", "join", "load_transport"]


def load_transport() -> None:
    """Imports what connects: with websocket-client, half of what there is to import.

    Not when the package is imported, and not while a session connects, when it may lack a descriptor.
    """
    for name in ("sessionlib.transport.websocket", "email.utils"):
        importlib.import_module(name)


class Dialer:
    """Opens connections to one engine, one at a time, until it is cancelled.

    Args:
        endpoint: Where the engine is, and the key.
        options: How a connection behaves.
        protocol: Whose connections they are, for the log.
        counters: What counts.
        leaving: Set when the client is leaving: from then on every attempt fails.

    Attributes:
        token: What cancels the latest attempt, or shows that it was cancelled.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        options: ConnectionOptions,
        protocol: ClientProtocol,
        counters: Counters,
        leaving: Flag,
    ) -> None:
        self._endpoint = endpoint
        self._options = options
        self._protocol = protocol
        self._counters = counters
        self._leaving = leaving
        self.token = CancelToken()

    def open(self, deadline: Deadline) -> Transport:
        """Opens a connection.

        Raises:
            ConfigurationError: There is no usable API key.
            SessionConnectionError: The engine cannot be reached.
            HandshakeError: It refused the connection.
            SessionTimeoutError: It took too long.
            SessionDisconnectedError: The attempt was cancelled.
            Exception: What a callable ``api_key`` raised.
        """
        try:
            return self._try(deadline)
        except AuthenticationError:
            # A key that is asked for at each connection may just have been replaced.
            if not callable(self._endpoint.source):
                raise
            return self._try(deadline)

    def _try(self, deadline: Deadline) -> Transport:
        from sessionlib.transport.websocket import open_websocket  # long since imported: `load_transport`

        # The token before the flag: who leaves sets the flag first and then cancels the token that is here, so one of
        # the two is seen.
        self.token = token = CancelToken()
        if self._leaving.is_set:
            token.cancel()
        endpoint, options, used = self._endpoint, self._options, [""]

        def dial(key: str) -> Transport:
            used[0] = key
            return open_websocket(
                endpoint.session_url,
                key,
                deadline,
                token,
                max_message_size=options.max_message_size,
                tls=options.tls,
                proxy=options.proxy,
                proxy_always=options.proxy_always,
                headers=options.headers,
            )

        # Read once: a recording may begin or end on another thread meanwhile.
        hook = hooks.network_hook
        opened = dial(self._key(deadline, token)) if hook is None else hook.open(endpoint, dial, deadline, token)
        # One count for all connections of the session, one after another.
        opened.traffic = self._counters
        self._counters.pings.clear()  # which left on the connection before
        return logged(opened, lambda: self._protocol.session_id, used[0])

    def _key(self, deadline: Deadline, token: CancelToken) -> str:
        key = self._endpoint.key_within(deadline, token)
        if key is None:
            raise SessionTimeoutError(f"the api_key callable did not return within {deadline.timeout:.3g} s")
        return key


def create(protocol: ClientProtocol, transport: Transport, owner: Owner, deadline: Deadline) -> list[SessionEvent]:
    """Creates a session; returns the events that came meanwhile."""
    request = frames.create_session(owner.object_type, owner.object_id)
    return _ask(protocol, transport, request, "session_created", deadline)[1]


def join(
    protocol: ClientProtocol, transport: Transport, deadline: Deadline, *, again: bool = False
) -> tuple[Frame, list[SessionEvent]]:
    """Joins the session; returns the ack, and the events that came meanwhile."""
    request = frames.connect_session(protocol.known_id)
    return _ask(protocol, transport, request, "connect_session", deadline, again=again)


def fetch_history(
    protocol: ClientProtocol, transport: Transport, deadline: Deadline
) -> tuple[list[Any], list[SessionEvent]]:
    """Gets the session's messages; returns them, and the events that came meanwhile: a gap if the engine refuses."""
    history: list[Any] = []
    live: list[SessionEvent] = []
    request = None if protocol.history_too_large else protocol.history_request()
    if request is None:
        return [], [gap(protocol.known_id, "the history is larger than a message may be (max_message_size)")]
    try:
        while request is not None:
            # In parts if the engine can, so that a long history meets no bound on the size of one message.
            reply, more = _ask(protocol, transport, request, "get_messages", deadline, again=True)
            live += more
            messages = reply.get("messages")
            history += messages if isinstance(messages, list) else []
            request = protocol.history_request(reply)
    except MessageTooLargeError as error:
        # To ask for it again would break each further connection as well, so the next join reports a gap in its
        # place.
        protocol.history_too_large = error.transient = True
        raise
    # These are about the connection, which is tried again; what follows is a refusal, and the session goes on.
    except (SessionDisconnectedError, SessionTimeoutError, SessionProtocolError):
        raise
    except SessionError as error:
        return [], [*live, gap(protocol.known_id, f"the history is unavailable: {error}")]
    return history, live


def _ask(
    protocol: ClientProtocol,
    transport: Transport,
    request: Frame,
    reply_type: str,
    deadline: Deadline,
    *,
    again: bool = False,
) -> tuple[Frame, list[SessionEvent]]:
    """Sends a request and reads until its reply; returns the reply, and the events that came with it."""
    transport.send(codec.dumps(request), deadline)
    live: list[SessionEvent] = []
    reply: Frame | None = None
    while reply is None:
        # All that one read brought, also behind the reply: no other thread reads yet, and nothing of it comes twice.
        for frame in map(protocol.frame_of, transport.recv(deadline)):
            if reply is None and protocol.match_join(frame, request, reply_type, again=again):
                reply = frame
                continue
            event = protocol.event_of(frame)
            if event is not None:
                live.append(event)
    return reply, live


def as_transient(error: BaseException) -> SessionlibError:
    """Returns what a callable ``api_key`` raised as an error that a later try may not meet."""
    if isinstance(error, SessionlibError):
        return error
    wrapped = SessionConnectionError(f"the api_key callable raised {type(error).__name__}", transient=True)
    wrapped.__cause__ = error
    return wrapped
