"""Toxics: the faults of one direction; the names are those of Toxiproxy where it has the same."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Literal

from sessionlib.net.sockets import Waker

__all__ = ["Direction", "How", "Toxics"]

How = Literal["FIN", "RST"]
"""How a connection is ended."""


@dataclass(frozen=True)
class Toxics:
    """The faults of one direction; see the methods of `Direction`."""

    latency: float = 0.0
    jitter: float = 0.0
    bandwidth: float | None = None
    slice_size: int | None = None
    slice_delay: float = 0.0
    limit: int | None = None
    limit_how: How = "FIN"
    limit_serial: int = 0
    blackhole: bool = False
    close_delay: float = 0.0
    corruptions: tuple[tuple[int, int], ...] = ()
    repeats: tuple[tuple[int, int | None], ...] = ()


class Direction:
    """One direction of every connection; each method adds a toxic, ``clear`` removes all."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._changed = threading.Condition()  # protects all below; notified of each change
        self._toxics = Toxics()
        self._cuts_left: int | None = None
        self._limits = 0

    def __repr__(self) -> str:
        return f"<{self.name} {self._toxics}>"

    def latency(self, ms: float, jitter: float = 0.0) -> None:
        """Delays all bytes by ``ms``, give or take up to ``jitter``, keeping their order."""
        self._set(latency=ms / 1000, jitter=jitter / 1000)

    def bandwidth(self, bytes_per_second: float) -> None:
        """Passes at most so many bytes a second."""
        self._set(bandwidth=bytes_per_second)

    def slicer(self, size: int, delay: float = 0.0) -> None:
        """Writes ``size`` bytes at a time, with ``delay`` seconds after each."""
        self._set(slice_size=size, slice_delay=delay)

    def limit_data(self, count: int, how: How = "FIN", *, times: int | None = None) -> None:
        """Disconnects once so many of its bytes have passed in this direction.

        Args:
            count: Bytes that pass; 0 disconnects before the first.
            how: "FIN" ends both directions in order, "RST" resets both sides.
            times: How many connections to disconnect; None for all.
        """
        with self._changed:
            self._cuts_left = times
            # A serial number, by which each connection sees a limit that was set since.
            self._limits += 1
            self._set(limit=count, limit_how=how, limit_serial=self._limits)

    def blackhole(self) -> None:
        """Holds back everything, ends included, until ``clear``: a cable that was pulled out."""
        self._set(blackhole=True)

    def slow_close(self, ms: float) -> None:
        """Passes on a FIN only after ``ms``."""
        self._set(close_delay=ms / 1000)

    def corrupt(self, offset: int, xor: int = 0xFF) -> None:
        """Changes the byte at an offset of each connection, counted from its start."""
        self._add(corruptions=((offset, xor),))

    def dup(self, offset: int = 0, size: int | None = None) -> None:
        """Sends the bytes at an offset of each connection twice; without a size, to the end of their chunk."""
        self._add(repeats=((offset, size),))

    def clear(self) -> None:
        """Removes all toxics; what was held back passes."""
        with self._changed:
            self._toxics = Toxics()
            self._changed.notify_all()

    @property
    def toxics(self) -> Toxics:
        """The toxics now."""
        with self._changed:
            return self._toxics

    def _set(self, **toxics: object) -> None:
        with self._changed:
            # Replaced as a whole: what a pump has read stays one state, and is never half a change.
            self._toxics = replace(self._toxics, **toxics)  # type: ignore[arg-type]
            self._changed.notify_all()

    def _add(
        self,
        corruptions: tuple[tuple[int, int], ...] = (),
        repeats: tuple[tuple[int, int | None], ...] = (),
    ) -> None:
        now = self.toxics
        self._set(corruptions=now.corruptions + corruptions, repeats=now.repeats + repeats)

    def take_cut(self) -> bool:
        """Whether the calling connection is to be disconnected; counts it against ``times``."""
        with self._changed:
            if self._cuts_left == 0:
                return False
            if self._cuts_left is not None:
                self._cuts_left -= 1
            return True

    def wait_while_held(self, waker: Waker) -> None:
        """Blocks while everything is held back, or until the waker is set."""
        with self._changed:
            while self._toxics.blackhole and not waker.is_set():
                self._changed.wait()

    def wake(self) -> None:
        """Wakes all that wait in `wait_while_held`."""
        with self._changed:
            self._changed.notify_all()
