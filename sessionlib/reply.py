"""The whole answer of a turn, and what it is made from: the events that were read."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Optional, cast

from sessionlib._util.ipython import this_cell
from sessionlib._util.models import JsonModel
from sessionlib._util.typed import AnswerFormat, T
from sessionlib.display.text import count_of, time_in_words
from sessionlib.errors import AnswerFormatError
from sessionlib.events import SessionEvent, SessionEventType, SessionMessageStatus
from sessionlib.streams.mailbox import OVERFLOW, PARTS

if TYPE_CHECKING:
    from sessionlib.display.timeline import Axes

__all__ = ["Batch", "EventTimes", "Reply", "ToolCall", "is_repeated", "last_text", "reply_of", "value_of"]

Batch = tuple[float, int]


class EventTimes(NamedTuple):
    """When the events of a turn came: noted for each batch, looked up on demand.

    Attributes:
        began: When the turn's message was posted, on the monotonic clock.
        batches: When events came, and how many there had been by then.
        acks: How many events of the turn had come before each acknowledgement, which is none of them.
    """

    began: float
    batches: Sequence[Batch] = ()
    acks: Sequence[int] = ()

    def at(self, number: int) -> float | None:
        """Returns the seconds from the post to an event by its number, from 0; None when that is unknown."""
        # Acks come in the same mailbox, and are no events of the turn.
        came = number + sum(before <= number for before in self.acks)
        batch = bisect.bisect_right(self.batches, came, key=lambda batch: batch[1])
        # An answer may be there before the post has returned.
        return max(0.0, self.batches[batch][0] - self.began) if batch < len(self.batches) else None

    def times(self, count: int) -> list[float]:
        """Returns the seconds from the post to each of so many events; an empty list unless all are known."""
        times = [self.at(number) for number in range(count)]
        return [at for at in times if at is not None] if None not in times else []

    def first_delta(self, events: Sequence[SessionEvent]) -> float | None:
        """Returns the seconds from the post to the first delta in the events from the turn's start."""
        first = next(
            (number for number, event in enumerate(events) if event.type is SessionEventType.MESSAGE_DELTA), None
        )
        return None if first is None else self.at(first)


# Annotations are real objects here, because dataclasses-json makes marshmallow schemas only from those.


_NOWHERE: object = "nowhere"


@dataclass
class ToolCall(JsonModel):
    """One tool that ran, or was to run, in a turn.

    Attributes:
        tool_name: The tool.
        tool_id: Its id, or None.
        tool_call_id: The id of this call of it, or None.
        status: The last status that the engine reported, or None.
        arguments: What it was called with, as far as the engine reports.
        output: What it gave, or None.
    """

    tool_name: str
    tool_id: Optional[str] = None
    tool_call_id: Optional[str] = None
    status: Optional[str] = None
    arguments: dict[str, Any] = field(default_factory=dict)
    output: Any = None


@dataclass
class Reply(JsonModel, Generic[T]):
    """The whole answer of a turn.

    Attributes:
        text: The text of its last message; "" when there was none.
        message_id: The id of that message, or None.
        events: All events of the turn, in order.
        tool_calls: The tools that it called, in order.
        duration: Seconds from the post to the end of the turn.
        status: "complete", or "error" when the turn reported an error.
        error: The last error that it reported, or None.
        shared_with: How many other messages sent in this session the same turn answered: an engine may answer several
            that were sent one right after the other in one turn, and then each gets the whole answer. At least 1 where
            it is not certain that the answer is this message's own.
    """

    text: str
    message_id: Optional[str] = None
    events: list[SessionEvent] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    duration: float = 0.0
    status: SessionMessageStatus = SessionMessageStatus.COMPLETE
    error: Optional[str] = None
    shared_with: int = 0
    # Not a field: times of this process's clock have no place in what is compared, or sent elsewhere.
    _arrivals = EventTimes(0.0)
    # Not a field either: it follows from the text, and not every type has a JSON form.
    _value = None

    # The cell in which it has been shown; there, it is not shown again.
    _shown_in = _NOWHERE

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        details = "" if self._is_in_sight else f"text={self.text[:80]!r}, "
        return f"Reply({details}status={self.status}, {len(self.events)} events, {self.duration:.2f} s)"

    def _repr_html_(self) -> str:
        from sessionlib.display.markup import alarm, fold, markdown_html, safe_html  # for notebooks alone

        parts = [] if self._is_in_sight else [markdown_html(self.text), alarm(safe_html(f"error: {self.error}"))]
        tools = f" · {count_of(len(self.tool_calls), 'tool call')}" if self.tool_calls else ""
        status = fold(safe_html(f"{self.status}{tools} · {time_in_words(self.duration)}"))
        return "".join([*(parts if self.error is not None else parts[:1]), status])

    @property
    def value(self) -> T:
        """The answer as the type that was asked for with ``into``; None when there was none."""
        return cast("T", self._value)

    def mark_shown(self) -> None:
        """Notes that its text stands in this cell already, so that its repr leaves it out there."""
        self._shown_in = this_cell()

    @property
    def _is_in_sight(self) -> bool:
        return self._shown_in == this_cell()

    @property
    def times(self) -> list[float]:
        """When each of its events came, in seconds from the post; empty when that is not known."""
        return self._arrivals.times(len(self.events))

    @property
    def first_delta(self) -> Optional[float]:
        """Seconds from the post to the first delta; None when there was none."""
        return self._arrivals.first_delta(self.events)

    def plot(self, ax: Optional[Axes] = None) -> Axes:
        """Draws the turn along an axis of time: deltas, tools, approvals and waits.

        Args:
            ax: Where to draw, as matplotlib calls it; None makes a figure.

        Returns:
            Where it was drawn.

        Raises:
            MissingExtraError: matplotlib is not installed; the extra ``plot`` brings it.
            ValueError: It is not known when the events came, since it was not had from a turn.
        """
        times = self.times
        if self.events and not times:
            raise ValueError("it is not known when the events of this reply came: it was not had from a turn here")
        from sessionlib.display.timeline import (
            plot_timeline,  # for notebooks alone
            timeline_of,
        )

        return plot_timeline(timeline_of(self.events, times, self.duration), ax)


