"""Many one-shot turns: `Agent.map`, on any executor of ``concurrent.futures``."""

from __future__ import annotations

import contextlib
import copy
import importlib
import math
import os
import pickle
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

from sessionlib._util.optional import item_bar
from sessionlib._util.timing import Deadline
from sessionlib.agent.checkpoint import (
    Checkpoint,
    LedgerEntry,
    MemoryLedger,
    PromptLedger,
    RecordHeldError,
    new_ledger,
    prompt_key,
)
from sessionlib.agent.models import ConversationalAgentRunResult
from sessionlib.agent.oneshot import OneShot, RunStoppedError, Stopper, collect, run_prompt, typed_result
from sessionlib.approvals import ApprovalHandler
from sessionlib.content import Content
from sessionlib.errors import AnswerFormatError, DeliveryUnknownError, SessionlibError, SessionTimeoutError

if TYPE_CHECKING:
    from sessionlib.agent.run import Runnable

__all__ = ["AgentRuns", "OnError", "ProgressBar", "check_prompts", "make_bar"]

OnError = Literal["raise", "return"]
Outcome = ConversationalAgentRunResult | BaseException
# What the iteration yields: no exceptions where these are raised.
Given = TypeVar("Given", bound=Outcome)

# So many prompts for each worker are under way, or done ahead of the one that is waited for: one that
# takes long does not leave the other workers idle, and an endless iterable of prompts is not taken in whole.
_AHEAD = 4
# Seconds that runs get to end when they are stopped, that an executor gets to deliver a result which the ledger has,
# and beyond a run's timeout before its worker counts as frozen.
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
        mark: Distinguishes it from all other jobs, since some executors take equal jobs for the same.
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


@dataclass(eq=False)
class Place:
    """One prompt in the window of a map.

    Attributes:
        index: Its number.
        prompt: What is sent.
        future: What the executor returned for it; or what looks into its session, once the executor lost it.
        is_lost: Whether it is the latter.
        is_restored: Whether its result is that of an earlier run, from a checkpoint.
        outcome: Its result or error, once that is known.
        since: When it became one of the oldest that are not done; since then it may be under way.
        over_since: When the ledger was first seen to have its end, with nothing from the executor.
    """

    index: int
    prompt: Content
    future: Future[ConversationalAgentRunResult]
    is_lost: bool = False
    is_restored: bool = False
    outcome: Outcome | None = None
    since: float | None = None
    over_since: float | None = None


