"""Tools: how they are declared, and that nothing they do gets a turn stuck."""

from __future__ import annotations

import enum
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional

import pytest
from pydantic import BaseModel

from sessionlib.engine import EngineError, Limits, LocalEngine, tool
from sessionlib.engine.sessions.cancellation import Stop
from sessionlib.engine.tools import Outcome, run_tool
from sessionlib.engine.tools.schema import InvalidArgumentsError
from sessionlib.protocol import frames
from tests.support.engine import Caller, Process, answer_of, content_of, eventually
from tests.support.processes import is_running

# ---- declaring -----------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Box(BaseModel):
    size: int
    label: str = ""


def paint(
    box: Box,
    colour: Colour = Colour.RED,
    mode: Literal["fast", "slow"] = "fast",
    layers: Optional[list[int]] = None,
    schema: str = "plain",
    _hidden: bool = False,
) -> str:
    """Paint a box.

    Takes its time.

    Args:
        box: What to paint.
        colour (Colour): In which colour,
            of the two there are.
        mode: How.

    Returns:
        What was done.
    """
    return f"{box.size} {colour.value} {mode} {layers} {schema} {_hidden}"


def test_the_schema_comes_from_hints_and_docstring() -> None:
    declared = tool(paint)
    assert (declared.name, declared.approval) == ("paint", "auto_run")
    assert declared.description == "Paint a box.\n\nTakes its time."
    properties = declared.schema["properties"]
    assert list(properties) == ["box", "colour", "mode", "layers", "schema", "_hidden"]
    assert properties["box"]["description"] == "What to paint."
    assert properties["colour"]["description"] == "In which colour, of the two there are."
    assert properties["mode"]["enum"] == ["fast", "slow"]
    assert declared.schema["required"] == ["box"]
    assert "title" not in str(declared.schema)


def test_arguments_become_what_the_function_takes() -> None:
    values = tool(paint).validate({"box": {"size": 2}, "colour": "blue", "layers": [1], "_hidden": True})
    assert paint(**values) == "2 blue fast [1] plain True"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "box: "),
        ({"box": {"size": "x"}}, "box.size: "),
        ({"box": {"size": 1}, "colour": "green"}, "colour: "),
        ({"box": {"size": 1}, "more": 1}, "more: "),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgumentsError, match=told):
        tool(paint).validate(arguments)


def test_a_tool_is_still_the_function() -> None:
    @tool(approval="requires_approval", name="other", timeout=3)
    def double(n: int) -> int:
        """Double it."""
        return 2 * n

    assert double(4) == 8
    assert (double.name, double.timeout, double.__name__, double.__doc__) == ("other", 3, "double", "Double it.")
    assert repr(double) == "<tool other, requires_approval>"


def test_functions_that_cannot_be_tools_are_refused_at_once() -> None:
    def unhinted(x) -> None: ...  # type: ignore[no-untyped-def]

    def starred(*args: int) -> None: ...

    def positional(x: int, /) -> None: ...

    def strange(x: threading.Thread) -> None: ...

    for function, told in ((unhinted, "type hint"), (starred, "by name"), (positional, "by name"), (strange, "JSON")):
        with pytest.raises(TypeError, match=told):
            tool(function)
    with pytest.raises(TypeError, match="plain function"):
        tool(_coroutine_function())
    for options in ({"approval": "sometimes"}, {"name": "with space"}, {"timeout": 0}):
        with pytest.raises(ValueError, match=r"tool|name"):
            tool(**options)(positional_free)
    with pytest.raises(ValueError, match="two tools"):
        LocalEngine(tools=[positional_free, tool(positional_free)])


def positional_free() -> None:
    """Nothing."""


def _coroutine_function() -> Callable[[], Any]:
    namespace: dict[str, Any] = {}
    exec("async def coroutine(): pass", namespace)
    return namespace["coroutine"]  # type: ignore[no-any-return]


# ---- running in this process ---------------------------------------------------------------


@dataclass
class Point:
    x: int
    y: float


def run(function: Callable[..., Any], seconds: float = 60.0, limit: int = 1000, **arguments: Any) -> Outcome:
    return run_tool(tool(function), arguments, Stop(), seconds, limit)


