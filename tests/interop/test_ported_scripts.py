"""Scripts for the official SDK, and what `sessionlib port` makes of them: both run on the embedded engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionlib.cli.port import port_source
from tests.support.engine import KEY, Process, make_agent
from tests.support.processes import ROOT, run_script
from tests.support.sdk_scripts import SCRIPTS

TOOLS = '''
from sessionlib.engine import tool

@tool
def add(a: int, b: int = 1) -> int:
    """Add."""
    return a + b

@tool(approval="requires_approval")
def refund(order_id: str, amount: float = 1.0) -> str:
    """Refund."""
    return f"refunded {amount:g} for {order_id}"
'''

AGENTS = """
from vectorshift.agent import Agent, AgentType, LlmInfo
from vectorshift.request import NotFoundError

llm = LlmInfo(provider="openai", model_id="gpt-4o")
made = Agent.new("Official", llm, instructions="Be brief.", agent_type=AgentType.CONVERSATIONAL)
fetched = Agent.fetch(id=made.id)
assert fetched.id == Agent.fetch(name="Official").id == made.id
fetched.name = "Renamed"
fetched.update_instructions("Be long.")
fetched.save()
again = Agent.fetch(id=made.id)
print(again.agent_type, again.name, again.instructions, again.llm_info.model_id)
assert made.id in [agent.id for agent in Agent.list()]
assert "Renamed" in [agent.name for agent in Agent.list(limit=10, verbose=True)]
again.delete()
assert made.id not in [agent.id for agent in Agent.list()]
try:
    Agent.fetch(id=made.id)
except NotFoundError as error:
    print(error.status_code)
"""

CHATBOTS = """
import asyncio
from vectorshift.chatbot import Chatbot

async def main():
    made = Chatbot.new("Bot", "A bot", "pipeline-1")
    fetched = Chatbot.fetch(name="Bot")
    assert made.id in [bot.id for bot in Chatbot.list()]
    run = fetched.run("hello")
    again = fetched.run("more", conversation_id=run["conversation_id"])
    print(fetched.pipeline_id, run["output_message"], again["output_message"])
    async with await fetched.create_session() as session:
        await session.send("in a session")
        async for event in session.listen():
            if event.is_turn_end:
                print(event.type)
                break
    fetched.delete()
    assert made.id not in [bot.id for bot in Chatbot.list()]

asyncio.run(main())
"""
PRINTED = {
    AGENTS: "conversational Renamed Be long. gpt-4o\n404\n",
    CHATBOTS: 'pipeline-1 Demo model: echoes your message. You said: "hello" You said: "more"\nparticipant_status\n',
}

WRONG_KEY = """
import asyncio
from vectorshift.agent import Agent
from vectorshift.request import AuthenticationError
from vectorshift.session import Session, SessionError

async def main():
    try:
        Agent.list()
    except AuthenticationError as error:
        print(error.status_code)
    try:
        await Session(session_id="any").connect()
    except SessionError as error:
        print("401" in str(error))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("engine")
    (folder / "tools.py").write_text(TOOLS)
    engine = Process(folder, "--tools", str(folder / "tools.py")).ready()
    yield engine
    assert engine.stop() == 0
    engine.kill()


@pytest.fixture(scope="module")
def agent_id(served: Process) -> str:
    return make_agent(served, agent_type="conversational")


def printed(script: str, engine: Process, *arguments: str, key: str = KEY) -> str:
    """Runs a script with the official SDK, and what is made of it with ours, and returns what both print."""
    environment = {"VECTORSHIFT_BASE_URL": engine.base_url, "VECTORSHIFT_API_KEY": key}
    theirs = run_script(script, *arguments, env=environment, timeout=200)
    assert theirs.rc == 0, theirs
    assert theirs.stdout.strip()
    ours = run_script(port_source(script).text, *arguments, env=environment, timeout=200)
    assert (ours.rc, ours.stderr, ours.stdout) == (0, "", theirs.stdout)
    return theirs.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_ported_script_prints_what_it_printed(name: str, served: Process, agent_id: str) -> None:
    printed(SCRIPTS[name], served, agent_id)


@pytest.mark.parametrize("script", PRINTED, ids=["agents", "chatbots"])
def test_what_is_made_fetched_listed_changed_run_and_deleted(script: str, served: Process) -> None:
    assert printed(script, served) == PRINTED[script]


def test_a_wrong_key_gives_401(served: Process) -> None:
    assert printed(WRONG_KEY, served, key="wrong") == "401\nTrue\n"


def test_ported_scripts_pass_the_checks_of_others(tmp_path: Path) -> None:
    for number, script in enumerate(SCRIPTS.values()):
        (tmp_path / f"script_{number}.py").write_text(port_source(script).text)
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "."]
    mypy = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "--follow-imports=silent", "."]
    # An editable install can be imported, but mypy does not find it.
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    for command in (ruff, mypy):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(SCRIPTS) >= 25
