"""One turn: from a post of ours to the moment the agent is idle again, and the whole answer of it."""

# Annotations are real objects here, because dataclasses-json makes marshmallow schemas only from those.

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Optional

from sessionlib.approvals import ApprovalDesk, ApprovalHandler, ApprovalRequest
from sessionlib.approvals.attendance import Attendance
from sessionlib.arrivals import Arrivals
from sessionlib.cells import this_cell
from sessionlib.errors import (
    ApprovalRequiredError,
    ReauthRequiredError,
    SessionDisconnectedError,
    SessionError,
    SessionTimeoutError,
)
from sessionlib.events import SessionEvent, SessionEventType, SessionMessageStatus
from sessionlib.hub import Hub
from sessionlib.link import Post
from sessionlib.mailbox import Closed
from sessionlib.models import JsonModel
from sessionlib.timing import Deadline
from sessionlib.words import count_of

if TYPE_CHECKING:
    from sessionlib.plots import Axes

__all__ = ["Reply", "ToolCall", "Turn", "last_text"]

Type = SessionEventType

_ACKS = frozenset({Type.MESSAGE_POSTED, Type.MESSAGES_POSTED})
_NOWHERE: object = "nowhere"
_RESUMABLE = (SessionTimeoutError, ApprovalRequiredError, ReauthRequiredError)


@dataclass
class ToolCall(JsonModel):
    """One tool that ran, or was to run, in a turn.

    Attributes:
        tool_name: The tool.
        tool_id: Its id, or None.
        tool_call_id: The id of this call of it, or None.
        status: The last status that the engine told of it, or None.
        arguments: What it was called with, as far as the engine tells.
        output: What it gave, or None.
    """

    tool_name: str
    tool_id: Optional[str] = None
    tool_call_id: Optional[str] = None
    status: Optional[str] = None
    arguments: dict[str, Any] = field(default_factory=dict)
    output: Any = None


@dataclass
class Reply(JsonModel):
    """The whole answer of a turn.

    Attributes:
        text: The text of its last message; "" when there was none.
        message_id: The id of that message, or None.
        events: All events of the turn, in order.
        tool_calls: The tools that it called, in order.
        duration: Seconds from the post to the end of the turn.
        status: "complete", or "error" when the turn told an error.
        error: The last error that it told, or None.
    """

    text: str
    message_id: Optional[str] = None
    events: list[SessionEvent] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    duration: float = 0.0
    status: SessionMessageStatus = SessionMessageStatus.COMPLETE
    error: Optional[str] = None
    # Not a field: times of this process's clock have no place in what is compared, or sent elsewhere.
    _arrivals = Arrivals(0.0)

    # The cell in which it has been shown; there, it is not shown once more.
    _shown_in = _NOWHERE

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        told = "" if self._is_in_sight else f"text={self.text[:80]!r}, "
        return f"Reply({told}status={self.status}, {len(self.events)} events, {self.duration:.2f} s)"

    def _repr_markdown_(self) -> str:
        from sessionlib.markup import fold, safe_html, safe_markdown  # for notebooks alone

        parts = [] if self._is_in_sight else [safe_markdown(self.text), safe_html(f"error: {self.error}")]
        tools = f" · {count_of(len(self.tool_calls), 'tool call')}" if self.tool_calls else ""
        status = fold(safe_html(f"{self.status}{tools} · {self.duration:.1f} s"))
        return "\n\n".join([*(parts if self.error is not None else parts[:1]), status])

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
        """Seconds from the post to the first piece of text; None when there was none."""
        return self._arrivals.first_delta(self.events)

    def plot(self, ax: Optional["Axes"] = None) -> "Axes":
        """Draws the turn along an axis of time: pieces of text, tools, approvals and waits.

        Args:
            ax: Where to draw, as matplotlib calls it; None makes a figure.

        Returns:
            Where it was drawn; its ``figure`` has ``savefig``.

        Raises:
            MissingExtraError: matplotlib is not installed; the extra ``plot`` brings it.
            ValueError: It is not known when the events came, since it was not had from a turn.
        """
        times = self.times
        if self.events and not times:
            raise ValueError("it is not known when the events of this reply came: it was not had from a turn here")
        from sessionlib.plots import plot_timeline  # for notebooks alone
        from sessionlib.timeline import timeline_of

        return plot_timeline(timeline_of(self.events, times, self.duration), ax)


