"""Every way to say something, as the engine gets it: the frames of the protocol, on a new and on a resumed session."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionlib import (
    MessageSender,
    Session,
    SessionEvent,
    SessionEventType,
    SessionMessage,
    SessionMessageRole,
)
from sessionlib.protocol import codec, frames
from sessionlib.session import UserSessionMessage
from tests.support.script_engine import ScriptEngine, text_content, user_message
from tests.support.sessions import new_session, resumed_session
from tests.support.ws_bytes import header

Frame = dict[str, Any]
Say = Callable[[Session], None]

OCTETS = "application/octet-stream"
REQUEST = SessionEvent(SessionEventType.APPROVAL_REQUEST, "s7", "m9", {"tool_name": "refund"})
ELSEWHERE = SessionEvent(SessionEventType.APPROVAL_REQUEST, "s8", "m9", {"tool_name": "refund"})
WITHOUT_ID = SessionEvent(SessionEventType.APPROVAL_REQUEST, "s7", None, {"tool_name": "refund"})


def file_form(data: bytes, name: str, mime_type: str) -> Frame:
    metadata = {"name": name, "mime_type": mime_type}
    return {"type_string": "file", "value": {"raw_bytes": base64.b64encode(data).decode(), "metadata": metadata}}


def one(content: Any) -> Frame:
    return {"type": "post_message", "session_id": "s7", "content": content}


def many(*contents: Any) -> Frame:
    return {"type": "post_messages", "session_id": "s7", "messages": list(contents)}


def answer(told: Frame, **more: str) -> Frame:
    return {**one({"type_string": "response_message", "value": {"tool_call_approval": told}}), **more}


def send_open_file(session: Session) -> None:
    with NOTES.open("rb") as file:
        session.send(file)


def none(messages: list[SessionMessage]) -> None:
    assert messages == []


NOTES = Path("notes.md")
NOTES_FORM = file_form(b"# Notes", "notes.md", "text/markdown")
HISTORY_MESSAGE = SessionMessage("m1", "s1", MessageSender(SessionMessageRole.USER), "data_type_message", "again")

SAID: dict[str, tuple[Say, Frame]] = {
    "text": (lambda s: s.send("Hello 😀\n\0"), one("Hello 😀\n\0")),
    "text with a MIME type": (
        lambda s: s.send("# Hi", mime_type="text/markdown"),
        one({"type_string": "text/markdown", "value": "# Hi"}),
    ),
    "text with an empty MIME type": (
        lambda s: s.send("Hi", mime_type=""),
        one({"type_string": "string", "value": "Hi"}),
    ),
    "text with the name of a file": (lambda s: s.send("Hello", filename="hello.txt"), one("Hello")),
    "a path": (lambda s: s.send(NOTES), one(NOTES_FORM)),
    "a path by another name": (
        lambda s: s.send(NOTES, filename="other.txt", mime_type="text/x"),
        one(file_form(b"# Notes", "other.txt", "text/x")),
    ),
    "bytes": (lambda s: s.send(b"\x00\xff"), one(file_form(b"\x00\xff", "file", OCTETS))),
    "bytes with a name": (
        lambda s: s.send(b"\x00", filename="a.png"),
        one(file_form(b"\x00", "a.png", "image/png")),
    ),
    "no bytes": (lambda s: s.send(b""), one(file_form(b"", "file", OCTETS))),
    "bytearray": (lambda s: s.send(bytearray(b"x")), one(file_form(b"x", "file", OCTETS))),
    "memoryview": (lambda s: s.send(memoryview(b"x")), one(file_form(b"x", "file", OCTETS))),  # type: ignore[arg-type]
    "a binary file": (lambda s: s.send(io.BytesIO(b"x")), one(file_form(b"x", "file", OCTETS))),
    "a binary file with a name": (
        lambda s: s.send(io.BytesIO(b"x"), filename="x.csv", mime_type="text/x"),
        one(file_form(b"x", "x.csv", "text/x")),
    ),
    "a text file": (lambda s: s.send(io.StringIO("ä")), one(file_form("ä".encode(), "file", OCTETS))),
    "an open file": (send_open_file, one(NOTES_FORM)),
    "text and files": (
        lambda s: s.send("look", files=[NOTES, b"x", io.BytesIO(b"y")]),
        many("look", NOTES_FORM, file_form(b"x", "file", OCTETS), file_form(b"y", "file", OCTETS)),
    ),
    "text with a MIME type and files": (
        lambda s: s.send("# Hi", mime_type="text/markdown", files=(b"x",)),
        many({"type_string": "text/markdown", "value": "# Hi"}, file_form(b"x", "file", OCTETS)),
    ),
    "a file and files": (lambda s: s.send(NOTES, files=[b"x"]), many(NOTES_FORM, file_form(b"x", "file", OCTETS))),
    "files from an iterator": (
        lambda s: s.send(b"x", filename="n", mime_type="text/x", files=iter([b"y"])),  # type: ignore[arg-type]
        many(file_form(b"x", "n", "text/x"), file_form(b"y", "file", OCTETS)),
    ),
    "files alone": (lambda s: s.send("", files=[b"x"]), many("", file_form(b"x", "file", OCTETS))),
    "no files": (lambda s: s.send("Hello", files=[]), one("Hello")),
    "a batch of one": (lambda s: s.send_many(["Hello"]), many("Hello")),
    "a batch from an iterator": (lambda s: s.send_many(text for text in "ab"), many("a", "b")),
    "a batch": (
        lambda s: s.send_many(
            [
                "one",
                NOTES,
                b"x",
                io.StringIO("y"),
                UserSessionMessage("look", files=[NOTES]),
                UserSessionMessage("# Hi", mime_type="text/markdown"),
                UserSessionMessage(b"z", filename="z.csv"),
                UserSessionMessage(files=[b"only"]),
                HISTORY_MESSAGE,
                dataclasses.replace(HISTORY_MESSAGE, text=None),
                dataclasses.replace(HISTORY_MESSAGE, text=""),
            ]
        ),
        many(
            "one",
            NOTES_FORM,
            file_form(b"x", "file", OCTETS),
            file_form(b"y", "file", OCTETS),
            "look",
            NOTES_FORM,
            {"type_string": "text/markdown", "value": "# Hi"},
            file_form(b"z", "z.csv", "text/csv"),
            file_form(b"only", "file", OCTETS),
            "again",
        ),
    ),
    "an approval": (
        lambda s: s.respond(REQUEST, approved=True),
        answer({"confirm": {}}, parent_message_id="m9"),
    ),
    "an approval with other arguments": (
        lambda s: s.respond(REQUEST, approved=True, confirm={"amount": 5, "note": None}),
        answer({"confirm": {"amount": 5, "note": None}}, parent_message_id="m9"),
    ),
    "a denial": (
        lambda s: s.respond(REQUEST, approved=False),
        answer({"deny": "User denied tool call."}, parent_message_id="m9"),
    ),
    "a denial with a reason": (
        lambda s: s.respond(REQUEST, approved=False, deny_reason="too much"),
        answer({"deny": "too much"}, parent_message_id="m9"),
    ),
    "an approval by its own method": (
        lambda s: s.respond_approval(REQUEST, approved=True, confirm={"amount": 5}),
        answer({"confirm": {"amount": 5}}, parent_message_id="m9"),
    ),
    "a denial by its own method": (
        lambda s: s.respond_approval(REQUEST, approved=False, deny_reason="no"),
        answer({"deny": "no"}, parent_message_id="m9"),
    ),
    "an answer to a request without an id": (
        lambda s: s.respond(WITHOUT_ID, approved=True),
        answer({"confirm": {}}),
    ),
    "the history": (lambda s: none(s.get_messages()), {"type": "get_messages", "session_id": "s7"}),
}


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes notes.md in a directory of its own, and goes there."""
    monkeypatch.chdir(tmp_path)
    NOTES.write_bytes(b"# Notes")


