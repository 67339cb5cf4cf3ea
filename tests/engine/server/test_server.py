"""What abuse costs the engine, a process of its own here: little memory, and no other client much time."""

from __future__ import annotations

import contextlib
import socket
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sessionlib.protocol import frames
from tests.support.engine import Caller, Process, file, raw
from tests.support.engine_bytes import connect, data_frame, head, status, upgrade, upgraded
from tests.support.ws_bytes import PING, text_frame

MIB = 1 << 20
SCRIPT = """
import os, signal, sys
from sessionlib.engine import Limits, LocalEngine
limits = Limits(head_seconds=2.0, body_seconds=1.5, session_file_bytes=1 << 20)
with LocalEngine(path=sys.argv[1], api_key=os.environ["SESSIONLIB_API_KEY"], limits=limits) as engine:
    print("serves on", engine.base_url, "until it is told to stop", flush=True)
    signal.sigwait([signal.SIGTERM])
"""


@pytest.fixture
def engine(process: Callable[..., Process], tmp_path: Path) -> Process:
    # One arena: how the C library spreads threads over its heaps is not what is measured here.
    return process(str(tmp_path / "engine.db"), script=SCRIPT, env={"MALLOC_ARENA_MAX": "1"}).ready()


def memory(engine: Process) -> int:
    return int(psutil.Process(engine.popen.pid).memory_info().rss)


# ---- too large, too slow, too many ---------------------------------------------------------


JSON = "Content-Type: application/json"


def post(engine: Process, *fields: str, body: bytes) -> int:
    return status(raw(engine, head(engine, "POST /v1/agent HTTP/1.1", JSON, *fields) + body))


def large_message(engine: Process) -> int:
    with upgraded(engine) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(data_frame(0x81, 64 * MIB, b"x" * MIB))
        return int.from_bytes(sock.recv(4)[2:], "big")


def short_body(engine: Process) -> int:
    with connect(engine) as sock:
        sock.sendall(head(engine, "POST /v1/agent HTTP/1.1", JSON, f"Content-Length: {MIB}") + b"x" * (MIB // 2))
        sock.shutdown(socket.SHUT_WR)
        return status(sock.recv(1000))


def many_uploads(engine: Process) -> int:
    with Caller.on(engine) as caller:
        caller.say(frames.post_messages(caller.session_id, [file("f", "A" * 5600)] * 256))
        return 413 if caller.hear()["code"] == "files_too_large" else 0


ABUSES: dict[str, tuple[Callable[[Process], int], int]] = {
    "large body": (lambda engine: post(engine, f"Content-Length: {100 * MIB}", body=b"x" * MIB), 413),
    "large head": (lambda engine: status(raw(engine, head(engine, "GET / HTTP/1.1", "X: " + "y" * MIB))), 431),
    "large message": (large_message, 1009),
    "slow body": (lambda engine: post(engine, f"Content-Length: {MIB}", body=b"x" * (MIB // 2)), 408),
    "short body": (short_body, 400),
    "endless body": (lambda engine: post(engine, "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n" * 100_000), 411),
    "many uploads": (many_uploads, 413),
}


def upload(engine: Process, count: int) -> None:
    """Small files, which are taken."""
    for _ in range(0, count, 200):
        with Caller.on(engine) as caller:
            caller.ask_all([file("f", "A" * 136)] * 200)


def test_what_is_refused_takes_no_memory_and_leaves_no_file(engine: Process, tmp_path: Path) -> None:
    def abuse(times: int) -> None:
        for _ in range(times):
            for name, (kind, expected) in ABUSES.items():
                assert kind(engine) == expected, name

    upload(engine, 4000)
    abuse(2)  # what it takes to serve at all
    before = memory(engine)
    abuse(8)
    grown = memory(engine) - before
    print(f"grew by {grown >> 10} KiB")
    assert grown < 4 * MIB
    names = {path.name for path in tmp_path.iterdir()}
    assert names <= {"engine.db", "engine.db-wal", "engine.db-shm", "engine.db.lock"}


# ---- floods --------------------------------------------------------------------------------


def flood_of_connections(engine: Process) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), connect(engine) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n")


def flood_of_idlers(engine: Process) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connect(engine)) for _ in range(100)]
        for sock in idle:
            with contextlib.suppress(ConnectionResetError):
                sock.recv(1000)  # returns when the engine lets go of it


def _flood(engine: Process, data: bytes, times: int) -> None:
    # Without reading what comes back: the worst that a client can do.
    with connect(engine) as sock:
        sock.sendall(upgrade(engine))
        with contextlib.suppress(OSError):
            for _ in range(times):
                sock.sendall(data)


FLOODS: list[Callable[[Process], None]] = [
    lambda engine: _flood(engine, text_frame(frames.ping_session("x"), mask=True) * 1000, 20),
    lambda engine: _flood(engine, text_frame(b"x" * 125, opcode=PING, mask=True) * 1000, 20),
    flood_of_connections,
    flood_of_idlers,
]


def test_floods_leave_the_others_alone(engine: Process) -> None:
    with Caller.on(engine) as calm:
        calm.ask("before")
        before = most = memory(engine)
        took = []
        running = [threading.Thread(target=flood, args=(engine,)) for flood in FLOODS * 3]
        with contextlib.ExitStack() as stack:
            for thread in running:
                thread.start()
                stack.callback(thread.join)
            while any(thread.is_alive() for thread in running):
                began = time.perf_counter()
                calm.ping()
                took.append(time.perf_counter() - began)
                most = max(most, memory(engine))
                time.sleep(0.005)  # it keeps to the rate that a client has
        calm.ask("after")
    assert len(took) > 20
    p50, p99 = (statistics.quantiles(took, n=100)[at] * 1000 for at in (49, 98))
    print(f"grew by {most - before >> 10} KiB; a ping took {p50:.1f} ms, the slowest of a hundred {p99:.1f} ms")
    assert most - before < 32 * MIB
