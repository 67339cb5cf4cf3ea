"""``sessionlib approvals``, and ``sessionlib ask --defer``, which leaves it something to do."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from sessionlib import Session
from sessionlib.engine import LocalEngine
from sessionlib.protocol import frames
from tests.support.cli import AS_MODULE, KEY, Cli, Here
from tests.support.http_server import Reply, Server
from tests.support.processes import Script
from tests.support.script_engine import Connection, Received, ScriptEngine, notification, text_content, turn

TWO = '/tool refund {"order_id": "7"}\n/tool refund {"order_id": "8"}\n/tool stock {"item": "abc"}'


def test_a_job_stops_at_a_gate_and_a_person_answers_later(here: Here, shop: str, tmp_path: Path) -> None:
    kept, where = tmp_path / "requests.jsonl", ("--local", "--db", str(tmp_path / "a.db"), "--tools", shop)
    result = here.run("ask", *where, "--defer-to", str(kept), TWO)
    requests = [json.loads(line) for line in kept.read_text().splitlines()]
    first, second = [request["message_id"] for request in requests]
    session_id = requests[0]["session_id"]
    assert (result.rc, result.stdout) == (3, "")
    assert result.stderr == (
        f"sessionlib: stopped for approval of refund ({first}), refund ({second}); "
        f"to see it: sessionlib approvals --local --tools {shop} --db {tmp_path}/a.db --session {session_id}; "
        "to answer: --approve ID or --deny ID\n"
    )
    assert (requests[0]["tool_name"], requests[0]["arguments"]) == ("refund", {"order_id": "7"})
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    # As it was printed, and each line of it for its own tool.
    listed = here.run("approvals", *where, "--session", session_id).check().stdout
    assert listed == f'{first}: "refund"\n  "order_id" = "7"\n{second}: "refund"\n  "order_id" = "8"\n'
    as_json = here.run("approvals", *where, session_id, "--json").check().stdout
    assert [json.loads(line)["message_id"] for line in as_json.splitlines()] == [first, second]
    # The next question waits for the same gate.
    assert here.run("ask", *where, "--session", session_id, "--defer", "Well?").rc == 3
    result = here.run("approvals", *where, session_id, "--approve", first)
    assert (result.rc, "refund gave: refunded 10.00 for order 7" in result.stderr) == (3, True)
    assert f"stopped for approval of refund ({second})" in result.stderr
    result = here.run("approvals", *where, session_id, "--approve", first)
    told = f"sessionlib: {first} has been answered, or its turn is over; it waits for 1 request\n"
    assert (result.rc, result.stderr) == (1, told)
    result = here.run("approvals", *where, session_id, "--deny", second, "--reason", "too much")
    assert result.rc == 0
    assert result.stdout.endswith(
        "gave: refunded 10.00 for order 7\nThe call of refund was denied: too much\nstock gave: 3\n"
    )
    result = here.run("approvals", *where, session_id)
    assert (result.rc, result.stderr) == (0, f"sessionlib: session {session_id} waits for no approval\n")


def test_an_answer_to_another_engine(here: Here, local: LocalEngine, configured: dict[str, str]) -> None:
    result = here.run("ask", "--defer", '/tool refund {"order_id": "7"}', env=configured)
    found = re.search(r"refund \((\w+)\).*--session (\w+);", result.stderr)
    assert found, result.stderr
    assert result.rc == 3
    request_id, session_id = found.groups()
    result = here.run("approvals", session_id, "--approve", "m", env=configured)
    assert (result.rc, result.stderr) == (1, "sessionlib: m is no request of this session; it waits for 1 request\n")
    result = here.run("approvals", session_id, "--approve", request_id, env=configured)
    assert (result.rc, 'approving refund(order_id="7")' in result.stderr) == (0, True)
    assert result.stdout.endswith("refund gave: refunded order 7\n")


def test_a_gate_that_is_answered_elsewhere_meanwhile_is_none(here: Here, engine: ScriptEngine) -> None:
    request = {"type": "tool_call_approval", "tool_name": "refund", "arguments": {}, "tool_call_id": "c1"}
    answered = {"id": "r1", "sender": {"object_id": "a1"}, "content": {**request, "status": "approved"}}
    gate = [*turn("s1", "m1", [], complete=False, idle=False), notification("s1", "r1", request)]
    engine.on("post_message", lambda conn, frame: conn.send_many(gate))

    @engine.on("get_messages")
    def go_on(conn: Connection, frame: Received) -> None:
        asked = any(received["type"] == "post_message" for received in engine.received)
        conn.send(frames.history("s1", [answered] if asked else []))
        if asked:
            conn.send_many(
                [notification("s1", "m1", text_content("Refunded.")), frames.participant_status("s1", "Idle")]
            )

    result = here.run("ask", "--base-url", engine.base_url, "--session", "s1", "--defer", "Go", env=KEY)
    assert (result.rc, result.stdout, result.stderr) == (0, "Refunded.\n", "")


@pytest.mark.parametrize(
    ("args", "match"),
    [
        (("ask", "--local", "--defer", "Hi"), "--defer needs an engine that keeps sessions: add --db FILE"),
        (("ask", "--local", "--db", "a.db", "--defer", "--yes", "Hi"), "--defer excludes --yes and --deny"),
        (("approvals", "--local", "--db", "a.db"), "which session? Give its ID"),
        (("approvals", "--local", "--db", "a.db", "s", "--approve", "a", "--deny", "b"), "exclude one another"),
        (("approvals", "--local", "--db", "a.db", "s", "--approve", "a", "--reason", "b"), "--reason is for --deny"),
    ],
)
def test_wrong_usage(here: Here, args: tuple[str, ...], match: str) -> None:
    result = here.run(*args)
    assert result.rc == 2
    assert match in result.stderr


# ---- a webhook -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "rc"), [(204, 3), (302, 1), (307, 1), (500, 1)])
def test_a_request_goes_to_a_webhook_alone(
    here: Here, local: LocalEngine, configured: dict[str, str], server: Server, status: int, rc: int
) -> None:
    server.answer(Reply(status, b"", {"Location": f"{server.origin}/elsewhere"}))
    question = '/tool refund {"order_id": "7"}'
    result = here.run("ask", "--defer-to", f"{server.origin}/hook", question, env=configured)
    assert result.rc == rc, result.stderr
    assert "--approve ID" in result.stderr  # it can be answered all the same
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.headers["content-type"]) == ("POST", "/hook", "application/json")
    assert "authorization" not in seen.headers
    with Session(session_id=seen.json["session_id"], client=local.client()) as session:
        assert [request.arguments for request in session.pending_approvals()] == [{"order_id": "7"}]
        session.answer(seen.raw, approved=False)


def test_a_file_that_cannot_be_written_is_an_error_and_the_gate_holds(
    here: Here, configured: dict[str, str], tmp_path: Path
) -> None:
    assert here.run("ask", "--defer", "Hi", env=configured).check().stdout.endswith('You said: "Hi"\n')
    result = here.run("ask", "--defer-to", str(tmp_path), '/tool refund {"order_id": "7"}', env=configured)
    assert result.rc == 1
    assert result.stderr.endswith(f"; it could not be handed over to {tmp_path}: Is a directory\n")


# ---- a process that is killed --------------------------------------------------------------------


def test_a_command_killed_at_a_gate_is_answered_from_another_process(cli: Cli, tmp_path: Path) -> None:
    tools, done = tmp_path / "tools.py", tmp_path / "done"
    tools.write_text(
        "from pathlib import Path\nfrom sessionlib.engine import tool\n\n\n"
        '@tool(approval="requires_approval")\ndef pay(order: int) -> str:\n    """Pay."""\n'
        f'    with open({str(done)!r}, "a") as done:\n        done.write("paid\\n")\n    return "paid"\n'
    )
    where = ("--local", "--db", str(tmp_path / "a.db"), "--tools", str(tools))
    question = '/tool pay {"order": 7}'
    with Script(AS_MODULE, "ask", *where, "--jsonl", "--defer", question, env=cli.env) as script:
        session_id = json.loads("{" + script.wait_for("{"))["session_id"]
        script.wait_for('{"type": "approval_request"')
        script.kill()
    assert not done.exists()
    (request,) = cli.run("approvals", *where, session_id, "--json").check().stdout.splitlines()
    answer = ("approvals", *where, session_id, "--approve", json.loads(request)["message_id"])
    assert [cli.run(*answer).rc for _ in range(2)] == [0, 1]
    assert done.read_text() == "paid\n"
