"""The real small model on this machine's CPU: collected where its weights were pulled, and always on CI."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import psutil
import pytest

from sessionlib.engine import LocalEngine, ModelError, tool
from sessionlib.engine.models import LocalModel, ModelMessage, ModelRequest, RequestedCall, TextDelta, ToolSpec, llama
from sessionlib.engine.models.llama import weights_path
from sessionlib.engine.sessions.cancellation import Stop, StoppedError
from tests.support.engine import Caller, answer_of, approve, contents, eventually, status_of
from tests.support.processes import ROOT, Script, run_script
from tests.support.profiles import profile


@pytest.fixture(scope="module")
def model() -> Iterator[LocalModel]:
    with contextlib.closing(LocalModel()) as loaded:
        yield loaded


def test_it_knows_the_capital_of_france(model: LocalModel) -> None:
    with LocalEngine(model=model) as engine, Caller.on(engine) as caller:
        heard = caller.ask("What is the capital of France?")
        assert "Paris" in answer_of(heard)
        assert len([frame for frame in heard if frame["type"] == "message_delta"]) > 3


def test_it_calls_a_tool_with_arguments_that_fit(model: LocalModel) -> None:
    @tool
    def add_numbers(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    with LocalEngine(tools=[add_numbers], model=model) as engine, Caller.on(engine) as caller:
        asked = caller.ask_for_approval("Use the tool add_numbers to add 2 and 3.")
        # It runs nothing of its own accord, though the tool is one that runs without approval.
        caller.ask(approve(), asked["id"])
        heard = caller.heard
        results = contents(heard, "tool_result")
        assert [(result["status"], result["output"]) for result in results] == [("complete", 5)]
        assert status_of(heard[-1]) == "Idle"


def test_a_text_of_many_tokens_is_shortened_and_endless_instructions_are_told(model: LocalModel) -> None:
    long = ModelMessage("user", "水火木金土" * 1600)
    assert next(model.answer(ModelRequest("", (long, ModelMessage("assistant", "水"), ModelMessage("user", "Hello!")))))
    with pytest.raises(ModelError, match="too long for it together"):
        list(model.answer(ModelRequest("x y z " * 20_000, (ModelMessage("user", "Hello!"),))))


def test_stopping_stops_it(model: LocalModel) -> None:
    stop = Stop()
    chunks = model.answer(ModelRequest("", (ModelMessage("user", "Tell me a long story."),), stop=stop))
    assert isinstance(next(chunks), TextDelta)
    stop.stop("enough")
    with pytest.raises(StoppedError, match="enough"):
        list(chunks)


# Loaded by each interpreter before anything else.
WATCH = """
import os, sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        assert isinstance(address, (str, bytes)) or address[0] == "127.0.0.1", address
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        assert arguments[0] == "127.0.0.1", arguments
    elif event == "subprocess.Popen":
        # The process of the model is watched as well; any other program could speak to other machines.
        assert arguments[0] == sys.executable and "serve_llama" in arguments[1][2], arguments

