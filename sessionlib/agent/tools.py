"""Tools of the platform: a class for each kind of tool that an agent can have.

``from sessionlib.agent.tools import ExaAiTool``, ``AgentTools.exa_ai`` and ``agent.add_tool.exa_ai(...)`` are three
ways to the same class, as in the official SDK (``vectorshift`` 0.1.15). There the classes are 200,000 lines of code;
here they are made on first use from ``tools.json``, a table of facts that ``.ci/catalogue.py`` reads off an installed
SDK. What the table has of a kind: the order of its arguments, its inputs with their wire types and defaults, the
parameters that choose a variant, and the inputs that each variant adds. The descriptions that a model reads are ours.

Nothing is read before a class is asked for. The kinds that are no nodes of a pipeline (MCP servers and connectors,
tools of the model's provider, transformations) are written out below.
"""

from __future__ import annotations

import copy
import functools
import inspect
import json
import logging
import pkgutil
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from sessionlib.agent.models import McpServer
from sessionlib.agent.tool import Tool, ToolApprovalConfig, ToolInput, ToolInputType, check_tool, close_to
from sessionlib.client import client_in_use, default_client
from sessionlib.errors import SessionlibError

if TYPE_CHECKING:
    from sessionlib.agent.agent import Agent
    from sessionlib.agent.tool_classes import *  # noqa: F403 - what __getattr__ below makes

__all__ = [
    "AgentTools",
    "CustomTool",
    "McpConnectorTool",
    "McpServer",
    "McpServerTool",
    "PlatformTool",
    "ToolAdder",
    "TransformationTool",
    "tool_class",
]

_log = logging.getLogger(__name__)

# The numbers of the platform's kinds of object, by the wire type of an input that refers to one. The SDK sends
# references to data frames inside of one more object.
_OBJECT_TYPES = {
    "pipeline": 0,
    "knowledge_base": 1,
    "table": 3,
    "dataframe": 3,
    "transformation": 14,
    "portal": 19,
    "integration": 20,
    "variable_set": 23,
    "agent": 25,
    "project": 29,
}
_INTEGRATION = 20
_MCP_SERVER = "mcp_server"

# Seconds to wait for the inputs of a pipeline or transformation, which a tool can do without.
_LOOKUP_TIMEOUT = 10.0

_EMPTY: Any = inspect.Parameter.empty
_Facts = dict[str, Any]


