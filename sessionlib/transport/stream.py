"""A connected socket with a read buffer, deadlines, and writes that never block unasked.

websocket-client's frame parser reads from the same buffer as our own fast path does, by `BufferedStream.recv`.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionConnectionError, SessionDisconnectedError, SessionTimeoutError
from sessionlib.net.connect import shut
from sessionlib.net.retry import is_transient_tls
from sessionlib.net.sockets import wait_readable, wait_writable
from sessionlib.transport.base import NOW

__all__ = ["BufferedStream", "NestedTls", "NothingYetError", "wrap"]

# Read at once: little where little comes, because a buffer has to be made before it is known how much.
SMALLEST = 16384
LARGEST = 262144
# Of large messages more: each read costs as much again as several of them, as the consumer's thread is woken by it, and
# their bytes are not copied.
LARGE_MESSAGE = 4096
LARGEST_OF_LARGE = 524288
# Messages of so many bytes are read to where they stay; little is read with the head of the next one, as it is copied.
HUGE_MESSAGE = 262144
LARGEST_OF_HUGE = 65536
# Of one that shares its thread: what is read at once is decoded while the other sessions wait, which takes as long as
# there are messages, and so no longer with more of large ones.
LARGEST_SHARED = 65536
_RECORD = 16384  # a TLS record holds no more (RFC 8446, 5.1)
_DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)
# The buffer of the last large message, for the next one of any stream: memory that is touched for the
# first time costs as much as reading into it. Larger ones are not kept.
LARGEST_SPARE = 1 << 22
_spare: deque[bytearray] = deque(maxlen=1)


class NothingYetError(Exception):
    """Not all that was to be read is there; what has come is kept, and the next try goes on from it."""


class BufferedStream:
    """A plain TCP connection.

    Attributes:
        data: What has been read and not consumed, from ``pos`` on.
        pos: Where the unread part of ``data`` begins.
        deadline: Until when `fill` waits; None for as long as it takes; `NOW` for not at all, after `share`.
        expects_large: Whether the last message of which a part was missing was a large one.
        last_received_at: When the last bytes came, on the monotonic clock.
        bytes_received: How many bytes have come.
        is_committed: Whether what was last given to `try_write` will leave although none of it has.
    """

    # An idle reader costs one system call for each wake-up then; writes ask not to wait.
    _is_blocking = True

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.data: bytes | memoryview = b""
        self.pos = 0
        self.deadline: Deadline | None = None
        self.expects_large = False
        self.last_received_at = time.monotonic()
        self.bytes_received = 0
        self.is_committed = False
        # Whether a read that must not block may go to the socket: each does so once at most, so that a peer that never
        # stops does not keep the thread that reads other sessions as well.
        self._may_read = True
        self._chunk = SMALLEST
        self._largest = LARGEST
        self._is_shared = False
        # Where a read of large messages goes, for the next one too.
        self._space: memoryview | None = None
        self._lent: bytearray | None = None
        # How much of what `take_exactly` was last asked for has come.
        self._filled = 0
        self._is_whole = True
        sock.setblocking(self._is_blocking)

    def share(self) -> int:
        """Prepares for reads that do not wait, and returns the descriptor to poll."""
        self._sock.setblocking(False)
        self._is_shared = True
        self.expect(0)
        return self._sock.fileno()

    def expect(self, size: int) -> None:
        """Adapts what is read at once to the size of a message of which not all has come."""
        self.expects_large = size >= LARGE_MESSAGE
        if size >= HUGE_MESSAGE:
            self._largest = LARGEST_OF_HUGE
        elif self.expects_large:
            self._largest = LARGEST_OF_LARGE
        else:
            self._largest = LARGEST_SHARED if self._is_shared else LARGEST
        if self._chunk > self._largest:
            self._chunk = self._largest

    @property
    def has_unread(self) -> bool:
        """Whether there may be more to read although no more comes over the socket, besides what is in ``data``."""
        return False

    def fill(self) -> None:
        """Waits for more bytes and appends them to ``data``.

        Raises:
            NothingYetError: None are there, and it must not block.
            SessionTimeoutError: None came in time.
            SessionDisconnectedError: The peer has ended the connection, or it broke.
        """
        try:
            # Over TLS, this reads already.
            ready = self.deadline is None or self._ready_to_read(self.deadline)
            if ready:
                # What has been consumed is released before the wait: its memory can be read to again.
                rest, self.data, self.pos = bytes(self.data[self.pos :]), b"", 0
                chunk = self._read(self._chunk)
        except BlockingIOError:
            self.data = rest
            raise NothingYetError from None
        except OSError as error:
            raise _broken(error) from error
        if not ready:
            assert self.deadline is not None
            if self.deadline is NOW:
                raise NothingYetError
            raise SessionTimeoutError(f"the peer did not answer within {self.deadline.timeout} s")
        if not chunk:
            raise SessionDisconnectedError("the peer ended the connection without a close frame")
        self.last_received_at = time.monotonic()
        self.bytes_received += len(chunk)
        if len(chunk) == self._chunk < self._largest:
            self._chunk *= 2
        elif len(chunk) < self._chunk // 4:
            self._chunk = max(SMALLEST, self._chunk // 4)
            if len(chunk) < LARGE_MESSAGE:
                self.expects_large = False
        self.data = rest + chunk if rest else chunk

    def take_exactly(self, size: int) -> memoryview:
        """Consumes so many bytes, buffered ones first; the rest of many is read to where they belong.

        Returns:
            The bytes, which stay there until `take_back`.

        Raises:
            NothingYetError: Not all are there, and it must not block; to be called with the same again.
            SessionTimeoutError: They did not come in time.
            SessionDisconnectedError: The peer has ended the connection, or it broke.
        """
        if self._is_whole:
            try:
                buffer = _spare.pop()
            except IndexError:
                buffer = bytearray()
            self._lent, self._filled, self._is_whole = buffer if len(buffer) >= size else bytearray(size), 0, False
        assert self._lent is not None
        view = memoryview(self._lent)[:size]
        while True:
            begin = self.take(size - self._filled)
            view[self._filled : self._filled + len(begin)] = begin
            self._filled += len(begin)
            if size >= HUGE_MESSAGE:
                self._read_into(view)
            if self._filled == size:
                self._is_whole = True
                return view
            self.fill()

    def take_back(self) -> None:
        """Releases the buffer returned by `take_exactly`; the next read begins."""
        self._may_read = True
        if self._lent is not None and self._is_whole:
            if len(self._lent) <= LARGEST_SPARE:
                _spare.append(self._lent)
            self._lent = None

    def take(self, size: int) -> bytes:
        """Consumes up to ``size`` bytes of what is buffered."""
        taken = bytes(self.data[self.pos : self.pos + size])
        self.pos += len(taken)
        return taken

    def try_write(self, view: memoryview) -> int:
        """Writes what fits without waiting; returns its length, 0 when nothing does.

        Raises:
            SessionDisconnectedError: The connection broke.
        """
        try:
            return self._write(view)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0
        except OSError as error:
            raise _broken(error) from error

    def wait_writable(self, deadline: Deadline) -> bool:
        """Waits until there is room for a write; False when the deadline came first."""
        return wait_writable(self._sock, deadline)

    def shutdown(self) -> None:
        """Ends the connection both ways, waking threads that read or write; the descriptor stays."""
        shut(self._sock)

    def close(self) -> None:
        """Closes the descriptor."""
        self._sock.close()

    def recv(self, size: int) -> bytes:
        """Returns 1 to ``size`` bytes, buffered ones first; for websocket-client's parser."""
        if self.pos >= len(self.data):
            self.fill()
        return self.take(size)

    # ---- how this kind of connection reads and writes ------------------------------------------

    def _ready_to_read(self, deadline: Deadline) -> bool:
        return self._may_read_now() if deadline is NOW else wait_readable(self._sock, deadline)

    def _may_read_now(self) -> bool:
        may_read, self._may_read = self._may_read, False
        return may_read

    def _read(self, size: int) -> bytes | memoryview:
        if not self.expects_large:
            self._space = None
            return self._sock.recv(size)
        # Where nothing is left of the last read: the memory of a new buffer would be touched for the first time.
        if self._space is None or len(self._space) != size:
            self._space = None
            self._space = memoryview(bytearray(size))
        return self._space[: self._sock.recv_into(self._space)]

    def _read_into(self, view: memoryview) -> None:
        """Reads to where it belongs, behind what is there, for as long as that is possible."""
        # `fill` knows how to wait with a limit.
        while self._filled < len(view) and (self.deadline is None or (self.deadline is NOW and self._may_read_now())):
            try:
                size = self._sock.recv_into(view[self._filled :])
            except BlockingIOError:
                return
            except OSError as error:
                raise _broken(error) from error
            if not size:
                raise SessionDisconnectedError("the peer ended the connection without a close frame")
            self.last_received_at = time.monotonic()
            self.bytes_received += size
            self._filled += size

    def _write(self, view: memoryview) -> int:
        return self._sock.send(view, _DONT_WAIT)


