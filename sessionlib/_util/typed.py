"""Values of a type out of a text: what to ask a language model for, and the value in what it answered.

pydantic describes and checks the types (dataclasses and TypedDicts too). It is imported on first use.
"""

from __future__ import annotations

import functools
import json
import re
import sys
import types
import typing
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, Union, get_args, get_origin

from sessionlib._util.optional import extra

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    # Where no type was given, the value is of none: `Reply` alone means what it did before it had values.
    T = TypeVar("T", default=Any)
else:
    T = typing.TypeVar("T")

__all__ = ["AnswerFormat", "T", "answer_format", "misfits", "plain_schema", "portable"]

_FENCE = r"(?s)```[^\n`]*\n(.*?)(?:```|\Z)"
# Places in a text at which no JSON begins although it looks so; the time for each grows with its depth.
_FALSE_STARTS = 1000
_REASON_CHARS = 1000


class AnswerFormat(Generic[T]):
    """How a model is asked for a value of a type, and how the value is read.

    Args:
        into: A dataclass, TypedDict, pydantic model, or another type that pydantic can describe.

    Attributes:
        name: The type's name.
        schema: JSON schema of the value.

    Raises:
        MissingExtraError: pydantic is not installed; the extra ``typed`` brings it.
        TypeError: The type has no JSON schema.
    """

    def __init__(self, into: type[T]) -> None:
        with extra("typed", "into="):
            import pydantic
        self.name = str(getattr(into, "__name__", into))
        self._invalid = pydantic.ValidationError
        try:
            self._adapter: pydantic.TypeAdapter[T] = pydantic.TypeAdapter(portable(into))
            self.schema: dict[str, Any] = plain_schema(self._adapter.json_schema())
        except Exception as error:
            raise TypeError(
                f"into takes a dataclass, a TypedDict or a pydantic model; {self.name} has no JSON schema: "
                f"{str(getattr(error, 'message', error)).partition(chr(10))[0]}"
            ) from error

    @property
    def request(self) -> str:
        """What follows the question."""
        return (
            "Answer with one JSON value that fits the JSON schema below, and with nothing else: no explanation, no "
            f"Markdown.\n{json.dumps(self.schema, ensure_ascii=False)}"
        )

    def correction(self, reason: str) -> str:
        """Returns what asks again after an answer that did not fit.

        Args:
            reason: Why it did not.
        """
        return f"Your answer does not fit the JSON schema: {reason}\n\n{self.request}"

    def read(self, text: str) -> T:
        """Returns the value in an answer: the whole text, a fenced block, or JSON between words.

        Raises:
            ValueError: There is none that fits; the message has the reasons, for the model.
        """
        reason = ""
        for candidate in _json_texts(text):
            # Small models tend to repeat what they were given.
            if json.loads(candidate) == self.schema:
                continue  # the question, repeated
            try:
                return self._adapter.validate_json(candidate)
            except self._invalid as error:
                # The likeliest text's reason alone: those of the rest would mislead the model.
                if not reason:
                    found = misfits(error, "the value")
                    more = f"; and {len(found) - 8} more" if len(found) > 8 else ""
                    reason = "; ".join(found[:8]) + more
            except Exception as error:  # noqa: BLE001 - a validator of the type's author may raise anything
                reason = reason or f"{type(error).__name__}: {error}"
        raise ValueError((reason or "there is no JSON in it")[:_REASON_CHARS])


_known_format = functools.lru_cache(maxsize=64)(AnswerFormat)


def answer_format(into: type[T]) -> AnswerFormat[T]:
    """Returns the format of a type; errors as for `AnswerFormat`."""
    # Describing a type takes milliseconds, and a map asks for each of its prompts.
    return _known_format(into) if isinstance(into, Hashable) else AnswerFormat(into)


def misfits(error: Any, whole: str) -> list[str]:
    """Returns what a pydantic ``ValidationError`` found, each with its place; ``whole`` names that of no part."""
    # Without the input, which the model has, and without the addresses of pydantic's pages.
    items = error.errors(include_url=False, include_context=False, include_input=False)
    return [f"{'.'.join(map(str, item['loc'])) or whole}: {item['msg']}" for item in items]


def plain_schema(schema: Any) -> Any:
    """Returns a JSON schema without its titles, which are pydantic's and not the author's, and without NaN.

    JSON has no NaN and no infinity: a default or a limit that is one is left out.
    """
    if isinstance(schema, list):
        return [plain_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # A property may be called "title", and is kept.
    kept = {key: value for key, value in schema.items() if key != "title" or not isinstance(value, str)}
    for key, value in list(kept.items()):
        if key == "default" or isinstance(value, float):
            try:
                json.dumps(value, allow_nan=False)
            except ValueError:
                del kept[key]
    return {
        key: {name: plain_schema(item) for name, item in value.items()}
        if key in ("properties", "$defs")
        else plain_schema(value)
        for key, value in kept.items()
    }


# ---- finding JSON in a text ----------------------------------------------------------------


def _json_texts(text: str) -> Iterator[str]:
    """Yields the JSON texts in an answer, the likeliest first."""
    # Models that think aloud in their answer draft values there.
    text = text.rpartition("</think>")[2].strip()
    if _is_json(text):
        yield text
        return
    # The last is the one that a model has settled on.
    yield from filter(_is_json, reversed([block.strip() for block in re.findall(_FENCE, text)]))
    yield from reversed(list(_embedded(text)))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _embedded(text: str) -> Iterator[str]:
    decoder = json.JSONDecoder()
    at, misses = 0, 0
    while (begin := re.compile(r"[{\[]").search(text, at)) is not None and misses < _FALSE_STARTS:
        try:
            at = decoder.raw_decode(text, begin.start())[1]
            yield text[begin.start() : at]
        except (ValueError, RecursionError):
            at, misses = begin.end(), misses + 1


# ---- types ---------------------------------------------------------------------------------


def portable(hint: Any, within: tuple[Any, ...] = ()) -> Any:
    """Returns a type with its TypedDicts as pydantic takes them.

    Before Python 3.12 those of `typing` do not know which keys they have inherited as required, so pydantic refuses
    them and takes those of typing_extensions.
    """
    if sys.version_info >= (3, 12):
        return hint
    import typing_extensions

    if typing.is_typeddict(hint) and type(hint).__module__ == "typing":
        if hint in within:
            raise TypeError("a TypedDict within itself needs Python 3.12, or that of typing_extensions")
        keys: dict[str, Any] = {}
        value: Any
        for name, value in typing_extensions.get_type_hints(hint, include_extras=True).items():
            origin: Any = get_origin(value)
            marked = origin in (typing_extensions.Required, typing_extensions.NotRequired)
            bare = portable(get_args(value)[0] if marked else value, (*within, hint))
            is_required = origin is typing_extensions.Required if marked else name in hint.__required_keys__
            keys[name] = (typing_extensions.Required if is_required else typing_extensions.NotRequired)[bare]
        return typing_extensions.TypedDict(hint.__name__, keys)  # type: ignore[operator]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is None or origin is Literal:
        return hint
    if origin is Annotated:
        return Annotated.__class_getitem__((portable(arguments[0], within), *arguments[1:]))
    ported = tuple(portable(argument, within) for argument in arguments)
    if ported == arguments:
        return hint
    # `X | Y` cannot be subscripted, which typing's Union can.
    return Union[tuple(ported)] if origin in (Union, types.UnionType) else origin[ported]
