"""An engine that is left running: killed at any moment, and flat in file, memory and start-up for as long as it runs.

``TEST_KILLS`` and ``TEST_TURNS`` say how often and how long; the defaults are a sample.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
import pytest
import websocket

from sessionlib.engine import LocalEngine
from sessionlib.engine.store import Store
from tests.support.engine import Caller, Process, eventually, make_agent
from tests.support.threads import in_threads

KILLS = int(os.environ.get("TEST_KILLS", "3"))
TURNS = int(os.environ.get("TEST_TURNS", "300"))
CLIENTS = 8
KEPT_SECONDS = 4.0
_GONE = (OSError, websocket.WebSocketException, KeyError)


@dataclass
class Acked:
    """What one client knows: the messages of each session, and when the last was acknowledged."""

    messages: dict[str, list[str]] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)


def talk(engine: Process, agent_id: str, acked: Acked, number: int, round_number: int) -> None:
    """Posts, alone and in a row, and runs a tool, in one session after another until the engine is gone."""
    with contextlib.suppress(*_GONE):
        for turn in range(1000):
            with Caller.on(engine, agent_id=agent_id) as caller:
                for line in range(4):
                    texts = ["one", f'/tool trace {{"line": "{round_number}.{number}.{turn}.{line}"}}', "two"]
                    for text in texts:
                        ack = caller.post(text)
                        acked.messages.setdefault(caller.session_id, []).append(ack["message_id"])
                        acked.last[caller.session_id] = time.time()
                    caller.until_content("tool_result")
                    caller.until_status("Idle")


@pytest.mark.timeout(3600)
def test_kills_at_any_moment_lose_nothing_and_run_no_tool_twice(folder: Path, process: Callable[..., Process]) -> None:
    database, traces = folder / "engine.db", folder / "traces.txt"
    script = f"""
import pathlib, signal
from sessionlib.engine import LocalEngine
from tests.support.crashing_engine import make_tools
from tests.support.engine import KEY
tools = make_tools(pathlib.Path({str(traces)!r}))
with LocalEngine(tools, path={str(database)!r}, api_key=KEY, keep_days={KEPT_SECONDS / 86400}) as engine:
    print("engine on", engine.base_url, "ready", flush=True)
    signal.pause()
"""
    acked = [Acked() for _ in range(CLIENTS)]
    drawn, expired = random.Random(3), 0
    agent_id = ""
    for round_number in range(KILLS):
        engine = process(script=script).ready()
        agent_id = agent_id or make_agent(engine)
        clients = [partial(talk, engine, agent_id, known, number, round_number) for number, known in enumerate(acked)]
        with in_threads(*clients):
            time.sleep(drawn.uniform(0.05, 2.0))
            engine.stop(signal.SIGKILL)
            killed = time.time()
        engine.kill()
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            kept = {row[0] for row in connection.execute("SELECT id FROM messages")}
            there = {row[0] for row in connection.execute("SELECT id FROM sessions")}
        for client in acked:
            for session_id in list(client.messages):
                if session_id in there:
                    assert set(client.messages[session_id]) <= kept
                else:  # removed, and not too early
                    assert killed - client.last[session_id] > KEPT_SECONDS - 0.5
                    expired += 1
                    del client.messages[session_id]
        runs = Counter(traces.read_text().split() if traces.exists() else [])
        assert not runs or max(runs.values()) == 1
    messages = sum(map(len, (ids for client in acked for ids in client.messages.values())))
    print(f"{KILLS} kills, {expired} sessions expired, {messages} acknowledged messages left, {len(runs)} tools")
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@dataclass
class Sizes:
    """What a running engine takes: bytes of its file, bytes of memory, and seconds to start with a copy of the file."""

    file: int
    memory: int
    start: float
    sessions: int


def measure(path: Path) -> Sizes:
    # Not file by file: between the two the engine may begin its log again.
    copy = path.parent / "copy.db"
    copy.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    began = time.perf_counter()
    with contextlib.closing(Store(str(copy))) as store:
        took = time.perf_counter() - began
        sessions = store.database.read(lambda db: db.execute("SELECT COUNT(*) FROM sessions").fetchone()[0])
    return Sizes(path.stat().st_size, psutil.Process().memory_info().rss, took, sessions)


@pytest.mark.timeout(7200)
def test_an_engine_that_runs_for_long_stays_flat(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "sessionlib")  # which pytest keeps, and the engine does not
    path, sizes = folder / "engine.db", []
    done = [0] * CLIENTS
    # A tenth of the whole is kept, more or less: as long as the first tenth takes.
    with LocalEngine(path=str(path), keep_days=10 / 86400) as engine:
        agent_id = make_agent(engine)

        def work(number: int) -> None:
            while sum(done) < TURNS:
                with Caller.on(engine, agent_id=agent_id) as caller:
                    for turn in range(5):
                        caller.ask(f"turn {turn} " + "x" * 300)
                        caller.heard.clear()
                        done[number] += 1

        with in_threads(*[partial(work, number) for number in range(CLIENTS)]):
            for tenth in range(1, 11):
                eventually(lambda tenth=tenth: sum(done) >= TURNS * tenth / 10, 3000)
                sizes.append(measure(path))
                print(f"{sum(done)} turns: {sizes[-1]}", flush=True)
    if TURNS >= 20_000:  # in a sample all sessions are younger than they are kept
        assert sizes[-1].file < 1.5 * max(size.file for size in sizes[:2])
        assert sizes[-1].memory < 1.2 * sizes[1].memory
    assert sizes[-1].sessions <= TURNS // 5 + CLIENTS
