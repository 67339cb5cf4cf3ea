"""What becomes of a function that is declared as a tool: its words, its gate, and what is refused."""

from __future__ import annotations

import asyncio
import copy
import enum
import functools
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import AfterValidator, BaseModel, Field

from sessionlib.engine import LocalEngine, tool
from sessionlib.engine.tools.schema import InvalidArgumentsError, LocalTool, load_tools
from tests.engine.tools.conftest import run
from tests.engine.tools.described import f29, f31, f32
from tests.support.threads import in_threads


def by_member(a: Annotated[int, "The first."] | None, b: int = 2) -> int:
    """Add."""
    return (a or 0) + b


def by_default(a: int = Field(description="The first."), b: int = Field(2, ge=1)) -> int:
    """Add."""
    return a + b


def numpy_style(a: int, b: int = 2) -> int:
    """Add.

    Parameters
    ----------
    a : int
        The
        first.
    b : int, optional
        The second.

    Returns
    -------
    int
        The sum.
    """
    return a + b


def test_a_default_that_json_does_not_have_is_left_out() -> None:
    @tool
    def limited(least: float = float("-inf"), most: float = float("nan")) -> float:
        return least + most

    assert limited.schema["properties"] == {"least": {"type": "number"}, "most": {"type": "number"}}
    assert "required" not in limited.schema
    assert limited.validate({})["least"] == float("-inf")


@pytest.mark.parametrize("function", [by_member, by_default, numpy_style])
def test_words_and_defaults_come_from_wherever_the_author_wrote_them(function: Callable[..., int]) -> None:
    declared = tool(function)
    properties = declared.schema["properties"]
    assert properties["a"]["description"] == "The first."
    assert properties["b"].get("description") == ("The second." if function is numpy_style else None)
    assert declared.schema["required"] == ["a"]
    assert declared.description == "Add."
    assert declared.validate({"a": 1}) == {"a": 1, "b": 2}
    assert run(declared, a=1).output == 3


@pytest.mark.parametrize(
    ("function", "described", "parameters"),
    [
        (f29, "Google style.\n\nMore about it.", {"a": "How many, on two lines.", "b": "What: a thing."}),
        (f31, "Sphinx style.", {"a": "How many, on two lines.", "b": "What."}),
        (f32, "First line.\n\nWarning: this costs money.", {"a": "How many."}),
    ],
)
def test_what_a_docstring_says_of_a_parameter_is_one_line(
    function: Callable[..., Any], described: str, parameters: dict[str, str]
) -> None:
    declared = tool(function)
    assert re.sub("\n{2,}", "\n\n", declared.description) == described
    assert {name: shown["description"] for name, shown in declared.schema["properties"].items()} == parameters


class Adder:
    """Adds."""

    def __call__(self, a: int, b: int = 2) -> int:
        return a + b

    def method(self, a: int, b: int = 2) -> int:
        """Add."""
        return a + b


@pytest.mark.parametrize(
    ("function", "name", "output"),
    [
        (functools.partial(by_member, b=5), "by_member", 6),
        (functools.partial(functools.partial(by_member), b=5), "by_member", 6),
        (functools.partial(Adder(), b=4), "Adder", 5),
        (Adder(), "Adder", 3),
        (Adder().method, "method", 3),
    ],
)
def test_whatever_can_be_described_is_a_tool(function: Callable[..., int], name: str, output: int) -> None:
    declared = tool(function)
    assert (declared.name, declared.description[:3]) == (name, "Add")
    assert run(declared, a=1).output == output
    if isinstance(function, functools.partial):
        with pytest.raises(InvalidArgumentsError):
            declared.validate({"a": 1, "b": 9})


async def slow(a: int) -> int:
    """Wait."""
    return a


@functools.wraps(slow)
def passes_on(a: int) -> Any:
    return slow(a)


@functools.wraps(slow)
def runs(a: int) -> int:
    return asyncio.run(slow(a))


class PassesOn:
    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, a: int) -> Any:
        return self.function(a)


class AsyncAdder:
    async def __call__(self, a: int) -> int:
        return a


async def numbers() -> Any:
    yield 1


def unresolved(a: "Missing") -> None:  # type: ignore[name-defined]  # noqa: F821, UP037
    """Nothing."""


def unhinted(x) -> None: ...  # type: ignore[no-untyped-def]


