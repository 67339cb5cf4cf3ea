"""Approvals by callback: who is asked, on which thread, what stands, and that nothing runs by mistake."""

from __future__ import annotations

import gc
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

import pytest

from sessionlib import (
    ApprovalAlreadyAnsweredError,
    ApprovalRequest,
    ApprovalRequiredError,
    ApprovalResponse,
    ReauthRequiredError,
    Session,
    SessionDisconnectedError,
    SessionError,
    SessionEvent,
    SessionEventType,
    SessionTimeoutError,
    approve_all,
    deny_all,
)
from sessionlib.approvals.answers import ApprovalLog
from sessionlib.protocol import frames
from sessionlib.testing import FaultProxy
from tests.support.processes import Script
from tests.support.script_engine import Connection, Received, ScriptEngine, notification
from tests.support.secrets import LogWatch
from tests.support.shop import Shop, open_shop, order
from tests.support.toolbox import Toolbox, asking, connect, kinds, say, status
from tests.support.waiting import eventually

Type = SessionEventType
REFUNDED = "This is the demo model: it quotes you, and knows nothing. refund gave: refunded 7"


class Oops(Exception):
    """What handlers fail with here."""


@pytest.fixture
def shop() -> Iterator[Shop]:
    with open_shop() as shop:
        yield shop


@pytest.fixture
def session(shop: Shop) -> Iterator[Session]:
    """A session of the shop."""
    with shop.session() as session:
        yield session


def settle(session: Session) -> None:
    """Waits until what the engine has sent so far has been taken in."""
    session.get_messages(timeout=5)


def request_in(session: Session, text: str | None = None) -> SessionEvent:
    """Sends a message and gives the approval request that comes of it."""
    with session.listen(event_types=[Type.APPROVAL_REQUEST], timeout=5) as requests:
        session.send(text or order(7))
        return next(requests)


def await_log(log_watch: LogWatch, text: str) -> None:
    """Waits until something has been logged."""
    assert eventually(lambda: any(text in line for line in log_watch.lines)), text


def await_failure(session: Session) -> None:
    """Waits until what a handler of the dispatcher's failed with is kept for the next call: behind its log line."""
    assert eventually(lambda: session._approvals._kept)


def rest_of_turn(session: Session) -> list[SessionEvent]:
    heard = []
    for event in session.listen(timeout=5):
        heard.append(event)
        if event.is_turn_end:
            break
    return heard


# ---- where handlers run --------------------------------------------------------------------


def names_of_threads(session: Session) -> list[str]:
    names: list[str] = []
    session.on_approval(lambda request: names.append(threading.current_thread().name) or True)
    return names


def test_ask_runs_handlers_on_the_calling_thread(session: Session) -> None:
    names = names_of_threads(session)
    assert session.ask(order(7), timeout=5).text == REFUNDED
    thread = threading.Thread(target=session.ask, args=(order(8),), kwargs={"timeout": 5}, name="my own")
    thread.start()
    thread.join()
    assert names == [threading.current_thread().name, "my own"]


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
    assert session.ask(order(7), timeout=5, on_approval=approve_all).text == REFUNDED
    with pytest.raises(ApprovalRequiredError) as caught:
        session.ask(order(8), timeout=5)
    caught.value.request.deny()
    assert shop.ran == [("refund", 7, 1.0)]


