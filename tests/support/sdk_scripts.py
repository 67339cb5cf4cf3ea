"""Scripts for the official async SDK, of the shapes that its documentation has, by what they show.

Each takes the id of an agent as its argument, runs on the embedded engine with its demo model, and prints what does not
differ from run to run.
"""

from __future__ import annotations

import re

_SHOWN = {
    "asynchronous twins": """
import vectorshift
from vectorshift import Agent, Session

async def main() -> None:
    agent = await Agent.afetch(id=sys.argv[1])
    print(agent.name, isinstance(agent, vectorshift.Agent))
    session: Session = await agent.create_session()
    await session.connect()
    try:
        await session.send("two words")
        async for event in session.listen():
            if event.is_turn_end:
                break
        print([m.text for m in await session.get_messages() if m.is_user])
    finally:
        await session.disconnect()
    print(session.is_connected)
""",
    "a run": """
async def main():
    agent = Agent.fetch(id=sys.argv[1])
    result = await agent.run("Summarize this", files=[b"some bytes"])
    print(result.status, result.error, bool(result.session_id))
    print(result.final_message)
    print([event.type.value for event in result.events if event.is_complete])
""",
    "many runs at once": """
from vectorshift.agent import Agent

PROMPTS = ["red", "green", "blue", "black"]

async def main():
    agent = Agent.fetch(id=sys.argv[1])
    results = await asyncio.gather(*[agent.run(prompt) for prompt in PROMPTS])
    for prompt, result in zip(PROMPTS, results):
        print(prompt, result.status, prompt in result.final_message)
""",
    "runs with a prompt template": """
async def main():
    agent = Agent.fetch(id=sys.argv[1])
    cities = ["Rome", "Oslo"]
    results = await asyncio.gather(
        *(agent.run(f"Weather in {city}?", timeout=60) for city in cities), return_exceptions=True
    )
    print([f"Weather in {city}?" in result.final_message for city, result in zip(cities, results)])
""",
    "a list of tasks": """
async def ask(agent, text):
    return (await agent.run(text)).status, text

async def main():
    agent = Agent.fetch(id=sys.argv[1])
    tasks = []
    for text in ("a", "b", "c"):
        tasks.append(asyncio.create_task(ask(agent, text)))
    print(await asyncio.gather(*tasks))
    others = [ask(agent, text) for text in ("d", "e")]
    print(await asyncio.gather(*others))
""",
    "whichever is done": """
async def ask(agent, text):
    result = await agent.run(text)
    return text if result.status == "complete" else None

async def main():
    agent = Agent.fetch(id=sys.argv[1])
    done = []
    for task in asyncio.as_completed([ask(agent, text) for text in ("x", "y", "z")]):
        done.append(await task)
    print(sorted(done))
""",
    "a listener beside": """
from vectorshift.session import Session

async def listen(session, texts):
    async for event in session.listen():
        if event.is_complete:
            texts.append(event.text)
        if event.is_turn_end and texts:
            return

async def talk(session):
    await asyncio.sleep(0.05)
    await session.send("from beside")

async def main():
    texts = []
    async with Session(owner_type="agent", owner_id=sys.argv[1]) as session:
        await asyncio.gather(listen(session, texts), talk(session))
    print(len(texts), "from beside" in texts[0])
""",
    "calls that are passed on": """
from contextlib import aclosing
from typing import Any, Awaitable, Coroutine, TypeVar

from vectorshift import Agent, VectorshiftError

T = TypeVar("T")

async def at_most(n: int, *coros: Coroutine[Any, Any, T]) -> list[T]:
    semaphore = asyncio.Semaphore(n)

    async def limited(coro: Coroutine[Any, Any, T]) -> T:
        async with semaphore:
            return await coro

    return await asyncio.gather(*(limited(coro) for coro in coros))

async def within(job: Awaitable[T], seconds: float = 20) -> T | None:
    try:
        return await asyncio.wait_for(job, timeout=seconds)
    except asyncio.TimeoutError:
        return None

async def attempt(job: Awaitable[Any]) -> str:
    try:
        return str(await job)
    except VectorshiftError as error:
        return type(error).__name__

async def run_all(jobs: list[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*jobs, return_exceptions=True)

async def ask(agent: Agent, text: str, delay: float = 0) -> str:
    await asyncio.sleep(delay)
    return (await agent.run(text)).final_message.split()[-1]

async def numbers():
    for number in range(3):
        yield number

async def main() -> None:
    agent = Agent.fetch(id=sys.argv[1])
    print(await at_most(2, *[ask(agent, text) for text in "abc"]), await at_most(1, ask(agent, "d")))
    print(await within(ask(agent, "e")), await within(ask(agent, "f", 1), seconds=0.05))
    print(await attempt(Agent.afetch(id="0" * 24)), await attempt(ask(agent, "g")))
    print(await run_all([ask(agent, "h"), ask(agent, "i")]))
    first, second = ask(agent, "j"), ask(agent, "k")
    print(await asyncio.gather(first, second, asyncio.gather(ask(agent, "l"), ask(agent, "m"))))
    async with aclosing(numbers()) as stream:
        print([number async for number in stream])
""",
    "an approval": """
from vectorshift.agent import Agent
from vectorshift.events import SessionEventType

async def main():
    async with await Agent.fetch(id=sys.argv[1]).create_session() as session:
        await session.send('/tool refund {"order_id": "7", "amount": 5}')
        async for event in session.listen():
            if event.type == SessionEventType.APPROVAL_REQUEST:
                print("asked:", event.tool_name or event.data["tool_name"])
                await session.respond_approval(event, approved=True)
            elif event.is_complete:
                print(event.text)
                break
        await session.send('/tool refund {"order_id": "8"}')
        async for event in session.listen():
            if event.type == "approval_request":
                await session.respond(event, approved=False, deny_reason="not today")
            if event.is_complete:
                print("not today" in event.text)
                break
""",
    "a run that needs an approval": """
from vectorshift.agent.object import Agent, ConversationalRunActionRequiredError

async def main():
    agent = Agent.fetch(id=sys.argv[1])
    try:
        await agent.run('/tool refund {"order_id": "9"}')
    except ConversationalRunActionRequiredError as error:
        print(error.event.type.value, bool(error.session_id))
""",
    "files": """
import asyncio
import io
import sys
import tempfile
from pathlib import Path

from vectorshift.session import Session, UserSessionMessage

async def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        path.write_text("a,b")
        async with Session(owner_type="agent", owner_id=sys.argv[1]) as session:
            await session.send("Read these", files=[path, io.BytesIO(b"x")])
            async for event in session.listen():
                if event.is_turn_end:
                    break
            await session.send_many([UserSessionMessage(content="and", files=[path]), "more"])
            async for event in session.listen():
                if event.is_turn_end:
                    break
            print(len([m for m in await session.get_messages() if m.is_user]))

asyncio.run(main())
""",
    "resuming": """
from vectorshift.agent import Agent
from vectorshift.events import SessionMessageRole

async def main():
    agent = Agent.fetch(id=sys.argv[1])
    async with await agent.create_session() as session:
        await session.send("remember me")
        async for event in session.listen():
            if event.is_turn_end:
                break
        kept = session.session_id
    async with await agent.resume_session(kept) as session:
        for message in await session.get_messages():
            if message.sender.role == SessionMessageRole.USER:
                print(message.text, message.status)
        await session.terminate()
""",
    "errors": """
from vectorshift import ApiStatusError, NotFoundError, VectorshiftError
from vectorshift.agent import Agent
from vectorshift.request import VectorshiftApiError
from vectorshift.session import Session, SessionError

async def main():
    try:
        Agent.fetch(id="65f000000000000000000000")
    except NotFoundError as error:
        print(error.status_code, isinstance(error, (ApiStatusError, VectorshiftApiError)), bool(error.raw_response))
    session = Session(owner_type="agent", owner_id=sys.argv[1])
    try:
        await session.send("too early")
    except SessionError as error:
        print(isinstance(error, VectorshiftError))
""",
    "tools": """
from vectorshift.agent import Agent, LlmInfo, ToolInput, ToolInputType
from vectorshift.agent.tools import ExaAiTool, GoogleSearchTool

async def main():
    agent = Agent.fetch(id=sys.argv[1])
    search = ExaAiTool(
        tool_name="search", query=ToolInput(type=ToolInputType.DYNAMIC, description="What to look for"), num_results=3
    )
    agent.add_tool(search).add_tool.google_search(tool_name="google")
    agent.add_tool(GoogleSearchTool(tool_name="another"))
    print([(tool.name, tool.tool_type, sorted(tool.inputs)) for tool in agent.tools])
    print(LlmInfo(provider="openai", model_id="gpt-4o").model_copy(update={"model_id": "x"}).model_dump()["model_id"])
""",
    "an event loop of one's own": """
import asyncio
import sys

from vectorshift.agent import Agent

async def main(agent):
    return (await agent.run("by hand")).status

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
# The old way.
print(loop.run_until_complete(main(Agent.fetch(id=sys.argv[1]))))
loop.close()
""",
    "an asynchronous generator": """
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vectorshift.session import Session

@asynccontextmanager
async def opened(agent_id: str):
    async with Session(owner_type="agent", owner_id=agent_id) as session:
        yield session

async def words(session: Session) -> AsyncIterator[str]:
    async for event in session.listen():
        if event.is_complete and event.text:
            for word in event.text.split():
                yield word.lower()
            return

async def main():
    async with opened(sys.argv[1]) as session:
        await session.send("count them")
        print([word async for word in words(session) if word.isalpha()])
""",
    "a client of one's own": """
from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Self

from vectorshift.events import SessionEvent
from vectorshift.session import Session

Handler = Callable[[SessionEvent], Awaitable[str | None]]

class Client:
    def __init__(self, agent_id: str) -> None:
        self.session = Session(owner_type="agent", owner_id=agent_id)

    async def __aenter__(self) -> Self:
        await self.session.connect()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.session.disconnect()

    async def ask(self, text: str, handler: Handler) -> str | None:
        await self.session.send(text)
        async for event in self.session.listen():
            found = await handler(event)
            if found is not None:
                return found
        return None

async def complete(event: SessionEvent) -> str | None:
    return event.text if event.is_complete else None

async def main() -> None:
    async with Client(sys.argv[1]) as client:
        print(await client.ask("through a class", complete))

asyncio.run(main())
""",
    "a filter of events": """
from vectorshift.agent import Agent
from vectorshift.events import ParticipantStatus, SessionEventType

async def main():
    async with await Agent.fetch(id=sys.argv[1]).create_session() as session:
        await session.send("/tool add {\\"a\\": 2, \\"b\\": 3}")
        kinds = [SessionEventType.TOOL_CALL, SessionEventType.PARTICIPANT_STATUS, SessionEventType.MESSAGE_COMPLETE]
        async for event in session.listen(event_types=kinds):
            match event.type:
                case SessionEventType.TOOL_CALL:
                    print("tool", event.tool_name)
                case SessionEventType.MESSAGE_COMPLETE:
                    print(event.text)
            if event.participant_status == ParticipantStatus.IDLE:
                break
""",
    "names from asyncio": """
import sys
from asyncio import create_task as start
from asyncio import gather, run, sleep

from vectorshift.agent import Agent

async def ask(agent, text):
    await sleep(0.01)
    return (await agent.run(text)).status

async def main():
    agent = Agent.fetch(id=sys.argv[1])
    task = start(ask(agent, "one"))
    print(await gather(ask(agent, "two"), ask(agent, "three")), await task)

run(main())
""",
    "a limit on a call": """
async def main():
    agent = Agent.fetch(id=sys.argv[1])
    async with asyncio.timeout(30):
        # This may take a while.
        result = await agent.run("in time")
    print(result.status)
    session = await asyncio.wait_for(agent.create_session(), timeout=30)
    await asyncio.wait_for(session.connect(), timeout=30)
    await session.send("and a history")
    async for event in session.listen():
        if event.is_complete:
            break
    print(len(await asyncio.wait_for(session.get_messages(), 30)))
    await session.terminate()
""",
    "a limit on a conversation": """
from vectorshift.events import SessionEventType
from vectorshift.session import Session

async def main():
    async with Session(owner_type="agent", owner_id=sys.argv[1]) as session:
        try:
            async with asyncio.timeout(30):
                await session.send("One question")
                async for event in session.listen():
                    if event.is_complete:
                        print(event.text)
                        break
            async with asyncio.timeout(0.2):
                async for event in session.listen(event_types=[SessionEventType.MESSAGE_COMPLETE]):
                    print("more:", event.text)
        except TimeoutError:
            print("nothing more")
""",
    "a queue with a limit": """
from vectorshift import Agent

class Desk:
    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.inbox: asyncio.Queue[str] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.worker = asyncio.create_task(self.work())

    async def work(self) -> None:
        while True:
            try:
                question = await asyncio.wait_for(self.inbox.get(), timeout=0.3)
            except asyncio.TimeoutError:
                self.closed.set()
                return
            result = await self.agent.run(question)
            print(question, result.status)

    async def stop(self) -> None:
        await asyncio.wait_for(self.closed.wait(), 30)
        if self.worker is not None:
            await self.worker

async def main() -> None:
    desk = Desk(Agent.fetch(id=sys.argv[1]))
    await desk.start()
    for question in ("one", "two"):
        await desk.inbox.put(question)
    await desk.stop()
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.05)
    except asyncio.TimeoutError:
        print("no event")
""",
    "one name for several things": """
async def ask(agent, task):
    return (await agent.run(task)).final_message.split()[-1]

async def wait_for_it(job):
    return await job

async def show(task):
    print(task)

def begin(agent, text):
    return asyncio.create_task(ask(agent, text))

async def main():
    agent = Agent.fetch(id=sys.argv[1])
    task = asyncio.create_task(ask(agent, "first"))
    await show(await task)
    await show(await wait_for_it(asyncio.create_task(ask(agent, "second"))))
    await show(await begin(agent, "third"))
    later = begin(agent, "fourth")
    await show(await asyncio.shield(later))
    by_name = {}
    for name in ("fifth", "sixth"):
        by_name[name] = asyncio.create_task(ask(agent, name))
    for name, task in by_name.items():
        await show((name, await task))
""",
    "the first of several": """
async def ask(agent, text, delay):
    await asyncio.sleep(delay)
    return (await agent.run(text)).final_message.split()[-1]

async def main():
    agent = Agent.fetch(id=sys.argv[1])
    tasks = [asyncio.create_task(ask(agent, "slow", 1)), asyncio.create_task(ask(agent, "fast", 0))]
    done, pending = await asyncio.wait(tasks, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    print([await task for task in done], len(pending))
    done, pending = await asyncio.wait(tasks)
    print(sorted(task.result() for task in done), len(pending))
    running = set()
    for text in ("a", "b"):
        task = asyncio.create_task(ask(agent, text, 0))
        running.add(task)
        task.add_done_callback(running.discard)
    print(sorted(await asyncio.wait_for(asyncio.gather(*running), 30)))
""",
    "an agent of one's own": """
import asyncio

from vectorshift.agent import Agent, AgentType, LLMInfo, MemoryConfig

async def main() -> None:
    agent = Agent.new(
        name="Guide to gardens",
        type=AgentType.CONVERSATIONAL,
        llm_info=LLMInfo(provider="openai", model_id="gpt-4o"),
        instructions="Be brief.",
        memory_config=MemoryConfig(enable_session_memory=True),
    )
    print(f"made {agent.name}")
    first = await agent.run("Which flowers like shade?", keep_alive=True)
    print(first.status, bool(first.session_id), first.final_message)
    second = await agent.run("And which like sun?", session_id=first.session_id)
    print(second.status, second.session_id == first.session_id, second.final_message)
    agent.delete()
    print("gone")

if __name__ == "__main__":
    asyncio.run(main())
""",
    "an end in the middle": """
from vectorshift.agent import Agent
from vectorshift.events import SessionEventType
from vectorshift.session import Session, SessionError

async def main() -> None:
    agent = Agent.fetch(id=sys.argv[1])
    session = await agent.create_session()
    await session.connect()
    saved = session.session_id
    await session.send("Tell me a long story")
    async for event in session.listen():
        if event.delta:
            print("first piece:", event.delta)
            await session.terminate()
            break
    print("connected:", session.is_connected)
    try:
        again = Session(session_id=saved)
        await again.connect()
        await again.send("Are you there?")
        async for event in again.listen(event_types=[SessionEventType.MESSAGE_COMPLETE, SessionEventType.ERROR]):
            print("answered" if event.is_complete else "refused")
            break
    except SessionError:
        print("refused")
""",
    "tools and what they gave": """
from vectorshift import ToolApprovalConfig
from vectorshift.agent import Agent, AgentType, LLMInfo
from vectorshift.agent.tool import ToolInput, ToolInputType
from vectorshift.agent.tools import ExaAiTool
from vectorshift.events import SessionEventType

async def main() -> None:
    search = ExaAiTool(
        tool_name="search",
        query=ToolInput(type=ToolInputType.DYNAMIC, description="What to look for"),
        num_results=ToolInput(type=ToolInputType.STATIC, description="How many", value=5),
        approval_config=ToolApprovalConfig.REQUIRES_APPROVAL,
    )
    made = Agent.new(
        name="Searcher",
        type=AgentType.CONVERSATIONAL,
        llm_info=LLMInfo(provider="openai", model_id="gpt-4o"),
        tools=[search],
    )
    made.add_tool.wikipedia(tool_name="encyclopedia", query=ToolInput(type=ToolInputType.DYNAMIC))
    print([(tool.name, tool.tool_type) for tool in made.tools])
    made.delete()
    async with await Agent.fetch(id=sys.argv[1]).create_session() as session:
        await session.send('/tool refund {"order_id": "7", "amount": 9.5}')
        async for event in session.listen():
            if event.type == SessionEventType.APPROVAL_REQUEST:
                await session.respond(event, approved=True)
            elif event.data.get("result"):
                print("result:", event.data.get("result"))
            elif event.is_complete:
                print(event.text)
            elif event.is_turn_end:
                break
""",
    "values of models": """
import json
import sys

from vectorshift.agent import Agent, IoConfig, LlmInfo, MemoryConfig
from vectorshift.agent.tool import ToolInput, ToolInputType

info = LlmInfo(provider="openai", model_id="gpt-4o")
print(info.model_dump(exclude_none=True), info.model_copy(update={"model_id": "other"}).model_id)
print(json.dumps(info.model_dump(exclude_defaults=True)), info.model_dump_json(include={"provider"}))
print(json.loads(MemoryConfig(enable_session_memory=True).model_dump_json())["enable_session_memory"])
print(IoConfig(io_type="string", description="A name").model_dump(exclude_none=True))
given = ToolInput(type=ToolInputType.DYNAMIC, description="What to look for")
print(given.model_dump(mode="json"), ToolInput.model_validate(given.model_dump()) == given)
print(given.model_copy(deep=True) is given, given.model_dump_json(indent=1))
fetched = Agent.fetch(id=sys.argv[1]).llm_info
print(fetched and fetched.model_dump(exclude_none=True)["provider"])
""",
}


