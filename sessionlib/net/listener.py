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
from sessionlib.net.sockets import Waker, wait_any, wait_readable

try:
    import resource
except ImportError:  # pragma: no cover - Windows, which has no such limit
    resource = None  # type: ignore[assignment,unused-ignore]

__all__ = ["TcpListener", "ThreadedServer"]

logger = logging.getLogger(__name__)

# So long a connection may take for its first request before it can lose its place to a newer one.
_SILENT_SECONDS = 1.0
# So many refused connections are read from at once, which bounds what a flood of them can take.
_REFUSED = 16
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
        # Which the system has chosen where 0 was asked for.
        self.port: int = self._sock.getsockname()[1]
        # Closing a socket does not wake a thread that polls it, on Linux; the waker does.
        self._waker = Waker()
        self._log = _Sparing()
        # A daemon, so that an engine that was not closed does not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._accept, name=name or f"sessionlib-accept-{self.port}", daemon=True)

    def start(self) -> TcpListener:
        """Begins to accept; returns itself."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Accepts no more and frees the port; connections that were accepted go on. Idempotent."""
        self._waker.set()
        # join() raises for a thread that was never started.
        if self._thread.ident is not None:
            self._thread.join()
        # Not before the thread has ended: the number of a closed descriptor may be another file's by the next poll.
        self._sock.close()
        self._waker.close()

    def _accept(self) -> None:
        while True:
            wait_readable(self._sock, Deadline(None), self._waker)
            # Looked at before the port: once it is set nothing more is accepted, however many wait there.
            if self._waker.is_set():
                return
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, ConnectionError):
                continue  # the client has left already
            except OSError as error:  # out of descriptors, most likely: it stays readable
                self._log.warning(f"! cannot accept a connection: {error}")
                # Without a pause, this loop would take a whole core for as long as the process is out of descriptors.
                time.sleep(0.05)
                continue
            self._adopt(sock)


class _Sparing:
    """Logs what may come thousands of times a second: at most one line every few seconds."""

    def __init__(self) -> None:
        self._next = 0.0
        self._left_out = 0

    def warning(self, text: str) -> None:
        now = time.monotonic()
        if now < self._next:
            # How many were left out stands in the next line, so that the log shows a flood as one.
            self._left_out += 1
            return
        logger.warning("%s%s", text, f" ({self._left_out} more times since)" if self._left_out else "")
        self._next, self._left_out = now + 5.0, 0


