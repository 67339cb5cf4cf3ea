"""Tools out of functions: the schema comes from the type hints, the words from the docstring."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import runpy
import textwrap
import threading
import traceback
import types
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo

from sessionlib._util.typed import misfits, plain_schema, portable
from sessionlib.engine.errors import EngineError

__all__ = ["APPROVALS", "ASK_FIRST", "InvalidArgumentsError", "LocalTool", "load_tools", "tool"]

P = ParamSpec("P")
R = TypeVar("R")

APPROVALS = ("auto_run", "requires_approval", "let_agent_decide")
# From the least strict: of several declarations the strictest counts.
_STRICTNESS = ("auto_run", "let_agent_decide", "requires_approval")
# What plain functions were declared with: the one inside a tool, taken out and declared again, keeps its gate too.
_gates: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
ASK_FIRST = "ask_user_first"
"""The extra argument in which a model decides whether a person should be asked, where it may decide."""

# What models' interfaces take as a function's name, 64 characters at most.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Return|Yields|Raises|Examples?|Notes?|Attributes):\s*$")
_RULE = re.compile(r"^\s*-{3,}\s*$")
_FIELD = re.compile(r"^:(\w+)(?:\s+([^:]+))?:\s*(.*)$")
_PARAMETER_SECTIONS = {"Args", "Arguments", "Parameters", "Other Parameters"}
_PARAMETER_FIELDS = {"param", "parameter", "arg", "argument", "key", "keyword"}
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")


class InvalidArgumentsError(ValueError):
    """Arguments that do not fit a tool's schema; the message has which and why."""


class LocalTool(Generic[P, R]):
    """A Python function that models may call; calling it runs the function as before. Made by `tool`.

    Attributes:
        name: The name models call it by.
        description: The docstring before its sections.
        approval: "auto_run", "requires_approval" or "let_agent_decide".
        timeout: Seconds it may run, or None for the engine's own limit.
        schema: JSON schema of the arguments.
    """

    def __init__(
        self, function: Callable[P, R], *, name: str | None, approval: str | None, timeout: float | None
    ) -> None:
        inner = next((layer for layer in _layers(function) if isinstance(layer, LocalTool)), None)
        if isinstance(function, LocalTool):
            function = function.function
        # Before what is checked is set: a function's attributes must not replace it.
        functools.update_wrapper(self, function, updated=())
        self.function: Callable[P, R] = function
        plain = _innermost(function)
        own_name = inner.name if inner else str(getattr(plain, "__name__", type(plain).__name__))
        self.name: str = own_name if name is None else name
        # Declared or wrapped again, a tool keeps its gate unless this call names another; a function its strictest.
        gate = inner.approval if inner else "auto_run"
        for layer in () if inner else _layers(function):
            with contextlib.suppress(TypeError):  # an object that cannot be hashed
                gate = max(gate, _gates.get(layer, gate), key=_STRICTNESS.index)
        self.approval: str = str(approval or gate)
        self.timeout: float | None = inner.timeout if timeout is None and inner else timeout
        _check(self)
        if inspect.isroutine(plain):
            doc = inspect.getdoc(plain) or ""
        else:
            # An object's: that of its method, unless it is the one that every method of this name has, or of its class.
            doc = inspect.cleandoc(getattr(type(plain).__call__, "__doc__", None) or type(plain).__doc__ or "")
        self.description, words = read_docstring(doc)
        self._arguments, self._parameters = _arguments_model(self.name, function, words)
        # Without the titles that pydantic makes of names, from which a model learns nothing.
        self.schema: dict[str, Any] = plain_schema(self._arguments.model_json_schema())
        with contextlib.suppress(TypeError):  # an object that cannot be hashed
            _gates[plain] = max(self.approval, _gates.get(plain, "auto_run"), key=_STRICTNESS.index)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls the function."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<tool {self.name}, {self.approval}>"

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments as the function takes them.

        Args:
            arguments: What the model proposed, by name.

        Raises:
            InvalidArgumentsError: They do not fit the schema.
        """
        try:
            # Not strictly: models write "3" for 3, and people type into forms.
            model = self._arguments.model_validate(dict(arguments))
        except ValidationError as error:
            found = "; ".join(misfits(error, "arguments")[:5])
            raise InvalidArgumentsError(f"the arguments do not fit tool {self.name}: {found}") from None
        except BaseException as error:
            # A validator of the author's, which may raise anything, also what cannot be shown. Only on the main thread
            # may Ctrl-C be a person's.
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise
            reason = "".join(traceback.format_exception_only(error)).strip()[:500]
            raise InvalidArgumentsError(f"the arguments do not fit tool {self.name}: {reason}") from error
        return {parameter: getattr(model, field) for field, parameter in self._parameters.items()}

    def to_wire(self) -> dict[str, Any]:
        """Returns the tool as it stands in an agent's JSON."""
        return {
            "name": self.name,
            "description": self.description,
            "approval_config": self.approval,
            "schema": self.schema,
        }

    def offered_schema(self) -> dict[str, Any]:
        """Returns the schema that a model sees: where it decides about approval, with an argument for that."""
        if self.approval != "let_agent_decide":
            return self.schema
        question = {"type": "boolean", "description": "Whether a person should confirm this call before it runs."}
        # Required, or models would leave it out, which asks a person every time.
        properties = {**self.schema.get("properties", {}), ASK_FIRST: question}
        return {**self.schema, "properties": properties, "required": [*self.schema.get("required", []), ASK_FIRST]}


