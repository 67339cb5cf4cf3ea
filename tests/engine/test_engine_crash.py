"""kill -9 at every boundary of a conversation: nothing acknowledged is lost or doubled, no tool runs twice."""

from __future__ import annotations

import contextlib
import copy
import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import websocket

from sessionlib.engine import LocalEngine
from sessionlib.engine.models import Text
from sessionlib.engine.sessions.turn import ENGINE_STOPPED
from sessionlib.protocol import frames
from tests.support.crashing_engine import make_tools
from tests.support.engine import KEY, ROOT, Caller, approve, content_of, contents, deny, eventually, make_agent
from tests.support.profiles import profile
from tests.support.scripted_answers import Scripted, says

_GONE = (OSError, ConnectionError, websocket.WebSocketException)


class Crashing:
    """Starts engines that kill themselves, one after the other."""

    def __init__(self) -> None:
        command, pipe = [sys.executable, "-m", "tests.support.crashing_engine"], subprocess.PIPE
        self._helper = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)
        self.base_url = ""
        self.api_key = KEY

    @property
    def ws_url(self) -> str:
        return self.base_url.replace("http", "ws", 1)

    def start(self, database: Path, traces: Path, fatal: int) -> bool:
        """Whether it lived long enough to serve."""
        assert self._helper.stdin is not None
        self._helper.stdin.write(f"{database} {traces} {fatal}\n")
        self._helper.stdin.flush()
        self.base_url = self._line()
        return self.base_url != "ended"

    def wait(self) -> None:
        """Waits for its end."""
        assert self._line() == "ended"

    def kill_engine(self) -> None:
        """Kills an engine that outlived the conversation."""
        for child in Path(f"/proc/{self._helper.pid}/task/{self._helper.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        self._helper.kill()
        self._helper.wait()
        for pipe in (self._helper.stdin, self._helper.stdout):
            assert pipe is not None
            pipe.close()

    def _line(self) -> str:
        assert self._helper.stdout is not None
        return self._helper.stdout.readline().strip()


@pytest.fixture
def crashing() -> Iterator[Crashing]:
    with contextlib.closing(Crashing()) as running:
        yield running


@dataclass
class Told:
    """What the client knows when the engine dies."""

    session_id: str = ""
    acked: list[str] = field(default_factory=list)

    def post(self, caller: Caller, content: Any, parent: str | None = None) -> None:
        ack = caller.post(content, parent)
        assert ack["success"], ack
        self.acked.append(ack["message_id"])


def converse(engine: Crashing, told: Told, round_number: int) -> None:
    """A round of a conversation, with all that can be interrupted."""
    with Caller(engine, told.session_id or None) as caller:
        told.session_id = caller.session_id
        told.post(caller, f"hello {round_number}")
        caller.until_status("Idle")
        told.post(caller, f'/tool trace {{"line": "a{round_number}"}}\n/tool trace {{"line": "b{round_number}"}}')
        caller.until_status("Idle")
        told.post(caller, f'/tool asked {{"line": "c{round_number}"}}\n/tool trace {{"line": "d{round_number}"}}')
        approval = caller.until_content("tool_call_approval")
        told.post(caller, approve() if round_number % 2 == 0 else deny("no"), approval["message"]["id"])
        caller.until_status("Idle")
        caller.say(frames.post_messages(caller.session_id, [f"one {round_number}", f"two {round_number}"]))
        told.acked += caller.until_type("post_messages")["message_ids"]
        caller.until_status("Idle")


def check_after(database: Path, traces: Path, told: Told) -> None:
    """Restarts on the database, and checks that everything told is true."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with LocalEngine(tools=make_tools(traces), path=str(database), api_key=KEY) as engine:
        if not told.session_id:
            return
        with Caller.on(engine, session_id=told.session_id) as caller:
            _answer_what_is_pending(caller)
            history = caller.history()
            ids = [message["id"] for message in history]
            assert [message_id for message_id in ids if message_id in told.acked] == told.acked
            assert len(set(ids)) == len(ids)
            _check_turns(history)
            runs = Counter(traces.read_text().split() if traces.exists() else [])
            assert not runs or max(runs.values()) == 1, runs
            _check_calls(history, runs)
            caller.ask("all is well")


def _answer_what_is_pending(caller: Caller) -> None:
    # What is pending is told to whoever joins; what was queued is answered meanwhile, and may ask as well.
    while eventually(lambda: _status(caller)) != "Idle":
        asking = [message for message in caller.history() if message["content"]["type"] == "tool_call_approval"]
        pending = [message for message in asking if message["content"]["status"] == "pending"]
        told = [frame["message"] for frame in caller.heard if content_of(frame).get("type") == "tool_call_approval"]
        assert pending
        assert all(message in told for message in pending)
        assert caller.post(approve(), pending[0]["id"])["success"]


def _status(caller: Caller) -> str:
    caller.say(frames.connect_session(caller.session_id))
    caller.say(frames.ping_session(caller.session_id))
    status = str(caller.until_type("connect_session")["status"])
    caller.until_type("pong")
    return "" if status == "Processing" else status


def _check_turns(history: list[dict[str, Any]]) -> None:
    # Every post is answered by a whole message, or by the word that its turn was cut.
    contents = [message["content"] for message in history if "object_id" in message["sender"]]
    for content in contents:
        if content["type"] == "error_message":
            assert content["error"] == ENGINE_STOPPED
    ends = [c for c in contents if c["type"] in ("data_type_message", "error_message")]
    posted = [m["content"] for m in history if "user_id" in m["sender"] and m["content"]["type"] != "response_message"]
    batches = sum(str(content["value"]).startswith("two ") for content in posted)
    assert len(ends) == len(posted) - batches


def _check_calls(history: list[dict[str, Any]], runs: Counter[str]) -> None:
    results = contents(history, "tool_result")
    calls = {m["content"]["tool_call_id"]: m["content"] for m in history if m["content"]["type"] == "tool_call"}
    assert len({result["tool_call_id"] for result in results}) == len(results)
    for result in results:
        if result["status"] == "complete":
            assert runs[calls[result["tool_call_id"]]["arguments"]["line"]] == 1
    started = {call["arguments"]["line"] for call in calls.values()}
    assert set(runs) <= started


@pytest.mark.timeout(600)
@pytest.mark.parametrize("rounds", [0, 1, 2])
def test_nothing_is_lost_or_doubled_wherever_the_engine_is_killed(
    crashing: Crashing, folder: Path, rounds: int, seed: int
) -> None:
    """At some of over 70 boundaries of the first, the second and the third round of a conversation; at each by night.

    A kill leaves to the system what was written, so it may as well be written to memory.
    """
    # A round is over after the last boundary, wherever between two of the sample that is.
    apart = 1 if profile() == "night" else 5
    before, so_far = folder / "before", Told()
    before.mkdir()
    for round_number in range(rounds):
        assert crashing.start(before / "engine.db", before / "traces.txt", 10_000)
        converse(crashing, so_far, round_number)
        crashing.kill_engine()
    for fatal in itertools.count(1 + seed % apart, apart):
        point = shutil.copytree(before, folder / str(fatal))
        database, traces, told = point / "engine.db", point / "traces.txt", copy.deepcopy(so_far)
        survived = False
        if crashing.start(database, traces, fatal):
            try:
                converse(crashing, told, rounds)
            except _GONE:
                crashing.wait()
            else:
                crashing.kill_engine()
                survived = True
        check_after(database, traces, told)
        shutil.rmtree(point)
        if survived:
            break
    assert len(told.acked) == 6 * (rounds + 1)
    assert fatal > 70, "too few points for the claim"


def test_a_hundred_pending_approvals_survive_any_number_of_kills(crashing: Crashing, folder: Path) -> None:
    database, traces = folder / "engine.db", folder / "traces.txt"
    asked: dict[str, str] = {}
    for _ in range(5):
        assert crashing.start(database, traces, 10_000)
        agent_id = make_agent(crashing)
        for number in range(len(asked), len(asked) + 20):
            with Caller.on(crashing, agent_id=agent_id) as caller:
                asked[caller.session_id] = caller.ask_for_approval(f'/tool asked {{"line": "{number}"}}')["id"]
        with Caller(crashing, next(iter(asked))) as caller:
            assert caller.joined["status"] == "AwaitingApproval"
            assert caller.hear()["message"]["status"] == "AwaitingApproval"
            assert caller.hear()["message"]["id"] == asked[caller.session_id]
        crashing.kill_engine()
        assert not traces.exists()
    with LocalEngine(tools=make_tools(traces), path=str(database)) as engine:
        for session_id, approval_id in asked.items():
            with Caller.on(engine, session_id=session_id) as caller:
                assert caller.joined["status"] == "AwaitingApproval"
                assert caller.post(approve(), approval_id)["success"]
                caller.until_status("Idle")
                assert caller.post(approve(), approval_id)["code"] == "approval_already_answered"
    assert Counter(traces.read_text().split()) == Counter(map(str, range(100)))


def test_two_hundred_tools_that_were_running_are_not_run_again(crashing: Crashing, folder: Path) -> None:
    database, traces = folder / "engine.db", folder / "traces.txt"
    lines = [str(number) for number in range(200)]
    assert crashing.start(database, traces, 10_000)
    agent_id, sessions = make_agent(crashing), []
    for first in range(0, 200, 8):
        calls = [f'/tool stuck {{"line": "{line}"}}' for line in lines[first : first + 8]]
        with Caller.on(crashing, agent_id=agent_id) as caller:
            caller.post("\n".join(calls))
            sessions.append(caller.session_id)
    eventually(lambda: traces.exists() and sorted(traces.read_text().split()) == sorted(lines))
    crashing.kill_engine()
    with LocalEngine(tools=make_tools(traces), path=str(database)) as engine:
        for session_id in sessions:
            with Caller.on(engine, session_id=session_id) as caller:
                results = contents(caller.history(), "tool_result")
                assert [result["status"] for result in results] == ["error"] * 8
                assert caller.history()[-1]["content"]["error"] == ENGINE_STOPPED
                caller.ask("all is well")
    assert sorted(traces.read_text().split()) == sorted(lines)


def test_posts_that_waited_are_answered_after_a_restart(crashing: Crashing, tmp_path: Path) -> None:
    database, traces = tmp_path / "engine.db", tmp_path / "traces.txt"
    assert crashing.start(database, traces, 10_000)
    with Caller.on(crashing) as caller:
        asked = caller.ask_for_approval('/tool asked {"line": "x"}')
        caller.post("waits behind it")
        caller.post("so does this")
    crashing.kill_engine()
    engine = LocalEngine(tools=make_tools(traces), path=str(database))
    with engine, Caller.on(engine, session_id=caller.session_id) as again:
        again.post(approve(), asked["id"])
        for _ in range(2):
            again.until_status("Idle")
        assert [m["content"].get("value") for m in again.history()][-1] == 'You said: "waits behind it\nso does this"'


def test_the_model_is_told_of_the_calls_that_were_cut(crashing: Crashing, tmp_path: Path) -> None:
    """Each call of the past has its result, in the history as for the model; nothing is run again."""
    database, traces = tmp_path / "engine.db", tmp_path / "traces.txt"
    assert crashing.start(database, traces, 10_000)
    with Caller.on(crashing) as caller:
        calls = '/tool stuck {"line": "a"}\n/tool trace {"line": "b"}\n/tool stuck {"line": "c"}'
        caller.say(frames.post_message(caller.session_id, calls))
        eventually(lambda: traces.exists() and len(traces.read_text().split()) == 3)
        crashing.kill_engine()
    model = Scripted(says(Text("I see.")))
    engine = LocalEngine(tools=make_tools(traces), path=str(database), model=model)
    with engine, Caller.on(engine, session_id=caller.session_id) as again:
        again.ask("and now?")
        history = [message["content"] for message in again.history()]
    cut = "this call was interrupted while the tool ran; it was not run again, and may or may not have had its effect"
    results = [(content["status"], content["output"]) for content in history if content["type"] == "tool_result"]
    assert results[0] == results[2] == ("error", cut)
    assert results[1] in [("complete", "left b"), ("error", cut)]  # killed before or after it was kept
    assert [content["type"] for content in history][4:8] == ["tool_result"] * 3 + ["error_message"]
    question, told, failure, again_asked = model.asked[0].said
    assert [(result.status, result.output) for result in told.results] == results
    assert (failure.failure, again_asked.text) == (ENGINE_STOPPED, "and now?")
    assert question.role == "user"
    assert sorted(traces.read_text().split()) == ["a", "b", "c"]
