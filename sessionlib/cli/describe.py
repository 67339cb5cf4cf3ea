"""Events other than text, in one line for a person."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.words import call_text, one_line

__all__ = ["describe"]


def describe(event: SessionEvent) -> str | None:
    """Gives an event in one line; None for what is not worth one."""
    words = _WORDS.get(event.type)
    return None if words is None else words(event.data)


def _call(data: Mapping[str, Any]) -> str:
    arguments = data.get("arguments")
    return f"runs {call_text(_tool(data), arguments if isinstance(arguments, Mapping) else {})}"


def _result(data: Mapping[str, Any]) -> str:
    output = data.get("output")
    shown = one_line(output if isinstance(output, str) else json.dumps(output, ensure_ascii=False, default=str), 400)
    verb = {"error": "failed", "denied": "was denied"}.get(str(data.get("status")), "gave")
    return f"{_tool(data)} {verb}: {shown}" if shown else f"{_tool(data)} {verb}"


def _thinking(data: Mapping[str, Any]) -> str | None:
    thought = data.get("summary") or data.get("content") or data.get("text")
    return f"thinks: {one_line(str(thought), 400)}" if thought else None


def _search(data: Mapping[str, Any]) -> str:
    query = data.get("query") or data.get("queries") or ""
    return f"searched {one_line(str(query), 400)}".rstrip()


def _reauth(data: Mapping[str, Any]) -> str:
    what = one_line(str(data.get("tool_name") or data.get("integration_name") or "an account"), 80)
    return f"waits until {what} is authorised again, where the agent's tools are set up"


def _error(data: Mapping[str, Any]) -> str:
    return f"error: {one_line(str(data.get('error')))}"


def _tool(data: Mapping[str, Any]) -> str:
    return one_line(str(data.get("tool_name") or "a tool"), 80)


_WORDS: dict[SessionEventType, Callable[[Mapping[str, Any]], str | None]] = {
    SessionEventType.TOOL_CALL: _call,
    SessionEventType.TOOL_RESULT: _result,
    SessionEventType.THINKING: _thinking,
    SessionEventType.SEARCH_RESULT: _search,
    SessionEventType.REAUTH_REQUEST: _reauth,
    SessionEventType.ERROR: _error,
}
