"""Values of a type: asked for in words, found in what a model wrote, checked."""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Literal, Optional, TypedDict, Union

import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator

from sessionlib._util.typed import AnswerFormat, answer_format


class Line(TypedDict):
    sku: str
    count: int


class Draft(Line, total=False):
    """Keys that may be missing, behind inherited ones that may not."""

    notes: list[Line]
    either: Union[Line, None]
    by_name: dict[str, Annotated[Line, "a line"]]
    title: Literal["a", "b"]


class Size(enum.Enum):
    SMALL = "small"


@dataclass
class Order:
    number: str
    due: date
    size: Size = Size.SMALL
    parts: list[Order] = field(default_factory=list)


class Refund(BaseModel):
    amount: float = Field(gt=0)
    reason: Optional[str] = None

    @field_validator("reason")
    @classmethod
    def known(cls, reason: Any) -> Any:
        return {"late": "late", None: None}[reason]  # raises KeyError, as validators of users do


LINE = '{"sku": "a", "count": 2}'
ORDER, DUE = '{"number": "7", "due": "2026-01-02"}', date(2026, 1, 2)


@pytest.mark.parametrize(
    ("into", "text", "value"),
    [
        (Line, LINE, {"sku": "a", "count": 2}),
        (Line, '{"sku": "a", "count": "2"}', {"sku": "a", "count": 2}),
        (Draft, f'{{"sku": "a", "count": 2, "notes": [{LINE}], "either": null, "by_name": {{"x": {LINE}}}}}', None),
        (Draft, LINE, {"sku": "a", "count": 2}),
        (Order, ORDER, Order("7", DUE)),
        (Order, f'{ORDER[:-1]}, "size": "small", "parts": [{ORDER}]}}', Order("7", DUE, Size.SMALL, [Order("7", DUE)])),
        (Refund, '{"amount": 1.5}', Refund(amount=1.5)),
        (list[Line], f"[{LINE}]", [{"sku": "a", "count": 2}]),
        (int, " 42\n", 42),
        (typing_extensions.TypedDict("Extra", {"a": int}), '{"a": 1}', {"a": 1}),  # type: ignore[operator]
    ],
)
def test_a_value_of_each_kind_of_type_is_read(into: Any, text: str, value: Any) -> None:
    assert answer_format(into).read(text) == (json.loads(text) if value is None else value)


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{LINE}\n```",
        f"```\n{LINE}\n```\nI hope that this helps!",
        f"Sure, here it is:\n\n```JSON title=x\n{LINE}",  # ended in the middle of a fence
        f"The answer is {LINE}.",
        f"  {LINE}  ",
        f'<think>{{"sku": "draft", "count": 1}}? No.</think>\n{LINE}',
        f'First I thought of {{"sku": "draft", "count": 1}}, but [1] says otherwise: {LINE}',
        f"A brace {{ and [a list] and {{a: set}}, then {LINE}",
        '{"sku": "a", "count": 2, "more": "a fence: ```json\\n{}\\n```"}',
        f'{LINE} and {{"sku": 1}}',
        "[" * 300 + LINE,
    ],
)
def test_json_is_found_wherever_models_put_it(text: str) -> None:
    assert answer_format(Line).read(text)["sku"] == "a"


@pytest.mark.parametrize(
    ("into", "text", "reason"),
    [
        (Line, "I cannot do that.", "there is no JSON in it"),
        (Line, "", "there is no JSON in it"),
        (Line, '{"sku": "a", "count"', "there is no JSON in it"),
        (Line, '{"sku": "a"}', "count: Field required"),
        (Line, '"a"', "the value: Input should be"),
        (Draft, f'{LINE[:-1]}, "notes": [{{"sku": 1}}], "title": "c"}}', "notes.0.sku: Input should be a valid str"),
        (Refund, '{"amount": -1}', "amount: Input should be greater than 0"),
        (Refund, '{"amount": 1, "reason": "whim"}', "KeyError: 'whim'"),
        (Order, '{"number": "7", "due": "soon"}', "due: Input should be a valid date"),
        (list[int], json.dumps(["x"] * 20), "and 12 more"),
        (list[int], "[" * 5000, "there is no JSON in it"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(into: Any, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        answer_format(into).read(text)
    assert len(str(caught.value)) <= 1000


class Free(TypedDict, total=False):
    anything: str


def test_the_question_repeated_is_no_answer() -> None:
    form = answer_format(Free)
    assert form.read("{}") == {}
    with pytest.raises(ValueError, match="no JSON"):
        form.read(f'You said: "{form.request}"')


def test_the_request_has_the_schema_and_the_correction_the_reason_too() -> None:
    form = answer_format(Refund)
    assert json.dumps(form.schema) in form.request
    assert form.schema["properties"]["amount"] == {"exclusiveMinimum": 0, "type": "number"}
    assert "amount: too small" in form.correction("amount: too small")
    assert form.request in form.correction("x")


class Unknown:
    pass


@pytest.mark.parametrize("into", [Unknown, 7, "Line", len, BaseModel.model_validate], ids=str)
def test_a_type_without_a_schema_is_refused(into: Any) -> None:
    why = r"into takes a dataclass, a TypedDict or a pydantic model; .+ has no JSON schema"
    with pytest.raises(TypeError, match=why):
        answer_format(into)


def test_a_type_is_described_once() -> None:
    assert answer_format(Line) is answer_format(Line)


@given(st.text(alphabet=st.sampled_from('{}[]"`:,\n a1\\'), max_size=60))
def test_any_text_is_a_value_or_a_reason(text: str) -> None:
    form: AnswerFormat[Any] = answer_format(Free)
    try:
        assert isinstance(form.read(text), dict)
    except ValueError as error:
        assert str(error)


_PROSE = st.text(alphabet=st.sampled_from("{[]} \nab`"), max_size=20)


@given(_PROSE, st.text(max_size=20), st.integers(), st.booleans())
def test_a_value_between_words_is_found_as_it_was_written(before: str, sku: str, count: int, fenced: bool) -> None:
    line = {"sku": sku.encode(errors="replace").decode(), "count": count}
    text = json.dumps(line)
    assert answer_format(Line).read(f"{before}\n```json\n{text}\n```" if fenced else f"{before} {text}") == line
