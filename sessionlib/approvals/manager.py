"""Routes approval requests to handlers, on the right thread, and records their outcome.

A request of a turn that `Session.ask` or `Session.stream` consumes is handled on that calling thread;
any other on the session's one dispatcher thread, which is started when first needed. Never on the
reader thread, so a handler may block for as long as it likes while events and pings go on.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from sessionlib._util.executor import SerialExecutor
from sessionlib._util.text import clean
from sessionlib._util.timing import Deadline
from sessionlib.approvals.answers import ApprovalLog, Entry, SendAnswer, answered_error
from sessionlib.approvals.handlers import HandlerRunner, Handlers, make_registration
from sessionlib.approvals.models import (
    ApprovalHandler,
    ApprovalRequest,
    Registration,
    ShownRequest,
    key_of,
    tool_of,
)
from sessionlib.approvals.reauth import ReauthHandler, ReauthManager, is_attended
from sessionlib.errors import SessionError
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.protocol.parser import Frame
from sessionlib.protocol.turns import EventOrigin, PendingPost
from sessionlib.streams.mailbox import QUEUE_BYTES, weight

if TYPE_CHECKING:
    from sessionlib.session import Session

__all__ = ["ApprovalManager"]

logger = logging.getLogger("sessionlib")

# Failures on the dispatcher thread that wait for the user's next call; the log has older ones.
_KEPT = 16


class ApprovalManager:
    """Everything about a session's approval requests: who is asked, what was answered, when and by whom.

    Args:
        session: The session; held weakly, so that a forgotten one can be collected.
        send: A method of it that sends an answer; see `ApprovalLog`.
        dispatcher: Where handlers run that no call of the user's waits for.

    Attributes:
        log: What was asked and what was answered.
        kept: What went wrong on the dispatcher thread, for the next call of the user's; see `raise_kept`.
    """

    def __init__(self, session: Session, send: SendAnswer, dispatcher: SerialExecutor) -> None:
        self._session = weakref.ref(session)
        self._dispatcher = dispatcher
        # What waits for the dispatcher, in bytes: added to by any thread, so it is about right, which is enough.
        self._waiting = 0
        self.log = ApprovalLog(send, self._on_refused)
        self._runner = HandlerRunner(self._session, self.log)
        self._handlers = Handlers()
        # Refusals that are entered and not reported yet, by the identity of their events.
        self._refusals: dict[int, Entry] = {}
        self._reauths = ReauthManager()
        self.kept: list[BaseException] = []

    # ---- who is asked --------------------------------------------------------------------------

    def register(self, handler: ApprovalHandler, pattern: str | None, timeout: float | None) -> Callable[[], None]:
        """Adds a handler, behind those there are, and has it take what is open.

        Returns:
            The function that removes it.
        """
        remove = self._handlers.add(make_registration(handler, pattern, timeout))
        self._dispatch(event for event in self.log.unclaimed() if self._has_taker(event))
        return remove

    def register_reauth(self, handler: ReauthHandler) -> Callable[[], None]:
        """Adds a handler for reauthorisation requests; returns the function that removes it."""
        remove = self._reauths.register(handler)
        self._dispatch(self._reauths.unclaimed())
        return remove

    # ---- requests ------------------------------------------------------------------------------

    def note(self, event: SessionEvent, origin: EventOrigin) -> None:
        """Enters a request, or the refusal of an answer; called with the hub's lock held, before readers have it."""
        if event.type is SessionEventType.APPROVAL_REQUEST:
            self.log.note(event, origin)
        elif event.type is SessionEventType.REAUTH_REQUEST:
            self._reauths.note(event, origin)
        elif origin.ticket is not None:
            corrected = self.log.refused(origin.ticket, event)
            if corrected is not None:
                self._refusals[id(event)] = corrected

    def dispatch(self, event: SessionEvent, origin: EventOrigin) -> None:
        """Has the handlers take a request that is delivered, unless the reader of its turn does."""
        # By identity: the event is kept alive by who delivers it.
        refused = self._refusals.pop(id(event), None)
        if refused is not None:
            self._on_refused(refused, event)
        if event.type is SessionEventType.REAUTH_REQUEST:
            self._dispatch(unclaimed for unclaimed in self._reauths.unclaimed() if unclaimed is event)
        elif event.type is SessionEventType.APPROVAL_REQUEST:
            lost = self.log.take_lost(event)
            if lost is not None:
                self._submit(event, functools.partial(self.log.send_again, event, lost))
            if not is_attended(origin.ticket) and self._has_taker(event):
                self._dispatch([event])

    def hand_over(self, ticket: PendingPost) -> None:
        """Has the handlers take a turn whose reader has stopped, for now or for good."""
        ticket.attended = False  # before looking: a request that comes now either sees it or is seen here
        self._dispatch(event for event in self.log.unclaimed() if self._has_taker(event))
        self._dispatch(self._reauths.unclaimed())

    def pending(self, session_id: str, history: Sequence[Frame]) -> list[ApprovalRequest]:
        """Returns all requests without an answer, by what was received and by the history, oldest first."""
        self.log.review(session_id, history)
        requests = [self.request(record.event) for record in self.log.records if record.is_open]
        return [request for request in requests if request is not None]

    def check_shown(self, shown: ShownRequest, *, approved: bool) -> SessionEvent:
        """Returns the event of a request that a person has seen.

        Raises:
            ApprovalAlreadyAnsweredError: It was answered before.
            SessionError: The session knows no such request.
            ValueError: Tool or arguments are not those that were seen and are to be approved.
        """
        record = self.log.find(shown.key)
        if record is None:
            raise SessionError(
                f"there is no approval request {shown.key}; pending_approvals() has those that are open",
                session_id=shown.session_id,
            )
        if not record.is_open:
            raise answered_error(record)
        if approved and ShownRequest.read(record.event).state != shown.state:
            raise ValueError(
                f"session {shown.session_id}: request {clean(shown.key)} is not what was shown: its tool or arguments "
                "have changed, so it is not approved; look at it again in pending_approvals()"
            )
        return record.event

    def check_taken(self, event: SessionEvent, by: str) -> None:
        """Makes sure that the engine has taken an answer, once a later call of the same connection is answered.

        Raises:
            ApprovalAlreadyAnsweredError: Another answer was first.
            SessionError: The engine refused it; the request is open again.
        """
        record = self.log.find(key_of(event))
        if record is not None and record.is_open:
            self.raise_kept()
        elif record is not None and record.by != by:
            raise answered_error(record)

    def request(self, event: SessionEvent) -> ApprovalRequest | None:
        """Returns a request as handlers get it; None when the session is gone."""
        session = self._session()
        return None if session is None else ApprovalRequest(event, session)

    def open_requests(self, ticket: PendingPost) -> list[ApprovalRequest]:
        """Returns the requests without an answer in the turn of a post."""
        requests = [self.request(event) for event in self.log.open_of(ticket)]
        return [request for request in requests if request is not None]

    def handle(self, event: SessionEvent, first: Registration | None = None, deadline: Deadline | None = None) -> bool:
        """Asks the handlers, on the calling thread; see `HandlerRunner.run`.

        Args:
            event: The request.
            first: A handler to ask before the registered ones.
            deadline: How long to wait for another thread that is asking already; None not to wait.
        """
        registrations = self._handlers.for_tool(tool_of(event))
        if first is not None:
            registrations.insert(0, first)
        return self._runner.run(event, registrations, deadline)

    def handle_reauth(self, event: SessionEvent) -> bool:
        """Calls the reauthorisation handlers, on the calling thread; False when there are none.

        Raises:
            Exception: What a handler raised.
        """
        with self._runner.running_handler(event):
            return self._reauths.notify(event)

    def is_waited_for_here(self) -> bool:
        """Whether this thread runs a handler that has not answered yet: a turn waits for it."""
        return any(self.log.is_open(event) for event in self._runner.handled_here)

    def raise_kept(self) -> None:
        """Raises what a handler raised on the dispatcher thread, once; not into another handler."""
        if self.kept and not self._runner.handled_here:
            with contextlib.suppress(IndexError):
                raise self.kept.pop(0)

    # ---- within --------------------------------------------------------------------------------

    def _keep(self, error: BaseException) -> None:
        self.kept.append(error)
        del self.kept[:-_KEPT]

    def _has_taker(self, event: SessionEvent) -> bool:
        handlers = self._handlers.for_tool(tool_of(event))
        unasked = any(not self.log.was_asked(handler, event) for handler in handlers)
        return unasked or self.log.recall(event) is not None

    def _on_refused(self, entry: Entry, error: SessionEvent) -> None:
        # The reader of a turn has the event itself.
        if entry.record.is_open and not is_attended(entry.origin.ticket):
            self._keep(
                SessionError(
                    "the engine refused the answer about "
                    f"{entry.record.tool_name or 'a tool'} ({error.error}); the request is open again",
                    session_id=error.session_id,
                )
            )
        logger.warning("! session %s: the engine refused an answer: %s", error.session_id, error.error)

    def _dispatch(self, events: Iterable[SessionEvent]) -> None:
        for event in events:
            is_reauth = event.type is SessionEventType.REAUTH_REQUEST
            self._submit(event, functools.partial(self.handle_reauth if is_reauth else self.handle, event))

    def _submit(self, event: SessionEvent, job: Callable[[], object]) -> None:
        session = self._session()
        if session is None or not session.is_connected:
            return  # nothing can be answered, and a thread begun now would not be ended
        # A handler that hangs must not let requests fill the memory; they can still be answered by hand.
        if self._waiting > QUEUE_BYTES:
            logger.warning("! session %s: too many requests wait for a handler; one is left open", event.session_id)
            return
        self._waiting += weight(event)
        try:
            self._dispatcher.submit(functools.partial(self._run, event, job))
        except RuntimeError:  # no thread available; the request stays open, and `listen` has it
            self._waiting -= weight(event)
            logger.exception("! session %s: no handler can be run", event.session_id)

    def _run(self, event: SessionEvent, job: Callable[[], object]) -> None:
        self._waiting -= weight(event)
        session = self._session()
        if session is None or not session.is_connected:
            return  # it was left meanwhile, and no person is to be asked for nothing
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything, and it is raised by a later call
            logger.warning("! session %s: a handler failed: %s", event.session_id, type(error).__name__)
            if session.is_connected:  # otherwise it is that the answer could not be sent
                self._keep(error)
