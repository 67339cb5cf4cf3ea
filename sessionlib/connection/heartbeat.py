"""One thread that keeps all sessions of the process alive, and notices connections that have died."""

from __future__ import annotations

import heapq
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

__all__ = ["STEP", "Monitored", "PingSchedule", "discard", "in_step", "is_busy", "unwatch", "wake_by", "watch"]

logger = logging.getLogger("sessionlib")

# The official client sends its application-level ping every 5 s.
SESSION_PING_INTERVAL = 5.0
# All pings of so large a part of that are sent together: one wake-up does for many sessions.
TOGETHER = 1 / 20
# What is asked for in between is as late as this.
STEP = 1 / 20
# From so many on, their answers are worth waiting for.
MANY = 8
# So many beats follow one on the other; then the threads that read have so many seconds for the answers. While one
# thread writes and another reads, each system call of the one makes the other wait for the interpreter: a turn that
# runs meanwhile takes the longer, the more follow. The last of more than so many rounds would come late.
ROUND = 8
PAUSE = 0.001
ROUNDS = 64


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
        """Counts from now, and returns the time of the first beat."""
        self._next = self._after(now)
        return min(self._next, self.rest(now))

    def rest(self, now: float) -> float:
        """Returns the time of the next beat when there is no connection."""
        return now + min(self._session_interval, self._patience)

    def beat(self, transport: Transport, session_id: str, now: float) -> float:
        """Sends what is due without waiting, ends a silent connection, and returns the time of the next beat."""
        received_at = transport.last_received_at
        silent_for = now - received_at
        if silent_for >= self._patience:
            logger.info("! session %s: nothing received for %.1f s", session_id, silent_for)
            transport.abort()
            return self.rest(now)
        # Where the session's pings are answered, more pings would show no more than they do.
        if now >= max(received_at, self._pinged) + self._interval:
            self._pinged = now
            transport.ping()
        if now >= self._next:
            self._next = self._after(now)
            # Before it leaves, or its answer could come first.
            transport.traffic.pinged(time.monotonic())
            transport.enqueue(codec.dumps_text(frames.ping_session(session_id)))
        # What has come meanwhile only puts these off: the next beat sees it.
        return min(self._next, max(received_at, self._pinged) + self._interval, received_at + self._patience)

    def _after(self, now: float) -> float:
        step = self._session_interval * TOGETHER
        return math.floor((now + self._session_interval) / step) * step


class Monitored(Protocol):
    """What the heartbeat thread keeps alive."""

    def beat(self, now: float) -> float:
        """Does what is due without ever blocking, and returns the time of the next beat."""

    def close_nowait(self) -> None:
        """Ends it without blocking, as nothing refers to it any more."""


