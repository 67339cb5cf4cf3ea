"""Many one-shot turns: in order, complete, on any executor, and stopped at will."""

from __future__ import annotations

import contextlib
import gc
import io
import itertools
import json
import math
import os
import pickle
import random
import signal
import sqlite3
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionlib import (
    Agent,
    AgentType,
    ApiError,
    Client,
    ConfigurationError,
    ConversationalAgentRunResult,
    ConversationalRunActionRequiredError,
    DeliveryUnknownError,
    SessionError,
    SessionTimeoutError,
    approve_all,
    executors,
)
from sessionlib.agent.checkpoint import Checkpoint, MemoryLedger, new_ledger, prompt_key
from sessionlib.agent.map import Job
from sessionlib.agent.oneshot import OneShot, RunStoppedError, Stopper, run_prompt
from sessionlib.protocol import frames
from sessionlib.testing import FaultProxy
from tests.support.processes import Script, run_script
from tests.support.script_engine import (
    Connection,
    PeerGone,
    Received,
    ScriptEngine,
    agent_message,
    refuse,
    text_content,
    turn,
    user_message,
)
from tests.support.secrets import SENTINEL_KEY, assert_keeps_secret
from tests.support.shop import FRONT, Shop, order
from tests.support.toolbox import status
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def _no_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    # The thread by which tqdm watches over slow bars lives as long as the process.
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)


@pytest.fixture
def agent(shop: Shop) -> Agent:
    return shop.agent


def quoted(result: Any) -> str:
    """What the demo model quotes in a result."""
    assert isinstance(result, ConversationalAgentRunResult)
    return result.final_message.split('You said: "')[1].rstrip('"')


MANY = 160
ELSEWHERE = Agent("a1", agent_type="conversational", client=Client("k", "http://127.0.0.1:9"))
"""An agent of an engine that is not there."""


def prompts(number: int) -> list[str]:
    return [f"prompt {n}" for n in range(number)]


def scripted(engine: ScriptEngine) -> Agent:
    return Agent("a1", agent_type=AgentType.CONVERSATIONAL, client=Client(SENTINEL_KEY, base_url=engine.base_url))


# ---- complete and in order -----------------------------------------------------------------


@pytest.mark.slow
def test_many_prompts_with_16_workers_are_answered_in_order_by_sessions_that_end(agent: Agent) -> None:
    results = list(agent.map(prompts(MANY), max_workers=16))
    assert [quoted(result) for result in results] == prompts(MANY)
    assert len({result.session_id for result in results}) == MANY
    for result in results[:3]:
        with pytest.raises(SessionError, match="terminated"):
            agent.resume_session(result.session_id).connect()


class CuttingProxy(FaultProxy):
    """Cuts one link in twenty somewhere in the engine's words."""

    cuts = 0

    def _adopt(self, client: Any) -> None:
        super()._adopt(client)
        if len(self.links) % 20 == 0:
            self.cuts += 1
            random_at = random.Random(self.seed + self.cuts)
            self.downstream.limit_data(random_at.randrange(100, 1500), "FIN", times=1)


@pytest.mark.slow
def test_many_prompts_are_answered_also_when_links_are_cut(shop: Shop, seed: int) -> None:
    port = shop.engine.port
    with CuttingProxy("127.0.0.1", port, host=FRONT, port=port, seed=seed) as proxy:
        client = Client(shop.engine.api_key, base_url=proxy.base_url)
        agent = Agent(shop.agent.id, agent_type=AgentType.CONVERSATIONAL, client=client)
        results = list(agent.map(prompts(MANY), max_workers=16, retries=2, timeout=60))
        assert proxy.cuts >= MANY // 20
    assert [quoted(result) for result in results] == prompts(MANY)


def test_prompts_are_taken_as_results_are_taken(agent: Agent) -> None:
    taken: list[int] = []
    runs = agent.map((f"prompt {n}" for n in itertools.count() if taken.append(n) is None), max_workers=2)
    assert taken == [], "none before a result is asked for"
    assert [quoted(next(runs)) for _ in range(20)] == prompts(20)
    assert len(taken) <= 20 + 2 * 4 + 1
    runs.close()
    with pytest.raises(StopIteration):
        next(runs)


@pytest.mark.parametrize("timeout", [1e300, 10**400, float("inf")])
def test_a_run_may_take_as_long_as_one_likes(agent: Agent, timeout: float) -> None:
    assert [result.status for result in agent.map(["a"], timeout=timeout)] == ["complete"]
    assert list(agent.map([], timeout=timeout)) == []


def test_so_many_run_at_a_time(engine: ScriptEngine) -> None:
    running, most = Counter[str](), []
    lock = threading.Lock()

    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        with lock:
            running["now"] += 1
            most.append(running["now"])
        engine.wait_for("post_message", 3)  # so many have to be there at once
        conn.sleep(0.05)
        with lock:
            running["now"] -= 1
        conn.send_many(turn())

    assert len(list(scripted(engine).map(prompts(12), max_workers=3))) == 12
    assert max(most) == 3


@pytest.mark.parametrize("ordered", [True, False])
def test_a_slow_prompt_does_not_leave_the_others_idle(engine: ScriptEngine, ordered: bool) -> None:
    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        if frame["content"] == "prompt 0":
            engine.wait_for("post_message", 8)  # and with it all others
        conn.send_many(turn(pieces=[frame["content"]]))

    results = list(scripted(engine).map(prompts(8), max_workers=2, ordered=ordered))
    assert [result.final_message for result in results] == [result.prompt for result in results]
    indices = [result.index for result in results]
    assert sorted(indices) == list(range(8))
    assert (indices[0] == 0) is ordered
    assert (indices == sorted(indices)) is ordered


# ---- errors --------------------------------------------------------------------------------


@pytest.fixture
def moody(engine: ScriptEngine) -> Agent:
    """An agent that refuses every prompt with a 3 in it."""

    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        if "3" in frame["content"]:
            conn.send(frames.refusal("post_message", "s1", "no threes"))
        else:
            conn.send_many(turn(pieces=[frame["content"]]))

    return scripted(engine)


