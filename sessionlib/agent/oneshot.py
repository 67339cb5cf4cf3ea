"""One-shot turns with conversational agents: a session, one message, its answer, and the session's end.

Facts from the official SDK (``vectorshift`` 0.1.15): a session that cannot be had is an error in the
result and not an exception; the first error that is told ends the run; a session that was given or is to
be kept alive is disconnected at the end, any other is terminated.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sessionlib._util.retry import Backoff, is_transient, wait_at_least
from sessionlib._util.timing import Deadline
from sessionlib.agent.models import ConversationalAgentRunResult
from sessionlib.approvals import ApprovalHandler
from sessionlib.content import Content, FileContent
from sessionlib.errors import (
    ApprovalRequiredError,
    ConversationalRunActionRequiredError,
    DeliveryUnknownError,
    ReauthRequiredError,
    SessionDisconnectedError,
    SessionError,
    SessionlibError,
    SessionTimeoutError,
)
from sessionlib.events import SessionEvent
from sessionlib.protocol.recovery import GAP

if TYPE_CHECKING:
    from sessionlib.agent.run import Runnable
    from sessionlib.session import Session
    from sessionlib.turn import Turn

__all__ = ["OneShot", "RunStoppedError", "Stopper", "run_conversational", "run_turn"]


class RunStoppedError(SessionError):
    """A run was ended because nobody waits for its result any more."""


class Stopper:
    """Ends what is under way, and lets nothing begin.

    Pickled, it arrives as one that nobody will use: runs in other processes end by themselves.
    """

    def __init__(self) -> None:
        # Protects the ways to end what is under way, and whether they have been used.
        self._lock = threading.Lock()
        self._ways: dict[int, Callable[[], object]] = {}
        self._stopped = False

    def __reduce__(self) -> tuple[Any, ...]:
        return (Stopper, ())

    @property
    def stopped(self) -> bool:
        """Whether it was used."""
        return self._stopped

    @contextlib.contextmanager
    def able_to(self, end: Callable[[], object]) -> Iterator[None]:
        """Runs a block that can be ended from outside.

        Args:
            end: Ends it; called on another thread.

        Raises:
            StoppedError: It is too late to begin.
        """
        with self._lock:
            if self._stopped:
                raise RunStoppedError("the runs were stopped")
            self._ways[id(end)] = end
        try:
            yield
        finally:
            with self._lock:
                self._ways.pop(id(end), None)

    def stop(self) -> None:
        """Ends what is under way here; does not wait for it."""
        with self._lock:
            self._stopped = True
            ways = list(self._ways.values())
        for end in ways:
            end()


logger = logging.getLogger("sessionlib")

# A connection that fails before anything was said may be tried again.
_CONNECT_TRIES = 4
_CONNECT_TIMEOUT = 30.0


@dataclass(frozen=True)
class OneShot:
    """How a one-shot turn is run; the names are those of `Agent.run` and `Agent.map`."""

    session_id: str | None = None
    keep_alive: bool = False
    include_deltas: bool = False
    timeout: float | None = 300.0
    on_approval: ApprovalHandler | None = None
    retries: int = 0


def run_conversational(
    agent: Runnable, content: Content, files: Sequence[FileContent] | None, how: OneShot
) -> ConversationalAgentRunResult:
    """Runs one turn; see `Agent.run`."""
    deadline = Deadline(how.timeout)
    try:
        session = _open(agent, how, deadline, Stopper())
    except SessionlibError as error:
        return ConversationalAgentRunResult("", how.session_id or "", "error", str(error))
    return _talk(session, content, files, how, deadline, Stopper())


def run_turn(agent: Runnable, content: Content, how: OneShot, stopper: Stopper) -> ConversationalAgentRunResult:
    """Runs one turn of many.

    Raises:
        SessionlibError: The session cannot be had, was lost, or was stopped; or as for `Agent.run`.
    """
    deadline = Deadline(how.timeout)
    tries = 0
    while True:
        session = _open(agent, how, deadline, stopper)
        try:
            return _talk(session, content, None, how, deadline, stopper)
        except (DeliveryUnknownError, SessionDisconnectedError):
            tries += 1
            if tries > how.retries or stopper.stopped:
                raise


def _open(agent: Runnable, how: OneShot, deadline: Deadline, stopper: Stopper) -> Session:
    session = agent.create_session(how.session_id)
    backoff = Backoff(base=0.5, cap=5.0)
    while True:
        try:
            with stopper.able_to(session.disconnect):
                return session.connect(deadline.sooner(_CONNECT_TIMEOUT).remaining())
        except SessionTimeoutError:
            raise
        except SessionlibError as error:
            if not is_transient(error) or backoff.tries >= _CONNECT_TRIES - 1:
                raise
            delay = backoff.next_delay(wait_at_least(error))
            left = deadline.remaining()
            if left is not None and delay >= left:
                raise
            logger.info("= one-shot run: %s; next try in %.1f s", error, delay)
        time.sleep(delay)


def _talk(
    session: Session,
    content: Content,
    files: Sequence[FileContent] | None,
    how: OneShot,
    deadline: Deadline,
    stopper: Stopper,
) -> ConversationalAgentRunResult:
    stays = how.session_id is not None or how.keep_alive
    try:
        turn = session.stream(content, files=files, timeout=deadline.remaining(), on_approval=how.on_approval)
        with stopper.able_to(turn.close):
            return _result(turn, list(_read(turn, how)), how)
    except SessionTimeoutError:
        raise SessionTimeoutError(
            f"the run in session {session.session_id} was not over within {how.timeout} s; give it more time, or talk "
            "in a session of your own, with create_session()",
            session_id=session.session_id,
        ) from None
    except _ActionRequired as action:
        stays = True  # or nobody could come back to give the answer
        raise ConversationalRunActionRequiredError(action.event, session.session_id or "") from None
    finally:
        _leave(session, stays)


class _ActionRequired(Exception):
    """The turn waits for a person whom nobody here can ask."""

    def __init__(self, event: SessionEvent) -> None:
        super().__init__(event)
        self.event = event


def _read(turn: Turn, how: OneShot) -> Iterator[SessionEvent]:
    """Gives the events of a turn to its end, or to the first error in it."""
    try:
        for event in turn.attended():
            yield event
            if event.requires_action and how.on_approval is None:
                raise _ActionRequired(event)
            if _is_error(event):
                return
    except (ApprovalRequiredError, ReauthRequiredError) as error:
        asking = error if isinstance(error, ReauthRequiredError) else error.request
        if asking is None or asking.event is None:
            raise
        raise _ActionRequired(asking.event) from None


def _result(turn: Turn, events: list[SessionEvent], how: OneShot) -> ConversationalAgentRunResult:
    from sessionlib.reply import last_text

    error = next((event.error for event in events if _is_error(event)), None)
    if error is None and not turn.is_over:
        raise SessionDisconnectedError(
            f"session {turn.session_id} was disconnected before the run was over", session_id=turn.session_id
        )
    kept = [event for event in events if how.include_deltas or event.delta is None]
    status = "complete" if error is None else "error"
    result = ConversationalAgentRunResult(last_text(events)[1], turn.session_id, status, error, kept)
    result.duration, result.first_delta = turn.duration, turn.arrivals.first_delta(events)
    return result


def _is_error(event: SessionEvent) -> bool:
    # That something may have been missed while the link was down does not end a turn.
    return event.error is not None and event.error != GAP


def _leave(session: Session, stays: bool) -> None:
    try:
        if stays:
            session.disconnect()
        else:
            session.terminate()
    except SessionError as error:  # it must not hide how the run went
        logger.debug("! session %s was not left in order: %s", session.session_id, error)
