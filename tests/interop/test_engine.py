"""The official SDK with the engine as its platform."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import KEY, Process
from tests.support.processes import run_script

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


@pytest.fixture
def served(process: Callable[..., Process], tmp_path: Path) -> Process:
    tools = tmp_path / "tools.py"
    tools.write_text(TOOLS)
    return process("--tools", str(tools), "--db", str(tmp_path / "engine.db")).ready()


def official(engine: Process, name: str, *arguments: str, key: str = KEY) -> dict[str, Any]:
    environment = {"VECTORSHIFT_BASE_URL": engine.base_url, "VECTORSHIFT_API_KEY": key}
    script = "import runpy; runpy.run_module('tests.support.official_sdk', run_name='__main__')"
    done = run_script(script, name, *arguments, env=environment, timeout=280)
    assert done.rc == 0, done
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_agents_are_made_fetched_listed_saved_and_deleted(served: Process) -> None:
    told = official(served, "agents")
    assert told == {
        "same": True,
        "type": "conversational",
        "name": "Renamed",
        "instructions": "Be long.",
        "model": "gpt-4o",
        "listed": True,
        "verbose": ["Renamed"],
        "gone": "NotFoundError",
        "left": [],
    }


def test_chatbots_are_made_fetched_listed_run_and_deleted(served: Process) -> None:
    told = official(served, "chatbots")
    assert '"hello"' in told.pop("output")
    assert '"more"' in told.pop("again")
    assert told == {"pipeline": "pipeline-1", "listed": True, "session": "participant_status", "left": []}


def test_turns_tools_approvals_batches_history_and_resuming(served: Process) -> None:
    told = official(served, "turns")
    assert told["streamed"].count("message_delta") > 3
    assert '"hello there"' in told["streamed"][-2]
    assert told["tool"].endswith("add gave: 3")
    assert '{"order_id": "7"}' in told["granted"]
    assert told["granted"][-2].endswith("refund gave: refunded 3 for 7")
    assert told["denied"][-2].endswith("denied: too late")
    assert '"look\nand this"' in told["batch"][-2]
    assert "2 bytes" not in told["batch"][-2]
    assert told["batch"][-2].count("3 bytes") == 2
    texts = [text for is_user, text in told["history"] if is_user]
    assert texts[0] == "hello there"
    assert texts[-1] == "and this"
    assert told["run"][0] == "complete"
    assert '"just once"' in told["run"][1]
    assert told["required"] == "ConversationalRunActionRequiredError"

    resumed = official(served, "resume", told["session_id"])
    assert resumed["history"] == len(told["history"])
    assert resumed["said"] == 'You said: "back again"'
    assert told["session_id"] in resumed["refused"]


def test_a_wrong_key_gives_401(served: Process) -> None:
    assert official(served, "wrong_key", key="wrong") == {"told": [401, True]}
