"""Language models behind one small interface: a request in, chunks of an answer out.

A new model is a module here and a name in `factory`. Models never see a session, a store or a socket of the
engine; what they may call is described to them, and called by the turn.
"""

from sessionlib.engine.models.base import Asked, Attachment, Model, Offer, Piece, Question, Result, Said, Text, Thinking
from sessionlib.engine.models.demo import DemoModel
from sessionlib.engine.models.factory import make_model
from sessionlib.engine.models.llama import LocalModel
from sessionlib.engine.models.openai import OpenAIModel

__all__ = [
    "Asked",
    "Attachment",
    "DemoModel",
    "LocalModel",
    "Model",
    "Offer",
    "OpenAIModel",
    "Piece",
    "Question",
    "Result",
    "Said",
    "Text",
    "Thinking",
    "make_model",
]
