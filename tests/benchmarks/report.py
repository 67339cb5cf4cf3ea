"""Outcomes as a text table and, where matplotlib is installed, a chart."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.cases import GROUND, OFFICIAL, OURS, PEERS, RAW, WEBSOCKETS, Metric, Peer
from tests.benchmarks.harness import Outcome

_COLORS = {OURS: "#1b6ca8", RAW: "#6f7378", WEBSOCKETS: "#a86a1b"}
# Shapes as well as colours, for those who see none and for print.
_MARKERS = {OURS: "o", RAW: "s", WEBSOCKETS: "D"}
_LABEL_WIDTH = 0.18  # decades, at the size of the chart


def table(outcomes: Iterable[Outcome]) -> str:
    """Gives the text table.

    The last two columns are the judgement: how many times better than the official SDK, and than a
    bare websocket-client loop (of imports: than that of what ours stands on), whichever way is better
    for that figure.
    """
    return "\n\n".join(_section(outcome) for outcome in outcomes)


def _section(outcome: Outcome) -> str:
    bare = "vs raw loop" if RAW in outcome.runs else "vs ground" if GROUND in outcome.runs else ""
    rows = [["", "", "median", "low", "high", "vs official", bare]]
    for metric in outcome.case.metrics:
        rows += [_row(outcome, peer, metric) for peer in PEERS if outcome.spread(peer, metric)]
    lines = [outcome.case.title, *_aligned(rows)]
    lines += [f"  {peer.name} failed: {reason}" for peer, reason in outcome.failures.items()]
    return "\n".join(lines)


def _row(outcome: Outcome, peer: Peer, metric: Metric) -> list[str]:
    spread = outcome.spread(peer, metric)
    assert spread is not None
    figures = [_number(value) for value in (spread.median, spread.low, spread.high)]
    ratios = [
        _ratio(outcome.ratio(peer, other, metric)) for other in (OFFICIAL, RAW if RAW in outcome.runs else GROUND)
    ]
    return [peer.name, metric.unit, *figures, *ratios]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"x {value:.2f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(_cells(row, widths)).rstrip() for row in rows]


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if index < 2 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def instruction_table(counts: Mapping[str, float]) -> str:
    """Gives the table of instructions for each event, by the names of the peers."""
    rows = [[name, "instructions", f"{count:,.0f}"] for name, count in counts.items()]
    return "\n".join(["Instructions for each event of 110 B", *_aligned(rows)])


def figures(outcomes: Iterable[Outcome], counts: Mapping[str, float], picture: str | None) -> str:
    """Gives a report in Markdown.

    Args:
        outcomes: What was measured.
        counts: Instructions for each event, by the names of the peers.
        picture: The file of the chart.
    """
    tables = [table(outcomes), *([instruction_table(counts)] if counts else [])]
    parts = [
        "# The last figures",
        "Measured in one run, peers in turns, each in a process of its own, with the engine in another on the same "
        f"machine: {os.cpu_count()} cores, {platform.system()} on {platform.machine()}, "
        f"{platform.python_implementation()} {platform.python_version()}. Such machines are shared and noisy: only "
        "the ratios mean anything, and those of one run only. `python -m tests.benchmarks` measures again.",
        *([f"![Compared with the official SDK]({picture})"] if picture else []),
        *(f"```text\n{text}\n```" for text in tables),
    ]
    return "\n\n".join(parts) + "\n"


def chart(outcomes: Iterable[Outcome], path: Path) -> bool:
    """Draws the first figure of each case, relative to the official SDK; tells whether it could.

    Args:
        outcomes: What was measured.
        path: Of the PNG file.
    """
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawn = [outcome for outcome in outcomes if outcome.spread(OFFICIAL, outcome.case.metrics[0])]
    if not drawn:
        return False
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.42 * len(drawn)), layout="constrained")
    for row, outcome in enumerate(drawn):
        measured = {peer: ratios for peer in _COLORS if (ratios := ratios_of(outcome, peer)) is not None}
        for peer, ratios in measured.items():  # a gap where it was not measured
            _draw_dot(axes, row, peer, *ratios)
        _label(axes, row, {peer: median for peer, (median, _, _) in measured.items()})
    for peer, color in _COLORS.items():
        axes.plot([], [], _MARKERS[peer], color=color, label=peer.name)
    axes.set_yticks(range(len(drawn)), [f"{o.case.title} ({o.case.metrics[0].unit})" for o in drawn], fontsize=8)
    axes.set_ylim(len(drawn) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("times faster than the async SDK (log scale)")
    figure.legend(frameon=False, fontsize=8, loc="outside upper right", ncols=3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return True


def ratios_of(outcome: Outcome, peer: Peer) -> tuple[float, float, float] | None:
    """Returns how many times faster than the official SDK's median a peer is: median, slowest and fastest repeat."""
    metric = outcome.case.metrics[0]
    median, spread = outcome.ratio(peer, OFFICIAL, metric), outcome.spread(peer, metric)
    if median is None or spread is None:
        return None
    base = median / spread.median if metric.more_is_better else median * spread.median
    ends = [base * value if metric.more_is_better else base / value for value in (spread.low, spread.high)]
    return median, min(ends), max(ends)


def _draw_dot(axes: Any, row: int, peer: Peer, median: float, low: float, high: float) -> None:
    color = _COLORS[peer]
    axes.plot([low, high], [row, row], color=color, linewidth=1.4, solid_capstyle="butt")
    axes.plot(median, row, _MARKERS[peer], color=color, markersize=6)


def _label(axes: Any, row: int, medians: Mapping[Peer, float]) -> None:
    """Writes the values of a row side by side above its dots: those that are near each other move apart."""
    ordered = sorted(medians.items(), key=lambda item: item[1])
    places = spread_out([math.log10(median) for _, median in ordered], _LABEL_WIDTH)
    for (peer, median), place in zip(ordered, places, strict=True):
        axes.annotate(
            f"{median:.2g}" if median < 0.1 else f"{median:.3g}",
            (10**place, row),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color=_COLORS[peer],
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )


def spread_out(places: Sequence[float], width: float) -> list[float]:
    """Returns places in ascending order, moved as little as needed for each two to be a width apart."""
    groups: list[list[float]] = []  # each of places that touch, laid out around their mean
    for place in places:
        groups.append([place])
        while len(groups) > 1 and _laid_out(groups[-1], width)[0] - _laid_out(groups[-2], width)[-1] < width - 1e-9:
            last = groups.pop()
            groups[-1] += last
    return [place for group in groups for place in _laid_out(group, width)]


def _laid_out(group: Sequence[float], width: float) -> list[float]:
    middle = sum(group) / len(group) - width * (len(group) - 1) / 2
    return [middle + width * at for at in range(len(group))]
