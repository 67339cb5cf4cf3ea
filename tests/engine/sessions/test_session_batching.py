"""Posts that wait together are answered in one turn, as on the hosted engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionlib.engine import Limits, LocalEngine
from sessionlib.engine.models import Chunk, ModelRequest, TextDelta
from sessionlib.protocol import frames
from tests.engine.conftest import refund
from tests.support.engine import Caller, answer_of, approve, content_of, contents, eventually, file, kinds, rest
from tests.support.scripted_answers import Scripted
from tests.support.threads import in_threads


class Gated(Scripted):
    """A model that answers each question when it is let."""

    def __init__(self) -> None:
        super().__init__(self._gated)
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def _gated(self, question: ModelRequest) -> Iterator[Chunk]:
        self.begun.release()
        assert self.go.acquire(timeout=30)
        yield TextDelta(f"answer {len(self.asked)}")

    def wait(self) -> None:
        """Returns once it is asked."""
        assert self.begun.acquire(timeout=30)

    def finish(self, caller: Caller, turns: int) -> None:
        """Lets it answer so many turns, one after the other."""
        for _ in range(turns):
            self.go.release()
            caller.until_status("Idle")


@pytest.fixture
def model() -> Gated:
    return Gated()


def posted(question: ModelRequest) -> list[str]:
    return [said.text for said in question.said if said.role == "user"]


def test_posts_that_arrive_while_a_turn_runs_go_into_the_next_one_together(model: Gated) -> None:
    with LocalEngine(model=model) as engine, Caller.on(engine) as caller:
        first = caller.post("one")
        model.wait()
        acks = [caller.post(text) for text in ("two", "three", "four")]
        assert len({ack["turn_id"] for ack in acks}) == 1
        assert acks[0]["turn_id"] != first["turn_id"]
        before = len(caller.heard)
        model.finish(caller, 2)
        turn = ["Processing", "message_delta", "data_type_message", "Idle"]
        assert kinds(caller.heard[before:]) == [*turn[1:], *turn]
        assert [posted(question) for question in model.asked] == [["one"], ["one", "two", "three", "four"]]
        kept = [message["content"]["value"] for message in caller.history()]
        assert kept == ["one", "two", "three", "four", "answer 1", "answer 2"]


def test_posts_of_several_clients_and_batches_share_a_turn(model: Gated) -> None:
    with LocalEngine(model=model) as engine, Caller.on(engine) as caller:
        caller.post("one")
        model.wait()
        with Caller.on(engine, session_id=caller.session_id) as other:
            mine, theirs = caller.post("mine"), other.post("theirs")
            caller.say(frames.post_messages(caller.session_id, ["a", file("b.txt")]))
            batch = caller.until_type("post_messages")
            assert mine["turn_id"] == theirs["turn_id"] == batch["turn_id"]
            model.finish(other, 2)
        assert posted(model.asked[1]) == ["one", "mine", "theirs", "a", ""]
        assert model.asked[1].said[-1].files[0].name == "b.txt"


def test_every_turn_of_a_burst_is_acknowledged_before_it_begins_and_answers_all_of_its_posts() -> None:
    with LocalEngine(limits=Limits(frame_burst=10_000)) as engine, Caller.on(engine) as caller:
        for number in range(200):
            caller.say(frames.post_message(caller.session_id, f"<{number}>"))
        posts: dict[str, list[str]] = {}
        turn, ended = "", set[str]()
        while sum(map(len, posts.values())) < 200 or set(posts) - ended:
            frame = caller.hear()
            if frame["type"] == "post_message":
                assert frame["turn_id"] not in {turn, *ended}, "a post joined a turn that had begun"
                posts.setdefault(frame["turn_id"], []).append(f"<{sum(map(len, posts.values()))}>")
            elif frame["type"] == "participant_status":
                turn = frame["message"]["turn_id"]
                if frame["message"]["status"] == "Idle":
                    ended.add(turn)
            elif content_of(frame).get("status") == "Complete":
                assert all(text in content_of(frame)["value"] for text in posts[turn])
        complete = [frame for frame in caller.heard if content_of(frame).get("status") == "Complete"]
        assert len(complete) == len(posts) == len(ended)
        assert len(posts) < 200


def test_each_post_has_its_own_turn_without_batching(model: Gated) -> None:
    with LocalEngine(model=model, batching=False) as engine, Caller.on(engine) as caller:
        acks = [caller.post(text) for text in ("one", "two", "three")]
        assert len({ack["turn_id"] for ack in acks}) == 3
        model.finish(caller, 3)
        assert [posted(question) for question in model.asked] == [["one"], ["one", "two"], ["one", "two", "three"]]


def test_posts_behind_an_open_approval_wait_together() -> None:
    with LocalEngine(tools=[refund]) as engine, Caller.on(engine) as caller:
        asked = caller.ask_for_approval('/tool refund {"order_id": "7"}')
        acks = [caller.post(text) for text in ("and then", '/tool refund {"order_id": "8"}', "and last")]
        assert len({ack["turn_id"] for ack in acks}) == 1
        caller.ask(approve(), asked["id"])
        again = caller.until_content("tool_call_approval")
        caller.ask(approve(), again["message"]["id"])
        # A post that shares its turn with a command is answered as well.
        assert answer_of(caller.heard) == 'refund gave: refunded 1 for 8\nYou said: "and then\nand last"'


@pytest.mark.parametrize("batching", [True, False])
def test_posts_that_wait_are_counted_one_by_one(model: Gated, batching: bool) -> None:
    limits = Limits(queued_turns=2)
    with LocalEngine(model=model, limits=limits, batching=batching) as engine, Caller.on(engine) as caller:
        caller.post("one")
        model.wait()
        answers = [caller.post(text) for text in ("two", "three", "four")]
        assert [answer["success"] for answer in answers] == [True, True, False]
        assert answers[2]["code"] == "too_many_turns"
        model.go.release()
        model.wait()
        assert caller.post("five")["success"]
        model.finish(caller, 2 if batching else 3)


def test_a_turn_takes_no_more_than_a_model_is_shown(model: Gated) -> None:
    with LocalEngine(model=model, limits=Limits(memory_chars=100)) as engine, Caller.on(engine) as caller:
        caller.post("one")
        model.wait()
        texts = ["x" * 60, "y" * 60, "z" * 60, "last"]
        acks = [caller.post(text) for text in texts]
        assert [ack["turn_id"] == acks[0]["turn_id"] for ack in acks] == [True, True, False, False]
        assert acks[2]["turn_id"] == acks[3]["turn_id"]
        model.finish(caller, 3)
        assert [posted(question)[-2:] for question in model.asked[1:]] == [texts[:2], texts[2:]]


def test_a_long_message_does_not_crowd_the_others_out_of_the_answer() -> None:
    with LocalEngine() as engine, Caller.on(engine) as caller:
        heard = caller.ask("hello")
        caller.ask_all(["long " * 1000, "short"])
        assert "long" in answer_of(caller.heard)
        assert answer_of(caller.heard).endswith('short"')
    assert '"hello"' in answer_of(heard)


def test_a_post_to_a_session_that_ends_is_not_acknowledged(model: Gated) -> None:
    with LocalEngine(model=model) as engine, Caller.on(engine) as caller:
        caller.post("one")
        model.wait()
        caller.post("two")
        caller.terminate()
        assert caller.post("three")["code"] == "session_terminated"
        model.go.release()


def test_a_run_of_a_chatbot_shares_a_turn_like_any_other_post(model: Gated) -> None:
    with LocalEngine(model=model) as engine:
        bot = rest(engine, "POST", "/chatbot", json={"name": "Bot", "pipeline": {"id": "p"}}).json()["id"]

        def run(text: str, conversation: str | None = None) -> Any:
            body = {"text": text, "conversation_id": conversation}
            return rest(engine, "POST", f"/chatbot/{bot}/run", json=body).json()

        model.go.release()
        first = run("one")
        model.wait()
        conversation = first["conversation_id"]
        with in_threads(lambda: run("two", conversation)) as second:
            model.wait()
            with in_threads(*(lambda text=text: run(text, conversation) for text in ("three", "four"))) as last:
                with Caller.on(engine, session_id=conversation) as watching:
                    eventually(lambda: len(watching.history()) == 5)
                for _ in range(2):
                    model.go.release()
    answers = [answer["output_message"] for answer in (first, *second, *last)]
    assert answers == ["answer 1", "answer 2", "answer 3", "answer 3"]


@pytest.mark.parametrize("batching", [True, False])
def test_posts_that_waited_when_the_engine_ended_are_answered_by_the_next(tmp_path: Path, batching: bool) -> None:
    path = str(tmp_path / "engine.db")
    model = Gated()
    with LocalEngine(model=model, path=path, batching=batching) as engine, Caller.on(engine) as caller:
        caller.post("one")
        model.wait()
        for text in ("two", "three"):
            caller.post(text)
        threading.Timer(0.1, model.go.release).start()
    again = Scripted(lambda question: iter([TextDelta(f"answer {len(posted(question))}")]))
    with (
        LocalEngine(model=again, path=path, batching=batching) as engine,
        Caller.on(engine, session_id=caller.session_id) as caller,
    ):

        def whole() -> list[str]:
            values = (content["value"] for content in contents(caller.history(), "data_type_message"))
            return [value for value in values if value.startswith("answer")]

        eventually(lambda: whole()[-1:] == ["answer 3"])
        assert whole() == (["answer 3"] if batching else ["answer 2", "answer 3"])
