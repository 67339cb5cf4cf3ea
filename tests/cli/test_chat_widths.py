"""A chat on terminals of several widths, with a resize in the middle, and without colours."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sessionlib.engine import LocalEngine
from sessionlib.engine.models import ModelRequest, Text
from sessionlib.testing import ScriptedModel, pause
from tests.support.cli import Cli
from tests.support.scripted_answers import Scripted
from tests.support.terminal import Terminal, Tmux

WORDS = [f"word{number:02}" for number in range(40)]
TABLE = "| item | stock |\n| --- | --- |\n| lamp | 3 |\n| chair | 12 |\n"
WIDTHS = (60, 80, 140)


@contextmanager
def chat(cli: Cli, model: Any, columns: int, *, name: str = "Support", before: str = "", **env: str) -> Iterator[Tmux]:
    """A chat with an agent of that model, at its prompt."""
    given = {**cli.env, "HOME": str(cli.home), "SESSIONLIB_API_KEY": "k", **env}
    del given["COLUMNS"]
    command = f"{before} {shlex.quote(sys.executable)} -m sessionlib chat"
    with LocalEngine(model=model, api_key="k") as engine:
        engine.agent(name=name)
        given["SESSIONLIB_BASE_URL"] = engine.base_url
        with Tmux(cli.home, command, env=given, size=(columns, 40)) as terminal:
            terminal.wait_for("\n>")
            yield terminal


def assert_fits(terminal: Tmux, columns: int) -> None:
    """No line was folded by the terminal: each one that is drawn ends where a word does."""
    drawn, shown, after = terminal.screen(), terminal.shown(), terminal.screen()
    while drawn != after:  # something on it spins
        drawn, shown, after = after, terminal.shown(), terminal.screen()
    assert all(len(line) <= columns for line in drawn)
    assert "\n".join(drawn).split() == shown.split()


@pytest.mark.parametrize("columns", WIDTHS)
def test_an_answer_fits_a_terminal_of_that_width(cli: Cli, columns: int) -> None:
    answer = " ".join(WORDS) + f"\n\n{TABLE}\n- one\n- two\n\n`code`"
    with chat(cli, ScriptedModel(answer), columns) as terminal:
        shown = terminal.enter("Hi", "\n>", after="code")
        assert_fits(terminal, columns)
        assert [word for word in shown.split() if word.startswith("word")] == WORDS
        assert all(word in shown for word in ("lamp", "chair", "• one", "• two"))
        terminal.press("C-d")
        assert terminal.status() == 0


@pytest.mark.parametrize(("before", "after"), [(60, 140), (140, 60), (80, 60)])
def test_a_resize_in_the_middle_of_an_answer_leaves_no_ghosts(cli: Cli, before: int, after: int) -> None:
    half = len(WORDS) // 2
    pieces = [Text(f"{word} ") for word in WORDS]
    gate = cli.home / "go"

    def halfway(question: ModelRequest) -> Iterator[Text]:
        yield from pieces[:half]
        while not gate.exists() and not question.stop.stopped:
            time.sleep(0.02)
        yield from pieces[half:]

    with chat(cli, Scripted(halfway), before) as terminal:
        terminal.enter("Hi", WORDS[half - 1])
        terminal.resize(after, 40)
        gate.touch()
        shown = terminal.wait_for("\n>", after=WORDS[-1])
        # Each word once: nothing of what was drawn at the other width is left.
        assert [word for word in shown.split() if word.startswith("word")] == WORDS
        terminal.type("/quit")
        assert terminal.status() == 0


def test_a_resize_leaves_no_ghosts_of_a_message_that_is_edited_or_of_the_status_line(cli: Cli) -> None:
    message = [150 * "a", "", 118 * "b", 130 * "c"]
    long_name = "Support for all that is on sale in the shops of the north and of the south"
    with chat(cli, ScriptedModel([pause(60.0), "never"]), 140, name=long_name, before="seq 15;") as terminal:
        before = "".join(terminal.shown().partition("\n>")[0].split())
        terminal.paste("\n".join(message))
        terminal.press("Up", "End")  # into the third line, with another below
        for columns in (140, 60, 140, 80):
            terminal.resize(columns, 40)
            room = columns - 2
            lines = [line[at : at + room] for line in message for at in range(0, len(line) or 1, room)]
            expected = [f"{'…' if n else '>'} {line}".rstrip() for n, line in enumerate(lines)]

            def is_drawn(rows: list[str], expected: list[str] = expected) -> bool:
                above = "".join(" ".join(rows[: -len(expected)]).split())
                # tmux moves the first lines into its history
                return rows[-len(expected) :] == expected and above != "" and before.endswith(above)

            wait_until(terminal, is_drawn)
        terminal.resize(140, 40)
        terminal.press("C-c")
        terminal.wait_for("Ctrl-C again to quit, or Ctrl-D.\n>")
        terminal.enter("Hi", " · working")
        terminal.resize(60, 40)
        shown = wait_until(terminal, lambda rows: rows[-1].endswith("…"))
        assert "\n".join(shown).count("Support for") == 1


def test_a_resize_of_a_terminal_that_cuts_lines_erases_nothing_above_the_message(cli: Cli) -> None:
    env = {**cli.env, "HOME": str(cli.home), "XTERM_VERSION": "XTerm(390)"}
    del env["COLUMNS"]
    command = f"{shlex.quote(sys.executable)} -m sessionlib chat --local"
    with Terminal(cli.home, command, env=env, size=(100, 30)) as terminal:
        terminal.wait_for("can be typed here.\n>")
        terminal.press(*90 * "a")
        terminal.wait_for(90 * "a")
        terminal.resize(60, 30)
        shown = terminal.wait_for("\n> " + 58 * "a" + "\n… " + 32 * "a")
        assert shown.startswith("Session ")


def wait_until(terminal: Tmux, is_there: Callable[[list[str]], bool]) -> list[str]:
    """Waits until the rows on the screen, without empty ones below them, are as expected; returns them."""
    end = time.monotonic() + 30
    while True:
        rows = "\n".join(terminal.screen()).rstrip().splitlines()
        if is_there(rows):
            return rows
        assert time.monotonic() < end, "\n".join(rows)
        time.sleep(0.02)


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_status_line_names_the_agent_the_session_and_what_is_waited_for(cli: Cli, columns: int) -> None:
    with chat(cli, ScriptedModel([pause(60.0), "never"], ["Second."]), columns) as terminal:
        session_id = terminal.shown().partition("Session ")[2][:8]
        terminal.enter("Hi", f"Support · session {session_id} · working")
        terminal.press("C-c")
        terminal.wait_for("Stopped waiting; tools that need approval will be denied.\n>")
        # The turn that was left still runs in the engine, and the next message waits behind it.
        terminal.enter("And now?", f"Support · session {session_id} · waiting for the previous turn")
        assert_fits(terminal, columns)
        assert terminal.shown().count("· session") == 1
        terminal.press("C-c")
        terminal.wait_for("will be denied.\n>", count=2)
        assert "· session" not in terminal.shown()
        terminal.press("C-d")
        assert terminal.status() == 0


def test_without_colours_there_are_none(cli: Cli) -> None:
    with chat(cli, ScriptedModel("Some **bold** and `code`."), 80, NO_COLOR="1") as terminal:
        terminal.enter("Hi", "\n>", after="Some bold and code.")
        # 39 and 49 are those that the terminal has anyway.
        assert not re.findall(r"\x1b\[(?:\d+;)*(?:[34][0-8]|9\d|10\d)m", terminal.coloured())