@overload
def tool(function: Callable[P, R], /) -> LocalTool[P, R]: ...


@overload
def tool(
    *, approval: str | None = None, name: str | None = None, timeout: float | None = None
) -> Callable[[Callable[P, R]], LocalTool[P, R]]: ...


def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    approval: str | None = None,
    name: str | None = None,
    timeout: float | None = None,
) -> LocalTool[P, R] | Callable[[Callable[P, R]], LocalTool[P, R]]:
    """Makes a function callable by models; used as ``@tool`` or ``@tool(approval=...)``.

    Args:
        function: The function, method, partial or callable object. Every parameter needs a type hint; its description
            comes from ``Annotated``, ``Field``, or a docstring in Google, NumPy or Sphinx style.
        approval: "auto_run", "requires_approval", or "let_agent_decide" (the model decides for each call). When not
            given, that of the tool that ``function`` is or wraps, else "auto_run".
        name: The name models call it by; the function's own when not given.
        timeout: Seconds it may run; the engine's own limit when not given.

    Raises:
        TypeError: It is asynchronous, has no signature, or a parameter cannot be described in a schema.
        ValueError: ``approval``, ``name`` or ``timeout`` is none that can be used.
    """

    def declare(declared: Callable[P, R]) -> LocalTool[P, R]:
        return LocalTool(declared, name=name, approval=approval, timeout=timeout)

    return declare if function is None else declare(function)


def _layers(function: Any) -> Iterator[Any]:
    """Yields a function, and what it wraps by `functools.wraps` and `functools.partial`, down to the innermost."""
    # `__wrapped__` is anyone's attribute, and may lead in a circle.
    seen: set[int] = set()
    while function is not None and id(function) not in seen:
        seen.add(id(function))
        yield function
        function = function.func if isinstance(function, functools.partial) else getattr(function, "__wrapped__", None)


def _innermost(function: Any) -> Any:
    while isinstance(function, (functools.partial, LocalTool)):
        function = function.func if isinstance(function, functools.partial) else function.function
    return function


def _plain_function(function: Any) -> Any:
    """Returns what holds the hints of a callable."""
    function = _innermost(function)
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return type(function).__call__


# How a synchronous wrapper runs the coroutine of an asynchronous function.
_RUNNERS = {"run", "run_until_complete", "run_coroutine_threadsafe", "run_sync", "async_to_sync", "start", "result"}


def _is_async(function: Any) -> bool:
    function = _innermost(function)
    plain = _plain_function(function)
    if _makes_coroutine(plain):
        return True
    # A wrapper that only passes on what an asynchronous function returns is one too.
    # By the names that its code uses: one of these runs the coroutine to its end.
    code = getattr(plain, "__code__", None)
    return _makes_coroutine(inspect.unwrap(function)) and not _RUNNERS & set(getattr(code, "co_names", ()))


