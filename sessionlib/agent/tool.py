"""Tools of an agent, of any kind, in a form that loses nothing of what the server holds."""

import copy
import difflib
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from sessionlib._util.models import JsonModel, StrEnum

__all__ = ["Tool", "ToolApprovalConfig", "ToolInput", "ToolInputType", "check_tool", "close_to", "new_object_id"]


class ToolInputType(StrEnum):
    """Where an input's value comes from: the agent's author (static), or the model with each call (dynamic)."""

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
        type: Where its value comes from.
        value: Its value, for a static one.
        description: Its description for the model, for a dynamic one.
    """

    type: ToolInputType = ToolInputType.STATIC
    value: Optional[Any] = None
    description: Optional[str] = None

    def to_wire(self) -> dict[str, Any]:
        """Returns the wire's form, which has one place for the value and the description."""
        return {
            "type": ToolInputType(self.type),
            "value": _plain(self.value if self.value is not None else self.description),
        }


class Tool:
    """A tool that an agent may call; models choose it by its name.

    The platform's own kinds have classes of their own: see `sessionlib.agent.tools`. On the wire (from the official
    SDK, ``vectorshift`` 0.1.15) a tool is ``{"id", "name", "description", "approval_config", "value": {"node_type",
    "task_name", "inputs"}}``. What a fetched tool has besides, in it or in its ``value``, stays as it is when the
    agent is saved.

    Args:
        tool_type: Its kind, ``node_type`` on the wire, such as "google_search".
        params: Kept for code written for the official SDK; a tool of its generic class does not send them either.
        id: Its id; by default a new one.
        tool_name: Its name, unique within an agent.
        tool_description: Its description for the model.
        approval_config: Whether it needs a person's approval before it runs.
        inputs: Its inputs, as for `update_inputs`.
        value: More fields of its ``value`` on the wire, for kinds that have them (such as ``server`` of an MCP server).

    Attributes:
        id: Its id.
        tool_type: Its kind.
        task_name: The engine's task for it; by default ``tool_type``.
        name: Its name.
        description: Its description for the model, or None.
        approval_config: Whether it needs approval; a plain string where the server's value is unknown here.
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
        # Made here, as the SDK does: texts may refer to a tool before the server has it.
        self.id = id or f"{tool_type}_{new_object_id()}"
        self.tool_type = tool_type
        self.task_name = tool_type
        self.name = tool_name
        self.description = tool_description
        self.approval_config: Union[ToolApprovalConfig, str] = ToolApprovalConfig(approval_config)
        self.inputs: dict[str, Any] = {}
        self.outputs: list[Any] = []
        self.params = dict(params or {})
        # What the server sent, and the attributes as they were read from it: to_dict replaces only what
        # has changed since, so that fields of a newer server survive a fetch and a save.
        self._wire: dict[str, Any] = {"value": copy.deepcopy(dict(value or {}))}
        self._loaded: dict[str, Any] = {}
        self.update_inputs(**(inputs or {}))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.tool_type!r}, id={self.id!r}, tool_name={self.name!r})"

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, id: str = "") -> "Tool":
        """Makes a tool from the wire's form, of whatever kind it is.

        Args:
            data: The wire's form.
            id: Its id where ``data`` has none: the key that it had on the wire.

        Returns:
            The tool, of its kind's class in `sessionlib.agent.tools` where there is one, with nothing added to what
            the wire has.

        Raises:
            TypeError: ``data`` is not a mapping.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"a tool is a mapping, not {type(data).__name__}")
        # The catalogue's classes are tools themselves, so they can only be loaded after this module.
        from sessionlib.agent.tools import tool_class

        # So that changes to the tool do not change what the caller holds, nor the other way round.
        wire = copy.deepcopy(dict(data))
        value = _dict(wire.get("value"))
        tool_type = str(_unwrapped(value.get("node_type", value.get("type"))) or "")
        kind = tool_class(tool_type) or Tool
        # Their constructors add the inputs that the wire does not have; this one is complete as it is.
        tool = kind.__new__(kind)
        Tool.__init__(tool, tool_type, id=wire.get("id") or id, tool_name="without a name")
        tool.name = wire.get("name") or ""
        tool.task_name = value.get("task_name") or tool_type
        tool.description = wire.get("description")
        approval = wire.get("approval_config")
        tool.approval_config = ToolApprovalConfig.AUTO_RUN
        if approval is not None:
            tool.approval_config = next((known for known in ToolApprovalConfig if known == approval), str(approval))
        tool.inputs = copy.deepcopy(_dict(value.get("inputs")))
        tool._wire = wire
        # Last, so that everything read above counts as unchanged.
        tool._loaded = {**copy.deepcopy(tool._facts()), "id": wire.get("id") or id}
        return tool

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Tool":
        """Makes a tool from the wire's form; see `from_json`, which ``data`` goes to."""
        return cls.from_json(data)

    def to_dict(self) -> dict[str, Any]:
        """Returns the wire's form: a fetched tool's own, with what was changed since."""
        wire = copy.deepcopy(self._wire)
        for path, fact in self._facts().items():
            # Unchanged since it was fetched: what the server sent stays, in its own form.
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
            inputs: A `ToolInput`, or the value of a static input. ``approval_config`` is not an
                input: it sets the attribute.

        Raises:
            ValueError: ``approval_config`` is unknown.
        """
        if "approval_config" in inputs:
            self.approval_config = ToolApprovalConfig(inputs.pop("approval_config"))
        for name, given in inputs.items():
            # An object that has no wire form of its own, such as an id, is turned into one by `to_dict`.
            one = given if isinstance(given, ToolInput) else ToolInput(value=given)
            self.inputs[name] = one.to_wire()

    def adopt(self, wire: Mapping[str, Any]) -> None:
        """Sets description and inputs to what was sent: with placeholders resolved.

        Args:
            wire: The tool as the wire has it.
        """
        self.description = wire.get("description")
        self.inputs = copy.deepcopy(_dict(_dict(wire.get("value")).get("inputs")))

    def _facts(self) -> dict[str, Any]:
        """Returns the attributes by their places in the wire's form."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description or "",
            "approval_config": self.approval_config,
            "value.node_type": self.tool_type,
            "value.inputs": {name: self._input_to_wire(name, value) for name, value in self.inputs.items()},
            "value.task_name": self.task_name,
        }

    def _input_to_wire(self, name: str, value: Any) -> dict[str, Any]:
        """Returns the wire's form of one input, which may have been assigned in any of several forms."""
        if isinstance(value, Mapping):
            return {**value, "value": _plain(value["value"])} if "value" in value else dict(value)
        return (value if isinstance(value, ToolInput) else ToolInput(value=value)).to_wire()


