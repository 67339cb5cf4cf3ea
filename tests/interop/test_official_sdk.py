"""One script, run with the official async SDK and, ported as the README says, with this client.

The script is written for the official SDK. Ours is the same text with ``async`` and ``await`` deleted and
the package name changed. What each of them sends, and what each hears, is compared.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionlib.protocol import frames
from sessionlib.protocol.frames import Frame
from tests.support.porting import ported, said
from tests.support.processes import run_script
from tests.support.script_engine import Connection, Received, ScriptEngine, agent_message, notification, turn
from tests.support.secrets import SENTINEL_KEY

HEAD = """
import asyncio
import io
import json
import sys
from pathlib import Path
from vectorshift.session import Session, UserSessionMessage
from vectorshift.events import SessionEventType, SessionMessage

def show(event):
    print(json.dumps([str(event.type), event.session_id, event.message_id, event.data, event.delta, event.text,
        event.tool_name, str(event.status), str(event.participant_status), event.is_complete, event.is_turn_end,
        event.requires_action, event.error]))
"""

CONTENTS = (
    HEAD
    + """
async def main():
    report = Path(sys.argv[1])
    async with Session(owner_type="agent", owner_id="a1") as session:
        await session.send("Hello, wörld \\u2028 \\U0001F600")
        await session.send("# Title", mime_type="text/markdown")
        await session.send(report)
        await session.send(report, filename="other.csv", mime_type="text/plain")
        await session.send(b"bytes \\x00\\xff")
        await session.send(bytearray(b"more"), filename="data.json")
        await session.send(io.BytesIO(b"in memory"))
        await session.send(io.StringIO("text in memory"), filename="note.txt")
        with open(report, "rb") as file:
            await session.send(file)
        with open(report, encoding="utf-8") as file:
            await session.send(file, mime_type="text/csv")
        await session.send("with files", files=[report, b"raw", io.BytesIO(b"three")])
        old = SessionMessage.from_dict({"id": "m0", "content": {"type": "data_type_message", "value": "before"}})
        await session.send_many(["one", report, b"two", old])
        await session.send_many([
            UserSessionMessage(content="summarize", files=[report]),
            UserSessionMessage(content=b"x", filename="x.png"),
            UserSessionMessage(files=[b"only files"]),
        ])
asyncio.run(main())
"""
)

ANSWERS = (
    HEAD
    + """
async def main():
    async with Session(session_id="s1") as session:
        await session.send("run them")
        answers = [
            dict(approved=True), dict(approved=True, confirm={"amount": 5, "why": None}),
            dict(approved=False), dict(approved=False, deny_reason="too much"),
        ]
        async for event in session.listen():
            show(event)
            if event.type == SessionEventType.APPROVAL_REQUEST:
                await session.respond(event, **answers.pop(0))
            if event.is_turn_end:
                break
asyncio.run(main())
"""
)

EVENTS = (
    HEAD
    + """
async def main():
    async with Session(session_id="s1") as session:
        await session.send("everything")
        async for event in session.listen(maxsize=0):
            show(event)
            if event.is_turn_end:
                break
        for message in await session.get_messages():
            print(json.dumps([message.id, message.session_id, str(message.sender.role), message.sender.user_id,
                message.sender.object_id, message.sender.object_type, message.content_type, message.text,
                str(message.status), message.raw, message.is_user, message.is_agent]))
        await session.terminate()