def test_a_refusal_is_known_before_anybody_reads_of_it(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    slowly(monkeypatch, "refused")
    with pytest.raises(ApprovalRequiredError, match="the engine refused the answer") as caught:
        session.ask(order(7), timeout=5, on_approval=lambda request: ApprovalResponse(True, confirm={"order": "seven"}))
    caught.value.request.deny()


@pytest.mark.parametrize("read", ["events", "text", "result"])
def test_stream_runs_handlers_on_the_reading_thread(session: Session, read: str) -> None:
    names = names_of_threads(session)
    stream = session.stream(order(7), timeout=5)
    ways: dict[str, Callable[[], object]] = {
        "events": lambda: list(stream),
        "text": lambda: list(stream.text_stream),
        "result": stream.result,
    }
    ways[read]()
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


def test_there_is_no_dispatcher_before_it_is_needed(session: Session) -> None:
    session.on_approval(approve_all)
    session.ask(order(7), timeout=5)
    assert not [thread for thread in threading.enumerate() if "dispatcher" in thread.name]


def test_iteration_gives_the_request_before_it_is_handled(session: Session) -> None:
    handled: list[str] = []
    session.on_approval(lambda request: handled.append(request.tool_name) or True)
    for event in session.stream(order(7), timeout=5):
        if event.type is Type.APPROVAL_REQUEST:
            assert handled == []
    assert handled == ["refund"]


def test_a_handler_of_one_call_goes_first(session: Session) -> None:
    session.on_approval(approve_all)
    assert "denied" in session.ask(order(7), on_approval=lambda request: False, timeout=5).text
    stream = session.stream(order(7), on_approval=lambda request: None, timeout=5)
    assert "refunded" in stream.result().text


def test_requests_reach_listeners_all_the_same(session: Session) -> None:
    session.on_approval(approve_all)
    with session.listen(event_types=[Type.APPROVAL_REQUEST], timeout=5) as listener:
        session.ask(order(7), timeout=5)
        session.send(order(8))
        heard = [next(listener), next(listener)]
    assert [event.data["arguments"] for event in heard] == [{"order": 7}, {"order": 8}]
    assert all(event.requires_action for event in heard)
    rest_of_turn(session)


def test_a_turn_that_nobody_attends_is_seen_to(shop: Shop, session: Session) -> None:
    session.on_approval(approve_all)
    session.send(order(7))
    assert eventually(lambda: shop.ran == [("refund", 7, 1.0)])


def test_a_request_of_another_clients_turn_is_seen_to(shop: Shop, session: Session) -> None:
    session.on_approval(approve_all)
    with shop.join(session) as other:
        other.send(order(7))
        assert eventually(lambda: shop.ran == [("refund", 7, 1.0)])


# ---- what a request shows ------------------------------------------------------------------


def test_a_request_shows_what_is_asked(session: Session) -> None:
    seen: list[ApprovalRequest] = []
    session.on_approval(lambda request: seen.append(request) or False)
    session.ask('/tool refund {"order": 7, "amount": 2.5}', timeout=5)
    (request,) = seen
    assert (request.tool_name, request.arguments) == ("refund", {"order": 7, "amount": 2.5})
    assert request.event.type is Type.APPROVAL_REQUEST
    assert request.message_id == request.event.message_id
    assert request.session is session
    assert repr(request) == "<ApprovalRequest for refund(order, amount)>"
    assert not request.is_open


@pytest.mark.parametrize("field", ["arguments", "tool_arguments", "tool_input", "inputs"])
def test_arguments_are_found_wherever_an_engine_puts_them(engine: ScriptEngine, field: str) -> None:
    event = SessionEvent(Type.APPROVAL_REQUEST, "s1", "r1", {"tool_name": "refund", field: {"a": 1}})
    with connect(engine) as session:
        assert ApprovalRequest(event, session).arguments == {"a": 1}


def test_a_request_without_names_is_still_one(engine: ScriptEngine) -> None:
    with connect(engine) as session:
        request = ApprovalRequest(SessionEvent(Type.APPROVAL_REQUEST, "s1", None, {"arguments": "?"}), session)
        assert (request.tool_name, request.arguments, request.message_id) == ("", {}, None)
        assert "a tool" in repr(request)


# ---- what handlers return ------------------------------------------------------------------


def test_true_approves(shop: Shop, session: Session) -> None:
    assert session.ask(order(7), on_approval=lambda request: True, timeout=5).text == REFUNDED
    assert shop.ran == [("refund", 7, 1.0)]


def test_false_denies(shop: Shop, session: Session) -> None:
    assert "was denied" in session.ask(order(7), on_approval=lambda request: False, timeout=5).text
    assert shop.ran == []


def test_a_response_can_change_arguments(shop: Shop, session: Session) -> None:
    session.ask(order(7), on_approval=lambda r: ApprovalResponse(True, confirm={"amount": 9.5}), timeout=5)
    assert shop.ran == [("refund", 7, 9.5)]


def test_a_response_can_give_a_reason(shop: Shop, session: Session) -> None:
    said = session.ask(order(7), on_approval=lambda r: ApprovalResponse(False, deny_reason="not today"), timeout=5)
    assert "was denied: not today" in said.text
    assert shop.ran == []


def test_a_request_answers_for_itself(shop: Shop, session: Session) -> None:
    session.ask(order(7), on_approval=lambda request: request.approve({"amount": 3}), timeout=5)
    said = session.ask(order(8), on_approval=lambda request: request.deny("no"), timeout=5)
    assert "was denied: no" in said.text
    assert shop.ran == [("refund", 7, 3.0)]


def test_what_a_handler_returns_after_answering_is_ignored(shop: Shop, session: Session) -> None:
    def both(request: ApprovalRequest) -> bool:
        request.deny("no")
        return True

    session.ask(order(7), on_approval=both, timeout=5)
    assert shop.ran == []
    assert session.approvals[0].approved is False


def test_none_leaves_the_request_to_the_next_handler(session: Session) -> None:
    asked: list[str] = []
    for name, decision in (("first", None), ("second", None), ("third", True), ("fourth", False)):
        session.on_approval(lambda request, name=name, decision=decision: asked.append(name) or decision)
    assert session.ask(order(7), timeout=5).text == REFUNDED
    assert asked == ["first", "second", "third"]


def test_none_leaves_the_request_to_listeners(shop: Shop, session: Session) -> None:
    session.on_approval(lambda request: None)
    session.respond(request_in(session), approved=True)
    rest_of_turn(session)
    assert shop.ran == [("refund", 7, 1.0)]


NONSENSE = [
    1,
    "yes",
    [],
    object(),
    ApprovalResponse("yes"),  # type: ignore[arg-type]
    ApprovalResponse(None),  # type: ignore[arg-type]
    ApprovalResponse(True, confirm=["a"]),  # type: ignore[arg-type]
    ApprovalResponse(True, confirm={"a": object()}),
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda value: type(value).__name__)
def test_anything_else_is_a_type_error_and_denies(shop: Shop, session: Session, nonsense: Any) -> None:
    with pytest.raises(TypeError):
        session.ask(order(7), on_approval=lambda request: nonsense, timeout=5)
    assert "was denied: the approval handler failed: TypeError" in str(rest_of_turn(session)[-2].text)
    assert shop.ran == []


def test_a_response_that_makes_no_sense_denies(shop: Shop, session: Session) -> None:
    response = ApprovalResponse(True, remember="for ever")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='remember takes "turn"'):
        session.ask(order(7), on_approval=lambda request: response, timeout=5)
    rest_of_turn(session)
    assert (shop.ran, session.approvals[0].approved) == ([], False)


# ---- it fails closed -----------------------------------------------------------------------


def fail(request: ApprovalRequest) -> bool:
    raise Oops("my fault")


def test_a_handler_that_raises_denies_and_ask_raises_it(shop: Shop, session: Session) -> None:
    for number in range(20):
        with pytest.raises(Oops, match="my fault"):
            session.ask(order(number), on_approval=fail, timeout=5)
        assert "was denied: the approval handler failed: Oops" in str(rest_of_turn(session)[-2].text)
    assert shop.ran == []
    assert session.ask("Hi", timeout=5).text.endswith('You said: "Hi"')


