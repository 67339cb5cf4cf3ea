"""Approval requests, the handlers that answer them, and the desk that sees to it that each gets one answer.

A request of a turn that `Session.ask` or `Session.stream` consumes is handled on that calling thread;
any other on the session's one dispatcher thread, which is started when first needed. Never on the
reader thread, so a handler may block for as long as it likes while events and pings go on.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from sessionlib.content import ApprovalResponse
from sessionlib.dispatcher import Dispatcher
from sessionlib.errors import ApprovalAlreadyAnsweredError, SessionError, SessionTimeoutError
from sessionlib.events import SessionEvent, SessionEventType

if TYPE_CHECKING:
    from sessionlib.session import Session

__all__ = [
    "ApprovalDesk",
    "ApprovalHandler",
    "ApprovalRecord",
    "ApprovalRequest",
    "Decision",
    "ReauthHandler",
    "Remember",
]

logger = logging.getLogger("sessionlib")

Remember = Literal["turn", "session"]
Decision = bool | ApprovalResponse | None
ApprovalHandler = Callable[["ApprovalRequest"], Decision]
ReauthHandler = Callable[[SessionEvent], object]

# Where engines put the proposed arguments of a tool; "arguments" is the embedded engine's.
_ARGUMENT_FIELDS = ("arguments", "tool_arguments", "tool_input", "inputs")


@dataclass
class ApprovalRecord:
    """What became of one approval request.

    Attributes:
        event: The request.
        asked_at: When it arrived (UTC).
        approved: The answer; None while it is open.
        answered_at: When it was answered (UTC); None while it is open.
        by: Who answered: a handler's name, "respond", "timeout" or "remembered"; None while it is open.
        confirm: The arguments given with an approval instead of the proposed ones.
        deny_reason: The reason given with a refusal.
    """

    event: SessionEvent
    asked_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    approved: bool | None = None
    answered_at: datetime | None = None
    by: str | None = None
    confirm: Mapping[str, Any] | None = None
    deny_reason: str | None = None

    @property
    def tool_name(self) -> str:
        """The tool that the agent wants to run."""
        return str(self.event.data.get("tool_name") or "")

    @property
    def is_open(self) -> bool:
        """Whether it waits for an answer."""
        return self.approved is None


class ApprovalRequest:
    """An agent's wish to run a tool, as handlers get it.

    Attributes:
        event: The APPROVAL_REQUEST.
        session: The session that it came from.
    """

    def __init__(self, event: SessionEvent, session: Session) -> None:
        self.event = event
        self.session = session

    def __repr__(self) -> str:
        return f"<ApprovalRequest for {self.tool_name or 'a tool'}({', '.join(self.arguments)})>"

    @property
    def tool_name(self) -> str:
        """The tool that the agent wants to run."""
        return str(self.event.data.get("tool_name") or "")

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that it proposes, by name."""
        for name in _ARGUMENT_FIELDS:
            proposed = self.event.data.get(name)
            if isinstance(proposed, Mapping):
                return dict(proposed)
        return {}

    @property
    def message_id(self) -> str | None:
        """The id of the request."""
        return self.event.message_id

    def approve(self, confirm: Mapping[str, Any] | None = None, *, remember: Remember | None = None) -> None:
        """Lets the tool run.

        Args:
            confirm: Arguments to run it with instead of the proposed ones, by name.
            remember: Also lets this tool run for the rest of the turn or the session; never kept on disk.

        Raises:
            ApprovalAlreadyAnsweredError: It was answered before.
            SessionDisconnectedError: The session is not connected.
        """
        response = ApprovalResponse(True, confirm=confirm, remember=remember)
        self.session._approvals.answer(self.event, response, by="respond")

    def deny(self, reason: str | None = None, *, remember: Remember | None = None) -> None:
        """Does not let the tool run; arguments and errors as for `approve`, with what the agent is told."""
        response = ApprovalResponse(False, deny_reason=reason, remember=remember)
        self.session._approvals.answer(self.event, response, by="respond")


