"""What a message of the history says, in words, whatever its kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sessionlib.display.text import call_text, one_line, size_of
from sessionlib.events import SessionMessage

__all__ = ["body_of", "content_of", "who"]


def who(message: SessionMessage) -> str:
    """Names the sender of a message."""
    return "user" if message.is_user else "agent" if message.is_agent else "unknown"


def body_of(message: SessionMessage) -> str:
    """Gives what a message says, whatever its kind."""
    words = _WORDS.get(message.content_type)
    if words is not None:
        return words(content_of(message))
    bare = message.raw.get("content")
    if isinstance(bare, str):
        return bare
    return message.text if message.text is not None else f"({message.content_type or 'nothing'})"


def content_of(message: SessionMessage) -> Mapping[str, Any]:
    """Gives the content as the engine sent it; empty when it is no object."""
    content = message.raw.get("content")
    return content if isinstance(content, Mapping) else {}


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


_WORDS = {
    "tool_call": _call,
    "tool_result": _result,
    "tool_call_approval": _asks,
    "response_message": _answer,
    "thinking": _thinking,
    "file": _file,
    "error_message": _error,
}
