"""Many one-shot turns: `Agent.map`, on any executor of ``concurrent.futures``."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Sized
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, cast

from sessionlib._util.optional import item_bar
from sessionlib.agent.models import ConversationalAgentRunResult
from sessionlib.agent.oneshot import OneShot, RunStoppedError, Stopper, run_turn
from sessionlib.content import Content

if TYPE_CHECKING:
    from sessionlib.agent.run import Runnable

__all__ = ["AgentRuns", "OnError", "ProgressBar", "make_bar"]

OnError = Literal["raise", "return"]
Outcome = ConversationalAgentRunResult | BaseException
# What the iteration gives: no exceptions where these are raised.
Given = TypeVar("Given", bound=Outcome)

# So many prompts for each worker are under way, or done ahead of the one that is waited for: one that
# takes long does not leave the others idle, and an endless iterable of prompts is not taken in whole.
_AHEAD = 4
# Seconds that runs get to end when they are stopped.
_GRACE = 5.0


class ProgressBar(Protocol):
    """What tells the progress; a bar of tqdm is one."""

    def update(self, n: float | None = 1) -> object:
        """Tells that ``n`` more prompts are done."""


@dataclass(frozen=True)
class Job:
    """One prompt on its way.

    Attributes:
        agent: Whom it is for.
        prompt: What is said.
        how: How it is run.
        stopper: What can end it.
        mark: Tells it from every other one, since some executors take equal jobs for the same.
    """

    agent: Runnable
    prompt: Content
    how: OneShot
    stopper: Stopper
    mark: str


def run_job(job: Job) -> ConversationalAgentRunResult:
    """Runs one prompt, wherever the executor is."""
    try:
        return run_turn(job.agent, job.prompt, job.how, job.stopper)
    except Exception as error:
        if job.stopper.stopped:
            raise RunStoppedError("the runs were stopped") from error
        raise


class AgentRuns(Iterator[Given]):
    """The results of `Agent.map`, in the order of the prompts; also a context manager.

    Prompts are taken as results are asked for. An error at one of them does not end the iteration:
    the next `next` gives the next result. Ctrl-C and `close` stop it.
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
    ) -> None:
        self._agent = agent
        self._prompts: Iterator[Content] | None = iter(prompts)
        self._how = how
        self._own_pool = ThreadPoolExecutor(max_workers, "sessionlib-map") if executor is None else None
        self._executor: Executor = cast("Executor", self._own_pool if executor is None else executor)
        self._limit = max_workers * _AHEAD
        self._bar = bar
        self._on_error = on_error
        self._stopper = Stopper()
        self._mark = uuid.uuid4().hex
        self._window: deque[tuple[int, Future[ConversationalAgentRunResult]]] = deque()
        self._counted: set[int] = set()
        self._submitted = 0
        self._prompts_error: BaseException | None = None
        self._closed = False

    def __iter__(self) -> AgentRuns[Given]:
        return self

    def __next__(self) -> Given:
        """Waits for the next result.

        Returns:
            The result; with ``on_error="return"``, the exception in its place where there is none.

        Raises:
            StopIteration: There are no more, or it was closed.
            Exception: What went wrong with this prompt; see `Agent.run`. Or what the iterable of
                prompts raised, behind the results of those before.
        """
        if self._closed:
            raise StopIteration
        try:
            self._fill()
            if not self._window:
                self._finish()
            index, future = self._window[0]
            self._await(future)
            self._window.popleft()
            self._counted.discard(index)
            self._fill()  # nobody is to wait for what the caller does with this one
        except BaseException:
            self.close()
            raise
        try:
            return cast("Given", future.result())
        except Exception as error:
            if self._on_error == "return":
                return cast("Given", error)
            raise

    def __enter__(self) -> AgentRuns[Given]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_closed"):  # not so when the constructor raised
            self._stop()

    @property
    def done(self) -> dict[int, Outcome]:
        """The results that are there but have not been given yet, by the index of their prompts."""
        finished = [(index, future) for index, future in self._window if future.done() and not future.cancelled()]
        outcomes = {index: future.exception() or future.result() for index, future in finished}
        return {index: outcome for index, outcome in outcomes.items() if not isinstance(outcome, RunStoppedError)}

    def close(self) -> None:
        """Stops: what has not begun never will, and what is under way here is ended.

        What is done by then stays in `done`. Runs in other processes go on to their end unheard.
        """
        self._stop()
        if self._own_pool is not None:
            # Cancelled ones are not waited for: for `wait`, they are never done.
            wait([future for _, future in self._window if not future.cancelled()], timeout=_GRACE)

    # ---- within --------------------------------------------------------------------------------

    def _fill(self) -> None:
        while self._prompts is not None and len(self._window) < self._limit:
            try:
                prompt = next(self._prompts)
            except StopIteration:
                self._prompts = None
                return
            except Exception as error:  # noqa: BLE001 - theirs, and raised when its place has come
                self._prompts, self._prompts_error = None, error
                return
            job = Job(self._agent, prompt, self._how, self._stopper, f"{self._mark} {self._submitted}")
            self._window.append((self._submitted, self._executor.submit(run_job, job)))
            self._submitted += 1

    def _await(self, future: Future[ConversationalAgentRunResult]) -> None:
        while not future.done():
            self._count()
            wait([one for _, one in self._window if not one.done()], return_when=FIRST_COMPLETED)
        # Once it is done and not before, for else the last of all might never be counted.
        self._count()

    def _count(self) -> None:
        """Tells the bar of what is done, whether its place has come or not."""
        done = {index for index, future in self._window if future.done()} - self._counted
        self._counted |= done
        if self._bar is not None and done:
            self._bar.update(len(done))

    def _finish(self) -> None:
        error, self._prompts_error = self._prompts_error, None
        raise StopIteration if error is None else error

    def _stop(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._prompts = None
        for _, future in self._window:
            future.cancel()
        self._stopper.stop()
        if self._own_pool is not None:
            self._own_pool.shutdown(wait=False, cancel_futures=True)
        if isinstance(self._bar, _OwnBar):
            self._bar.close()


class _OwnBar:
    """A bar that was made here, and is closed here."""

    def __init__(self, bar: ProgressBar) -> None:
        self._bar = bar

    def update(self, n: float | None = 1) -> object:
        return self._bar.update(n)

    def close(self) -> None:
        self._bar.close()  # type: ignore[attr-defined]


def make_bar(progress: bool | ProgressBar | None, prompts: object, name: str | None) -> ProgressBar | None:
    """Makes what tells the progress of a map.

    Args:
        progress: True for a bar of tqdm; or what tells it instead.
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
