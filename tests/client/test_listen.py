"""The nine rules of listen(), over real sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sessionlib import Session
from sessionlib.wire import frames
from tests.client.sessions import numbered_deltas, opened
from tests.support.script_engine import ScriptEngine


@pytest.fixture
def session(engine: ScriptEngine) -> Iterator[Session]:
    """A session connected to the engine."""
    with opened(engine) as session:
        yield session


def test_what_came_before_an_answer_is_there_when_the_answer_is(engine: ScriptEngine, session: Session) -> None:
    told = [*numbered_deltas(50), frames.history("s1", [])]
    engine.on("get_messages", lambda conn, frame: conn.send_many(told))
    events = session.listen(timeout=0)
    for _ in range(100):
        session.get_messages()
        assert [next(events).delta for _ in range(50)] == [str(number) for number in range(50)]
