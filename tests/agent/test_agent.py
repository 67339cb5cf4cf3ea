"""Agents: what survives a fetch and a save, runs, sessions, and what is refused before any call."""

import copy
import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib.agent import (
    Agent,
    AgentRunResult,
    AgentType,
    ConversationalAgentRunResult,
    ConversationalRunActionRequiredError,
    IOConfig,
    IoConfig,
    LLMInfo,
    LlmInfo,
    MemoryConfig,
    Tool,
)
from sessionlib.agent.agent import by_name_or_id
from sessionlib.agent.serialization import draft, read_agent
from sessionlib.client import Client
from sessionlib.errors import (
    ApiConnectionError,
    ApiError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    SessionlibError,
    TemplateReferenceError,
)
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.session import Session
from tests.support.http_server import KEY, Reply, Server
from tests.support.secrets import assert_keeps_secret

LLM = LlmInfo(provider="openai", model_id="gpt-4o")

WIRE: dict[str, Any] = {
    "_id": "a1",
    "name": "Support",
    "mainBranch": "b1",
    "llm_client_key": {**LLM.to_dict(), "new_knob": {"deep": [1, None]}},
    "agent_type": "conversational",
    "instructions": "Be kind.",
    "tools": {
        "odd_1": {
            "id": "odd_1",
            "name": "odd",
            "description": None,
            "approval_config": "ask_the_board",
            "icon": "x.png",
            "value": {"node_type": {"static_value": {"string": "odd"}}, "server": {"type": "static", "v": 1}},
        }
    },
    "inputs": {"input_1": {"name": "topic", "io_type": "string", "description": None, "required": True}},
    "outputs": {"output_1": {"name": "brief", "io_type": "string", "description": "", "format": {"kind": "md"}}},
    "memory_config": {"enable_session_memory": False, "enable_global_memory": True, "new_memory": 3},
    "local_tools": [{"name": "refund"}],
    "newer": {"field": True},
}


def fetched(server: Server, client: Client, **changes: Any) -> Agent:
    server.answer(Reply(body={"object": {**WIRE, **changes}}), Reply(body={"status": "ok"}))
    return Agent.fetch(id="a1", client=client)


# ---- fetch and save ----------------------------------------------------------------------------


def test_a_fetched_agent(server: Server, client: Client) -> None:
    agent = fetched(server, client)
    assert (agent.id, agent.name, agent.branch_id, agent.instructions) == ("a1", "Support", "b1", "Be kind.")
    assert agent.agent_type is AgentType.CONVERSATIONAL
    assert agent.llm_info is not None
    assert (agent.llm_info.model_id, agent.llm_info.extra) == ("gpt-4o", {"new_knob": {"deep": [1, None]}})
    assert agent.memory_config == MemoryConfig(False, True, {"new_memory": 3})
    assert agent.inputs["topic"] == IoConfig("string", None, "input_1", {"required": True})
    assert [(tool.id, tool.name, tool.tool_type) for tool in agent.tools] == [("odd_1", "odd", "odd")]
    assert agent.extra_fields == {"local_tools": [{"name": "refund"}], "newer": {"field": True}}
    assert agent.client is client


def test_everything_survives_a_fetch_and_a_save_but_metadata_of_the_engine(server: Server, client: Client) -> None:
    agent = fetched(server, client, created_at="2026", versions=[1], description="old", id="a1", userID="u")
    assert agent.save() == {"status": "ok"}
    renamed = {"mainBranch": "branch_id"}
    sent = {renamed.get(name, name): value for name, value in WIRE.items() if name != "_id"}
    assert server.seen[-1].json == sent


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"agent_type": "conversational"}, AgentType.CONVERSATIONAL),
        ({"agentType": "Conversational"}, AgentType.CONVERSATIONAL),
        ({"variant": "CONVERSATIONAL"}, AgentType.CONVERSATIONAL),
        ({"agent_type": "functional"}, AgentType.FUNCTIONAL),
        ({"agent_type": 3}, AgentType.FUNCTIONAL),
        ({}, AgentType.FUNCTIONAL),
    ],
)
def test_the_names_of_the_storage(said: dict[str, Any], kind: AgentType) -> None:
    other = {"memoryConfig": {"enable_global_memory": True}, "enableSubagents": True, "editableObjectTypes": ["Table"]}
    agent = Agent.from_json({"_id": {"$oid": "65f0"}, "mainBranch": {"$oid": "b"}, **said, **other})
    assert (agent.id, agent.branch_id, agent.agent_type) == ("65f0", "b", kind)
    assert agent.memory_config == MemoryConfig(enable_global_memory=True)
    assert (agent.enable_subagents, agent.editable_object_types, agent.extra_fields) == (True, ["Table"], {})


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"llm_client_key": None, "tools": None, "inputs": None, "outputs": None, "memory_config": None},
        {"llm_client_key": {"provider": "x", "json_output": None}, "instructions": None},
        {"tools": [{"name": "no id"}, {}], "inputs": {"i": None, "j": {"name": None}}, "enable_subagents": "yes"},
        {"inputs": {"i": {"name": "same"}, "j": {"name": "same"}}, "editable_object_types": "Table"},
        {"tools": {"key": {"name": "n", "value": None, "approval_config": None}}},
    ],
)
def test_an_odd_agent_loads(odd: dict[str, Any]) -> None:
    agent = Agent.from_json({"_id": "a", **odd})
    agent.llm_info = agent.llm_info or LLM
    agent.agent_type = AgentType.CONVERSATIONAL
    body = draft(agent).body
    assert len(body["inputs"]) == len(odd.get("inputs") or {})
    assert len(body["tools"]) == len(odd.get("tools") or {})
    json.dumps(body)


