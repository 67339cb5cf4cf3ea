"""A WebSocket over a stream: one reading thread, any number of writing ones.

Reading splits the buffer itself for what nearly every frame is (whole, final, unmasked text) and
checks every other frame's header before it lets websocket-client's parser read the rest of it.
Writing never holds up reading: whoever has the send lock writes, and small frames (pings, pongs,
the close) are left for that writer when the lock is taken.
"""

from __future__ import annotations

import ssl
import struct
import threading
from collections import deque
from collections.abc import Iterable
from typing import Any, NoReturn
from urllib.parse import urlsplit

from websocket import ABNF, WebSocketException, frame_buffer

from sessionlib.errors import (
    MessageTooLargeError,
    SessionDisconnectedError,
    SessionProtocolError,
    SessionTimeoutError,
)
from sessionlib.timing import Deadline, acquire
from sessionlib.transport.dial import Attempt, dial
from sessionlib.transport.frame import encode_frame
from sessionlib.transport.handshake import shake_hands
from sessionlib.transport.proxy import choose_proxy
from sessionlib.transport.stream import Stream, wrap
from sessionlib.wire import fastpath
from sessionlib.wire.codec import Payload

__all__ = ["WebSocketTransport", "open_websocket"]

TEXT_FINAL = 0x81
CLOSE_FINAL = 0x88
# How a frame begins, with its length of 7 bits; then come 16 bits of length, or of the payload.
_HEAD = struct.Struct("!HH").unpack_from
_TEXT = 0x8100
_TEXT_16 = 0x817E
_TEXT_64 = 0x817F
# A message of so many bytes is read into a buffer of its own.
LARGE = 65536
CONTROL = 0x08
TOO_LARGE = 1009
# So many small messages wait behind a long one at most.
MAX_WAITING = 8
# RFC 6455, 7.4.1 and 7.4.2: what may stand in a close frame.
_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


def open_websocket(
    url: str,
    key: str,
    deadline: Deadline,
    attempt: Attempt,
    *,
    max_message_size: int,
    tls: ssl.SSLContext | None = None,
    proxy: str | None = None,
) -> WebSocketTransport:
    """Connects, shakes hands, and gives the transport.

    Args:
        url: A ``ws`` or ``wss`` URL.
        key: The API key.
        deadline: When to give up.
        attempt: What another thread can cancel it by.
        max_message_size: The largest message accepted, in bytes.
        tls: What to verify the peer by; None for the system's certificates.
        proxy: URL of the proxy to go through; "" for none; None for what the environment says.

    Raises:
        ConfigurationError: The proxy's URL cannot be used.
        SessionConnectionError: The engine cannot be reached.
        HandshakeError: It refused the handshake.
        SessionProtocolError: It does not speak WebSocket.
        SessionTimeoutError: It took too long.
    """
    parts = urlsplit(url)
    stream = wrap(dial(parts, deadline, attempt, tls=tls, proxy=choose_proxy(proxy, parts)))
    try:
        shake_hands(stream, parts, key, deadline)
    except BaseException:
        stream.close()
        raise
    return WebSocketTransport(stream, max_message_size)


