"""What is known of each prompt, across processes: one claim each, one pace, and no file taken for another."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import signal
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib import Agent, Client, ConfigurationError, ConversationalAgentRunResult, SessionError
from sessionlib._util.timing import Deadline
from sessionlib.agent.checkpoint import (
    Checkpoint,
    FileLedger,
    MemoryLedger,
    PromptLedger,
    RecordHeldError,
    RunStoppedError,
    new_ledger,
    prompt_key,
)
from sessionlib.net.retry import Pace
from tests.support.processes import Script, run_script
from tests.support.threads import in_threads


@pytest.fixture
def file_ledger(tmp_path: Path) -> Iterator[FileLedger]:
    with contextlib.closing(new_ledger(str(tmp_path / "prompts.db"))) as made:
        yield made


@pytest.fixture
def other(file_ledger: FileLedger) -> Iterator[FileLedger]:
    """The same file, through a connection of its own, as another process has it."""
    made = FileLedger(file_ledger.path, file_ledger.run, file_ledger.lasting, file_ledger.shared)
    yield made
    made.disconnect()


@pytest.fixture(params=["memory", "file"])
def ledger(request: pytest.FixtureRequest, file_ledger: FileLedger) -> PromptLedger:
    return MemoryLedger() if request.param == "memory" else file_ledger


def begin_again(folder: Path) -> None:
    """Deletes a checkpoint, as its user does."""
    for path in folder.glob("run.db*"):
        path.unlink()


# ---- claims --------------------------------------------------------------------------------


def test_of_many_claims_at_once_one_succeeds(ledger: PromptLedger) -> None:
    barrier, won = threading.Barrier(8), []

    def claim(worker: int) -> None:
        barrier.wait(30)
        won.extend(number for number in range(20) if ledger.claim(number, "", f"s{worker}", None))

    with in_threads(*(functools.partial(claim, worker) for worker in range(8))):
        """All at once."""
    assert sorted(won) == list(range(20))


def test_what_the_caller_has_withdrawn_cannot_be_claimed(ledger: PromptLedger) -> None:
    assert ledger.withdraw(0).session_id is None
    assert not ledger.claim(0, "", "s1", None)
    assert isinstance(ledger.entry(0).failure, RunStoppedError)
    assert ledger.claim(1, "", "s1", None)
    assert ledger.withdraw(1).is_running


def test_a_result_stays_until_the_caller_has_it(ledger: PromptLedger) -> None:
    result = ConversationalAgentRunResult("yes", "s1", "complete")
    assert ledger.claim(0, "", "s1", None)
    ledger.finish(0, result)
    assert (ledger.entry(0).result, ledger.entry(0).is_running) == (result, False)
    ledger.fail(0, SessionError("an attempt that came later"))
    ledger.forget(0)
    assert not ledger.claim(0, "", "s2", None)


def test_no_claim_succeeds_once_it_is_closed(file_ledger: FileLedger, other: FileLedger) -> None:
    file_ledger.close()
    with pytest.raises(RunStoppedError):
        other.claim(0, "", "s1", None)


def test_what_was_withdrawn_in_one_run_is_free_in_the_next(tmp_path: Path) -> None:
    for _ in range(2):
        checkpoint = Checkpoint(tmp_path / "run.db", "a1", shared=False)
        assert list(checkpoint.compared(["one"])) == ["one"]
        assert checkpoint.ledger.withdraw(0).session_id is None
        checkpoint.close()


# ---- one file and no other -----------------------------------------------------------------

ELSEWHERE = """
    import pickle, sys
    try:
        pickle.loads(bytes.fromhex(sys.argv[1])).claim(0, "", "s1", None)
        print("claimed")
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_another_process_claims_in_the_same_file(file_ledger: FileLedger) -> None:
    assert run_script(ELSEWHERE, pickle.dumps(file_ledger).hex()).check().stdout == "claimed\n"
    assert not file_ledger.claim(0, "", "s2", None)


