"""Tools out of functions: the schema comes from the type hints, the words from the docstring."""

from __future__ import annotations

import functools
import inspect
import re
import runpy
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError

from sessionlib.engine.errors import EngineError

__all__ = ["APPROVALS", "ASK_FIRST", "InvalidArgumentsError", "LocalTool", "load_tools", "tool"]

P = ParamSpec("P")
R = TypeVar("R")

APPROVALS = ("auto_run", "requires_approval", "let_agent_decide")
ASK_FIRST = "ask_user_first"
"""The extra argument in which a model says whether a person should be asked, where it may decide."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Return|Yields|Raises|Examples?|Notes?|Attributes):\s*$")
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")


class InvalidArgumentsError(ValueError):
    """Arguments that do not fit a tool's schema; the text says which and why."""


class LocalTool(Generic[P, R]):
    """A Python function that models may call; calling it runs the function as before. Made by `tool`.

    Attributes:
        name: The name models call it by.
        description: What the docstring says before its sections.
        approval: "auto_run", "requires_approval" or "let_agent_decide".
        timeout: Seconds it may run, or None for the engine's own limit.
        schema: JSON schema of the arguments.
    """

    def __init__(self, function: Callable[P, R], *, name: str | None, approval: str, timeout: float | None) -> None:
        self.function = function
        self.name = function.__name__ if name is None else name
        self.approval = str(approval)
        self.timeout = timeout
        _check(self)
        self.description, words = read_docstring(inspect.getdoc(function) or "")
        self._arguments, self._parameters = _arguments_model(self.name, function, words)
        self.schema: dict[str, Any] = _plain(self._arguments.model_json_schema())
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls the function."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<tool {self.name}, {self.approval}>"

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Gives the arguments as the function takes them.

        Args:
            arguments: What the model proposed, by name.

        Raises:
            InvalidArgumentsError: They do not fit the schema.
        """
        try:
            model = self._arguments.model_validate(dict(arguments))
        except ValidationError as error:
            raise InvalidArgumentsError(_explain(self.name, error)) from None
        return {parameter: getattr(model, field) for field, parameter in self._parameters.items()}

    def to_wire(self) -> dict[str, Any]:
        """Gives the tool as it stands in an agent's JSON."""
        return {
            "name": self.name,
            "description": self.description,
            "approval_config": self.approval,
            "schema": self.schema,
        }

    def offered_schema(self) -> dict[str, Any]:
        """Gives the schema that a model sees: where it decides about approval, with a place to say so."""
        if self.approval != "let_agent_decide":
            return self.schema
        question = {"type": "boolean", "description": "Whether a person should confirm this call before it runs."}
        properties = {**self.schema.get("properties", {}), ASK_FIRST: question}
        return {**self.schema, "properties": properties, "required": [*self.schema.get("required", []), ASK_FIRST]}


@overload
def tool(function: Callable[P, R], /) -> LocalTool[P, R]: ...


@overload
def tool(
    *, approval: str = "auto_run", name: str | None = None, timeout: float | None = None
) -> Callable[[Callable[P, R]], LocalTool[P, R]]: ...


def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    approval: str = "auto_run",
    name: str | None = None,
    timeout: float | None = None,
) -> LocalTool[P, R] | Callable[[Callable[P, R]], LocalTool[P, R]]:
    """Makes a function callable by models; used as ``@tool`` or ``@tool(approval=...)``.

    Args:
        function: The function. Every parameter needs a type hint; a Google-style docstring describes them.
        approval: "auto_run", "requires_approval", or "let_agent_decide" (the model says for each call).
        name: The name models call it by; the function's own when not given.
        timeout: Seconds it may run; the engine's own limit when not given.

    Raises:
        TypeError: It is no plain function, or a parameter cannot be described in a schema.
        ValueError: ``approval``, ``name`` or ``timeout`` is none that can be used.
    """

    def declare(declared: Callable[P, R]) -> LocalTool[P, R]:
        return LocalTool(declared, name=name, approval=approval, timeout=timeout)

    return declare if function is None else declare(function)


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """Gives a Google-style docstring's description, and its arguments' descriptions by name."""
    description: list[str] = []
    sections: dict[str, list[str]] = {}
    lines = description
    for line in text.splitlines():
        section = _SECTION.match(line)
        if section:
            lines = sections.setdefault(section[1], [])
        else:
            lines.append(line)
    arguments = sections.get("Args") or sections.get("Arguments") or sections.get("Parameters") or []
    return "\n".join(description).strip(), _read_entries(arguments)


