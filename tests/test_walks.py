"""How far a delta, a message and a reconnect walk through the package: a reader of the code has to follow them."""

from __future__ import annotations

import logging
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import sessionlib
from sessionlib import SessionState
from sessionlib.protocol import frames
from tests.support.script_engine import ScriptEngine
from tests.support.sessions import opened

PACKAGE = str(Path(sessionlib.__file__).parent)
# Threads whose calls are none of a walk: the engine of these tests, what pings all sessions of the process, and what
# calls the callbacks of users.
_OTHERS = ("script-engine", "sessionlib-heartbeat", "sessionlib-dispatcher")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Leaves out the log of every frame, which the other tests write and users do not."""
    caplog.set_level(logging.WARNING, "sessionlib")


class Walk:
    """The calls of a block within the package, on the test's thread and the session's."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    @property
    def modules(self) -> set[str]:
        return {call.partition(":")[0] for call in self.calls}

    def note(self, frame: FrameType, event: str, arg: Any) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(PACKAGE) and not threading.current_thread().name.startswith(_OTHERS):
            self.calls.append(f"{path.removeprefix(PACKAGE)}:{frame.f_code.co_name}")


@contextmanager
def walking(on_threads: bool = True) -> Iterator[Walk]:
    """Counts what is called from here on, also on threads that begin in the block."""
    walk = Walk()
    if on_threads:
        threading.setprofile(walk.note)
    sys.setprofile(walk.note)
    try:
        yield walk
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def test_a_delta_passes_few_modules(engine: ScriptEngine) -> None:
    with walking() as walk, opened(engine) as session:
        events = session.listen(timeout=30)
        engine.push(frames.message_delta("s1", "m1", 0, "warm"))
        next(events)
        walk.calls.clear()
        engine.push(frames.message_delta("s1", "m1", 1, "counted"))
        assert next(events).delta == "counted"
        # The engine of the test makes and writes its frame with these.
        modules = walk.modules - {"/protocol/frames.py", "/net/sockets.py", "/_util/timing.py"}
    assert len(modules) <= 12, sorted(modules)


def test_a_message_passes_few_modules(engine: ScriptEngine) -> None:
    with opened(engine) as session:
        session.send("warm")
        session.get_messages(timeout=30)
        # On this thread alone: the ack may come while the message is still leaving.
        with walking(on_threads=False) as walk:
            session.send("counted")
    assert len(walk.modules) <= 14, sorted(walk.modules)


def test_a_reconnect_takes_few_calls(engine: ScriptEngine) -> None:
    with walking() as walk, opened(engine, reconnect_delay=0.001) as session:
        session.get_messages(timeout=30)
        states = queue.SimpleQueue[SessionState]()
        session.on_state(states.put)
        calls = []
        # Several, as an answer that comes in parts takes a few calls more for each.
        for _ in range(5):
            walk.calls.clear()
            engine.drop_all()
            assert states.get(timeout=30) is SessionState.RECONNECTING
            assert states.get(timeout=30) is SessionState.CONNECTED
            calls.append(len(walk.calls))
    assert min(calls) <= 200, calls
