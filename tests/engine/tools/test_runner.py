"""Tools in threads: what becomes of their results and output, and that nothing they do gets a turn stuck."""

from __future__ import annotations

import io
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from sessionlib.engine import Limits, LocalEngine, tool
from sessionlib.engine.models import RequestedCall, TextDelta
from sessionlib.engine.store.calls import Calls
from sessionlib.protocol import frames
from tests.engine.tools.conftest import run
from tests.support.engine import Caller, Frame, answer_of, approve, content_of, contents, deny, eventually, kinds
from tests.support.scripted_answers import Scripted, says
from tests.support.threads import in_threads


class Box(BaseModel):
    size: int
    label: str = ""


@dataclass
class Point:
    x: int
    y: float


class Hiding:
    def __init__(self, x: Any) -> None:
        self.x, self._hidden = x, 1


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(None, None), (1, 1), ("ü", "ü"), (Path("/x"), "/x"), (b"text", "text"), (memoryview(b"text"), "text")],
        *[(float("inf"), "inf"), (float("nan"), "nan"), ({1, 2}, [1, 2]), (complex(1, 2), "1+2j")],
        *[(np.int64(7), 7), (np.float32(0.5), 0.5), (np.bool_(True), True)],
        *[(map(str, [1, 2]), ["1", "2"]), ({"a": 1}.keys(), ["a"]), ((n for n in range(3)), [0, 1, 2])],
        (Point(1, 2.5), {"x": 1, "y": 2.5}),
        ({"a": [Box(size=1)]}, {"a": [{"size": 1, "label": ""}]}),
        (np.array([[1, 2], [3, 4]]), "[[1 2]\n [3 4]]"),
        (pd.DataFrame({"a": [1], "b": ["x"]}), "   a  b\n0  1  x"),
        (pd.Series([1], name="n"), "0    1\nName: n, dtype: int64"),
        (b"\xff\x00", "2 bytes: b'\\xff\\x00'"),
        # The same within others; an object that has nothing of its own to show; numbers that no reader of JSON holds.
        ({"count": np.int64(3), "all": [np.bool_(True)]}, {"count": 3, "all": [True]}),
        ({"table": np.array([1, 2])}, {"table": "[1 2]"}),
        (Hiding(np.int64(3)), {"x": 3}),
        *[(10**400, str(10**400)), ([10**400], f"[{10**400}]")],
    ],
)
def test_a_result_is_readable_and_a_success(value: Any, expected: Any) -> None:
    def give() -> Any:
        """Give it."""
        return value

    outcome = run(give)
    assert (outcome.status, outcome.output) == ("complete", expected)


@pytest.mark.parametrize(
    ("value", "shown"), [(object(), "<object object"), (CIRCLE, "[[...]]"), (threading.Lock(), "lock object")]
)
def test_what_has_no_json_form_is_text_and_a_success_since_the_tool_has_acted(value: Any, shown: str) -> None:
    def give() -> Any:
        """Give it."""
        return value

    outcome = run(give)
    assert (outcome.status, shown in outcome.output) == ("complete", True)


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


def test_results_are_cut_to_size() -> None:
    def long(size: int, in_list: bool) -> Any:
        return ["é" * size] if in_list else "é" * size

    for in_list in (False, True):
        output = run(long, limit=1000, size=100_000_000, in_list=in_list).output
        kept, told = output.rsplit("\n", 1)
        assert len(kept.encode()) <= 1000
        assert "truncated" in told
    assert run(long, limit=1000, size=500, in_list=False).output == "é" * 500


@pytest.mark.parametrize(
    "give",
    [lambda: iter(int, 1), lambda: pd.DataFrame({str(column): range(1000) for column in range(100)})],
    ids=["an endless iterator", "a large table"],
)
def test_a_result_of_any_size_is_read_no_further_than_it_is_kept(give: Callable[[], Any]) -> None:
    def given() -> Any:
        """Give it."""
        return give()

    outcome = run(given)
    assert (outcome.status, len(outcome.output) < 1100) == ("complete", True)


