"""Faults on the wire: a proxy that breaks what passes through it, and a clock that obeys.

A link is one connection through the proxy. Its two pump threads copy bytes, ``upstream`` from the
client to the engine and ``downstream`` back, and each direction has its own toxics, which may be set
and cleared at any time.

Example:
    ::

        with ScriptEngine() as engine, ChaosProxy("127.0.0.1", engine.port) as proxy:
            proxy.downstream.limit_data(100, how="RST", times=1)
            session = Session(session_id="s1", api_key="k", ws_url=proxy.ws_url)
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Literal, Protocol

from .leaks import stack
from .listener import Listener
from .waiting import Waker, eventually, wait_io

__all__ = ["ChaosProxy", "Direction", "FakeClock", "Link"]

How = Literal["FIN", "RST"]

CHUNK = 1 << 16
LINGER = 1.0
JOIN_TIMEOUT = 5.0


class _Over(Exception):
    """The link has ended; its pumps return."""


# ---- toxics --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Toxics:
    """What one direction does to the bytes; the methods of Direction say what each means."""

    latency: float = 0.0
    jitter: float = 0.0
    bandwidth: float | None = None
    slice_size: int | None = None
    slice_delay: float = 0.0
    limit: int | None = None
    limit_how: How = "FIN"
    limit_serial: int = 0
    blackhole: bool = False
    close_delay: float = 0.0
    corruptions: tuple[tuple[int, int], ...] = ()
    repeats: tuple[tuple[int, int | None], ...] = ()


class Direction:
    """One direction of every link; each method adds a toxic, ``clear`` takes all away."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._changed = threading.Condition()  # protects all below, and tells of each change
        self._toxics = Toxics()
        self._cuts_left: int | None = None
        self._limits = 0

    def __repr__(self) -> str:
        return f"<{self.name} {self._toxics}>"

    def latency(self, ms: float, jitter: float = 0.0) -> None:
        """Delays all bytes by ``ms``, give or take up to ``jitter``, keeping their order."""
        self._set(latency=ms / 1000, jitter=jitter / 1000)

    def bandwidth(self, bytes_per_second: float) -> None:
        """Lets through so many bytes a second."""
        self._set(bandwidth=bytes_per_second)

    def slicer(self, size: int, delay: float = 0.0) -> None:
        """Writes ``size`` bytes at a time, with ``delay`` seconds after each."""
        self._set(slice_size=size, slice_delay=delay)

    def limit_data(self, count: int, how: How = "FIN", *, times: int | None = None) -> None:
        """Cuts a link once so many of its bytes have passed in this direction.

        Args:
            count: Bytes that pass; 0 cuts before the first.
            how: "FIN" ends both directions in order, "RST" resets both sides.
            times: How many links to cut; None cuts all.
        """
        with self._changed:
            self._cuts_left = times
            self._limits += 1
            self._set(limit=count, limit_how=how, limit_serial=self._limits)

    def blackhole(self) -> None:
        """Holds back everything, ends included, until ``clear``: a cable that was pulled out."""
        self._set(blackhole=True)

    def slow_close(self, ms: float) -> None:
        """Passes on a FIN only after ``ms``."""
        self._set(close_delay=ms / 1000)

    def corrupt(self, offset: int, xor: int = 0xFF) -> None:
        """Changes the byte at an offset of each link, counted from its start."""
        self._add(corruptions=((offset, xor),))

    def dup(self, offset: int = 0, size: int | None = None) -> None:
        """Sends the bytes at an offset of each link twice; without a size, to the end of their chunk."""
        self._add(repeats=((offset, size),))

    def clear(self) -> None:
        """Takes all toxics away; what was held back goes on its way."""
        with self._changed:
            self._toxics = Toxics()
            self._changed.notify_all()

    @property
    def toxics(self) -> Toxics:
        """The toxics now."""
        with self._changed:
            return self._toxics

    def _set(self, **toxics: object) -> None:
        with self._changed:
            self._toxics = replace(self._toxics, **toxics)  # type: ignore[arg-type]
            self._changed.notify_all()

    def _add(
        self,
        corruptions: tuple[tuple[int, int], ...] = (),
        repeats: tuple[tuple[int, int | None], ...] = (),
    ) -> None:
        now = self.toxics
        self._set(corruptions=now.corruptions + corruptions, repeats=now.repeats + repeats)

    def _take_cut(self) -> bool:
        # True when this link is one of those to be cut.
        with self._changed:
            if self._cuts_left == 0:
                return False
            if self._cuts_left is not None:
                self._cuts_left -= 1
            return True

    def _wait_while_held(self, waker: Waker) -> None:
        with self._changed:
            while self._toxics.blackhole and not waker.is_set():
                self._changed.wait()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


