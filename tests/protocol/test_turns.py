"""Which turn answers which post, frame by frame, without a socket or a clock."""

from __future__ import annotations

from typing import Any

import pytest

from sessionlib import SessionEvent
from sessionlib.protocol import frames
from sessionlib.protocol.parser import parse_event
from sessionlib.protocol.turns import PendingPost, TurnTracker
from tests.support.script_engine import agent_message, notification, text_content, user_message


class Engine:
    """A tracker, and what an engine sends it: a(ck), P(rocessing), C(omplete) and I(dle), with a turn's number."""

    def __init__(self, *, alone: bool = True) -> None:
        self.tracker = TurnTracker(alone)
        self.history: list[dict[str, Any]] = []
        self._texts = 0

    def post(self, text: str) -> PendingPost:
        post = PendingPost(contents=(f"text:{text}",))
        self.tracker.post(post)
        self.history.append(user_message("s1", f"u-{text}", text))
        return post

    def send(self, letters: str, **facts: Any) -> list[PendingPost]:
        """Sends frames; returns the owners of the last."""
        owners: list[PendingPost] = []
        for letter in letters:
            event = self._event(letter, facts)
            found, held = self.tracker.follow(event)
            owners = list(found)
            if held is not None:
                held.append(event)
        return owners

    def _event(self, letter: str, facts: dict[str, Any]) -> SessionEvent:
        if letter == "a":
            frame = frames.ack("post_message", "s1", **facts)
        elif letter in "PI":
            status = {"P": "Processing", "I": "Idle"}[letter]
            frame = frames.participant_status("s1", status, **facts)
        else:
            self._texts += 1
            self.history.append(agent_message("s1", f"m{self._texts}", f"answer {self._texts}"))
            frame = notification("s1", f"m{self._texts}", text_content(f"answer {self._texts}"))
        event = parse_event(frame, "s1")
        assert event is not None
        return event

    def texts_of(self, post: PendingPost) -> list[Any]:
        """The texts that were held for a post until it was known that they are its."""
        return [event.text for owner, events in self.tracker.take_released() for event in events if owner is post]


@pytest.mark.parametrize("alone", [True, False])
def test_a_post_has_the_turn_that_follows_it(alone: bool) -> None:
    engine = Engine(alone=alone)
    for text in ("one", "two"):
        post = engine.post(text)
        assert engine.send("a") == [post]
        assert engine.send("P") == [post] == engine.send("C") == engine.send("I")
        assert post.shared_with == 0
        assert engine.tracker.check_delay() is None


def test_turn_ids_decide_at_once() -> None:
    engine = Engine()
    first, second, third = (engine.post(text) for text in ("one", "two", "three"))
    engine.send("aa", turn_id="t1")
    engine.send("a", turn_id="t2")
    assert engine.send("P", turn_id="t1") == [first, second]
    engine.send("CI", turn_id="t1")
    assert (first.shared_with, second.shared_with, third.turn) == (1, 1, None)
    assert engine.tracker.check_delay() is None  # the engine owes it a turn, however long that takes
    assert engine.send("P", turn_id="t2") == [third]


def test_an_idle_engine_shows_that_one_turn_answers_all() -> None:
    engine = Engine()
    first, second = engine.post("one"), engine.post("two")
    engine.send("aa")
    assert engine.send("P") == [first]
    engine.send("CI")
    assert engine.tracker.check_delay() is not None
    assert engine.tracker.settle(engine.history) == []
    assert engine.texts_of(second) == [None, "answer 1", None]
    assert (first.shared_with, second.shared_with) == (1, 1)
    third, fourth = engine.post("three"), engine.post("four")
    engine.send("aa")
    assert engine.send("P") == [third, fourth]  # it has been learned


def test_a_turn_too_many_shows_that_each_post_has_its_own() -> None:
    engine = Engine()
    posts = [engine.post(text) for text in ("one", "two", "three")]
    engine.send("aaa")
    for post in posts:
        assert engine.send("P") == [post] == engine.send("CI")
    assert [post.shared_with for post in posts] == [0, 0, 0]


