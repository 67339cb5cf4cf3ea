"""Many sessions, many events, many hours in short: nothing is left over and nothing grows."""

from __future__ import annotations

import gc
import json
import os
import resource
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from sessionlib import Session
from sessionlib.protocol import frames
from sessionlib.protocol.frames import Frame
from tests.support.processes import MARKER, Script, run_script
from tests.support.script_engine import Connection, Received, ScriptEngine
from tests.support.turns import notification, text_content
from tests.support.ws_bytes import text_frame

MIB = 1 << 20
NOISE = 10.0
"""How much longer than it works on it a process may take for something, where others have the machine as well."""


def resident() -> int:
    """Bytes of memory in use."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def allow_files(number: int) -> None:
    """Lets this process have so many files open at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))


# In processes of their own: the log of a million events, which pytest keeps, is not the client's memory.
MEASURE = """
import gc, json, os, sys, threading, time
import psutil
from sessionlib import Session, SessionError
process = psutil.Process()
def resident():
    gc.collect()
    return process.memory_info().rss
def make(**options):
    return Session(session_id="s1", api_key="k", ws_url=sys.argv[1], reconnect_delay=0.001, **options)
def left_over():
    end = time.monotonic() + 15
    while (threading.active_count() > 1 or process.num_fds() > files) and time.monotonic() < end:
        time.sleep(0.01)
    return {"threads": threading.active_count() - 1, "files": process.num_fds() - files}
files = process.num_fds()
"""


def measured(body: str, engine: ScriptEngine) -> dict[str, Any]:
    """Runs a script that prints what it measured."""
    told: dict[str, Any] = json.loads(run_script(MEASURE + body, engine.ws_url, timeout=500).check().stdout)
    print(told)
    return told


