"""What was recorded, in the order in which it is replayed: connections as tracks, HTTP calls as pairs."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sessionlib.testing.format import CALL, Line

__all__ = ["RecordedCall", "Track", "calls_of", "is_optional", "tracks_of"]

# Leaving is no part of a conversation: the engine answers it with nothing, and a link may be gone by then.
_OPTIONAL = "disconnect_session"
_JOINS = ("create_session", "connect_session")
_NAMES_SESSION = ("session_created", "connect_session")


@dataclass(eq=False)
class Track:
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

    def swap(self, other: Track, translate: Callable[[Line], Line]) -> None:
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


def tracks_of(lines: Sequence[Line]) -> list[Track]:
    """Gives the connections of a recording, in the order in which they were opened."""
    tracks: dict[int, Track] = {}
    for line in lines:
        if line.where == CALL:
            continue
        track = tracks.setdefault(line.number, Track())
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
