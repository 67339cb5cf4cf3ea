"""Language models behind one small interface: a request in, chunks of an answer out.

A new model is a module here and a name in `factory`. Models never see a session, a store or a socket of the
engine; the tools are described to them, and called by the turn.
"""

from sessionlib.engine.models.base import (
    Attachment,
    CallResult,
    Chunk,
    Finish,
    Model,
    ModelMessage,
    ModelRequest,
    Notice,
    RequestedCall,
    TextDelta,
    ThinkingDelta,
    ToolSpec,
)
from sessionlib.engine.models.demo import DemoModel
from sessionlib.engine.models.factory import make_model
from sessionlib.engine.models.llama import LocalModel
from sessionlib.engine.models.openai import OpenAIModel

# Former names, for models that users have written.
Piece = Chunk
Result = CallResult
Said = ModelMessage
Text = TextDelta
Thinking = ThinkingDelta

__all__ = [
    "Attachment",
    "CallResult",
    "Chunk",
    "DemoModel",
    "Finish",
    "LocalModel",
    "Model",
    "ModelMessage",
    "ModelRequest",
    "Notice",
    "OpenAIModel",
    "Piece",
    "RequestedCall",
    "Result",
    "Said",
    "Text",
    "TextDelta",
    "Thinking",
    "ThinkingDelta",
    "ToolSpec",
    "make_model",
]
