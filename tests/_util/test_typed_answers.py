"""Answers of a type: `into` of sessions, runs and maps, with the words and the frames that it takes."""

from __future__ import annotations

import json
import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel

from sessionlib import Agent, AgentType, Client, Session, errors
from sessionlib.engine import LocalEngine, tool
from sessionlib.protocol import frames
from sessionlib.testing import ScriptedModel, call_tool, fail, pause
from tests.support.engine import Caller, eventually
from tests.support.script_engine import ScriptEngine, turn
from tests.support.secrets import SENTINEL_KEY
from tests.support.sessions import opened


class Line(TypedDict):
    sku: str
    count: int


@dataclass
class Order:
    number: str
    lines: int = 1


class Refund(BaseModel):
    amount: float
    reason: str


LINE = '{"sku": "a", "count": 2}'
BAD = '{"sku": "a", "count": "many"}'


@contextmanager
def talking(*steps: Any, tools: Any = ()) -> Iterator[tuple[Session, ScriptedModel]]:
    model = ScriptedModel(*steps)
    with LocalEngine(model=model, tools=tools) as engine, engine.agent().create_session() as session:
        yield session, model


def said(model: ScriptedModel) -> list[str]:
    return [question.messages[-1].text for question in model.questions]


# ---- a session -----------------------------------------------------------------------------


def test_an_answer_has_its_value() -> None:
    fenced = f"```json\n{LINE}\n```"
    with talking(LINE, fenced, '{"number": "7"}', '{"amount": 1, "reason": "late"}') as (session, model):
        assert session.ask("one", into=Line).value == {"sku": "a", "count": 2}
        reply = session.ask("two", into=Line)
        assert (reply.value, reply.text) == ({"sku": "a", "count": 2}, fenced)
        assert session.ask("three", into=Order).value == Order("7", 1)
        assert session.ask("four", into=Refund).value == Refund(amount=1, reason="late")
        model.say("x")
        assert session.ask("five").value is None
    assert said(model)[0].startswith("one\n\nAnswer with one JSON value")
    assert said(model)[-1] == "five"
    assert pickle.loads(pickle.dumps(reply)).value == reply.value
    assert "value" not in reply.to_dict()


def test_an_answer_that_does_not_fit_is_asked_for_once_again_with_what_is_wrong() -> None:
    with talking(BAD, LINE) as (session, model):
        assert session.ask("first", into=Line).value["count"] == 2
    assert "count: Input should be a valid integer" in said(model)[1]
    assert "first" not in said(model)[1]


def test_two_answers_that_do_not_fit_are_an_error_with_both() -> None:
    with talking(BAD, "I give up.", LINE) as (session, model):
        with pytest.raises(errors.AnswerFormatError, match="no Line: there is no JSON in it") as caught:
            session.ask("one", into=Line)
        assert caught.value.texts == (BAD, "I give up.")
        assert caught.value.session_id == session.session_id
        assert pickle.loads(pickle.dumps(caught.value)).texts == caught.value.texts
        assert session.ask("two", into=Line).value["sku"] == "a"
    assert len(model.questions) == 3


def test_a_turn_that_ends_with_an_error_is_not_asked_again() -> None:
    with talking([LINE[:9], fail("out of paper")], LINE) as (session, model):
        with pytest.raises(errors.AnswerFormatError, match="the turn ended with an error: out of paper") as caught:
            session.ask("one", into=Line)
        assert caught.value.turn_error == "out of paper"
        assert len(model.questions) == 1


def test_the_time_is_for_both_questions_together() -> None:
    with talking([pause(0.5), BAD], [pause(60), LINE]) as (session, _):
        begun = time.monotonic()
        with pytest.raises(errors.SessionTimeoutError):
            session.ask("one", into=Line, timeout=1.5)
        assert time.monotonic() - begun < 30


def test_files_go_along_once() -> None:
    with talking(BAD, LINE, LINE, LINE) as (session, model):
        assert session.ask(b"a,2", filename="lines.csv", mime_type="text/csv", into=Line).value["sku"] == "a"
        assert session.ask("x", files=[b"a,2"], into=Line).value["sku"] == "a"
        assert session.ask("x", mime_type="text/markdown", into=Line).value["sku"] == "a"
    sent = [[file.name for message in question.messages for file in message.files] for question in model.questions]
    assert sent == [["lines.csv"]] * 2 + [["lines.csv", "file"]] * 2


