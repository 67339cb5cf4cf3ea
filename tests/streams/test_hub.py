"""The fan-out: against a model, the backlog, the line between two turns, and the end."""

from __future__ import annotations

import contextlib
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
from sessionlib.streams.mailbox import OVERFLOW, Closed, Mailbox, TimedMailbox
from sessionlib.streams.stats import Counters
from tests.support.profiles import scaled
from tests.support.script_engine import agent_message, user_message
from tests.support.threads import in_threads, switching_often

Type = SessionEventType
NOW = Deadline(0.0)

# What a turn is made of, as letters: Processing, delta, Complete, Idle, ack, tool call.
LETTERS = "PdCIat"
KINDS = {"d": Type.MESSAGE_DELTA, "C": Type.MESSAGE_COMPLETE, "a": Type.MESSAGE_POSTED, "t": Type.TOOL_CALL}
KINDS |= {"p": Type.PONG, "?": Type.APPROVAL_REQUEST}
TURN = "aPddC"


def event(letter: str, number: int = 0) -> SessionEvent:
    if letter in KINDS:
        return SessionEvent(KINDS[letter], "s1", str(number), {"letter": letter})
    status = {"P": "Processing", "I": "Idle"}[letter]
    return SessionEvent(Type.PARTICIPANT_STATUS, "s1", str(number), {"status": status, "letter": letter})


def part(index: int) -> SessionEvent:
    return SessionEvent(Type.MESSAGE_DELTA, "s1", "m1", {"delta": "x", "index": index})


def events(letters: str) -> list[SessionEvent]:
    return [event(letter) for letter in letters]


def ignore(*_: object) -> None:
    """What a session would do is not the question here."""


def new_hub(
    backlog_size: int = 100,
    entered: Callable[[SessionEvent, EventOrigin], object] = ignore,
    delivered: Callable[[SessionEvent, EventOrigin], object] = ignore,
    left: Callable[[PendingPost], object] = ignore,
    counters: Counters | None = None,
) -> Hub:
    return Hub(ClientProtocol("s1"), backlog_size, entered, delivered, left, counters or Counters())


def attend(hub: Hub, post: PendingPost | None = None) -> TimedMailbox:
    """Posts, with a reader of its turn."""
    reader = hub.begin_post(post or PendingPost(), attend=True)
    assert reader is not None
    return reader


def heard(mailbox: Mailbox, count: int | None = None) -> str:
    """Takes all that waits, or so many events, as letters; ! is the notice of an overflow."""
    waiting = [mailbox.get(NOW) for _ in range(len(mailbox) if count is None else count)]
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
        self.hub.begin_post(PendingPost())
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


# ---- scripts -----------------------------------------------------------------------------------


def lost() -> SessionDisconnectedError:
    return SessionDisconnectedError("lost")


def play(script: str) -> None:
    """Plays what leaves, comes and is read, in order.

    Letters are events that come in one read, in parentheses such as need not be kept. A leading number is the size of
    the backlog, ``*`` and ``!`` stand where there is one and where there is none. ``&`` posts, ``answer`` answers a
    request, ``cancel``, ``fail`` and ``warn`` are about the last post; ``end`` and ``lost`` end the session. ``1+``
    opens the first listener, ``1+2`` one of two events, ``1&`` posts with a reader; ``1-`` and ``1~`` close and drop
    it, ``1|`` and ``1>`` pause and resume it. ``1<aP`` reads these events, ``1=aP`` all that waits, ``1!`` the loss,
    ``1.`` nothing within the time, ``1#`` the end.
    """
    size, _, rest = script.partition(" ")
    hub, steps = (new_hub(int(size)), rest) if size.isdigit() else (new_hub(), script)
    post, receivers = PendingPost(), dict[str, Any]()
    raised = {"!": SessionDisconnectedError, ".": TimeoutError, "#": Closed}
    about_posts = {"cancel": hub.cancel_post, "fail": lambda post: hub.fail(post, lost)}
    about_posts |= {"warn": lambda post: hub.warn(post, lost), "&": hub.begin_post}
    about_receivers = {"-": hub.leave, "~": hub.discarded.append, "|": hub.pause, ">": hub.resume}
    for step in steps.split():
        name, does, what = step[0], step[1:2], step[2:]
        if step in ("*", "!"):
            assert hub.has_backlog == (step == "*")
        elif step in about_posts:
            post = PendingPost() if step == "&" else post
            about_posts[step](post)
        elif step == "answer":
            hub.begin_post(PendingPost(makes_turn=False))
        elif step in ("end", "lost"):
            hub.end(lost if step == "lost" else None)
            assert not hub._tracker._held
        elif not name.isdigit():
            hub.dispatch(events(step.strip("()")), keep=name != "(")
        elif does == "+":
            receivers[name] = hub.open(maxsize=int(what or 0))
        elif does == "&":
            receivers[name] = attend(hub, post := PendingPost())
        elif does in about_receivers:
            about_receivers[does](receivers[name])
        elif does in raised:
            with pytest.raises(raised[does], match="lost" if does == "!" else None):
                receivers[name].get(NOW)
        else:
            assert heard(receivers[name], len(what) if does == "<" else None) == what, step
    assert not hub._paused