@dataclass(frozen=True)
class _Registration:
    handler: ApprovalHandler
    pattern: str | None
    timeout: float | None

    def takes(self, tool_name: str) -> bool:
        return self.pattern is None or fnmatchcase(tool_name, self.pattern)

    @property
    def name(self) -> str:
        return getattr(self.handler, "__qualname__", None) or type(self.handler).__name__


class ApprovalDesk:
    """Everything about a session's approval requests: who is asked, what was answered, when and by whom.

    Args:
        session: The session; held weakly, so that a forgotten one can be collected.
        send: Sends an answer: the request, whether to approve, arguments, reason.
        dispatcher: Where handlers run that no call of the user's waits for.
    """

    def __init__(
        self,
        session: Session,
        send: Callable[[SessionEvent, bool, Mapping[str, Any] | None, str | None], None],
        dispatcher: Dispatcher,
    ) -> None:
        self._session = weakref.ref(session)
        self._send = weakref.WeakMethod(send)
        # Protects the records, the handlers, and what is remembered.
        self._lock = threading.Lock()
        self._records: dict[str, ApprovalRecord] = {}
        self._handlers: list[_Registration] = []
        self._reauth_handlers: list[ReauthHandler] = []
        self._remembered: dict[tuple[Remember, str], ApprovalResponse] = {}
        self._in_hand: set[str] = set()
        # Requests whose answers may have been lost with the link.
        self._unsure: set[str] = set()
        self._dispatcher = dispatcher
        # What went wrong on the dispatcher thread, for the next call of the user's.
        self._kept: deque[BaseException] = deque()

    @property
    def records(self) -> list[ApprovalRecord]:
        """What was asked so far, in order."""
        with self._lock:
            return list(self._records.values())

    @property
    def has_reauth_handler(self) -> bool:
        """Whether somebody sees to new authorisations."""
        return bool(self._reauth_handlers)

    # ---- who is asked --------------------------------------------------------------------------

    def register(self, handler: ApprovalHandler, pattern: str | None, timeout: float | None) -> Callable[[], None]:
        """Adds a handler, behind those there are; gives the function that takes it away again."""
        if not callable(handler):
            raise TypeError(f"an approval handler is a callable, not {type(handler).__name__}")
        registration = _Registration(handler, pattern, timeout)
        with self._lock:
            self._handlers.append(registration)
            waiting = [record.event for record in self._records.values() if record.is_open]
        if waiting:
            self._dispatch(waiting)
        return functools.partial(self._unregister, self._handlers, registration)

    def register_reauth(self, handler: ReauthHandler) -> Callable[[], None]:
        """Adds a handler for reauthorisation requests; gives the function that takes it away again."""
        if not callable(handler):
            raise TypeError(f"a reauthorisation handler is a callable, not {type(handler).__name__}")
        with self._lock:
            self._reauth_handlers.append(handler)
        return functools.partial(self._unregister, self._reauth_handlers, handler)

    def _unregister(self, handlers: list[Any], handler: object) -> None:
        with self._lock, contextlib.suppress(ValueError):
            handlers.remove(handler)

    # ---- requests ------------------------------------------------------------------------------

    def note(self, event: SessionEvent, attended: bool) -> None:
        """Takes in a request; on the reading thread, so it never waits.

        Args:
            event: The request.
            attended: Whether it belongs to a turn whose reader will handle it.
        """
        if event.type is SessionEventType.APPROVAL_REQUEST:
            with self._lock:
                record = self._records.setdefault(_key(event), ApprovalRecord(event))
                wanted = bool(self._handlers) and record.is_open
                answer_lost = _key(event) in self._unsure and not record.is_open
                self._unsure.discard(_key(event))
            if answer_lost:
                self._dispatcher.submit(functools.partial(self._answer_again, record))
        else:
            wanted = self.has_reauth_handler
        if wanted and not attended:
            self._dispatch([event])

    def expect_again(self, message_id: str) -> None:
        """Notes that the answer to a request may be lost; if the request comes again, so does its answer."""
        with self._lock:
            self._unsure.add(message_id)

    def is_open(self, event: SessionEvent) -> bool:
        """Whether a request waits for an answer."""
        with self._lock:
            record = self._records.get(_key(event))
        return record is not None and record.is_open

    def open_requests(self, events: list[SessionEvent]) -> list[ApprovalRequest]:
        """Gives those of some events that are requests without an answer."""
        session = self._session()
        waiting = [e for e in events if e.type is SessionEventType.APPROVAL_REQUEST and self.is_open(e)]
        return [] if session is None else [ApprovalRequest(event, session) for event in waiting]

    def handle(self, event: SessionEvent, first: ApprovalHandler | None = None) -> bool:
        """Asks the handlers, on the calling thread.

        Args:
            event: The request.
            first: A handler to ask before the registered ones.

        Returns:
            Whether the request has an answer now, or somebody else is seeing to it.

        Raises:
            Exception: What a handler raised; the request was denied.
            TypeError: A handler gave no answer that means something; the request was denied.
            SessionTimeoutError: A handler outlived its timeout; the request was denied.
        """
        session = self._session()
        with self._in_our_hands(event) as ours:
            if not ours or session is None or not self.is_open(event):
                return True
            if self._answer_from_memory(event):
                return True
            request = ApprovalRequest(event, session)
            for registration in self._whom_to_ask(request.tool_name, first):
                self._ask(registration, request)
                if not self.is_open(event):
                    return True
        return False

    def handle_reauth(self, event: SessionEvent) -> bool:
        """Tells the reauthorisation handlers, on the calling thread; False when there are none."""
        with self._lock:
            handlers = list(self._reauth_handlers)
        for handler in handlers:
            handler(event)
        return bool(handlers)

    @contextlib.contextmanager
    def _in_our_hands(self, event: SessionEvent) -> Iterator[bool]:
        # A request that arrives twice, or on two threads, is asked once.
        key = _key(event)
        with self._lock:
            ours = key not in self._in_hand
            self._in_hand.add(key)
        try:
            yield ours
        finally:
            if ours:
                with self._lock:
                    self._in_hand.discard(key)

    def _whom_to_ask(self, tool_name: str, first: ApprovalHandler | None) -> list[_Registration]:
        with self._lock:
            asked = list(self._handlers)
        if first is not None:
            asked.insert(0, _Registration(first, None, None))
        return [registration for registration in asked if registration.takes(tool_name)]

    def _ask(self, registration: _Registration, request: ApprovalRequest) -> None:
        with self._time_limit(registration, request) as over:
            try:
                decision = registration.handler(request)
                response = _response(decision, registration.name)
            except Exception as error:
                self._deny(request.event, f"the approval handler failed: {type(error).__name__}", registration.name)
                raise
        if over.is_set():
            raise SessionTimeoutError(
                f"the approval handler {registration.name} took longer than {registration.timeout} s for "
                f"{request.tool_name}; the request was denied",
                session_id=request.event.session_id,
            )
        if response is not None and self.is_open(request.event):
            with contextlib.suppress(ApprovalAlreadyAnsweredError):  # somebody was quicker; theirs stands
                self.answer(request.event, response, by=registration.name)

    @contextlib.contextmanager
    def _time_limit(self, registration: _Registration, request: ApprovalRequest) -> Iterator[threading.Event]:
        """Denies a request when its handler takes too long; the event given tells that it did."""
        over = threading.Event()
        if registration.timeout is None:
            yield over
            return

        def expire() -> None:
            if self._deny(request.event, f"nobody decided within {registration.timeout:g} s", "timeout"):
                over.set()

        timer = threading.Timer(registration.timeout, expire)
        timer.name, timer.daemon = f"sessionlib-approval-{(request.message_id or '')[:8]}", True
        timer.start()
        try:
            yield over
        finally:
            timer.cancel()
            timer.join()

    # ---- answers -------------------------------------------------------------------------------

    def answer(self, event: SessionEvent, response: ApprovalResponse, *, by: str) -> None:
        """Sends the answer to a request, if it is the first.

        Raises:
            ApprovalAlreadyAnsweredError: It is not.
            SessionDisconnectedError: It could not be sent; the request stays open.
        """
        record = self._claim(event, response, by)
        try:
            self._transmit(event, response)
        except BaseException:
            with self._lock:
                record.approved = record.by = record.answered_at = None
            raise
        if response.remember is not None:
            with self._lock:
                self._remembered[response.remember, record.tool_name] = response
        logger.info("= session %s: %s was %s by %s", event.session_id, record.tool_name, _word(response), by)

    def forget_turn(self) -> None:
        """Forgets what was remembered for the turn that has ended."""
        with self._lock:
            self._remembered = {key: told for key, told in self._remembered.items() if key[0] != "turn"}

    def _transmit(self, event: SessionEvent, response: ApprovalResponse) -> None:
        send = self._send()
        if send is not None:
            send(event, response.approved, response.confirm, response.deny_reason)

    def _claim(self, event: SessionEvent, response: ApprovalResponse, by: str) -> ApprovalRecord:
        with self._lock:
            record = self._records.setdefault(_key(event), ApprovalRecord(event))
            if record.approved is not None:
                raise ApprovalAlreadyAnsweredError(
                    f"session {event.session_id}: the request to run {record.tool_name or 'a tool'} was "
                    f"{'approved' if record.approved else 'denied'} before, by {record.by}; that answer stands",
                    session_id=event.session_id,
                    event=event,
                    approved=record.approved,
                )
            record.approved = response.approved
            record.confirm, record.deny_reason = response.confirm, response.deny_reason
            record.by, record.answered_at = by, datetime.now(timezone.utc)
            return record

    def _answer_from_memory(self, event: SessionEvent) -> bool:
        tool_name = str(event.data.get("tool_name") or "")
        with self._lock:
            told = self._remembered.get(("turn", tool_name)) or self._remembered.get(("session", tool_name))
        if told is None:
            return False
        # The arguments were for the request that they were given with.
        self.answer(event, ApprovalResponse(told.approved, deny_reason=told.deny_reason), by="remembered")
        return True

    def _deny(self, event: SessionEvent, reason: str, by: str) -> bool:
        """Denies what is still open; False when that was not so, or could not be told."""
        try:
            self.answer(event, ApprovalResponse(False, deny_reason=reason), by=by)
        except SessionError as error:  # it must not hide why the request is denied
            logger.info("! session %s: a denial was not sent: %s", event.session_id, error)
            return False
        return True

    # ---- the dispatcher thread -----------------------------------------------------------------

    def raise_kept(self) -> None:
        """Raises what a handler raised on the dispatcher thread, once."""
        with contextlib.suppress(IndexError):
            raise self._kept.popleft()

    def _dispatch(self, events: list[SessionEvent]) -> None:
        for event in events:
            self._dispatcher.submit(functools.partial(self._handle_here, event))

    def _answer_again(self, record: ApprovalRecord) -> None:
        response = ApprovalResponse(bool(record.approved), record.confirm, record.deny_reason)
        try:
            self._transmit(record.event, response)
        except SessionError as error:
            logger.warning("! session %s: an answer was not sent again: %s", record.event.session_id, error)
            self._kept.append(error)

    def _handle_here(self, event: SessionEvent) -> None:
        try:
            if event.type is SessionEventType.APPROVAL_REQUEST:
                self.handle(event)
            else:
                self.handle_reauth(event)
        except Exception as error:  # noqa: BLE001 - a handler may raise anything, and its caller is told later
            logger.warning("! session %s: a handler failed: %s", event.session_id, type(error).__name__)
            self._kept.append(error)


def _key(event: SessionEvent) -> str:
    return event.message_id or str(event.data.get("tool_call_id") or f"event {id(event)}")


def _response(decision: object, name: str) -> ApprovalResponse | None:
    if decision is None or isinstance(decision, ApprovalResponse):
        return decision
    if isinstance(decision, bool):
        return ApprovalResponse(decision)
    raise TypeError(
        f"the approval handler {name} returned {type(decision).__name__}; it returns True, False, an "
        "ApprovalResponse, or None to leave the request to the next one"
    )


def _word(response: ApprovalResponse) -> str:
    return "approved" if response.approved else "denied"
