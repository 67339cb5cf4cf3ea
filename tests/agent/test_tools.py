"""The platform's kinds of tools: classes made of a table, three ways to them, and those written by hand."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import runpy
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib import Client
from sessionlib.agent import Agent, AgentTools, Tool, ToolApprovalConfig, ToolInput, ToolInputType, tools
from sessionlib.agent.models import LlmInfo, McpServer
from sessionlib.agent.tools import (
    CustomTool,
    ExaAiTool,
    IntegrationGmailTool,
    KnowledgeBaseTool,
    McpConnectorTool,
    McpServerTool,
    PipelineTool,
    PlatformTool,
    TransformationTool,
)
from tests.support.http_server import Reply, Server
from tests.support.processes import ROOT, run_script
from tests.support.secrets import SENTINEL_KEY

KINDS = dir(AgentTools)
DYNAMIC = ToolInputType.DYNAMIC


@pytest.fixture
def platform(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that the environment names, so that what is looked up is looked up there."""
    monkeypatch.setenv("SESSIONLIB_BASE_URL", server.url)
    monkeypatch.setenv("SESSIONLIB_API_KEY", SENTINEL_KEY)
    return server


def inputs_of(tool: Tool) -> Any:
    return tool.to_dict()["value"]["inputs"]


# ---- three ways to a class -----------------------------------------------------------------


def test_every_way_leads_to_one_class() -> None:
    from sessionlib.agent import ExaAiTool as FromAgent

    assert ExaAiTool is FromAgent is AgentTools.exa_ai is tools.tool_class("exa_ai")
    agent = Agent("a1")
    assert agent.add_tool.exa_ai(tool_name="search", query=ToolInput()).add_tool(ExaAiTool(tool_name="more")) is agent
    assert [type(tool) for tool in agent.tools] == [ExaAiTool, ExaAiTool]
    assert len(KINDS) == 268
    assert set(KINDS) <= set(dir(agent.add_tool))


def test_threads_that_ask_at_once_get_one_class() -> None:
    script = """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        from sessionlib.agent import AgentTools

        barrier = threading.Barrier(8)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: (barrier.wait(), AgentTools.integration_zoho)[1], range(8)))
        assert len(set(found)) == 1
    """
    run_script(script).check()


@pytest.mark.parametrize(
    "script",
    [
        """
        from sessionlib.agent.extra_tools import McpServerTool
        from sessionlib.agent.agent_tools import AgentTools
        from sessionlib.agent.object import Agent, ConversationalRunActionRequiredError, LlmInfo
        import sessionlib.agent.object as module; assert module.Agent is Agent
        """,
        """
        import sessionlib.agent.tools as t, sessionlib.agent as a; a.Agent('x').add_tool
        assert not t._catalogue.cache_info().currsize; t.ExaAiTool; assert t._catalogue.cache_info().currsize
        """,
    ],
    ids=["by the SDK's module names", "without the table before a kind is asked for"],
)
def test_imports(script: str) -> None:
    run_script(script).check()


def test_unknown_kinds_are_reported_with_those_that_are_meant() -> None:
    with pytest.raises(AttributeError, match=r"'gogle_search'\. Did you mean google_search"):
        AgentTools.gogle_search  # noqa: B018
    with pytest.raises(AttributeError, match="no kind of tool 'nothing'"):
        Agent("a").add_tool.nothing()
    with pytest.raises(ImportError, match="NothingTool"):
        from sessionlib.agent.tools import NothingTool  # noqa: F401
    with pytest.raises(TypeError, match=r"add_tool takes a Tool, and 'exa_ai' is a str$"):
        Agent("a").add_tool("exa_ai")
    assert not hasattr(AgentTools, "__wrapped__")


def test_what_the_engine_runs_is_no_tool_of_an_agents() -> None:
    def look_up(name: str) -> str:
        return name

    client = Client(SENTINEL_KEY, "http://127.0.0.1:1")
    with pytest.raises(TypeError, match=r"take a Tool, and look_up is a function; .*LocalEngine\(tools=\[\.\.\.\]\)"):
        Agent.new("A", LlmInfo("p", "m"), tools=[look_up], client=client)  # type: ignore[list-item]


