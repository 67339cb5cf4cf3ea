"""Many one-shot turns: in order, complete, on any executor, and stopped at will."""

from __future__ import annotations

import gc
import io
import itertools
import pickle
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from sessionlib import (
    Agent,
    AgentType,
    ApiError,
    Client,
    ConversationalAgentRunResult,
    ConversationalRunActionRequiredError,
    DeliveryUnknownError,
    MissingExtraError,
    SessionError,
    approve_all,
)
from sessionlib.agent.map import Job
from sessionlib.agent.oneshot import OneShot, RunStoppedError, Stopper
from sessionlib.protocol import frames
from sessionlib.testing import FaultProxy
from tests.support.processes import Script, run_script
from tests.support.script_engine import Connection, Received, ScriptEngine, turn
from tests.support.secrets import SENTINEL_KEY, assert_keeps_secret
from tests.support.shop import FRONT, Shop, open_shop, order
from tests.support.toolbox import status
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def _no_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    # The thread by which tqdm watches over slow bars lives as long as the process.
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with open_shop() as shop:
        yield shop


@pytest.fixture
def agent(shop: Shop) -> Agent:
    return shop.agent


def quoted(result: Any) -> str:
    """What the demo model quotes in a result."""
    assert isinstance(result, ConversationalAgentRunResult)
    return result.final_message.split('You said: "')[1].rstrip('"')


def prompts(number: int) -> list[str]:
    return [f"prompt {n}" for n in range(number)]


def scripted(engine: ScriptEngine, **options: Any) -> Agent:
    return Agent("a1", agent_type=AgentType.CONVERSATIONAL, client=Client(SENTINEL_KEY, base_url=engine.base_url))


# ---- complete and in order -----------------------------------------------------------------


@pytest.mark.slow
def test_500_prompts_with_16_workers_are_answered_in_order(agent: Agent) -> None:
    results = list(agent.map(prompts(500), max_workers=16))
    assert [quoted(result) for result in results] == prompts(500)
    assert len({result.session_id for result in results}) == 500  # type: ignore[union-attr]


def test_each_prompt_has_a_session_of_its_own_which_is_terminated(agent: Agent) -> None:
    for result in agent.map(prompts(3)):
        assert isinstance(result, ConversationalAgentRunResult)
        assert result.final_message.startswith("This is the demo model")
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
def test_500_prompts_are_answered_also_when_links_are_cut(shop: Shop, seed: int) -> None:
    port = shop.engine.port
    with CuttingProxy("127.0.0.1", port, host=FRONT, port=port, seed=seed) as proxy:
        client = Client(shop.engine.api_key, base_url=proxy.base_url)
        agent = Agent(shop.agent.id, agent_type=AgentType.CONVERSATIONAL, client=client)
        results = list(agent.map(prompts(500), max_workers=16, retries=2, timeout=60))
        assert proxy.cuts >= 25
    assert [quoted(result) for result in results] == prompts(500)


def test_prompts_are_taken_as_results_are_taken(agent: Agent) -> None:
    taken = itertools.count()
    runs = agent.map((f"prompt {next(taken)}" for _ in itertools.count()), max_workers=2)
    results = [quoted(next(runs)) for _ in range(20)]
    assert results == prompts(20)
    assert next(taken) <= 20 + 2 * 4 + 1
    runs.close()
    with pytest.raises(StopIteration):
        next(runs)


def test_no_prompt_is_taken_before_a_result_is_asked_for(agent: Agent) -> None:
    def fail() -> Iterator[str]:
        raise AssertionError("too early")
        yield ""

    agent.map(fail()).close()


def test_there_may_be_no_prompts(agent: Agent) -> None:
    assert list(agent.map([])) == []


def test_so_many_run_at_a_time(engine: ScriptEngine) -> None:
    running, most = [0], [0]
    lock = threading.Lock()

    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        engine.wait_for("post_message", 3)  # so many have to be there at once
        conn.sleep(0.05)
        with lock:
            running[0] -= 1
        conn.send_many(turn())

    assert len(list(scripted(engine).map(prompts(12), max_workers=3))) == 12
    assert most == [3]


def test_a_slow_prompt_does_not_leave_the_others_idle(engine: ScriptEngine) -> None:
    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        if frame["content"] == "prompt 0":
            engine.wait_for("post_message", 8)
        conn.send_many(turn(pieces=[frame["content"]]))

    results = list(scripted(engine).map(prompts(8), max_workers=2))
    assert [result.final_message for result in results] == prompts(8)  # type: ignore[union-attr]


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


