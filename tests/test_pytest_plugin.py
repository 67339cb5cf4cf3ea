"""The pytest plugin, in a fresh project, with no other plugin."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionlib.engine import LocalEngine
from sessionlib.testing.format import cassette_path
from tests.support.processes import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.traced_processes]

SHOP = """
    import socket

    import pytest
    from sessionlib import Agent
    from sessionlib.engine import tool
    from sessionlib.testing import call_tool, fail, think


    @tool(approval="requires_approval")
    def refund(order_id: str) -> str:
        '''Refunds an order.'''
        return f"order {order_id} refunded"


    def support(text):
        '''What is tested: it finds its agent by the environment.'''
        with Agent.fetch(name="Support").create_session() as session:
            session.on_approval(lambda request: True)
            return session.ask(text).text
"""

ENGINE_TESTS = (
    SHOP
    + """
    def test_the_demo_model(session_engine):
        session_engine.agent(name="Support")
        assert 'You said: "Hi"' in support("Hi")


    @pytest.mark.session_engine(tools=[refund], script=[[think("Hm."), call_tool("refund", order_id="7")], "Done."])
    def test_a_script_in_the_marker(session_engine, session_model):
        session_engine.agent(name="Support")
        assert support("Refund it") == "Done."
        assert session_model.questions[1].said[-1].results[0].output == "order 7 refunded"


    @pytest.mark.session_engine(tools=[refund])
    class TestWithTools:
        @pytest.mark.parametrize("word", ["one", "two"])
        def test_a_script_in_the_test(self, session_engine, session_model, word):
            session_engine.agent(name="Support")
            session_model.say(word)
            assert support("Hi") == word

        @pytest.mark.session_engine(api_key="a-key-of-my-own")
        def test_markers_add_up(self, session_engine):
            assert session_engine.api_key == "a-key-of-my-own"
            assert "refund gave: order 7" in self.call(session_engine)

        def call(self, engine):
            engine.agent(name="Support")
            return support('/tool refund {"order_id": "7"}')
"""
)

CASSETTE_TESTS = (
    SHOP
    + """
    TEXT = "Hello!"


    def test_support(session_cassette):
        assert TEXT in support(TEXT)


    @pytest.mark.parametrize("text", ["a b", "a/b"])
    def test_odd_names(session_cassette, text):
        assert text in support(text)


    @pytest.mark.session_cassette(path="shared.jsonl", redact=lambda value: value)
    def test_a_path_of_its_own(session_cassette):
        assert session_cassette.path.name == "shared.jsonl"
        support("Hi")
"""
)

NO_NETWORK = """
    import socket

    def refuse(*args, **options):
        raise AssertionError("the network was touched")

    socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A new project."""
    return Project(tmp_path)


class Project:
    """A project of a user, with tests of its own.

    Not pytest's own ``pytester``, which takes modules out of this process that were loaded beside it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, **files: str) -> None:
        """Writes Python files."""
        for name, text in files.items():
            (self.folder / f"{name}.py").write_text(textwrap.dedent(text), "utf-8")

    def test(self, *options: str, engine: LocalEngine | None = None) -> pytest.RunResult:
        """Runs its tests, warnings being errors; an engine is told by the environment."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        if engine is not None:
            told = {"API_KEY": engine.api_key, "BASE_URL": engine.base_url, "WS_URL": engine.ws_url}
            environment |= {f"SESSIONLIB_{name}": value for name, value in told.items()}
        # This plugin alone: what others load, and warn of, is not ours.
        environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
        python = [sys.executable, "-W", "error", "-m", "pytest", "-p", "sessionlib.pytest_plugin"]
        command = [*python, "-W", "error", "--strict-markers", *options]
        start = time.monotonic()
        ran = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=self.folder, env=environment)
        lines = ran.stdout.splitlines(), ran.stderr.splitlines()
        return pytest.RunResult(ran.returncode, *lines, time.monotonic() - start)


@pytest.fixture
def support() -> Iterator[LocalEngine]:
    """An engine with an agent called Support."""
    with LocalEngine() as engine:
        engine.agent(name="Support")
        yield engine


def test_the_engine_answers_as_a_test_wants(project: Project) -> None:
    project.write(test_engine=ENGINE_TESTS)
    project.test().assert_outcomes(passed=5)


def test_tests_are_recorded_once_and_replayed_without_engine_and_network(
    project: Project, support: LocalEngine
) -> None:
    project.write(test_shop=CASSETTE_TESTS)
    project.test(engine=support).assert_outcomes(errors=4)  # there are no recordings yet
    project.test("--session-record=once", engine=support).assert_outcomes(passed=4)
    support.close()
    cassettes = {path.name for path in project.folder.glob("cassettes/test_shop/*.jsonl")}
    assert {name[:10] for name in cassettes} == {"test_suppo", "test_odd_n"}
    assert len(cassettes) == 3
    assert (project.folder / "shared.jsonl").exists()

    project.write(conftest=NO_NETWORK)
    project.test().assert_outcomes(passed=4)
    project.write(test_shop=CASSETTE_TESTS.replace('"Hello!"', '"Hello?"'))
    result = project.test()
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*ReplayMismatchError*", '*expected: "Hello!"', '*actual:   "Hello[?]"'])


def test_what_a_test_leaves_unsaid_is_an_error_and_a_failed_one_is_not_recorded(
    project: Project, support: LocalEngine
) -> None:
    test = f"{SHOP}\n    def test_support(session_cassette):\n        support('Hello!')\n        assert BODY\n"
    project.write(test_shop=test.replace("BODY", "False"))
    project.test("--session-record=all", engine=support).assert_outcomes(failed=1)
    assert not (project.folder / "cassettes").exists()
    project.write(test_shop=test.replace("BODY", "True"))
    project.test("--session-record=all", engine=support).assert_outcomes(passed=1)
    project.write(test_shop=test.replace("support('Hello!')", "pass").replace("BODY", "True"))
    result = project.test()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the code did not send recorded requests:*"])


def test_a_project_that_does_not_use_it_does_not_load_what_it_needs(project: Project) -> None:
    project.write(
        test_mine="""
        import sys

        def test_nothing_is_loaded():
            assert "sessionlib.pytest_plugin" in sys.modules
            assert not sys.modules.keys() & {"sessionlib.engine", "sessionlib.testing", "websocket", "pydantic"}
        """
    )
    project.test().assert_outcomes(passed=1)


def test_pytest_finds_it_where_the_package_is_installed() -> None:
    found = importlib.metadata.entry_points(group="pytest11", name="sessionlib")
    assert {entry.value for entry in found} == {"sessionlib.pytest_plugin"}


def test_names_of_recordings_are_files_and_differ() -> None:
    here = Path("/project/tests/test_shop.py")
    assert cassette_path(here, "test_one") == Path("/project/tests/cassettes/test_shop/test_one.jsonl")
    names = ["t[a b]", "t[a/b]", "t[../../etc]", "t[ü]", "t" * 300, "t" * 301, "..", "t[a-b]"]
    paths = {cassette_path(here, name) for name in names}
    assert len(paths) == len(names)
    assert all(path.parent == here.parent / "cassettes" / "test_shop" for path in paths)
    assert all(len(path.name) < 120 for path in paths)