def new_object_id() -> str:
    """Returns a new id of the engine's form: 24 hexadecimal digits, the first eight of them the time."""
    return f"{int(time.time()):08x}{secrets.token_hex(8)}"


def check_tool(tool: object, where: str) -> None:
    """Makes sure that something is a tool of the platform's.

    Args:
        tool: What it may be.
        where: What the error begins with, such as "add_tool takes".

    Raises:
        TypeError: It is none.
    """
    if not isinstance(tool, Tool):
        what = getattr(tool, "__name__", None) or getattr(tool, "name", None) or repr(tool)
        advice = "; a Python function is run by the engine: LocalEngine(tools=[...])" if callable(tool) else ""
        raise TypeError(f"{where} a Tool, and {what!s:.80} is a {type(tool).__name__}{advice}")


def close_to(name: str, known: Iterable[str]) -> str:
    """Returns a sentence that suggests known names close to one that is unknown; "" when there are none."""
    close = difflib.get_close_matches(name, list(known))
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _plain(value: Any) -> Any:
    # An agent or another object is sent as a reference to it.
    to_dict = getattr(value, "to_dict", None)
    return to_dict() if callable(to_dict) else value


def _unwrapped(value: Any) -> Any:
    """Returns the string inside of the engine's wrappers, such as ``{"static_value": {"string": x}}``."""
    # As deep as the engine wraps, and no endless loop for what is none of its forms.
    for _ in range(4):
        if not isinstance(value, Mapping):
            break
        value = next((value[name] for name in ("value", "static_value", "string", "String_") if name in value), None)
    return value