def ways(script: str) -> Iterator[str]:
    """The script with the letters behind its slash in one read, one by one, and cut in two at every place."""
    before, slash, rest = script.partition("/")
    letters, _, after = rest.partition(" ")
    cuts = [letters, " ".join(letters), *(f"{letters[:at]} {letters[at:]}" for at in range(1, len(letters)))]
    yield from (f"{before}{cut} {after}" for cut in cuts) if slash else [script]


SCRIPTS = [
    # What arrives while there is no listener waits for one, and what its listener leaves unread for the next.
    "! aP dd * 1+ ! 1=aPdd",
    "! a *",
    "1+ aPdd 1<a 1- C 2+ 2=PddC",
    # It is gone where another has received it, and is no second listener's either.
    "1+ 2+ aP 1- ! 2=aP 2- 3+ 3=",
    "a 1+ 2+ P 1=aP 2=P",
    # The backlog is bounded and reports what it dropped; a listener smaller than it gets all of it.
    "3 a P d d C 1+ 1=aPd!",
    "aPddddC 1+2 I 1=aPddddC!",
    # What need not be kept is not. Pongs of an idle session do not fill the backlog; an open listener receives each.
    "(a) ! 1+ (P) 1=P",
    f"5 {'p ' * 20} a p p 1+ 1=pap",
    "5 1+ p p p 1=ppp",
    # An Idle that came before the post is not replayed.
    "(PI) 1+ aPddCI 1<aPddC 1~ & /aPddCI 2+ 2=aPddCI",
    "(PI) aPddCI & /aPddCI 2+ 2=aPddCI",
    # Nor is one that comes after it; where there was no listener the answer waits: its turn had not ended.
    "(PI) 1+ aPddC 1<aPddC 1~ & /IaPddCI 2+ 2=aPddCI",
    "(PI) aPddC & /IaPddCI 2+ 2=aPddCaPddCI",
    "(PI) 1+ aPddC 1<aPddC 1~ & /aIPddCI 2+ 2=aPddCI",
    # One that never comes takes nothing with it.
    "(PI) 1+ aPddC 1<aPddC 1~ & /aPddCI 2+ 2=aPddCI",
    # A turn that goes on after the post is received to its end.
    "(PI) 1+ aPddC 1<aPddC 1~ & /tdCI 2+ 2=tdCI",
    "(PI) 1+ aPddC 1<aPddC 1~ & /addCI 2+ 2=addCI",
    # Without statuses a turn ends with its answer.
    "1+ addC 1<addC 1~ & /addC 2+ 2=addC",
    "addC & /addC 2+ 2=addC",
    # A turn that runs at the post is replayed, and only those that are over are forgotten.
    "aPdd & C 1+ 1=aPddC",
    "aPddCIaPddCIaPd & 1+ 1=aPd",
    # An Idle is of the turn before only where that has its answer and announces its end.
    "(PI) aPd & I 1+ 1=aPdI",
    "(PI) aPddC & I 1+ 1=aPddC",
    "addC & I 1+ 1=I",
    # A Processing behind the first event of a turn announces its Idle all the same.
    "& d PC & 1+ I 1=dPC",
    # A listener that was there before receives the end that newcomers do not.
    "1+ 2+ aPddC 2- & 3+ /aIPddCI 1=aPddCaIPddCI 3=aPddCI",
    # What comes while the listener of the turn before is still open is for the next one as well.
    "1+ aPddCI 1<aPddC & /aPddC 2+ 1~ I 2=aPddCI",
    "1+ aPddC 1<aPddC & /IaPddC 2+ 1~ I 2=aPddCI",
    "1+ aPddC 1<aPddC & /aIPddC 2+ 1~ I 2=aPddCI",
    # One that is closed late leaves what came since the post, and a turn whole that went on then.
    "1+ aPddCI 1<aPddC & aPddC 2+ 1- 2=aPddC",
    "1+ aPddCI 1<aPddC & aPddC 1- 2+ 2=aPddC",
    "1+ aPdd 1<aPd & adC 1- 2+ 2=dadC",
    # One that reads on leaves nothing, nor is there anything for the next but one; what is kept meanwhile is bounded.
    "1+ aPddCI 1<aPddC & aPddC 1<I 2+ 2= I 1=aPddCI",
    "1+ aPddCI 1<aPddC & aPddC 2+ 2=aPddC 3+ 3=",
    "3 1+ aPddCI 1<aPddC & a P d d C a P d d C 2+ 2=aPd!",
    # A listener that has left receives nothing more, and leaving twice is leaving once.
    "1+ aP 1- 1#",
    "1+ 2+ aP 1- 1#",
    "1+ a 1- 1~ 1- 1~ 2+ 2=a",
    # One that was dropped is gone before another comes, leaves or posts.
    "1+ 2+ aPd 2- 1~ 3+ 3=aPd",
    "1+ 2+ aPd 1=aPd 1~ 2- 3+ 3=aPd",
    "1+ 2+ aPd 1~ 2~ & 3+ 3=aPd",
    # The end, or a failure, comes to all, now and later, after what they have.
    "1+ a end 2+ 1=a 2= 1# 2#",
    "aP lost 1+ 1=aP 1!",
    # Whose a turn is that was held for two posts will not become known then.
    "1& 2& aaPd end 1=aPd 1# 2=a 2#",
    # A post that was not sent has no reader; the turn behind it, or behind one that failed, is the next post's.
    "1& cancel 1# aPdC 2+ 2=aPdC",
    "& cancel 1& aPdC 1=aPdC",
    "& fail 1& aPdC 1=aPdC",
    # A post that no turn will answer is an error for its reader; else for a listener, once.
    "1& fail 1! 1!",
    "& 1+ fail 1! 1.",
    "& fail 1+ 1! 1.",
    # A warning is for the reader of the turn, once; without one it is for none.
    "warn 1& warn 1! aPdC 1=aPdC",
    # A reader that pauses leaves what comes to listeners until it goes on or is closed; listeners do not pause.
    "1& 1| aPt 1| 2+ 2| 2=aPt 2- 1> dC 3+ 3=",
    "1& 1| aPt 1| 2+ 2| 2=aPt 2- 1- dC 3+ 3=dC",
    # What a reader comes back for is kept for no listener.
    "1& aP ! 1| * 1> ! 1=aP",
    # Nor is what one of two readers of a turn leaves, beside one of a turn to come.
    "1& 2& aaPd?d 3& 1- 1= ! 2- 4+ 4=aPd?d",
    # The ack of an answer is for the turn that waits for it.
    "1& aP? answer ad 1=aP?ad",
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script[:60])
def test_what_a_script_reads(script: str) -> None:
    for way in ways(script):
        play(way)


