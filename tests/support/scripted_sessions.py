"""Sessions on a scripted engine, for faults: with a short back-off, and reconnecting unless told otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sessionlib import Session, SessionEvent
from tests.support.script_engine import ScriptEngine
from tests.support.secrets import SENTINEL_KEY


def make(engine: ScriptEngine | Any, **options: Any) -> Session:
    """Gives a session on the engine, not connected."""
    given = {"session_id": "s1", "ws_url": engine.ws_url, "reconnect_delay": 0.01, "reconnect_max_delay": 0.05}
    return Session(api_key=SENTINEL_KEY, **{**given, **options})


@contextmanager
def joined(engine: ScriptEngine | Any, **options: Any) -> Iterator[Session]:
    """Joins the engine's session for a block."""
    session = make(engine, **options).connect(30)
    try:
        yield session
    finally:
        session.disconnect()


@contextmanager
def created(engine: ScriptEngine | Any, **options: Any) -> Iterator[Session]:
    """Creates a session on the engine for a block."""
    with joined(engine, session_id=None, owner_type="agent", owner_id="a1", **options) as session:
        yield session


def texts(events: list[SessionEvent]) -> list[str]:
    """The texts of complete messages."""
    return [str(event.text) for event in events if event.is_complete]
