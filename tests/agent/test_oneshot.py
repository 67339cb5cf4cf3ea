"""One-shot runs of conversational agents."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from sessionlib import (
    Agent,
    AgentType,
    Client,
    ConversationalAgentRunResult,
    ConversationalRunActionRequiredError,
    SessionError,
    SessionEventType,
    SessionTimeoutError,
    approve_all,
)
from sessionlib.protocol import frames
from tests.support.script_engine import ScriptEngine, notification, refuse, turn
from tests.support.secrets import SENTINEL_KEY
from tests.support.shop import Shop, order
from tests.support.toolbox import Toolbox, asking, kinds, say, status

INTRODUCTION = "Demo model: echoes your message."


def scripted(engine: ScriptEngine, *told: Any) -> Agent:
    """An agent on a ScriptEngine that answers every message with these frames."""
    if told:
        engine.on("post_message", lambda conn, frame: conn.send_many([frames.ack("post_message", "s1"), *told]))
    return Agent("a1", agent_type=AgentType.CONVERSATIONAL, client=Client(SENTINEL_KEY, base_url=engine.base_url))


# ---- the answer ----------------------------------------------------------------------------


def test_a_run_gives_the_answer_and_its_session_ends_with_it(shop: Shop) -> None:
    result = shop.agent.run("Hi")
    assert isinstance(result, ConversationalAgentRunResult)
    assert result.final_message == f'{INTRODUCTION} You said: "Hi"'
    assert (result.status, result.error) == ("complete", None)
    assert kinds(result.events) == ["Processing", "message_complete", "Idle"]
    with pytest.raises(SessionError, match="terminated"):
        shop.agent.resume_session(result.session_id).connect()


def test_a_run_may_give_the_pieces_too_and_its_result_travels(shop: Shop) -> None:
    result = shop.agent.run("Hi", include_deltas=True)
    assert "".join(event.delta or "" for event in result.events) == result.final_message
    assert kinds(result.events)[:2] == ["Processing", "message_delta"]
    assert pickle.loads(pickle.dumps(result)) == result
    assert ConversationalAgentRunResult.from_json(result.to_json()) == result


def test_files_go_with_the_message(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    assert "a.txt (text/plain, 4 bytes)" in shop.agent.run("Look", files=[path, b"x"]).final_message
    assert "a.txt" in shop.agent.run(path).final_message


def test_an_answer_that_never_completes_is_what_was_streamed(engine: ScriptEngine) -> None:
    agent = scripted(engine, *turn(ack=None, complete=False))
    result = agent.run("Hi")
    assert (result.final_message, result.status) == ("Hello there", "complete")
    assert kinds(result.events) == ["Processing", "Idle"]


# ---- the session around it -----------------------------------------------------------------


def test_a_session_may_be_kept_alive_and_gone_on_with(shop: Shop) -> None:
    first = shop.agent.run("Hi", keep_alive=True)
    second = shop.agent.run("Again", session_id=first.session_id)
    assert second.session_id == first.session_id
    # It does not introduce itself twice in a session.
    assert second.final_message == 'You said: "Again"'
    with shop.agent.resume_session(first.session_id) as session:
        assert [message.text for message in session.get_messages() if message.is_user] == ["Hi", "Again"]


@pytest.mark.parametrize(
    ("options", "farewell"),
    [({}, "terminate"), ({"keep_alive": True}, "disconnect"), ({"session_id": "s1"}, "disconnect")],
)
def test_how_a_session_is_left(engine: ScriptEngine, options: dict[str, Any], farewell: str) -> None:
    scripted(engine, *turn(ack=None)).run("Hi", **options)
    engine.wait_idle()
    assert [frame["type"] for frame in engine.received][-1] == f"{farewell}_session"
    assert len(engine.frames("create_session")) == ("session_id" not in options)


# ---- what can go wrong ---------------------------------------------------------------------


def test_a_session_that_cannot_be_had_is_an_error_in_the_result() -> None:
    agent = Agent("a1", agent_type=AgentType.CONVERSATIONAL, client=Client("k", base_url="http://127.0.0.1:9"))
    result = agent.run("Hi", timeout=0.5)
    assert (result.final_message, result.session_id, result.status, result.events) == ("", "", "error", [])
    assert "127.0.0.1:9" in str(result.error)
    assert agent.run("Hi", session_id="s7", timeout=0.1).session_id == "s7"


def test_an_engine_that_comes_a_moment_later_is_waited_for(engine: ScriptEngine) -> None:
    agent = scripted(engine, *turn(ack=None))
    engine.handshake = refuse(503, times=1)
    assert agent.run("Hi").status == "complete"
    engine.handshake = refuse(401)
    result = agent.run("Hi")
    assert (result.status, "401" in str(result.error)) == ("error", True)
    assert len(engine.handshakes) == 3


def test_the_first_error_ends_a_run(engine: ScriptEngine) -> None:
    error = notification("s1", "m1", {"type": "error_message", "error": "out of tea"})
    agent = scripted(engine, status("Processing"), frames.message_delta("s1", "m1", 0, "Let me"), error)
    began = time.monotonic()
    result = agent.run("Hi", timeout=60)
    assert time.monotonic() - began < 20
    assert (result.status, result.error, result.final_message) == ("error", "out of tea", "Let me")
    assert kinds(result.events) == ["Processing", "error"]


def test_a_run_that_takes_too_long(engine: ScriptEngine) -> None:
    agent = scripted(engine, status("Processing"))
    with pytest.raises(SessionTimeoutError, match=r"was not over within 1\.5 s") as caught:
        agent.run("Hi", timeout=1.5)  # in which the session has to be had
    assert caught.value.session_id == "s1"
    engine.wait_for("terminate_session")


def test_a_message_that_is_refused_is_an_error_in_the_result(engine: ScriptEngine) -> None:
    agent = scripted(engine)
    engine.on("post_message", lambda conn, frame: conn.send(frames.refusal("post_message", "s1", "too long")))
    result = agent.run("Hi")
    assert (result.final_message, result.session_id, result.status, result.error) == ("", "s1", "error", "too long")
    assert [event.data for event in result.events] == [{"error": "too long", "request_type": "post_message"}]
    engine.wait_for("terminate_session")


def test_a_message_that_cannot_be_sent_leaves_no_session_behind(engine: ScriptEngine) -> None:
    for wrong in ("", 7):
        with pytest.raises((TypeError, ValueError)):
            scripted(engine).run(wrong)
    engine.wait_for("terminate_session", 2)


# ---- approvals -----------------------------------------------------------------------------


def test_a_run_that_needs_an_approval_says_so_and_its_session_can_be_resumed(shop: Shop) -> None:
    with pytest.raises(ConversationalRunActionRequiredError, match="approval_request") as caught:
        shop.agent.run(order(7))
    error = caught.value
    assert isinstance(error, RuntimeError)
    assert error.event.type is SessionEventType.APPROVAL_REQUEST
    assert shop.ran == []
    with shop.agent.resume_session(error.session_id) as session:
        session.respond(error.event, approved=True)
        answer = next(session.listen(timeout=30, event_types=["message_complete"]))
        assert "refunded 7" in str(answer.text)
    assert shop.ran == [("refund", 7, 1.0)]


def test_a_handler_decides_within_a_run_or_leaves_it(shop: Shop) -> None:
    with pytest.raises(ConversationalRunActionRequiredError):
        shop.agent.run(order(7), on_approval=lambda request: None)
    assert shop.ran == []
    result = shop.agent.run(order(7), on_approval=approve_all)
    assert ("refunded 7" in result.final_message, result.status) == (True, "complete")


def test_what_a_handler_raises_reaches_the_caller(engine: ScriptEngine) -> None:
    toolbox = Toolbox(engine)

    def fail(request: object) -> bool:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        scripted(engine).run("run refund", on_approval=fail)
    engine.wait_for("terminate_session")
    assert not toolbox.ran


def test_a_pause_for_a_person_of_which_nothing_else_is_told(engine: ScriptEngine) -> None:
    agent = scripted(engine, status("Processing"), status("AwaitingApproval"))
    with pytest.raises(ConversationalRunActionRequiredError, match="participant_status") as caught:
        agent.run("Hi", timeout=30)
    assert caught.value.event.requires_action
    engine.wait_for("disconnect_session")


@pytest.mark.parametrize("handler", [None, approve_all])
def test_an_account_that_has_to_be_authorised_again(engine: ScriptEngine, handler: Any) -> None:
    agent = scripted(engine, status("Processing"), notification("s1", "q1", {"type": "reauthorization_request"}))
    with pytest.raises(ConversationalRunActionRequiredError, match="reauth_request"):
        agent.run("Hi", timeout=30, on_approval=handler)


def test_with_a_handler_a_pause_is_no_end(engine: ScriptEngine) -> None:
    agent = scripted(engine, status("Processing"), status("AwaitingApproval"), asking("r1"))

    def approve(request: Any) -> bool:
        scripted(engine, say("x"), status("Idle"))
        return True

    assert agent.run("Hi", timeout=30, on_approval=approve).final_message == "x"


# ---- how it is called ----------------------------------------------------------------------


def test_each_type_of_agent_takes_its_own_arguments() -> None:
    client = Client("k", base_url="http://127.0.0.1:9")
    functional = Agent("a1", client=client)
    with pytest.raises(ValueError, match="mapping of inputs, not on str"):
        functional.run("Hi")
    for options in ({"files": []}, {"session_id": "s"}, {"keep_alive": True}, {"include_deltas": True}):
        with pytest.raises(ValueError, match="are for conversational agents"):
            functional.run({}, **options)
    for wrong in (None, {}, {"a": 1}):
        with pytest.raises(ValueError, match=r"conversational: run it on a message.* create_session"):
            Agent("a1", agent_type=AgentType.CONVERSATIONAL, client=client).run(wrong)


def test_instructions_for_one_run_are_not_for_conversational_agents(engine: ScriptEngine) -> None:
    with pytest.warns(UserWarning, match="are for functional agents and are not sent"):
        scripted(engine, *turn(ack=None)).run("Hi", "Be brief.")
