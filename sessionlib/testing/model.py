"""A model for the embedded engine that answers exactly what a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Union

from sessionlib.engine.errors import ModelError
from sessionlib.engine.models.base import Chunk, ModelRequest, RequestedCall, TextDelta, ThinkingDelta
from sessionlib.engine.sessions.cancellation import Stop

__all__ = ["Output", "ScriptedModel", "Step", "call_tool", "fail", "pause", "think"]


# No wait ends for another's event and for a stop at once.
_LOOK = 0.05


@dataclass(frozen=True)
class Fail:
    """The model fails here; see `fail`."""

    error: str


@dataclass(frozen=True)
class Pause:
    """The model sends nothing for a while; see `pause`."""

    until: float | threading.Event


Output = Union[str, ThinkingDelta, RequestedCall, Fail, Pause]
"""One thing that a model sends: a text, a thought, a tool call, a failure, or nothing for a while."""
Step = Union[Output, Iterable[Output], Callable[[ModelRequest], Union[Output, Iterable[Output]]]]
"""One answer of a model: one thing, several in a row, or a function of the request that returns them."""


def think(text: str) -> ThinkingDelta:
    """Makes a thought, which users see as a THINKING event.

    Args:
        text: What the model thinks.
    """
    return ThinkingDelta(text)


def call_tool(tool: str, /, **arguments: Any) -> RequestedCall:
    """Makes a tool call; the step ends with it, and the next step gets the result.

    Args:
        tool: The tool's name; an unknown one is an error for the model.
        **arguments: Its arguments.
    """
    return RequestedCall(tool, arguments)


def fail(error: str) -> Fail:
    """Makes the model fail, which ends the turn with an ERROR event.

    Args:
        error: Why.
    """
    return Fail(error)


def pause(until: float | threading.Event) -> Pause:
    """Makes the model wait; a turn that is stopped does not wait on.

    Args:
        until: For so many seconds, or until this event is set.
    """
    return Pause(until)


class ScriptedModel:
    """Answers each question with the next step of a script; threads may share it.

    For ``LocalEngine(model=...)``::

        model = ScriptedModel(
            [think("An order."), call_tool("refund", order_id="7")],
            ["Your order ", "was refunded."],
        )

    A turn takes one step, and another one after each step that calls tools. When the script is over, a turn
    ends with an error.

    Args:
        *steps: The script.

    Attributes:
        name: What it is called, "scripted".
        questions: What it was asked so far: each `ModelRequest` has ``messages``, the conversation, and ``tools``.
    """

    name = "scripted"

    def __init__(self, *steps: Step) -> None:
        self.questions: list[ModelRequest] = []
        # Protects the requests and the steps.
        self._lock = threading.Lock()
        self._steps = list(steps)
        self._used = 0

    def __repr__(self) -> str:
        return f"<ScriptedModel, {self._used} of {len(self._steps)} steps used>"

    @property
    def is_over(self) -> bool:
        """Whether the whole script has been used."""
        return self._used >= len(self._steps)

    def say(self, *steps: Step) -> None:
        """Adds steps to the end of the script.

        Args:
            *steps: The steps.
        """
        with self._lock:
            self._steps.extend(steps)

    def answer(self, question: ModelRequest) -> Iterator[Chunk]:
        """Yields the next step chunk by chunk.

        Args:
            question: What the engine asks.

        Raises:
            ModelError: The script fails here, or is over.
            StoppedError: The turn was stopped during a pause.
        """
        step: Any = self._next(question)
        if callable(step):
            step = step(question)
        is_one = isinstance(step, (str, ThinkingDelta, RequestedCall, Fail, Pause))
        for output in [step] if is_one else step:
            if isinstance(output, Fail):
                raise ModelError(output.error)
            if isinstance(output, Pause):
                _wait(output, question.stop)
            else:
                yield TextDelta(output) if isinstance(output, str) else output

    def close(self) -> None:
        """Holds nothing."""

    def _next(self, question: ModelRequest) -> Step:
        with self._lock:
            # Also those behind the script's end, which a test may want to look at.
            self.questions.append(question)
            if self.is_over:
                raise ModelError(
                    f"The script is over: the model was asked {len(self.questions)} times and has "
                    f"{len(self._steps)} steps; give ScriptedModel more of them."
                )
            # Under the lock: several sessions may ask at once, and each step is used once.
            self._used += 1
            return self._steps[self._used - 1]


def _wait(pause: Pause, stop: Stop) -> None:
    if isinstance(pause.until, threading.Event):
        while not pause.until.wait(_LOOK):
            stop.check()
        return
    # An event of its own, so that a stop ends the pause at once.
    stopped = threading.Event()
    with stop.calling(stopped.set):
        stopped.wait(pause.until)
    stop.check()
