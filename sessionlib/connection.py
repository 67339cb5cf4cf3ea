"""One session's link to the engine: it owns the reader thread, the heartbeat and the socket's life."""

from __future__ import annotations

import logging
import os
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sessionlib import heartbeat
from sessionlib.config import Endpoint
from sessionlib.errors import (
    ForkedSessionError,
    SessionDisconnectedError,
    SessionError,
    SessionlibError,
    SessionProtocolError,
    SessionTerminatedError,
)
from sessionlib.events import SessionEvent
from sessionlib.hub import Hub
from sessionlib.replies import ReplyLane
from sessionlib.timing import Deadline
from sessionlib.transport import Transport
from sessionlib.transport.websocket import open_websocket
from sessionlib.wire import codec, frames
from sessionlib.wire.parse import KNOWN_TYPES, Frame, parse_event, parse_frame

__all__ = ["Connection", "LinkOptions", "Owner"]

logger = logging.getLogger("sessionlib")

# The official client sends its application-level ping every 5 s.
SESSION_PING_INTERVAL = 5.0


@dataclass(frozen=True)
class Owner:
    """Whom a new session is with.

    Attributes:
        object_type: "agent" or "chatbot".
        object_id: Its id.
    """

    object_type: str
    object_id: str


@dataclass(frozen=True)
class LinkOptions:
    """How a connection behaves.

    Attributes:
        max_message_size: The largest message accepted, in bytes.
        ping_interval: Seconds between WebSocket pings.
        pong_timeout: Seconds after a ping in which something has to arrive.
        send_timeout: Seconds that a message may take to go out; None for as long as it takes.
        close_timeout: Seconds that the engine gets to answer the closing handshake.
        backlog_size: How many events wait for the next listener while none is open.
        tls: What to verify the engine by; None for the system's certificates.
    """

    max_message_size: int = 64 * 2**20
    ping_interval: float = 20.0
    pong_timeout: float = 20.0
    send_timeout: float | None = 60.0
    close_timeout: float = 0.5
    backlog_size: int = 16384
    tls: ssl.SSLContext | None = field(default=None, repr=False)


