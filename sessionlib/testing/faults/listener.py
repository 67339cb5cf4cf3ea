"""A loopback port that accepts until stopped."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from sessionlib.testing.faults.waiting import Waker, wait_io

__all__ = ["FaultListener"]


class FaultListener:
    """Accepts connections on a thread of its own, from construction to ``stop``.

    Args:
        adopt: Takes each accepted socket.
        port: The port; 0 takes a free one.
        name: Of the thread.
        host: The loopback address to listen on.
    """

    def __init__(self, adopt: Callable[[socket.socket], None], port: int, name: str, host: str = "127.0.0.1") -> None:
        self._adopt = adopt
        self._waker = Waker()
        self._sock = socket.create_server((host, port), backlog=1024)
        self._sock.setblocking(False)
        self.port: int = self._sock.getsockname()[1]
        # A daemon, so that a test that is killed in the middle does not hang the run.
        self._thread = threading.Thread(target=self._accept, name=name, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            wait_io(self._sock, self._waker)
            if self._waker.is_set():
                return
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self._adopt(self._sock.accept()[0])

    def stop(self) -> None:
        """Refuses connections from now on; what was accepted is not touched."""
        self._waker.set()
        self._thread.join()
        self._sock.close()
        self._waker.close()
