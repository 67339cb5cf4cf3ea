"""One-shot runs of conversational agents, by the official SDK and by this client, compared."""

from __future__ import annotations

import json
from typing import Any

from sessionlib.protocol import frames
from sessionlib.protocol.frames import Frame
from tests.support.porting import ported, said
from tests.support.processes import run_script
from tests.support.script_engine import Connection, Received, ScriptEngine, notification, turn
from tests.support.secrets import SENTINEL_KEY

SCRIPT = """
import asyncio
import json
from vectorshift.agent import Agent, AgentType
from vectorshift.agent.object import ConversationalRunActionRequiredError
from vectorshift.session import SessionError

NOT_OF_THE_TURN = ("session_created", "session_connected", "message_posted", "messages_posted", "pong")

async def show(agent, text, **options):
    try:
        result = await agent.run(text, **options)
        events = [[str(e.type), e.message_id, e.data] for e in result.events if str(e.type) not in NOT_OF_THE_TURN]
        print(json.dumps([result.final_message, result.session_id, result.status, result.error, events]))
    except ConversationalRunActionRequiredError as error:
        print(json.dumps(["action", str(error.event.type), error.session_id, isinstance(error, RuntimeError)]))
    except SessionError as error:
        print(json.dumps("SessionError"))
    except ValueError as error:
        print(json.dumps("ValueError"))

async def main():
    agent = Agent("a1", agent_type=AgentType.CONVERSATIONAL)
    await show(agent, "plain")
    await show(agent, "plain", include_deltas=True, keep_alive=True)
    await show(agent, "plain", session_id="s1", files=[b"x"])
    await show(agent, "never complete")
    await show(agent, "two messages")
    await show(agent, "error")
    await show(agent, "error after a piece")
    await show(agent, "approval")
    await show(agent, "pause")
    await show(agent, "reauth")
    await show(agent, "refused")
    await show(agent, "refused", files=[b"x"])
    await show(agent, "refused", session_id="s1", keep_alive=True)
    await show(agent, "refused without a reason")
    await show(agent, "refused by an error")
    await show(agent, "silence", timeout=1.5)
    await show(agent, {"a": 1})
    await show(agent, None)
    await show(Agent("a1"), "plain")
asyncio.run(main())
"""

ERROR = notification("s1", "m9", {"type": "error_message", "error": "out of tea"})
ANSWERS: dict[str, list[Frame]] = {
    "plain": turn(ack=None),
    "never complete": turn(ack=None, complete=False),
    "two messages": [*turn(ack=None, idle=False), *turn(ack=None, message_id="m2", pieces=["Yes"])[1:]],
    "error": [ERROR],
    "error after a piece": [*turn(ack=None, complete=False, idle=False), ERROR],
    "approval": [turn()[1], notification("s1", "r1", {"type": "tool_call_approval", "tool_name": "refund"})],
    "pause": [turn()[1], frames.participant_status("s1", "AwaitingApproval")],
    "reauth": [turn()[1], notification("s1", "q1", {"type": "reauthorization_request"})],
    "silence": [turn()[1]],
}
REFUSALS = {
    "refused": {"success": False, "error": "too long"},
    "refused without a reason": {"success": False},
}


def reply(kind: str, conn: Connection, text: str) -> None:
    if text in REFUSALS:
        conn.send({"type": kind, "session_id": "s1", **REFUSALS[text]})
    elif text == "refused by an error":
        conn.send({"type": "error", "error": "no such thing", "request_type": kind})
    else:
        conn.send_many([frames.ack(kind, "s1"), *ANSWERS[text]])


def outcome(script: str) -> tuple[list[Any], list[Frame]]:
    with ScriptEngine() as engine:

        @engine.on("post_message")
        def answer(conn: Connection, frame: Received) -> None:
            reply("post_message", conn, frame["content"])

        @engine.on("post_messages")
        def answer_batch(conn: Connection, frame: Received) -> None:
            reply("post_messages", conn, frame["messages"][0])

        environment = {"VECTORSHIFT_WS_URL": engine.ws_url, "VECTORSHIFT_API_KEY": SENTINEL_KEY}
        result = run_script(script, env=environment, timeout=200)
        assert result.rc == 0, result
        engine.wait_idle()
        return [json.loads(line) for line in result.stdout.splitlines()], said(engine)


def test_runs_give_what_they_give_in_the_official_sdk() -> None:
    (theirs, they_said), (ours, we_said) = outcome(SCRIPT), outcome(ported(SCRIPT))
    assert ours == theirs
    assert len(ours) == 19
    # A session that waits for an answer is left alive here, as the error promises, and ended there.
    waiting = [7, 8, 9]
    endings = [frame for frame in we_said if frame["type"] in ("terminate_session", "disconnect_session")]
    their_endings = [frame for frame in they_said if frame["type"] in ("terminate_session", "disconnect_session")]
    for index, (ending, their_ending) in enumerate(zip(endings, their_endings, strict=True)):
        assert their_ending["type"] == ending["type"] or (index in waiting and ending["type"] == "disconnect_session")
    talk = ("create_session", "connect_session", "post_message", "post_messages")
    assert [frame for frame in we_said if frame["type"] in talk] == [f for f in they_said if f["type"] in talk]
