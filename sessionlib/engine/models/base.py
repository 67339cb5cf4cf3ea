"""What a model is: something that answers a question piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from sessionlib.engine.sessions.cancellation import Stop

__all__ = ["Asked", "Attachment", "Model", "Offer", "Piece", "Question", "Result", "Said", "Text", "Thinking"]


@dataclass(frozen=True)
class Text:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True)
class Thinking:
    """A piece of what the model thinks before it answers."""

    text: str


@dataclass(frozen=True)
class Asked:
    """A tool call that the model asks for.

    Attributes:
        tool: The tool's name, as the model gave it.
        arguments: Its arguments; the raw text where that was no JSON object.
    """

    tool: str
    arguments: dict[str, Any] | str


Piece = Text | Thinking | Asked


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
class Offer:
    """A tool that the model may call.

    Attributes:
        schema: JSON schema of its arguments.
    """

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What a model is asked: everything it may know.

    Attributes:
        instructions: The agent's.
        said: The conversation, in order.
        tools: The tools it may call.
        stop: Tells when nobody waits for the answer any more.
    """

    instructions: str
    said: tuple[Said, ...]
    tools: tuple[Offer, ...] = ()
    stop: Stop = field(default_factory=Stop)


@runtime_checkable
class Model(Protocol):
    """Answers questions; used by many threads at once.

    Attributes:
        name: What it is called, such as "demo".
    """

    name: str

    def answer(self, question: Question) -> Iterator[Piece]:
        """Gives one step piece by piece; a step that asks for no tool call ends the turn.

        Raises:
            ModelError: It failed; the text says why.
            StoppedError: ``question.stop`` was used.
        """

    def close(self) -> None:
        """Gives back what the model holds."""
