"""``sessionlib map``: a file of prompts in, a file of answers out."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from tests.support.cli import Here
from tests.support.terminal import Terminal


def test_each_prompt_of_a_file_is_answered_and_a_checkpoint_goes_on(here: Here, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('"one"\n\n{"prompt": "two"}\n')
    options = ["--checkpoint", str(tmp_path / "run.db"), "-o", str(tmp_path / "out.jsonl"), "--db", str(tmp_path / "e")]
    sessions = []
    for _ in range(2):
        result = here.run("map", str(tmp_path / "in.jsonl"), "--local", *options)
        assert (result.rc, result.stdout) == (0, ""), result
        lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        assert [(line["index"], line["prompt"], line["status"]) for line in lines] == [
            (0, "one", "complete"),
            (1, "two", "complete"),
        ]
        assert 'You said: "two"' in lines[1]["final_message"]
        sessions.append([line["session_id"] for line in lines])
    assert sessions[0] == sessions[1]


def test_a_line_that_is_no_prompt_is_wrong_usage(here: Here, tmp_path: Path) -> None:
    for text in ("{", "7", "{}"):
        (tmp_path / "in.jsonl").write_text(f'"one"\n{text}\n')
        result = here.run("map", str(tmp_path / "in.jsonl"), "--local")
        assert result.rc == 2
        assert "line 2" in result.stderr


def test_the_files_are_three(here: Here, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('"one"\n')
    for options in (["-o", "in.jsonl"], ["--checkpoint", "./in.jsonl"], ["-o", "a", "--checkpoint", "a"]):
        files = [option if option.startswith("-") else str(tmp_path / option) for option in options]
        result = here.run("map", str(tmp_path / "in.jsonl"), "--local", *files)
        assert result.rc == 2
        assert "three different files" in result.stderr
    assert (tmp_path / "in.jsonl").read_text() == '"one"\n'
    assert here.run("map", str(tmp_path / "in.jsonl"), "--local", "--rate", "0").rc == 2


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
