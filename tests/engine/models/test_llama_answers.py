"""The real small model on this machine's CPU: collected where its weights were pulled, and always on CI."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionlib.engine import LocalEngine, ModelError, tool
from sessionlib.engine.models import LocalModel, ModelRequest, Said, Text
from sessionlib.engine.models.llama import weights_path
from sessionlib.engine.sessions.cancellation import Stop, StoppedError
from tests.support.engine import Caller, answer_of, approve, content_of, status_of
from tests.support.processes import run_script


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
        asked = caller.ask_for_approval("Use the tool add_numbers to add 2 and 3.")
        # It runs nothing of its own accord, though the tool is one that runs without approval.
        caller.post(approve(), asked["id"])
        caller.until_status("Idle")
        heard = caller.heard
        results = [content_of(frame) for frame in heard if content_of(frame).get("type") == "tool_result"]
        assert [(result["status"], result["output"]) for result in results] == [("complete", 5)]
        assert status_of(heard[-1]) == "Idle"


@pytest.mark.timeout(300)
def test_a_text_of_many_tokens_is_shortened_and_endless_instructions_are_told(model: LocalModel) -> None:
    long = Said("user", "水火木金土" * 1600)
    assert next(model.answer(ModelRequest("", (long, Said("assistant", "水"), Said("user", "Hello!")))))
    with pytest.raises(ModelError, match="too long for it together"):
        list(model.answer(ModelRequest("x y z " * 20_000, (Said("user", "Hello!"),))))


@pytest.mark.timeout(300)
def test_stopping_stops_it(model: LocalModel) -> None:
    stop = Stop()
    pieces = model.answer(ModelRequest("", (Said("user", "Tell me a long story."),), stop=stop))
    assert isinstance(next(pieces), Text)
    stop.stop("enough")
    with pytest.raises(StoppedError, match="enough"):
        list(pieces)


@pytest.mark.timeout(300)
def test_the_command_line_answers_with_nothing_but_this_machine() -> None:
    """Once the weights are there, no name is looked up and no other machine is spoken to."""
    script = """
        import sys
        from sessionlib.cli import main

        def watch(event, arguments):
            if event in ("socket.connect", "socket.sendto"):
                address = arguments[1]
                assert isinstance(address, (str, bytes)) or address[0] == "127.0.0.1", address
            elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
                assert arguments[0] == "127.0.0.1", arguments
            elif event == "subprocess.Popen":
                raise AssertionError("a program that could")

        sys.addaudithook(watch)
        sys.argv = ["sessionlib", "ask", "--model", "local", "What is the capital of France?"]
        sys.exit(main())
    """
    asked = run_script(script, timeout=250.0, env={"XDG_CACHE_HOME": str(weights_path().parents[2])})
    assert (asked.rc, asked.stdout) == (0, "The capital of France is Paris.\n"), asked


def test_weights_that_cannot_be_loaded_are_told(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="cannot be loaded"):
        LocalModel(path)
    assert weights_path().exists()
