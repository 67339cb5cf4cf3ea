"""Executors for `Agent.map` over Ray and Dask, set up so that nothing is run twice.

Any executor of ``concurrent.futures`` will do; these two are a few lines over what the libraries have. Workers on other
machines need ``checkpoint=`` in a directory that all of them share: by it they know what has been posted already.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError, ThreadPoolExecutor
from functools import partial
from typing import Any

from sessionlib._util.optional import extra

__all__ = ["dask", "ray"]

# Results of Dask that are fetched at a time.
_FETCHES = 8


class _RayExecutor(Executor):
    """Runs each call as a task of Ray."""

    library = "ray"

    def __init__(self, library: Any, options: dict[str, Any]) -> None:
        # A task that Ray ran again after a crash could only find out that its prompt had been claimed.
        self._run = library.remote(max_retries=0, retry_exceptions=False, **options)(_call)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = self._run.remote(fn, args, kwargs).future()
        return future


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)


def ray(**options: Any) -> Executor:
    """Returns an executor that runs on Ray, which is started if it is not running; needs the extra ``ray``.

    Args:
        **options: For `ray.remote`, such as ``num_cpus=0.1``: a run mostly waits.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    with extra("ray", "executors.ray()"):
        import ray as library
    if not library.is_initialized():
        library.init()
    return _RayExecutor(library, options)


class _DaskExecutor(Executor):
    """Runs each call as a task of Dask.

    The library's own executor waits for a task in a coroutine; where a result cannot be fetched, because the worker
    that had it has died, that coroutine fails and its future never completes (distributed 2026.8).
    """

    library = "distributed"

    def __init__(self, client: Any, options: dict[str, Any]) -> None:
        self._client = client
        self._options = options
        # Fetching a result blocks, and for seconds while a worker is dying.
        self._fetching = ThreadPoolExecutor(_FETCHES, "sessionlib-dask")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        task = self._client.submit(_call, fn, args, kwargs, **self._options)
        future: Future[Any] = Future()
        # Both ways: who cancels the future frees the worker.
        future.add_done_callback(lambda done: task.cancel() if done.cancelled() else None)
        task.add_done_callback(lambda _: self._fetching.submit(_deliver, task, future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._fetching.shutdown(wait, cancel_futures=cancel_futures)


def _deliver(task: Any, future: Future[Any]) -> None:
    try:
        result = task.result()
    except (Exception, CancelledError) as error:  # noqa: BLE001 - the task's, handed on
        outcome = partial(future.set_exception, error)
    else:
        outcome = partial(future.set_result, result)
    with contextlib.suppress(InvalidStateError):  # cancelled meanwhile
        outcome()


def dask(client: Any, **options: Any) -> Executor:
    """Returns an executor that runs on Dask, set up so that a lost worker's tasks are not run again.

    This sets ``allowed-failures`` of the scheduler to 0, for all its users; by default it runs a task four times before
    it fails. `Agent.map` then looks into the session of a lost run itself.

    Args:
        client: A ``distributed.Client``.
        **options: For its ``submit``, such as ``workers``.

    Returns:
        The executor; closing it does not close the client.

    Raises:
        TypeError: ``client`` is something else.
    """
    if not callable(getattr(client, "run_on_scheduler", None)):
        raise TypeError(f"executors.dask() takes a distributed.Client, not {type(client).__name__}")

    def allow_no_failures(dask_scheduler: Any) -> None:
        dask_scheduler.allowed_failures = 0

    # A setting of the scheduler; no task can have it for itself (distributed 2026.8).
    client.run_on_scheduler(allow_no_failures)
    # Not pure: two equal prompts are two runs.
    return _DaskExecutor(client, {"pure": False, "retries": 0, **options})
