"""The official SDK and ours make the same calls and send the same bodies."""

import email
import json
import re
from typing import Any

import pytest

from sessionlib import agent, chatbot
from tests.support import sdk_scenarios
from tests.support.http_server import KEY, Handler, Reply, Seen, Server
from tests.support.processes import run_script

WIRE_AGENT = {
    "_id": "agent-1",
    "name": "Fetched",
    "mainBranch": "branch-1",
    "llm_client_key": {"provider": "openai", "model_id": "gpt-4o", "json_output": False, "new_knob": {"a": [1]}},
    "agent_type": "functional",
    "instructions": "Use {{inputs.input_65f0c0ffee65f0c0ffee65f0}}.",
    "inputs": {
        "input_65f0c0ffee65f0c0ffee65f0": {"name": "topic", "io_type": "string", "description": "d"},
        "input_65f0c0ffee65f0c0ffee65f1": {"name": "paper", "io_type": "file", "description": None},
    },
    "outputs": {"output_65f0c0ffee65f0c0ffee65f2": {"name": "brief", "io_type": "string", "description": ""}},
    "tools": {
        "custom_tool_1": {
            "id": "custom_tool_1",
            "name": "first",
            "description": "d",
            "approval_config": "let_agent_decide",
            "value": {"node_type": "custom_tool", "task_name": "custom_tool", "inputs": {}, "tool_type": "file_search"},
        }
    },
    "enable_subagents": True,
    "editable_object_types": ["Pipeline"],
    "local_tools": [{"name": "refund", "schema": {"type": "object"}}],
    "created_at": "2026-01-01",
    "versions": [1, 2],
}
WIRE_CONVERSATIONAL = {
    **WIRE_AGENT,
    "_id": "conversational",
    "agent_type": "conversational",
    "memory_config": {"enable_session_memory": False, "new_memory": 7},
}
WIRE_BOT = {"_id": "bot-1", "name": "Bot", "description": "d", "pipeline": {"object_id": "pipeline-1"}}
RUN = {"outputs": {"output_65f0c0ffee65f0c0ffee65f2": "dry", "unknown": 1}, "run_id": "run-1"}

ANSWERS = {
    "GET /agent": {"object": WIRE_AGENT},
    "GET /agents": {"objects": [WIRE_AGENT, WIRE_CONVERSATIONAL]},
    "POST /agent": {"id": "agent-1"},
    "POST /agent/agent-1/run": RUN,
    "GET /chatbot": {"object": WIRE_BOT},
    "GET /chatbots": {"object_ids": ["bot-1", "bot-2"]},
    "POST /chatbot": {"id": "bot-1"},
    "POST /chatbot/bot-1/run": {"conversation_id": "c", "output_message": "Hi", "status": "success"},
}


def answer(handler: Handler) -> None:
    path, _, query = handler.path.removeprefix("/v1").partition("?")
    told: Any = ANSWERS.get(f"{handler.command} {path}", {"status": "ok"})
    if path == "/agent" and query == "id=conversational":
        told = {"object": WIRE_CONVERSATIONAL}
    Reply(body=told)(handler)


def recorded(seen: list[Seen]) -> list[dict[str, Any]]:
    """What counts of the calls: method, path, query and body, with ids by what they stand for."""
    return [{"method": s.method, "path": s.path, "query": s.query, "body": _body(s)} for s in seen]


def _body(seen: Seen) -> Any:
    kind = seen.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        whole = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + seen.raw)
        return sorted((_part(part) for part in whole.get_payload()), key=repr)  # type: ignore[arg-type]
    return _mapped(json.loads(seen.raw)) if seen.raw else None


def _part(part: Any) -> tuple[str, Any, str, Any]:
    value = part.get_payload(decode=True)
    name = part.get_param("name", header="content-disposition")
    if name == "inputs":
        value = json.loads(value)
    return name, part.get_filename(), part.get_content_type(), value


def _mapped(body: Any) -> Any:
    """Puts names for the ids that a client makes by itself: those of new inputs, outputs and tools."""
    text = json.dumps(body)
    for kind in ("inputs", "outputs", "tools"):
        for made, one in body.get(kind, {}).items() if isinstance(body.get(kind), dict) else ():
            # Ids that the server gave, all c0ffee, have to stay what they are.
            if re.search(r"_[0-9a-f]{24}$", made) and "c0ffee" not in made:
                text = text.replace(made, f"<{kind}:{one['name']}>")
    return json.loads(text)


@pytest.fixture(scope="module")
def official() -> dict[str, list[dict[str, Any]]]:
    """What the official SDK sent, by scenario."""
    server = Server()
    server.answer(answer)
    environment = {"VECTORSHIFT_API_KEY": KEY, "VECTORSHIFT_BASE_URL": server.url}
    done = run_script("from tests.support.sdk_scenarios import main; main()", env=environment, timeout=280)
    server.stop()
    assert done.stdout == "done\n", done
    by_scenario: dict[str, list[Seen]] = {}
    for seen in server.seen:
        if seen.path.startswith("/v1/scenario/"):
            current = by_scenario.setdefault(seen.path.rpartition("/")[2], [])
        else:
            current.append(seen)
    return {name: recorded(calls) for name, calls in by_scenario.items()}


@pytest.mark.parametrize("scenario", sdk_scenarios.SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_same_calls(
    official: dict[str, list[dict[str, Any]]], server: Server, scenario: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VECTORSHIFT_API_KEY", KEY)
    monkeypatch.setenv("VECTORSHIFT_BASE_URL", server.url)
    server.answer(answer)
    scenario(agent, chatbot)
    ours = recorded(server.seen)
    assert ours
    assert ours == official[scenario.__name__]
    assert {seen.headers["authorization"] for seen in server.seen} == {f"Bearer {KEY}"}