def _whole(shown: str) -> str:
    """Returns a script with what nearly all begin and end with, unless it does so itself, and all its blank lines."""
    if "import sys" not in shown and "import asyncio" not in shown:
        if "import" not in shown:
            shown = f"from vectorshift.agent import Agent\n{shown}"
        shown = shown.lstrip()
        blank = "" if shown.startswith(("from contextlib", "from collections")) else "\n"
        shown = f"import asyncio\nimport sys\n{blank}{shown}\nasyncio.run(main())\n"
    # Two before what is defined, as linters ask behind imports.
    return re.sub(r"\n\n(?=@|class |def |async def )", "\n\n\n", shown)


SCRIPTS = {name: _whole(shown) for name, shown in _SHOWN.items()}

UNDECIDED = {
    "what has no counterpart": (
        """
import asyncio
import aiohttp
from vectorshift import Agent, Pipeline

async def main(job):
    task = asyncio.create_task(job())
    try:
        async with asyncio.timeout(5):
            await job
    except asyncio.CancelledError:
        task.cancel()
    async with aiohttp.ClientSession() as http:
        await http.get("https://example.com")
""",
        {
            3: "aiohttp is asynchronous: use requests",
            4: "sessionlib has no Pipeline: what it does is outside of sessions",
            9: "asyncio.timeout has no counterpart: pass timeout= to the call, or to listen()",
            10: "job comes from elsewhere: where it is a task, it takes job.result() now",
            11: "threads are not cancelled, so never raised: move what is done here behind the call that ends",
            12: "threads are not cancelled: disconnect its session, or let an Event stop it, or give what it waits "
            "for a timeout",
        },
    )
}
"""Scripts with what `sessionlib port` cannot decide in them: its lines, and the reasons."""
