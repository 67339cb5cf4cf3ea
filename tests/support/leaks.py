"""Finding what a test left behind: threads, and open files or sockets."""

from __future__ import annotations

import gc
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sessionlib.testing.faults.connection import stack

SETTLE = 30.0
"""Seconds in which what was ended has to be gone; a machine under load takes its time."""

_COLLECT = 0.1
"""Seconds until the garbage is collected: nearly all that is left ends by itself, and collecting takes longer."""

_DESCRIPTORS = Path("/proc/self/fd")

# What belongs to the process and not to the test that happened to need it first.
_allowed_threads: list[re.Pattern[str]] = []
_allowed_descriptors = [re.compile(r"/dev/(null|u?random)")]


class LeakError(AssertionError):
    """Threads or descriptors are left over."""


def allow_threads(pattern: str) -> None:
    """Registers threads that live as long as the process, by a pattern that matches their name."""
    _allowed_threads.append(re.compile(pattern))


def allow_descriptors(pattern: str) -> None:
    """Registers files that stay open as long as the process, by a pattern that matches their path."""
    _allowed_descriptors.append(re.compile(pattern))


class Snapshot:
    """The threads and open descriptors of this process at one moment."""

    def __init__(self) -> None:
        self.threads = set(threading.enumerate())
        self.descriptors = _descriptors()

    def new_threads(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread not in self.threads and not _is_allowed(thread)]

    def new_descriptors(self) -> list[str]:
        """What is open now and was not then, such as ``7 socket:[4711]``; always empty without /proc."""
        opened = sorted(_descriptors() - self.descriptors)
        return [
            f"{number} {target}"
            for number, target in opened
            if not any(pattern.match(target) for pattern in _allowed_descriptors)
        ]

    def check(self, settle: float | None = None) -> None:
        settle = SETTLE if settle is None else settle
        begun = time.monotonic()
        if not self._settles(begun + min(_COLLECT, settle)):
            # An abandoned session may sit in a cycle; collecting it is its owner's right.
            gc.collect()
            if not self._settles(begun + settle):
                raise LeakError(self._describe())

    def _settles(self, end: float) -> bool:
        while self.new_threads() or self.new_descriptors():
            if time.monotonic() >= end:
                return False
            time.sleep(0.005)
        return True

    def _describe(self) -> str:
        threads = [f"thread {thread.name!r} is left over:\n{stack(thread)}" for thread in self.new_threads()]
        descriptors = [f"descriptor is left over: {line}" for line in self.new_descriptors()]
        return "\n".join([*threads, *descriptors])


@contextmanager
def no_leaks(settle: float | None = None) -> Iterator[Snapshot]:
    """Checks that a block leaves nothing behind."""
    snapshot = Snapshot()
    yield snapshot
    snapshot.check(settle)


def _is_allowed(thread: threading.Thread) -> bool:
    return any(pattern.match(thread.name) for pattern in _allowed_threads)


def _descriptors() -> set[tuple[int, str]]:
    if not _DESCRIPTORS.is_dir():
        return set()
    found = set()
    for name in os.listdir(_DESCRIPTORS):
        try:
            target = os.readlink(_DESCRIPTORS / name)
        except OSError:  # the descriptor of the listing itself
            continue
        found.add((int(name), target.removesuffix(" (deleted)")))
    return found