class PlatformTool(Tool):
    """A tool of one of the platform's kinds; the base class of all that this module makes.

    Every subclass takes ``id``, ``tool_name``, ``tool_description`` and ``approval_config`` (see `Tool`), then the
    inputs of its kind: a value that every call uses, or a `ToolInput` for one that the model fills in. Inputs
    that are not given are given by the model.

    Attributes:
        kind: Its kind, ``node_type`` on the wire.

    Raises:
        TypeError: There are more positional arguments than the kind has.
        ValueError: ``tool_name`` is missing, an input is unknown, or the model was to give an input that chooses
            the tool's variant.
    """

    kind: ClassVar[str] = ""
    _known: ClassVar[_Facts] = {"inputs": {}}
    __signature__: ClassVar[inspect.Signature]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Python's own rules and errors for arguments, though the signature is made from a table.
        bound = self.__signature__.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        further = arguments.pop("kwargs")
        common = {name: arguments.pop(name) for name in _COMMON}
        for name in self._known.get("parameters", ()):
            given = arguments[name]
            if isinstance(given, ToolInput) and given.type != ToolInputType.STATIC:
                raise ValueError(f"{name} cannot be a dynamic input: it chooses the variant of {type(self).__name__}")
        super().__init__(self.kind, **common)
        given = {name: copy.deepcopy(value) for name, value in arguments.items() if value is not None}
        # Past this class's check, which needs the inputs that choose the variant.
        super().update_inputs(**given)
        self._fill(further)

    @classmethod
    def get_available_inputs(cls, **parameters: Any) -> dict[str, dict[str, Any]]:
        """Returns what a tool of this kind takes.

        Args:
            parameters: The inputs that choose a variant, such as ``action``; those left out choose none.

        Returns:
            For each input by its name: ``field``, ``type`` (the wire's), ``value`` (the default), ``helper_text``.
        """
        chosen = {name: parameters.get(name) for name in cls._known.get("parameters", ())}
        return {
            name: {"field": name, "helper_text": name.replace("_", " ").capitalize(), "value": value, "type": wire}
            for name, (wire, value) in cls._inputs_for(chosen).items()
        }

    def update_inputs(self, **inputs: Any) -> None:
        """Sets inputs by name; see `Tool.update_inputs`.

        Args:
            inputs: A `ToolInput`, or the value of a static input.

        Raises:
            ValueError: The tool has no such input with the parameters it was made with.
        """
        self._set(inputs, self._inputs_for(self._parameters()) if inputs else {})

    def _fill(self, inputs: dict[str, Any]) -> None:
        """Sets inputs, and has the model give all that are then left."""
        allowed = self._inputs_for(self._parameters())
        self._set(inputs, allowed)
        for name in allowed:
            # As the SDK does: what its author leaves out, the model fills in.
            self.inputs.setdefault(name, {"type": ToolInputType.DYNAMIC, "value": ""})

    def _set(self, inputs: dict[str, Any], allowed: Iterable[str]) -> None:
        unknown = [name for name in inputs if name not in allowed and name != "approval_config"]
        if unknown:
            parameters = ", ".join(f"{name}={value!r:.60}" for name, value in self._parameters().items())
            variant = f" with {parameters}" if parameters else ""
            raise ValueError(
                f"{type(self).__name__} has no input {unknown[0]!r}{variant}.{close_to(unknown[0], allowed)} "
                f"It takes: {', '.join(sorted(allowed)) or 'none'}"
            )
        super().update_inputs(**inputs)

    def _parameters(self) -> dict[str, Any]:
        """Returns the values that choose the variant: static inputs, which a fetched tool has as well."""
        given = {name: self.inputs.get(name) for name in self._known.get("parameters", ())}
        return {
            name: one.get("value") if isinstance(one, dict) and one.get("type") == ToolInputType.STATIC else None
            for name, one in given.items()
        }

    @classmethod
    def _inputs_for(cls, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Returns wire type and default of every input that the parameters allow, in the platform's order."""
        known = cls._known
        allowed = dict(known["inputs"])
        values = [str(value).lower() for value in parameters.values()]
        # A pattern has one part for each parameter; "(*)" matches any value. Several may match.
        for pattern, names in known.get("variants", {}).items():
            parts = pattern.lower().split("**")
            # In lower case on both sides, since booleans and names come in either.
            if all(part in ("(*)", value) for part, value in zip(parts, values, strict=True)):
                for key in names.split():
                    allowed[key.partition("#")[0]] = known["more"][key]
        if lookup := known.get("lookup"):
            allowed.update((name, ("", None)) for name in _inputs_of(lookup, parameters.get(lookup)))
        return allowed

    def _input_to_wire(self, name: str, value: Any) -> dict[str, Any]:
        wire = super()._input_to_wire(name, value)
        if "value" not in wire or name not in self._known["inputs"]:
            return wire
        kind, given = self._known["inputs"][name][0], wire["value"]
        number = _INTEGRATION if kind.startswith("integration<") else _OBJECT_TYPES.get(kind)
        # A variable stands for an object that is known only when the agent runs.
        if number is not None and not (isinstance(given, str) and _is_variable(given)):
            # The wire's reference to an object, of which an id is given, or an object that has one.
            found = given if isinstance(given, str) else getattr(given, "id", None) or getattr(given, "object_id", None)
            if isinstance(found, str):
                reference = {"object_id": found, "object_type": number}
                wire["value"] = {"object_info": reference} if kind == "dataframe" else reference
        return wire


_COMMON: dict[str, Any] = {
    "id": None,
    "tool_name": None,
    "tool_description": None,
    "approval_config": ToolApprovalConfig.AUTO_RUN,
}


# ---- making classes ------------------------------------------------------------------------


# Two threads that ask for one kind at once must get one class: isinstance() and pickle compare by identity.
_making = threading.RLock()


def tool_class(kind: str) -> type[Tool] | None:
    """Returns the class of a kind of tool, such as "exa_ai"; None for a kind that is not known here."""
    with _making:
        return _class_of(kind)


@functools.cache
def _class_of(kind: str) -> type[Tool] | None:
    # Their arguments do not follow the table.
    if kind in _BY_HAND:
        return _BY_HAND[kind]
    known = _catalogue().get(kind)
    if known is None:
        return None
    defaults = {**_COMMON, "tool_description": known["about"]}
    for name in known["arguments"]:
        own = known.get("defaults", {})
        defaults[name] = own[name] if name in own else known["inputs"][name][1]
    arguments = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
        for name, default in defaults.items()
    ]
    rest = inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)
    names = {**known["inputs"], **{key.partition("#")[0]: fact for key, fact in known.get("more", {}).items()}}
    listed = "\n".join(f"    {name}: {wire or 'any'}" for name, (wire, _) in names.items()) or "    none"
    chosen = ", ".join(known.get("parameters", ()))
    variants = f"\n\n{chosen} choose(s) which of the inputs there are." if "variants" in known else ""
    head = f"{known['about']} (``{kind}``).{variants}"
    body = {
        # For pickle, which finds a class by its module and name.
        "__module__": __name__,
        "__doc__": f"{head}\n\nInputs, with their types on the wire:\n{listed}\n",
        "__signature__": inspect.Signature([*arguments, rest]),
        "kind": kind,
        "_known": known,
    }
    return type(_class_name(kind), (PlatformTool,), body)


