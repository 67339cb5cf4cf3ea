"""The real small model on this machine's CPU; collected where its weights were pulled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionlib.engine import LocalEngine, ModelError, tool
from sessionlib.engine.models import LocalModel, Question, Said, Text
from sessionlib.engine.models.weights import weights_path
from sessionlib.engine.stop import Stop, StoppedError

from .helpers import Caller, answer_of, content_of, status_of


@pytest.fixture(scope="module")
def model() -> Iterator[LocalModel]:
    loaded = LocalModel()
    yield loaded
    loaded.close()


@pytest.mark.timeout(300)
def test_it_knows_the_capital_of_france(model: LocalModel) -> None:
    with LocalEngine(model=model) as engine, Caller.on(engine) as caller:
        heard = caller.ask("What is the capital of France?")
        assert "Paris" in answer_of(heard)
        assert len([frame for frame in heard if frame["type"] == "message_delta"]) > 3


@pytest.mark.timeout(300)
def test_it_calls_a_tool_with_arguments_that_fit(model: LocalModel) -> None:
    @tool
    def add_numbers(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    with LocalEngine(tools=[add_numbers], model=model) as engine, Caller.on(engine) as caller:
        heard = caller.ask("Use the tool add_numbers to add 2 and 3.")
        results = [content_of(frame) for frame in heard if content_of(frame).get("type") == "tool_result"]
        assert [(result["status"], result["output"]) for result in results] == [("complete", 5)]
        assert status_of(heard[-1]) == "Idle"


@pytest.mark.timeout(300)
def test_stopping_stops_it(model: LocalModel) -> None:
    stop = Stop()
    pieces = model.answer(Question("", (Said("user", "Tell me a long story."),), stop=stop))
    assert isinstance(next(pieces), Text)
    stop.stop("enough")
    with pytest.raises(StoppedError, match="enough"):
        list(pieces)


def test_weights_that_cannot_be_loaded_are_told(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="cannot be loaded"):
        LocalModel(path)
    assert weights_path().exists()
