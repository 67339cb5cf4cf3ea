"""The events of one turn while it is read: waiting for the next, and seeing to what it asks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from sessionlib._arrivals_part import Arrivals
from sessionlib._attendance_part import Attendance
from sessionlib._util.timing import Deadline
from sessionlib.approvals import ApprovalDesk, ApprovalHandler, ApprovalRequest
from sessionlib.connection.options import Post
from sessionlib.errors import ApprovalRequiredError, ReauthRequiredError, SessionError, SessionTimeoutError
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.streams.hub import Hub
from sessionlib.streams.mailbox import Closed

__all__ = ["TurnEvents"]

_ACKS = frozenset({SessionEventType.MESSAGE_POSTED, SessionEventType.MESSAGES_POSTED})
_RESUMABLE = (SessionTimeoutError, ApprovalRequiredError, ReauthRequiredError)


class TurnEvents:
    """Reads the events of one turn, for one thread at a time.

    Args:
        hub: Where they come from.
        desk: Where its requests are answered.
        post: What began it.
        session_id: The session.
        deadline: When the turn is to be over.
        idle_timeout: Seconds that may pass between two events; None for any number.
        on_approval: Decides before the registered handlers.

    Attributes:
        session_id: The session.
        deadline: When the turn is to be over; never, once that has passed.
        events: Those that have been read.
        is_over: Whether the last one has been read.
    """

    def __init__(
        self,
        hub: Hub,
        desk: ApprovalDesk,
        post: Post,
        *,
        session_id: str,
        deadline: Deadline,
        idle_timeout: float | None = None,
        on_approval: ApprovalHandler | None = None,
    ) -> None:
        assert post.mailbox is not None
        self.session_id = session_id
        self.deadline = deadline
        self.events: list[SessionEvent] = []
        self.is_over = False
        self._hub = hub
        self._ticket = post.ticket
        self._mailbox = post.mailbox
        self._idle_timeout = idle_timeout
        self._attendance = Attendance(desk, post.ticket, session_id, on_approval)
        # How many of the events had been read before each ack.
        self._acks: list[int] = []
        self._paused = False
        self._began = time.monotonic()
        self._ended: float | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the engine has begun with the turn."""
        return self._ticket.first is not None

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

    @contextlib.contextmanager
    def reading(self, turn: Any, already: int | None = None) -> Iterator[None]:
        """Reads; if that fails, others see to the turn until it is read again.

        Args:
            turn: What an error is to hold that its reader can go on after.
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
                error.turn = turn
            if not self.is_over and not isinstance(error, StopIteration):
                self._unread(len(self.events) if already is None else already)
                self._paused = True
                self._hub.pause(self._mailbox)
                self._attendance.end()
            raise

    def advance(self, deadline: Deadline) -> SessionEvent:
        """Waits for the next event and sees to it that a request gets its answer.

        Raises:
            Closed: There is none any more.
            SessionError: As for `Turn.attended`.
        """
        self._attendance.settle_last(deadline)
        event = self.next(deadline)
        self._attendance.settle_last(deadline)
        return event

    def next(self, deadline: Deadline) -> SessionEvent:
        """Waits for the next event.

        Raises:
            Closed: There is none any more.
            SessionError: As for the iteration over a `Turn`.
        """
        while not self.is_over:
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
            self._acks.append(len(self.events))
        raise Closed

    def wait(self, timeout: float) -> bool:
        """Waits until reading on does not wait: there is an event, or the turn is over or out of time.

        Args:
            timeout: Seconds to wait; 0 only looks.

        Returns:
            Whether it is so far.
        """
        if self.is_over or len(self._mailbox):
            return True
        try:
            self._mailbox.put_back([self._mailbox.get(self.deadline.sooner(timeout))])
        except TimeoutError:
            return self.deadline.expired
        except (Closed, SessionError):
            return True  # which whoever reads on will be told
        return True

    def offer_last(self) -> None:
        """Has the handlers see to the request that was read last.

        Raises:
            Exception: What a handler raised; the request was denied.
        """
        self._attendance.offer_last(self.deadline)

    def leave(self) -> None:
        """Stops reading; what was not read is others' from now on, and so are its requests."""
        self._hub.leave(self._mailbox)
        self._attendance.end()

    def abandon(self) -> None:
        """Stops reading; for the garbage collector, takes no lock."""
        self._hub.abandon(self._mailbox)

    # ---- within --------------------------------------------------------------------------------

    def _unread(self, already: int) -> None:
        back = self.events[already:]
        if back:
            del self.events[already:]
            self._mailbox.put_back(back)
            self._attendance.forget_last()  # it was one of these

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
            if within is self.deadline:
                self.deadline = Deadline(None)
            what = "the turn did not end" if within is deadline else "nothing came"
            raise SessionTimeoutError(
                f"session {self.session_id}: {what} within {within.timeout:g} s; the session stays usable",
                session_id=self.session_id,
            ) from None

    def _note(self, event: SessionEvent) -> None:
        self.events.append(event)
        self._attendance.note(event)
        if event is self._ticket.last:
            self._end()

    def _end(self) -> None:
        self.is_over = True
        self._ended = time.monotonic()
        self.leave()
