"""Agents in the wire's form: what a fetch returns, and what a save sends.

Facts from the official SDK (``vectorshift`` 0.1.15): inputs, outputs and tools are keyed by their ids; the
engine's storage uses ``variant`` or camel case where the API uses ``agent_type`` and snake case; of
the engine's own metadata nothing is sent back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sessionlib.agent.models import AgentType, IoConfig, LlmInfo, MemoryConfig
from sessionlib.agent.tool import Tool, check_tool, close_to, new_object_id
from sessionlib.errors import TemplateReferenceError
from sessionlib.rest.resource import plain_id

if TYPE_CHECKING:
    from sessionlib.agent.agent import Agent

__all__ = ["Draft", "TemplateReferenceError", "draft", "read_agent", "resolve"]

# In double square brackets, as in the SDK; in the engine's own form they are braces.
_PLACEHOLDER = re.compile(r"\[\[\s*([A-Za-z_][A-Za-z0-9_.]*)\s*\]\]")
_HUMP = re.compile(r"(?<=[^A-Z])(?=[A-Z])")

Names = Mapping[str, Mapping[str, str]]
"""For each of ``inputs``, ``outputs`` and ``tools``: ids by name."""


def resolve(text: str, names: Names, where: str) -> str:
    """Returns a text with its placeholders in the engine's form.

    Args:
        text: The text.
        names: What it may refer to.
        where: What the text is called in the error.

    Raises:
        TemplateReferenceError: A placeholder does not begin with ``inputs.``, ``outputs.`` or ``tools.``, or
            names what is not there.
    """

    def resolved(match: re.Match[str]) -> str:
        reference = match[1]
        kind, _, name = reference.partition(".")
        if kind not in names or not name:
            raise TemplateReferenceError(
                f"[[{reference}]] in {where} does not name what it refers to: write [[inputs.NAME]], [[outputs.NAME]] "
                f"or [[tools.NAME]].{close_to(reference, [one for ids in names.values() for one in ids])}"
            )
        ids = names[kind]
        # Exactly, else in another case, else in snake case: a name must not lose to one that only looks like it.
        forms: tuple[Callable[[str], str], ...] = (str, str.lower, lambda one: _HUMP.sub("_", one).lower())
        found = next((known for form in forms for known in ids if form(known) == form(name)), None)
        # An id is as good as a name, for texts that were resolved before.
        if found is None and name not in ids.values():
            known = ", ".join(ids) or "none"
            raise TemplateReferenceError(
                f"[[{reference}]] in {where} names none of the agent's {kind} ({known}).{close_to(name, ids)}"
            )
        return f"{{{{{kind}.{name if found is None else ids[found]}}}}}"

    return _PLACEHOLDER.sub(resolved, text)


Wire = dict[str, Any]

# What `read_agent` takes, by the names that the server uses for it.
_NAMES: dict[str, tuple[str, ...]] = {
    "id": ("_id",),
    "name": ("name",),
    "branch_id": ("mainBranch",),
    "llm_info": ("llm_client_key",),
    "tools": ("tools",),
    "inputs": ("inputs",),
    "outputs": ("outputs",),
    "instructions": ("instructions",),
    "agent_type": ("agent_type", "agentType", "variant"),
    "memory_config": ("memory_config", "memoryConfig"),
    "enable_subagents": ("enable_subagents", "enableSubagents"),
    "editable_object_types": ("editable_object_types", "editableObjectTypes"),
}

# The engine's own record of the agent, which a save ignores or refuses. The description is among them:
# with a save it is that of the new version.
_METADATA = frozenset(
    (
        "branches",
        "created_at",
        "createdAt",
        "createdDate",
        "creator_id",
        "currentVersion",
        "description",
        "id",
        "is_public",
        "metadata",
        "modifiedDate",
        "object_type",
        "organization_id",
        "org_id",
        "orgID",
        "owner_id",
        "published",
        "shared_with",
        "sharedWith",
        "status",
        "tags",
        "type",
        "updated_at",
        "updatedAt",
        "userID",
        "user_id",
        "version",
        "versions",
    )
)

_NOT_UNKNOWN = _METADATA.union(*_NAMES.values())


# ---- from the wire -----------------------------------------------------------------------------


def read_agent(data: Mapping[str, Any]) -> Wire:
    """Returns the arguments of an `Agent` from the wire's form, unknown fields as ``extra_fields``.

    Raises:
        TypeError: ``data`` is not a mapping.
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"an agent is a mapping, not {type(data).__name__}")
    # The first that is there: a server may send one under both its names.
    given = {fact: _first(data, names) for fact, names in _NAMES.items()}
    flag, types = given["enable_subagents"], given["editable_object_types"]
    llm, memory, tools, kind = given["llm_info"], given["memory_config"], given["tools"], given["agent_type"]
    # Any other type than the two known ones is functional to the official SDK as well.
    is_conversational = isinstance(kind, str) and kind.lower() == AgentType.CONVERSATIONAL
    # Keyed by id, in which case the tool itself need not have it.
    by_id = tools.items() if isinstance(tools, Mapping) else [("", one) for one in tools or ()]
    return {
        "id": plain_id(given["id"]),
        "name": given["name"],
        "branch_id": plain_id(given["branch_id"]),
        "llm_info": LlmInfo.from_dict(llm, infer_missing=True) if isinstance(llm, Mapping) and llm else None,
        "tools": [Tool.from_json(one, id=key) for key, one in by_id],
        "instructions": given["instructions"],
        "inputs": _read_io(given["inputs"]),
        "outputs": _read_io(given["outputs"]),
        "agent_type": AgentType.CONVERSATIONAL if is_conversational else AgentType.FUNCTIONAL,
        "memory_config": MemoryConfig.from_dict(memory) if isinstance(memory, Mapping) else None,
        "enable_subagents": flag if isinstance(flag, bool) else None,
        "editable_object_types": [str(one) for one in types] if isinstance(types, list) else None,
        "extra_fields": {name: value for name, value in data.items() if name not in _NOT_UNKNOWN},
    }


