"""What a check found."""

from __future__ import annotations

import time
from dataclasses import dataclass

__all__ = ["FAILED", "NOTE", "OK", "SKIPPED", "Finding", "since"]

OK, NOTE, SKIPPED, FAILED = "ok", "note", "skipped", "FAILED"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        name: What was looked at.
        outcome: "ok", "note", "skipped" or "FAILED".
        text: What was found.
        advice: What to do about it.
    """

    name: str
    outcome: str
    text: str
    advice: str = ""

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return self.outcome == FAILED


def since(began: float) -> str:
    """Gives the time since a moment of the monotonic clock."""
    return f"{(time.monotonic() - began) * 1000:.0f} ms"
