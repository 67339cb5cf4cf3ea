"""A clock that obeys."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass
class FakeClock:
    """Time that passes only when someone sleeps, so that hours of retries run in milliseconds.

    Pass its methods where code takes ``time.monotonic``, ``time.sleep`` or ``random.uniform``.

    Attributes:
        now: What the clock shows.
        sleeps: Every sleep and wait so far, in seconds.
        draws: Every range asked of ``uniform`` so far.
        fraction: Where in its range a draw lies, 0.0 to 1.0; None draws from ``rng``.
        rng: What draws.
    """

    now: float = 1000.0
    sleeps: list[float] = field(default_factory=list)
    draws: list[tuple[float, float]] = field(default_factory=list)
    fraction: float | None = None
    rng: random.Random = field(default_factory=lambda: random.Random(0))

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += max(0.0, seconds)

    def advance(self, seconds: float) -> None:
        """Moves the clock without a sleep; backwards too."""
        self.now += seconds

    def uniform(self, low: float, high: float) -> float:
        self.draws.append((low, high))
        if self.fraction is None:
            return self.rng.uniform(low, high)
        return low + (high - low) * self.fraction
