"""Running things in several threads and making the interpreter switch between them often."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

JOIN_TIMEOUT = 30.0


@contextmanager
def in_threads(*calls: Callable[[], Any], timeout: float = JOIN_TIMEOUT) -> Iterator[list[Any]]:
    """Runs each call in a thread while the block runs, and waits for all at its end.

    Gives the list that holds what they returned, in the calls' order, once the block is over.
    """
    results: list[Any] = [None] * len(calls)
    failures: list[BaseException] = []

    def run(at: int, call: Callable[[], Any]) -> None:
        try:
            results[at] = call()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    yield results
    for thread in threads:
        thread.join(timeout)
    if failures:
        raise failures[0]
    assert not any(thread.is_alive() for thread in threads), _stuck(threads)


@contextmanager
def interrupted_after(call: Callable[[], Any]) -> Iterator[None]:
    """Interrupts the block once, as Ctrl-C does, as soon as the call has returned on another thread."""
    came = threading.Event()

    def interrupt(*_: object) -> None:
        if not came.is_set():
            came.set()
            raise KeyboardInterrupt

    def send() -> None:
        call()
        # Again and again: CPython notices a signal only at the end of a wait that it was about to begin.
        while not came.is_set():
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            came.wait(0.1)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with in_threads(send):
            yield
    finally:
        signal.signal(signal.SIGINT, before)


def raised_by(call: Callable[[], Any]) -> Exception | None:
    """What a call raises."""
    try:
        call()
    except Exception as error:
        return error
    return None


@contextmanager
def switching_often(interval: float = 1e-6) -> Iterator[None]:
    """Makes threads take turns as often as possible, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _stuck(threads: list[threading.Thread]) -> str:
    frames = sys._current_frames()
    stuck = [thread for thread in threads if thread.is_alive()]
    stacks = ["".join(traceback.format_stack(frames.get(thread.ident or 0))) for thread in stuck]
    return f"{len(stuck)} threads do not end:\n" + "\n".join(stacks)
