"""Forty functions as people write them for tools, and what fastmcp and openai-agents make of them.

``python -m tests.engine.tools.described`` writes ``described.json`` again, where those two are installed.
"""

from __future__ import annotations

import datetime
import enum
import functools
import json
import pathlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

RECORDED = pathlib.Path(__file__).with_name("described.json")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: float
    y: float = 0.0


class Line(TypedDict):
    sku: str
    count: int


class Order(BaseModel):
    number: str = Field(description="Its number.")
    lines: list[Line] = []


class Pair(NamedTuple):
    left: int
    right: int


# fmt: off
def f01(): "No parameters."
def f02(a: int, b: float, c: str, d: bool): "Plain types."
def f03(a: int = 3, b: str = "x", c: Optional[float] = None): "Defaults."
def f04(a: list[int], b: dict[str, float], c: tuple[int, str], d: set[str]): "Containers."
def f05(a: Literal["x", "y"], b: Colour = Colour.RED): "Choices."
def f06(a: Union[int, str], b: int | None = None): "Unions."
def f07(when: datetime.datetime, day: datetime.date, span: datetime.timedelta): "Times."
def f08(a: Decimal, b: uuid.UUID, c: pathlib.Path, d: bytes): "Other values."
def f09(point: Point): "A dataclass."
def f10(line: Line): "A TypedDict."
def f11(order: Order): "A pydantic model."
def f12(pair: Pair): "A named tuple."
def f13(a: Annotated[int, Field(description="How many.", ge=1, le=9)]): "A field in Annotated."
def f14(a: Annotated[str, "Whose name."]): "A string in Annotated."
def f15(a: int = Field(3, ge=1, description="Days.")): "A field as the default."
def f16(a: int = Field(description="Days.")): "A field without a default."
def f17(a, b=1): "No hints."
def f18(*, a: int, b: int = 2): "Keywords only."
def f19(a: int, /): "Positional only."
def f20(*args: int): "Any number."
def f21(**options: int): "Any keywords."
def f22(a: Any, b: object): "Anything."
def f23(schema: str, copy: int, model_config: str): "Names that pydantic keeps for itself."
def f24(_x: int): "A name with an underscore."
async def f25(a: int): "Asynchronous."
def f26(call: Callable[[int], int]): "A callable."
def f27(a: Missing): "A hint that does not exist."  # noqa: F821
def f28(a: int): ...
# fmt: on


def f29(a: int, b: str) -> str:
    """Google style.

    More about it.

    Args:
        a: How many,
            on two lines.
        b (str): What: a thing.

    Returns:
        Nothing much.

    Raises:
        ValueError: Never.
    """


def f30(a: int, b: str) -> str:
    """NumPy style.

    Parameters
    ----------
    a : int
        How many.
    b : str, optional
        What.

    Returns
    -------
    str
        Nothing much.
    """


def f31(a: int, b: str) -> str:
    """Sphinx style.

    :param a: How many,
        on two lines.
    :param str b: What.
    :returns: Nothing much.
    """


def f32(a: int) -> str:
    """First line.

    Args:
        a: How many.

    Warning: this costs money.
    """


def f33(a: int) -> str:
    """First line.

    Args:
        b: Of another function.
    """


def f34(a: Annotated[int, Field(description="In the hint.")]) -> str:
    """Both.

    Args:
        a: In the docstring.
    """


def f35(a: int) -> str:
    """Only Examples:

    Example:
        >>> f35(1)
    """


def f36(a: int, b: int = 2) -> str:
    """A partial of it has one parameter left."""


class Callables:
    """An object that can be called."""

    def __call__(self, a: int) -> int:
        """Calls it.

        Args:
            a: How many.
        """
        return a

    def method(self, a: int) -> int:
        """A method."""
        return a


@functools.wraps(f29)
def f39(*args: Any, **kwargs: Any) -> Any:
    return f29(*args, **kwargs)


class Tree(BaseModel):
    children: list[Tree] = []


def f40(tree: Tree) -> str:
    """A type within itself."""


def functions() -> dict[str, Callable[..., Any]]:
    """Returns the forty by name."""
    plain = {name: value for name, value in globals().items() if name[0] == "f" and name[1:].isdigit()}
    f36_partial = functools.partial(f36, b=3)
    return {**plain, "f36": f36_partial, "f37": Callables(), "f38": Callables().method}


def described(description: str | None, schema: dict[str, Any]) -> dict[str, Any]:
    """Returns what a model is shown of a tool, in one form for all libraries: without titles and empty parts."""
    schema = json.loads(json.dumps(schema))
    references = {f"#/$defs/{name}": found for name, found in schema.get("$defs", {}).items()}

    def plain(value: Any, depth: int = 0) -> Any:
        if isinstance(value, list):
            return [plain(item, depth) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get("$ref") in references and depth < 2:
            return plain({**references[value["$ref"]], **{k: v for k, v in value.items() if k != "$ref"}}, depth + 1)
        kept = {key: item for key, item in value.items() if key != "title" or not isinstance(item, str)}
        return {key: plain(item, depth) for key, item in kept.items() if key != "$ref"}

    return {
        "description": (description or "").strip(),
        "required": sorted(schema.get("required", [])),
        "parameters": {name: plain(value) for name, value in schema.get("properties", {}).items()},
    }


def _record() -> None:
    from agents import function_tool
    from fastmcp.tools import Tool

    def by_agents(function: Any) -> dict[str, Any]:
        made = function_tool(function, strict_mode=False)
        return described(made.description, made.params_json_schema)

    def by_fastmcp(function: Any) -> dict[str, Any]:
        made = Tool.from_function(function, name="tool")
        return described(made.description, made.parameters)

    recorded: dict[str, Any] = {}
    for name, function in functions().items():
        recorded[name] = {}
        for library, describe in (("fastmcp", by_fastmcp), ("openai-agents", by_agents)):
            try:
                recorded[name][library] = describe(function)
            except Exception as error:
                recorded[name][library] = f"refused ({type(error).__name__})"
    RECORDED.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    _record()