@pytest.mark.parametrize(
    "put",
    [
        lambda path: None,
        Path.touch,
        Path.mkdir,
        lambda path: Checkpoint(path, "a1", shared=True).close(),
        lambda path: path.write_text("long enough for the head of a database" * 30),
    ],
    ids=["nothing", "an empty file", "a directory", "another run's", "text"],
)
def test_a_machine_that_has_something_else_under_this_path_says_so(tmp_path: Path, put: Callable[[Path], Any]) -> None:
    """As a machine does that does not share the directory: it has nothing there, or a file of its own."""
    checkpoint = Checkpoint(tmp_path / "run.db", "a1", shared=True)
    copy = pickle.dumps(checkpoint.ledger)
    checkpoint.close()
    begin_again(tmp_path)
    put(tmp_path / "run.db")
    said = run_script(ELSEWHERE, copy.hex()).check().stdout
    assert said.startswith("ConfigurationError")
    assert str(tmp_path / "run.db") in said
    assert "claimed" not in said


def test_a_worker_that_had_an_earlier_file_opens_the_new_one(tmp_path: Path) -> None:
    """A worker of Dask lives longer than a checkpoint that its user deletes to begin again."""
    for _ in range(2):
        checkpoint = Checkpoint(tmp_path / "run.db", "a1", shared=True)
        worker = pickle.loads(pickle.dumps(checkpoint.ledger))
        assert worker.claim(0, "", "s1", None)
        assert checkpoint.ledger.entry(0).session_id == "s1"
        checkpoint.close()
        begin_again(tmp_path)
    worker.disconnect()


class Remote(Executor):
    """May have workers on other machines, for all that is known of it."""


@pytest.mark.parametrize(("executor", "is_local"), [(None, True), (ProcessPoolExecutor, True), (Remote, False)])
def test_a_log_that_only_one_machine_can_read_is_for_one_machine(tmp_path: Path, executor: Any, is_local: bool) -> None:
    """The index of a write-ahead log is memory (sqlite.org/wal): over a network, each claim would succeed."""
    agent = Agent("a1", agent_type="conversational", client=Client("k", "http://127.0.0.1:9"))
    path = tmp_path / "run.db"
    # The same file under one executor after another.
    for kind in (None, executor, None, executor):
        with (
            agent.map(["Hi"], executor=kind and kind(), checkpoint=path),
            contextlib.closing(sqlite3.connect(path)) as database,
        ):
            (mode,) = database.execute("PRAGMA journal_mode").fetchone()
            assert (mode == "wal") is (kind is None or is_local)


# ---- one pace ------------------------------------------------------------------------------


def test_processes_of_a_map_have_one_rate(file_ledger: FileLedger, other: FileLedger) -> None:
    first, second = file_ledger.pace(Pace(rate=0.01)), other.pace(Pace(rate=0.01))
    assert first.admit(Deadline(5))
    assert not second.admit(Deadline(5))  # not before 100 s have passed


def test_a_refusal_in_one_process_pauses_all(file_ledger: FileLedger, other: FileLedger) -> None:
    pace = Pace()
    assert other.pace(pace).admit(Deadline(5))
    file_ledger.pace(pace).refused(60.0)
    assert not other.pace(pace).admit(Deadline(5))


@given(st.lists(st.tuples(st.sampled_from(["admit", "refused"]), st.floats(0, 3)), max_size=40))
def test_a_pace_in_a_file_is_that_in_memory(steps: list[tuple[str, float]]) -> None:
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def run(pace: Any) -> list[float]:
        now[0], times = 100.0, []
        for what, after in steps:
            now[0] += after
            if what == "admit":
                assert pace.admit(Deadline(None), sleep)
            else:
                pace.refused(None if after > 2 else after, after / 2)
            times.append(now[0])
        return times

    with tempfile.TemporaryDirectory() as folder:
        ledger = new_ledger(os.path.join(folder, "prompts.db"))
        in_file = ledger.pace(Pace(rate=5))
        in_file._clock = lambda: now[0]  # type: ignore[attr-defined]
        assert run(in_file) == pytest.approx(run(Pace(rate=5, clock=lambda: now[0])))
        ledger.close()


