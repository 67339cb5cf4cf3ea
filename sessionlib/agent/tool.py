"""Tools of an agent, of any kind, in a form that loses nothing of what the server holds."""

import copy
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from sessionlib._util.models import JsonModel, StrEnum

__all__ = ["Tool", "ToolApprovalConfig", "ToolInput", "ToolInputType", "new_object_id"]


class ToolInputType(StrEnum):
    """Who gives an input: the agent's author, or the model with each call."""

    STATIC = "static"
    DYNAMIC = "dynamic"


class ToolApprovalConfig(StrEnum):
    """Whether a person is asked before the tool runs."""

    AUTO_RUN = "auto_run"
    LET_AGENT_DECIDE = "let_agent_decide"
    REQUIRES_APPROVAL = "requires_approval"


@dataclass
class ToolInput(JsonModel):
    """One input of a tool.

    Attributes:
        type: Who gives it.
        value: Its value, for a static one.
        description: What the model is told about it, for a dynamic one.
    """

    type: ToolInputType = ToolInputType.STATIC
    value: Optional[Any] = None
    description: Optional[str] = None

    def to_wire(self) -> dict[str, Any]:
        """Gives the wire's form, which has one place for the value and the description."""
        return {
            "type": ToolInputType(self.type),
            "value": _plain(self.value if self.value is not None else self.description),
        }


