"""The one thread of a session on which handlers and callbacks run that belong to nobody's call."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

__all__ = ["SerialExecutor"]

Job = Callable[[], None]


class SerialExecutor:
    """Runs jobs one after another on a thread of its own, started when first needed.

    Args:
        name: Makes the thread's name, when it is started.
    """

    def __init__(self, name: Callable[[], str]) -> None:
        self._name = name
        # Protects the queue and the thread. Reentrant, because a session that the garbage collector finds
        # may be stopped in the middle of anything.
        self._lock = threading.RLock()
        self._jobs: queue.SimpleQueue[Job | None] | None = None
        self._thread: threading.Thread | None = None

    def submit(self, job: Job) -> None:
        """Has a job run; it must not raise. Never waits.

        Raises:
            RuntimeError: The thread cannot be started.
        """
        with self._lock:
            jobs = self._jobs
            if jobs is None:
                jobs = queue.SimpleQueue()
                # A daemon: a handler that waits for ever must not hold up the interpreter's exit.
                thread = threading.Thread(
                    target=_run, args=(jobs,), name=f"sessionlib-dispatcher-{self._name()[:8]}", daemon=True
                )
                thread.start()
                self._jobs, self._thread = jobs, thread
            jobs.put(job)

    def stop(self, wait: float) -> None:
        """Ends the thread behind the jobs it has; a later job starts a new one.

        Args:
            wait: Seconds that the job in progress gets to end.
        """
        with self._lock:
            jobs, thread = self._jobs, self._thread
            self._jobs = self._thread = None
        if jobs is None or thread is None:
            return
        jobs.put(None)
        if thread is not threading.current_thread():
            thread.join(wait)


def _run(jobs: queue.SimpleQueue[Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job()
        del job  # it must not keep the session alive while there is nothing to do
