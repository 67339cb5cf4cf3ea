"""One-line notes on stderr."""

from __future__ import annotations

import sys

from sessionlib.display.text import one_line

__all__ = ["tell"]


def tell(text: str) -> None:
    """Writes one line to stderr, under the program's name."""
    if sys.stderr is not None:
        print(f"sessionlib: {one_line(text)}", file=sys.stderr, flush=True)
