"""Many one-shot turns: `Agent.map`, on any executor of ``concurrent.futures``."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Sized
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, cast

from sessionlib._util.optional import item_bar
from sessionlib._util.timing import Deadline
from sessionlib.agent.checkpoint import Checkpoint, MemoryLedger, PromptLedger, new_ledger, prompt_key
from sessionlib.agent.models import ConversationalAgentRunResult
from sessionlib.agent.oneshot import OneShot, RunStoppedError, Stopper, collect, run_prompt
from sessionlib.approvals import ApprovalHandler
from sessionlib.content import Content
from sessionlib.errors import SessionlibError, SessionTimeoutError

if TYPE_CHECKING:
    from sessionlib.agent.run import Runnable

__all__ = ["AgentRuns", "OnError", "ProgressBar", "check_pickling", "make_bar"]

OnError = Literal["raise", "return"]
Outcome = ConversationalAgentRunResult | BaseException
# What the iteration yields: no exceptions where these are raised.
Given = TypeVar("Given", bound=Outcome)

# So many prompts for each worker are under way, or done ahead of the one that is waited for: one that
# takes long does not leave the others idle, and an endless iterable of prompts is not taken in whole.
_AHEAD = 4
# Seconds that runs get to end when they are stopped, and beyond their timeout before a worker counts as frozen.
_GRACE = 5.0
# Seconds between two looks at what is overdue.
_LOOK = 1.0


class ProgressBar(Protocol):
    """What shows the progress; a bar of tqdm is one."""

    def update(self, n: float | None = 1) -> object:
        """Reports that ``n`` more prompts are done."""


@dataclass(frozen=True)
class Job:
    """One prompt on its way.

    Attributes:
        agent: Whom it is for.
        prompt: What is sent.
        how: How it is run.
        stopper: What can end it.
        mark: Distinguishes it from all others, since some executors take equal jobs for the same.
        ledger: Knows whether it was posted.
        number: Its number.
        key: What a checkpoint knows it by.
    """

    agent: Runnable
    prompt: Content
    how: OneShot
    stopper: Stopper
    mark: str
    ledger: PromptLedger
    number: int = 0
    key: str = ""


def run_job(job: Job) -> ConversationalAgentRunResult:
    """Runs one prompt, wherever the executor is."""
    try:
        return run_prompt(job.agent, job.prompt, job.how, job.stopper, job.ledger, job.number, job.key)
    except Exception as error:
        if job.stopper.stopped:
            raise RunStoppedError("the runs were stopped") from error
        raise


class AgentRuns(Iterator[Given]):
    """The results of `Agent.map`; also a context manager.

    Prompts are taken as results are asked for. An error at one of them does not end the iteration:
    the next `next` returns the next result. Ctrl-C and `close` stop it. Made by `Agent.map`.
    """

    def __init__(
        self,
        agent: Runnable,
        prompts: Iterable[Content],
        how: OneShot,
        *,
        executor: Executor | None,
        max_workers: int,
        bar: ProgressBar | None,
        on_error: OnError,
        ordered: bool = True,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> None:
        self._agent = agent
        self._how = how
        self._checkpoint: Checkpoint | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._ledger: PromptLedger
        if checkpoint is not None:
            self._checkpoint = Checkpoint(checkpoint, agent.id)
            try:
                prompts = self._checkpoint.compared(prompts)
            except BaseException:
                self._checkpoint.close()
                raise
            self._ledger = self._checkpoint.ledger
        elif executor is None or isinstance(executor, ThreadPoolExecutor):
            self._ledger = MemoryLedger()
        else:
            self._folder = tempfile.TemporaryDirectory(prefix="sessionlib-map-")
            self._ledger = new_ledger(os.path.join(self._folder.name, "prompts.db"))
        self._prompts: Iterator[Content] | None = iter(prompts)
        self._own_pool = ThreadPoolExecutor(max_workers, "sessionlib-map") if executor is None else None
        self._executor: Executor = cast("Executor", self._own_pool if executor is None else executor)
        self._max_workers = max_workers
        self._limit = max_workers * _AHEAD
        self._bar = bar
        self._on_error = on_error
        self._ordered = ordered
        self._stopper = Stopper()
        self._mark = uuid.uuid4().hex
        self._window: deque[tuple[int, Content, Future[ConversationalAgentRunResult]]] = deque()
        self._counted: set[int] = set()
        # When a run became one of the oldest that are not done: since then it may be under way.
        self._since: dict[int, float] = {}
        self._submitted = 0
        self._prompts_error: BaseException | None = None
        self._closed = False

    def __iter__(self) -> AgentRuns[Given]:
        return self

    def __next__(self) -> Given:
        """Waits for the next result.

        Returns:
            The result; with ``on_error="return"``, the exception in its place where there is none. Both have
            the prompt and its number, as ``prompt`` and ``index``.

        Raises:
            StopIteration: There are no more, or it was closed.
            SessionTimeoutError: A worker did not come back in time.
            DeliveryUnknownError: A worker was lost, and nothing shows whether it had posted the prompt.
            Exception: What went wrong with this prompt; see `Agent.run`. Or what the iterable of
                prompts or the executor raised, behind the results of those before.
        """
        if self._closed:
            raise StopIteration
        try:
            self._fill()
            if not self._window:
                error, self._prompts_error = self._prompts_error, None
                if error is None:
                    self.close()
                    raise StopIteration
                raise error
            index, prompt, future = place = self._await()
            self._window.remove(place)
            self._counted.discard(index)
            self._since.pop(index, None)
            self._fill()  # the workers must not wait for what the caller does with this one
            outcome = self._outcome(index, future)
        except BaseException:
            if not isinstance(sys.exc_info()[1], StopIteration):
                self.close()
            raise
        with contextlib.suppress(AttributeError):  # an exception with slots has no room for them
            outcome.index, outcome.prompt = index, prompt  # type: ignore[union-attr]
        if isinstance(outcome, BaseException) and self._on_error == "raise":
            raise outcome
        return cast("Given", outcome)

    def __enter__(self) -> AgentRuns[Given]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_closed"):  # not so when the constructor raised
            self._stop()
            self._end_ledger()

    @property
    def done(self) -> dict[int, Outcome]:
        """The results that are there but have not been returned yet, by the index of their prompts."""
        finished = [(i, future) for i, _, future in self._window if future.done() and not future.cancelled()]
        outcomes = {index: future.exception() or future.result() for index, future in finished}
        return {index: outcome for index, outcome in outcomes.items() if not isinstance(outcome, RunStoppedError)}

    def close(self) -> None:
        """Stops: what has not begun never will, and what is under way in this process is ended.

        What is done by then stays in `done`. Runs in other processes that have posted go on to their end.
        """
        self._stop()
        if self._own_pool is not None:
            # Cancelled ones are not waited for: for `wait`, they are never done.
            wait([future for _, _, future in self._window if not future.cancelled()], timeout=_GRACE)
        self._end_ledger()

    # ---- within --------------------------------------------------------------------------------

    def _fill(self) -> None:
        while self._prompts is not None and len(self._window) < self._limit:
            number = self._submitted
            try:
                prompt = next(self._prompts)
                key = "" if self._checkpoint is None else prompt_key(prompt)
            except StopIteration:
                self._prompts = None
                return
            except Exception as error:  # noqa: BLE001 - theirs, and raised when its place has come
                self._prompts, self._prompts_error = None, error
                return
            job = Job(
                self._agent, prompt, self._how, self._stopper, f"{self._mark} {number}", self._ledger, number, key
            )
            future: Future[ConversationalAgentRunResult]
            try:
                future = self._executor.submit(run_job, job)
            except Exception as error:  # noqa: BLE001 - a broken or closed executor; the results before it come first
                if self._on_error == "raise":
                    self._prompts, self._prompts_error = None, error
                    return
                future = Future()
                future.set_exception(copy.copy(error))
            self._window.append((number, prompt, future))
            self._submitted += 1

    def _await(self) -> tuple[int, Content, Future[ConversationalAgentRunResult]]:
        """Waits for the first result, or in any order for one, or until one is overdue."""
        while True:
            # Read before they are counted, for else the last of all might never be.
            done = next((place for place in self._candidates() if place[2].done()), None)
            self._count()
            if done is not None:
                return done
            now = time.monotonic()
            waiting = [place for place in self._window if not place[2].done()]
            for index, _, _ in waiting[: self._max_workers]:
                self._since.setdefault(index, now)
            overdue = next((place for place in self._candidates() if self._is_overdue(place, now)), None)
            if overdue is not None:
                return overdue
            wait([future for _, _, future in waiting], timeout=_LOOK, return_when=FIRST_COMPLETED)

    def _candidates(self) -> list[tuple[int, Content, Future[ConversationalAgentRunResult]]]:
        return [self._window[0]] if self._ordered else list(self._window)

    def _is_overdue(self, place: tuple[int, Content, Future[ConversationalAgentRunResult]], now: float) -> bool:
        index, _, future = place
        if self._how.timeout is None or index not in self._since or future.done():
            return False
        limit = self._how.timeout + _GRACE
        if now - self._since[index] <= limit:
            return False
        # It may have had to wait for a worker: then its time began when it claimed its prompt.
        entry = self._ledger.entry(index)
        return not entry.is_running or time.time() - entry.claimed_at > limit

    def _outcome(self, index: int, future: Future[ConversationalAgentRunResult]) -> Outcome:
        if not future.done():
            future.cancel()
            session_id = self._ledger.entry(index).session_id
            return SessionTimeoutError(
                f"the worker of prompt {index} did not come back within {self._how.timeout} s (session "
                f"{session_id or 'not opened'}); is it frozen, or was it never started?",
                session_id=session_id,
            )
        try:
            error = future.exception()
        except CancelledError as cancelled:
            error = cancelled
        if error is None:
            return future.result()
        entry = self._ledger.entry(index)
        if entry.result is not None:
            return entry.result
        if not entry.is_running or entry.session_id is None or self._own_pool is not None:
            if isinstance(error, BrokenExecutor):
                # A broken pool puts one and the same object into all its futures; each place has a number of its own.
                own = copy.copy(error)
                own.__cause__ = error
                return own
            return error
        # The run did not come back by itself, so its worker was lost; its session need not be.
        try:
            result = collect(self._agent, entry.session_id, self._how, Deadline(self._how.timeout), self._stopper)
        except SessionlibError as unknown:
            self._ledger.fail(index, unknown)
            unknown.__cause__ = error
            return unknown
        self._ledger.finish(index, result)
        return result

    def _count(self) -> None:
        """Reports what is done to the bar, whether its place has come or not."""
        done = {index for index, _, future in self._window if future.done()} - self._counted
        self._counted |= done
        if self._bar is not None and done:
            self._bar.update(len(done))

    def _stop(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._prompts = None
        for _, _, future in self._window:
            future.cancel()
        self._stopper.stop()
        if self._own_pool is not None:
            self._own_pool.shutdown(wait=False, cancel_futures=True)
        if isinstance(self._bar, _OwnBar):
            self._bar.close()

    def _end_ledger(self) -> None:
        checkpoint, self._checkpoint = self._checkpoint, None
        folder, self._folder = self._folder, None
        if checkpoint is not None:
            checkpoint.close()
        else:
            if folder is not None or isinstance(self._ledger, MemoryLedger):
                self._ledger.close()
            if folder is not None:
                folder.cleanup()


class _OwnBar:
    """A bar that was made here, and is closed here."""

    def __init__(self, bar: ProgressBar) -> None:
        self._bar = bar

    def update(self, n: float | None = 1) -> object:
        return self._bar.update(n)

    def close(self) -> None:
        self._bar.close()  # type: ignore[attr-defined]


def check_pickling(
    agent: Runnable, prompts: Iterable[Content], on_approval: ApprovalHandler | None
) -> Iterable[Content]:
    """Returns the prompts, once those that are at hand can be sent to another process, with what goes along.

    Raises:
        TypeError: Something cannot.
    """
    known = list(prompts) if isinstance(prompts, Sequence) else []
    others = [(f"prompt {number}", one) for number, one in enumerate(known) if not isinstance(one, (str, bytes))]
    for name, value in [("the agent", agent), ("on_approval", on_approval), *others]:
        try:
            pickle.dumps(value)
        except Exception as error:
            raise TypeError(
                f"{name} cannot be sent to the processes of the executor ({error}); give something that pickles: "
                "text, bytes or a path for a prompt, a function of a module for a handler"
            ) from error
    return known if isinstance(prompts, Sequence) else prompts


def make_bar(progress: bool | ProgressBar | None, prompts: object, name: str | None) -> ProgressBar | None:
    """Makes what shows the progress of a map.

    Args:
        progress: True for a bar of tqdm; or what shows it instead.
        prompts: The prompts, for their number if it is known.
        name: What the bar is called.

    Raises:
        MissingExtraError: tqdm is not installed.
        TypeError: ``progress`` is none of these.
    """
    if progress is None or progress is False:
        return None
    if progress is not True:
        if not callable(getattr(progress, "update", None)):
            raise TypeError(f"progress takes True or a bar with update(), not {type(progress).__name__}")
        return progress
    total = len(prompts) if isinstance(prompts, Sized) else None
    return _OwnBar(item_bar(total, name, " prompts"))
