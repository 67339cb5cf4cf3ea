"""Accepting connections on a port: for the embedded engine, the fault proxy, and servers in tests."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable

from sessionlib._util.timing import Deadline
from sessionlib.net.connect import shut
from sessionlib.net.sockets import Waker, wait_readable

__all__ = ["TcpListener", "ThreadedServer"]

logger = logging.getLogger(__name__)

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class TcpListener:
    """A listening socket and the thread that accepts on it, from `start` to `stop`.

    Args:
        adopt: Takes each accepted socket, on the accepting thread; must not block.
        port: Port to listen on; 0 takes a free one.
        host: Address to listen on.
        name: Of the thread; by default with the port in it.
        backlog: How many connections may wait to be accepted.

    Attributes:
        port: The port that it listens on.

    Raises:
        OSError: The address cannot be listened on.
    """

    def __init__(
        self,
        adopt: Callable[[socket.socket], None],
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        name: str | None = None,
        backlog: int = 1024,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._adopt = adopt
        self._sock = socket.create_server((host, port), family=family, backlog=backlog)
        # A connection that was reset before it is accepted must not block the next poll.
        self._sock.setblocking(False)
        self.port: int = self._sock.getsockname()[1]
        self._waker = Waker()
        # A daemon, so that an engine that was not closed does not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._accept, name=name or f"sessionlib-accept-{self.port}", daemon=True)

    def start(self) -> TcpListener:
        """Begins to accept; returns itself."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Accepts no more and frees the port; connections that were accepted go on. Idempotent."""
        self._waker.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._sock.close()
        self._waker.close()

    def _accept(self) -> None:
        while True:
            wait_readable(self._sock, Deadline(None), self._waker)
            if self._waker.is_set():
                return
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, ConnectionError):
                continue  # the client has left already
            except OSError as error:  # out of descriptors, most likely: it stays readable
                logger.warning("! cannot accept a connection: %s", error)
                time.sleep(0.05)
                continue
            self._adopt(sock)


class ThreadedServer:
    """Serves each connection to a port on a thread of its own.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        serve: Serves one connection on its thread; the socket is closed after it.
        connections: How many may be open at once; further ones are answered with HTTP status 503.

    Attributes:
        port: The port that it listens on.

    Raises:
        OSError: The address cannot be listened on.
    """

    def __init__(self, host: str, port: int, serve: Callable[[socket.socket], None], connections: int) -> None:
        self._listener = TcpListener(self._begin, port, host, backlog=256)
        self.port = self._listener.port
        self._serve = serve
        self._limit = connections
        self._numbers = itertools.count(1)
        # Protects the table of open connections.
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}

    def start(self) -> None:
        """Begins to accept."""
        self._listener.start()

    def stop(self) -> None:
        """Accepts no more and frees the port; open connections go on. Idempotent."""
        self._listener.stop()

    def close(self, deadline: Deadline) -> None:
        """Waits for the open connections to end, disconnects those that have not, and joins their threads."""
        self.stop()
        with self._lock:
            threads = dict(self._open)
        for thread in threads:
            thread.join(deadline.remaining())
        for sock in threads.values():
            shut(sock)
        for thread in threads:
            thread.join()

    def _begin(self, sock: socket.socket) -> None:
        # Accepted sockets block or not as the system likes: on BSD they inherit it from the listener.
        sock.setblocking(True)
        name = f"sessionlib-serve-{self.port}-{next(self._numbers)}"
        thread = threading.Thread(target=self._run, args=(sock,), name=name, daemon=True)
        with self._lock:
            admitted = len(self._open) < self._limit
            if admitted:
                self._open[thread] = sock
        try:
            if admitted:
                thread.start()
                return
        except RuntimeError as error:  # the system has no more threads
            logger.warning("! cannot serve a connection: %s", error)
            with self._lock:
                del self._open[thread]
        # On the accepting thread: one attempt that cannot block.
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # the client has left already
            sock.send(_FULL)
            shut(sock)
        sock.close()

    def _run(self, sock: socket.socket) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._serve(sock)
        except OSError as error:
            logger.debug("! a connection broke: %s", error)
        except Exception:
            logger.exception("! serving a connection failed")
        finally:
            with self._lock:
                self._open.pop(threading.current_thread(), None)
            sock.close()
