"""The threads that work on turns: one for each session that has something to do, and none otherwise."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sessionlib.engine.sessions.cancellation import Stop, Timers
from sessionlib.engine.sessions.session import LiveSession
from sessionlib.engine.sessions.turn import EngineContext, TurnRun

__all__ = ["Runner"]

logger = logging.getLogger(__name__)

_CLOSED = "the engine was stopped"
_RETRY_SECONDS = 1.0


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
        # A daemon, so that an engine nobody closed does not keep the interpreter from ending.
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
        """Stops all turns, and waits for their threads."""
        with self._lock:
            self._closed = True
            threads = dict(self._threads)
        for session in threads.values():
            session.stop(_CLOSED)
        for thread in threads:
            thread.join()

    def _work(self, session: LiveSession) -> None:
        try:
            while not self._closed and (found := session.current()) is not None:
                turn, stop = found
                if self._closed:  # closed just now, and this switch was not there yet
                    stop.stop(_CLOSED)
                undo = self._time(stop)
                try:
                    if not TurnRun(self._kit, session, turn, stop).run():
                        return
                finally:
                    undo()
        finally:
            with self._lock:
                self._threads.pop(threading.current_thread(), None)

    def _time(self, stop: Stop) -> Callable[[], None]:
        seconds = self._kit.limits.turn_seconds
        return self._alarms.after(seconds, lambda: stop.stop(f"its {seconds:g} s are over"))
