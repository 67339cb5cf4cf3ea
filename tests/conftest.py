"""What every test stands on: nothing left behind, no key in a log, one seed for all that is random."""

from __future__ import annotations

import functools
import gc
import logging
import os
import random
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sessionlib.client
from sessionlib.client import Client
from sessionlib.connection import heartbeat
from tests.support import profiles, programs, tracing
from tests.support.frame_tape import FrameTape
from tests.support.http_server import KEY, Server
from tests.support.leaks import LeakError, Snapshot, allow_descriptors
from tests.support.script_engine import ScriptEngine
from tests.support.secrets import SENTINEL_KEY, LogWatch

_OUR_ENVIRONMENT = re.compile(
    r"(SESSIONLIB|VECTORSHIFT|PYTEST_XDIST)_.*|PYTEST_ADDOPTS|COVERAGE_PROCESS_START|(https?|wss?|all|no)_proxy",
    re.IGNORECASE,
)
# What takes long beside the tests that are marked so: hundreds of processes, kernels, browsers, and the drawn faults.
_LONG = (
    *("faults/", "interop/", "notebook/", "benchmarks/", "mutants/", "engine/test_", "engine/server/test_server"),
    *("engine/models/test_llama", "engine/tools/test_isolated", "cli/test_prompt", "test_examples", "test_extras"),
    *("test_notebooks", "test_pytest_plugin", "support/"),
)
_IS_QUICK = pytest.StashKey[bool]()
_log_watch = LogWatch()
_frame_tape = FrameTape()


# ---- one seed for the run ------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Draws the run's seed, unless one was given, chooses how much to try, and watches the log and the frames."""
    chosen = config.args_source is pytest.Config.ArgsSource.ARGS or config.option.keyword or config.option.markexpr
    if not (chosen or profiles.IS_CI):
        # "The tests", on a developer's machine: those that can be waited for.
        config.option.markexpr = "not slow"
        config.stash[_IS_QUICK] = True
        os.environ.setdefault("HYPOTHESIS_PROFILE", "quick")  # for the processes that share the tests, too
    profiles.load()
    # Workers get the options, and with them the seed, from the process that starts them.
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(random.SystemRandom().randrange(2**32))
    if getattr(config.option, "randomly_seed", None) == "default":
        config.option.randomly_seed = int(config.option.hypothesis_seed)
    # A shell starts what it puts into the background with SIGINT ignored, and children inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    tracing.install(config)
    _frame_tape.install()
    logging.getLogger().addHandler(_log_watch)
    logging.getLogger().setLevel(logging.DEBUG)
    # It tells of every font that it looks at, and keeps those open that it draws with.
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    allow_descriptors(r".*/matplotlib/.*\.ttf")


def pytest_unconfigure() -> None:
    """Leaves the log alone again."""
    logging.getLogger().removeHandler(_log_watch)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks the tests of what takes long."""
    if item.nodeid.removeprefix("tests/").startswith(_LONG):
        item.add_marker("slow")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begins with what takes long, where several processes run the tests: none of it is left to one at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """Keeps what all tests have in common out of the rounds of the garbage collector, which are many."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Returns how many processes share the tests: several for all of them, none for chosen ones."""
    # Half of the time a test waits: for an engine, a kernel, a browser. Not one more than four, however many cores
    # there are: these take their memory too.
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    return min(4, 2 * len(os.sched_getaffinity(0))) if whole and not config.option.collectonly else 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Has any process run any test, but keeps those of a module together that share an engine or an environment."""
    from xdist.scheduler import LoadScopeScheduling

    # Not xdist's groups by marker: they change `Item._nodeid`, which pytest does not read since 9.1.
    @functools.cache
    def has_shared_fixtures(path: str) -> bool:
        return re.search(r'scope="(module|session)"', (config.rootpath / path).read_text()) is not None

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return path if has_shared_fixtures(path) else nodeid

    return Scheduling(config, log)


def pytest_report_header(config: pytest.Config) -> str:
    """Tells the seed."""
    return f"seed: {config.option.hypothesis_seed}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Names what was left out, and the option that draws and orders the same again."""
    if config.stash.get(_IS_QUICK, False):
        long = ", ".join(sorted(name.strip("/_") for name in _LONG))
        terminalreporter.write_line(f"Left out, as it takes long: {long}, and what is marked slow. CI=true runs all.")
        for reason in programs.missing():
            terminalreporter.write_line(f"Left out: {reason}")
    terminalreporter.write_line(f"Draw the same again: --hypothesis-seed={config.option.hypothesis_seed}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Shows, with a failure, the frames that clients of this process sent (>) and heard (<)."""
    report = yield
    if report.failed and str(_frame_tape):
        report.sections.append(("Frames, the last ones", str(_frame_tape)))
    if hasattr(item.config, "workerinput"):
        # What a worker reports is sent as UTF-8, and tests log half a surrogate pair.
        shown = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
        report.sections = [] if report.passed else shown
    return report


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The run's seed, for whatever draws by itself, such as a FaultProxy."""
    return int(request.config.option.hypothesis_seed)


# ---- every test ----------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    # First to be set up and so last to be torn down, after the fixtures that clean up.
    _frame_tape.clear()
    snapshot = Snapshot()
    yield
    try:
        snapshot.check()
    except LeakError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(autouse=True)
def _no_key_in_the_log(_nothing_left_behind: None) -> Iterator[None]:
    _log_watch.clear()
    yield
    _log_watch.check()


@pytest.fixture(autouse=True)
def _clean_environment(
    _no_key_in_the_log: None, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    # A developer's own key, engine or proxy must not reach a test, nor the options of this run one that a test starts.
    kept = tracing.VARIABLES if request.node.get_closest_marker("traced_processes") else ()
    for name in set(os.environ).difference(kept):
        if _OUR_ENVIRONMENT.fullmatch(name):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _few_pings(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    # A test that counts what comes would find a pong among it where it takes longer than the 5 s between two pings.
    if not request.node.get_closest_marker("pings"):
        monkeypatch.setattr(heartbeat, "SESSION_PING_INTERVAL", 3600.0)


# ---- on request ----------------------------------------------------------------------------


@pytest.fixture
def sentinel_key() -> str:
    """An API key that fails the test when it shows up in a log."""
    return SENTINEL_KEY


@pytest.fixture
def log_watch() -> LogWatch:
    """The log of this test so far."""
    return _log_watch


@pytest.fixture
def engine() -> Iterator[ScriptEngine]:
    """A ScriptEngine with its ordinary answers."""
    with ScriptEngine() as engine:
        yield engine


@pytest.fixture
def server(_no_netrc: None, _no_default_client: None) -> Iterator[Server]:
    """An HTTP server with scripted answers."""
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def other_server() -> Iterator[Server]:
    """A second HTTP server with scripted answers."""
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of the HTTP server."""
    with Client(KEY, server.url, timeout=30) as made:
        yield made


@pytest.fixture
def _no_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # requests would take a developer's password from there.
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def _no_default_client() -> Iterator[None]:
    yield
    for made in sessionlib.client._defaults.values():
        made.close()
    sessionlib.client._defaults.clear()
