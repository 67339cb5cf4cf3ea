"""Whether two messages mean the same, and if not, where they differ."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["Difference", "Ids", "brief", "common_ids", "differences", "id_pairs", "own_ids", "report"]

# The ids that this library makes by itself: those of tools, in the form of the hosted engine's.
_OWN_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{24}(?![0-9a-f])")
# Fields that hold ids, or lists of them, and times.
_ID = re.compile(r"_?(\w+_)?ids?(\[\d+\])?")
_TIME = re.compile(r"(\w+_)?(at|time|timestamp|date)")
_SHOWN = 10
_WIDTH = 80
_MISSING = object()


class Difference(NamedTuple):
    """Where two messages differ.

    Attributes:
        place: The names that lead there, with dots between them.
        recorded: What was recorded there.
        said: What was said instead.
    """

    place: str
    recorded: Any
    said: Any


class Ids:
    """Which ids stand for those of the recording.

    A session may be opened in another order than it was recorded in, and then bears the id of the other
    one; and a client makes ids of its own, which are new each time.

    Args:
        own: The recorded ids that the client may have made.
    """

    def __init__(self, own: frozenset[str] = frozenset()) -> None:
        self._own = own
        self._now: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    def bound(self, pairs: Mapping[str, str]) -> Ids:
        """Gives these ids with others bound besides."""
        ids = Ids(self._own)
        ids._now = {**self._now, **pairs}
        # The longest first, so that none is taken for the beginning of another.
        names = sorted(ids._now, key=len, reverse=True)
        ids._pattern = re.compile("|".join(map(re.escape, names))) if names else None
        return ids

    def of(self, recorded: str) -> str:
        """Gives what stands for a recorded id."""
        return self._now.get(recorded, recorded)

    def translate(self, value: Any) -> Any:
        """Gives a recorded message with the ids of now."""
        if self._pattern is None:
            return value
        return json.loads(self._pattern.sub(lambda found: self._now[found[0]], _text(value)))

    def new_own(self, recorded: Any, said: Any) -> dict[str, str]:
        """Gives which ids of the client's own in a message would stand for which in a recorded one."""
        before, now = own_ids(recorded), own_ids(said)
        old = [name for name in before if name not in now and name in self._own and name not in self._now]
        new = [name for name in now if name not in before and name not in self._now.values()]
        return dict(zip(old, new, strict=True)) if len(old) == len(new) else {}


def own_ids(message: Any) -> list[str]:
    """Gives the texts in a message that have the form of the client's own ids, each once, in order."""
    return list(dict.fromkeys(_OWN_ID.findall(_text(message))))


def differences(recorded: Any, said: Any, place: str = "") -> Iterator[Difference]:
    """Gives where two JSON values differ; numbers are equal by value, and True is no number."""
    if isinstance(recorded, dict) and isinstance(said, dict):
        for name in [*recorded, *(name for name in said if name not in recorded)]:
            below = f"{place}.{name}" if place else str(name)
            yield from differences(recorded.get(name, _MISSING), said.get(name, _MISSING), below)
    elif isinstance(recorded, list) and isinstance(said, list) and len(recorded) == len(said):
        for at, (one, other) in enumerate(zip(recorded, said, strict=True)):
            yield from differences(one, other, f"{place}[{at}]")
    elif recorded != said or isinstance(recorded, bool) != isinstance(said, bool):
        yield Difference(place, recorded, said)


def id_pairs(one: list[Any], other: list[Any]) -> dict[str, str] | None:
    """Compares recorded messages with others, but for ids, times, and the order between different ones.

    Returns:
        Which id is which; None when they differ otherwise.
    """
    pairs: dict[str, str] = {}
    for place, first, second in differences(sorted(one, key=_kind), sorted(other, key=_kind)):
        name = place.rpartition(".")[2]
        if _TIME.fullmatch(name) and type(first) is type(second):
            continue
        if not _ID.fullmatch(name) or not isinstance(first, str) or not isinstance(second, str):
            return None
        if pairs.setdefault(first, second) != second:
            return None
    return pairs


def common_ids(one: list[Any], other: list[Any]) -> dict[str, str]:
    """Gives which id is which in the messages that two conversations have in common, whatever else they have."""
    alike: defaultdict[str, list[Any]] = defaultdict(list)
    for message in other:
        alike[_kind(message)].append(message)
    pairs: dict[str, str] = {}
    for message in one:
        others = alike[_kind(message)]
        if others:
            for first, second in (id_pairs([message], [others.pop(0)]) or {}).items():
                pairs.setdefault(first, second)
    return pairs


def _kind(message: Any) -> str:
    """Gives a message's text without its ids and times."""
    return _text(_without_names(message))


def _without_names(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_names(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: item for name, item in value.items() if not _ID.fullmatch(name) and not _TIME.fullmatch(name)}
    return {name: _without_names(item) for name, item in kept.items()}


# ---- for people ----------------------------------------------------------------------------


def report(found: list[Difference]) -> str:
    """Tells differences in lines to read."""
    told = "\n".join(_tell(difference) for difference in found[:_SHOWN])
    more = len(found) - _SHOWN
    return told if more <= 0 else f"{told}\n    and {more} more"


def _tell(difference: Difference) -> str:
    recorded, said = _shown(difference.recorded), _shown(difference.said)
    if len(recorded) > _WIDTH and len(said) > _WIDTH:
        recorded, said = _around(recorded, said), _around(said, recorded)
    return f"    {difference.place or 'all of it'}\n        recorded: {_cut(recorded)}\n        said:     {_cut(said)}"


def brief(value: Any) -> str:
    """Gives a message in one line of bounded length."""
    return _cut(_shown(value))


def _shown(value: Any) -> str:
    return "nothing" if value is _MISSING else _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)


def _around(text: str, other: str) -> str:
    """Gives a text from shortly before where it differs from another."""
    same = next((at for at, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other)))
    start = max(0, same - _WIDTH // 3)
    return text if not start else f"…{text[start:]}"


def _cut(text: str) -> str:
    return text if len(text) <= 2 * _WIDTH else f"{text[: 2 * _WIDTH]}… ({len(text)} characters)"
