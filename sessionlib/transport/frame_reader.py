"""The way in from a WebSocket: one thread reads it.

It splits the buffer itself for what nearly every frame is (whole, final, unmasked text) and checks
every other frame's header before it lets websocket-client's parser read the rest of it.
"""

from __future__ import annotations

import struct
from typing import Any, NoReturn

from websocket import ABNF, WebSocketException, frame_buffer

from sessionlib._util.timing import Deadline
from sessionlib.errors import MessageTooLargeError, SessionDisconnectedError, SessionProtocolError
from sessionlib.protocol import codec
from sessionlib.protocol.codec import Payload
from sessionlib.transport.frame_writer import FrameWriter
from sessionlib.transport.stream import LARGE_MESSAGE, BufferedStream, NothingYetError

__all__ = ["FrameReader"]

TEXT_FINAL = 0x81
# How a frame begins, with its length of 7 bits; then come 16 bits of length, or of the payload.
_HEAD = struct.Struct("!HH").unpack_from
_TEXT = 0x8100
_TEXT_16 = 0x817E
_TEXT_64 = 0x817F
# RFC 6455, 5.5: control frames are those with this bit of the opcode set.
CONTROL = 0x08
TOO_LARGE = 1009
# RFC 6455, 7.4.1 and 7.4.2: what may stand in a close frame.
_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


