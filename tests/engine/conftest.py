from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionlib.engine import LocalEngine, tool
from tests.support.engine import Caller, Process


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
def folder() -> Iterator[Path]:
    """A directory in memory, where that can be had: for what a disk would add nothing to but its time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


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
