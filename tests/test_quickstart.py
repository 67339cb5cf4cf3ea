"""The quickstart: what a newcomer sees first."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys

import pytest

from tests.support.processes import ROOT, run_script

QUICKSTART = "from sessionlib.quickstart import main; main()"
COLOUR = "\x1b["


def on_a_terminal(**env: str) -> str:
    """Runs the quickstart on a terminal and returns what it writes there."""
    end, terminal = pty.openpty()
    command = [sys.executable, "-m", "sessionlib.quickstart"]
    with subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, cwd=ROOT, env={**os.environ, **env}
    ):
        os.close(terminal)
        shown = b""
        try:
            while chunk := os.read(end, 65536):
                shown += chunk
        except OSError:  # how Linux reports that no process has the terminal any more
            pass
    os.close(end)
    return shown.decode().replace("\r\n", "\n")


def test_it_shows_a_conversation_as_people_write_it() -> None:
    lines = run_script(QUICKSTART).check().stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("you "))
    assert lines[start : start + 6] == [
        "you       Hello! My lamp came broken. May I have my money back? It was order 7.",
        "Support   I am sorry about that. I will refund it.",
        'tool      refund(order_id="7", amount=12.5) asks for approval',
        "approved  by below_50_euros, a function of this script",
        "outcome   12.50 EUR refunded for order 7",
        "Support   Done: the 12.50 EUR are on their way.",
    ]
    assert all(len(line) <= 80 for line in lines[: lines.index("Try next:")])


def test_it_is_in_colour_on_a_terminal_alone() -> None:
    plain = run_script(QUICKSTART).check().stdout
    assert COLOUR not in plain
    coloured = on_a_terminal(TERM="xterm-256color")
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured).partition("Try next:")[0] == plain.partition("Try next:")[0]
    names = re.findall(r"^(you|Support|tool|approved|outcome) ", plain, re.MULTILINE)
    assert coloured.count(COLOUR) == 2 * len(names) == 16


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_no_colour_where_it_is_not_wanted(env: dict[str, str]) -> None:
    assert COLOUR not in on_a_terminal(**env)


@pytest.mark.parametrize(
    ("shell", "status", "told"),
    [
        ("{} -m sessionlib.quickstart", 1, ""),
        ("{} -m sessionlib.quickstart >&-", 0, ""),
        (
            "{} -m sessionlib.quickstart > /dev/full",
            1,
            "sessionlib: the output cannot be written: No space left on device\n",
        ),
        (
            '{} -c \'import runpy, sys; sys.modules["pydantic"] = None; '
            'runpy.run_module("sessionlib.quickstart", run_name="__main__")\'',
            1,
            "sessionlib: the embedded engine needs pydantic; install it with: pip install 'sessionlib[engine]'\n",
        ),
    ],
    ids=["no reader", "closed", "full", "extra"],
)
def test_where_it_cannot_be_shown_one_line_is_all_there_is(shell: str, status: int, told: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = ["bash", "-c", shell.format(shlex.quote(sys.executable))]
    ran = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (status, told)


def test_it_ends_with_three_commands_that_work() -> None:
    listed = run_script(QUICKSTART).check().stdout.partition("Try next:\n")[2]
    commands = [shlex.split(line, comments=True) for line in listed.splitlines()]
    assert len(commands) == 3
    for program, *arguments in commands:
        arguments = arguments[2:] if arguments[0] == "-m" else arguments
        assert program == sys.executable or program.endswith("sessionlib")
        ran = subprocess.run(
            [sys.executable, "-m", "sessionlib", *arguments], input="Hello!\n", capture_output=True, text=True, cwd=ROOT
        )
        assert (ran.returncode, bool(ran.stdout)) == (0, True), ran