class Turn:
    """Iterates over the events of one turn, from Processing to Idle; also a context manager.

    Approval requests are handled on the thread that reads the turn, when it asks for what comes next.
    For one thread at a time. Made by `Session.stream`.

    Attributes:
        session_id: The session.
    """

    def __init__(
        self,
        hub: Hub,
        desk: ApprovalDesk,
        post: Post,
        *,
        session_id: str,
        deadline: Deadline,
        idle_timeout: Optional[float] = None,
        on_approval: Optional[ApprovalHandler] = None,
    ) -> None:
        assert post.mailbox is not None
        self.session_id = session_id
        self._hub = hub
        self._ticket = post.ticket
        self._mailbox = post.mailbox
        self._deadline = deadline
        self._idle_timeout = idle_timeout
        self._attendance = Attendance(desk, post.ticket, session_id, on_approval)
        self._events: list[SessionEvent] = []
        # How many of these had been read before each ack.
        self._acks: list[int] = []
        self._over = self._paused = self._closed = False
        self._began = time.monotonic()
        self._ended: Optional[float] = None

    def __iter__(self) -> "Turn":
        return self

    def __next__(self) -> SessionEvent:
        """Waits for the next event of the turn.

        Raises:
            StopIteration: The turn is over, or the session was disconnected here.
            SessionTimeoutError: It did not come in time; the turn stays usable, without its deadline.
            SessionDisconnectedError: The connection was lost for good.
            DeliveryUnknownError: The connection broke around the message; see there.
            SessionError: The engine refused the message.
            Exception: What an approval handler raised; the request was denied.
        """
        with self._reading():
            self._attendance.offer_last(self._deadline)
            try:
                return self._next(self._deadline)
            except Closed:
                raise StopIteration from None

    def __enter__(self) -> "Turn":
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_mailbox"):
            self._hub.abandon(self._mailbox)

    def __repr__(self) -> str:
        state = "over" if self._over else "running" if self._ticket.first is not None else "not begun"
        return f"<Turn of session {self.session_id}: {state}, {len(self._events)} events read>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Turn cannot be pickled or copied; its result() can")

    @property
    def is_over(self) -> bool:
        """Whether its last event has been read."""
        return self._over

    @property
    def duration(self) -> float:
        """Seconds from the post to the end of the turn, or until now."""
        return (self._ended or time.monotonic()) - self._began

    @property
    def arrivals(self) -> Arrivals:
        """When its events came."""
        return Arrivals(self._began, tuple(self._mailbox.arrivals), tuple(self._acks))

    @property
    def pending(self) -> list[ApprovalRequest]:
        """Its approval requests that nobody has answered."""
        return self._attendance.pending

    @property
    def text_stream(self) -> Iterator[str]:
        """The pieces of its text, as they come; a message that was not streamed comes in one piece.

        Raises:
            ApprovalRequiredError: It waits for an approval that no handler gives.
            ReauthRequiredError: It waits for an authorisation that no handler sees to.
            SessionError: As for iteration.
        """
        streamed: set[Optional[str]] = set()
        for event in self.attended():
            if event.delta:
                streamed.add(event.message_id)
                yield event.delta
            elif event.is_complete and event.message_id not in streamed and event.text is not None:
                yield str(event.text)

    def attended(self) -> Iterator[SessionEvent]:
        """Iterates over the events, each request among them when it has its answer.

        Raises:
            ApprovalRequiredError: It waits for an approval that no handler gives.
            ReauthRequiredError: It waits for an authorisation that no handler sees to.
            SessionError: As for iteration.
        """
        while True:
            try:
                with self._reading():
                    event = self._advance(self._deadline)
            except Closed:
                return
            yield event

    def result(self, timeout: Optional[float] = None) -> Reply:
        """Waits for the end of the turn and gives the whole answer.

        After an error that holds the turn it can be called again. What was received until then is
        not lost: the next listener gets it, or the next `result`.

        Args:
            timeout: Seconds that this call may take; None for as long as the turn has. A turn that has
                used up its own time has no limit any more.

        Raises:
            SessionTimeoutError: The turn did not end in time; the error's ``turn`` can be waited for again.
            ApprovalRequiredError: It waits for an approval that no handler gives; likewise.
            ReauthRequiredError: It waits for an authorisation that no handler sees to; likewise.
            SessionDisconnectedError: The connection was lost for good, or the session disconnected here.
            DeliveryUnknownError: The connection broke around the message; see there.
            SessionError: The engine refused the message.
            Exception: What an approval handler raised; the request was denied.
        """
        already = len(self._events)
        try:
            with self._reading(already):
                deadline = self._deadline.sooner(timeout)
                while not self._over:
                    self._advance(deadline)
        except Closed:
            what = "was closed" if self._closed else "did not end before the session was disconnected"
            raise SessionDisconnectedError(
                f"session {self.session_id}: the turn {what}", session_id=self.session_id
            ) from None
        return _reply(self._events, self.duration, self.arrivals)

    def wait(self, timeout: float) -> bool:
        """Waits until the next event can be had at once, or the turn is over.

        Args:
            timeout: Seconds to wait; 0 only looks.

        Returns:
            Whether it is so far.
        """
        if self._over or len(self._mailbox):
            return True
        try:
            self._mailbox.put_back([self._mailbox.get(Deadline(timeout))])
        except TimeoutError:
            return False
        except (Closed, SessionError):
            return True  # which whoever reads on will be told
        return True

    def offer(self) -> None:
        """Has the handlers see to the request that was read last, as asking for the next event would.

        Raises:
            Exception: What a handler raised; the request was denied.
        """
        with self._reading():
            self._attendance.offer_last(self._deadline)

    def close(self) -> None:
        """Stops reading it; the turn itself goes on in the engine.

        What was not read waits for the next listener, and open requests go to the registered handlers.
        """
        self._closed = True
        self._hub.leave(self._mailbox)
        self._attendance.end()

    # ---- within --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _reading(self, already: Optional[int] = None) -> Iterator[None]:
        """Reads; if that fails, others see to the turn until it is read again.

        Args:
            already: The number of events that stay read in that case; None for all of them.
        """
        if self._paused:
            self._paused = False
            self._attendance.begin()
            self._hub.resume(self._mailbox)
        try:
            yield
        except BaseException as error:
            if isinstance(error, _RESUMABLE):
                error.turn = self
            if not self._over and not isinstance(error, StopIteration):
                self._unread(len(self._events) if already is None else already)
                self._paused = True
                self._hub.pause(self._mailbox)
                self._attendance.end()
            raise

    def _unread(self, already: int) -> None:
        back = self._events[already:]
        if back:
            del self._events[already:]
            self._mailbox.put_back(back)
            self._attendance.forget_last()  # it was one of these

    def _advance(self, deadline: Deadline) -> SessionEvent:
        """Waits for the next event and sees to it that a request gets its answer."""
        self._attendance.settle_last(deadline)
        event = self._next(deadline)
        self._attendance.settle_last(deadline)
        return event

    def _next(self, deadline: Deadline) -> SessionEvent:
        while not self._over:
            event = self._take(deadline)
            if event is self._ticket.refusal:
                self._end()
                raise SessionError(
                    f"session {self.session_id}: the engine refused the message: {event.error}",
                    session_id=self.session_id,
                )
            if event.type not in _ACKS:
                self._note(event)
                return event
            self._acks.append(len(self._events))
        raise Closed

    def _take(self, deadline: Deadline) -> SessionEvent:
        within = deadline.sooner(self._idle_timeout)
        if self._attendance.would_wait_for_itself:
            raise SessionError(
                f"session {self.session_id}: this approval handler would wait for itself, because its own turn ends "
                "before another begins; answer the request first, or use send()",
                session_id=self.session_id,
            )
        try:
            return self._mailbox.get(within)
        except TimeoutError:
            if within is self._deadline:
                self._deadline = Deadline(None)
            what = "the turn did not end" if within is deadline else "nothing came"
            raise SessionTimeoutError(
                f"session {self.session_id}: {what} within {within.timeout:g} s; the session stays usable",
                session_id=self.session_id,
            ) from None

    def _note(self, event: SessionEvent) -> None:
        self._events.append(event)
        self._attendance.note(event)
        if event is self._ticket.last:
            self._end()

    def _end(self) -> None:
        self._over = True
        self._ended = time.monotonic()
        self._hub.leave(self._mailbox)
        self._attendance.end()


