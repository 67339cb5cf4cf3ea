"""Showing Markdown below the cell that is being run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from IPython.display import display

__all__ = ["Stage", "below_the_cell", "bundle"]


def below_the_cell(markdown: str) -> Callable[[str], None]:
    """Shows Markdown below the cell; gives the function that puts other Markdown in its stead, in place."""
    handle: Any = display(bundle(markdown), raw=True, display_id=True)  # type: ignore[no-untyped-call]
    return lambda other: handle.update(bundle(other), raw=True)


def bundle(markdown: str) -> dict[str, str]:
    """Gives Markdown as what a cell can show."""
    return {"text/markdown": markdown}


class Stage:
    """A box of widgets below the cell, which can be filled when the cell has ended."""

    def __init__(self) -> None:
        import ipywidgets  # the extra may lack it, and plain output below a cell does without

        self._widgets = ipywidgets
        self._box = ipywidgets.VBox()
        self._handle: Any = display(self._box, display_id=True)  # type: ignore[no-untyped-call]

    def add(self, widget: Any) -> None:
        """Shows a widget at its end."""
        self._box.children = (*self._box.children, widget)

    def place(self, markdown: str) -> Callable[[str], None]:
        """Shows Markdown at its end; gives the function that puts other Markdown in its stead."""
        output = self._widgets.Output()

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