def test_results_are_kept_as_json() -> None:
    def gives(n: int) -> Any:
        return [None, 1, "ü", Point(1, 2.5), {"a": [Box(size=1)]}, Path("/x"), b"bytes"][n]

    plain = [run(gives, n=n).output for n in range(7)]
    assert plain == [None, 1, "ü", {"x": 1, "y": 2.5}, {"a": [{"size": 1, "label": ""}]}, "/x", "bytes"]


def test_a_tool_that_raises_is_an_error_for_the_model() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def fails(n: int) -> None:
        raise [ValueError("no such order"), SystemExit(3), KeyboardInterrupt(), Odd(), ValueError("\ud800")][n]

    outcomes = [run(fails, n=n) for n in range(5)]
    assert {outcome.status for outcome in outcomes} == {"error"}
    assert [outcome.output for outcome in outcomes] == [
        "ValueError: no such order",
        "SystemExit: 3",
        "KeyboardInterrupt",
        "Odd: (its message cannot be read)",
        "ValueError: ?",
    ]


def test_what_has_no_json_form_is_text_and_a_success_since_the_tool_has_acted() -> None:
    def gives(n: int) -> Any:
        circle: list[Any] = []
        circle.append(circle)
        return [object(), float("nan"), circle, threading.Lock()][n]

    for n in range(4):
        outcome = run(gives, n=n)
        assert outcome.status == "complete"
        assert ["<object object", "nan", "[[...]]", "lock object"][n] in outcome.output


def test_results_are_cut_to_size() -> None:
    def long(size: int, in_list: bool) -> Any:
        return ["é" * size] if in_list else "é" * size

    for in_list in (False, True):
        output = run(long, limit=1000, size=100_000_000, in_list=in_list).output
        kept, told = output.rsplit("\n", 1)
        assert len(kept.encode()) <= 1000
        assert "cut" in told
    assert run(long, limit=1000, size=500, in_list=False).output == "é" * 500


def test_what_a_tool_prints_is_kept_apart(capsys: pytest.CaptureFixture[str]) -> None:
    started, go = threading.Event(), threading.Event()

    def chatty() -> None:
        print("to the tool")
        print("and errors", file=sys.stderr)
        started.set()
        go.wait(5)
        print("x" * 100_000)

    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(run(chatty)))
    thread.start()
    assert started.wait(5)
    print("to the program")
    go.set()
    thread.join()
    assert outcomes[0].printed.startswith("to the tool\nand errors\nxxx")
    assert len(outcomes[0].printed) <= 16 * 1024
    assert capsys.readouterr().out == "to the program\n"
    assert type(sys.stdout).__name__ != "_Switch"


def test_a_tool_that_takes_too_long_is_left_behind() -> None:
    go = threading.Event()

    def waits() -> None:
        go.wait(30)

    outcome = run(waits, seconds=0.1)
    assert (outcome.status, outcome.output) == ("error", "tool waits did not finish within 0.1 s")
    go.set()


def test_a_tools_own_time_limit_counts() -> None:
    go = threading.Event()

    @tool(timeout=0.1)
    def slow() -> None:
        """Wait."""
        go.wait(30)

    with LocalEngine(tools=[slow]) as engine, Caller.on(engine) as caller:
        assert "did not finish within 0.1 s" in answer_of(caller.ask("/tool slow"))
        go.set()


def test_terminating_stops_a_tool_and_nothing_is_heard_after_it() -> None:
    started, go = threading.Event(), threading.Event()

    @tool
    def slow() -> None:
        """Wait."""
        started.set()
        go.wait(30)

    with LocalEngine(tools=[slow]) as engine, Caller.on(engine) as caller:
        caller.say(frames.post_message(caller.session_id, "/tool slow"))
        assert started.wait(5)
        caller.say(frames.terminate_session(caller.session_id))
        caller.until(lambda frame: frame["type"] == "terminate_session")
        eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("sessionlib-turn")], 4)
        go.set()
        caller.say(frames.ping_session(caller.session_id))
        assert caller.hear()["type"] == "pong"