def run_job(job: Job) -> ConversationalAgentRunResult:
    """Runs one prompt, wherever the executor is."""
    try:
        return run_prompt(job.agent, job.prompt, job.how, job.stopper, job.ledger, job.number, job.key)
    except Exception as error:
        # Whatever it failed with was a consequence of being stopped.
        if job.stopper.stopped.is_set():
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
        owns_bar: bool,
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
            # Any other executor may have workers on other machines.
            here = executor is None or isinstance(executor, (ThreadPoolExecutor, ProcessPoolExecutor))
            self._checkpoint = Checkpoint(checkpoint, agent.id, shared=not here)
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
        # Threads of this process always come back with what they know, or not at all.
        self._may_lose = executor is not None and not isinstance(self._ledger, MemoryLedger)
        self._prompts: Iterator[Content] | None = iter(prompts)
        self._own_pool = ThreadPoolExecutor(max_workers, "sessionlib-map") if executor is None else None
        self._executor: Executor = cast("Executor", self._own_pool if executor is None else executor)
        self._max_workers = max_workers
        self._limit = max_workers * _AHEAD
        self._bar = bar
        # Made for this map: of tqdm, and closed with it.
        self._owns_bar = owns_bar
        self._on_error = on_error
        self._ordered = ordered
        self._stopper = Stopper()
        self._mark = uuid.uuid4().hex
        self._window: list[Place] = []
        self._counted: set[int] = set()
        # Looks into the sessions of runs that the executor lost; made for the first of them.
        self._collectors: ThreadPoolExecutor | None = None
        # When overdue runs were last looked for, and when the executor last delivered one; how many were given up
        # since, and why it gets no more of them.
        self._delivered_at = self._looked_at = -math.inf
        self._given_up = 0
        self._frozen: SessionTimeoutError | None = None
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
                # Once, behind all results that came before it.
                error, self._prompts_error = self._prompts_error, None
                if error is None:
                    self.close()
                    raise StopIteration
                raise error
            place = self._await()
            self._window.remove(place)
            # The caller has it: results would otherwise be kept to the end of the map.
            self._ledger.forget(place.index)
            self._counted.discard(place.index)
            self._fill()  # the workers must not block on what the caller does with this one
            outcome = cast("Outcome", place.outcome)
        except BaseException:
            # Ctrl-C while it waited, above all: the runs are ended, and what is done stays in `done`.
            if not isinstance(sys.exc_info()[1], StopIteration):
                self.close()
            raise
        with contextlib.suppress(AttributeError):  # an exception with slots has no room for them
            outcome.index, outcome.prompt = place.index, place.prompt  # type: ignore[union-attr]
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
        outcomes: dict[int, Outcome] = {}
        for place in self._window:
            outcome, future = place.outcome, place.future
            if outcome is None and future.done() and not future.cancelled():
                outcome = future.exception() or future.result()
            if outcome is not None and not isinstance(outcome, RunStoppedError):
                outcomes[place.index] = outcome
        return outcomes

    def close(self) -> None:
        """Stops: what has not begun never will, and what is under way in this process is ended.

        What is done by then stays in `done`. Runs in other processes that have posted go on to their end.
        """
        if not self._closed:
            for place in self._window:
                if place.outcome is None and not place.future.done():
                    # An executor may not have delivered what the ledger has already.
                    place.outcome = self._entry(place).result
        self._stop()
        if self._own_pool is not None or self._collectors is not None:
            # Cancelled ones are not waited for: for `wait`, they are never done.
            own = [place for place in self._window if self._own_pool is not None or place.is_lost]
            wait([place.future for place in own if not place.future.cancelled()], timeout=_GRACE)
        self._end_ledger()

    # ---- within --------------------------------------------------------------------------------

    def _fill(self) -> None:
        while self._prompts is not None and len(self._window) < self._limit:
            number = self._submitted
            try:
                # The caller's code, on the caller's thread: it may raise anything, and take its time.
                prompt = next(self._prompts)
                key = "" if self._checkpoint is None else prompt_key(prompt)
            except StopIteration:
                self._prompts = None
                return
            except Exception as error:  # noqa: BLE001 - theirs, and raised when its place has come
                self._prompts, self._prompts_error = None, error
                return
            place = Place(number, prompt, Future())
            if self._checkpoint is not None and number < self._checkpoint.known:
                # Done in an earlier run: it takes a place in the order, and no worker.
                result = self._entry(place).result
                if result is not None:
                    place.outcome, place.is_restored = self._typed(result), True
            try:
                if self._frozen is not None:
                    raise self._frozen
                if not place.is_restored:
                    mark = f"{self._mark} {number}"
                    job = Job(self._agent, prompt, self._how, self._stopper, mark, self._ledger, number, key)
                    place.future = self._executor.submit(run_job, job)
            except Exception as error:  # noqa: BLE001 - a broken or closed executor; the results before it come first
                if self._on_error == "raise":
                    self._prompts, self._prompts_error = None, error
                    return
                place.outcome = copy.copy(error)
            self._window.append(place)
            self._submitted += 1

    def _await(self) -> Place:
        """Waits for the first outcome, or in any order for one."""
        while True:
            for place in self._window:
                if place.outcome is None and place.future.done():
                    self._settle(place)
            # Before the wait, so that the bar shows what is done out of order.
            self._count()
            candidates = self._window[:1] if self._ordered else self._window
            done = next((place for place in candidates if place.outcome is not None), None)
            if done is not None:
                return done
            waiting = [place for place in self._window if place.outcome is None]
            if not self._give_up_overdue([place for place in waiting if not place.is_lost]):
                # With a timeout, as a lost future never completes.
                wait([place.future for place in waiting], timeout=_LOOK, return_when=FIRST_COMPLETED)

    def _settle(self, place: Place) -> None:
        """Takes what a future came back with; where its worker was lost, has its session looked into."""
        error: BaseException | None
        try:
            error = place.future.exception()
        except CancelledError as cancelled:
            error = cancelled
        # The executor works: what it was thought to have lost begins to count again.
        if not place.is_lost:
            self._given_up, self._frozen, self._delivered_at = 0, None, time.monotonic()
        if error is None:
            place.outcome = place.future.result()
            return
        entry = self._entry(place) if self._may_lose and not place.is_lost else LedgerEntry()
        if entry.result is not None:
            place.outcome = self._typed(entry.result)
        elif entry.is_running:
            # The run did not come back by itself, so its worker was lost; its session need not be.
            timeout = self._how.timeout
            if timeout is not None:  # clocks of other machines may differ
                timeout = min(max(entry.claimed_at + timeout - time.time(), _GRACE), timeout)
            self._collect(place, entry, error, timeout)
        elif isinstance(entry.failure, RecordHeldError):
            place.outcome = _unknown(place, entry.failure)
        elif isinstance(error, BrokenExecutor):
            # A broken pool puts one and the same object into all its futures; each place has a number of its own.
            place.outcome = copy.copy(error)
            place.outcome.__cause__ = error
        else:
            place.outcome = error

    def _entry(self, place: Place) -> LedgerEntry:
        """Returns what the ledger has of a prompt; where its record is held, that as the failure."""
        try:
            return self._ledger.entry(place.index)
        except RecordHeldError as held:
            return LedgerEntry(failure=held)

    def _give_up_overdue(self, waiting: list[Place]) -> bool:
        """Abandons runs that are overdue, and those that are over without a word from the executor.

        An executor can lose a future: Dask's never completes when a result's only worker dies before the
        result was fetched (`distributed.cfexecutor._cascade_future`, up to 2026.8).

        Returns:
            Whether there were any.
        """
        now, timeout = time.monotonic(), self._how.timeout
        if now - self._looked_at < _LOOK and self._frozen is None:
            return False
        self._looked_at = now
        limit = math.inf if timeout is None else timeout + _GRACE
        found = False
        for ahead, place in enumerate(waiting):
            if place.since is None and ahead < self._max_workers:
                place.since = now
            entry = self._entry(place)
            if entry.session_id is not None and not entry.is_running:
                place.over_since = place.over_since or now
                overdue = now - place.over_since > _GRACE and (entry.result is not None or self._may_lose)
            elif entry.is_running:
                # It may have had to wait for a worker: its time began when it claimed its prompt.
                overdue = now - (place.since or now) > limit and not 0 <= time.time() - entry.claimed_at <= limit
            else:
                # As long as the executor delivers other turns, it may still wait for a worker.
                overdue = self._frozen is not None or now - max(place.since or now, self._delivered_at) > limit
            if overdue:
                found = True
                self._given_up += entry.result is None
                self._give_up(place)
        if self._given_up >= self._max_workers and self._frozen is None:
            self._frozen = SessionTimeoutError(
                f"the executor delivered none of {self._given_up} runs within {timeout} s each, so it is given no "
                "further prompts; are its workers frozen, or were they never started?"
            )
        return found

    def _give_up(self, place: Place) -> None:
        """Ends the wait for the executor; the ledger or the session may still have the result."""
        # Without effect on one that runs, and the executor may never know.
        place.future.cancel()
        try:
            # In one step with the look: a worker that begins now finds its prompt taken back.
            entry = self._ledger.withdraw(place.index)
        except RecordHeldError as held:
            entry = self._entry(place)
            if entry.session_id is None:
                entry = LedgerEntry(failure=held)
        if entry.result is not None:
            place.outcome = self._typed(entry.result)
        elif isinstance(entry.failure, RecordHeldError):
            place.outcome = _unknown(place, entry.failure)
        elif entry.session_id is None:
            place.outcome = SessionTimeoutError(
                f"no worker began prompt {place.index} within {self._how.timeout} s; it was not sent, and will not be. "
                "Are the workers frozen, or were they never started?"
            )
        else:
            late = SessionTimeoutError(
                f"the worker of prompt {place.index} did not come back within {self._how.timeout} s; is it frozen?",
                session_id=entry.session_id,
            )
            if self._may_lose:
                self._collect(place, entry, late, _GRACE)
            else:
                place.outcome = late

    def _collect(self, place: Place, entry: LedgerEntry, error: BaseException, timeout: float | None) -> None:
        """Has a lost run's answer fetched from its session, beside the other runs."""
        if self._collectors is None:
            # Threads here, whatever the executor is: its workers are what was lost.
            self._collectors = ThreadPoolExecutor(self._max_workers, "sessionlib-map-collect")
        place.is_lost = True
        place.future = self._collectors.submit(self._fetch, place.index, entry, error, timeout)

    def _fetch(
        self, index: int, entry: LedgerEntry, error: BaseException, timeout: float | None
    ) -> ConversationalAgentRunResult:
        try:
            pace = self._ledger.pace(self._agent.client.pace)
            keep = partial(self._ledger.finish, index)
            result = collect(
                self._agent, entry.session_id or "", self._how, Deadline(timeout), self._stopper, pace, keep
            )
        except SessionTimeoutError as unknown:
            # Or a later attempt would take the run for one that is under way.
            self._ledger.fail(index, unknown)
            raise (error if isinstance(error, SessionTimeoutError) else unknown) from None
        except SessionlibError as unknown:
            self._ledger.fail(index, unknown)
            raise unknown from error
        return typed_result(result, self._how)

    def _typed(self, result: ConversationalAgentRunResult) -> Outcome:
        try:
            return typed_result(result, self._how)
        except AnswerFormatError as error:
            return error

    def _count(self) -> None:
        """Reports what is done to the bar, whether its place has come or not."""
        # Each is counted once, in whatever order they end.
        done = [place for place in self._window if place.outcome is not None and place.index not in self._counted]
        self._counted.update(place.index for place in done)
        if self._bar is None or not done:
            return
        restored = sum(place.is_restored for place in done)
        if restored and self._owns_bar:
            # What an earlier run did does not count for this one's rate.
            bar: Any = self._bar
            for name in ("n", "initial", "last_print_n"):
                setattr(bar, name, getattr(bar, name) + restored)
            done = done[restored:]
        if done:
            self._bar.update(len(done))

    def _stop(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._prompts = None
        for place in self._window:
            place.future.cancel()
        self._stopper.stop()
        for pool in (self._own_pool, self._collectors):
            if pool is not None:
                # Without waiting, as this runs in a finalizer as well.
                pool.shutdown(wait=False, cancel_futures=True)
        if self._owns_bar:
            self._bar.close()  # type: ignore[union-attr]

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


def _unknown(place: Place, held: RecordHeldError) -> DeliveryUnknownError:
    unknown = DeliveryUnknownError(f"whether prompt {place.index} was sent, or will be, is unknown: {held}")
    unknown.__cause__ = held
    return unknown


def check_prompts(
    agent: Runnable,
    prompts: Iterable[Content],
    on_approval: ApprovalHandler | None,
    executor: Executor | None,
    kept: bool,
    into: type[Any] | None,
) -> Iterable[Content]:
    """Returns the prompts, once those that are at hand are found to be some, with what goes along.

    Args:
        agent: The agent.
        prompts: The prompts; only a sequence is looked into, since taking from an iterator would use it up.
        on_approval: The handler.
        executor: Where they go, or None.
        kept: Whether there is a checkpoint.
        into: The type of the answers, or None.

    Raises:
        TypeError: They are none, cannot be sent to another process, or cannot be known again from a checkpoint.
    """
    if isinstance(prompts, (str, bytes, bytearray, os.PathLike)) or not isinstance(prompts, Iterable):
        raise TypeError(f"prompts takes an iterable of prompts, not {type(prompts).__name__}; for a single one, run()")
    # Only of a sequence: to look into an iterator would use it up.
    known = list(prompts) if isinstance(prompts, Sequence) else []
    for number, one in enumerate(known):
        if kept and not isinstance(one, _COMPARABLE):
            raise TypeError(
                f"with a checkpoint, a prompt is text, bytes or a path, which can be compared on a later run; prompt "
                f"{number} is {type(one).__name__}"
            )
    # How the executor sends things to other processes; None where it does not, or may not.
    dumps: Callable[[Any], bytes] | None = None
    if isinstance(executor, ProcessPoolExecutor):
        dumps = pickle.dumps
    else:
        library = getattr(executor, "library", type(executor).__module__.partition(".")[0])
        for name in _REMOTE.get(library, []):
            with contextlib.suppress(ImportError):
                dumps = importlib.import_module(name).dumps
                break
    named = [(f"prompt {number}", one) for number, one in enumerate(known) if not isinstance(one, (str, bytes))]
    for name, value in [("the agent", agent), ("on_approval", on_approval), ("into", into), *named]:
        if dumps is None:
            break
        try:
            # By the very function that the executor will use: what pickle refuses, cloudpickle may take.
            dumps(value)
        except Exception as error:
            raise TypeError(
                f"{name} cannot be sent to the processes of the executor ({error}); give something that pickles: "
                "text, bytes or a path for a prompt, a function of a module for a handler"
            ) from error
    return known if isinstance(prompts, Sequence) else prompts


# What a later run can know again.
_COMPARABLE = (str, bytes, bytearray, os.PathLike)
# Libraries whose executors send what they are given to other processes by cloudpickle, which some have as a copy.
_REMOTE = {
    "distributed": ["cloudpickle"],
    "joblib": ["joblib.externals.cloudpickle", "cloudpickle"],  # since 1.6 none of its own
    "loky": ["cloudpickle"],
    "ray": ["ray.cloudpickle"],
}


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
    made: ProgressBar = item_bar(total, name, " prompts")
    return made
