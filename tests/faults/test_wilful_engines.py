"""Every legal engine against the real client: a machine that does whatever the protocol leaves open, in any order.

`SESSIONLIB_MODEL_STEPS` is how many steps it takes at least, 20,000 on CI. `SESSIONLIB_MODEL_SEED`, a number, decides
which: they are the same in each run unless it is set.

What no client can know is not asked of it. Acks name no post: that an engine leaves some out shows only once it has
left one out beside which nothing else was under way, so it does that first, and refuses a post only once an ack has
come. No frame distinguishes another client's turn from ours where each post has its own, or where no status shows that
one runs. Where the connection may be lost, a message before the answer is like an answer of its own. What remains open
besides is to be marked (`Reply.shared_with`), or an error with a type.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sessionlib import Session, SessionError, Turn
from sessionlib.errors import DeliveryUnknownError, UnansweredError
from sessionlib.protocol.turns import is_final
from tests.support.profiles import IS_CI
from tests.support.virtual_engine import Manners, VirtualEngine, VirtualNetwork

STEPS = int(os.environ.get("SESSIONLIB_MODEL_STEPS", "20000" if IS_CI else "3000"))
SEED = int(os.environ.get("SESSIONLIB_MODEL_SEED", "1"))
IN_A_RUN = 50
# What an idle engine may be waited for, and for how long looks at its history take to arrive here.
BOUND = 2.0
TICK = 0.1

manners = st.builds(
    Manners,
    batches=st.booleans(),
    acks=st.sampled_from(["first", "late", "last", "some", "none"]),
    statuses=st.booleans(),
    ids=st.booleans(),
    stores=st.sampled_from(["at once", "with its turn"]),
    join_status=st.booleans(),
    repeats=st.booleans(),
).filter(lambda made: not made.ids or (made.acks == "first" and made.statuses))
# What became of the questions, over all runs.
outcomes: Counter[str] = Counter()


class WilfulEngineMachine(RuleBasedStateMachine):
    """One session, and an engine that answers it as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: dict[str, Turn] = {}
        self.numbers = 0
        self.drops = 0
        self.session: Session | None = None

    @initialize(manners=manners, joins=st.booleans(), listens=st.booleans(), is_lossy=st.booleans())
    def connect(self, manners: Manners, joins: bool, listens: bool, is_lossy: bool) -> None:
        self.is_lossy = is_lossy
        self.engine = VirtualEngine(manners)
        self.network = VirtualNetwork(self.engine).__enter__()
        self.joins = joins
        owner: dict[str, Any] = {"session_id": "s1"} if joins else {"owner_type": "agent", "owner_id": "a1"}
        self.session = Session(api_key="k", ws_url="ws://127.0.0.1:1/v1", reconnect_delay=0.0, **owner)
        self.session.connect()
        self.network.is_prompt = False
        self.network.await_reader()
        self.listener = self.session.listen(maxsize=0) if listens else None
        if manners.acks == "some":
            self.engine.omit_ack = True
            self.ask()
            self.settle()

    def teardown(self) -> None:
        if self.session is None:
            return
        try:
            self.settle()
        finally:
            self.session.disconnect()
            self.network.__exit__()
        if self.listener is not None:
            self.check_listener()

    def check_listener(self) -> None:
        """Each message whole, once, and in deltas that add up to it, or with a gap reported."""
        whole: Counter[str | None] = Counter()
        texts: dict[str | None, str] = {}
        gaps = 0
        while True:
            try:
                event = next(self.listener)
            except StopIteration:
                break
            except (DeliveryUnknownError, UnansweredError):
                continue  # a message that was sent, and that no reader of a turn waits for
            gaps += event.error == "gap"
            if event.delta:
                texts[event.message_id] = texts.get(event.message_id, "") + event.delta
            if event.is_complete:
                whole[event.message_id] += 1
                assert texts.get(event.message_id, event.text) == event.text or gaps, event
        assert max(whole.values(), default=1) == 1, f"delivered twice: {whole}"

    # ---- what the client does ----------------------------------------------------------------------

    @property
    def has_seen_ack(self) -> bool:
        return self.session is not None and self.session._connection.protocol.turns._acks_seen  # type: ignore[union-attr]

    @property
    def is_connected(self) -> bool:
        return self.session is not None and self.session.state == "connected"

    @precondition(lambda self: self.is_connected and len(self.turns) < 4)
    @rule()
    def ask(self) -> None:
        self.numbers += 1
        text = f"q{self.numbers}"
        self.turns[text] = self.session.stream(text)

    @precondition(lambda self: self.is_connected)
    @rule()
    def send(self) -> None:
        self.numbers += 1
        self.session.send(f"s{self.numbers}")

    # ---- what the network does ---------------------------------------------------------------------

    @precondition(lambda self: self.network.link.to_client)
    @rule(count=st.integers(1, 6))
    def deliver(self, count: int) -> None:
        self.network.link.deliver(count)
        self.network.await_reader()

    @precondition(lambda self: self.is_connected and self.is_lossy)
    @rule(taken=st.integers(0, 3))
    def drop(self, taken: int) -> None:
        self.drops += 1
        link = self.network.link
        for _ in range(taken):
            self.engine.take(link)
        link.abort()
        self.network.await_reader()

    # An engine with work does not fall silent, at least not behind what looks like the end of a turn.
    @precondition(
        lambda self: (
            (self.engine.is_idle or self.engine.turn is not None)
            and not (self.engine.turn and self.engine.history and is_final(self.engine.history[-1]))
        )
    )
    @rule(ticks=st.integers(1, 5))
    def wait(self, ticks: int) -> None:
        for _ in range(ticks):
            self.network.clock.advance(TICK)
        self.network.await_reader()

    # ---- what the engine does ----------------------------------------------------------------------

    @precondition(lambda self: self.network.link.to_engine)
    @rule(omit_ack=st.booleans(), refuse=st.integers(0, 15))
    def take(self, omit_ack: bool, refuse: int) -> None:
        self.engine.omit_ack = omit_ack
        # Until an ack has come, an engine may be one that sends none, and a refusal another client's turn late.
        may_refuse = self.engine.manners.acks == "first" and self.has_seen_ack
        self.engine.take(self.network.link, refuse=refuse == 0 and may_refuse)

    @precondition(lambda self: self.engine.turn is None and self.engine.queue)
    @rule(kind=st.sampled_from(["plain", "plain", "whole", "two", "tools", "error"]))
    def begin(self, kind: str) -> None:
        if self.is_lossy and kind in ("two", "tools"):
            # Where the connection was lost, a message before the answer cannot be told from an answer of its own.
            kind = "plain"
        self.engine.begin(kind)

    @precondition(lambda self: self.engine.turn is not None)
    @rule(steps=st.integers(1, 6))
    def step(self, steps: int) -> None:
        for _ in range(steps):
            if self.engine.turn is not None:
                self.engine.step()

    # Where each post has a turn of its own, no frame tells another client's turn between an ack and ours from ours; and
    # without statuses none that is running.
    @precondition(
        lambda self: (
            self.joins and self.engine.manners.statuses and (self.engine.manners.batches or self.engine.manners.ids)
        )
    )
    @rule()
    def another_client_posts(self) -> None:
        self.numbers += 1
        self.engine.post(f"x{self.numbers}", is_ours=False)

    @rule()
    def settle(self) -> None:
        """Everything arrives, the engine works until it is idle, and then no wait may last."""
        self._run_out()
        for _ in range(round((BOUND + TICK) / TICK)):
            if not self.turns:
                break
            self.network.clock.advance(TICK)
            self._run_out()
        assert not self.turns, f"still waiting for {list(self.turns)}: {self.engine.manners}"

    def _run_out(self) -> None:
        engine, link = self.engine, self.network.link
        while link.to_engine or link.to_client or not engine.is_idle:
            engine.take_all(link)
            if engine.turn is not None:
                engine.step()
            elif engine.queue:
                engine.begin()
            link.deliver(len(link.to_client))
            self.network.await_reader()
            link = self.network.link
        self.read()

    def play(self, step: str) -> None:
        """Takes a step that is written as its name and its number or kind, such as "take-", which omits the ack."""
        name, _, argument = step.partition(":")
        if name in ("take", "take-"):
            self.take(omit_ack=name == "take-", refuse=1)
        elif name == "begin":
            self.begin(kind=argument)
        elif argument:
            number = {"deliver": "count", "drop": "taken", "wait": "ticks", "step": "steps"}[name]
            getattr(self, name)(**{number: int(argument)})
        else:
            getattr(self, "another_client_posts" if name == "other" else name)()

    # ---- what must hold ----------------------------------------------------------------------------

    @invariant()
    def read(self) -> None:
        if self.session is None:
            return
        outcomes["steps"] += 1
        assert self.session.is_connected
        for text, turn in list(self.turns.items()):
            try:
                while not turn.is_over and turn.wait(0):
                    next(turn, None)
                if not turn.is_over:
                    continue
                if len(self.turns) > 1 and turn._post.turn is not None and turn._post.turn.held is not None:
                    continue  # it may turn out to be shared
                reply = turn.result(0)
            except SessionError as error:
                del self.turns[text]
                self.check_error(text, error)
            else:
                del self.turns[text]
                self.check_reply(text, reply)

    def check_error(self, text: str, error: SessionError) -> None:
        outcomes[type(error).__name__] += 1
        if text in self.engine.refused:
            outcomes["refused"] += 1
            return
        assert isinstance(error, (DeliveryUnknownError, UnansweredError)), error
        # Where neither acks nor statuses show which client's turns they are, an error is what is left.
        said = self.engine.manners
        assert self.drops or said.acks in ("some", "none") or (self.joins and not said.statuses), f"{text}: {error!r}"

    def check_reply(self, text: str, reply: Any) -> None:
        outcomes["replies"] += 1
        answer = f"{reply.text} {reply.error}"
        if f"<{text}>" in answer:
            outcomes["own"] += 1
        elif reply.shared_with:
            outcomes["shared"] += 1
        else:
            assert reply.error == "gap", f"{text} got {reply.text!r}, unmarked: {self.engine.manners}"
            assert self.drops
            outcomes["gap"] += 1
        ids = Counter(event.message_id for event in reply.events if event.is_complete)
        assert max(ids.values(), default=1) == 1, f"twice in a turn: {ids}"