class ThreadedServer(TcpListener):
    """Serves each connection to a port on a thread of its own.

    When there is no room for another one, the connection that has been silent for longest makes room for it, if there
    is one that never got as far as a request; else the new one is answered with HTTP status 503.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        serve: Serves one connection on its thread; the socket is closed after it.
        connections: How many may be open at once.
        spare_descriptors: How many of the descriptors that the process may open are left to other things than
            connections; at most half of them.

    Attributes:
        port: The port that it listens on.

    Raises:
        OSError: The address cannot be listened on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        serve: Callable[[socket.socket], None],
        connections: int,
        spare_descriptors: int = 0,
    ) -> None:
        super().__init__(self._begin, port, host, backlog=256)
        self._serve = serve
        self._limit = connections
        self._spare_descriptors = spare_descriptors
        self._refusals = _Sparing()
        self._numbers = itertools.count(1)
        # Protects the tables below: of open connections, of those that were silent so far with the time since when, and
        # of refused ones that are still read from.
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._silent: dict[threading.Thread, float] = {}
        self._refused: dict[socket.socket, Deadline] = {}
        self._refusing: threading.Thread | None = None

    def note_request(self) -> None:
        """Notes on the thread of a connection that a whole request has come: it is not silent any more."""
        with self._lock:
            self._silent.pop(threading.current_thread(), None)

    def close(self, deadline: Deadline) -> None:
        """Waits for the open connections to end, disconnects those that have not, and joins their threads."""
        self.stop()
        with self._lock:
            threads = dict(self._open)
        for thread in threads:
            thread.join(deadline.remaining())
        # Only now: until the deadline, each may finish the request that it is at.
        for sock in threads.values():
            shut(sock)
        for thread in threads:
            thread.join()
        with self._lock:
            refusing = self._refusing
            for sock in self._refused:
                shut(sock)
        if refusing is not None:
            refusing.join()

    def _begin(self, sock: socket.socket) -> None:
        # Accepted sockets block or not as the system likes: on BSD they inherit it from the listener.
        sock.setblocking(True)
        name = f"sessionlib-serve-{self.port}-{next(self._numbers)}"
        thread = threading.Thread(target=self._run, args=(sock,), name=name, daemon=True)
        with self._lock:
            full = len(self._open) >= self._limit
            if not full and resource is not None:
                soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
                # A descriptor gets the lowest free number, so this one counts all that are open in the process.
                full = soft > 0 and sock.fileno() >= soft - min(self._spare_descriptors, soft // 2)
            # A dict keeps the order in which connections came, so its first one has been silent for longest. It makes
            # room, unless it is so young that its request may be on its way.
            oldest, since = next(iter(self._silent.items()), (None, 0.0))
            silent = None
            if full and oldest is not None and time.monotonic() - since >= _SILENT_SECONDS:
                # Decided under the lock, done outside of it: `send` and `shut` are system calls.
                del self._silent[oldest]
                silent = self._open[oldest]
            admitted = silent is not None or not full
            if admitted:
                self._open[thread] = sock
                self._silent[thread] = time.monotonic()
        if silent is not None:
            self._refusals.warning("! a connection that sent no request was closed: no room for another one")
            with contextlib.suppress(OSError):  # it has just ended by itself
                silent.send(_FULL)
            shut(silent)
        try:
            if admitted:
                thread.start()
                return
            self._refusals.warning(f"! a connection was refused: {len(self._open)} are open")
        except RuntimeError as error:  # the system has no more threads
            self._refusals.warning(f"! cannot serve a connection: {error}")
            with self._lock:
                del self._open[thread], self._silent[thread]
        self._refuse(sock)

    def _refuse(self, sock: socket.socket) -> None:
        # Closing a socket whose input is not read makes the kernel reset the connection, and the answer may be lost: a
        # while is left for the request to come, and for the client to read and to close. No send here can block.
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # the client has left already
            sock.send(_FULL)
            sock.shutdown(socket.SHUT_WR)
        with self._lock:
            if len(self._refused) < _REFUSED:
                self._refused[sock] = Deadline(_SILENT_SECONDS)
            else:
                sock.close()
            if self._refusing is None and self._refused:
                name = f"sessionlib-refuse-{self.port}"
                thread = threading.Thread(target=self._read_refused, name=name, daemon=True)
                try:
                    thread.start()
                    self._refusing = thread
                except RuntimeError:  # the system has no more threads
                    self._refused.popitem()[0].close()

    def _read_refused(self) -> None:
        while True:
            with self._lock:
                if not self._refused:
                    self._refusing = None
                    return
                waiting = dict(self._refused)
            # Sockets that are refused meanwhile join at the next round, and so does the look at deadlines.
            readable = wait_any(Deadline(0.1), readable=list(waiting))
            for sock, deadline in waiting.items():
                try:
                    ended = sock in readable and not sock.recv(65536)
                except OSError:
                    ended = True
                if ended or deadline.expired:
                    with self._lock:
                        del self._refused[sock]
                    sock.close()

    def _run(self, sock: socket.socket) -> None:
        try:
            # Without it, a small frame waits for the ack of the one before, which the peer may delay by 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._serve(sock)
        except OSError as error:
            logger.debug("! a connection broke: %s", error)
        except Exception:
            logger.exception("! serving a connection failed")
        finally:
            with self._lock:
                self._open.pop(threading.current_thread(), None)
                self._silent.pop(threading.current_thread(), None)
            sock.close()
