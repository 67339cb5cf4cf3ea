"""The embedded engine with tools that a person has to allow, and a record of what ran."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sessionlib import Agent, Session
from sessionlib.engine import LocalEngine, tool

FRONT = "127.0.0.2"
"""Where a proxy in front of the engine listens, on the engine's port."""


class Shop:
    """An engine, an agent on it, and what its tools did.

    Attributes:
        engine: The engine.
        agent: The agent.
        ran: Name and arguments of each run, in order.
    """

    def __init__(self) -> None:
        self.ran: list[tuple[Any, ...]] = []
        self._lock = threading.Lock()  # protects ran
        self.engine = LocalEngine(tools=self._tools(), allowed_hosts=[FRONT])
        self.agent: Agent

    def session(self, **options: Any) -> Session:
        """A new session with the agent; not connected."""
        return Session(owner_type="agent", owner_id=self.agent.id, client=self.engine.client(), **options)

    def join(self, session: Session, **options: Any) -> Session:
        """A second client of a session; not connected."""
        return Session(session_id=session.session_id, client=self.engine.client(), **options)

    def _note(self, *what: Any) -> None:
        with self._lock:
            self.ran.append(what)

    def _tools(self) -> list[Any]:
        @tool(approval="requires_approval")
        def refund(order: int, amount: float = 1.0) -> str:
            """Refund an order."""
            self._note("refund", order, amount)
            return f"refunded {order}"

        @tool(approval="requires_approval")
        def delete_file(name: str) -> str:
            """Delete a file."""
            self._note("delete_file", name)
            return f"deleted {name}"

        @tool(approval="requires_approval")
        def search_web(query: str) -> str:
            """Search."""
            self._note("search_web", query)
            return "nothing found"

        return [refund, delete_file, search_web]


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A shop whose engine runs."""
    shop = Shop()
    with shop.engine as engine:
        shop.agent = engine.agent()
        yield shop


def order(*numbers: int) -> str:
    """A message that makes the demo model ask for refunds."""
    return "\n".join(f'/tool refund {{"order": {number}}}' for number in numbers)
