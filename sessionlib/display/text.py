"""Words for people: texts in one line, without what a terminal would obey; sizes and calls as one says them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

__all__ = ["call_text", "clean", "count_of", "is_terminal", "one_line", "size_of", "time_in_words"]

_MAX_LINE = 1000
_MAX_VALUE = 200


def one_line(text: str, limit: int = _MAX_LINE) -> str:
    """Gives a text as one line that is fit for a terminal.

    Args:
        text: The text.
        limit: Characters after which it is cut.
    """
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def clean(text: str) -> str:
    """Takes out the characters that a terminal would obey: an agent's words must not move its cursor."""
    return text if text.isprintable() else "".join(char for char in text if char.isprintable() or char in "\n\t")


def is_terminal(stream: IO[Any] | None) -> bool:
    """Whether a person is at the other end of a standard stream; one that is closed has nobody."""
    return stream is not None and not stream.closed and stream.isatty()


def size_of(count: float) -> str:
    """Gives a number of bytes in words."""
    if count < 1024:
        return f"{count} bytes"
    for unit in ("KB", "MB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} GB"


def count_of(number: int, thing: str) -> str:
    """Gives a number of things, such as "2 events"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def time_in_words(seconds: float) -> str:
    """Gives a time in words, to three digits."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def call_text(tool_name: str, arguments: Mapping[str, Any]) -> str:
    """Gives a tool's call as it would stand in Python."""
    given = ", ".join(f"{name}={_value(value)}" for name, value in arguments.items())
    return one_line(f"{tool_name or 'a tool'}({given})")


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    shown = one_line(text, _MAX_VALUE)
    return f'"{shown}"' if isinstance(value, str) else shown