class Tool:
    """A tool that an agent may call; models choose it by its name.

    On the wire (from the official SDK, ``vectorshift`` 0.1.15) it is ``{"id", "name",
    "description", "approval_config", "value": {"node_type", "task_name", "inputs"}}``. What a fetched tool
    has besides, in it or in its ``value``, stays as it is when the agent is saved.

    Args:
        tool_type: Its kind, ``node_type`` on the wire, such as "google_search".
        params: Kept for code written for the official SDK; a tool of its generic class does not send them either.
        id: Its id; by default a new one.
        tool_name: Its name, unique within an agent.
        tool_description: What the model is told about it.
        approval_config: Whether a person is asked before it runs.
        inputs: Its inputs, as for `update_inputs`.
        value: More fields of its ``value`` on the wire, for kinds that have them (such as ``server`` of an MCP server).

    Attributes:
        id: Its id.
        tool_type: Its kind.
        task_name: The engine's task for it; by default ``tool_type``.
        name: Its name.
        description: What the model is told about it, or None.
        approval_config: Whether a person is asked; a text where the server says one that is not known here.
        inputs: Its inputs by name, in the wire's form ``{"type", "value"}``.
        outputs: Kept for code written for the official SDK.

    Raises:
        ValueError: ``tool_name`` is empty, or ``approval_config`` is unknown.
    """

    def __init__(
        self,
        tool_type: str = "",
        params: Optional[Mapping[str, Any]] = None,
        id: Optional[str] = None,
        tool_name: Optional[str] = None,
        tool_description: Optional[str] = None,
        approval_config: Union[ToolApprovalConfig, str] = ToolApprovalConfig.AUTO_RUN,
        *,
        inputs: Optional[Mapping[str, Any]] = None,
        value: Optional[Mapping[str, Any]] = None,
    ) -> None:
        if not isinstance(tool_name, str) or not tool_name.strip():
            raise ValueError("a tool needs a tool_name: models choose tools by their names")
        self.id = id or f"{tool_type}_{new_object_id()}"
        self.tool_type = tool_type
        self.task_name = tool_type
        self.name = tool_name
        self.description = tool_description
        self.approval_config: Union[ToolApprovalConfig, str] = ToolApprovalConfig(approval_config)
        self.inputs: dict[str, Any] = {}
        self.outputs: list[Any] = []
        self.params = dict(params or {})
        # What the server said, and how the attributes above read then: to_dict changes only what
        # differs since.
        self._wire: dict[str, Any] = {"value": copy.deepcopy(dict(value or {}))}
        self._loaded: dict[str, Any] = {}
        self.update_inputs(**(inputs or {}))

    def __repr__(self) -> str:
        return f"Tool({self.tool_type!r}, id={self.id!r}, tool_name={self.name!r})"

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, id: str = "") -> "Tool":
        """Makes a tool from the wire's form, of whatever kind it is.

        Args:
            data: The wire's form.
            id: Its id where ``data`` has none: the key under which it stood.

        Raises:
            TypeError: ``data`` is not a mapping.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"a tool is a mapping, not {type(data).__name__}")
        wire = copy.deepcopy(dict(data))
        value = _dict(wire.get("value"))
        tool_type = str(_unwrapped(value.get("node_type", value.get("type"))) or "")
        tool = cls(tool_type, id=wire.get("id") or id, tool_name="without a name")
        tool.name = wire.get("name") or ""
        tool.task_name = value.get("task_name") or tool_type
        tool.description = wire.get("description")
        tool.approval_config = _approval_config(wire.get("approval_config"))
        tool.inputs = copy.deepcopy(_dict(value.get("inputs")))
        tool._wire = wire
        tool._loaded = {**copy.deepcopy(tool._facts()), "id": wire.get("id") or id}
        return tool

    def to_dict(self) -> dict[str, Any]:
        """Gives the wire's form: a fetched tool's own, with what was changed since."""
        wire = copy.deepcopy(self._wire)
        for path, fact in self._facts().items():
            if self._loaded and self._loaded[path] == fact:
                continue
            head, _, tail = path.partition(".")
            if not tail:
                wire[head] = fact
            elif isinstance(wire.get(head), dict):
                wire[head][tail] = fact
            else:
                wire[head] = {tail: fact}
        return wire

    def update_inputs(self, **inputs: Any) -> None:
        """Sets inputs by name.

        Args:
            inputs: A `ToolInput`, or the value of a static input. ``approval_config`` is no
                input: it sets the attribute.

        Raises:
            ValueError: ``approval_config`` is unknown.
        """
        if "approval_config" in inputs:
            self.approval_config = ToolApprovalConfig(inputs.pop("approval_config"))
        for name, given in inputs.items():
            one = given if isinstance(given, ToolInput) else ToolInput(value=given)
            self.inputs[name] = one.to_wire()

    def adopt(self, wire: Mapping[str, Any]) -> None:
        """Takes over what was sent for it: description and inputs, with placeholders resolved.

        Args:
            wire: The tool as the wire has it.
        """
        self.description = wire.get("description")
        self.inputs = copy.deepcopy(_dict(_dict(wire.get("value")).get("inputs")))

    def _facts(self) -> dict[str, Any]:
        """Gives the attributes by their places in the wire's form."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description or "",
            "approval_config": self.approval_config,
            "value.node_type": self.tool_type,
            "value.inputs": {name: _input(value) for name, value in self.inputs.items()},
            "value.task_name": self.task_name,
        }


def new_object_id() -> str:
    """Makes an id of the engine's form: 24 hexadecimal digits, the first eight of them the time."""
    return f"{int(time.time()):08x}{secrets.token_hex(8)}"


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _input(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {**value, "value": _plain(value["value"])} if "value" in value else dict(value)
    return (value if isinstance(value, ToolInput) else ToolInput(value=value)).to_wire()


def _plain(value: Any) -> Any:
    # Agents and other objects stand in an input as a reference to them.
    to_dict = getattr(value, "to_dict", None)
    return to_dict() if callable(to_dict) else value


def _approval_config(said: Any) -> Union[ToolApprovalConfig, str]:
    if said is None:
        return ToolApprovalConfig.AUTO_RUN
    return next((known for known in ToolApprovalConfig if known == said), str(said))


def _unwrapped(value: Any) -> Any:
    """Gives the text in a wrapper that the engine stores texts in, such as ``{"static_value": {"string": x}}``."""
    for _ in range(4):
        if not isinstance(value, Mapping):
            break
        value = next((value[name] for name in ("value", "static_value", "string", "String_") if name in value), None)
    return value