def test_an_error_is_raised_or_given_in_its_place_and_the_others_are_not_lost(moody: Agent) -> None:
    runs, told = moody.map(prompts(8), max_workers=2), []
    while True:
        try:
            told.append(next(runs).final_message)
        except StopIteration:
            break
        except SessionError as error:
            told.append(str(error).split(": ")[-1])
    assert told == [*prompts(3), "no threes", *prompts(8)[4:]]
    results = list(moody.map(prompts(8), max_workers=2, on_error="return"))
    assert isinstance(results.pop(3), SessionError)
    assert [result.final_message for result in results] == [*prompts(3), *prompts(8)[4:]]


def test_an_error_that_is_told_in_a_turn_is_in_its_result(engine: ScriptEngine) -> None:
    engine.on("post_message", lambda c, f: c.send_many([*turn()[:2], frames.error("out of tea", session_id="s1")]))
    (result,) = scripted(engine).map(["Hi"])
    assert (result.status, result.error) == ("error", "out of tea")


def test_a_session_that_cannot_be_had_is_an_exception(shop: Shop) -> None:
    client = Client("wrong", base_url=shop.engine.base_url)
    agent = Agent(shop.agent.id, agent_type=AgentType.CONVERSATIONAL, client=client)
    with pytest.raises(ApiError, match="401"):
        next(agent.map(["Hi"]))


def test_approvals(shop: Shop) -> None:
    (error,) = shop.agent.map([order(7)], on_error="return")
    assert isinstance(error, ConversationalRunActionRequiredError)
    assert shop.ran == []
    results = list(shop.agent.map(map(order, range(5)), on_approval=approve_all))
    assert [result.status for result in results] == ["complete"] * 5
    assert sorted(shop.ran) == [("refund", number, 1.0) for number in range(5)]


def test_what_the_prompts_raise_comes_behind_the_results_before(agent: Agent) -> None:
    def some() -> Iterator[str]:
        yield from prompts(3)
        raise LookupError("no more")

    runs, results = agent.map(some()), []
    with pytest.raises(LookupError, match="no more"):
        results.extend(iter(lambda: quoted(next(runs)), None))
    assert results == prompts(3)
    assert list(runs) == []


@pytest.mark.slow
def test_a_prompt_of_unknown_fate_is_said_again_only_where_that_is_wanted(engine: ScriptEngine) -> None:
    agent = scripted(engine)

    @engine.on("post_message")
    def lose(conn: Connection, frame: Received) -> None:
        engine.on("post_message", lambda conn, frame: conn.send_many(turn()))
        conn.drop()

    with pytest.raises(DeliveryUnknownError):
        next(agent.map(["Hi"]))
    engine.on("post_message", lose)
    assert [result.final_message for result in agent.map(["Hi"], retries=1)] == ["Hello there"]


@pytest.mark.parametrize(
    ("error", "match", "options"),
    [
        (ValueError, "on_error takes", {"on_error": "ignore"}),
        (ValueError, "max_workers takes", {"max_workers": 0}),
        *((TypeError, "executor takes", {"executor": one}) for one in (4, ThreadPoolExecutor, "dask", object())),
        *((TypeError, "takes an iterable", {"prompts": one}) for one in ("one", b"bytes", Path("file"), 7, None)),
        *((ValueError, "takes a", {"max_workers": number}) for number in (2.5, "8")),
        (ValueError, "takes a", {"retries": -1}),
        *((ValueError, "takes a", {"timeout": number}) for number in (0, math.nan)),
        (TypeError, "progress takes", {"progress": "bar"}),
    ],
)
def test_arguments_are_checked_at_once(error: type[Exception], match: str, options: dict[str, Any]) -> None:
    with pytest.raises(error, match=match):
        ELSEWHERE.map(**{"prompts": [], **options})


def test_what_cannot_map_says_so() -> None:
    with pytest.raises(TypeError, match=r"takes a distributed\.Client, not int"):
        executors.dask(4)
    with pytest.raises(ValueError, match="has no sessions"):
        Agent("a1", client=ELSEWHERE.client).map([])


# ---- progress ------------------------------------------------------------------------------


class Bar:
    """A bar of the caller's own."""

    def __init__(self) -> None:
        self.done = 0.0

    def update(self, n: float | None = 1) -> None:
        self.done += n or 0


def test_a_bar_of_the_callers_own_tells_what_is_done_though_its_place_has_not_come(engine: ScriptEngine) -> None:
    bar = Bar()

    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        if frame["content"] == "prompt 0":
            assert eventually(lambda: bar.done == 7)
        conn.send_many(turn())

    assert len(list(scripted(engine).map(prompts(8), max_workers=2, progress=bar, on_error="return"))) == 8
    assert bar.done == 8


