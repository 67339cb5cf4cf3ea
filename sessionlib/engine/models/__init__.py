"""Language models behind one small interface: a request in, chunks of an answer out.

A new model is a module here and a name in `factory`. Models never see a session, a store or a socket of the
engine; what they may call is described to them, and called by the turn.
"""

from sessionlib.engine.models.base import (
    Attachment,
    Model,
    ModelRequest,
    Piece,
    RequestedCall,
    Result,
    Said,
    Text,
    Thinking,
    ToolSpec,
)
from sessionlib.engine.models.demo import DemoModel
from sessionlib.engine.models.factory import make_model
from sessionlib.engine.models.llama import LocalModel
from sessionlib.engine.models.openai import OpenAIModel

__all__ = [
    "Attachment",
    "DemoModel",
    "LocalModel",
    "Model",
    "ModelRequest",
    "OpenAIModel",
    "Piece",
    "RequestedCall",
    "Result",
    "Said",
    "Text",
    "Thinking",
    "ToolSpec",
    "make_model",
]
