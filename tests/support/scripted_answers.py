"""Models of an engine that answer by functions of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sessionlib.engine.models import ModelRequest, Piece

Answer = Callable[[ModelRequest], Iterator[Piece]]


class Scripted:
    """A model that answers by functions, one for each step."""

    name = "scripted"

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[ModelRequest] = []
        self._answers = answers

    def answer(self, question: ModelRequest) -> Iterator[Piece]:
        self.asked.append(question)
        return self._answers[min(len(self.asked), len(self._answers)) - 1](question)

    def close(self) -> None:
        raise AssertionError("a model that was handed in is not the engine's to close")


def says(*pieces: Piece) -> Answer:
    return lambda question: iter(pieces)