def test_a_bar_counts_what_ends_while_it_is_looked_at() -> None:
    class Sudden(Future[Any]):
        def done(self) -> bool:
            was = super().done()
            if not was:
                self.set_result(ConversationalAgentRunResult("", "s1", "complete"))
            return was

    class Suddenly(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            return Sudden()

    bar = Bar()
    assert len(list(ELSEWHERE.map(prompts(3), executor=Suddenly(), max_workers=1, progress=bar))) == 3
    assert bar.done == 3


def test_a_bar_of_tqdm(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    from tqdm import tqdm

    list(agent.map(prompts(30), progress=True))
    shown = capsys.readouterr().err
    assert "Assistant: 100%" in shown
    assert "30/30" in shown
    list(agent.map((text for text in prompts(3)), progress=True))
    assert "3 prompts" in capsys.readouterr().err
    with tqdm(total=5, file=io.StringIO()) as own:
        list(agent.map(prompts(5), progress=own))
        assert (own.n, own.disable) == (5, False)


def test_a_bar_counts_what_an_earlier_run_did_but_not_into_the_rate(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tqdm import tqdm

    with agent.map(prompts(10), checkpoint=tmp_path / "run.db") as runs:
        before = [next(runs) for _ in range(4)]
    bars = []

    class Watched(tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            bars.append(self)

    monkeypatch.setattr("tqdm.auto.tqdm", Watched)
    results = list(agent.map(prompts(10), checkpoint=tmp_path / "run.db", progress=True))
    assert results[:4] == before
    assert bars[0].n == 10
    assert 4 <= bars[0].initial < 10 or len(runs.done) == 6


def test_what_a_checkpoint_has_goes_to_no_executor(agent: Agent, tmp_path: Path) -> None:
    first = list(agent.map(prompts(10), checkpoint=tmp_path / "run.db"))
    assert list(agent.map(prompts(10), checkpoint=tmp_path / "run.db", executor=Fateful(["refused"]))) == first


# ---- executors -----------------------------------------------------------------------------


def test_an_executor_of_the_callers_own_is_left_open(agent: Agent) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert [quoted(result) for result in agent.map(prompts(10), executor=pool)] == prompts(10)
        agent.map(prompts(10), executor=pool).close()
        assert pool.submit(int, "7").result() == 7


# In interpreters of their own, because a pool of processes leaves its resource tracker behind.
PROCESSES = """
    import multiprocessing, os, sys
    from concurrent.futures import ProcessPoolExecutor
    from sessionlib import Agent, Client

    agent = Agent(sys.argv[2], agent_type="conversational", client=Client("unused", base_url=sys.argv[1]))
    # The key is not in what is sent to them: they have it from their environment, or not.
    for key in (sys.stdin.readline().strip(), ""):
        os.environ["SESSIONLIB_API_KEY"] = key
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            (outcome,) = agent.map(["Hi"], executor=pool, on_error="return")
        print(getattr(outcome, "status", repr(outcome)))
"""


@pytest.mark.slow
def test_processes_have_the_key_from_their_environment(shop: Shop) -> None:
    result = run_script(PROCESSES, shop.engine.base_url, shop.agent.id, stdin=shop.engine.api_key + "\n").check()
    with_it, without = result.stdout.splitlines()
    assert with_it == "complete"
    assert without.startswith("ConfigurationError(")
    assert "SESSIONLIB_API_KEY" in without


DASK = """
    import os, sys
    from dask.distributed import Client as Dask, LocalCluster
    from sessionlib import Agent, Client

    if __name__ == "__main__":
        os.environ["SESSIONLIB_API_KEY"] = sys.stdin.readline().strip()
        agent = Agent(sys.argv[2], "A", agent_type="conversational", client=Client(base_url=sys.argv[1]))
        prompts = [f"prompt {n}" for n in range(100)] + ["the same"] * 10
        # A port that is free: without an address it would be 8787, and a warning where another program has that.
        cluster = LocalCluster(n_workers=2, threads_per_worker=4, dashboard_address="127.0.0.1:0")
        with cluster, Dask(cluster) as dask:
            executor = dask.get_executor()
            results = list(agent.map(prompts, executor=executor, max_workers=8, timeout=60))
            results += agent.map(["the same"], executor=executor)
            assert executor.submit(os.getpid).result() != os.getpid()
        assert [prompt in r.final_message for prompt, r in zip([*prompts, "the same"], results)] == [True] * 111
        assert len({r.session_id for r in results}) == 111
"""


@pytest.mark.slow
@pytest.mark.traced_processes
def test_dask_with_two_worker_processes(shop: Shop) -> None:
    run_script(DASK, shop.engine.base_url, shop.agent.id, stdin=shop.engine.api_key + "\n", timeout=280).check()


def test_no_key_travels_with_a_job(agent: Agent, tmp_path: Path) -> None:
    secret = Agent("a1", agent_type="conversational", client=Client(SENTINEL_KEY, "http://127.0.0.1:9"))
    job = Job(secret, "Hi", OneShot(), Stopper(), "1", new_ledger(str(tmp_path / "prompts.db")))
    assert_keeps_secret(job)
    copy = pickle.loads(pickle.dumps(job))
    assert (copy.agent.id, copy.prompt, copy.how, copy.mark) == ("a1", "Hi", OneShot(), "1")
    copy.ledger.close()
    job.ledger.close()


# ---- stopping ------------------------------------------------------------------------------


def test_closing_ends_what_runs_and_keeps_what_is_done(engine: ScriptEngine) -> None:
    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        told = [frames.ack("post_message", "s1"), status("Processing")]
        conn.send_many(told if frame["content"] in ("prompt 1", "prompt 3") else turn(pieces=[frame["content"]]))

    with scripted(engine).map(prompts(5), max_workers=5) as runs:
        assert next(runs).final_message == "prompt 0"
        assert eventually(lambda: len(runs.done) == 2)
        engine.wait_for("post_message", 5)
        began = time.monotonic()
    assert time.monotonic() - began < 20
    assert {index: result.final_message for index, result in runs.done.items()} == {2: "prompt 2", 4: "prompt 4"}
    assert list(runs) == []
    assert len(engine.wait_for("terminate_session", 5)) == 5
    assert eventually(lambda: not mapping())


def test_dropping_the_results_ends_what_runs(engine: ScriptEngine) -> None:
    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        conn.send_many(turn() if frame["content"] == "prompt 0" else [frames.ack("post_message", "s1")])

    for result in scripted(engine).map(map("prompt {}".format, itertools.count()), max_workers=4):
        assert isinstance(result, ConversationalAgentRunResult)
        break
    gc.collect()
    assert eventually(lambda: not mapping())
    assert eventually(lambda: not engine.connections)


def mapping() -> list[threading.Thread]:
    """The threads of maps that still run."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("sessionlib-map")]


@pytest.mark.slow
def test_stopping_ends_what_is_still_connecting(engine: ScriptEngine) -> None:
    engine.on("create_session", lambda conn, frame: None)
    runs = scripted(engine).map(prompts(4), max_workers=4)
    threading.Timer(0.3, runs.close).start()
    with pytest.raises((RunStoppedError, StopIteration)):
        next(runs)
    engine.wait_idle()


def test_a_session_that_opens_as_the_runs_are_closed_is_left(engine: ScriptEngine) -> None:
    ledger = MemoryLedger()
    ledger.close()
    with pytest.raises(RunStoppedError):
        run_prompt(scripted(engine), "Hi", OneShot(), Stopper(), ledger, 0, "key")
    engine.wait_idle()


def test_an_executor_that_is_closed_in_the_middle(agent: Agent) -> None:
    pool = ThreadPoolExecutor(2)
    runs = agent.map(prompts(50), executor=pool, max_workers=1)
    next(runs)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        list(runs)
    assert list(runs) == []


def test_a_run_that_was_cancelled_elsewhere_is_an_error_in_its_place() -> None:
    (error,) = ELSEWHERE.map(["Hi"], executor=Fateful(["is cancelled"]), on_error="return")
    assert type(error).__name__ == "CancelledError"


INTERRUPTED = """
    import sys, threading, time
    from sessionlib import Agent, Client

    def watch():
        # All that may be handed out ahead of number 5.
        while len(got) < 5 or set(runs.done) != set(range(6, 21)):
            time.sleep(0.01)
        print("all done but one", flush=True)

    def mapping():
        return [thread.name for thread in threading.enumerate() if "map" in thread.name]

    agent = Agent("a1", agent_type="conversational", client=Client("k", base_url=sys.argv[1]))
    runs, got = agent.map((f"prompt {n}" for n in range(1000)), max_workers=4), []
    threading.Thread(target=watch, daemon=True).start()
    try:
        for result in runs:
            got.append(result.final_message)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    print(got)
    print({index: result.final_message for index, result in runs.done.items()})
    end = time.monotonic() + 15
    while mapping() and time.monotonic() < end:  # a result is there before its thread has ended
        time.sleep(0.01)
    print(mapping())
"""


@pytest.mark.slow
def test_ctrl_c_stops_and_gives_back_what_is_done(engine: ScriptEngine) -> None:
    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        told = [frames.ack("post_message", "s1")] if frame["content"] == "prompt 5" else turn(pieces=[frame["content"]])
        conn.send_many(told)

    with Script(INTERRUPTED, engine.base_url) as script:
        script.wait_for("all done but one")
        script.send_signal(signal.SIGINT)
        began = time.monotonic()
        script.wait_for("interrupted")
        result = script.wait().check()
        assert time.monotonic() - began < 20
    got, done, threads = result.stdout.splitlines()[-3:]
    assert got == str(prompts(5))
    assert done == str({number: f"prompt {number}" for number in range(6, 21)})
    assert threads == "[]"
    engine.wait_idle()
    assert len(engine.frames("terminate_session")) == len(engine.frames("create_session"))


# ---- nothing lost, nothing twice -----------------------------------------------------------


def test_results_from_before_an_executor_refused_come_first(agent: Agent) -> None:
    fates = ["runs at once and again"] * 3 + ["refused"] * 5
    runs, results = agent.map(prompts(8), executor=Fateful(fates), max_workers=1), []
    with pytest.raises(RuntimeError, match="refused"):
        results.extend(iter(lambda: quoted(next(runs)), None))
    assert results == prompts(3)
    outcomes = list(agent.map(prompts(8), executor=Fateful(fates), max_workers=1, on_error="return"))
    assert [type(outcome).__name__ for outcome in outcomes[3:]] == ["RuntimeError"] * 5


@contextlib.contextmanager
def shortened() -> Iterator[None]:
    """Has a map wait less for what is lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sessionlib.agent.map._GRACE", 0.3)
        patch.setattr("sessionlib.agent.map._LOOK", 0.05)
        yield


@pytest.fixture
def short_grace() -> Iterator[None]:
    with shortened():
        yield


@pytest.mark.usefixtures("short_grace")
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("timeout", [None, 60])
def test_what_is_done_is_given_though_no_future_completes(agent: Agent, ordered: bool, timeout: float | None) -> None:
    with Fateful(rest="runs, and is lost") as losing:
        results = list(agent.map(prompts(20), executor=losing, max_workers=2, timeout=timeout, ordered=ordered))
    assert [quoted(result) for result in sorted(results, key=lambda result: result.index or 0)] == prompts(20)


@pytest.mark.usefixtures("short_grace")
def test_an_answer_of_a_worker_that_froze_is_fetched_from_its_session(engine: ScriptEngine) -> None:
    """The worker posts and never reads; the engine answers into the history."""
    echoing = Echoing(engine, streams=False)

    class Freezing(Executor):
        """Goes on with a copy of the job whose time never ends."""

        def submit(self, fn: Any, /, job: Job) -> Future[Any]:
            thread = threading.Thread(target=run, args=(fn, replace(job, how=replace(job.how, timeout=30))))
            threads.append(thread)
            thread.start()
            return Future()

    def run(fn: Any, job: Job) -> None:
        with contextlib.suppress(SessionError):
            fn(job)

    threads: list[threading.Thread] = []
    runs = scripted(engine).map(prompts(4), executor=Freezing(), max_workers=4, timeout=3.0, on_error="return")
    assert [getattr(outcome, "final_message", outcome) for outcome in runs] == prompts(4)
    assert sorted(echoing.said) == prompts(4)
    engine.drop_all()
    for thread in threads:
        thread.join(60)


@pytest.mark.usefixtures("short_grace")
def test_what_a_frozen_executor_did_not_begin_is_an_error_and_is_never_sent(engine: ScriptEngine) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_many(turn(pieces=[frame["content"]])))
    taken = itertools.count()
    with Fateful(["runs, and is lost"] * 3, rest="is lost") as losing:
        many = (f"prompt {next(taken)}" for _ in range(50))
        outcomes = list(scripted(engine).map(many, executor=losing, max_workers=4, timeout=2.0, on_error="return"))
        assert [outcome.final_message for outcome in outcomes[:3]] == prompts(3)
        assert [type(outcome).__name__ for outcome in outcomes[3:]] == ["SessionTimeoutError"] * 47
        assert "it was not sent, and will not be" in str(outcomes[3])
        assert (outcomes[4].index, outcomes[4].prompt) == (4, "prompt 4")
        # Once none of its workers comes back, it is given no more: the rest does not wait for its time to pass.
        assert len(losing.left) <= 2 * 4 * 4
        assert "delivered none of" in str(outcomes[-1])


@pytest.mark.usefixtures("short_grace")
def test_what_a_worker_begins_too_late_is_not_sent(agent: Agent) -> None:
    losing = Fateful(rest="is lost")
    runs = agent.map(prompts(2), executor=losing, max_workers=2, timeout=0.5, on_error="return")
    assert isinstance(next(runs), SessionTimeoutError)
    (late, _) = losing.left
    with pytest.raises(RunStoppedError, match="given the prompt up"):
        late()
    runs.close()


@pytest.mark.usefixtures("short_grace")
def test_a_frozen_executor_is_raised_once(agent: Agent) -> None:
    runs, errors = agent.map(prompts(50), executor=Fateful(rest="is lost"), max_workers=2, timeout=0.5), []
    with contextlib.suppress(StopIteration):
        while True:
            try:
                next(runs)
            except SessionTimeoutError as error:
                errors.append(str(error))
    assert sum("delivered none of" in error for error in errors) == 1
    assert len(errors) <= 2 * 4 + 2


@pytest.mark.usefixtures("short_grace")
def test_results_that_wait_for_a_place_are_kept_when_it_is_closed(agent: Agent) -> None:
    with Fateful(rest="runs, and is lost") as losing:
        runs = agent.map(prompts(6), executor=losing, max_workers=6, timeout=60)
        assert next(runs).index == 0
        assert eventually(lambda: all(runs._ledger.entry(number).result for number in range(6)))
        runs.close()
    assert {number: quoted(result) for number, result in runs.done.items()} == {n: f"prompt {n}" for n in range(1, 6)}


@pytest.mark.usefixtures("short_grace")
def test_a_thread_that_freezes_is_an_error_at_the_callers_deadline(shop: Shop) -> None:
    go_on = threading.Event()
    freeze = lambda request: go_on.wait(60) and False  # noqa: E731
    error, result = shop.agent.map([order(7), "Hi"], max_workers=2, timeout=3.0, on_approval=freeze, on_error="return")
    assert isinstance(error, SessionTimeoutError)
    assert quoted(result) == "Hi"
    go_on.set()
    # With an engine that is there to take the late answer; without one it would be tried for as long as answers are.
    assert eventually(lambda: not mapping())


def test_a_prompt_that_does_not_pickle_is_refused_before_the_first(tmp_path: Path) -> None:
    pool = ProcessPoolExecutor(1)  # starts no process before the first job
    with open(tmp_path / "file", "wb+") as file, pytest.raises(TypeError, match="prompt 1 cannot be sent"):
        ELSEWHERE.map(["Hi", file], executor=pool)
    with pytest.raises(TypeError, match="on_approval cannot be sent"):
        ELSEWHERE.map(["Hi"], executor=pool, on_approval=lambda request: True)
    client = Client("k", "http://127.0.0.1:9", tls=ssl.create_default_context())
    with pytest.raises(TypeError, match="the agent cannot be sent"):
        Agent("a1", agent_type="conversational", client=client).map(["Hi"], executor=pool)


LOKY = """
    import os, sys, threading
    from joblib.externals.loky import get_reusable_executor
    from sessionlib import Agent, Client

    os.environ["SESSIONLIB_API_KEY"] = sys.stdin.readline().strip()
    agent = Agent(sys.argv[2], agent_type="conversational", client=Client(base_url=sys.argv[1]))
    executor, prompts = get_reusable_executor(2), [f"prompt {n}" for n in range(20)]
    for odd in ({"prompts": ["Hi", threading.Lock()]}, {"prompts": [], "on_approval": threading.Lock().acquire}):
        try:
            agent.map(**odd, executor=executor)
        except TypeError as error:
            print(error)
    # It takes what a pool of processes does not.
    results = list(agent.map(prompts, executor=executor, on_approval=lambda request: True))
    print([prompt in result.final_message for prompt, result in zip(prompts, results)] == [True] * 20)
    executor.shutdown()
"""


@pytest.mark.slow
def test_the_executor_of_joblib(shop: Shop) -> None:
    result = run_script(LOKY, shop.engine.base_url, shop.agent.id, stdin=shop.engine.api_key + "\n")
    assert result.stdout.count("\n") == 3, result
    odd, handler, right = result.stdout.splitlines()
    assert odd.startswith("prompt 1 cannot be sent to the processes")
    assert handler.startswith("on_approval cannot be sent")
    assert right == "True"


@pytest.mark.parametrize("options", [{"rate": 0}, {"rate": -1}, {"max_active": 0}])
def test_a_pace_of_nothing_is_refused(options: Any) -> None:
    with pytest.raises(ConfigurationError, match="above 0"):
        Client("k", "http://127.0.0.1:9", **options)


@pytest.mark.slow
def test_no_prompt_fails_of_429(engine: ScriptEngine) -> None:
    accepted: list[float] = []
    lock = threading.Lock()

    def limited(conn: Connection, head: bytes) -> bool:
        with lock:
            now = time.monotonic()
            free = sum(at > now - 1.0 for at in accepted) < 20
            if free:
                accepted.append(now)
        return conn.accept() if free else refuse(429, headers=[("Retry-After", "1")])(conn, head)

    engine.handshake = limited
    engine.on("post_message", lambda conn, frame: conn.send_many(turn()))
    assert len(list(scripted(engine).map(prompts(80), max_workers=32))) == 80
    assert len(accepted) == 80


# ---- checkpoints ---------------------------------------------------------------------------


def test_a_checkpoint_goes_on_and_posts_nothing_twice(engine: ScriptEngine, tmp_path: Path) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_many(turn(pieces=[frame["content"]])))
    agent, path = scripted(engine), tmp_path / "run.db"
    with agent.map(prompts(6), max_workers=1, checkpoint=path) as runs:
        assert next(runs).final_message == "prompt 0"
    posted = len(engine.frames("post_message"))
    results = list(agent.map(prompts(6), checkpoint=path))
    assert [result.final_message for result in results] == prompts(6)
    assert posted < 6
    contents = [frame["content"] for frame in engine.frames("post_message")]
    assert len(set(contents)) == len(contents) == 6


def test_a_checkpoint_of_something_else_is_refused(agent: Agent, tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    list(agent.map(prompts(3), checkpoint=path))
    with pytest.raises(ConfigurationError, match="of other prompts: number 1"):
        agent.map(["prompt 0", "another", "prompt 2"], checkpoint=path)
    with pytest.raises(ConfigurationError, match="of other prompts: it has number 2"):
        agent.map(prompts(2), checkpoint=path)
    with pytest.raises(ConfigurationError, match="of the agent"):
        Agent("another", agent_type="conversational", client=agent.client).map(prompts(3), checkpoint=path)
    with pytest.raises(TypeError, match="with a checkpoint, a prompt is text"):
        agent.map(["Hi", io.BytesIO(b"file")], checkpoint=tmp_path / "other.db")
    assert not (tmp_path / "other.db").exists()
    with pytest.raises(IsADirectoryError):
        agent.map(prompts(3), checkpoint=tmp_path)
    (tmp_path / "text").write_text("not a database, but long enough to be read as the head of one" * 9)
    with pytest.raises(ConfigurationError, match="not a checkpoint"):
        agent.map(prompts(3), checkpoint=tmp_path / "text")


KILLED = """
    import sys
    from sessionlib import Agent, Client

    agent = Agent("a1", agent_type="conversational", client=Client("key", sys.argv[1]))
    prompts = [f"prompt {n}" for n in range(int(sys.argv[3]))]
    for result in agent.map(prompts, max_workers=8, checkpoint=sys.argv[2], on_error="return", ordered=False):
        print("done", result.index, getattr(result, "final_message", repr(result)), flush=True)
"""


@pytest.mark.slow
def test_a_caller_that_is_killed_goes_on_where_it_was(engine: ScriptEngine, tmp_path: Path, seed: int) -> None:
    print("seed", seed)
    chance, echoing = random.Random(seed), Echoing(engine)
    count, kills = max(120, 60 * KILLS), max(3, KILLS)
    arguments = (engine.base_url, str(tmp_path / "run.db"), str(count))
    for _ in range(kills):
        goal = len(echoing.said) + chance.randrange(count * 2 // kills)
        with Script(KILLED, *arguments) as script:
            assert eventually(lambda goal=goal: len(echoing.said) >= min(goal, count))  # type: ignore[misc]
            time.sleep(chance.uniform(0.0, 0.03))
            script.kill()
    lines = run_script(KILLED, *arguments, timeout=280).check().stdout.splitlines()
    assert sorted(lines) == sorted(f"done {number} prompt {number}" for number in range(count))
    assert sorted(echoing.said) == sorted(prompts(count))


class Echoing:
    """Answers each prompt with itself, also in the history, and refuses what comes to sessions that have ended.

    Args:
        engine: The engine.
        streams: Whether the answer is sent, too.

    Attributes:
        posts: The prompts that were posted, by session.
    """

    def __init__(self, engine: ScriptEngine, *, streams: bool = True) -> None:
        self.posts: dict[str, list[str]] = {}
        self._streams = streams
        self._ended: set[str] = set()
        self._lock = threading.Lock()  # protects posts
        numbers = itertools.count()
        engine.on("create_session", lambda conn, frame: conn.send(frames.session_created(f"s{next(numbers)}")))
        for name in ("connect_session", "terminate_session", "get_messages", "post_message"):
            engine.on(name, self._answer)

    @property
    def said(self) -> list[str]:
        """All prompts that were posted."""
        with self._lock:
            return [text for texts in self.posts.values() for text in texts]

    def _answer(self, conn: Connection, frame: Received) -> None:
        kind, session_id = frame["type"], frame["session_id"]
        if kind == "terminate_session":
            self._ended.add(session_id)
        if kind == "get_messages":
            messages = []
            for number, text in enumerate(self.posts.get(session_id, [])):
                messages.append(user_message(session_id, f"u{number}", text))
                messages.append(agent_message(session_id, f"m{number}", text_content(text)))
            conn.send(frames.history(session_id, messages))
        elif kind != "terminate_session" and session_id in self._ended:
            conn.send(frames.refusal(kind, session_id, "it was terminated"))
        elif kind == "post_message":
            with self._lock:
                self.posts.setdefault(session_id, []).append(frame["content"])
            told = turn(session_id, pieces=[frame["content"]], ack="post_message")
            if self._streams:
                conn.sleep(0.02)
            with contextlib.suppress(PeerGone):
                conn.send_many(told if self._streams else told[:2])
        else:
            conn.send(frames.ack(kind, session_id))


KILLS = int(os.environ.get("SESSIONLIB_KILLS", "1"))
"""How often the tests kill workers, each time in a map of its own, and callers."""

WORKERS = """
    import contextlib, json, multiprocessing, os, random, signal, sys, tempfile, time
    from concurrent.futures import ProcessPoolExecutor
    from sessionlib import Agent, Client, executors

    # Of the worker that comes first to its change of a number to the record of all, in the middle of it.
    STOP_IN_A_CHANGE = '''if True:
        import contextlib, itertools, os, signal
        from sessionlib.agent.checkpoint import FileLedger

        def stopping(ledger, *args, transaction=FileLedger.transaction, count=itertools.count(1), **options):
            return contextlib.contextmanager(change)(transaction(ledger, *args, **options), next(count))

        def change(transaction, number):
            with transaction as database:
                yield database
                with contextlib.suppress(FileExistsError):
                    if number == NUMBER:
                        open(FLAG, "x").close()
                        os.kill(os.getpid(), signal.SIGSTOP)

        FileLedger.transaction = stopping
    '''

    def resume(pids):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def start(kind, stack):
        if kind.startswith("pool"):
            begin, change = (), kind.removeprefix("pool, stopped in change ")
            if change.isdigit():
                flag = stack.enter_context(tempfile.TemporaryDirectory()) + "/stopped"
                begin = (exec, (STOP_IN_A_CHANGE, {"NUMBER": int(change), "FLAG": flag}))
            executor = stack.enter_context(ProcessPoolExecutor(4, multiprocessing.get_context("spawn"), *begin))
            return executor, lambda: list(executor._processes or ())
        if kind == "ray":
            os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
            import psutil, ray
            # Its node ends by itself where its agent, a Python of its own, is not there within 15 s, whatever is set:
            # on a busy machine one in ten does, and the next finds all of it in the system's cache.
            for attempt in range(12):
                try:
                    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
                    break
                except Exception as error:
                    if "timed out during startup" not in str(error) or attempt == 11:
                        raise
                    ray.shutdown()
            stack.callback(ray.shutdown)
            workers = ("ray::_call", "ray::IDLE")  # and not the agents, with which the whole node ends
            found = psutil.Process().children
            return executors.ray(num_cpus=0.25), lambda: [
                one.pid for one in found(recursive=True) if one.name().startswith(workers)
            ]
        from dask.distributed import Client as Dask, LocalCluster
        cluster = stack.enter_context(LocalCluster(n_workers=2, threads_per_worker=4, dashboard_address="127.0.0.1:0"))
        dask = stack.enter_context(Dask(cluster))
        executor = executors.dask(dask) if kind == "dask" else dask.get_executor(retries=0)
        # Not asked of Dask, which cannot say while one of them is dead.
        processes = lambda: [one.process for one in cluster.workers.values()]
        return executor, lambda: [one.pid for one in processes() if one and one.pid]

    if __name__ == "__main__":
        url, kind, seed, number, count, timeout = sys.argv[1:]
        os.environ["SESSIONLIB_API_KEY"] = "key"
        chance, count, stopped = random.Random(int(seed)), int(count), []
        agent = Agent("a1", "A", agent_type="conversational", client=Client(base_url=url))
        # At two moments, or twice at the same one.
        moments = sorted(chance.randrange(1, count * 3 // 4) for _ in range(2))[: chance.choice([1, 2])] * 2
        with contextlib.ExitStack() as stack:
            executor, pids = start(kind, stack)
            # Or an error of the map would wait for ever for a pool with a stopped worker.
            stack.callback(lambda: resume(pids() if kind[-1].isdigit() else stopped if number == "SIGSTOP" else []))
            prompts, outcomes = [f"prompt {n}" for n in range(count)], []
            options = {"ordered": chance.random() < 0.5, "on_error": "return", "timeout": float(timeout)}
            for outcome in agent.map(prompts, executor=executor, max_workers=8, **options):
                outcomes.append(outcome)
                for _ in range(moments[:2].count(len(outcomes)) if number else 0):
                    with contextlib.suppress(IndexError, ProcessLookupError):
                        pid = chance.choice(pids())
                        os.kill(pid, getattr(signal, number))
                        stopped.append(pid)
            found = [(one.index, type(one).__name__, getattr(one, "final_message", str(one))) for one in outcomes]
            # Before the cluster is closed, which may find its stopped workers ended.
            print("outcomes", json.dumps(found), flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kind", "signal_name"),
    [(kind, "SIGKILL") for kind in ("pool", "dask", "plain dask", "ray")]
    + [("pool", "SIGSTOP"), ("dask", "SIGSTOP")]
    # In the middle of a change to the record of all: the claim of a prompt, and its result.
    + [(f"pool, stopped in change {number}", "") for number in (11, 12)],
)
@pytest.mark.parametrize("attempt", range(KILLS))
def test_workers_that_die_or_freeze_say_nothing_twice_and_lose_nothing(
    engine: ScriptEngine, kind: str, signal_name: str, attempt: int, seed: int
) -> None:
    print("seed", seed + attempt)
    echoing = Echoing(engine)
    count, timeout = (120, "30") if signal_name == "SIGKILL" else (60, "2") if signal_name else (40, "1")
    result = run_script(
        WORKERS, engine.base_url, kind, str(seed + attempt), signal_name, str(count), timeout, timeout=560
    )
    assert "outcomes" in result.stdout, result
    # One line: Ray may write behind it what it has to say of workers that died.
    outcomes = json.loads(result.stdout.partition("outcomes ")[2].splitlines()[0])
    assert sorted(index for index, _, _ in outcomes) == list(range(count))
    said = echoing.said
    assert len(said) == len(set(said))
    for index, name, text in outcomes:
        if name == "ConversationalAgentRunResult":
            assert text == f"prompt {index}"
        else:  # what was posted has an answer in its session, so that only its fate may be unknown
            unknown = name in ("DeliveryUnknownError", "SessionTimeoutError")
            assert f"prompt {index}" not in said or unknown, (index, text)
    assert "ConversationalAgentRunResult" in {name for _, name, _ in outcomes}


# ---- whatever an executor does --------------------------------------------------------------


class Fateful(Executor):
    """Deals with each job as it is fated to, and with those beyond as with the rest.

    Attributes:
        left: The jobs that it has lost.
    """

    def __init__(self, fates: Sequence[str] = (), *, rest: str = "runs") -> None:
        self.fates = iter(fates)
        self.rest = rest
        self.left: list[Callable[[], Any]] = []
        self.pool = ThreadPoolExecutor(4)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        job, future = partial(fn, *args, **kwargs), Future[Any]()
        fate = next(self.fates, self.rest)
        if fate == "refused":
            raise RuntimeError("refused")
        if fate == "runs":
            return self.pool.submit(job)
        if fate == "runs at once and again":
            future.set_result(job())
            assert job() == future.result()
        elif fate == "runs twice at once":
            self.pool.submit(job)
            return self.pool.submit(job)
        elif fate.startswith("runs"):
            self.pool.submit(job).add_done_callback(lambda _: self._end(future, fate))
        elif fate == "is lost":
            self.left.append(job)
        else:
            self._end(future, fate)
        return future

    def _end(self, future: Future[Any], fate: str) -> None:
        if fate.endswith("is cancelled"):
            future.cancel()
        elif fate.endswith("is broken") and not future.cancelled():
            future.set_exception(BrokenExecutor("a worker died"))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.pool.shutdown(wait)


FATES = ["runs", "runs twice at once", "refused"] + [
    f"{begin}is {end}" for begin in ("", "runs, and ") for end in ("lost", "cancelled", "broken")
]


@pytest.mark.slow
@settings(max_examples=12 * KILLS)
@given(st.lists(st.sampled_from(FATES), max_size=12), st.integers(1, 4), st.booleans(), st.booleans())
def test_whatever_an_executor_does_the_map_ends_loses_nothing_and_says_nothing_twice(
    fates: list[str], workers: int, ordered: bool, checkpoint: bool
) -> None:
    with shortened(), ScriptEngine(strict=False) as engine, tempfile.TemporaryDirectory() as folder:
        echoing, agent = Echoing(engine), scripted(engine)
        path = Path(folder, "run.db") if checkpoint else None
        options: Any = {"max_workers": workers, "ordered": ordered, "timeout": 1.0, "on_error": "return"}
        with Fateful(fates) as executor:
            outcomes = list(agent.map(prompts(16), executor=executor, checkpoint=path, **options))
        said = echoing.said
        assert len(said) == len(set(said))
        indices = [outcome.index for outcome in outcomes]
        assert (indices if ordered else sorted(indices)) == list(range(16))
        for index, outcome in zip(indices, outcomes, strict=True):
            if isinstance(outcome, ConversationalAgentRunResult):
                assert outcome.final_message == f"prompt {index}"
            elif f"prompt {index}" in said:
                assert isinstance(outcome, (DeliveryUnknownError, SessionTimeoutError)), fates
        if path is not None:  # and the next run has what this one has not
            assert [one.final_message for one in agent.map(prompts(16), checkpoint=path)] == prompts(16)
            assert sorted(echoing.said) == sorted(prompts(16))


# ---- claimed, and not posted ---------------------------------------------------------------


def claimed(agent: Agent, path: Path) -> str:
    """Leaves a checkpoint as a caller does that is killed between its claim and its post; returns the session's id."""
    session = agent.create_session().connect()
    session_id = session.session_id or ""
    session.disconnect()
    checkpoint = Checkpoint(path, agent.id, shared=False)
    assert checkpoint.ledger.claim(0, prompt_key("prompt 0"), session_id, None)
    checkpoint.close()
    return session_id


def test_what_was_claimed_and_not_posted_is_sent_once_its_session_is_ended(agent: Agent, tmp_path: Path) -> None:
    session_id = claimed(agent, tmp_path / "run.db")
    (result,) = agent.map(prompts(1), checkpoint=tmp_path / "run.db")
    assert quoted(result) == "prompt 0"
    assert result.session_id != session_id
    with pytest.raises(SessionError, match="terminated"):  # so that a late post is refused
        agent.resume_session(session_id).connect()


def test_an_end_that_was_noted_and_then_lost_itself_is_gone_on_with(agent: Agent, tmp_path: Path) -> None:
    session_id = claimed(agent, tmp_path / "run.db")
    checkpoint = Checkpoint(tmp_path / "run.db", agent.id, shared=False)
    checkpoint.ledger.note_unposted(0, session_id)
    checkpoint.close()
    agent.resume_session(session_id).connect().terminate()
    (result,) = agent.map(prompts(1), checkpoint=tmp_path / "run.db")
    assert quoted(result) == "prompt 0"


def test_an_answer_that_is_collected_is_kept_before_its_session_ends(engine: ScriptEngine, tmp_path: Path) -> None:
    path, states = tmp_path / "run.db", []
    echoing, agent = Echoing(engine), scripted(engine)
    echoing.posts[claimed(agent, path)] = ["prompt 0"]

    @engine.on("terminate_session")
    def end(conn: Connection, frame: Received) -> None:
        with contextlib.closing(sqlite3.connect(path)) as database:
            states.extend(database.execute("SELECT state FROM prompts").fetchall())
        conn.send(frames.ack("terminate_session", frame["session_id"]))

    assert [result.final_message for result in agent.map(prompts(1), checkpoint=path)] == ["prompt 0"]
    assert eventually(lambda: bool(states))
    assert states == [("complete",)]
    assert engine.frames("post_message") == []


@pytest.mark.parametrize("what", ["goes on", "has a turn", "has a message", "refuses"])
def test_a_claim_that_may_have_been_posted_is_not_sent_again(engine: ScriptEngine, tmp_path: Path, what: str) -> None:
    Echoing(engine)
    if what == "goes on":  # as if it had not been ended
        engine.off("connect_session")
        engine.off("terminate_session")
    agent = scripted(engine)
    session_id = claimed(agent, tmp_path / "run.db")
    looks = itertools.count()

    @engine.on("get_messages")
    def history(conn: Connection, frame: Received) -> None:
        late = what == "has a message" and next(looks) > 0
        conn.send(frames.history(session_id, [user_message(session_id, "u1", "prompt 0")] if late else []))
        if what == "has a turn":
            conn.send(frames.participant_status(session_id, "Processing"))

    if what == "refuses":
        engine.on("connect_session", lambda conn, frame: conn.send(frames.refusal("connect_session", "s0", "it ended")))
    (outcome,) = agent.map(prompts(1), checkpoint=tmp_path / "run.db", on_error="return", timeout=30)
    assert isinstance(outcome, DeliveryUnknownError)
    assert engine.frames("post_message") == []
