"""FaultProxy: faults on the wire, for code that has to withstand them."""

from __future__ import annotations

import random
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sessionlib.client import Client
from sessionlib.config import ApiKey
from sessionlib.net.listener import TcpListener
from sessionlib.testing.faults.connection import JOIN_TIMEOUT, ProxiedConnection, reset
from sessionlib.testing.faults.toxics import Direction, How

if TYPE_CHECKING:
    from sessionlib.engine import LocalEngine

__all__ = ["FaultProxy"]


class FaultProxy:
    """A TCP proxy on a loopback port that delays, changes and disconnects what passes through it.

    A context manager; it listens inside its block. Each connection through it has two threads, which copy
    bytes, ``upstream`` from the client to the engine and ``downstream`` back, and each direction has its own faults,
    which may be set and cleared at any time::

        with LocalEngine() as engine, FaultProxy.in_front_of(engine) as proxy:
            agent = Agent.fetch(name="Support", client=proxy.client(engine.api_key))
            with agent.create_session() as session:
                proxy.downstream.limit_data(100, how="RST", times=1)
                session.ask("Hello!")

    Args:
        upstream_host: Where the engine is.
        upstream_port: Where the engine is.
        seed: Seeds jitter and ``shuffle``; None (the default) draws one. It is printed when the block raises.
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
        # Shown when a block fails, so that the same faults can be had again.
        self.seed = random.SystemRandom().randrange(2**32) if seed is None else seed
        self.upstream = Direction("upstream")
        self.downstream = Direction("downstream")
        self.host = host
        self.port = port
        self._target = (upstream_host, upstream_port)
        self._rng = random.Random(self.seed)
        # Protects the connections; notified of each new one.
        self._changed = threading.Condition(threading.Lock())
        self._connections: list[ProxiedConnection] = []
        self._listener: TcpListener | None = None
        # The engine refuses a Host that it does not know, and clients name the proxy's.
        self._introduce: Callable[[str], object] = lambda authority: None

    @classmethod
    def in_front_of(cls, engine: LocalEngine, *, seed: int | None = None) -> FaultProxy:
        """Makes a proxy for an engine that runs, and has the engine answer to its address.

        Args:
            engine: The engine.
            seed: As for the constructor.

        Raises:
            EngineError: The engine is not running.
        """
        proxy = cls(urlsplit(engine.base_url).hostname or "", engine.port, seed=seed)
        proxy._introduce = engine.allow_host
        return proxy

    def __enter__(self) -> FaultProxy:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_listening()
        for connection in self.connections:
            connection.end()
        # All were ended before the first is waited for.
        stuck = [line for connection in self.connections for line in connection.join()]
        if error is not None:
            sys.stderr.write("\n".join([f"FaultProxy(seed={self.seed})", *stuck, ""]))
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

    def client(self, api_key: ApiKey | None = None, **options: Any) -> Client:
        """Makes a client of the engine, through the proxy.

        Args:
            api_key: The key; else the environment's.
            **options: Further arguments of `Client`.
        """
        return Client(api_key, self.base_url, self.ws_url, **options)

    @property
    def connections(self) -> list[ProxiedConnection]:
        """Every connection so far, over or not."""
        with self._changed:
            return list(self._connections)

    @property
    def bytes_up(self) -> int:
        """Bytes passed to the engine by all connections."""
        return sum(connection.up for connection in self.connections)

    @property
    def bytes_down(self) -> int:
        """Bytes passed to clients by all connections."""
        return sum(connection.down for connection in self.connections)

    def wait_connection(self, count: int = 1, timeout: float = 5.0) -> ProxiedConnection:
        """Waits until so many connections were made since the start, and returns the newest.

        Args:
            count: How many; 1 by default.
            timeout: Seconds to wait; 5 by default.

        Raises:
            TimeoutError: There were fewer.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._connections) >= count, timeout):
                raise TimeoutError(f"{len(self._connections)} instead of {count} connections within {timeout} s")
            return self._connections[-1]

    # Former names, for tests that users have written.
    links = connections
    wait_link = wait_connection

    def reset(self) -> None:
        """Ends every connection with a RST to both sides."""
        _end_all(self.connections, "RST")

    def cut(self) -> None:
        """Closes every connection at once."""
        _end_all(self.connections, "FIN")

    def down(self, how: How = "RST") -> None:
        """Ends every connection and refuses connections.

        Args:
            how: "RST" resets both sides, "FIN" closes in order.
        """
        self._stop_listening()
        _end_all(self.connections, how)

    def up(self) -> None:
        """Accepts connections again, on the same port as before."""
        if self._listener is None:
            self._listener = TcpListener(self._adopt, self.port, self.host, name="fault-proxy-accept").start()
            # Kept, so that `up` after `down` has the address that clients know.
            self.port = self._listener.port
            self._introduce(f"{self.host}:{self.port}")

    def blackhole(self) -> None:
        """Holds back everything in both directions."""
        self.upstream.blackhole()
        self.downstream.blackhole()

    def clear(self) -> None:
        """Removes all faults, in both directions."""
        self.upstream.clear()
        self.downstream.clear()

    def shuffle(self) -> str:
        """Replaces the faults by random ones, which may end connections but change no byte.

        Returns:
            What they are, for the message of a failing test.

        Example:
            ``for _ in range(100): proxy.shuffle(); time.sleep(0.2)``
        """
        self.clear()
        direction = self._rng.choice([self.upstream, self.downstream])
        rng = self._rng
        moods: list[tuple[str, Callable[[], None]]] = [
            ("calm", lambda: None),
            ("latency", lambda: direction.latency(rng.uniform(1, 50), rng.uniform(0, 30))),
            ("bandwidth", lambda: direction.bandwidth(rng.uniform(5_000, 500_000))),
            ("slicer", lambda: direction.slicer(rng.randrange(1, 50), rng.uniform(0, 0.001))),
            ("blackhole", direction.blackhole),
            ("limit with FIN", lambda: direction.limit_data(rng.randrange(3000), "FIN", times=1)),
            ("limit with RST", lambda: direction.limit_data(rng.randrange(3000), "RST", times=1)),
            ("slow close", lambda: direction.slow_close(rng.uniform(1, 100))),
            ("reset", self.reset),
        ]
        name, apply = rng.choice(moods)
        apply()
        return f"{direction.name}: {name}"

    def _adopt(self, client: socket.socket) -> None:
        try:
            # On the accepting thread: the engine is on this machine, and connecting takes no time worth another.
            engine = socket.create_connection(self._target, timeout=5)
        except OSError:
            # As it would be without a proxy, where nothing listens on the port.
            reset(client)
            return
        with self._changed:
            connection = ProxiedConnection(
                client, engine, len(self._connections) + 1, (self.upstream, self.downstream), self.seed
            )
            self._connections.append(connection)
            self._changed.notify_all()
        connection.start()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.stop()
            self._listener = None


def _end_all(connections: Sequence[ProxiedConnection], how: How) -> None:
    for connection in connections:
        # All first, so that none waits for another's end.
        connection.end(how)
    for connection in connections:
        connection.over.wait(JOIN_TIMEOUT)
