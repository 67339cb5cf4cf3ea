"""``sessionlib chat`` through pipes: plain text in and out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sessionlib.cli.options import EngineOptions, Where
from sessionlib.protocol import frames
from tests.support.cli import AS_MODULE, KEY, NOTE, Cli, Here
from tests.support.processes import run_script
from tests.support.script_engine import Connection, Received, ScriptEngine, turn

DEMO = "Demo model: echoes your message. "


@pytest.mark.parametrize(
    ("stdin", "answers"),
    [("One\n\n  Two  \nThree", ["One", "Two", "Three"]), ("", []), ("/etc/hosts?\n", ["/etc/hosts?"])],
)
def test_every_line_is_a_message_but_for_commands(here: Here, stdin: str, answers: list[str]) -> None:
    result = here.run("chat", stdin=stdin)
    shown = "".join(f'You said: "{answer}"\n' for answer in answers)
    assert (result.rc, result.stderr, result.stdout) == (0, NOTE, f"{DEMO}{shown}" if answers else "")


def test_commands_work_through_pipes(here: Here, tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_text("abc")
    saved = tmp_path / "talk"
    lines = [
        f"/file {tmp_path}/a b.txt",
        "Look",
        f"/save {saved}.jsonl",
        f"/save {saved}.jsonl",
        "/history",
        "/quit",
        "No",
    ]
    result = here.run("chat", "--local", stdin="\n".join(lines))
    answer = f'{DEMO}You said: "Look". You sent: a b.txt (text/plain, 3 bytes)'
    history = f"user: Look\n\nuser: (a b.txt, text/plain, 3 bytes)\n\nagent: {answer}\n"
    assert (result.rc, result.stdout) == (0, f"{answer}\n{history}")
    assert result.stderr == (
        "sessionlib: a b.txt (3 bytes) goes along with your next message\n"
        + f"sessionlib: 3 messages are in {saved}.jsonl\n" * 2
    )
    kept = [json.loads(line) for line in Path(f"{saved}.jsonl").read_text().splitlines()]
    assert [message["content"].get("value") for message in kept] == ["Look", None, answer]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/file", "which file? Write /file PATH"),
        ("/file nowhere.txt", "there is no file nowhere.txt"),
        ("/save {there}", "{there} exists; choose another name"),
        (
            "/save /nonexistent/x.md",
            "/nonexistent/x.md cannot be written: No such file or directory; choose another place",
        ),
        ("/save /", "/ cannot be written: Is a directory; choose another place"),
        ("/quti", "/quti: did you mean /quit? Nothing was sent."),
    ],
)
def test_what_goes_wrong_is_told_and_the_chat_goes_on(here: Here, tmp_path: Path, line: str, told: str) -> None:
    there = tmp_path / "there.md"
    there.write_text("Mine.")
    result = here.run("chat", "--local", stdin=f"{line.format(there=there)}\nOn\n")
    assert (result.rc, result.stdout) == (1, f'{DEMO}You said: "On"\n')
    assert told.format(there=there) in result.stderr
    assert result.stderr.count("\n") == 1
    assert there.read_text() == "Mine."


def test_the_way_to_go_on_names_what_is_needed() -> None:
    kept = EngineOptions(db=Path("a b.db"))
    assert Where(engine=kept).to_go_on("s1") == "--db 'a b.db' --session s1"
    assert Where(local=True, engine=kept).to_go_on("s1") == "--local --db 'a b.db' --session s1"
    assert Where(base_url="https://x.example/v1").to_go_on("s1") == "--base-url https://x.example/v1 --session s1"


@pytest.mark.parametrize(("option", "answer"), [("--yes", "refund gave: refunded 10.00"), ("--deny", "was denied")])
def test_approvals_are_decided_beforehand(here: Here, shop: str, option: str, answer: str) -> None:
    line = '/tool refund {"order_id": "7"}\n'
    result = here.run("chat", "--local", "--tools", shop, option, stdin=line)
    assert result.rc == 0
    assert answer in result.stdout


def test_a_failed_turn_is_told_and_the_chat_goes_on(here: Here, engine: ScriptEngine) -> None:
    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        if frame["content"] == "Refuse":
            conn.send(frames.refusal("post_message", "s1", "not now"))
        else:
            conn.send_many(turn("s1", "m1", [f"Got **{frame['content']}**"]))

    result = here.run("chat", "--base-url", engine.base_url, "--session", "s1", env=KEY, stdin="Refuse\nTwo\n")
    assert (result.rc, result.stdout) == (1, "Got **Two**\n"), "through a pipe it is the text as it is"
    assert result.stderr == "sessionlib: session s1: the engine refused the message: not now\n"


def test_a_lost_session_ends_the_chat(here: Here, engine: ScriptEngine) -> None:
    engine.on("post_message", lambda conn, frame: conn.close(1008, "go away"))
    result = here.run("chat", "--base-url", engine.base_url, "--session", "s1", env=KEY, stdin="One\nTwo\n")
    assert (result.rc, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1


def test_a_terminal_needs_rich_and_a_pipe_does_not(cli: Cli) -> None:
    source = f"import sys; sys.modules['rich'] = None\n{AS_MODULE}"
    assert run_script(source, "chat", "--local", env=cli.env, stdin="Hi\n").check().stdout
    terminal = "import sys; sys.stdin.isatty = sys.stdout.isatty = lambda: True\n"
    result = run_script(terminal + source, "chat", "--local", env={**cli.env, "TERM": "xterm"}, stdin="Hi\n")
    assert (result.rc, result.stdout) == (1, "")
    assert (
        result.stderr == "sessionlib: a chat on a terminal needs rich; install it with: pip install 'sessionlib[cli]'\n"
    )