# ---- a link and its pumps ------------------------------------------------------------------


class Link:
    """One connection through the proxy.

    Attributes:
        number: From 1, in the order of arrival.
        up: Bytes passed to the engine.
        down: Bytes passed to the client.
        over: Set once both sockets are closed.
    """

    def __init__(self, proxy: ChaosProxy, client: socket.socket, engine: socket.socket, number: int) -> None:
        self.number = number
        self.over = threading.Event()
        self.waker = Waker()
        self.cut = False
        self.live = 2
        self._how: How = "FIN"
        self._lock = threading.Lock()  # protects live
        self._sockets = (client, engine)
        for sock in self._sockets:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._directions = (proxy.upstream, proxy.downstream)
        self._pumps = [
            _Pump(self, client, engine, proxy.upstream, random.Random(f"{proxy.seed}/{number}/up")),
            _Pump(self, engine, client, proxy.downstream, random.Random(f"{proxy.seed}/{number}/down")),
        ]
        self._threads = [
            threading.Thread(target=pump.run, name=f"chaos-{pump.direction.name}-{number}", daemon=True)
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
            self._how = how
            self.waker.set()
        for direction in self._directions:
            direction._wake()

    def finish_both(self) -> None:
        """Sends a FIN both ways; what still comes is discarded."""
        self.cut = True
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
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self.over.set()

    def join(self) -> list[str]:
        """Waits for the pumps; says which did not return."""
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT)
        stuck = [thread for thread in self._threads if thread.is_alive()]
        if not stuck:
            self.waker.close()
        return [f"{thread.name} still runs:\n{stack(thread)}" for thread in stuck]


class _Pump:
    """Copies one direction of one link, through its toxics."""

    def __init__(
        self,
        link: Link,
        source: socket.socket,
        target: socket.socket,
        direction: Direction,
        rng: random.Random,
    ) -> None:
        self.direction = direction
        self.passed = 0
        self._link = link
        self._source = source
        self._target = target
        self._rng = rng
        self._taken = 0
        self._ended = False
        self._limited = False
        self._limit_serial = 0
        self._pending: deque[tuple[float, bytes]] = deque()

    def run(self) -> None:
        """Copies until the link is over."""
        try:
            while self._pending or not self._ended:
                self._step()
            self._pass_on_the_end()
        except _Over:
            pass
        except OSError:
            # One side is gone without a FIN; the other learns it the same way.
            self._link.end("RST")
        finally:
            self._link.leave()

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
        self.direction._wait_while_held(self._link.waker)
        self._check()

    def _check(self) -> None:
        if self._link.waker.is_set():
            raise _Over

    def _sleep(self, seconds: float) -> None:
        self._link.waker.wait(seconds)
        self._check()

    # -- in --

    def _read(self, timeout: float | None) -> None:
        ready = wait_io(self._source, self._link.waker, timeout=timeout)
        self._check()
        # A toxic set while nothing came holds for what has come now.
        if not ready or self.direction.toxics.blackhole:
            return
        data = self._receive()
        if data and not self._link.cut:
            self._pending.append((self._due(), self._spoil(data)))

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
        return max(drawn, self._pending[-1][0]) if self._pending else drawn

    def _spoil(self, data: bytes) -> bytes:
        toxics, start = self.direction.toxics, self._taken
        self._taken += len(data)
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
        return bytes(spoiled)

    # -- out --

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._hold()
            self._cut_at_limit()
            if self._link.cut:
                return
            size = self._send(view[: self._slice()])
            view = view[size:]
            self._pace(size)

    def _send(self, view: memoryview) -> int:
        wait_io(self._target, self._link.waker, write=True)
        self._check()
        try:
            size = self._target.send(view)
        except BlockingIOError:
            return 0
        except OSError:
            if self._link.cut:
                return len(view)
            raise
        self.passed += size
        return size

    def _slice(self) -> int:
        toxics = self.direction.toxics
        sizes = [CHUNK]
        if toxics.slice_size:
            sizes.append(toxics.slice_size)
        if toxics.bandwidth:
            sizes.append(max(1, int(toxics.bandwidth / 50)))
        if toxics.limit is not None and self._limited:
            sizes.append(max(1, toxics.limit - self.passed))
        return min(sizes)

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
        if toxics.limit is None or self._link.cut:
            return
        if self._limit_serial != toxics.limit_serial:
            self._limit_serial = toxics.limit_serial
            self._limited = self.direction._take_cut()
        if self._limited and self.passed >= toxics.limit:
            if toxics.limit_how == "FIN":
                self._finish_gently()
            self._link.end(toxics.limit_how)
            raise _Over

    def _finish_gently(self) -> None:
        # Closing a socket with unread bytes sends a RST, so what still comes is read for a while.
        self._link.finish_both()
        self._pending.clear()
        end = time.monotonic() + LINGER
        while time.monotonic() < end and not (self._ended and self._link.live == 1):
            if wait_io(None if self._ended else self._source, self._link.waker, timeout=0.02):
                self._receive()
            self._check()

    def _pass_on_the_end(self) -> None:
        if delay := self.direction.toxics.close_delay:
            self._sleep(delay)
        self._hold()
        with contextlib.suppress(OSError):
            self._target.shutdown(socket.SHUT_WR)


