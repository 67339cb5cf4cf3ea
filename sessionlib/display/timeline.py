"""What happened in a turn and when: its events in time, and what they come to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from sessionlib._util.optional import extra
from sessionlib.display.text import count_of, time_in_words
from sessionlib.events import ParticipantStatus, SessionEvent, SessionEventType

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes

__all__ = ["Kind", "Span", "Timeline", "plot_shares", "plot_timeline", "timeline_of"]

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
        deltas: When each chunk of text came.
        errors: When an error was reported.
    """

    duration: float
    spans: list[Span] = field(default_factory=list)
    deltas: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)


def timeline_of(events: Sequence[SessionEvent], times: Sequence[float], duration: float) -> Timeline:
    """Finds out what happened when.

    Args:
        events: The events of a turn, in order.
        times: When each of them came, in seconds from the post.
        duration: The seconds from the post to the turn's end.
    """
    # Strict: a time too few would move every event behind it.
    details = list(zip(events, times, strict=True))
    busy = [*_texts(details), *_thoughts(details, duration), *_tools(details, duration)]
    for number, (event, at) in enumerate(details):
        if event.type in _ASKING:
            # From the question to what shows that it was answered.
            kind = "approval" if event.type is Type.APPROVAL_REQUEST else "authorisation"
            busy.append(Span(kind, _tool_of(event.data), at, _answered(event, details[number + 1 :], duration)))
    # The time in which nothing else is known to have happened.
    waits, free_at = [], 0.0
    for span in [*sorted(busy, key=lambda span: span.start), Span("end", "", duration, duration)]:
        if span.start - free_at > duration * _SHORTEST_WAIT:
            waits.append(Span("waiting", "", free_at, span.start))
        # Spans overlap where tools run beside one another.
        free_at = max(free_at, span.end)
    return Timeline(
        duration=duration,
        spans=sorted([*busy, *waits], key=lambda span: (span.start, span.end)),
        deltas=[at for event, at in details if event.type is Type.MESSAGE_DELTA],
        errors=[at for event, at in details if event.type is Type.ERROR],
    )


Timed = Sequence[tuple[SessionEvent, float]]


def _texts(details: Timed) -> Iterator[Span]:
    seen: dict[str | None, list[float]] = defaultdict(list)
    for event, at in details:
        if event.type is Type.MESSAGE_DELTA or event.is_complete:
            seen[event.message_id].append(at)
    return (Span("text", "", times[0], times[-1]) for times in seen.values())


def _thoughts(details: Timed, duration: float) -> Iterator[Span]:
    thoughts: dict[object, list[int]] = defaultdict(list)
    for number, (event, _) in enumerate(details):
        if event.type is Type.THINKING:
            thoughts[event.message_id or number].append(number)
    for numbers in thoughts.values():
        yield Span("thinking", "", details[numbers[0]][1], _next(details, numbers[-1], duration))


def _tools(details: Timed, duration: float) -> Iterator[Span]:
    """Returns each call from the first that is notified of it to the last."""
    calls: dict[object, list[int]] = defaultdict(list)
    for number, (event, _) in enumerate(details):
        if event.type in _TOOLS:
            calls[_call_of(event) or event.message_id or number].append(number)
    for first, *rest in calls.values():
        # An engine that reports a call only once has gone on by the next event.
        end = details[rest[-1]][1] if rest else _next(details, first, duration)
        yield Span("tool", _tool_of(details[first][0].data), details[first][1], end)


def _answered(asked: SessionEvent, later: Timed, duration: float) -> float:
    call = _call_of(asked)
    # Of several questions each has a call of its own, which goes on when that one is answered.
    own = [at for event, at in later if call is not None and event.type in _TOOLS and _call_of(event) == call]
    waiting = ParticipantStatus.AWAITING_APPROVAL
    rest = [at for event, at in later if event.type not in _ASKING and event.participant_status is not waiting]
    return min(own or rest, default=duration)


def _next(details: Timed, number: int, duration: float) -> float:
    return details[number + 1][1] if number + 1 < len(details) else duration


def _call_of(event: SessionEvent) -> object:
    return event.data.get("tool_call_id")


def _tool_of(data: Mapping[str, Any]) -> str:
    return str(data.get("tool_name") or "a tool")


