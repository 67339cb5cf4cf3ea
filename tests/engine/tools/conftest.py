from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sessionlib.engine import tool
from sessionlib.engine.sessions.cancellation import Stop
from sessionlib.engine.tools import Outcome, run_tool


def run(function: Callable[..., Any], seconds: float = 60.0, limit: int = 1000, **arguments: Any) -> Outcome:
    """Runs a function as a tool, in a thread of its own."""
    return run_tool(tool(function), arguments, Stop(), seconds, limit)
