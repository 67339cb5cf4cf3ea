"""One client's connection to a scripted engine, as its hooks see it."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sessionlib.protocol.frames import Frame
from sessionlib.testing.faults.connection import stack

from .duplex import JOIN_TIMEOUT, Duplex, PeerGone
from .received import Control, Received
from .ws_bytes import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    ClientReader,
    Message,
    Violation,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
    upgrade_response,
)

if TYPE_CHECKING:
    from .script_engine import ScriptEngine


REFUSAL_GRACE = 15.0

Hook = Callable[["Connection", Received], Any]
Handshake = Callable[["Connection", bytes], Any]

_CONTROL_NAMES = {PING: "ws:ping", PONG: "ws:pong", CLOSE: "ws:close"}


class Connection(Duplex):
    """One client's connection, as hooks see it.

    Attributes:
        number: From 1, in the order of arrival.
        head: The raw request head, empty until it has arrived.
        accepted: Whether the handshake was accepted.
        close_code: From the client's close frame; None without one.
        close_reason: From the client's close frame.
    """

    def __init__(self, engine: ScriptEngine, sock: socket.socket, number: int) -> None:
        super().__init__(sock)
        self.engine = engine
        self.number = number
        self.head = b""
        self.accepted = False
        self.close_code: int | None = None
        self.close_reason = ""
        self._close_sent = False
        self._decided = threading.Event()  # set once ``accepted`` is final
        self._inbox: deque[Received] = deque()
        self._arrived = threading.Condition()  # protects _inbox
        self._reader = threading.Thread(target=self._read, name=f"script-engine-read-{number}", daemon=True)
        self._runner = threading.Thread(target=self._run, name=f"script-engine-run-{number}", daemon=True)

    def __repr__(self) -> str:
        state = "over" if self.over.is_set() else "open" if self.open else "connecting"
        return f"<Connection {self.number} {state}, {self.bytes_sent} B out>"

    @property
    def open(self) -> bool:
        """Whether the handshake was accepted and the connection is not over."""
        return self.accepted and not self._waker.is_set()

    # -- sending, from any thread --

    def send(self, frame: Frame) -> None:
        self.send_raw(text_frame(frame))

    def send_text(self, payload: bytes | str) -> None:
        """Sends any payload as one text message, JSON or not."""
        self.send_raw(text_frame(payload))

    def send_many(self, many: Sequence[Frame]) -> None:
        self.send_raw(b"".join(map(text_frame, many)))

    def ping(self, payload: bytes = b"") -> None:
        self.send_raw(ping_frame(payload))

    def close(self, code: int | None = 1000, reason: str | bytes = "") -> None:
        """Sends a close frame; the connection ends when the client's arrives, or its FIN."""
        self._close_sent = True
        self.send_raw(close_frame(code, reason))

    # -- waiting, on the runner --

    def wait_for(self, frame_type: str, timeout: float = 60.0) -> Received:
        """Takes the next frame of a type, for a hook that is in the middle of something.

        The hook answers it; frames of other types that come first are handled as usual.
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

    def accept(self, headers: Sequence[tuple[str, str]] = ()) -> bool:
        """Completes the handshake from a handshake callable: ``return conn.accept()``."""
        self.send_raw(upgrade_response(self.head, headers))
        return True

    def answer(self, frame: Received) -> None:
        """Answers a frame as if there were no hook for it."""
        self.engine.answer(self, frame)

    # -- the reader thread --

    def start(self) -> None:
        self._reader.start()
        self._runner.start()

    def _read(self) -> None:
        try:
            self._read_messages(self._read_head())
        except PeerGone:
            pass
        finally:
            self._close()
            self.engine.log.touch()

    def _read_head(self) -> bytes:
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            buffer += self._take_bytes()
        head, _, rest = buffer.partition(b"\r\n\r\n")
        head += b"\r\n\r\n"
        # In this order: once the runner sees it, the client may be answered before it is logged.
        self.engine.log.note(self.engine.log.heads, head)
        with self._arrived:
            self.head = head
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
                self.engine.log.note(
                    self.engine.log.violations, f"connection {self.number} broke RFC 6455: {violation}"
                )
                return
        while True:  # the body of a request that was refused
            self._take_bytes()

    def _receive(self, message: Message) -> None:
        frame = self._parse(message)
        self.engine.log.add(frame)
        # Kept off the runner, so that a hook that sleeps does not look like a dead engine.
        if isinstance(frame, Control) and self.engine.hook(frame["type"]) is None:
            with contextlib.suppress(PeerGone):  # likewise: what is behind it is still to be read
                self.answer_control(frame)
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

    def answer_control(self, frame: Control) -> None:
        """Answers a ping with a pong and a close with a close."""
        if frame["type"] == "ws:ping":
            self.send_raw(pong_frame(frame["payload"]))
        elif frame["type"] == "ws:close":
            if not self._close_sent:
                self.send_raw(text_frame(frame["payload"], opcode=CLOSE))
                self._close_sent = True
            # The server closes first (RFC 6455, 7.1.1); the connection ends with the client's FIN.
            self.fin()

    def _end(self, how: str = "FIN") -> None:
        super()._end(how)
        with self._arrived:
            self._arrived.notify_all()

    # -- the runner thread --

    def _run(self) -> None:
        try:
            if self._shake_hands():
                self._handle_all()
        except PeerGone:
            self._decided.set()
            return  # the reading thread finds the end itself, behind what has still arrived
        except BaseException as error:
            self.engine.log.note(self.engine.log.errors, error)
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
        self.engine.log.note(self.engine.log.accepted, self.number)
        return True

    def _handle_all(self) -> None:
        while (frame := self._next(None)) is not None:
            try:
                self._handle(frame)
            except PeerGone:
                raise
            except Exception as error:
                self.engine.log.note(self.engine.log.errors, error)

    def _next(self, timeout: float | None) -> Received | None:
        def settled() -> bool:
            return bool(self._inbox) or self._waker.is_set()

        with self._arrived:
            self._arrived.wait_for(settled, None if timeout is None else max(0.0, timeout))
            return self._inbox.popleft() if self._inbox else None

    def _handle(self, frame: Received) -> None:
        hook = self.engine.hook(frame["type"])
        if hook is None:
            self.answer(frame)
        else:
            hook(self, frame)

    def join(self) -> list[str]:
        """Waits for both threads; says which did not return."""
        for thread in (self._runner, self._reader):
            thread.join(JOIN_TIMEOUT)
        stuck = [thread for thread in (self._runner, self._reader) if thread.is_alive()]
        if not stuck:
            self._waker.close()
        return [f"{thread.name} still runs:\n{stack(thread)}" for thread in stuck]
