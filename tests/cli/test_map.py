"""``sessionlib map``: a file of prompts in, a file of answers out."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.cli import Here


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
