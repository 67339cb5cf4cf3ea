"""The approval handlers of a session, and which of them decide about a tool."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, cast

from sessionlib._util.ipython import in_one_line
from sessionlib._util.timing import Deadline
from sessionlib.approvals.answers import ApprovalLog
from sessionlib.approvals.models import ApprovalHandler, ApprovalRequest, Registration, key_of, response_to
from sessionlib.errors import ApprovalAlreadyAnsweredError, SessionTimeoutError
from sessionlib.events import SessionEvent

if TYPE_CHECKING:
    from sessionlib.session import Session

__all__ = ["HandlerRunner", "Handlers", "check_handler", "make_registration"]

logger = logging.getLogger("sessionlib")


class Handlers:
    """The registered handlers, in order."""

    def __init__(self) -> None:
        # Protects the list.
        self._lock = threading.Lock()
        self._registrations: list[Registration] = []

    def __bool__(self) -> bool:
        return bool(self._registrations)

    def add(self, registration: Registration) -> Callable[[], None]:
        """Adds one behind those there are; returns the function that removes it."""
        with self._lock:
            self._registrations.append(registration)
        return functools.partial(self._remove, registration)

    def for_tool(self, tool_name: str) -> list[Registration]:
        """Returns those that decide about a tool."""
        with self._lock:
            # A copy: a handler may remove itself.
            registrations = list(self._registrations)
        return [registration for registration in registrations if registration.takes(tool_name)]

    def _remove(self, registration: Registration) -> None:
        with self._lock:
            self._registrations = [other for other in self._registrations if other is not registration]


def make_registration(handler: object, pattern: object, timeout: float | None) -> Registration:
    """Makes a registration of what a caller gave.

    Raises:
        TypeError: ``handler`` cannot be called, or ``pattern`` is not a text.
        ValueError: ``timeout`` is not above 0.
    """
    check_handler(handler)
    if pattern is not None and not isinstance(pattern, str):
        raise TypeError(f"tool takes a name or a pattern, not {type(pattern).__name__}")
    if timeout is not None and not timeout > 0:
        raise ValueError("timeout takes a number of seconds above 0, or None for no limit")
    return Registration(cast("ApprovalHandler", handler), pattern, timeout)


def check_handler(handler: object) -> None:
    """Makes sure that something can be a handler.

    Raises:
        TypeError: It cannot be called.
    """
    if not callable(handler):
        raise TypeError(f"an approval handler is a callable, not {type(handler).__name__}")


class _Claim:
    """One thread's work on a request."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.done = threading.Event()


class HandlerRunner:
    """Puts requests to handlers, on the thread of the caller.

    Args:
        session: The session; held weakly, so that a forgotten one can be collected.
        log: Records answers and sends them.
    """

    def __init__(self, session: weakref.ref[Session], log: ApprovalLog) -> None:
        self._session = session
        self._log = log
        # Protects the requests that a thread is handling.
        self._lock = threading.Lock()
        self._claims: dict[str, _Claim] = {}
        # By thread, as handlers of several requests may run at the same time; each thread changes its own alone.
        self._running: dict[int, list[SessionEvent]] = {}

    @property
    def handled_here(self) -> list[SessionEvent]:
        """The requests whose handlers this thread is running, the innermost last."""
        return list(self._running.get(threading.get_ident(), ()))

    @contextlib.contextmanager
    def running_handler(self, event: SessionEvent) -> Iterator[None]:
        """Marks that this thread runs a handler."""
        before = self.handled_here
        self._running[threading.get_ident()] = [*before, event]
        try:
            yield
        finally:
            if before:
                self._running[threading.get_ident()] = before
            else:
                self._running.pop(threading.get_ident(), None)

    def run(self, event: SessionEvent, registrations: Iterable[Registration], deadline: Deadline | None = None) -> bool:
        """Calls one handler after another, each once, until one answers.

        Args:
            event: The request.
            registrations: The handlers.
            deadline: How long to wait for another thread that is asking already; None not to wait.

        Returns:
            Whether the request has an answer now, or another thread is still handling it.

        Raises:
            Exception: What a handler raised; the request was denied.
            TypeError: A handler gave no answer that means something; the request was denied.
            SessionTimeoutError: A handler outlived its timeout; the request was denied.
        """
        key, claim = key_of(event), _Claim()
        with self._lock:
            # In one step, so that one of two threads has it: a request is asked once though it comes twice.
            other = self._claims.setdefault(key, claim)
        if other is not claim:
            if deadline is None or other.thread == claim.thread or not other.done.wait(deadline.remaining()):
                return True
            return not self._log.is_open(event)
        try:
            session = self._session()
            if session is None or not self._log.is_open(event) or self._log.answer_remembered(event):
                return True
            request = ApprovalRequest(event, session)
            for registration in registrations:
                if not self._log.note_asked(registration, event):
                    continue
                self._ask(registration, request)
                # An answer that the engine has refused already was one; the refusal is reported to its reader.
                if request._answered or not self._log.is_open(event):
                    return True
            return False
        finally:
            with self._lock:
                del self._claims[key]
            claim.done.set()

    def _ask(self, registration: Registration, request: ApprovalRequest) -> None:
        event, name = request.event, registration.name
        with self._time_limit(registration, request) as over:
            try:
                request._asked = name
                # Of two settings that may be meant the stricter stands: what such a handler denies is denied, and what
                # it approves is left to the next one.
                request._alike = None if registration.may_approve(request.tool_name) else registration.pattern
                with self.running_handler(event):
                    response = response_to(registration.handler(request), name)
            except BaseException as error:  # Ctrl-C at a prompt is no consent either
                self._log.deny(event, f"the approval handler failed: {type(error).__name__}", by=name)
                in_one_line(error)
                raise
        if over.is_set():
            raise SessionTimeoutError(
                f"the approval handler {name} took longer than {registration.timeout:g} s for "
                f"{request.tool_name or 'a tool'}; the request was denied",
                session_id=event.session_id,
            )
        if response is not None and response.approved and request._alike is not None:
            logger.warning(
                "! session %s: %s may not approve %a, which only looks like %a",
                *(event.session_id, name, request.tool_name, request._alike),
            )
            return
        if response is not None and self._log.is_open(event):
            try:
                request._answer(response)
            except ApprovalAlreadyAnsweredError:
                pass  # another thread was quicker; its answer takes precedence
            except (TypeError, ValueError) as error:
                self._log.deny(event, f"the approval handler failed: {type(error).__name__}", by=name)
                raise

    @contextlib.contextmanager
    def _time_limit(self, registration: Registration, request: ApprovalRequest) -> Iterator[threading.Event]:
        """Denies a request when its handler takes too long; the event yielded is set then."""
        over, timeout = threading.Event(), registration.timeout
        if timeout is None:
            yield over
            return

        def expire() -> None:
            # Also when the denial cannot be sent: what the handler returns after this comes too late.
            if self._log.deny(request.event, f"no decision within {timeout:g} s", by="timeout"):
                over.set()

        # A thread: the handler's own cannot be interrupted, and its answer is refused by then.
        timer = threading.Timer(min(timeout, threading.TIMEOUT_MAX), expire)
        timer.name, timer.daemon = f"sessionlib-approval-{(request.message_id or '')[:8]}", True
        timer.start()
        try:
            yield over
        finally:
            timer.cancel()
            # So that no thread is left behind, and a denial that had begun is made.
            timer.join()