@pytest.mark.parametrize("is_strange", [True, False])
def test_where_other_clients_post_the_history_shows_whose_turn_it_was(is_strange: bool) -> None:
    engine = Engine(alone=False)
    first, second = engine.post("one"), engine.post("two")
    engine.send("aaPCI")
    if is_strange:
        engine.history.append(user_message("s1", "x", "a stranger's"))
    assert engine.send("P") == []
    engine.send("CI")
    engine.tracker.settle(engine.history)
    answers = [text for text in engine.texts_of(second) if text]
    assert answers == (["answer 1"] if is_strange else ["answer 2"])
    assert first.shared_with == int(is_strange)


def test_an_engine_that_shows_otherwise_is_read_again() -> None:
    engine = Engine()
    engine.post("one")
    engine.post("two")
    engine.send("aaPCIPCI")  # each has its own, it seems
    third, fourth = engine.post("three"), engine.post("four")
    engine.send("aaPCI")
    engine.tracker.settle(engine.history)
    engine.tracker.settle(engine.history)
    assert third.turn is fourth.turn
    assert fourth.shared_with == 1


@pytest.mark.parametrize("alone", [True, False])
def test_an_engine_without_acks_is_known_by_its_first_turn(alone: bool) -> None:
    engine = Engine(alone=alone)
    for text in ("one", "two"):
        post = engine.post(text)
        engine.send("PCI")
        assert post.last is not None
        assert post not in engine.tracker.unacknowledged


def test_an_ack_within_a_turn_of_another_client_begins_nothing() -> None:
    engine = Engine(alone=False)
    other = engine.post("warm")
    engine.send("aPCI")
    post = engine.post("one")
    assert engine.send("P") == []
    engine.send("a")
    assert engine.send("CI") == []
    assert engine.send("P") == [post]
    assert other.shared_with == 0


def test_an_ack_behind_a_whole_turn_is_that_of_the_next_post() -> None:
    engine = Engine()
    engine.post("warm")
    engine.send("aPCI")
    lost = engine.post("lost")
    engine.send("PCI")
    following = engine.post("next")
    assert engine.send("a") == [following]
    assert not lost.acknowledged


def test_what_the_history_does_not_hold_is_lost_and_what_it_does_not_answer_unanswered() -> None:
    engine = Engine()
    engine.post("warm")
    engine.send("aPCI")
    lost, silent = engine.post("lost"), engine.post("silent")
    engine.history = [message for message in engine.history if message["id"] != "u-lost"]
    engine.tracker.note_idle()
    fates = [engine.tracker.settle(engine.history) for _ in range(2)]
    assert fates[0] == []
    assert {fate.post: fate.arrived for fate in fates[1]} == {lost: False, silent: True}
    assert engine.tracker.check_delay() is None


def test_an_answer_that_was_never_seen_is_taken_from_the_history() -> None:
    engine = Engine()
    post = engine.post("one")
    engine.send("a")
    engine.history.append(agent_message("s1", "m9", "unseen"))
    engine.tracker.note_idle()
    assert engine.tracker.settle(engine.history) == []
    assert engine.texts_of(post) == ["unseen", None]
    failed = engine.post("two")
    engine.send("a")
    engine.history.append(agent_message("s1", "m10", {"type": "error_message", "error": "no tea"}))
    engine.tracker.note_idle()
    engine.tracker.settle(engine.history)
    assert [event.error for _, events in engine.tracker.take_released() for event in events] == ["no tea", None]
    assert failed.last is not None


def test_looks_at_the_history_become_rarer() -> None:
    engine = Engine()
    engine.post("one")
    engine.send("a")
    engine.tracker.is_blind = True
    delays = []
    for _ in range(8):
        delay = engine.tracker.check_delay()
        assert delay is not None
        delays.append(delay)
        engine.tracker.settle(None)
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (0.9, 30.0)


def test_a_request_in_a_turn_that_may_be_shared_takes_the_documented_reading() -> None:
    engine = Engine()
    engine.post("one")
    second = engine.post("two")
    engine.send("aaP")
    asking = notification("s1", "r1", {"type": "tool_call_approval", "tool_name": "refund", "tool_call_id": "c1"})
    event = parse_event(asking, "s1")
    assert event is not None
    owners, held = engine.tracker.follow(event)
    assert second in owners
    assert held is None


def test_the_end_leaves_nothing_undecided() -> None:
    engine = Engine()
    first = engine.post("one")
    engine.post("two")
    engine.send("aaPC")
    assert first.turn is not None
    assert first.turn.held is not None
    engine.tracker.close()
    assert first.turn.held is None
