"""Answers: at most one for each request, recorded, remembered and sent again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
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
)
from sessionlib.approvals import answers
from sessionlib.approvals.answers import ApprovalLog
from sessionlib.approvals.models import Registration
from sessionlib.protocol import frames
from sessionlib.protocol.turns import EventOrigin, PendingPost, TurnHandle
from sessionlib.testing import FaultProxy
from tests.support.approvals import Type, await_log, request_in
from tests.support.script_engine import Connection, Received, ScriptEngine, agent_message, text_content
from tests.support.secrets import LogWatch
from tests.support.sessions import rest_of_turn, settle
from tests.support.shop import Shop, order
from tests.support.toolbox import Toolbox, asking, connect, say, status
from tests.support.waiting import eventually

# ---- at most once --------------------------------------------------------------------------


def race(sessions: list[Session], event: SessionEvent, threads: int) -> list[bool]:
    """Answers a request from many threads at once, half of them yes, half no; gives what won here."""
    barrier = threading.Barrier(threads)

    def answer(number: int) -> bool | None:
        barrier.wait(30)
        try:
            sessions[number % len(sessions)].respond(event, approved=number % 2 == 0)
        except ApprovalAlreadyAnsweredError:
            return None
        return number % 2 == 0

    with ThreadPoolExecutor(threads) as pool:
        return [won for won in pool.map(answer, range(threads)) if won is not None]


@pytest.mark.slow
@pytest.mark.parametrize("clients", [1, 5])
def test_the_first_of_50_threads_wins_20_times(shop: Shop, session: Session, clients: int) -> None:
    sessions = [session, *(shop.join(session).connect() for _ in range(clients - 1))]
    for number in range(20):
        ran = len(shop.ran)
        won = race(sessions, request_in(session, order(number)), 50)
        rest_of_turn(session)
        assert 1 <= len(won) <= clients
        assert len(shop.ran) - ran in won, "it runs once where a yes has won, and never where none has"
        assert session.approvals[-1].approved in won
    for other in sessions[1:]:
        other.disconnect()
    with pytest.raises(ApprovalAlreadyAnsweredError):
        session.respond(session.approvals[-1].event, approved=True)


def test_the_second_answer_is_told_which_one_stands(session: Session) -> None:
    event = request_in(session)
    session.respond(event, approved=False, deny_reason="no")
    told = "the request to run refund was denied before, by respond; that answer stands"
    for answer in (True, False):
        with pytest.raises(ApprovalAlreadyAnsweredError, match=told) as caught:
            session.respond(event, approved=answer)
        assert (caught.value.event, caught.value.approved) == (event, False)
    rest_of_turn(session)


def test_a_handler_may_be_overtaken(shop: Shop, session: Session) -> None:
    asked = threading.Event()

    def slow(request: ApprovalRequest) -> bool:
        asked.set()
        assert eventually(lambda: not request.is_open)
        return True

    with session.listen(event_types=[Type.APPROVAL_REQUEST], timeout=30) as listener, ThreadPoolExecutor(1) as pool:
        reply = pool.submit(session.ask, order(7), on_approval=slow, timeout=30)
        asked.wait(30)
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

    for dispatched in (False, True):
        with connect(engine) as session:
            session.on_approval(lambda request: asked.append(request.message_id) or True)
            if dispatched:
                session.send("run")
                rest_of_turn(session)
            else:
                assert session.ask("run", timeout=30).text == "done"
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
        assert session.ask("run refund", timeout=30).text == "done"
    assert asked == ["r1"]
    assert toolbox.ran == {"refund": 1}


# ---- what is remembered --------------------------------------------------------------------


def remembering(asked: list[str], remember: Any, approved: bool = True) -> Callable[[ApprovalRequest], object]:
    def decide(request: ApprovalRequest) -> ApprovalResponse:
        asked.append(request.tool_name)
        return ApprovalResponse(approved, remember=remember)

    return decide


@pytest.mark.parametrize("dispatched", [False, True])
def test_an_answer_may_be_remembered_for_the_turn(engine: ScriptEngine, dispatched: bool) -> None:
    toolbox, asked = Toolbox(engine), list[str]()
    with connect(engine) as session:
        session.on_approval(remembering(asked, "turn"))
        for number in (1, 2, 3):
            if dispatched:
                session.send("run refund refund search refund")
                rest_of_turn(session)
            else:
                session.ask("run refund refund search refund", timeout=30)
            assert asked == ["refund", "search"] * number
        assert session.approvals[1].by == "remembered"
    assert toolbox.ran == {"refund": 9, "search": 3}


@pytest.mark.parametrize("approved", [True, False])
def test_an_answer_may_be_remembered_for_the_session(shop: Shop, session: Session, approved: bool) -> None:
    asked: list[str] = []
    session.on_approval(remembering(asked, "session", approved=approved))
    for number in range(3):
        assert ("denied" in session.ask(order(number), timeout=30).text) is not approved
    session.send(order(3))
    rest_of_turn(session)
    assert (asked, len(shop.ran)) == (["refund"], 4 * approved)
    session.ask('/tool search_web {"query": "x"}', timeout=30)
    assert asked == ["refund", "search_web"]


def test_arguments_are_not_remembered(shop: Shop, session: Session) -> None:
    def once(request: ApprovalRequest) -> None:
        request.approve({"amount": 9}, remember="session")

    undo = session.on_approval(once)
    session.ask(order(7), timeout=30)
    undo()
    # Nor is the handler needed any more.
    session.ask(order(8), timeout=30)
    session.send(order(9))
    rest_of_turn(session)
    assert shop.ran == [("refund", 7, 9.0), ("refund", 8, 1.0), ("refund", 9, 1.0)]


def test_nothing_is_remembered_across_sessions(shop: Shop) -> None:
    asked: list[str] = []
    for _ in range(2):
        with shop.session() as session:
            session.on_approval(remembering(asked, "session"))
            session.ask(order(7), timeout=30)
    assert asked == ["refund", "refund"]


# ---- the record ----------------------------------------------------------------------------


def test_the_record_tells_what_was_asked_and_who_answered_what_and_when(shop: Shop, session: Session) -> None:
    began = datetime.now(timezone.utc)

    def by_request(request: ApprovalRequest) -> None:
        request.deny("not so fast")

    session.ask(order(7), on_approval=by_request, timeout=30)
    session.ask(order(8), on_approval=lambda r: ApprovalResponse(True, confirm={"amount": 2}), timeout=30)
    open_one = request_in(session, order(9))
    settle(session)
    first, second, third = session.approvals
    assert (first.tool_name, first.approved, first.deny_reason) == ("refund", False, "not so fast")
    assert first.by.endswith("by_request")
    assert (second.approved, second.confirm, second.deny_reason) == (True, {"amount": 2}, None)
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


def test_a_handler_is_asked_again_where_its_answer_could_not_be_sent(engine: ScriptEngine, log_watch: LogWatch) -> None:
    asked: list[str | None] = []

    def approve(request: ApprovalRequest) -> bool:
        asked.append(request.message_id)
        if len(asked) == 1:
            engine.drop_all()
            assert eventually(lambda: session.state == "disconnected")
        return True

    with connect(engine) as session:
        session.on_approval(approve)
        engine.push_many([status("Processing"), asking("r1")])
        # Not before it has tried to answer: connected again, it could.
        assert eventually(lambda: any("a handler failed" in line for line in log_watch.lines))
        assert session.approvals[0].is_open
        session.connect(30)
        engine.push(asking("r1"))
        engine.wait_for("post_message")
        assert eventually(lambda: not session.approvals[0].is_open)
    assert asked == ["r1", "r1"]


def test_the_record_of_a_request_is_its_own_though_several_are_open(engine: ScriptEngine) -> None:
    with connect(engine) as session:
        engine.push_many([status("Processing"), asking("r1", "refund"), asking("r2", "stock"), asking("r3", "refund")])
        settle(session)
        requests = [ApprovalRequest(record.event, session) for record in session.approvals]
        assert [request.record.event.message_id for request in requests] == ["r1", "r2", "r3"]
        requests[1].answer(ApprovalResponse(True), by="a person")
        session.respond(requests[2].event, approved=False, deny_reason="no")
        assert [request.is_open for request in requests] == [True, False, False]
        answers = [(request.record.approved, request.record.by) for request in requests]
        assert answers == [(None, None), (True, "a person"), (False, "respond")]
        outcomes = [request.outcome.partition(":")[0] for request in requests]
        assert outcomes == ["open", "approved by a person", "denied by respond"]


def test_answering_asks_for_sense(session: Session) -> None:
    event = request_in(session)
    with pytest.raises(TypeError, match="needs approved"):
        session.respond(event)
    for wrong, error, match in (
        (SessionEvent(Type.MESSAGE_DELTA, event.session_id), TypeError, "only an APPROVAL_REQUEST"),
        ("yes", TypeError, "SessionEvent, not str"),
        (SessionEvent(Type.APPROVAL_REQUEST, "other", event.message_id), ValueError, "cannot be answered in"),
    ):
        with pytest.raises(error, match=match):
            session.respond(wrong, approved=True)
    for options in ({"approved": 1}, {"approved": True, "confirm": {"a": object()}}):
        with pytest.raises(TypeError):
            session.respond_approval(event, **options)
    session.respond_approval(event, approved=False, deny_reason="no")
    assert "was denied: no" in str(rest_of_turn(session)[-2].text)


# ---- answers that the engine does not take -------------------------------------------------


def test_arguments_that_do_not_fit_are_told_and_can_be_mended(shop: Shop, session: Session) -> None:
    wrong = ApprovalResponse(True, confirm={"order": "seven"})
    with pytest.raises(ApprovalRequiredError, match="the engine refused the answer") as caught:
        session.ask(order(7), on_approval=lambda request: wrong, timeout=30)
    assert caught.value.request.is_open
    caught.value.request.approve({"order": 8})
    assert "refunded 8" in caught.value.turn.result(30).text
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

        assert "the other said no" in session.ask(order(7), on_approval=overtaken, timeout=30).text
        assert shop.ran == []
        settle(session)
        (record,) = session.approvals
        assert (record.approved, record.by) == (False, "another client")


def test_an_approval_after_the_turn_has_ended_runs_nothing(engine: ScriptEngine) -> None:
    toolbox = Toolbox(engine)
    with connect(engine) as session:
        event = requested("r99")
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

    session.ask(order(7), on_approval=change_what_was_shown, timeout=30)
    assert shop.ran == [("refund", 7, 1.0)]


# ---- what is logged ------------------------------------------------------------------------


def test_arguments_and_reasons_are_not_logged(shop: Shop, session: Session, log_watch: LogWatch) -> None:
    secret = "a text that belongs to the user"
    session.on_approval(lambda request: ApprovalResponse(False, deny_reason=secret))
    session.ask(f'/tool delete_file {{"name": "{secret}"}}', timeout=30)
    assert any("delete_file was denied by" in line for line in log_watch.lines)
    assert not [line for line in log_watch.lines if secret in line and "sessionlib " in line.split("[")[0] + " "]


# ---- the log by itself ---------------------------------------------------------------------


def requested(message_id: str, tool_name: str = "refund", **more: Any) -> SessionEvent:
    """An approval request."""
    return SessionEvent(Type.APPROVAL_REQUEST, "s1", message_id, {"tool_name": tool_name, **more})


class Sends:
    """Sends answers nowhere."""

    def __init__(self, refusal: SessionEvent | None = None) -> None:
        self.post = PendingPost(makes_turn=False)
        self.post.refusal = refusal
        self.refused: list[tuple[SessionEvent, SessionEvent]] = []
        self.log = ApprovalLog(self.send, lambda entry, error: self.refused.append((entry.record.event, error)))

    def send(self, *_: object) -> PendingPost:
        return self.post

    def note(self, message_id: str, size: int = 0) -> SessionEvent:
        event = requested(message_id, tool_call_id=message_id, tool_arguments={"note": "x" * size})
        self.log.note(event, EventOrigin(None, TurnHandle()))
        return event


def test_a_handler_is_noted_to_be_asked_once_about_each_request_that_is_known() -> None:
    sends, handler, other = Sends(), Registration(lambda request: None), Registration(lambda request: None)
    events = [sends.note("r1"), sends.note("r2")]
    assert [sends.log.was_asked(handler, event) for event in events] == [False, False]
    assert [sends.log.note_asked(handler, event) for event in (events[0], events[0])] == [True, False]
    assert [sends.log.was_asked(handler, event) for event in events] == [True, False]
    assert not sends.log.was_asked(other, events[0])
    assert sends.log.note_asked(other, events[0])
    unknown = requested("r3")
    assert not sends.log.was_asked(handler, unknown)
    assert not sends.log.note_asked(handler, unknown)
    assert not sends.log.is_open(unknown)
    assert sends.log.find("r3") is None


def test_whose_requests_are_open_and_which_of_them_nobody_handles() -> None:
    sends, mine, others = Sends(), PendingPost(), PendingPost()
    mine.turn, over = TurnHandle(), TurnHandle()
    over.over, others.attended = True, True
    origins = {
        "by its post": EventOrigin(mine, TurnHandle()),
        "by its turn": EventOrigin(None, mine.turn),
        "another's": EventOrigin(others, TurnHandle()),
        "past": EventOrigin(None, over),
        "nobody's": EventOrigin(None, TurnHandle()),
        "answered": EventOrigin(mine, mine.turn),
    }
    events = {name: requested(name) for name in origins}
    for name, origin in origins.items():
        sends.log.note(events[name], origin)
    sends.log.answer(events["answered"], ApprovalResponse(True), by="x")
    assert [event.message_id for event in sends.log.open_of(mine)] == ["by its post", "by its turn"]
    assert [event.message_id for event in sends.log.open_of(PendingPost())] == []
    assert [event.message_id for event in sends.log.unclaimed()] == ["by its post", "by its turn", "nobody's"]


@pytest.mark.parametrize(("remember", "same_turn", "other_turn"), [("turn", True, False), ("session", True, True)])
def test_an_answer_is_remembered_for_its_tool(remember: Any, same_turn: bool, other_turn: bool) -> None:
    sends, course = Sends(), TurnHandle()

    def note(message_id: str, tool_name: str, course: TurnHandle) -> SessionEvent:
        event = requested(message_id, tool_name)
        sends.log.note(event, EventOrigin(None, course))
        return event

    first, nameless = note("r1", "t", course), note("r2", "", course)
    for event in (first, nameless):
        sends.log.answer(event, ApprovalResponse(True, confirm={"a": 1}, remember=remember), by="x")
    later = [note("r3", "t", course), note("r4", "t", TurnHandle()), note("r5", "u", course), note("r6", "", course)]
    recalled = [sends.log.recall(event) for event in later]
    assert [response is not None for response in recalled] == [same_turn, other_turn, False, False]
    assert recalled[0] == ApprovalResponse(True), "the arguments were for the request that they were given with"
    assert [sends.log.answer_remembered(event) for event in later] == [same_turn, other_turn, False, False]
    assert [sends.log.is_open(event) for event in later] == [False, not other_turn, True, True]
    assert sends.log.answer_remembered(first), "it has an answer, and no second is made"


def test_a_denial_that_comes_too_late_is_none(log_watch: LogWatch) -> None:
    sends = Sends()
    answered, left = sends.note("r1"), sends.note("r2")
    sends.log.answer(answered, ApprovalResponse(True), by="x")
    assert not sends.log.deny(answered, "no", by="y")
    assert sends.log.deny(left, "no", by="y")
    record = sends.log.find("r2")
    assert (record.approved, record.by, record.deny_reason) == (False, "y", "no")


@pytest.mark.parametrize(
    ("error", "given", "outcome"),
    [
        ({}, True, (None, None)),
        ({"code": "invalid"}, True, (None, None)),
        ({"code": "approval_already_answered", "approved": False}, True, (False, "another client")),
        ({"code": "approval_already_answered"}, True, (True, "another client")),
        ({"code": "approval_already_answered", "approved": "yes"}, False, (False, "another client")),
        ({"code": "approval_expired", "approved": True}, True, (False, "expired")),
        ({"code": "approval_not_found"}, True, (False, "expired")),
    ],
)
def test_a_refusal_corrects_what_was_entered_once(
    error: dict[str, Any], given: bool, outcome: tuple[bool | None, str | None]
) -> None:
    sends, refusal = Sends(), SessionEvent(Type.ERROR, "s1", None, {"error": "no", **error})
    event = sends.note("r1")
    confirm = {"a": 1} if given else None
    sends.log.answer(event, ApprovalResponse(given, confirm=confirm, deny_reason=None if given else "no"), by="x")
    assert sends.log.refused(PendingPost(makes_turn=False), refusal) is None, "it is no answer's"
    entry = sends.log.refused(sends.post, refusal)
    record = sends.log.find("r1")
    assert entry.record == record
    assert entry.record is not record, "a copy"
    assert ((record.approved, record.by), record.confirm, record.deny_reason) == (outcome, None, None)
    assert (record.answered_at is None) == (outcome[0] is None)
    assert sends.log.refused(sends.post, refusal) is None


def test_an_answer_that_is_refused_before_it_is_noted_is_corrected() -> None:
    error = SessionEvent(Type.ERROR, "s1", None, {"error": "not now"})
    sends = Sends(error)
    event = sends.note("r1")
    sends.log.answer(event, ApprovalResponse(True), by="x")
    assert sends.refused == [(event, error)]
    assert sends.log.is_open(event)


@pytest.mark.parametrize("is_answered", [True, False])
def test_an_answer_that_may_be_lost_is_sent_again_once(is_answered: bool) -> None:
    sends = Sends()
    event = sends.note("r1")
    if is_answered:
        sends.log.answer(event, ApprovalResponse(False, deny_reason="no"), by="x")
    assert sends.log.take_lost(event) is None
    sends.log.expect_again("r1")
    lost = sends.log.take_lost(event)
    assert (lost is not None) == is_answered
    assert lost is None or lost["value"] == {"tool_call_approval": {"deny": "no"}}
    assert sends.log.take_lost(event) is None


def test_the_oldest_requests_are_forgotten_those_first_that_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "QUEUE_BYTES", 30_000)
    sends = Sends()
    noted = [sends.note(f"r{number}", 1000) for number in range(10)]
    for event in noted[5:]:
        sends.log.answer(event, ApprovalResponse(True), by="x")
    at = 10
    while len(sends.log.records) == at:
        sends.note(f"r{at}", 1000)
        at += 1
    left = [record.event.message_id for record in sends.log.records]
    first = int(str(left[5]).removeprefix("r"))
    assert 5 < first <= 10
    assert left == [f"r{number}" for number in (*range(5), *range(first, at))]
    largest = sends.note("large", 40_000)
    assert [record.event for record in sends.log.records] == [largest], "the newest stays, whatever its size"


def kept(key: str, content: dict[str, Any]) -> dict[str, Any]:
    """A message of a history."""
    return {**agent_message("s1", key, ""), "content": content}


def test_the_requests_of_a_history_are_in_its_order() -> None:
    sends = Sends()
    statuses = {
        "pending": (None, None),
        "approved": (True, "another client"),
        "denied": (False, "another client"),
        "expired": (False, "expired"),
        "unheard of": (None, None),
    }
    sends.log.review("s1", [kept(word, {**REQUEST, "tool_call_id": word, "status": word}) for word in statuses])
    found = [(record.event.message_id, (record.approved, record.by)) for record in sends.log.records]
    assert found == list(statuses.items())


REQUEST = {"type": "tool_call_approval", "tool_name": "refund"}
CALL = kept("m2", {"type": "tool_call", "tool_call_id": "c1", "tool_name": "refund"})
RESULT = kept("m3", {"type": "tool_result", "tool_call_id": "c1", "output": "done"})
OTHER = kept("m4", {"type": "tool_call", "tool_call_id": "c2", "tool_name": "refund"})
NAMELESS = kept("m5", {"type": "tool_call", "tool_name": "refund"})
PART = kept("m6", text_content("Well", "streaming"))
ANSWER = kept("m7", text_content("Done"))
QUESTION = {**kept("m8", text_content("Hi")), "sender": {"user_id": "u"}}
FAILURE = kept("m9", {"type": "error_message", "error": "cut"})


@pytest.mark.parametrize(
    ("before", "after", "call_id", "approved"),
    [
        ([], [], "c1", None),
        ([], [CALL], "c1", True),
        ([], [RESULT], "c1", True),
        ([], [CALL, RESULT, ANSWER], "c1", True),
        ([], [OTHER], "c1", None),
        ([], [OTHER, ANSWER], "c1", False),
        ([], [NAMELESS], None, None),
        ([], [ANSWER], None, False),
        ([], [ANSWER, PART], "c1", False),
        ([], [PART], "c1", None),
        ([], [FAILURE], "c1", False),
        ([], [QUESTION], "c1", None),
        ([CALL, ANSWER], [], "c1", None),
    ],
)
def test_a_history_without_statuses_shows_by_what_followed_what_became_of_a_request(
    before: list[dict[str, Any]], after: list[dict[str, Any]], call_id: str | None, approved: bool | None
) -> None:
    sends = Sends()
    request = REQUEST | ({"tool_call_id": call_id} if call_id else {})
    sends.log.review("s1", [*before, kept("r1", request), *after])
    (record,) = sends.log.records
    by = None if approved is None else "another client"
    assert (record.event.message_id, record.approved, record.by) == ("r1", approved, by)
