"""The one queue type: against a simple model, under many threads, and to its end."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sessionlib import SessionDisconnectedError, SessionEvent, SessionEventType
from sessionlib._util.timing import Deadline, acquire
from sessionlib.errors import ForkedSessionError
from sessionlib.streams import mailbox as mailbox_module
from sessionlib.streams.mailbox import OVERFLOW, Closed, Mailbox, TimedMailbox
from tests.support.profiles import scaled
from tests.support.threads import in_threads, raised_by, switching_often
from tests.support.waiting import eventually

Type = SessionEventType
NOW = Deadline(0.0)


def event(number: int, kind: SessionEventType = Type.MESSAGE_DELTA) -> SessionEvent:
    return SessionEvent(kind, "s1", str(number))


def events(numbers: Iterable[int]) -> list[SessionEvent]:
    return [event(number) for number in numbers]


def numbers(mailbox: Mailbox) -> list[int | tuple[str, int]]:
    """Takes all that waits: an event as its number, a notice as what it tells."""
    return [told(mailbox.get(NOW)) for _ in range(len(mailbox))]


def until_closed(mailbox: Mailbox) -> list[int | tuple[str, int]]:
    got = []
    with contextlib.suppress(Closed):
        while True:
            got.append(told(mailbox.get(Deadline(None))))
    return got


def told(found: SessionEvent) -> int | tuple[str, int]:
    if found.error == OVERFLOW:
        return found.data["dropped_event_type"], found.data["dropped"]
    return int(found.message_id or "")


# ---- against a model ---------------------------------------------------------------------------


class Notice:
    """The model's notice: one kind and a count."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.dropped = 1


