"""The turn loop, with models made for the test."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sessionlib import Session, SessionEventType
from sessionlib.engine import Limits, LocalEngine, ModelError, tool
from sessionlib.engine.models import ModelRequest, Piece, RequestedCall, Text, Thinking
from sessionlib.protocol import frames
from sessionlib.testing import FaultProxy, ScriptedModel, call_tool, pause, think
from tests.support.engine import Caller, answer_of, content_of, contents, eventually, file, kinds
from tests.support.scripted_answers import Answer, Scripted, says
from tests.support.waiting import within


def fails(error: BaseException) -> Answer:
    def answer(question: ModelRequest) -> Iterator[Piece]:
        yield Text("half an ")
        raise error

    return answer


@tool
def double(n: int) -> int:
    """Double it."""
    return 2 * n


ANSWER = ["message_delta", "data_type_message"]


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """What a model or a tool waits for, until the test is over at the latest."""
    event = threading.Event()
    yield event
    event.set()


def error_in(heard: list[dict[str, Any]]) -> str:
    return str(contents(heard, "error_message")[0]["error"])


def test_thinking_is_told_before_the_answer() -> None:
    model = Scripted(says(Thinking("Let me "), Thinking("see.\nYes."), Text("It is."), Text("")))
    with LocalEngine(model=model) as engine, Caller.on(engine) as caller:
        heard = caller.ask("is it?")
        assert kinds(heard) == ["post_message", "Processing", *["reasoning"] * 2, "thinking", *ANSWER, "Idle"]
        (thought,) = contents(heard, "thinking")
        assert (thought["content"], thought["summary"]) == ("Let me see.\nYes.", "Let me see.")
        assert answer_of(heard) == "It is."


def test_text_before_tool_calls_is_a_message_of_its_own() -> None:
    model = Scripted(
        says(Text("I look."), RequestedCall("double", {"n": 2}), RequestedCall("double", {"n": 3})),
        says(Text("4 and 6")),
    )
    with LocalEngine(tools=[double], model=model) as engine, Caller.on(engine) as caller:
        heard = caller.ask("how much?")
        assert kinds(heard)[2:] == [*ANSWER, *["tool_call"] * 2, *["tool_result"] * 2, *ANSWER, "Idle"]
        step = model.asked[1].said[-1]
        assert (step.role, step.text) == ("assistant", "I look.")
        assert [(result.tool, result.arguments, result.output) for result in step.results] == [
            ("double", {"n": 2}, 4),
            ("double", {"n": 3}, 6),
        ]
        assert len({result.call_id for result in step.results}) == 2


def test_the_model_is_told_everything() -> None:
    model = Scripted(says(Text("fine")))
    with LocalEngine(tools=[double], model=model) as engine, Caller.on(engine) as caller:
        caller.ask("first")
        batch = ["second", file("a.txt", "aGVsbG8="), file("b.png", "AAA=", "image/png")]
        caller.ask_all(batch)
    question = model.asked[1]
    said = [(said.role, said.text) for said in question.said]
    assert said == [("user", "first"), ("assistant", "fine"), ("user", "second"), ("user", ""), ("user", "")]
    files = [file for said in question.said for file in said.files]
    assert [(f.name, f.mime_type, f.size, f.text) for f in files] == [
        ("a.txt", "text/plain", 5, "hello"),
        ("b.png", "image/png", 2, None),
    ]
    assert [offer.name for offer in question.tools] == ["double"]


@pytest.mark.parametrize("odd", ["text", None, {"text": "x"}, Text(5)])
def test_a_model_that_yields_no_chunk_ends_the_turn_in_words(caplog: pytest.LogCaptureFixture, odd: Any) -> None:
    with LocalEngine(model=Scripted(says(odd), says(Text("ok")))) as engine, Caller.on(engine) as caller:
        told = error_in(caller.ask("one"))
        assert told == f"The model yielded a {type(odd).__name__} in place of a TextDelta with a str."
        assert answer_of(caller.ask("two")) == "ok"
    assert not any(record.exc_info for record in caplog.records)


def test_a_failing_model_ends_the_turn_in_words(caplog: pytest.LogCaptureFixture) -> None:
    inside = "The model failed; the engine's log has the reason."
    # A library that reads arguments exits where it cannot: that would end the thread, and never the turn.
    failures = [ModelError("The model is asleep."), ValueError("secret detail"), SystemExit(3), KeyboardInterrupt()]
    model = Scripted(*map(fails, failures), says(Text("ok")))
    with LocalEngine(model=model) as engine, Caller.on(engine) as caller:
        told = [error_in(caller.ask("fail")) for _ in failures]
        assert told == ["The model is asleep.", inside, inside, inside]
        assert answer_of(caller.ask("three")) == "ok"
        assert [said.failure for said in model.asked[4].said if said.role == "assistant"] == told
        assert not [message for message in caller.history() if message["content"].get("value") == "half an "]
    # The fault is none of the engine's: one line each, and the place.
    logged = [record for record in caplog.records if "the model failed" in record.getMessage()]
    assert [record.getMessage().split("failed: ")[1].split(" (")[0] for record in logged] == [
        "ValueError: secret detail",
        "SystemExit: 3",
        "KeyboardInterrupt",
    ]
    assert all(record.getMessage().count("test_turn.py, line ") == 1 for record in logged)
    assert not any(record.exc_info for record in caplog.records if record.levelno > logging.DEBUG)


def test_an_empty_answer_is_a_whole_message() -> None:
    with LocalEngine(model=Scripted(says())) as engine, Caller.on(engine) as caller:
        assert answer_of(caller.ask("say nothing")) == ""


@pytest.mark.parametrize(
    ("limits", "answer", "told"),
    [
        (Limits(steps=3), says(RequestedCall("double", {"n": 1})), "after 3 steps"),
        (Limits(step_calls=2), says(*[RequestedCall("double", {"n": 1})] * 3), "over 2 tool calls"),
        (Limits(answer_chars=100), lambda question: iter(lambda: Text("x" * 30), None), "over 100 characters"),
    ],
)
def test_a_model_out_of_bounds_is_stopped(limits: Limits, answer: Answer, told: str) -> None:
    with LocalEngine(tools=[double], model=Scripted(answer), limits=limits) as engine, Caller.on(engine) as caller:
        assert told in error_in(caller.ask("go"))


def test_a_model_that_goes_on_and_on_is_stopped_by_terminating() -> None:
    stopped = threading.Event()

    def endless(question: ModelRequest) -> Iterator[Piece]:
        try:
            while True:
                yield Text("on and ")
        finally:
            stopped.set()

    # It is faster than we read: with what it says until it hears of the end, nobody is to be called too slow.
    limits = Limits(answer_chars=10**12, outbound_bytes=1 << 30)
    with LocalEngine(model=Scripted(endless), limits=limits) as engine, Caller.on(engine) as caller:
        caller.say(frames.post_message(caller.session_id, "go"))
        caller.until_type("message_delta")
        caller.terminate()
        assert stopped.wait(30)
        assert caller.ping() == []


def test_the_history_shows_what_is_being_streamed(go: threading.Event) -> None:
    model = ScriptedModel(["so ", "far", pause(go), ", so good"])
    with LocalEngine(model=model) as engine, Caller.on(engine) as caller:
        caller.say(frames.post_message(caller.session_id, "go"))
        caller.until(lambda frame: frame["type"] == "message_delta" and frame["index"] == 1)
        last = caller.history()[-1]
        assert (last["content"]["value"], last["content"]["status"]) == ("so far", "Streaming")
        go.set()
        caller.until_status("Idle")
        assert (caller.history()[-1]["id"], answer_of(caller.heard)) == (last["id"], "so far, so good")


def test_a_client_that_leaves_does_not_stop_the_turn(go: threading.Event) -> None:
    with LocalEngine(model=ScriptedModel([pause(go), "done"])) as engine:
        with Caller.on(engine) as first:
            first.post("go")
        with Caller.on(engine, session_id=first.session_id) as second:
            assert second.joined["status"] == "Processing"
            go.set()
            second.until_status("Idle")
            assert answer_of(second.heard) == "done"


def test_the_oldest_turns_are_forgotten_when_there_are_too_many() -> None:
    model = Scripted(says(Text("y" * 40)))
    with LocalEngine(model=model, limits=Limits(memory_chars=250)) as engine, Caller.on(engine) as caller:
        for number in range(10):
            caller.ask(f"{number} " + "x" * 38)
    told = model.asked[-1].said
    assert told[-1].text.startswith("9 ")
    assert told[0].role == "user"
    assert sum(len(said.text) for said in told) <= 250
    assert len(told) == 5


def test_a_turn_is_told_whole_and_of_the_others_as_many_as_there_is_room_for() -> None:
    steps = [says(Text(f"step {number}"), RequestedCall("double", {"n": number})) for number in range(5)]
    model = Scripted(says(Text("one")), says(Text("two")), *steps, says(Text("three")))
    limits = Limits(memory_messages=3)
    with LocalEngine(tools=[double], model=model, limits=limits) as engine, Caller.on(engine) as caller:
        for text in ("first", "second", "third"):
            caller.ask(text)
    told = model.asked[-1].said
    assert [said.text for said in told] == ["second", "two", "third", *(f"step {number}" for number in range(5))]
    assert [result.output for said in told for result in said.results] == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("limits", [Limits(), Limits(turn_seconds=math.inf, stop_seconds=math.inf)])
def test_closing_ends_running_turns_in_words(limits: Limits) -> None:
    begun = threading.Event()

    def slow(question: ModelRequest) -> list[Any]:
        begun.set()
        return [pause(30.0), "too late"]

    with LocalEngine(model=ScriptedModel(slow), limits=limits) as engine:
        caller = Caller.on(engine)
        caller.post("go")
        assert begun.wait(30)
    with contextlib.closing(caller), contextlib.suppress(ConnectionError):
        caller.until(lambda frame: False)
    assert error_in(caller.heard) == "The turn was stopped: the engine was stopped."
    assert caller.heard[-1]["message"]["status"] == "Idle"


def test_closing_is_idempotent_and_the_engine_can_start_again() -> None:
    engine = LocalEngine()
    engine.close()
    engine.start()
    assert engine.start() is engine
    port = engine.port
    with Caller.on(engine) as caller:
        caller.ask("hello")
    engine.close()
    engine.close()
    assert repr(engine) == "<LocalEngine not running>"
    with engine, Caller.on(engine) as caller:
        assert engine.port == port
        caller.ask("hello again")
    eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("sessionlib-")])


def test_thoughts_are_sent_as_they_come_before_the_text_that_they_lead_to_and_stored_once(go: threading.Event) -> None:
    see = threading.Event()
    thoughts = [think("Let me "), pause(see), think("see \ud83d"), think(""), think("\ude00.")]  # an emoji in halves
    model = ScriptedModel([*thoughts, "It ", pause(go), think("Really?"), "is."])
    with LocalEngine(model=model) as engine, Caller.on(engine) as caller:
        caller.post("hi")
        caller.until_content("reasoning")
        see.set()  # not before: a thought is on its way while the model still thinks
        caller.until_type("message_delta")
        assert kinds(caller.heard)[-5:] == [*["reasoning"] * 3, "thinking", "message_delta"]
        parts = [frame["message"] for frame in caller.heard if content_of(frame).get("type") == "reasoning"]
        told = [(part["content"]["value"], part["content"]["index"]) for part in parts]
        assert told == [("Let me ", 0), ("see ", 1), ("\U0001f600.", 2)]
        go.set()
        caller.until_status("Idle")
        sent = [f["message"] for f in caller.heard if content_of(f).get("type") == "thinking"]
        assert [message["content"]["content"] for message in sent] == ["Let me see \U0001f600.", "Really?"]
        assert {part["id"] for part in parts} == {sent[0]["id"]}
        kept = [message for message in caller.history() if message["content"]["type"] == "thinking"]
        assert [(m["id"], m["content"]) for m in kept] == [(m["id"], m["content"]) for m in sent]


def test_a_client_that_loses_its_connection_in_a_thought_gets_the_whole_of_it(go: threading.Event) -> None:
    model = ScriptedModel([think("Let me "), think("see."), pause(go), think(" Yes."), "It is."])
    with LocalEngine(model=model) as engine, FaultProxy.in_front_of(engine) as proxy:
        agent = engine.agent(name="Thinker").id
        with Session(
            owner_type="agent", owner_id=agent, client=proxy.client(engine.api_key), reconnect_delay=0.01
        ) as session:
            turn = session.stream("is it?")
            thoughts = (event for event in turn if event.type is SessionEventType.THINKING)
            parts = [next(thoughts).data["text"] for _ in range(2)]
            proxy.cut()
            eventually(lambda: session.stats.reconnects == 1)
            go.set()
            *more, whole = thoughts
        assert (parts, [event.data["text"] for event in more]) == (["Let me ", "see."], [" Yes."])
        assert (whole.data["content"], whole.status) == ("Let me see. Yes.", None)
        assert whole.message_id == more[0].message_id


def test_the_demo_model_thinks_what_it_is_told_to() -> None:
    with LocalEngine() as engine, Caller.on(engine) as caller:
        heard = caller.ask("/think Let me see.\nis it?\n/think Yes. ")
        assert [part["value"] for part in contents(heard, "reasoning")] == ["Let", " me", " see.", "\nYes.", " "]
        assert answer_of(heard).endswith('You said: "is it?\n"')


def test_text_that_has_no_utf8_is_cleaned_where_it_is_stored() -> None:
    @tool
    def names() -> str:
        """List files whose names are not UTF-8, as the system lists them."""
        print(os.fsdecode(b"caf\xe9.txt"))
        return "listed"

    answer = says(Text("half \ud83d"), Text("\ude00, and \udce9"))
    steps = [says(RequestedCall("names", {})), answer, fails(ModelError("\udce9"))]
    with LocalEngine(tools=[names], model=Scripted(*steps)) as engine, Caller.on(engine) as caller:
        caller.ask("names?")
        assert error_in(caller.ask("and now?")) == "\ufffd"
        history = caller.history()
    assert [result["printed"] for result in contents(history, "tool_result")] == ["caf\ufffd.txt\n"]
    texts = [content["value"] for content in contents(history, "data_type_message")]
    assert texts == ["names?", "half \U0001f600, and \ufffd", "and now?"]


def test_a_number_of_more_than_64_bits_is_shown_to_a_person_and_returned_as_it_is() -> None:
    # Readers of JSON make doubles of them: what was approved would not be what ran.
    @tool(approval="requires_approval")
    def close(account: int) -> list[int]:
        """Close an account."""
        return [account, account + 1, 2**64 - 1]

    large, shown = 123456789012345678901234, []
    model = ScriptedModel(call_tool("close", account=large), "ok")
    with LocalEngine(tools=[close], model=model) as engine, engine.agent().create_session() as session:
        session.on_approval(lambda request: not shown.append(request.arguments["account"]))  # type: ignore[func-returns-value]
        reply = session.ask("Close it.")
    assert shown == [str(large)]
    assert reply.tool_calls[0].output == [str(large), str(large + 1), 2**64 - 1]


def test_a_turn_whose_end_cannot_be_stored_for_any_reason_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a fault of the engine's own")

    monkeypatch.setattr("sessionlib.engine.sessions.turn.interrupt_turn", broken)
    with LocalEngine(model=Scripted(fails(ModelError("no")))) as engine, Caller.on(engine) as caller:
        heard = caller.ask("hi")
    assert [frame["error"] for frame in heard if frame["type"] == "error"] == ["no"]


def test_turns_have_a_time_limit(go: threading.Event) -> None:
    @tool
    def slow() -> None:
        """Wait."""
        go.wait(30)

    with LocalEngine(tools=[slow], limits=Limits(turn_seconds=2.0)) as engine, Caller.on(engine) as caller:
        with within(24):
            assert "its 2 s are over" in error_in(caller.ask("/tool slow"))
        assert "echoes" in answer_of(caller.ask("and now?"))


def test_turns_that_the_model_is_not_shown_any_more_are_reported_once() -> None:
    model = Scripted(*[says(Text("ok"))] * 4)
    with LocalEngine(model=model, limits=Limits(memory_chars=60)) as engine, engine.agent().create_session() as session:
        replies = [session.ask(f"{number} {'x' * 20}") for number in range(4)]
    notices = [[event.data["notice"] for event in reply.events if event.data.get("notice")] for reply in replies]
    assert notices == [[], [], ["context"], []]
    assert [len(question.messages) for question in model.asked] == [1, 3, 3, 3]