# ---- running in processes of their own -----------------------------------------------------

FILE = '''
import os, subprocess, sys, time
from sessionlib.engine import tool

def _note(path, text):
    with open(path, "a") as file:
        file.write(text)

@tool
def good(text: str) -> str:
    """Say it back."""
    print("printed")
    os.write(1, b"written past Python\\n")
    return text + " " + str(os.getpid())

@tool
def raises() -> None:
    """Raise."""
    raise ValueError("broken")

@tool
def odd() -> object:
    """Give something strange."""
    return object()

@tool
def huge() -> str:
    """Give 100 MB."""
    return "x" * 100_000_000

@tool
def leaves() -> None:
    """End the process."""
    os._exit(3)

@tool(timeout=3.0)
def hangs(pids: str, deaf: bool = False) -> None:
    """Start a child and hang."""
    if deaf:
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    _note(pids, f"{os.getpid()} {child.pid} ")
    time.sleep(60)

@tool(timeout=30)
def waits(pids: str) -> None:
    """Wait."""
    child = subprocess.Popen(["sleep", "60"])
    _note(pids, f"{os.getpid()} {child.pid} ")
    time.sleep(60)

@tool
def environment() -> str:
    """Tell the environment."""
    return " ".join(sorted(name for name in os.environ if "API_KEY" in name))
'''


@pytest.fixture
def tools_file(tmp_path: Path) -> Path:
    path = tmp_path / "tools.py"
    path.write_text(FILE)
    return path


@pytest.fixture
def isolated(tools_file: Path) -> Iterator[LocalEngine]:
    with LocalEngine(tools=str(tools_file), limits=Limits(tool_seconds=20.0)) as engine:
        yield engine


def _alive(pids: Path) -> list[int]:
    found = [int(pid) for pid in pids.read_text().split()] if pids.exists() else []
    return [pid for pid in found if is_running(pid)]


def _result(caller: Caller, command: str) -> dict[str, Any]:
    heard = caller.ask(command)
    return next(content_of(frame) for frame in heard if content_of(frame).get("type") == "tool_result")


def test_the_tools_of_a_file_run_in_another_process(isolated: LocalEngine) -> None:
    with Caller.on(isolated) as caller:
        first = _result(caller, '/tool good {"text": "hello"}')
        second = _result(caller, '/tool good {"text": "again"}')
        text, pid = first["output"].split()
        assert (text, first["printed"]) == ("hello", "printed\n")
        assert int(pid) != os.getpid()
        assert second["output"].split()[1] == pid


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/tool raises", "ValueError: broken"),
        ("/tool leaves", "ended its process (status 3)"),
        ("/tool good {}", "text: "),
    ],
)
def test_what_goes_wrong_there_is_an_error_and_the_next_call_works(
    isolated: LocalEngine, command: str, told: str
) -> None:
    with Caller.on(isolated) as caller:
        result = _result(caller, command)
        assert (result["status"], told in result["output"]) == ("error", True)
        assert _result(caller, '/tool good {"text": "fine"}')["status"] == "complete"


def test_a_huge_result_there_is_cut(isolated: LocalEngine) -> None:
    with Caller.on(isolated) as caller:
        output = _result(caller, "/tool huge")["output"]
        assert 64 * 1024 <= len(output) < 65 * 1024
        assert output.endswith("[cut: 100000000 characters in all]")


@pytest.mark.parametrize("deaf", ["false", "true"])
def test_a_tool_that_hangs_is_ended_with_its_children(isolated: LocalEngine, tmp_path: Path, deaf: str) -> None:
    pids = tmp_path / "pids"
    with Caller.on(isolated) as caller:
        # Its time is for the tool: the worker's start, which can take as long, has none of its own.
        assert _result(caller, '/tool good {"text": "ready"}')["status"] == "complete"
        result = _result(caller, f'/tool hangs {{"pids": "{pids}", "deaf": {deaf}}}')
        assert result["output"] == "tool hangs did not finish within 3 s and was ended"
        assert len(pids.read_text().split()) == 2
        eventually(lambda: not _alive(pids))
        assert _result(caller, '/tool good {"text": "fine"}')["status"] == "complete"


