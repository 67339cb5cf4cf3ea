"""Approvals that outlive the process that asked: kept as JSON, found after a resume, answered from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sessionlib import (
    ApprovalAlreadyAnsweredError,
    ApprovalRequest,
    ApprovalRequiredError,
    Session,
    SessionError,
    SessionTerminatedError,
)
from sessionlib.protocol import frames
from sessionlib.protocol.frames import Frame
from tests.support.approvals import request_in
from tests.support.processes import Script
from tests.support.script_engine import ScriptEngine, agent_message, text_content, user_message
from tests.support.secrets import SENTINEL_KEY
from tests.support.shop import Shop, order
from tests.support.toolbox import connect
from tests.support.waiting import eventually

ASKING = {**agent_message("s1", "r1", ""), "content": {"type": "tool_call_approval", "tool_name": "refund"}}


def stopped(shop: Shop, *numbers: int) -> list[str]:
    """The requests of a session that its client has left at a gate, as JSON."""
    with shop.session() as session, pytest.raises(ApprovalRequiredError):
        session.ask(order(*numbers), timeout=30)
    with shop.join(session) as session:
        return [request.to_json() for request in session.pending_approvals()]


def resumed(shop: Shop, request: str) -> Session:
    """Another client of the session that a request is from."""
    return Session(session_id=json.loads(request)["session_id"], client=shop.engine.client())


def test_a_request_is_answered_by_another_client_from_its_json(shop: Shop) -> None:
    first, second = stopped(shop, 7, 8)
    facts = json.loads(first)
    assert (facts["type"], facts["tool_name"], facts["arguments"]) == ("approval_request", "refund", {"order": 7})
    assert SENTINEL_KEY not in first
    with resumed(shop, first) as session, session.listen(timeout=30) as events:
        session.answer(first, approved=True)
        assert [request.arguments for request in session.pending_approvals()] == [{"order": 8}]
        session.answer(json.loads(second), approved=True, confirm={"amount": 2.5})
        assert session.pending_approvals() == []
        assert any(event.is_turn_end for event in events)
    assert sorted(shop.ran) == [("refund", 7, 1.0), ("refund", 8, 2.5)]


def test_the_first_answer_stands_whoever_gave_it(shop: Shop) -> None:
    (request,) = stopped(shop, 7)
    with resumed(shop, request) as one, resumed(shop, request) as other:
        assert len(other.pending_approvals()) == 1
        one.answer(request, approved=False, deny_reason="not today")
        for session in (one, other):
            with pytest.raises(ApprovalAlreadyAnsweredError, match="was denied before"):
                session.answer(request, approved=True)
            assert session.pending_approvals() == []
    assert shop.ran == []


def test_a_terminated_session_takes_no_answer(shop: Shop) -> None:
    (request,) = stopped(shop, 7)
    with resumed(shop, request) as other:
        resumed(shop, request).connect().terminate()
        with pytest.raises(SessionError):
            other.answer(request, approved=True)
    with pytest.raises(SessionTerminatedError), resumed(shop, request):
        pass
    assert shop.ran == []


def test_what_was_not_shown_is_not_approved(shop: Shop) -> None:
    (request,) = stopped(shop, 7)
    seen = json.loads(request)
    others = [{"arguments": {"order": order}} for order in (8, 7.0)]
    others += [{"arguments": {"order": 7, "amount": 1.0}}, {"tool_name": "delete_file"}]
    with resumed(shop, request) as session:
        for other in others:
            with pytest.raises(ValueError, match="is not what was shown"):
                session.answer({**seen, **other}, approved=True)
        assert len(session.pending_approvals()) == 1
        session.answer({**seen, **others[0]}, approved=False)
    assert shop.ran == []


@pytest.mark.parametrize(
    ("session_id", "error", "match"),
    [
        ("s", ValueError, "session s's and"),
        ("\x1b]0;", ValueError, r"session \]0;'s"),
        (None, SessionError, "there is no approval request m; pending_approvals"),
    ],
)
def test_what_is_no_request_of_the_session_is_an_error(
    session: Session, session_id: str | None, error: type[Exception], match: str
) -> None:
    facts = {"session_id": session_id or session.session_id, "message_id": "m", "tool_name": "t", "arguments": {}}
    with pytest.raises(error, match=match):
        session.answer(facts, approved=True)


def test_the_request_and_its_event_can_be_answered_too(shop: Shop, session: Session) -> None:
    event = request_in(session)
    session.answer(ApprovalRequest(event, session), approved=True)
    with pytest.raises(ApprovalAlreadyAnsweredError):
        session.answer(event, approved=False)
    assert eventually(lambda: shop.ran == [("refund", 7, 1.0)])


@pytest.mark.parametrize(
    ("later", "is_open"), [([], True), ([agent_message("s1", "m2", text_content("Done."))], False)]
)
def test_requests_are_found_in_a_history_that_is_not_sent_again(
    engine: ScriptEngine, later: list[Frame], is_open: bool
) -> None:
    history = [user_message("s1", "m1", "Hi"), ASKING, *later]
    engine.on("get_messages", lambda conn, frame: conn.send(frames.history("s1", history)))
    refusal = frames.refusal("post_message", "s1", "not now")
    engine.on("post_message", lambda conn, frame: conn.send(refusal))
    with connect(engine) as session:
        found = session.pending_approvals()
        assert [request.message_id for request in found] == ["r1"] * is_open
        assert [record.is_open for record in session.approvals] == [is_open]
        # A refused answer is an error, and leaves the request open.
        for request in found:
            with pytest.raises(SessionError, match=r"the answer about refund \(not now\); the request is open again"):
                session.answer(request.to_json(), approved=True)
            assert request.is_open


# ---- another process -----------------------------------------------------------------------------

STOPS = """
    import pathlib, sys, time
    from sessionlib import Session, ApprovalRequiredError
    session = Session(owner_type="agent", owner_id=sys.argv[1]).connect()
    try:
        session.ask('/tool refund {"order": 7}', timeout=30)
    except ApprovalRequiredError as stopped:
        pathlib.Path(sys.argv[2]).write_text(stopped.request.to_json())
    print("READY", flush=True)
    time.sleep(60)
"""

ANSWERS = """
    import pathlib, sys
    from sessionlib import Session
    request = pathlib.Path(sys.argv[2]).read_text()
    with Session(session_id=sys.argv[1]) as session, session.listen(timeout=30) as events:
        session.answer(request, approved=True)
        while not next(events).is_turn_end:
            pass
"""


def test_a_script_killed_at_a_gate_is_answered_from_another_process(shop: Shop, tmp_path: Path) -> None:
    kept = tmp_path / "request.json"
    env = {"SESSIONLIB_BASE_URL": shop.engine.base_url, "SESSIONLIB_API_KEY": shop.engine.api_key}
    with Script(STOPS, shop.agent.id, str(kept), env=env) as script:
        script.wait_for("READY")
        script.kill()
    session_id = json.loads(kept.read_text())["session_id"]
    assert shop.ran == []
    with Script(ANSWERS, session_id, str(kept), env=env) as script:
        script.wait().check()
    assert shop.ran == [("refund", 7, 1.0)]
