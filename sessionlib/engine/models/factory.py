"""A model by its name."""

from __future__ import annotations

from sessionlib.engine.errors import ModelError
from sessionlib.engine.models.base import Model
from sessionlib.engine.models.demo import DemoModel
from sessionlib.engine.models.llama import LocalModel
from sessionlib.engine.models.openai import OpenAIModel

__all__ = ["KNOWN", "is_known", "make_model"]

KNOWN = "demo, local, local:FILE.gguf and openai:NAME"
"""The names that there are, for errors."""


def is_known(named: str) -> bool:
    """Returns whether there is a model of that name, wherever its weights or its endpoint are."""
    kind, _, rest = named.partition(":")
    return named in ("demo", "local") or (kind in ("local", "openai") and bool(rest))


def make_model(named: str | Model) -> Model:
    """Returns the model of a name.

    Args:
        named: "demo"; "local", or "local:" and the path of a GGUF file; "openai:" and a model of the
            endpoint at ``OPENAI_BASE_URL``; or a model of your own, which is given back.

    Raises:
        ModelError: There is none of that name, or it cannot be had.
        TypeError: It is neither a name nor a model.
    """
    if isinstance(named, Model):
        return named
    if not isinstance(named, str):
        missing = [part for part in ("name", "answer", "close") if not hasattr(named, part)]
        raise TypeError(f"model takes a name such as 'demo', or a model: {type(named).__name__} has no {missing[0]!r}")
    if not is_known(named):
        raise ModelError(f"there is no model {named!r}; there are {KNOWN}")
    # At the first colon: the path of a file and the name of a model may have more.
    kind, _, rest = named.partition(":")
    if kind == "demo":
        return DemoModel()
    return LocalModel(rest or None) if kind == "local" else OpenAIModel(rest)
