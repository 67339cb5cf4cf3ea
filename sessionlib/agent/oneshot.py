"""One-shot turns with conversational agents: a session, one message, its answer, and the session's end.

Facts from the official SDK (``vectorshift`` 0.1.15): a session that cannot be had is an error in the
result and not an exception; the first error that is reported ends the run; a session that was given or is to
be kept alive is disconnected at the end, any other is terminated.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sessionlib._util.timing import Deadline
from sessionlib._util.typed import answer_format
from sessionlib.agent.checkpoint import PromptLedger, RunStoppedError
from sessionlib.agent.models import ConversationalAgentRunResult
from sessionlib.approvals import ApprovalHandler
from sessionlib.content import Content, FileContent
from sessionlib.errors import (
    AnswerFormatError,
    ApprovalRequiredError,
    ConversationalRunActionRequiredError,
    DeliveryUnknownError,
    ReauthRequiredError,
    SessionDisconnectedError,
    SessionError,
    SessionlibError,
    SessionTerminatedError,
    SessionTimeoutError,
)
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.net.retry import Backoff, Throttle, is_transient, wait_at_least
from sessionlib.protocol.recovery import GAP
from sessionlib.reply import last_text, value_of

if TYPE_CHECKING:
    from sessionlib.agent.run import Runnable
    from sessionlib.session import Session
    from sessionlib.turn import Turn

__all__ = ["OneShot", "RunStoppedError", "Stopper", "collect", "run_conversational", "run_prompt", "typed_result"]


class Stopper:
    """Ends what is under way, and lets nothing begin.

    Pickled, it arrives as one that is not used: runs in other processes end by themselves.

    Attributes:
        stopped: Is set once it was used.
    """

    def __init__(self) -> None:
        # Protects the ways to end what is under way, and whether they have been used.
        self._lock = threading.Lock()
        self._ways: dict[int, Callable[[], object]] = {}
        self.stopped = threading.Event()

    def __reduce__(self) -> tuple[Any, ...]:
        return (Stopper, ())

    @contextlib.contextmanager
    def able_to(self, end: Callable[[], object]) -> Iterator[None]:
        """Runs a block that can be ended from outside.

        Args:
            end: Ends it; called on another thread.

        Raises:
            RunStoppedError: It is too late to begin.
        """
        with self._lock:
            if self.stopped.is_set():
                raise RunStoppedError("the runs were stopped")
            # By identity: bound methods of one object are equal, and blocks may be nested.
            self._ways[id(end)] = end
        try:
            yield
        finally:
            with self._lock:
                self._ways.pop(id(end), None)

    def sleep(self, seconds: float) -> None:
        """Waits, but no longer than until it is used.

        Raises:
            RunStoppedError: It was used.
        """
        if self.stopped.wait(seconds):
            raise RunStoppedError("the runs were stopped")

    def stop(self) -> None:
        """Ends what is under way here; does not wait for it."""
        with self._lock:
            self.stopped.set()
            # Called outside the lock, as ending a run leaves its block, which takes it.
            ways = list(self._ways.values())
        for end in ways:
            end()


logger = logging.getLogger("sessionlib")

# A connection that fails before anything was sent may be tried again.
_CONNECT_TRIES = 4
_CONNECT_TIMEOUT = 30.0
# Statuses of a session whose turn is not over.
_BUSY = ("Processing", "AwaitingApproval", "Typing")
# Seconds between two looks into the history of a session whose engine sends no status.
_POLL = 1.0
# Seconds without an event after which all that had come has been read.
_QUIET = 0.1


@dataclass(frozen=True)
class OneShot:
    """How a one-shot turn is run; the names are those of `Agent.run` and `Agent.map`."""

    session_id: str | None = None
    keep_alive: bool = False
    include_deltas: bool = False
    timeout: float | None = 300.0
    on_approval: ApprovalHandler | None = None
    retries: int = 0
    into: type[Any] | None = None


def run_conversational(
    agent: Runnable, content: Content, files: Sequence[FileContent] | None, how: OneShot
) -> ConversationalAgentRunResult:
    """Runs one turn; see `Agent.run`."""
    deadline, stopper, pace = Deadline(how.timeout), Stopper(), agent.client.pace
    # One budget for all: waiting for a place is part of the run's time.
    with pace.active(deadline, stopper.sleep) as has_place:
        try:
            session = _open(agent, how.session_id, deadline, stopper, pace, has_place)
        except SessionlibError as error:
            # There is no value that such a result could have.
            if how.into is not None:
                raise
            return ConversationalAgentRunResult("", how.session_id or "", "error", str(error))
        try:
            return typed_result(_talk(session, content, files, how, deadline, stopper), how)
        except SessionError as error:
            # A refused message is a plain SessionError; the official SDK puts it into the result.
            if type(error) is not SessionError or how.into is not None:
                raise
            reason = str(error).split("refused the message: ", 1)[-1]
            data = {"error": reason, "request_type": "post_messages" if files else "post_message"}
            event = SessionEvent(SessionEventType.ERROR, session.session_id or "", None, data)
            return ConversationalAgentRunResult("", session.session_id or "", "error", reason, [event])


def run_prompt(
    agent: Runnable, content: Content, how: OneShot, stopper: Stopper, ledger: PromptLedger, number: int, key: str
) -> ConversationalAgentRunResult:
    """Runs one turn of many, unless another attempt has posted it: then its answer is collected.

    Raises:
        SessionlibError: The session is unavailable, was lost, or was stopped; or as for `Agent.run`.
        DeliveryUnknownError: Another attempt has claimed the prompt, and nothing shows that it was posted.
    """
    deadline, pace = Deadline(how.timeout), ledger.pace(agent.client.pace)
    tries, abandoned = 0, None
    while True:
        entry = ledger.entry(number)
        # An earlier attempt has it; only its worker was lost.
        if entry.result is not None:
            return typed_result(entry.result, how)
        if entry.failure is not None:
            raise entry.failure
        try:
            with pace.active(deadline, stopper.sleep) as has_place:
                if entry.session_id is not None and entry.session_id != abandoned:
                    session_id = entry.session_id
                    try:
                        keep = partial(ledger.finish, number)
                        return typed_result(collect(agent, session_id, how, deadline, stopper, pace, keep), how)
                    except DeliveryUnknownError as error:
                        # The note of an attempt that was itself lost, once it had ended the session.
                        is_over = entry.is_unposted and error.__cause__ is not None
                        note = partial(ledger.note_unposted, number, session_id)
                        try:
                            is_over = is_over or _end_unposted(agent, session_id, deadline, stopper, pace, note)
                        except SessionlibError as failed:
                            raise error from failed  # a later run can go on from the note
                        if is_over:
                            abandoned = session_id
                            continue
                        ledger.fail(number, error)
                        raise
                    except SessionlibError as error:
                        ledger.fail(number, error)
                        raise
                session = _open(agent, None, deadline, stopper, pace, has_place)
                is_claimed = False
                try:
                    # The claim stands before the post: from here on, no other attempt posts this prompt.
                    is_claimed = ledger.claim(number, key, session.session_id or "", abandoned)
                finally:
                    if not is_claimed:  # another attempt was quicker, or the runs were stopped meanwhile
                        _leave(session, stays=False)
                if not is_claimed:
                    continue
                try:
                    return typed_result(_talk(session, content, None, how, deadline, stopper, (ledger, number)), how)
                except BaseException as error:
                    ledger.fail(number, error)
                    raise
        # Another try may end better than these; all else is final.
        except (DeliveryUnknownError, SessionDisconnectedError):
            if tries >= how.retries or stopper.stopped.is_set():
                raise
            # The first look is into the session of the attempt that failed; only then is it sent again.
            claimed = ledger.entry(number).session_id
            if claimed == entry.session_id:
                tries, abandoned = tries + 1, claimed


def collect(
    agent: Runnable,
    session_id: str,
    how: OneShot,
    deadline: Deadline,
    stopper: Stopper,
    pace: Throttle,
    keep: Callable[[ConversationalAgentRunResult], bool],
) -> ConversationalAgentRunResult:
    """Joins the session of an earlier attempt and returns the answer in it; sends nothing.

    Args:
        agent: The agent.
        session_id: The session.
        how: How the turn is run.
        deadline: When to stop waiting for its end.
        stopper: What can end the wait.
        pace: When to join.
        keep: Records the result, before the session ends: with it goes the only other copy of the answer. Returns
            whether it is recorded.

    Raises:
        DeliveryUnknownError: The prompt is not in its history, or it has none any more.
        ConversationalRunActionRequiredError: It waits for an approval.
        SessionTimeoutError: Its turn was not over in time.
    """
    try:
        session = _open(agent, session_id, deadline, stopper, pace, on_approval=how.on_approval)
    except SessionError as error:
        if type(error) not in (SessionError, SessionTerminatedError):
            raise
        raise DeliveryUnknownError(
            f"session {session_id}, in which an earlier attempt may have posted the prompt, is unavailable: {error}",
            session_id=session_id,
        ) from error
    stays = True
    try:
        with stopper.able_to(session.disconnect), session.listen(maxsize=0, timeout=_POLL) as events:
            busy = False
            while True:
                messages = session.get_messages(deadline.sooner(_CONNECT_TIMEOUT).remaining())
                last = messages[-1] if messages else None
                if not busy and not any(message.is_user for message in messages):
                    raise DeliveryUnknownError(
                        f"an earlier attempt to post the prompt was lost, and session {session_id} does not have it; "
                        "it was not sent again",
                        session_id=session_id,
                    )
                kind = None if last is None or last.is_user else last.content_type
                # A message that is still streaming stands in a history as well, with another status.
                whole = kind == "data_type_message" and last is not None and last.status == "complete"
                if last is not None and not busy and (whole or kind == "error_message"):
                    failure = last.text if kind == "error_message" else None
                    data = {"text": last.text, "status": "complete", "recovered": True}
                    found = [SessionEvent(SessionEventType.MESSAGE_COMPLETE, session_id, last.id, data)]
                    result: ConversationalAgentRunResult = ConversationalAgentRunResult(
                        "" if failure else last.text or "",
                        session_id,
                        "error" if failure else "complete",
                        failure,
                        [] if failure else found,
                    )
                    stays = not keep(result)
                    return result
                # Until the status of the turn changes, or for a moment: an engine need not send one.
                with contextlib.suppress(SessionTimeoutError):
                    for event in events:
                        if event.requires_action and how.on_approval is None:
                            raise ConversationalRunActionRequiredError(event, session_id)
                        if event.type in (SessionEventType.SESSION_CONNECTED, SessionEventType.PARTICIPANT_STATUS):
                            busy = (event.participant_status or event.data.get("status")) in _BUSY
                            break
                if deadline.expired:
                    raise _overdue(session_id, how)
    finally:
        _leave(session, stays)


def _end_unposted(
    agent: Runnable,
    session_id: str,
    deadline: Deadline,
    stopper: Stopper,
    pace: Throttle,
    note: Callable[[], None],
) -> bool:
    """Ends the session of an earlier attempt if it has no message, so that none can come into it any more.

    Its prompt may then be sent in another session: a post that is still on its way, or that a frozen worker makes
    when it goes on, is refused. ``note`` records that the session has no message, before it ends.

    Returns:
        Whether the engine refuses the session, and reported nothing of a turn between the look and the end.

    Raises:
        SessionlibError: That could not be found out.
    """
    watching = _open(agent, session_id, deadline, stopper, pace)
    try:
        with watching.listen(maxsize=0, timeout=_QUIET) as events:
            if watching.get_messages(deadline.sooner(_CONNECT_TIMEOUT).remaining()):
                return False
            note()
            _leave(_open(agent, session_id, deadline, stopper, pace), stays=False)
            try:
                _leave(_open(agent, session_id, deadline, stopper, pace), stays=True)
            except SessionError as error:
                if type(error) not in (SessionError, SessionTerminatedError):
                    raise
            else:
                return False  # it still takes posts
            with contextlib.suppress(SessionError):
                # What the engine reported before it ended the session comes before this answer, whatever that is.
                watching.get_messages(_POLL)
            with contextlib.suppress(SessionError):  # as it ends, or as nothing more has come
                return not any(one.message_id is not None or one.participant_status in _BUSY for one in events)
            return True
    finally:
        _leave(watching, stays=True)


def _overdue(session_id: str | None, how: OneShot) -> SessionTimeoutError:
    return SessionTimeoutError(
        f"the run in session {session_id} was not over within {how.timeout} s; give it more time, or talk "
        "in a session of your own, with create_session()",
        session_id=session_id,
    )


def _open(
    agent: Runnable,
    session_id: str | None,
    deadline: Deadline,
    stopper: Stopper,
    pace: Throttle,
    has_place: bool = True,
    on_approval: ApprovalHandler | None = None,
) -> Session:
    session = agent.create_session(session_id)
    if on_approval is not None:
        # Before the session is joined, as a request that waits in it comes with the join.
        session.on_approval(on_approval)
    backoff = Backoff(base=0.5, cap=5.0)
    while True:
        if not (has_place and pace.admit(deadline, stopper.sleep)):
            raise SessionTimeoutError(f"no session could be opened at the client's pace within {deadline.timeout} s")
        admitted = time.monotonic()
        try:
            with stopper.able_to(session.disconnect):
                return session.connect(deadline.sooner(_CONNECT_TIMEOUT).remaining())
        except SessionTimeoutError:
            raise
        except SessionlibError as error:
            asked = wait_at_least(error)
            if getattr(error, "status_code", None) == 429 or asked:
                # It names a time to come back, and so does not count as a failed try.
                # To all that share this pace, so that not each finds out for itself.
                pace.refused(asked or None, time.monotonic() - admitted)
                logger.info("= one-shot run: %s; all workers of the client pause", error)
                left = deadline.remaining()
                # A wait beyond the deadline would only end in a timeout that hides the reason.
                if left is not None and asked >= left:
                    raise
                continue
            if not is_transient(error) or backoff.tries >= _CONNECT_TRIES - 1:
                raise
            delay = backoff.next_delay()
            left = deadline.remaining()
            if left is not None and delay >= left:
                raise
            logger.info("= one-shot run: %s; next try in %.1f s", error, delay)
        stopper.sleep(delay)


def _talk(
    session: Session,
    content: Content,
    files: Sequence[FileContent] | None,
    how: OneShot,
    deadline: Deadline,
    stopper: Stopper,
    record: tuple[PromptLedger, int] | None = None,
) -> ConversationalAgentRunResult:
    stays = how.session_id is not None or how.keep_alive
    try:
        try:
            turn = _begin(session, content, files, how, deadline)
        except (TypeError, ValueError, OSError) as error:
            if record is not None and not isinstance(error, SessionlibError):
                record[0].release(record[1])  # it could not be encoded, so nothing left
            raise
        with stopper.able_to(turn.close):
            result = _result(turn, list(_read(turn, how)), how)
        if how.into is not None and result.error is None:
            try:
                value_of(answer_format(how.into), result.final_message, result.session_id)
            except AnswerFormatError as error:
                # In the same session, where the model has its first answer before it.
                again = _begin(session, answer_format(how.into).correction(error.reason), None, how, deadline)
                with stopper.able_to(again.close):
                    second = _result(again, list(_read(again, how)), how)
                # One result for both, in order.
                second.events[:0] = result.events
                second.duration = (result.duration or 0.0) + (second.duration or 0.0)
                second.first_delta = result.first_delta
                second._earlier = error.texts
                result = second
        if record is not None:
            # Before the session ends: with it goes the only other copy of the answer.
            stays = not record[0].finish(record[1], result) or stays
        return result
    except SessionTimeoutError:
        stays = stays or _goes_on(record)
        raise _overdue(session.session_id, how) from None
    except (DeliveryUnknownError, SessionDisconnectedError):
        stays = stays or how.retries > 0 or _goes_on(record)
        raise
    except RunStoppedError:  # when the prompt had been posted, and before its turn could be closed
        stays = stays or _goes_on(record)
        raise
    except _ActionRequired as action:
        stays = True  # or the request could not be answered later
        raise ConversationalRunActionRequiredError(action.event, session.session_id or "") from None
    finally:
        _leave(session, stays)


def _begin(
    session: Session, content: Content, files: Sequence[FileContent] | None, how: OneShot, deadline: Deadline
) -> Turn:
    timeout = deadline.remaining()
    return session.stream(content, files=files, timeout=timeout, on_approval=how.on_approval, into=how.into)


def typed_result(result: ConversationalAgentRunResult, how: OneShot) -> ConversationalAgentRunResult:
    """Returns a result with the value in its message, where one was asked for.

    Raises:
        AnswerFormatError: It holds none.
    """
    if how.into is not None:
        try:
            result._value = value_of(answer_format(how.into), result.final_message, result.session_id, result.error)
        except AnswerFormatError as error:
            error.texts = result._earlier + error.texts
            raise
    return result


def _goes_on(record: tuple[PromptLedger, int] | None) -> bool:
    """Whether a later run can collect the answer from the session."""
    return record is not None and getattr(record[0], "lasting", False)


class _ActionRequired(Exception):
    """The turn waits for a person, and none can be asked here."""

    def __init__(self, event: SessionEvent) -> None:
        super().__init__(event)
        self.event = event


def _read(turn: Turn, how: OneShot) -> Iterator[SessionEvent]:
    """Returns the events of a turn to its end, or to the first error in it."""
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
    error = next((event.error for event in events if _is_error(event)), None)
    # The events ended without an end of the turn: it was closed from outside.
    if error is None and not turn.is_over:
        raise SessionDisconnectedError(
            f"session {turn.session_id} was disconnected before the run was over", session_id=turn.session_id
        )
    # Deltas repeat what the complete message has, and are most of the memory.
    kept = [event for event in events if how.include_deltas or event.delta is None]
    status = "complete" if error is None else "error"
    result = ConversationalAgentRunResult(last_text(events)[1], turn.session_id, status, error, kept)
    result.duration, result.first_delta = turn.duration, turn.arrivals.first_delta(events)
    return result


def _is_error(event: SessionEvent) -> bool:
    # That something may have been missed while the connection was down does not end a turn.
    return event.error is not None and event.error != GAP


def _leave(session: Session, stays: bool) -> None:
    try:
        if stays:
            session.disconnect()
        else:
            session.terminate()
    except SessionError as error:  # it must not hide how the run went
        logger.debug("! session %s was not left in order: %s", session.session_id, error)
