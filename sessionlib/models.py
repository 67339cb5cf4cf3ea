"""What the public models share: JSON by dataclasses-json, without a ``__dict__`` in each instance."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

from dataclasses_json import DataClassJsonMixin

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

__all__ = ["JsonModel", "StrEnum"]

Model = TypeVar("Model", bound="JsonModel")

# The mixin's own functions, used on classes that do not inherit from it: a base without __slots__
# would put a __dict__ back into every slotted instance.
_json: Any = DataClassJsonMixin


class JsonModel:
    """Gives a dataclass `to_dict`, `to_json`, `from_dict`, `from_json` and `schema`.

    These cost tens to hundreds of microseconds an object; nothing on the way of a streamed event
    calls them.
    """

    __slots__ = ()

    def to_dict(self, encode_json: bool = False) -> dict[str, Any]:
        """Gives the fields as a dict, nested models included.

        Args:
            encode_json: Whether to turn values into what JSON has (enums into strings and so on).
        """
        fields: dict[str, Any] = _json.to_dict(self, encode_json)
        return fields

    def to_json(self, **options: Any) -> str:
        """Gives the fields as a JSON text; ``options`` go to `json.dumps`."""
        text: str = _json.to_json(self, **options)
        return text

    @classmethod
    def from_dict(cls: type[Model], data: Any, *, infer_missing: bool = False) -> Model:
        """Makes an instance from a dict such as `to_dict` gives.

        Args:
            data: The fields.
            infer_missing: Whether a missing field without a default becomes None.

        Raises:
            KeyError: A field without a default is missing.
        """
        made: Model = _json.from_dict.__func__(cls, data, infer_missing=infer_missing)
        return made

    @classmethod
    def from_json(cls: type[Model], text: str | bytes, *, infer_missing: bool = False, **options: Any) -> Model:
        """Makes an instance from a JSON text such as `to_json` gives.

        Raises:
            ValueError: The text is not JSON.
            KeyError: A field without a default is missing.
        """
        made: Model = _json.from_json.__func__(cls, text, infer_missing=infer_missing, **options)
        return made

    @classmethod
    def schema(cls, **options: Any) -> Schema:
        """Gives a marshmallow schema of the model; ``options`` go to it (``many=True`` and so on)."""
        made: Schema = _json.schema.__func__(cls, **options)
        return made


# Or a schema would not see that a nested model is one, and leave it as it is.
DataClassJsonMixin.register(JsonModel)
