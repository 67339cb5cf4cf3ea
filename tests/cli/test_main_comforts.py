"""Daily comforts: the last session, the sessions there were, only the code, completion, examples that work."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionlib.cli.main import app
from sessionlib.engine import LocalEngine
from sessionlib.testing import ScriptedModel
from tests.support.cli import KEY, Cli, Here, answering
from tests.support.processes import ROOT
from tests.support.programs import need
from tests.support.script_engine import ScriptEngine
from tests.support.secrets import SENTINEL_KEY
from tests.support.terminal import Terminal

# ---- the last session ----------------------------------------------------------------------


def state(cli: Cli) -> Path:
    return cli.home / "state" / "sessionlib" / "sessions.jsonl"


def test_ask_and_chat_go_on_with_the_last_session(here: Here, configured: dict[str, str]) -> None:
    here.run("ask", "One", env=configured).check()
    here.run("ask", "-c", "Two", env=configured).check()
    here.run("chat", "--continue", env=configured, stdin="Three\n").check()
    texts = here.run("history", "-c", env=configured).check().stdout
    assert re.findall("^user: (.*)", texts, re.MULTILINE) == ["One", "Two", "Three"]


def test_the_last_session_is_one_of_the_same_engine(here: Here, configured: dict[str, str], tmp_path: Path) -> None:
    first, second = ("--local", "--db", str(tmp_path / "a.db")), ("--local", "--db", str(tmp_path / "b.db"))
    here.run("ask", *first, "One").check()
    here.run("ask", "Elsewhere", env=configured).check()
    assert here.run("ask", *first, "-c", "Two").check().stdout == 'You said: "Two"\n'
    unknown = here.run("ask", *second, "-c", "Three")
    assert unknown.rc == 1
    assert unknown.stderr == (
        f"sessionlib: no earlier session at {tmp_path}/b.db is known; leave --continue out to begin one\n"
    )


def test_sessions_are_listed_the_latest_first_and_no_message_and_no_key_is_kept(
    here: Here, cli: Cli, configured: dict[str, str], tmp_path: Path
) -> None:
    assert "no session is known" in here.run("sessions").stderr
    here.run("ask", "A secret plan", env=configured).check()
    here.run("ask", "--local", "--db", str(tmp_path / "a.db"), "Another").check()
    listed = here.run("sessions").check().stdout.splitlines()
    assert len(listed) == 2
    assert listed[0].endswith(f"  {tmp_path}/a.db")
    assert listed[1].endswith(f"  {configured['SESSIONLIB_BASE_URL']}")
    as_json = [json.loads(line) for line in here.run("sessions", "--json").check().stdout.splitlines()]
    assert [line["session_id"] for line in as_json] == [line.split()[0] for line in listed]
    kept = state(cli).read_text()
    assert not [word for word in ("secret", "plan", SENTINEL_KEY) if word in kept]
    assert stat.S_IMODE(state(cli).stat().st_mode) == 0o600


def test_what_is_kept_is_bounded_and_survives_what_is_no_entry(here: Here, cli: Cli, tmp_path: Path) -> None:
    file, db = state(cli), str(tmp_path / "a.db")
    file.parent.mkdir(parents=True)
    entry = {"agent": None, "place": "elsewhere", "used_at": "2026-01-01T00:00:00+00:00"}
    lines = [json.dumps({"session_id": f"s{number}", **entry}) for number in range(150)]
    file.write_text("\n".join([*lines, "{", "7", '{"other": 1}', '"\\u0000"']) + "\n")
    here.run("ask", "--local", "--db", db, "Hi").check()
    kept = file.read_text().splitlines()
    assert len(kept) == 100
    assert json.loads(kept[-1])["place"] == db
    assert len(here.run("sessions").check().stdout.splitlines()) == 100


@pytest.mark.parametrize(
    ("env", "db", "status"),
    [
        ({"SESSIONLIB_SESSIONS": ""}, ["--db", "a.db"], 1),
        ({"SESSIONLIB_SESSIONS": "/dev/null/nowhere"}, ["--db", "a.db"], 1),
        ({}, [], 2),
    ],
    ids=["switched off", "impossible", "in memory"],
)
def test_where_none_is_kept_nothing_fails_and_there_is_none_to_go_on_with(
    here: Here, cli: Cli, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], db: list[str], status: int
) -> None:
    monkeypatch.chdir(cli.home)
    here.run("ask", "--local", *db, "Hi", env=env).check()
    assert not state(cli).exists()
    assert here.run("ask", "--local", *db, "-c", "Hi", env=env).rc == status


# ---- only the code -------------------------------------------------------------------------

ANSWER = "First:\n\n```py\nprint(1)\n```\n\nBetter:\n\n~~~sh\nls | wc -l\n~~~\n\nThat is all."


@pytest.mark.parametrize(
    ("answer", "printed"),
    [
        (ANSWER, "ls | wc -l\n"),
        ("1. In a list:\n\n   ```\n   a\n     b\n   ```\n", "a\n  b\n"),
        ("Indented:\n\n    x = 1\n", "x = 1\n"),
        ("Not closed:\n\n```sh\nls\n", "ls\n"),
    ],
)
def test_only_the_last_code_block_is_printed(here: Here, engine: ScriptEngine, answer: str, printed: str) -> None:
    assert here.run("ask", *answering(engine, answer), "-x", "Count files", env=KEY).check().stdout == printed


def test_an_answer_without_code_is_an_error_that_says_so(here: Here) -> None:
    result = here.run("ask", "--local", "--extract", "Hi")
    assert (result.rc, result.stdout) == (1, "")
    assert result.stderr == "sessionlib: the answer has no code block; without --extract it is printed as it is\n"


# ---- completion ----------------------------------------------------------------------------


def on_path(home: Path) -> Path:
    """Makes a folder with the command in it."""
    program = home / "bin" / "sessionlib"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sessionlib "$@"\n')
    program.chmod(0o755)
    return program.parent


# Where a shell reads what it begins with, and the command that starts it.
SHELLS = {
    "bash": (".bashrc", "bash --rcfile .bashrc -i"),
    "zsh": (".zshrc", "ZDOTDIR=$HOME zsh -i"),
    "fish": ("config/fish/completions/sessionlib.fish", "fish -i"),
}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_models_and_known_sessions(
    cli: Cli, here: Here, configured: dict[str, str], shell: str
) -> None:
    need(shell)
    here.run("ask", "Hi", env=configured).check()
    session_id = json.loads(state(cli).read_text())["session_id"]
    file, start = cli.home / SHELLS[shell][0], SHELLS[shell][1]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(here.run("completion", shell).check().stdout)
    env = {**cli.env, "HOME": str(cli.home), "PATH": f"{on_path(cli.home)}:{os.environ['PATH']}"}
    with Terminal(cli.home, start, env=env) as terminal:
        for typed, completed in {
            "com": "completion",
            f"history --session {session_id[:6]}": f"history --session {session_id}",
            "chat --model d": "chat --model demo",
        }.items():
            terminal.press(f"sessionlib {typed}", "Tab")
            terminal.wait_for(f"sessionlib {completed}")
            terminal.press("C-u")


# ---- examples ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def support() -> Iterator[dict[str, str]]:
    """The environment of an engine whose agent answers everything with code."""
    with LocalEngine(model=ScriptedModel(*[ANSWER] * 100), api_key="k") as engine:
        engine.agent(name="Support")
        yield {"SESSIONLIB_BASE_URL": engine.base_url, "SESSIONLIB_API_KEY": "k"}


def examples() -> list[tuple[str, str]]:
    """Returns the examples of every command, with the command."""
    found = []
    for name, command in [("", app), *((name, app.get_command(None, name)) for name in app.list_commands(None))]:  # type: ignore[arg-type]
        assert command is not None
        assert command.epilog is not None, f"{name} has no example"
        found += [(name, line.strip()) for line in command.epilog.splitlines()[2:]]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("command", "example"), examples())
def test_an_example_of_the_help_works(
    cli: Cli, here: Here, support: dict[str, str], tmp_path: Path, command: str, example: str
) -> None:
    shown = here.run(*filter(None, [command]), "--help").check().stdout
    assert f"  {example}\n" in shown
    for name, text in {
        "names.txt": "Bo\nAnn\n",
        "questions.txt": "Who?\nWhy?\n",
        "prompts.jsonl": '"one"\n"two"\n',
        "script.py": "import vectorshift\n",
        "notebook.ipynb": '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
        "shop.py": "from sessionlib.engine import tool\n\n@tool\ndef f() -> str:\n    'F.'\n    return ''\n",
    }.items():
        (tmp_path / name).write_text(text)
    env = {**cli.env, **support, "PATH": f"{on_path(tmp_path)}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    if "--continue" in example:
        here.run("ask", "Begin", env=support).check()
    stdin = "Hello!\n" if command in ("", "chat") else ""
    shell = ["bash", "-c", example if command != "serve" else f"exec {example}"]
    pipes: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(shell, cwd=tmp_path, env=env, text=True, **pipes) as ran:
        # A server runs until it is interrupted, which it can be once it is there.
        if command == "serve" and any("engine on" in line for line in ran.stdout):
            ran.send_signal(signal.SIGINT)
        _, told = ran.communicate(stdin, timeout=200)
    assert ran.returncode == 0, told
    assert not re.search("Traceback|Usage error", told)
