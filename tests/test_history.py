"""A session's history: as text, Markdown, JSON and tables, in files and back again."""

from __future__ import annotations

import csv
import datetime
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from sessionlib import History, SessionMessage
from sessionlib.engine import LocalEngine, tool
from sessionlib.history import body_of

CALL = {"tool_name": "refund", "arguments": {"order_id": "7", "amount": 1.5}}


def message(content: Any, sender: dict[str, str] | None = None, **more: Any) -> SessionMessage:
    told = {"id": "m", "session_id": "s1", "sender": sender or {}, "content": content, **more}
    return SessionMessage.from_dict(told)


def said(*texts: str) -> History:
    """A person's texts, each with an answer."""
    pairs = [(("user_id", text), ("object_id", f"You said: {text}")) for text in texts]
    return History(
        message({"type": "data_type_message", "value": text}, {by: "x"}) for pair in pairs for by, text in pair
    )


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


# ---- forms ---------------------------------------------------------------------------------


def test_text_and_markdown() -> None:
    history = History([message("Hi", {"user_id": "u"}), message("Hello", {"object_id": "a"}), message("?")])
    assert history.to_text() == str(history) == "user: Hi\n\nagent: Hello\n\nunknown: ?\n"
    assert history.to_markdown() == "# Session s1\n\n## User\n\nHi\n\n## Agent\n\nHello\n\n## Unknown\n\n?\n"
    assert History().to_markdown() == "# An empty session\n"


def test_it_is_a_list_whose_slices_are_histories() -> None:
    history = said("one", "two")
    assert isinstance(history, list)
    assert isinstance(history[0], SessionMessage)
    assert isinstance(history[1:], History)
    assert history[-2:].to_text() == "user: two\n\nagent: You said: two\n"


def test_a_notebook_shows_what_was_said_as_markdown_in_which_nothing_runs() -> None:
    call = {"type": "tool_call", "tool_name": "<i>", "arguments": {}}
    history = History([*said("**bold** <img src=x onerror=alert(1)>"), message(call, {"object_id": "a"})])
    shown = history._repr_html_()
    image = "&lt;img src=x onerror=alert(1)&gt;"
    user = f"<div><b>user</b></div><p><strong>bold</strong> {image}</p>"
    head = '<small style="opacity: 0.7">session s1</small><div style="margin: 12px 0">'
    assert shown.startswith(f"{head}{user}")
    assert f"<div><b>agent</b></div><p>You said: <strong>bold</strong> {image}</p>" in shown
    assert "(runs &lt;i&gt;())" in shown
    assert "<img" not in shown


def test_a_notebook_shows_the_end_of_a_long_history() -> None:
    history = said(*(f"number {number}." for number in range(150)))
    shown = history._repr_html_()
    assert "session s1; 100 earlier messages are not shown" in shown
    assert "You said: number 149." in shown
    assert "You said: number 49." not in shown
    assert "a history without messages" in History()._repr_html_()


# ---- tables --------------------------------------------------------------------------------


def test_a_data_frame() -> None:
    call = {"type": "tool_call", **CALL, "status": "complete"}
    history = History([*said("Hi"), message(call, {"object_id": "a"}, created_at=1700000000.5)])
    frame = history.to_dataframe()
    assert list(frame["role"]) == ["user", "object", "object"]
    assert list(frame["text"]) == ["Hi", "You said: Hi", "refund"]
    assert frame["arguments"][2] == CALL["arguments"]
    assert frame["tool_name"].isna().tolist() == [True, True, False]
    assert str(frame["created_at"].dtype) == "datetime64[ns, UTC]"
    assert frame["created_at"].isna().tolist() == [True, True, False]
    assert frame["created_at"][2].isoformat() == "2023-11-14T22:13:20.500000+00:00"
    assert len(History().to_dataframe()) == 0


def test_what_tools_gave_stays_what_it_is() -> None:
    gave = [message({"type": "tool_result", **CALL, "output": output}) for output in (3, None, "x", [1])]
    assert History(gave[:2]).to_dataframe()["output"].tolist() == [3, None]
    assert History(gave).to_dataframe()["output"].tolist() == [3, None, "x", [1]]


