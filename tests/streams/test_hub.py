"""The fan-out: against a model, the backlog, the line between two turns, and the end."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from sessionlib import SessionDisconnectedError, SessionEvent, SessionEventType
from sessionlib._util.timing import Deadline
from sessionlib.hooks import install_turn_observer
from sessionlib.protocol.client import ClientProtocol
from sessionlib.protocol.parser import Run
from sessionlib.protocol.turns import EventOrigin, PendingPost
from sessionlib.streams import mailbox as mailbox_module
from sessionlib.streams.hub import Hub, _firsts
from sessionlib.streams.listener import Listener
from sessionlib.streams.mailbox import OVERFLOW, Closed, Mailbox
from sessionlib.streams.stats import Counters
from tests.support.profiles import scaled
from tests.support.script_engine import agent_message
from tests.support.threads import in_threads, switching_often

Type = SessionEventType
NOW = Deadline(0.0)

# What a turn is made of, as letters: Processing, delta, Complete, Idle, ack, tool call.
LETTERS = "PdCIat"
KINDS = {"d": Type.MESSAGE_DELTA, "C": Type.MESSAGE_COMPLETE, "a": Type.MESSAGE_POSTED, "t": Type.TOOL_CALL}
TURN = "aPddC"


def event(letter: str, number: int = 0) -> SessionEvent:
    if letter in KINDS:
        return SessionEvent(KINDS[letter], "s1", str(number), {"letter": letter})
    status = {"P": "Processing", "I": "Idle"}[letter]
    return SessionEvent(Type.PARTICIPANT_STATUS, "s1", str(number), {"status": status, "letter": letter})


def events(letters: str) -> list[SessionEvent]:
    return [event(letter) for letter in letters]


def new_hub(backlog_size: int = 100) -> Hub:
    return Hub(ClientProtocol("s1"), backlog_size, ignore, ignore, ignore, Counters())


def ignore(*_: object) -> None:
    """What a session would do is not the question here."""


def post_to(hub: Hub) -> None:
    hub.begin_post(PendingPost())


def heard(mailbox: Mailbox) -> str:
    """Takes all that waits, as letters; ! is the notice of an overflow."""
    waiting = [mailbox.get(NOW) for _ in range(len(mailbox))]
    return "".join("!" if found.error == OVERFLOW else found.data["letter"] for found in waiting)


# ---- against a model ---------------------------------------------------------------------------


class Model:
    """What the hub does, one event at a time."""

    def __init__(self) -> None:
        self.queues: dict[int, list[SessionEvent]] = {}
        self.filters: dict[int, Any] = {}
        self.backlog: list[SessionEvent] = []
        self.running = self.answered = False
        self.statuses = False
        self.tail: set[int] | None = None
        # Listeners open at the last post, for as long as none of them was read since; what the only
        # one of them had not read then; and what came after the post.
        self.unread_since_post: set[int] | None = None
        self.before: list[SessionEvent] = []
        self.after: list[SessionEvent] = []

    def dispatch(self, one: SessionEvent) -> None:
        letter = one.data["letter"]
        self._follow(letter)
        hears, is_new = set(self.queues), True
        if self.tail is not None and letter != "a":
            if letter == "I":  # the end of the turn before the post: only for who heard its answer
                hears, is_new = hears & self.tail, False
            self.tail = None
        for number in hears:
            if self.filters[number] is None or one.type in self.filters[number]:
                self.queues[number].append(one)
        if is_new:
            self.after.append(one)
            self.backlog += [] if self.queues else [one]

    def _follow(self, letter: str) -> None:
        if letter in "PI":
            self.running, self.answered, self.statuses = letter == "P", False, True
        elif letter != "a":
            self.answered = letter == "C" and self.statuses

    def begin_post(self) -> None:
        self.backlog = self._without_what_is_over(self.backlog)
        self.unread_since_post = set(self.queues) or None
        self.before = self._without_what_is_over(*self.queues.values()) if len(self.queues) == 1 else []
        self.after = []
        if self.running and self.answered:
            self.tail = set(self.queues)

    def _without_what_is_over(self, waiting: list[SessionEvent]) -> list[SessionEvent]:
        ends = [
            at
            for at, one in enumerate(waiting)
            if one.data["letter"] == "I" or (one.data["letter"] == "C" and not self.statuses)
        ]
        return waiting[ends[-1] + 1 if ends else 0 :]

    def open(self, number: int, types: Any) -> None:
        missed = self.backlog + (self.after if self.unread_since_post else [])
        self.queues[number] = [one for one in missed if types is None or one.type in types]
        self.filters[number] = types
        self.backlog, self.unread_since_post = [], None

    def read(self, number: int) -> SessionEvent:
        if number in (self.unread_since_post or ()):
            self.unread_since_post = None
        return self.queues[number].pop(0)

    def leave(self, number: int) -> None:
        unread = self.queues.pop(number)
        if not self.queues:
            self.backlog += self.before + self.after if self.unread_since_post else unread
            self.unread_since_post = None


class HubMachine(RuleBasedStateMachine):
    """Listeners come, read, and leave or are dropped, while turns go on and posts leave."""

    mailboxes = Bundle("mailboxes")

    @initialize()
    def begin(self) -> None:
        self.hub = new_hub(10_000)
        self.model = Model()
        self.opened: dict[int, Mailbox] = {}
        self.abandoned: list[int] = []
        self.number = 0

    @rule(letters=st.text(LETTERS, max_size=6) | st.sampled_from([TURN, "I", "aI", TURN + "I"]))
    def dispatch(self, letters: str) -> None:
        batch = []
        for letter in letters:
            self.number += 1
            batch.append(event(letter, self.number))
        self._settle()
        for one in batch:
            self.model.dispatch(one)
        self.hub.dispatch(batch)

    @rule(target=mailboxes, types=st.sampled_from([None, None, frozenset({Type.MESSAGE_DELTA})]))
    def open(self, types: Any) -> int:
        self._settle()
        number = len(self.opened) + 1
        self.opened[number] = self.hub.open(types)
        self.model.open(number, types)
        return number

    @rule(number=mailboxes, count=st.integers(1, 5))
    def read(self, number: int, count: int) -> None:
        for _ in range(count):
            if not self.model.queues[number]:
                return
            assert self.opened[number].get(NOW) is self.model.read(number)

    @rule(number=consumes(mailboxes))
    def leave(self, number: int) -> None:
        self._settle()
        self.hub.leave(self.opened[number])
        self.model.leave(number)
        with pytest.raises(Closed):
            self.opened[number].get(NOW)

    @rule(number=consumes(mailboxes))
    def abandon(self, number: int) -> None:
        self.hub.discarded.append(self.opened[number])
        self.abandoned.append(number)

    @rule()
    def begin_post(self) -> None:
        self._settle()
        post_to(self.hub)
        self.model.begin_post()

    def _settle(self) -> None:
        # What was abandoned is gone with the next thing that the hub does.
        for number in self.abandoned:
            self.model.leave(number)
        self.abandoned.clear()

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        if not hasattr(self, "hub"):
            return
        for number, queue in self.model.queues.items():
            assert list(self.opened[number]._queue) == queue
        if not self.abandoned:
            assert self.hub.has_backlog == bool(self.model.backlog)
            assert self.hub.depths == [len(queue) for queue in self.model.queues.values()]


HubMachine.TestCase.settings = settings(max_examples=scaled(80), stateful_step_count=30)
TestAgainstAModel = HubMachine.TestCase


# ---- the backlog -------------------------------------------------------------------------------


def test_what_arrives_while_nobody_listens_waits() -> None:
    hub = new_hub()
    hub.dispatch(events("aP"))
    hub.dispatch(events("dd"))
    assert hub.has_backlog
    assert heard(hub.open()) == "aPdd"
    assert not hub.has_backlog


def test_the_backlog_is_bounded_and_tells_what_it_dropped() -> None:
    hub = new_hub(3)
    for letter in "aPddC":
        hub.dispatch(events(letter))
    assert heard(hub.open(maxsize=100)) == "aPd!"


def test_a_listener_smaller_than_the_backlog_gets_all_of_it() -> None:
    hub = new_hub()
    hub.dispatch(events("aPddddC"))
    mailbox = hub.open(maxsize=2)
    hub.dispatch(events("I"))
    assert heard(mailbox) == "aPddddC!"


def test_what_a_listener_leaves_unread_waits_for_the_next() -> None:
    hub = new_hub()
    first = hub.open()
    hub.dispatch(events("aPdd"))
    assert first.get(NOW).data["letter"] == "a"
    hub.leave(first)
    hub.dispatch(events("C"))
    assert heard(hub.open()) == "PddC"


def test_what_a_listener_leaves_unread_is_gone_where_another_heard_it() -> None:
    hub = new_hub()
    first, second = hub.open(), hub.open()
    hub.dispatch(events("aP"))
    hub.leave(first)
    assert not hub.has_backlog
    assert heard(second) == "aP"
    hub.leave(second)
    assert heard(hub.open()) == ""


def test_a_second_listener_does_not_begin_with_what_the_first_took_over() -> None:
    hub = new_hub()
    hub.dispatch(events("a"))
    first, second = hub.open(), hub.open()
    hub.dispatch(events("P"))
    assert (heard(first), heard(second)) == ("aP", "P")


def test_what_need_not_be_kept_is_not() -> None:
    hub = new_hub()
    hub.dispatch(events("a"), keep=False)
    assert not hub.has_backlog
    mailbox = hub.open()
    hub.dispatch(events("P"), keep=False)
    assert heard(mailbox) == "P"


def test_pongs_of_an_idle_session_do_not_fill_the_backlog() -> None:
    hub, pong = new_hub(5), SessionEvent(Type.PONG, "s1", None, {"letter": "p"})
    for _ in range(1000):
        hub.dispatch([pong])
    hub.dispatch(events("a"))
    hub.dispatch([pong])
    hub.dispatch([pong])
    assert heard(hub.open()) == "pap"


def test_an_open_listener_hears_every_pong() -> None:
    hub, pong = new_hub(5), SessionEvent(Type.PONG, "s1", None, {"letter": "p"})
    mailbox = hub.open()
    for _ in range(3):
        hub.dispatch([pong])
    assert heard(mailbox) == "ppp"


# ---- the line between two turns ----------------------------------------------------------------


def batches(letters: str) -> Iterator[list[list[SessionEvent]]]:
    """The events in one batch, one by one, and cut in two at every place."""
    yield [events(letters)]
    yield [[one] for one in events(letters)]
    for at in range(1, len(letters)):
        yield [events(letters[:at]), events(letters[at:])]


def heard_by_next(before: str, after: str, *, listened: bool = True, status: bool = True) -> set[str]:
    """What the listener after a post hears, however the events arrive.

    Args:
        before: Events before the post, heard by a listener that breaks at the complete message.
        after: Events after it.
        listened: Whether there was such a listener, or the events waited in the backlog.
        status: Whether the engine tells statuses.
    """
    outcomes = set()
    for batch in batches(after):
        hub = new_hub()
        if status:
            hub.dispatch(events("PI"), keep=False)
        first = hub.open() if listened else None
        hub.dispatch(events(before))
        if first is not None:
            while first.get(NOW).data["letter"] != "C":
                pass
            hub.discarded.append(first)  # as a `for` loop that is left does
        post_to(hub)
        for some in batch:
            hub.dispatch(some)
        outcomes.add(heard(hub.open()))
    return outcomes


@pytest.mark.parametrize("listened", [True, False])
def test_an_idle_that_came_before_the_post_is_not_replayed(listened: bool) -> None:
    assert heard_by_next(TURN + "I", TURN + "I", listened=listened) == {TURN + "I"}


@pytest.mark.parametrize("listened", [True, False])
def test_an_idle_that_comes_after_the_post_is_not_heard(listened: bool) -> None:
    # With nobody listening, the answer itself waits: it is of a turn that had not ended.
    rest = "" if listened else TURN
    assert heard_by_next(TURN, "I" + TURN + "I", listened=listened) == {rest + TURN + "I"}


def test_an_idle_that_comes_after_the_ack_of_the_post_is_not_heard() -> None:
    assert heard_by_next(TURN, "aI" + TURN[1:] + "I") == {TURN + "I"}


def test_a_turn_that_goes_on_after_the_post_is_heard_to_its_end() -> None:
    assert heard_by_next(TURN, "tdCI") == {"tdCI"}
    assert heard_by_next(TURN, "addCI") == {"addCI"}


def test_an_idle_that_never_comes_takes_nothing_with_it() -> None:
    assert heard_by_next(TURN, TURN + "I") == {TURN + "I"}


def test_without_statuses_the_turn_ends_with_its_answer() -> None:
    assert heard_by_next("addC", "addC", status=False) == {"addC"}
    assert heard_by_next("addC", "addC", listened=False, status=False) == {"addC"}


def test_a_turn_still_running_at_the_post_is_replayed() -> None:
    hub = new_hub()
    hub.dispatch(events("aPdd"))
    post_to(hub)
    hub.dispatch(events("C"))
    assert heard(hub.open()) == "aPddC"


def test_only_turns_that_are_over_are_forgotten() -> None:
    hub = new_hub()
    hub.dispatch(events(TURN + "I" + TURN + "I" + "aPd"))
    post_to(hub)
    assert heard(hub.open()) == "aPd"


@pytest.mark.parametrize(
    ("before", "status", "found"), [("aPd", True, "aPdI"), (TURN, True, TURN), ("addC", False, "I")]
)
def test_an_idle_is_of_the_turn_before_only_where_that_has_its_answer_and_announces_its_end(
    before: str, status: bool, found: str
) -> None:
    hub = new_hub()
    if status:
        hub.dispatch(events("PI"), keep=False)
    hub.dispatch(events(before))
    post_to(hub)
    hub.dispatch(events("I"))
    assert heard(hub.open()) == found


def test_who_listens_on_hears_the_end_that_newcomers_do_not() -> None:
    for batch in batches("aI" + TURN[1:] + "I"):
        hub = new_hub()
        stays, leaves = hub.open(), hub.open()
        hub.dispatch(events(TURN))
        hub.leave(leaves)
        post_to(hub)
        comes = hub.open()
        for some in batch:
            hub.dispatch(some)
        assert heard(stays) == TURN + "aI" + TURN[1:] + "I"
        assert heard(comes) == TURN + "I"


# ---- a listener that is left over from the turn before -----------------------------------------


def left_over(hub: Hub, before: str = TURN + "I", read: str = TURN) -> Mailbox:
    """A listener that has read some of a turn, and is open still when the next post leaves."""
    mailbox = hub.open()
    hub.dispatch(events(before))
    assert "".join(mailbox.get(NOW).data["letter"] for _ in read) == read
    post_to(hub)
    return mailbox


@pytest.mark.parametrize("late", ["", "I", "aI"])
def test_what_comes_while_an_old_listener_is_still_open_is_for_the_next_one(late: str) -> None:
    for batch in batches(late + TURN.lstrip("a") if "a" in late else late + TURN):
        hub = new_hub()
        old = left_over(hub, TURN + ("" if late else "I"))
        for some in batch:
            hub.dispatch(some)
        new = hub.open()
        hub.discarded.append(old)
        hub.dispatch(events("I"))
        assert heard(new) == TURN + "I"


@pytest.mark.parametrize("opened_first", [True, False])
def test_an_old_listener_that_is_closed_late_leaves_only_what_came_since_the_post(opened_first: bool) -> None:
    hub = new_hub()
    old = left_over(hub)
    hub.dispatch(events(TURN))
    new = hub.open() if opened_first else None
    hub.leave(old)
    assert heard(new or hub.open()) == TURN


def test_a_turn_that_went_on_at_the_post_is_left_whole_by_an_old_listener() -> None:
    hub = new_hub()
    old = left_over(hub, "aPdd", "aPd")
    hub.dispatch(events("adC"))
    hub.leave(old)
    assert heard(hub.open()) == "dadC"


def test_a_listener_that_reads_on_leaves_nothing_to_the_next() -> None:
    hub = new_hub()
    live = left_over(hub)
    hub.dispatch(events(TURN))
    assert live.get(NOW).data["letter"] == "I"
    assert heard(hub.open()) == ""
    hub.dispatch(events("I"))
    assert heard(live) == TURN + "I"


def test_the_next_listener_but_one_begins_with_nothing() -> None:
    hub = new_hub()
    left_over(hub)
    hub.dispatch(events(TURN))
    assert heard(hub.open()) == TURN
    assert heard(hub.open()) == ""


def test_what_is_kept_beside_an_old_listener_is_bounded() -> None:
    hub = new_hub(3)
    left_over(hub)
    for letter in TURN * 3:
        hub.dispatch(events(letter))
    assert heard(hub.open()) == "aPd!"


# ---- leaving and ending ------------------------------------------------------------------------


@pytest.mark.parametrize("others", [0, 1])
def test_who_has_left_hears_nothing_more(others: int) -> None:
    hub = new_hub()
    mailbox, *_ = [hub.open() for _ in range(1 + others)]
    hub.dispatch(events("aP"))
    hub.leave(mailbox)
    with pytest.raises(Closed):
        mailbox.get(NOW)


def test_a_single_event_is_a_backlog() -> None:
    hub = new_hub()
    assert not hub.has_backlog
    hub.dispatch(events("a"))
    assert hub.has_backlog


def test_what_a_listener_lost_is_counted_after_it_has_left() -> None:
    hub = new_hub()
    mailbox = hub.open(maxsize=1)
    hub.dispatch(events("aPdd"))
    hub.leave(mailbox)
    assert hub.stats().dropped == 3


@pytest.mark.parametrize("then", ["open", "leave", "post"])
def test_what_was_dropped_is_gone_before_another_comes_leaves_or_posts(then: str) -> None:
    hub = new_hub()
    first, second = hub.open(), hub.open()
    hub.dispatch(events("aPd"))
    if then == "open":
        hub.leave(second)
        hub.discarded.append(first)
        assert heard(hub.open()) == "aPd"
    elif then == "leave":
        assert heard(first) == "aPd"
        hub.discarded.append(first)
        hub.leave(second)
        assert heard(hub.open()) == "aPd"
    else:
        hub.discarded.append(first)
        hub.discarded.append(second)
        post_to(hub)
        assert heard(hub.open()) == "aPd", "the turn goes on"


def test_ctrl_c_while_a_listener_is_opened_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = new_hub()

    def interrupted(mailbox: Mailbox) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hub._backlog, "hand_over", interrupted)
        with pytest.raises(KeyboardInterrupt):
            hub.open()
    hub.dispatch(events("aP"))
    assert hub.depths == []
    assert heard(hub.open()) == "aP"


def test_leaving_twice_is_leaving_once() -> None:
    hub = new_hub()
    mailbox = hub.open()
    hub.dispatch(events("a"))
    for _ in range(2):
        hub.leave(mailbox)
        hub.discarded.append(mailbox)
    assert heard(hub.open()) == "a"


def test_the_end_comes_to_all_now_and_later() -> None:
    hub = new_hub()
    before = hub.open()
    hub.dispatch(events("a"))
    hub.end()
    after = hub.open()
    assert (heard(before), heard(after)) == ("a", "")
    for mailbox in (before, after):
        with pytest.raises(Closed):
            mailbox.get(Deadline(None))


def test_a_failure_comes_to_all_after_what_they_have() -> None:
    hub = new_hub()
    hub.dispatch(events("aP"))
    hub.end(lambda: SessionDisconnectedError("gone"))
    mailbox = hub.open()
    assert heard(mailbox) == "aP"
    with pytest.raises(SessionDisconnectedError, match="gone"):
        mailbox.get(Deadline(None))


# ---- garbage -----------------------------------------------------------------------------------


def test_a_thousand_abandoned_listeners_leave_nothing() -> None:
    hub = new_hub()
    for _ in range(1000):
        Listener(hub, "s1")
    hub.dispatch(events("a"))
    assert hub.depths == []
    assert heard(hub.open()) == "a"


class CollectingEvents(Sequence[SessionEvent]):
    """Events in the middle of whose delivery the garbage is collected, as may happen at any time."""

    def __init__(self, letters: str) -> None:
        self._events = events(letters)

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, at: Any) -> Any:
        gc.collect()
        return self._events[at]


@pytest.mark.slow
def test_a_listener_that_is_collected_during_a_delivery_does_no_harm() -> None:
    hub = new_hub()
    circle: list[Any] = [Listener(hub, "s1")]
    circle.append(circle)
    del circle
    done = threading.Event()
    threading.Thread(target=lambda: (hub.dispatch(CollectingEvents("aP")), done.set()), daemon=True).start()
    assert done.wait(30), "the collector waits for a lock that the delivering thread holds"
    hub.dispatch(events("d"))
    assert heard(hub.open()) == "aPd"


# ---- many threads ------------------------------------------------------------------------------


def hear_all(mailbox: Mailbox) -> list[int]:
    got: list[int] = []
    while True:
        try:
            got.append(int(mailbox.get(Deadline(None)).message_id or ""))
        except Closed:
            return got


def test_two_listeners_hear_the_same_while_others_come_and_go() -> None:
    hub, total = new_hub(100_000), 10_000
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            mailbox = hub.open()
            with_one = hub.open({Type.TOOL_CALL}, 1)
            time.sleep(0)
            hub.leave(mailbox)
            hub.discarded.append(with_one)

    two = [hub.open(), hub.open()]
    with switching_often(1e-5), in_threads(*[lambda m=m: hear_all(m) for m in two], *[come_and_go] * 3) as results:
        for number in range(total):
            hub.dispatch([event("d", number)])
        stop.set()
        hub.end()
    assert results[:2] == [list(range(total))] * 2
    assert not hub.has_backlog


@pytest.mark.slow
def test_one_listener_after_another_misses_nothing() -> None:
    hub, total = new_hub(100_000), 1_500
    got: list[int] = []

    def listen_in_turn() -> None:
        while len(got) < total:
            mailbox = hub.open()
            got.extend(int(mailbox.get(Deadline(60.0)).message_id or "") for _ in range(min(3, total - len(got))))
            hub.leave(mailbox)

    with switching_often(1e-5), in_threads(listen_in_turn):
        for number in range(total):
            hub.dispatch([event("d", number)])
    assert got == list(range(total))


def test_a_processing_behind_the_first_of_a_turn_announces_its_idle_all_the_same() -> None:
    machine = HubMachine()
    machine.begin()
    machine.begin_post()
    machine.dispatch(letters="d")
    machine.dispatch(letters="PC")
    # The Idle that is still to come is not for who listens from here on.
    machine.begin_post()
    machine.open(types=None)
    machine.dispatch(letters="I")
    machine.holds_what_the_model_holds()
    machine.teardown()


def test_a_post_that_was_not_sent_has_no_reader_any_more() -> None:
    hub, post = new_hub(), PendingPost()
    reader = hub.begin_post(post, attend=True)
    assert reader is not None
    hub.cancel_post(post)
    with pytest.raises(Closed):
        reader.get(NOW)
    hub.dispatch(events("aPdC"))
    assert heard(hub.open()) == "aPdC"


@pytest.mark.parametrize("how", ["it goes on", "it is left"])
def test_a_reader_that_pauses_leaves_what_comes_to_listeners_until_then(how: str) -> None:
    hub, post = new_hub(), PendingPost()
    reader = hub.begin_post(post, attend=True)
    assert reader is not None
    hub.pause(reader)
    hub.dispatch(events("aPt"))
    hub.pause(reader)  # once more, which changes nothing
    listener = hub.open()
    hub.pause(listener)  # which is for readers of turns
    assert heard(listener) == "aPt"
    hub.leave(listener)
    if how == "it goes on":
        hub.resume(reader)
    else:
        hub.leave(reader)
    assert not hub._paused
    hub.dispatch(events("dC"))
    assert heard(hub.open()) == ("" if how == "it goes on" else "dC")


def test_what_a_reader_comes_back_for_is_kept_for_no_listener() -> None:
    hub, post = new_hub(), PendingPost()
    reader = hub.begin_post(post, attend=True)
    assert reader is not None
    hub.dispatch(events("aP"))
    assert not hub.has_backlog
    hub.pause(reader)
    assert hub.has_backlog
    hub.resume(reader)
    assert not hub.has_backlog
    assert heard(reader) == "aP"


# ---- what is reported about posts --------------------------------------------------------------


class Watching:
    """A turn observer that notes how posts ended."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.events: list[SessionEvent] = []

    def on_post(self, *_: object) -> None:
        """Of no interest here."""

    def on_event(self, ticket: PendingPost, event: SessionEvent) -> None:
        self.events.append(event)

    def on_end(self, ticket: PendingPost, reason: str) -> None:
        self.ends.append(reason)


