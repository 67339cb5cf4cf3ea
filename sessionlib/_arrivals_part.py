"""When the events of a turn came, as it is noted while they come."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import NamedTuple

from sessionlib.events import SessionEvent, SessionEventType

__all__ = ["Arrivals", "Batch"]

Batch = tuple[float, int]


class Arrivals(NamedTuple):
    """When the events of a turn came: noted for each batch, looked up when somebody asks.

    Attributes:
        began: When the turn's message was posted, on the monotonic clock.
        batches: When events came, and how many there had been by then.
        acks: How many events of the turn had come before each acknowledgement, which is none of them.
    """

    began: float
    batches: Sequence[Batch] = ()
    acks: Sequence[int] = ()

    def at(self, number: int) -> float | None:
        """Gives the seconds from the post to an event by its number, from 0; None when that is unknown."""
        came = number + sum(before <= number for before in self.acks)
        batch = bisect.bisect_right(self.batches, came, key=lambda batch: batch[1])
        # An answer may be there before the post has returned.
        return max(0.0, self.batches[batch][0] - self.began) if batch < len(self.batches) else None

    def times(self, count: int) -> list[float]:
        """Gives the seconds from the post to each of so many events; an empty list unless all are known."""
        times = [self.at(number) for number in range(count)]
        return [at for at in times if at is not None] if None not in times else []

    def first_delta(self, events: Sequence[SessionEvent]) -> float | None:
        """Gives the seconds from the post to the first piece of text in the events from the turn's start."""
        first = next(
            (number for number, event in enumerate(events) if event.type is SessionEventType.MESSAGE_DELTA), None
        )
        return None if first is None else self.at(first)