@pytest.fixture(params=["new", "resumed"])
def session(request: pytest.FixtureRequest) -> Iterator[tuple[Session, ScriptEngine]]:
    """A session, by either way to one, and its engine."""
    with ScriptEngine(session_id="s7") as engine:
        make = new_session(engine) if request.param == "new" else resumed_session(engine, "s7")
        with make as session:
            yield session, engine


@pytest.mark.usefixtures("notes")
@pytest.mark.parametrize("form", SAID)
def test_what_is_said_goes_out_as_the_protocol_has_it(session: tuple[Session, ScriptEngine], form: str) -> None:
    said, engine = session
    say, frame = SAID[form]
    say(said)
    assert engine.wait_for(frame["type"]) == [frame]
    assert engine.received[-1] == frame


def test_a_new_session_is_created_and_then_joined_and_a_known_one_only_joined() -> None:
    created = {"type": "create_session", "object_type": "agent", "object_id": "a1"}
    joined = {"type": "connect_session", "session_id": "s7"}
    with ScriptEngine(session_id="s7") as engine, new_session(engine) as new, resumed_session(engine, "s7"):
        assert new.session_id == "s7"
        assert engine.received == [created, joined, joined]


def test_leaving_and_ending() -> None:
    with ScriptEngine() as engine:
        resumed_session(engine, "s7").connect().disconnect()
        assert engine.wait_for("disconnect_session") == [{"type": "disconnect_session", "session_id": "s7"}]
        resumed_session(engine, "s7").connect().terminate()
        assert engine.wait_for("terminate_session") == [{"type": "terminate_session", "session_id": "s7"}]
        engine.wait_for("ws:close", 2)
        assert [conn.close_code for conn in engine._all_connections()] == [1000, 1000]


