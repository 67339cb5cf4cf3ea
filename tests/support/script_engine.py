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
import json
import socket
import struct
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

from sessionlib.wire import frames
from sessionlib.wire.frames import Frame

from .leaks import stack
from .listener import Listener
from .waiting import Waker, wait_io
from .ws_bytes import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    ClientReader,
    Message,
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
    "PeerGone",
    "Received",
    "ScriptEngine",
    "Violation",
    "close_frame",
    "fragments",
    "http_response",
    "ping_frame",
    "pong_frame",
    "refuse",
    "text_frame",
    "turn",
    "upgrade_response",
]

JOIN_TIMEOUT = 5.0
REFUSAL_GRACE = 1.0
SESSION_PATH = "/v1/ws/session"


class PeerGone(ConnectionError):
    """The connection is over; a hook that lets this pass simply ends."""


class Received(Frame):
    """A frame that a client sent, as the dict it is.

    Attributes:
        at: When it was complete, on the monotonic clock.
        connection: The number of its connection, from 1.
        size: Length of its JSON in bytes.
    """

    def __init__(self, frame: Frame, at: float, connection: int, size: int) -> None:
        super().__init__(frame)
        self.at = at
        self.connection = connection
        self.size = size


class Control(Received):
    """A ping, pong, close or binary message, as ``{"type": "ws:ping", "payload": b""}``."""


Hook = Callable[["Connection", Received], Any]
HookT = TypeVar("HookT", bound=Hook)
Handshake = Callable[["Connection", bytes], Any]

_CONTROL_NAMES = {PING: "ws:ping", PONG: "ws:pong", CLOSE: "ws:close"}


# ---- what an engine says -------------------------------------------------------------------


def turn(
    session_id: str = "s1",
    message_id: str = "m1",
    pieces: Sequence[str] = ("Hello", " there"),
    *,
    ack: str | None = "post_message",
    complete: bool = True,
    idle: bool = True,
    between: Sequence[Frame] = (),
) -> list[Frame]:
    """Gives the frames of an ordinary turn.

    Args:
        session_id: The session.
        message_id: The agent's message.
        pieces: The text, as it streams.
        ack: Request type to acknowledge first; None leaves the ack out.
        complete: Whether the message completes.
        idle: Whether the turn ends.
        between: Frames between the last piece and the completion, such as a tool call.
    """
    told: list[Frame] = [] if ack is None else [frames.ack(ack, session_id)]
    told.append(frames.participant_status(session_id, "Processing"))
    told += [frames.message_delta(session_id, message_id, index, piece) for index, piece in enumerate(pieces)]
    told += between
    if complete:
        told.append(notification(session_id, message_id, text_content("".join(pieces))))
    if idle:
        told.append(frames.participant_status(session_id, "Idle"))
    return told


def text_content(text: str, status: str = "Complete") -> Frame:
    """Gives the content of a text message."""
    return {"type": "data_type_message", "value": text, "status": status}


def notification(session_id: str, message_id: str, content: Frame) -> Frame:
    """Gives the notification of an agent's message with any content.

    Example:
        ``notification("s1", "m2", {"type": "tool_call_approval", "tool_name": "refund", "tool_id": "t1"})``
    """
    return frames.message_notification(session_id, agent_message(session_id, message_id, content))


def agent_message(session_id: str, message_id: str, content: Frame | str) -> Frame:
    """Gives a message of an agent, as the history holds it; a str stands for complete text."""
    return _message(session_id, message_id, content, {"object_id": "a1", "object_type": "agent"})


def user_message(session_id: str, message_id: str, content: Frame | str) -> Frame:
    """Gives a message of a user, as the history holds it; a str stands for complete text."""
    return _message(session_id, message_id, content, {"user_id": "u1"})


def _message(session_id: str, message_id: str, content: Frame | str, sender: Frame) -> Frame:
    if isinstance(content, str):
        content = text_content(content)
    return {"id": message_id, "session_id": session_id, "sender": sender, "content": content}