@pytest.mark.parametrize(
    ("told", "read"),
    [
        (0, "1970-01-01T00:00:00+00:00"),
        ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00+00:00"),
        ("2024-05-01T10:00:00", "2024-05-01T10:00:00+00:00"),
        ("yesterday", None),
        (1e30, None),
        (float("nan"), None),
        ([1], None),
    ],
)
def test_times_as_engines_tell_them(told: Any, read: str | None) -> None:
    frame = History([message("Hi", created_at=told)]).to_dataframe()
    seen = frame["created_at"][0]
    assert (None if seen is not seen or str(seen) == "NaT" else seen.isoformat()) == read


def test_csv_holds_the_same_columns(tmp_path: Path) -> None:
    history = History([*said('two\nlines, "quoted"'), message({"type": "tool_call", **CALL}, created_at=1.5)])
    history.save(tmp_path / "talk.csv")
    with (tmp_path / "talk.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(history.to_dataframe().columns)
    assert rows[0]["text"] == 'two\nlines, "quoted"'
    assert json.loads(rows[2]["arguments"]) == CALL["arguments"]
    assert datetime.datetime.fromisoformat(rows[2]["created_at"]).timestamp() == 1.5


# ---- files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["talk.jsonl", "talk.json", "TALK.JSONL"])
def test_a_saved_history_is_loaded_as_it_was(tmp_path: Path, name: str) -> None:
    made = SessionMessage("m", "s1", message("x", {"user_id": "u"}).sender, "data_type_message", "Hi")
    history = History([*said("naïve \ud800 ✓"), message({"type": "tool_call", **CALL}), message("bare"), made])
    history.save(tmp_path / name)
    loaded = History.load(str(tmp_path / name))
    assert loaded == history
    assert isinstance(loaded, History)
    assert [one.raw for one in loaded[:-1]] == [one.raw for one in history[:-1]]


def test_the_name_says_the_form(tmp_path: Path) -> None:
    begins = {"a.md": "# Session s1", "a.TXT": "user: Hi", "a.json": "[", "a.jsonl": '{"id"', "a": "# Session s1"}
    for name, first in begins.items():
        said("Hi").save(tmp_path / name)
        assert (tmp_path / name).read_text().startswith(first)
    with pytest.raises(ValueError, match=r"talk\.xlsx: a history is saved as one of \.md"):
        said("Hi").save(tmp_path / "talk.xlsx")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(begins)


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("Mine.")
    path.chmod(0o600)
    with pytest.raises(FileExistsError):
        said("Hi").save(path, replace=False)
    assert path.read_text() == "Mine."
    (tmp_path / "link.md").symlink_to(path)
    History().save(tmp_path / "link.md")
    assert (tmp_path / "link.md").is_symlink()
    assert path.read_text() == "# An empty session\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    History().save(tmp_path / "new.md", replace=False)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.jsonl"
    said("old").save(path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        said("new").save(path)
    assert History.load(path) == said("old")
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_written_to_and_not_replaced() -> None:
    said("Hi").save("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.jsonl", '{"id": "m"}\n\n{"id"', r"a\.jsonl, line 3: not a message: "),
        ("a.jsonl", "7\n", r"a\.jsonl, line 1: not a message: a message is a mapping, not int"),
        ("a.json", "[", r"a\.json: not JSON: "),
        ("a.json", "{}", r"a\.json: a history is a list of messages, not dict"),
        ("a.json", '[{"content_type": "x"}]', r"a\.json, message 1: not a message: "),
        ("a.md", "# Session", r"a\.md: a history is loaded from \.jsonl or \.json"),
    ],
)
def test_what_cannot_be_loaded_is_told_with_its_place(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=told):
        History.load(tmp_path / name)


# ---- of a session --------------------------------------------------------------------------


@tool(approval="requires_approval")
def refund(order_id: str) -> str:
    """Refund an order."""
    return f"refunded {order_id}"


def test_the_history_of_a_session(tmp_path: Path) -> None:
    with LocalEngine(tools=[refund]) as engine, engine.agent().create_session() as session:
        session.ask('/tool refund {"order_id": "7"}', on_approval=lambda request: True)
        session.ask("Look", files=[b"abc"], filename="a.txt")
        history = session.history()
        assert history == session.get_messages()
    frame = history.to_dataframe()
    assert frame["created_at"].is_monotonic_increasing
    assert not frame["created_at"].isna().any()
    assert frame.loc[frame["content_type"] == "tool_result", "output"].tolist() == ["refunded 7"]
    assert '(asks to run refund(order_id="7"))\n\n## User\n\n(approves it)' in history.to_markdown()
    history.save(tmp_path / "talk.jsonl")
    assert History.load(tmp_path / "talk.jsonl") == history