sys.addaudithook(watch)
open(os.path.join(os.path.dirname(__file__), f"watched {os.getpid()}"), "w").close()
"""


def test_the_command_line_answers_with_nothing_but_this_machine(tmp_path: Path) -> None:
    """Once the weights are there, no name is looked up and no other machine is spoken to."""
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    script = """
        import sys
        from sessionlib.cli import main

        sys.argv = ["sessionlib", "ask", "--model", "local", "What is the capital of France?"]
        sys.exit(main())
    """
    environment = {
        "XDG_CACHE_HOME": str(weights_path().parents[2]),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
    }
    asked = run_script(script, timeout=250.0, env=environment)
    assert (asked.rc, asked.stdout) == (0, "The capital of France is Paris.\n"), asked
    assert len(list(tmp_path.glob("watched *"))) == 2


def test_weights_that_cannot_be_loaded_are_told(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="cannot be loaded"):
        LocalModel(path)
    assert weights_path().exists()


# ---- its process ---------------------------------------------------------------------------

# 100 for the whole proof.
MOMENTS = int(os.environ.get("LOCAL_MODEL_MOMENTS", "3"))
HOME = {"XDG_CACHE_HOME": str(weights_path().parents[2]), "PYTHONWARNINGS": ""}


@pytest.mark.timeout(300 + 10 * MOMENTS)
def test_ctrl_c_at_any_moment_ends_the_command_with_130() -> None:
    script = """
        import sys
        from sessionlib.cli import main

        sys.argv = ["sessionlib", "ask", "--local", "--model", "local", "Tell me a long story about a fox."]
        print("ready", flush=True)
        main()
    """
    for moment in range(MOMENTS):
        with Script(script, env=HOME) as running:
            # From before the engine is imported to the middle of the answer.
            running.interrupt_at("ready", after=0.02 + 3.0 * moment / MOMENTS)
            ended = running.wait(30)
            assert (ended.rc, ended.stderr.strip()) == (130, ""), (moment, ended)


LEAVES = """
    import sys
    from sessionlib.engine import LocalEngine

    engine = LocalEngine(model="local").start()
    session = engine.agent().create_session().connect()
    for event in session.stream("Tell me a long story about a fox."):
        if event.delta:
            print("began", flush=True)
            break