# ---- the proxy -----------------------------------------------------------------------------


class ChaosProxy:
    """A TCP proxy on a loopback port that breaks what passes through it; a context manager.

    Args:
        upstream_host: Where the engine is.
        upstream_port: Where the engine is.
        seed: What jitter and ``shuffle`` are drawn from; drawn itself when None, and printed when the
            block fails.
        host: The loopback address to listen on.
        port: The port; 0 takes a free one.

    Attributes:
        upstream: The direction from the client to the engine.
        downstream: The direction from the engine to the client.
        host: Where clients connect.
        port: Where clients connect.
    """

    def __init__(
        self,
        upstream_host: str,
        upstream_port: int,
        *,
        seed: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.seed = random.SystemRandom().randrange(2**32) if seed is None else seed
        self.upstream = Direction("upstream")
        self.downstream = Direction("downstream")
        self.host = host
        self.port = port
        self._target = (upstream_host, upstream_port)
        self._rng = random.Random(self.seed)
        self._lock = threading.Lock()  # protects _links
        self._links: list[Link] = []
        self._listener: Listener | None = None

    def __enter__(self) -> ChaosProxy:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_listening()
        for link in self.links:
            link.end()
        stuck = [line for link in self.links for line in link.join()]
        if error is not None:
            print(f"ChaosProxy(seed={self.seed})", *stuck, sep="\n", file=sys.stderr)
        elif stuck:
            raise AssertionError("\n".join(stuck))

    @property
    def ws_url(self) -> str:
        """The WebSocket base of the engine, through the proxy."""
        return f"ws://{self.host}:{self.port}/v1"

    @property
    def base_url(self) -> str:
        """The HTTP base of the engine, through the proxy."""
        return f"http://{self.host}:{self.port}/v1"

    @property
    def links(self) -> list[Link]:
        """Every link so far, over or not."""
        with self._lock:
            return list(self._links)

    @property
    def bytes_up(self) -> int:
        """Bytes passed to the engine by all links."""
        return sum(link.up for link in self.links)

    @property
    def bytes_down(self) -> int:
        """Bytes passed to clients by all links."""
        return sum(link.down for link in self.links)

    def wait_link(self, count: int = 1, timeout: float = 5.0) -> Link:
        """Waits until so many links were made since the start; gives the newest.

        Raises:
            TimeoutError: They were not.
        """
        if not eventually(lambda: len(self.links) >= count, timeout):
            raise TimeoutError(f"{len(self.links)} instead of {count} links within {timeout} s")
        return self.links[-1]

    def reset(self) -> None:
        """Ends every link with a RST to both sides."""
        self._end_all("RST")

    def cut(self) -> None:
        """Closes every link at once."""
        self._end_all("FIN")

    def down(self, how: How = "RST") -> None:
        """Ends every link and refuses connections."""
        self._stop_listening()
        self._end_all(how)

    def up(self) -> None:
        """Takes connections, on the same port as before."""
        if self._listener is None:
            self._listener = Listener(self._adopt, self.port, "chaos-accept", self.host)
            self.port = self._listener.port

    def blackhole(self) -> None:
        """Holds back everything both ways."""
        self.upstream.blackhole()
        self.downstream.blackhole()

    def clear(self) -> None:
        """Takes all toxics away, both ways."""
        self.upstream.clear()
        self.downstream.clear()

    def shuffle(self) -> str:
        """Replaces the toxics by drawn ones that lose links but change no byte; says which.

        Example:
            ``for _ in range(100): proxy.shuffle(); time.sleep(0.2)``
        """
        self.clear()
        direction = self._rng.choice([self.upstream, self.downstream])
        name, apply = self._rng.choice(_moods(self, direction, self._rng))
        apply()
        return f"{direction.name}: {name}"

    def _adopt(self, client: socket.socket) -> None:
        try:
            engine = socket.create_connection(self._target, timeout=5)
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            return
        with self._lock:
            link = Link(self, client, engine, len(self._links) + 1)
            self._links.append(link)
        link.start()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    def _end_all(self, how: How) -> None:
        for link in self.links:
            link.end(how)
        for link in self.links:
            link.over.wait(JOIN_TIMEOUT)


def _moods(proxy: ChaosProxy, direction: Direction, rng: random.Random) -> list[tuple[str, Callable[[], None]]]:
    return [
        ("calm", lambda: None),
        ("latency", lambda: direction.latency(rng.uniform(1, 50), rng.uniform(0, 30))),
        ("bandwidth", lambda: direction.bandwidth(rng.uniform(5_000, 500_000))),
        ("slicer", lambda: direction.slicer(rng.randrange(1, 50), rng.uniform(0, 0.001))),
        ("blackhole", direction.blackhole),
        ("limit with FIN", lambda: direction.limit_data(rng.randrange(3000), "FIN", times=1)),
        ("limit with RST", lambda: direction.limit_data(rng.randrange(3000), "RST", times=1)),
        ("slow close", lambda: direction.slow_close(rng.uniform(1, 100))),
        ("reset", proxy.reset),
    ]


# ---- time ----------------------------------------------------------------------------------


class _Settable(Protocol):
    def is_set(self) -> bool: ...


@dataclass
class FakeClock:
    """Time that passes only when someone sleeps, so that hours of retries run in milliseconds.

    Pass its methods where code takes ``time.monotonic``, ``time.sleep`` or ``random.uniform``.

    Attributes:
        now: What the clock shows.
        sleeps: Every sleep and wait so far, in seconds.
        draws: Every range asked of ``uniform`` so far.
        fraction: Where in its range a draw lies, 0.0 to 1.0; None draws from ``rng``.
        rng: What draws.

    Example:
        ``clock = FakeClock(fraction=1.0); Backoff(uniform=clock.uniform)``
    """

    now: float = 1000.0
    sleeps: list[float] = field(default_factory=list)
    draws: list[tuple[float, float]] = field(default_factory=list)
    fraction: float | None = None
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)  # protects all of it

    def monotonic(self) -> float:
        """Tells the time."""
        with self._lock:
            return self.now

    def sleep(self, seconds: float) -> None:
        """Lets the time pass at once."""
        with self._lock:
            self.sleeps.append(seconds)
            self.now += max(0.0, seconds)

    def wait(self, event: _Settable, timeout: float) -> bool:
        """Stands in for ``event.wait(timeout)``: the time is over at once unless the event is set."""
        if not event.is_set():
            self.sleep(timeout)
        return event.is_set()

    def advance(self, seconds: float) -> None:
        """Moves the clock without a sleep; backwards too."""
        with self._lock:
            self.now += seconds

    def uniform(self, low: float, high: float) -> float:
        """Draws from a range."""
        with self._lock:
            self.draws.append((low, high))
            if self.fraction is None:
                return self.rng.uniform(low, high)
            return low + (high - low) * self.fraction
