"""Which turn answers which post, frame by frame, without a socket or a clock."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest

from sessionlib import SessionEvent
from sessionlib.events import SessionEventType, SessionMessage
from sessionlib.protocol import frames
from sessionlib.protocol import turns as turns_module
from sessionlib.protocol.parser import parse_event
from sessionlib.protocol.turns import (
    PendingPost,
    TurnHandle,
    TurnTracker,
    _answer_to,
    _is_balanced,
    find_posts,
    is_content,
    is_final,
)
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


@pytest.mark.parametrize(
    ("history", "place", "is_balanced"),
    [
        ("uA", 2, True),
        ("u", 1, False),
        ("uuA", 3, False),
        ("uAA", 3, True),
        ("uAuAA", 5, True),
        ("uuAA", 4, False),
        ("uAuu", 2, True),
        ("uAuu", 3, False),
        ("AuA", 3, True),
        ("", 0, True),
    ],
)
def test_whether_all_posts_before_a_place_have_their_answers(history: str, place: int, is_balanced: bool) -> None:
    make = {"u": user_message, "A": agent_message}
    # A post may be marked as complete as well, and is no answer.
    messages = [make[letter]("s1", f"{letter}{at}", text_content("tea")) for at, letter in enumerate(history)]
    assert _is_balanced(messages, place) is is_balanced


@pytest.mark.parametrize(
    ("content", "is_answer"),
    [
        (text_content("tea"), True),
        (text_content("te", "Streaming"), False),
        ({"type": "error_message", "error": "no tea"}, True),
        ({"type": "tool_call", "tool_name": "boil"}, False),
        ("Complete", False),
        (None, False),
    ],
)
def test_what_ends_a_turn_in_a_history(content: Any, is_answer: bool) -> None:
    assert is_final({"id": "m1", "content": content}) is is_answer


def test_the_latest_message_of_a_text_is_the_latest_post_of_it() -> None:
    posts = [
        PendingPost(contents=(text,) if text else ()) for text in ("text:tea", "text:milk", "", "text:tea", "text:x")
    ]
    messages = [user_message("s1", f"u{at}", text) for at, text in enumerate(["tea", "milk", "tea", "milk", "tea"])]
    assert find_posts(messages, posts) == {posts[0]: 2, posts[1]: 3, posts[3]: 4}
    assert find_posts([agent_message("s1", "m1", "tea"), *messages[:1]], posts[:1]) == {posts[0]: 1}


@pytest.mark.parametrize(
    ("summary", "content", "is_it"),
    [
        ("text:tea", {"type": "data_type_message", "value": "tea"}, True),
        ("text:tea", {"type": "data_type_message", "value": "teas"}, False),
        ("file:menu.pdf", {"type": "file", "value": [1, {"metadata": {"names": ["a", "menu.pdf"]}}]}, True),
        ("file:menu.pdf", {"type": "file", "value": {"menu.pdf": "other.pdf"}}, False),
        ("file:menu.pdf", None, False),
        ("other:menu.pdf", {"type": "file", "value": "menu.pdf"}, False),
    ],
)
def test_whether_a_message_of_a_history_is_what_was_posted(summary: str, content: Any, is_it: bool) -> None:
    assert is_content(summary, SessionMessage.from_dict(user_message("s1", "u1", content))) is is_it


def test_so_many_posts_are_distinguished_from_other_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "_TOGETHER", 3)
    engine = Engine()
    posts = [engine.post(text) for text in "abcde"]
    assert engine.tracker._together == posts[2:]


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


# ---- scripts -----------------------------------------------------------------------------------

_FRAMES = {
    "a": frames.ack("post_message", "s1"),
    "x": frames.refusal("post_message", "s1", "no"),
    "e": frames.error("bad"),
    "g": frames.error("gap"),
    "o": frames.pong("s1"),
    "P": frames.participant_status("s1", "Processing"),
    "I": frames.participant_status("s1", "Idle"),
    "Q": notification("s1", "r1", {"type": "tool_call_approval", "tool_name": "refund", "tool_call_id": "c1"}),
    "T": notification("s1", "t1", {"type": "tool_call", "tool_name": "refund"}),
}
_ANSWERS: dict[str, Any] = {"C": text_content("tea"), "E": {"type": "error_message", "error": "no tea"}}
_LETTERS = {SessionEventType.MESSAGE_POSTED: "a", SessionEventType.APPROVAL_REQUEST: "Q", SessionEventType.PONG: "o"}
_IS_IDLE = {"R+": True, "R-": False, "R?": None}


class Script(Engine):
    """What leaves and comes, in order, and what becomes of it.

    A digit posts, ``&`` answers a request, ``w1`` and ``l1`` withdraw and lose the first post. Frames are a(ck), x, its
    refusal, P(rocessing), I(dle), D(elta), C(omplete), Q, a request, T, a tool call, o, a pong, E, an error of the
    turn, e, one that names nothing, and g, a notice of a gap; a digit behind names the turn, a tilde before shows that
    it was recovered. ``R+``, ``R-`` and ``R?`` join again, with an engine that is idle, busy or reports nothing;
    ``R1`` likewise after a look. ``s`` looks at the history, ``n`` where there is none. Into the history alone come
    ``u``, another client's post, and ``v``, an answer; ``f`` takes the last post out of it.
    """

    def __init__(self, script: str) -> None:
        client, *steps = script.split()
        super().__init__(alone=client == "alone")
        self._posts: dict[str, PendingPost] = {}
        self._got: dict[PendingPost, str] = {}
        self._fates: dict[PendingPost, str] = {}
        self._stray = ""
        self._ends = False
        for step in steps:
            self._take(step)
            for post, events in self.tracker.take_released():
                self._got[post] += "".join(map(self._letter, events))

    def _take(self, step: str) -> None:
        tracker = self.tracker
        if step.isdigit():
            self._posts[step] = self.post(step)
            self._got[self._posts[step]] = ""
        elif step == "&":
            answer = self._posts[step] = PendingPost(makes_turn=False, contents=("text:&",))
            self._got[answer] = ""
            tracker.post(answer)
        elif step in ("s", "n"):
            for post, arrived, may_come in tracker.settle(self.history if step == "s" else None):
                self._fates[post] = "may come or " * may_come + ("unanswered" if arrived else "lost")
        elif step[0] in "wl":
            (tracker.withdraw if step[0] == "w" else tracker.lose)(self._posts[step[1:]])
        elif step == "R1":
            tracker.rejoin(None, looks=1)
        elif step[0] == "R":
            tracker.rejoin(_IS_IDLE[step])
        elif step == "u":
            self.history.append(user_message("s1", f"x{len(self.history)}", "other"))
        elif step == "v":
            self._answer("C")
        elif step == "f":
            last = max(filter(str.isdigit, self._posts), default="")
            self.history = [message for message in self.history if message["id"] != f"u-{last}"]
        else:
            self._follow(step)

    def _answer(self, kind: str) -> frames.Frame:
        self._texts += 1
        self.history.append(agent_message("s1", f"m{self._texts}", _ANSWERS[kind]))
        return notification("s1", f"m{self._texts}", _ANSWERS[kind])

    def _follow(self, step: str) -> None:
        letter, number = step.lstrip("~")[0], step.lstrip("~")[1:]
        if letter in _ANSWERS:
            frame = self._answer(letter)
        elif letter == "D":
            frame = frames.message_delta("s1", f"m{self._texts + 1}", 0, "d")
        else:
            frame = json.loads(json.dumps(_FRAMES[letter]))
        event = parse_event(frame, "s1")
        assert event is not None
        event.data.update(
            {"recovered": True} if step[0] == "~" else {}, **({"turn_id": f"t{number}"} if number else {})
        )
        owners, held = self.tracker.follow(event)
        for owner in owners:
            self._got[owner] += self._letter(event)
        if not owners and letter not in "ao":
            self._stray += self._letter(event)
        if held is not None:
            held.append(event)
        self._ends = self.tracker.ends_turn(event)

    @staticmethod
    def _letter(event: SessionEvent) -> str:
        assert event.session_id == "s1"
        letter = _LETTERS.get(event.type) or event.type.name[0]
        if event.participant_status is not None:
            letter = event.participant_status.name[0]
        elif event.is_complete:
            letter = f"C{str(event.message_id)[1:]}"
        elif event.error is not None:
            letter = {"gap": "g", "bad": "e", "no": "x"}.get(event.error) or f"E{str(event.message_id)[1:]}"
        elif event.delta is not None:
            letter = "D"
        return "~" * bool(event.data.get("recovered")) + letter

    def outcome(self) -> str:
        """What each post got, and what is known in the end.

        Behind the events of a post: ``.`` when its turn has ended, ``<P>`` the first event of a turn of which it got
        another part, ``+1`` how many share it, ``?`` where that is not certain, ``!`` refused, ``-`` without an ack.
        """
        tracker = self.tracker
        facts = []
        for name, post in self._posts.items():
            assert post.turn is None or post.turn.over == (post.last is not None)
            first = "" if post.first is None else self._letter(post.first)
            marks = "." * (post.last is not None) + f"<{first}>" * (first not in self._got[post])
            marks += f"+{post.shared_with}" * bool(post.shared_with) + "?" * post.is_doubtful
            marks += "!" * (post.refusal is not None) + "-" * (not post.acknowledged)
            facts += [f"{name}={self._got[post]}{marks}", self._fates.get(post, "")]
        delay, current = tracker.check_delay(), tracker.current
        names = {post: name for name, post in self._posts.items()}
        sent, waiting = (
            "".join(map(names.__getitem__, posts)) for posts in (tracker.unacknowledged, tracker.unanswered)
        )
        facts += [
            f"stray={self._stray}" * bool(self._stray),
            "running" * tracker.running,
            "answered" * tracker.answered,
        ]
        facts += ["announced" * tracker.is_announced, "statuses" * tracker.has_statuses, "blind" * tracker.is_blind]
        facts += [{True: "batch", False: "each", None: ""}[tracker.batches], "" if delay is None else f"look@{delay}"]
        facts += [f"sent={sent}" * bool(sent), f"waits={waiting}" * bool(waiting), "ends" * self._ends]
        facts += ["held" * (current is not None and current.held is not None)]
        facts += [f"kept={len(tracker._held)}" * bool(tracker._held)]
        return " ".join(filter(None, facts))


SCRIPTS = {
    "alone 1 s e": "1=e!",
    "shared Q 1 Q": "1=Q+1?- stray=Q running batch waits=1",
    "alone 1 2 R1 s E": (
        "1=E1+1? may come or unanswered 2= may come or unanswered running answered blind look@0.9 waits=12 held kept=1"
    ),
    "alone 1 I": "1=- stray=I statuses look@0.9 sent=1 ends",
    "shared 1 C & a": "1=C1.+1?- &=a- stray=C1",
    "alone P 1 C I R? s 2 s C D": "1=~C1~I. 2=C2D+1? stray=PC1I running statuses waits=2",
    "alone s P1": "stray=P running announced statuses",
    "alone 1 x 2 R- D g w2": "1=x!- 2=Dg- running waits=2",
    "shared 1 ~a 2 P I n": "1=~aPI.+1? 2=PI.+1?- statuses ends",
    "alone 1 R+ 2 v 3 ~P ~C ~I s": "1=~P~C2~I.- 2= 3= look@0.9 waits=23 ends kept=1",
    "alone 1 T 2 R? s ~I": "1=T~I.- 2=- sent=2 ends",
    "shared 1 P a C I s": "1=aPC1I. stray=PC1I statuses ends",
    "alone 1 o R- C E": "1=C1E2+1?- running answered blind look@0.9 sent=1 waits=1",
    "shared 1 2 x ~a C": "1=x!- 2=~aC1.+1? ends",
    "alone 1 a2 D P3": "1=aDP+1? running announced statuses waits=1",
    "alone 1 T R? ~C ~P e": "1=T~C1~I.+1?- stray=~Pe",
    "alone 1 Q R1 s": "1=Q- may come or unanswered running blind look@1.8 sent=1 waits=1",
    "alone 1 2 3 E s s": "1=E1.+2- 2=E1.+2? 3=E1.+2?",
    "shared 1 s s 2 C n": "1= 2=C1.+1?- stray=C1 look@0.9 waits=1 ends kept=1",
    "shared a 1": "1=- sent=1",
    "shared 1 v 2 E ~C s": "1=E2.+1?- 2=~C3~I. stray=E2~C3 answered ends",
    "alone 1 s 2 D a2": "1=D+1 2=aD+1 running waits=12",
    "shared R? 1 C P1": "1=- stray=C1P running announced statuses sent=1 held kept=1",
    "shared 1 T w1": "1=- stray=T running",
    "alone 1 l1 R1 2 3 E ~a": "1=- 2=E1.+1?- 3=~a stray=E1 look@0.9 waits=3 kept=1",
    "alone R1 R+ 1": "1=- sent=1",
    "shared I ~P C": "stray=I~PC1 running answered announced statuses",
    "shared 1 2 R1 e x": "1=e!- 2=x!-",
    "alone 1 l1 n I": "1=- stray=I statuses look@0.9 ends",
    "alone 1 a3 P3": "1=aP running announced statuses waits=1",
    "alone 1 4 R? s l4 n": "1= 4= blind look@0.9 waits=1",
    "alone 1 R+ s s ~P ~I": "1= unanswered stray=~P~I ends",
    "shared ~P ~C P C": "stray=~P~C1PC2 running answered announced statuses",
    "alone 1 R+ s ~I s": "1= stray=~I look@0.9 waits=1 ends",
    "alone & 1 R? s a s": "&=a 1= blind look@0.9 waits=1",
    "alone 1 2 Q I P": "1=QI.+1- 2=QI.+1- stray=P running announced statuses",
    "alone I 1 a R+ s": "1=a stray=I statuses look@0.9 waits=1",
    "shared 1 R? R+ 2 a P": "1=aP 2=- running announced statuses sent=2 waits=1",
    "shared 1 a3 R+": "1=a look@0.9 waits=1",
    "alone 1 2 s P I s": "1=PI.+1? 2=PI.+1? statuses ends",
    "alone 1 P C 2 C I s": "1=PC1C2I.- 2=~C2~I.+1? statuses ends",
    "alone 1 2 a a P C I P I 3 l2 C R+ s": "1=aPC1I. 2=aPI. 3=~C2~I.+1? stray=C2 answered statuses",
    "shared 1 P a I n R+": "1=aPI.+1? stray=PI statuses look@0.9 ends",
    "alone ~P C 1 2 C P": "1=P+1?- 2=- stray=~PC1C2 running announced statuses sent=12 waits=1 held kept=1",
    "shared 1 2 a a P I P2 I2 n": "1=aPI. 2=aPI. stray=PI statuses each ends",
    "shared 1 C a 2 a": "1=C1.+1?- 2=a stray=C1 waits=2",
    "alone 1 R1 2 a2 P2": "1=aP 2=- running announced statuses sent=2 waits=1",
    "alone 1 R? I E": "1=E1- stray=I running answered statuses sent=1 waits=1",
    "alone I 2 f s a R+ s": "2=a stray=I statuses look@0.9 waits=2",
    "shared ~P R1 ~I 1 s P": "1=P stray=~P~I running announced statuses waits=1",
    "alone 1 2 f s s ~P": "1= 2=- lost stray=~P running announced waits=1 held kept=1",
    "alone 1 2 3 a a a P I R? s": "1=aPI.+2 2=aPI.+2? 3=aPI.+2? statuses ends",
    "alone 1 2 I a n n": "1=a 2=- lost stray=I statuses waits=1",
    "alone 1 2 P I a": "1=PI.- 2=- statuses look@0.9 sent=2 kept=1",
    "alone 1 2 C C": "1=C1.- 2=C2.- ends",
    "alone 1 P a I 2 3 P I s": "1=PaI. 2=PI.- 3= statuses sent=2 waits=3 ends",
    "alone 1 2 Q C 3 4 C": "1=QC1.+1- 2=QC1.+1- 3=C2.- 4=- batch look@0.9 sent=4 ends kept=1",
    "alone 1 2 a a P C R? P": "1=aPC1~I.+1? 2=aP+1? running announced statuses each waits=2",
    "alone 1 2 P1 a3 I3": "1=PaI. 2=- statuses look@0.9 sent=2 ends",
    "shared 1 2 a a P C R? P Q": "1=aPC1~I.+1? 2=aPC1~I.+1? stray=PQ running announced statuses batch",
    "shared 1 2 a a P R? I s 3 e": "1=aPI.+1 2=aPI.+1? 3=e!- statuses",
    "alone 1 2 P R? C 4 C I s s": "1=PC1C2I.+1?- 2=~C1~I.+1? 4=~C2~I.+1? statuses ends",
    "alone 1 2 R? C C I s s": "1=C1C2I.+1?- 2=C1C2I.+1? statuses ends",
    "alone 1 P a C I 2 3 P 4 a C I n n": "1=PaC1I. 2=PaC2I. 3=- 4=- lost statuses look@1.8 sent=3 ends",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_script_comes_to(script: str) -> None:
    assert Script(script).outcome() == SCRIPTS[script]
