"""Words for people: texts in one line, without what a terminal would obey; sizes and calls in words."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import IO, Any, TextIO

from sessionlib._util.text import TextCleaner, clean
from sessionlib.events import SessionEvent, SessionEventType

__all__ = [
    "Streamed",
    "TextPrinter",
    "call_text",
    "clean",
    "count_of",
    "describe",
    "is_terminal",
    "one_line",
    "size_of",
    "time_in_words",
]

_MAX_LINE = 1000
_MAX_VALUE = 200


def one_line(text: str, limit: int = _MAX_LINE) -> str:
    """Returns a text as one line that is fit for a terminal.

    Args:
        text: The text.
        limit: Characters after which it is truncated.
    """
    # Cleaned first: an escape sequence may hold spaces.
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def is_terminal(stream: IO[Any] | None) -> bool:
    """Whether a person is at the other end of a standard stream; one that is closed has no person."""
    return stream is not None and not stream.closed and stream.isatty()


def size_of(count: float) -> str:
    """Returns a number of bytes in words."""
    if count < 1024:
        return f"{count} bytes"
    for unit in ("KB", "MB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} GB"


def count_of(number: int, thing: str) -> str:
    """Returns a number of things, such as "2 events"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def time_in_words(seconds: float) -> str:
    """Returns a time in words, to three digits, or to the second."""
    if seconds >= 999.5:
        return f"{seconds:,.0f} s"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def call_text(tool_name: str, arguments: Mapping[str, Any]) -> str:
    """Returns a tool's call as it would stand in Python."""
    # In quotes that they cannot end, so that neither a name nor a value passes for another argument.
    given = ", ".join(
        f"{name if name.isidentifier() else _value(name)}={_value(value)}" for name, value in arguments.items()
    )
    return one_line(f"{tool_name or 'a tool'}({given})")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(one_line(value, _MAX_VALUE), ensure_ascii=False)
    return one_line(json.dumps(value, ensure_ascii=False, default=str), _MAX_VALUE)


class Streamed:
    """Finds the text that is new in an event, so that each message is shown once and whole."""

    def __init__(self) -> None:
        self._seen: defaultdict[str | None, list[str]] = defaultdict(list)

    def new_text(self, event: SessionEvent) -> list[str]:
        """Returns the deltas to show for an event, most often one or none."""
        if event.delta:
            # By message: deltas of several may alternate.
            self._seen[event.message_id].append(event.delta)
            return [event.delta]
        if not event.is_complete or event.text is None:
            return []
        seen, text = "".join(self._seen.pop(event.message_id, ())), str(event.text)
        if text.startswith(seen):
            return [text[len(seen) :]] if len(text) > len(seen) else []
        return ["\n\n", text]  # deltas were lost on the way: the whole of it, again


class TextPrinter:
    """Writes the text of a turn as it streams, each message from the beginning of a line.

    Args:
        out: Where to; a terminal gets no control characters.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        # A file gets the text as it is; only a terminal obeys what is in it.
        self._cleaner = TextCleaner() if is_terminal(out) else None
        self._streamed = Streamed()
        self._message_id: str | None = None
        self._at_line_start = True

    def show(self, event: SessionEvent) -> None:
        """Writes what text is new in an event."""
        for chunk in self._streamed.new_text(event):
            if event.message_id != self._message_id:
                self.close()
            self._message_id = event.message_id
            self._write(chunk if self._cleaner is None else self._cleaner.feed(chunk))
        if event.requires_action:
            self.close()  # the question stands on a line of its own

    def close(self) -> None:
        """Ends the last line."""
        if not self._at_line_start:
            self._write("\n")

    def _write(self, text: str) -> None:
        if text:
            self._out.write(text)
            # At once, as this is what streaming is for; a pipe would be buffered by 8 KiB.
            self._out.flush()
            self._at_line_start = text.endswith("\n")


def describe(event: SessionEvent) -> str | None:
    """Returns an event in one line; None for what is not worth one."""
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
    if data.get("status") == "streaming":
        return None  # a part; the whole is worth a line
    thought = data.get("summary") or data.get("content") or data.get("text")
    return f"thinks: {one_line(str(thought), 400)}" if thought else None


def _tool(data: Mapping[str, Any]) -> str:
    return one_line(str(data.get("tool_name") or "a tool"), 80)


_WORDS: dict[SessionEventType, Callable[[Mapping[str, Any]], str | None]] = {
    SessionEventType.TOOL_CALL: _call,
    SessionEventType.TOOL_RESULT: _result,
    SessionEventType.THINKING: _thinking,
    SessionEventType.SEARCH_RESULT: lambda data: (
        f"searched {one_line(str(data.get('query') or data.get('queries') or ''), 400)}".rstrip()
    ),
    SessionEventType.REAUTH_REQUEST: lambda data: (
        f"waits until {one_line(str(data.get('tool_name') or data.get('integration_name') or 'an account'), 80)} "
        "is authorised again, where the agent's tools are set up"
    ),
    SessionEventType.ERROR: lambda data: f"error: {one_line(str(data.get('error')))}",
}
