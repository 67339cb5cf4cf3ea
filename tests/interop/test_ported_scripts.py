"""Scripts for the official SDK, and what `sessionlib port` makes of them: both run on the embedded engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionlib.cli.port import port_source
from tests.interop.test_engine import TOOLS
from tests.support.engine import Process, make_agent
from tests.support.processes import ROOT, run_script
from tests.support.sdk_scripts import SCRIPTS


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("engine")
    (folder / "tools.py").write_text(TOOLS)
    engine = Process(folder, "--tools", str(folder / "tools.py")).ready()
    yield engine
    assert engine.stop() == 0
    engine.kill()


@pytest.fixture(scope="module")
def agent_id(served: Process) -> str:
    return make_agent(served, agent_type="conversational")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_ported_script_prints_what_it_printed(name: str, served: Process, agent_id: str) -> None:
    environment = {"VECTORSHIFT_BASE_URL": served.base_url, "VECTORSHIFT_API_KEY": served.api_key}
    theirs = run_script(SCRIPTS[name], agent_id, env=environment, timeout=200)
    assert theirs.rc == 0, theirs
    assert theirs.stdout.strip()
    ours = run_script(port_source(SCRIPTS[name]).text, agent_id, env=environment, timeout=200)
    assert (ours.rc, ours.stderr, ours.stdout) == (0, "", theirs.stdout)


def test_ported_scripts_pass_the_checks_of_others(tmp_path: Path) -> None:
    for number, script in enumerate(SCRIPTS.values()):
        (tmp_path / f"script_{number}.py").write_text(port_source(script).text)
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "."]
    mypy = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "--follow-imports=silent", "."]
    # An editable install can be imported, but mypy does not find it.
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    for command in (ruff, mypy):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(SCRIPTS) >= 25