def lost() -> SessionDisconnectedError:
    return SessionDisconnectedError("lost")


@pytest.mark.parametrize(
    ("end", "reports", "counted"),
    [
        (lambda hub, post: hub.cancel_post(post), ["not_sent"], 0),
        (lambda hub, post: hub.cancel_post(post, has_left=True), [], 1),
        (lambda hub, post: hub.fail(post, lost), ["delivery_unknown"], 0),
        (lambda hub, post: hub.end(), ["disconnected"], 1),
        (lambda hub, post: hub.end(lost), ["connection_lost"], 1),
    ],
    ids=["not sent", "sent all the same", "failed", "left", "lost"],
)
def test_how_a_post_ends_is_reported_once(
    end: Callable[[Hub, PendingPost], object], reports: list[str], counted: int
) -> None:
    hub, post, watching = new_hub(), PendingPost(), Watching()
    hub.begin_post(post)
    uninstall = install_turn_observer(watching)
    try:
        end(hub, post)
    finally:
        uninstall()
    assert watching.ends == reports
    assert len(hub.stats().turns) == counted


@pytest.mark.parametrize(
    "end", [lambda hub, post: hub.fail(post, lost), lambda hub, post: hub.cancel_post(post)], ids=["failed", "not sent"]
)
def test_the_turn_behind_a_post_that_failed_is_the_next_posts(end: Callable[[Hub, PendingPost], object]) -> None:
    hub, first, second = new_hub(), PendingPost(), PendingPost()
    hub.begin_post(first)
    end(hub, first)
    reader = hub.begin_post(second, attend=True)
    assert reader is not None
    hub.dispatch(events("aPdC"))
    assert heard(reader) == "aPdC"


