"""What happened in a session, in numbers: counted as it happens, and returned as one frozen value."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.protocol.turns import PendingPost
from sessionlib.streams.mailbox import Mailbox
from sessionlib.transport.base import Traffic

__all__ = ["TIMED", "Counters", "QueueStats", "RoundTrips", "SessionStats", "TurnStats", "no_stats"]

# So many turns are remembered one by one.
TURNS = 100
_DELTA = SessionEventType.MESSAGE_DELTA
_ACKS = frozenset({SessionEventType.MESSAGE_POSTED, SessionEventType.MESSAGES_POSTED})
# What shows how long something took, beside the ends of turns.
TIMED = frozenset({_DELTA, *_ACKS})


@dataclass(frozen=True)
class QueueStats:
    """One queue of events that wait to be read.

    Attributes:
        waiting: How many wait now.
        high_water: The largest number that ever waited.
        maxsize: How many may wait; 0 for any number.
        dropped: How many found it full.
    """

    waiting: int
    high_water: int
    maxsize: int
    dropped: int


@dataclass(frozen=True)
class RoundTrips:
    """How long the engine took to acknowledge messages and to answer pings, in seconds.

    Attributes:
        count: How many there were.
        last: The latest of them; None when there was none.
        shortest: The shortest; None likewise.
        longest: The longest; None likewise.
        mean: Their mean; None likewise.
    """

    count: int = 0
    last: float | None = None
    shortest: float | None = None
    longest: float | None = None
    mean: float | None = None


@dataclass(frozen=True)
class TurnStats:
    """How long one turn took, in seconds from its post.

    Attributes:
        first_delta: Until the first delta; None when there was none.
        duration: Until its end; None while it runs.
    """

    first_delta: float | None = None
    duration: float | None = None


@dataclass(frozen=True)
class SessionStats:
    """What happened in a session so far; see `Session.stats`.

    Attributes:
        messages_in: WebSocket messages that came.
        messages_out: WebSocket messages that left, or were left to be sent.
        bytes_in: Bytes that came for them and around them.
        bytes_out: Bytes of what left, without what is around it.
        events: Events that were delivered to the listeners.
        dropped: Events that listeners lost because they read too slowly.
        reconnects: How often a lost connection was opened again.
        queues: The open listeners and turns, oldest first.
        backlog: What waits for the next listener.
        round_trips: How fast the engine answers.
        turns: The latest turns that were begun here, oldest first, the running ones last; 100 at most that are over.
    """

    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    events: int
    dropped: int
    reconnects: int
    queues: tuple[QueueStats, ...]
    backlog: QueueStats
    round_trips: RoundTrips
    turns: tuple[TurnStats, ...]

    def _repr_html_(self) -> str:
        import statistics  # here as well: for notebooks alone

        from sessionlib.display.tables import html_table
        from sessionlib.display.text import size_of, time_in_words

        def times(seconds: Iterable[float | None]) -> str:
            known = [one for one in seconds if one is not None]
            return f"{time_in_words(statistics.median(known))} (median of {len(known)})" if known else "-"

        rows = (
            ("received", f"{self.messages_in} messages, {size_of(self.bytes_in)}"),
            ("sent", f"{self.messages_out} messages, {size_of(self.bytes_out)}"),
            ("events", f"{self.events} delivered, {self.dropped} dropped, {self.backlog.waiting} waiting"),
            ("reconnects", self.reconnects),
            ("round trip", "-" if self.round_trips.mean is None else f"{time_in_words(self.round_trips.mean)} (mean)"),
            ("first delta", times(turn.first_delta for turn in self.turns)),
            ("whole turn", times(turn.duration for turn in self.turns)),
        )
        return html_table(rows)


class Counters(Traffic):
    """Counts for one session. What comes is counted by its reader alone, per batch and not per event."""

    def __init__(self) -> None:
        super().__init__()
        self.events = 0
        self.dropped = 0
        self.reconnects = 0
        self._count = 0
        self._total = self._last = self._longest = 0.0
        self._shortest = float("inf")
        # When each post left, and when the first delta of its turn came; the hub's lock protects both.
        self._posted: dict[PendingPost, list[float]] = {}
        # The times of turns that are over, with that of the end last.
        self._over: list[tuple[list[float], float]] = []
        # What an observer has still to be notified of; only where there is one.
        self.observed: list[tuple[PendingPost, SessionEvent]] = []

    def posted(self, ticket: PendingPost) -> None:
        """Notes that a post is about to leave; the hub's lock is held, as in what follows."""
        # Before it leaves, like the pings: its ack may be read before `send` returns.
        self._posted[ticket] = [time.monotonic()]

    def take_observed(self) -> list[tuple[PendingPost, SessionEvent]]:
        """Returns what an observer has to be notified of, once the hub's lock is released; for the reading thread."""
        observed, self.observed = self.observed, []
        return observed

    @property
    def tickets(self) -> list[PendingPost]:
        """The posts of which more may come."""
        return list(self._posted)

    def withdrawn(self, ticket: PendingPost) -> None:
        """Forgets a post that did not leave."""
        self._posted.pop(ticket, None)

    def note(self, owner: PendingPost, event: SessionEvent, is_watched: bool) -> None:
        """Notes an event that is no further delta of a text: what it shows about times.

        Args:
            owner: The post that it belongs to.
            event: The event. One that is neither `TIMED` nor the end of its owner need not be noted unless
                it is watched.
            is_watched: Whether there is an observer who has to be notified of it.
        """
        if is_watched:
            self.observed.append((owner, event))
        times = self._posted.get(owner)
        if times is None:
            return
        kind = event.type
        if kind in _ACKS:
            self._note_trip(time.monotonic() - times[0])
        # The first one alone: how soon something is to be seen.
        elif kind is _DELTA and len(times) == 1:
            times.append(time.monotonic())
        if owner.last is not None or owner.refusal is not None or (not owner.makes_turn and kind in _ACKS):
            del self._posted[owner]
            if owner.makes_turn:
                self._over.append((times, time.monotonic()))
                if len(self._over) > TURNS:
                    del self._over[0]

    def note_pong(self) -> None:
        """Notes that the oldest ping without an answer has got it."""
        if self.pings:
            self._note_trip(time.monotonic() - self.pings.pop(0))

    def _note_trip(self, seconds: float) -> None:
        self._count += 1
        self._total += seconds
        self._last = seconds
        if seconds < self._shortest:
            self._shortest = seconds
        if seconds > self._longest:
            self._longest = seconds

    def stats(self, queues: Sequence[Mailbox], backlog: Mailbox) -> SessionStats:
        """Returns everything at this moment; the hub's lock is held.

        Args:
            queues: What is open.
            backlog: What waits for the next listener.
        """
        running = [_turn(times) for ticket, times in self._posted.items() if ticket.makes_turn]
        round_trips = RoundTrips()
        if self._count:
            mean = self._total / self._count
            round_trips = RoundTrips(self._count, self._last, self._shortest, self._longest, mean)
        return SessionStats(
            messages_in=self.messages_in,
            messages_out=self.messages_out,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            events=self.events,
            # Of those that are gone, and of those that are open.
            dropped=self.dropped + sum(mailbox.dropped for mailbox in (*queues, backlog)),
            reconnects=self.reconnects,
            queues=tuple(map(_queue, queues)),
            backlog=_queue(backlog),
            round_trips=round_trips,
            turns=(*(_turn(times, end) for times, end in self._over), *running),
        )


def no_stats() -> SessionStats:
    """Returns the numbers of a session that was never connected."""
    return Counters().stats((), Mailbox())


def _turn(times: list[float], end: float | None = None) -> TurnStats:
    began = times[0]
    return TurnStats(times[1] - began if len(times) > 1 else None, None if end is None else end - began)


def _queue(mailbox: Mailbox) -> QueueStats:
    return QueueStats(len(mailbox), max(mailbox.high_water, len(mailbox)), mailbox.maxsize, mailbox.dropped)
