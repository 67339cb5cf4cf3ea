from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionlib.engine import LocalEngine, tool

from .helpers import Caller, Process


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("sessionlib-")}


def _sockets() -> set[str]:
    fds = Path("/proc/self/fd")
    if not fds.exists():
        return set()
    found = set()
    for fd in fds.iterdir():
        try:
            found.add(os.readlink(fd))
        except OSError:
            continue
    return {name for name in found if name.startswith("socket:")}


def _settles(check: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fails a test that leaves a thread or a socket behind."""
    threads, sockets = _threads(), _sockets()
    yield
    gc.collect()
    assert _settles(lambda: not _threads() - threads), f"threads left: {_threads() - threads}"
    assert _settles(lambda: not _sockets() - sockets), f"sockets left: {_sockets() - sockets}"


@tool
def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    Args:
        a: The first.
        b: The second.
    """
    return a + b


@tool(approval="requires_approval")
def refund(order_id: str, amount: float = 1.0) -> str:
    """Refund an order."""
    return f"refunded {amount:g} for {order_id}"


@tool(approval="let_agent_decide")
def note(text: str) -> str:
    """Write a note."""
    return f"noted {text}"


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    with LocalEngine(tools=[add, refund, note]) as running:
        yield running


@pytest.fixture
def caller(engine: LocalEngine) -> Iterator[Caller]:
    with Caller.on(engine) as joined:
        yield joined


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts engines as processes of their own, and ends what is left of them."""
    started: list[Process] = []

    def start(*arguments: str, **options: Any) -> Process:
        started.append(Process(tmp_path, *arguments, **options))
        return started[-1]

    yield start
    for item in started:
        item.kill()