@pytest.mark.parametrize("who", ["reader", "listener", "backlog"])
def test_a_post_that_no_turn_will_answer_is_an_error_for_who_waits(who: str) -> None:
    hub, post = new_hub(), PendingPost()
    reader = hub.begin_post(post, attend=who == "reader")
    listener = hub.open() if who == "listener" else None
    hub.fail(post, lost)
    waits = reader if reader is not None else listener if listener is not None else hub.open()
    with pytest.raises(SessionDisconnectedError, match="lost"):
        waits.get(NOW)
    with pytest.raises(SessionDisconnectedError if who == "reader" else TimeoutError):
        waits.get(NOW)


def test_a_warning_is_for_the_reader_of_the_turn_once() -> None:
    hub, post = new_hub(), PendingPost()
    hub.warn(PendingPost(), lost)  # which has no reader
    reader = hub.begin_post(post, attend=True)
    assert reader is not None
    hub.warn(post, lost)
    with pytest.raises(SessionDisconnectedError, match="lost"):
        reader.get(NOW)
    hub.dispatch(events("aPdC"))
    assert heard(reader) == "aPdC"


@pytest.mark.parametrize("failure", [None, lost])
def test_a_post_after_the_end_waits_for_nothing(failure: Callable[[], SessionDisconnectedError] | None) -> None:
    hub, post = new_hub(), PendingPost()
    hub.end(failure)
    reader = hub.begin_post(post, attend=True)
    assert reader is not None
    assert post.attended
    assert not hub.begin_post(unattended := PendingPost())
    assert not unattended.attended
    with pytest.raises(SessionDisconnectedError if failure else Closed):
        reader.get(Deadline(None))


