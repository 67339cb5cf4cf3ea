"""The wire form of what users send: every kind of content, name and MIME type, and what cannot be sent."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib import ApprovalResponse, MessageSender, SessionMessage, SessionMessageRole, UserSessionMessage, content
from sessionlib.connection.sender import EncodedPost
from sessionlib.content import encode_approval

OCTETS = "application/octet-stream"


def file_form(data: bytes, name: str, mime_type: str) -> dict[str, Any]:
    """A file as the protocol has it."""
    metadata = {"name": name, "mime_type": mime_type}
    return {"type_string": "file", "value": {"raw_bytes": base64.b64encode(data).decode(), "metadata": metadata}}


def sent(contents: Any) -> Any:
    """What arrives of encoded contents."""
    outgoing = EncodedPost({"type": "post_messages", "messages": contents})
    try:
        return json.loads(b"".join(piece for piece, _ in outgoing.chunks()))["messages"]
    finally:
        outgoing.close()


def encode(*args: Any, **options: Any) -> Any:
    """One content as it arrives."""
    return sent([content.encode(*args, **options)])[0]


def encode_message(*args: Any, **options: Any) -> Any:
    """A message with files as it arrives."""
    return sent(content.encode_message(*args, **options))


def encode_batch(messages: Any) -> Any:
    """A batch as it arrives."""
    return sent(content.encode_batch(messages))


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A file on disk."""
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF\x00\xff")
    return path


# ---- text --------------------------------------------------------------------------------------


def test_text_goes_as_it_is() -> None:
    assert encode("Hello 😀") == "Hello 😀"
    assert encode("", mime_type=None) == ""


def test_text_with_a_mime_type_is_typed() -> None:
    assert encode("# Hi", mime_type="text/markdown") == {"type_string": "text/markdown", "value": "# Hi"}
    assert encode("Hi", mime_type="") == {"type_string": "string", "value": "Hi"}


def test_a_file_name_does_not_make_text_a_file() -> None:
    assert encode("Hello", filename="hello.txt") == "Hello"


# ---- bytes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_every_kind(kind: Any) -> None:
    assert encode(kind(b"\x00\xff")) == file_form(b"\x00\xff", "file", OCTETS)
    assert encode(kind(b"")) == file_form(b"", "file", OCTETS)


@given(st.binary(max_size=300))
def test_any_bytes_come_out_as_they_went_in(data: bytes) -> None:
    form = encode(data)
    assert isinstance(form, dict)
    assert base64.b64decode(form["value"]["raw_bytes"], validate=True) == data


@pytest.mark.parametrize(
    ("filename", "mime_type", "name", "expected"),
    [
        ("a.png", None, "a.png", "image/png"),
        ("a.png", "text/plain", "a.png", "text/plain"),
        (None, "text/plain", "file", "text/plain"),
        ("a.unheard-of", None, "a.unheard-of", OCTETS),
        ("no suffix", None, "no suffix", OCTETS),
        ("", None, "file", OCTETS),
    ],
)
def test_the_name_and_type_of_bytes(filename: str | None, mime_type: str | None, name: str, expected: str) -> None:
    assert encode(b"x", filename=filename, mime_type=mime_type) == file_form(b"x", name, expected)


# ---- paths -------------------------------------------------------------------------------------


def test_a_path_is_read_and_named(report: Path) -> None:
    assert encode(report) == file_form(b"%PDF\x00\xff", "report.pdf", "application/pdf")
    assert encode(report, filename="other.txt") == file_form(b"%PDF\x00\xff", "other.txt", "application/pdf")
    assert encode(report, filename="other") == file_form(b"%PDF\x00\xff", "other", "application/pdf")
    assert encode(report, mime_type="text/x") == file_form(b"%PDF\x00\xff", "report.pdf", "text/x")


def test_whatever_is_like_a_path(report: Path) -> None:
    with os.scandir(report.parent) as entries:
        assert encode(next(iter(entries))) == encode(report)


@pytest.mark.parametrize("missing", ["nowhere.txt", "."])
def test_a_path_that_cannot_be_read(tmp_path: Path, missing: str) -> None:
    with pytest.raises(OSError):
        encode(tmp_path / missing)


def test_a_pure_path_names_a_file_as_well(report: Path) -> None:
    assert encode(PurePosixPath(report)) == encode(report)


