"""The engine with this package's own client: what a reader of the README does."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from sessionlib import SessionError
from sessionlib.engine import EngineError, LocalEngine, tool
from sessionlib.engine.limits import Limits
from sessionlib.engine.models import Chunk, ModelRequest


@tool(approval="requires_approval")
def refund(order_id: str, amount: float) -> str:
    """Refund an order."""
    return f"refunded {amount:g} for {order_id}"


def test_an_agent_of_the_engine_answers() -> None:
    with LocalEngine(tools=[refund]) as engine:
        agent = engine.agent(name="Support", instructions="Be kind")
        assert (agent.name, agent.instructions) == ("Support", "Be kind")
        with agent.create_session() as session:
            assert '"hello"' in session.ask("hello").text


def test_an_approval_is_answered_by_a_callback() -> None:
    with LocalEngine(tools=[refund]) as engine, engine.agent().create_session() as session:
        seen = []

        @session.on_approval
        def decide(request):  # type: ignore[no-untyped-def]
            seen.append((request.tool_name, request.arguments))
            return request.arguments["amount"] < 10

        answers = [session.ask(f'/tool refund {{"order_id": "7", "amount": {amount}}}').text for amount in (5, 50)]
        assert [name for name, _ in seen] == ["refund", "refund"]
        assert "refunded 5 for 7" in answers[0]
        assert "denied" in answers[1]


def test_a_session_goes_on_after_leaving_it() -> None:
    with LocalEngine() as engine:
        agent = engine.agent()
        with agent.create_session() as session:
            session.ask("one")
            session_id = session.session_id
        assert session_id
        with agent.resume_session(session_id) as session:
            assert session.ask("two").text == 'You said: "two"'
        with agent.resume_session(session_id) as session:
            texts = [message.text for message in session.get_messages()]
            assert texts[-2:] == ["two", 'You said: "two"']
            session.terminate()
        with pytest.raises(SessionError, match=session_id):
            agent.resume_session(session_id).connect()


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


class BlockingModel:
    name = "blocking"

    def __init__(self) -> None:
        self.asked, self.released = threading.Event(), threading.Event()

    def answer(self, question: ModelRequest) -> Iterator[Chunk]:
        self.asked.set()
        assert self.released.wait(60)
        return iter(())

    def close(self) -> None:
        """Holds nothing."""


def test_a_model_that_blocks_does_not_keep_the_engine_from_stopping(caplog: pytest.LogCaptureFixture) -> None:
    model = BlockingModel()
    try:
        with (
            LocalEngine(model=model, limits=Limits(stop_seconds=0.05)) as engine,
            engine.agent().create_session() as session,
        ):
            session.send("hello")
            assert model.asked.wait(30)
        assert "its model did not stop within 0.05 s" in caplog.text
    finally:
        model.released.set()
        for thread in threading.enumerate():
            if thread.name.startswith("sessionlib-turn"):
                thread.join(30)