def test_what_one_of_two_readers_of_a_turn_leaves_is_kept_for_no_listener() -> None:
    hub, posts = new_hub(), [PendingPost(), PendingPost(), PendingPost()]
    first, second = [hub.begin_post(post, attend=True) for post in posts[:2]]
    assert first is not None
    assert second is not None
    hub.dispatch([*events("aaPd"), asks(), event("d")])
    assert posts[0].turn is posts[1].turn is not None
    other = hub.begin_post(posts[2], attend=True)  # of a turn to come
    assert other is not None
    hub.leave(first)
    assert first.waiting() == []
    assert not hub.has_backlog
    hub.leave(second)
    assert heard(hub.open()).lstrip("a") == "Pd?d"


def test_a_reader_that_pauses_joins_nothing_that_waits_for_listeners_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox_module, "QUEUE_BYTES", 20_000)
    hub, post = new_hub(), PendingPost()
    reader = hub.begin_post(post, attend=True)
    assert reader is not None

    def send(numbers: range) -> None:
        for number in numbers:
            hub.dispatch([SessionEvent(Type.MESSAGE_DELTA, "s1", "m1", {"delta": "x", "index": number})])

    hub.dispatch(events("aP"))
    send(range(10))
    came = reader.waiting()
    assert len(came) == 12
    hub.pause(reader)
    assert hub.has_backlog
    send(range(10, 100))
    assert reader.waiting()[:12] == came
    hub.resume(reader)
    while reader.get(NOW).error != OVERFLOW:
        """Takes what came before something was dropped."""
    send(range(100, 200))
    assert len(reader) < 50
    assert "".join(reader.get(NOW).data["delta"] for _ in range(len(reader))) == "x" * 100


