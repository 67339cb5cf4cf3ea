"""The threads that work on turns: one for each session that has something to do, and none otherwise. And retention."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable

from sessionlib._util.timing import Deadline
from sessionlib.engine.errors import StorageError
from sessionlib.engine.sessions.cancellation import Timers
from sessionlib.engine.sessions.session import LiveSession
from sessionlib.engine.sessions.turn import EngineContext, TurnRun

__all__ = ["Retention", "Runner"]

logger = logging.getLogger(__name__)

_CLOSED = "the engine was stopped"
_RETRY_SECONDS = 1.0
_RETENTION_SECONDS = 3600.0


class Runner:
    """Starts and ends the threads that work on turns.

    Args:
        kit: What turns work with.
        alarms: Keeps their time.
    """

    def __init__(self, kit: EngineContext, alarms: Timers) -> None:
        self._kit = kit
        self._alarms = alarms
        # Protects the table of threads and the closed flag.
        self._lock = threading.Lock()
        self._threads: dict[threading.Thread, LiveSession] = {}
        self._closed = False

    def begin(self, session: LiveSession) -> None:
        """Begins to work on a session that no worker has."""
        # A daemon, so that an engine that was not closed does not keep the interpreter from ending.
        thread = threading.Thread(
            target=self._work, args=(session,), name=f"sessionlib-turn-{session.id[:8]}", daemon=True
        )
        with self._lock:
            if self._closed:
                return
            # Under the lock: `close` may join only threads that have started.
            try:
                thread.start()
            except RuntimeError as error:  # the system has no more threads to give
                logger.warning("! session %s has to wait for a thread: %s", session.id, error)
                self._alarms.after(_RETRY_SECONDS, lambda: self.begin(session))
                return
            self._threads[thread] = session

    def close(self) -> None:
        """Stops all turns, and waits for their threads; a model that does not stop in time is left behind."""
        with self._lock:
            self._closed = True
            # A copy, as each thread removes itself.
            threads = dict(self._threads)
        for session in threads.values():
            # All of them first, so that they end beside each other and not one after another.
            session.stop.stop(_CLOSED)
        # A model of the user's own may wait for anything, and cannot be interrupted.
        seconds = self._kit.limits.stop_seconds
        deadline = Deadline(seconds)
        for thread, session in threads.items():
            thread.join(deadline.remaining())
            if thread.is_alive():
                logger.warning("! session %s: its model did not stop within %g s", session.id, seconds)

    def _work(self, session: LiveSession) -> None:
        try:
            while not self._closed and (found := session.current()) is not None:
                turn, stop = found
                if self._closed:  # closed just now, and this switch was not there yet
                    stop.stop(_CLOSED)
                # On the timers' one thread: a thread for each turn would only wait.
                over = functools.partial(stop.stop, f"its {self._kit.limits.turn_seconds:g} s are over")
                undo = self._alarms.after(self._kit.limits.turn_seconds, over)
                try:
                    if not TurnRun(self._kit, session, turn, stop).run():
                        return
                finally:
                    undo()
        finally:
            with self._lock:
                self._threads.pop(threading.current_thread(), None)


class Retention:
    """Removes old sessions now and then, on a thread of its own.

    Args:
        expire: Removes the sessions in which nothing was sent since a moment, and returns how many there were.
        keep_seconds: How long a session is kept after something was last sent in it.
    """

    def __init__(self, expire: Callable[[float], int], keep_seconds: float) -> None:
        self._expire = expire
        self._keep_seconds = keep_seconds
        self._closed = threading.Event()
        # A daemon, so that an engine that was not closed does not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._run, name="sessionlib-retention", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                removed = self._expire(time.time() - self._keep_seconds)
                if removed:
                    logger.info("= %d sessions were removed: nothing was sent in them for long", removed)
            except StorageError as error:
                # The disk may be full, or the file locked: it is tried again next time.
                logger.warning("! old sessions were not removed: %s", error)
            # A tenth of what is kept, so that nothing stays much longer; an hour at most.
            if self._closed.wait(max(0.2, min(_RETENTION_SECONDS, self._keep_seconds / 10))):
                return
