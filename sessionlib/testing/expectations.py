"""What is to be said and heard next, by a recording. Pure: no thread, clock or network may live here.

Each connection follows one recorded connection, its track. What was heard on it is heard again as soon as
all has been said that was said before it, on any connection of the same session. What is said has to come in
the recorded order on each connection; between connections, and between HTTP calls, the order is free.

Which track a new connection follows is not certain before it says something of its own: threads open theirs
in any order. It begins with one that a thread of the same name opened, else with the first that is left, and
changes over to another one, with the ids that it was told so far, once it says what only that one said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sessionlib.testing.comparison import Difference, Ids, common_ids, differences, id_pairs, own_ids
from sessionlib.testing.format import CALL, Line
from sessionlib.testing.track import RecordedCall, Track, calls_of, is_optional, tracks_of

__all__ = ["Script"]


class Script:
    """A recording, and how far it has been replayed.

    Args:
        lines: The recording.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self._tracks = tracks_of(lines)
        self._calls = calls_of(lines)
        self._ids = Ids(_own(lines))

    # ---- connections -----------------------------------------------------------------------------

    def claim(self, thread: str) -> Track | None:
        """Gives the track for a new connection; None when there is none left.

        Args:
            thread: The name of the thread that opens it, which may have opened one when it was recorded.
        """
        left = [track for track in self._tracks if not track.opened]
        track = next((track for track in left if track.thread == thread), next(iter(left), None))
        if track is not None:
            track.opened = True
        return track

    def say(self, track: Track, value: Any) -> Track | None:
        """Notes that something was said.

        Args:
            track: What the connection follows.
            value: What it says.

        Returns:
            What it follows from now on; None when this was not to be said now.
        """
        if is_optional(value):
            return track
        if track.unsaid and self._same(track.unsaid[0], value, self._ids):
            track.say()
            return track
        if self.says_later(track, value):
            return None
        for other in self._tracks:
            ids = self._changed_over(track, other, value)
            if ids is not None:
                track.swap(other, self._translated)
                self._ids = ids
                other.say()
                return other
        return None

    def says_later(self, track: Track, value: Any) -> bool:
        """Whether something is to be said on a track, but another thread has to say something before; files may differ.

        What one thread says has its order. Where several share a session, any of them may say it: a thread of a
        pool does now what another one did then.
        """
        if not track.is_shared:
            return False
        value = _without_files(value)
        fits = [
            next(differences(_without_files(self.translate(line.value)), value), None) is None for line in track.unsaid
        ]
        return any(fits) and not fits[0]

    def differences(self, line: Line, value: Any) -> list[Difference]:
        """Gives where something that was said differs from what was recorded."""
        return list(differences(self._ids.translate(line.value), value))

    def hearable(self, track: Track, most: int = 1) -> list[Line]:
        """Gives what can be heard on a track now, with the ids of now.

        Args:
            track: The track.
            most: How many lines at most.
        """
        bound = min((other.unsaid_from for other in self._group(track)), default=track.unsaid_from)
        end = track.heard
        while end < min(len(track.hears), track.heard + most) and track.hears[end].line < bound:
            end += 1
        return [*track.left, *map(self._translated, track.hears[track.heard : end])][:most]

    def translate(self, value: Any) -> Any:
        """Gives a recorded message with the ids of now."""
        return self._ids.translate(value)

    def _translated(self, line: Line) -> Line:
        return replace(line, value=self._ids.translate(line.value))

    def _group(self, track: Track) -> list[Track]:
        if not track.session_id:
            return [track]
        return [other for other in self._tracks if other.session_id == track.session_id]

    def _same(self, line: Line, value: Any, ids: Ids) -> bool:
        return next(differences(ids.translate(line.value), value), None) is None

    def _changed_over(self, track: Track, other: Track, value: Any) -> Ids | None:
        """Gives the ids with which a connection may change over to another track, where a value is said next.

        It may when the same was said on both so far, and what follows the other one has said no more of it.
        """
        at = track.said
        is_lost = track.loss is not None and at == len(track.says)
        if other is track or is_lost or other.said > at or len(other.says) <= at:
            return None
        pairs = id_pairs(_values(track.says[:at]), _values(other.says[:at]))
        if pairs is None:
            return None
        heard = (_values(one.hears[: one.heard_before(at)]) for one in (track, other))
        # What was heard may have come in another order, or come out otherwise.
        ids = self._swapped({**common_ids(*heard), **pairs, track.session_id: other.session_id})
        return ids if self._same(other.says[at], value, ids) else None

    def _swapped(self, pairs: Mapping[str, str]) -> Ids:
        both = [(ours, theirs) for ours, theirs in pairs.items() if ours and theirs]
        to = {ours: self._ids.of(theirs) for ours, theirs in both}
        return self._ids.bound({**to, **{theirs: self._ids.of(ours) for ours, theirs in both}})

    # ---- calls -----------------------------------------------------------------------------------

    def call(self, value: Any) -> RecordedCall | None:
        """Finds the first call left that says the same, and counts it as made."""
        for call in self._calls:
            if not call.used and self._is_call(call, value):
                call.used = True
                return call
        return None

    def nearest(self, value: Any) -> RecordedCall | None:
        """Finds the call left that is the most like one, for telling what is different."""
        left = [call for call in self._calls if not call.used]
        same = [call for call in left if call.said.value.get("path") == value["path"]]
        return next(iter(same or left), None)

    def _is_call(self, call: RecordedCall, value: Any) -> bool:
        if self._same(call.said, value, self._ids):
            return True
        recorded = self._ids.translate(call.said.value)
        if any(recorded.get(name) != value.get(name) for name in ("method", "path")):
            return False
        ids = self._ids.bound(self._ids.new_own(recorded, value))
        if not self._same(call.said, value, ids):
            return False
        self._ids = ids
        return True

    # ---- the end ---------------------------------------------------------------------------------

    def unsaid(self) -> list[Line]:
        """Gives everything that is still to be said, in order."""
        left = [line for track in self._tracks for line in track.unsaid]
        left += [call.said for call in self._calls if not call.used]
        return sorted(left, key=lambda line: line.line)


def _values(lines: Sequence[Line]) -> list[Any]:
    return [line.value for line in lines]


def _own(lines: Sequence[Line]) -> frozenset[str]:
    """Finds the ids that the client made: those that it said in a call's body before it heard them."""
    said: set[str] = set()
    heard: set[str] = set()
    for line in lines:
        if line.where == CALL and line.sign == ">":
            said.update(name for name in own_ids(line.value.get("body")) if name not in heard)
        else:
            heard.update(own_ids(line.value))
    return frozenset(said)


def _without_files(value: Any) -> Any:
    """Gives a frame with nothing in place of the files in it, which cannot be read before they are sent."""
    if isinstance(value, dict):
        return {name: _without_files(item) for name, item in value.items() if name != "raw_bytes"}
    return [_without_files(item) for item in value] if isinstance(value, list) else value
