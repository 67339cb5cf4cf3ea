"""Accepts connections and gives each a thread of its own."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable

from sessionlib._util.timing import Deadline
from sessionlib.net.readiness import wait_readable

__all__ = ["TcpListener"]

logger = logging.getLogger(__name__)

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class TcpListener:
    """A listening socket, its accepting thread, and one thread for each connection.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        serve: Serves one connection on its thread; the socket is closed after it.
        connections: How many may be open at once.

    Raises:
        OSError: The address cannot be listened on.
    """

    def __init__(self, host: str, port: int, serve: Callable[[socket.socket], None], connections: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._sock = socket.create_server((host, port), family=family, backlog=256)
        self.port: int = self._sock.getsockname()[1]
        self._serve = serve
        self._limit = connections
        self._numbers = itertools.count(1)
        # Protects the table of open connections and the closed flag.
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._closed = False
        self._waker, self._woken = socket.socketpair()
        # Daemons, here and below, so that an engine nobody closed does not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._accept, name=f"sessionlib-accept-{self.port}", daemon=True)

    def start(self) -> None:
        """Begins to accept."""
        self._thread.start()

    def stop(self) -> None:
        """Accepts no more, and gives the port back."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._waker.close()
        if self._thread.ident is not None:
            self._thread.join()
        self._woken.close()
        self._sock.close()

    def close(self, deadline: Deadline) -> None:
        """Waits for the connections to end, then ends them, and waits for their threads."""
        self.stop()
        with self._lock:
            threads = dict(self._open)
        for thread in threads:
            thread.join(deadline.remaining())
        for sock in threads.values():
            _shut(sock)
        for thread in threads:
            thread.join()

    def _accept(self) -> None:
        while self._woken not in wait_readable([self._sock, self._woken], None):
            try:
                sock, _ = self._sock.accept()
            except OSError as error:
                # Out of file descriptors, or the client has left already.
                logger.warning("! cannot accept a connection: %s", error)
                time.sleep(0.05)
                continue
            self._begin(sock)

    def _begin(self, sock: socket.socket) -> None:
        name = f"sessionlib-serve-{self.port}-{next(self._numbers)}"
        thread = threading.Thread(target=self._run, args=(sock,), name=name, daemon=True)
        with self._lock:
            admitted = len(self._open) < self._limit
            if admitted:
                self._open[thread] = sock
        if not admitted or not self._start(thread):
            _turn_away(sock)

    def _start(self, thread: threading.Thread) -> bool:
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more threads to give
            logger.warning("! cannot serve a connection: %s", error)
            with self._lock:
                del self._open[thread]
            return False
        return True

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


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # ended already
        sock.shutdown(socket.SHUT_RDWR)


def _turn_away(sock: socket.socket) -> None:
    # On the accepting thread: one attempt that cannot block.
    sock.setblocking(False)
    try:
        sock.send(_FULL)
        _shut(sock)
    except OSError:
        pass  # left already
    sock.close()