HOLDER = """
    import pickle, sys, time
    from sessionlib.net.retry import Pace
    from sessionlib._util.timing import Deadline

    with pickle.loads(bytes.fromhex(sys.argv[1])).pace(Pace(max_active=1)).active(Deadline(None)) as held:
        print("held" if held else "refused", flush=True)
        time.sleep(60)
"""


def test_a_place_of_a_process_that_is_killed_is_free_again(file_ledger: FileLedger) -> None:
    pace = file_ledger.pace(Pace(max_active=1))
    with Script(HOLDER, pickle.dumps(file_ledger).hex()) as script:
        script.wait_for("held")
        with pace.active(Deadline(0.2)) as held:
            assert not held
        script.kill()
        script.wait()
    with pace.active(Deadline(10)) as held:
        assert held
        with pace.active(Deadline(0.2)) as second:
            assert not second


def test_a_pace_of_the_users_own_stays(file_ledger: FileLedger) -> None:
    class Own:
        def admit(self, deadline: Deadline, sleep: Any = None) -> bool:
            return True

    own: Any = Own()
    assert file_ledger.pace(own) is own


def test_a_checkpoint_in_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    source = """
        import sys, time
        from sessionlib.agent.checkpoint import Checkpoint
        checkpoint = Checkpoint(sys.argv[1], "a1", shared=False)
        print("held", flush=True)
        time.sleep(60)
    """
    with Script(source, str(path)) as script:
        script.wait_for("held")
        with pytest.raises(ConfigurationError, match="in use by another run"):
            Checkpoint(path, "a1", shared=False)
        script.kill()
    Checkpoint(path, "a1", shared=False).close()


@pytest.mark.parametrize("shared", [False, True])
def test_a_record_that_a_frozen_process_holds_is_reported(tmp_path: Path, shared: bool) -> None:
    checkpoint = Checkpoint(tmp_path / "run.db", "a1", shared=shared)
    assert checkpoint.ledger.claim(0, "", "s1", None)
    change = """
        import pickle, sys, time
        ledger = pickle.loads(bytes.fromhex(sys.argv[1]))
        with ledger.transaction() as database:
            database.execute("DELETE FROM prompts")
            print("held", flush=True)
            time.sleep(600)
    """
    with Script(change, pickle.dumps(checkpoint.ledger).hex()) as script:
        script.wait_for("held")
        os.kill(script.pid, signal.SIGSTOP)
        with pytest.raises(RecordHeldError, match="frozen"):
            checkpoint.ledger.withdraw(1)
        # Without a further wait; and what can be read is read.
        checkpoint.ledger.fail(0, SessionError("lost"))
        assert not checkpoint.ledger.finish(0, ConversationalAgentRunResult("Hi", "s1", "complete", None, []))
        assert checkpoint.ledger.entry(0).is_running
        checkpoint.close()
        with pytest.raises(ConfigurationError, match="is killed"):
            Checkpoint(tmp_path / "run.db", "a1", shared=shared)
        script.kill()
    checkpoint = Checkpoint(tmp_path / "run.db", "a1", shared=shared)
    assert checkpoint.ledger.entry(0).session_id == "s1"
    checkpoint.close()


@pytest.mark.parametrize("at", [0, 2**20 - 1, 2**20, 2**21 + 2**19, 3 * 2**20 - 1])
def test_a_large_file_that_changes_in_one_byte_is_another_prompt(tmp_path: Path, at: int) -> None:
    path, data = tmp_path / "large.bin", bytearray(3 * 2**20)
    path.write_bytes(data)
    before = prompt_key(path)
    assert before == prompt_key(path)
    data[at] = 1
    path.write_bytes(data)
    assert prompt_key(path) != before
    assert prompt_key(bytes(data)) != prompt_key(bytes(3 * 2**20))