def test_what_a_handler_says_about_its_failure_stays_here(shop: Shop, session: Session) -> None:
    with pytest.raises(Oops):
        session.ask(order(7), on_approval=fail, timeout=5)
    rest_of_turn(session)
    assert not [message for message in session.get_messages() if "my fault" in str(message.raw)]


def test_a_handler_that_raises_in_a_stream_raises_there(shop: Shop, session: Session) -> None:
    stream = session.stream(order(7), on_approval=fail, timeout=5)
    with pytest.raises(Oops):
        list(stream)
    # The caller has the turn, so it may go on.
    assert "was denied" in stream.result().text
    assert shop.ran == []


def test_a_failure_on_the_dispatcher_is_kept_for_the_next_call(
    shop: Shop, session: Session, log_watch: LogWatch
) -> None:
    session.on_approval(fail)
    session.send(order(7))
    rest_of_turn(session)
    await_log(log_watch, "a handler failed: Oops")
    await_failure(session)
    with pytest.raises(Oops, match="my fault"):
        session.send("Hi")
    assert len(session.get_messages()) > 0
    assert shop.ran == []


def test_a_failure_kept_does_not_keep_other_requests_from_their_answers(shop: Shop, session: Session) -> None:
    session.on_approval(fail, tool="delete_*")
    session.on_approval(approve_all)
    session.send('/tool delete_file {"name": "x"}\n' + order(7))
    rest_of_turn(session)
    assert shop.ran == [("refund", 7, 1.0)]
    with pytest.raises(Oops):
        session.get_messages()


def test_a_failure_kept_is_not_raised_into_another_handler(shop: Shop, session: Session) -> None:
    def careful(request: ApprovalRequest) -> bool:
        return len(request.session.get_messages(timeout=5)) > 0

    session.on_approval(fail, tool="delete_*")
    session.on_approval(careful)
    session.send('/tool delete_file {"name": "x"}\n' + order(7))
    rest_of_turn(session)
    assert shop.ran == [("refund", 7, 1.0)]
    with pytest.raises(Oops):
        session.get_messages()