@pytest.mark.parametrize("told", [[], {}, {"object": None}, {"object": [1]}, 3])
def test_an_answer_that_is_none(server: Server, client: Client, told: Any) -> None:
    server.answer(Reply(body=told))
    with pytest.raises((ApiConnectionError, TypeError)):
        Agent.fetch(id="a", client=client)
    if not isinstance(told, dict):
        with pytest.raises(ApiConnectionError, match="not an object"):
            Agent.list(client=client)
        with pytest.raises(TypeError, match=r"an agent is a mapping, not (list|int)"):
            Agent.from_json(told)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
unknown_fields = st.dictionaries(st.text("xyz_", min_size=3, max_size=6), json_values, max_size=4)


@pytest.mark.slow
@given(top=unknown_fields, llm=unknown_fields, memory=unknown_fields, io=unknown_fields, value=unknown_fields)
def test_unknown_fields_of_any_shape_survive(top: Any, llm: Any, memory: Any, io: Any, value: Any) -> None:
    wire = copy.deepcopy(WIRE)
    wire.update(top)
    wire["llm_client_key"].update(llm)
    wire["memory_config"].update(memory)
    wire["inputs"]["input_1"].update(io)
    wire["tools"]["odd_1"]["value"].update(value)
    wire["tools"]["odd_1"].update(value)
    before = copy.deepcopy(wire)
    agent = Agent(**read_agent(wire))
    body = {**agent.extra_fields, **draft(agent).body}
    assert body == {name: one for name, one in before.items() if name not in ("_id", "mainBranch")}
    assert wire == before


def test_a_save_that_fails_changes_nothing_here(server: Server, client: Client) -> None:
    agent = fetched(server, client, agent_type="functional", instructions="On [[inputs.topic]] and [[inputs.new]]")
    agent.inputs["new"] = IoConfig("string")
    agent.tools = [Tool("t", tool_name="t", tool_description="[[inputs.new]]")]
    server.answer(Reply(422, {"error": "no"}), Reply(body={"status": "ok"}))
    with pytest.raises(ApiError, match="no"):
        agent.save()
    assert agent.inputs["new"].server_id is None
    assert "[[inputs.new]]" in agent.instructions
    assert agent.tools[0].description == "[[inputs.new]]"
    agent.save()
    new_id = agent.inputs["new"].server_id
    assert new_id is not None
    assert new_id in server.seen[-1].json["inputs"]
    assert agent.instructions == f"On {{{{inputs.input_1}}}} and {{{{inputs.{new_id}}}}}"
    assert agent.tools[0].description == f"{{{{inputs.{new_id}}}}}"
    agent.save()
    assert server.seen[-1].json == server.seen[-2].json


def test_a_conversational_agent_keeps_brackets(server: Server, client: Client) -> None:
    agent = fetched(server, client, instructions="[[inputs.nothing]]")
    agent.save()
    assert server.seen[-1].json["instructions"] == agent.instructions == "[[inputs.nothing]]"


# ---- new, list, delete -------------------------------------------------------------------------


