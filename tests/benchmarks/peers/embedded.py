"""The embedded engine, with many sessions that stream at once: engine here, all its clients in one child.

The clients only count, so that what is measured is the engine: on two processors it has one for itself.
"""

from __future__ import annotations

import json
import re
import selectors
import subprocess
import sys
from collections.abc import Iterator

import websocket

from sessionlib.protocol import frames
from tests.benchmarks.peers.common import Figures, Stopwatch, Task

_INDEX = re.compile(rb'"index":(\d+)')
_IDLE = b'"status":"Idle"'


def streams(task: Task) -> Figures:
    """Counts the deltas of turns that all run at the same time, each in a session of its own."""
    from sessionlib.engine import LocalEngine
    from sessionlib.engine.models import ModelRequest, Piece, Text

    class Talker:
        """Says a word as often as it is told to."""

        name = "talker"

        def answer(self, question: ModelRequest) -> Iterator[Piece]:
            return (Text(" word") for _ in range(int(question.said[-1].text)))

        def close(self) -> None:
            """Holds nothing."""

    with LocalEngine(model=Talker()) as engine:
        order = {"url": engine.ws_url, "key": engine.api_key, "agent": engine.agent().id, **task}
        command = [sys.executable, "-m", __name__]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as clients:
            assert clients.stdin is not None
            assert clients.stdout is not None
            watch = Stopwatch()
            clients.stdin.write(json.dumps(order) + "\n")
            clients.stdin.flush()
            clients.stdout.readline()
            watch.start()
            clients.stdin.close()
            deltas = int(clients.stdout.readline())
            watch.stop()
    return watch.rates(deltas)


def _count(task: Task) -> None:
    """Joins so many sessions, says so, and counts when told to."""
    sockets = [_join(task) for _ in range(task["sessions"])]
    print("joined", flush=True)
    sys.stdin.read()
    print(sum(_listen(sockets, task["deltas"])), flush=True)


def _join(task: Task) -> websocket.WebSocket:
    header = [f"Authorization: Bearer {task['key']}"]
    ws = websocket.create_connection(task["url"] + "/ws/session", header=header, suppress_origin=True)
    ws.send(json.dumps(frames.create_session("agent", task["agent"])))
    ws.session_id = json.loads(ws.recv())["session_id"]
    ws.send(json.dumps(frames.connect_session(ws.session_id)))
    ws.recv()
    return ws


def _listen(sockets: list[websocket.WebSocket], deltas: int) -> Iterator[int]:
    # Gives how many deltas each has heard.
    heard = {ws: bytearray() for ws in sockets}
    with selectors.DefaultSelector() as selector:
        for ws in sockets:
            selector.register(ws.sock, selectors.EVENT_READ, ws)
            ws.send(json.dumps(frames.post_message(ws.session_id, str(deltas))))
        while heard:
            for key, _ in selector.select():
                data = heard[key.data]
                data += key.data.sock.recv(1 << 16)
                if _IDLE in data[-200:]:
                    selector.unregister(key.data.sock)
                    yield _check(heard.pop(key.data), deltas)


def _check(data: bytes, deltas: int) -> int:
    if [int(index) for index in _INDEX.findall(data)] != list(range(deltas)):
        raise RuntimeError("a turn was not heard whole and in order")
    return deltas


if __name__ == "__main__":
    _count(json.loads(sys.stdin.readline()))
