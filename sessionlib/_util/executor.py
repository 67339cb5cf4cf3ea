"""The thread of a session on which handlers and callbacks run that no call of the user is waiting for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

__all__ = ["SerialExecutor"]

Job = Callable[[], None]


class SerialExecutor:
    """Runs jobs in order on a thread of its own, started with the first job.

    Args:
        name: Returns the suffix of the thread's name; called when the thread is started.
    """

    def __init__(self, name: Callable[[], str]) -> None:
        self._name = name
        # Protects the queue and the thread. Reentrant, because a session that the garbage collector finds
        # may be stopped in the middle of anything.
        self._lock = threading.RLock()
        self._jobs: queue.SimpleQueue[Job | None] | None = None
        self._thread: threading.Thread | None = None

    def submit(self, job: Job) -> None:
        """Queues a job, which must not raise. Never blocks.

        Raises:
            RuntimeError: The thread cannot be started.
        """
        with self._lock:
            jobs = self._jobs
            if jobs is None:
                jobs = queue.SimpleQueue()
                # A daemon: a handler that never returns must not hold up the interpreter's exit.
                thread = threading.Thread(
                    target=_run, args=(jobs,), name=f"sessionlib-dispatcher-{self._name()[:8]}", daemon=True
                )
                thread.start()
                self._jobs, self._thread = jobs, thread
            jobs.put(job)

    def stop(self, wait: float) -> None:
        """Ends the thread once it has run its jobs; a later job starts a new one.

        Args:
            wait: Seconds to wait for that; after them the thread is left to end by itself.
        """
        with self._lock:
            jobs, thread = self._jobs, self._thread
            self._jobs = self._thread = None
        if jobs is None or thread is None:
            return
        jobs.put(None)
        # A handler may disconnect its own session; a thread cannot join itself.
        if thread is not threading.current_thread():
            thread.join(wait)


def _run(jobs: queue.SimpleQueue[Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job()
        del job  # it must not keep the session alive while there is nothing to do