def test_terminating_ends_a_tool_with_its_children(isolated: LocalEngine, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with Caller.on(isolated) as caller:
        caller.say(frames.post_message(caller.session_id, f'/tool waits {{"pids": "{pids}"}}'))
        eventually(lambda: len(_alive(pids)) == 2)
        caller.say(frames.terminate_session(caller.session_id))
        caller.until(lambda frame: frame["type"] == "terminate_session")
        eventually(lambda: not _alive(pids), 4)


def test_the_engines_key_is_not_in_the_tools_environment(tools_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SESSIONLIB_API_KEY", "VECTORSHIFT_API_KEY", "OTHER_API_KEY"):
        monkeypatch.setenv(name, "secret")
    with LocalEngine(tools=str(tools_file)) as engine, Caller.on(engine) as caller:
        assert _result(caller, "/tool environment")["output"] == "OTHER_API_KEY"


def test_closing_the_engine_leaves_no_process_behind(tools_file: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with LocalEngine(tools=str(tools_file)) as engine, Caller.on(engine) as caller:
        caller.say(frames.post_message(caller.session_id, f'/tool waits {{"pids": "{pids}"}}'))
        eventually(lambda: len(_alive(pids)) == 2)
    # Killed they are, but what a tool has started is nobody's child here, and dies in its own time.
    eventually(lambda: not _alive(pids), 10)
    assert subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, check=False).stdout == b""


def test_killing_the_engine_leaves_no_process_behind(
    process: Callable[..., Process], tools_file: Path, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    engine = process("--tools", str(tools_file)).ready()
    with Caller.on(engine) as caller:
        caller.say(frames.post_message(caller.session_id, f'/tool waits {{"pids": "{pids}"}}'))
        eventually(lambda: len(_alive(pids)) == 2)
        engine.kill()
        eventually(lambda: not _alive(pids))


def test_only_so_many_processes_run_at_once(tools_file: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    limits = Limits(tool_processes=2)
    with LocalEngine(tools=str(tools_file), limits=limits) as engine, Caller.on(engine) as caller:
        caller.say(frames.post_message(caller.session_id, f'/tool waits {{"pids": "{pids}"}}\n' * 4))
        eventually(lambda: len(_alive(pids)) == 4)  # two tools, and a child of each
        with Caller.on(engine) as other:
            other.say(frames.post_message(other.session_id, '/tool good {"text": "hello"}'))
            other.until(lambda frame: content_of(frame).get("type") == "tool_call")
            assert len(pids.read_text().split()) == 4
            caller.say(frames.terminate_session(caller.session_id))
            other.until_status("Idle")
            assert "good gave: hello" in answer_of(other.heard)
    assert len(pids.read_text().split()) == 4


def test_an_idle_worker_that_has_died_is_replaced(isolated: LocalEngine) -> None:
    with Caller.on(isolated) as caller:
        pid = int(_result(caller, '/tool good {"text": "hello"}')["output"].split()[1])
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_running(pid))
        assert _result(caller, '/tool good {"text": "again"}')["status"] == "complete"


def test_a_tools_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    path = tmp_path / "tools.py"
    for source, told in (("x = 1", "declares no tool"), ("1 / 0", "ZeroDivisionError"), ("def", "SyntaxError")):
        path.write_text(source)
        with pytest.raises(EngineError, match=told):
            LocalEngine(tools=str(path))
    with pytest.raises(EngineError, match="nowhere"):
        LocalEngine(tools=str(tmp_path / "nowhere.py"))


def test_turns_have_a_time_limit() -> None:
    go = threading.Event()

    @tool
    def slow() -> None:
        """Wait."""
        go.wait(30)

    with LocalEngine(tools=[slow], limits=Limits(turn_seconds=2.0)) as engine, Caller.on(engine) as caller:
        begun = time.monotonic()
        heard = caller.ask("/tool slow")
        assert time.monotonic() - begun < 10
        assert "its 2 s are over" in content_of(heard[-2])["error"]
        assert "quotes" in answer_of(caller.ask("and now?"))
        go.set()
