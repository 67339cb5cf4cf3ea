"""One turn, as users read it: from a post of theirs to the moment the agent is idle again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NoReturn

from sessionlib._util.timing import Deadline
from sessionlib._util.typed import AnswerFormat
from sessionlib.approvals.manager import ApprovalManager
from sessionlib.approvals.models import ApprovalHandler, ApprovalRequest, Registration
from sessionlib.errors import (
    ApprovalRequiredError,
    ReauthRequiredError,
    SessionDisconnectedError,
    SessionError,
    SessionTimeoutError,
    UnansweredError,
)
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.protocol.turns import PendingPost
from sessionlib.reply import EventTimes, Reply, is_repeated, reply_of, value_of
from sessionlib.streams.hub import Hub
from sessionlib.streams.mailbox import OVERFLOW, Closed, TimedMailbox

__all__ = ["Turn", "TurnRequests"]

Type = SessionEventType

# What stops a turn until a person acts.
_ASKING = frozenset({Type.APPROVAL_REQUEST, Type.REAUTH_REQUEST})
_POSTS = frozenset({"post_message", "post_messages"})


class TurnRequests:
    """What the reader of a turn has read that asks for something, and its outcome.

    Args:
        approvals: What asks the handlers.
        post: The post that the turn belongs to.
        session_id: The session.
        first: A handler to ask before the registered ones.
    """

    def __init__(
        self, approvals: ApprovalManager, post: PendingPost, session_id: str, first: ApprovalHandler | None
    ) -> None:
        self._approvals = approvals
        self._post = post
        self._session_id = session_id
        # Without a pattern and a timeout: it is asked about every tool of this turn.
        self._first = None if first is None else Registration(first)
        # What has been read last and asks for something, until it is handled.
        self._unhandled: SessionEvent | None = None
        # The requests read so far, and the reauthorisations that the caller was notified of.
        self._requests: list[SessionEvent] = []
        self._notified: list[SessionEvent] = []

    @property
    def pending(self) -> list[ApprovalRequest]:
        """The turn's approval requests without an answer."""
        return self._approvals.open_requests(self._post)

    @property
    def would_wait_for_itself(self) -> bool:
        """Whether the turn cannot begin, because this thread runs a handler that another one waits for."""
        return self._post.first is None and self._approvals.is_waited_for_here()

    def begin(self) -> None:
        """Takes over the requests of the turn from the executor."""
        self._post.attended = True

    def end(self) -> None:
        """Leaves the requests of the turn to the executor."""
        self._approvals.hand_over(self._post)

    def note(self, event: SessionEvent) -> None:
        """Notes an event that was read."""
        # An engine may send an open request again, after a rejoin.
        if event.type is Type.APPROVAL_REQUEST and event not in self._requests:
            self._requests.append(event)
        if event.type in _ASKING or (event.type is Type.ERROR and event.data.get("request_type") in _POSTS):
            # Handled as the next event is asked for: until then it is the caller's to answer.
            self._unhandled = event

    def forget_last(self) -> None:
        """Forgets an event that will be read again."""
        self._unhandled = None

    def offer_last(self, deadline: Deadline) -> None:
        """Has the handlers take the last event; what they leave is up to the caller, who has it.

        Raises:
            Exception: What a handler raised; the request was denied.
        """
        event, self._unhandled = self._unhandled, None
        if event is not None:
            self._is_handled(event, deadline)

    def settle_last(self, deadline: Deadline) -> None:
        """Makes sure that the last event is handled.

        Raises:
            ApprovalRequiredError: No handler decides.
            ReauthRequiredError: No handler shows it.
            Exception: What a handler raised; the request was denied.
        """
        event = self._unhandled
        # A turn that has ended meanwhile was answered elsewhere.
        if event is not None and not self._is_handled(event, deadline) and self._post.last is None:
            raise self._unanswered(event)
        self._unhandled = None

    def _is_handled(self, event: SessionEvent, deadline: Deadline) -> bool:
        if event.type is Type.APPROVAL_REQUEST:
            return self._approvals.handle(event, self._first, deadline)
        if event.type is Type.REAUTH_REQUEST:
            # Nothing reports when it was done, so it is raised once.
            if self._approvals.handle_reauth(event) or event in self._notified:
                return True
            self._notified.append(event)
            return False
        # The engine refused an answer: what it was about may be open again.
        return self._reopened() is None

    def _reopened(self) -> SessionEvent | None:
        return next((event for event in self._requests if self._approvals.log.is_open(event)), None)

    def _unanswered(self, event: SessionEvent) -> SessionError:
        if event.type is Type.REAUTH_REQUEST:
            return ReauthRequiredError(
                "the turn waits until an account is authorised again; do that where "
                "the agent's tools are set up (on_reauth gets the details), then go on with error.turn",
                session_id=self._session_id,
                event=event,
            )
        asking = event if event.type is Type.APPROVAL_REQUEST else self._reopened()
        request = None if asking is None else self._approvals.request(asking)
        tool = (request.tool_name if request is not None else "") or "a tool"
        why = f"the engine refused the answer ({event.error})" if event.error else "no handler decides"
        return ApprovalRequiredError(
            f"the agent asks to run {tool} and {why}; answer error.request and go on "
            "with error.turn.result(), or register a handler with on_approval",
            session_id=self._session_id,
            request=request,
        )