def test_a_batch_of_events_weighs_as_much_as_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox_module, "QUEUE_BYTES", 20_000)
    hub = new_hub()
    reader = hub.begin_post(PendingPost(), attend=True)
    assert reader is not None
    hub.dispatch(events("aP"))
    for at in range(0, 100, 20):
        hub.dispatch([SessionEvent(Type.MESSAGE_DELTA, "s1", "m1", {"delta": "x", "index": at + n}) for n in range(20)])
    assert len(reader) < 60, "they are joined"


def asks(number: int = 0) -> SessionEvent:
    return SessionEvent(Type.APPROVAL_REQUEST, "s1", str(number), {"letter": "?"})


def test_requests_alone_are_entered_and_then_handed_on() -> None:
    seen: list[tuple[str, str]] = []
    hub = Hub(
        ClientProtocol("s1"),
        100,
        lambda one, origin: seen.append(("entered", one.data["letter"])),
        lambda one, origin: seen.append(("delivered", one.data["letter"])),
        ignore,
        Counters(),
    )
    hub.dispatch([*events("Pd"), asks(), *events("dC")])
    assert seen == [("entered", "?"), ("delivered", "?")]


@pytest.mark.parametrize("acks", ["aa", ""])
def test_what_was_held_for_a_post_is_its_readers_once_a_request_waits_for_it(acks: str) -> None:
    hub, posts = new_hub(), [PendingPost(), PendingPost()]
    readers = [hub.begin_post(post, attend=True) for post in posts]
    hub.dispatch(events(acks + "Pd"))
    assert hub.has_backlog == (not acks)
    hub.dispatch([asks(), event("d")])
    assert not hub.has_backlog
    found = [heard(reader) for reader in readers if reader is not None]
    assert [letters.lstrip("a") for letters in found] == ["Pd?d"] * 2
    assert posts[0].turn is posts[1].turn is not None