def test_every_kind_documents_itself() -> None:
    for kind in KINDS:
        made = getattr(AgentTools, kind)
        assert inspect.getdoc(made)
        assert list(inspect.signature(made).parameters)
    assert "query: string" in (ExaAiTool.__doc__ or "")
    assert str(inspect.signature(ExaAiTool)).startswith("(id=None, tool_name=None, tool_description='Search the web")


def test_every_description_was_written_for_its_kind() -> None:
    script = runpy.run_path(str(ROOT / ".ci" / "catalogue.py"))
    kinds = json.loads(script["FACTS"].read_text("utf-8"))["kinds"]
    written = {kind: known["about"] for kind, known in kinds.items()}
    assert [kind for kind, text in written.items() if text == script["about"](kind)] == []
    assert len(set(written.values())) == len(written) == 264
    assert [text for text in written.values() if not 10 < len(text) < 130 or text.endswith(".")] == []


# ---- making one ----------------------------------------------------------------------------


def test_inputs_that_are_not_given_are_given_by_the_model() -> None:
    tool = ExaAiTool(tool_name="search", livecrawl=True, query=ToolInput(DYNAMIC, description="What to look for"))
    inputs = inputs_of(tool)
    assert inputs["query"] == {"type": "dynamic", "value": "What to look for"}
    assert inputs["livecrawl"] == {"type": "static", "value": True}
    assert inputs["num_results"] == {"type": "static", "value": 10}
    assert inputs["search_type"] == {"type": "dynamic", "value": ""}
    assert tool.to_dict()["description"] == "Search the web with Exa"
    assert ExaAiTool(None, "second", "Own words", "requires_approval").description == "Own words"


def test_a_parameter_chooses_the_inputs() -> None:
    send = IntegrationGmailTool(tool_name="mail", action="send_email", integration="i1", recipients="a@example.com")
    assert inputs_of(send)["integration"] == {"type": "static", "value": {"object_id": "i1", "object_type": 20}}
    assert inputs_of(send)["subject"] == {"type": "dynamic", "value": ""}
    read = IntegrationGmailTool(tool_name="mail", action="read_email")
    assert "subject" not in inputs_of(read)
    assert "recipients" in IntegrationGmailTool.get_available_inputs(action="send_email")
    assert "recipients" not in IntegrationGmailTool.get_available_inputs(action="read_email")
    assert ExaAiTool.get_available_inputs()["num_results"] == {
        "field": "num_results",
        "helper_text": "Num results",
        "value": 10,
        "type": "int32",
    }


def test_inputs_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match=r"ExaAiTool has no input 'qery'\. Did you mean query"):
        ExaAiTool(tool_name="search", qery="x")
    tool = IntegrationGmailTool(tool_name="mail", action="read_email")
    with pytest.raises(ValueError, match="no input 'recipients' with action='read_email'"):
        tool.update_inputs(recipients="a@example.com")
    with pytest.raises(ValueError, match="action cannot be a dynamic input"):
        IntegrationGmailTool(tool_name="mail", action=ToolInput(DYNAMIC))
    with pytest.raises(TypeError, match="too many positional arguments"):
        ExaAiTool(*range(12))
    with pytest.raises(ValueError, match="tool_name"):
        ExaAiTool()


def test_what_refers_to_an_object_is_sent_as_a_reference() -> None:
    class Base:
        id = "k1"

    reference = {"object_id": "k1", "object_type": 1}
    for given_as in ("k1", Base(), reference):
        tool = KnowledgeBaseTool(tool_name="kb", knowledge_base=given_as)
        assert inputs_of(tool)["knowledge_base"] == {"type": "static", "value": reference}
    tool = KnowledgeBaseTool(tool_name="kb", knowledge_base="{{input_0.base}}")
    assert inputs_of(tool)["knowledge_base"]["value"] == "{{input_0.base}}"


def test_tools_of_a_kind_do_not_share_their_defaults() -> None:
    one, other = PipelineTool(tool_name="a"), PipelineTool(tool_name="b")
    one.inputs["pipeline"]["value"]["object_id"] = "changed"
    assert inputs_of(other)["pipeline"]["value"]["object_id"] == ""