def value_of(form: AnswerFormat[T], text: str, session_id: str | None, turn_error: str | None = None) -> T:
    """Returns the value in an answer.

    Args:
        form: The format that was asked for.
        text: The answer.
        session_id: The session.
        turn_error: The error that the turn ended with, or None.

    Raises:
        AnswerFormatError: There is none.
    """
    try:
        return form.read(text)
    except ValueError as error:
        reason = str(error)
        why = reason if turn_error is None else f"the turn ended with an error: {turn_error}"
        raise AnswerFormatError(
            f"the answer is no {form.name}: {why}; the error's texts hold what was answered",
            session_id=session_id,
            texts=(text,),
            reason=reason,
            turn_error=turn_error,
        ) from None


def reply_of(events: list[SessionEvent], duration: float, arrivals: EventTimes, shared_with: int = 0) -> Reply[Any]:
    """Makes the answer of a turn.

    Args:
        events: Its events.
        duration: Seconds that it took.
        arrivals: When the events came.
        shared_with: How many other posts the turn answered.
    """
    # Of several messages the last is the answer; words before it are events.
    message_id, text = last_text(events)
    is_whole = any(event.is_complete and event.message_id == message_id for event in events)
    reported = (event for event in reversed(events) if event.error is not None)
    error = next((event.error for event in reported if not (is_whole and is_repeated(event))), None)
    calls: dict[str, ToolCall] = {}
    for event in events:
        if event.type not in (SessionEventType.TOOL_CALL, SessionEventType.TOOL_RESULT):
            continue
        # By the call's id where the engine sends one, so that a result finds its call.
        key = str(event.data.get("tool_call_id") or event.message_id or id(event))
        call = calls.setdefault(key, ToolCall(str(event.data.get("tool_name") or "")))
        for name, kind in _REPORTED.items():
            details = event.data.get(name)
            # Later events add to earlier ones; what is missing, or of another type, takes nothing away.
            if details is not None and isinstance(details, kind):
                setattr(call, name, details)
    reply: Reply[Any] = Reply(
        text=text,
        message_id=message_id,
        events=list(events),
        tool_calls=list(calls.values()),
        duration=duration,
        status=SessionMessageStatus.COMPLETE if error is None else SessionMessageStatus.ERROR,
        error=error,
        shared_with=shared_with,
    )
    reply._arrivals = arrivals
    return reply


def is_repeated(event: SessionEvent) -> bool:
    """Whether an ERROR reports that nothing was dropped but parts, which the whole of a message repeats."""
    dropped = event.data.get("dropped_event_type") if event.data.get("dropped") else None
    return event.error == OVERFLOW and (dropped is None or any(dropped == part for part in PARTS))


def last_text(events: list[SessionEvent]) -> tuple[Optional[str], str]:
    """Returns the id and the text of the last message in some events; "" when there is none."""
    last = next((event for event in reversed(events) if event.is_complete or event.delta), None)
    if last is None:
        return None, ""
    # Deltas that come behind the whole do not change it.
    whole = next((e for e in reversed(events) if e.is_complete and e.message_id == last.message_id), None)
    if whole is not None:
        return whole.message_id, "" if whole.text is None else str(whole.text)
    # A truncated message has only deltas.
    return last.message_id, "".join(event.delta or "" for event in events if event.message_id == last.message_id)


# What events report of a tool call, as far as it is of a kind that a `ToolCall` can hold.
_REPORTED: dict[str, type] = {
    "tool_id": str,
    "tool_call_id": str,
    "status": str,
    "arguments": Mapping,
    "output": object,
}
