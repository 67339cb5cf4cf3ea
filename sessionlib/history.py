"""The history of a session as a list: saved, loaded, and rendered as text, Markdown, JSON, CSV or a data frame."""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from sessionlib.display.markup import markdown_html, quiet, safe_html
from sessionlib.display.tables import dataframe
from sessionlib.display.text import call_text, one_line, size_of
from sessionlib.events import SessionMessage

if TYPE_CHECKING:
    import pandas

__all__ = [
    "FORMS",
    "Form",
    "History",
    "as_csv",
    "as_json",
    "as_json_lines",
    "as_markdown",
    "as_text",
    "body_of",
    "columns_of",
    "content_of",
    "read_messages",
    "who",
    "write_whole",
]


def who(message: SessionMessage) -> str:
    """Returns the name of a sender for people to read: "user", "agent" or "unknown"."""
    return "user" if message.is_user else "agent" if message.is_agent else "unknown"


def body_of(message: SessionMessage) -> str:
    """Returns the content of a message as text, whatever its type; what is not plain text is in parentheses."""
    # Of what is no message in words, a description: a file, a call, an answer to a request.
    render = _BODIES.get(message.content_type)
    if render is not None:
        return render(content_of(message))
    bare = message.raw.get("content")
    if isinstance(bare, str):
        return bare
    return message.text if message.text is not None else f"({message.content_type or 'nothing'})"


def content_of(message: SessionMessage) -> Mapping[str, Any]:
    """Returns the content as the engine sent it; empty when it is not an object."""
    content = message.raw.get("content")
    return content if isinstance(content, Mapping) else {}


def _result(content: Mapping[str, Any]) -> str:
    output = content.get("output")
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False, default=str)
    return f"({_tool(content)}: {text})"


def _answer(content: Mapping[str, Any]) -> str:
    value = content.get("value")
    answer = value.get("tool_call_approval") if isinstance(value, Mapping) else None
    if not isinstance(answer, Mapping):
        return "(answers)"
    if "deny" in answer:
        return f"(denies it: {answer['deny']})" if answer["deny"] else "(denies it)"
    changed = answer.get("confirm")
    return f"(approves it with {json.dumps(changed, ensure_ascii=False)})" if changed else "(approves it)"


def _file(content: Mapping[str, Any]) -> str:
    size = content.get("size")
    shown = f", {size_of(size)}" if isinstance(size, int) else ""
    return f"({content.get('name') or 'a file'}, {content.get('mime_type') or 'of unknown type'}{shown})"


def _call_text(content: Mapping[str, Any]) -> str:
    arguments = content.get("arguments")
    return call_text(_tool(content), arguments if isinstance(arguments, Mapping) else {})


def _tool(content: Mapping[str, Any]) -> str:
    return str(content.get("tool_name") or "a tool")


_BODIES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "tool_call": lambda content: f"(runs {_call_text(content)})",
    "tool_result": _result,
    "tool_call_approval": lambda content: f"(asks to run {_call_text(content)})",
    "response_message": _answer,
    "thinking": lambda content: f"(thinks: {one_line(str(content.get('summary') or content.get('content') or '...'))})",
    "file": _file,
    "error_message": lambda content: f"(error: {content.get('error')})",
}


def columns_of(messages: Sequence[SessionMessage]) -> dict[str, list[Any]]:
    """Returns the columns of a table with a row for each message; what a message does not have is None."""
    contents = [content_of(message) for message in messages]
    return {
        "created_at": [_time_of(message.raw.get("created_at")) for message in messages],
        "role": [str(message.sender.role) for message in messages],
        "content_type": [message.content_type for message in messages],
        "text": [message.text for message in messages],
        "status": [None if message.status is None else str(message.status) for message in messages],
        **{name: [content.get(name) for content in contents] for name in ("tool_name", "arguments", "output")},
        "id": [message.id for message in messages],
        "session_id": [message.session_id for message in messages],
    }