class WebSocketTransport:
    """The `Transport` over a real socket, once the handshake is done."""

    def __init__(self, stream: Stream, max_message_size: int) -> None:
        self._stream = stream
        self._max_size = max_message_size
        self._parser = frame_buffer(stream.recv, skip_utf8_validation=True)
        self._fragments: list[bytes] = []
        self._fragments_size = 0
        # Held for the length of a message, so that no other comes between its fragments.
        self._message_lock = threading.Lock()
        # Protects the order of bytes on the wire: frames, and the unsent rest of one. Taken after the other.
        self._send_lock = threading.Lock()
        self._unsent = memoryview(b"")
        # Whether `_unsent` is known to be exact; not so while a write is under way.
        self._exact = True
        # Whether fragments of a message have left and its last has not: only control frames may follow.
        self._in_message = False
        # What is sent when nobody has to wait for it: control frames, and whole small messages.
        self._controls: deque[bytes] = deque()
        self._texts: deque[bytes] = deque()
        self._dead = False
        # Whether the close frame was left to be sent, and whether it has its place on the wire.
        self._close_sent = False
        self._close_out = False

    # ---- out -----------------------------------------------------------------------------------

    def send(self, payload: bytes, deadline: Deadline) -> None:
        """Sends one text message, whole; see `Transport.send`."""
        frame = encode_frame(ABNF.OPCODE_TEXT, payload)
        self._begin_message(deadline)
        try:
            self._send_frame(frame, deadline)
        finally:
            self._message_lock.release()
        self._flush_waiting()

    def send_pieces(self, pieces: Iterable[tuple[bytes, bool]], deadline: Deadline) -> None:
        """Sends one text message in fragments; see `Transport.send_pieces`."""
        self._begin_message(deadline)
        try:
            opcode = ABNF.OPCODE_TEXT
            for piece, is_last in pieces:
                self._send_frame(encode_frame(opcode, piece, is_last), deadline, is_last)
                opcode = ABNF.OPCODE_CONT
        except BaseException:
            if self._in_message:  # nobody can go on with it
                self.abort()
            raise
        finally:
            self._message_lock.release()
        self._flush_waiting()

    @property
    def has_unsent(self) -> bool:
        """Whether a message that was interrupted has left in part, and its rest will follow."""
        return bool(self._unsent) and not self._dead

    def post(self, payload: bytes) -> None:
        """Sends one small text message as soon as that is possible without waiting."""
        frame = encode_frame(ABNF.OPCODE_TEXT, payload)
        # Behind a long upload one ping would pile up on the other.
        if not self._in_message or len(self._texts) < MAX_WAITING:
            self._leave(self._texts, frame)

    def ping(self) -> None:
        """Sends a WebSocket ping as soon as that is possible without waiting."""
        self._leave(self._controls, encode_frame(ABNF.OPCODE_PING, b""))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Starts the closing handshake without waiting for the peer."""
        if not self._close_sent:
            self._close_sent = True
            # Behind the messages that wait, of which the last may be the farewell.
            self._leave(self._texts, encode_frame(ABNF.OPCODE_CLOSE, struct.pack("!H", code) + reason.encode()[:123]))

    def abort(self) -> None:
        """Ends the connection at once, waking whoever reads or writes."""
        self._dead = True
        self._stream.shutdown()

    def release(self) -> None:
        """Gives the socket back."""
        self._dead = True
        self._stream.shutdown()
        with self._send_lock:  # nobody may be writing to a descriptor that is being given back
            self._stream.close()

    def _leave(self, queue: deque[bytes], frame: bytes) -> None:
        queue.append(frame)
        self._flush_waiting()

    def _flush_waiting(self) -> None:
        # Looked at again after each release: who left a frame while the lock was held could not send it.
        while self._has_waiting() and not self._dead and self._send_lock.acquire(blocking=False):
            try:
                if not self._write_now():
                    return
            except SessionDisconnectedError:
                self._dead = True  # the reader will find out why
            finally:
                self._send_lock.release()

    def _has_waiting(self) -> bool:
        return bool(self._controls or self._unsent or (self._texts and not self._in_message))

    def _write_now(self) -> bool:
        """Writes what waits, without blocking; the send lock is held. False when the socket is full."""
        while True:
            if self._unsent and not self._advance():
                return False
            if not self._unsent:
                frame = self._next_waiting()
                if frame is None:
                    return True
                if not self._close_out:  # nothing may follow it (RFC 6455, 5.5.1)
                    self._close_out = frame[0] == CLOSE_FINAL
                    self._unsent = memoryview(frame)

    def _next_waiting(self) -> bytes | None:
        if self._controls:
            return self._controls.popleft()
        return self._texts.popleft() if self._texts and not self._in_message else None

    def _begin_message(self, deadline: Deadline) -> None:
        if not acquire(self._message_lock, deadline):
            raise SessionTimeoutError(f"other messages were still being sent after {deadline.timeout} s")

    def _send_frame(self, frame: bytes, deadline: Deadline, is_last: bool = True) -> None:
        """Writes a frame of a message, of which the last, or only, one makes room for others."""
        if not acquire(self._send_lock, deadline):
            raise SessionTimeoutError(f"other messages were still being sent after {deadline.timeout} s")
        try:
            self._write(frame, deadline, is_last)
        finally:
            self._send_lock.release()

    def _write(self, frame: bytes, deadline: Deadline, is_last: bool) -> None:
        """Writes what waits and then a frame; the send lock is held."""
        self._check_alive()
        was_in_message = self._in_message
        try:
            self._drain(deadline)
            self._check_alive()
            self._unsent = memoryview(frame)
            self._in_message = not is_last
            self._finish(deadline)
        except (SessionTimeoutError, SessionDisconnectedError):
            self.abort()
            raise
        except BaseException:
            # Ctrl-C. While waiting for room: a frame that has begun to leave goes out with the next
            # one. Within a write: nobody knows how much of it has left.
            if not self._exact:
                self.abort()
            elif len(self._unsent) == len(frame):
                self._unsent = memoryview(b"")
                self._in_message = was_in_message
            raise

    def _drain(self, deadline: Deadline) -> None:
        while not self._write_now():
            self._await_room(deadline)

    def _finish(self, deadline: Deadline) -> None:
        # Only this frame. What the reader left meanwhile, such as the answer to a close, goes out behind
        # it: its failure would make a message that has left whole look lost, and be sent again.
        while self._unsent:
            if not self._advance():
                self._await_room(deadline)

    def _await_room(self, deadline: Deadline) -> None:
        if not self._stream.wait_writable(deadline):
            raise SessionTimeoutError(
                f"the peer took in no more for {deadline.timeout} s; the connection is of no use any more"
            )
        self._check_alive()

    def _advance(self) -> int:
        self._exact = False
        sent = self._stream.try_write(self._unsent)
        self._unsent = self._unsent[sent:]
        self._exact = True
        return sent

    def _check_alive(self) -> None:
        if self._dead or self._close_sent:
            raise SessionDisconnectedError("the connection has ended")

    # ---- in ------------------------------------------------------------------------------------

    @property
    def heard(self) -> float:
        """When the peer's last bytes came, on the monotonic clock."""
        return self._stream.heard

    def recv(self, deadline: Deadline | None = None) -> list[Payload]:
        """Waits for text messages and gives all that have arrived; see `Transport.recv`."""
        self._stream.deadline = deadline
        self._stream.take_back()
        try:
            while True:
                if fastpath.enabled and not self._fragments:
                    messages = self._split()
                    if messages:
                        return messages
                message = self._read_frame()
                if message is not None:
                    return [message]
        except SessionProtocolError as error:
            self.close(error.close_code)
            raise

    def _split(self) -> list[Payload]:
        """Takes whole text messages off the buffer for as long as nothing else comes; the hot path."""
        stream, limit = self._stream, self._max_size
        data, pos = stream.data, stream.pos
        # What begins behind this leaves no room for a header of four bytes.
        end, last = len(data), len(data) - 4
        messages: list[Payload] = []
        append = messages.append
        while pos <= last:
            head, size = _HEAD(data, pos)
            if head == _TEXT_16:
                start = pos + 4
            elif _TEXT <= head < _TEXT_16:
                start, size = pos + 2, head - _TEXT
            elif head == _TEXT_64 and pos + 10 <= end:
                start, size = pos + 10, int.from_bytes(data[pos + 2 : pos + 10], "big")
            else:
                break
            stop = start + size
            if stop > end or size > limit:
                break
            append(data[start:stop])
            pos = stop
        stream.pos = pos
        return messages

    def _read_frame(self) -> Payload | None:
        """Reads one frame of any kind and gives the message that it completes, if any."""
        start, size = self._check_header()
        if fastpath.enabled and self._stream.data[self._stream.pos] == TEXT_FINAL and start + size >= 4:
            return self._read_text(start, size)
        try:
            frame: Any = self._parser.recv_frame()
        except WebSocketException as error:
            raise SessionProtocolError(f"the peer sent an illegal WebSocket frame: {error}") from None
        if frame.opcode == ABNF.OPCODE_PING:
            self._leave(self._controls, encode_frame(ABNF.OPCODE_PONG, frame.data))
        elif frame.opcode == ABNF.OPCODE_CLOSE:
            self._closed_by_peer(frame.data)
        elif frame.opcode != ABNF.OPCODE_PONG:
            return self._assemble(frame)
        return None

    def _read_text(self, start: int, size: int) -> Payload | None:
        """Waits for the rest of a whole text message; None when `_split` can take it, and what is behind it."""
        if size < LARGE:
            self._buffer(start + size)
            return None
        self._stream.pos += start
        return self._stream.take_exactly(size)

    def _check_header(self) -> tuple[int, int]:
        """Waits for the header of the next frame, refuses what is illegal, and gives its size and the payload's."""
        self._buffer(2)
        first, second = self._stream.data[self._stream.pos : self._stream.pos + 2]
        _check_kind(first, second, bool(self._fragments))
        start = 2 + {126: 2, 127: 8}.get(second, 0)
        self._buffer(start)
        size = second
        if start > 2:
            pos = self._stream.pos
            size = int.from_bytes(self._stream.data[pos + 2 : pos + start], "big")
        if size + self._fragments_size > self._max_size:
            raise MessageTooLargeError(
                f"the peer announced a message of {size + self._fragments_size} bytes; at most {self._max_size} "
                "are accepted (max_message_size)",
                size=size + self._fragments_size,
                limit=self._max_size,
            )
        return start, size

    def _buffer(self, size: int) -> None:
        while self._buffered() < size:
            self._stream.fill()

    def _buffered(self) -> int:
        return len(self._stream.data) - self._stream.pos

    def _assemble(self, frame: Any) -> bytes | None:
        self._fragments.append(frame.data)
        self._fragments_size += len(frame.data)
        if not frame.fin:
            return None
        message = b"".join(self._fragments)
        self._fragments, self._fragments_size = [], 0
        return message

    def _closed_by_peer(self, payload: bytes) -> NoReturn:
        code, reason = _parse_close(payload)
        self.close(code if code is not None else 1000)
        told = f"code {code}" if code is not None else "no code"
        cause = MessageTooLargeError("a message was too large for the peer") if code == TOO_LARGE else None
        raise SessionDisconnectedError(
            f"the peer closed the connection ({told}{': ' + reason if reason else ''})", code=code, reason=reason
        ) from cause


