"""A scriptable engine on a real socket, for tests of everything that speaks the protocol.

It answers like an ordinary engine until a test says otherwise, and it can send what no lawful
engine would. Each connection has two threads: a reader, which logs what arrives at once and keeps the
client to RFC 6455, and a runner, on which hooks run and may wait, sleep and send.

Example:
    ::

        with ScriptEngine() as engine:
            @engine.on("post_message")
            def answer(conn, frame):
                conn.send_many(turn("s1", "m1", ["Hel", "lo"]))

            session = Session(session_id="s1", api_key="k", ws_url=engine.ws_url)
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Any

from sessionlib.net.listener import TcpListener
from sessionlib.protocol import frames
from sessionlib.protocol.frames import Frame

from .connection import Connection, Handshake, Hook
from .duplex import PeerGone
from .received import Control, Received, ReceivedLog
from .servers import held_port
from .turns import agent_message, notification, text_content, turn, user_message
from .ws_bytes import (
    Violation,
    close_frame,
    fragments,
    header,
    http_response,
    ping_frame,
    pong_frame,
    text_frame,
    upgrade_response,
)

__all__ = [
    "Connection",
    "Control",
    "Handshake",
    "Hook",
    "PeerGone",
    "Received",
    "ScriptEngine",
    "Violation",
    "accept_session",
    "agent_message",
    "close_frame",
    "fragments",
    "http_response",
    "notification",
    "ping_frame",
    "pong_frame",
    "refuse",
    "text_content",
    "text_frame",
    "turn",
    "upgrade_response",
    "user_message",
]

SESSION_PATH = "/v1/ws/session"

_ACKNOWLEDGED = frozenset(
    {"connect_session", "disconnect_session", "terminate_session", "post_message", "post_messages"}
)


# ---- handshakes ----------------------------------------------------------------------------


def accept_session(conn: Connection, head: bytes) -> bool:
    """The ordinary handshake: accepts the session path, whatever the credentials."""
    request = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if request[:1] != ["GET"] or request[1:2] != [SESSION_PATH] or not header(head, "Sec-WebSocket-Key"):
        conn.send_raw(http_response(404))
        return False
    return conn.accept()


def refuse(
    status: int, body: bytes = b"", headers: Sequence[tuple[str, str]] = (), *, times: int | None = None
) -> Handshake:
    """Gives a handshake that answers with an HTTP status instead.

    Args:
        status: The status.
        body: The body.
        headers: More headers, such as ``[("Retry-After", "2")]``.
        times: How many handshakes to refuse before accepting; None refuses all.
    """
    left = [times]

    def answer(conn: Connection, head: bytes) -> bool:
        if left[0] == 0:
            return conn.accept()
        if left[0] is not None:
            left[0] -= 1
        conn.send_raw(http_response(status, body, headers))
        return False

    return answer


# ---- the engine ----------------------------------------------------------------------------


class ScriptEngine:
    """An engine that does as a test says; a context manager that starts on entry.

    Args:
        session_id: The id that ``create_session`` gives.
        history: What ``get_messages`` answers; ``engine.history`` may be changed at any time.
        strict: Whether a client that breaks RFC 6455 fails the test at exit.

    Attributes:
        handshake: Answers the request head; ``callable(conn, head)``, true when the connection is to be
            used as a WebSocket, else it ends when the callable returns.
        log: What came, and what went wrong.
    """

    def __init__(self, *, session_id: str = "s1", history: Sequence[Frame] = (), strict: bool = True) -> None:
        self.session_id = session_id
        self.history: list[Frame] = list(history)
        self.strict = strict
        self.handshake: Handshake = accept_session
        self.log = ReceivedLog()
        self.port = 0
        self._hooks: dict[str, Hook] = {}
        self._connections: list[Connection] = []
        self._lock = threading.Lock()  # protects _connections
        self._listener: TcpListener | None = None
        self._held = contextlib.ExitStack()  # its port, also while nobody listens on it

    def __enter__(self) -> ScriptEngine:
        self.port = self._held.enter_context(held_port())
        self.start_listening()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.stop_listening()
        self._held.close()
        connections = self._all_connections()
        for conn in connections:
            conn._end()
        stuck = [line for conn in connections for line in conn.join()]
        self._raise_troubles(stuck, body_failed=error is not None)

    def _raise_troubles(self, stuck: list[str], *, body_failed: bool) -> None:
        stuck += self.violations if self.strict else []
        if body_failed:
            # The test's own failure goes first; what happened here is printed next to it.
            for error in self.errors:
                traceback.print_exception(type(error), error, error.__traceback__)
            print(*stuck, sep="\n", end="", file=sys.stderr)
        elif self.errors:
            raise self.errors[0]
        assert body_failed or not stuck, "\n".join(stuck)

    # -- where it is --

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1"

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start_listening(self) -> None:
        """Takes connections, again on the same port after ``stop_listening``."""
        if self._listener is None:
            self._listener = TcpListener(self._adopt, self.port, name="script-engine-accept").start()
            self.port = self._listener.port

    def stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    def drop_all(self, how: str = "FIN") -> None:
        """Ends every connection at once, by "FIN" or "RST", with no close frame."""
        for conn in self._all_connections():
            conn.reset() if how == "RST" else conn.drop()

    # -- what it does --

    def on(self, frame_type: str, hook: Hook | None = None) -> Any:
        """Sets what happens when a frame of a type arrives, instead of the ordinary answer.

        Args:
            frame_type: A frame's type, or ws:ping, ws:pong, ws:close, ws:binary.
            hook: ``callable(conn, frame)``, run on the connection's runner; without one, a decorator is
                returned.
        """
        if hook is None:
            return lambda given: self.on(frame_type, given)
        self._hooks[frame_type] = hook
        return hook

    def off(self, frame_type: str) -> None:
        self._hooks.pop(frame_type, None)

    def push(self, frame: Frame) -> None:
        """Sends a frame to each open connection, from the test's thread."""
        self.push_many([frame])

    def push_many(self, many: Sequence[Frame]) -> None:
        """Sends frames in one write to each open connection."""
        self.push_raw(b"".join(map(text_frame, many)))

    def push_raw(self, data: bytes) -> None:
        for conn in self.connections:
            with contextlib.suppress(PeerGone):
                conn.send_raw(data)

    # -- what it saw --

    @property
    def violations(self) -> list[str]:
        return self.log.violations

    @property
    def errors(self) -> list[BaseException]:
        """What hooks raised; the first is raised again at exit."""
        return self.log.errors

    @property
    def connections(self) -> list[Connection]:
        """The connections that are open now, oldest first."""
        return [conn for conn in self._all_connections() if conn.open]

    @property
    def latest(self) -> Connection:
        """The newest connection, open or not."""
        return self._all_connections()[-1]

    @property
    def received(self) -> list[Received]:
        """Every JSON frame so far, in order, with ``at`` and ``connection``."""
        return [frame for frame in self.everything if not isinstance(frame, Control)]

    @property
    def everything(self) -> list[Received]:
        """Every JSON frame and every ping, pong, close and binary message so far."""
        return self.log.frames

    @property
    def handshakes(self) -> list[bytes]:
        return list(self.log.heads)

    def authorizations(self) -> list[str]:
        """The Authorization headers so far, empty where there was none."""
        return [header(head, "Authorization") for head in self.handshakes]

    def frames(self, frame_type: str) -> list[Received]:
        """The frames of a type so far; also ws:ping, ws:pong, ws:close, ws:binary."""
        return [frame for frame in self.everything if frame["type"] == frame_type]

    def wait_for(self, frame_type: str, count: int = 1, timeout: float = 60.0) -> list[Received]:
        """Waits until so many frames of a type have arrived since the start; gives all of them."""
        if not self.log.wait(lambda: self.log.count(frame_type) >= count, timeout):
            seen = [f"{frame['type']} on {frame.connection}" for frame in self.everything]
            raise TimeoutError(f"no {count} x {frame_type} within {timeout} s; received: {seen}")
        return self.frames(frame_type)

    def wait_connected(self, count: int = 1, timeout: float = 60.0) -> Connection:
        """Waits until so many handshakes were accepted since the start; gives the newest connection."""
        if not self.log.wait(lambda: self.log.opened >= count, timeout):
            raise TimeoutError(f"{self.log.opened} instead of {count} connections were opened within {timeout} s")
        return self.latest

    def wait_idle(self) -> None:
        """Waits until no connection is left."""
        if not self.log.wait(lambda: all(conn.over.is_set() for conn in self._all_connections()), 60.0):
            raise TimeoutError(f"still there after a minute: {self.connections}")

    # -- for connections --

    def hook(self, frame_type: str) -> Hook | None:
        return self._hooks.get(frame_type)

    def answer(self, conn: Connection, frame: Received) -> None:
        """Answers a frame as an ordinary engine does."""
        if isinstance(frame, Control):
            conn.answer_control(frame)
        else:
            conn.send(self._ordinary_answer(frame))

    def _ordinary_answer(self, frame: Received) -> Frame:
        kind, session_id = frame["type"], str(frame.get("session_id", self.session_id))
        if kind == "create_session":
            return frames.session_created(self.session_id)
        if kind == "get_messages":
            return frames.history(session_id, self.history)
        if kind == "ping_session":
            return frames.pong(session_id)
        if kind in _ACKNOWLEDGED:
            return frames.ack(kind, session_id)
        return frames.error(f"unknown request {kind}", kind, session_id)

    def _adopt(self, sock: socket.socket) -> None:
        with self._lock:
            conn = Connection(self, sock, len(self._connections) + 1)
            self._connections.append(conn)
        conn.start()

    def _all_connections(self) -> list[Connection]:
        with self._lock:
            return list(self._connections)