@pytest.mark.timeout(1200)
def test_every_legal_engine_is_understood(caplog: pytest.LogCaptureFixture) -> None:
    outcomes.clear()
    print(f"SESSIONLIB_MODEL_SEED={SEED}")
    with caplog.at_level(logging.WARNING, logger="sessionlib"):  # the log of so many frames takes longer than they do
        # How long a run is, and how many there are, is hypothesis's to decide.
        while outcomes["steps"] < STEPS:
            run_state_machine_as_test(
                hypothesis.seed(SEED + outcomes["steps"])(WilfulEngineMachine),
                settings=hypothesis.settings(
                    max_examples=1 + (STEPS - outcomes["steps"]) // IN_A_RUN,
                    stateful_step_count=IN_A_RUN,
                    report_multiple_bugs=False,
                ),
            )
    print(dict(outcomes))
    # Not by marking everything, nor by giving up.
    assert outcomes["own"] > 0.8 * outcomes["replies"]


# What the machine has found, as short as it fails: the engine's manners, and behind them the steps.
FOUND = [
    "none batches statuses: send take begin:two send ask take ask take step:6 begin:error take step:3 send",
    "first statuses ids reports joined lossy: send settle other ask drop:1",
    "first batches statuses ids stores-late reports joined lossy: ask take begin:two step:6 deliver:3 drop:3 other",
    "some batches statuses reports repeats joined lossy: ask drop:1 begin:plain step:3 take- other",
    "some statuses stores-late reports lossy: ask drop:3 take deliver:6 take- deliver:4 ask",
    "none statuses repeats lossy: send send take begin:error deliver:6 drop:2 take deliver:1 take deliver:4 ask",
    "late joined lossy: ask ask ask take take begin:plain step:2 begin:plain take send step:3",
    "late batches statuses reports repeats lossy: ask take begin:tools deliver:2 step:4 drop:0",
    "none statuses stores-late repeats lossy: ask drop:2 take deliver:4 take deliver:3 ask",
    "first repeats joined: ask send ask ask take take begin:plain step:2 take begin:tools step:6",
    "late repeats lossy: ask ask take take begin:plain step:2 ask begin:whole drop:1 take deliver:1 take "
    "deliver:3 ask step:1",
    "some batches statuses stores-late repeats lossy: ask take- begin:error deliver:1 ask step:5 take drop:0 "
    "take- deliver:3 take begin:error",
    "none statuses repeats lossy: ask take ask begin:tools deliver:3 drop:1 take deliver:4 take deliver:2 ask",
    "none batches repeats: ask ask send ask send ask take take take send begin:two take take step:6 begin:plain "
    "take step:5",
    "first statuses reports lossy: ask take begin:whole deliver:4 ask step:4 drop:1 begin:two take deliver:3 "
    "take deliver:5 send ask",
    "first batches statuses stores-late lossy: ask ask take take begin:whole ask step:3 take deliver:5 "
    "begin:whole drop:2 take deliver:6 take deliver:3 ask",
    "late batches statuses stores-late reports lossy: ask take ask take send drop:0 begin:whole step:4 take "
    "deliver:1 take deliver:2 send take send begin:two step:2 deliver:6 drop:3 step:2",
    "first statuses stores-late repeats lossy: ask ask ask take take take begin:plain deliver:6 step:6 begin:two "
    "drop:1",
    "some batches statuses reports: send ask ask take- send begin:tools take step:2 take- step:2",
    "none statuses stores-late reports repeats: ask ask take begin:tools step:1 step:1 step:3 deliver:6 wait:3 "
    "wait:4 wait:5 wait:5 wait:2 ask",
    "late statuses repeats lossy: ask ask ask take begin:tools step:2 step:2 deliver:2 drop:2 begin:error step:3 "
    "begin:whole",
    "first batches statuses joined lossy: ask take other begin:two step:4 other deliver:5 drop:2 begin:two step:6",
    "first stores-late repeats lossy: ask ask drop:2 settle ask take begin:two step:5 ask deliver:4 ask take",
    "first statuses ids reports lossy: send ask drop:1 take deliver:3 take deliver:1 begin:two step:4 send "
    "deliver:4 ask",
    "first statuses stores-late joined: ask ask take take begin:whole step:6 ask take begin:tools ask step:5 "
    "begin:error",
    "late batches statuses repeats joined: ask take ask ask ask begin:tools take take step:4 step:4 send "
    "begin:tools take step:5",
    "late batches statuses reports joined: ask ask take ask take begin:error other step:6 begin:whole send take step:3",
    "first statuses lossy: send send take send take deliver:3 begin:tools deliver:1 ask send take step:4 drop:1 "
    "begin:whole take deliver:1 take deliver:4 step:1 send",
    "first batches statuses ids joined lossy: ask take deliver:2 drop:0 begin:whole step:4 other",
    "first batches statuses ids reports lossy: ask take begin:plain ask take step:4 begin:error deliver:3 drop:3",
    "some batches statuses joined lossy: other begin:two send step:6 deliver:6 settle wait:4 other begin:two "
    "step:3 send other send deliver:2 drop:1",
]


@pytest.mark.parametrize("found", FOUND)
def test_what_was_misread_once(found: str, caplog: pytest.LogCaptureFixture) -> None:
    given, _, steps = found.partition(": ")
    words = set(given.split())
    manners = Manners(
        **{name: name in words for name in ("batches", "statuses", "ids", "repeats")},
        acks=next(acks for acks in ("first", "late", "last", "some", "none") if acks in words),
        stores="with its turn" if "stores-late" in words else "at once",
        join_status="reports" in words,
    )
    machine = WilfulEngineMachine()
    with caplog.at_level(logging.CRITICAL, logger="sessionlib"):
        machine.connect(manners=manners, joins="joined" in words, listens=True, is_lossy="lossy" in words)
        try:
            for step in steps.split():
                machine.play(step)
                machine.read()
        finally:
            machine.teardown()
