"""Approvals by callback: on which thread handlers run, for whom, and what they may do there."""

from __future__ import annotations

import gc
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sessionlib import (
    ApprovalAlreadyAnsweredError,
    ApprovalRequest,
    ApprovalRequiredError,
    ApprovalResponse,
    Session,
    SessionDisconnectedError,
    SessionError,
    SessionEvent,
    SessionTimeoutError,
    approve_all,
)
from sessionlib._util.executor import SerialExecutor
from sessionlib.approvals import manager
from sessionlib.approvals.answers import ApprovalLog
from sessionlib.approvals.manager import ApprovalManager
from sessionlib.approvals.models import ShownRequest
from sessionlib.protocol import frames
from sessionlib.protocol.turns import EventOrigin, TurnHandle
from tests.support.approvals import REFUNDED, Type, request_in
from tests.support.processes import Script
from tests.support.script_engine import ScriptEngine
from tests.support.sessions import rest_of_turn, settle
from tests.support.shop import Shop, order
from tests.support.toolbox import Toolbox, asking, connect, kinds, status
from tests.support.waiting import eventually

# ---- where handlers run --------------------------------------------------------------------


def names_of_threads(session: Session) -> list[str]:
    names: list[str] = []
    session.on_approval(lambda request: names.append(threading.current_thread().name) or True)
    return names


def test_ask_runs_handlers_on_the_calling_thread(session: Session) -> None:
    names = names_of_threads(session)
    assert session.ask(order(7), timeout=30).text == REFUNDED
    thread = threading.Thread(target=session.ask, args=(order(8),), kwargs={"timeout": 30}, name="my own")
    thread.start()
    thread.join()
    assert names == [threading.current_thread().name, "my own"]
    assert not [thread for thread in threading.enumerate() if "dispatcher" in thread.name], "before it is needed"


