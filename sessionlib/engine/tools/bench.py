"""The tools of one turn that run at the same time."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from sessionlib.engine.tools.runner import Outcome

__all__ = ["Bench"]

logger = logging.getLogger(__name__)


class Bench:
    """Runs tool calls, each on a thread of its own; all but `wake` is for the one thread that works on the turn.

    Args:
        size: How many may run at once.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._threads: dict[str, threading.Thread] = {}
        self._news: queue.SimpleQueue[tuple[str, Outcome] | None] = queue.SimpleQueue()

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._threads

    @property
    def busy(self) -> bool:
        """Whether a tool runs."""
        return bool(self._threads)

    @property
    def full(self) -> bool:
        """Whether no more may run now."""
        return len(self._threads) >= self._size

    def start(self, call_id: str, run: Callable[[], Outcome]) -> None:
        """Runs a call; ``run`` has to end within its limits, and soon when the turn is stopped."""
        # A daemon, so that an engine nobody closed does not keep the interpreter from ending.
        thread = threading.Thread(
            target=self._run, args=(call_id, run), name=f"sessionlib-call-{call_id[:8]}", daemon=True
        )
        thread.start()
        self._threads[call_id] = thread

    def take(self) -> tuple[str, Outcome] | None:
        """Waits for an outcome, and gives the call's id and it; None when somebody woke the waiting."""
        news = self._news.get()
        if news is not None:
            self._threads.pop(news[0]).join()
        return news

    def wake(self) -> None:
        """Ends the waiting, from any thread."""
        self._news.put(None)

    def clear(self) -> None:
        """Waits until nothing runs any more; outcomes are dropped."""
        while self.busy:
            self.take()

    def _run(self, call_id: str, run: Callable[[], Outcome]) -> None:
        try:
            outcome = run()
        except Exception:
            logger.exception("! tool call %s could not be run", call_id)
            outcome = Outcome.error("the engine could not run this tool; its log says why")
        self._news.put((call_id, outcome))
