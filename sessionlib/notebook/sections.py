"""A turn as Markdown in sections, so that a long one is not drawn from its beginning with every word.

A section that has grown long enough ends where a block of its Markdown does, and is drawn no more. Where no
block ends, it is split all the same once it is longer than that, so what one drawing sends is bounded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from sessionlib.display.markup import alarm, fold, in_code, markdown_html, safe_html
from sessionlib.display.text import call_text, describe, one_line
from sessionlib.events import SessionEvent, SessionEventType, SessionMessageStatus

__all__ = ["MAX_SECTION", "EventLine", "EventLines", "Section", "split_section"]

Type = SessionEventType

_CALLS = frozenset({Type.APPROVAL_REQUEST, Type.TOOL_CALL, Type.TOOL_RESULT})
# Characters of a result or a thought; the whole of it is in the reply's events.
_MAX_SHOWN = 4000
_MAX_SUMMARY = 120


class EventLine(NamedTuple):
    """One line.

    Attributes:
        key: What it is about; a later line with the same key takes its place.
        html: How it looks.
    """

    key: str
    html: str


class EventLines:
    """Makes the lines of one turn: one for each call of a tool, whatever becomes of it, and one for other events."""

    def __init__(self) -> None:
        self._calls: dict[str, dict[str, Any]] = {}
        # What has come of thoughts that are not whole yet, as far as it is shown, by message id.
        self._thoughts: dict[str | None, str] = {}
        self._count = 0

    def line(self, event: SessionEvent) -> EventLine | None:
        """Returns the line of an event; None for one that needs none."""
        if event.type in _CALLS:
            return self._call(event)
        if event.type is Type.THINKING:
            if event.status is SessionMessageStatus.STREAMING:
                so_far = self._thoughts.get(event.message_id, "")
                if len(so_far) <= _MAX_SHOWN:
                    so_far += _thought(event.data)
                self._thoughts[event.message_id] = so_far
                event = SessionEvent(event.type, event.session_id, event.message_id, {"text": so_far})
            else:
                self._thoughts.pop(event.message_id, None)
        details = describe(event)
        if details is None:
            return None
        self._count += 1
        if event.type is Type.ERROR:
            return EventLine(f"error {self._count}", alarm(safe_html(details)))
        thought = _thought(event.data) if event.type is Type.THINKING else ""
        # A thought that is sent again, longer, takes the place of its beginning.
        key = f"{event.type} {event.message_id or self._count}"
        return EventLine(key, fold(safe_html(one_line(details, _MAX_SUMMARY)), _block(thought) if thought else ""))

    def decided(self, event: SessionEvent, outcome: str) -> EventLine:
        """Returns the line of a call that somebody has decided about, and how."""
        key = _call_of(event)
        self._calls.setdefault(key, {})["decided"] = outcome
        return self._line_of(key)

    def _call(self, event: SessionEvent) -> EventLine:
        key = _call_of(event)
        facts = self._calls.setdefault(key, {})
        # Each event has a part of the facts: arguments with the request, the output with the result.
        facts.update({name: value for name, value in event.data.items() if value is not None})
        facts["stage"] = event.type
        return self._line_of(key)

    def _line_of(self, key: str) -> EventLine:
        facts = self._calls[key]
        arguments = facts.get("arguments")
        arguments = arguments if isinstance(arguments, Mapping) else {}
        call = in_code(call_text(str(facts.get("tool_name") or ""), arguments))
        body = _block(_as_text(facts.get("output"))) if facts.get("stage") is Type.TOOL_RESULT else ""
        details = " · ".join(str(part) for part in (_outcome(facts), facts.get("decided")) if part)
        return EventLine(key, fold(f"{call} {safe_html(details)}", body))


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


# Characters from which on a section ends where a block does, and where it ends whatever there is. Notebooks
# fold cells with more than some fifty outputs, so sections are not shorter.
_ENOUGH = 4000
MAX_SECTION = 12000
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_GOES_ON = re.compile(r"[ \t]|[-*+][ \t]|\d{1,9}[.)][ \t]|[>|]|$")


class Section:
    """Some of a turn, in order: deltas, and lines.

    Attributes:
        size: Its length in characters.
        fresh: How many of them have not been drawn yet.
    """

    def __init__(self, text: str = "") -> None:
        self.size = self.fresh = 0
        self._blocks: list[list[str] | EventLine] = []
        if text:
            self.write(text)

    @property
    def is_full(self) -> bool:
        """Whether what comes next belongs into another one."""
        return self.size >= _ENOUGH

    def write(self, text: str) -> None:
        """Adds to the text at its end."""
        if not self._blocks or isinstance(self._blocks[-1], EventLine):
            self._blocks.append([])
        last = self._blocks[-1]
        assert isinstance(last, list)
        # As a list, since adding to a text would copy it with every delta.
        last.append(text)
        self.size += len(text)
        self.fresh += len(text)

    def end_text(self) -> None:
        """Ends the text at its end: what comes next is another message."""
        if self._blocks and isinstance(self._blocks[-1], list):
            self._blocks.append([])

    def put(self, line: EventLine) -> None:
        """Adds a line, or puts it in the place of the one that it replaces."""
        self.fresh += len(line.html)
        for at, block in enumerate(self._blocks):
            if isinstance(block, EventLine) and block.key == line.key:
                self._blocks[at] = line
                self.size += len(line.html) - len(block.html)
                return
        self._blocks.append(line)
        self.size += len(line.html)

    def overflow(self) -> Section | None:
        """Splits off the end of its text that still grows, if there is enough before; returns it as a new section."""
        last = self._blocks[-1] if self._blocks else None
        if not self.is_full or not isinstance(last, list):
            return None
        text = "".join(last)
        self._blocks[-1] = [text]
        head, rest = split_section(text)
        if not rest:
            return None
        self._blocks[-1] = [head]
        self.size -= len(rest)
        return Section(rest)

    def html(self) -> str:
        """Returns it as HTML in which nothing that an agent wrote can run."""
        parts = [
            block.html if isinstance(block, EventLine) else markdown_html("".join(block)) for block in self._blocks
        ]
        return "".join(part for part in parts if part)


def split_section(text: str) -> tuple[str, str]:
    """Parts Markdown before its last block, which may still grow.

    Returns:
        What is before it and the rest; no rest when it is all one block that is not too long.
    """
    # The fence that is open, "" for none.
    fence, at, last = "", 0, 0
    # Markdown's blocks end at blank lines; within a fence, and in lists and quotes, they go on.
    was_blank = False
    for line in text.splitlines(keepends=True):
        if was_blank and not fence and not _GOES_ON.match(line):
            last = at
        found = _FENCE.match(line)
        if found and not fence:
            fence = "" if found[1][0] == "`" and "`" in found[2] else found[0].rstrip()
        elif found:
            mark = _FENCE.match(fence)
            closes = mark is not None and found[1].startswith(mark[1]) and not found[2].strip()
            fence = "" if closes else fence
        was_blank = not line.strip()
        at += len(line)
    if last:
        return text[:last], text[last:]
    if len(text) <= MAX_SECTION:
        return text, ""
    # Too long: at the end of a line, else between words, else in one. In the second half, so that no part is tiny.
    ends = (text.rfind(mark, len(text) // 2, len(text) - 1) + 1 for mark in "\n ")
    at = next((end for end in ends if end), len(text) * 3 // 4)
    # Within a fence, the rest has to open it again.
    return text[:at], f"{fence}\n{text[at:]}" if fence else text[at:]