def _time_of(value: object) -> datetime.datetime | None:
    """Parses a time as engines send it, in seconds since 1970 or as ISO 8601; without a time zone it is UTC."""
    try:
        if isinstance(value, str):
            read = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
            return read if read.tzinfo else read.replace(tzinfo=datetime.timezone.utc)
        # With a zone, since a naive time would be read in the zone of the machine that loads it.
        return datetime.datetime.fromtimestamp(value, datetime.timezone.utc)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return None


Form = Callable[[Sequence[SessionMessage]], str]


def as_text(messages: Sequence[SessionMessage]) -> str:
    """Returns the messages as plain text, one paragraph each."""
    return "\n".join(f"{who(message)}: {body_of(message)}\n" for message in messages)


def as_markdown(messages: Sequence[SessionMessage]) -> str:
    """Returns the messages as Markdown, one section each."""
    title = f"# Session {messages[0].session_id}\n" if messages else "# An empty session\n"
    return "\n".join([title, *(f"## {who(message).capitalize()}\n\n{body_of(message)}\n" for message in messages)])


def as_json(messages: Sequence[SessionMessage]) -> str:
    """Returns the messages, as the engine sent them, as one JSON document."""
    return json.dumps([_record(message) for message in messages], indent=2, default=str) + "\n"


def as_json_lines(messages: Sequence[SessionMessage]) -> str:
    """Returns the messages, as the engine sent them, as one line of JSON each."""
    return "".join(json.dumps(_record(message), default=str) + "\n" for message in messages)


def as_csv(messages: Sequence[SessionMessage]) -> str:
    """Returns the messages as CSV, with the names of the columns in the first row."""
    columns = columns_of(messages)
    # The writer makes RFC 4180's line ends itself.
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow(
            json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (dict, list)) else value
            for value in row
        )
    return out.getvalue()


def _record(message: SessionMessage) -> dict[str, Any]:
    # A message that was made by hand has no ``raw``.
    return message.raw or message.to_dict(encode_json=True)


FORMS: dict[str, Form] = {
    "": as_markdown,
    ".md": as_markdown,
    ".markdown": as_markdown,
    ".txt": as_text,
    ".json": as_json,
    ".jsonl": as_json_lines,
    ".csv": as_csv,
}
"""Forms by suffix of the file name."""


