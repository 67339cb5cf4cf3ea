"""Contents of messages: what clients post, checked, and what the engine sends."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from sessionlib.engine.errors import RefusedError
from sessionlib.engine.store.records import Json, StoredCall, new_id
from sessionlib.engine.store.sessions import File
from sessionlib.engine.tools import Outcome
from sessionlib.protocol import codec

__all__ = ["FILE_CHARS", "USER", "ApprovalAnswer", "Posting", "format_of", "read_answer", "read_format", "read_posting"]

USER: Json = {"user_id": "local"}
# As long as a file name may be on most file systems.
_NAME_CHARS = 255
# It is kept with each message of the post, and given to the model in each step.
_FORMAT_BYTES = 64 * 1024
FILE_CHARS = 20_000
"""Characters of a file that a model is shown."""


@dataclass
class Posting:
    """What one post holds: contents for the history, and the files in them."""

    contents: list[Json] = field(default_factory=list)
    files: list[File] = field(default_factory=list)

    @property
    def chars(self) -> int:
        """What the post may add to a model's input, in characters."""
        texts = sum(len(str(content.get("value", ""))) for content in self.contents)
        # Of a file, a model is shown the beginning; a byte is at most one character.
        return texts + sum(min(len(data), FILE_CHARS) for *_, data in self.files)


@dataclass(frozen=True)
class ApprovalAnswer:
    """An answer to an approval request."""

    approved: bool
    confirm: Json
    reason: str
    content: Json


def read_posting(contents: list[Any], response_format: Json | None = None) -> Posting:
    """Reads the contents of one post; the format of its answer is kept with each.

    Raises:
        RefusedError: One is of no form that the protocol has.
    """
    posting = Posting()
    beside = {} if response_format is None else {"response_format": response_format}
    for content in contents:
        # With each, as a turn may answer several posts, of which only some want a format.
        posting.contents.append({**_read(content, posting.files), **beside})
    return posting


def read_format(value: Any) -> Json | None:
    """Reads the ``response_format`` of a post: a name and a JSON schema; None when there is none.

    Raises:
        RefusedError: It is of another form, or too large.
    """
    if value is None:
        return None
    schema = value.get("schema") if isinstance(value, dict) else None
    if not isinstance(schema, dict) or not isinstance(value.get("name"), str):
        raise RefusedError("a response_format has a name and a schema", "bad_content")
    if len(codec.dumps(schema)) > _FORMAT_BYTES:
        raise RefusedError(f"a response_format's schema has at most {_FORMAT_BYTES} bytes", "bad_content")
    # OpenAI's interface takes names of up to 64 characters.
    return {"name": value["name"][:64], "schema": schema}


def format_of(contents: list[Json]) -> Json | None:
    """Returns the format that all the posts of a turn want their answer in; None when they do not agree on one."""
    formats = [content.get("response_format") for content in contents]
    # One answer cannot have two forms, and half of those who ask would get something they cannot read.
    return formats[0] if formats and all(one == formats[0] for one in formats) else None


def read_answer(content: Any) -> ApprovalAnswer | None:
    """Reads an answer to an approval request; None when the content is something else.

    Raises:
        RefusedError: It is one, but neither approves nor denies.
    """
    if not isinstance(content, dict) or content.get("type_string") != "response_message":
        return None
    value = content.get("value")
    details = value.get("tool_call_approval") if isinstance(value, dict) else None
    kept = {"type": "response_message", "value": value}
    # Both at once would be an approval to one reader and a denial to another: it is refused.
    if isinstance(details, dict) and isinstance(details.get("confirm"), dict) and "deny" not in details:
        return ApprovalAnswer(True, details["confirm"], "", kept)
    if isinstance(details, dict) and isinstance(details.get("deny"), str) and "confirm" not in details:
        return ApprovalAnswer(False, {}, details["deny"], kept)
    raise RefusedError('an answer holds {"confirm": {...}} or {"deny": "reason"}', "bad_content")


def text_content(text: str, status: str = "Complete") -> Json:
    """Returns the content of a text message."""
    return {"type": "data_type_message", "value": text, "status": status}


def thinking_content(text: str) -> Json:
    """Returns the content of a model's thoughts."""
    return {"type": "thinking", "content": text, "summary": text.strip().partition("\n")[0][:200]}


def thought_delta(text: str, index: int) -> Json:
    """Returns the content of a part of a model's thoughts, which the whole of them follows under the same id."""
    return {"type": "reasoning", "value": text, "status": "Streaming", "index": index}


def notice_content(kind: str, text: str) -> Json:
    """Returns the content of a message about how an answer was made; shown where thoughts are."""
    return {**thinking_content(text), "notice": kind}


def error_content(error: str) -> Json:
    """Returns the content of an error message."""
    return {"type": "error_message", "error": error}


def approval_content(call: StoredCall) -> Json:
    """Returns the content that asks a person about a call."""
    return {"type": "tool_call_approval", **_facts(call), "arguments": call.arguments, "status": "pending"}


def call_content(call: StoredCall) -> Json:
    """Returns the content that reports that a tool runs."""
    return {"type": "tool_call", **_facts(call), "arguments": call.arguments, "status": "running"}


def result_content(call: StoredCall, outcome: Outcome) -> Json:
    """Returns the content that reports the outcome of a call."""
    output = outcome.output
    # Under both names: the platform's published examples read "result".
    content = {"type": "tool_result", **_facts(call), "status": outcome.status, "output": output, "result": output}
    if outcome.printed:
        content["printed"] = outcome.printed
    return content


def _facts(call: StoredCall) -> Json:
    # Every tool here is known by its name alone, so the name is its id too.
    facts = {"tool_id": call.tool, "tool_name": call.tool, "tool_call_id": call.id}
    return {**facts, "decision": call.decision} if call.decision else facts


def _read(content: Any, files: list[File]) -> Json:
    if isinstance(content, str):
        return text_content(content)
    if not isinstance(content, dict) or not isinstance(content.get("type_string"), str):
        raise RefusedError("a content is a text, or an object with a type_string", "bad_content")
    kind: str = content["type_string"]
    value: Any = content.get("value")
    if kind != "file":
        if not isinstance(value, str):
            raise RefusedError(f"a content of type {kind[:80]!r} needs a text as its value", "bad_content")
        return {**text_content(value), "mime_type": kind}
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict) or not isinstance(value.get("raw_bytes"), str):
        raise RefusedError("a file needs raw_bytes and metadata", "bad_content")
    name, mime_type = metadata.get("name"), metadata.get("mime_type")
    if not isinstance(name, str) or not isinstance(mime_type, str):
        raise RefusedError("a file's metadata needs a name and a mime_type", "bad_content")
    try:
        # Strictly: without `validate`, what is not base64 is skipped, and a damaged file would be stored.
        data = base64.b64decode(value["raw_bytes"], validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError("a file's raw_bytes are not base64", "bad_content") from None
    # The name is something to show, never a path: the file itself is known by its id.
    shown = "".join(char if char.isprintable() else "�" for char in name[:_NAME_CHARS]) or "file"
    # A MIME type with half a surrogate pair could not be sent to any client again.
    file = (new_id(), shown, mime_type[:_NAME_CHARS].encode(errors="replace").decode(), data)
    files.append(file)
    return {"type": "file", "file_id": file[0], "name": shown, "mime_type": file[2], "size": len(data)}
