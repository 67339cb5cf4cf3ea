"""What the official SDK does here, as programs of their own: it is asynchronous, and reads its environment once."""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from typing import Any

warnings.filterwarnings("ignore")

from vectorshift.agent import Agent, AgentType, LlmInfo  # noqa: E402
from vectorshift.agent.object import ConversationalRunActionRequiredError  # noqa: E402
from vectorshift.chatbot import Chatbot  # noqa: E402
from vectorshift.session import Session, SessionError, UserSessionMessage  # noqa: E402


def _agent() -> Agent:
    return Agent.new(
        "Official",
        LlmInfo(provider="openai", model_id="gpt-4o"),
        instructions="Be brief.",
        agent_type=AgentType.CONVERSATIONAL,
    )


async def agents() -> dict[str, Any]:
    made = _agent()
    fetched = Agent.fetch(id=made.id)
    by_name = Agent.fetch(name="Official")
    fetched.name = "Renamed"
    fetched.update_instructions("Be long.")
    fetched.save()
    again = Agent.fetch(id=made.id)
    listed = [agent.id for agent in Agent.list()]
    verbose = [agent.name for agent in Agent.list(limit=10, verbose=True)]
    again.delete()
    try:
        Agent.fetch(id=made.id)
        gone = ""
    except Exception as error:
        gone = type(error).__name__
    return {
        "same": fetched.id == by_name.id == made.id,
        "type": str(fetched.agent_type),
        "name": again.name,
        "instructions": again.instructions,
        "model": again.llm_info.model_id,
        "listed": made.id in listed,
        "verbose": verbose,
        "gone": gone,
        "left": [agent.id for agent in Agent.list()],
    }


async def chatbots() -> dict[str, Any]:
    made = Chatbot.new("Bot", "A bot", "pipeline-1")
    fetched = Chatbot.fetch(name="Bot")
    listed = [bot.id for bot in Chatbot.list()]
    run = fetched.run("hello")
    again = fetched.run("more", conversation_id=run["conversation_id"])
    async with await fetched.create_session() as session:
        said = await _say(session, "in a session")
    fetched.delete()
    return {
        "pipeline": fetched.pipeline_id,
        "listed": listed == [made.id],
        "output": run["output_message"],
        "again": again["output_message"],
        "session": said[-1],
        "left": [bot.id for bot in Chatbot.list()],
    }


async def _say(session: Session, content: str) -> list[str]:
    await session.send(content)
    return await _listen(session)


async def _listen(session: Session, **answer: Any) -> list[str]:
    told: list[str] = []
    async for event in session.listen():
        told.append(str(event.type))
        if event.is_complete:
            told.append(event.text)
        if event.type == "approval_request" and answer:
            told.append(json.dumps(event.data["arguments"]))
            await session.respond(event, **answer)
        if event.is_turn_end:
            return told
    return told


async def turns() -> dict[str, Any]:
    agent = _agent()
    async with await agent.create_session() as session:
        streamed = await _say(session, "hello there")
        tool = await _say(session, '/tool add {"a": 2}')
        await session.send('/tool refund {"order_id": "7"}')
        granted = await _listen(session, approved=True, confirm={"amount": 3})
        await session.send('/tool refund {"order_id": "8"}')
        denied = await _listen(session, approved=False, deny_reason="too late")
        await session.send_many([UserSessionMessage(content="look", files=[b"one", b"two"]), "and this"])
        batch = await _listen(session)
        history = [(message.is_user, message.text) for message in await session.get_messages()]
        session_id = session.session_id
    run = await agent.run("just once")
    try:
        await agent.run('/tool refund {"order_id": "9"}')
        required = ""
    except ConversationalRunActionRequiredError as error:
        required = type(error).__name__
    return {
        "streamed": streamed,
        "tool": tool[-2],
        "granted": granted,
        "denied": denied,
        "batch": batch,
        "history": history,
        "session_id": session_id,
        "run": [run.status, run.final_message],
        "required": required,
    }


async def resume(session_id: str) -> dict[str, Any]:
    async with Session(session_id=session_id) as session:
        history = len(await session.get_messages())
        said = await _say(session, "back again")
        await session.terminate()
    try:
        await Session(session_id=session_id).connect()
        refused = ""
    except SessionError as error:
        refused = str(error)
    return {"history": history, "said": said[-2], "refused": refused}


async def wrong_key() -> dict[str, Any]:
    told = []
    try:
        Agent.list()
    except Exception as error:
        told.append(getattr(error, "status_code", None))
    try:
        await Session(session_id="any").connect()
    except SessionError as error:
        told.append("401" in str(error))
    return {"told": told}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(globals()[sys.argv[1]](*sys.argv[2:]))))