class Connection:
    """Joins a session over one socket, reads it in a thread of its own, and writes to it from any.

    Args:
        endpoint: Where the engine is.
        owner: Whom a new session is with; not needed with ``session_id``.
        session_id: The session to join; None creates one.
        options: How it behaves.

    Attributes:
        session_id: The session's id; None before one was created.
        hub: Where its events go.
    """

    def __init__(self, endpoint: Endpoint, owner: Owner | None, session_id: str | None, options: LinkOptions) -> None:
        self.session_id = session_id
        self.hub = Hub(options.backlog_size)
        self._endpoint = endpoint
        self._owner = owner
        self._options = options
        self._replies = ReplyLane("get_messages")
        self._transport: Transport | None = None
        self._reader: threading.Thread | None = None
        # Set when this client is leaving; what the reader meets from then on is no failure.
        self._leaving = threading.Event()
        self._loss: Callable[[], SessionError] | None = None
        self._unknown_types: set[str] = set()
        self._next_ping = 0.0
        self._pid = os.getpid()

    @property
    def is_open(self) -> bool:
        """Whether the session is joined and its link is not known to be lost."""
        return self._transport is not None and self._loss is None and not self._leaving.is_set()

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
        transport = open_websocket(
            self._endpoint.session_url,
            self._endpoint.key(),
            deadline,
            max_message_size=self._options.max_message_size,
            tls=self._options.tls,
        )
        try:
            self._join(transport, deadline)
        except BaseException:
            transport.release()
            raise
        self._transport = transport
        logger.info("= session %s connected to %s", self.session_id, self._endpoint.host)
        now = time.monotonic()
        self._next_ping = now + self._options.ping_interval
        heartbeat.watch(self, self._after_beat(now))
        # A daemon, so that a script that forgets to disconnect still ends; `close` joins it.
        name = f"sessionlib-reader-{(self.session_id or '')[:8]}"
        self._reader = threading.Thread(target=self._read, args=(transport,), name=name, daemon=True)
        self._reader.start()

    def close(self, farewell: Frame | None = None) -> None:
        """Leaves: listeners end, the engine is told, and the thread and the socket are gone on return.

        Args:
            farewell: The last frame to send.
        """
        self._leaving.set()
        heartbeat.unwatch(self)
        self.hub.end()
        self._replies.fail(self._left, for_good=True)
        transport, reader = self._transport, self._reader
        if transport is None or reader is None:
            return
        try:
            if farewell is not None:
                transport.post(codec.dumps(farewell))
            transport.close()
            reader.join(self._options.close_timeout)
        finally:
            transport.abort()
        reader.join()

    def abandon(self) -> None:
        """Lets go without waiting, when nobody holds the session any more; for the garbage collector."""
        self._leaving.set()
        heartbeat.unwatch(self)
        if self._transport is not None and os.getpid() == self._pid:
            self._transport.abort()

    def _join(self, transport: Transport, deadline: Deadline) -> None:
        if self.session_id is None:
            assert self._owner is not None
            request = frames.create_session(self._owner.object_type, self._owner.object_id)
            created = self._ask(transport, request, "session_created", deadline).get("session_id")
            if not isinstance(created, str) or not created:
                raise SessionProtocolError("the engine created a session without telling its id")
            self.session_id = created
        self._ask(transport, frames.connect_session(self.session_id), "connect_session", deadline)

    def _ask(self, transport: Transport, request: Frame, reply_type: str, deadline: Deadline) -> Frame:
        """Sends a request and reads until its reply, before there is a reader thread."""
        transport.send(codec.dumps(request), deadline)
        while True:
            reply: Frame | None = None
            events: list[SessionEvent] = []
            for frame in map(parse_frame, transport.recv(deadline)):
                if _refuses(frame, request["type"]):
                    raise self._refused(request, frame)
                if frame["type"] == reply_type and reply is None:
                    reply = frame
                else:
                    self._collect(frame, events)
            self.hub.dispatch(events)
            if reply is not None:
                return reply

    def _refused(self, request: Frame, frame: Frame) -> SessionError:
        about = self.session_id or f"{request.get('object_type')} {request.get('object_id')}"
        told = frame.get("error") or "it did not say why"
        terminated = frame.get("code") == "session_terminated"
        kind = SessionTerminatedError if terminated else SessionError
        return kind(f"the engine refused {request['type']} for {about}: {told}", session_id=self.session_id)

    # ---- writing -------------------------------------------------------------------------------

    def post(self, frame: Frame) -> None:
        """Sends a message; what is over before it is not replayed after it.

        Raises:
            SessionDisconnectedError: The session is not connected, or its link broke.
            SessionTimeoutError: The message did not go out in time.
        """
        payload = codec.dumps(frame)
        self._usable()
        self.hub.begin_post()
        self._send(payload, Deadline(self._options.send_timeout))

    def send(self, frame: Frame) -> None:
        """Sends any other frame.

        Raises:
            SessionDisconnectedError: The session is not connected, or its link broke.
            SessionTimeoutError: The frame did not go out in time.
        """
        self._send(codec.dumps(frame), Deadline(self._options.send_timeout))

    def call(self, frame: Frame, deadline: Deadline) -> Frame:
        """Sends a request and waits for the engine's answer.

        Raises:
            SessionDisconnectedError: The session is not connected, or its link broke.
            SessionTimeoutError: No answer came in time.
            SessionError: The engine refused.
        """
        payload = codec.dumps(frame)
        return self._replies.call(frame["type"], lambda: self._send(payload, deadline), deadline)

    def check_usable(self) -> None:
        """Makes sure that something can be sent.

        Raises:
            SessionDisconnectedError: The session is not connected, or its link is lost.
            ForkedSessionError: This is a fork of the process that connected.
        """
        self._usable()

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

    def _send(self, payload: bytes, deadline: Deadline) -> None:
        transport = self._usable()
        try:
            transport.send(payload, deadline)
        except SessionDisconnectedError as error:
            if self._loss is not None:
                raise self._loss() from error
            error.session_id = self.session_id
            raise
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("> session %s %d bytes", self.session_id, len(payload))

    def _usable(self) -> Transport:
        self.check_process()
        if self._loss is not None:
            raise self._loss()
        if self._transport is None or self._leaving.is_set():
            raise self._left()
        return self._transport

    def _left(self) -> SessionError:
        return SessionDisconnectedError(
            f"session {self.session_id} is not connected; call connect() first", session_id=self.session_id
        )

    # ---- reading -------------------------------------------------------------------------------

    def _read(self, transport: Transport) -> None:
        try:
            while True:
                self._receive(transport.recv())
        except SessionlibError as error:
            if isinstance(error, SessionProtocolError):
                transport.close(error.close_code)
            cause: Exception = error
        except Exception as error:  # a reader that dies quietly would hang everybody
            logger.exception("! session %s: the reader failed", self.session_id)
            cause = error
        finally:
            transport.release()
        self._lost(cause)

    def _receive(self, messages: list[bytes]) -> None:
        events: list[SessionEvent] = []
        try:
            for message in messages:
                self._collect(parse_frame(message), events)
        finally:
            if events:
                self.hub.dispatch(events)
        if logger.isEnabledFor(logging.DEBUG):
            for event in events:
                logger.debug("< session %s %s", self.session_id, event.type)

    def _collect(self, frame: Frame, events: list[SessionEvent]) -> None:
        """Turns a frame into the event it becomes, if it becomes one."""
        if self._replies.offer(frame):
            return
        event = parse_event(frame, self.session_id or "")
        if event is None:
            self._note_unknown(frame["type"])
        elif self.session_id is not None and event.session_id != self.session_id:
            logger.debug("! session %s: dropped a frame for another session", self.session_id)
        else:
            events.append(event)

    def _note_unknown(self, frame_type: str) -> None:
        if frame_type not in KNOWN_TYPES and frame_type not in self._unknown_types:
            self._unknown_types.add(frame_type)
            logger.warning("! session %s: dropping frames of unknown type %.80r", self.session_id, frame_type)

    def _lost(self, cause: Exception) -> None:
        heartbeat.unwatch(self)
        if self._leaving.is_set():
            return

        def loss() -> SessionError:
            error = SessionDisconnectedError(
                f"session {self.session_id} lost its connection: {cause}; connect() resumes it",
                session_id=self.session_id,
                code=getattr(cause, "code", None),
                reason=getattr(cause, "reason", ""),
            )
            error.__cause__ = cause
            return error

        logger.info("= session %s lost its connection: %s", self.session_id, cause)
        self._loss = loss
        self._replies.fail(loss, for_good=True)
        self.hub.end(loss)

    # ---- the heartbeat -------------------------------------------------------------------------

    def beat(self, now: float) -> float:
        """Pings what is due and gives up on a silent link; see `heartbeat.Heart`."""
        transport = self._transport
        if transport is None or self.session_id is None:
            return self._after_beat(now)
        options = self._options
        if now - transport.heard > options.ping_interval + options.pong_timeout:
            logger.info("! session %s: nothing heard for %.0f s", self.session_id, now - transport.heard)
            transport.abort()
        if now >= self._next_ping:
            self._next_ping = now + options.ping_interval
            transport.ping()
        transport.post(codec.dumps(frames.ping_session(self.session_id)))
        return self._after_beat(now)

    def _after_beat(self, now: float) -> float:
        return now + min(SESSION_PING_INTERVAL, self._options.ping_interval)


def _refuses(frame: Frame, request_type: str) -> bool:
    """Whether a frame tells that a request failed; an error that names no request does as well."""
    if frame["type"] == "error":
        return frame.get("request_type") in (request_type, None)
    return frame["type"] == request_type and frame.get("success") is False
