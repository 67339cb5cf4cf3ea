"""The forms that messages are written in: text, Markdown, JSON, CSV and HTML."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from sessionlib._bodies_part import body_of, who
from sessionlib._table_part import columns_of
from sessionlib.events import SessionMessage

__all__ = ["FORMS", "Form", "as_csv", "as_json", "as_json_lines", "as_markdown", "as_text"]

Form = Callable[[Sequence[SessionMessage]], str]


def as_text(messages: Sequence[SessionMessage]) -> str:
    """Gives the messages as plain text, one paragraph each."""
    return "\n".join(f"{who(message)}: {body_of(message)}\n" for message in messages)


def as_markdown(messages: Sequence[SessionMessage]) -> str:
    """Gives the messages as Markdown, one section each."""
    title = f"# Session {messages[0].session_id}\n" if messages else "# An empty session\n"
    return "\n".join([title, *(f"## {who(message).capitalize()}\n\n{body_of(message)}\n" for message in messages)])


def as_json(messages: Sequence[SessionMessage]) -> str:
    """Gives the messages, as the engine has them, as one JSON document."""
    return json.dumps([_record(message) for message in messages], indent=2, default=str) + "\n"


def as_json_lines(messages: Sequence[SessionMessage]) -> str:
    """Gives the messages, as the engine has them, one a line."""
    return "".join(json.dumps(_record(message), default=str) + "\n" for message in messages)


def as_csv(messages: Sequence[SessionMessage]) -> str:
    """Gives the messages as rows, with the names of the columns in the first."""
    columns = columns_of(messages)
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in zip(*columns.values(), strict=True))
    return out.getvalue()


def _record(message: SessionMessage) -> dict[str, Any]:
    # One that was made by hand has no form of the engine's.
    return message.raw or message.to_dict(encode_json=True)


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (dict, list)) else value


FORMS: dict[str, Form] = {
    "": as_markdown,
    ".md": as_markdown,
    ".markdown": as_markdown,
    ".txt": as_text,
    ".json": as_json,
    ".jsonl": as_json_lines,
    ".csv": as_csv,
}
"""The forms by the suffixes of files that hold them."""
