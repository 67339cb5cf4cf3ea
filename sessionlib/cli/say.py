"""What goes to a person's eyes: one-line notes on stderr, and texts without what a terminal would obey."""

from __future__ import annotations

import sys
from typing import IO, Any

__all__ = ["clean", "is_terminal", "one_line", "size_of", "tell"]

_MAX_LINE = 1000


def tell(text: str) -> None:
    """Writes one line to stderr, under the program's name."""
    if sys.stderr is not None:
        print(f"sessionlib: {one_line(text)}", file=sys.stderr, flush=True)


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
