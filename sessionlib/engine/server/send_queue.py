"""What is on its way to one client: a bounded queue in front of a socket that never blocks a sender."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque

from sessionlib._util.timing import Deadline
from sessionlib.net.sockets import wait_any, wait_writable

__all__ = ["Flusher", "SendQueue", "close_frame", "text_frame"]

_CHUNK = 64 * 1024
_GOODBYE_SECONDS = 5.0
TRY_AGAIN_LATER = 1013


def text_frame(payload: bytes) -> bytes:
    """Returns a text message as a server's one unmasked frame (RFC 6455, 5.2), the same for every client."""
    return _header(0x81, len(payload)) + payload


def close_frame(code: int, reason: str) -> bytes:
    """Returns a close frame; a reason over 123 bytes is truncated."""
    # RFC 6455, 5.5: a control frame has 125 bytes at most, of which the code takes two; truncated at a whole character.
    payload = code.to_bytes(2, "big") + reason.encode()[:123].decode(errors="ignore").encode()
    return _header(0x88, len(payload)) + payload


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, length))
    if length < 65536:
        return bytes((first, 126)) + length.to_bytes(2, "big")
    return bytes((first, 127)) + length.to_bytes(8, "big")


class SendQueue:
    """Sends bytes to one client in the order in which they were put, from any thread.

    Args:
        sock: A connected socket; becomes non-blocking.
        limit: Bytes that may wait; a client that lets more wait gets a close code that asks it to reconnect.
        flusher: Sends on when the socket has no room.
    """

    def __init__(self, sock: socket.socket, limit: int, flusher: Flusher) -> None:
        # A slow client must hold up neither the turn nor the other clients.
        sock.setblocking(False)
        self.sock = sock
        self._limit = limit
        self._flusher = flusher
        # Protects the queue, its size and the goodbye.
        self._lock = threading.Lock()
        # Held by the one thread that moves bytes from the queue to the socket, which never blocks.
        self._writing = threading.Lock()
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._goodbye: Deadline | None = None
        self._sending = memoryview(b"")

    @property
    def closing(self) -> bool:
        """Whether a close frame was put, after which nothing more is taken."""
        return self._goodbye is not None

    @property
    def overdue(self) -> bool:
        """Whether the client has not taken the close frame in time."""
        return self._goodbye is not None and self._goodbye.expired

    def put(self, data: bytes) -> None:
        """Queues whole frames; `flush` sends them. Too many are replaced by a retryable close."""
        with self._lock:
            if self._goodbye is not None:
                return
            # What a client has not taken, it finds in the history: it is asked to come back rather than fill the
            # memory.
            if self._queued > self._limit:
                self._queue.clear()
                data = close_frame(TRY_AGAIN_LATER, "too slow: connect again and read the history")
                self._goodbye = Deadline(_GOODBYE_SECONDS)
            self._queue.append(data)
            self._queued += len(data)

    def send(self, data: bytes) -> None:
        """Queues whole frames and sends what the socket takes."""
        self.put(data)
        self.flush()

    def finish(self, data: bytes) -> None:
        """Sends a close frame after what is queued, and takes nothing more."""
        with self._lock:
            if self._goodbye is None:
                self._queue.append(data)
                self._goodbye = Deadline(_GOODBYE_SECONDS)
        self.flush()

    def flush(self) -> None:
        """Sends what the socket takes; the flusher does the rest."""
        # Whole frames go out in order because one thread at a time moves them; it holds no lock that `put` needs.
        with self._writing:
            try:
                while self._next():
                    self._sending = self._sending[self.sock.send(self._sending) :]
            except BlockingIOError:
                # No room in the socket: the one thread that polls them all goes on when there is.
                self._flusher.add(self)
            except OSError:
                self._sending = memoryview(b"")  # no client takes the rest, so no thread may wait for it
                self.abort()

    def drain(self, timeout: float = _GOODBYE_SECONDS) -> None:
        """Waits until everything is sent, the connection is gone, or the time is over."""
        deadline = Deadline(timeout)
        while (self._queue or self._sending) and not deadline.expired:
            # In short waits, as the flusher may send the rest meanwhile.
            if wait_writable(self.sock, Deadline(0.05)):
                self.flush()

    def abort(self) -> None:
        """Ends the connection at once; wakes its reader."""
        with self._lock:
            self._queue.clear()
            self._goodbye = self._goodbye or Deadline(0.0)
        with contextlib.suppress(OSError):  # ended already
            self.sock.shutdown(socket.SHUT_RDWR)

    def _next(self) -> bool:
        if self._sending:
            return True
        with self._lock:
            chunks = []
            size = 0
            # Several small frames in one system call.
            while self._queue and size < _CHUNK:
                chunks.append(self._queue.popleft())
                size += len(chunks[-1])
            self._queued -= size
        self._sending = memoryview(b"".join(chunks))
        return bool(chunks)


class Flusher:
    """One thread that sends on for all clients whose sockets had no room.

    Args:
        name: Ends the thread's name.
    """

    def __init__(self, name: str) -> None:
        # Protects the set of outlets and the closed flag.
        self._changed = threading.Condition()
        self._outlets: set[SendQueue] = set()
        self._closed = False
        # A daemon, so that an engine that was not closed does not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._run, name=f"sessionlib-flush-{name}", daemon=True)
        self._thread.start()

    def add(self, outlet: SendQueue) -> None:
        """Sends on for an outlet until it is empty."""
        with self._changed:
            self._outlets.add(outlet)
            self._changed.notify()

    def close(self) -> None:
        """Ends the thread; what is queued is not sent any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._outlets or self._closed)
                if self._closed:
                    return
                outlets = list(self._outlets)
            # New outlets are looked at after this wait, hence its length.
            writable = wait_any(Deadline(0.05), writable=[outlet.sock for outlet in outlets])
            ready = {sock.fileno() for sock in writable}
            for outlet in outlets:
                # It was sent a close and takes nothing: waiting any longer would keep its thread and memory.
                if outlet.overdue:
                    self._drop(outlet)
                    outlet.abort()
                elif outlet.sock.fileno() in ready:
                    self._drop(outlet)  # before the flush, which adds it again when it has to
                    outlet.flush()

    def _drop(self, outlet: SendQueue) -> None:
        with self._changed:
            self._outlets.discard(outlet)