def test_a_request_is_of_the_turn_that_runs_and_of_the_reader_that_there_is() -> None:
    origins: list[EventOrigin] = []
    hub = Hub(ClientProtocol("s1"), 100, lambda one, origin: origins.append(origin), ignore, ignore, Counters())
    hub.dispatch([asks()])
    first, second = PendingPost(), PendingPost()
    hub.begin_post(first)
    hub.begin_post(second, attend=True)
    hub.dispatch([*events("aaP"), asks()])
    nowhere, origin = origins
    assert (nowhere.ticket, nowhere.course.posts) == (None, [])
    assert (origin.ticket, origin.course) == (second, second.turn)


def test_the_refusal_of_an_answer_is_entered_and_its_ack_is_not() -> None:
    entered: list[SessionEvent] = []
    hub = Hub(ClientProtocol("s1"), 100, lambda one, origin: entered.append(one), ignore, ignore, Counters())
    answers = [PendingPost(makes_turn=False), PendingPost(makes_turn=False)]
    for answer in answers:
        hub.begin_post(answer)
    error = SessionEvent(Type.ERROR, "s1", None, {"error": "no", "request_type": "post_message", "letter": "e"})
    hub.dispatch([event("a"), error])
    assert entered == [error]
    assert [answer.refusal for answer in answers] == [None, error]