def test_a_tool_is_copied_and_pickled() -> None:
    tool = IntegrationGmailTool(tool_name="mail", action="send_email")
    for same in (copy.copy(tool), copy.deepcopy(tool), pickle.loads(pickle.dumps(tool))):
        assert type(same) is IntegrationGmailTool
        assert same.to_dict() == tool.to_dict()


# ---- what the platform has -----------------------------------------------------------------

values = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.just({"object_id": "x"})
wire_inputs = st.dictionaries(
    st.sampled_from(["query", "action", "integration", "pipeline", "unknown"]),
    st.fixed_dictionaries({"type": st.sampled_from(["static", "dynamic"]), "value": values}) | values,
    max_size=4,
)


@given(st.sampled_from(KINDS), wire_inputs, values)
def test_a_fetched_tool_of_a_known_kind_comes_back_as_it_was(kind: str, inputs: Any, more: Any) -> None:
    wire = {"id": "t1", "name": "t", "value": {"node_type": kind, "inputs": inputs, "server": more, "tool_type": more}}
    before = copy.deepcopy(wire)
    tool = Tool.from_json(wire)
    assert type(tool) is getattr(AgentTools, kind)
    assert tool.to_dict() == before
    tool.name = "changed"
    assert tool.to_dict() == {**before, "name": "changed"}


def test_a_fetched_tool_takes_inputs_of_its_variant() -> None:
    sent = IntegrationGmailTool(tool_name="mail", action="send_email").to_dict()
    fetched = Tool.from_json(sent)
    assert isinstance(fetched, IntegrationGmailTool)
    fetched.update_inputs(subject="Hello")
    assert inputs_of(fetched)["subject"] == {"type": "static", "value": "Hello"}
    with pytest.raises(ValueError, match="no input 'nonsense'"):
        fetched.update_inputs(nonsense=1)
    assert type(ExaAiTool.from_dict({"id": "t", "value": {"node_type": "of its own"}})) is Tool


def test_a_pipelines_inputs_are_looked_up(platform: Server, caplog: pytest.LogCaptureFixture) -> None:
    nodes = {"n1": {"type": "input", "name": "question"}, "n2": {"type": "llm", "name": "model"}}
    platform.answer(Reply(body={"object": {"nodes": nodes}}))
    tool = PipelineTool(tool_name="run", pipeline="p1")
    assert inputs_of(tool) == {
        "pipeline": {"type": "static", "value": {"object_id": "p1", "object_type": 0}},
        "question": {"type": "dynamic", "value": ""},
    }
    assert [(seen.path, seen.query) for seen in platform.seen] == [("/v1/pipeline", {"id": ["p1"]})]
    assert inputs_of(PipelineTool(tool_name="run", pipeline="p1", question="why?"))["question"]["value"] == "why?"
    # As in the SDK, a tool can be made without; but here it is logged.
    platform.answer(Reply(404))
    assert list(inputs_of(PipelineTool(tool_name="run", pipeline={"object_id": "p2"}))) == ["pipeline"]
    assert "without the inputs of pipeline p2" in caplog.text


def test_what_tools_look_up_goes_where_their_agent_goes(platform: Server) -> None:
    with closing(Client(SENTINEL_KEY, platform.url, headers={"X-Team": "blue"})) as client:
        agent = Agent.from_json({"id": "a1", "name": "A", "tools": {}}, client=client)
        agent.add_tool.pipeline(tool_name="run", pipeline="p1")
        agent.add_tool.transformation(tool_name="change", transformation="t1")
        agent.add_tool.mcp_server(server=McpServer("m1"))
    PipelineTool(tool_name="run", pipeline="p1")
    teams = [(seen.path, seen.headers.get("x-team")) for seen in platform.seen[-4:]]
    assert teams == [
        ("/v1/pipeline", "blue"),
        ("/v1/transformation", "blue"),
        ("/v1/mcp-server/m1/tools", "blue"),
        ("/v1/pipeline", None),
    ]


