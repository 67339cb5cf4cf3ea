"""One thread that keeps all sessions of the process alive, and notices links that have died."""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import os
import threading
import time
from collections import deque
from typing import Protocol

from sessionlib.connection.options import ConnectionOptions
from sessionlib.protocol import codec, frames
from sessionlib.transport.base import Transport

__all__ = ["Monitored", "PingSchedule", "abandon", "unwatch", "watch"]

logger = logging.getLogger("sessionlib")

# The official client sends its application-level ping every 5 s.
SESSION_PING_INTERVAL = 5.0
# All pings of so large a part of that are sent together: one wake-up does for many sessions.
TOGETHER = 1 / 20


class PingSchedule:
    """When the pings of one session are due, and how long its engine may be silent.

    Args:
        options: How long that is.
    """

    def __init__(self, options: ConnectionOptions) -> None:
        self._interval = options.ping_interval
        self._session_interval = min(SESSION_PING_INTERVAL, options.ping_interval)
        self._patience = options.ping_interval + options.pong_timeout
        self._next = 0.0
        self._pinged = 0.0

    def begin(self, now: float) -> float:
        """Counts from now, and gives the time of the first beat."""
        self._next = self._after(now)
        return min(self._next, self.rest(now))

    def rest(self, now: float) -> float:
        """Gives the time of the next beat when there is no link."""
        return now + min(self._session_interval, self._patience)

    def beat(self, transport: Transport, session_id: str, now: float) -> float:
        """Sends what is due without waiting, ends a link that is silent, and gives the time of the next beat."""
        silent_for = now - transport.last_received_at
        if silent_for >= self._patience:
            logger.info("! session %s: nothing heard for %.1f s", session_id, silent_for)
            transport.abort()
            return self.rest(now)
        # Where the session's pings are answered, others would show no more than they do.
        if now >= self._ping_due(transport):
            self._pinged = now
            transport.ping()
        if now >= self._next:
            self._next = self._after(now)
            # Before it leaves, or its answer could come first.
            transport.traffic.pings.append(time.monotonic())
            transport.enqueue(codec.dumps_text(frames.ping_session(session_id)))
        return min(self._next, self._ping_due(transport), transport.last_received_at + self._patience)

    def _ping_due(self, transport: Transport) -> float:
        return max(transport.last_received_at, self._pinged) + self._interval

    def _after(self, now: float) -> float:
        step = self._session_interval * TOGETHER
        return math.floor((now + self._session_interval) / step) * step


class Monitored(Protocol):
    """What can be kept alive."""

    def beat(self, now: float) -> float:
        """Does what is due without ever waiting, and gives the time of the next beat."""

    def close_nowait(self) -> None:
        """Ends it without waiting: nobody has a use for it any more."""


class HeartbeatThread:
    """Calls each heart when its time has come; its thread lives for as long as there are any."""

    def __init__(self) -> None:
        # Protects the hearts, their times, and whether the thread runs.
        self._changed = threading.Condition(threading.Lock())
        self._due: list[tuple[float, int, Monitored]] = []
        self._hearts: set[Monitored] = set()
        # What the garbage collector found. It may run inside our lock, and only leaves it here.
        self._abandoned: deque[Monitored] = deque()
        self._order = itertools.count()
        self._thread: threading.Thread | None = None

    def watch(self, heart: Monitored, first: float) -> None:
        with self._changed:
            self._hearts.add(heart)
            heapq.heappush(self._due, (first, next(self._order), heart))
            self._changed.notify()
            if self._thread is None:
                # A daemon: it must not keep a script alive that forgot to disconnect.
                thread = threading.Thread(target=self._run, name="sessionlib-heartbeat", daemon=True)
                thread.start()  # if there can be no more threads, the next session tries again
                self._thread = thread

    def unwatch(self, heart: Monitored) -> None:
        with self._changed:
            self._forget(heart)
            self._changed.notify()

    def abandon(self, heart: Monitored) -> None:
        self._abandoned.append(heart)
        # Who holds the lock, if it is not the very thread that this runs on, looks before it waits; at
        # worst the heart is let go with the next beat of any.
        if self._changed.acquire(blocking=False):
            try:
                self._changed.notify()
            finally:
                self._changed.release()

    def _run(self) -> None:
        while self._go_round():
            pass

    def _go_round(self) -> bool:
        """Calls the hearts whose time has come next; False when none are left."""
        due = self._wait()
        if due is None:
            return False
        times = [(_beat(heart), heart) for heart in due]
        with self._changed:
            for following, heart in times:
                if heart in self._hearts:
                    heapq.heappush(self._due, (following, next(self._order), heart))
        return True

    def _forget(self, heart: Monitored) -> None:
        self._hearts.discard(heart)
        if not self._hearts:
            self._due.clear()

    def _wait(self) -> list[Monitored] | None:
        """Waits for hearts whose time has come, lets abandoned ones go, and gives None when none are left."""
        while True:
            with self._changed:
                abandoned = self._abandoned.popleft() if self._abandoned else None
                if abandoned is not None:
                    self._forget(abandoned)
                elif not self._hearts:
                    self._thread = None
                    return None
                elif due := self._take_due(time.monotonic()):
                    return due
                else:
                    self._changed.wait(self._due[0][0] - time.monotonic() if self._due else None)
            if abandoned is not None:
                _let_go(abandoned)

    def _take_due(self, now: float) -> list[Monitored]:
        due = []
        while self._due and self._due[0][0] <= now:
            heart = heapq.heappop(self._due)[2]
            if heart in self._hearts:
                due.append(heart)
        return due


def _beat(heart: Monitored) -> float:
    try:
        return heart.beat(time.monotonic())
    except Exception:  # one session's failure must not stop the others' hearts
        logger.exception("! a heartbeat failed")
        return time.monotonic() + SESSION_PING_INTERVAL


def _let_go(heart: Monitored) -> None:
    try:
        heart.close_nowait()
    except Exception:
        logger.exception("! a session could not be let go")


_keeper = HeartbeatThread()


def watch(heart: Monitored, first: float) -> None:
    """Begins to call a heart's `beat`.

    Args:
        heart: What to keep alive.
        first: The time of its first beat, on the monotonic clock; each beat tells the next.
    """
    _keeper.watch(heart, first)


def unwatch(heart: Monitored) -> None:
    """Stops calling a heart; it may be in a beat still."""
    _keeper.unwatch(heart)


def abandon(heart: Monitored) -> None:
    """Has a heart let go of on the keeper's thread, soon; takes no lock, and may run at any moment."""
    _keeper.abandon(heart)


def _start_anew() -> None:
    # The thread did not come along into the child, and its lock may have.
    global _keeper
    _keeper = HeartbeatThread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
