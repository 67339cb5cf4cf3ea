"""Pictures, drawn with matplotlib; all of them can be read without their colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sessionlib._util.optional import extra
from sessionlib.display.text import time_in_words
from sessionlib.display.timeline import Span, Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes

__all__ = ["plot_shares", "plot_timeline"]

# How each kind is drawn; the hatches tell them apart in black and white.
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
_STYLES = ("-", "--", ":", "-.")


def plot_timeline(timeline: Timeline, ax: Axes | None = None) -> Axes:
    """Draws what happened in a turn: a row for each kind of thing, along an axis of time.

    Args:
        timeline: The turn.
        ax: Where to draw; None makes a figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    rows = _rows(timeline.spans)
    ax = _axes(ax, "Reply.plot()", height=1.2 + 0.45 * len(rows))
    scale, unit = _unit(timeline.duration)
    for span in timeline.spans:
        _draw_span(ax, span, rows.index(_row_of(span)), scale, timeline.duration)
    if timeline.pieces:
        row = rows.index("text")
        ax.plot(
            [at * scale for at in timeline.pieces],
            [row] * len(timeline.pieces),
            "|",
            color=_EDGE,
            markersize=9,
            mew=0.7,
        )
    for at in timeline.errors:
        ax.axvline(at * scale, color=_EDGE, linestyle="--", linewidth=1)
        ax.text(at * scale, -0.55, " error", fontsize="small", va="bottom")
    ax.set_yticks(range(len(rows)), rows)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(0, timeline.duration * scale * 1.12 or 1)
    ax.set_xlabel(f"time since the message was sent ({unit})")
    took, pieces = time_in_words(timeline.duration), len(timeline.pieces)
    ax.set_title(f"A turn of {took}, {pieces} pieces of text", fontsize="medium")
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


def _rows(spans: Sequence[Span]) -> list[str]:
    """Gives the names of the rows, in the order in which they begin, and waiting last."""
    names = dict.fromkeys(_row_of(span) for span in spans)
    return sorted(names, key=lambda name: name == "waiting")


def _draw_span(ax: Axes, span: Span, row: int, scale: float, duration: float) -> None:
    colour, hatch = _LOOKS[span.kind]
    start, width = span.start * scale, (span.end - span.start) * scale
    ax.barh(row, width, _HEIGHT, left=start, color=colour, hatch=hatch, edgecolor=_EDGE, linewidth=0.6)
    if span.end - span.start > duration * 0.02:
        ax.text(start + width, row, f" {time_in_words(span.end - span.start)}", va="center", fontsize="small")
