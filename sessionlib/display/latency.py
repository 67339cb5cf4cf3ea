"""How long the answers of a batch took."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from sessionlib.display.tables import dataframe, html_table
from sessionlib.display.text import time_in_words
from sessionlib.display.timeline import plot_shares

if TYPE_CHECKING:
    import pandas

    from sessionlib.display.timeline import Axes

__all__ = ["Latencies", "Latency", "Timed", "latencies"]

_PERCENTILES = (50, 90, 99)
_HEADER = (*(f"p{percent}" for percent in _PERCENTILES), "max")


class Timed(Protocol):
    """An answer that knows how long it took: a result of `Agent.map` or `Agent.run`, or a `Reply`."""

    @property
    def first_delta(self) -> float | None:
        """Seconds from the post to the first delta; None when there was none."""

    @property
    def duration(self) -> float | None:
        """Seconds from the post to the end of the turn."""

    @property
    def status(self) -> str:
        """How it ended: "complete" or "error"."""

    @property
    def error(self) -> str | None:
        """What went wrong, or None."""


Which = Literal["first delta", "whole answer"]


@dataclass(frozen=True)
class Latency:
    """How long one answer took.

    Attributes:
        first_delta: Seconds from the post to the first delta; None when there was none.
        duration: Seconds from the post to the end of the turn; None when it is not known.
        error: What went wrong; None when nothing did.
    """

    first_delta: float | None
    duration: float | None
    error: str | None = None


class Latencies:
    """How long the answers of a batch took; made by `latencies`.

    Failures are counted, and their times are in no percentile.

    Args:
        each: The answers, in their order.

    Attributes:
        each: The answers, in their order.
        failures: How many of them failed.
    """

    def __init__(self, each: Iterable[Latency]) -> None:
        self.each = list(each)
        # A refusal is quick: among the times, failures would make an engine that fails look fast.
        done = [one for one in self.each if one.error is None]
        self.failures = len(self.each) - len(done)
        self._seconds: dict[Which, list[float]] = {
            "first delta": sorted(one.first_delta for one in done if one.first_delta is not None),
            "whole answer": sorted(one.duration for one in done if one.duration is not None),
        }

    def __len__(self) -> int:
        return len(self.each)

    def __repr__(self) -> str:
        rows = [("", *_HEADER), *self._rows()]
        width = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(size) for cell, size in zip(row, width, strict=True)).rstrip() for row in rows]
        return "\n".join([self._caption(), *lines])

    def percentile(self, percent: float, of: Which = "whole answer") -> float | None:
        """Returns the seconds within which that share of the answers was there; None when there were none.

        It is one of the measured times and never between two of them (the nearest rank).

        Args:
            percent: The share, above 0 and up to 100.
            of: Which time.

        Raises:
            ValueError: ``percent`` is not such a share.
        """
        if not 0 < percent <= 100:
            raise ValueError(f"percent takes a number above 0 and up to 100, not {percent}")
        seconds = self._seconds[of]
        # The nearest rank, which is always a time that was measured.
        return seconds[math.ceil(len(seconds) * percent / 100) - 1] if seconds else None

    def to_dataframe(self) -> pandas.DataFrame:
        """Returns a row for each answer: ``first_delta`` and ``duration`` in seconds, and ``error``.

        Raises:
            MissingExtraError: pandas is not installed; the extra ``pandas`` brings it.
        """
        names = ("first_delta", "duration", "error")
        columns = {name: [getattr(one, name) for one in self.each] for name in names}
        frame = dataframe(columns, "Latencies.to_dataframe()")
        for name in names[:2]:  # of which all may be missing
            frame[name] = frame[name].astype("float64")
        return frame

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws what share of the answers was there after how long.

        Args:
            ax: Where to draw; None makes a figure.

        Returns:
            Where it was drawn; its ``figure`` has ``savefig``.

        Raises:
            MissingExtraError: matplotlib is not installed; the extra ``plot`` brings it.
        """
        ax = plot_shares(self._seconds, "time since the message was sent", ax)
        ax.set_title(self._caption(), fontsize="medium")
        return ax

    def _repr_html_(self) -> str:
        return html_table(self._rows(), ("", *_HEADER), self._caption())

    def _caption(self) -> str:
        return f"{len(self)} answers" + (f", {self.failures} failed" if self.failures else "")

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for name in self._seconds:
            times = (self.percentile(percent, name) for percent in (*_PERCENTILES, 100))
            yield name, *("-" if seconds is None else time_in_words(seconds) for seconds in times)


def latencies(results: Iterable[Timed | BaseException]) -> Latencies:
    """Sums up how long answers took: those of `Agent.map`, of `Agent.run` or of `Session.ask`.

    Args:
        results: The answers, and the exceptions in their places of ``on_error="return"``.

    Returns:
        The times, which print as a table.

    Example:
        ::

            results = list(agent.map(prompts, on_error="return"))
            print(latencies(results))
    """
    each = []
    for result in results:
        if isinstance(result, BaseException):
            each.append(Latency(None, None, str(result) or type(result).__name__))
        else:
            failed = None if result.status == "complete" else result.error or str(result.status)
            each.append(Latency(result.first_delta, result.duration, failed))
    return Latencies(each)
