"""What happened in a turn and when: its events in time, and what they come to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sessionlib.events import ParticipantStatus, SessionEvent, SessionEventType

__all__ = ["Kind", "Span", "Timeline", "timeline_of"]

Type = SessionEventType
Kind = str

# What shows only that a turn waits, or goes on waiting, for a person.
_ASKING = frozenset({Type.APPROVAL_REQUEST, Type.REAUTH_REQUEST})
_TOOLS = frozenset({Type.TOOL_CALL, Type.TOOL_RESULT})
# Waits shorter than this share of the turn are noise.
_SHORTEST_WAIT = 0.005


class Span(NamedTuple):
    """Something that took a while.

    Attributes:
        kind: "text", "thinking", "tool", "approval", "authorisation" or "waiting".
        name: The tool that it is about; else "".
        start: Seconds from the post to its start.
        end: Seconds from the post to its end.
    """

    kind: Kind
    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Timeline:
    """A turn in time; all times are seconds from the post.

    Attributes:
        duration: How long the turn took.
        spans: What took a while, by its start.
        pieces: When each piece of text came.
        errors: When an error was told.
    """

    duration: float
    spans: list[Span] = field(default_factory=list)
    pieces: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)


def timeline_of(events: Sequence[SessionEvent], times: Sequence[float], duration: float) -> Timeline:
    """Finds out what happened when.

    Args:
        events: The events of a turn, in order.
        times: When each of them came, in seconds from the post.
        duration: The seconds from the post to the turn's end.
    """
    told = list(zip(events, times, strict=True))
    busy = [*_texts(told), *_thoughts(told, duration), *_tools(told, duration), *_questions(told, duration)]
    return Timeline(
        duration=duration,
        spans=sorted([*busy, *_waits(busy, duration)], key=lambda span: (span.start, span.end)),
        pieces=[at for event, at in told if event.type is Type.MESSAGE_DELTA],
        errors=[at for event, at in told if event.type is Type.ERROR],
    )


Told = Sequence[tuple[SessionEvent, float]]


def _texts(told: Told) -> Iterator[Span]:
    seen: dict[str | None, list[float]] = defaultdict(list)
    for event, at in told:
        if event.type is Type.MESSAGE_DELTA or event.is_complete:
            seen[event.message_id].append(at)
    return (Span("text", "", times[0], times[-1]) for times in seen.values())


def _thoughts(told: Told, duration: float) -> Iterator[Span]:
    for number, (event, at) in enumerate(told):
        if event.type is Type.THINKING:
            yield Span("thinking", "", at, _next(told, number, duration))


def _tools(told: Told, duration: float) -> Iterator[Span]:
    """Gives each call from the first that is told of it to the last."""
    calls: dict[object, list[int]] = defaultdict(list)
    for number, (event, _) in enumerate(told):
        if event.type in _TOOLS:
            calls[_call_of(event) or event.message_id or number].append(number)
    for first, *rest in calls.values():
        # An engine that tells of a call but once has gone on by the next event.
        end = told[rest[-1]][1] if rest else _next(told, first, duration)
        yield Span("tool", _tool_of(told[first][0].data), told[first][1], end)


def _questions(told: Told, duration: float) -> Iterator[Span]:
    """Gives what a person was asked, from the question to what shows that it was answered."""
    for number, (event, at) in enumerate(told):
        if event.type in _ASKING:
            kind = "approval" if event.type is Type.APPROVAL_REQUEST else "authorisation"
            yield Span(kind, _tool_of(event.data), at, _answered(event, told[number + 1 :], duration))


def _answered(asked: SessionEvent, later: Told, duration: float) -> float:
    call = _call_of(asked)
    # Of several questions each has a call of its own, which goes on when that one is answered.
    own = [at for event, at in later if call is not None and event.type in _TOOLS and _call_of(event) == call]
    return min(own or [at for event, at in later if not _only_waits(event)], default=duration)


def _only_waits(event: SessionEvent) -> bool:
    return event.type in _ASKING or event.participant_status is ParticipantStatus.AWAITING_APPROVAL


def _waits(busy: Sequence[Span], duration: float) -> Iterator[Span]:
    """Gives the time in which nothing else is known to have happened."""
    at = 0.0
    for span in sorted(busy, key=lambda span: span.start):
        if span.start - at > duration * _SHORTEST_WAIT:
            yield Span("waiting", "", at, span.start)
        at = max(at, span.end)
    if duration - at > duration * _SHORTEST_WAIT:
        yield Span("waiting", "", at, duration)


def _next(told: Told, number: int, duration: float) -> float:
    return told[number + 1][1] if number + 1 < len(told) else duration


def _call_of(event: SessionEvent) -> object:
    return event.data.get("tool_call_id")


def _tool_of(data: Mapping[str, Any]) -> str:
    return str(data.get("tool_name") or "a tool")
