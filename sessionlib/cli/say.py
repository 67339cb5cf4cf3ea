"""One-line notes on stderr, and whether a person is there to read them."""

from __future__ import annotations

import sys
from typing import IO, Any

from sessionlib.words import one_line

__all__ = ["is_terminal", "tell"]


def tell(text: str) -> None:
    """Writes one line to stderr, under the program's name."""
    if sys.stderr is not None:
        print(f"sessionlib: {one_line(text)}", file=sys.stderr, flush=True)


def is_terminal(stream: IO[Any] | None) -> bool:
    """Whether a person is at the other end of a standard stream; one that is closed has nobody."""
    return stream is not None and not stream.closed and stream.isatty()
