"""One turn, as users read it: from a post of theirs to the moment the agent is idle again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NoReturn

from sessionlib._util.timing import Deadline
from sessionlib.approvals.manager import ApprovalManager
from sessionlib.approvals.models import ApprovalHandler, ApprovalRequest, Registration
from sessionlib.connection.options import Post
from sessionlib.errors import (
    ApprovalRequiredError,
    ReauthRequiredError,
    SessionDisconnectedError,
    SessionError,
    SessionTimeoutError,
)
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.protocol.turns import PendingPost
from sessionlib.reply import EventTimes, Reply, reply_of
from sessionlib.streams.hub import Hub
from sessionlib.streams.mailbox import Closed

__all__ = ["Attendance", "Turn", "TurnEvents"]

Type = SessionEventType

_ASKING = frozenset({Type.APPROVAL_REQUEST, Type.REAUTH_REQUEST})
_POSTS = frozenset({"post_message", "post_messages"})


class Attendance:
    """What the reader of a turn has read that asks for something, and what became of it.

    Args:
        desk: Who answers.
        ticket: The post that the turn belongs to.
        session_id: The session.
        first: A handler to ask before the registered ones.
    """

    def __init__(
        self, desk: ApprovalManager, ticket: PendingPost, session_id: str, first: ApprovalHandler | None
    ) -> None:
        self._desk = desk
        self._ticket = ticket
        self._session_id = session_id
        self._first = None if first is None else Registration(first)
        # What has been read last and asks for something, until it is seen to.
        self._unhandled: SessionEvent | None = None
        # The requests read so far, and the reauthorisations that the caller was told of.
        self._requests: list[SessionEvent] = []
        self._told: list[SessionEvent] = []

    @property
    def pending(self) -> list[ApprovalRequest]:
        """The turn's approval requests without an answer."""
        return self._desk.open_requests(self._ticket)

    @property
    def would_wait_for_itself(self) -> bool:
        """Whether the turn cannot begin, because this thread runs a handler that another one waits for."""
        return self._ticket.first is None and self._desk.is_waited_for_here()

    def begin(self) -> None:
        """Takes the requests of the turn on, instead of the dispatcher."""
        self._ticket.attended = True

    def end(self) -> None:
        """Leaves the requests of the turn to the dispatcher."""
        self._desk.release(self._ticket)

    def note(self, event: SessionEvent) -> None:
        """Notes an event that was read."""
        if event.type is Type.APPROVAL_REQUEST and event not in self._requests:
            self._requests.append(event)
        if event.type in _ASKING or (event.type is Type.ERROR and event.data.get("request_type") in _POSTS):
            self._unhandled = event

    def forget_last(self) -> None:
        """Forgets an event that will be read again."""
        self._unhandled = None

    def offer_last(self, deadline: Deadline) -> None:
        """Has the handlers see to the last event; what they leave is the caller's, who has it.

        Raises:
            Exception: What a handler raised; the request was denied.
        """
        event, self._unhandled = self._unhandled, None
        if event is not None:
            self._is_seen_to(event, deadline)

    def settle_last(self, deadline: Deadline) -> None:
        """Makes sure that the last event is seen to.

        Raises:
            ApprovalRequiredError: No handler decides.
            ReauthRequiredError: There is nobody to show it to.
            Exception: What a handler raised; the request was denied.
        """
        event = self._unhandled
        # A turn that has ended meanwhile was helped by somebody else.
        if event is not None and not self._is_seen_to(event, deadline) and self._ticket.last is None:
            raise self._unanswered(event)
        self._unhandled = None

    def _is_seen_to(self, event: SessionEvent, deadline: Deadline) -> bool:
        if event.type is Type.APPROVAL_REQUEST:
            return self._desk.handle(event, self._first, deadline)
        if event.type is Type.REAUTH_REQUEST:
            # Nothing tells when it was done, so it is told once.
            if self._desk.handle_reauth(event) or event in self._told:
                return True
            self._told.append(event)
            return False
        # The engine refused an answer: what it was about may be open again.
        return self._reopened() is None

    def _reopened(self) -> SessionEvent | None:
        return next((event for event in self._requests if self._desk.is_open(event)), None)

    def _unanswered(self, event: SessionEvent) -> SessionError:
        if event.type is Type.REAUTH_REQUEST:
            return ReauthRequiredError(
                f"session {self._session_id}: the turn waits until an account is authorised again; do that where "
                "the agent's tools are set up (on_reauth gets the details), then go on with error.turn",
                session_id=self._session_id,
                event=event,
            )
        asking = event if event.type is Type.APPROVAL_REQUEST else self._reopened()
        request = None if asking is None else self._desk.request(asking)
        tool = (request.tool_name if request is not None else "") or "a tool"
        why = f"the engine refused the answer ({event.error})" if event.error else "no handler decides"
        return ApprovalRequiredError(
            f"session {self._session_id}: the agent asks to run {tool} and {why}; answer error.request and go on "
            "with error.turn.result(), or register a handler with on_approval",
            session_id=self._session_id,
            request=request,
        )


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
        desk: ApprovalManager,
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
    def arrivals(self) -> EventTimes:
        """When its events came."""
        return EventTimes(self._began, tuple(self._mailbox.arrivals), tuple(self._acks))

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
    def arrivals(self) -> EventTimes:
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