def test_what_cannot_be_asked_for_is_refused_before_anything_is_sent() -> None:
    with talking() as (session, model):
        with pytest.raises(TypeError, match="into takes a dataclass"):
            session.ask("one", into=threading.Thread)
        with pytest.raises(ValueError, match="empty"):
            session.ask("", into=Line)
        assert not model.questions


def test_an_approval_that_is_given_later_leads_to_the_value() -> None:
    @tool(approval="requires_approval")
    def stock(sku: str) -> int:
        """How many there are."""
        return 2

    with talking(call_tool("stock", sku="a"), LINE, tools=[stock]) as (session, _):
        with pytest.raises(errors.ApprovalRequiredError) as caught:
            session.ask("one", into=Line)
        caught.value.request.approve()
        assert caught.value.turn.result().value == {"sku": "a", "count": 2}


def test_a_stream_ends_with_the_value_and_asks_nothing_again(capsys: pytest.CaptureFixture[str]) -> None:
    with talking(LINE, BAD, LINE, LINE) as (session, model):
        turn_ = session.stream("one", into=Line)
        assert "".join(turn_.text_stream) == LINE
        assert turn_.result().value["count"] == 2
        with pytest.raises(errors.AnswerFormatError):
            session.stream("two", into=Line).result()
        assert len(model.questions) == 2
        assert session.ask("three", into=Line, show=True).value["count"] == 2
        assert session.chat("four", into=Line).value["count"] == 2
    assert LINE in capsys.readouterr().out


def test_the_schema_goes_beside_the_message_only_where_the_engine_knows_it(engine: ScriptEngine) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_many(turn(pieces=[LINE])))
    with opened(engine) as session:
        assert session.ask("one", into=Line).value["sku"] == "a"
    ack = {**frames.ack("connect_session", "s1"), "features": ["response_format", 7]}
    engine.on("connect_session", lambda conn, frame: conn.send(ack))
    with opened(engine) as session:
        assert session.ask("one", into=Line).value["sku"] == "a"
        assert session.ask("one").text == LINE
    extended = engine.frames("post_message")[1]
    assert ["response_format" in frame for frame in engine.frames("post_message")] == [False, True, False]
    assert extended["response_format"]["name"] == "Line"
    assert json.dumps(extended["response_format"]["schema"]) in extended["content"]


# ---- the engine ----------------------------------------------------------------------------


def test_a_model_gets_the_schema_of_the_turn() -> None:
    with talking(LINE, call_tool("nothing"), LINE, "text") as (session, model):
        session.ask("one", into=Line)
        session.ask("two", into=Line)
        session.ask("three")
    formats = [question.response_format for question in model.questions]
    assert formats[0] == formats[1] == formats[2] is not None
    assert formats[0]["name"] == "Line"
    assert formats[0]["schema"]["required"] == ["sku", "count"]
    assert formats[3] is None


def test_posts_that_share_a_turn_without_agreeing_on_a_format_are_answered_in_any() -> None:
    go = threading.Event()
    with talking([pause(go), "first"], LINE) as (session, model):
        waiting = session.stream("first")
        eventually(lambda: model.questions)  # or the others might join its turn
        one, two = session.stream("one", into=Line), session.stream("two")
        session.get_messages()  # the engine takes frames in their order: it has both
        go.set()
        assert waiting.result().text == "first"
        assert two.result().text == LINE
        assert one.result().value["sku"] == "a"
        assert one.result().shared_with == 1
    assert [question.response_format for question in model.questions] == [None, None]


FORMLESS = ["json", {"name": "x"}, {"schema": {}}, {"name": 1, "schema": {}}, {"name": "x", "schema": []}, 0]
TOO_LARGE = {"name": "x", "schema": {"description": "x" * 70_000}}


@pytest.mark.parametrize(("given", "error"), [*((one, "") for one in FORMLESS), (TOO_LARGE, "at most 65536 bytes")])
def test_a_format_of_no_known_form_is_refused(given: Any, error: str) -> None:
    with LocalEngine() as engine, Caller.on(engine) as caller:
        caller.say({**frames.post_message(caller.session_id, "hi"), "response_format": given})
        refused = caller.until(lambda frame: frame["type"] == "post_message")
        assert (refused["success"], refused["code"]) == (False, "bad_content")
        assert error in refused["error"]


