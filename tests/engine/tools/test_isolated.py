"""Tools in processes of their own: what they may do, and that none is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionlib.engine import EngineError, Limits, LocalEngine
from sessionlib.protocol import frames
from tests.support.engine import Caller, Process, answer_of, contents, eventually
from tests.support.processes import is_running

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

@tool
def scribbles() -> None:
    """Write into every descriptor there is."""
    for number in range(3, 64):
        try:
            os.write(number, b"junk\\n")
        except OSError:
            pass

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
def detaches(pids: str) -> str:
    """Start a daemon that outlives the call, in a session of its own and nobody's child."""
    code = (
        "import subprocess, sys; child = subprocess.Popen(['sleep', '60'], start_new_session=True);"
        "open(sys.argv[1], 'a').write(str(child.pid))"
    )
    subprocess.run([sys.executable, "-c", code, pids], start_new_session=True, check=True)
    return "started"

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


class Pids:
    """The processes that tools have noted in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def command(self, tool: str, **arguments: Any) -> str:
        return f"/tool {tool} {json.dumps({'pids': str(self.path), **arguments})}"

    def noted(self) -> list[int]:
        return [int(pid) for pid in self.path.read_text().split()] if self.path.exists() else []

    def alive(self) -> list[int]:
        return [pid for pid in self.noted() if is_running(pid)]


@pytest.fixture
def pids(tmp_path: Path) -> Pids:
    return Pids(tmp_path / "pids")


def _result(caller: Caller, command: str) -> dict[str, Any]:
    return contents(caller.ask(command), "tool_result")[0]


def _good(caller: Caller, text: str = "fine") -> list[str]:
    """What the good tool was given, and the process in which it ran."""
    result = _result(caller, f'/tool good {{"text": "{text}"}}')
    assert (result["status"], result["printed"]) == ("complete", "printed\n")
    return str(result["output"]).split()


def test_the_tools_of_a_file_run_in_another_process(isolated: LocalEngine) -> None:
    with Caller.on(isolated) as caller:
        text, pid = _good(caller, "hello")
        assert text == "hello"
        assert int(pid) != os.getpid()
        assert _good(caller, "again") == ["again", pid]
        scribbled = _result(caller, "/tool scribbles")["output"]
        assert scribbled == "tool scribbles wrote into the pipe of its process, which was ended"
        assert not is_running(int(pid))


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
        assert _good(caller)


def test_a_huge_result_there_is_cut(isolated: LocalEngine) -> None:
    with Caller.on(isolated) as caller:
        output = _result(caller, "/tool huge")["output"]
        assert 64 * 1024 <= len(output) < 65 * 1024
        assert output.endswith("[truncated: 100000000 characters in all]")


@pytest.mark.parametrize("deaf", [False, True])
def test_a_tool_that_hangs_is_ended_with_its_children(isolated: LocalEngine, pids: Pids, deaf: bool) -> None:
    with Caller.on(isolated) as caller:
        # Its time is for the tool: the worker's start, which can take as long, has none of its own.
        assert _good(caller, "ready")
        result = _result(caller, pids.command("hangs", deaf=deaf))
        assert result["output"] == "tool hangs did not finish within 3 s and was ended"
        assert len(pids.noted()) == 2
        eventually(lambda: not pids.alive())
        assert _good(caller)


def test_terminating_ends_a_tool_with_its_children(isolated: LocalEngine, pids: Pids) -> None:
    with Caller.on(isolated) as caller:
        caller.say(frames.post_message(caller.session_id, pids.command("waits")))
        eventually(lambda: len(pids.alive()) == 2)
        caller.terminate()
        eventually(lambda: not pids.alive(), 20)


def test_the_engines_key_is_not_in_the_tools_environment(tools_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SESSIONLIB_API_KEY", "VECTORSHIFT_API_KEY", "OTHER_API_KEY"):
        monkeypatch.setenv(name, "secret")
    with LocalEngine(tools=str(tools_file)) as engine, Caller.on(engine) as caller:
        assert _result(caller, "/tool environment")["output"] == "OTHER_API_KEY"


def children() -> set[int]:
    """The processes that this one has started, and of which those of other tests may be."""
    listed = subprocess.run(["pgrep", "-P", str(os.getpid())], stdout=subprocess.PIPE, check=False)
    return {int(pid) for pid in listed.stdout.split()}


@pytest.mark.parametrize("end", ["closed", "killed"])
@pytest.mark.parametrize(("command", "count"), [("waits", 2), ("detaches", 1)])
def test_no_process_that_a_tool_started_outlives_the_engine(
    process: Callable[..., Process], tools_file: Path, pids: Pids, command: str, count: int, end: str
) -> None:
    """Nor a daemon: it has left the group of the tool's process, but not its environment."""
    before = children()
    with contextlib.ExitStack() as stack:
        engine: Any = (
            process("--tools", str(tools_file)).ready()
            if end == "killed"
            else stack.enter_context(LocalEngine(tools=str(tools_file)))
        )
        caller = stack.enter_context(Caller.on(engine))
        caller.say(frames.post_message(caller.session_id, pids.command(command)))
        if command == "detaches":
            caller.until_content("tool_result")
        eventually(lambda: len(pids.alive()) == count)
        if end == "killed":
            engine.kill()
    # Killed they are, but what a tool has started is nobody's child here, and dies in its own time.
    eventually(lambda: not pids.alive(), 30)
    assert children() <= before


def test_only_so_many_processes_run_at_once(tools_file: Path, pids: Pids) -> None:
    limits = Limits(tool_processes=2)
    with LocalEngine(tools=str(tools_file), limits=limits) as engine, Caller.on(engine) as caller:
        caller.say(frames.post_message(caller.session_id, "\n".join([pids.command("waits")] * 4)))
        eventually(lambda: len(pids.alive()) == 4)  # two tools, and a child of each
        with Caller.on(engine) as other:
            other.say(frames.post_message(other.session_id, '/tool good {"text": "hello"}'))
            other.until_content("tool_call")
            assert len(pids.noted()) == 4
            caller.terminate()
            other.until_status("Idle")
            assert "good gave: hello" in answer_of(other.heard)
    assert len(pids.noted()) == 4


def test_an_idle_worker_that_has_died_is_replaced(isolated: LocalEngine) -> None:
    with Caller.on(isolated) as caller:
        pid = int(_good(caller)[1])
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_running(pid))
        assert _good(caller)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1", "declares no tool"),
        ("1 / 0", "ZeroDivisionError"),
        ("def", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (None, r"tools\.py"),
    ],
)
def test_a_tools_file_that_cannot_be_used_is_refused(tmp_path: Path, source: str | None, told: str) -> None:
    path = tmp_path / "tools.py"
    if source is not None:
        path.write_text(source)
    with pytest.raises(EngineError, match=told):
        LocalEngine(tools=str(path))