@pytest.mark.parametrize("way_out", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_handler_that_leaves_its_thread_does_not_end_it(
    shop: Shop, session: Session, log_watch: LogWatch, way_out: Any
) -> None:
    def leave(request: ApprovalRequest) -> bool:
        raise way_out

    undo = session.on_approval(leave)
    session.send(order(7))
    rest_of_turn(session)
    await_log(log_watch, "a handler failed")
    await_failure(session)
    with pytest.raises(way_out):
        session.get_messages()
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
        session.ask(order(7), on_approval=interrupted, timeout=5)
    assert "failed: KeyboardInterrupt" in str(rest_of_turn(session)[-2].text)
    assert shop.ran == []


def test_a_handler_that_takes_too_long_denies(shop: Shop, session: Session) -> None:
    release = threading.Event()
    session.on_approval(lambda request: release.wait(10), timeout=0.2)
    with ThreadPoolExecutor(1) as pool, session.listen(event_types=[Type.MESSAGE_COMPLETE], timeout=5) as listener:
        asked = pool.submit(session.ask, order(7), timeout=20)
        # The model hears it while the handler still blocks.
        assert "was denied: no decision within 0.2 s" in str(next(listener).text)
        release.set()
        with pytest.raises(SessionTimeoutError, match=r"took longer than 0\.2 s for refund; the request was denied"):
            asked.result(5)
    assert shop.ran == []
    assert session.approvals[0].by == "timeout"


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


def test_a_handler_within_its_time_is_heard(shop: Shop, session: Session) -> None:
    session.on_approval(lambda request: time.sleep(0.05) or True, timeout=10)
    assert session.ask(order(7), timeout=5).text == REFUNDED
    assert not [thread for thread in threading.enumerate() if "approval" in thread.name]


def test_a_denial_that_cannot_be_sent_is_none_that_can_be_taken_back(engine: ScriptEngine) -> None:
    toolbox = Toolbox(engine)
    session = connect(engine)

    def slow(request: ApprovalRequest) -> bool:
        engine.drop_all()
        time.sleep(0.4)
        return True

    session.on_approval(slow, timeout=0.2)
    with pytest.raises((SessionTimeoutError, SessionDisconnectedError)):
        session.ask("run refund", timeout=5)
    assert not toolbox.ran
    session.disconnect()


# ---- at most once --------------------------------------------------------------------------


def race(sessions: list[Session], event: SessionEvent, threads: int) -> list[bool]:
    """Answers a request from many threads at once, half of them yes, half no; gives what won here."""
    barrier = threading.Barrier(threads)

    def answer(number: int) -> bool | None:
        barrier.wait(10)
        try:
            sessions[number % len(sessions)].respond(event, approved=number % 2 == 0)
        except ApprovalAlreadyAnsweredError:
            return None
        return number % 2 == 0

    with ThreadPoolExecutor(threads) as pool:
        return [won for won in pool.map(answer, range(threads)) if won is not None]


@pytest.mark.slow
def test_the_first_of_50_threads_wins_20_times(shop: Shop, session: Session) -> None:
    approved = 0
    for number in range(20):
        (won,) = race([session], request_in(session, order(number)), 50)
        rest_of_turn(session)
        approved += won
        assert session.approvals[-1].approved is won
        assert len(shop.ran) == approved


@pytest.mark.slow
def test_the_first_of_five_clients_wins_20_times(shop: Shop, session: Session) -> None:
    others = [shop.join(session).connect() for _ in range(4)]
    for number in range(20):
        ran = len(shop.ran)
        won = race([session, *others], request_in(session, order(number)), 50)
        rest_of_turn(session)
        assert 1 <= len(won) <= 5
        assert len(shop.ran) - ran in (0, 1)
        if len(shop.ran) == ran:
            assert False in won
    for other in others:
        other.disconnect()
    with pytest.raises(ApprovalAlreadyAnsweredError):
        session.respond(session.approvals[-1].event, approved=True)


def test_the_second_answer_is_told_which_one_stands(session: Session) -> None:
    event = request_in(session)
    session.respond(event, approved=False, deny_reason="no")
    for answer in (True, False):
        with pytest.raises(ApprovalAlreadyAnsweredError, match="was denied before, by respond; that") as caught:
            session.respond(event, approved=answer)
        assert (caught.value.event, caught.value.approved) == (event, False)
    rest_of_turn(session)


def test_a_handler_may_be_overtaken(shop: Shop, session: Session) -> None:
    asked = threading.Event()

    def slow(request: ApprovalRequest) -> bool:
        asked.set()
        assert eventually(lambda: not request.is_open)
        return True

    with session.listen(event_types=[Type.APPROVAL_REQUEST], timeout=5) as listener, ThreadPoolExecutor(1) as pool:
        reply = pool.submit(session.ask, order(7), on_approval=slow, timeout=5)
        asked.wait(5)
        session.respond(next(listener), approved=False)
        assert "was denied" in reply.result().text
    assert (shop.ran, session.approvals[0].by) == ([], "respond")


def test_a_request_that_arrives_twice_is_asked_once(engine: ScriptEngine) -> None:
    asked: list[str | None] = []

    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        ack = frames.ack("post_message", "s1")
        if isinstance(frame["content"], str):
            conn.send_many([ack, status("Processing"), asking("r1"), asking("r1"), asking("r1")])
        else:
            conn.send_many([ack, asking("r1"), say("done"), status("Idle")])

    with connect(engine) as session:
        session.on_approval(lambda request: asked.append(request.message_id) or True)
        assert session.ask("run", timeout=5).text == "done"
    with connect(engine) as session:
        session.on_approval(lambda request: asked.append(request.message_id) or True)
        session.send("run")
        rest_of_turn(session)
        settle(session)
    assert asked == ["r1", "r1"]


def test_a_request_without_an_answer_comes_again_with_the_link(engine: ScriptEngine) -> None:
    toolbox = Toolbox(engine)
    asked: list[str | None] = []
    with (
        FaultProxy("127.0.0.1", engine.port) as proxy,
        connect(engine, reconnect=True, reconnect_delay=0.05, base_url=proxy.base_url) as session,
    ):

        def cut_first(request: ApprovalRequest) -> bool:
            asked.append(request.message_id)
            proxy.cut()
            return True

        session.on_approval(cut_first)
        again = [frames.ack("connect_session", "s1"), asking("r1")]
        engine.on("connect_session", lambda conn, frame: conn.send_many(again))
        assert session.ask("run refund", timeout=10).text == "done"
    assert asked == ["r1"]
    assert toolbox.ran == {"refund": 1}


# ---- who is asked --------------------------------------------------------------------------


def test_a_handler_may_be_for_one_tool_or_a_pattern(session: Session) -> None:
    asked: list[str] = []

    def note(name: str) -> Callable[[ApprovalRequest], None]:
        return lambda request: asked.append(f"{name}: {request.tool_name}")

    session.on_approval(note("one"), tool="refund")
    session.on_approval(note("pattern"), tool="delete_*")
    session.on_approval(note("all"))
    session.on_approval(deny_all)
    session.ask(order(7) + '\n/tool delete_file {"name": "x"}\n/tool search_web {"query": "x"}', timeout=5)
    assert asked == [
        "one: refund",
        "all: refund",
        "pattern: delete_file",
        "all: delete_file",
        "all: search_web",
    ]


def test_unregistering_takes_one_handler_away(session: Session) -> None:
    asked: list[int] = []
    undo = [session.on_approval(lambda request, n=n: asked.append(n)) for n in range(3)]
    undo[1]()
    undo[1]()
    session.on_approval(approve_all)
    session.ask(order(7), timeout=5)
    assert asked == [0, 2]


def test_the_same_handler_twice_is_unregistered_once_at_a_time(session: Session) -> None:
    asked: list[int] = []

    def note(request: ApprovalRequest) -> None:
        asked.append(1)

    first, _ = session.on_approval(note), session.on_approval(note)
    first()
    first()
    session.on_approval(approve_all)
    session.ask(order(7), timeout=5)
    assert asked == [1]


def test_decorators(session: Session) -> None:
    asked: list[str] = []

    @session.on_approval
    def bare(request: ApprovalRequest) -> None:
        asked.append("bare")

    @session.on_approval(tool="refund", timeout=5)
    def with_arguments(request: ApprovalRequest) -> bool:
        asked.append("with arguments")
        return True

    session.ask(order(7), timeout=5)
    bare()
    session.ask(order(8), timeout=5)
    with_arguments()
    with pytest.raises(ApprovalRequiredError):
        session.ask(order(9), timeout=5)
    assert asked == ["bare", "with arguments", "with arguments"]


def test_handlers_are_checked_when_they_are_registered(session: Session) -> None:
    with pytest.raises(TypeError, match="callable, not bool"):
        session.on_approval(True)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="pattern, not int"):
        session.on_approval(approve_all, tool=7)  # type: ignore[arg-type]
    for timeout in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            session.on_approval(approve_all, timeout=timeout)
    with pytest.raises(TypeError, match="callable, not str"):
        session.on_reauth("me")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="callable, not str"):
        session.ask("Hi", on_approval="me", timeout=5)  # type: ignore[arg-type]


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