class HeartbeatThread:
    """Calls each monitored object when its time has come; its thread lives for as long as there are any.

    Attributes:
        is_busy: Whether it is at many of them.
    """

    def __init__(self) -> None:
        # Protects the times, and whether the thread runs.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        # The times at which something is due, and what: thousands of sessions have a few times in common.
        self._queue: list[float] = []
        self._at: dict[float, dict[Monitored, None]] = {}
        # When each is due; infinity while it is in its beat.
        self._due: dict[Monitored, float] = {}
        # What the garbage collector found. It may run inside our lock, and only leaves it here.
        self._discarded: deque[Monitored] = deque()
        self.is_busy = False
        self._thread: threading.Thread | None = None

    def watch(self, monitored: Monitored, first: float) -> None:
        """See `watch`."""
        with self._lock:
            self._schedule(monitored, first)
            if self._thread is None:
                # A daemon: it must not keep a script alive that forgot to disconnect.
                thread = threading.Thread(target=self._run, name="sessionlib-heartbeat", daemon=True)
                thread.start()  # if there can be no more threads, the next session tries again
                self._thread = thread

    def wake_by(self, monitored: Monitored, at: float) -> None:
        """See `wake_by`."""
        due = self._due.get(monitored)  # without the lock, as every post passes here and hardly any is the first
        if due is None or due <= at:
            return
        with self._lock:
            due = self._due.get(monitored)
            if due is not None and at < due:
                self._schedule(monitored, in_step(at))

    def unwatch(self, monitored: Monitored) -> None:
        """See `unwatch`."""
        with self._lock:
            if self._forget(monitored) and not self._due:
                self._changed.notify()  # the thread ends

    def discard(self, monitored: Monitored) -> None:
        """See `discard`."""
        self._discarded.append(monitored)
        # The thread that holds the lock, if it is not the very thread that this runs on, looks before it waits; at
        # worst the object is closed with the next beat of any.
        if self._changed.acquire(blocking=False):
            try:
                self._changed.notify()
            finally:
                self._changed.release()

    def _schedule(self, monitored: Monitored, at: float) -> None:
        # In this order, as an interrupt may strike at each line: what stands at the time noted for it is taken then.
        if at not in self._at:
            heapq.heappush(self._queue, at)
            # Else the thread wakes in time by itself.
            if self._queue[0] == at:
                self._changed.notify()
            self._at[at] = {}
        self._at[at][monitored] = None
        before = self._due.get(monitored)
        self._due[monitored] = at
        if before != at:
            self._remove(monitored, before)

    def _forget(self, monitored: Monitored) -> bool:
        """Removes an object; returns whether it was there."""
        due = self._due.pop(monitored, None)
        self._remove(monitored, due)
        return due is not None

    def _remove(self, monitored: Monitored, at: float | None) -> None:
        if at is not None and at in self._at:
            self._at[at].pop(monitored, None)

    def _run(self) -> None:
        while True:
            due = self._wait()
            if due is None:
                return
            size = max(ROUND, math.ceil(len(due) / ROUNDS))
            for start in range(0, len(due), size):
                if start:
                    time.sleep(PAUSE)
                self._beat(due[start : start + size], is_busy=len(due) > MANY)
            del due  # nothing here keeps a session alive while it waits

    def _beat(self, due: list[Monitored], is_busy: bool) -> None:
        following: list[float] = []
        self.is_busy = is_busy
        for monitored in due:
            try:
                following.append(monitored.beat(time.monotonic()))
            except Exception:  # one session's failure must not stop the rest of the beats
                logger.exception("! a heartbeat failed")
                following.append(time.monotonic() + SESSION_PING_INTERVAL)
        self.is_busy = False
        with self._lock:
            for monitored, at in zip(due, following, strict=True):
                if at < self._due.get(monitored, -math.inf):  # neither forgotten nor woken earlier meanwhile
                    self._schedule(monitored, at)

    def _wait(self) -> list[Monitored] | None:
        """Waits for objects whose time has come, and closes discarded ones; None when none are left."""
        while True:
            with self._lock:
                discarded = self._discarded.popleft() if self._discarded else None
                if discarded is not None:
                    self._forget(discarded)
                elif not self._due:
                    self._queue.clear()
                    self._at.clear()
                    self._thread = None
                    return None
                elif due := self._take_due(time.monotonic()):
                    return due
                else:
                    self._changed.wait(self._queue[0] - time.monotonic() if self._queue else None)
            if discarded is not None:
                try:
                    discarded.close_nowait()
                except Exception:
                    logger.exception("! a session could not be closed")

    def _take_due(self, now: float) -> list[Monitored]:
        due: list[Monitored] = []
        # Where what was due at a time was forgotten, there is nothing to wake for.
        while self._queue and (self._queue[0] <= now or not self._at.get(self._queue[0])):
            at = heapq.heappop(self._queue)
            # Interrupted, one may stand at a time that is not noted for it any more, or a time have nothing at it.
            due += [monitored for monitored in self._at.pop(at, ()) if self._due.get(monitored) == at]
        self._due.update(dict.fromkeys(due, math.inf))
        return due


_heartbeat = HeartbeatThread()


def in_step(at: float) -> float:
    """Returns a time rounded up, as what is due for many at about the same time is worth one wake-up."""
    return math.ceil(at / STEP) * STEP


def is_busy() -> bool:
    """Whether the pings of many objects are leaving right now."""
    return _heartbeat.is_busy


def watch(monitored: Monitored, first: float) -> None:
    """Begins to call an object's `Monitored.beat`.

    Args:
        monitored: What to keep alive.
        first: The time of its first beat, on the monotonic clock; each beat returns that of the next.
    """
    _heartbeat.watch(monitored, first)


def wake_by(monitored: Monitored, at: float) -> None:
    """Has an object's next beat at a time, if it is not due before that."""
    _heartbeat.wake_by(monitored, at)


def unwatch(monitored: Monitored) -> None:
    """Stops calling an object; it may be in a beat still."""
    _heartbeat.unwatch(monitored)


def discard(monitored: Monitored) -> None:
    """Schedules an abandoned connection for closing on the heartbeat thread. Lock-free; safe in a finalizer."""
    _heartbeat.discard(monitored)


def _start_again_in_child() -> None:
    # The thread did not come along into the child, and its lock may have been held.
    global _heartbeat
    _heartbeat = HeartbeatThread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_again_in_child)
