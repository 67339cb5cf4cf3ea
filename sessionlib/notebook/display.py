"""Showing Markdown below the cell that is being run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from IPython.display import display

__all__ = ["below_the_cell", "bundle"]


def below_the_cell(markdown: str) -> Callable[[str], None]:
    """Shows Markdown below the cell; gives the function that puts other Markdown in its stead, in place."""
    handle: Any = display(bundle(markdown), raw=True, display_id=True)  # type: ignore[no-untyped-call]
    return lambda other: handle.update(bundle(other), raw=True)


def bundle(markdown: str) -> dict[str, str]:
    """Gives Markdown as what a cell can show."""
    return {"text/markdown": markdown}