def test_transformations(platform: Server) -> None:
    platform.answer(Reply(body={"object": {"inputs": {"text": "string", "count": "int32"}}}))
    tool = AgentTools.transformation(transformation="t1", tool_name="change")
    assert type(tool) is TransformationTool
    assert inputs_of(tool) == {
        "transformation": {"type": "static", "value": {"object_id": "t1", "object_type": 14}},
        "text": {"type": "dynamic", "value": ""},
        "count": {"type": "dynamic", "value": ""},
    }
    wired = TransformationTool("t1", {"text": ToolInput(DYNAMIC)}, ["out"], tool_name="change", count=3)
    assert inputs_of(wired)["text"]["type"] == "dynamic"
    assert inputs_of(wired)["count"] == {"type": "static", "value": 3}
    assert wired.outputs == ["out"]
    assert TransformationTool(tool_name="x", description="Own words").description == "Own words"
    with pytest.raises(ValueError, match="dynamic"):
        TransformationTool(ToolInput(DYNAMIC), tool_name="x")
    assert len(platform.seen) == 1  # none where the inputs are given, or there is nothing to look up


# ---- kinds that are not in the table -------------------------------------------------------


def test_mcp_servers(platform: Server) -> None:
    listed = {"search": {"description": {"value": "Search"}}}
    platform.answer(Reply(body={"tool_config": listed}))
    tool = McpServerTool(McpServer("m1", name="Docs"))
    assert tool.to_dict() == {
        "id": tool.id,
        "name": "mcp_Docs",
        "description": "Tools of the MCP server Docs",
        "approval_config": "let_agent_decide",
        "value": {
            "node_type": "mcp_server",
            "task_name": "mcp_server",
            "inputs": {},
            "server": {"type": "static", "value": {"object_id": "m1", "object_type": "mcp_server"}},
            "tools": listed,
        },
    }
    assert platform.seen[0].path == "/v1/mcp-server/m1/tools"
    assert tool.server.name == "Docs"
    fetched = Tool.from_json(tool.to_dict())
    assert isinstance(fetched, McpServerTool)
    assert fetched.server == McpServer("m1")
    assert "tools" not in McpServerTool(McpServer("m1"), auto_populate_tools=False).to_dict()["value"]
    with pytest.raises(TypeError, match="server takes an McpServer, not str"):
        McpServerTool("m1")
    assert McpServer("m1", raw={"more": 1}).to_dict() == {"id": "m1", "name": "", "url": "", "description": ""}


def test_mcp_connectors() -> None:
    class Integration:
        object_id, name = "i1", "Slack"

    tool = McpConnectorTool(Integration())
    reference = {"type": "static", "value": {"object_id": "i1", "object_type": "integration"}}
    assert tool.to_dict()["value"]["integration"] == reference
    assert tool.name == "mcp_connector_Slack"
    fetched = Tool.from_json(tool.to_dict())
    assert isinstance(fetched, McpConnectorTool)
    assert fetched.integration == "i1"
    assert McpConnectorTool("i1").to_dict()["value"]["integration"] == reference
    free = McpConnectorTool()
    assert free.to_dict()["value"]["integration"] == {"type": "dynamic"}
    assert free.integration is None
    with pytest.raises(ValueError, match="has no id"):
        McpConnectorTool(object())


def test_tools_of_the_models_provider() -> None:
    tool = CustomTool("code_interpreter", {"a": 1, "b": ToolInput(DYNAMIC, description="which")}, {"type": "x"})
    assert tool.custom_tool_type == "code_interpreter"
    assert tool.to_dict()["value"] == {
        "node_type": "custom_tool",
        "task_name": "custom_tool",
        "tool_type": "code_interpreter",
        "custom_node_type": {"type": "x"},
        "inputs": {"a": {"type": "static", "value": 1}, "b": {"type": "dynamic", "value": "which"}},
    }
    assert (tool.name, tool.approval_config) == ("code_interpreter", ToolApprovalConfig.AUTO_RUN)
    with pytest.raises(ValueError, match="tool_type"):
        CustomTool(" ")


def test_the_base_class_is_of_no_kind() -> None:
    assert issubclass(ExaAiTool, PlatformTool)
    with pytest.raises(AttributeError):
        PlatformTool(tool_name="x")
