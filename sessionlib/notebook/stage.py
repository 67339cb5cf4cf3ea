"""A place below a cell that can still be filled when the cell has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.display import display

from sessionlib.notebook.display import bundle

__all__ = ["Stage"]


class Stage:
    """A box of widgets below the cell, which can be filled when the cell has ended."""

    def __init__(self) -> None:
        self._box = ipywidgets.VBox()
        self._handle: Any = display(self._box, display_id=True)  # type: ignore[no-untyped-call]

    def add(self, widget: Any) -> None:
        """Shows a widget at its end."""
        self._box.children = (*self._box.children, widget)

    def place(self, markdown: str) -> Callable[[str], None]:
        """Shows Markdown at its end; gives the function that puts other Markdown in its stead."""
        output = ipywidgets.Output()

        def put(other: str) -> None:
            output.outputs = ({"output_type": "display_data", "data": bundle(other), "metadata": {}},)

        put(markdown)
        self.add(output)
        return put

    def freeze(self, markdown: str) -> None:
        """Puts Markdown in its stead, which is saved with the notebook, and takes no more."""
        self._handle.update(bundle(markdown), raw=True)
        _close(self._box)


def _close(widget: Any) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
