"""python-socketio's client with its own server: another protocol, of which only the ratios to ours mean something."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import socketio

from tests.benchmarks.peers.common import Figures, Stopwatch, Task, percentiles, serve


@contextmanager
def _joined() -> Iterator[Any]:
    command = [sys.executable, "-m", "tests.benchmarks.peers.socketio_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split()[1]
        client = socketio.Client(reconnection=False)
        client.connect(f"http://127.0.0.1:{port}", transports=["websocket"])
        try:
            yield client
        finally:
            client.disconnect()
            server.terminate()


def throughput(task: Task) -> Figures:
    """Counts the events of a blast, as the handlers get them."""
    ended, events, watch = threading.Event(), [0], Stopwatch()

    def delta(data: object) -> None:
        events[0] += 1

    with _joined() as client:
        client.on("delta", delta)
        client.on("end", lambda data: ended.set())
        for count in (task["count"] // 20 + 1, task["count"]):
            events[0] = 0
            ended.clear()
            watch.start()
            client.emit("blast", (task["size"], count))
            ended.wait()
            watch.stop()
    return watch.rates(events[0])


def roundtrip(task: Task) -> Figures:
    """Times from an emit to its echo."""
    came = threading.Event()
    with _joined() as client:
        client.on("delta", lambda data: came.set())
        trips = []
        for _ in range(task["count"]):
            came.clear()
            began = time.perf_counter()
            client.emit("echo")
            came.wait()
            trips.append(time.perf_counter() - began)
    return percentiles(trips)


if __name__ == "__main__":
    serve({"throughput": throughput, "roundtrip": roundtrip})
