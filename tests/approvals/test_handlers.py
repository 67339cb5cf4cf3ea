"""Handlers: which of them is asked, and that one that fails or takes too long denies."""

from __future__ import annotations

import signal
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from sessionlib import (
    ApprovalAlreadyAnsweredError,
    ApprovalRequest,
    ApprovalRequiredError,
    ApprovalResponse,
    Session,
    SessionDisconnectedError,
    SessionEvent,
    SessionTimeoutError,
    approve_all,
    deny_all,
)
from sessionlib._util.timing import Deadline
from sessionlib.approvals.answers import ApprovalLog
from sessionlib.approvals.handlers import HandlerRunner
from sessionlib.approvals.models import Registration
from sessionlib.protocol import frames
from sessionlib.protocol.turns import EventOrigin, PendingPost, TurnHandle
from tests.support.approvals import REFUNDED, Oops, Type, await_failure, await_log, request_in
from tests.support.script_engine import ScriptEngine
from tests.support.secrets import LogWatch
from tests.support.sessions import rest_of_turn, settle
from tests.support.shop import Shop, order
from tests.support.threads import in_threads
from tests.support.toolbox import Toolbox, asking, connect, status
from tests.support.waiting import eventually

# ---- it fails closed -----------------------------------------------------------------------


def fail(request: ApprovalRequest) -> bool:
    raise Oops("my fault")


def test_a_handler_that_raises_denies_and_ask_raises_it_and_its_words_stay_here(shop: Shop, session: Session) -> None:
    for number in range(20):
        with pytest.raises(Oops, match="my fault"):
            session.ask(order(number), on_approval=fail, timeout=30)
        assert "was denied: the approval handler failed: Oops" in str(rest_of_turn(session)[-2].text)
    assert not [message for message in session.get_messages() if "my fault" in str(message.raw)]
    assert shop.ran == []
    assert session.ask("Hi", timeout=30).text.endswith('You said: "Hi"')


def test_a_handler_that_raises_in_a_stream_raises_there(shop: Shop, session: Session) -> None:
    stream = session.stream(order(7), on_approval=fail, timeout=30)
    with pytest.raises(Oops):
        list(stream)
    # The caller has the turn, so it may go on.
    assert "was denied" in stream.result().text
    assert shop.ran == []


def test_a_failure_kept_keeps_no_other_request_from_its_answer_and_is_not_raised_into_another_handler(
    shop: Shop, session: Session
) -> None:
    def careful(request: ApprovalRequest) -> bool:
        return len(request.session.get_messages(timeout=30)) > 0

    session.on_approval(fail, tool="delete_*")
    session.on_approval(careful)
    session.send('/tool delete_file {"name": "x"}\n' + order(7))
    rest_of_turn(session)
    assert shop.ran == [("refund", 7, 1.0)]
    with pytest.raises(Oops):
        session.get_messages()