class TlsStream(BufferedStream):
    """A TLS connection. One OpenSSL object must not be read and written at the same time, so the
    socket never blocks and each call into it is a short one under a lock."""

    _sock: ssl.SSLSocket
    _is_blocking = False

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        # Protects the OpenSSL object behind the socket.
        self._lock = threading.Lock()
        # What was read before it was asked for; b"" is the end of the stream, None is nothing.
        self._early: bytes | None = None
        # Whether the last read stopped before it met nothing: OpenSSL holds what no poll of the socket shows.
        self._is_cut_off = True

    @property
    def has_unread(self) -> bool:
        """See `BufferedStream.has_unread`."""
        return self._is_cut_off

    def _ready_to_read(self, deadline: Deadline) -> bool:
        if deadline is NOW:
            return self._may_read_now()
        while self._early is None:
            self._early = self._read_now(self._chunk)
            if self._early is None and not wait_readable(self._sock, deadline):
                return False
        return True

    def _read(self, size: int) -> bytes:
        first, self._early = self._early, None
        while first is None:
            first = self._read_now(size)
            if first is None:
                if self.deadline is NOW:
                    raise BlockingIOError
                wait_readable(self._sock, Deadline(None))
        # A record holds 16 KiB at most, and there may be more of them; whatever is there goes on at once.
        chunks, read = [first], len(first)
        while first and read < size:
            try:
                more = self._read_now(size - read)
            except OSError:  # to be met again, behind what has come
                break
            if not more:
                self._early = more
                break
            chunks.append(more)
            read += len(more)
        return b"".join(chunks) if len(chunks) > 1 else first

    def _read_into(self, view: memoryview) -> None:
        pass  # `fill` and a copy will do: decrypting costs more

    def _read_now(self, size: int) -> bytes | None:
        self._is_cut_off = True
        with self._lock:
            try:
                return self._sock.recv(size)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._is_cut_off = False
                return None

    def _write(self, view: memoryview) -> int:
        with self._lock:
            # A record that was begun has to be written to its end, so its bytes cannot be taken back.
            self.is_committed = True
            sent = self._sock.send(view)
            self.is_committed = False
            return sent

    def shutdown(self) -> None:
        """See `BufferedStream.shutdown`."""
        sock: ssl.SSLSocket | NestedTls = self._sock
        shut(sock.outer if isinstance(sock, NestedTls) else sock)