"""


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "engine.close()", "session.terminate(); engine.close()"])
def test_a_script_that_ends_within_an_answer_ends_silently(end: str) -> None:
    ended = run_script(f"{LEAVES}\n    {end}", timeout=250.0, env=HOME)
    assert (ended.rc, ended.stdout, ended.stderr) == (0, "began\n", ""), ended


def test_its_process_ends_with_it_however_that_ends(tmp_path: Path) -> None:
    script = """
        import os
        from sessionlib.engine.models import LocalModel

        model = LocalModel()
        print("process", model._process._process.pid, flush=True)
        if not os.fork():
            raise SystemExit(0)  # which runs what was registered for the exit
        os.wait()
        print("forked", model._process._process.poll(), flush=True)
        import time
        time.sleep(60)
    """
    with Script(script, env={**HOME, "TMPDIR": str(tmp_path)}) as running:
        process = psutil.Process(int(running.wait_for("process", 60)))
        assert running.wait_for("forked") == "None"
        assert len(list(tmp_path.iterdir())) == 1
        running.kill()
        process.wait(30)
    eventually(lambda: not list(tmp_path.iterdir()))


def test_a_process_that_has_crashed_ends_its_turn_and_is_replaced() -> None:
    with (
        contextlib.closing(LocalModel()) as model,
        LocalEngine(model=model) as engine,
        engine.agent().create_session() as session,
    ):
        for event in session.stream("Tell me a long story about a fox."):
            if event.delta:
                model._process._process.kill()
                break
        failed = next(session.listen(timeout=30, event_types=["error"]))
        assert failed.error == "The local model's process ended."
        assert "Paris" in session.ask("What is the capital of France?", timeout=200).text
        # Before the end has been noticed: nothing was answered, so it can be asked again.
        model._process._process.kill()
        assert "Paris" in session.ask("What is the capital of France?", timeout=200).text


def test_an_answer_that_ends_at_the_limit_says_so(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama, "_ANSWER_TOKENS", 8)
    with LocalEngine(model=model) as engine, engine.agent().create_session() as session:
        reply = session.ask("Tell me a long story about a fox.")
        assert reply.status == "error"
        assert reply.error == "The local model's answer ended at the 8 tokens that it may have."
        assert reply.text


class City(TypedDict):
    name: str
    inhabitants: int


def test_its_answers_are_held_to_a_type(model: LocalModel) -> None:
    with LocalEngine(model=model) as engine, engine.agent().create_session() as session:
        city = session.ask("What is the capital of France?", into=City).value
        assert set(city) == {"name", "inhabitants"}
        assert isinstance(city["inhabitants"], int)


# ---- tools only when they are wanted -------------------------------------------------------


def _tool(name: str, description: str, *parameters: str) -> ToolSpec:
    properties = {parameter: {"type": "string"} for parameter in parameters}
    return ToolSpec(name, description, {"type": "object", "properties": properties, "required": list(parameters)})


SHOP = (
    _tool("delete_account", "Delete the account of a user.", "user_id"),
    _tool("find_order", "Find an order by its number.", "order_id"),
    _tool("convert_currency", "Convert an amount of money from one currency to another.", "amount", "source", "target"),
)
HOUSE = (
    _tool("turn_on_light", "Turn on the light in a room.", "room"),
    _tool("get_weather", "Get the current weather for a city.", "city"),
    _tool("set_timer", "Start a timer.", "minutes"),
)
TALK = """
Hello! | Hi, how are you? | Good morning! | Thank you very much! | Who wrote Hamlet? | What is the capital of France?
Tell me a joke. | I am tired today. | What is your name? | Do you like cats? | Why is the sky blue? | You are funny.
Write a haiku about spring. | That was helpful, thanks. | Good night. | Who was the first president of the USA?
Explain photosynthesis in one sentence. | I love pizza. | What should I read next? | How old is the universe?
Nice to meet you. | What is love? | Can you help me? | Are you a robot? | My dog is called Rex. | What is a black hole?
Recommend a good film. | I had a great day. | What is the meaning of life? | Say something nice. | Is pluto a planet?
Who painted the Mona Lisa? | Let's talk about history. | I feel sad. | Sing me a song. | How do birds fly? | Bye!
What does 'serendipity' mean? | I'm learning to cook. | When did World War II end?
"""
WANTING = [
    (
        SHOP,
        "Delete the account of user 42. | Please remove my account, my id is u17. | Where is my order 1234? "
        "| Look up order number 88. | What happened to order 5? | Convert 50 GBP to JPY. | Has order 91 been sent? "
        "| Convert ten dollars to euros. | I want my account deleted. | How much is 100 dollars in euros?",
    ),
    (
        HOUSE,
        "Turn on the light in the kitchen. | Switch the lights on in the bedroom. | What's the weather in Paris? "
        "| Will the weather in Rome be good today? | Set a timer for 10 minutes. | Start a timer of three minutes. "
        "| Lights in the bathroom, please. | Set the timer to 20 minutes. | Is it raining in Oslo right now? "
        "| I need more light in the hall.",
    ),
]


def _called(model: LocalModel, text: str, tools: tuple[ToolSpec, ...]) -> str | None:
    first = next(model.answer(ModelRequest("", (ModelMessage("user", text),), tools)))
    return first.tool if isinstance(first, RequestedCall) else None


def test_it_calls_tools_when_they_are_wanted_and_hardly_ever_else(model: LocalModel) -> None:
    talk = list(enumerate(re.split(r" \| |\n", TALK.strip())))
    wanting = [(tools, text) for tools, texts in WANTING for text in texts.split(" | ")]
    assert (len(talk), len(wanting)) == (40, 20)
    # Of a small model on a few cores, half of the questions take long enough.
    apart = 1 if profile() == "night" else 2
    # The tools of both change from one text to the next, so two in a row are taken, and two left out.
    taken = [(number, text) for number, text in talk if number // 2 % apart == 0]
    whims = [text for number, text in taken if _called(model, text, (SHOP, HOUSE)[number % 2])]
    wanted = [(text, _called(model, text, tools)) for tools, text in wanting[::apart]]
    assert len(whims) <= 2 // apart, whims
    assert len([called for _, called in wanted if called]) >= 15 // apart, wanted


def test_other_weights_may_choose_by_themselves() -> None:
    # These do so badly, which is why they are not left to.
    with contextlib.closing(LocalModel(weights_path())) as model:
        assert _called(model, "Who wrote Hamlet?", SHOP) in (None, *(tool.name for tool in SHOP))
