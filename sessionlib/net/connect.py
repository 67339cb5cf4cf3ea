"""From a host name to a connected socket within one deadline, for HTTP and for WebSockets."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionDisconnectedError
from sessionlib.net.sockets import wait_any

__all__ = ["Address", "CancelToken", "connect", "resolve", "shut"]

Address = tuple[Any, ...]
"""One entry of what `socket.getaddrinfo` returns."""


def shut(sock: socket.socket) -> None:
    """Shuts a connection down both ways, waking threads that read, write or connect; the descriptor stays."""
    # Not the method of an SSLSocket, which would take the TLS layer off under a thread that reads.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class CancelToken:
    """One try to connect, which another thread may cancel while it waits."""

    def __init__(self) -> None:
        # Protects what the attempt waits for, and whether it was cancelled.
        self._lock = threading.Lock()
        # An attempt waits for one thing at a time: a look-up in another thread, then sockets, then one socket.
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
            # The flag first: a thread that is about to wait registers what it waits for, and then looks at the flag.
            self._cancelled = True
            if self._end is not None:
                self._end()
            if self._waits_for is not None:
                self._waits_for.set()

    def hold(self, sock: socket.socket) -> None:
        """Has `cancel` shut down the socket that is being connected.

        Raises:
            SessionDisconnectedError: The attempt was cancelled.
        """
        self.end_by(partial(shut, sock))

    def end_by(self, end: Callable[[], object]) -> None:
        """Has `cancel` call a function, which must not block.

        Raises:
            SessionDisconnectedError: The attempt was cancelled.
        """
        with self._lock:
            self._end = end
        # Behind the registration: a `cancel` that came before it found nothing to end.
        self.check()

    def check(self) -> None:
        """Raises if the attempt was cancelled.

        Raises:
            SessionDisconnectedError: It was.
        """
        if self._cancelled:
            raise SessionDisconnectedError("the session was disconnected while it was connecting")

    def wait_for(self, done: threading.Event, deadline: Deadline) -> bool:
        """Waits for an event that a helper thread sets; returns False when the deadline came first.

        Raises:
            SessionDisconnectedError: The attempt was cancelled.
        """
        with self._lock:
            self._waits_for = done
        self.check()
        # The event may be set by `cancel` and not by the thread, which the second check finds out.
        in_time = done.wait(deadline.remaining())
        self.check()
        return in_time


def resolve(host: str, port: int, deadline: Deadline, attempt: CancelToken) -> list[Address]:
    """Resolves a host name.

    Args:
        host: A name, or an address.
        port: The port.
        deadline: When to stop waiting.
        attempt: What another thread can cancel it by.

    Returns:
        The addresses, in the order in which the system prefers them.

    Raises:
        TimeoutError: The name was not resolved in time.
        OSError: It has no address, or no resolver answers.
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
        # The "idna" codec refuses labels that are empty or longer than 63 characters with this, and not with an
        # OSError.
        except UnicodeError:
            self.error = socket.gaierror(socket.EAI_NONAME, "not a host name")
        finally:
            self.done.set()


# RFC 8305, 8: how long one address gets before the next is tried beside it.
_HEAD_START = 0.25


def connect(
    addresses: Sequence[Address],
    deadline: Deadline,
    attempt: CancelToken,
    options: Sequence[tuple[int, int, int | bytes]] = (),
) -> socket.socket:
    """Connects to the first of several addresses that answers ("happy eyeballs", RFC 8305).

    An address that fails is followed by the next at once, one that does not answer after 250 ms, and goes on being
    tried beside it.

    Args:
        addresses: The addresses, best first.
        deadline: When to stop.
        attempt: What another thread can cancel it by.
        options: The socket's options: each its level, its name and its value.

    Returns:
        The connected socket, its timeout what is left of the deadline.

    Raises:
        TimeoutError: None answered in time.
        OSError: None can be connected to; the error of the last one that failed.
        SessionDisconnectedError: The attempt was cancelled.
    """
    # What is raised when there is nothing to try; else that of the last address that failed.
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "the name has no address")
    left = _interleaved(addresses) if len(addresses) > 1 else list(addresses)
    racing: list[socket.socket] = []

    def stop() -> None:
        for sock in tuple(racing):
            shut(sock)

    attempt.end_by(stop)
    try:
        while left or racing:
            # Without an end: behind the last address there is none that could be tried meanwhile.
            head_start = Deadline(None)
            if left:
                family, kind, protocol, _, address = left.pop(0)
                head_start = Deadline(_HEAD_START) if left else head_start
                try:
                    racing.append(socket.socket(family, kind, protocol))
                except OSError as error:  # no such family here, or no more descriptors
                    failure = error
                    continue
                attempt.check()  # now that `stop` would find it
                try:
                    _begin(racing[-1], address, options)
                except OSError as error:  # no route, or refused at once
                    racing.pop().close()
                    failure = error
                    continue
            while racing:
                # A socket becomes writable when its attempt has ended, well or not; SO_ERROR has how (connect(2),
                # EINPROGRESS).
                ready = wait_any(head_start.sooner(deadline.remaining()), writable=racing)
                attempt.check()
                for sock in ready:
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    racing.remove(sock)
                    if not code:
                        return _won(sock, deadline, attempt)
                    sock.close()
                    failure = OSError(code, os.strerror(code))  # the subclass of its number
                if deadline.expired:
                    raise TimeoutError("no address answered in time") from failure
                if left and (ready or head_start.expired):
                    break
        raise failure
    finally:
        for sock in racing:
            sock.close()


def _interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Alternates the families, the first one's first (RFC 8305, 4): one that is broken is not tried to its end."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    second = [address for address in addresses if address[0] != addresses[0][0]]
    pairs = itertools.zip_longest(first, second)
    return [address for pair in pairs for address in pair if address is not None]


def _begin(sock: socket.socket, address: Any, options: Sequence[tuple[int, int, int | bytes]]) -> None:
    # So that several attempts run beside each other on one thread; the kernel goes on with each.
    sock.setblocking(False)
    for option in options:
        sock.setsockopt(*option)
    with contextlib.suppress(BlockingIOError):
        sock.connect(address)


def _won(sock: socket.socket, deadline: Deadline, attempt: CancelToken) -> socket.socket:
    try:
        attempt.hold(sock)
        # A timeout of 0 would make the socket non-blocking, and a handshake on it fail at once.
        left = deadline.remaining()
        sock.settimeout(None if left is None else max(left, 0.001))
    except BaseException:
        sock.close()
        raise
    return sock
