"""Many sessions, many events, many hours in short: nothing is left over and nothing grows."""

from __future__ import annotations

import gc
import json
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from sessionlib import Session, SessionError
from sessionlib.engine import LocalEngine
from sessionlib.engine.limits import Limits
from tests.faults.conversations import FRONT, WAYS, check, make_engine, one_session
from tests.faults.script import joined, make
from tests.support.chaos import ChaosProxy
from tests.support.leaks import no_leaks
from tests.support.script_engine import Connection, Received, ScriptEngine, text_frame, turn
from tests.support.waiting import eventually

MIB = 1 << 20


def resident() -> int:
    """Bytes of memory in use."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


# ---- a thousand times ------------------------------------------------------------------------


def clean(engine: ScriptEngine, session: Session, number: int) -> None:
    """Connects, says something, and leaves."""
    with session:
        session.get_messages(timeout=5)


def faulty(engine: ScriptEngine, session: Session, number: int) -> None:
    """Connects, and something breaks, each time something else."""
    faults: list[Callable[[], object]] = [
        lambda: engine.drop_all("FIN"),
        lambda: engine.drop_all("RST"),
        lambda: engine.push_raw(b"\x81\x05nojso"),
        lambda: engine.push_raw(b"\xff\xff"),
        lambda: engine.push_raw(text_frame({"type": "pong", "session_id": "s1"})[:7]),
        lambda: engine.latest.close(1008, "no"),
        lambda: session.disconnect(),
    ]
    try:
        session.connect(5)
        faults[number % len(faults)]()
        session.get_messages(timeout=5)
    except SessionError:
        pass
    finally:
        session.disconnect()


@pytest.mark.parametrize("cycle", [clean, faulty])
def test_a_thousand_sessions_one_after_another_leave_nothing(
    cycle: Callable[[ScriptEngine, Session, int], None],
) -> None:
    # Every cycle has an engine's connection too, so that the engine is made anew now and then.
    cycles, block = 1000, 100
    with no_leaks():
        before = 0
        for at in range(0, cycles, block):
            with ScriptEngine(strict=False) as engine:
                for number in range(at, at + block):
                    cycle(engine, make(engine, reconnect_delay=0.001), number)
            if at == block:
                before = resident()
        assert resident() - before <= 2 * MIB


def test_sessions_given_up_without_a_word_leave_nothing(engine: ScriptEngine) -> None:
    with no_leaks():
        for _ in range(50):
            session = make(engine).connect(5)
            listener = session.listen()
            running = session.stream("hi")
            with pytest.warns(ResourceWarning, match="never disconnected"):
                del session, listener, running
                gc.collect()
        assert eventually(lambda: not engine.connections)


def test_listeners_given_up_pin_nothing(engine: ScriptEngine) -> None:
    with joined(engine) as session:
        threads = threading.active_count()
        for _ in range(1000):
            listener = session.listen()
            del listener
        engine.push_many(turn(ack=None))
        assert next(session.listen(timeout=5, event_types=["message_complete"])).text == "Hello there"
        assert session._connection is not None
        assert len(session._connection.hub.depths) <= 1
        assert threading.active_count() == threads


def test_a_thousand_sessions_at_once() -> None:
    """At most one thread for each; connected within 10 s, left within 5, in 60 KiB each."""
    number = 1000
    body = """
    from sessionlib.engine import LocalEngine
    from sessionlib.engine.limits import Limits
    with LocalEngine(api_key="k", limits=Limits(connections=1100)) as engine:
        print("ready", engine.ws_url, engine.agent().id, flush=True)
        input()
    """
    with Script(body, stdin_open=True) as running:
        _, url, agent_id = ("", *running.wait_for(MARKER).split())
        sessions = [Session(owner_type="agent", owner_id=agent_id, api_key="k", ws_url=url) for _ in range(number)]
        threads, before, began = threading.active_count(), resident(), time.monotonic()
        try:
            for session in sessions:
                session.connect(10)
            assert time.monotonic() - began <= 10 * NOISE
            assert threading.active_count() - threads <= number + 1
            assert resident() - before <= number * 60 * 1024
            assert sessions[-1].ask("hi", timeout=10).text
        finally:
            began = time.monotonic()
            for session in sessions:
                session.disconnect()
        assert time.monotonic() - began <= 5 * NOISE


# ---- a million events ------------------------------------------------------------------------


def test_a_million_events_in_little_memory(engine: ScriptEngine) -> None:
    """At most 5 MiB more from the hundred-thousandth event to the last, and 15,000 a second."""
    total, block = 1_000_000, 500
    frame = text_frame({"type": "message_delta", "session_id": "s1", "message_id": "m1", "index": 0, "value": "word "})

    def flood(conn: Connection, received: Received) -> None:
        for _ in range(total // block):
            conn.send_raw(frame * block)

    engine.on("post_message", flood)
    with joined(engine, reconnect=True) as session, session.listen(maxsize=0, timeout=10) as listener:
        session.send("go")
        began, early = time.monotonic(), 0
        count = 0
        for event in listener:
            count += event.delta is not None
            if count == 100_000:
                early = resident()
                waiting = sum(session._connection.hub.depths) if session._connection else 0
            if count == total:
                break
        took = time.monotonic() - began
        # What waits to be read is the reader's lead over this loop, and no leak.
        grown = resident() - early
    assert count == total
    assert grown <= 5 * MIB, (grown, waiting)
    assert total / took >= 15_000, took