# ---- file-like objects -------------------------------------------------------------------------


def test_an_open_file_in_binary_and_in_text_mode(report: Path, tmp_path: Path) -> None:
    with report.open("rb") as file:
        assert encode(file) == file_form(b"%PDF\x00\xff", str(report), "application/pdf")
    notes = tmp_path / "notes.txt"
    notes.write_text("Grüße", "utf-8")
    with notes.open(encoding="utf-8") as text:
        assert encode(text) == file_form("Grüße".encode(), str(notes), "text/plain")


def test_a_file_is_read_from_where_it_stands_to_its_end(report: Path) -> None:
    with report.open("rb") as file:
        file.seek(4)
        assert encode(file, filename="rest") == file_form(b"\x00\xff", "rest", OCTETS)
        assert not file.closed


def test_a_file_without_a_name() -> None:
    assert encode(io.BytesIO(b"x")) == file_form(b"x", "file", OCTETS)
    assert encode(io.StringIO("ä")) == file_form("ä".encode(), "file", OCTETS)
    assert encode(io.BytesIO(b"x"), filename="x.csv", mime_type="text/x") == file_form(b"x", "x.csv", "text/x")


def test_a_file_with_a_number_for_a_name() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
        file.seek(0)
        assert isinstance(file.name, int)
        assert encode(file) == file_form(b"x", "file", OCTETS)


def test_a_file_with_bytes_for_a_name(report: Path) -> None:
    with open(os.fsencode(report), "rb") as file:
        assert encode(file) == file_form(b"%PDF\x00\xff", str(report), "application/pdf")


def test_whatever_can_be_read(report: Path) -> None:
    class Upload:
        name = "upload.json"

        def read(self) -> bytearray:
            return bytearray(b"{}")

    assert encode(Upload()) == file_form(b"{}", "upload.json", "application/json")


@pytest.mark.parametrize("told", [None, 7, ["x"]])
def test_what_reads_as_neither_text_nor_bytes(told: Any) -> None:
    class Broken:
        def read(self) -> Any:
            return told

    with pytest.raises(TypeError):
        encode(Broken())


# ---- what cannot be sent -----------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, 7, 1.5, True, ["x"], ("x",), {"x": 1}, object(), str, print])
def test_content_of_an_unknown_type_is_named(content: object) -> None:
    with pytest.raises(TypeError, match=f"cannot send {type(content).__name__}"):
        encode(content)
    with pytest.raises(TypeError, match=f"cannot send {type(content).__name__}"):
        encode_batch([content])


def test_the_error_of_unknown_content_does_not_quote_it() -> None:
    with pytest.raises(TypeError) as caught:
        encode({"secret": "kept"})
    assert "kept" not in str(caught.value)


# ---- one message with files --------------------------------------------------------------------


def test_a_message_and_its_files(report: Path) -> None:
    assert encode_message("look", files=[report, b"x"]) == ["look", encode(report), encode(b"x")]
    assert encode_message("look") == ["look"]
    assert encode_message(b"x", mime_type="text/x", filename="n", files=iter([b"y"])) == [
        file_form(b"x", "n", "text/x"),
        encode(b"y"),
    ]
    assert encode_message("", files=[b"x"]) == ["", encode(b"x")]


def test_a_message_without_anything_in_it() -> None:
    with pytest.raises(ValueError, match="empty"):
        encode_message("")


@pytest.mark.parametrize("files", ["a.txt", b"x", bytearray(b"x"), Path("a.txt")])
def test_one_file_where_a_sequence_belongs(files: Any) -> None:
    with pytest.raises(TypeError, match="a sequence of files"):
        encode_message("look", files=files)


def test_a_text_among_the_files_is_taken_for_a_mistake() -> None:
    with pytest.raises(TypeError, match="Path"):
        encode_message("look", files=["a.txt"])


# ---- batches -----------------------------------------------------------------------------------


def history_message(text: str | None) -> SessionMessage:
    return SessionMessage("m1", "s1", MessageSender(SessionMessageRole.USER), "data_type_message", text)


