"""The engine with this package's own client: what a reader of the README does."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from sessionlib.engine import EngineError, LocalEngine
from sessionlib.engine.limits import Limits
from sessionlib.engine.models import Chunk, ModelRequest
from tests.support.scripted_answers import Scripted


def test_an_agent_of_the_engine_answers() -> None:
    with LocalEngine() as engine:
        agent = engine.agent(name="Support", instructions="Be kind")
        assert (agent.name, agent.instructions) == ("Support", "Be kind")
        with agent.create_session() as session:
            assert '"hello"' in session.ask("hello").text


def test_one_client_serves_the_whole_engine() -> None:
    engine = LocalEngine()
    with pytest.raises(EngineError, match="not running"):
        engine.client()
    with engine:
        assert engine.client() is engine.client()
        assert engine.api_key not in repr(engine.client()) + repr(engine)


def test_a_method_has_its_former_name_too() -> None:
    assert LocalEngine.answer_to is LocalEngine.allow_host


def test_a_model_that_is_none_is_refused_before_anything_starts() -> None:
    class Nameless:
        def answer(self, question: object) -> None:
            """Answers nothing."""

    with pytest.raises(TypeError, match="a model: Nameless has no 'name'"):
        LocalEngine(model=Nameless()).start()  # type: ignore[arg-type]


def test_a_model_that_blocks_does_not_keep_the_engine_from_stopping(caplog: pytest.LogCaptureFixture) -> None:
    asked, released = threading.Event(), threading.Event()

    def block(question: ModelRequest) -> Iterator[Chunk]:
        asked.set()
        assert released.wait(60)
        return iter(())

    engine = LocalEngine(model=Scripted(block), limits=Limits(stop_seconds=0.05))
    try:
        with engine, engine.agent().create_session() as session:
            session.send("hello")
            assert asked.wait(30)
        assert "its model did not stop within 0.05 s" in caplog.text
    finally:
        released.set()
        for thread in threading.enumerate():
            if thread.name.startswith("sessionlib-turn"):
                thread.join(30)
