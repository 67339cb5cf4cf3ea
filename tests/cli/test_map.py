"""``sessionlib map``: a file of prompts in, a file of answers out."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from tests.support.cli import Here
from tests.support.terminal import Terminal


def test_each_prompt_of_a_file_is_answered_and_a_checkpoint_goes_on(here: Here, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('"one"\n\n{"prompt": "two"}\n')
    options = ["--checkpoint", str(tmp_path / "run.db"), "-o", str(tmp_path / "out.jsonl"), "--db", str(tmp_path / "e")]
    sessions = []
    for _ in range(2):
        result = here.run("map", str(tmp_path / "in.jsonl"), "--local", *options)
        assert (result.rc, result.stdout) == (0, ""), result
        one, two = lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        assert (one["index"], one["prompt"], one["status"]) == (0, "one", "complete")
        assert (two["index"], two["prompt"], two["status"]) == (1, "two", "complete")
        assert 'You said: "two"' in two["final_message"]
        sessions.append([line["session_id"] for line in lines])
    assert sessions[0] == sessions[1]


@pytest.mark.parametrize("line", ["{", "7", "{}"])
def test_a_line_that_is_no_prompt_is_wrong_usage(here: Here, tmp_path: Path, line: str) -> None:
    (tmp_path / "in.jsonl").write_text(f'"one"\n{line}\n')
    result = here.run("map", str(tmp_path / "in.jsonl"), "--local")
    assert (result.rc, "line 2" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-o", "in.jsonl"], "three different files"),
        (["--checkpoint", "./in.jsonl"], "three different files"),
        (["-o", "a", "--checkpoint", "a"], "three different files"),
        (["--rate", "0"], "--rate"),
    ],
)
def test_wrong_options_leave_the_prompts_alone(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text('"one"\n')
    result = here.run("map", "in.jsonl", "--local", *options)
    assert (result.rc, told in result.stderr) == (2, True)
    assert (tmp_path / "in.jsonl").read_text() == '"one"\n'


def test_a_terminal_shows_what_is_done_the_rate_and_what_is_left(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("\n".join(f'"prompt {number}"' for number in range(30)))
    # Ten a second, so that the bar is seen on its way.
    files = ["in.jsonl", "-o", "out.jsonl", "--db", "engine.db", "--checkpoint", "run.db"]
    command = shlex.join([sys.executable, "-m", "sessionlib", "map", *files, "--local", "--rate", "10"])
    with Terminal(tmp_path, command) as terminal:
        terminal.wait_for("/30 [00:0")
        terminal.wait_for(" prompts/s]")
        terminal.wait_for("30/30")
        assert "sessionlib: 30 of 30 prompts answered" in terminal.wait_for("ended with 0")
