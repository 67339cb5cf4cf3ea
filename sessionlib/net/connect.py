"""From a host name to a connected socket within one deadline, for HTTP and for WebSockets."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionDisconnectedError

__all__ = ["Address", "CancelToken", "connect", "resolve", "shut"]

Address = tuple[Any, ...]
"""What `socket.getaddrinfo` tells of one address."""


def shut(sock: socket.socket) -> None:
    """Ends a connection both ways, waking whoever reads, writes or connects; the descriptor stays."""
    # Not the method of an SSLSocket, which would take the TLS layer off under a thread that reads.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class CancelToken:
    """One try to connect, which another thread may cancel while it waits."""

    def __init__(self) -> None:
        # Protects what the attempt waits for, and whether it was cancelled.
        self._lock = threading.Lock()
        self._end: Callable[[], object] | None = None
        self._waits_for: threading.Event | None = None
        self._cancelled = False

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled

    def cancel(self) -> None:
        """Makes the attempt fail at once, wherever it is."""
        with self._lock:
            self._cancelled = True
            if self._end is not None:
                self._end()
            if self._waits_for is not None:
                self._waits_for.set()

    def hold(self, sock: socket.socket) -> None:
        """Notes the socket that is being connected.

        Raises:
            SessionDisconnectedError: The attempt was cancelled.
        """
        self.end_by(partial(shut, sock))

    def end_by(self, end: Callable[[], object]) -> None:
        """Notes how to end what is being connected; it must not wait.

        Raises:
            SessionDisconnectedError: The attempt was cancelled.
        """
        with self._lock:
            self._end = end
        self.check()

    def check(self) -> None:
        """Makes sure that the attempt was not cancelled.

        Raises:
            SessionDisconnectedError: It was.
        """
        if self._cancelled:
            raise SessionDisconnectedError("the session was disconnected while it was connecting")

    def wait_for(self, done: threading.Event, deadline: Deadline) -> bool:
        """Waits for what a helper thread does; False when the deadline came first.

        Raises:
            SessionDisconnectedError: The attempt was cancelled.
        """
        with self._lock:
            self._waits_for = done
        self.check()
        in_time = done.wait(deadline.remaining())
        self.check()
        return in_time


def resolve(host: str, port: int, deadline: Deadline, attempt: CancelToken) -> list[Address]:
    """Gives the addresses of a host.

    Args:
        host: A name, or an address.
        port: The port.
        deadline: When to give up.
        attempt: What another thread can cancel it by.

    Raises:
        TimeoutError: The name was not resolved in time.
        OSError: It has no address, or nobody can be asked.
        SessionDisconnectedError: The attempt was cancelled.
    """
    with contextlib.suppress(OSError, UnicodeError):  # a numeric address needs no resolver, and so no thread
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    lookup = _Lookup(host, port)
    if not attempt.wait_for(lookup.done, deadline):
        raise TimeoutError(f"the name {host} was not resolved in time")
    if lookup.error is not None:
        raise lookup.error
    return lookup.addresses


class _Lookup:
    """A name resolution in a thread of its own, because getaddrinfo takes no timeout and cannot be interrupted."""

    def __init__(self, host: str, port: int) -> None:
        self.addresses: list[Address] = []
        self.error: OSError | None = None
        self._host = host
        self._port = port
        self.done = threading.Event()
        # A daemon: a resolver that hangs for a minute must not hold up the interpreter's exit.
        thread = threading.Thread(target=self._run, name=f"sessionlib-resolve-{host}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads
            raise OSError(str(error)) from error

    def _run(self) -> None:
        try:
            self.addresses = list(socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM))
        except OSError as error:
            self.error = error
        except UnicodeError:
            self.error = socket.gaierror(socket.EAI_NONAME, "not a host name")
        finally:
            self.done.set()


def connect(
    addresses: Sequence[Address],
    deadline: Deadline,
    attempt: CancelToken,
    options: Sequence[tuple[int, int, int | bytes]] = (),
) -> socket.socket:
    """Connects to the first of some addresses that answers.

    Args:
        addresses: The addresses.
        deadline: When to give up.
        attempt: What another thread can cancel it by.
        options: The socket's options: each its level, its name and its value.

    Raises:
        TimeoutError: None answered in time.
        OSError: None can be connected to; what the last one said.
        SessionDisconnectedError: The attempt was cancelled.
    """
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "the name has no address")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        left = deadline.remaining()
        # An address that does not answer must leave time for those behind it.
        share = deadline if left is None else deadline.sooner(left / (len(addresses) - tried))
        try:
            return _connect(socket.socket(family, kind, protocol), address, share, attempt, options)
        except OSError as error:
            attempt.check()
            failure = error
    if deadline.expired:
        raise TimeoutError("no address answered in time") from failure
    raise failure


def _connect(
    sock: socket.socket,
    address: Any,
    deadline: Deadline,
    attempt: CancelToken,
    options: Sequence[tuple[int, int, int | bytes]],
) -> socket.socket:
    try:
        attempt.hold(sock)
        for option in options:
            sock.setsockopt(*option)
        left = deadline.remaining()
        sock.settimeout(None if left is None else max(left, 0.001))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock
