"""Base classes of the public models: JSON by dataclasses-json, without a ``__dict__`` in each instance."""

from __future__ import annotations

import copy
import functools
import json
import sys
import warnings
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

if sys.version_info >= (3, 11):
    from enum import StrEnum
else:
    from enum import Enum

    class StrEnum(str, Enum):
        """`enum.StrEnum` for Python 3.10: members are strings and print as their value."""

        __str__ = str.__str__
        __format__ = str.__format__  # type: ignore[assignment]


if TYPE_CHECKING:
    from marshmallow import Schema

__all__ = ["NOT_ON_THE_WIRE", "JsonModel", "OpenModel", "StrEnum", "accept_unknown"]

Model = TypeVar("Model", bound="JsonModel")

NOT_ON_THE_WIRE = MappingProxyType({"wire": False})
"""Metadata for a field of an `OpenModel` that `to_dict` leaves out."""


@functools.cache
def _mixin() -> Any:
    """Returns the mixin, whose functions are called on classes that do not inherit from it.

    As a base without __slots__ it would put a __dict__ back into every slotted instance. It is imported on first use:
    that takes longer than importing all the rest, and a session that streams text never needs it.
    """
    from dataclasses_json import DataClassJsonMixin

    # So that the schema of a model that holds other models knows them for what they are.
    DataClassJsonMixin.register(JsonModel)
    return DataClassJsonMixin