def test_the_handshake(engine: ScriptEngine, sentinel_key: str) -> None:
    with resumed_session(engine):
        (head,) = engine.handshakes
    assert head.startswith(b"GET /v1/ws/session HTTP/1.1\r\n")
    assert header(head, "Authorization") == f"Bearer {sentinel_key}"
    assert head.lower().count(b"authorization") == 1
    for unwanted in ("Origin", "Cookie", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"):
        assert header(head, unwanted) == ""


def test_history_becomes_a_message_again() -> None:
    said = user_message("s7", "m1", text_content("Hello"))
    with ScriptEngine(session_id="s7", history=[said]) as engine, resumed_session(engine, "s7") as session:
        session.send_many(session.get_messages())
        assert engine.wait_for("post_messages") == [many("Hello")]


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 65534, 65535, 65536, 65537])
def test_frames_around_the_sizes_where_their_form_changes(engine: ScriptEngine, size: int) -> None:
    text = "x" * max(1, size - len(codec.dumps(frames.post_message("s1", ""))))
    with resumed_session(engine) as session:
        session.send(text)
        (got,) = engine.wait_for("post_message")
    assert got["content"] == text
    assert got.size == size or len(text) == 1


# ---- nothing goes out that should not ----------------------------------------------------------

BAD: dict[str, tuple[Say, type[Exception], str]] = {
    "None": (lambda s: s.send(None), TypeError, "NoneType"),  # type: ignore[arg-type]
    "a number": (lambda s: s.send(7), TypeError, "int"),  # type: ignore[arg-type]
    "a list": (lambda s: s.send(["x"]), TypeError, "list"),  # type: ignore[arg-type]
    "nothing": (lambda s: s.send(""), ValueError, "empty"),
    "half a surrogate pair": (lambda s: s.send("\ud83d"), ValueError, "surrogates"),
    "a missing file": (lambda s: s.send(Path("nowhere.txt")), FileNotFoundError, "nowhere.txt"),
    "a directory": (lambda s: s.send(Path(".")), IsADirectoryError, "directory"),
    "a missing file among the files": (lambda s: s.send("x", files=[Path("nowhere")]), FileNotFoundError, "nowhere"),
    "a batch of nothing": (lambda s: s.send_many([]), ValueError, "empty"),
    "one message as a batch": (lambda s: s.send_many("Hello"), TypeError, "str"),
    "something in a batch": (lambda s: s.send_many(["x", 7]), TypeError, "int"),  # type: ignore[list-item]
    "no answer": (lambda s: s.respond(REQUEST), TypeError, "approved"),
    "an answer that is no bool": (lambda s: s.respond(REQUEST, approved="no"), TypeError, "str"),  # type: ignore[arg-type]
    "an answer that is a number": (lambda s: s.respond_approval(REQUEST, approved=1), TypeError, "int"),  # type: ignore[arg-type]
    "NaN in an answer": (lambda s: s.respond(REQUEST, approved=True, confirm={"x": float("nan")}), ValueError, "JSON"),
    "an object in an answer": (lambda s: s.respond(REQUEST, approved=True, confirm={"x": object()}), TypeError, "JSON"),
    "an answer in another session": (lambda s: s.respond(ELSEWHERE, approved=True), ValueError, "s8"),
    "an answer to a number": (lambda s: s.respond(7, approved=True), TypeError, "int"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("form", BAD)
def test_what_cannot_be_said_does_not_go_out_and_does_no_harm(engine: ScriptEngine, form: str) -> None:
    say, error, named = BAD[form]
    with resumed_session(engine, "s7") as session:
        with pytest.raises(error, match=named):
            say(session)
        session.send("still here")
        assert engine.wait_for("post_message")[0]["content"] == "still here"
        assert [frame["type"] for frame in engine.received] == ["connect_session", "post_message"]


@pytest.mark.parametrize("kind", [kind for kind in SessionEventType if kind is not SessionEventType.APPROVAL_REQUEST])
def test_only_an_approval_request_can_be_answered(engine: ScriptEngine, kind: SessionEventType) -> None:
    event = SessionEvent(kind, "s7", "m1", {"status": "AwaitingApproval"})
    with resumed_session(engine, "s7") as session:
        for respond in (session.respond, session.respond_approval):
            with pytest.raises(TypeError, match=str(kind)):
                respond(event, approved=True)
        with pytest.raises(TypeError, match=str(kind)):
            session.respond(event)
        assert [frame["type"] for frame in engine.received] == ["connect_session"]


@pytest.mark.parametrize(
    ("content", "summary"),
    [
        ("tea", "text:tea"),
        ({"type": "text", "value": "tea"}, "text:tea"),
        ({"type": "file", "value": {"metadata": {"name": "menu.pdf"}}}, "file:menu.pdf"),
        ({"type": "file", "value": {"metadata": {}}}, "other:"),
        ({"type": "file", "value": {"metadata": "name"}}, "other:"),
        ({"type": "file", "value": 5}, "other:"),
        (5, "other:"),
    ],
)
def test_what_a_post_is_recognised_by_in_the_history(content: Any, summary: str) -> None:
    assert frames.summarise({"content": content}) == (summary,)
    assert frames.summarise({"messages": [content, "more"]}) == (summary, "text:more")
