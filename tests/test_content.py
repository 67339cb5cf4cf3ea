"""The wire form of what users send: every kind of content, name and MIME type, and what cannot be sent."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
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


def encode(*args: Any, **options: Any) -> Any:
    """One content as it arrives."""
    with contextlib.closing(EncodedPost({"type": "post_message", "content": content.encode(*args, **options)})) as post:
        return json.loads(b"".join(piece for piece, _ in post.chunks()))["content"]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A file on disk."""
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF\x00\xff")
    return path


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


def test_a_path_is_read_and_named(report: Path) -> None:
    assert encode(report) == file_form(b"%PDF\x00\xff", "report.pdf", "application/pdf")
    assert encode(report, filename="other.txt") == file_form(b"%PDF\x00\xff", "other.txt", "application/pdf")
    assert encode(report, filename="other") == file_form(b"%PDF\x00\xff", "other", "application/pdf")
    assert encode(report, mime_type="text/x") == file_form(b"%PDF\x00\xff", "report.pdf", "text/x")


def test_whatever_is_like_a_path(report: Path) -> None:
    with os.scandir(report.parent) as entries:
        assert encode(next(iter(entries))) == encode(PurePosixPath(report)) == encode(report)


# ---- file-like objects -------------------------------------------------------------------------


def test_an_open_file_in_binary_and_in_text_mode(report: Path, tmp_path: Path) -> None:
    for name in (report, os.fsencode(report)):
        with open(name, "rb") as file:
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


def test_a_file_with_a_number_for_a_name() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
        file.seek(0)
        assert isinstance(file.name, int)
        assert encode(file) == file_form(b"x", "file", OCTETS)


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


@pytest.mark.parametrize("unknown", [None, 7, 1.5, True, ["kept"], ("kept",), {"kept": 1}, object(), str, print])
def test_content_of_an_unknown_type_is_named_and_not_quoted(unknown: object) -> None:
    for encode_it in (encode, lambda unknown: content.encode_batch([unknown])):
        with pytest.raises(TypeError, match=f"cannot send {type(unknown).__name__}") as caught:
            encode_it(unknown)
        assert "kept" not in str(caught.value)


# ---- batches -----------------------------------------------------------------------------------


def history_message(text: str | None) -> SessionMessage:
    return SessionMessage("m1", "s1", MessageSender(SessionMessageRole.USER), "data_type_message", text)


FILES, BATCHES = functools.partial(content.encode_message, "look"), content.encode_batch


@pytest.mark.parametrize(
    ("encode_it", "given", "error", "reason"),
    [
        *[
            (FILES, files, TypeError, "a sequence of files")
            for files in ("a.txt", b"x", bytearray(b"x"), Path("a.txt"))
        ],
        (FILES, ["a.txt"], TypeError, "Path"),
        (BATCHES, [UserSessionMessage("look", files=["a.txt"])], TypeError, "Path"),  # type: ignore[list-item]
        *[(BATCHES, batch, TypeError, "use send") for batch in ("text", b"x", Path("x"))],
        *[(BATCHES, message, TypeError, "use send") for message in (UserSessionMessage("x"), history_message("x"))],
        *[(BATCHES, batch, ValueError, "empty") for batch in ([], iter(()))],
        *[(BATCHES, [empty], ValueError, "empty") for empty in (UserSessionMessage(), history_message(None))],
    ],
)
def test_no_sequence_of_files_or_messages(encode_it: Any, given: Any, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        encode_it(given) if encode_it is BATCHES else encode_it(files=given)


# ---- answers to approval requests --------------------------------------------------------------


def answer_form(answer: dict[str, Any]) -> dict[str, Any]:
    return {"type_string": "response_message", "value": {"tool_call_approval": answer}}


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ((True,), {"confirm": {}}),
        ((True, {}), {"confirm": {}}),
        ((True, {"amount": 5}), {"confirm": {"amount": 5}}),
        ((True, {"amount": 5}, "too much"), {"confirm": {"amount": 5}}),
        ((False, {"amount": 5}, "too much"), {"deny": "too much"}),
        ((False, None, None), {"deny": "User denied tool call."}),
        ((False, None, ""), {"deny": "User denied tool call."}),
    ],
    ids=str,
)
def test_the_answer_to_an_approval_request(answer: Any, form: dict[str, Any]) -> None:
    assert encode_approval(*answer) == answer_form(form)


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


def test_the_schemas_of_what_users_send_know_the_types_of_fields() -> None:
    """dataclasses-json reads annotations as objects: in a module that postpones them every field would be untyped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dataclasses-json warns of types that marshmallow has no field for
        approval, message = ApprovalResponse.schema(), UserSessionMessage.schema()
    assert type(approval.fields["approved"]).__name__ == "Boolean"
    assert type(approval.fields["deny_reason"]).__name__ == "String"
    assert type(message.fields["filename"]).__name__ == "String"