class Tree(BaseModel):
    """A type within itself, and keywords that the demo model keeps."""

    left: Tree | None
    names: list[str]
    pair: tuple[int, float]
    known: bool


@pytest.mark.parametrize("into", [Line, Order, Refund, Tree, list[Line]], ids=lambda into: into.__name__)
def test_the_demo_model_gives_an_example(into: Any) -> None:
    with LocalEngine() as engine, engine.agent().create_session() as session:
        assert session.ask("anything", into=into).value


# ---- runs and maps -------------------------------------------------------------------------


def test_a_run_has_its_value() -> None:
    with LocalEngine(model=ScriptedModel(BAD, LINE)) as engine:
        result = engine.agent().run("one", into=Line)
        assert result.value == {"sku": "a", "count": 2}
        assert (result.final_message, result.status) == (LINE, "complete")
        assert [event.text for event in result.events if event.is_complete] == [BAD, LINE]


def test_a_run_without_a_value_raises() -> None:
    with LocalEngine(model=ScriptedModel(BAD, "no", fail("out of paper"))) as engine:
        agent = engine.agent()
        with pytest.raises(errors.AnswerFormatError) as caught:
            agent.run("one", into=Line)
        assert caught.value.texts == (BAD, "no")
        with pytest.raises(errors.AnswerFormatError, match="out of paper"):
            agent.run("two", into=Line)
        with pytest.raises(errors.SessionError):
            agent.run("three", into=Line, session_id="none")
        with pytest.raises(TypeError, match="into takes"):
            agent.run("four", into=threading.Thread)
        with pytest.raises(TypeError, match="into takes"):
            agent.map(["five"], into=threading.Thread)


def test_a_refused_message_is_raised_where_a_value_is_wanted(engine: ScriptEngine) -> None:
    engine.on("post_message", lambda conn, frame: conn.send(frames.refusal("post_message", "s1", "not today")))
    agent = Agent("a1", agent_type=AgentType.CONVERSATIONAL, client=Client(SENTINEL_KEY, base_url=engine.base_url))
    with pytest.raises(errors.SessionError, match="not today"):
        agent.run("one", into=Line)


def test_a_functional_agent_takes_no_type() -> None:
    with pytest.raises(ValueError, match="on_approval and into are for conversational agents"):
        Agent("a1", agent_type=AgentType.FUNCTIONAL).run({}, into=Line)  # type: ignore[call-overload]


def test_a_map_has_a_value_for_each_prompt_or_the_error_in_its_place() -> None:
    def answer(question: Any) -> str:
        text = question.messages[-1].text
        return BAD if "two" in text or "does not fit" in text else LINE

    with LocalEngine(model=ScriptedModel(*[answer] * 5)) as engine:
        first, second, third = engine.agent().map(["one", "two", "three"], into=Line, on_error="return")
    assert isinstance(second, errors.AnswerFormatError)
    assert second.texts == (BAD, BAD)
    assert first.value["count"] == third.value["count"] == 2


def test_a_checkpoint_keeps_what_was_answered_and_reads_it_again(tmp_path: Path) -> None:
    with LocalEngine(model=ScriptedModel(LINE, "no", "no"), path=str(tmp_path / "engine.db"), port=0) as engine:
        agent = engine.agent()
        for _ in range(2):
            options = {"on_error": "return", "max_workers": 1, "checkpoint": tmp_path / "run.db"}
            first, second = agent.map(["one", "two"], into=Line, **options)
            assert first.value["count"] == 2
            assert isinstance(second, errors.AnswerFormatError)


def test_a_type_and_its_value_travel_to_other_processes_and_back() -> None:
    with LocalEngine() as engine:
        agent = engine.agent()
        (result,) = agent.map(["one"], into=Order)
        assert pickle.loads(pickle.dumps(result)).value == result.value == Order("example", 1)

        @dataclass
        class Local:
            a: int

        with pytest.raises(TypeError, match="into cannot be sent"):
            agent.map(["one"], into=Local, executor=ProcessPoolExecutor(1))
