"""One turn, as users read it: from a post of theirs to the moment the agent is idle again."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import NoReturn

from sessionlib._arrivals_part import Arrivals
from sessionlib._turn_events_part import TurnEvents
from sessionlib.approvals import ApprovalRequest
from sessionlib.errors import SessionDisconnectedError
from sessionlib.events import SessionEvent
from sessionlib.reply import Reply, reply_of
from sessionlib.streams.mailbox import Closed

__all__ = ["Turn"]


class Turn:
    """Iterates over the events of one turn, from Processing to Idle; also a context manager.

    Approval requests are handled on the thread that reads the turn, when it asks for what comes next.
    For one thread at a time. Made by `Session.stream`.

    Attributes:
        session_id: The session.
    """

    def __init__(self, events: TurnEvents) -> None:
        self.session_id = events.session_id
        self._events = events
        self._closed = False

    def __iter__(self) -> Turn:
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
        with self._events.reading(self):
            self._events.offer_last()
            try:
                return self._events.next(self._events.deadline)
            except Closed:
                raise StopIteration from None

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_events"):
            self._events.abandon()

    def __repr__(self) -> str:
        events = self._events
        state = "over" if events.is_over else "running" if events.has_begun else "not begun"
        return f"<Turn of session {self.session_id}: {state}, {len(events.events)} events read>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Turn cannot be pickled or copied; its result() can")

    @property
    def is_over(self) -> bool:
        """Whether its last event has been read."""
        return self._events.is_over

    @property
    def duration(self) -> float:
        """Seconds from the post to the end of the turn, or until now."""
        return self._events.duration

    @property
    def arrivals(self) -> Arrivals:
        """When its events came."""
        return self._events.arrivals

    @property
    def pending(self) -> list[ApprovalRequest]:
        """Its approval requests that nobody has answered."""
        return self._events.pending

    @property
    def text_stream(self) -> Iterator[str]:
        """The pieces of its text, as they come; a message that was not streamed comes in one piece.

        Raises:
            ApprovalRequiredError: It waits for an approval that no handler gives.
            ReauthRequiredError: It waits for an authorisation that no handler sees to.
            SessionError: As for iteration.
        """
        streamed: set[str | None] = set()
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
                with self._events.reading(self):
                    event = self._events.advance(self._events.deadline)
            except Closed:
                return
            yield event

    def result(self, timeout: float | None = None) -> Reply:
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
        already = len(self._events.events)
        try:
            with self._events.reading(self, already):
                deadline = self._events.deadline.sooner(timeout)
                while not self._events.is_over:
                    self._events.advance(deadline)
        except Closed:
            what = "was closed" if self._closed else "did not end before the session was disconnected"
            raise SessionDisconnectedError(
                f"session {self.session_id}: the turn {what}", session_id=self.session_id
            ) from None
        return reply_of(self._events.events, self.duration, self.arrivals)

    def wait(self, timeout: float) -> bool:
        """Waits until reading on does not wait: there is an event, or the turn is over or out of time.

        Args:
            timeout: Seconds to wait; 0 only looks.

        Returns:
            Whether it is so far.
        """
        return self._events.wait(timeout)

    def offer(self) -> None:
        """Has the handlers see to the request that was read last, as asking for the next event would.

        Raises:
            Exception: What a handler raised; the request was denied.
        """
        with self._events.reading(self):
            self._events.offer_last()

    def close(self) -> None:
        """Stops reading it; the turn itself goes on in the engine.

        What was not read waits for the next listener, and open requests go to the registered handlers.
        """
        self._closed = True
        self._events.leave()
