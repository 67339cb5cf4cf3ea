"""A model by its name."""

from __future__ import annotations

from sessionlib.engine.errors import ModelError
from sessionlib.engine.models.base import Model
from sessionlib.engine.models.demo import DemoModel
from sessionlib.engine.models.llama import LocalModel
from sessionlib.engine.models.openai import OpenAIModel

__all__ = ["make_model"]


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
    # At the first colon: the path of a file and the name of a model may have more.
    kind, colon, rest = named.partition(":")
    if named == "demo":
        return DemoModel()
    if kind == "local" and (rest or not colon):
        return LocalModel(rest or None)
    if kind == "openai" and rest:
        return OpenAIModel(rest)
    raise ModelError(f"there is no model {named!r}; there are demo, local, local:FILE.gguf and openai:NAME")