# ---- leaving and ending ------------------------------------------------------------------------


def test_what_a_listener_lost_is_counted_after_it_has_left() -> None:
    hub = new_hub()
    mailbox = hub.open(maxsize=1)
    hub.dispatch(events("aPdd"))
    hub.leave(mailbox)
    assert hub.stats().dropped == 3


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


# ---- garbage -----------------------------------------------------------------------------------


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
    with contextlib.suppress(Closed):
        while True:
            got.append(int(mailbox.get(Deadline(None)).message_id or ""))
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


# ---- what is reported about posts --------------------------------------------------------------


class Watching:
    """A turn observer that notes how posts ended, installed for the length of a block."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.events: list[SessionEvent] = []

    def __enter__(self) -> Watching:
        self._uninstall = install_turn_observer(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._uninstall()

    def on_post(self, *_: object) -> None:
        """Of no interest here."""

    def on_event(self, ticket: PendingPost, event: SessionEvent) -> None:
        self.events.append(event)

    def on_end(self, ticket: PendingPost, reason: str) -> None:
        self.ends.append(reason)


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
    hub, post = new_hub(), PendingPost()
    hub.begin_post(post)
    with Watching() as watching:
        end(hub, post)
    assert watching.ends == reports
    assert len(hub.stats().turns) == counted


@pytest.mark.parametrize("failure", [None, lost])
def test_a_post_after_the_end_waits_for_nothing(failure: Callable[[], SessionDisconnectedError] | None) -> None:
    hub, post = new_hub(), PendingPost()
    hub.end(failure)
    reader = attend(hub, post)
    assert post.attended
    assert not hub.begin_post(unattended := PendingPost())
    assert not unattended.attended
    with pytest.raises(SessionDisconnectedError if failure else Closed):
        reader.get(Deadline(None))


def test_a_reader_that_pauses_joins_nothing_that_waits_for_listeners_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox_module, "QUEUE_BYTES", 20_000)
    hub, post = new_hub(), PendingPost()
    reader = attend(hub, post)

    def send(numbers: range) -> None:
        for number in numbers:
            hub.dispatch([part(number)])

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
    reader = attend(hub)
    hub.dispatch(events("aP"))
    for at in range(0, 100, 20):
        hub.dispatch([part(at + number) for number in range(20)])
    assert len(reader) < 60, "they are joined"


def test_requests_alone_are_entered_and_then_handed_on() -> None:
    seen: list[tuple[str, str]] = []
    hub = new_hub(
        entered=lambda one, origin: seen.append(("entered", one.data["letter"])),
        delivered=lambda one, origin: seen.append(("delivered", one.data["letter"])),
    )
    hub.dispatch(events("Pd?dC"))
    assert seen == [("entered", "?"), ("delivered", "?")]


@pytest.mark.parametrize("acks", ["aa", ""])
def test_what_was_held_for_a_post_is_its_readers_once_a_request_waits_for_it(acks: str) -> None:
    hub, posts = new_hub(), [PendingPost(), PendingPost()]
    readers = [attend(hub, post) for post in posts]
    hub.dispatch(events(acks + "Pd"))
    assert hub.has_backlog == (not acks)
    hub.dispatch(events("?d"))
    assert not hub.has_backlog
    found = [heard(reader) for reader in readers]
    assert [letters.lstrip("a") for letters in found] == ["Pd?d"] * 2
    assert posts[0].turn is posts[1].turn is not None


def test_a_request_is_of_the_turn_that_runs_and_of_the_reader_that_there_is() -> None:
    origins: list[EventOrigin] = []
    hub = new_hub(entered=lambda one, origin: origins.append(origin))
    hub.dispatch(events("?"))
    first, second = PendingPost(), PendingPost()
    hub.begin_post(first)
    hub.begin_post(second, attend=True)
    hub.dispatch(events("aaP?"))
    nowhere, origin = origins
    assert (nowhere.ticket, nowhere.course.posts) == (None, [])
    assert (origin.ticket, origin.course) == (second, second.turn)


def test_the_refusal_of_an_answer_is_entered_and_its_ack_is_not() -> None:
    entered: list[SessionEvent] = []
    hub = new_hub(entered=lambda one, origin: entered.append(one))
    answers = [PendingPost(makes_turn=False), PendingPost(makes_turn=False)]
    for answer in answers:
        hub.begin_post(answer)
    error = SessionEvent(Type.ERROR, "s1", None, {"error": "no", "request_type": "post_message", "letter": "e"})
    hub.dispatch([event("a"), error])
    assert entered == [error]
    assert [answer.refusal for answer in answers] == [None, error]


def test_each_pong_answers_the_oldest_ping_and_nothing_else_does() -> None:
    hub = new_hub(counters=(counters := Counters()))
    counters.pings += [0.0, 0.0]
    hub.dispatch([*events("d"), SessionEvent(Type.PONG, "s1", None), *events("d")])
    assert hub.stats().round_trips.count == 1
    assert len(counters.pings) == 1


def test_a_pong_that_would_only_be_dropped_is_counted_as_one_that_is_dispatched() -> None:
    hub = new_hub(counters=(counters := Counters()))
    counters.pings += [0.0] * 3
    pong = SessionEvent(Type.PONG, "s1", None)
    assert not hub.take_pong()  # which the next listener is to receive
    hub.dispatch([pong])
    assert hub.take_pong()
    assert (hub.stats().round_trips.count, hub.stats().events, len(counters.pings)) == (2, 2, 1)
    hub.dispatch(events("d"))
    assert not hub.take_pong()
    hub.dispatch([pong])
    listener = hub.open()
    assert not hub.take_pong()
    hub.leave(listener)
    hub.dispatch([pong])
    assert hub.take_pong()
    attend(hub)
    assert not hub.take_pong()  # which may be what its reader waits for


def test_who_watches_is_notified_of_what_belongs_to_a_post() -> None:
    hub = new_hub()
    hub.begin_post(PendingPost())
    hub.dispatch(events("a"))
    with Watching() as watching:
        hub.dispatch(events("Pdd"))
    hub.dispatch(events("CI"))
    assert [one.data["letter"] for one in watching.events] == ["P", "d"], "further deltas of a text are no news"


def test_further_deltas_of_a_run_are_passed_over() -> None:
    def run(start: int, stop: int) -> Run:
        return Run(start, stop, "m1", 0, 0)

    assert _firsts(4, []) == [0, 1, 2, 3]
    assert _firsts(10, [run(2, 5), run(5, 7), run(8, 10)]) == [0, 1, 2, 5, 7, 8]
    assert _firsts(3, [run(0, 3)]) == [0]


def test_an_event_weighs_what_came_for_it_and_not_for_those_before() -> None:
    hub = new_hub(counters=(counters := Counters()))
    reader = attend(hub)
    hub.dispatch(events("aP"))
    for number in range(5):
        counters.bytes_in += 1_600_000
        hub.dispatch([part(number)])
    assert len(reader) == 7, "deltas are joined where more than 8 MiB wait"


def test_an_answer_that_the_history_shows_is_its_readers_and_reported_at_once() -> None:
    hub, post = new_hub(), PendingPost(contents=("text:Hi",))
    reader = attend(hub, post)
    hub.dispatch(events("aI"))
    history = [user_message("s1", "u1", "Hi"), agent_message("s1", "m1", "Hello")]
    with Watching() as watching:
        assert hub.settle(history, hub._tracker.steps + 1) == [], "something came meanwhile"
        assert watching.events == []
        assert hub.settle(history, hub._tracker.steps) == []
    assert [one.text for one in watching.events] == ["Hello", None]
    assert [one.text for one in reader.waiting()][-2:] == ["Hello", None]
    assert post.last is watching.events[-1]


@pytest.mark.parametrize("how", ["events", "history"])
def test_a_turn_whose_reader_is_gone_is_left_to_the_handlers(how: str) -> None:
    left: list[PendingPost] = []
    hub = new_hub(left=left.append)
    posts = [PendingPost(), PendingPost(), PendingPost()]
    readers = [attend(hub, post) for post in posts]
    hub.discarded.extend(readers[:2])
    if how == "events":
        hub.dispatch(events("aP"))
    else:
        assert hub.has_backlog is False
        assert left == [], "a reader of the backlog runs nothing of the user's"
        hub.settle(None, hub._tracker.steps)
    assert left == posts[:2]


def test_what_is_held_weighs_what_came_for_it_and_not_for_those_before() -> None:
    hub = new_hub(counters=(counters := Counters()))
    counters.bytes_in = 6_000_000
    hub.dispatch(events("PI"))
    readers = [attend(hub) for _ in range(2)]
    for _ in range(2):
        counters.bytes_in += 3_000_000
        hub.dispatch(events("Pd"))
    hub.dispatch(events("?"))
    assert [heard(reader) for reader in readers] == ["PdPd?"] * 2


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
    hub = new_hub(counters=(counters := Counters()))
    counters.bytes_in = 1_000_000
    readers = [attend(hub) for _ in range(2)]
    for letter in came:
        counters.bytes_in += size
        hub.dispatch(events(letter))
    hub.dispatch(events("?"))
    for reader in readers:
        notices = [(one.data["dropped_event_type"], one.data["dropped"]) for one in reader.waiting() if one.error]
        assert notices == ([("message_delta", dropped)] if dropped else [])
        assert heard(reader) == f"{found}?"