def _check_kind(first: int, second: int, in_message: bool) -> None:
    opcode = first & 0x0F
    if first & 0x70:
        raise SessionProtocolError("the peer set reserved bits of a WebSocket frame")
    if second & 0x80:
        raise SessionProtocolError("the peer masked a WebSocket frame, which a server must not")
    if opcode == ABNF.OPCODE_BINARY:
        raise SessionProtocolError("the peer sent a binary message; the protocol has none", close_code=1003)
    if opcode not in ABNF.OPCODES:
        raise SessionProtocolError(f"the peer sent a WebSocket frame of unknown kind {opcode}")
    if opcode & CONTROL and (not first & 0x80 or second > 125):
        raise SessionProtocolError("the peer sent a control frame that is fragmented or longer than 125 bytes")
    if not opcode & CONTROL and (opcode == ABNF.OPCODE_CONT) != in_message:
        raise SessionProtocolError("the peer sent the fragments of a WebSocket message out of order")


def _parse_close(payload: bytes) -> tuple[int | None, str]:
    if not payload:
        return None, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (code in _CLOSE_CODES or 3000 <= code <= 4999):
        raise SessionProtocolError(f"the peer closed the connection with the illegal code {code}")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise SessionProtocolError(
            "the peer closed the connection with a reason that is not UTF-8", close_code=1007
        ) from None
