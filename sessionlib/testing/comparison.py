"""Comparison of messages by meaning: whether two are equal but for ids and times, and where they differ."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Difference", "Ids", "brief", "common_ids", "differences", "id_pairs", "own_ids", "report"]

# The ids that this library makes by itself: those of tools, in the form of the hosted engine's.
# 24 hexadecimal digits, and not as a part of more: a digest has 64.
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
        expected: What was recorded there.
        actual: What the code sent there.
    """

    place: str
    expected: Any
    actual: Any


class Ids:
    """Maps ids of the recording to those of the replay; immutable, `bound` returns a new one.

    Sessions may be opened in another order than they were recorded in, and then have each other's ids; and a client
    makes up the ids of tools, new ones each time.

    Args:
        own: The recorded ids that the client may have made up.
    """

    def __init__(self, own: frozenset[str] = frozenset()) -> None:
        self._own = own
        self._now: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    def bound(self, pairs: Mapping[str, str]) -> Ids:
        """Returns these ids with more pairs, from recorded to current."""
        # A new object, so that a match that is tried and fails leaves nothing behind.
        ids = Ids(self._own)
        ids._now = {**self._now, **pairs}
        # The longest first, so that none is taken for the beginning of another.
        names = sorted(ids._now, key=len, reverse=True)
        ids._pattern = re.compile("|".join(map(re.escape, names))) if names else None
        return ids

    def swapped(self, pairs: Sequence[tuple[str, str]]) -> Ids:
        """Returns these ids with those of each pair of recorded ones in each other's place."""
        forth = {ours: self._now.get(theirs, theirs) for ours, theirs in pairs}
        back = {theirs: self._now.get(ours, ours) for ours, theirs in pairs}
        return self.bound({**forth, **back})

    def translate(self, value: Any) -> Any:
        """Returns a recorded message with the current ids."""
        if self._pattern is None:
            return value
        # In the text, because ids stand within other texts as well, such as placeholders and paths.
        return json.loads(self._pattern.sub(lambda found: self._now[found[0]], _text(value)))

    def new_own(self, recorded: Any, actual: Any) -> dict[str, str]:
        """Returns which ids that the client made up in a message would stand for which in the recorded one."""
        before, now = own_ids(recorded), own_ids(actual)
        old = [name for name in before if name not in now and name in self._own and name not in self._now]
        new = [name for name in now if name not in before and name not in self._now.values()]
        # In order: the client makes them in the order of its code, which is the same.
        return dict(zip(old, new, strict=True)) if len(old) == len(new) else {}


def own_ids(message: Any) -> list[str]:
    """Returns the texts in a message that have the form of ids made up by the client, each once, in order."""
    return list(dict.fromkeys(_OWN_ID.findall(_text(message))))


def differences(expected: Any, actual: Any, place: str = "") -> Iterator[Difference]:
    """Yields where two JSON values differ.

    Numbers are equal by value (1 and 1.0), and booleans are no numbers, though Python has True == 1.
    """
    if isinstance(expected, dict) and isinstance(actual, dict):
        for name in [*expected, *(name for name in actual if name not in expected)]:
            below = f"{place}.{name}" if place else str(name)
            yield from differences(expected.get(name, _MISSING), actual.get(name, _MISSING), below)
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for at, (one, other) in enumerate(zip(expected, actual, strict=True)):
            yield from differences(one, other, f"{place}[{at}]")
    elif expected != actual or isinstance(expected, bool) != isinstance(actual, bool):
        yield Difference(place, expected, actual)


def id_pairs(one: list[Any], other: list[Any]) -> dict[str, str] | None:
    """Compares two lists of messages, ignoring ids, times and the order of different ones.

    Returns:
        The pairs of ids that correspond; None when the messages differ otherwise.
    """
    pairs: dict[str, str] = {}
    # Sorted by what they have in common, since threads send in any order.
    for place, first, second in differences(sorted(one, key=_kind), sorted(other, key=_kind)):
        name = place.rpartition(".")[2]
        if _TIME.fullmatch(name) and type(first) is type(second):
            continue
        if not _ID.fullmatch(name) or not isinstance(first, str) or not isinstance(second, str):
            return None
        # One id stands for one other, or it is not the same conversation.
        if pairs.setdefault(first, second) != second:
            return None
    return pairs


def common_ids(one: list[Any], other: list[Any]) -> dict[str, str]:
    """Returns the pairs of ids that correspond in the messages that two conversations have in common."""
    alike: defaultdict[str, list[Any]] = defaultdict(list)
    for message in other:
        alike[_kind(message)].append(message)
    pairs: dict[str, str] = {}
    for message in one:
        # Grouped first: to compare each with each would take the square of their number.
        likely = alike[_kind(message)]
        if likely:
            for first, second in (id_pairs([message], [likely.pop(0)]) or {}).items():
                pairs.setdefault(first, second)
    return pairs


def _kind(message: Any) -> str:
    """Returns a message's text without its ids and times: what messages of the same meaning share."""
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
    """Returns differences as lines for the user; at most ten."""
    lines = []
    for place, expected_value, actual_value in found[:_SHOWN]:
        expected, actual = _shown(expected_value), _shown(actual_value)
        if len(expected) > _WIDTH and len(actual) > _WIDTH:
            # Long texts are shortened at their end, which would hide a difference far behind their start.
            expected, actual = _around(expected, actual), _around(actual, expected)
        lines += [
            f"    {place or 'all of it'}",
            f"        expected: {_cut(expected)}",
            f"        actual:   {_cut(actual)}",
        ]
    if len(found) > _SHOWN:
        lines.append(f"    and {len(found) - _SHOWN} more")
    return "\n".join(lines)


def brief(value: Any) -> str:
    """Returns a message as one line of bounded length."""
    return _cut(_shown(value))


def _shown(value: Any) -> str:
    return "nothing" if value is _MISSING else _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)


def _around(text: str, other: str) -> str:
    """Returns a text from shortly before where it differs from another."""
    same = next((at for at, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other)))
    start = max(0, same - _WIDTH // 3)
    return text if not start else f"…{text[start:]}"


def _cut(text: str) -> str:
    return text if len(text) <= 2 * _WIDTH else f"{text[: 2 * _WIDTH]}… ({len(text)} characters)"