@functools.cache
def _catalogue() -> dict[str, _Facts]:
    # Through the loader, so that a zipped package has it as well.
    data = pkgutil.get_data("sessionlib.agent", "tools.json")
    assert data is not None
    # Once in a process; it is some hundred kilobytes, and most programs use none of it.
    kinds: dict[str, _Facts] = json.loads(data)["kinds"]
    return kinds


@functools.cache
def _kinds_by_class_name() -> dict[str, str]:
    return {_class_name(kind): kind for kind in _catalogue()}


def _class_name(kind: str) -> str:
    return "".join(part.capitalize() for part in kind.split("_")) + "Tool"


# ---- references to objects -----------------------------------------------------------------


def _is_variable(text: str) -> bool:
    return text.strip().startswith("{{") and text.strip().endswith("}}")


def _id_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    fields = value.to_dict() if callable(getattr(value, "to_dict", None)) else value
    found = fields.get("object_id") if isinstance(fields, Mapping) else getattr(value, "id", None)
    return found if isinstance(found, str) else ""


def _inputs_of(kind: str, reference: Any) -> list[str]:
    """Asks the platform for the names of the inputs of a pipeline or transformation.

    A tool can be made without them, offline for one: the SDK goes on as well when this fails.
    """
    object_id = _id_of(reference)
    if not object_id or _is_variable(object_id):
        return []
    try:
        answer = default_client().request("GET", f"/{kind}", query={"id": object_id}, timeout=_LOOKUP_TIMEOUT)
    except SessionlibError as error:
        _log.warning("! the tool is made without the inputs of %s %s: %s", kind, object_id, error)
        return []
    found = answer.get("object") if isinstance(answer, dict) else None
    found = found if isinstance(found, dict) else {}
    if kind != "pipeline":
        return [str(name) for name in found.get("inputs") or ()]
    # A pipeline's inputs are nodes in its graph.
    nodes = found.get("nodes")
    listed = nodes.values() if isinstance(nodes, dict) else ()
    return [str(node["name"]) for node in listed if node.get("type") == "input" and node.get("name")]


# ---- kinds that are not in the table -------------------------------------------------------


