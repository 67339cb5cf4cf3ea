"""``sessionlib ask``: what goes in, what comes out, and what is said on the side."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from sessionlib.engine import LocalEngine
from sessionlib.protocol import frames
from sessionlib.protocol.frames import Frame
from tests.support.cli import KEY, NOTE, Cli, Here, answering, waits_at_a_gate
from tests.support.script_engine import Connection, Received, ScriptEngine, notification, text_content, turn
from tests.support.secrets import SENTINEL_KEY

DEMO = "Demo model: echoes your message. "


def scripted(engine: ScriptEngine, *frames: Frame) -> list[str]:
    """Has the engine send these after each message; returns the options that point a command at its session."""
    engine.on("post_message", lambda conn, frame: conn.send_many(frames))
    return ["--base-url", engine.base_url, "--session", "s1"]


# ---- the question --------------------------------------------------------------------------


def test_with_nothing_configured_the_embedded_engine_answers_and_says_so(cli: Cli) -> None:
    result = cli.run("ask", "Hello!")
    assert (result.rc, result.stdout, result.stderr) == (0, f'{DEMO}You said: "Hello!"\n', NOTE)


@pytest.mark.parametrize("args", [[], ["-"]])
def test_the_question_comes_from_standard_input(here: Here, args: list[str]) -> None:
    result = here.run("ask", "--local", *args, stdin="two\nlines\n").check()
    assert result.stdout == f'{DEMO}You said: "two\nlines"\n'


def test_files_go_along(here: Here, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abc")
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    args = ["--file", str(tmp_path / "a.txt"), "--file", str(tmp_path / "b.png")]
    sent = "a.txt (text/plain, 3 bytes), b.png (image/png, 4 bytes)"
    assert here.run("ask", "--local", *args, "Look").check().stdout == f'{DEMO}You said: "Look". You sent: {sent}\n'
    assert here.run("ask", "--local", *args).check().stdout == f"{DEMO}You sent: {sent}\n"


@pytest.mark.parametrize(
    ("args", "stdin", "answer"),
    [
        (["Look"], b"some text", 'You said: "Look". You sent: stdin.txt (text/plain, 9 bytes)'),
        ([], b"\xff\x00", "You sent: stdin (application/octet-stream, 2 bytes)"),
    ],
)
def test_standard_input_can_be_a_file(here: Here, args: list[str], stdin: bytes, answer: str) -> None:
    assert here.run("ask", "--local", "--file", "-", *args, stdin=stdin).check().stdout == f"{DEMO}{answer}\n"


@pytest.mark.parametrize(
    ("args", "stdin", "told"),
    [
        ([], b"", "nothing to ask: the text is empty"),
        (["  "], b"", "nothing to ask: the text is empty"),
        ([], b"\xff\xfe", "standard input is not UTF-8 text; send it as a file, with --file -"),
        (["-", "--file", "-"], b"x", "standard input cannot be both the text and a file"),
    ],
)
def test_what_is_no_question_is_wrong_usage(here: Here, args: list[str], stdin: bytes, told: str) -> None:
    result = here.run("ask", *args, stdin=stdin)
    assert (result.rc, result.stdout) == (2, "")
    assert result.stderr == f"sessionlib: {told} (see sessionlib ask --help)\n"


def test_a_closed_standard_input_is_an_empty_one(cli: Cli) -> None:
    done = cli.shell('"$0" -m sessionlib ask --local <&-')
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"nothing to ask" in done.stderr


# ---- the answer ----------------------------------------------------------------------------


def test_the_reply_is_one_line_of_json(here: Here) -> None:
    told = here.run("ask", "--local", "--json", "Hello!").check().stdout
    assert told.count("\n") == 1
    reply = json.loads(told)
    assert (reply["text"], reply["status"], reply["error"]) == (f'{DEMO}You said: "Hello!"', "complete", None)
    assert reply["events"][-1]["type"] == "participant_status"


def test_events_are_lines_of_json(here: Here) -> None:
    lines = here.run("ask", "--local", "--jsonl", "Grüße").check().stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["type"] for event in events][:2] == ["participant_status", "message_delta"]
    assert events[-1]["data"]["status"] == "Idle"
    assert "".join(event["data"].get("delta", "") for event in events) == f'{DEMO}You said: "Grüße"'
    assert all(line.isascii() for line in lines)


def test_each_message_of_a_turn_stands_on_lines_of_its_own(here: Here, engine: ScriptEngine) -> None:
    where = scripted(
        engine,
        *turn("s1", "m1", ["First ", "one."], idle=False),
        notification("s1", "m2", text_content("Second one.")),
        *turn("s1", "m3", ["Cut "], ack=None, complete=False, idle=False)[1:],
        notification("s1", "m3", text_content("Cut short, then whole.")),
        *turn("s1", "m4", ["Lost "], ack=None, complete=False, idle=False)[1:],
        notification("s1", "m4", text_content("Another text.")),
        frames.participant_status("s1", "Idle"),
    )
    result = here.run("ask", *where, "Hi", env=KEY).check()
    assert result.stdout == "First one.\nSecond one.\nCut short, then whole.\nLost \n\nAnother text.\n"


def test_the_answer_streams(cli: Cli, engine: ScriptEngine) -> None:
    with cli.start("ask", *answering(engine, "The first line\n", over=False), "Hi", env=KEY) as script:
        script.wait_for("The first line")
        assert script.running


def test_what_a_terminal_would_obey_reaches_a_pipe_unchanged(here: Here, engine: ScriptEngine) -> None:
    where = answering(engine, "\x1b[31mred")
    assert here.run("ask", *where, "Hi", env=KEY).check().stdout == "\x1b[31mred\n"


def test_an_error_in_the_turn_is_told_and_is_status_1(here: Here, engine: ScriptEngine) -> None:
    failed = notification("s1", "m2", {"type": "error_message", "error": "the model\x1b[2J is gone"})
    result = here.run("ask", *scripted(engine, *turn("s1", "m1", ["Well"], between=[failed])), "Hi", env=KEY)
    assert (result.rc, result.stdout) == (1, "Well\n")
    assert result.stderr == "sessionlib: the agent reported an error: the model[2J is gone\n"


def test_verbose_notes_what_else_happens(here: Here, shop: str) -> None:
    result = here.run("ask", "--local", "-v", "--tools", shop, '/tool stock {"item": "hammer"}')
    assert (result.rc, result.stdout) == (0, f"{DEMO}stock gave: 6\n")
    session, *rest = result.stderr.splitlines()
    assert session.startswith("sessionlib: session ")
    assert rest == ['sessionlib: runs stock(item="hammer")', "sessionlib: stock gave: 6"]


# ---- approvals -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "answer", "note"),
    [
        (["--yes"], "refund gave: refunded 10.00 for order 7", ""),
        (["--deny"], "The call of refund was denied: no tool may run that needs an approval", ""),
        (
            [],
            "The call of refund was denied: no person could be asked: there is no terminal to ask on",
            "sessionlib: refund was denied, because there is no terminal to ask on (--yes approves)\n",
        ),
    ],
)
def test_approvals(here: Here, shop: str, args: list[str], answer: str, note: str) -> None:
    result = here.run("ask", "--local", "--tools", shop, *args, '/tool refund {"order_id": "7"}')
    assert (result.rc, result.stdout, result.stderr) == (0, f"{DEMO}{answer}\n", note)


def test_an_approval_from_before_is_seen_to_first(here: Here, local: LocalEngine, configured: dict[str, str]) -> None:
    result = here.run("ask", "--session", waits_at_a_gate(local), "--yes", "And now?", env=configured).check()
    assert result.stdout == f'{DEMO}refund gave: refunded order 7\nYou said: "And now?"\n'


def test_a_turn_that_waits_for_an_authorisation_is_an_error(here: Here, engine: ScriptEngine) -> None:
    waiting = notification("s1", "m2", {"type": "reauthorization_request", "integration_name": "Mail"})
    where = scripted(engine, *turn("s1", "m1", ["Well"], complete=False, idle=False), waiting)
    result = here.run("ask", *where, "Hi", env=KEY)
    assert (result.rc, result.stdout) == (1, "Well\n")
    assert result.stderr.startswith("sessionlib: session s1: the agent waits until an account is authorised again")
    assert result.stderr.endswith("--session s1\n")


# ---- where ---------------------------------------------------------------------------------


def test_the_only_agent_of_a_configured_engine_answers(here: Here, configured: dict[str, str]) -> None:
    result = here.run("ask", "Hello!", env=configured)
    assert (result.rc, result.stdout, result.stderr) == (0, f'{DEMO}You said: "Hello!"\n', "")


def test_an_agent_is_named_by_id_or_name(here: Here, local: LocalEngine, configured: dict[str, str]) -> None:
    other = local.agent(name="Other one")
    for named in (other.id, "Other one"):
        assert here.run("ask", "--agent", named, "Hi", env=configured).check().stdout
    assert here.run("ask", "Hi", env={**configured, "SESSIONLIB_AGENT": "Helper"}).check().stdout
    unsaid = here.run("ask", "Hi", env=configured)
    assert unsaid.rc == 2
    assert "has several agents; name one with --agent: " in unsaid.stderr
    unknown = here.run("ask", "--agent", "Nobody", "Hi", env=configured)
    assert unknown.rc == 1
    assert "there is no agent with the id or name Nobody on 127.0.0.1:" in unknown.stderr


def test_a_session_of_the_embedded_engine_lasts_in_a_file(here: Here, tmp_path: Path) -> None:
    db = str(tmp_path / "kept.db")
    first = here.run("ask", "--local", "--db", db, "--agent", "Ann", "--jsonl", "One").check()
    session_id = json.loads(first.stdout.splitlines()[0])["session_id"]
    second = here.run("ask", "--local", "--db", db, "--session", session_id, "Two").check()
    assert second.stdout == 'You said: "Two"\n'
    history = here.run("history", "--local", "--db", db, session_id).check().stdout
    assert history == f'user: One\n\nagent: {DEMO}You said: "One"\n\nuser: Two\n\nagent: You said: "Two"\n'


@pytest.mark.parametrize(
    ("args", "status", "told"),
    [
        (["--model", "nonesuch"], 2, "there is no model 'nonesuch'"),
        (["--db", "/nonexistent/x.db"], 1, "/nonexistent/x.db cannot be opened: No such file or directory"),
        (["--tools", "/dev/null"], 1, "declares no tool"),
    ],
)
def test_an_embedded_engine_that_cannot_start_says_why(here: Here, args: list[str], status: int, told: str) -> None:
    result = here.run("ask", "--local", *args, "Hi")
    assert (result.rc, result.stdout) == (status, "")
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_wrong_key_is_told_and_not_shown(here: Here, configured: dict[str, str]) -> None:
    wrong = SENTINEL_KEY[::-1]
    result = here.run("ask", "Hi", env={**configured, "SESSIONLIB_API_KEY": wrong})
    assert (result.rc, result.stdout) == (1, "")
    assert "401" in result.stderr
    assert "Check the API key" in result.stderr
    assert wrong not in result.stderr


def test_debug_shows_the_log_and_not_the_key(cli: Cli, configured: dict[str, str]) -> None:
    result = cli.run("ask", "--debug", "Hi", env=configured)
    assert (result.rc, result.stdout) == (0, f'{DEMO}You said: "Hi"\n')
    assert "> GET /agents" in result.stderr
    assert SENTINEL_KEY not in result.stderr


# ---- how it ends ---------------------------------------------------------------------------


def test_a_timeout_is_for_the_whole_command(here: Here, engine: ScriptEngine) -> None:
    result = here.run("ask", *answering(engine, "Well", over=False), "--timeout", "3", "Hi", env=KEY)
    assert (result.rc, result.stdout) == (1, "Well\n")
    assert result.stderr == (
        f"sessionlib: the answer was not complete within 3.0 s; to go on: --base-url {engine.base_url} --session s1\n"
    )
    assert result.duration < 30


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
@pytest.mark.parametrize(("args", "stdin"), [(["ask", "Hi"], None), (["chat"], "Hi\n")], ids=["ask", "chat"])
def test_a_signal_ends_it(
    cli: Cli, engine: ScriptEngine, args: list[str], stdin: str | None, number: int, status: int
) -> None:
    with cli.start(*args, *answering(engine, "ready\n", over=False), env=KEY, stdin=stdin) as script:
        script.wait_for()
        script.send_signal(number)
        result = script.wait()
    assert (result.rc, result.stderr.strip()) == (status, "")


@pytest.mark.parametrize("args", ["ask --local hi", "ask --local --jsonl hi", "--help", "doctor"])
def test_a_reader_that_leaves_is_no_error(cli: Cli, args: str) -> None:
    done = cli.shell(f'"$0" -m sessionlib {args} | head -c 1')
    assert (len(done.stdout), done.stderr) == (1, b"")


def test_the_engine_that_goes_away_is_told(cli: Cli, engine: ScriptEngine) -> None:
    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        conn.send_many(turn("s1", "m1", ["ready\n"], complete=False, idle=False))
        conn.close(1008, "go away")

    result = cli.run("ask", "--base-url", engine.base_url, "--session", "s1", "Hi", env=KEY)
    assert (result.rc, result.stdout) == (1, "ready\n")
    assert result.stderr.startswith("sessionlib: ")
    assert result.stderr.count("\n") == 1
