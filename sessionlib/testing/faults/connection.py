"""One connection through a proxy, and the two threads that copy its bytes."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import sys
import threading
import time
import traceback
from collections import deque

from sessionlib._util.timing import Deadline
from sessionlib.net.sockets import Waker, wait_readable, wait_writable
from sessionlib.testing.faults.toxics import Direction, How

__all__ = ["ProxiedConnection", "reset", "stack"]

CHUNK = 1 << 16
LINGER = 1.0
# A pump that is still there then hangs, and a test should fail with where it does.
JOIN_TIMEOUT = 5.0


class _OverError(Exception):
    """The connection has ended; its pumps return."""


class ProxiedConnection:
    """One connection through the proxy.

    Args:
        client: The client's side.
        engine: The engine's side.
        number: Its number.
        directions: What is done to the bytes, towards the engine and back.
        seed: What jitter is drawn from.

    Attributes:
        number: From 1, in the order of arrival.
        up: Bytes passed to the engine.
        down: Bytes passed to the client.
        over: Set once both sockets are closed.
    """

    def __init__(
        self,
        client: socket.socket,
        engine: socket.socket,
        number: int,
        directions: tuple[Direction, Direction],
        seed: int,
    ) -> None:
        self.number = number
        self.over = threading.Event()
        self.waker = Waker()
        self.finished = False
        self.live = 2
        self._how: How = "FIN"
        self._lock = threading.Lock()  # protects live
        self._sockets = (client, engine)
        for sock in self._sockets:
            # No read or write blocks, so that the waker ends each wait.
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._directions = directions
        upstream, downstream = directions
        self._pumps = [
            _Pump(self, client, engine, upstream, random.Random(f"{seed}/{number}/up")),
            _Pump(self, engine, client, downstream, random.Random(f"{seed}/{number}/down")),
        ]
        self._threads = [
            threading.Thread(target=pump.run, name=f"fault-proxy-{pump.direction.name}-{number}", daemon=True)
            for pump in self._pumps
        ]

    @property
    def up(self) -> int:
        """Bytes passed to the engine."""
        return self._pumps[0].passed

    @property
    def down(self) -> int:
        """Bytes passed to the client."""
        return self._pumps[1].passed

    def start(self) -> None:
        """Begins to copy."""
        for thread in self._threads:
            thread.start()

    def end(self, how: How = "FIN") -> None:
        """Makes both pumps return, after which the last of them closes the sockets."""
        if not self.waker.is_set():
            # The first reason stands: a side that is reset while it closes would change a FIN into a RST.
            self._how = how
            self.waker.set()
        for direction in self._directions:
            # One that is held by a blackhole waits on the direction, and not on a socket.
            direction.wake()

    def finish_both(self) -> None:
        """Sends a FIN both ways; what still comes is discarded."""
        self.finished = True
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)

    def leave(self) -> None:
        """Counts a pump out; the last one closes."""
        with self._lock:
            self.live -= 1
            if self.live:
                return
        for sock in self._sockets:
            if self._how == "RST":
                reset(sock)
            else:
                sock.close()
        # At once, and not when the proxy ends: there may be thousands of connections before that.
        self.waker.close()
        self.over.set()

    def join(self) -> list[str]:
        """Waits for the pumps; returns a description of each that did not return."""
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT)
        return [f"{thread.name} still runs:\n{stack(thread)}" for thread in self._threads if thread.is_alive()]


def reset(sock: socket.socket) -> None:
    """Closes a socket with a RST."""
    with contextlib.suppress(OSError):
        # SO_LINGER with a time of 0 makes close() send a RST (socket(7)).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def stack(thread: threading.Thread) -> str:
    """Returns where a thread is, for a failure's message; "" when it has ended."""
    frame = sys._current_frames().get(thread.ident or 0)
    return "" if frame is None else "".join(traceback.format_stack(frame))


