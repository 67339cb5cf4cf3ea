"""The off switch of one running turn."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator

from sessionlib._util.timing import MAX_WAIT, NEVER

__all__ = ["Stop", "StoppedError", "Timers"]


class StoppedError(Exception):
    """A turn was stopped; the message has the reason."""


class Stop:
    """Stops a turn once, and wakes what it waits for."""

    def __init__(self) -> None:
        # Protects the reason and the calls.
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._calls: list[Callable[[], None]] = []

    @property
    def stopped(self) -> bool:
        """Whether the turn was stopped."""
        return self._reason is not None

    @property
    def reason(self) -> str:
        """Why, or "" while it was not."""
        return self._reason or ""

    def stop(self, reason: str) -> None:
        """Stops the turn; only the first reason counts."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            # Taken under the lock and called outside: what they wake may ask this object again.
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def check(self) -> None:
        """Does nothing while the turn may go on.

        Raises:
            StoppedError: It was stopped.
        """
        if self._reason is not None:
            raise StoppedError(self._reason)

    @contextlib.contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        """Calls ``call`` when the turn is stopped during the block, or was before it."""
        with self._lock:
            stopped = self.stopped
            if not stopped:
                self._calls.append(call)
        # Too late to be called by `stop`, so it is called here; else the block would wait for what has happened.
        if stopped:
            call()
        try:
            yield
        finally:
            with self._lock:
                if call in self._calls:
                    self._calls.remove(call)


logger = logging.getLogger(__name__)


class Timers:
    """Calls functions at their time, on one thread; they have to be short.

    Args:
        name: Ends the thread's name.
    """

    def __init__(self, name: str) -> None:
        # Protects the heap, the set of alarms that still count, and the closed flag.
        self._changed = threading.Condition()
        # The number stands before the function, as functions cannot be compared.
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._live: set[int] = set()
        self._numbers = itertools.count()
        self._closed = False
        # A daemon, so that an engine that was not closed does not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._run, name=f"sessionlib-alarms-{name}", daemon=True)
        self._thread.start()

    def after(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Calls ``call`` after a while, unless what this returns is called before."""
        with self._changed:
            number = next(self._numbers)
            self._live.add(number)
            heapq.heappush(self._heap, (time.monotonic() + min(seconds, NEVER), number, call))
            # It may be sooner than what the thread waits for.
            self._changed.notify()

        def undo() -> None:
            with self._changed:
                self._live.discard(number)
                # Undone alarms are dropped from the heap now and then, not each in its own search.
                if len(self._heap) > 2 * len(self._live) + 64:
                    self._heap = [alarm for alarm in self._heap if alarm[1] in self._live]
                    heapq.heapify(self._heap)

        return undo

    def close(self) -> None:
        """Ends the thread; open alarms are not called any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (due := self._next()) is not None:
            try:
                due()
            except Exception:
                logger.exception("! an alarm failed")

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                # Undone alarms, which stay in the heap until they come to its top.
                while self._heap and self._heap[0][1] not in self._live:
                    heapq.heappop(self._heap)
                if not self._heap:
                    self._changed.wait()
                elif (left := self._heap[0][0] - time.monotonic()) > 0:
                    self._changed.wait(min(left, MAX_WAIT))
                else:
                    _, number, call = heapq.heappop(self._heap)
                    self._live.discard(number)
                    return call
        return None
