"""The command line on a real terminal, with a person at the keyboard."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sessionlib.cli.terminal import KeptMessages
from sessionlib.engine import LocalEngine
from sessionlib.protocol import frames
from tests.support.cli import KEY, Cli, answering, waits_at_a_gate
from tests.support.script_engine import Connection, Received, ScriptEngine, notification, text_content, turn
from tests.support.terminal import Terminal

REFUND = '/tool refund {"order_id": "7", "amount": 12.5}'
QUESTION = "[y]es, [n]o, [v]iew in full, [e]dit the arguments,"
STOPPED = "Stopped waiting; tools that need approval will be denied."


def on_terminal(
    cli: Cli,
    command: str,
    *,
    env: Mapping[str, str] | None = None,
    size: tuple[int, int] = (100, 40),
    shell: str | None = None,
) -> Terminal:
    """A terminal on which a command runs, such as "chat", or what a shell is given."""
    given = {**cli.env, "HOME": str(cli.home), **(env or {})}
    del given["COLUMNS"]
    program = f"{shlex.quote(sys.executable)} -m sessionlib {command}"
    return Terminal(cli.home, shell or program, env=given, size=size)


@contextmanager
def chat(cli: Cli, options: str = "", **more: Any) -> Iterator[Terminal]:
    """A chat at its prompt, which Ctrl-D ends as it should."""
    with on_terminal(cli, f"chat {options}", **more) as terminal:
        terminal.wait_for("\n>")
        yield terminal
        terminal.press("C-d")
        assert terminal.status() == 0


def test_a_chat_from_its_first_line_to_its_last(cli: Cli) -> None:
    (cli.home / "notes.txt").write_text("abc")
    with on_terminal(cli, "chat --db chat.db") as terminal:
        terminal.wait_for("/help lists what can be typed here.\n>")
        terminal.enter("Is *this* a **terminal**?", 'You said: "Is this a terminal?"\n\n>')
        terminal.enter("/file notes.txt", "notes.txt (3 bytes) goes along with your next message\n>")
        terminal.enter("Look", 'You said: "Look". You sent: notes.txt (text/plain, 3 bytes)\n\n>')
        terminal.enter("/hepl", "/hepl: did you mean /help? Nothing was sent.\n>")
        terminal.enter("/help", "/save PATH   write it to a file")
        terminal.enter("/save talk.md", "5 messages are in talk.md\n>")
        terminal.enter("/history", "(notes.txt, text/plain, 3 bytes)\n\nagent")
        terminal.enter("One line \\", "…")
        terminal.enter("and one more", 'You said: "One line and one more"')
        terminal.type("/quit")
        assert terminal.status() == 0
        terminal.wait_for("To go on: sessionlib chat --db chat.db --session ")
    assert "\n## User\n\nIs *this* a **terminal**?\n" in (cli.home / "talk.md").read_text()


def test_approvals_at_the_prompt(cli: Cli, shop: str) -> None:
    with chat(cli, f"--tools {shop}") as terminal:
        asked = terminal.enter(REFUND, QUESTION)
        assert 'The agent asks to run "refund":\n  "order_id" = "7"\n  "amount" = 12.5\nRun "refund" for agent' in asked
        terminal.enter("y", "refund gave: refunded 12.50 for order 7\n\n>")
        terminal.enter(REFUND, QUESTION, after="for order 7\n\n>")
        terminal.enter("e", '"order_id" ["7"]:')
        terminal.enter("8", '"amount" [12.5]:')
        terminal.enter("99", "refund gave: refunded 99.00 for order 8\n\n>")
        terminal.enter(REFUND, QUESTION, after="for order 8\n\n>")
        terminal.enter("d", "Reason:")
        terminal.enter("too much", "The call of refund was denied: too much\n\n>")
        terminal.enter(REFUND, QUESTION, after="too much\n\n>")
        terminal.press("C-d")
        terminal.wait_for("Denied: the person has closed the input at the question (Ctrl-D).")
        terminal.wait_for("\n>", after="The call of refund was denied: the person has closed the input")


def test_ctrl_c_stops_a_turn_and_not_the_program(cli: Cli, shop: str) -> None:
    with on_terminal(cli, f"chat --tools {shop}") as terminal:
        terminal.wait_for("\n>")
        terminal.enter('/tool wait {"file": "go"}', 'runs wait(file="go")')
        terminal.press("C-c")
        terminal.wait_for(f"{STOPPED}\n>")
        # The turn goes on unseen, and the next message waits for its end.
        terminal.type("Still there?")
        (cli.home / "go").touch()
        shown = terminal.wait_for('You said: "Still there?"\n\n>')
        assert "waited" not in shown
        # At the question too, where it denies.
        terminal.enter(REFUND, QUESTION)
        terminal.press("C-c")
        terminal.wait_for(f"{STOPPED}\n>", after=QUESTION)
        terminal.type("/history")
        # At the prompt: on a command that still runs, it ends the program.
        terminal.wait_for("\n>", after="(denies it: the person has stopped this turn)")
        terminal.press("C-c")
        terminal.wait_for("Ctrl-C again to quit, or Ctrl-D.\n>")
        terminal.press("C-c")
        assert terminal.status() == 130


def test_a_long_answer_streams_as_markdown_and_stands_there_once(cli: Cli, engine: ScriptEngine) -> None:
    items = "\n".join(f"{number}. item number {number}" for number in range(1, 41))
    text = f"# Title\n\nSome **bold** words \x1b[31mand `code`.\n\n```python\nprint(1)\n```\n\n{items}\n\nThe end."

    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        conn.send_many(turn("s1", "m1", [], complete=False, idle=False))
        for start in range(0, len(text), 8):
            conn.send(frames.message_delta("s1", "m1", start // 8, text[start : start + 8]))
            conn.sleep(0.01)
        conn.send(notification("s1", "m1", text_content(text)))
        conn.send(frames.participant_status("s1", "Idle"))

    options = f"--base-url {engine.base_url} --session s1"
    with chat(cli, options, env=KEY, size=(60, 15)) as terminal:
        terminal.enter("Go", "item number 20")
        shown = terminal.wait_for("The end.\n\n>")
    answered = shown[shown.index("> Go") :]
    assert "Some bold words [31mand code.\n" in answered
    assert "**" not in answered
    assert "```" not in answered
    for piece in ("Title", "Some bold", "print(1)", "The end.", *(f"item number {n}\n" for n in range(1, 41))):
        assert answered.count(piece) == 1, answered


def test_lines_of_earlier_chats_are_at_hand(cli: Cli, shop: str) -> None:
    with chat(cli, f"--tools {shop}") as terminal:
        terminal.enter("A first line", 'You said: "A first line"\n\n>')
        terminal.enter(REFUND, QUESTION)
        terminal.enter("no", "was denied: User denied tool call.\n\n>")
    kept = cli.home / "state" / "sessionlib" / "chat_history"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    with chat(cli) as terminal:
        terminal.press("Up", "Up", "Enter")
        # Each time up to the prompt: what Tab and Ctrl-D mean there, they mean nowhere else.
        terminal.wait_for('You said: "A first line"\n\n>')
        terminal.press(*"/hi", "Tab", "Enter")
        terminal.wait_for("\n>", after="agent\n")
        terminal.press(*"/file", "Space", *"sho", "Tab", "Enter")
        terminal.wait_for("\n>", after="shop.py (")


def test_what_is_pasted_is_one_message(cli: Cli) -> None:
    with chat(cli, "--db chat.db") as terminal:
        terminal.paste("def f():\n\treturn 1\n/quit\n")
        terminal.wait_for("/quit")
        assert "You said" not in terminal.shown()
        terminal.press("Enter")
        terminal.wait_for("\n>", after="You said:")
        # Edited first, like what is typed: over its lines, and with a line of its own.
        terminal.paste("one\ntwo")
        terminal.press("Up", "End")
        terminal.type("1 \\")
        terminal.enter("and a half", "\n>", 1, after="and a half")
        terminal.press("M-Enter")
        terminal.enter("Alt", "\n>", after="Alt")
        terminal.enter("/save talk.jsonl", "talk.jsonl\n>")
    kept = [json.loads(line) for line in (cli.home / "talk.jsonl").read_text().splitlines()]
    said = [message["content"]["value"] for message in kept if "user_id" in message["sender"]]
    assert said == ["def f():\n\treturn 1\n/quit", "one1 \nand a half\ntwo", "Alt"]


def test_a_paste_while_the_agent_works_is_one_message_too(cli: Cli, shop: str) -> None:
    with chat(cli, f"--tools {shop}") as terminal:
        terminal.enter('/tool wait {"file": "go"}', 'runs wait(file="go")')
        terminal.paste("one\ntwo\nthree")
        (cli.home / "go").touch()
        terminal.wait_for("> one\n… two\n… three", after="waited")
        terminal.press("Enter")
        terminal.wait_for('You said: "one two three"\n\n>')
        assert terminal.shown().count("You said") == 1


def test_ctrl_d_while_the_agent_works_ends_the_chat_behind_the_answer(cli: Cli, shop: str) -> None:
    program = f"{shlex.quote(sys.executable)} -m sessionlib chat --tools {shop}"
    with on_terminal(cli, "", shell=f"stty -a > before; {program}; stty -a > after") as terminal:
        terminal.wait_for("\n>")
        terminal.enter('/tool wait {"file": "go"}', 'runs wait(file="go")')
        terminal.press("C-d")
        (cli.home / "go").touch()
        shown = terminal.wait_for("ended with 0")
    assert "waited" in shown
    assert (cli.home / "before").read_text() == (cli.home / "after").read_text()


def test_what_is_typed_behind_a_message_answers_no_question(cli: Cli, shop: str) -> None:
    with on_terminal(cli, f"chat --tools {shop}") as terminal:
        terminal.wait_for("\n>")
        terminal.type(REFUND)
        terminal.press("y", "Enter", "y", "Enter")
        terminal.wait_for(QUESTION)
        time.sleep(0.5)
        assert "gave" not in terminal.shown()
        terminal.type("n")
        # What was typed is a message or discarded, as it was read before the question or not: never its answer.
        shown = terminal.wait_for("\n>", after="was denied: User denied tool call.")
        assert "gave" not in shown


def test_a_question_is_shown_again_once_the_program_goes_on(cli: Cli, shop: str) -> None:
    program = f"sh -c 'echo $$ > pid; exec {shlex.quote(sys.executable)} -m sessionlib chat --tools {shop}'"
    with on_terminal(cli, "", shell="PS1='shell: ' bash --norc --noprofile -bi", size=(100, 80)) as terminal:
        terminal.wait_for("shell:")
        terminal.enter(program, "\n>")
        terminal.enter(REFUND, QUESTION)
        terminal.press("C-z")
        # What is typed before the question is there again is no answer, although the shell has not read it.
        terminal.wait_for("shell:", after="Stopped")
        terminal.enter("fg\ry", "The agent asks", 2)
        terminal.wait_for(QUESTION, 2)
        # Stopped by something else than a key,
        process = int((cli.home / "pid").read_text())
        os.kill(process, signal.SIGSTOP)
        terminal.wait_for("Stopped", 2)
        terminal.enter("fg\ry", QUESTION, 3)
        # and, as it asked from the background, by the terminal.
        terminal.press("C-z")
        terminal.wait_for("Stopped", 3)
        terminal.enter("bg", "The agent asks", 4)
        # The shell continues only what it knows to be stopped, and shows that it does.
        terminal.wait_for("Stopped", 4)
        terminal.enter("fg\ry", "The agent asks", 5)
        terminal.wait_for(QUESTION, 5)
        assert "gave" not in terminal.shown()
        terminal.enter("y", "refund gave: refunded 12.50 for order 7\n\n>")


def test_a_chat_that_is_killed_at_its_prompt_leaves_the_terminal_in_order(cli: Cli) -> None:
    program = f"{shlex.quote(sys.executable)} -m sessionlib chat --local & echo $! > pid; fg; stty -a"
    with on_terminal(cli, "", shell=f"set -m; {program}") as terminal:
        terminal.wait_for("\n>")
        os.kill(int((cli.home / "pid").read_text()), signal.SIGTERM)
        shown = terminal.wait_for("ended with 0")
    settings = shown[shown.index("speed") :]
    assert re.search(r" icanon\b", settings)
    assert re.search(r" echo\b", settings)


def test_messages_are_kept_within_bounds_and_whatever_the_file(tmp_path: Path) -> None:
    file = tmp_path / "state" / "history"
    for number in range(2002):
        KeptMessages(file).store_string(f"line\n{number} é")
    with file.open("ab") as rest:
        rest.write(b"no JSON\n\xff\n")
    kept = list(KeptMessages(file).load_history_strings())
    assert (kept[0], len(kept), len(file.read_bytes().splitlines())) == ("line\n2001 é", 998, 1000)
    for other in (tmp_path, tmp_path / "nowhere", None):
        messages = KeptMessages(other)
        messages.store_string("lost")
        assert list(messages.load_history_strings()) == (["lost"] if other and other.is_file() else [])


def test_an_approval_from_before_is_asked_first(cli: Cli, local: LocalEngine, configured: dict[str, str]) -> None:
    with on_terminal(cli, f"chat --session {waits_at_a_gate(local)}", env=configured) as terminal:
        terminal.wait_for(QUESTION)
        terminal.enter("y", "refund gave: refunded order 7\n\n>")
        terminal.press("C-d")
        assert terminal.status() == 0


def test_the_question_comes_on_the_terminal_wherever_the_answer_goes(cli: Cli, shop: str) -> None:
    (cli.home / "question.txt").write_text(REFUND)
    command = f"ask --local --tools {shop} < question.txt > answer.txt"
    with on_terminal(cli, command) as terminal:
        terminal.wait_for(QUESTION)
        terminal.type("y")
        assert terminal.status() == 0
    answer = (cli.home / "answer.txt").read_text()
    assert answer.endswith("refund gave: refunded 12.50 for order 7\n")
    assert "[y]es" not in answer


def test_ask_on_a_terminal_shows_nothing_that_it_would_obey(cli: Cli, engine: ScriptEngine) -> None:
    where = shlex.join(answering(engine, "\x1b[2J\x1b]0;title\x07Cl", "ean\x9b1A"))
    with on_terminal(cli, f"ask {where} Hi", env=KEY) as terminal:
        terminal.wait_for("[2J]0;titleClean1A\n")
        assert terminal.status() == 0


def test_ask_without_a_text_on_a_terminal_says_what_is_missing(cli: Cli) -> None:
    with on_terminal(cli, "ask") as terminal:
        assert terminal.status() == 2
        terminal.wait_for("sessionlib: nothing to ask: give a TEXT, or pipe it in (see sessionlib ask --help)\n")


def test_a_new_key_is_shown_once(cli: Cli) -> None:
    for first in (True, False):
        with on_terminal(cli, "serve") as terminal:
            shown = terminal.wait_for("sessionlib engine on http://127.0.0.1:")
            key = (cli.home / "config" / "sessionlib" / "engine.key").read_text().strip()
            assert (f"API key (shown only now): {key}" in shown) == first
            terminal.press("C-c")
            assert terminal.status() == 0


def test_what_was_typed_before_a_question_is_no_answer(cli: Cli, shop: str) -> None:
    both = f"{REFUND}\n{REFUND.replace('7', '8')}"
    (cli.home / "both.txt").write_text(both)
    with on_terminal(cli, f"ask --local --tools {shop} - < both.txt") as terminal:
        terminal.type("y")  # during the wait
        terminal.wait_for(QUESTION)
        terminal.press("y", "Enter", "y", "Enter")
        terminal.wait_for(QUESTION, 2)
        time.sleep(0.5)
        assert "was denied" not in terminal.shown()
        assert "ended with" not in terminal.shown()
        shown = terminal.enter("n", "ended with 0")
    assert shown.count("gave: refunded") == 1
