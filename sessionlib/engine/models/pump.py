"""A model whose library blocks or calls back, as an iterator that a stopped turn can leave."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterator

from sessionlib.engine.models.base import Piece
from sessionlib.engine.sessions.cancellation import Stop

__all__ = ["Emit", "pumped"]

Emit = Callable[[Piece], bool]
"""Takes a piece; whether more are wanted."""

_numbers = itertools.count(1)


class _Pump:
    def __init__(self, produce: Callable[[Emit], None]) -> None:
        self._produce = produce
        self._pieces: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        self._wanted = True
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._produce(self._emit)
        except BaseException as error:  # noqa: BLE001 - raised where the pieces are taken
            self.error = error
        self._pieces.put(None)

    def take(self) -> Piece | None:
        return self._pieces.get()

    def leave(self) -> None:
        """Wants no more, and wakes whoever takes."""
        self._wanted = False
        self._pieces.put(None)

    def _emit(self, piece: Piece) -> bool:
        self._pieces.put(piece)
        return self._wanted


def pumped(produce: Callable[[Emit], None], stop: Stop, name: str) -> Iterator[Piece]:
    """Gives what a producer emits on a thread of its own.

    A producer that is in the middle of something when its turn is stopped is left behind; it ends at its
    own next step.

    Args:
        produce: Emits pieces until it has none, or until no more are wanted.
        stop: The turn's.
        name: Of the model, for the thread's name.

    Raises:
        StoppedError: The turn was stopped.
        Exception: What the producer raised.
    """
    pump = _Pump(produce)
    # A daemon, because what it waits for may never come.
    thread = threading.Thread(target=pump.run, name=f"sessionlib-model-{name}-{next(_numbers)}", daemon=True)
    thread.start()
    with stop.calling(pump.leave), contextlib.ExitStack() as leaving:
        leaving.callback(pump.leave)
        while (piece := pump.take()) is not None:
            yield piece
        stop.check()
    thread.join()
    error, pump.error = pump.error, None
    try:
        if error is not None:
            raise error
    finally:
        del error  # it leads to this frame: in a circle, the question would stay until the garbage collector comes by
