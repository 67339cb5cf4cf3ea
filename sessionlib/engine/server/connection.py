"""One client's WebSocket connection: its frames in, each answered, and the sessions it receives."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from sessionlib.engine.errors import RefusedError, StorageError
from sessionlib.engine.limits import Limits
from sessionlib.engine.server.send_queue import SendQueue
from sessionlib.engine.server.websocket import WebSocket
from sessionlib.engine.sessions import content as contents
from sessionlib.engine.sessions.broadcast import encode
from sessionlib.engine.sessions.registry import SessionRegistry
from sessionlib.engine.sessions.session import LiveSession
from sessionlib.engine.store.records import Json
from sessionlib.protocol import codec, frames

__all__ = ["ClientConnection"]

logger = logging.getLogger(__name__)

POLICY_VIOLATION = 1008
GOING_AWAY = 1001


class ClientConnection:
    """Answers one client, on that connection's own thread.

    Args:
        socket: Its messages.
        outlet: Where answers go.
        hub: The sessions.
        limits: Of frames, batches and sessions.
    """

    def __init__(self, socket: WebSocket, outlet: SendQueue, hub: SessionRegistry, limits: Limits) -> None:
        self._socket = socket
        self._outlet = outlet
        self._hub = hub
        self._limits = limits
        self._attached: dict[str, LiveSession] = {}
        # As a subscriber of sessions; taken as they are, since each frame to each client goes through them.
        self.put, self.flush, self.settle = outlet.put, outlet.flush, socket.settle
        # A table, so that what is not in it is refused by name; no attribute is looked up by what a peer sends.
        self._handlers: dict[str, Callable[[Json], None]] = {
            "create_session": self._create,
            "connect_session": self._connect,
            "disconnect_session": self._disconnect,
            "terminate_session": self._terminate,
            "post_message": self._post,
            "post_messages": self._post,
            "get_messages": self._history,
            "ping_session": lambda frame: self._reply(frames.pong(str(frame.get("session_id") or ""))),
        }

    def serve(self) -> None:
        """Answers until the connection ends; the sessions live on."""
        allowance = RateLimiter(self._limits.frames_per_second, self._limits.frame_burst)
        refused = 0
        try:
            for data in self._socket.messages():
                if allowance.take():
                    refused = 0
                    self._handle(data)
                    continue
                refused += 1
                # Once for each burst: an answer to each would double the load.
                if refused == 1:
                    self._reply(frames.error("too many frames: slow down", code="rate_limited"))
                elif refused > self._limits.refusals:
                    self._socket.close(POLICY_VIOLATION, "too many frames")
        finally:
            for session in self._attached.values():
                # What runs goes on; a client that comes back is sent the state of its turn.
                session.audience.detach(self)
            # This object is part of a cycle, by its handlers, and must not keep them until the collector comes by.
            self._attached.clear()

    def leave(self) -> None:
        """Notifies the client that the engine stops; from any thread."""
        # RFC 6455, 7.4.1: 1001 is for a server that goes down, and clients take it for a reason to try again.
        self._socket.close(GOING_AWAY, "the engine is stopping")

    # ---- frames and what becomes of them -----------------------------------------------------

    def _handle(self, data: bytes) -> None:
        try:
            frame = codec.loads(data)
        except ValueError:
            frame = None
        frame_type = frame.get("type") if isinstance(frame, dict) else None
        handler = self._handlers.get(frame_type) if isinstance(frame_type, str) else None
        if handler is None:
            known = f"a frame is an object whose type is one of {', '.join(self._handlers)}"
            # Truncated, as it goes back out and into logs of the client.
            details = frame_type[:80] if isinstance(frame_type, str) else None
            self._reply(frames.error(known, details, code="bad_frame"))
            return
        try:
            handler(frame)
        except RefusedError as error:
            self._refuse(frame, error.message, code=error.code, **error.facts)
        except StorageError as error:
            # Not an exception of the engine's own: the disk is full, or the file is locked.
            logger.warning("! %s was not kept: %s", frame_type, error)
            self._refuse(frame, error.message, code=error.code)
        except Exception:
            logger.exception("! %s failed", frame_type)
            # Without the exception's text, which may hold paths and contents.
            self._refuse(frame, "the engine failed; its log has the reason", code="engine_failed")

    def _refuse(self, frame: Json, why: str, **facts: Any) -> None:
        # Requests that have an ack of their own are refused in it, all else with an error frame. What
        # could not be kept is an error too: an ack, even a negative one, would report its outcome.
        request_type, session_id = frame["type"], frame.get("session_id")
        session_id = session_id if isinstance(session_id, str) else ""
        if request_type in _ACKNOWLEDGED and not facts["code"].startswith("storage_"):
            self._reply(frames.refusal(request_type, session_id, why, **facts))
        else:
            self._reply(frames.error(why, request_type, session_id or None, **facts))

    def _reply(self, frame: Json) -> None:
        self._outlet.send(encode(frame))

    # ---- frames ------------------------------------------------------------------------------

    def _create(self, frame: Json) -> None:
        session_id = self._hub.create(frame.get("object_type"), frame.get("object_id"))
        self._reply(frames.session_created(session_id))

    def _connect(self, frame: Json) -> None:
        # Before it is counted, so that a wrong id gets the error that names it.
        session = self._hub.find(frame.get("session_id"))
        if len(self._attached) >= self._limits.attached_sessions:
            raise RefusedError(f"one connection joins {len(self._attached)} sessions at most", "too_many_sessions")
        # A client that is back may have sent something over its old connection that is not handled yet.
        session.audience.settle(self)
        # Before the ack: frames that follow at once have to find it. The reference also keeps the session from being
        # dropped.
        self._attached[session.id] = session
        session.audience.attach(self)

    def _disconnect(self, frame: Json) -> None:
        # Acknowledged in any case: to leave what was not joined does no harm.
        session = self._attached.pop(str(frame.get("session_id")), None)
        if session is not None:
            session.audience.detach(self)
        self._reply(frames.ack("disconnect_session", str(frame.get("session_id"))))

    def _terminate(self, frame: Json) -> None:
        session = self._hub.find(frame.get("session_id"))
        self._hub.terminate(session, self)
        self._attached.pop(session.id, None)

    def _post(self, frame: Json) -> None:
        session = self._joined(frame)
        items = frame.get("messages")
        if frame["type"] == "post_message":
            items = [frame.get("content")]
            # In the protocol, an answer to an approval is a post with a content of its own type.
            answer = contents.read_answer(frame.get("content"))
            if answer is not None:
                self._hub.answer(session, self, answer, frame.get("parent_message_id"))
                return
        elif not isinstance(items, list) or not 0 < len(items) <= self._limits.batch_messages:
            raise RefusedError(f"messages is a list of 1 to {self._limits.batch_messages} contents", "bad_content")
        self._hub.post(session, self, frame["type"], items, frame.get("response_format"))

    def _history(self, frame: Json) -> None:
        self._reply(self._hub.history(self._joined(frame), frame.get("limit"), frame.get("after")))

    def _joined(self, frame: Json) -> LiveSession:
        session_id = frame.get("session_id")
        session = self._attached.get(session_id) if isinstance(session_id, str) else None
        if session is None:
            self._hub.find(session_id)  # raises what is wrong with the id, if anything
            raise RefusedError(
                f"this connection has not joined session {session_id}: connect_session first", "not_joined"
            )
        # It may have been terminated by another client since it was joined.
        session.check()
        return session


_ACKNOWLEDGED = frozenset(
    {"connect_session", "disconnect_session", "terminate_session", "post_message", "post_messages"}
)


class RateLimiter:
    """How many frames a client may send now: a bucket that fills with time.

    Args:
        per_second: How fast it fills.
        burst: How much it holds.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._left = float(burst)
        self._at = time.monotonic()

    def take(self) -> bool:
        """Takes one; False when there is none."""
        now = time.monotonic()
        # Filled as it is asked, so that no thread or timer is needed.
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