def slowly(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Gives whoever waits for events time to get ahead of the reading thread."""
    real = getattr(ApprovalLog, method)

    def slow(self: ApprovalLog, *args: Any) -> Any:
        if threading.current_thread().name.startswith("sessionlib-reader"):
            time.sleep(0.2)
        return real(self, *args)

    monkeypatch.setattr(ApprovalLog, method, slow)


def test_a_request_is_known_before_anybody_reads_of_it(
    shop: Shop, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly(monkeypatch, "note")
    assert session.ask(order(7), timeout=30, on_approval=approve_all).text == REFUNDED
    with pytest.raises(ApprovalRequiredError) as caught:
        session.ask(order(8), timeout=30)
    caught.value.request.deny()
    assert shop.ran == [("refund", 7, 1.0)]


def test_a_refusal_is_known_before_anybody_reads_of_it(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    slowly(monkeypatch, "refused")
    wrong = ApprovalResponse(True, confirm={"order": "seven"})
    with pytest.raises(ApprovalRequiredError, match="the engine refused the answer") as caught:
        session.ask(order(7), timeout=30, on_approval=lambda request: wrong)
    caught.value.request.deny()


@pytest.mark.parametrize(
    "read",
    [list, lambda stream: list(stream.text_stream), lambda stream: stream.result()],
    ids=["events", "text", "all"],
)
def test_stream_runs_handlers_on_the_reading_thread(session: Session, read: Callable[[Any], object]) -> None:
    names = names_of_threads(session)
    read(session.stream(order(7), timeout=30))
    assert names == [threading.current_thread().name]


def test_requests_of_other_turns_are_handled_on_one_dispatcher_thread(session: Session) -> None:
    threads: list[threading.Thread] = []
    session.on_approval(lambda request: threads.append(threading.current_thread()) or True)
    for number in range(3):
        session.send(order(number))
        rest_of_turn(session)
    assert len(set(threads)) == 1
    assert threads[0].name.startswith("sessionlib-dispatcher-")
    session.disconnect()
    assert eventually(lambda: not threads[0].is_alive())


def test_a_handler_of_one_call_goes_first(session: Session) -> None:
    session.on_approval(approve_all)
    assert "denied" in session.ask(order(7), on_approval=lambda request: False, timeout=30).text
    stream = session.stream(order(7), on_approval=lambda request: None, timeout=30)
    assert "refunded" in stream.result().text


def test_requests_reach_listeners_all_the_same(session: Session) -> None:
    session.on_approval(approve_all)
    with session.listen(event_types=[Type.APPROVAL_REQUEST], timeout=30) as listener:
        session.ask(order(7), timeout=30)
        session.send(order(8))
        heard = [next(listener), next(listener)]
    assert [event.data["arguments"] for event in heard] == [{"order": 7}, {"order": 8}]
    assert all(event.requires_action for event in heard)
    rest_of_turn(session)


def test_a_request_of_another_clients_turn_is_seen_to(shop: Shop, session: Session) -> None:
    session.on_approval(approve_all)
    with shop.join(session) as other:
        other.send(order(7))
        assert eventually(lambda: shop.ran == [("refund", 7, 1.0)])


# ---- a reader that stops -------------------------------------------------------------------


def test_a_turn_that_is_closed_leaves_its_requests_to_the_handlers(shop: Shop, session: Session) -> None:
    session.on_approval(approve_all)
    stream = session.stream(order(7), timeout=30)
    assert eventually(lambda: len(session.approvals) == 1)
    assert shop.ran == []
    stream.close()
    assert eventually(lambda: shop.ran == [("refund", 7, 1.0)])


def test_a_turn_that_is_dropped_leaves_its_requests_to_the_handlers(engine: ScriptEngine) -> None:
    toolbox = Toolbox(engine)
    with connect(engine) as session:
        session.on_approval(approve_all)
        for event in session.stream("run refund", timeout=30):
            if event.requires_action:
                break
        gc.collect()
        engine.push(frames.pong("s1"))
        assert eventually(lambda: toolbox.ran["refund"] == 1)


@pytest.mark.slow
def test_a_turn_that_timed_out_leaves_its_requests_to_the_handlers(engine: ScriptEngine) -> None:
    toolbox, timed_out = Toolbox(engine), threading.Event()
    engine.on("post_message", lambda c, f: (timed_out.wait(30), toolbox._posted(c, f)))
    with connect(engine) as session:
        session.on_approval(approve_all)
        with pytest.raises(SessionTimeoutError) as caught:
            session.ask("run refund", timeout=0.2)
        timed_out.set()
        assert eventually(lambda: toolbox.ran["refund"] == 1)
        assert caught.value.turn.result(30).text == "done"
        assert len(session.approvals) == 1


def test_a_request_that_was_read_but_not_handled_is_not_forgotten(shop: Shop, session: Session) -> None:
    session.on_approval(approve_all)
    stream = session.stream(order(7), timeout=30)
    for event in stream:
        if event.type is Type.APPROVAL_REQUEST:
            break
    assert stream.result().text == REFUNDED
    assert shop.ran == [("refund", 7, 1.0)]


# ---- nobody decides ------------------------------------------------------------------------


def test_without_a_handler_ask_raises_and_the_caller_can_answer_and_go_on(shop: Shop, session: Session) -> None:
    with pytest.raises(ApprovalRequiredError, match="asks to run refund and no handler decides") as caught:
        session.ask(order(7, 8), timeout=30)
    error = caught.value
    assert eventually(lambda: len(error.turn.pending) == 2)  # the engine asks for the second tool in its own time
    assert [request.arguments for request in error.turn.pending] == [{"order": 7}, {"order": 8}]
    error.request.approve({"amount": 5})
    assert [request.arguments for request in error.turn.pending] == [{"order": 8}]
    with pytest.raises(ApprovalRequiredError) as again:
        error.turn.result(30)
    again.value.request.deny("one is enough")
    reply = error.turn.result(30)
    assert "refunded 7" in reply.text
    assert "one is enough" in reply.text
    assert error.turn.pending == []
    assert kinds(reply.events)[:2] == ["Processing", "approval_request"]
    assert shop.ran == [("refund", 7, 5.0)]


def test_without_an_answer_it_is_asked_for_again(session: Session) -> None:
    with pytest.raises(ApprovalRequiredError) as caught:
        session.ask(order(7), timeout=30)
    for _ in range(3):
        with pytest.raises(ApprovalRequiredError) as again:
            caught.value.turn.result(30)
        assert again.value.turn is caught.value.turn
    session.on_approval(approve_all)
    assert caught.value.turn.result(30).text == REFUNDED


def test_a_handler_is_asked_once_about_each_request(session: Session) -> None:
    asked: list[str] = []

    def note(name: str) -> Callable[[ApprovalRequest], None]:
        return lambda request: asked.append(name)

    session.on_approval(note("registered"))
    with pytest.raises(ApprovalRequiredError) as caught:
        session.ask(order(7), on_approval=note("of the call"), timeout=30)
    for _ in range(2):
        with pytest.raises(ApprovalRequiredError):
            caught.value.turn.result(30)
    caught.value.turn.close()
    session.on_approval(note("late"))
    assert eventually(lambda: "late" in asked)
    session.respond(session.approvals[0].event, approved=False)
    request_in(session, order(8))
    assert eventually(lambda: len(asked) == 5)
    assert asked == ["of the call", "registered", "late", "registered", "late"]


def test_text_that_waits_for_an_approval_says_so(shop: Shop, session: Session) -> None:
    stream = session.stream(order(7), timeout=30)
    with pytest.raises(ApprovalRequiredError) as caught:
        list(stream.text_stream)
    with pytest.raises(ApprovalRequiredError):
        stream.result()
    caught.value.request.approve()
    assert "".join(stream.text_stream) == REFUNDED
    assert shop.ran == [("refund", 7, 1.0)]


def test_iteration_gives_the_request_before_it_is_handled(session: Session) -> None:
    handled: list[str] = []
    session.on_approval(lambda request: handled.append(request.tool_name) or True)
    for event in session.stream(order(7), timeout=30):
        if event.type is Type.APPROVAL_REQUEST:
            assert handled == []
    assert handled == ["refund"]


def test_in_an_iteration_the_caller_answers(shop: Shop, session: Session) -> None:
    stream = session.stream(order(7, 8), timeout=30)
    for event in stream:
        if event.type is Type.APPROVAL_REQUEST:
            session.respond(event, approved=event.data["arguments"]["order"] == 8)
    assert shop.ran == [("refund", 8, 1.0)]
    assert stream.pending == []


def test_an_answer_from_elsewhere_lets_the_turn_go_on(shop: Shop, session: Session) -> None:
    with pytest.raises(ApprovalRequiredError) as caught:
        session.ask(order(7), timeout=30)
    with shop.join(session) as other:
        other.respond(caught.value.request.event, approved=True)
        rest_of_turn(other)
        settle(session)
        assert caught.value.turn.result(30).text == REFUNDED
    assert shop.ran == [("refund", 7, 1.0)]
    # The error travels without its connection.
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.request, copy.turn, copy.session_id) == (None, None, session.session_id)
    assert str(copy) == str(caught.value)


# ---- handlers that use the session ---------------------------------------------------------


@pytest.mark.parametrize("dispatched", [False, True])
def test_a_handler_may_post_and_read_the_history(shop: Shop, session: Session, dispatched: bool) -> None:
    took: list[float] = []

    def busy(request: ApprovalRequest) -> bool:
        began = time.monotonic()
        request.session.send("by the way")
        assert len(request.session.get_messages(timeout=30)) >= 2
        took.append(time.monotonic() - began)
        return True

    session.on_approval(busy)
    if dispatched:
        session.send(order(7))
        rest_of_turn(session)
    else:
        assert session.ask(order(7), timeout=30).text == REFUNDED
    assert took[0] < 10  # and not as long as it waits for the history
    assert shop.ran == [("refund", 7, 1.0)]


@pytest.mark.parametrize("dispatched", [False, True])
@pytest.mark.parametrize("leave", ["disconnect", "terminate"])
def test_a_handler_may_leave_the_session(shop: Shop, leave: str, dispatched: bool) -> None:
    left = threading.Event()

    def leaving(request: ApprovalRequest) -> bool:
        getattr(request.session, leave)()
        left.set()
        return True

    session = shop.session().connect()
    session.on_approval(leaving)
    began = time.monotonic()
    if dispatched:
        session.send(order(7))
        assert left.wait(30)
    else:
        with pytest.raises(SessionDisconnectedError):
            session.ask(order(7), timeout=30)
    assert time.monotonic() - began < 10
    assert not session.is_connected
    assert eventually(lambda: not [t for t in threading.enumerate() if "dispatcher" in t.name])
    assert shop.ran == []


def test_a_handler_that_would_wait_for_its_own_turn_is_told(shop: Shop, session: Session) -> None:
    with pytest.raises(SessionError, match="would wait for itself"):
        session.ask(order(7), on_approval=lambda request: bool(session.ask("may I?").text), timeout=30)
    assert shop.ran == []


def test_a_handler_that_has_answered_may_ask(shop: Shop, session: Session) -> None:
    replies: list[str] = []

    def answer_and_ask(request: ApprovalRequest) -> None:
        request.approve()
        replies.append(session.ask("and now?", timeout=30).text)

    assert session.ask(order(7), on_approval=answer_and_ask, timeout=30).text == REFUNDED
    assert replies == ['You said: "and now?"']


def test_handlers_that_wait_when_the_session_is_left_are_not_asked_any_more(engine: ScriptEngine) -> None:
    asked: list[str | None] = []
    first, go_on = threading.Event(), threading.Event()

    def slow(request: ApprovalRequest) -> bool:
        asked.append(request.message_id)
        first.set()
        return go_on.wait(30)

    with connect(engine) as session:
        session.on_approval(slow)
        engine.push_many([status("Processing"), *(asking(f"r{n}") for n in range(5))])
        assert first.wait(30)
    go_on.set()
    assert eventually(lambda: not [t for t in threading.enumerate() if "dispatcher" in t.name])
    assert asked == ["r0"]


# ---- handlers that block -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("dispatched", [False, True])
def test_a_handler_that_blocks_stops_neither_pings_nor_listeners(engine: ScriptEngine, dispatched: bool) -> None:
    toolbox, release = Toolbox(engine), threading.Event()
    waits, pinged = list[float](), [0.0]
    engine.on("ws:pong", lambda conn, frame: waits.append(time.monotonic() - pinged[0]))
    with connect(engine) as session, ThreadPoolExecutor(1) as pool, session.listen(timeout=30) as listener:
        session.on_approval(lambda request: release.wait(30))
        if dispatched:
            session.send("run refund")
        else:
            asked = pool.submit(session.ask, "run refund", timeout=30)
        assert next(event for event in listener if event.requires_action)
        for number in range(60):
            pinged[0] = time.monotonic()
            engine.latest.ping(b"%d" % number)
            engine.wait_for("ws:pong", number + 1)
            engine.push(frames.message_delta("s1", "other", number, f"{number}"))
            assert next(event for event in listener if event.delta).delta == f"{number}"
            time.sleep(0.01)
        assert not toolbox.ran
        release.set()
        assert next(event for event in listener if event.is_turn_end)
        assert dispatched or asked.result(30).text == "done"
    assert len(waits) == 60
    assert max(waits) < 10  # and not as long as the handler blocks


def test_a_handler_that_blocks_does_not_hold_up_another_session(shop: Shop, session: Session) -> None:
    release = threading.Event()
    session.on_approval(lambda request: release.wait(30))
    session.send(order(7))
    assert eventually(lambda: len(session.approvals) == 1)
    with shop.session() as other:
        assert other.ask(order(8), on_approval=approve_all, timeout=30).tool_calls[0].output == "refunded 8"
    assert shop.ran == [("refund", 8, 1.0)]
    release.set()
    rest_of_turn(session)


BLOCKED = """
    import sys, threading
    from sessionlib import Session

    session = Session(session_id="s1", api_key="k", base_url=sys.argv[1]).connect()
    session.on_approval(lambda request: print("ready", flush=True) or threading.Event().wait())
    session.send("run refund")
    sys.stdin.readline()
    session.disconnect()
    print("left")
"""


def test_a_handler_that_never_returns_does_not_hold_up_the_end(engine: ScriptEngine) -> None:
    toolbox = Toolbox(engine)
    with Script(BLOCKED, engine.base_url, stdin="\n") as script:
        assert "left" in script.wait().check().stdout
    assert not toolbox.ran


# ---- what waits for a handler --------------------------------------------------------------


class Owner:
    """A session, as far as what hands requests to the dispatcher needs one."""

    is_connected = True

    def send(self, *_: object) -> None:
        """Sends an answer nowhere."""


class Dispatcher(SerialExecutor):
    """Runs jobs at once, later, or not at all."""

    def __init__(self) -> None:
        super().__init__(str)
        self.waiting: list[Callable[[], None]] = []
        self.has_threads = True

    def submit(self, job: Callable[[], None]) -> None:
        if not self.has_threads:
            raise RuntimeError("can't start new thread")
        self.waiting.append(job)

    def run(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()


@pytest.mark.parametrize("how", ["handled", "no thread", "left"])
def test_what_waits_no_longer_makes_room_for_what_comes(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    owner: Any = Owner()
    dispatcher, asked = Dispatcher(), list[str | None]()
    approvals = ApprovalManager(owner, owner.send, dispatcher)
    approvals.register(lambda request: asked.append(request.message_id), None, None)
    monkeypatch.setattr(manager, "QUEUE_BYTES", 3000)

    def request(number: int) -> None:
        event = SessionEvent(Type.APPROVAL_REQUEST, "s1", f"r{number}", {"tool_name": "refund", "note": "x" * 1000})
        approvals.note(event, origin := EventOrigin(None, TurnHandle()))
        approvals.dispatch(event, origin)

    dispatcher.has_threads = how != "no thread"
    for number in range(4):
        request(number)
    assert len(dispatcher.waiting) == (0 if how == "no thread" else 2), "no more wait than may"
    dispatcher.has_threads = True
    owner.is_connected = how != "left"
    dispatcher.run()
    owner.is_connected = True
    request(4)
    dispatcher.run()
    assert asked == (["r0", "r1", "r4"] if how == "handled" else ["r4"])


def test_what_was_shown_is_compared_with_what_is_open() -> None:
    owner: Any = Owner()
    approvals = ApprovalManager(owner, owner.send, Dispatcher())
    event = SessionEvent(Type.APPROVAL_REQUEST, "s1", "r1", {"tool_name": "refund", "arguments": {"order": 7}})
    shown = ShownRequest.read(event)
    other = shown._replace(state="something else")
    with pytest.raises(SessionError, match="there is no approval request r1"):
        approvals.check_shown(shown, approved=True)
    approvals.note(event, EventOrigin(None, TurnHandle()))
    assert approvals.check_shown(shown, approved=True) is event
    assert approvals.check_shown(other, approved=False) is event
    with pytest.raises(ValueError, match="is not what was shown"):
        approvals.check_shown(other, approved=True)
    approvals.check_taken(event, "x")
    approvals.log.answer(event, ApprovalResponse(True), by="x")
    approvals.check_taken(event, "x")
    for check in (lambda: approvals.check_taken(event, "y"), lambda: approvals.check_shown(other, approved=True)):
        with pytest.raises(ApprovalAlreadyAnsweredError, match="approved before, by x"):
            check()
