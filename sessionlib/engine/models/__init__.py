"""The models behind one small interface: questions in, pieces of an answer out."""

from __future__ import annotations

from sessionlib.engine.errors import ModelError
from sessionlib.engine.models.base import Asked, Attachment, Model, Offer, Piece, Question, Result, Said, Text, Thinking
from sessionlib.engine.models.demo import DemoModel

__all__ = [
    "Asked",
    "Attachment",
    "DemoModel",
    "Model",
    "Offer",
    "Piece",
    "Question",
    "Result",
    "Said",
    "Text",
    "Thinking",
    "make_model",
]


def make_model(named: str | Model) -> Model:
    """Gives the model of a name.

    Args:
        named: "demo", or a model of your own, which is given back.

    Raises:
        ModelError: There is none of that name, or it cannot be had.
    """
    if isinstance(named, Model):
        return named
    if named == "demo":
        return DemoModel()
    raise ModelError(f"there is no model {named!r}; there is demo")
