"""One end of a connection, as raw bytes: what a scripted engine does to its socket."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from sessionlib._util.timing import Deadline
from sessionlib.net.sockets import Waker, wait_readable, wait_writable

JOIN_TIMEOUT = 15.0


class PeerGone(ConnectionError):
    """The connection is over; a hook that lets this pass simply ends."""


class Duplex:
    """An accepted socket that any thread may write to, and that one thread reads and finally closes.

    Attributes:
        bytes_sent: To the client, handshake included.
        over: Set once the socket is closed.
    """

    _reader: threading.Thread
    """The thread that reads; whoever inherits makes it."""

    def __init__(self, sock: socket.socket) -> None:
        self.bytes_sent = 0
        self.over = threading.Event()
        self._sock = sock
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waker = Waker()
        self._how = "FIN"
        self._send_lock = threading.Lock()  # one message's bytes at a time; held by whoever writes to the socket
        self._gate = threading.Condition()  # protects _paused, and is held while bytes are taken off the socket
        self._paused = False

    # -- writing --

    def send_raw(self, data: bytes) -> None:
        """Writes bytes to the socket as they are, waiting for room as long as it takes."""
        view = memoryview(data)
        with self._send_lock:
            while view:
                self._check()
                wait_writable(self._sock, Deadline(None), self._waker)
                self._check()
                view = view[self._send_some(view) :]

    def _send_some(self, view: memoryview) -> int:
        try:
            sent = self._sock.send(view)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise PeerGone(f"the client is gone: {error}") from error
        self.bytes_sent += sent
        return sent

    # -- reading, on the reader --

    def _take_bytes(self) -> bytes:
        while True:
            wait_readable(self._sock, Deadline(None), self._waker)
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
            if not data:
                raise PeerGone("the client sent FIN")
            return data

    def stop_reading(self) -> None:
        """Leaves what the client sends in the kernel's buffers from now on."""
        with self._gate:
            self._paused = True

    def resume_reading(self) -> None:
        with self._gate:
            self._paused = False
            self._gate.notify_all()

    # -- ending --

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

    def sleep(self, seconds: float) -> None:
        """Sleeps, but not beyond the connection's end."""
        if self._waker.wait(seconds):
            self._check()

    def _check(self) -> None:
        if self._waker.is_set():
            raise PeerGone("the connection is over")

    def _end(self, how: str = "FIN") -> None:
        # Only the reader closes the descriptor, so nobody can be left polling one that was reused.
        if not self._waker.is_set():
            self._how = how
            self._waker.set()
        with self._gate:
            self._gate.notify_all()

    def _await_end(self) -> None:
        if threading.current_thread() is not self._reader:
            self.over.wait(JOIN_TIMEOUT)

    def _close(self) -> None:
        self._end()
        with self._send_lock:
            if self._how == "RST":
                with contextlib.suppress(OSError):
                    self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._sock.close()
        self.over.set()
