"""Random conversations of two threads are replayed to the same events."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionlib import ApprovalRequest, ApprovalResponse, Client, Session
from sessionlib.engine import LocalEngine
from sessionlib.testing import record, replay
from tests.support.profiles import scaled
from tests.support.recordings import heard, shop
from tests.support.threads import in_threads

_ID = re.compile(r"\b[0-9a-f]{32}\b")
_TIME = re.compile(r'"created_at": [0-9.]+')

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
files = st.lists(st.binary(max_size=2000), max_size=3)


@dataclass(frozen=True)
class Step:
    """One thing that a thread does."""

    text: str = ""
    files: tuple[bytes, ...] = ()
    amount: float | None = None
    answer: ApprovalResponse | None = None
    history: bool = False


answers = st.one_of(
    st.builds(ApprovalResponse, st.just(True)),
    st.builds(ApprovalResponse, st.just(True), st.fixed_dictionaries({"order_id": texts, "amount": st.just(1.5)})),
    st.builds(ApprovalResponse, st.just(False), st.none(), texts),
)
steps = st.one_of(
    st.builds(lambda text: Step(text), texts),
    st.builds(lambda text, files: Step(text, tuple(files)), texts, files),
    st.builds(lambda amount, answer: Step(amount=amount, answer=answer), st.floats(0, 1e6), answers),
    st.just(Step(history=True)),
)
scripts = st.lists(steps, min_size=1, max_size=3)


def do(session: Session, step: Step) -> list[Any]:
    def decide(request: ApprovalRequest) -> ApprovalResponse | None:
        return step.answer

    if step.history:
        return [message.to_dict() for message in session.get_messages()]
    text = step.text
    if step.amount is not None:
        text = "/tool refund " + json.dumps({"order_id": "7", "amount": step.amount})
    return heard(session.ask(text, files=step.files, on_approval=decide).events)


def answers_in(told: str) -> list[str]:
    """The complete answers of a conversation."""
    turns = [turn for turn in json.loads(told) if turn and "data" in turn[0]]
    return [event["data"]["text"] for turn in turns for event in turn if event["type"] == "message_complete"]


def at_once(client: Client, **scripts: list[Step]) -> dict[str, str]:
    """Follows each script in a thread of its name."""

    def run(name: str) -> str:
        threading.current_thread().name = name
        return follow(client, scripts[name])

    with in_threads(*[partial(run, name) for name in scripts]) as told:
        pass
    return dict(zip(scripts, told, strict=True))


def follow(client: Client, script: list[Step]) -> str:
    """Does as a script says, and gives all that was heard, its ids by their order.

    Two sessions that began alike may have changed places, and so the ids and times of what was alike.
    """
    with shop(client) as session:
        told = json.dumps([do(session, step) for step in script], ensure_ascii=False)
    told = _TIME.sub('"created_at": 0', told)
    numbers: dict[str, str] = {}
    return _ID.sub(lambda found: numbers.setdefault(found[0], f"id{len(numbers)}"), told)


COUNT = scaled(20)


@pytest.mark.timeout(300)
def test_many_conversations_of_two_threads_are_heard_again(live: LocalEngine, nowhere: Client, tmp_path: Path) -> None:
    played: list[Path] = []

    @settings(max_examples=COUNT)
    @given(scripts, scripts)
    def check(one: list[Step], other: list[Step]) -> None:
        tape = tmp_path / f"{len(played)}.jsonl"
        played.append(tape)
        client = live.client()
        with record(tape):
            recorded = at_once(client, one=one, other=other)
        with replay(tape):
            assert at_once(nowhere, other=other, one=one) == recorded
        # Where no name tells which thread was which, sessions that began alike may have changed places.
        with replay(tape):
            unnamed = at_once(nowhere, second=other, first=one)
        assert [answers_in(unnamed[name]) for name in ("first", "second")] == [
            answers_in(recorded[name]) for name in ("one", "other")
        ]

    check()
    assert len(played) >= COUNT