def _first(data: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((data[name] for name in names if data.get(name) is not None), None)


def _read_io(given: Any) -> dict[str, IoConfig]:
    read: dict[str, IoConfig] = {}
    for server_id, one in given.items() if isinstance(given, Mapping) else ():
        known = one if isinstance(one, Mapping) else {}
        fields = {"io_type": "string", "description": None, **known, "server_id": server_id}
        name = fields.pop("name", None) or server_id
        # Two of one name would hide one another, and a save would lose one.
        read[server_id if name in read else name] = IoConfig.from_dict(fields)
    return read


# ---- to the wire -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draft:
    """An agent as a save sends it, and what is set on the agent once the server has it.

    Nothing is changed before: a save that failed is repeated with new ids, which the old texts
    would not know.

    Attributes:
        body: The JSON body.
        ids: For ``inputs`` and ``outputs``: the ids by name.
    """

    body: Wire
    ids: Mapping[str, Mapping[str, str]]

    def commit(self, agent: Agent) -> None:
        """Writes new ids and resolved placeholders onto the agent that was sent."""
        for configs, ids in ((agent.inputs, self.ids["inputs"]), (agent.outputs, self.ids["outputs"])):
            for name, config in configs.items():
                config.server_id = ids[name]
        # Only their texts have placeholders that are resolved.
        if agent.agent_type == AgentType.FUNCTIONAL:
            agent.instructions = self.body["instructions"]
            for tool in agent.tools:
                tool.adopt(self.body["tools"][tool.id])


def draft(agent: Agent) -> Draft:
    """Returns an agent in the wire's form: what a new one and a saved one have in common.

    Raises:
        TypeError: One of its tools is none of the platform's.
        ValueError: Two tools have one name, or the agent has no ``llm_info``.
        TemplateReferenceError: A placeholder names what the agent does not have.
    """
    if agent.llm_info is None:
        raise ValueError(f"agent {agent.id!r} has no llm_info to save; fetch it first, or give it one")
    for tool in agent.tools:
        check_tool(tool, "an agent's tools take")
    # Models choose tools by their names, so of two with one name either might run.
    called = [tool.name for tool in agent.tools]
    twice = sorted({name for name in called if called.count(name) > 1})
    if twice:
        raise ValueError(f"more than one tool is called {', '.join(map(repr, twice))}; give each its own tool_name")
    # Made before the texts are resolved, which refer to them.
    ids = {"inputs": _io_ids(agent.inputs, "input"), "outputs": _io_ids(agent.outputs, "output")}
    names = {**ids, "tools": {tool.name or tool.tool_type: tool.id for tool in agent.tools}}
    resolving = agent.agent_type == AgentType.FUNCTIONAL
    instructions = agent.instructions or ""
    body: Wire = {
        "name": agent.name,
        "llm_client_key": agent.llm_info.to_dict(),
        "agent_type": agent.agent_type,
        "tools": {tool.id: _write_tool(tool, names if resolving else None) for tool in agent.tools},
        "instructions": resolve(instructions, names, "the agent's instructions") if resolving else instructions,
        "inputs": _write_io(agent.inputs, ids["inputs"]),
        "outputs": _write_io(agent.outputs, ids["outputs"]),
    }
    # Left out where nothing was set, so that the server keeps its own defaults.
    if agent.memory_config is not None:
        body["memory_config"] = agent.memory_config.to_dict()
    if agent.enable_subagents is not None:
        body["enable_subagents"] = agent.enable_subagents
    if agent.editable_object_types:
        body["editable_object_types"] = list(agent.editable_object_types)
    return Draft(body, ids)


def _io_ids(configs: Mapping[str, IoConfig], prefix: str) -> dict[str, str]:
    return {name: config.server_id or f"{prefix}_{new_object_id()}" for name, config in configs.items()}


def _write_io(configs: Mapping[str, IoConfig], ids: Mapping[str, str]) -> Wire:
    return {ids[name]: {**config.to_dict(), "name": name} for name, config in configs.items()}


def _write_tool(tool: Tool, names: Mapping[str, Mapping[str, str]] | None) -> Wire:
    wire = tool.to_dict()
    if names is None:
        return wire
    where = f"tool {tool.name!r}'s description"
    if isinstance(wire.get("description"), str):
        wire["description"] = resolve(wire["description"], names, where)
    value = wire.get("value")
    for name, one in (value.get("inputs") or {}).items() if isinstance(value, dict) else ():
        # What a dynamic input has for a value is its description.
        if isinstance(one, dict) and one.get("type") == "dynamic" and isinstance(one.get("value"), str):
            one["value"] = resolve(one["value"], names, f"the description of tool {tool.name!r}'s input {name!r}")
    return wire
