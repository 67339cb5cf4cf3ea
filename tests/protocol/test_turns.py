"""Which turn answers which post, frame by frame, without a socket or a clock."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from sessionlib import SessionEvent
from sessionlib.protocol import frames
from sessionlib.protocol.parser import parse_event
from sessionlib.protocol.turns import PendingPost, TurnHandle, TurnTracker, _answer_to
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


def test_a_turn_that_is_over_leaves_nothing_to_the_garbage_collector() -> None:
    def known() -> int:
        return sum(isinstance(each, (PendingPost, TurnHandle)) for each in gc.get_objects())

    engine = Engine()
    gc.collect()
    gc.disable()
    try:
        before = known()
        for number in range(9):
            engine.post(str(number))
            engine.send("aPCI")
        assert known() - before <= 2  # the tracker remembers the last
    finally:
        gc.enable()


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
    # No reply waits for what may still be found out about its turn.
    assert [post.turn is not None and post.turn.held for post in posts] == [None, None, None]


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
    assert engine.tracker.current is not None
    assert engine.tracker.current.held is None, "it is kept for no post any more"
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
    engine.tracker.rejoin(True)
    fates = [engine.tracker.settle(engine.history) for _ in range(2)]
    assert fates[0] == []
    assert {fate.post: fate.arrived for fate in fates[1]} == {lost: False, silent: True}
    assert engine.tracker.check_delay() is None


def test_an_answer_that_was_never_seen_is_taken_from_the_history() -> None:
    engine = Engine()
    post = engine.post("one")
    engine.send("a")
    engine.history.append(agent_message("s1", "m9", "unseen"))
    engine.tracker.rejoin(True)
    assert engine.tracker.settle(engine.history) == []
    assert engine.texts_of(post) == ["unseen", None]
    failed = engine.post("two")
    engine.send("a")
    engine.history.append(agent_message("s1", "m10", {"type": "error_message", "error": "no tea"}))
    engine.tracker.rejoin(True)
    engine.tracker.settle(engine.history)
    assert [event.error for _, events in engine.tracker.take_released() for event in events] == ["no tea", None]
    assert failed.last is not None


def test_looks_at_the_history_become_rarer() -> None:
    engine = Engine()
    engine.post("one")
    engine.send("a")
    engine.tracker.rejoin(None)
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


# ---- what is not known for certain is marked ---------------------------------------------------


def recovered(tracker: TurnTracker, status: str) -> None:
    """Has a status follow that was concluded from the history."""
    frame = frames.participant_status("s1", status, recovered=True)
    event = parse_event(frame, "s1")
    assert event is not None
    tracker.follow(event)


@pytest.mark.parametrize("letters", ["PCI", "C"])
def test_an_engine_without_acks_leaves_open_which_of_several_posts_it_answers(letters: str) -> None:
    engine = Engine()
    posts = [engine.post(text) for text in ("one", "two", "three")]
    for post in posts:
        engine.send(letters)
        assert post.last is not None
    # The first turn answers the first post, the last the last; between them, one may have been answered by either.
    assert [post.shared_with for post in posts] == [0, 1, 0]


def test_a_turn_too_many_proves_nothing_where_no_processing_shows_when_it_began() -> None:
    engine = Engine()
    posts = [engine.post(text) for text in ("one", "two", "three", "four")]
    engine.send("aaaaCC")
    for _ in range(2):
        engine.tracker.settle(engine.history)
    assert engine.tracker.batches is None
    assert posts[0].shared_with == 0
    assert all(post.shared_with for post in posts[1:])


def test_a_turn_that_began_while_there_was_no_connection_begins_with_its_first_word() -> None:
    engine = Engine()
    engine.post("warm")
    engine.send("aPCI")
    post = engine.post("one")
    engine.send("a")
    engine.tracker.rejoin(None)
    assert engine.send("C") == [post]
    assert engine.send("I") == [post]
    following = engine.post("two")
    engine.send("a")
    assert engine.send("C") == []  # it has a Processing to come
    assert engine.send("P") == [following]


def test_what_the_history_showed_is_no_word_of_the_engine() -> None:
    engine = Engine()
    for status in ("Processing", "Idle"):
        recovered(engine.tracker, status)
    assert not engine.tracker.has_statuses
    post = engine.post("one")
    engine.send("C")
    assert post.last is not None


def test_the_next_turn_ends_one_whose_end_was_missed() -> None:
    engine = Engine()
    first, second = engine.post("one"), engine.post("two")
    engine.send("aPC")
    engine.tracker.rejoin(None)
    engine.send("a")
    assert engine.tracker.running
    assert engine.send("P") == [second]
    assert first.last is not None
    assert [event.type for post, events in engine.tracker.take_released() for event in events if post is first]


def test_an_engine_that_reports_nothing_after_a_rejoin_is_waited_for_no_longer_than_two_looks() -> None:
    engine = Engine()
    post = engine.post("one")
    engine.send("aP")
    engine.tracker.rejoin(None)
    waited = 0.0
    fates: list[Any] = []
    while not fates:
        delay = engine.tracker.check_delay()
        assert delay is not None
        waited += delay
        fates = engine.tracker.settle(engine.history)
    assert waited < 2
    assert (fates[0].post, fates[0].may_come) == (post, True)
    assert engine.send("C") == [post] == engine.send("I")


def test_a_post_that_was_given_up_may_have_the_next_turn() -> None:
    engine = Engine()
    engine.post("warm")
    engine.send("aPCI")
    engine.tracker.lose(engine.post("lost"))
    post = engine.post("one")
    engine.send("a")
    assert engine.send("P") == []
    engine.send("CI")
    engine.tracker.settle(engine.history)
    assert post.last is not None
    assert post.shared_with == 1


@pytest.mark.parametrize(
    ("history", "answer", "is_certain"),
    [
        ("uA", "A0", True),
        ("uAuA", "A0", True),
        ("uAAuA", "A1", True),
        ("uuA", "A0", False),
        ("uuAA", "A0", False),
        ("uuuAA", "A1", False),
        ("u", None, False),
        ("uu", None, False),
    ],
)
def test_the_answer_to_a_post_in_a_history(history: str, answer: str | None, is_certain: bool) -> None:
    messages = []
    for letter in history:
        at = sum(message["id"].startswith(letter) for message in messages)
        make = agent_message if letter == "A" else user_message
        messages.append(make("s1", f"{letter}{at}", f"{letter}{at}"))
    found, certain = _answer_to(messages, 0, 1)
    assert (None if found is None else found["id"], certain) == (answer, is_certain)


def test_a_turn_whose_beginning_was_lost_is_known_by_the_id_in_its_end() -> None:
    engine = Engine()
    post, other = engine.post("one"), engine.post("two")
    engine.send("a", turn_id="t1")
    engine.send("a", turn_id="t2")
    engine.tracker.lose(engine.post("lost"))
    engine.tracker.rejoin(None)
    engine.send("C")
    assert engine.send("I", turn_id="t1") == [post]
    assert other.turn is None
    assert (post.last is not None, post.shared_with) == (True, 0)
    assert engine.texts_of(post) == ["answer 1"]


def test_a_second_answer_behind_a_rejoin_may_be_that_of_a_post_that_waits() -> None:
    engine = Engine()
    engine.post("warm")
    engine.send("aPCI")
    first, second = engine.post("one"), engine.post("two")
    engine.send("aa")
    engine.tracker.batches = False  # as an earlier turn has shown
    engine.tracker.rejoin(None)
    recovered(engine.tracker, "Processing")
    engine.send("CC")
    assert (first.is_doubtful, second.turn) == (True, None)


def test_what_an_idle_engine_repeats_behind_a_rejoin_begins_no_turn() -> None:
    engine = Engine()
    post = engine.post("one")
    engine.tracker.rejoin(True)
    assert engine.send("C") == []
    assert not engine.tracker.running
    engine.tracker.settle(engine.history)
    assert (post.last is not None, engine.texts_of(post)[:1]) == (True, ["answer 1"])
    # The next one's turn begins without a Processing, as before.
    following = engine.post("two")
    assert engine.send("aC") == [following]


def test_an_ack_within_a_turn_is_of_the_next_one_where_acks_come_first() -> None:
    engine = Engine()
    first = engine.post("one")
    engine.send("a")
    second = engine.post("two")
    delta = parse_event(frames.message_delta("s1", "m1", 0, "answer"), "s1")
    assert delta is not None
    assert list(engine.tracker.follow(delta)[0]) == [first]
    engine.send("a")
    assert engine.send("C") == [first]
    assert engine.send("C") == [second]
    assert first.shared_with == 0


def test_an_engine_that_is_slow_to_answer_anything_has_lost_nothing() -> None:
    engine = Engine()
    engine.post("warm")
    engine.send("aPCI")
    post = engine.post("one")
    assert engine.tracker.check_delay() is not None  # acks come, and its own has not
    assert [engine.tracker.settle(None) for _ in range(5)] == [[]] * 5
    assert engine.send("a") == [post] == engine.send("P")


def test_replies_are_marked_until_an_engine_is_silent_behind_a_post_that_was_given_up() -> None:
    engine = Engine()
    engine.tracker.lose(engine.post("lost"))
    following = engine.post("one")
    engine.send("aPCI")
    assert engine.tracker.check_delay() is not None
    engine.tracker.settle(engine.history)
    assert (following.shared_with, engine.tracker.check_delay()) == (1, None)
    sound = engine.post("two")
    engine.send("aPCI")
    assert sound.shared_with == 0


def test_an_idle_alone_shows_that_an_engine_sends_statuses() -> None:
    engine = Engine()
    first = engine.post("one")
    engine.send("aC")
    assert first.last is not None
    engine.send("I")
    second = engine.post("two")
    assert engine.send("aC") == [second]
    assert second.last is None, "its Idle is still to come"
    engine.send("I")
    assert second.last is not None


def test_a_late_ack_shows_that_the_turn_before_it_was_another_clients() -> None:
    engine = Engine(alone=False)
    engine.post("one")
    engine.send("PCIa")
    following = engine.post("two")
    engine.send("PCI")
    assert following.turn is None, "it waits for its ack"


def test_an_ack_that_does_not_come_is_looked_for_in_the_history_and_an_engine_that_is_slow_is_waited_for() -> None:
    engine = Engine()
    engine.post("warm")
    engine.send("aPCI")
    engine.post("one")
    assert engine.tracker.check_delay() == 0.9
    engine.send("a")
    assert engine.tracker.check_delay() is None


@pytest.mark.parametrize("how", ["it reports so", "as it is joined again"])
def test_an_idle_engine_is_asked_about_a_post_that_was_given_up(how: str) -> None:
    engine = Engine()
    engine.post("warm")
    engine.send("aPCI")
    engine.tracker.lose(engine.post("lost"))
    assert engine.tracker.check_delay() is None
    if how == "it reports so":
        engine.send("I")
    else:
        engine.tracker.rejoin(True)
    assert engine.tracker.check_delay() == 0.9


@pytest.mark.parametrize("alone", [True, False])
def test_a_turn_that_ended_unseen_ends_once(alone: bool) -> None:
    engine = Engine(alone=alone)
    post = engine.post("one")
    engine.send("PC")
    engine.tracker.rejoin(None)
    engine.send("P")
    released = [event for owner, events in engine.tracker.take_released() for event in events if owner is post]
    assert [event.is_turn_end for event in released].count(True) == 1
    assert post.last is released[-1]
    assert post.is_doubtful
