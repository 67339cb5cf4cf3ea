"""What IPython shows of a reply, a message, a request and a session: texts of others are shown and not obeyed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sessionlib import (
    Agent,
    ApprovalRequest,
    ApprovalRequiredError,
    ApprovalResponse,
    Reply,
    Session,
    SessionMessage,
    SessionMessageStatus,
    Tool,
    approval_policy,
    approve_tools,
)
from sessionlib.engine import LocalEngine, tool
from sessionlib.reply import ToolCall
from tests.support.markup import Seen
from tests.support.script_engine import ScriptEngine
from tests.support.toolbox import Toolbox, connect

HARM = "<script>alert(1)</script> [x](javascript:alert(1)) ![](https://example.com/)"


def harmless(shown: str) -> Seen:
    """Makes sure that HTML runs nothing; returns what is seen of it."""
    seen = Seen(shown)
    assert not seen.harm
    return seen


def look(value: Any, kind: str) -> str:
    shown: str = getattr(value, f"_repr_{kind}_")()
    return shown


def test_a_reply_shows_its_text_and_a_status_line() -> None:
    reply = Reply(text=f"Some *text*\n\n{HARM}", tool_calls=[ToolCall("a"), ToolCall("b")], duration=1.25)
    seen = harmless(look(reply, "html"))
    assert "em" in seen.tags
    assert "<script>alert(1)</script>" in seen.text
    assert "complete · 2 tool calls · 1.25 s" in seen.text


def test_a_reply_shows_its_error() -> None:
    reply = Reply(text="", error=HARM, status=SessionMessageStatus.ERROR)
    assert f"error: {HARM}" in harmless(look(reply, "html")).text


def test_a_reply_that_was_shown_leaves_its_text_out() -> None:
    reply = Reply(text="the text")
    assert "the text" in repr(reply)
    reply.mark_shown()
    assert "the text" not in repr(reply) + look(reply, "html")
    assert reply == Reply(text="the text")
    assert "shown" not in reply.to_json()


@pytest.mark.parametrize(("sender", "who"), [("user_id", "user"), ("object_id", "agent"), ("x", "unknown")])
def test_a_message_shows_who_says_what(sender: str, who: str) -> None:
    content = {"type": "data_type_message", "value": HARM}
    message = SessionMessage.from_dict({"id": "m", "session_id": "s", "sender": {sender: "1"}, "content": content})
    seen = harmless(look(message, "html"))
    assert seen.text.startswith(who)
    assert "<script>alert(1)</script>" in seen.text


def test_a_message_without_text_shows_its_kind() -> None:
    message = SessionMessage.from_dict({"id": "m", "session_id": "s", "content": {"type": "<b>"}})
    assert "(<b>)" in harmless(look(message, "html")).text


@pytest.fixture
def session() -> Iterator[Session]:
    """A session with an engine that asks before it refunds."""

    @tool(approval="requires_approval")
    def refund(order: str = "", amount: float = 1.0) -> str:
        """Refund."""
        return "done"

    with LocalEngine(tools=[refund]) as engine, engine.agent().create_session() as session:
        yield session


def test_a_request_shows_what_is_asked_and_what_became_of_it(session: Session) -> None:
    with pytest.raises(ApprovalRequiredError) as caught:
        session.ask(f'/tool refund {{"order": "{HARM}", "amount": 2.5}}')
    request = caught.value.request
    seen = harmless(look(request, "html"))
    assert HARM in seen.text
    assert "2.5" in seen.text
    assert "open: answer it with approve() or deny()" in seen.text
    assert "1 approval, 1 open" in harmless(look(session, "html")).text
    request.approve({"amount": 3})
    assert 'approved by respond: with {"amount": 3}' in harmless(look(request, "html")).text
    caught.value.turn.result()
    assert "1 approval, 0 open" in harmless(look(session, "html")).text


def test_a_request_shows_why_it_was_denied(engine: ScriptEngine) -> None:
    Toolbox(engine)
    with connect(engine) as session:
        with pytest.raises(ApprovalRequiredError) as caught:
            session.ask(f"run {HARM.split()[0]}")
        request = caught.value.request
        assert "<script>alert(1)</script>" in harmless(look(request, "html")).text
        request.deny(HARM)
        assert f"denied by respond: {HARM}" in harmless(look(request, "html")).text
        caught.value.turn.result(30)


def test_a_session_shows_its_state_and_what_waits(engine: ScriptEngine) -> None:
    Toolbox(engine)
    session = connect(engine)
    listener = session.listen()
    session.ask("Hi", timeout=30)
    seen = harmless(look(session, "html"))
    assert seen.text.startswith(f"Session s1 at 127.0.0.1:{engine.port} · connected · ")
    assert "0 approvals, 0 open" in seen.text
    waiting = int(seen.text.split(" · ")[2].split()[0])
    assert waiting > 0
    listener.close()
    session.disconnect()
    assert "disconnected" in look(session, "html")


# ---- approvals, statistics, agents ---------------------------------------------------------


def test_the_record_of_approvals_is_a_table_of_requests_and_outcomes(session: Session) -> None:
    def decide(request: ApprovalRequest) -> ApprovalResponse:
        if request.arguments["order"] == "7":
            return ApprovalResponse(True, confirm={"order": "7", "amount": 2.0})
        return ApprovalResponse(False, deny_reason=HARM)

    assert "no approval was requested" in harmless(look(session.approvals, "html")).text
    for order in ("7", HARM):
        session.ask(f'/tool refund {{"order": "{order}"}}', on_approval=decide)
    assert isinstance(session.approvals, list)
    seen = harmless(look(session.approvals, "html"))
    for shown in ('refund(order="7")', "approved", '{"order": "7", "amount": 2.0}', "denied", "decide"):
        assert shown in seen.text
    assert seen.text.count(HARM) == 2
    with pytest.raises(ApprovalRequiredError):
        session.ask('/tool refund {"order": "9"}')
    assert "open" in look(session.approvals, "html")


def test_a_policy_is_named_in_the_record(session: Session) -> None:
    session.ask("/tool refund {}", on_approval=approval_policy({"refund": "allow"}))
    session.ask("/tool refund {}", on_approval=approve_tools("ref*"))
    assert [record.by for record in session.approvals] == ["approval_policy", "approve_tools"]


def test_statistics_are_a_table(engine: ScriptEngine) -> None:
    Toolbox(engine)
    with connect(engine) as session:
        assert "first delta-" in harmless(look(session.stats, "html")).text
        session.ask("Hi", timeout=30)
        seen = harmless(look(session.stats, "html"))
    assert "0 dropped" in seen.text
    assert "(median of 1)" in seen.text


@pytest.mark.parametrize("local", [[{"name": HARM}], {"name": 7}, [7], None])
def test_an_agent_is_a_table_of_what_it_is(local: object) -> None:
    agent = Agent(
        "a1", name=HARM, instructions=HARM, tools=[Tool("t1", tool_name="search")], extra_fields={"local_tools": local}
    )
    seen = harmless(look(agent, "html"))
    assert seen.text.startswith(f"Agent {HARM}")
    assert seen.text.count(HARM) == 2 + (local == [{"name": HARM}])
    assert "search" in seen.text
    assert "functional" in seen.text
