"""Opening a link and joining a session over it, while nobody else reads."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from sessionlib import hooks
from sessionlib._util.timing import Deadline
from sessionlib.config import Endpoint
from sessionlib.connection.metered import logged
from sessionlib.connection.options import ConnectionOptions, Owner
from sessionlib.connection.replies import ReplyLane
from sessionlib.errors import (
    AuthenticationError,
    SessionDisconnectedError,
    SessionError,
    SessionProtocolError,
    SessionTerminatedError,
    SessionTimeoutError,
)
from sessionlib.events import SessionEvent
from sessionlib.net.connect import CancelToken
from sessionlib.protocol import codec, frames
from sessionlib.protocol.client import Intake
from sessionlib.protocol.parser import Frame, parse_frame
from sessionlib.protocol.recovery import gap
from sessionlib.streams.stats import Counters
from sessionlib.transport.base import Transport

__all__ = ["Joiner", "load_transport"]

Live = list[SessionEvent]


def load_transport() -> None:
    """Loads what connects: with websocket-client, half of what there is to load.

    Not when the package is imported, and not while a session connects, when it may lack a descriptor.
    """
    for name in ("sessionlib.transport.websocket", "email.utils"):
        importlib.import_module(name)


class Joiner:
    """Connects to an engine and creates, joins or joins again one session.

    Args:
        endpoint: Where the engine is.
        owner: Whom a new session is with; not needed with ``session_id``.
        session_id: The session to join; None creates one.
        options: How the link behaves.
        gauges: What counts what passes.

    Attributes:
        host: Host and port of the engine, for messages.
        intake: What sorts the session's frames.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        owner: Owner | None,
        session_id: str | None,
        options: ConnectionOptions,
        gauges: Counters,
    ) -> None:
        self.host = endpoint.host
        self.replies = ReplyLane("get_messages")
        self.intake = Intake(session_id, self.replies)
        self._endpoint = endpoint
        self._gauges = gauges
        self._owner = owner
        self._options = options
        self._cancelled = False
        self._attempt = CancelToken()

    @property
    def session_id(self) -> str | None:
        """The session's id; None before one was created."""
        return self.intake.session_id

    @property
    def known_id(self) -> str:
        """The session's id, once there is one."""
        assert self.intake.session_id is not None
        return self.intake.session_id

    def cancel(self) -> None:
        """Makes this and any further attempt fail at once, and ends a link that was opened."""
        self._cancelled = True
        self._attempt.cancel()

    def connect(self, deadline: Deadline, join: Callable[[Transport, Deadline], None]) -> Transport:
        """Opens a link and joins over it.

        Args:
            deadline: When to give up.
            join: Joins; gets the link and the deadline.

        Raises:
            ConfigurationError: There is no usable API key.
            SessionConnectionError: The engine cannot be reached.
            HandshakeError: It refused the connection.
            SessionError: It refused the session.
            SessionTimeoutError: It took too long.
            SessionDisconnectedError: The attempt was cancelled, or the link broke.
        """
        try:
            return self._try(deadline, join)
        except AuthenticationError:
            # A key that is asked for anew may just have been replaced.
            if not callable(self._endpoint.source):
                raise
            return self._try(deadline, join)

    def _try(self, deadline: Deadline, join: Callable[[Transport, Deadline], None]) -> Transport:
        self._attempt = attempt = CancelToken()
        if self._cancelled:
            attempt.cancel()
        transport = self._open(deadline, attempt)
        try:
            join(transport, deadline)
            attempt.check()
        except BaseException:
            transport.release()
            attempt.check()
            raise
        return transport

    def _open(self, deadline: Deadline, attempt: CancelToken) -> Transport:
        from sessionlib.transport.websocket import open_websocket  # long since loaded: `load_transport`

        endpoint, options = self._endpoint, self._options

        used = ""

        def dial(key: str) -> Transport:
            nonlocal used
            used = key
            return open_websocket(
                endpoint.session_url,
                key,
                deadline,
                attempt,
                max_message_size=options.max_message_size,
                tls=options.tls,
                proxy=options.proxy,
            )

        stand_in = hooks.network_hook()
        opened = dial(endpoint.key()) if stand_in is None else stand_in.open(endpoint, dial, deadline, attempt)
        opened.traffic = self._gauges
        self._gauges.begin_link()
        return logged(opened, lambda: self.session_id, used)

    def join(self, transport: Transport, deadline: Deadline) -> Live:
        """Creates the session if there is none yet, and joins it; gives what else came."""
        live: Live = []
        if self.session_id is None:
            assert self._owner is not None
            request = frames.create_session(self._owner.object_type, self._owner.object_id)
            live = self._ask(transport, request, "session_created", deadline)[1]
        return live + self.join_again(transport, deadline)[1]

    def join_again(self, transport: Transport, deadline: Deadline) -> tuple[Frame, Live]:
        """Joins the session; gives the ack, and what else came."""
        return self._ask(transport, frames.connect_session(self.known_id), "connect_session", deadline)

    def history(self, transport: Transport, deadline: Deadline) -> tuple[list[Any], Live]:
        """Gets the session's messages, and what else came: a gap if the engine refuses them."""
        try:
            reply, live = self._ask(transport, frames.get_messages(self.known_id), "get_messages", deadline)
        except (SessionDisconnectedError, SessionTimeoutError, SessionProtocolError):
            raise
        except SessionError as error:
            return [], [gap(self.known_id, f"the history is not to be had: {error}")]
        messages = reply.get("messages")
        return (messages if isinstance(messages, list) else []), live

    def _ask(self, transport: Transport, request: Frame, reply_type: str, deadline: Deadline) -> tuple[Frame, Live]:
        """Sends a request and reads until its reply; gives both the reply and what else came."""
        transport.send(codec.dumps(request), deadline)
        live: Live = []
        reply: Frame | None = None
        while reply is None:
            for frame in map(parse_frame, transport.recv(deadline)):
                if reply is None and _refuses(frame, request["type"]):
                    raise self._refused(request, frame)
                if frame["type"] == reply_type and reply is None:
                    reply = frame
                    if self.session_id is None:  # what comes right behind it may belong to the new session
                        self.intake.session_id = _created_id(frame)
                else:
                    event = self.intake.take(frame)
                    if event is not None:
                        live.append(event)
        return reply, live

    def _refused(self, request: Frame, frame: Frame) -> SessionError:
        about = self.session_id or f"{request.get('object_type')} {request.get('object_id')}"
        told = frame.get("error") or "it did not say why"
        kind = SessionTerminatedError if frame.get("code") == "session_terminated" else SessionError
        return kind(f"the engine refused {request['type']} for {about}: {told}", session_id=self.session_id)


def _created_id(frame: Frame) -> str:
    session_id = frame.get("session_id")
    if not isinstance(session_id, str) or not session_id:
        raise SessionProtocolError("the engine created a session without telling its id")
    return session_id


def _refuses(frame: Frame, request_type: str) -> bool:
    """Whether a frame tells that a request failed; an error that names no request does as well."""
    if frame["type"] == "error":
        return frame.get("request_type") in (request_type, None)
    return frame["type"] == request_type and frame.get("success") is False