def test_a_batch_of_everything(report: Path) -> None:
    batch = [
        "text",
        report,
        b"bytes",
        io.BytesIO(b"io"),
        UserSessionMessage("look", files=[report, b"x"]),
        UserSessionMessage("# Hi", mime_type="text/markdown"),
        UserSessionMessage(b"data", filename="d.csv"),
        UserSessionMessage(files=[b"only"]),
        history_message("again"),
        history_message(None),
        history_message(""),
    ]
    assert encode_batch(batch) == [
        "text",
        encode(report),
        encode(b"bytes"),
        encode(b"io"),
        "look",
        encode(report),
        encode(b"x"),
        {"type_string": "text/markdown", "value": "# Hi"},
        file_form(b"data", "d.csv", "text/csv"),
        encode(b"only"),
        "again",
    ]
    assert encode_batch(text for text in "ab") == ["a", "b"]


@pytest.mark.parametrize(
    "batch",
    [[], [UserSessionMessage()], [history_message(None)], iter(())],
    ids=["list", "empty message", "history without text", "iterator"],
)
def test_a_batch_of_nothing(batch: Any) -> None:
    with pytest.raises(ValueError, match="empty"):
        encode_batch(batch)


@pytest.mark.parametrize("batch", ["text", b"x", Path("x"), UserSessionMessage("x"), history_message("x")], ids=repr)
def test_one_message_where_a_batch_belongs(batch: Any) -> None:
    with pytest.raises(TypeError, match="use send"):
        encode_batch(batch)


def test_a_text_among_the_files_of_a_batch() -> None:
    with pytest.raises(TypeError, match="Path"):
        encode_batch([UserSessionMessage("look", files=["a.txt"])])  # type: ignore[list-item]


# ---- answers to approval requests --------------------------------------------------------------


def answer_form(answer: dict[str, Any]) -> dict[str, Any]:
    return {"type_string": "response_message", "value": {"tool_call_approval": answer}}


def test_an_approval() -> None:
    assert encode_approval(True) == answer_form({"confirm": {}})
    assert encode_approval(True, {"amount": 5}) == answer_form({"confirm": {"amount": 5}})
    assert encode_approval(True, {}) == answer_form({"confirm": {}})


def test_a_denial() -> None:
    assert encode_approval(False, None, "too much") == answer_form({"deny": "too much"})


@pytest.mark.parametrize("reason", [None, ""])
def test_a_denial_without_a_reason_says_who_denied(reason: str | None) -> None:
    assert encode_approval(False, None, reason) == answer_form({"deny": "User denied tool call."})


@pytest.mark.parametrize(("approved", "answer"), [(True, {"confirm": {"amount": 5}}), (False, {"deny": "too much"})])
def test_one_call_can_carry_what_either_answer_needs(approved: bool, answer: dict[str, Any]) -> None:
    assert encode_approval(approved, {"amount": 5}, "too much") == answer_form(answer)


def test_the_given_mapping_is_not_what_is_sent() -> None:
    confirm = {"amount": 5}
    sent = encode_approval(True, confirm)
    confirm["amount"] = 6
    assert sent == answer_form({"confirm": {"amount": 5}})


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ((1,), "int"),
        (("yes",), "str"),
        ((None,), "NoneType"),
        ((True, ["amount"]), "list"),
        ((True, "amount"), "str"),
        ((False, None, 7), "int"),
        ((False, None, ["no"]), "list"),
    ],
    ids=str,
)
def test_an_answer_of_the_wrong_type_is_named(answer: Any, named: str) -> None:
    with pytest.raises(TypeError, match=named):
        encode_approval(*answer)


def test_a_large_file_is_sent_whole() -> None:
    data = os.urandom(1 << 20)
    form = encode(data)
    assert isinstance(form, dict)
    assert base64.b64decode(form["value"]["raw_bytes"]) == data
    assert sys.getsizeof(form["value"]["raw_bytes"]) < 1.4 * len(data)


def test_the_schemas_of_what_users_send_know_the_types_of_fields() -> None:
    """dataclasses-json reads annotations as objects: in a module that postpones them every field would be untyped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dataclasses-json warns of types that marshmallow has no field for
        approval, message = ApprovalResponse.schema(), UserSessionMessage.schema()
    assert type(approval.fields["approved"]).__name__ == "Boolean"
    assert type(approval.fields["deny_reason"]).__name__ == "String"
    assert type(message.fields["filename"]).__name__ == "String"