@pytest.mark.parametrize("failure", [Oops, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_failure_on_the_dispatcher_does_not_end_it_and_is_kept_for_the_next_call(
    shop: Shop, session: Session, log_watch: LogWatch, failure: Any
) -> None:
    def leave(request: ApprovalRequest) -> bool:
        raise failure

    undo = session.on_approval(leave)
    session.send(order(7))
    rest_of_turn(session)
    await_log(log_watch, f"a handler failed: {failure.__name__}")
    await_failure(session)
    with pytest.raises(failure):
        session.send("Hi")
    assert len(session.get_messages()) > 0
    undo()
    session.on_approval(approve_all)
    session.send(order(8))
    rest_of_turn(session)
    assert shop.ran == [("refund", 8, 1.0)]


def test_ctrl_c_in_a_handler_is_no_consent(shop: Shop, session: Session) -> None:
    def interrupted(request: ApprovalRequest) -> bool:
        signal.raise_signal(signal.SIGINT)
        return True

    with pytest.raises(KeyboardInterrupt):
        session.ask(order(7), on_approval=interrupted, timeout=30)
    assert "failed: KeyboardInterrupt" in str(rest_of_turn(session)[-2].text)
    assert shop.ran == []


def test_a_handler_that_takes_too_long_denies(shop: Shop, session: Session) -> None:
    release = threading.Event()
    session.on_approval(lambda request: release.wait(30), timeout=0.2)
    with ThreadPoolExecutor(1) as pool, session.listen(event_types=[Type.MESSAGE_COMPLETE], timeout=30) as listener:
        asked = pool.submit(session.ask, order(7), timeout=30)
        # The model hears it while the handler still blocks.
        assert "was denied: no decision within 0.2 s" in str(next(listener).text)
        release.set()
        with pytest.raises(SessionTimeoutError, match=r"took longer than 0\.2 s for refund; the request was denied"):
            asked.result(30)
    assert shop.ran == []
    assert session.approvals[0].by == "timeout"


@pytest.mark.parametrize("timeout", [10, 1e12, 10**400, float("inf")], ids=["10 s", "ages", "no float", "for ever"])
def test_a_handler_within_its_time_is_heard(shop: Shop, session: Session, timeout: float) -> None:
    session.on_approval(lambda request: time.sleep(0.05) or True, timeout=timeout)
    assert session.ask(order(7), timeout=30).text == REFUNDED
    assert len(shop.ran) == 1  # and no thread has died of a number that no clock takes
    assert not [thread for thread in threading.enumerate() if "approval" in thread.name]


def test_after_its_time_a_handler_cannot_approve(shop: Shop, session: Session, log_watch: LogWatch) -> None:
    errors: list[Exception] = []

    def late(request: ApprovalRequest) -> None:
        assert eventually(lambda: not request.is_open)
        try:
            request.approve()
        except ApprovalAlreadyAnsweredError as error:
            errors.append(error)

    session.on_approval(late, timeout=0.1)
    session.send(order(7))
    rest_of_turn(session)
    await_log(log_watch, "a handler failed: SessionTimeoutError")
    await_failure(session)
    assert len(errors) == 1
    with pytest.raises(SessionTimeoutError):
        session.get_messages()
    assert shop.ran == []


def test_a_denial_that_cannot_be_sent_is_none_that_can_be_taken_back(engine: ScriptEngine) -> None:
    toolbox = Toolbox(engine)
    session = connect(engine)

    def slow(request: ApprovalRequest) -> bool:
        engine.drop_all()
        time.sleep(0.4)
        return True

    session.on_approval(slow, timeout=0.2)
    with pytest.raises((SessionTimeoutError, SessionDisconnectedError)):
        session.ask("run refund", timeout=30)
    assert not toolbox.ran
    session.disconnect()


# ---- who is asked --------------------------------------------------------------------------


def test_a_handler_may_be_for_one_tool_or_a_pattern(session: Session) -> None:
    asked: list[str] = []

    def note(name: str) -> Callable[[ApprovalRequest], None]:
        return lambda request: asked.append(f"{name}: {request.tool_name}")

    session.on_approval(note("one"), tool="refund")
    session.on_approval(note("pattern"), tool="delete_*")
    session.on_approval(note("all"))
    session.on_approval(deny_all)
    session.ask(order(7) + '\n/tool delete_file {"name": "x"}\n/tool search_web {"query": "x"}', timeout=30)
    assert asked == ["one: refund", "all: refund", "pattern: delete_file", "all: delete_file", "all: search_web"]


@pytest.mark.parametrize("same", [False, True])
def test_unregistering_takes_one_handler_away(session: Session, same: bool) -> None:
    asked: list[int] = []
    handlers = [lambda request, n=n: asked.append(n) for n in range(3)]
    undo = [session.on_approval(handlers[0 if same else n]) for n in range(3)]
    undo[1]()
    undo[1]()
    session.on_approval(approve_all)
    session.ask(order(7), timeout=30)
    assert asked == ([0, 0] if same else [0, 2])


def test_decorators(session: Session) -> None:
    asked: list[str] = []

    @session.on_approval
    def bare(request: ApprovalRequest) -> None:
        asked.append("bare")

    @session.on_approval(tool="refund", timeout=5)
    def with_arguments(request: ApprovalRequest) -> bool:
        asked.append("with arguments")
        return True

    session.ask(order(7), timeout=30)
    bare()
    session.ask(order(8), timeout=30)
    with_arguments()
    with pytest.raises(ApprovalRequiredError):
        session.ask(order(9), timeout=30)
    assert asked == ["bare", "with arguments", "with arguments"]


def test_handlers_are_checked_when_they_are_registered(session: Session) -> None:
    with pytest.raises(TypeError, match="callable, not bool"):
        session.on_approval(True)
    with pytest.raises(TypeError, match="pattern, not int"):
        session.on_approval(approve_all, tool=7)
    for timeout in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            session.on_approval(approve_all, timeout=timeout)
    for call in (lambda: session.on_reauth("me"), lambda: session.ask("Hi", on_approval="me", timeout=30)):
        with pytest.raises(TypeError, match="callable, not str"):
            call()


def test_a_handler_sees_to_what_was_open_when_it_was_registered(shop: Shop, session: Session) -> None:
    request_in(session)
    session.on_approval(lambda request: None)
    session.on_approval(approve_all)
    rest_of_turn(session)
    assert shop.ran == [("refund", 7, 1.0)]


def test_a_handler_is_not_asked_about_what_is_past(engine: ScriptEngine) -> None:
    engine.on("post_message", lambda c, f: c.send_many([frames.ack("post_message", "s1"), status("Processing")]))
    asked: list[object] = []
    with connect(engine) as session:
        session.send("run")
        settle(session)
        engine.push_many([asking("r1"), status("Idle"), status("Processing"), asking("r2")])
        settle(session)
        session.on_approval(lambda request: asked.append(request.message_id))
        assert eventually(lambda: asked == ["r2"])


# ---- names that look like others -----------------------------------------------------------

ALIKE = ["Refund", "r\u0435fund", "ｒｅｆｕｎｄ", "re\u200bfund", "𝓻𝓮𝓯𝓾𝓷𝓭"]


@pytest.mark.parametrize("pattern", ["refund", "ref*"])
def test_a_handler_of_a_tool_denies_what_looks_like_it_and_does_not_approve_it(
    engine: ScriptEngine, pattern: str
) -> None:
    toolbox = Toolbox(engine)
    with connect(engine) as session:
        undo = session.on_approval(approve_all, tool=pattern)
        for name in ALIKE:
            with pytest.raises(ApprovalRequiredError) as asked:
                session.ask(f"run {name}", timeout=30)
            asked.value.turn.close()
            asked.value.request.deny("by hand")
        session.ask("run refund", timeout=30)
        undo()
        session.on_approval(deny_all, tool=pattern)
        session.on_approval(approve_all)
        for name in ALIKE:
            session.ask(f"run {name}", timeout=30)
        session.ask("run refuse", timeout=30)
    assert toolbox.ran == {"refund": 1} | ({"refuse": 1} if pattern == "refund" else {})
    assert toolbox.denied.count("no tool may run that needs an approval") == len(ALIKE) + (pattern != "refund")


def test_nor_does_it_approve_by_hand(engine: ScriptEngine) -> None:
    toolbox = Toolbox(engine)
    with connect(engine) as session:
        session.on_approval(lambda request: request.approve(), tool="refund")
        with pytest.raises(ValueError, match=r"registered for 'refund', and 'r\\u0435fund' only looks like it"):
            session.ask("run r\u0435fund", timeout=30)
        session.on_approval(approve_all, tool="退款*")
        session.ask("run 退款全部", timeout=30)
        session.ask("run refund", timeout=30)
    assert toolbox.ran == {"refund": 1, "退款全部": 1}
    assert toolbox.denied == ["the approval handler failed: ValueError"]


# ---- one request, two threads --------------------------------------------------------------


class Owner:
    """A session, as far as a handler that is run by hand needs one."""

    def __init__(self, refusal: SessionEvent | None = None) -> None:
        self.post = PendingPost(makes_turn=False)
        self.post.refusal = refusal
        self.log = ApprovalLog(self.send, lambda *_: None)
        self.runner = HandlerRunner(weakref.ref(self), self.log)
        self._approvals = SimpleNamespace(log=self.log)

    def send(self, *_: object) -> PendingPost:
        """Sends an answer nowhere."""
        return self.post

    def note(self, message_id: str) -> SessionEvent:
        """Notes a request as the engine makes it."""
        event = SessionEvent(Type.APPROVAL_REQUEST, "s1", message_id, {"tool_name": "refund"})
        self.log.note(event, EventOrigin(None, TurnHandle()))
        return event


@pytest.mark.parametrize("answers", [True, False])
def test_another_thread_waits_for_the_handler_that_is_asked_already(answers: bool) -> None:
    owner = Owner()
    event, run = owner.note("r1"), owner.runner.run
    is_asked, may_go_on = threading.Event(), threading.Event()
    within: list[bool] = []

    def handle(request: ApprovalRequest) -> None:
        within.append(run(event, [], Deadline(30.0)))  # which would wait for itself
        is_asked.set()
        assert may_go_on.wait(30)
        if answers:
            owner.log.answer(event, ApprovalResponse(True), by="x")

    with in_threads(lambda: run(event, [Registration(handle)])) as first:
        assert is_asked.wait(30)
        assert run(event, []), "it is being handled"
        assert run(event, [], Deadline(0.0)), "likewise, after the time that there was"
        with in_threads(lambda: run(event, [], Deadline(30.0))) as second:
            may_go_on.set()
    assert (within, first, second) == ([True], [answers], [answers])


def test_a_thread_runs_the_handlers_of_what_it_handles_and_of_nothing_else() -> None:
    owner = Owner()
    runner = owner.runner
    outer, inner = owner.note("r1"), owner.note("r2")
    seen: list[list[SessionEvent]] = []

    def handle(request: ApprovalRequest) -> None:
        seen.append(runner.handled_here)
        with in_threads(lambda: seen.append(runner.handled_here)):
            """Elsewhere nothing is handled."""
        if request.event is outer:
            runner.run(inner, [Registration(handle)])
            seen.append(runner.handled_here)

    assert runner.run(outer, [Registration(handle)]) is False
    assert seen == [[outer], [], [outer, inner], [], [outer]]
    assert runner.handled_here == []
    assert runner.run(outer, [Registration(lambda request: True)]) is True
    assert runner.run(outer, []) is True


def test_no_other_handler_is_asked_where_the_engine_refused_an_answer_at_once() -> None:
    owner = Owner(SessionEvent(Type.ERROR, "s1", None, {"error": "not now"}))
    event = owner.note("r1")
    asked: list[int] = []
    handlers = [Registration(lambda request, number=number: asked.append(number) or True) for number in (1, 2)]
    assert owner.runner.run(event, handlers)
    assert asked == [1]
    assert owner.log.is_open(event)