def test_an_error_is_raised_in_its_place_and_the_others_are_not_lost(moody: Agent) -> None:
    runs, told = moody.map(prompts(8), max_workers=2), []
    while True:
        try:
            told.append(next(runs).final_message)  # type: ignore[union-attr]
        except StopIteration:
            break
        except SessionError as error:
            told.append(str(error).split(": ")[-1])
    assert told == [*prompts(3), "no threes", *prompts(8)[4:]]


def test_an_error_may_be_given_in_its_place(moody: Agent) -> None:
    results = list(moody.map(prompts(8), max_workers=2, on_error="return"))
    assert isinstance(results.pop(3), SessionError)
    assert [result.final_message for result in results] == [*prompts(3), *prompts(8)[4:]]  # type: ignore[union-attr]


def test_an_error_that_is_told_in_a_turn_is_in_its_result(engine: ScriptEngine) -> None:
    agent = scripted(engine)
    engine.on("post_message", lambda c, f: c.send_many([*turn()[:2], frames.error("out of tea", session_id="s1")]))
    (result,) = agent.map(["Hi"])
    assert isinstance(result, ConversationalAgentRunResult)
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
    assert [result.status for result in results] == ["complete"] * 5  # type: ignore[union-attr]
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
    (result,) = agent.map(["Hi"], retries=1)
    assert isinstance(result, ConversationalAgentRunResult)
    assert result.final_message == "Hello there"


def test_arguments_are_checked_at_once(agent: Agent) -> None:
    with pytest.raises(ValueError, match="on_error takes"):
        agent.map([], on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_workers takes"):
        agent.map([], max_workers=0)
    with pytest.raises(TypeError, match="executor takes"):
        agent.map([], executor=4)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="progress takes"):
        agent.map([], progress="bar")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has no sessions"):
        Agent("a1", client=agent.client).map([])


# ---- progress ------------------------------------------------------------------------------


class Bar:
    """A bar of the caller's own."""

    def __init__(self) -> None:
        self.done: list[float | None] = []

    def update(self, n: float | None = 1) -> None:
        self.done.append(n)


def test_a_bar_of_the_callers_own(agent: Agent) -> None:
    bar = Bar()
    assert len(list(agent.map(prompts(20), progress=bar, on_error="return"))) == 20
    assert sum(number or 0 for number in bar.done) == 20


def test_a_bar_tells_what_is_done_though_its_place_has_not_come(engine: ScriptEngine) -> None:
    bar = Bar()

    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        if frame["content"] == "prompt 0":
            assert eventually(lambda: sum(number or 0 for number in bar.done) == 7)
        conn.send_many(turn())

    assert len(list(scripted(engine).map(prompts(8), max_workers=2, progress=bar))) == 8


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
    agent = Agent("a1", agent_type="conversational", client=Client("k", "http://127.0.0.1:9"))
    assert len(list(agent.map(prompts(3), executor=Suddenly(), max_workers=1, progress=bar))) == 3
    assert sum(number or 0 for number in bar.done) == 3