class NestedTls:
    """A TLS connection within another one, as through a proxy that is reached over TLS.

    It has what an `ssl.SSLSocket` that never blocks has, which cannot be made of another one: that takes the
    descriptor over, and the outer layer with it (CPython, ``SSLSocket._create``).

    Args:
        outer: The other connection, which does not block either.
        context: What to verify the peer by.
        host: Whom the peer's certificate has to be for.

    Attributes:
        outer: The other connection.
        inner: The TLS connection within it, as OpenSSL has it.
    """

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, host: str) -> None:
        self.outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.inner = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unsent = memoryview(b"")
        # How much of what was given to `send` is encrypted, but not yet handed on.
        self._accepted = 0

    def do_handshake(self) -> None:
        """Goes on with the handshake; see `ssl.SSLSocket.do_handshake`."""
        self._exchange(self.inner.do_handshake)
        self._flush()

    def recv(self, size: int) -> bytes:
        """Returns up to ``size`` bytes, b"" at the end; see `ssl.SSLSocket.recv`."""
        try:
            return bytes(self._exchange(lambda: self.inner.read(size)))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def send(self, view: memoryview) -> int:
        """Sends a part of the bytes and returns its length; after an error of want, to be called with the same."""
        if not self._accepted:
            self._accepted = self.inner.write(view[:_RECORD])
        self._flush()
        sent, self._accepted = self._accepted, 0
        return sent

    def _exchange(self, step: Callable[[], Any]) -> Any:
        """Takes a step as often as there is more input for it, sending what it has to send."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self.outer.recv(SMALLEST)
                self._incoming.write(data) if data else self._incoming.write_eof()

    def _flush(self) -> None:
        while True:
            self._unsent = self._unsent or memoryview(self._outgoing.read())
            if not self._unsent:
                return
            self._unsent = self._unsent[self.outer.send(self._unsent) :]

    def fileno(self) -> int:
        """Returns the descriptor of the outer connection."""
        return self.outer.fileno()

    def setblocking(self, flag: bool) -> None:
        """Accepts False, as it never blocks."""
        assert not flag

    def close(self) -> None:
        """Closes the outer connection."""
        self.outer.close()


def _broken(error: OSError) -> SessionDisconnectedError:
    if isinstance(error, ssl.SSLError):  # such as an alert, which may come at any time
        reason = (error.reason or str(error)).replace("_", " ").lower()
        return SessionConnectionError(
            f"the TLS connection broke: {reason}", transient=is_transient_tls(error, established=True)
        )
    return SessionDisconnectedError(f"the connection broke: {error.strerror or error}")


def wrap(sock: socket.socket | NestedTls) -> BufferedStream:
    """Returns the stream for a connected socket, TLS or not."""
    if isinstance(sock, NestedTls):
        return TlsStream(cast(ssl.SSLSocket, sock))  # it has what a stream uses of one
    return TlsStream(sock) if isinstance(sock, ssl.SSLSocket) else BufferedStream(sock)
