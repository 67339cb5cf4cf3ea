"""How far a delta, a message and a reconnect walk through the package: a reader of the code has to follow them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import sessionlib
from sessionlib.protocol import frames
from tests.support.script_engine import ScriptEngine
from tests.support.sessions import opened
from tests.support.waiting import eventually

PACKAGE = str(Path(sessionlib.__file__).parent)
# The engine of these tests stands on these, in the same process.
_ENGINE = ("script-engine",)


class Walk:
    """The calls of a block within the package, on the test's thread and the session's."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    @property
    def modules(self) -> set[str]:
        return {call.partition(":")[0] for call in self.calls}

    def note(self, frame: FrameType, event: str, arg: Any) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(PACKAGE) and not threading.current_thread().name.startswith(_ENGINE):
            self.calls.append(f"{path.removeprefix(PACKAGE)}:{frame.f_code.co_name}")


@contextmanager
def walking() -> Iterator[Walk]:
    """Counts what is called from here on, also on threads that are running already."""
    walk = Walk()
    threading.setprofile(walk.note)
    sys.setprofile(walk.note)
    try:
        yield walk
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def test_a_delta_passes_few_modules(engine: ScriptEngine) -> None:
    with walking() as walk, opened(engine) as session:
        events = session.listen(timeout=5)
        engine.push(frames.message_delta("s1", "m1", 0, "warm"))
        next(events)
        walk.calls.clear()
        engine.push(frames.message_delta("s1", "m1", 1, "counted"))
        assert next(events).delta == "counted"
        # The engine of the test makes and writes its frame with these; the tests log every frame.
        modules = walk.modules - {
            "/protocol/frames.py",
            "/net/sockets.py",
            "/connection/metered.py",
            "/connection/join.py",
        }
    assert len(modules) <= 16, sorted(modules)


def test_a_message_passes_few_modules(engine: ScriptEngine) -> None:
    with walking() as walk, opened(engine) as session:
        session.send("warm")
        session.get_messages(timeout=5)
        walk.calls.clear()
        session.send("counted")
        modules = walk.modules
    assert len(modules) <= 23, sorted(modules)


def test_a_reconnect_takes_few_calls(engine: ScriptEngine) -> None:
    with walking() as walk, opened(engine, reconnect_delay=0.001) as session:
        session.get_messages(timeout=5)
        walk.calls.clear()
        engine.drop_all()
        engine.wait_connected(2)
        assert eventually(lambda: session.stats.reconnects == 1)
        calls = [call for call in walk.calls if "stats" not in call and "/notebook" not in call]
    assert len(calls) <= 280, len(calls)