def starred(*args: int) -> None: ...


def positional(x: int, /) -> None: ...


def strange(x: threading.Thread) -> None: ...


_ASYNCHRONOUS = (slow, passes_on, AsyncAdder(), functools.partial(slow, 1), functools.cache(slow), PassesOn(slow))


@pytest.mark.parametrize(
    ("function", "why"),
    [
        *[(function, "asynchronous|plain function") for function in _ASYNCHRONOUS],
        *[(unresolved, "cannot be read"), (Adder, "plain function"), (7, "plain function"), (unhinted, "type hint")],
        *[(starred, "by name"), (positional, "by name"), (strange, "JSON")],
    ],
)
def test_whatever_cannot_be_a_tool_is_refused_with_the_reason(function: Any, why: str) -> None:
    with pytest.raises(TypeError, match=rf"^tool \w+: .*({why})"):
        tool(function)


def test_a_wrapper_that_runs_an_asynchronous_function_is_a_tool() -> None:
    assert run(runs, a=1).output == 1


@pytest.mark.parametrize(("make", "kind"), [(lambda: slow(1), "coroutine"), (numbers, "async_generator")])
def test_what_is_asynchronous_is_no_result(make: Callable[[], Any], kind: str) -> None:
    def give() -> Any:
        """Give it."""
        return make()

    outcome = run(give)
    assert (outcome.status, f"{kind}, which was not run" in outcome.output) == ("error", True)


class UnshowableError(Exception):
    def __str__(self) -> str:
        raise ValueError("x")


ERRORS: list[BaseException] = []


def check(value: int) -> int:
    raise ERRORS[0]


def checked(a: Annotated[int, AfterValidator(check)]) -> int:
    """Check."""
    return a


@pytest.mark.parametrize(
    "error",
    [
        *[kind("x") for kind in (KeyError, RuntimeError, StopIteration, ValueError, SystemExit, GeneratorExit)],
        *(UnshowableError("x"), KeyboardInterrupt("x")),
    ],
)
def test_a_validator_that_raises_anything_refuses_the_call_with_the_reason(error: BaseException) -> None:
    ERRORS[:] = [error]
    with in_threads(lambda: run(checked, a=1)) as outcomes:
        pass
    assert re.search(r"tool checked: .*x", outcomes[0].output)
    # Where Ctrl-C arrives, it may be a person's.
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else InvalidArgumentsError
    with pytest.raises(expected, match="x"):
        tool(checked).validate({"a": 1})


# ---- the gate --------------------------------------------------------------------------------


@tool(approval="requires_approval", timeout=7)
def gated(a: int) -> int:
    """Act."""
    return a


@functools.wraps(gated)
def wrapping(a: int) -> int:
    return gated(a)


def claims(a: int) -> int:
    """Act."""
    return a


claims.approval = "auto_run"  # type: ignore[attr-defined]
claims.name = "other"  # type: ignore[attr-defined]
claims.schema = {}  # type: ignore[attr-defined]

AGAIN: list[Callable[[], LocalTool[..., Any]]] = [
    lambda: tool(gated),
    lambda: tool()(gated),
    lambda: tool(name="again")(gated),
    lambda: tool(timeout=3)(gated),
    lambda: tool(tool(tool(gated))),
    lambda: tool(wrapping),
    lambda: tool(name="again")(wrapping),
    lambda: tool(functools.wraps(wrapping)(lambda a: gated(a))),
    lambda: tool(functools.partial(gated)),
    lambda: tool(functools.partial(wrapping)),
    lambda: tool(functools.partial(functools.partial(gated))),
    lambda: tool(functools.lru_cache(gated)),
    lambda: tool(functools.cache(wrapping)),
    lambda: tool(approval="requires_approval")(tool(claims)),
    lambda: tool(approval="requires_approval")(tool(approval="auto_run")(claims)),
    lambda: tool(approval="requires_approval")(claims),
    lambda: tool(gated.function),
    lambda: tool(functools.partial(gated.function)),
    lambda: tool(functools.wraps(gated.function)(lambda a: gated.function(a))),
    lambda: tool(gated.__wrapped__),  # type: ignore[attr-defined]
    lambda: tool(copy.deepcopy(gated)),
    lambda: tool(approval="")(gated),
    lambda: LocalTool(gated, name=None, approval=None, timeout=None),
    lambda: [tool(approval="let_agent_decide")(gated), tool(gated.function)][-1],
]