def _makes_coroutine(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """Returns a docstring's description, and its parameters' descriptions by name.

    Args:
        text: A cleaned docstring in Google, NumPy or Sphinx style.
    """
    description: list[str] = []
    entries: list[str] = []
    fields: dict[str, str] = {}
    part, style, field = "description", "", ""
    rows = text.splitlines()
    for row, following in zip(rows, [*rows[1:], ""], strict=False):
        is_indented = row.startswith((" ", "\t"))
        # Three styles in one pass, as files mix them; each row is of the style that it looks like.
        google = _SECTION.match(row)
        numpy = row.strip() and not is_indented and _RULE.match(following)
        if sphinx := _FIELD.match(row):
            part, style = "field", "sphinx"
            field = sphinx[2].split()[-1].lstrip("*") if sphinx[1] in _PARAMETER_FIELDS and sphinx[2] else ""
            if field:
                fields[field] = sphinx[3].strip()
        elif google or numpy:
            title = google[1] if google else row.strip()
            part, style = "parameters" if title in _PARAMETER_SECTIONS else "other", "google" if google else "numpy"
        elif style == "numpy" and _RULE.match(row):
            continue
        elif row.strip() and not is_indented and style != "numpy":
            part = "description"  # a paragraph behind a section
            description.append(row)
        elif part == "field" and field:
            fields[field] = f"{fields[field]} {row.strip()}".strip()
        elif part in ("description", "parameters"):
            (description if part == "description" else entries).append(row)
    return "\n".join(description).strip(), {**_entries(entries, style == "numpy"), **fields}


def _entries(lines: list[str], numpy: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    names: list[str] = []
    # Of Google's style, entries stand at the left then, and what goes on behind them is indented.
    for line in lines if numpy else textwrap.dedent("\n".join(lines)).splitlines():
        entry = None if numpy else _ENTRY.match(line)
        if entry:
            names = [entry[1]]
            found[entry[1]] = entry[2].strip()
        elif numpy and line.strip() and not line.startswith((" ", "\t")):
            names = [name.strip().lstrip("*") for name in line.partition(":")[0].split(",")]
            found |= dict.fromkeys(names, "")
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}".strip() for name in names}
    return found


def _check(declared: LocalTool[Any, Any]) -> None:
    if not callable(declared.function) or inspect.isclass(declared.function):
        raise TypeError(f"tool {declared.name}: a tool is a plain function that returns its result")
    if _is_async(declared.function):
        raise TypeError(
            f"tool {declared.name}: a tool is a plain function that returns its result; this one is asynchronous: "
            "wrap it in a function that runs it, for example with asyncio.run"
        )
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
    try:
        # Strings as well: under `from __future__ import annotations` all hints are strings.
        hints = get_type_hints(_plain_function(function), include_extras=True)
        parameters = inspect.signature(function).parameters.values()
    except Exception as error:  # noqa: BLE001 - annotations are code, which may raise anything
        raise TypeError(f"tool {name}: its parameters cannot be read: {error}") from None
    bound = function.keywords if isinstance(function, functools.partial) else {}
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    for parameter in parameters:
        if parameter.name in bound:
            continue  # what the author has fixed is not the model's to choose
        # A model passes arguments by name, as a JSON object.
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"tool {name}: parameter {parameter.name} has to be one that takes its value by name")
        if parameter.name not in hints:
            raise TypeError(f"tool {name}: parameter {parameter.name} needs a type hint")
        hint, default = portable(hints[parameter.name]), parameter.default
        # Of ``Annotated[int, "..."] | None`` as well.
        members = [hint, *(get_args(hint) if get_origin(hint) in (Union, types.UnionType) else ())]
        notes = [default, *(note for member in members for note in getattr(member, "__metadata__", ()))]
        # A `Field`'s description, as the default or in `Annotated`; else a text in it; else what the docstring has.
        own = [n.description if isinstance(n, FieldInfo) else getattr(n, "documentation", None) for n in notes]
        texts = [text for text in (*own, *notes[1:]) if isinstance(text, str)]
        if (words_of := (texts[0] if texts else None) or words.get(parameter.name)) is not None:
            hint = Annotated[hint, Field(description=words_of)]
        # Not by an alias generator of the model, which dataclasses and TypedDicts within it would inherit.
        hint = Annotated[hint, Field(alias=parameter.name)]
        fields[f"field_{len(names)}"] = (hint, ... if default is parameter.empty else default)
        names[f"field_{len(names)}"] = parameter.name
    # An argument that a tool does not have is a mistake of the model's, which it can mend by the error.
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a default that has no JSON form, which is only left out
            model = create_model(name, __config__=config, **fields)
            # Made now, so that what has no schema is found where it is declared.
            model.model_json_schema()
    except PydanticUserError as error:
        raise TypeError(f"tool {name}: a parameter's type has no JSON form ({error.message})") from None
    return model, names


def load_tools(path: str) -> list[LocalTool[..., Any]]:
    """Returns the tools that a Python file declares.

    Raises:
        EngineError: It cannot be run, or declares none.
    """
    try:
        # Not as "__main__", so that what a script does when it is run does not happen.
        found = runpy.run_path(path, run_name="sessionlib_tools").values()
    except (Exception, SystemExit) as error:  # a script that ends by itself would end the engine with it
        raise EngineError(f"the tools file {path} cannot be run: {type(error).__name__}: {error}") from error
    # By identity: a tool may stand in the file under two names.
    declared = {id(item): item for item in found if isinstance(item, LocalTool)}
    if not declared:
        raise EngineError(f"the tools file {path} declares no tool; put @tool on its functions")
    return list(declared.values())
