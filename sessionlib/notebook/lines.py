"""What happens in a turn besides its text, as quiet lines of HTML that unfold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sessionlib.display.markup import alarm, fold, in_code, safe_html
from sessionlib.display.telling import describe
from sessionlib.display.text import call_text, one_line
from sessionlib.events import SessionEvent, SessionEventType

__all__ = ["Line", "Lines"]

Type = SessionEventType

_CALLS = frozenset({Type.APPROVAL_REQUEST, Type.TOOL_CALL, Type.TOOL_RESULT})
# Characters of a result or a thought; the whole of it is in the reply's events.
_MAX_SHOWN = 4000
_MAX_SUMMARY = 120


class Line(NamedTuple):
    """One line.

    Attributes:
        key: What it is about; a later line with the same key takes its place.
        html: How it looks.
    """

    key: str
    html: str


class Lines:
    """Makes the lines of one turn: one for each call of a tool, whatever becomes of it, and one for other events."""

    def __init__(self) -> None:
        self._calls: dict[str, dict[str, Any]] = {}
        self._count = 0

    def line(self, event: SessionEvent) -> Line | None:
        """Gives the line of an event; None for one that needs none."""
        if event.type in _CALLS:
            return self._call(event)
        told = describe(event)
        if told is None:
            return None
        self._count += 1
        if event.type is Type.ERROR:
            return Line(f"error {self._count}", alarm(safe_html(told)))
        thought = _thought(event.data) if event.type is Type.THINKING else ""
        key = f"{event.type} {event.message_id or self._count}"
        return Line(key, fold(safe_html(one_line(told, _MAX_SUMMARY)), _block(thought) if thought else ""))

    def decided(self, event: SessionEvent, outcome: str) -> Line:
        """Gives the line of a call that somebody has decided about, and how."""
        key = _call_of(event)
        self._calls.setdefault(key, {})["decided"] = outcome
        return self._line_of(key)

    def _call(self, event: SessionEvent) -> Line:
        key = _call_of(event)
        facts = self._calls.setdefault(key, {})
        facts.update({name: value for name, value in event.data.items() if value is not None})
        facts["stage"] = event.type
        return self._line_of(key)

    def _line_of(self, key: str) -> Line:
        facts = self._calls[key]
        arguments = facts.get("arguments")
        arguments = arguments if isinstance(arguments, Mapping) else {}
        call = in_code(call_text(str(facts.get("tool_name") or ""), arguments))
        body = _block(_as_text(facts.get("output"))) if facts.get("stage") is Type.TOOL_RESULT else ""
        told = " · ".join(str(part) for part in (_outcome(facts), facts.get("decided")) if part)
        return Line(key, fold(f"{call} {safe_html(told)}", body))


def _call_of(event: SessionEvent) -> str:
    return str(event.data.get("tool_call_id") or event.message_id or f"call {id(event)}")


def _outcome(facts: Mapping[str, Any]) -> str:
    if facts.get("stage") is Type.APPROVAL_REQUEST:
        return "needs an approval"
    if facts.get("stage") is Type.TOOL_CALL:
        return "runs"
    verb = {"error": "failed", "denied": "was denied"}.get(str(facts.get("status")), "gave")
    output = one_line(_as_text(facts.get("output")), _MAX_SUMMARY)
    return f"{verb}: {output}" if output else verb


def _thought(data: Mapping[str, Any]) -> str:
    return _as_text(data.get("content") or data.get("text") or data.get("summary"))


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _block(text: str) -> str:
    if not text:
        return ""
    shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
    return f"<pre>{safe_html(shown)}</pre>"
