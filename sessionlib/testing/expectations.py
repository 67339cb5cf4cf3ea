"""What is to be said and heard next, by a recording. Pure: no thread, clock or network may live here.

Each connection follows one recorded connection, its track. What was heard on it is heard again as soon as
all has been said that was said before it, on any connection of the same session. What is said has to come in
the recorded order on each connection; between connections, and between HTTP calls, the order is free.

Which track a new connection follows is not certain before it says something of its own: threads open theirs
in any order. It begins with one that a thread of the same name opened, else with the first that is left, and
changes over to another one, with the ids that it was told so far, once it says what only that one said.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sessionlib.testing.comparison import Difference, Ids, common_ids, differences, id_pairs, own_ids
from sessionlib.testing.format import CALL, Line

__all__ = ["Expectations", "RecordedCall", "RecordedConnection", "calls_of", "is_optional", "tracks_of"]

# Leaving is no part of a conversation: the engine answers it with nothing, and a link may be gone by then.
_OPTIONAL = "disconnect_session"
_JOINS = ("create_session", "connect_session")
_NAMES_SESSION = ("session_created", "connect_session")


@dataclass(eq=False)
class RecordedConnection:
    """One recorded connection, and how far it has been replayed.

    Attributes:
        says: What was said on it, but for what may be left out.
        hears: What was heard on it; the last of it may be how it was lost.
        left: What is still to be heard of the track that its connection followed before, ahead of `hears`, with
            the ids that the connection knows.
        thread: The name of the thread that opened it.
        opened: Whether a connection follows it.
        said: How much of `says` has been said.
        heard: How much of `hears` has been heard.
        session_id: The recorded id of its session; "" when it never had one.
    """

    says: list[Line] = field(default_factory=list)
    hears: list[Line] = field(default_factory=list)
    left: list[Line] = field(default_factory=list)
    thread: str = ""
    opened: bool = False
    said: int = 0
    heard: int = 0
    session_id: str = ""
    # When the last thing happened on it: in the recording, and now.
    _last: tuple[float, float] = (0.0, 0.0)

    @property
    def refusal(self) -> Line | None:
        """Why it never was a connection, if it was none."""
        return self.loss if not self.says else None

    @property
    def loss(self) -> Line | None:
        """How it was lost, if it was."""
        return self.hears[-1] if self.hears and self.hears[-1].sign == "!" else None

    @property
    def is_shared(self) -> bool:
        """Whether several threads said something in its session, once it was joined."""
        return len({line.by for line in self.says if line.value.get("type") not in _JOINS}) > 1

    @property
    def unsaid(self) -> list[Line]:
        """What is still to be said."""
        return self.says[self.said :]

    @property
    def unsaid_from(self) -> float:
        """The line with which that begins; infinity when nothing is."""
        return next((line.line for line in self.unsaid), math.inf)

    def hear(self, lines: Sequence[Line]) -> None:
        """Notes that lines, the next to be heard, are heard."""
        at = min(len(lines), len(self.left))
        del self.left[:at]
        self.heard += len(lines) - at
        if lines:
            self._last = (lines[-1].at, time.monotonic())

    def say(self) -> None:
        """Notes that the next of `says` is said."""
        self._last = (self.says[self.said].at, time.monotonic())
        self.said += 1

    def due(self, line: Line, speed: float) -> float:
        """Gives when a line is to be heard, on the monotonic clock."""
        at, then = self._last
        return then + (line.at - at) / speed

    def heard_before(self, said: int) -> int:
        """Gives how much of `hears` came before something of `says`."""
        bound = self.says[said].line if said < len(self.says) else math.inf
        return bisect_left(self.hears, bound, key=lambda line: line.line)

    def swap(self, other: RecordedConnection, translate: Callable[[Line], Line]) -> None:
        """Has two tracks change places in what has happened so far; neither's connection misses anything.

        Args:
            other: The other track.
            translate: Gives a line the ids that connections know so far.
        """
        ours, theirs = ([*track.left, *map(translate, track._still_to_hear())] for track in (self, other))
        self.opened, other.opened = other.opened, self.opened
        self.said, other.said = other.said, self.said
        for track, left in ((self, theirs), (other, ours)):
            track.left = left
            track.heard = track.heard_before(track.said)

    def _still_to_hear(self) -> list[Line]:
        return self.hears[self.heard : self.heard_before(self.said)]


@dataclass(eq=False)
class RecordedCall:
    """One recorded HTTP call.

    Attributes:
        said: The call.
        heard: Its answer, or its failure.
        used: Whether it was made.
    """

    said: Line
    heard: Line
    used: bool = False


def is_optional(frame: Any) -> bool:
    """Whether a frame may be said or not, or acknowledges such a one."""
    return isinstance(frame, dict) and frame.get("type") == _OPTIONAL


def tracks_of(lines: Sequence[Line]) -> list[RecordedConnection]:
    """Gives the connections of a recording, in the order in which they were opened."""
    tracks: dict[int, RecordedConnection] = {}
    for line in lines:
        if line.where == CALL:
            continue
        track = tracks.setdefault(line.number, RecordedConnection())
        if line.sign != "=" and not is_optional(line.value):
            (track.says if line.sign == ">" else track.hears).append(line)
        if line.sign == "=" and "open" in line.value:
            track.thread = str(line.value.get("thread", ""))
        if line.sign == "<" and isinstance(line.value, dict) and line.value.get("type") in _NAMES_SESSION:
            track.session_id = track.session_id or str(line.value.get("session_id") or "")
    return list(tracks.values())


def calls_of(lines: Sequence[Line]) -> list[RecordedCall]:
    """Gives the HTTP calls of a recording, in order."""
    answers = {line.number: line for line in lines if line.where == CALL and line.sign != ">"}
    said = [line for line in lines if line.where == CALL and line.sign == ">"]
    return [RecordedCall(line, answers[line.number]) for line in said if line.number in answers]


class Expectations:
    """A recording, and how far it has been replayed.

    Args:
        lines: The recording.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self._tracks = tracks_of(lines)
        self._calls = calls_of(lines)
        self._ids = Ids(_own(lines))

    # ---- connections -----------------------------------------------------------------------------

    def claim(self, thread: str) -> RecordedConnection | None:
        """Gives the track for a new connection; None when there is none left.

        Args:
            thread: The name of the thread that opens it, which may have opened one when it was recorded.
        """
        left = [track for track in self._tracks if not track.opened]
        track = next((track for track in left if track.thread == thread), next(iter(left), None))
        if track is not None:
            track.opened = True
        return track

    def say(self, track: RecordedConnection, value: Any) -> RecordedConnection | None:
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

    def says_later(self, track: RecordedConnection, value: Any) -> bool:
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

    def hearable(self, track: RecordedConnection, most: int = 1) -> list[Line]:
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

    def _group(self, track: RecordedConnection) -> list[RecordedConnection]:
        if not track.session_id:
            return [track]
        return [other for other in self._tracks if other.session_id == track.session_id]

    def _same(self, line: Line, value: Any, ids: Ids) -> bool:
        return next(differences(ids.translate(line.value), value), None) is None

    def _changed_over(self, track: RecordedConnection, other: RecordedConnection, value: Any) -> Ids | None:
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