def _reply(events: list[SessionEvent], duration: float, arrivals: Arrivals) -> Reply:
    error = next((event.error for event in reversed(events) if event.error is not None), None)
    message_id, text = last_text(events)
    reply = Reply(
        text=text,
        message_id=message_id,
        events=list(events),
        tool_calls=_tool_calls(events),
        duration=duration,
        status=SessionMessageStatus.COMPLETE if error is None else SessionMessageStatus.ERROR,
        error=error,
    )
    reply._arrivals = arrivals
    return reply


def last_text(events: list[SessionEvent]) -> tuple[Optional[str], str]:
    """Gives the id and the text of the last message in some events; "" when there is none."""
    last = next((event for event in reversed(events) if event.is_complete or event.delta), None)
    if last is None:
        return None, ""
    # Pieces that come behind the whole do not change it.
    whole = next((e for e in reversed(events) if e.is_complete and e.message_id == last.message_id), None)
    if whole is not None:
        return whole.message_id, "" if whole.text is None else str(whole.text)
    # A message that was cut off has only pieces.
    return last.message_id, "".join(event.delta or "" for event in events if event.message_id == last.message_id)


# What is told of a tool call, as far as it is of a kind that a `ToolCall` can hold.
_TOLD: dict[str, type] = {
    "tool_id": str,
    "tool_call_id": str,
    "status": str,
    "arguments": Mapping,
    "output": object,
}


def _tool_calls(events: list[SessionEvent]) -> list[ToolCall]:
    calls: dict[str, ToolCall] = {}
    for event in events:
        if event.type not in (Type.TOOL_CALL, Type.TOOL_RESULT):
            continue
        key = str(event.data.get("tool_call_id") or event.message_id or id(event))
        call = calls.setdefault(key, ToolCall(str(event.data.get("tool_name") or "")))
        for name, kind in _TOLD.items():
            told = event.data.get(name)
            if told is not None and isinstance(told, kind):
                setattr(call, name, told)
    return list(calls.values())
