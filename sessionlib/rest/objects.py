"""What agents and chatbots have in common on the wire.

Facts from the official SDK (``vectorshift`` 0.1.15): a fetch goes by id or name; ids may come as
``{"$oid": id}``, as the engine's storage writes them; a list holds whole ``objects`` or ``object_ids`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessionlib.config import check_id
from sessionlib.errors import ApiConnectionError
from sessionlib.protocol import codec

__all__ = ["fetch_query", "field_of", "listed", "object_of", "plain_id", "reference_tag"]


def fetch_query(id: str | None, name: str | None, username: str | None, org_name: str | None) -> dict[str, str]:
    """Gives the query of a fetch.

    Raises:
        TypeError: An argument is not a text.
        ValueError: Neither id nor name is given, or one is empty.
    """
    if id is None and name is None:
        raise ValueError("give an id or a name to fetch by")
    given = {"id": id, "name": name, "username": username, "org_name": org_name}
    return {field: check_id(field, value) for field, value in given.items() if value is not None}


def object_of(told: Any, call: str) -> Mapping[str, Any]:
    """Gives an answer that has to be an object.

    Raises:
        ApiConnectionError: It is something else.
    """
    if not isinstance(told, Mapping):
        raise ApiConnectionError(f"{call} was answered with something that is not an object. Is base_url an engine's?")
    return told


def field_of(told: Any, name: str, call: str) -> Any:
    """Gives a field that an answer has to have.

    Raises:
        ApiConnectionError: It is not there.
    """
    if name not in object_of(told, call):
        raise ApiConnectionError(f"{call} was answered without {name!r}. Is base_url an engine's?")
    return told[name]


def listed(told: Any, call: str) -> tuple[list[Any], list[Any]]:
    """Gives the whole objects of a list, and the ids where it holds ids alone.

    Raises:
        ApiConnectionError: The answer is not an object.
    """
    answer = object_of(told, call)
    whole = list(answer.get("objects") or ())
    return whole, [] if whole else [plain_id(one) for one in answer.get("object_ids") or ()]


def plain_id(value: Any) -> Any:
    """Gives an id out of the ``{"$oid": id}`` that the engine's storage writes."""
    return value["$oid"] if isinstance(value, Mapping) and "$oid" in value else value


def reference_tag(object_type: int, object_id: str, name: str | None) -> str:
    """Gives the tag by which a message's text refers to an object of the engine.

    Args:
        object_type: The engine's number for the kind of object: 8 for chatbots, 25 for agents.
        object_id: The object.
        name: What to call it; the engine looks it up when it is None.
    """
    info = codec.dumps({"objectType": object_type, "objectId": object_id}).decode()
    return f"<vs-context><object-info>{info}</object-info><txt>{name or 'vs_no_show'}</txt></vs-context>"