@pytest.mark.parametrize("declare", AGAIN)
def test_the_gate_cannot_be_lost(declare: Callable[[], LocalTool[..., Any]]) -> None:
    declared = declare()
    assert declared.approval == "requires_approval"
    assert declared.schema["required"] == ["a"]
    ran: list[Any] = []
    with LocalEngine(tools=[declared]) as engine, engine.agent().create_session() as session:
        session.on_approval(lambda request: ran.append(request.tool_name) or False)  # type: ignore[func-returns-value]
        session.ask(f'/tool {declared.name} {{"a": 1}}')
    assert ran == [declared.name]


def test_only_the_same_call_opens_the_gate_and_attributes_change_nothing() -> None:
    assert tool(approval="auto_run")(gated).approval == "auto_run"
    assert (tool(gated).name, tool(gated).timeout, tool(name="again", timeout=3)(gated).timeout) == ("gated", 7, 3)

    def boasts(a: int) -> None: ...

    boasts.approval, boasts.name = "requires_approval", "other"  # type: ignore[attr-defined]
    boasts.schema = {}  # type: ignore[attr-defined]
    declared = tool(boasts)
    assert (declared.approval, declared.name) == ("auto_run", "boasts")
    assert declared.schema["required"] == ["a"]


def test_a_tools_file_that_is_loaded_again_keeps_its_gates(tmp_path: Path) -> None:
    path = tmp_path / "tools.py"
    path.write_text("""
from sessionlib.engine import tool
@tool(approval='requires_approval')
def act() -> None: ...
act = tool(act)
""")
    for _ in range(2):
        assert [declared.approval for declared in load_tools(str(path))] == ["requires_approval"]


# ---- declaring -----------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Box(BaseModel):
    size: int
    label: str = ""


def paint(
    box: Box,
    colour: Colour = Colour.RED,
    mode: Literal["fast", "slow"] = "fast",
    layers: Optional[list[int]] = None,
    schema: str = "plain",
    _hidden: bool = False,
) -> str:
    """Paint a box.

    Takes its time.

    Args:
        box: What to paint.
        colour (Colour): In which colour,
            of the two there are.
        mode: How.

    Returns:
        What was done.
    """
    return f"{box.size} {colour.value} {mode} {layers} {schema} {_hidden}"


def test_the_schema_comes_from_hints_and_docstring() -> None:
    declared = tool(paint)
    assert (declared.name, declared.approval) == ("paint", "auto_run")
    assert declared.description == "Paint a box.\n\nTakes its time."
    properties = declared.schema["properties"]
    assert list(properties) == ["box", "colour", "mode", "layers", "schema", "_hidden"]
    assert properties["box"]["description"] == "What to paint."
    assert properties["colour"]["description"] == "In which colour, of the two there are."
    assert properties["mode"]["enum"] == ["fast", "slow"]
    assert declared.schema["required"] == ["box"]
    assert "title" not in str(declared.schema)


def test_arguments_become_what_the_function_takes() -> None:
    values = tool(paint).validate({"box": {"size": 2}, "colour": "blue", "layers": [1], "_hidden": True})
    assert paint(**values) == "2 blue fast [1] plain True"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "box: "),
        ({"box": {"size": "x"}}, "box.size: "),
        ({"box": {"size": 1}, "colour": "green"}, "colour: "),
        ({"box": {"size": 1}, "more": 1}, "more: "),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgumentsError, match=told):
        tool(paint).validate(arguments)


def test_a_tool_is_still_the_function() -> None:
    @tool(approval="requires_approval", name="other", timeout=3)
    def double(n: int) -> int:
        """Double it."""
        return 2 * n

    assert double(4) == 8
    assert (double.name, double.timeout, double.__name__, double.__doc__) == ("other", 3, "double", "Double it.")
    assert repr(double) == "<tool other, requires_approval>"


@pytest.mark.parametrize("options", [{"approval": "sometimes"}, {"name": "with space"}, {"timeout": 0}])
def test_options_that_cannot_be_are_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"tool|name"):
        tool(**options)(claims)


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two tools"):
        LocalEngine(tools=[claims, tool(claims)])