def write_whole(path: Path, text: str, *, replace: bool) -> None:
    """Writes a text file atomically: afterwards it is complete, or as it was before.

    Args:
        path: The file; a symlink is followed.
        text: Its text; lone surrogates, which UTF-8 cannot encode, are written as escapes.
        replace: Whether a file of that name may be overwritten.

    Raises:
        FileExistsError: There is one, and it may not be overwritten.
        OSError: It cannot be written.
    """
    # The file behind a symlink: to replace that would leave the old file where other programs read it.
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a pipe or a device, which must be written to and not replaced
        target.write_text(text, "utf-8", "backslashreplace")
        return
    # In the same folder, since a rename is atomic only within one file system.
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("x", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)
            file.flush()
            # Before the rename: after a loss of power, the new name could otherwise lead to an empty file.
            os.fsync(file.fileno())
        if not replace:
            # Taken first, so that of two writers one fails; what is replaced then is our own empty file.
            target.open("x").close()
        elif target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def read_messages(path: Path) -> list[SessionMessage]:
    """Reads the messages of a file that was saved as JSON or JSON lines.

    Raises:
        ValueError: It has another suffix, or something in it is not a message.
        OSError: It cannot be read.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"{path}: a history is loaded from .jsonl or .json; other forms do not hold all of it")
    messages = []
    for where, value in read(path):
        try:
            messages.append(SessionMessage.from_dict(value))
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"{path}, {where}: not a message: {error}") from error
    return messages


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield f"line {number}", json.loads(line)
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: not a message: {error}") from error


def _list(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, list):
        raise ValueError(f"{path}: a history is a list of messages, not {type(value).__name__}")
    return ((f"message {number}", one) for number, one in enumerate(value, 1))


_READERS: dict[str, Callable[[Path], Iterator[tuple[str, Any]]]] = {".jsonl": _lines, ".json": _list}


# A notebook keeps what its cells show, so a long history is shown by its end.
_SHOWN = 200


class History(list[SessionMessage]):
    """The messages of a session, oldest first: a list that can be saved, loaded and looked at.

    Slices of it are histories too::

        history = session.history()
        history.save("talk.jsonl")
        History.load("talk.jsonl")[-2:].to_markdown()

    Made by `Session.history`, by `History.load`, or from any messages.
    """

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> SessionMessage: ...

    @overload
    def __getitem__(self, index: slice, /) -> History: ...

    def __getitem__(self, index: SupportsIndex | slice, /) -> SessionMessage | History:
        """Returns one message, or a slice as a history."""
        found = super().__getitem__(index)
        return History(found) if isinstance(found, list) else found

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self) -> str:
        """Returns plain text, with a paragraph for each message."""
        return as_text(self)

    def to_markdown(self) -> str:
        """Returns Markdown, with a section for each message."""
        return as_markdown(self)

    def to_json(self) -> str:
        """Returns a JSON list of the messages as the engine sent them."""
        return as_json(self)

    def to_jsonl(self) -> str:
        """Returns lines of JSON, each a message as the engine sent it."""
        return as_json_lines(self)

    def to_dataframe(self) -> pandas.DataFrame:
        """Returns a data frame with a row for each message.

        Its columns are ``created_at`` (UTC), ``role``, ``content_type``, ``text``, ``status``, ``tool_name``,
        ``arguments``, ``output``, ``id`` and ``session_id``; what a message does not have is missing.

        Raises:
            MissingExtraError: pandas is not installed; the extra ``pandas`` brings it.
        """
        frame = dataframe(columns_of(self), "History.to_dataframe()", objects=("arguments", "output"))
        # Also where all times are missing, so that its type does not depend on the rows.
        frame["created_at"] = frame["created_at"].astype("datetime64[ns, UTC]")
        return frame

    def save(self, path: str | os.PathLike[str], *, replace: bool = True) -> None:
        """Writes it to a file, in the form of the file's suffix, atomically.

        Args:
            path: The file: ``.jsonl`` or ``.json``, which `load` can read, ``.md``, ``.txt`` or ``.csv``. Without a
                suffix it is Markdown.
            replace: Whether a file of that name may be overwritten.

        Raises:
            ValueError: The suffix is another one.
            FileExistsError: The file exists, and ``replace`` is False.
            OSError: It cannot be written.
        """
        place = Path(path)
        form = FORMS.get(place.suffix.lower())
        if form is None:
            known = ", ".join(suffix for suffix in FORMS if suffix)
            raise ValueError(f"{place}: a history is saved as one of {known}")
        write_whole(place, form(self), replace=replace)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """Reads a history that was saved as ``.jsonl`` or ``.json``.

        Args:
            path: The file; its suffix determines the form.

        Raises:
            ValueError: The suffix is another one, or something in the file is not a message.
            OSError: It cannot be read.
        """
        return cls(read_messages(Path(path)))

    def _repr_html_(self) -> str:
        earlier = len(self) - _SHOWN
        notes = [f"session {self[0].session_id}" if self else "a history without messages"]
        notes += [f"{earlier} earlier messages are not shown"] if earlier > 0 else []
        return "".join([quiet(safe_html("; ".join(notes))), *map(_shown, self[-_SHOWN:])])


def _shown(message: SessionMessage) -> str:
    body = body_of(message)
    # A description of our own is plain text, whatever file or tool names are in it.
    shown = markdown_html(body) if body == message.text else quiet(safe_html(body))
    return f'<div style="margin: 12px 0"><div><b>{safe_html(who(message))}</b></div>{shown}</div>'