def test_what_a_tool_prints_is_kept_apart(capsys: pytest.CaptureFixture[str]) -> None:
    started, go = threading.Event(), threading.Event()

    def chatty() -> None:
        sys.stdout.writelines(["to", " the tool\n"])
        print("and errors", file=sys.stderr)
        started.set()
        go.wait(30)
        print("x" * 100_000)
        sys.stdout.close()  # which leaves the program's open
        with pytest.raises(io.UnsupportedOperation):
            sys.stdout.detach()

    facts = [(stream.encoding, stream.isatty()) for stream in (sys.stdout, sys.stderr)]
    with in_threads(lambda: run(chatty)) as outcomes:
        assert started.wait(30)
        assert [(stream.encoding, stream.isatty()) for stream in (sys.stdout, sys.stderr)] == facts
        print("to the program")
        go.set()
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


def test_a_tool_may_have_as_long_as_one_likes() -> None:
    def waits() -> bool:
        return threading.Event().wait(0.05)

    assert run(waits, seconds=math.inf).output is False


def test_a_tools_own_time_limit_counts() -> None:
    go = threading.Event()

    @tool(timeout=0.1)
    def slow() -> None:
        """Wait."""
        go.wait(30)

    with LocalEngine(tools=[slow]) as engine, Caller.on(engine) as caller:
        assert "did not finish within 0.1 s" in answer_of(caller.ask("/tool slow"))
        go.set()


# ---- several calls of one step --------------------------------------------------------------


class Relay:
    """Tools that run on only when others let them."""

    def __init__(self, count: int) -> None:
        self.begun = [threading.Event() for _ in range(count)]
        self.go = [threading.Event() for _ in range(count)]
        self.running = self.most = 0
        self._lock = threading.Lock()

    def run(self, number: int) -> int:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.begun[number].set()
        assert self.go[number].wait(30)
        with self._lock:
            self.running -= 1
        return number

    def tools(self) -> list[Any]:
        @tool
        def leg(number: int) -> int:
            """Run one leg."""
            return self.run(number)

        @tool(approval="requires_approval")
        def asked(number: int) -> int:
            """Run one leg, if a person agrees."""
            return self.run(number)

        return [leg, asked]


def post(caller: Caller, *calls: tuple[str, int]) -> None:
    commands = [f'/tool {name} {{"number": {number}}}' for name, number in calls]
    caller.say(frames.post_message(caller.session_id, "\n".join(commands)))


def results(heard: list[Frame]) -> list[tuple[str, Any]]:
    return [(content["status"], content["output"]) for content in contents(heard, "tool_result")]


def approval_in(heard: list[Frame]) -> str:
    """The id of the one request for approval."""
    asked = [frame["message"]["id"] for frame in heard if content_of(frame).get("type") == "tool_call_approval"]
    assert len(asked) == 1
    return str(asked[0])


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay(12)
    yield made
    for gate in made.go:
        gate.set()


@pytest.fixture
def caller(relay: Relay) -> Iterator[Caller]:
    with LocalEngine(tools=relay.tools()) as engine, Caller.on(engine) as joined:
        yield joined


def test_they_run_at_the_same_time_and_are_told_in_order(caller: Caller, relay: Relay) -> None:
    post(caller, ("leg", 0), ("leg", 1), ("leg", 2))
    for number in range(3):
        assert relay.begun[number].wait(30)
    for number in (2, 1):
        relay.go[number].set()
    caller.ping()
    assert results(caller.heard) == []
    relay.go[0].set()
    caller.until_status("Idle")
    told = [kind for kind in kinds(caller.heard) if kind.startswith("tool")]
    assert told == ["tool_call"] * 3 + ["tool_result"] * 3
    assert results(caller.heard) == [("complete", 0), ("complete", 1), ("complete", 2)]
    assert answer_of(caller.heard).endswith("leg gave: 0\nleg gave: 1\nleg gave: 2")


@pytest.mark.parametrize("bound", [2, 3])
def test_no_more_run_than_may(relay: Relay, bound: int) -> None:
    limits = Limits(parallel_tools=bound)
    with LocalEngine(tools=relay.tools(), limits=limits) as engine, Caller.on(engine) as caller:
        post(caller, *[("leg", number) for number in range(10)])
        for number in range(10):
            assert all(event.wait(30) for event in relay.begun[number : number + bound] if number + bound <= 10)
            assert not any(event.is_set() for event in relay.begun[number + bound :])
            relay.go[number].set()
        caller.until_status("Idle")
        assert results(caller.heard) == [("complete", number) for number in range(10)]
    assert relay.most == bound