# ---- a reader that stops -------------------------------------------------------------------


def test_a_turn_that_is_closed_leaves_its_requests_to_the_handlers(shop: Shop, session: Session) -> None:
    session.on_approval(approve_all)
    stream = session.stream(order(7), timeout=5)
    assert eventually(lambda: len(session.approvals) == 1)
    assert shop.ran == []
    stream.close()
    assert eventually(lambda: shop.ran == [("refund", 7, 1.0)])


def test_a_turn_that_is_dropped_leaves_its_requests_to_the_handlers(engine: ScriptEngine) -> None:
    toolbox = Toolbox(engine)
    with connect(engine) as session:
        session.on_approval(approve_all)
        for event in session.stream("run refund", timeout=5):
            if event.requires_action:
                break
        gc.collect()
        engine.push(frames.pong("s1"))
        assert eventually(lambda: toolbox.ran["refund"] == 1)


@pytest.mark.slow
def test_a_turn_that_timed_out_leaves_its_requests_to_the_handlers(engine: ScriptEngine) -> None:
    toolbox, timed_out = Toolbox(engine), threading.Event()
    engine.on("post_message", lambda c, f: (timed_out.wait(15), toolbox._posted(c, f)))
    with connect(engine) as session:
        session.on_approval(approve_all)
        with pytest.raises(SessionTimeoutError) as caught:
            session.ask("run refund", timeout=0.2)
        timed_out.set()
        assert eventually(lambda: toolbox.ran["refund"] == 1)
        assert caught.value.turn is not None
        assert caught.value.turn.result(5).text == "done"
        assert len(session.approvals) == 1


def test_a_request_that_was_read_but_not_handled_is_not_forgotten(shop: Shop, session: Session) -> None:
    session.on_approval(approve_all)
    stream = session.stream(order(7), timeout=5)
    for event in stream:
        if event.type is Type.APPROVAL_REQUEST:
            break
    assert stream.result().text == REFUNDED
    assert shop.ran == [("refund", 7, 1.0)]


# ---- nobody decides ------------------------------------------------------------------------


def test_without_a_handler_ask_raises_and_the_caller_can_answer_and_go_on(shop: Shop, session: Session) -> None:
    with pytest.raises(ApprovalRequiredError, match="asks to run refund and no handler decides") as caught:
        session.ask(order(7, 8), timeout=5)
    error = caught.value
    assert error.request is not None
    assert error.turn is not None
    assert eventually(lambda: len(error.turn.pending) == 2)  # the engine asks for the second tool in its own time
    assert [request.arguments for request in error.turn.pending] == [{"order": 7}, {"order": 8}]
    error.request.approve({"amount": 5})
    assert [request.arguments for request in error.turn.pending] == [{"order": 8}]
    with pytest.raises(ApprovalRequiredError) as again:
        error.turn.result(5)
    assert again.value.request is not None
    again.value.request.deny("one is enough")
    reply = error.turn.result(5)
    assert "refunded 7" in reply.text
    assert "one is enough" in reply.text
    assert error.turn.pending == []
    assert kinds(reply.events)[:2] == ["Processing", "approval_request"]
    assert shop.ran == [("refund", 7, 5.0)]


def test_without_an_answer_it_is_asked_for_again(session: Session) -> None:
    with pytest.raises(ApprovalRequiredError) as caught:
        session.ask(order(7), timeout=5)
    assert caught.value.turn is not None
    for _ in range(3):
        with pytest.raises(ApprovalRequiredError) as again:
            caught.value.turn.result(5)
        assert again.value.turn is caught.value.turn
    session.on_approval(approve_all)
    assert caught.value.turn.result(5).text == REFUNDED


def test_a_handler_is_asked_once_about_each_request(session: Session) -> None:
    asked: list[str] = []

    def note(name: str) -> Callable[[ApprovalRequest], None]:
        return lambda request: asked.append(name)

    session.on_approval(note("registered"))
    with pytest.raises(ApprovalRequiredError) as caught:
        session.ask(order(7), on_approval=note("of the call"), timeout=5)
    for _ in range(2):
        assert caught.value.turn is not None
        with pytest.raises(ApprovalRequiredError):
            caught.value.turn.result(5)
    caught.value.turn.close()
    session.on_approval(note("late"))
    assert eventually(lambda: "late" in asked)
    session.respond(session.approvals[0].event, approved=False)
    request_in(session, order(8))
    assert eventually(lambda: len(asked) == 5)
    assert asked == ["of the call", "registered", "late", "registered", "late"]


def test_text_that_waits_for_an_approval_says_so(shop: Shop, session: Session) -> None:
    stream = session.stream(order(7), timeout=5)
    with pytest.raises(ApprovalRequiredError) as caught:
        list(stream.text_stream)
    with pytest.raises(ApprovalRequiredError):
        stream.result()
    assert caught.value.request is not None
    caught.value.request.approve()
    assert "".join(stream.text_stream) == REFUNDED
    assert shop.ran == [("refund", 7, 1.0)]


def test_in_an_iteration_the_caller_answers(shop: Shop, session: Session) -> None:
    stream = session.stream(order(7, 8), timeout=5)
    for event in stream:
        if event.type is Type.APPROVAL_REQUEST:
            session.respond(event, approved=event.data["arguments"]["order"] == 8)
    assert shop.ran == [("refund", 8, 1.0)]
    assert stream.pending == []


