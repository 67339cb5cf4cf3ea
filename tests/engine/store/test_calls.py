"""The rows of tool calls: who may start and answer them, and that their results are sent once and in order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sessionlib.engine.errors import RefusedError
from sessionlib.engine.store import Store
from sessionlib.engine.store.records import Message, StoredCall, StoredTurn, new_id

USER, AGENT = {"user_id": "u1"}, {"agent_id": "a1"}
ASKS = {"type": "tool_call_approval", "status": "pending"}


class Turn:
    """A turn of a session, and what its model asks for."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.session_id = store.sessions.add("agent", "a1")
        self.turn = store.sessions.post(self.session_id, USER, [{"value": "Hi"}], (), quota=0).turn

    def step(self, *states: str, **fields: Any) -> list[StoredCall]:
        """Keeps a step with a call of each state; one that is pending has a message that asks for approval."""
        ids = [new_id() if state == "pending" else None for state in states]
        calls = [
            StoredCall(
                new_id(), self.session_id, self.turn.number, self.turn.step + 1, at, "pay", {"n": at}, state,
                approval_id=approval_id, **fields,
            )
            for at, (state, approval_id) in enumerate(zip(states, ids, strict=True))
        ]  # fmt: skip
        asked = [(approval_id, ASKS) for approval_id in ids if approval_id]
        self.store.sessions.add_step(self.turn, AGENT, asked, calls, ends=False)
        (self.turn,) = self.store.sessions.open_turns(self.session_id)
        return calls

    def answer(self, call: StoredCall, approved: bool = True, reason: str = "", **arguments: Any) -> str:
        return self.store.calls.answer(call, approved, arguments, reason, USER, {"value": "answer"})

    def states(self) -> list[str]:
        return [call.state for call in self.store.calls.of_turns(self.session_id, 0, self.turn.number)]

    def end(self) -> None:
        self.store.sessions.set_turn(self.turn.number, "ended")


@pytest.fixture
def turn(store: Store) -> Turn:
    return Turn(store)


def values(messages: list[Message]) -> list[Any]:
    return [message.content.get("value") for message in messages]


def result(call: StoredCall) -> dict[str, Any]:
    return {"value": f"result {call.position}"}


def test_a_call_comes_back_as_it_was_kept(store: Store, turn: Turn) -> None:
    first, second = turn.step("approved", "pending", reason="r", decision="d")
    (third,) = turn.step("refused", origin={"id": 7})
    assert store.calls.open(turn.turn) == [first, second, third]
    assert store.calls.of_turns(turn.session_id, 0, turn.turn.number) == [first, second, third]
    assert store.calls.of_turns(turn.session_id, turn.turn.number + 1, turn.turn.number + 9) == []
    assert store.calls.of_turns("another", 0, turn.turn.number) == []
    assert store.calls.pending(turn.session_id) == [second]
    assert store.calls.find_approval(turn.session_id, str(second.approval_id)) == (second, turn.turn)
    assert store.calls.find_approval(turn.session_id, "another") is None
    assert store.calls.find_approval("another", str(second.approval_id)) is None


def test_calls_of_a_turn_that_has_ended_wait_for_nobody(store: Store, turn: Turn) -> None:
    (call,) = turn.step("pending")
    turn.end()
    assert store.calls.pending(turn.session_id) == []
    found = store.calls.find_approval(turn.session_id, str(call.approval_id))
    assert found is not None
    assert found[1].state == "ended"
    with pytest.raises(RefusedError, match="its turn has ended") as caught:
        turn.answer(call)
    assert caught.value.code == "approval_expired"