def refuse(
    status: int, body: bytes = b"", headers: Sequence[tuple[str, str]] = (), *, times: int | None = None
) -> Handshake:
    """Gives a handshake that answers with an HTTP status instead.

    Args:
        status: The status.
        body: The body.
        headers: More headers, such as ``[("Retry-After", "2")]``.
        times: How many handshakes to refuse before accepting; None refuses all.

    Example:
        ``engine.handshake = refuse(503, headers=[("Retry-After", "1")], times=2)``
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


# ---- a connection --------------------------------------------------------------------------


class Connection:
    """One client's connection, as hooks see it.

    Attributes:
        number: From 1, in the order of arrival.
        head: The raw request head, empty until it has arrived.
        accepted: Whether the handshake was accepted.
        open: Whether it was, and the connection is not over.
        bytes_received: From the client, handshake included.
        bytes_sent: To the client, handshake included.
        close_code: From the client's close frame; None without one.
        close_reason: From the client's close frame.
    """

    def __init__(self, engine: ScriptEngine, sock: socket.socket, number: int) -> None:
        self.engine = engine
        self.number = number
        self.head = b""
        self.accepted = False
        self.open = False
        self.bytes_received = 0
        self.bytes_sent = 0
        self.close_code: int | None = None
        self.close_reason = ""
        self.over = threading.Event()
        self._sock = sock
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waker = Waker()
        self._how = "FIN"
        self._close_sent = False
        self._send_lock = threading.Lock()  # one message's bytes at a time; held by whoever writes to the socket
        self._gate = threading.Condition()  # protects _paused, and is held while bytes are taken off the socket
        self._paused = False
        self._decided = threading.Event()  # set once ``accepted`` is final
        self._inbox: deque[Received] = deque()
        self._arrived = threading.Condition()  # protects _inbox
        self._reader = threading.Thread(target=self._read, name=f"script-engine-read-{number}", daemon=True)
        self._runner = threading.Thread(target=self._run, name=f"script-engine-run-{number}", daemon=True)

    def __repr__(self) -> str:
        state = "over" if self.over.is_set() else "open" if self.open else "connecting"
        return f"<Connection {self.number} {state}, {self.bytes_received} B in, {self.bytes_sent} B out>"

    # -- sending, from any thread --

    def send(self, frame: Frame) -> None:
        """Sends one frame as one text message.

        Raises:
            PeerGone: The connection is over.
        """
        self.send_raw(text_frame(frame))

    def send_text(self, payload: bytes | str) -> None:
        """Sends any payload as one text message, JSON or not."""
        self.send_raw(text_frame(payload))

    def send_many(self, many: Sequence[Frame]) -> None:
        """Sends frames as text messages in one write."""
        self.send_raw(b"".join(map(text_frame, many)))

    def send_fragments(
        self, payload: Any, cuts: int | Sequence[int] = 2, *, delay: float = 0.0, between: bytes = b""
    ) -> None:
        """Sends one text message in fragments.

        Args:
            payload: A frame, text or bytes.
            cuts: How many fragments, or the offsets at which to cut.
            delay: Seconds between two fragments.
            between: Raw bytes between two fragments, such as ``ping_frame(b"x")``.
        """
        for index, piece in enumerate(fragments(payload, cuts)):
            if index and delay:
                self.sleep(delay)
            self.send_raw(between * bool(index) + piece)

    def send_raw(self, data: bytes) -> None:
        """Writes bytes to the socket as they are, waiting for room as long as it takes.

        Raises:
            PeerGone: The connection is over.
        """
        view = memoryview(data)
        with self._send_lock:
            while view:
                self._check()
                wait_io(self._sock, self._waker, write=True)
                self._check()
                view = view[self._send_some(view) :]

    def drip(self, data: bytes, *, size: int = 1, delay: float = 0.05) -> None:
        """Writes bytes a few at a time."""
        for start in range(0, len(data), size):
            self.send_raw(data[start : start + size])
            self.sleep(delay)

    def _send_some(self, view: memoryview) -> int:
        try:
            sent = self._sock.send(view)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise PeerGone(f"the client is gone: {error}") from error
        self.bytes_sent += sent
        return sent

    def _check(self) -> None:
        if self._waker.is_set():
            raise PeerGone(f"connection {self.number} is over")

    # -- endings and stops, from any thread --

    def ping(self, payload: bytes = b"") -> None:
        """Sends a WebSocket ping."""
        self.send_raw(ping_frame(payload))

    def close(self, code: int | None = 1000, reason: str | bytes = "") -> None:
        """Sends a close frame; the connection ends when the client's arrives, or its FIN."""
        self._close_sent = True
        self.send_raw(close_frame(code, reason))

    def fin(self) -> None:
        """Ends our direction with a FIN; what the client still sends is read."""
        with self._send_lock, contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection with a RST, at once."""
        self._end("RST")
        self._await_end()

    def drop(self) -> None:
        """Closes the socket with no close frame, at once."""
        self._end("FIN")
        self._await_end()

    def stop_reading(self) -> None:
        """Leaves what the client sends in the kernel's buffers from now on."""
        with self._gate:
            self._paused = True

    def resume_reading(self) -> None:
        """Undoes ``stop_reading``."""
        with self._gate:
            self._paused = False
            self._gate.notify_all()

    def _end(self, how: str = "FIN") -> None:
        # Only the reader closes the descriptor, so nobody can be left polling one that was reused.
        if not self._waker.is_set():
            self._how = how
            self._waker.set()
        for condition in (self._gate, self._arrived):
            with condition:
                condition.notify_all()

    def _await_end(self) -> None:
        if threading.current_thread() is not self._reader:
            self.over.wait(JOIN_TIMEOUT)

    # -- waiting, on the runner --

    def wait_for(self, frame_type: str, timeout: float = 5.0) -> Received:
        """Takes the next frame of a type, for a hook that is in the middle of something.

        The hook answers it; frames of other types that come first are handled as usual.

        Raises:
            PeerGone: The connection is over.
            TimeoutError: None came in time.
        """
        if threading.current_thread() is not self._runner:
            raise RuntimeError("conn.wait_for() is for hooks; a test calls engine.wait_for()")
        end = time.monotonic() + timeout
        while True:
            frame = self._next(end - time.monotonic())
            if frame is None:
                self._check()
                raise TimeoutError(f"no {frame_type} on connection {self.number} within {timeout} s")
            if frame["type"] == frame_type:
                return frame
            self._handle(frame)

    def sleep(self, seconds: float) -> None:
        """Sleeps, but not beyond the connection's end.

        Raises:
            PeerGone: The connection is over.
        """
        if self._waker.wait(seconds):
            self._check()

    def accept(self, headers: Sequence[tuple[str, str]] = ()) -> bool:
        """Completes the handshake from a handshake callable: ``return conn.accept()``."""
        self.send_raw(upgrade_response(self.head, headers))
        return True

    def answer(self, frame: Received) -> None:
        """Answers a frame as if there were no hook for it."""
        self.engine._answer(self, frame)

    # -- the reader thread --

    def _start(self) -> None:
        self._reader.start()
        self._runner.start()

    def _read(self) -> None:
        try:
            self._read_messages(self._read_head())
        except PeerGone:
            pass
        finally:
            self._finish()

    def _take_bytes(self) -> bytes:
        while True:
            wait_io(self._sock, self._waker)
            with self._gate:
                while self._paused and not self._waker.is_set():
                    self._gate.wait()
                self._check()
                try:
                    data = self._sock.recv(1 << 18)
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise PeerGone(str(error)) from error
                self.bytes_received += len(data)
            if not data:
                raise PeerGone("the client sent FIN")
            return data

    def _read_head(self) -> bytes:
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            buffer += self._take_bytes()
        head, _, rest = buffer.partition(b"\r\n\r\n")
        self.head = head + b"\r\n\r\n"
        self.engine._note_handshake(self)
        with self._arrived:
            self._arrived.notify_all()
        return rest

    def _read_messages(self, data: bytes) -> None:
        reader = ClientReader()
        try:
            while True:
                for message in reader.feed(data):
                    self._receive(message)
                data = self._take_bytes()
        except Violation as violation:
            self._decided.wait()
            if self.accepted:
                self.engine._note_violation(self, violation)
                return
        while True:  # the body of a request that was refused
            self._take_bytes()

    def _receive(self, message: Message) -> None:
        frame = self._parse(message)
        self.engine._log(frame)
        # Kept off the runner, so that a hook that sleeps does not look like a dead engine.
        if isinstance(frame, Control) and not self.engine._has_hook(frame["type"]):
            self._answer_control(frame)
        else:
            with self._arrived:
                self._inbox.append(frame)
                self._arrived.notify_all()

    def _parse(self, message: Message) -> Received:
        opcode, payload = message
        facts = (time.monotonic(), self.number, len(payload))
        if opcode == CLOSE:
            self._note_close(payload)
        if opcode != TEXT:
            return Control({"type": _CONTROL_NAMES.get(opcode, "ws:binary"), "payload": payload}, *facts)
        try:
            frame = json.loads(payload.decode("utf-8"))
        except ValueError as error:
            raise Violation(f"a text message is not JSON: {error}") from error
        if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
            raise Violation(f"a text message is no frame: {payload[:80]!r}")
        return Received(frame, *facts)

    def _note_close(self, payload: bytes) -> None:
        if len(payload) == 1:
            raise Violation("a close frame with one byte of payload")
        if payload:
            self.close_code = struct.unpack("!H", payload[:2])[0]
            try:
                self.close_reason = payload[2:].decode("utf-8")
            except ValueError as error:
                raise Violation(f"the reason of a close frame is not UTF-8: {error}") from error

    def _answer_control(self, frame: Control) -> None:
        if frame["type"] == "ws:ping":
            self.send_raw(pong_frame(frame["payload"]))
        elif frame["type"] == "ws:close":
            self._answer_close(frame)

    def _answer_close(self, frame: Control) -> None:
        if not self._close_sent:
            self.send_raw(text_frame(frame["payload"], opcode=CLOSE))
            self._close_sent = True
        # The server closes first (RFC 6455, 7.1.1); the connection ends with the client's FIN.
        self.fin()

    def _finish(self) -> None:
        self._end()
        self.open = False
        with self._send_lock:
            if self._how == "RST":
                with contextlib.suppress(OSError):
                    self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._sock.close()
        self.over.set()
        self.engine._changed_now()

    # -- the runner thread --

    def _run(self) -> None:
        try:
            if self._shake_hands():
                self._handle_all()
        except PeerGone:
            pass
        except BaseException as error:
            self.engine._note_error(self, error)
        finally:
            self._decided.set()
            self._end()

    def _shake_hands(self) -> bool:
        with self._arrived:
            self._arrived.wait_for(lambda: self.head or self._waker.is_set())
        self._check()
        self.accepted = bool(self.engine.handshake(self, self.head))
        self._decided.set()
        if not self.accepted:
            # Closing while the client still sends would turn into a RST and take the answer with it.
            self.fin()
            self.over.wait(REFUSAL_GRACE)
            return False
        self.open = True
        self.engine._note_open(self)
        return True

    def _handle_all(self) -> None:
        while (frame := self._next(None)) is not None:
            try:
                self._handle(frame)
            except PeerGone:
                raise
            except Exception as error:
                self.engine._note_error(self, error)

    def _next(self, timeout: float | None) -> Received | None:
        def settled() -> bool:
            return bool(self._inbox) or self._waker.is_set()

        with self._arrived:
            self._arrived.wait_for(settled, None if timeout is None else max(0.0, timeout))
            return self._inbox.popleft() if self._inbox else None

    def _handle(self, frame: Received) -> None:
        hook = self.engine._hook(frame["type"])
        if hook is None:
            self.answer(frame)
        else:
            hook(self, frame)

    def _join(self) -> list[str]:
        for thread in (self._runner, self._reader):
            thread.join(JOIN_TIMEOUT)
        stuck = [thread for thread in (self._runner, self._reader) if thread.is_alive()]
        if not stuck:
            self._waker.close()
        return [f"{thread.name} still runs:\n{stack(thread)}" for thread in stuck]


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
        violations: How clients broke RFC 6455.
        errors: What hooks raised; the first is raised again at exit.
    """

    def __init__(self, *, session_id: str = "s1", history: Sequence[Frame] = (), strict: bool = True) -> None:
        self.session_id = session_id
        self.history: list[Frame] = list(history)
        self.strict = strict
        self.handshake: Handshake = accept_session
        self.violations: list[str] = []
        self.errors: list[BaseException] = []
        self.port = 0
        self._hooks: dict[str, Hook] = {}
        self._connections: list[Connection] = []
        self._handshakes: list[bytes] = []
        self._received: list[Received] = []
        self._counts: Counter[str] = Counter()
        self._opened = 0
        self._changed = threading.Condition()  # protects every list here, and tells of each change
        self._listener: Listener | None = None

    def __enter__(self) -> ScriptEngine:
        self.start_listening()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_listening()
        connections = self._all_connections()
        for conn in connections:
            conn._end()
        stuck = [line for conn in connections for line in conn._join()]
        self._raise_troubles(stuck, body_failed=error is not None)

    def _raise_troubles(self, stuck: list[str], *, body_failed: bool) -> None:
        if self.strict and self.violations:
            stuck = [*stuck, *self.violations]
        if body_failed:
            # The test's own failure goes first; what happened here is printed next to it.
            for error in self.errors:
                traceback.print_exception(type(error), error, error.__traceback__)
            print(*stuck, sep="\n", end="", file=sys.stderr)
        elif self.errors:
            raise self.errors[0]
        elif stuck:
            raise AssertionError("\n".join(stuck))

    # -- where it is --

    @property
    def ws_url(self) -> str:
        """The WebSocket base, for ``ws_url=``."""
        return f"ws://127.0.0.1:{self.port}/v1"

    @property
    def base_url(self) -> str:
        """The HTTP base, for ``base_url=``."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start_listening(self) -> None:
        """Takes connections, again on the same port after ``stop_listening``."""
        if self._listener is None:
            self._listener = Listener(self._adopt, self.port, "script-engine-accept")
            self.port = self._listener.port

    def stop_listening(self) -> None:
        """Refuses new connections; those that are open go on."""
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
        """Goes back to the ordinary answer."""
        self._hooks.pop(frame_type, None)

    def push(self, frame: Frame, *, latest: bool = False) -> int:
        """Sends a frame from the test's thread; gives the number of connections it went to.

        Args:
            frame: The frame.
            latest: Send it to the newest open connection only.
        """
        return self.push_raw(text_frame(frame), latest=latest)

    def push_many(self, many: Sequence[Frame], *, latest: bool = False) -> int:
        """Sends frames in one write to each connection; gives the number of connections."""
        return self.push_raw(b"".join(map(text_frame, many)), latest=latest)

    def push_raw(self, data: bytes, *, latest: bool = False) -> int:
        """Writes bytes to the open connections; gives their number."""
        reached = 0
        for conn in self.connections[-1:] if latest else self.connections:
            with contextlib.suppress(PeerGone):
                conn.send_raw(data)
                reached += 1
        return reached

    # -- what it saw --

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
        with self._changed:
            return list(self._received)

    @property
    def handshakes(self) -> list[bytes]:
        """The raw request heads so far."""
        with self._changed:
            return list(self._handshakes)

    @property
    def bytes_received(self) -> int:
        """Bytes from all clients so far."""
        return sum(conn.bytes_received for conn in self._all_connections())

    def authorizations(self) -> list[str]:
        """The Authorization headers so far, empty where there was none."""
        return [header(head, "Authorization") for head in self.handshakes]

    def frames(self, frame_type: str) -> list[Received]:
        """The frames of a type so far; also ws:ping, ws:pong, ws:close, ws:binary."""
        return [frame for frame in self.everything if frame["type"] == frame_type]

    def wait_for(self, frame_type: str, count: int = 1, timeout: float = 5.0) -> list[Received]:
        """Waits until so many frames of a type have arrived since the start; gives all of them.

        Raises:
            TimeoutError: They did not come in time; the message says what did.
        """
        if not self._wait(lambda: self._counts[frame_type] >= count, timeout):
            seen = [f"{frame['type']} on {frame.connection}" for frame in self.everything]
            raise TimeoutError(f"no {count} x {frame_type} within {timeout} s; received: {seen}")
        return self.frames(frame_type)

    def wait_connected(self, count: int = 1, timeout: float = 5.0) -> Connection:
        """Waits until so many handshakes were accepted since the start; gives the newest connection.

        Raises:
            TimeoutError: They were not.
        """
        if not self._wait(lambda: self._opened >= count, timeout):
            raise TimeoutError(f"{self._opened} instead of {count} connections were opened within {timeout} s")
        return self.latest

    def wait_idle(self, timeout: float = 5.0) -> None:
        """Waits until no connection is left.

        Raises:
            TimeoutError: Some are.
        """
        if not self._wait(lambda: all(conn.over.is_set() for conn in self._connections), timeout):
            raise TimeoutError(f"still there after {timeout} s: {self.connections}")

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        # A hook that failed is told at once: what is waited for will not come.
        with self._changed:
            self._changed.wait_for(lambda: condition() or self.errors, timeout)
            if self.errors and not condition():
                raise self.errors[0]
            return condition()

    # -- for connections --

    def _adopt(self, sock: socket.socket) -> None:
        with self._changed:
            conn = Connection(self, sock, len(self._connections) + 1)
            self._connections.append(conn)
        conn._start()

    def _all_connections(self) -> list[Connection]:
        with self._changed:
            return list(self._connections)

    def _has_hook(self, frame_type: str) -> bool:
        return frame_type in self._hooks

    def _hook(self, frame_type: str) -> Hook | None:
        return self._hooks.get(frame_type)

    def _answer(self, conn: Connection, frame: Received) -> None:
        if isinstance(frame, Control):
            conn._answer_control(frame)
            return
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

    def _log(self, frame: Received) -> None:
        with self._changed:
            self._received.append(frame)
            self._counts[frame["type"]] += 1
            self._changed.notify_all()

    def _note_handshake(self, conn: Connection) -> None:
        with self._changed:
            self._handshakes.append(conn.head)
            self._changed.notify_all()

    def _note_open(self, conn: Connection) -> None:
        with self._changed:
            self._opened += 1
            self._changed.notify_all()

    def _note_violation(self, conn: Connection, violation: Violation) -> None:
        with self._changed:
            self.violations.append(f"connection {conn.number} broke RFC 6455: {violation}")

    def _note_error(self, conn: Connection, error: BaseException) -> None:
        with self._changed:
            self.errors.append(error)
            self._changed.notify_all()

    def _changed_now(self) -> None:
        with self._changed:
            self._changed.notify_all()


_ACKNOWLEDGED = frozenset(
    {"connect_session", "disconnect_session", "terminate_session", "post_message", "post_messages"}
)


def accept_session(conn: Connection, head: bytes) -> bool:
    """The ordinary handshake: accepts the session path, whatever the credentials."""
    request = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if request[:1] != ["GET"] or request[1:2] != [SESSION_PATH] or not header(head, "Sec-WebSocket-Key"):
        conn.send_raw(http_response(404))
        return False
    return conn.accept()