class TransformationTool(PlatformTool):
    """Runs a transformation: code that the platform keeps.

    Args:
        transformation: The transformation: its id, a reference to it, or an object with ``to_dict``.
        inputs: Its inputs by name: values, or `ToolInput` where the model chooses them. With none, the model chooses
            all that the platform lists for it.
        outputs: The outputs to use, by name.
        id: The tool's id; by default a new one.
        tool_name: Its name.
        tool_description: What the model reads about it.
        approval_config: Whether a person is asked before it runs.
        description: Another name for ``tool_description``, which it goes before.
        kwargs: More inputs by name.

    Raises:
        ValueError: ``tool_name`` is missing, or the model was to choose the transformation.
    """

    kind = "transformation"
    _known: ClassVar[_Facts] = {
        "parameters": ["transformation"],
        "lookup": "transformation",
        "inputs": {"transformation": ["transformation", {"object_id": "", "object_type": 14}]},
    }

    def __init__(
        self,
        transformation: Any = None,
        inputs: Mapping[str, Any] | None = None,
        outputs: Iterable[str] | None = None,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = None,
        approval_config: ToolApprovalConfig | str = ToolApprovalConfig.AUTO_RUN,
        description: str | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(transformation, ToolInput):
            if transformation.type != ToolInputType.STATIC:
                raise ValueError("transformation cannot be a dynamic input")
            transformation = transformation.value
        about = description or tool_description or "Run a transformation"
        Tool.__init__(self, self.kind, None, id, tool_name, about, kwargs.pop("approval_config", approval_config))
        Tool.update_inputs(self, transformation="" if transformation is None else transformation)
        wired = {**kwargs, **(inputs or {})}
        # By their own names: the platform decides which of them there are.
        Tool.update_inputs(self, **wired)
        self.outputs.extend(outputs or ())
        if not wired:
            self._fill({})


class McpServerTool(Tool):
    """The tools of an MCP server.

    Args:
        server: The server, as the platform knows it.
        tool_name: Its name; by default made from the server's.
        tool_description: What the model reads about it.
        approval_config: Whether a person is asked before it runs.
        id: The tool's id; by default a new one.
        auto_populate_tools: Whether to ask the platform for the server's tools now, when ``tools`` has none.
        tools: The server's tools, in the wire's form.

    Attributes:
        server: The server.

    Raises:
        TypeError: ``server`` is no `McpServer`.
        ApiError: The platform refused to list the server's tools.
        ApiConnectionError: There was no answer.
    """

    def __init__(
        self,
        server: McpServer,
        tool_name: str | None = None,
        tool_description: str | None = None,
        approval_config: ToolApprovalConfig | str = ToolApprovalConfig.LET_AGENT_DECIDE,
        id: str | None = None,
        auto_populate_tools: bool = True,
        tools: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(server, McpServer):
            raise TypeError(f"server takes an McpServer, not {type(server).__name__}")
        listed = dict(tools or {}) or (server.list_tools() if auto_populate_tools else {})
        value = {"server": _static_reference(server.id, _MCP_SERVER), **({"tools": listed} if listed else {})}
        shown = server.name or server.id
        super().__init__(
            _MCP_SERVER,
            None,
            id,
            tool_name or f"mcp_{shown}",
            tool_description or f"Tools of the MCP server {shown}",
            approval_config,
            value=value,
        )
        # Kept beside the wire's form, which has its id alone.
        self._server = server

    @property
    def server(self) -> McpServer:
        """The server; of a fetched tool, its id is all that is known."""
        return getattr(self, "_server", None) or McpServer(id=_referenced(self, "server"))


class McpConnectorTool(Tool):
    """The tools of an integration, by MCP.

    Args:
        integration: The integration: its id, or an object that has it as ``object_id`` or ``id``; None leaves the
            choice to the model.
        tool_name: Its name; by default made from the integration's.
        tool_description: What the model reads about it.
        approval_config: Whether a person is asked before it runs.
        id: The tool's id; by default a new one.

    Attributes:
        integration: The integration.

    Raises:
        ValueError: ``integration`` has no id.
    """

    def __init__(
        self,
        integration: Any = None,
        tool_name: str | None = None,
        tool_description: str | None = None,
        approval_config: ToolApprovalConfig | str = ToolApprovalConfig.LET_AGENT_DECIDE,
        id: str | None = None,
    ) -> None:
        found = integration
        if integration is not None and not isinstance(integration, str):
            found = getattr(integration, "object_id", None) or getattr(integration, "id", None)
        if integration is not None and not found:
            raise ValueError("the integration has no id; fetch it, or pass its id")
        shown = getattr(integration, "name", None) or found or "dynamic"
        reference = _static_reference(found, "integration") if found else {"type": ToolInputType.DYNAMIC}
        super().__init__(
            "mcp_connector",
            None,
            id,
            tool_name or f"mcp_connector_{shown}",
            tool_description or f"Tools of the integration {shown}",
            approval_config,
            value={"integration": reference},
        )
        self._integration = integration

    @property
    def integration(self) -> Any:
        """The integration as given; of a fetched tool, its id; None where the model chooses."""
        return getattr(self, "_integration", None) or _referenced(self, "integration") or None


class CustomTool(Tool):
    """A tool that the model's provider runs, such as ``code_interpreter`` or ``file_search``.

    Args:
        tool_type: Which tool it is.
        inputs: Its inputs by name: values, `ToolInput`, or the wire's form.
        custom_node_type: The platform's node behind it, where it has one.
        tool_name: Its name; by default ``tool_type``.
        tool_description: What the model reads about it.
        approval_config: Whether a person is asked before it runs.
        id: The tool's id; by default a new one.

    Attributes:
        KNOWN_TOOL_TYPES: Tools that providers are known to run.
        custom_tool_type: Which tool it is; ``tool_type`` is "custom_tool".

    Raises:
        ValueError: ``tool_type`` is empty.
    """

    KNOWN_TOOL_TYPES = ("code_interpreter", "file_search")

    def __init__(
        self,
        tool_type: str,
        inputs: Mapping[str, Any] | None = None,
        custom_node_type: Any = None,
        tool_name: str | None = None,
        tool_description: str | None = None,
        approval_config: ToolApprovalConfig | str = ToolApprovalConfig.AUTO_RUN,
        id: str | None = None,
    ) -> None:
        if not isinstance(tool_type, str) or not tool_type.strip():
            raise ValueError("tool_type takes the name of a tool, such as 'code_interpreter'")
        value: dict[str, Any] = {"tool_type": tool_type}
        if custom_node_type is not None:
            value["custom_node_type"] = _wire_input(custom_node_type)
        about = tool_description or f"{tool_type.replace('_', ' ').capitalize()} of the model's provider"
        super().__init__("custom_tool", None, id, tool_name or tool_type, about, approval_config, value=value)
        self.inputs.update((name, _wire_input(one)) for name, one in (inputs or {}).items())

    @property
    def custom_tool_type(self) -> str:
        """Which tool of the provider it is."""
        return str(self.to_dict()["value"].get("tool_type") or "")


_BY_HAND: dict[str, type[Tool]] = {
    "custom_tool": CustomTool,
    "mcp_connector": McpConnectorTool,
    "mcp_server": McpServerTool,
    "transformation": TransformationTool,
}


def _static_reference(object_id: str, object_type: str) -> dict[str, Any]:
    return {"type": ToolInputType.STATIC, "value": {"object_id": object_id, "object_type": object_type}}


def _referenced(tool: Tool, field: str) -> str:
    reference = tool.to_dict()["value"].get(field)
    return _id_of(reference.get("value")) if isinstance(reference, Mapping) else ""


def _wire_input(value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and "type" in value:
        return value
    return (value if isinstance(value, ToolInput) else ToolInput(value=value)).to_wire()


# ---- what type checkers have in tool_classes.pyi -------------------------------------------

if not TYPE_CHECKING:

    def __getattr__(name: str) -> type[Tool]:
        kind = _kinds_by_class_name().get(name) if name.endswith("Tool") else None
        if kind is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return tool_class(kind)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_kinds_by_class_name()})

    class _Kinds(type):
        """Has the class of every kind as an attribute."""

        def __getattr__(cls, kind: str) -> type[Tool]:
            found = None if kind.startswith("_") else tool_class(kind)
            if found is None:
                hint = "" if kind.startswith("_") else close_to(kind, dir(cls))
                raise AttributeError(f"the platform has no kind of tool {kind!r}.{hint}")
            return found

        def __dir__(cls) -> list[str]:
            return sorted([*_catalogue(), *_BY_HAND])

    class AgentTools(metaclass=_Kinds):
        """Every kind of tool of the platform by its name: ``AgentTools.exa_ai`` is `ExaAiTool`."""

    class ToolAdder:
        """What ``agent.add_tool`` is: called with a tool, or with the kind of one as an attribute.

        Args:
            agent: The agent that gets the tools.
        """

        def __init__(self, agent: Agent) -> None:
            self._agent = agent

        def __call__(self, tool: Tool) -> Agent:
            """Adds a tool, and returns the agent.

            Raises:
                TypeError: It is not a `Tool`.
            """
            check_tool(tool, "add_tool takes")
            self._agent.tools.append(tool)
            return self._agent

        def __getattr__(self, kind: str) -> Any:
            made = getattr(AgentTools, kind)

            @functools.wraps(made, updated=())
            def add(*args: Any, **inputs: Any) -> Agent:
                token = client_in_use.set(self._agent._client)
                try:
                    return self(made(*args, **inputs))
                finally:
                    client_in_use.reset(token)

            return add

        def __dir__(self) -> list[str]:
            return dir(AgentTools)
