"""Tools of any kind, there and back."""

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib.agent import Agent, Tool, ToolApprovalConfig, ToolInput, ToolInputType
from sessionlib.agent.tool import new_object_id

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
inner = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("node_type", "type", "task_name", "inputs", "x"), json_values)
)
wires = st.fixed_dictionaries(
    {"id": st.text(min_size=1, max_size=5)},
    optional={
        "name": json_values,
        "description": json_values,
        "approval_config": json_values,
        "value": inner | json_values,
        "other": json_values,
    },
)


@given(wires)
def test_any_tool_of_a_server_comes_back_as_it_was(wire: dict[str, Any]) -> None:
    before = copy.deepcopy(wire)
    tool = Tool.from_json(wire)
    assert tool.to_dict() == before
    tool.name = "changed"
    assert tool.to_dict() == {**before, "name": "changed"}
    assert wire == before


def test_a_new_tool() -> None:
    tool = Tool("google_search", tool_name="search", tool_description="Looks things up")
    assert re.fullmatch(r"google_search_[0-9a-f]{24}", tool.id)
    assert tool.to_dict() == {
        "id": tool.id,
        "name": "search",
        "description": "Looks things up",
        "approval_config": "auto_run",
        "value": {"node_type": "google_search", "task_name": "google_search", "inputs": {}},
    }
    assert repr(tool) == f"Tool('google_search', id='{tool.id}', tool_name='search')"


def test_inputs() -> None:
    tool = Tool(
        "t",
        tool_name="t",
        inputs={"count": 3, "query": ToolInput(ToolInputType.DYNAMIC, description="What to look for")},
        value={"server": {"type": "static", "value": 1}},
    )
    tool.update_inputs(zero=0, nothing=ToolInput(), approval_config="requires_approval")
    tool.inputs["agent"] = {"type": "static", "value": Agent("a"), "kept": True}
    tool.inputs["plain"] = 5
    tool.inputs["given"] = ToolInput(value=False)
    assert tool.approval_config is ToolApprovalConfig.REQUIRES_APPROVAL
    assert tool.to_dict()["value"] == {
        "node_type": "t",
        "task_name": "t",
        "server": {"type": "static", "value": 1},
        "inputs": {
            "count": {"type": "static", "value": 3},
            "query": {"type": "dynamic", "value": "What to look for"},
            "zero": {"type": "static", "value": 0},
            "nothing": {"type": "static", "value": None},
            "agent": {"type": "static", "value": {"object_id": "a", "object_type": 25}, "kept": True},
            "plain": {"type": "static", "value": 5},
            "given": {"type": "static", "value": False},
        },
    }


def test_a_changed_input_keeps_the_rest() -> None:
    wire = {"id": "t1", "name": "t", "value": {"node_type": "t", "inputs": {"a": {"type": "x", "more": 1}}, "z": 1}}
    tool = Tool.from_json(wire)
    tool.update_inputs(b=2)
    inputs = {"a": {"type": "x", "more": 1}, "b": {"type": "static", "value": 2}}
    assert tool.to_dict() == {"id": "t1", "name": "t", "value": {"node_type": "t", "inputs": inputs, "z": 1}}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"node_type": "plain"}, "plain"),
        ({"type": "older"}, "older"),
        ({"node_type": {"value": "wrapped"}}, "wrapped"),
        ({"node_type": {"static_value": {"string": "stored"}}}, "stored"),
        ({"node_type": {"String_": "proto"}}, "proto"),
        ({"node_type": {"unheard": "of"}}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_the_kind_of_a_tool(value: Any, kind: str) -> None:
    assert Tool.from_json({"id": "t", "name": "t", "value": value}).tool_type == kind


def test_an_approval_that_is_not_known_here_stays() -> None:
    assert Tool.from_json({"id": "t", "approval_config": "ask_the_board"}).approval_config == "ask_the_board"
    assert Tool.from_json({"id": "t"}).approval_config is ToolApprovalConfig.AUTO_RUN


def test_a_tool_without_an_id_takes_its_key_or_a_new_one() -> None:
    assert Tool.from_json({"name": "t"}, id="key").id == "key"
    made = Tool.from_json({"name": "t"})
    assert made.to_dict() == {"name": "t", "id": made.id}


@pytest.mark.parametrize("name", [None, "", "  ", 7])
def test_a_tool_needs_a_name(name: Any) -> None:
    with pytest.raises(ValueError, match="tool_name"):
        Tool("t", tool_name=name)


def test_what_is_no_tool() -> None:
    with pytest.raises(ValueError, match="sometimes"):
        Tool("t", tool_name="t", approval_config="sometimes")
    with pytest.raises(TypeError, match="a tool is a mapping, not str"):
        Tool.from_json("t")


def test_object_ids_are_new() -> None:
    assert len({new_object_id() for _ in range(1000)}) == 1000