def test_an_answer_from_elsewhere_lets_the_turn_go_on(shop: Shop, session: Session) -> None:
    with pytest.raises(ApprovalRequiredError) as caught:
        session.ask(order(7), timeout=5)
    assert caught.value.request is not None
    with shop.join(session) as other:
        other.respond(caught.value.request.event, approved=True)
        assert caught.value.turn is not None
        rest_of_turn(other)
        settle(session)
        assert caught.value.turn.result(5).text == REFUNDED
    assert shop.ran == [("refund", 7, 1.0)]


def test_the_error_travels_without_its_connection(session: Session) -> None:
    with pytest.raises(ApprovalRequiredError) as caught:
        session.ask(order(7), timeout=5)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.request, copy.turn, copy.session_id) == (None, None, session.session_id)
    assert str(copy) == str(caught.value)


# ---- what is remembered --------------------------------------------------------------------


def remembering(asked: list[str], remember: Any, approved: bool = True) -> Callable[[ApprovalRequest], object]:
    def decide(request: ApprovalRequest) -> ApprovalResponse:
        asked.append(request.tool_name)
        return ApprovalResponse(approved, remember=remember)

    return decide


def test_an_answer_may_be_remembered_for_the_turn(engine: ScriptEngine) -> None:
    toolbox, asked = Toolbox(engine), list[str]()
    with connect(engine) as session:
        session.on_approval(remembering(asked, "turn"))
        session.ask("run refund refund search refund", timeout=5)
        assert asked == ["refund", "search"]
        session.ask("run refund", timeout=5)
        assert asked == ["refund", "search", "refund"]
        assert [record.by for record in session.approvals][1] == "remembered"
    assert toolbox.ran == {"refund": 4, "search": 1}


def test_a_turn_that_nobody_attends_remembers_no_longer(engine: ScriptEngine) -> None:
    toolbox, asked = Toolbox(engine), list[str]()
    with connect(engine) as session:
        session.on_approval(remembering(asked, "turn"))
        for number in (1, 2, 3):
            session.send("run refund refund")
            rest_of_turn(session)
            assert asked == ["refund"] * number
    assert toolbox.ran == {"refund": 6}


def test_an_answer_may_be_remembered_for_the_session(shop: Shop, session: Session) -> None:
    asked: list[str] = []
    session.on_approval(remembering(asked, "session"))
    for number in range(3):
        session.ask(order(number), timeout=5)
    session.send(order(3))
    rest_of_turn(session)
    assert asked == ["refund"]
    assert len(shop.ran) == 4
    session.ask('/tool search_web {"query": "x"}', timeout=5)
    assert asked == ["refund", "search_web"]


def test_a_denial_may_be_remembered_too(shop: Shop, session: Session) -> None:
    asked: list[str] = []
    session.on_approval(remembering(asked, "session", approved=False))
    for number in range(3):
        assert "denied" in session.ask(order(number), timeout=5).text
    assert (asked, shop.ran) == (["refund"], [])


def test_arguments_are_not_remembered(shop: Shop, session: Session) -> None:
    def once(request: ApprovalRequest) -> None:
        request.approve({"amount": 9}, remember="session")

    undo = session.on_approval(once)
    session.ask(order(7), timeout=5)
    undo()
    # Nor is the handler needed any more.
    session.ask(order(8), timeout=5)
    session.send(order(9))
    rest_of_turn(session)
    assert shop.ran == [("refund", 7, 9.0), ("refund", 8, 1.0), ("refund", 9, 1.0)]


def test_nothing_is_remembered_across_sessions(shop: Shop) -> None:
    asked: list[str] = []
    for _ in range(2):
        with shop.session() as session:
            session.on_approval(remembering(asked, "session"))
            session.ask(order(7), timeout=5)
    assert asked == ["refund", "refund"]


def test_an_answer_for_a_nameless_tool_stands_for_itself_alone(engine: ScriptEngine) -> None:
    asked: list[str] = []
    with connect(engine) as session:
        session.on_approval(remembering(asked, "session"))
        engine.push_many([status("Processing"), asking("r1", None), asking("r2", None)])
        assert eventually(lambda: len(asked) == 2)
    assert asked == ["", ""]


# ---- the record ----------------------------------------------------------------------------


def test_the_record_tells_what_was_asked_and_who_answered_what_and_when(shop: Shop, session: Session) -> None:
    began = datetime.now(timezone.utc)

    def by_request(request: ApprovalRequest) -> None:
        request.deny("not so fast")

    session.ask(order(7), on_approval=by_request, timeout=5)
    session.ask(order(8), on_approval=lambda r: ApprovalResponse(True, confirm={"amount": 2}), timeout=5)
    open_one = request_in(session, order(9))
    settle(session)
    first, second, third = session.approvals
    assert (first.tool_name, first.approved, first.deny_reason) == ("refund", False, "not so fast")
    assert first.by is not None
    assert first.by.endswith("by_request")
    assert (second.approved, second.confirm, second.deny_reason) == (True, {"amount": 2}, None)
    assert second.answered_at is not None
    assert began <= second.asked_at <= second.answered_at <= datetime.now(timezone.utc)
    assert (third.event, third.is_open) == (open_one, True)
    assert (third.approved, third.answered_at, third.by) == (None, None, None)
    session.respond(open_one, approved=False)
    assert third.is_open, "what was given is not changed under the reader's eyes"
    assert session.approvals[2].by == "respond"
    rest_of_turn(session)


def test_an_answer_that_could_not_be_sent_is_not_in_the_record(engine: ScriptEngine) -> None:
    session = connect(engine)
    engine.push_many([status("Processing"), asking("r1")])
    settle(session)
    (record,) = session.approvals
    request = ApprovalRequest(record.event, session)
    session.disconnect()
    with pytest.raises(SessionDisconnectedError):
        request.approve({"a": 1})
    assert session.approvals == [record]
    assert request.is_open