def test_each_pong_answers_the_oldest_ping_and_nothing_else_does() -> None:
    counters = Counters()
    hub = Hub(ClientProtocol("s1"), 100, ignore, ignore, ignore, counters)
    counters.pings += [0.0, 0.0]
    hub.dispatch([*events("d"), SessionEvent(Type.PONG, "s1", None), *events("d")])
    assert hub.stats().round_trips.count == 1
    assert len(counters.pings) == 1


def test_who_watches_is_notified_of_what_belongs_to_a_post() -> None:
    hub, watching = new_hub(), Watching()
    hub.begin_post(PendingPost())
    hub.dispatch(events("a"))
    uninstall = install_turn_observer(watching)
    try:
        hub.dispatch(events("Pdd"))
    finally:
        uninstall()
    hub.dispatch(events("CI"))
    assert [one.data["letter"] for one in watching.events] == ["P", "d"], "further deltas of a text are no news"


def test_further_deltas_of_a_run_are_passed_over() -> None:
    def run(start: int, stop: int) -> Run:
        return Run(start, stop, "m1", 0, 0)

    assert _firsts(4, []) == [0, 1, 2, 3]
    assert _firsts(10, [run(2, 5), run(5, 7), run(8, 10)]) == [0, 1, 2, 5, 7, 8]
    assert _firsts(3, [run(0, 3)]) == [0]