_ACKS = frozenset({SessionEventType.MESSAGE_POSTED, SessionEventType.MESSAGES_POSTED})
# Seconds that it may take to find out which posts a turn has answered; see `protocol.turns`.
_UNDECIDED = 2.0
_RESUMABLE = (SessionTimeoutError, ApprovalRequiredError, ReauthRequiredError, UnansweredError)


class Turn:
    """Iterates over the events of one turn, from Processing to Idle; also a context manager.

    Approval requests are handled on the thread that reads the turn, when it asks for the next event.
    For one thread at a time. Made by `Session.stream`.

    Attributes:
        session_id: The session.
        is_over: Whether its last event has been read.
    """

    def __init__(
        self,
        hub: Hub,
        approvals: ApprovalManager,
        post: PendingPost,
        mailbox: TimedMailbox,
        *,
        session_id: str,
        deadline: Deadline,
        idle_timeout: float | None = None,
        on_approval: ApprovalHandler | None = None,
        form: AnswerFormat[Any] | None = None,
    ) -> None:
        self.session_id = session_id
        self.is_over = False
        self._hub = hub
        self._post = post
        self._mailbox = mailbox
        # When the turn is to be over; never, once that has passed.
        self._deadline = deadline
        self._idle_timeout = idle_timeout
        self._requests = TurnRequests(approvals, post, session_id, on_approval)
        # Those that have been read, and how many had been before each ack.
        self._events: list[SessionEvent] = []
        self._acks: list[int] = []
        self._form = form
        self._paused = False
        self._closed = False
        self._began = time.monotonic()
        self._ended: float | None = None

    def __iter__(self) -> Turn:
        return self

    def __next__(self) -> SessionEvent:
        """Waits for the next event of the turn.

        Raises:
            StopIteration: The turn is over, or the session was disconnected here.
            SessionTimeoutError: It did not come in time; the turn stays usable, without its deadline.
            SessionDisconnectedError: The connection was lost for good.
            DeliveryUnknownError: The connection broke around the message; see there.
            UnansweredError: The engine is idle and has not answered the message.
            SessionError: The engine refused the message.
            Exception: What an approval handler raised; the request was denied.
        """
        with self._reading():
            self._requests.offer_last(self._deadline)
            try:
                return self._next(self._deadline)
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
        if hasattr(self, "_mailbox"):
            self._hub.discarded.append(self._mailbox)

    def __repr__(self) -> str:
        state = "over" if self.is_over else "running" if self._post.first is not None else "not begun"
        return f"<Turn of session {self.session_id}: {state}, {len(self._events)} events read>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Turn cannot be pickled or copied; its result() can")

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
        """Its approval requests without an answer."""
        return self._requests.pending

    @property
    def text_stream(self) -> Iterator[str]:
        """The chunks of its text, as they come; a message that was not streamed comes in one.

        Once deltas were dropped, because over 8 MiB of them waited, the rest of each message comes when it is complete.

        Raises:
            ApprovalRequiredError: It waits for an approval that no handler answers.
            ReauthRequiredError: It waits for an authorisation that no handler takes.
            SessionError: As for iteration.
        """
        # By message: a turn may have several, and some are not streamed.
        streamed: dict[str | None, int] = {}
        has_gap = is_owed = is_lost = False
        for event in self.attended():
            if event.error == OVERFLOW:
                has_gap = True
                is_owed = is_owed or bool(event.data.get("dropped"))  # else it was only put behind what waits
                is_lost = is_lost or not is_repeated(event)
            elif event.delta and not has_gap:
                streamed[event.message_id] = streamed.get(event.message_id, 0) + len(event.delta)
                yield event.delta
            elif event.is_complete and event.text is not None:
                is_owed, text, length = False, str(event.text), streamed.get(event.message_id)
                # The whole text repeats what was streamed of it.
                if length is None:
                    yield text
                elif has_gap and len(text) > length:
                    yield text[length:]
        if is_owed or is_lost:
            raise SessionError(
                "the text is not whole: events of the turn were dropped, because they were not read in time; "
                "read get_messages()",
                session_id=self.session_id,
            )

    def attended(self) -> Iterator[SessionEvent]:
        """Iterates over the events, each request among them when it has its answer.

        Raises:
            ApprovalRequiredError: It waits for an approval that no handler answers.
            ReauthRequiredError: It waits for an authorisation that no handler takes.
            SessionError: As for iteration.
        """
        while True:
            try:
                with self._reading():
                    event = self._advance(self._deadline)
            except Closed:
                return
            yield event

    def result(self, timeout: float | None = None) -> Reply[Any]:
        """Waits for the end of the turn and returns the whole answer.

        After an error that holds the turn it can be called again. What was received until then is
        not lost: the next listener gets it, or the next `result`.

        Args:
            timeout: Seconds that this call may take; None for as long as the turn has. A turn that has
                used up its own time has no limit any more.

        Raises:
            SessionTimeoutError: The turn did not end in time; the error's ``turn`` can be waited for again.
            ApprovalRequiredError: It waits for an approval that no handler answers; likewise.
            ReauthRequiredError: It waits for an authorisation that no handler takes; likewise.
            SessionDisconnectedError: The connection was lost for good, or the session disconnected here.
            DeliveryUnknownError: The connection broke around the message; see there.
            UnansweredError: The engine is idle and has not answered the message.
            AnswerFormatError: The answer holds no value of the type given as ``into``.
            SessionError: The engine refused the message.
            Exception: What an approval handler raised; the request was denied.
        """
        try:
            with self._reading(len(self._events)):
                deadline = self._deadline.sooner(timeout)
                while not self.is_over:
                    self._advance(deadline)
        except Closed:
            # An iteration ends quietly then; a result that is not whole must not look like one.
            what = "was closed" if self._closed else "did not end before the session was disconnected"
            raise SessionDisconnectedError(f"the turn {what}", session_id=self.session_id) from None
        turn = self._post.turn
        if turn is not None and turn.held is not None:
            undecided = Deadline(_UNDECIDED)
            # How many other posts the turn answers is being found out; a poll, as this happens at first and seldom.
            while turn.held is not None and not undecided.expired:
                time.sleep(0.01)
        # All that was read, also by an iteration before.
        reply = reply_of(self._events, self.duration, self.arrivals, self._post.shared_with)
        if self._form is not None:
            reply._value = value_of(self._form, reply.text, self.session_id, reply.error)
        return reply

    def wait(self, timeout: float) -> bool:
        """Waits until reading on does not block: there is an event, or the turn is over or out of time.

        Args:
            timeout: Seconds to wait; 0 only looks.

        Returns:
            Whether it is so far.
        """
        deadline = self._deadline.sooner(timeout)
        while not self.is_over:
            try:
                event = self._mailbox.get(deadline)
            except TimeoutError:
                return self._deadline.expired
            except Closed:
                return True  # which reading on will raise
            except SessionError as error:

                def again(failed: SessionError = error) -> SessionError:
                    return failed

                self._mailbox.push_error(again)  # for reading on: it is raised but once
                return True
            if event.type in _ACKS and event is not self._post.refusal:
                self._acks.append(len(self._events))  # no event of the turn: reading on would wait behind it
                continue
            # Taken and put back, as a mailbox that is read by one thread has no other way to wait without taking.
            self._mailbox.put_back([event])
            return True
        return True

    def offer(self) -> None:
        """Has the handlers take the request that was read last, as asking for the next event would.

        Raises:
            Exception: What a handler raised; the request was denied.
        """
        with self._reading():
            self._requests.offer_last(self._deadline)

    def close(self) -> None:
        """Stops reading it; the turn itself goes on in the engine.

        What was not read waits for the next listener, and open requests go to the registered handlers.
        """
        self._closed = True
        self._leave()

    # ---- within --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _reading(self, already: int | None = None) -> Iterator[None]:
        """A read; if it fails, listeners get events, and registered handlers requests, until reading resumes.

        Args:
            already: The number of events that stay read in that case; None for all of them.
        """
        # Only where a read had failed: this is on the way of every event.
        if self._paused:
            self._paused = False
            self._requests.begin()
            self._hub.resume(self._mailbox)
        try:
            yield
        except BaseException as error:
            if isinstance(error, _RESUMABLE):
                error.turn = self
            if not self.is_over and not isinstance(error, StopIteration):
                back = self._events[len(self._events) if already is None else already :]
                if back:
                    del self._events[-len(back) :]
                    # `result` has not returned what it read, so it counts as unread.
                    self._mailbox.put_back(back)
                    self._requests.forget_last()  # it was one of these
                # So that no request waits for a reader that may never come back.
                self._paused = True
                self._hub.pause(self._mailbox)
                self._requests.end()
            raise

    def _advance(self, deadline: Deadline) -> SessionEvent:
        """Waits for the next event, and makes sure that a request gets its answer."""
        # Of the event before: its caller may have answered it.
        self._requests.settle_last(deadline)
        event = self._next(deadline)
        self._requests.settle_last(deadline)
        return event

    def _next(self, deadline: Deadline) -> SessionEvent:
        """Waits for the next event; raises Closed when there is none any more."""
        while not self.is_over:
            event = self._take(deadline)
            # The engine will begin no turn for it.
            if event is self._post.refusal:
                self._end()
                raise SessionError(
                    f"the engine refused the message: {event.error}",
                    session_id=self.session_id,
                )
            if event.type in _ACKS:
                self._acks.append(len(self._events))
                continue
            self._events.append(event)
            self._requests.note(event)
            if event is self._post.last:
                self._end()
            return event
        raise Closed

    def _take(self, deadline: Deadline) -> SessionEvent:
        # The one that runs out first decides the text of the error.
        within = deadline.sooner(self._idle_timeout)
        # Looked at before each wait: another thread's handler may begin to wait for this one meanwhile.
        if self._requests.would_wait_for_itself:
            raise SessionError(
                "this approval handler would wait for itself, because its own turn ends "
                "before another begins; answer the request first, or use send()",
                session_id=self.session_id,
            )
        try:
            return self._mailbox.get(within)
        except TimeoutError:
            if within is self._deadline:
                # Its time is used up once; a caller who goes on with it limits it by `timeout`.
                self._deadline = Deadline(None)
            what = "the turn did not end" if within is deadline else "nothing came"
            raise SessionTimeoutError(
                f"{what} within {within.timeout:g} s; the session stays usable",
                session_id=self.session_id,
            ) from None

    def _end(self) -> None:
        self.is_over = True
        self._ended = time.monotonic()
        self._leave()

    def _leave(self) -> None:
        self._hub.leave(self._mailbox)
        self._requests.end()
