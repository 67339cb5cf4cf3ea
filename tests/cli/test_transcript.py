"""What the messages of a session look like as text, Markdown and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionlib import SessionMessage
from sessionlib.cli.describe import call_text
from sessionlib.cli.say import clean, one_line, size_of
from sessionlib.cli.transcript import as_markdown, as_text, body_of, write

CALL = {"tool_name": "refund", "arguments": {"order_id": "7", "amount": 1.5}}


def message(content: Any, sender: dict[str, str] | None = None) -> SessionMessage:
    return SessionMessage.from_dict({"id": "m", "session_id": "s1", "sender": sender or {}, "content": content})


def answer(**told: Any) -> dict[str, Any]:
    return {"type": "response_message", "value": {"tool_call_approval": told}}


@pytest.mark.parametrize(
    ("content", "body"),
    [
        ({"type": "data_type_message", "value": "Hello\nthere", "status": "Complete"}, "Hello\nthere"),
        ({"type": "tool_call", **CALL}, '(runs refund(order_id="7", amount=1.5))'),
        ({"type": "tool_result", **CALL, "output": {"ok": True}}, '(refund: {"ok": true})'),
        ({"type": "tool_call_approval", **CALL}, '(asks to run refund(order_id="7", amount=1.5))'),
        ({"type": "tool_call_approval"}, "(asks to run a tool())"),
        (answer(confirm={}), "(approves it)"),
        (answer(confirm={"amount": 2}), '(approves it with {"amount": 2})'),
        (answer(deny=""), "(denies it)"),
        (answer(deny="too much"), "(denies it: too much)"),
        ({"type": "response_message", "value": None}, "(answers)"),
        ({"type": "thinking", "content": "Hm.\nWell."}, "(thinks: Hm. Well.)"),
        ({"type": "file", "name": "a.txt", "mime_type": "text/plain", "size": 5000}, "(a.txt, text/plain, 4.9 KB)"),
        ({"type": "error_message", "error": "no model"}, "(error: no model)"),
        ({"type": "something_new", "x": 1}, "(something_new)"),
        ("a bare text", "a bare text"),
        (None, "(nothing)"),
    ],
)
def test_every_kind_of_message_says_something(content: Any, body: str) -> None:
    assert body_of(message(content)) == body


def test_forms(tmp_path: Path) -> None:
    said = [message("Hi", {"user_id": "u"}), message("Hello", {"object_id": "a"}), message("?")]
    assert as_text(said) == "user: Hi\n\nagent: Hello\n\nunknown: ?\n"
    assert as_markdown(said) == "# Session s1\n\n## User\n\nHi\n\n## Agent\n\nHello\n\n## Unknown\n\n?\n"
    assert as_markdown([]) == "# An empty session\n"
    begins = {"a.md": "# Session s1", "a.TXT": "user: Hi", "a.json": "[", "a.jsonl": '{"id"', "a": "# Session s1"}
    for name, first in begins.items():
        write(tmp_path / name, said)
        assert (tmp_path / name).read_text().startswith(first)
    assert len(json.loads((tmp_path / "a.json").read_text())) == 3


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("Mine.")
    with pytest.raises(FileExistsError):
        write(path, [])
    write(path, [], replace=True)
    assert path.read_text() == "# An empty session\n"


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    assert clean("a\x1b[31mb\x07\x9b2Jc\td\ne\u202ef") == "a[31mb2Jc\td\nef"
    assert one_line("  two\n lines\x00  ") == "two lines"
    assert one_line("x" * 30, 10) == "x" * 9 + "…"
    assert call_text("to\x1bol", {"a\nb": "x\ny", "n": None}) == 'tool(a b="x y", n=null)'


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KB"), (5 << 20, "5.0 MB"), (3 << 30, "3.0 GB")],
)
def test_sizes(count: int, told: str) -> None:
    assert size_of(count) == told
