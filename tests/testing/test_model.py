"""The scripted model: it says what a test wants, and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from sessionlib import Session, SessionEventType, SessionTimeoutError
from sessionlib.engine import LocalEngine
from sessionlib.engine.models.base import ModelRequest
from sessionlib.testing import ScriptedModel, call_tool, fail, pause, think
from tests.support.recordings import TOOLS
from tests.support.threads import in_threads

Type = SessionEventType


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def session(model: ScriptedModel) -> Iterator[Session]:
    with LocalEngine(tools=TOOLS, model=model) as engine, engine.agent(name="Shop").create_session() as session:
        yield session


def test_it_says_text_piece_by_piece(model: ScriptedModel, session: Session) -> None:
    model.say(["Hel", "lo", "!"], "Bye")
    assert [event.delta for event in session.ask("Hi").events if event.delta] == ["Hel", "lo", "!"]
    assert not model.is_over
    assert session.ask("Hi").text == "Bye"
    assert model.is_over
    assert [question.said[-1].text for question in model.questions] == ["Hi", "Hi"]


def test_it_thinks_calls_tools_and_goes_on(model: ScriptedModel, session: Session) -> None:
    model.say([think("An order."), "Let me see. ", call_tool("look_up", order_id="7")], "One kettle.")
    reply = session.ask("What is in order 7?")
    thoughts = [event.data for event in reply.events if event.type is Type.THINKING]
    # Where the machine is slow, what there is of a thought is shown before its end.
    assert [thought["content"] for thought in thoughts if "content" in thought] == ["An order."]
    assert [(call.tool_name, call.arguments, call.output) for call in reply.tool_calls] == [
        ("look_up", {"order_id": "7"}, "order 7: one kettle")
    ]
    assert reply.text.endswith("One kettle.")
    assert model.questions[1].said[-1].results[0].output == "order 7: one kettle"


def test_it_answers_with_a_function_of_the_question(model: ScriptedModel, session: Session) -> None:
    def echo(question: ModelRequest) -> list[str]:
        return [question.said[-1].text, "!"]

    model.say(echo)
    assert session.ask("Hi").text == "Hi!"


def test_it_fails_where_the_script_says_so(model: ScriptedModel, session: Session) -> None:
    model.say(["Well, ", fail("overloaded")], "Better now.")
    events = session.ask("Hi").events
    assert [event.data["error"] for event in events if event.type is Type.ERROR] == ["overloaded"]
    assert session.ask("Hi").text == "Better now."


def test_the_end_of_the_script_is_told(model: ScriptedModel, session: Session) -> None:
    model.say("Only this.")
    session.ask("Hi")
    told = [event.data["error"] for event in session.ask("Hi").events if event.type is Type.ERROR]
    assert told == ["The script is over: the model was asked 2 times and has 1 steps; give ScriptedModel more of them."]


def test_it_waits_for_an_event_or_for_some_time(model: ScriptedModel, session: Session) -> None:
    go_on = threading.Event()
    model.say(["One, ", pause(go_on), "two, ", pause(0.1), "three."])
    turn = session.stream("Count")
    assert next(turn.text_stream) == "One, "
    with pytest.raises(SessionTimeoutError):
        turn.result(0.05)
    start = time.monotonic()
    go_on.set()
    assert turn.result(30).text == "One, two, three."
    assert time.monotonic() - start >= 0.1


@pytest.mark.parametrize("until", [60.0, threading.Event()])
def test_a_session_that_is_terminated_does_not_wait_on(
    model: ScriptedModel, session: Session, until: float | threading.Event
) -> None:
    model.say(["One, ", pause(until)])
    turn = session.stream("Count")
    next(turn.text_stream)
    start = time.monotonic()
    session.terminate()  # and the engine is closed, which waits for the turn
    assert time.monotonic() - start < 30


def test_threads_get_a_step_each() -> None:
    model = ScriptedModel(*(str(number) for number in range(8)))
    with LocalEngine(model=model) as engine:
        agent = engine.agent(name="Counter")
        with in_threads(*[lambda: agent.run("Next").final_message] * 8) as said:
            pass
    assert sorted(said) == [str(number) for number in range(8)]
    assert repr(model) == "<ScriptedModel, 8 of 8 steps used>"