class MailboxMachine(RuleBasedStateMachine):
    """Puts, takes, drops and hands over in any order; the model is a plain list."""

    @initialize(maxsize=st.integers(0, 4), types=st.sampled_from([None, frozenset({Type.MESSAGE_DELTA, Type.PONG})]))
    def begin(self, maxsize: int, types: frozenset[SessionEventType] | None) -> None:
        self.mailbox = Mailbox(maxsize, types)
        self.maxsize, self.types = maxsize, types
        self.waiting: list[SessionEvent | Notice] = []
        self.errors: list[SessionDisconnectedError] = []
        self.number = self.dropped = self.taken = self.high_water = 0

    @rule(kinds=st.lists(st.sampled_from([Type.MESSAGE_DELTA, Type.PONG, Type.ERROR]), min_size=1, max_size=7))
    def put_some(self, kinds: list[SessionEventType]) -> None:
        batch = []
        for kind in kinds:
            self.number += 1
            batch.append(event(self.number, kind))
            if self.types is None or kind in self.types:
                self._model_put(batch[-1])
        self.mailbox.put(batch)
        if any(self.types is None or kind in self.types for kind in kinds):
            self.high_water = max(self.high_water, len(self.waiting))

    def _model_put(self, one: SessionEvent) -> None:
        notice = self._notice()
        if not self.maxsize or len(self.waiting) - (notice is not None) < self.maxsize:
            self.waiting.append(one)
            return
        self.dropped += 1
        if notice is None:
            self.waiting.append(Notice(one.type.value))
        else:
            notice.dropped += 1

    def _notice(self) -> Notice | None:
        return next((item for item in self.waiting if isinstance(item, Notice)), None)

    @precondition(lambda self: not self.errors)
    @rule()
    def push_an_error(self) -> None:
        self.errors.append(SessionDisconnectedError(str(len(self.errors))))
        self.mailbox.push_error(lambda error=self.errors[-1]: error)

    @rule(count=st.integers(1, 3), again=st.booleans())
    def take(self, count: int, again: bool) -> None:
        for _ in range(count):
            self._take_one()
        if again and isinstance(self.last, SessionEvent):
            self.mailbox.put_back([self.last])
            self.waiting.insert(0, self.last)
            self.taken -= 1

    def _take_one(self) -> None:
        self.last = self.waiting[0] if self.waiting else None
        if not self.waiting:
            with pytest.raises(SessionDisconnectedError if self.errors else TimeoutError) as raised:
                self.mailbox.get(NOW)
            assert not self.errors or raised.value is self.errors.pop(0)
            return
        expected, found = self.waiting.pop(0), self.mailbox.get(NOW)
        self.taken += 1
        if isinstance(expected, Notice):
            assert (found.type, found.session_id) == (Type.ERROR, "s1")
            assert found.data == {
                "error": OVERFLOW,
                "dropped_event_type": expected.kind,
                "dropped": expected.dropped,
            }
        else:
            assert found is expected

    @rule()
    def discard_through_the_last_pong(self) -> None:
        at = [index for index, item in enumerate(self.waiting) if getattr(item, "type", None) is Type.PONG]
        self.waiting = self.waiting[at[-1] + 1 if at else 0 :]
        self.mailbox.discard_through(lambda item: item.type is Type.PONG)

    @rule(wanted=st.lists(st.booleans(), min_size=8, max_size=8))
    def discard_some(self, wanted: list[bool]) -> None:
        kept = [wanted[at % 8] for at in range(len(self.waiting))]
        self.mailbox.discard([one for one, keep in zip(self.mailbox.waiting(), kept, strict=True) if not keep])
        self.waiting = [one for one, keep in zip(self.waiting, kept, strict=True) if keep]

    @rule(maxsize=st.integers(0, 4), types=st.sampled_from([None, frozenset({Type.PONG})]))
    def hand_over(self, maxsize: int, types: frozenset[SessionEventType] | None) -> None:
        # To one that holds no more kinds, as a listener takes over what came before it was opened.
        self.maxsize, self.types = maxsize, types if self.types is None else self.types & (types or self.types)
        old, self.mailbox = self.mailbox, Mailbox(self.maxsize, self.types)
        self.mailbox.transfer_from(old)
        assert not old.waiting()
        assert old.taken == self.taken
        fitting = [
            item for item in self.waiting if isinstance(item, Notice) or not self.types or item.type in self.types
        ]
        self.waiting = fitting
        self.dropped = self.taken = self.high_water = 0

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        if hasattr(self, "mailbox"):
            assert len(self.mailbox) == len(self.waiting)
            assert (self.mailbox.dropped, self.mailbox.high_water) == (self.dropped, self.high_water)
            assert self.mailbox.taken == self.taken

    @invariant()
    def knows_how_it_ends(self) -> None:
        if not hasattr(self, "mailbox"):
            return
        for kind in (Type.PONG, Type.ERROR):
            last = self.waiting[-1] if self.waiting else None
            is_last = kind is Type.ERROR if isinstance(last, Notice) else last is not None and last.type is kind
            assert self.mailbox.ends_with(kind) == is_last


MailboxMachine.TestCase.settings = settings(max_examples=scaled(80), stateful_step_count=30)
TestAgainstAModel = MailboxMachine.TestCase


# ---- bounded by bytes ------------------------------------------------------------------------------


def heavy(number: int, size: int = 1000) -> SessionEvent:
    return SessionEvent(Type.TOOL_RESULT, "s1", str(number), {"output": [{"rows": "x" * size}]})


