"""What a model is: something that answers a question piece by piece."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from sessionlib.engine.sessions.cancellation import Stop

__all__ = [
    "Attachment",
    "Emit",
    "Model",
    "ModelRequest",
    "Piece",
    "RequestedCall",
    "Result",
    "Said",
    "Text",
    "Thinking",
    "ToolSpec",
    "pumped",
]


@dataclass(frozen=True)
class Text:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True)
class Thinking:
    """A piece of what the model thinks before it answers."""

    text: str


@dataclass(frozen=True)
class RequestedCall:
    """A tool call that the model asks for.

    Attributes:
        tool: The tool's name, as the model gave it.
        arguments: Its arguments; the raw text where that was no JSON object.
    """

    tool: str
    arguments: dict[str, Any] | str


Piece = Text | Thinking | RequestedCall


@dataclass(frozen=True)
class Attachment:
    """A file in the conversation.

    Attributes:
        size: Its size in bytes.
        text: Its text, cut to size, or None when it is not a text.
    """

    name: str
    mime_type: str
    size: int
    text: str | None = None


@dataclass(frozen=True)
class Result:
    """A call of the past, with what became of it.

    Attributes:
        status: "complete", "error" or "denied".
        output: The tool's result, the error, or the reason of the denial.
    """

    call_id: str
    tool: str
    arguments: dict[str, Any]
    status: str
    output: Any


@dataclass(frozen=True)
class Said:
    """A part of the conversation: what a person wrote, or one step of the model.

    Attributes:
        role: "user" or "assistant".
        text: The text.
        files: Files that came with it.
        results: The step's tool calls with their results, in order.
        failure: Why the turn ended here without an answer, or "".
    """

    role: str
    text: str = ""
    files: tuple[Attachment, ...] = ()
    results: tuple[Result, ...] = ()
    failure: str = ""


@dataclass(frozen=True)
class ToolSpec:
    """A tool that the model may call.

    Attributes:
        schema: JSON schema of its arguments.
    """

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class ModelRequest:
    """What a model is asked: everything it may know.

    Attributes:
        instructions: The agent's.
        said: The conversation, in order.
        tools: The tools it may call.
        stop: Tells when nobody waits for the answer any more.
    """

    instructions: str
    said: tuple[Said, ...]
    tools: tuple[ToolSpec, ...] = ()
    stop: Stop = field(default_factory=Stop)


@runtime_checkable
class Model(Protocol):
    """Answers questions; used by many threads at once.

    Attributes:
        name: What it is called, such as "demo".
    """

    name: str

    def answer(self, question: ModelRequest) -> Iterator[Piece]:
        """Gives one step piece by piece; a step that asks for no tool call ends the turn.

        Raises:
            ModelError: It failed; the text says why.
            StoppedError: ``question.stop`` was used.
        """

    def close(self) -> None:
        """Gives back what the model holds."""


Emit = Callable[[Piece], bool]
"""Takes a piece; whether more are wanted."""

_numbers = itertools.count(1)


class _ModelPump:
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
    pump = _ModelPump(produce)
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
