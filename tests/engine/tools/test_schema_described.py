"""What models are shown of forty functions, beside what fastmcp 4.2 and openai-agents 0.24 show of them."""

from __future__ import annotations

import json
from typing import Any, TypedDict

import pytest

from sessionlib.engine import tool
from tests.engine.tools.described import RECORDED, described, functions

BOTH = ("fastmcp", "openai-agents")
THEIRS: dict[str, dict[str, Any]] = json.loads(RECORDED.read_text("utf-8"))

# What differs, from whom, and why ours is as it is.
ARGUED: dict[str, tuple[tuple[str, ...], str]] = {
    "f09": (BOTH, "fields that a dataclass does not have are refused with the reason, not dropped"),
    "f10": (BOTH, "likewise the keys of a TypedDict"),
    "f17": (BOTH, "without a hint nothing can be checked, and a model is shown nothing: refused at declaration"),
    "f19": (BOTH, "arguments come by name; fastmcp refuses it too"),
    "f20": (BOTH, "likewise; openai-agents passes a list, which is another signature than the author's"),
    "f21": (BOTH, "likewise"),
    "f23": (("openai-agents",), "names that pydantic keeps for itself are fine names of parameters"),
    "f24": (("openai-agents",), "likewise with an underscore"),
    "f25": (BOTH, "nothing here runs coroutines: refused at declaration"),
    "f26": (BOTH, "refused by all; ours is a TypeError that names the tool"),
    "f27": (BOTH, "likewise"),
    "f29": (BOTH, "the lines of a parameter's description are joined"),
    "f31": (BOTH, "likewise"),
    "f32": (BOTH, "a paragraph behind the sections is part of the description: here it is the warning"),
    "f34": (("openai-agents",), "what stands at the parameter is nearer to it than the docstring; fastmcp agrees"),
    "f36": (
        BOTH,
        "what the author has fixed in a partial is not the model's to choose; openai-agents refuses partials",
    ),
    "f37": (BOTH, "an object is called by its method, whose docstring says what the call does"),
    "f39": (BOTH, "the lines of a parameter's description are joined"),
}


def ours(function: Any) -> Any:
    try:
        made = tool(function)
    except TypeError as error:
        assert str(error).startswith("tool ")
        return "refused (TypeError)"
    return described(made.description, made.schema)


@pytest.mark.parametrize("name", sorted(functions()))
def test_a_function_is_described_as_elsewhere_or_for_a_reason_otherwise(name: str) -> None:
    shown = ours(functions()[name])
    differs = tuple(library for library in BOTH if THEIRS[name][library] != shown)
    assert differs == ARGUED.get(name, ((), ""))[0], shown


def test_there_are_forty_and_no_reason_too_many() -> None:
    assert len(functions()) == len(THEIRS) == 40
    assert ARGUED.keys() <= functions().keys()


class Line(TypedDict):
    sku: str


def test_a_typed_dict_of_the_standard_library_is_a_parameter_on_every_python() -> None:
    @tool
    def count(lines: list[Line]) -> int:
        """Count."""
        return len(lines)

    assert count.validate({"lines": [{"sku": "a"}]}) == {"lines": [{"sku": "a"}]}