class _Pump:
    """Copies one direction of one connection, through its toxics."""

    def __init__(
        self,
        connection: ProxiedConnection,
        source: socket.socket,
        target: socket.socket,
        direction: Direction,
        rng: random.Random,
    ) -> None:
        self.direction = direction
        self.passed = 0
        self._connection = connection
        self._source = source
        self._target = target
        self._rng = rng
        self._taken = 0
        self._ended = False
        self._limited = False
        self._limit_serial = 0
        self._pending: deque[tuple[float, bytes]] = deque()

    def run(self) -> None:
        """Copies until the connection is over."""
        try:
            while self._pending or not self._ended:
                self._step()
            # The end, which is a chunk of its own.
            if delay := self.direction.toxics.close_delay:
                self._sleep(delay)
            self._hold()
            with contextlib.suppress(OSError):
                self._target.shutdown(socket.SHUT_WR)
        except _OverError:
            pass
        except OSError:
            # One side has been reset; so is the other, as it would be without a proxy.
            self._connection.end("RST")
        finally:
            self._connection.leave()

    def _step(self) -> None:
        self._hold()
        self._cut_at_limit()
        now = time.monotonic()
        if self._pending and self._pending[0][0] <= now:
            self._write(self._pending.popleft()[1])
        elif self._ended:
            self._sleep(self._pending[0][0] - now)
        else:
            self._read(self._pending[0][0] - now if self._pending else None)

    def _hold(self) -> None:
        self.direction.wait_while_held(self._connection.waker)
        self._check()

    def _check(self) -> None:
        if self._connection.waker.is_set():
            raise _OverError

    def _sleep(self, seconds: float) -> None:
        self._connection.waker.wait(seconds)
        self._check()

    # -- in --

    def _read(self, timeout: float | None) -> None:
        ready = wait_readable(self._source, Deadline(timeout), self._connection.waker)
        self._check()
        # A toxic that was set while nothing arrived applies to what has arrived now.
        if not ready or self.direction.toxics.blackhole:
            return
        data = self._receive()
        if not data or self._connection.finished:
            return
        toxics, start = self.direction.toxics, self._taken
        self._taken += len(data)
        # Offsets count from the start of the connection, and a chunk is some part of it.
        spoiled = bytearray(data)
        for offset, xor in toxics.corruptions:
            if start <= offset < start + len(data):
                spoiled[offset - start] ^= xor
        # From the back, so that what is put in does not move the offsets that are still to come.
        for offset, size in sorted(toxics.repeats, key=lambda repeat: -repeat[0]):
            if start <= offset < start + len(data):
                first = offset - start
                last = len(data) if size is None else min(len(data), first + size)
                spoiled[last:last] = spoiled[first:last]
        self._pending.append((self._due(), bytes(spoiled)))

    def _receive(self) -> bytes:
        try:
            data = self._source.recv(CHUNK)
        except BlockingIOError:
            return b""
        self._ended = not data
        return data

    def _due(self) -> float:
        toxics = self.direction.toxics
        drawn = time.monotonic() + toxics.latency + self._rng.uniform(-toxics.jitter, toxics.jitter)
        # Not before what came earlier: TCP keeps the order, whatever the jitter.
        return max(drawn, self._pending[-1][0]) if self._pending else drawn

    # -- out --

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._hold()
            self._cut_at_limit()
            if self._connection.finished:
                return
            toxics = self.direction.toxics
            sizes = [CHUNK]
            if toxics.slice_size:
                sizes.append(toxics.slice_size)
            if toxics.bandwidth:
                # Fifty slices a second, so that little bandwidth is a trickle and not a burst with a pause behind it.
                sizes.append(max(1, int(toxics.bandwidth / 50)))
            if toxics.limit is not None and self._limited:
                sizes.append(max(1, toxics.limit - self.passed))
            size = self._send(view[: min(sizes)])
            view = view[size:]
            self._pace(size)

    def _send(self, view: memoryview) -> int:
        wait_writable(self._target, Deadline(None), self._connection.waker)
        self._check()
        try:
            size = self._target.send(view)
        except BlockingIOError:
            return 0
        except OSError:
            # After a FIN of ours the peer may have gone; what is left is dropped.
            if self._connection.finished:
                return len(view)
            raise
        self.passed += size
        return size

    def _pace(self, size: int) -> None:
        toxics = self.direction.toxics
        pause = toxics.slice_delay if toxics.slice_size else 0.0
        if toxics.bandwidth:
            pause += size / toxics.bandwidth
        if pause:
            self._sleep(pause)

    # -- the end --

    def _cut_at_limit(self) -> None:
        toxics = self.direction.toxics
        if toxics.limit is None or self._connection.finished:
            return
        if self._limit_serial != toxics.limit_serial:
            self._limit_serial = toxics.limit_serial
            # Asked once for each limit that was set: `times` counts connections.
            self._limited = self.direction.take_cut()
        if self._limited and self.passed >= toxics.limit:
            if toxics.limit_how == "FIN":
                # Closing a socket with unread bytes sends a RST, so what still comes is read for a while.
                self._connection.finish_both()
                self._pending.clear()
                end = time.monotonic() + LINGER
                while time.monotonic() < end and not (self._ended and self._connection.live == 1):
                    if self._ended:
                        self._connection.waker.wait(0.02)
                    elif wait_readable(self._source, Deadline(0.02), self._connection.waker):
                        self._receive()
                    self._check()
            self._connection.end(toxics.limit_how)
            raise _OverError
