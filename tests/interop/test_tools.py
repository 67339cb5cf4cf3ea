"""Every kind of tool of the platform: the wire form that we make of it, and the official SDK's, compared."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from sessionlib.agent import tools
from sessionlib.agent.tool import Tool, ToolInput
from sessionlib.agent.tools import AgentTools
from tests.support.processes import ROOT, run_script
from tests.support.secrets import SENTINEL_KEY

# Nothing listens there: the SDK and we look up the inputs of a pipeline, and go on without.
NOWHERE = {"VECTORSHIFT_BASE_URL": "http://127.0.0.1:9/v1", "VECTORSHIFT_API_KEY": SENTINEL_KEY}

# Values of every wire type; by its own facts, not by ours, the SDK's side says which inputs to set.
THEIRS = """
import inspect, json, sys
from vectorshift.agent import Agent, AgentTools
from vectorshift.agent.tool import ToolInput
from vectorshift.agent import tools as generated

VALUES = {"string": "some text", "bool": True, "int32": 7, "int64": 8, "float": 0.5, "file": {"id": "f1"}}

def value_of(wire):
    if wire.startswith("vec<"):
        return [value_of(wire[4:-1])]
    if wire.startswith("map<"):
        return {"key": "value"}
    return VALUES.get(wire, "id-of-" + wire.partition("<")[0])

def wire(tool, **given):
    made = tool(tool_name="its name", id="its id", **given)
    [sent] = Agent._serialize_tools([made]).values()
    del sent["description"]
    return sent

def case(kind, tool, given, dynamic=()):
    inputs = {**given, **{name: ToolInput(type="dynamic", description=text) for name, text in dynamic}}
    print(json.dumps([kind, tool.__name__, given, list(dynamic), wire(tool, **inputs)]))

for kind in sorted(dir(AgentTools)):
    tool = getattr(AgentTools, kind)
    if tool.__module__ != generated.__name__:
        continue
    case(kind, tool, {})
    common = {one["field"]: value_of(one["type"]) for one in tool._COMMON_INPUTS}
    for name, value in common.items():
        case(kind, tool, {name: value})
        if name not in tool._PARAMS:
            case(kind, tool, {}, [(name, "what the model is to give")])
    for pattern, config in tool._CONFIGS.items():
        parts = pattern.split("**")
        if pattern.startswith("[") or len(parts) != len(tool._PARAMS):
            continue
        chosen = {name: part for name, part in zip(tool._PARAMS, parts) if part != "(*)"}
        chosen = {name: {"true": True, "false": False}.get(part, part) for name, part in chosen.items()}
        # An input called "id" cannot be given: every tool has an argument of that name.
        inputs = {one["field"]: value_of(one["type"]) for one in config.get("inputs", []) if one["field"] != "id"}
        case(kind, tool, chosen)
        case(kind, tool, {**common, **inputs, **chosen})
        for name, value in inputs.items():
            case(kind, tool, {**chosen, name: value} if name not in chosen else chosen)
"""


@pytest.fixture(scope="module")
def cases() -> list[Any]:
    ran = run_script(THEIRS, env=NOWHERE, timeout=280)
    assert ran.rc == 0, ran
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)


def sent(tool: Tool) -> Any:
    wire = json.loads(json.dumps(tool.to_dict()))
    assert wire.pop("description")
    return wire


def test_every_tool_goes_out_as_the_official_sdk_sends_it(cases: list[Any]) -> None:
    assert len({kind for kind, *_ in cases}) == 264
    for kind, name, given, dynamic, wire in cases:
        inputs = {**given, **{one: ToolInput(type="dynamic", description=text) for one, text in dynamic}}
        made = getattr(tools, name)(tool_name="its name", id="its id", **inputs)
        assert type(made) is getattr(AgentTools, kind)
        assert sent(made) == wire, (kind, given, dynamic)
    assert len(cases) > 10_000


def test_the_table_is_what_the_installed_sdk_says() -> None:
    script = ROOT / ".ci" / "catalogue.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