class JsonModel:
    """Adds to a dataclass `to_dict`, `to_json`, `from_dict`, `from_json`, `schema` and pydantic's names for them.

    They take tens to hundreds of microseconds an object, so nothing on the path of a streamed event calls them.
    """

    __slots__ = ()

    def to_dict(self, encode_json: bool = False) -> dict[str, Any]:
        """Returns the fields as a dict, nested models included.

        Args:
            encode_json: Whether to turn values into what JSON has (enums into strings and so on).
        """
        fields: dict[str, Any] = _mixin().to_dict(self, encode_json)
        return fields

    def to_json(self, **options: Any) -> str:
        """Returns the fields as a JSON text; ``options`` go to `json.dumps`."""
        text: str = _mixin().to_json(self, **options)
        return text

    # The methods that code written for the official SDK calls, whose models are of pydantic.

    def model_dump(
        self,
        *,
        mode: str = "python",
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
        exclude_none: bool = False,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        **ignored: Any,
    ) -> dict[str, Any]:
        """Returns what `to_dict` returns, in the way pydantic's models do.

        Args:
            mode: "json" turns values into what JSON has, as ``encode_json`` of `to_dict` does.
            include: Names of the fields to return; None returns all.
            exclude: Names of the fields to leave out.
            exclude_none: Whether fields that are None are left out.
            exclude_unset: The same as ``exclude_defaults``: which fields were given is not kept.
            exclude_defaults: Whether fields that have their default are left out.
            ignored: Further options of pydantic's, which change nothing here.
        """
        left_out = set(exclude or ())
        if exclude_unset or exclude_defaults:
            for field in fields(self):  # type: ignore[arg-type]
                default = field.default if field.default_factory is MISSING else field.default_factory()
                if getattr(self, field.name) == default:
                    left_out.add(field.name)
        dumped = self.to_dict(mode == "json")
        if mode == "json":  # members of an enum would be members still
            # Through JSON, so that what comes out is what a reader of the JSON would have.
            dumped = json.loads(json.dumps(dumped, default=str))
        return {
            name: value
            for name, value in dumped.items()
            if (include is None or name in include) and name not in left_out
            if not (exclude_none and value is None)
        }

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """Returns the fields as a JSON text; ``options`` are as for `model_dump`.

        Args:
            indent: Spaces to indent by; None writes one line.
        """
        # No blanks without an indent: pydantic's text, byte for byte.
        separators = (",", ":") if indent is None else None
        dumped = self.model_dump(mode="json", **options)
        return json.dumps(dumped, indent=indent, separators=separators, ensure_ascii=False, default=str)

    def model_copy(self: Model, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Model:
        """Returns a copy.

        Args:
            update: Fields to change in it.
            deep: Whether nested values are copied as well.
        """
        made = copy.deepcopy(self) if deep else copy.copy(self)
        for name, value in (update or {}).items():
            # Frozen dataclasses refuse assignment, and nothing else refers to the copy yet.
            object.__setattr__(made, name, value)
        return made

    @classmethod
    def model_validate(cls: type[Model], data: Any, **ignored: Any) -> Model:
        """Returns an instance made from a dict, or an instance as it is.

        Args:
            data: The fields.
            ignored: Options of pydantic's, which change nothing here.

        Raises:
            KeyError: A field without a default is missing.
        """
        # As pydantic does, without a copy.
        return data if isinstance(data, cls) else cls.from_dict(data)

    @classmethod
    def model_validate_json(cls: type[Model], text: str | bytes, **ignored: Any) -> Model:
        """Returns an instance made from a JSON text.

        Args:
            text: The JSON text.
            ignored: Options of pydantic's, which change nothing here.

        Raises:
            ValueError: The text is not JSON.
            KeyError: A field without a default is missing.
        """
        return cls.from_json(text)

    @classmethod
    def from_dict(cls: type[Model], data: Any, *, infer_missing: bool = False) -> Model:
        """Returns an instance made from a dict such as `to_dict` returns.

        Args:
            data: The fields.
            infer_missing: Whether a missing field without a default becomes None.

        Raises:
            KeyError: A field without a default is missing.
        """
        # Its function on this class, as the mixin is no base of it.
        made: Model = _mixin().from_dict.__func__(cls, data, infer_missing=infer_missing)
        return made

    @classmethod
    def from_json(cls: type[Model], text: str | bytes, *, infer_missing: bool = False, **options: Any) -> Model:
        """Returns an instance made from a JSON text such as `to_json` returns; ``options`` go to `json.loads`.

        Args:
            text: The JSON text.
            infer_missing: Whether a missing field without a default becomes None.

        Raises:
            ValueError: The text is not JSON.
            KeyError: A field without a default is missing.
        """
        made: Model = _mixin().from_json.__func__(cls, text, infer_missing=infer_missing, **options)
        return made

    @classmethod
    def schema(cls, **options: Any) -> Schema:
        """Returns a marshmallow schema of the model; ``options`` go to it (``many=True`` and so on)."""
        made: Schema = _mixin().schema.__func__(cls, **options)
        return made


class OpenModel(JsonModel):
    """A `JsonModel` that keeps fields it does not know in ``extra``, its last field.

    `from_dict` puts them there and `to_dict` back between the known ones, so fields of a newer server
    survive a fetch and a save. Subclasses are dataclasses under `accept_unknown`, with plain values only.
    """

    __slots__ = ()

    extra: dict[str, Any]

    def to_dict(self, encode_json: bool = False) -> dict[str, Any]:
        """Returns the fields, known and unknown, as a dict; see `JsonModel.to_dict`."""
        known = super().to_dict(encode_json)
        extra: dict[str, Any] = known.pop("extra")
        local = {field.name for field in fields(self) if not field.metadata.get("wire", True)}  # type: ignore[arg-type]
        # Known fields last: they take precedence over an unknown one of the same name.
        return {**extra, **{name: value for name, value in known.items() if name not in local}}

    @classmethod
    def from_dict(cls: type[Open], data: Any, *, infer_missing: bool = False) -> Open:
        """Makes an instance from a dict such as `to_dict` returns; unknown fields go to ``extra``.

        Args:
            data: The fields.
            infer_missing: Whether a missing field without a default becomes None.

        Raises:
            KeyError: A field without a default is missing.
        """
        names = _field_names(cls)
        known = {name: value for name, value in data.items() if name in names}
        for field in fields(cls):  # type: ignore[arg-type]
            if field.name not in known and field.default is MISSING and field.default_factory is MISSING:
                if not infer_missing:
                    raise KeyError(field.name)
                known[field.name] = None
        made = cls(**known)
        made.extra = {name: value for name, value in data.items() if name not in names}
        return made


Open = TypeVar("Open", bound=OpenModel)


def accept_unknown(cls: type[Open]) -> type[Open]:
    """Class decorator: an `OpenModel` dataclass accepts keyword arguments that it has no field for.

    They go to ``extra``, with a UserWarning, because one may be a typing error.
    """
    make = cls.__init__
    names = _field_names(cls) | {"extra"}

    @functools.wraps(make)
    def __init__(self: Open, *args: Any, **named: Any) -> None:
        unknown = {name: named.pop(name) for name in named.keys() - names}
        make(self, *args, **named)
        self.extra.update(unknown)
        for name in unknown:
            # Sent all the same: the server may know it.
            warnings.warn(f"{cls.__name__} has no field {name!r}; it is sent as it is", stacklevel=2)

    cls.__init__ = __init__  # type: ignore[method-assign,assignment]
    return cls


def _field_names(cls: type[Any]) -> set[str]:
    return {field.name for field in fields(cls)} - {"extra"}
