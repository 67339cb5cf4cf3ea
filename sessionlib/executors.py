"""Executors for `Agent.map` over Ray and Dask, set up so that nothing is run twice.

Any executor of ``concurrent.futures`` will do; these two are a few lines over what the libraries have. Workers on other
machines need ``checkpoint=`` in a directory that all of them share: by it they know what has been posted already.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from sessionlib._util.optional import extra

__all__ = ["dask", "ray"]


class _RayExecutor(Executor):
    """Runs each call as a task of Ray."""

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


def dask(client: Any, **options: Any) -> Executor:
    """Returns an executor that runs on Dask, set up so that a lost worker's tasks are not run again.

    This sets ``allowed-failures`` of the scheduler to 0, for all its users; by default it runs a task four times before
    it gives up. `Agent.map` then looks into the session of a lost run itself.

    Args:
        client: A ``distributed.Client``.
        **options: For its ``get_executor``, such as ``workers``.

    Returns:
        The executor; closing it does not close the client.
    """
    client.run_on_scheduler(_allow_no_failures)
    executor: Executor = client.get_executor(**{"pure": False, "retries": 0, **options})
    return executor


def _allow_no_failures(dask_scheduler: Any) -> None:
    dask_scheduler.allowed_failures = 0