class FrameReader(FrameWriter):
    """Reads messages from a stream too, and answers the pings and the close that come between them.

    Args:
        stream: The stream.
        max_message_size: The largest message accepted, in bytes.
    """

    def __init__(self, stream: BufferedStream, max_message_size: int) -> None:
        super().__init__(stream)
        self._max_size = max_message_size
        # Its validation is in pure Python, four times slower; decoding the JSON strictly refuses the same bytes.
        self._parser = frame_buffer(stream.recv, skip_utf8_validation=True)
        self._fragments: list[bytes] = []
        self._fragments_size = 0
        # What a read that must not block left in the middle: a frame of which the parser has a part, or a large text
        # message of so many bytes.
        self._in_frame = False
        self._large = 0
        # Neither is so, and no fragments wait for their last.
        self._is_between = True
        # Where such a read stopped for want of bytes: what is buffered from there on is no whole frame.
        self._short_at = (-1, 0)

    @property
    def has_unread(self) -> bool:
        """Whether there may be more to read although nothing comes; see `Transport.has_unread`."""
        stream = self._stream
        if len(stream.data) == stream.pos:
            return stream.has_unread
        return stream.has_unread or self._short_at != (stream.bytes_received, stream.pos)

    def recv(self, deadline: Deadline | None = None) -> list[Payload]:
        """Waits for text messages; returns all that have arrived; see `Transport.recv`."""
        self._stream.deadline = deadline
        # What the last call returned may be a view into a buffer that is lent again now.
        self._stream.take_back()
        try:
            while True:
                # Between the fragments of a message, control frames may stand, and no whole message.
                if codec.fast_path and self._is_between:
                    # Without a call: each read passes here.
                    if len(self._stream.data) == self._stream.pos:
                        self._stream.fill()
                    messages = self._split()
                    if messages:
                        return messages
                message = self._read_frame()
                if message is not None:
                    # With what is behind it: each call wakes the consumer.
                    return [message, *self._split()] if codec.fast_path else [message]
        except NothingYetError:
            self._short_at = self._stream.bytes_received, self._stream.pos
            return []
        except SessionProtocolError as error:
            self.close(error.close_code)
            raise

    def _split(self) -> list[Payload]:
        """Takes whole text messages off the buffer for as long as nothing else comes; the hot path."""
        stream, limit = self._stream, self._max_size
        # Large ones are not copied; of small ones a view costs more than a copy.
        data: bytes | memoryview = memoryview(stream.data) if stream.expects_large else stream.data
        pos = stream.pos
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
            # Not all of it is here, or it is too long: `_check_header` decides which, before anything is read for it.
            if stop > end or size > limit:
                break
            append(data[start:stop])
            pos = stop
        stream.pos = pos
        return messages

    def _read_frame(self) -> Payload | None:
        """Reads one frame of any kind; returns the message that it completes, if any."""
        if not self._in_frame:
            # Before its payload is read: the parser would buffer whatever length a frame announces.
            start, size = self._check_header()
            self._stream.expect(size)
            first = self._stream.data[self._stream.pos]
            if first & CONTROL:
                # Without the parser, which is written for every kind of frame: thousands of sessions are left at once.
                self._buffer(start + size)
                self._stream.pos += start
                self._take_control(first & 0x0F, self._stream.take(size))
                return None
            if codec.fast_path and first == TEXT_FINAL and start + size >= 4:
                if size < LARGE_MESSAGE:
                    self._buffer(start + size)
                    return None  # `_split` can take it, and what is behind it
                # Of a large one the parts are put together elsewhere: to put them together in the buffer would copy
                # all that comes with the last of them.
                self._stream.pos += start
                self._large = size
            self._in_frame, self._is_between = True, False
        if self._large:
            message = self._stream.take_exactly(self._large)
            self._in_frame, self._large, self._is_between = False, 0, True
            return message
        try:
            frame: Any = self._parser.recv_frame()
        except WebSocketException as error:
            raise SessionProtocolError(f"the peer sent an illegal WebSocket frame: {error}") from None
        self._in_frame, self._is_between = False, not self._fragments
        self._fragments.append(frame.data)
        self._fragments_size += len(frame.data)
        self._is_between = bool(frame.fin)
        if not frame.fin:
            return None
        whole = b"".join(self._fragments)
        self._fragments, self._fragments_size = [], 0
        return whole

    def _check_header(self) -> tuple[int, int]:
        """Waits for the header of the next frame, refuses what is illegal, and returns its size and the payload's."""
        self._buffer(2)
        first, second = self._stream.data[self._stream.pos : self._stream.pos + 2]
        _check_kind(first, second, bool(self._fragments))
        # RFC 6455, 5.2: lengths from 126 on follow in two or eight bytes.
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
        while len(self._stream.data) - self._stream.pos < size:
            self._stream.fill()

    def _take_control(self, opcode: int, payload: bytes) -> None:
        if opcode == ABNF.OPCODE_PING:
            self.pong(payload)
        elif opcode == ABNF.OPCODE_CLOSE:
            self._take_close(payload)

    def _take_close(self, payload: bytes) -> NoReturn:
        # A close without a code is legal, and reported as none (1005 is never on the wire).
        code, reason = None, ""
        if payload:
            code = int.from_bytes(payload[:2], "big")
            if len(payload) < 2 or not (code in _CLOSE_CODES or 3000 <= code <= 4999):
                raise SessionProtocolError(f"the peer closed the connection with the illegal code {code}")
            try:
                reason = payload[2:].decode()
            except UnicodeDecodeError:
                raise SessionProtocolError(
                    "the peer closed the connection with a reason that is not UTF-8", close_code=1007
                ) from None
        # RFC 6455, 5.5.1: a close is answered with its own code; 1005, "no code", must not be sent.
        self.close(code if code is not None else 1000)
        code_text = f"code {code}" if code is not None else "no code"
        # Final: to send the same again over another connection would meet the same bound.
        cause = MessageTooLargeError("a message was too large for the peer") if code == TOO_LARGE else None
        raise SessionDisconnectedError(
            f"the peer closed the connection ({code_text}{': ' + reason if reason else ''})", code=code, reason=reason
        ) from cause


def _check_kind(first: int, second: int, in_message: bool) -> None:
    opcode = first & 0x0F
    if first & 0x70:
        raise SessionProtocolError("the peer set reserved bits of a WebSocket frame")
    # RFC 6455, 5.1: a client must close on a masked frame; websocket-client accepts it.
    if second & 0x80:
        raise SessionProtocolError("the peer masked a WebSocket frame, which a server must not")
    if opcode == ABNF.OPCODE_BINARY:
        raise SessionProtocolError("the peer sent a binary message; the protocol has none", close_code=1003)
    if opcode not in ABNF.OPCODES:
        raise SessionProtocolError(f"the peer sent a WebSocket frame of unknown kind {opcode}")
    # RFC 6455, 5.5; websocket-client accepts both.
    if opcode & CONTROL and (not first & 0x80 or second > 125):
        raise SessionProtocolError("the peer sent a control frame that is fragmented or longer than 125 bytes")
    if not opcode & CONTROL and (opcode == ABNF.OPCODE_CONT) != in_message:
        raise SessionProtocolError("the peer sent the fragments of a WebSocket message out of order")
