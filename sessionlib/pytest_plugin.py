"""The pytest plugin of sessionlib: ``session_engine``, ``session_model`` and ``session_cassette``.

It loads the engine and the recordings only when a fixture is used: pytest loads every plugin that is installed,
whether a project uses it or not.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sessionlib.engine import LocalEngine
    from sessionlib.testing import Cassette, ScriptedModel
    from sessionlib.testing.cassette import Mode

_MARKERS = (
    "session_engine(tools=(), script=(), **options): what session_engine is made with: its tools, the steps of its "
    "ScriptedModel, and further arguments of LocalEngine",
    "session_cassette(path=None, mode=None, redact=None, speed=None, patience=60.0): which recording "
    "session_cassette uses, and how; the arguments of sessionlib.testing.cassette",
)
# A fixture does not see what its test raised; a hook around the test does.
_failure = pytest.StashKey[BaseException]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--session-record``."""
    parser.getgroup("sessionlib").addoption(
        "--session-record",
        choices=("none", "once", "new_episodes", "all"),
        help="what session_cassette records: none (the default) replays what there is, once records where nothing "
        "is, new_episodes adds what is new, all replaces what there is",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Registers the markers."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Keeps what a test raises: what a failed test would have recorded is discarded."""
    try:
        return (yield)
    except BaseException as error:
        item.stash[_failure] = error
        raise


@pytest.fixture
def session_model(request: pytest.FixtureRequest) -> ScriptedModel:
    """The `sessionlib.testing.ScriptedModel` of ``session_engine``; steps are added to its script."""
    from sessionlib.testing import ScriptedModel

    return ScriptedModel(*_options(request, "session_engine").get("script", ()))


@pytest.fixture
def session_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalEngine]:
    """A running `sessionlib.engine.LocalEngine`, whose key and addresses are in the environment during the test.

    It answers with ``session_model`` where a test uses that or has a script in its marker, else with the demo
    model, or with the marker's ``model``.
    """
    from sessionlib.engine import LocalEngine

    options = _options(request, "session_engine")
    is_scripted = options.pop("script", None) is not None or "session_model" in request.fixturenames
    if is_scripted:
        options.setdefault("model", request.getfixturevalue("session_model"))
    with LocalEngine(**options) as engine:
        # In the environment, so that code under test finds the engine without being changed.
        monkeypatch.setenv("SESSIONLIB_API_KEY", engine.api_key)
        monkeypatch.setenv("SESSIONLIB_BASE_URL", engine.base_url)
        monkeypatch.setenv("SESSIONLIB_WS_URL", engine.ws_url)
        yield engine


@pytest.fixture
def session_cassette(request: pytest.FixtureRequest) -> Iterator[Cassette]:
    """The recording of this test, in ``cassettes/MODULE/TEST.jsonl`` beside its file: replayed, or made.

    ``--session-record`` takes precedence over the marker's ``mode``, and "none" is the default; see
    `sessionlib.testing.cassette`. What a failed test would have recorded is discarded.
    """
    from sessionlib.testing import cassette
    from sessionlib.testing.format import cassette_path

    options = _options(request, "session_cassette")
    path = cassette_path(request.path, request.node.name, options.pop("path", None))
    asked = options.pop("mode", None)
    mode: Mode = request.config.getoption("--session-record") or asked or "none"
    block = cassette(path, mode, **options)
    # By hand and not in a `with`: an exception of the test is not raised through a fixture.
    yield block.__enter__()
    error = request.node.stash.get(_failure, None)
    block.__exit__(type(error) if error is not None else None, error, None)


def _options(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    """Returns the arguments of a test's markers; those nearest to it take precedence."""
    options: dict[str, Any] = {}
    # pytest has the nearest marker first.
    for marker in reversed(list(request.node.iter_markers(name))):
        if marker.args:
            raise TypeError(f"the marker {name} takes arguments by name only")
        options.update(marker.kwargs)
    return options
