"""A session's messages as text, Markdown or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sessionlib.cli.describe import call_text
from sessionlib.cli.say import one_line, size_of
from sessionlib.events import SessionMessage

__all__ = ["as_json", "as_json_lines", "as_markdown", "as_text", "body_of", "who", "write"]


def as_text(messages: Sequence[SessionMessage]) -> str:
    """Gives the messages as plain text, one paragraph each."""
    return "\n".join(f"{who(message)}: {body_of(message)}\n" for message in messages)


def as_markdown(messages: Sequence[SessionMessage]) -> str:
    """Gives the messages as Markdown, one section each."""
    title = f"# Session {messages[0].session_id}\n" if messages else "# An empty session\n"
    return "\n".join([title, *(f"## {who(message).capitalize()}\n\n{body_of(message)}\n" for message in messages)])


def as_json(messages: Sequence[SessionMessage]) -> str:
    """Gives the messages, as the engine has them, as one JSON document."""
    return json.dumps([message.raw for message in messages], indent=2, default=str) + "\n"


def as_json_lines(messages: Sequence[SessionMessage]) -> str:
    """Gives the messages, as the engine has them, one a line."""
    return "".join(json.dumps(message.raw, default=str) + "\n" for message in messages)


def write(path: Path, messages: Sequence[SessionMessage], *, replace: bool = False) -> None:
    """Writes the messages in the form that the file's name asks for: .json, .jsonl, .txt, else Markdown.

    Args:
        path: The file.
        messages: The messages.
        replace: Whether a file of that name may be overwritten.

    Raises:
        OSError: It cannot be written, or is there.
    """
    form = _FORMS.get(path.suffix.lower(), as_markdown)
    with open(path, "w" if replace else "x", encoding="utf-8", errors="backslashreplace") as file:
        file.write(form(messages))


def who(message: SessionMessage) -> str:
    """Names the sender of a message."""
    return "user" if message.is_user else "agent" if message.is_agent else "unknown"


def body_of(message: SessionMessage) -> str:
    """Gives what a message says, whatever its kind."""
    content = message.raw.get("content")
    if isinstance(content, str):
        return content
    content = content if isinstance(content, Mapping) else {}
    words = _WORDS.get(message.content_type)
    if words is not None:
        return words(content)
    return message.text if message.text is not None else f"({message.content_type or 'nothing'})"


def _call(content: Mapping[str, Any]) -> str:
    return f"(runs {_call_text(content)})"


def _result(content: Mapping[str, Any]) -> str:
    output = content.get("output")
    told = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False, default=str)
    return f"({_tool(content)}: {told})"


def _asks(content: Mapping[str, Any]) -> str:
    return f"(asks to run {_call_text(content)})"


def _answer(content: Mapping[str, Any]) -> str:
    value = content.get("value")
    answer = value.get("tool_call_approval") if isinstance(value, Mapping) else None
    if not isinstance(answer, Mapping):
        return "(answers)"
    if "deny" in answer:
        return f"(denies it: {answer['deny']})" if answer["deny"] else "(denies it)"
    changed = answer.get("confirm")
    return f"(approves it with {json.dumps(changed, ensure_ascii=False)})" if changed else "(approves it)"


def _thinking(content: Mapping[str, Any]) -> str:
    return f"(thinks: {one_line(str(content.get('summary') or content.get('content') or '...'))})"


def _file(content: Mapping[str, Any]) -> str:
    size = content.get("size")
    told = f", {size_of(size)}" if isinstance(size, int) else ""
    return f"({content.get('name') or 'a file'}, {content.get('mime_type') or 'of unknown type'}{told})"


def _error(content: Mapping[str, Any]) -> str:
    return f"(error: {content.get('error')})"


def _call_text(content: Mapping[str, Any]) -> str:
    arguments = content.get("arguments")
    return call_text(_tool(content), arguments if isinstance(arguments, Mapping) else {})


def _tool(content: Mapping[str, Any]) -> str:
    return str(content.get("tool_name") or "a tool")


_FORMS = {".json": as_json, ".jsonl": as_json_lines, ".txt": as_text}
_WORDS = {
    "tool_call": _call,
    "tool_result": _result,
    "tool_call_approval": _asks,
    "response_message": _answer,
    "thinking": _thinking,
    "file": _file,
    "error_message": _error,
}