@pytest.fixture
def ten_kilobytes(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(mailbox_module, "QUEUE_BYTES", 10_000)
    return 10_000 // mailbox_module.weight(heavy(1))


def test_no_more_bytes_wait_than_may(ten_kilobytes: int) -> None:
    mailbox = Mailbox(100)
    for number in range(20):
        mailbox.put([heavy(number)], mailbox_module.weight(heavy(number)))
    assert numbers(mailbox) == [*range(ten_kilobytes), ("tool_result", 20 - ten_kilobytes)]


def handed_over(mailbox: Mailbox) -> Mailbox:
    other = Mailbox(100)
    other.transfer_from(mailbox)
    return other


@pytest.mark.parametrize(
    ("does", "gone"),
    [
        (lambda mailbox: [mailbox.get(NOW) for _ in range(2)], 2),
        (lambda mailbox: mailbox.discard(mailbox.waiting()[:2]), 2),
        (lambda mailbox: mailbox.discard_through(lambda one: one.message_id == "1"), 2),
        (handed_over, 0),
    ],
    ids=["taken", "discarded", "discarded through", "handed over"],
)
def test_what_has_left_makes_room_for_as_many_bytes_and_what_is_handed_over_takes_it(
    ten_kilobytes: int, does: Callable[[Mailbox], Any], gone: int
) -> None:
    mailbox = Mailbox(100)
    mailbox.put([heavy(number) for number in range(ten_kilobytes + 1)], 20_000)
    moved = does(mailbox)
    mailbox = moved if isinstance(moved, Mailbox) else mailbox
    mailbox.put([heavy(number) for number in (101, 102, 103)], 4200)
    fits = [101, 102][:gone]
    assert numbers(mailbox) == [*range(gone, ten_kilobytes), ("tool_result", 4 - gone), *fits]


def test_as_many_bytes_wait_as_may(monkeypatch: pytest.MonkeyPatch) -> None:
    size = mailbox_module.weight(heavy(1))
    monkeypatch.setattr(mailbox_module, "QUEUE_BYTES", 3 * size)
    mailbox = Mailbox(100)
    mailbox.put([heavy(number) for number in range(4)], 4 * size)
    assert numbers(mailbox) == [0, 1, 2, ("tool_result", 1)]


def test_an_event_weighs_what_is_in_it() -> None:
    weigh, data = mailbox_module.weight, {"output": [{"rows": "x"}]}
    alone = weigh(SessionEvent(Type.TOOL_RESULT, "s1", "", data))
    assert weigh(SessionEvent(Type.TOOL_RESULT, "s1", "m" * 1000, data)) == alone + 1000
    assert weigh(heavy(1, 1001)) == weigh(heavy(1, 1)) + 1000


def test_an_event_larger_than_all_that_may_wait_is_alone_in_it(ten_kilobytes: int) -> None:
    mailbox = Mailbox(100)
    for number in range(3):
        mailbox.put([heavy(number, 20_000)], 20_000)
    assert numbers(mailbox) == [0, ("tool_result", 2)]
    mailbox.put([heavy(7)], 1400)
    assert numbers(mailbox) == [7]


def test_without_a_bound_any_number_of_bytes_waits(ten_kilobytes: int) -> None:
    mailbox = Mailbox(0)
    mailbox.put([heavy(number) for number in range(50)], 70_000)
    assert (len(mailbox), mailbox.dropped) == (50, 0)


def test_arrivals_count_all_that_came() -> None:
    mailbox = TimedMailbox()
    mailbox.put(events(range(3)))
    mailbox.put(events([3]))
    (first, one), (second, other) = mailbox.arrivals
    assert (one, other) == (3, 4)
    assert first <= second


# ---- handing over ------------------------------------------------------------------------------


def test_a_notice_that_was_handed_over_counts_on() -> None:
    old, new = Mailbox(2), Mailbox(2)
    old.put(events(range(3)))
    new.transfer_from(old)
    new.put(events([3]))
    assert numbers(new) == [0, 1, ("message_delta", 2)]
    old.put(events(range(4)))  # and the old one begins anew
    assert numbers(old) == [0, 1, ("message_delta", 2)]


# ---- waiting and ending ------------------------------------------------------------------------


def wait_until_waiting(mailbox: Mailbox, count: int = 1) -> None:
    assert eventually(lambda: len(mailbox._gates) >= count, interval=0.001)


def test_waiting_ends_at_the_deadline_and_the_mailbox_stays_usable() -> None:
    mailbox = Mailbox()
    before = time.monotonic()
    with pytest.raises(TimeoutError):
        mailbox.get(Deadline(0.05))
    assert 0.05 <= time.monotonic() - before < 10.0
    assert not mailbox._gates
    mailbox.put(events([1]))
    assert numbers(mailbox) == [1]


@pytest.mark.parametrize("hand_over", [False, True], ids=["put", "handed over"])
def test_every_event_wakes_somebody(hand_over: bool) -> None:
    mailbox, other = Mailbox(), Mailbox()
    before = time.monotonic()
    with in_threads(*[lambda: mailbox.get(Deadline(60.0))] * 4) as results:
        wait_until_waiting(mailbox, 4)
        (other if hand_over else mailbox).put(events(range(4)))
        if hand_over:
            mailbox.transfer_from(other)
    assert sorted(told(found) for found in results) == [0, 1, 2, 3]
    assert time.monotonic() - before < 30.0, "somebody slept beside an event"


def test_an_event_that_another_consumer_takes_first_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    mailbox, pop, taken = Mailbox(), Mailbox._pop, list[SessionEvent]()

    def pop_too_late(self: Mailbox) -> SessionEvent:
        if not taken:
            taken.append(self.take())  # as another thread may, while this one has the lock
        return pop(self)

    monkeypatch.setattr(Mailbox, "_pop", pop_too_late)
    with in_threads(lambda: mailbox.get(Deadline(60.0))) as results:
        wait_until_waiting(mailbox)
        mailbox.put(events([1]))
        wait_until_waiting(mailbox)
        mailbox.put(events([2]))
    assert [told(found) for found in (*taken, *results)] == [1, 2]


def test_an_end_comes_after_what_is_in_it() -> None:
    mailbox = Mailbox()
    mailbox.put(events(range(2)))
    mailbox.close()
    mailbox.put(events([2]))  # too late
    assert numbers(mailbox) == [0, 1]
    for _ in range(3):
        with pytest.raises(Closed):
            mailbox.get(Deadline(None))


def test_a_failure_comes_after_what_is_in_it() -> None:
    mailbox = Mailbox()
    mailbox.put(events([0]))
    mailbox.close(lambda: SessionDisconnectedError("gone", code=1011))
    assert numbers(mailbox) == [0]
    raised = [raised_by(lambda: mailbox.get(Deadline(None))) for _ in range(2)]
    assert [(type(error), str(error)) for error in raised] == [(SessionDisconnectedError, "gone")] * 2
    assert raised[0] is not raised[1], "one error raised twice would gather the tracebacks of both"


def test_the_first_end_stands() -> None:
    mailbox = Mailbox()
    mailbox.close()
    mailbox.close(lambda: SessionDisconnectedError("gone"))
    with pytest.raises(Closed):
        mailbox.get(NOW)


def test_an_error_wakes_one_who_waits_and_no_other() -> None:
    mailbox = Mailbox()
    with in_threads(*[lambda: raised_by(lambda: mailbox.get(Deadline(60.0)))] * 2) as results:
        wait_until_waiting(mailbox, 2)
        mailbox.push_error(lambda: SessionDisconnectedError("once"))
        assert len(mailbox._gates) == 1
        mailbox.close()
    assert sorted(type(error).__name__ for error in results) == ["Closed", "SessionDisconnectedError"]


def test_closing_wakes_everybody_who_waits() -> None:
    mailbox = Mailbox()
    with in_threads(*[lambda: raised_by(lambda: mailbox.get(Deadline(None)))] * 5) as results:
        wait_until_waiting(mailbox, 5)
        mailbox.close()
    assert [type(error) for error in results] == [Closed] * 5


@pytest.mark.parametrize("meanwhile", [False, True], ids=["then an event", "and an event"])
def test_an_interrupted_consumer_leaves_events_to_the_other(meanwhile: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    mailbox = Mailbox()
    waits, other_waits = threading.Event(), threading.Event()

    def interrupted(gate: threading.Lock, deadline: Deadline) -> bool:
        if threading.current_thread() is not threading.main_thread():
            return acquire(gate, deadline)
        waits.set()
        assert other_waits.wait(30)
        if meanwhile:
            mailbox.put(events([1]))  # which wakes this one, for it has waited longer
        raise KeyboardInterrupt

    def consume() -> SessionEvent:
        assert waits.wait(30)
        return mailbox.get(Deadline(60.0))

    def watch() -> None:
        wait_until_waiting(mailbox, 2)
        other_waits.set()

    monkeypatch.setattr(mailbox_module, "acquire", interrupted)
    with in_threads(consume, watch) as results:
        with pytest.raises(KeyboardInterrupt):
            mailbox.get(Deadline(60.0))
        if not meanwhile:
            mailbox.put(events([1]))
    assert told(results[0]) == 1
    mailbox.put(events([2]))
    assert numbers(mailbox) == [2]


class InterruptedLock:
    """A lock behind whose first release Ctrl-C is noticed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.locked = self._lock.locked
        self._is_interrupted = False

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if not self._is_interrupted:
            self._is_interrupted = True
            raise KeyboardInterrupt


def test_an_interrupt_just_before_the_wait_leaves_nothing_to_be_woken() -> None:
    mailbox = Mailbox()
    mailbox._lock = InterruptedLock()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        mailbox.get(Deadline(30.0))
    assert not mailbox._gates


@pytest.mark.parametrize("count", [1, 3])
def test_a_fork_takes_what_there_is_and_waits_for_nothing(count: int) -> None:
    mailbox = Mailbox(1)
    mailbox.put(events(range(count)))
    mailbox._pid += 1  # as in another process than the one that made it,
    mailbox._lock.acquire()  # whose lock was held at that moment
    assert numbers(mailbox) == [0, ("message_delta", 2)][:count]
    with pytest.raises(ForkedSessionError, match="belongs to the parent process"):
        mailbox.get(Deadline(None))


# ---- many threads ------------------------------------------------------------------------------


@pytest.mark.parametrize("hand_over", [False, True], ids=["put", "handed over"])
def test_a_notice_is_not_taken_while_more_is_counted_in_it(hand_over: bool) -> None:
    mailbox, found = Mailbox(1), []
    mailbox.put(events(range(3)))
    if hand_over:
        old, mailbox = mailbox, Mailbox(1)
        mailbox.transfer_from(old)
    assert told(mailbox.get(NOW)) == 0
    mailbox._lock.acquire()  # as whoever counts in it does
    with in_threads(lambda: found.append(told(mailbox.get(NOW)))):
        time.sleep(0.05)
        found_early = list(found)
        mailbox._lock.release()
    assert found_early == []
    assert found == [("message_delta", 2)]


def test_nothing_is_lost_twice_or_out_of_order_between_two_threads() -> None:
    mailbox, total = Mailbox(8), 20_000
    with switching_often(), in_threads(lambda: until_closed(mailbox)) as results:
        for number in range(0, total, 4):
            mailbox.put(events(range(number, number + 4)))
        mailbox.close()
    found = results[0]
    got = [item for item in found if isinstance(item, int)]
    dropped = sum(item[1] for item in found if isinstance(item, tuple))
    assert got == sorted(set(got))
    assert len(got) + dropped == total
    assert mailbox.dropped == dropped
    # One more than the eight and the notice: while the notice is being handed out, its slot is not yet free.
    assert mailbox.high_water <= 10


def test_many_consumers_share_what_there_is() -> None:
    mailbox, total = Mailbox(), 8_000
    with switching_often(), in_threads(*[lambda: until_closed(mailbox)] * 6) as results:
        for number in range(total):
            mailbox.put([event(number)])
        mailbox.close()
    assert all(got == sorted(got) for got in results)
    assert sorted(number for got in results for number in got) == list(range(total))


# ---- the mailbox of a turn ---------------------------------------------------------------------


def thought(text: str, status: str = "streaming", message_id: str = "m1", **more: Any) -> SessionEvent:
    return SessionEvent(Type.THINKING, "s1", message_id, {"text": text, "status": status, **more})


def delta(text: Any, message_id: str = "m1", **more: Any) -> SessionEvent:
    return SessionEvent(Type.MESSAGE_DELTA, "s1", message_id, {"delta": text, **more})


def taken(mailbox: Mailbox) -> list[SessionEvent]:
    """Takes all, also what can be taken only behind a notice."""
    found = []
    while len(mailbox):
        found.append(mailbox.get(NOW))
    return found


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox_module, "QUEUE_BYTES", 20_000)


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize(("part", "name"), [(delta, "delta"), (thought, "text")])
def test_deltas_that_wait_for_the_reader_of_a_turn_are_joined_and_nothing_is_lost(
    part: Callable[..., SessionEvent], name: str
) -> None:
    mailbox = TimedMailbox()
    sent = [part(chr(97 + number % 26), message_id=f"m{number // 700}", index=number % 700) for number in range(1400)]
    for at in range(0, 1400, 7):
        mailbox.put([event(at, Type.TOOL_CALL)] if at == 700 else [], 600)
        mailbox.put(sent[at : at + 7], 700 * 7)
    assert sum(map(mailbox_module.weight, mailbox.waiting())) <= 20_000 + 7 * 700
    found = taken(mailbox)
    assert len(found) < 60
    for message_id in ("m0", "m1"):
        texts = [one.data[name] for one in found if one.message_id == message_id and name in one.data]
        assert "".join(texts) == "".join(one.data[name] for one in sent if one.message_id == message_id)
    assert [one.message_id for one in found if one.type is Type.TOOL_CALL] == ["700"]
    assert found[0].data["index"] == 0
    assert mailbox.arrivals[-1][1] == len(found)
    assert mailbox.arrivals == sorted(mailbox.arrivals)


@pytest.mark.usefixtures("_small")
def test_what_cannot_be_joined_is_left_out_and_the_end_of_the_turn_is_not() -> None:
    mailbox = TimedMailbox()
    mailbox.put([delta("x" * 15_000, "m1"), delta("y" * 15_000, "m2")], 31_000)
    assert [one.message_id for one in mailbox.waiting()] == ["m1", None]
    kept = [SessionEvent(Type.TOOL_RESULT, "s1", str(number), {"output": "x" * 3000}) for number in range(14)]
    for one in kept:
        mailbox.put([one, delta("y", "m2")], 3700)
    mailbox.put(
        [delta("y", "m2"), *(idle := [event(0, Type.PARTICIPANT_STATUS), event(1, Type.PARTICIPANT_STATUS)])], 1000
    )
    first, notice, *rest = taken(mailbox)
    fit = 40_000 // mailbox_module.weight(kept[0])
    assert rest == [*kept[:fit], kept[-1], idle[-1]]
    assert (first.message_id, notice.error) == ("m1", OVERFLOW)
    assert notice.data["dropped"] == 16 + (14 - fit - 1) + 1
    assert notice.data["dropped_event_type"] == "participant_status"  # the last of what no other event repeats
    mailbox.put([delta("z", "m3")], 600)  # and then it is as before
    assert [one.delta for one in taken(mailbox)] == ["z"]
    assert mailbox.arrivals[-1][1] == 2 + len(rest) + 1


@pytest.mark.usefixtures("_small")
def test_a_notice_that_is_read_again_holds_nothing_up() -> None:
    mailbox = TimedMailbox()
    mailbox.put([delta("x" * 15_000, "m1"), delta("y" * 15_000, "m1")], 31_000)
    first, notice = mailbox.get(NOW), mailbox.get(NOW)
    mailbox.put_back([first, notice])
    mailbox.put([delta("y" * 15_000, "m1"), event(7, Type.PARTICIPANT_STATUS)], 20_000)
    assert [one.message_id for one in taken(mailbox)] == ["m1", None, "7"]
    assert notice.data["dropped"] == 2


@pytest.mark.usefixtures("_small")
def test_what_the_reader_of_a_turn_leaves_goes_on_with_the_notice() -> None:
    mailbox, other = TimedMailbox(), Mailbox(100)
    mailbox.put([delta("x" * 15_000, "m1"), delta("y" * 15_000, "m1"), event(7, Type.PARTICIPANT_STATUS)], 31_000)
    assert [one.message_id for one in mailbox.waiting()] == ["m1", None, "7"]
    other.transfer_from(mailbox)
    assert [one.message_id for one in taken(other)] == ["m1", None, "7"]
    assert mailbox.waiting() == []


@pytest.mark.usefixtures("_small")
def test_what_waits_behind_a_notice_is_dropped_with_all_and_then_has_its_room_again() -> None:
    mailbox = TimedMailbox()
    for _ in range(2):
        mailbox.put([delta("x" * 15_000, "m1"), delta("y" * 15_000, "m2")], 31_000)
        kept = [SessionEvent(Type.TOOL_RESULT, "s1", str(number), {"output": "x" * 3000}) for number in range(10)]
        mailbox.put(kept, 35_000)
        first, notice, *rest = mailbox.waiting()
        assert (first.message_id, notice.error, rest) == ("m1", OVERFLOW, kept)
        mailbox.discard_through(lambda one: one.message_id == "m1")
        assert mailbox.waiting() == [notice, *kept]
        mailbox.discard_through(lambda one: True)
        assert mailbox.waiting() == []


def joined(mailbox: Mailbox) -> None:
    """Fills a mailbox, so that what waits in it is joined."""
    mailbox.put([event(99, Type.PARTICIPANT_STATUS)], mailbox_module.QUEUE_BYTES + 1)


@pytest.mark.parametrize(
    ("came", "texts"),
    [
        ([delta("a"), delta("b"), delta("c")], ["abc"]),
        ([delta("a")], ["a"]),
        ([delta("a"), delta("b", "m2"), delta("c")], ["a", "b", "c"]),
        ([delta("a"), delta("b", index=1), delta("c", index=2)], ["a", "bc"]),
        ([delta("a"), delta("b", recovered=True), delta("c")], ["a", "b", "c"]),
        ([delta("a"), thought("b")], ["a", "b"]),
        ([delta("a"), delta(None), delta("c"), delta("d")], ["a", None, "cd"]),
        ([thought("a"), thought("b")], ["ab"]),
        ([thought("a"), thought("ab", "complete")], ["a", "ab"]),
        ([thought("a", "complete"), thought("b", "complete")], ["a", "b"]),
        ([thought("a"), thought("b", index=1)], ["a", "b"]),
        ([delta("ab")] * 7, ["ababab", "ababab", "ab"]),
        ([delta("abcde")] * 2, ["abcde"] * 2),
        ([delta("abcd"), delta("efgh"), delta("i")], ["abcdefgh", "i"]),
    ],
)
def test_what_follows_within_a_text_is_joined_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, came: list[SessionEvent], texts: list[str | None]
) -> None:
    monkeypatch.setattr(mailbox_module, "_JOINED_CHARS", 5)
    mailbox = TimedMailbox()
    mailbox.put(came)
    joined(mailbox)
    *found, _ = taken(mailbox)
    assert [one.data.get("text", one.data.get("delta")) for one in found] == texts


@pytest.mark.parametrize("takes", range(8))
def test_what_was_joined_came_when_its_first_delta_did(monkeypatch: pytest.MonkeyPatch, takes: int) -> None:
    monkeypatch.setattr(mailbox_module, "time", SimpleNamespace(monotonic=itertools.count().__next__))
    mailbox, letters = TimedMailbox(), ["dd", "dt", "d", "d", "td"]
    came_at = [at for at, some in enumerate(letters) for _ in some]
    for some in letters:
        mailbox.put([delta(letter) if letter == "d" else event(1, Type.TOOL_CALL) for letter in some])
    for _ in range(takes):
        mailbox.get(NOW)
    joined(mailbox)
    sent = "".join(letters)
    firsts = [at for at in range(takes, len(sent)) if at == takes or sent[at - 1 : at + 1] != "dd"]
    times = [came_at[at] for at in (*range(takes), *firsts)] + [len(letters)]
    assert mailbox.arrivals == [(at, max(n for n, one in enumerate(times, 1) if one <= at)) for at in sorted({*times})]
    assert len(mailbox) == len(times) - takes


@pytest.mark.parametrize("at_once", [1, 4])
def test_what_no_other_event_repeats_has_twice_the_room_and_as_much_again(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    size = mailbox_module.weight(heavy(10))
    monkeypatch.setattr(mailbox_module, "QUEUE_BYTES", 3 * size)
    mailbox, results = TimedMailbox(), [heavy(number) for number in range(10, 26)]
    for at in range(0, len(results), at_once):
        mailbox.put(results[at : at + at_once], at_once * size)
    mailbox.put([delta("x", "m1"), end := event(0, Type.PARTICIPANT_STATUS)], 600)
    *first, notice = [mailbox.get(NOW) for _ in range(len(mailbox))]
    assert first == results[:6]
    assert told(notice) == ("tool_result", 4)
    assert taken(mailbox) == [*results[6:12], results[-1], end]


PUT = st.tuples(
    st.sampled_from([Type.MESSAGE_DELTA] * 5 + [Type.THINKING, Type.TOOL_RESULT, Type.MESSAGE_COMPLETE]),
    st.sampled_from(["m1", "m2"]),
    st.sampled_from([1, 1, 10, 400, 3000]),
)


@settings(max_examples=scaled(30))
@given(rounds=st.lists(st.tuples(st.lists(PUT, min_size=1, max_size=8), st.integers(0, 6)), min_size=3, max_size=25))
def test_whatever_comes_and_is_taken_a_text_has_no_hole_that_is_not_reported(
    rounds: list[tuple[list[tuple[SessionEventType, str, int]], int]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mailbox_module, "QUEUE_BYTES", 4000)
        mailbox, found, sent = TimedMailbox(), [], list[SessionEvent]()
        for puts, takes in rounds:
            batch = [
                delta("x" * size, message_id)
                if kind is Type.MESSAGE_DELTA
                else thought("x" * size, message_id=message_id)
                if kind is Type.THINKING
                else SessionEvent(kind, "s1", message_id, {"text": "x" * size, "number": len(sent) + at})
                for at, (kind, message_id, size) in enumerate(puts)
            ]
            sent += batch
            mailbox.put(batch, sum(map(mailbox_module.weight, batch)))
            waiting = [mailbox_module.weight(one) for one in mailbox.waiting()]
            assert sum(waiting) <= 4 * 4000 + 3 * 4000
            for _ in range(min(takes, len(mailbox))):
                found.append(mailbox.get(NOW))
        found += taken(mailbox)
    notices = [one for one in found if one.error == OVERFLOW]
    before = found[: found.index(notices[0])] if notices else found
    for kind, name in ((Type.MESSAGE_DELTA, "delta"), (Type.THINKING, "text")):
        for message_id in ("m1", "m2"):
            texts = [
                "".join(one.data[name] for one in events if one.type is kind and one.message_id == message_id)
                for events in (before, sent)
            ]
            assert texts[1].startswith(texts[0])
            assert notices or texts[0] == texts[1]
    for kind in (Type.TOOL_RESULT, Type.MESSAGE_COMPLETE):
        of_kind = [[one for one in events if one.type is kind] for events in (found, sent)]
        assert of_kind[0][-1:] == of_kind[1][-1:]
        assert [one.data["number"] for one in of_kind[0]] == sorted(one.data["number"] for one in of_kind[0])
        assert len(of_kind[1]) - len(of_kind[0]) <= sum(notice.data["dropped"] for notice in notices)
    assert mailbox.dropped == sum(notice.data["dropped"] for notice in notices)
    counts = [count for _, count in mailbox.arrivals]
    assert counts == sorted(set(counts))
    assert counts[-1:] == ([len(found)] if found else [])
    assert mailbox.taken == len(found)


def test_deltas_are_joined_while_they_are_being_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    # Room for all of the text, however late the reader comes, but not for each delta by itself.
    monkeypatch.setattr(mailbox_module, "QUEUE_BYTES", 8000)
    mailbox, found = TimedMailbox(), []

    def read() -> None:
        while not found or found[-1].type is Type.MESSAGE_DELTA:
            found.append(mailbox.get(Deadline(60.0)))

    with switching_often(), in_threads(read):
        for number in range(1200):
            mailbox.put([delta(f"{number} ", index=number)], 650)
        mailbox.put([event(0, Type.PARTICIPANT_STATUS)], 600)
    assert "".join(one.delta or "" for one in found) == "".join(f"{number} " for number in range(1200))
    assert mailbox.arrivals[-1][1] == len(found)