# ---- a thousand times ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["clean", "faulty"])
def test_a_thousand_sessions_one_after_another_leave_nothing(kind: str) -> None:
    allow_files(8000)
    broken = [
        lambda conn: conn.drop(),
        lambda conn: conn.reset(),
        lambda conn: conn.send_raw(b"\x81\x05nojso"),
        lambda conn: conn.send_raw(b"\xff\xff"),
        lambda conn: conn.send_raw(text_frame({"type": "pong"})[:7]),
        lambda conn: conn.close(1008, "no"),
        lambda conn: conn.close(1012, "restarting"),
    ]
    with ScriptEngine(strict=False) as engine:

        def answer(conn: Connection, frame: Received) -> None:
            number = frame.number
            if kind == "faulty" and number % 2:
                broken[number // 2 % len(broken)](conn)
            conn.answer(frame)

        engine.on("get_messages", answer)
        told = measured(
            """
for number in range(1000):
    if number == 100:
        before = resident()
    session = make()
    try:
        with session:
            session.get_messages(timeout=30)
    except SessionError:
        assert session.state == "disconnected"
print(json.dumps({**left_over(), "grown": resident() - before}))
""",
            engine,
        )
        assert len(engine.handshakes) >= 1000
    assert (told["threads"], told["files"]) == (0, 0)
    assert told["grown"] <= 2 * MIB


def test_a_thousand_sessions_at_once() -> None:
    """At most one thread for each; connected within 10 s, left within 5, in 60 KiB each."""
    number = 1000
    body = """
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    from sessionlib.engine import LocalEngine
    from sessionlib.engine.limits import Limits
    with LocalEngine(api_key="k", limits=Limits(connections=1100)) as engine:
        print("ready", engine.ws_url, engine.agent().id, flush=True)
        __import__("time").sleep(300)
    """
    allow_files(number + 200)
    with Script(body) as running:
        url, agent_id = running.wait_for(MARKER).split()
        sessions = [Session(owner_type="agent", owner_id=agent_id, api_key="k", ws_url=url) for _ in range(number)]
        threads, before = threading.active_count(), resident()
        began, at_first = time.process_time(), time.monotonic()
        try:
            for session in sessions:
                session.connect(30)
            assert time.process_time() - began <= 10
            assert time.monotonic() - at_first <= 10 * NOISE
            assert threading.active_count() - threads <= number + 1
            assert resident() - before <= number * 60 * 1024
            assert sessions[-1].ask("hi", timeout=30).text
        finally:
            began, at_last = time.process_time(), time.monotonic()
            for session in sessions:
                session.disconnect()
        assert time.process_time() - began <= 5
        assert time.monotonic() - at_last <= 5 * NOISE


# ---- a million events ------------------------------------------------------------------------


def test_a_million_events_in_little_memory(engine: ScriptEngine) -> None:
    """At most 5 MiB more from the hundred-thousandth event to the last, and 15,000 a second of work."""
    total, block = 1_000_000, 100
    frame = text_frame(frames.message_delta("s1", "m1", 0, "word "))

    def flood(conn: Connection, received: Received) -> None:
        for at in range(0, total, block):
            if at % 20_000 == 0:
                conn.wait_for("ping_session", 60)  # the consumer keeps up, which is not what is tested here
            conn.send_raw(frame * block)

    engine.on("post_message", flood)
    told = measured(
        f"""
from sessionlib.protocol import codec, frames
with make() as session, session.listen(event_types=["message_delta"], maxsize=0, timeout=30) as listener:
    session.send("go")
    transport = session._connection.channel.transport
    began, early, count = time.process_time(), 0, 0
    while count < {total}:
        if count % 20_000 == 0:
            transport.enqueue(codec.dumps(frames.ping_session("s1")))
        event = next(listener)
        count += 1
        if count == 100_000:
            early = resident()
    took = time.process_time() - began
    print(json.dumps({{"grown": resident() - early, "took": took}}))
""",
        engine,
    )
    assert told["grown"] <= 5 * MIB
    assert total / told["took"] >= 15_000


# ---- what waits is bounded in bytes -----------------------------------------------------------

DELTAS = int(os.environ.get("TEST_DELTAS", "128"))
"""How many deltas of 1 MiB."""


def _flood(engine: ScriptEngine, frames_of: Callable[[int], Frame], count: int) -> None:
    def flood(conn: Connection, received: Received) -> None:
        conn.answer(received)
        for at in range(count):
            conn.send(frames_of(at))
        conn.send(notification("s1", "last", text_content("the last")))

    engine.on("ping_session", flood)


# Ends when the engine has sent all, which its pong shows.
UNHEARD = """
from sessionlib.protocol import codec, frames
with make() as session:
    {before}
    began, peak = resident(), 0
    transport = session._connection.channel.transport
    transport.enqueue(codec.dumps(frames.ping_session("s1")))
    while not session._connection.protocol.recovery._known.get("last"):
        time.sleep(0.01)
        peak = max(peak, process.memory_info().rss)
    {after}
    print(json.dumps({{"peak": peak - began, "found": found}}))
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "events = session.listen(timeout=30)"),
        ("events = session.listen(timeout=30)", ""),
        ("old = session.listen(timeout=30); session.send('hi')", "events = session.listen()"),
        ("events = session.stream('hi', timeout=30)", ""),
    ],
    ids=["no listener", "a listener that does not read", "a listener left over from before a message", "a turn"],
)
def test_large_deltas_that_nobody_reads_take_little_memory(engine: ScriptEngine, before: str, after: str) -> None:
    """What does not fit is dropped and reported, what comes before it is kept."""
    delta = {**frames.message_delta("s1", "m1", 0, "x" * MIB), "index": None}
    _flood(engine, lambda at: delta, DELTAS)
    after += """
    kept, dropped = 0, None
    for event in events:
        if event.type == "message_delta":
            kept += len(event.delta)
        if event.error == "subscriber queue overflow":
            dropped = event.data["dropped"]
            break
    found = [kept, dropped]
"""
    told = measured(UNHEARD.format(before=before, after=after), engine)
    assert told["peak"] < 64 * MIB
    kept, dropped = told["found"]
    assert 6 * MIB < kept <= 8 * MIB
    assert dropped >= DELTAS - 8


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "count"), [("ids", 300_000), ("long ids", 300), ("requests", 20_000)])
def test_what_is_remembered_of_messages_and_requests_is_bounded(engine: ScriptEngine, kind: str, count: int) -> None:
    request = {"type": "tool_call_approval", "tool_name": "refund", "arguments": {"note": "x" * 3000}}

    def made(at: int) -> Frame:
        message_id = f"{at:032}" if kind != "long ids" else f"{at:032}" * 10_000
        if kind == "requests":
            return notification("s1", message_id, request)
        return frames.message_delta("s1", message_id, 0, "x")

    _flood(engine, made, count)
    told = measured(UNHEARD.format(before="", after="found = len(session.approvals)"), engine)
    assert told["peak"] < 48 * MIB
    assert told["found"] < 5_000