def test_new_runs_as_written_for_the_official_sdk(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECTORSHIFT_API_KEY", KEY)
    monkeypatch.setenv("VECTORSHIFT_BASE_URL", server.url)
    server.answer(Reply(body={"id": "a1"}), Reply(body={"object": {**WIRE, "agent_type": None}}))
    agent = Agent.new(
        name="Support",
        llm_info=LlmInfo(provider="openai", model_id="gpt-4o"),
        agent_type=AgentType.CONVERSATIONAL,
        instructions="Be kind.",
    )
    assert [(seen.method, seen.path) for seen in server.seen] == [("POST", "/v1/agent"), ("GET", "/v1/agent")]
    assert server.seen[0].json["agent_type"] == "conversational"
    assert agent.agent_type is AgentType.CONVERSATIONAL
    assert agent.branch_id == "b1"
    # What the server keeps that was not given here stays.
    assert agent.memory_config is not None
    assert agent.memory_config.extra == {"new_memory": 3}


def test_what_was_given_wins_over_what_was_fetched(server: Server, client: Client) -> None:
    server.answer(Reply(body={"id": "a1"}), Reply(body={"object": WIRE}))
    memory = MemoryConfig(enable_session_memory=True)
    agent = Agent.new("n", LLM, memory_config=memory, enable_subagents=True, type=AgentType.FUNCTIONAL, client=client)
    assert (agent.memory_config, agent.enable_subagents, agent.agent_type) == (memory, True, AgentType.FUNCTIONAL)


def test_list(server: Server, client: Client) -> None:
    server.answer(Reply(body={"objects": [WIRE, {"_id": {"$oid": "a2"}}]}))
    agents = Agent.list(client=client)
    assert [agent.id for agent in agents] == ["a1", "a2"]
    assert server.seen[0].query == {"limit": ["50"], "offset": ["0"]}
    server.answer(Reply(body={"object_ids": ["a3", {"$oid": "a4"}]}))
    assert [agent.id for agent in Agent.list(2, 4, True, True, client=client)] == ["a3", "a4"]
    shared = {"limit": ["2"], "offset": ["4"], "include_shared": ["true"], "verbose": ["true"]}
    assert server.seen[1].query == shared
    server.answer(Reply(body={}))
    assert Agent.list(client=client) == []


def test_delete(server: Server, client: Client) -> None:
    server.answer(Reply(204, b""))
    assert Agent("a/1 ü", client=client).delete() == {}
    assert (server.seen[0].method, server.seen[0].path) == ("DELETE", "/v1/agent/a%2F1%20%C3%BC")


def test_a_key_for_one_call(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONLIB_BASE_URL", server.url)
    server.answer(Reply(body={"object": WIRE}))
    agent = Agent.fetch(id="a1", api_key=KEY)
    agent.save()
    assert [seen.headers["authorization"] for seen in server.seen] == [f"Bearer {KEY}"] * 2
    agent.client.close()


# ---- bad input, before any call ----------------------------------------------------------------

TWINS = [Tool("t", tool_name="same"), Tool("u", tool_name="same")]
BAD = {
    "no id and no name": (ValueError, lambda client: Agent.fetch(client=client)),
    "an empty id": (ValueError, lambda client: Agent.fetch(id="", client=client)),
    "a line break in an id": (ValueError, lambda client: Agent.fetch(id="a\r\nX: y", client=client)),
    "an id that is none": (TypeError, lambda client: Agent.fetch(id=7, client=client)),
    "a line break in a name": (ValueError, lambda client: Agent.fetch(name="a\nb", client=client)),
    "an empty user": (ValueError, lambda client: Agent.fetch(id="a", username="", client=client)),
    "client and key": (TypeError, lambda client: Agent.fetch(id="a", client=client, api_key="k")),
    "a client that is none": (TypeError, lambda client: Agent.fetch(id="a", client=KEY)),
    "a key with a break": (ValueError, lambda client: Agent.fetch(id="a", api_key="k\r\nX: y")),
    "no model": (TypeError, lambda client: Agent.new("n", "gpt-4o", client=client)),
    "an empty name": (ValueError, lambda client: Agent.new("", LLM, client=client)),
    "an unknown type": (ValueError, lambda client: Agent.new("n", LLM, agent_type="robot", client=client)),
    "twins": (ValueError, lambda client: Agent.new("n", LLM, TWINS, client=client)),
    "a placeholder": (TemplateReferenceError, lambda client: Agent.new("n", LLM, None, "[[inputs.x]]", client=client)),
    "a value without JSON": (TypeError, lambda client: Agent("a", "n", LLM, instructions={1}, client=client).save()),
    "an id out of the path": (ValueError, lambda client: Agent("..", client=client).delete()),
    "an empty id to delete": (ValueError, lambda client: Agent("", client=client).delete()),
    "a save of nothing": (ValueError, lambda client: Agent("a", client=client).save()),
    "an unknown bump": (ValueError, lambda client: Agent("a", "n", LLM, client=client).save(bump="huge")),
    "a run on a text": (ValueError, lambda client: Agent("a", client=client).run("hello")),
    "a session of a functional agent": (ValueError, lambda client: Agent("a", client=client).create_session()),
    "a session to resume of one": (ValueError, lambda client: Agent("a", client=client).resume_session("s")),
    "a tool that is none": (TypeError, lambda client: Agent("a", client=client).add_tool("search")),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_makes_no_call(server: Server, client: Client, bad: str) -> None:
    error, act = BAD[bad]
    with pytest.raises(error) as caught:
        act(client)
    assert server.connections == 0
    assert_keeps_secret(caught.value)


# ---- here --------------------------------------------------------------------------------------


def test_references() -> None:
    assert Agent("a").to_dict() == {"object_id": "a", "object_type": 25}
    assert Agent("a", branch_id="b").to_dict() == {"object_id": "a", "object_type": 25, "branch_id": "b"}
    tag = '<vs-context><object-info>{"objectType":25,"objectId":"a"}</object-info><txt>%s</txt></vs-context>'
    assert str(Agent("a", "Name")) == tag % "Name"
    assert str(Agent("a")) == tag % "vs_no_show"
    assert repr(Agent("a", "N", agent_type="conversational")) == "Agent(id='a', name='N', type='conversational')"


def test_changing_tools() -> None:
    one, two, three = (Tool(kind, tool_name=name) for kind, name in [("k", "one"), ("k", "two"), ("l", "three")])
    agent = Agent("a").add_tool(one).add_tool(two).add_tool(three)
    agent.remove_tool("three")
    agent.remove_tool(two)
    assert agent.tools == [one]
    agent.add_tool(two).remove_tool("k")
    assert agent.tools == []
    assert Agent("a").tools is not Agent("b").tools


def test_an_agent_pickles_without_keys(client: Client) -> None:
    agent = Agent.from_json(WIRE, client=client)
    agent.llm_info.api_key = KEY
    assert_keeps_secret(agent)
    again = pickle.loads(pickle.dumps(agent))
    assert (again.id, again.agent_type, again.llm_info.api_key) == (agent.id, agent.agent_type, None)
    here, there = agent.client.endpoint, again.client.endpoint
    assert (there.base_url, there.ws_url) == (here.base_url, here.ws_url)
    agent.llm_info.api_key = None
    assert draft(again).body == draft(agent).body
    assert copy.deepcopy(agent).client is client


# dataclasses-json makes its schemas with arguments that marshmallow 3 warns about.
@pytest.mark.filterwarnings("ignore:The 'default' argument to fields:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Passing field metadata:DeprecationWarning")
def test_the_models() -> None:
    assert LLMInfo is LlmInfo
    assert IOConfig is IoConfig
    assert LlmInfo.from_dict(LLM.to_dict()) == LLM
    assert LlmInfo.from_json(LLM.to_json()) == LLM
    assert LLM.model_dump() == LLM.to_dict()
    assert "provider-key" not in repr(LlmInfo("p", "m", api_key="provider-key"))
    assert IoConfig("string", server_id="i").to_dict() == {"io_type": "string", "description": ""}
    with pytest.raises(KeyError, match="model_id"):
        LlmInfo.from_dict({"provider": "p"})
    with pytest.raises(TypeError):
        LlmInfo(provider="p")
    for model in (LlmInfo, MemoryConfig, IoConfig, AgentRunResult, ConversationalAgentRunResult):
        assert model.schema().fields


def test_an_unknown_field_that_is_given_is_sent_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="LlmInfo has no field 'tempo'") as caught:
        made = LlmInfo(provider="p", model_id="m", tempo=1)
    assert caught[0].filename == __file__
    assert made.to_dict()["tempo"] == 1
    assert copy.copy(made) == made == pickle.loads(pickle.dumps(made))


def test_the_error_of_a_run_that_waits() -> None:
    event = SessionEvent(SessionEventType.APPROVAL_REQUEST, "s1", "m1", {"tool_name": "refund"})
    error = ConversationalRunActionRequiredError(event, "s1")
    assert isinstance(error, RuntimeError)
    assert isinstance(error, SessionlibError)
    again = pickle.loads(pickle.dumps(error))
    assert (again.event, again.session_id, str(again)) == (event, "s1", str(error))
    assert "agent.resume_session('s1')" in str(error)


# ---- runs --------------------------------------------------------------------------------------


def functional(client: Client) -> Agent:
    inputs = {"topic": IoConfig("string"), "paper": IoConfig("file")}
    return Agent("a1", inputs=inputs, outputs={"brief": IoConfig("string", server_id="output_1")}, client=client)


@pytest.mark.parametrize(
    ("told", "result"),
    [
        (
            {"outputs": {"output_1": "dry", "output_2": 5}, "run_id": "r"},
            AgentRunResult({"brief": "dry", "output_2": 5}, "r", "success"),
        ),
        ({"status": "failed", "error": "out of tokens"}, AgentRunResult({}, "", "failed", "out of tokens")),
    ],
)
def test_a_run(server: Server, client: Client, told: dict[str, Any], result: AgentRunResult) -> None:
    server.answer(Reply(body=told))
    assert functional(client).run({"topic": "rain"}, "Short.") == result
    assert server.seen[0].json == {"inputs": {"topic": "rain"}, "additional_instructions": "Short."}


def test_a_run_has_its_own_deadline(server: Server) -> None:
    server.answer(lambda handler: (handler.server.over.wait(0.5), Reply(body={"outputs": {}})(handler))[0])  # type: ignore[func-returns-value]
    with Client(KEY, server.url, timeout=0.2) as client:
        assert functional(client).run({}).status == "success"


def test_inputs_that_the_agent_does_not_have_are_told(server: Server, client: Client) -> None:
    with pytest.warns(UserWarning, match=r"has no inputs named 'tpic', .* it has 'topic', 'paper'") as caught:
        functional(client).run({"tpic": 1})
    assert caught[0].filename == __file__
    assert server.seen[0].json == {"inputs": {}}


def test_files_of_a_run(server: Server, client: Client, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        functional(client).run({"paper": tmp_path / "none"})
    assert server.connections == 0
    path = tmp_path / "a.txt"
    path.write_text("from a path")
    with path.open() as text, path.open("rb") as binary:
        for given_file in (path, b"from a path", bytearray(b"from a path"), io.BytesIO(b"from a path"), text, binary):
            functional(client).run({"paper": given_file})
            assert b"\r\n\r\nfrom a path\r\n" in server.seen[-1].raw
        assert (text.closed, binary.closed) == (False, False)


# ---- sessions ----------------------------------------------------------------------------------


def test_sessions(client: Client, server: Server) -> None:
    agent = Agent("a1", agent_type=AgentType.CONVERSATIONAL, client=client)
    made = [agent.create_session(), agent.create_session("s1"), agent.create_session(session_id="s1")]
    made.append(agent.resume_session("s1"))
    assert [session.session_id for session in made] == [None, "s1", "s1", "s1"]
    for session in made:
        assert isinstance(session, Session)
        assert not session.is_connected
        assert_keeps_secret(repr(session))
    for empty in ("", None):
        with pytest.raises(ConfigurationError):
            agent.resume_session(empty)
    assert server.connections == 0
    # A session may do what its client may.
    insecure = Client(KEY, "http://engine.example/v1", allow_insecure=True)
    assert Agent("a1", agent_type=AgentType.CONVERSATIONAL, client=insecure).create_session().session_id is None


# ---- finding --------------------------------------------------------------------------------


AGENT = Reply(body={"object": {"_id": "a1", "name": "Support", "agent_type": "conversational"}})
NONE = Reply(404, {"error": "there is none"})


@pytest.mark.parametrize(
    ("answers", "asked", "found"),
    [((AGENT,), ["id"], "a1"), ((NONE, AGENT), ["id", "name"], "a1"), ((NONE,), ["id", "name"], None)],
)
def test_an_id_comes_before_a_name(
    server: Server, client: Client, answers: tuple[Reply, ...], asked: list[str], found: str | None
) -> None:
    server.answer(*answers)
    assert getattr(by_name_or_id(client, "Support"), "id", None) == found
    assert [next(iter(seen.query)) for seen in server.seen] == asked


def test_a_refused_key_is_not_taken_for_none(server: Server, client: Client) -> None:
    server.answer(Reply(401, {"error": "no"}))
    with pytest.raises(AuthenticationError):
        by_name_or_id(client, "Support")
    server.answer(NONE)
    with pytest.raises(NotFoundError, match=r"GET /agent was answered with 404: there is none\. Check the id"):
        Agent.fetch(name="Support", client=client)
