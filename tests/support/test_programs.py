"""Tests without the programs that they drive: left out by name on a developer's machine, failures in CI."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT


@pytest.mark.slow
@pytest.mark.parametrize(("env", "status", "outcome"), [({}, 0, "1 skipped"), ({"CI": "true"}, 1, "1 failed")], ids=str)
@pytest.mark.parametrize(
    ("test", "program"),
    [
        ("tests/cli/test_chat_widths.py::test_without_colours_there_are_none", "tmux"),
        (
            "tests/notebook/test_in_jupyterlab.py::test_a_click_approves_a_tool_and_the_form_says_who_decided",
            "chromium",
        ),
    ],
)
def test_a_missing_program_is_named(
    tmp_path: Path, test: str, program: str, env: dict[str, str], status: int, outcome: str
) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", test]
    bare = {"PATH": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **env}
    ran = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True)
    assert (ran.returncode, outcome in ran.stdout) == (status, True), ran.stdout
    assert f"need {program}: apt-get install {program}" in ran.stdout


@pytest.mark.parametrize(
    ("env", "options"), [({}, ["-n", "1", "-rA"]), ({"CI": "true"}, ["-n", "0", "--collect-only"])], ids=str
)
def test_what_takes_long_is_left_out_by_name_but_in_ci(tmp_path: Path, env: dict[str, str], options: list[str]) -> None:
    paths = "testpaths=tests/support/test_leaks.py tests/_util/test_models.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", paths, *options]
    bare = {"PATH": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **env}
    shown = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, check=True).stdout
    assert "tests/_util/test_models.py::" in shown
    assert ("tests/support/test_leaks.py::" in shown, "Left out" in shown) == (bool(env), not env)
    if not env:
        assert re.search(r"Left out, as it takes long: .*, support, .* CI=true runs all\.\n", shown)
        for hint in (
            "the tests on a terminal need tmux: apt-get install tmux, or brew install tmux",
            "the tests of Spark need java: apt-get install default-jre-headless, or brew install openjdk",
        ):
            assert f"Left out: {hint}\n" in shown