def test_a_bar_of_tqdm(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    list(agent.map(prompts(30), progress=True))
    shown = capsys.readouterr().err
    assert "Assistant: 100%" in shown
    assert "30/30" in shown
    list(agent.map((text for text in prompts(3)), progress=True))
    assert "3 prompts" in capsys.readouterr().err


def test_a_bar_of_tqdm_of_the_callers_own(agent: Agent) -> None:
    from tqdm import tqdm

    stream = io.StringIO()
    with tqdm(total=5, file=stream) as bar:
        list(agent.map(prompts(5), progress=bar))
        assert bar.n == 5
        assert not bar.disable


def test_without_tqdm_a_bar_is_refused_at_once(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(MissingExtraError, match=r"progress=True needs tqdm; .* 'sessionlib\[progress\]'"):
        agent.map([], progress=True)


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
    prompts = [f"prompt {n}" for n in range(20)] + ["prompt 0"]
    # The key is not in what is sent to them: they have it from their environment.
    os.environ["SESSIONLIB_API_KEY"] = sys.stdin.readline().strip()
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        results = list(agent.map(prompts, executor=pool))
    assert [prompt in result.final_message for prompt, result in zip(prompts, results)] == [True] * 21
    del os.environ["SESSIONLIB_API_KEY"]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        (error,) = agent.map(["Hi"], executor=pool, on_error="return")
    print(repr(error))
"""


@pytest.mark.slow
def test_processes(shop: Shop) -> None:
    result = run_script(PROCESSES, shop.engine.base_url, shop.agent.id, stdin=shop.engine.api_key + "\n").check()
    assert result.stdout.startswith("ConfigurationError(")
    assert "SESSIONLIB_API_KEY" in result.stdout


DASK = """
    import os, sys
    from dask.distributed import Client as Dask, LocalCluster
    from sessionlib import Agent, Client

    if __name__ == "__main__":
        os.environ["SESSIONLIB_API_KEY"] = sys.stdin.readline().strip()
        agent = Agent(sys.argv[2], "A", agent_type="conversational", client=Client(base_url=sys.argv[1]))
        prompts = [f"prompt {n}" for n in range(100)] + ["the same"] * 10
        with LocalCluster(n_workers=2, threads_per_worker=4, dashboard_address=None) as cluster, Dask(cluster) as dask:
            executor = dask.get_executor()
            many = list(agent.map(prompts, executor=executor, max_workers=8, timeout=60))
            where = executor.submit(os.getpid).result()
            again = list(agent.map(["the same"], executor=executor))
        assert where != os.getpid()
        here = list(agent.map(prompts, max_workers=8))
        assert [r.final_message for r in many] == [r.final_message for r in here]
        assert all(prompt in r.final_message for prompt, r in zip(prompts, many))
        assert len({r.session_id for r in [*many, *again]}) == len(prompts) + 1
        print("the same results")
"""


@pytest.mark.slow
def test_dask_with_two_worker_processes(shop: Shop) -> None:
    result = run_script(DASK, shop.engine.base_url, shop.agent.id, stdin=shop.engine.api_key + "\n", timeout=110)
    assert result.rc == 0, result
    assert "the same results" in result.stdout


def test_no_key_travels_with_a_job(agent: Agent) -> None:
    secret = Agent("a1", agent_type="conversational", client=Client(SENTINEL_KEY, "http://127.0.0.1:9"))
    job = Job(secret, "Hi", OneShot(), Stopper(), "1")
    assert_keeps_secret(job)
    copy = pickle.loads(pickle.dumps(job))
    assert (copy.agent.id, copy.prompt, copy.how, copy.mark) == ("a1", "Hi", OneShot(), "1")


# ---- stopping ------------------------------------------------------------------------------


def test_closing_ends_what_runs_and_keeps_what_is_done(engine: ScriptEngine) -> None:
    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        told = [frames.ack("post_message", "s1"), status("Processing")]
        conn.send_many(told if frame["content"] in ("prompt 1", "prompt 3") else turn(pieces=[frame["content"]]))

    with scripted(engine).map(prompts(5), max_workers=5) as runs:
        assert next(runs).final_message == "prompt 0"  # type: ignore[union-attr]
        assert eventually(lambda: len(runs.done) == 2)
        engine.wait_for("post_message", 5)
        began = time.monotonic()
    assert time.monotonic() - began < 4
    done = runs.done
    assert {index: result.final_message for index, result in done.items()} == {  # type: ignore[union-attr]
        2: "prompt 2",
        4: "prompt 4",
    }
    assert list(runs) == []
    assert len(engine.wait_for("terminate_session", 5)) == 5
    assert eventually(lambda: not [thread for thread in threading.enumerate() if "sessionlib-map" in thread.name])


def test_dropping_the_results_ends_what_runs(engine: ScriptEngine) -> None:
    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        conn.send_many(turn() if frame["content"] == "prompt 0" else [frames.ack("post_message", "s1")])

    for result in scripted(engine).map(map("prompt {}".format, itertools.count()), max_workers=4):
        assert isinstance(result, ConversationalAgentRunResult)
        break
    gc.collect()
    assert eventually(lambda: not [thread for thread in threading.enumerate() if "sessionlib-map" in thread.name])
    assert eventually(lambda: not engine.connections)


@pytest.mark.slow
def test_stopping_ends_what_is_still_connecting(engine: ScriptEngine) -> None:
    engine.on("create_session", lambda conn, frame: None)
    agent = scripted(engine)
    runs = agent.map(prompts(4), max_workers=4)
    threading.Timer(0.3, runs.close).start()
    with pytest.raises((RunStoppedError, StopIteration)):
        next(runs)
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
    class Fickle(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.cancel()
            return future

    agent = Agent("a1", agent_type="conversational", client=Client("k", "http://127.0.0.1:9"))
    (error,) = agent.map(["Hi"], executor=Fickle(), on_error="return")
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
        result = script.wait(20).check()
        assert time.monotonic() - began < 10
    got, done, threads = result.stdout.splitlines()[-3:]
    assert got == str(prompts(5))
    assert done == str({number: f"prompt {number}" for number in range(6, 21)})
    assert threads == "[]"
    engine.wait_idle()
    assert len(engine.frames("terminate_session")) == len(engine.frames("create_session"))