# How each kind is drawn; the hatches distinguish them in black and white.
_LOOKS = {
    "waiting": ("#d9d9d9", ""),
    "thinking": ("#bdb2d9", ".."),
    "text": ("#9ecae1", ""),
    "tool": ("#a1d99b", "//"),
    "approval": ("#fdd0a2", "xx"),
    "authorisation": ("#fdd0a2", "++"),
}
_EDGE = "#333333"
_HEIGHT = 0.6
# The share of the picture that the shortest event has, or it could not be seen: 5 pixels of 800.
_NARROWEST = 0.007
_STYLES = ("-", "--", ":", "-.")


def plot_timeline(timeline: Timeline, ax: Axes | None = None) -> Axes:
    """Draws what happened in a turn: a row for each kind of thing, along an axis of time.

    Args:
        timeline: The turn.
        ax: Where to draw; None makes a figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    # In the order in which they begin, and waiting last.
    rows = sorted(dict.fromkeys(map(_row_of, timeline.spans)), key=lambda name: name == "waiting")
    ax = _axes(ax, "Reply.plot()", height=1.2 + 0.45 * len(rows))
    scale, unit = _unit(timeline.duration)
    lanes = Counter(map(_row_of, timeline.spans))
    for span in timeline.spans:
        lane, length = _row_of(span), span.end - span.start
        row, (colour, hatch) = rows.index(lane), _LOOKS[span.kind]
        start, width = span.start * scale, max(length, timeline.duration * _NARROWEST) * scale
        ax.barh(row, width, _HEIGHT, left=start, color=colour, hatch=hatch, edgecolor=_EDGE, linewidth=0.6)
        # Of many short ones in a row the times would cover one another.
        if lanes[lane] == 1 or length > timeline.duration * 0.02:
            ax.text(start + width, row, f" {time_in_words(length)}", va="center", fontsize="small")
    if timeline.deltas:
        row = rows.index("text")
        ax.plot(
            [at * scale for at in timeline.deltas],
            [row] * len(timeline.deltas),
            "|",
            color=_EDGE,
            markersize=9,
            mew=0.7,
        )
    for at in timeline.errors:
        ax.axvline(at * scale, color=_EDGE, linestyle="--", linewidth=1)
        ax.text(at * scale, -0.55, " error", fontsize="small", va="bottom")
    ax.set_yticks(range(len(rows)), rows)
    # Upside down, so that what begins first is on top.
    ax.set_ylim(len(rows) - 0.4, -0.6)
    # With room for the times behind the bars.
    ax.set_xlim(0, timeline.duration * scale * 1.12 or 1)
    ax.set_xlabel(f"time since the message was sent ({unit})")
    took, deltas = time_in_words(timeline.duration), count_of(len(timeline.deltas), "delta")
    ax.set_title(f"A turn of {took}, {deltas}", fontsize="medium")
    return ax


def plot_shares(series: Mapping[Any, Sequence[float]], xlabel: str, ax: Axes | None = None) -> Axes:
    """Draws, for each series of seconds, what share of them is no longer than so much.

    Args:
        series: The seconds, by name.
        xlabel: What the seconds are of.
        ax: Where to draw; None makes a figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    ax = _axes(ax, "Latencies.plot()", height=3.6)
    scale, unit = _unit(max((max(seconds) for seconds in series.values() if seconds), default=0.0))
    for (name, seconds), style in zip(series.items(), _STYLES, strict=False):
        points = [value * scale for value in sorted(seconds)]
        shares = [100 * (number + 1) / len(points) for number in range(len(points))]
        ax.step([0, *points], [0, *shares], where="post", linestyle=style, label=name)
    for percent in (50, 90, 99):
        ax.axhline(percent, color=_EDGE, linewidth=0.5, alpha=0.5)
        ax.text(1.01, percent, f"p{percent}", transform=ax.get_yaxis_transform(), fontsize="small", va="center")
    ax.set_xlim(left=0)
    ax.set_ylim(0, 102)
    ax.set_xlabel(f"{xlabel} ({unit})")
    ax.set_ylabel("share of the answers (%)")
    ax.legend(loc="lower right")
    return ax


# ---- within --------------------------------------------------------------------------------


def _axes(ax: Axes | None, what: str, height: float) -> Axes:
    with extra("plot", what):
        from matplotlib import pyplot
    return pyplot.subplots(figsize=(8, height), layout="constrained")[1] if ax is None else ax


def _unit(longest: float) -> tuple[float, str]:
    return (1.0, "s") if longest >= 1 else (1000.0, "ms")


def _row_of(span: Span) -> str:
    return f"{span.kind}: {span.name}" if span.name else span.kind