asyncio.run(main())
"""
)


def both(script: str, *args: str, prepare: Any = None) -> tuple[Any, Any]:
    """Runs a script with either, and returns what each has sent and printed."""
    outcomes = []
    for text in (script, ported(script)):
        with ScriptEngine() as engine:
            if prepare is not None:
                prepare(engine)
            environment = {"VECTORSHIFT_WS_URL": engine.ws_url, "VECTORSHIFT_API_KEY": SENTINEL_KEY}
            result = run_script(text, *args, env=environment, timeout=200)
            assert result.rc == 0, result
            engine.wait_idle()
            printed = [json.loads(line) for line in result.stdout.splitlines()]
            # Without the events about joining, which the SDK may or may not be early enough for.
            heard = [one for one in printed if one[0] not in ("session_created", "session_connected")]
            outcomes.append((said(engine), heard))
    return outcomes[0], outcomes[1]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.csv"
    path.write_text("a,b\n1,ü\n", encoding="utf-8")
    return path


def test_every_kind_of_content_goes_out_as_the_official_sdk_sends_it(report: Path) -> None:
    theirs, ours = both(CONTENTS, str(report))
    assert ours == theirs
    assert len(ours[0]) == 2 + 13 + 1


def ask_four_times(engine: ScriptEngine) -> None:
    asked = iter(range(1, 5))

    def ask(conn: Connection) -> None:
        number = next(asked, None)
        if number is None:
            conn.send(frames.participant_status("s1", "Idle"))
            return
        content = {"type": "tool_call_approval", "tool_name": "refund", "tool_call_id": f"c{number}", "arguments": {}}
        conn.send(notification("s1", f"r{number}", content))

    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        conn.send(frames.ack("post_message", "s1"))
        if isinstance(frame["content"], str):
            conn.send(frames.participant_status("s1", "Processing"))
        ask(conn)


def test_answers_to_approval_requests_go_out_as_the_official_sdk_sends_them() -> None:
    theirs, ours = both(ANSWERS, prepare=ask_four_times)
    assert ours == theirs
    assert len([frame for frame in ours[0] if frame["type"] == "post_message"]) == 5


def contents() -> list[Frame]:
    """One content of every type, and some that are nobody's."""
    return [
        {"type": "data_type_message", "value": "so far", "status": "Streaming"},
        {"type": "data_type_message", "value": {"not": "text"}},
        {"type": "data_type_message", "value": "done", "status": "Complete"},
        {"type": "error_message", "error": "broken"},
        {"type": "error_message"},
        {"type": "tool_call", "tool_name": "search", "tool_id": "t1", "status": "running"},
        {"type": "thinking", "content": "hm", "summary": "short"},
        {"type": "reasoning", "value": "because"},
        {"type": "reasoning", "content": "since"},
        {"type": "tool_call_approval", "tool_id": "t1", "tool_name": "refund", "tool_call_id": "c1", "new": [1]},
        {"type": "reauthorization_request", "integration": "mail"},
        {"type": "search_message", "results": [{"title": "x"}]},
        {"type": "agent_task", "value": "planning"},
        {"type": "something new", "with": {"any": "fields"}},
    ]


def tell_everything(engine: ScriptEngine) -> None:
    engine.history.extend(
        [
            {"id": "u1", "session_id": "s1", "sender": {"user_id": "u"}, "content": contents()[2]},
            *(agent_message("s1", f"h{number}", content) for number, content in enumerate(contents())),
            {"id": "x", "session_id": "s1", "sender": {}, "content": {"type": "odd"}},
        ]
    )

    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        told = turn("s1", "m1", ["Hel", "lo"], idle=False)
        told += [notification("s1", f"n{number}", content) for number, content in enumerate(contents())]
        told += [frames.participant_status("s1", name) for name in ("Typing", "AwaitingApproval", "Somewhere")]
        told += [
            frames.ack("post_messages", "s1"),
            frames.refusal("post_messages", "s1", "no"),
            {"type": "post_message", "session_id": "s1", "success": False},
            frames.error("failed", "post_message", "s1"),
            {"type": "error"},
            frames.pong("s1"),
            {"type": "message_delta", "message_id": "m2", "index": 0, "value": "without a session"},
            {"type": "disconnect_session", "session_id": "s1"},
            frames.participant_status("s1", "Idle"),
        ]
        conn.send_many(told)


def test_every_frame_becomes_the_event_that_it_becomes_in_the_official_sdk() -> None:
    theirs, ours = both(EVENTS, prepare=tell_everything)
    assert ours == theirs
    assert len(ours[1]) > 40


# ---- one-shot runs of agents -----------------------------------------------------------------

RUNS = """
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
    for text in ("never complete", "two messages", "error", "error after a piece", "approval", "pause", "reauth"):
        await show(agent, text)
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
REPLIES: dict[str, list[Frame]] = {
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


def answer_runs(engine: ScriptEngine) -> None:
    def answer(conn: Connection, frame: Received) -> None:
        kind, text = frame["type"], frame.get("content") or frame["messages"][0]
        if text in REFUSALS:
            conn.send({"type": kind, "session_id": "s1", **REFUSALS[text]})
        elif text == "refused by an error":
            conn.send({"type": "error", "error": "no such thing", "request_type": kind})
        else:
            conn.send_many([frames.ack(kind, "s1"), *REPLIES[text]])

    engine.on("post_message", answer)
    engine.on("post_messages", answer)


def test_runs_give_what_they_give_in_the_official_sdk() -> None:
    (they_said, theirs), (we_said, ours) = both(RUNS, prepare=answer_runs)
    assert ours == theirs
    assert len(ours) == 19
    # A session that waits for an answer is left alive here, as the error promises, and ended there.
    waiting, leaving = [7, 8, 9], ("terminate_session", "disconnect_session")
    endings, their_endings = ([one["type"] for one in sent if one["type"] in leaving] for sent in (we_said, they_said))
    for index, (ending, their_ending) in enumerate(zip(endings, their_endings, strict=True)):
        assert their_ending == ending or (index in waiting and ending == "disconnect_session")
    talk = ("create_session", "connect_session", "post_message", "post_messages")
    assert [frame for frame in we_said if frame["type"] in talk] == [f for f in they_said if f["type"] in talk]
