"""One thread that keeps all sessions of the process alive, and notices links that have died."""

from __future__ import annotations

import functools
import heapq
import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from sessionlib.link import LinkOptions
from sessionlib.transport import Transport
from sessionlib.wire import codec, frames

__all__ = ["Heart", "Pulse", "abandon", "unwatch", "watch"]

logger = logging.getLogger("sessionlib")

# The official client sends its application-level ping every 5 s.
SESSION_PING_INTERVAL = 5.0


class Pulse:
    """When the pings of one session are due, and how long its engine may be silent.

    Args:
        options: How long that is.
    """

    def __init__(self, options: LinkOptions) -> None:
        self._interval = options.ping_interval
        self._session_interval = min(SESSION_PING_INTERVAL, options.ping_interval)
        self._patience = options.ping_interval + options.pong_timeout
        self._next_ping = 0.0
        self._next_session_ping = 0.0

    def begin(self, now: float) -> float:
        """Counts from now, and gives the time of the first beat."""
        self._next_ping = now + self._interval
        self._next_session_ping = now + self._session_interval
        return self.rest(now)

    def rest(self, now: float) -> float:
        """Gives the time of the next beat when there is no link."""
        return now + min(self._session_interval, self._patience)

    def beat(self, transport: Transport, session_id: str, now: float) -> float:
        """Sends what is due without waiting, ends a link that is silent, and gives the time of the next beat."""
        silent_for = now - transport.heard
        if silent_for >= self._patience:
            logger.info("! session %s: nothing heard for %.1f s", session_id, silent_for)
            transport.abort()
            return self.rest(now)
        if now >= self._next_ping:
            self._next_ping = now + self._interval
            transport.ping()
        if now >= self._next_session_ping:
            self._next_session_ping = now + self._session_interval
            transport.post(codec.dumps(frames.ping_session(session_id)))
        return min(self._next_ping, self._next_session_ping, transport.heard + self._patience)


class Heart(Protocol):
    """What can be kept alive."""

    def beat(self, now: float) -> float:
        """Does what is due without ever waiting, and gives the time of the next beat."""

    def let_go(self) -> None:
        """Ends it without waiting: nobody has a use for it any more."""


class _Keeper:
    """Calls each heart when its time has come; its thread lives for as long as there are any."""

    def __init__(self) -> None:
        # Protects the hearts, their times, and whether the thread runs.
        self._changed = threading.Condition(threading.Lock())
        self._due: list[tuple[float, int, Heart]] = []
        self._hearts: set[Heart] = set()
        # What the garbage collector found. It may run inside our lock, and only leaves it here.
        self._abandoned: deque[Heart] = deque()
        self._order = itertools.count()
        self._thread: threading.Thread | None = None

    def watch(self, heart: Heart, first: float) -> None:
        with self._changed:
            self._hearts.add(heart)
            heapq.heappush(self._due, (first, next(self._order), heart))
            self._changed.notify()
            if self._thread is None:
                # A daemon: it must not keep a script alive that forgot to disconnect.
                thread = threading.Thread(target=self._run, name="sessionlib-heartbeat", daemon=True)
                thread.start()  # if there can be no more threads, the next session tries again
                self._thread = thread

    def unwatch(self, heart: Heart) -> None:
        with self._changed:
            self._forget(heart)
            self._changed.notify()

    def abandon(self, heart: Heart) -> None:
        self._abandoned.append(heart)
        # Who holds the lock, if it is not the very thread that this runs on, looks before it waits; at
        # worst the heart is let go with the next beat of any.
        if self._changed.acquire(blocking=False):
            try:
                self._changed.notify()
            finally:
                self._changed.release()

    def _run(self) -> None:
        while (act := self._next()) is not None:
            try:
                act()
            except Exception:  # one session's failure must not stop the others' hearts
                logger.exception("! a heartbeat failed")

    def _beat(self, heart: Heart) -> None:
        following = time.monotonic() + SESSION_PING_INTERVAL
        try:
            following = heart.beat(time.monotonic())
        finally:
            with self._changed:
                if heart in self._hearts:
                    heapq.heappush(self._due, (following, next(self._order), heart))

    def _forget(self, heart: Heart) -> None:
        self._hearts.discard(heart)
        if not self._hearts:
            self._due.clear()

    def _next(self) -> Callable[[], None] | None:
        """Waits until there is something to do; None when no hearts are left and the thread is to end."""
        with self._changed:
            while self._hearts:
                if self._abandoned:
                    heart = self._abandoned.popleft()
                    self._forget(heart)
                    return heart.let_go
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    heart = heapq.heappop(self._due)[2]
                    if heart in self._hearts:
                        return functools.partial(self._beat, heart)
                else:
                    self._changed.wait(wait)
            self._thread = None
            return None


_keeper = _Keeper()


def watch(heart: Heart, first: float) -> None:
    """Begins to call a heart's `beat`.

    Args:
        heart: What to keep alive.
        first: The time of its first beat, on the monotonic clock; each beat tells the next.
    """
    _keeper.watch(heart, first)


def unwatch(heart: Heart) -> None:
    """Stops calling a heart; it may be in a beat still."""
    _keeper.unwatch(heart)


def abandon(heart: Heart) -> None:
    """Has a heart let go of on the keeper's thread, soon; takes no lock, and may run at any moment."""
    _keeper.abandon(heart)


def _start_anew() -> None:
    # The thread did not come along into the child, and its lock may have.
    global _keeper
    _keeper = _Keeper()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