def test_what_is_approved_runs_while_others_run_or_wait(caller: Caller, relay: Relay) -> None:
    post(caller, ("asked", 0), ("leg", 1), ("asked", 2), ("asked", 3))
    heard = [caller.until_content("tool_call_approval") for _ in range(3)]
    first, second, third = (frame["message"]["id"] for frame in heard)
    assert relay.begun[1].wait(30)
    caller.post(approve(), second)
    assert relay.begun[2].wait(30)
    relay.go[2].set()
    relay.go[1].set()
    caller.until_status("AwaitingApproval")
    assert results(caller.heard) == []
    caller.post(deny("no"), third)
    caller.until_status("AwaitingApproval")
    assert results(caller.heard) == []
    relay.go[0].set()
    caller.ask(approve(), first)
    assert results(caller.heard) == [("complete", 0), ("complete", 1), ("complete", 2), ("denied", "no")]


def test_an_answer_is_acknowledged_before_its_turn_goes_on(
    caller: Caller, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Calls.answer

    def slowly(self: Calls, *args: Any) -> str:
        message_id = answer(self, *args)
        relay.go[1].set()  # now the turn, which was held up by another tool, looks for answers
        time.sleep(0.2)
        return message_id

    monkeypatch.setattr(Calls, "answer", slowly)
    relay.go[0].set()
    post(caller, ("asked", 0), ("leg", 1))
    asked = caller.until_content("tool_call_approval")["message"]["id"]
    assert relay.begun[1].wait(30)
    before = len(caller.heard)
    caller.ask(approve(), asked)
    told = [frame["type"] for frame in caller.heard[before:] if content_of(frame).get("type") != "tool_call"]
    assert told[0] == "post_message"


def test_what_was_done_before_a_restart_is_told_in_its_place(relay: Relay, tmp_path: Path) -> None:
    path = str(tmp_path / "engine.db")
    with LocalEngine(tools=relay.tools(), path=path) as engine, Caller.on(engine) as caller:
        relay.go[1].set()
        post(caller, ("asked", 0), ("leg", 1))
        caller.until_status("AwaitingApproval")
    with LocalEngine(tools=relay.tools(), path=path) as engine, Caller(engine, caller.session_id) as again:
        relay.begun[1].clear()
        relay.go[0].set()
        again.ask(approve(), approval_in(caller.heard))
        assert results(again.heard) == [("complete", 0), ("complete", 1)]
        assert not relay.begun[1].is_set()


def test_every_call_of_a_turn_that_is_cut_has_a_result(relay: Relay) -> None:
    calls = [RequestedCall(name, {"number": number}) for number, name in enumerate(("leg", "asked", "leg"))]
    model = Scripted(says(*calls), says(TextDelta("What was that?")))
    limits = Limits(turn_seconds=2.0)  # in which one tool has to end, and the next turn as well
    with LocalEngine(tools=relay.tools(), model=model, limits=limits) as engine, Caller.on(engine) as caller:
        relay.go[2].set()
        caller.ask("go")
        stopped = "tool leg was stopped: its 2 s are over"
        assert results(caller.heard) == [
            ("error", stopped),
            ("error", "this call was not run: its turn ended before"),
            ("complete", 2),
        ]
        assert kinds(caller.heard)[-2:] == ["error_message", "Idle"]
        assert caller.post(approve(), approval_in(caller.heard))["code"] == "approval_expired"
        assert [asked["status"] for asked in contents(caller.history(), "tool_call_approval")] == ["expired"]
        caller.ask("and?")
    step = next(said for said in model.asked[1].said if said.results)
    assert [result.status for result in step.results] == ["error", "error", "complete"]


def test_terminating_stops_all_of_them_and_nothing_is_heard_after_it(caller: Caller, relay: Relay) -> None:
    post(caller, *[("leg", number) for number in range(5)])
    for number in range(5):
        assert relay.begun[number].wait(30)
    caller.terminate()
    eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("sessionlib-turn")], 20)
    for gate in relay.go:
        gate.set()
    assert caller.ping() == []


def test_a_tool_that_the_engine_cannot_run_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tools.py"
    path.write_text("from sessionlib.engine import tool\n\n@tool\ndef fine() -> None:\n    'Do nothing.'\n")
    with LocalEngine(tools=str(path)) as engine, Caller.on(engine) as caller:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
        could_not = "the engine could not run this tool; its log has the reason"
        assert results(caller.ask("/tool fine")) == [("error", could_not)]
        monkeypatch.undo()
        assert results(caller.ask("/tool fine")) == [("complete", None)]
