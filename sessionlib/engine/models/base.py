"""The interface of a model: a request in, chunks of one step out."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from sessionlib.engine.sessions.cancellation import Stop

__all__ = [
    "LEFT_OUT",
    "Attachment",
    "CallResult",
    "Chunk",
    "Emit",
    "Finish",
    "FinishReason",
    "Model",
    "ModelMessage",
    "ModelRequest",
    "Notice",
    "RequestedCall",
    "TextDelta",
    "ThinkingDelta",
    "ToolSpec",
    "produce_in_thread",
]


@dataclass(frozen=True)
class TextDelta:
    """A part of the answer's text."""

    text: str


@dataclass(frozen=True)
class ThinkingDelta:
    """A part of what the model thinks before it answers."""

    text: str


@dataclass(frozen=True)
class RequestedCall:
    """A tool call that the model asks for.

    Attributes:
        tool: The tool's name, as the model wrote it.
        arguments: Its arguments; the raw text where that was no JSON object.
        origin: What the model wants to have back beside this call, as JSON; kept with the call and handed to the
            model again in `CallResult.origin`.
    """

    tool: str
    arguments: dict[str, Any] | str
    origin: dict[str, Any] | None = field(default=None, compare=False, repr=False)


FinishReason = Literal["length", "content_filter", "refusal", "error"]


@dataclass(frozen=True)
class Finish:
    """The last chunk of a step that did not end by itself; the turn ends with an error, its text so far is kept.

    Attributes:
        reason: What ended it.
        message: The same in one sentence, for the user.
    """

    reason: FinishReason
    message: str


@dataclass(frozen=True)
class Notice:
    """Something that users should know about how the answer was made; shown once in a session for each ``kind``.

    Attributes:
        kind: Identifies the notice, such as "context".
        text: One sentence.
    """

    kind: str
    text: str


LEFT_OUT = Notice("context", "Older messages of this session were left out: with them the model's context is too long.")

Chunk = TextDelta | ThinkingDelta | RequestedCall | Finish | Notice
"""What a model yields."""


@dataclass(frozen=True)
class Attachment:
    """A file in the conversation.

    Attributes:
        size: Its size in bytes.
        text: Its text, truncated, or None when it is not a text.
    """

    name: str
    mime_type: str
    size: int
    text: str | None = None


@dataclass(frozen=True)
class CallResult:
    """A past call with its outcome.

    Attributes:
        status: "complete", "error" or "denied".
        output: The tool's result, the error, or the reason of the denial.
        origin: The `RequestedCall.origin` of the call.
    """

    call_id: str
    tool: str
    arguments: dict[str, Any]
    status: str
    output: Any
    origin: dict[str, Any] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class ModelMessage:
    """A part of the conversation: what a person wrote, or one step of the model.

    Attributes:
        role: "user" or "assistant".
        text: The text.
        files: Files that came with it.
        results: The step's tool calls with their results, in order.
        failure: Why the turn ended here without an answer, or "".
        thoughts: What the model thought before the text.
    """

    role: str
    text: str = ""
    files: tuple[Attachment, ...] = ()
    results: tuple[CallResult, ...] = ()
    failure: str = ""
    thoughts: str = field(default="", compare=False, repr=False)

    @property
    def chars(self) -> int:
        """How many characters of text, files and results are in it."""
        texts = [self.text, *(file.text or "" for file in self.files), *(str(item.output) for item in self.results)]
        return sum(map(len, texts))


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
        messages: The conversation, in order.
        tools: The tools it may call.
        stop: Cancels the answer, for example because the session was terminated.
        response_format: What the final answer has to fit: ``name`` and ``schema``, a JSON schema; None for any text.
    """

    instructions: str
    messages: tuple[ModelMessage, ...]
    tools: tuple[ToolSpec, ...] = ()
    stop: Stop = field(default_factory=Stop)
    response_format: dict[str, Any] | None = None

    @property
    def said(self) -> tuple[ModelMessage, ...]:
        """The former name of ``messages``."""
        return self.messages


@runtime_checkable
class Model(Protocol):
    """Answers requests; used by many threads at once.

    A model whose ``confirms_tools`` is true is too unreliable to act alone: every call of it waits for a person,
    those of ``auto_run`` tools too.

    Attributes:
        name: What it is called, such as "demo".
    """

    name: str

    def answer(self, question: ModelRequest) -> Iterator[Chunk]:
        """Yields one step as it is made; a step that asks for no tool call ends the turn.

        Raises:
            ModelError: It failed; the message has the reason.
            StoppedError: ``question.stop`` was used.
        """

    def close(self) -> None:
        """Releases what the model holds."""


Emit = Callable[[Chunk], bool]
"""Takes a chunk; returns whether more are wanted."""

_numbers = itertools.count(1)


def produce_in_thread(produce: Callable[[Emit], None], stop: Stop, name: str) -> Iterator[Chunk]:
    """Yields what a producer emits on a thread of its own.

    A producer that is blocked when its turn is stopped is abandoned; it ends at its own next step.

    Args:
        produce: Emits chunks until it has none left, or until no more are wanted.
        stop: The turn's.
        name: Of the model, for the thread's name.

    Raises:
        StoppedError: The turn was stopped.
        Exception: What the producer raised.
    """
    # Without a bound: a producer that blocked on a full one would hold its connection for as long.
    chunks: queue.SimpleQueue[Chunk | None] = queue.SimpleQueue()
    abandoned = threading.Event()
    failures: list[BaseException] = []

    def emit(chunk: Chunk) -> bool:
        chunks.put(chunk)
        return not abandoned.is_set()

    def run() -> None:
        try:
            produce(emit)
        except BaseException as error:  # noqa: BLE001 - raised on the consumer's thread
            # Raised on the thread that consumes, behind all chunks that came before it.
            failures.append(error)
        chunks.put(None)

    def abandon() -> None:
        abandoned.set()
        chunks.put(None)  # wakes the consumer

    # A daemon, because what it waits for may never come.
    thread = threading.Thread(target=run, name=f"sessionlib-model-{name}-{next(_numbers)}", daemon=True)
    thread.start()
    with stop.calling(abandon), contextlib.ExitStack() as leaving:
        # Also where the consumer stops without the turn being stopped, as at a tool call too many.
        leaving.callback(abandon)
        while (chunk := chunks.get()) is not None:
            yield chunk
        stop.check()
    thread.join()
    error = failures.pop() if failures else None
    try:
        if error is not None:
            raise error
    finally:
        del error  # its traceback leads to this frame: the cycle would keep the request until a garbage collection