def _read_entries(lines: list[str]) -> dict[str, str]:
    entries: dict[str, str] = {}
    name = ""
    for line in textwrap.dedent("\n".join(lines)).splitlines():
        entry = _ENTRY.match(line)
        if entry:
            name = entry[1]
            entries[name] = entry[2].strip()
        elif name and line.strip():
            entries[name] = f"{entries[name]} {line.strip()}".strip()
    return entries


def _check(declared: LocalTool[Any, Any]) -> None:
    if inspect.iscoroutinefunction(declared.function) or not callable(declared.function):
        raise TypeError(f"tool {declared.name}: a tool is a plain function that returns its result")
    if not _NAME.fullmatch(declared.name):
        raise ValueError(f"{declared.name!r} cannot be a tool's name: letters, digits, _ and -, at most 64")
    if declared.approval not in APPROVALS:
        raise ValueError(f"tool {declared.name}: approval is one of {', '.join(APPROVALS)}, not {declared.approval!r}")
    if declared.timeout is not None and not declared.timeout > 0:
        raise ValueError(f"tool {declared.name}: timeout is a number of seconds above 0")


def _arguments_model(
    name: str, function: Callable[..., Any], words: Mapping[str, str]
) -> tuple[type[BaseModel], dict[str, str]]:
    # The fields have names of their own and the parameters' names for aliases: a parameter may be called
    # what a pydantic field may not, such as "schema" or "_x".
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    for index, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"tool {name}: parameter {parameter.name} has to be one that takes its value by name")
        if parameter.name not in hints:
            raise TypeError(f"tool {name}: parameter {parameter.name} needs a type hint")
        default = ... if parameter.default is parameter.empty else parameter.default
        described = Field(default, alias=parameter.name, description=words.get(parameter.name))
        fields[f"field_{index}"] = (hints[parameter.name], described)
        names[f"field_{index}"] = parameter.name
    try:
        model = create_model(name, __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=False), **fields)
        model.model_json_schema()
    except PydanticUserError as error:
        raise TypeError(f"tool {name}: a parameter's type has no JSON form ({error.message})") from None
    return model, names


def _plain(schema: Any) -> Any:
    # Titles are pydantic's, not the author's; a property may be called "title", and is kept.
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key != "title" or not isinstance(value, str)}
    return {
        key: {name: _plain(item) for name, item in value.items()} if key in ("properties", "$defs") else _plain(value)
        for key, value in kept.items()
    }


def _explain(name: str, error: ValidationError) -> str:
    told = [f"{'.'.join(str(part) for part in item['loc']) or 'arguments'}: {item['msg']}" for item in error.errors()]
    return f"the arguments do not fit tool {name}: {'; '.join(told[:5])}"


def load_tools(path: str) -> list[LocalTool[..., Any]]:
    """Gives the tools that a Python file declares.

    Raises:
        EngineError: It cannot be run, or declares none.
    """
    try:
        found = runpy.run_path(path, run_name="sessionlib_tools").values()
    except Exception as error:
        raise EngineError(f"the tools file {path} cannot be run: {type(error).__name__}: {error}") from error
    declared = {id(item): item for item in found if isinstance(item, LocalTool)}
    if not declared:
        raise EngineError(f"the tools file {path} declares no tool; put @tool on its functions")
    return list(declared.values())
