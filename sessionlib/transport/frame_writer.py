"""The way out of a WebSocket: any number of threads write, and none holds up the reading one.

The thread that holds the send lock writes; small frames (pings, pongs, the close) are queued for it while the lock
is taken.
"""

from __future__ import annotations

import os
import struct
import threading
from typing import Any

from websocket import ABNF

from sessionlib._util.timing import Deadline, held
from sessionlib.errors import SessionDisconnectedError, SessionTimeoutError
from sessionlib.transport.base import BUSY
from sessionlib.transport.stream import BufferedStream

__all__ = ["FrameWriter", "encode_frame"]

FINAL = 0x80
MASKED = 0x80
# Masked so much at a time: integers of this size stay within the processor's cache.
_BLOCK = 16384
# Keys that no frame was masked with: each is for one (RFC 6455, 5.3).
_KEYS = 256
_keys: list[bytes] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keys.clear)  # the parent uses them


def encode_frame(opcode: int, payload: bytes, is_last: bool = True) -> bytes:
    """Encodes a frame as a client sends it, masked.

    Args:
        opcode: What it is.
        payload: What is in it.
        is_last: Whether it is the last of its message, or the only one.
    """
    size = len(payload)
    first = opcode | (FINAL if is_last else 0)
    try:
        key = _keys.pop()
    except IndexError:  # as many as one system call brings at the price of one
        random = os.urandom(_KEYS * 4)
        _keys.extend(random[at : at + 4] for at in range(4, len(random), 4))
        key = random[:4]
    if size < 126:
        head = struct.pack("!BB", first, MASKED | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", first, MASKED | 127, size)
    if size < _BLOCK:
        return b"".join((head, key, _masked(payload, key)))
    mask = int.from_bytes(key * (_BLOCK // 4), "little")
    whole, blocks = size - size % _BLOCK, []
    for start in range(0, whole, _BLOCK):
        block = int.from_bytes(payload[start : start + _BLOCK], "little")
        blocks.append((block ^ mask).to_bytes(_BLOCK, "little"))
    return b"".join((head, key, *blocks, _masked(payload[whole:], key)))


def _masked(data: bytes, key: bytes) -> bytes:
    # An exclusive or of two big integers is the fastest that the standard library has.
    size = len(data)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(data, "little") ^ mask).to_bytes(size, "little")


CLOSE_FINAL = 0x88
# So many small messages wait behind a long one at most.
MAX_WAITING = 8
_AT_ONCE = Deadline(0.0)


class FrameWriter:
    """Puts the frames of messages, and control frames between them, on a stream.

    Args:
        stream: The stream.

    Attributes:
        in_message: Whether fragments of a message have left and its last has not: only control frames may follow.
    """

    def __init__(self, stream: BufferedStream) -> None:
        self._stream = stream
        # Protects the order of bytes on the wire: frames, and the unsent rest of one.
        # It knows its owner, because an interrupt may strike when it is acquired and nothing has been noted of that.
        self._send_lock: Any = threading.RLock()
        self._at_once = held(self._send_lock, _AT_ONCE, BUSY)
        self._unsent = memoryview(b"")
        # Whether `_unsent` is known to be exact; not so while a write is under way.
        self._exact = True
        # The message that was written last, by the object that it was made from.
        self._last: object = None
        self.in_message = False
        # What is sent when no sender waits for it: control frames, and whole small messages.
        self._controls: list[bytes] = []
        self._texts: list[bytes] = []
        self._dead = False
        # Whether the close frame was left to be sent, and whether it has its place on the wire.
        self._close_sent = False
        self._close_out = False

    def write(self, frame: bytes, deadline: Deadline, is_last: bool = True, message: object = None) -> None:
        """Writes a frame of a message, of which the last, or only, one makes room for other messages.

        Args:
            frame: The frame.
            deadline: When to stop waiting.
            is_last: Whether it ends the message.
            message: What `has_left` knows the message by.

        Raises:
            SessionTimeoutError: It did not go out in time.
            SessionDisconnectedError: The connection has ended.
        """
        try:
            with held(self._send_lock, deadline, BUSY):
                self._write(frame, deadline, is_last, message)
        finally:
            # A refused or interrupted sender does it too: threads that queued a frame while it held the lock could not.
            if self._unsent or self._controls or self._texts:
                self.flush()

    def has_left(self, message: object) -> bool:
        """Whether a message has left, or its rest will; asked by its only sender; see `Transport.has_left`."""
        return self._last is message and not self._dead

    def enqueue(self, payload: bytes, *, more: bool = False) -> None:
        """Sends one small text message as soon as that is possible without waiting; see `Transport.enqueue`."""
        frame = encode_frame(ABNF.OPCODE_TEXT, payload)
        # Behind a long upload one ping would pile up on the other.
        if not self.in_message or len(self._texts) < MAX_WAITING:
            self._texts.append(frame)
            if not more:
                self.flush()

    def ping(self) -> None:
        """Sends a WebSocket ping as soon as that is possible without waiting; see `Transport.ping`."""
        self._leave(self._controls, encode_frame(ABNF.OPCODE_PING, b""))

    def pong(self, payload: bytes) -> None:
        """Answers a ping as soon as that is possible without waiting."""
        self._leave(self._controls, encode_frame(ABNF.OPCODE_PONG, payload))

    def close(self, code: int = 1000, reason: str = "", deadline: Deadline | None = None) -> None:
        """Starts the closing handshake without waiting for the peer to answer; see `Transport.close`."""
        if not self._close_sent:
            self._close_sent = True
            # Behind the messages that wait, of which the last may be the farewell.
            self._leave(self._texts, encode_frame(ABNF.OPCODE_CLOSE, struct.pack("!H", code) + reason.encode()[:123]))
        if deadline is not None and self._has_waiting():
            try:
                with held(self._send_lock, deadline, BUSY):
                    self._drain(deadline)
            except (SessionTimeoutError, SessionDisconnectedError):
                pass  # the reader reports the end of the connection

    def abort(self) -> None:
        """Ends the connection at once, waking threads that read or write."""
        self._dead = True
        self._stream.shutdown()

    def release(self) -> None:
        """Closes the socket."""
        self._dead = True
        self._stream.shutdown()
        with self._send_lock:  # no thread may be writing to a descriptor that is being closed
            self._stream.close()

    def flush(self) -> None:
        """Writes what waits, as far as that is possible without waiting."""
        # Looked at again after each release: who left a frame while the lock was held could not send it.
        while self._has_waiting() and not self._dead:
            try:
                with self._at_once:
                    if not self._write_now():
                        return
            except SessionTimeoutError:
                return  # another thread holds it, and does this; or this one, further up
            except SessionDisconnectedError:
                self._dead = True  # the reader will find out why

    def _leave(self, queue: list[bytes], frame: bytes) -> None:
        queue.append(frame)
        self.flush()

    def _has_waiting(self) -> bool:
        return bool(self._controls or self._unsent or (self._texts and not self.in_message))

    def _write_now(self) -> bool:
        """Writes what waits, without blocking; the send lock is held. False when the socket is full."""
        while True:
            if self._unsent and not self._advance():
                return False
            if not self._unsent:
                if self._controls:
                    frame = self._controls.pop(0)
                elif self._texts and not self.in_message:
                    frame = self._texts.pop(0)
                    if self._texts and self._texts[0][0] == CLOSE_FINAL:
                        # The farewell: with the close in one write, the peer wakes up once for both.
                        self._close_out = True
                        self._unsent = memoryview(frame + self._texts.pop(0))
                        continue
                else:
                    return True
                if not self._close_out:  # nothing may follow it (RFC 6455, 5.5.1)
                    self._close_out = frame[0] == CLOSE_FINAL
                    self._unsent = memoryview(frame)

    def _write(self, frame: bytes, deadline: Deadline, is_last: bool, message: object) -> None:
        """Writes what waits and then a frame; the send lock is held."""
        if self._dead or self._close_sent:
            raise _ended()
        if self._unsent or self._controls or self._texts:
            self._drain(deadline)
            if self._dead or self._close_sent:
                raise _ended()
        was_in_message = self.in_message
        whole = memoryview(frame)
        try:
            self._unsent = whole
            self.in_message = not is_last
            if is_last:
                self._last = message
            # Only this frame. What the reader left meanwhile, such as the answer to a close, goes out behind
            # it: its failure would make a message that has left whole look lost, and be sent again.
            while self._unsent:
                if not self._advance():
                    self._await_room(deadline)
        except BaseException as error:
            self._give_up(error)
            # Ctrl-C while it waited for room: a frame that has begun to leave goes out with the next one.
            if self._unsent is whole and not self._stream.is_committed:
                self._unsent = memoryview(b"")
                self.in_message = was_in_message
                self._last = None
            raise

    def _drain(self, deadline: Deadline) -> None:
        try:
            while not self._write_now():
                self._await_room(deadline)
        except BaseException as error:
            self._give_up(error)
            raise

    def _give_up(self, error: BaseException) -> None:
        # After an interrupt within a write, it is unknown how much of it has left.
        if not self._exact or isinstance(error, (SessionTimeoutError, SessionDisconnectedError)):
            self.abort()

    def _await_room(self, deadline: Deadline) -> None:
        if not self._stream.wait_writable(deadline):
            raise SessionTimeoutError(
                f"the peer took in no more for {deadline.timeout} s; the connection is of no use any more"
            )
        if self._dead:
            raise _ended()

    def _advance(self) -> int:
        self._exact = False
        sent = self._stream.try_write(self._unsent)
        if sent:
            self._unsent = self._unsent[sent:]
        self._exact = True
        return sent


def _ended() -> SessionDisconnectedError:
    return SessionDisconnectedError("the connection has ended")