def test_answering_asks_for_sense(session: Session) -> None:
    event = request_in(session)
    with pytest.raises(TypeError, match="needs approved"):
        session.respond(event)
    with pytest.raises(TypeError, match="only an APPROVAL_REQUEST"):
        session.respond(SessionEvent(Type.MESSAGE_DELTA, event.session_id), approved=True)
    with pytest.raises(TypeError, match="SessionEvent, not str"):
        session.respond("yes", approved=True)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        session.respond_approval(event, approved=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        session.respond(event, approved=True, confirm={"a": object()})
    with pytest.raises(ValueError, match="cannot be answered in"):
        session.respond(SessionEvent(Type.APPROVAL_REQUEST, "other", event.message_id), approved=True)
    session.respond_approval(event, approved=False, deny_reason="no")
    assert "was denied: no" in str(rest_of_turn(session)[-2].text)


# ---- answers that the engine does not take -------------------------------------------------


def test_arguments_that_do_not_fit_are_told_and_can_be_mended(shop: Shop, session: Session) -> None:
    wrong = ApprovalResponse(True, confirm={"order": "seven"})
    with pytest.raises(ApprovalRequiredError, match="the engine refused the answer") as caught:
        session.ask(order(7), on_approval=lambda request: wrong, timeout=5)
    assert caught.value.request is not None
    assert caught.value.request.is_open
    caught.value.request.approve({"order": 8})
    assert caught.value.turn is not None
    assert "refunded 8" in caught.value.turn.result(5).text
    assert shop.ran == [("refund", 8, 1.0)]


def test_a_refused_answer_of_the_dispatchers_is_kept_for_the_next_call(
    shop: Shop, session: Session, log_watch: LogWatch
) -> None:
    undo = session.on_approval(lambda request: ApprovalResponse(True, confirm={"order": "seven"}))
    event = request_in(session)
    await_log(log_watch, "the engine refused an answer")
    undo()
    assert session.approvals[0].is_open
    with pytest.raises(SessionError, match="refused the answer about refund"):
        session.get_messages()
    session.respond(event, approved=True)
    rest_of_turn(session)
    assert shop.ran == [("refund", 7, 1.0)]


def test_an_answer_that_came_too_late_does_not_stop_the_turn(shop: Shop, session: Session) -> None:
    with shop.join(session) as other:

        def overtaken(request: ApprovalRequest) -> bool:
            other.respond(request.event, approved=False, deny_reason="the other said no")
            settle(other)
            return True

        assert "the other said no" in session.ask(order(7), on_approval=overtaken, timeout=5).text
        assert shop.ran == []
        settle(session)
        (record,) = session.approvals
        assert (record.approved, record.by) == (False, "another client")


def test_an_approval_after_the_turn_has_ended_runs_nothing(engine: ScriptEngine) -> None:
    toolbox = Toolbox(engine)
    with connect(engine) as session:
        event = SessionEvent(Type.APPROVAL_REQUEST, "s1", "r99", {"tool_name": "refund"})
        session.respond(event, approved=True)
        settle(session)
        assert not toolbox.ran
        (record,) = session.approvals
        assert (record.approved, record.by) == (False, "expired")


@pytest.mark.parametrize("when", ["terminated", "disconnected"])
def test_an_approval_after_the_session_has_ended_runs_nothing(shop: Shop, when: str) -> None:
    with shop.session() as session:
        event = request_in(session)
        session.terminate() if when == "terminated" else session.disconnect()
        with pytest.raises(SessionError):
            session.respond(event, approved=True)
    time.sleep(0.05)
    assert shop.ran == []


def test_a_decision_is_bound_to_the_arguments_that_were_shown(shop: Shop, session: Session) -> None:
    def change_what_was_shown(request: ApprovalRequest) -> bool:
        request.arguments["order"] = 99
        request.event.data["arguments"]["order"] = 98
        return True

    session.ask(order(7), on_approval=change_what_was_shown, timeout=5)
    assert shop.ran == [("refund", 7, 1.0)]


# ---- handlers that use the session ---------------------------------------------------------


@pytest.mark.parametrize("dispatched", [False, True])
def test_a_handler_may_post_and_read_the_history(shop: Shop, session: Session, dispatched: bool) -> None:
    took: list[float] = []

    def busy(request: ApprovalRequest) -> bool:
        began = time.monotonic()
        request.session.send("by the way")
        assert len(request.session.get_messages(timeout=5)) >= 2
        took.append(time.monotonic() - began)
        return True

    session.on_approval(busy)
    if dispatched:
        session.send(order(7))
        rest_of_turn(session)
    else:
        assert session.ask(order(7), timeout=5).text == REFUNDED
    assert took[0] < 1
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
        assert left.wait(5)
    else:
        with pytest.raises(SessionDisconnectedError):
            session.ask(order(7), timeout=5)
    assert time.monotonic() - began < 2
    assert not session.is_connected
    assert eventually(lambda: not [t for t in threading.enumerate() if "dispatcher" in t.name])
    assert shop.ran == []


def test_a_handler_that_would_wait_for_its_own_turn_is_told(shop: Shop, session: Session) -> None:
    with pytest.raises(SessionError, match="would wait for itself"):
        session.ask(order(7), on_approval=lambda request: bool(session.ask("may I?").text), timeout=5)
    assert shop.ran == []


def test_a_handler_that_has_answered_may_ask(shop: Shop, session: Session) -> None:
    replies: list[str] = []

    def answer_and_ask(request: ApprovalRequest) -> None:
        request.approve()
        replies.append(session.ask("and now?", timeout=5).text)

    assert session.ask(order(7), on_approval=answer_and_ask, timeout=5).text == REFUNDED
    assert replies == ['You said: "and now?"']


def test_handlers_that_wait_when_the_session_is_left_are_not_asked_any_more(engine: ScriptEngine) -> None:
    asked: list[str | None] = []
    first, go_on = threading.Event(), threading.Event()

    def slow(request: ApprovalRequest) -> bool:
        asked.append(request.message_id)
        first.set()
        return go_on.wait(5)

    with connect(engine) as session:
        session.on_approval(slow)
        engine.push_many([status("Processing"), *(asking(f"r{n}") for n in range(5))])
        assert first.wait(5)
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
    with connect(engine) as session, ThreadPoolExecutor(1) as pool, session.listen(timeout=5) as listener:
        session.on_approval(lambda request: release.wait(20))
        if dispatched:
            session.send("run refund")
        else:
            asked = pool.submit(session.ask, "run refund", timeout=20)
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
        if not dispatched:
            assert asked.result(5).text == "done"
    assert len(waits) == 60
    assert sorted(waits)[int(len(waits) * 0.99)] < 1


def test_a_handler_that_blocks_does_not_hold_up_another_session(shop: Shop, session: Session) -> None:
    release = threading.Event()
    session.on_approval(lambda request: release.wait(20))
    session.send(order(7))
    assert eventually(lambda: len(session.approvals) == 1)
    with shop.session() as other:
        assert other.ask(order(8), on_approval=approve_all, timeout=5).tool_calls[0].output == "refunded 8"
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
        assert "left" in script.wait(15).check().stdout
    assert not toolbox.ran


# ---- reauthorisation -----------------------------------------------------------------------


def reauth(message_id: str = "q1") -> dict[str, Any]:
    return notification("s1", message_id, {"type": "reauthorization_request", "integration": "mail"})


@pytest.fixture
def authorised() -> threading.Event:
    """Set when the account of `mail` is authorised again."""
    return threading.Event()


@pytest.fixture
def mail(engine: ScriptEngine, authorised: threading.Event) -> ScriptEngine:
    """An engine whose turns need an account to be authorised again."""

    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        conn.send_many([frames.ack("post_message", "s1"), status("Processing"), reauth(), reauth()])
        assert authorised.wait(15)
        conn.send_many([say("done"), status("Idle")])

    return engine


@pytest.mark.parametrize("read", ["ask", "iterate"])
def test_a_reauthorisation_is_shown_once_on_the_calling_thread(
    mail: ScriptEngine, authorised: threading.Event, read: str
) -> None:
    shown: list[tuple[str, SessionEvent]] = []
    with connect(mail) as session:

        @session.on_reauth
        def show(event: SessionEvent) -> None:
            shown.append((threading.current_thread().name, event))
            authorised.set()

        if read == "ask":
            assert session.ask("Hi", timeout=5).text == "done"
        else:
            assert kinds(session.stream("Hi", timeout=5))[-2:] == ["message_complete", "Idle"]
    ((name, event),) = shown
    assert name == threading.current_thread().name
    assert event.data["integration"] == "mail"
    assert event.requires_action


def test_a_reauthorisation_of_another_turn_is_shown_by_the_dispatcher(
    mail: ScriptEngine, authorised: threading.Event
) -> None:
    shown: list[str] = []
    with connect(mail) as session:

        @session.on_reauth
        def undo(event: SessionEvent) -> None:
            shown.append(threading.current_thread().name)
            authorised.set()

        session.send("Hi")
        rest_of_turn(session)
        undo()
    assert len(shown) == 1
    assert "dispatcher" in shown[0]


def test_without_a_handler_a_reauthorisation_is_told_once_and_the_turn_can_be_waited_for(
    mail: ScriptEngine, authorised: threading.Event
) -> None:
    with connect(mail) as session:
        with pytest.raises(ReauthRequiredError, match="authorised again") as caught:
            session.ask("Hi", timeout=5)
        assert caught.value.event is not None
        assert caught.value.event.data["integration"] == "mail"
        authorised.set()
        assert caught.value.turn is not None
        assert caught.value.turn.result(5).text == "done"


def test_a_late_handler_is_shown_what_is_still_open(mail: ScriptEngine, authorised: threading.Event) -> None:
    shown: list[SessionEvent] = []
    with connect(mail) as session:
        with pytest.raises(ReauthRequiredError) as caught:
            session.ask("Hi", timeout=5)
        session.on_reauth(shown.append)
        assert eventually(lambda: len(shown) == 1)
        authorised.set()
        assert caught.value.turn is not None
        assert caught.value.turn.result(5).text == "done"


def test_a_reauthorisation_handler_that_raises_is_heard(mail: ScriptEngine, authorised: threading.Event) -> None:
    def fail(event: SessionEvent) -> None:
        authorised.set()
        raise Oops

    with connect(mail) as session:
        undo = session.on_reauth(fail)
        with pytest.raises(Oops):
            session.ask("Hi", timeout=5)
        rest_of_turn(session)
        undo()
        with pytest.raises(TypeError, match="cannot answer an event of type reauth_request"):
            session.respond(SessionEvent(Type.REAUTH_REQUEST, "s1"), approved=True)


# ---- what is logged ------------------------------------------------------------------------


def test_arguments_and_reasons_are_not_logged(shop: Shop, session: Session, log_watch: LogWatch) -> None:
    secret = "a text that belongs to the user"
    session.on_approval(lambda request: ApprovalResponse(False, deny_reason=secret))
    session.ask(f'/tool delete_file {{"name": "{secret}"}}', timeout=5)
    assert any("delete_file was denied by" in line for line in log_watch.lines)
    assert not [line for line in log_watch.lines if secret in line and "sessionlib " in line.split("[")[0] + " "]
