"""Opening sessions on a ScriptEngine, and what is common to listen for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sessionlib import Session, SessionEvent, SessionEventType
from sessionlib.protocol import frames
from tests.support.script_engine import ScriptEngine
from tests.support.secrets import SENTINEL_KEY

Type = SessionEventType


def new_session(engine: ScriptEngine, **options: Any) -> Session:
    """A session yet to be created, with the key that may show nowhere."""
    return Session(owner_type="agent", owner_id="a1", api_key=SENTINEL_KEY, ws_url=engine.ws_url, **options)


def resumed_session(engine: ScriptEngine, session_id: str | None = "s1", **options: Any) -> Session:
    return Session(session_id=session_id, **{"api_key": SENTINEL_KEY, "ws_url": engine.ws_url, **options})


def make(engine: ScriptEngine | Any, **options: Any) -> Session:
    """A session on an engine, or on a proxy in front of it, that comes back soon after a fault; not connected."""
    return resumed_session(engine, **{"reconnect_delay": 0.01, "reconnect_max_delay": 0.05, **options})


def created(engine: ScriptEngine | Any, **options: Any) -> Session:
    """The same, yet to be created."""
    return make(engine, session_id=None, owner_type="agent", owner_id="a1", **options)


@contextmanager
def opened(engine: ScriptEngine, **options: Any) -> Iterator[Session]:
    """A resumed session, connected for the length of a block."""
    with resumed_session(engine, **options) as session:
        yield session


def lose_link(engine: ScriptEngine, session: Session) -> None:
    """Loses a session's connection, and waits until it works again."""
    before = engine.log.opened
    engine.drop_all()
    engine.wait_connected(before + 1)
    assert session.get_messages(timeout=30) == []


def settle(session: Session) -> None:
    """Waits until what the engine has sent so far has been processed."""
    session.get_messages(timeout=30)


def rest_of_turn(session: Session) -> list[SessionEvent]:
    """Reads the events up to the end of the turn."""
    events = []
    for event in session.listen(timeout=30):
        events.append(event)
        if event.is_turn_end:
            break
    return events


def until_complete(events: Iterable[SessionEvent]) -> list[SessionEvent]:
    """Takes events up to the first complete message."""
    taken = []
    for event in events:
        taken.append(event)
        if event.is_complete:
            break
    return taken


def texts(events: Iterable[SessionEvent]) -> list[str]:
    return [str(event.text) for event in events if event.is_complete]


def letters(events: Iterable[SessionEvent]) -> str:
    """A turn's events in short: a(ck) P(rocessing) d(elta) C(omplete) I(dle), anything else as ?; no pongs."""
    short = {Type.MESSAGE_POSTED: "a", Type.MESSAGE_DELTA: "d", Type.MESSAGE_COMPLETE: "C"}
    statuses = {"Processing": "P", "Idle": "I"}
    heard = [event for event in events if event.type is not Type.PONG]
    return "".join(short.get(event.type) or statuses.get(event.data.get("status", ""), "?") for event in heard)


def numbered_deltas(count: int) -> list[dict[str, Any]]:
    """Frames of one message whose pieces are numbers."""
    return [frames.message_delta("s1", "m1", number, str(number)) for number in range(count)]