def test_the_ack_of_an_answer_is_for_the_turn_that_waits_for_it() -> None:
    hub, post = new_hub(), PendingPost()
    reader = hub.begin_post(post, attend=True)
    assert reader is not None
    hub.dispatch([*events("aP"), asks()])
    hub.begin_post(PendingPost(makes_turn=False))
    hub.dispatch(events("ad"))
    assert heard(reader) == "aP?ad"


def test_an_event_weighs_what_came_for_it_and_not_for_those_before() -> None:
    counters = Counters()
    hub = Hub(ClientProtocol("s1"), 100, ignore, ignore, ignore, counters)
    reader = hub.begin_post(PendingPost(), attend=True)
    assert reader is not None
    hub.dispatch(events("aP"))
    for number in range(5):
        counters.bytes_in += 1_600_000
        hub.dispatch([SessionEvent(Type.MESSAGE_DELTA, "s1", "m1", {"delta": "x", "index": number})])
    assert len(reader) == 7, "deltas are joined where more than 8 MiB wait"


def test_an_answer_that_the_history_shows_is_its_readers_and_reported_at_once() -> None:
    hub, post, watching = new_hub(), PendingPost(contents=("text:Hi",)), Watching()
    reader = hub.begin_post(post, attend=True)
    assert reader is not None
    hub.dispatch(events("aI"))
    history = [
        {"id": "u1", "sender": {"user_id": "u"}, "content": {"type": "data_type_message", "value": "Hi"}},
        {**agent_message("s1", "m1", "Hello"), "sender": {"object_id": "a", "object_type": "agent"}},
    ]
    uninstall = install_turn_observer(watching)
    try:
        assert hub.settle(history, hub._tracker.steps + 1) == [], "something came meanwhile"
        assert watching.events == []
        assert hub.settle(history, hub._tracker.steps) == []
    finally:
        uninstall()
    assert [one.text for one in watching.events] == ["Hello", None]
    assert [one.text for one in reader.waiting()][-2:] == ["Hello", None]
    assert post.last is watching.events[-1]


@pytest.mark.parametrize("how", ["events", "history"])
def test_a_turn_whose_reader_is_gone_is_left_to_the_handlers(how: str) -> None:
    left: list[PendingPost] = []
    hub = Hub(ClientProtocol("s1"), 100, ignore, ignore, left.append, Counters())
    posts = [PendingPost(), PendingPost(), PendingPost()]
    readers = [hub.begin_post(post, attend=True) for post in posts]
    for reader in readers[:2]:
        assert reader is not None
        hub.discarded.append(reader)
    if how == "events":
        hub.dispatch(events("aP"))
    else:
        assert hub.has_backlog is False
        assert left == [], "a reader of the backlog runs nothing of the user's"
        hub.settle(None, hub._tracker.steps)
    assert left == posts[:2]


def test_what_is_held_weighs_what_came_for_it_and_not_for_those_before() -> None:
    counters = Counters()
    hub = Hub(ClientProtocol("s1"), 100, ignore, ignore, ignore, counters)
    counters.bytes_in = 6_000_000
    hub.dispatch(events("PI"))
    readers = [hub.begin_post(PendingPost(), attend=True) for _ in range(2)]
    for _ in range(2):
        counters.bytes_in += 3_000_000
        hub.dispatch(events("Pd"))
    hub.dispatch([asks()])
    assert [heard(reader) for reader in readers if reader is not None] == ["PdPd?"] * 2


@pytest.mark.parametrize(
    ("size", "came", "found", "dropped"),
    [
        (0, "Pt" + "d" * 38, "Pt" + "d" * 38, 0),
        (0, "Pt" + "d" * 39, "Pt!", 39),
        (0, "Pt" + "d" * 90, "Pt!" + "d" * 13, 77),
        (0, "Pt" + "d" * 20 + "t" + "d" * 19, "Pt!td", 38),
        (0, "P" + "t" * 50, "P" + "t" * 50, 0),
        (6000, "ddd", "ddd", 0),
        (6000, "d" * 8, "!ddd", 5),
    ],
)
def test_what_is_held_for_posts_is_bounded_and_its_parts_are_left_to_what_repeats_them(
    monkeypatch: pytest.MonkeyPatch, size: int, came: str, found: str, dropped: int
) -> None:
    monkeypatch.setattr(mailbox_module, "QUEUE_BYTES", 20_000)
    counters = Counters()
    hub = Hub(ClientProtocol("s1"), 100, ignore, ignore, ignore, counters)
    counters.bytes_in = 1_000_000
    readers = [hub.begin_post(PendingPost(), attend=True) for _ in range(2)]
    for letter in came:
        counters.bytes_in += size
        hub.dispatch(events(letter))
    hub.dispatch([asks()])
    for reader in readers:
        assert reader is not None
        notices = [(one.data["dropped_event_type"], one.data["dropped"]) for one in reader.waiting() if one.error]
        assert notices == ([("message_delta", dropped)] if dropped else [])
        assert heard(reader) == f"{found}?"