@pytest.mark.parametrize(("approved", "state"), [(True, "approved"), (False, "denied")])
def test_the_first_answer_is_kept_with_the_call_and_with_what_asked_for_it(
    store: Store, turn: Turn, approved: bool, state: str
) -> None:
    (call,) = turn.step("pending", origin={"id": 7})
    message_id = turn.answer(call, approved, "because", n=8)
    (found,) = store.calls.open(turn.turn)
    assert found == replace(call, state=state, arguments={"n": 8}, reason="because")
    asked, answer = store.sessions.history(turn.session_id)[-2:]
    assert (asked.id, asked.content) == (call.approval_id, {**ASKS, "status": state})
    assert (answer.id, answer.sender, answer.step) == (message_id, USER, call.step)
    with pytest.raises(RefusedError, match=f"was {state} before") as caught:
        turn.answer(call, not approved)
    assert (caught.value.code, caught.value.facts) == ("approval_already_answered", {"approved": approved})
    assert store.calls.open(turn.turn) == [found]


def test_an_answer_of_a_session_that_was_terminated_is_refused(store: Store, turn: Turn) -> None:
    (call,) = turn.step("pending")
    store.sessions.terminate(turn.session_id)
    with pytest.raises(RefusedError, match="was terminated") as caught:
        turn.answer(call)
    assert caught.value.code == "session_terminated"


@pytest.mark.parametrize("has_ended", [False, True])
@pytest.mark.parametrize("state", ["approved", "pending", "denied", "refused", "started", "done", "settled"])
def test_only_a_call_that_may_run_is_started_and_only_once(
    store: Store, turn: Turn, state: str, has_ended: bool
) -> None:
    (call,) = turn.step(state)
    if has_ended:
        turn.end()
    elif state == "approved":
        message = store.calls.start(call, turn.turn, AGENT, {"value": "starts"})
        assert (message.content, message.step, message.turn) == ({"value": "starts"}, call.step, turn.turn.number)
        assert turn.states() == ["started"]
    before = turn.states()
    with pytest.raises(RefusedError, match="cannot be started now") as caught:
        store.calls.start(call, turn.turn, AGENT, {"value": "starts"})
    assert caught.value.code == "call_not_open"
    assert turn.states() == before


def test_results_are_sent_in_the_order_of_the_calls_and_once(store: Store, turn: Turn) -> None:
    first, second, third = turn.step("started", "started", "started")
    assert store.calls.finish(second, turn.turn, AGENT, result(second)) == []
    assert turn.states() == ["started", "done", "started"]
    assert values(store.calls.finish(first, turn.turn, AGENT, result(first))) == ["result 0", "result 1"]
    assert turn.states() == ["settled", "settled", "started"]
    assert [call.position for call in store.calls.open(turn.turn)] == [2]
    (sent,) = store.calls.finish(third, turn.turn, AGENT, result(third))
    assert (sent.content, sent.sender, sent.step, sent.turn) == (result(third), AGENT, third.step, turn.turn.number)
    assert store.calls.open(turn.turn) == []
    assert values(store.sessions.history(turn.session_id)) == ["Hi", "result 0", "result 1", "result 2"]


def test_a_turn_that_is_interrupted_ends_with_a_result_of_each_call(store: Store, turn: Turn) -> None:
    _, second, third = turn.step("started", "pending", "approved")
    store.calls.finish(third, turn.turn, AGENT, result(third))
    sent = store.calls.interrupt(
        turn.turn, AGENT, {"value": "stopped"}, lambda call: {"value": f"none {call.position}"}
    )
    assert values(sent) == ["none 0", "none 1", "result 2", "stopped"]
    assert turn.states() == ["settled"] * 3
    assert store.sessions.open_turns(turn.session_id) == []
    asked = store.sessions.find_message(str(second.approval_id))
    assert asked is not None
    assert asked.content["status"] == "expired"
    with pytest.raises(RefusedError, match="its turn has ended"):
        turn.answer(second)


def test_a_turn_without_calls_is_interrupted_all_the_same(store: Store, turn: Turn) -> None:
    another: StoredTurn = Turn(store).turn
    assert values(store.calls.interrupt(turn.turn, AGENT, {"value": "stopped"}, result)) == ["stopped"]
    assert [left.number for left in store.sessions.unfinished()] == [another.number]
