"""The checks that every test is under."""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sessionlib.testing.faults.connection import stack

from . import leaks
from .leaks import LeakError, Snapshot, no_leaks
from .script_engine import ScriptEngine
from .secrets import SENTINEL_KEY, LogWatch, assert_keeps_secret
from .waiting import eventually

FAILING_TESTS = """
import logging, socket, threading, time
from hypothesis import given, strategies
from tests.support import leaks

leaks.SETTLE = 3.0  # nothing that is forgotten here ends by itself
stop = threading.Event()

def test_thread():
    threading.Thread(target=stop.wait, name="forgotten", daemon=True).start()

kept = []
def test_socket():
    kept.append(socket.socket())

def test_log(sentinel_key):
    logging.getLogger("somewhere").debug("the key is %s", sentinel_key)

def test_traceback(sentinel_key):
    try:
        raise ValueError(sentinel_key)
    except ValueError:
        logging.getLogger("somewhere").exception("oops")

@given(strategies.integers())
def test_drawn(number):
    assert number < 100

def test_frames(engine):
    from sessionlib import Session
    with Session(session_id="s1", api_key="k", ws_url=engine.ws_url) as session:
        session.send("heard " + "x" * 400)
        assert session.get_messages() is None

def test_that_is_fine(sentinel_key, log_watch, engine, seed):
    threading.Thread(target=time.sleep, args=(0.2,)).start()
    logging.getLogger("somewhere").debug("fine")
    assert log_watch.lines == ["DEBUG somewhere [MainThread] fine"]
"""


def test_a_run_with_every_kind_of_leak(tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text(FAILING_TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:asyncio", "--rootdir", str(tmp_path)]
    command += ["-p", "no:cacheprovider", str(tmp_path), "--hypothesis-seed=7"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=280, env={**os.environ, "PYTHONPATH": "."})
    assert "2 failed, 5 passed, 4 errors" in ran.stdout, ran.stdout
    assert '> {"type":"connect_session","session_id":"s1"}' in ran.stdout
    assert re.search(r'^< .*"get_messages"', ran.stdout, re.MULTILINE)
    assert "xxx... (" in ran.stdout
    assert "thread 'forgotten' is left over" in ran.stdout
    assert "stop.wait" in ran.stdout or "threading.py" in ran.stdout
    assert "descriptor is left over: " in ran.stdout
    assert ran.stdout.count("a secret was logged") >= 2
    assert "Draw the same again: --hypothesis-seed=7" in ran.stdout
    assert "seed: 7" in ran.stdout


class TestSnapshot:
    def test_what_ends_soon_is_waited_for(self) -> None:
        with no_leaks():
            threading.Timer(0.1, lambda: None).start()

    def test_a_thread_is_named_with_what_it_does(self) -> None:
        stop = threading.Event()
        snapshot = Snapshot()
        thread = threading.Thread(target=stop.wait, name="lingering")
        thread.start()
        assert eventually(lambda: "in wait" in stack(thread))
        with pytest.raises(LeakError, match=r"(?s)thread 'lingering' is left over.*wait"):
            snapshot.check(settle=0.02)
        stop.set()
        thread.join()
        snapshot.check()

    def test_an_open_socket_is_named(self) -> None:
        snapshot = Snapshot()
        with socket.socket(), pytest.raises(LeakError, match=r"descriptor is left over: \d+ socket:"):
            snapshot.check(settle=0.02)
        snapshot.check()

    def test_garbage_in_a_cycle_is_collected_first(self) -> None:
        class Holder:
            def __init__(self) -> None:
                self.descriptor = os.dup(0)
                self.me = self

            def __del__(self) -> None:
                os.close(self.descriptor)

        with no_leaks(settle=0.0):
            Holder()

    def test_process_wide_threads_can_be_registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(leaks, "_allowed_threads", [])
        leaks.allow_threads("cache-.*")
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait, name="cache-1")
        with no_leaks(settle=0.0):
            thread.start()
        stop.set()
        thread.join()

    def test_process_wide_files_can_be_registered(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(leaks, "_allowed_descriptors", [])
        leaks.allow_descriptors(str(tmp_path))
        snapshot = Snapshot()
        with (tmp_path / "cache").open("w"):
            snapshot.check(settle=0.0)


class TestSecrets:
    def test_a_watch_finds_the_key_and_does_not_repeat_it(self) -> None:
        watch = LogWatch()
        watch.emit(logging.makeLogRecord({"msg": "Bearer %s", "args": (SENTINEL_KEY,)}))
        with pytest.raises(AssertionError, match="Bearer <the secret>") as caught:
            watch.check()
        assert SENTINEL_KEY not in str(caught.value)
        watch.clear()
        watch.check()

    @pytest.mark.parametrize("value", [f"x{SENTINEL_KEY}", [SENTINEL_KEY], ValueError(SENTINEL_KEY)])
    def test_an_object_that_shows_it(self, value: object) -> None:
        with pytest.raises(AssertionError, match="shows the secret in its str, repr, format"):
            assert_keeps_secret(value)

    def test_an_exception_that_shows_it_in_a_cause(self) -> None:
        error = ValueError("harmless")
        error.__cause__ = ValueError(SENTINEL_KEY)
        with pytest.raises(AssertionError, match="shows the secret in its traceback"):
            assert_keeps_secret(error)

    def test_objects_that_do_not(self) -> None:
        for value in ("x", ValueError("x"), threading.Lock()):
            assert_keeps_secret(value)


def test_a_developers_environment_does_not_reach_a_test() -> None:
    assert not [name for name in os.environ if name.startswith(("SESSIONLIB_", "VECTORSHIFT_"))]
    assert "http_proxy" not in os.environ


def test_the_engine_fixture(engine: ScriptEngine, seed: int) -> None:
    assert engine.port
    assert seed >= 0
