"""Showing HTML below the cell that is being run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from IPython.display import display

__all__ = ["Stage", "below_the_cell", "bundle"]


def below_the_cell(html: str) -> Callable[[str], None]:
    """Shows HTML below the cell; returns the function that replaces it."""
    handle: Any = display(bundle(html), raw=True, display_id=True)  # type: ignore[no-untyped-call]
    return lambda other: handle.update(bundle(other), raw=True)


def bundle(html: str) -> dict[str, str]:
    """Returns HTML as what a cell can show."""
    return {"text/html": html}


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

    def place(self, html: str) -> Callable[[str], None]:
        """Shows HTML at its end; returns the function that replaces it."""
        output = self._widgets.Output()

        def put(other: str) -> None:
            output.outputs = ({"output_type": "display_data", "data": bundle(other), "metadata": {}},)

        put(html)
        self.add(output)
        return put

    def freeze(self, html: str) -> None:
        """Replaces it by HTML, which is saved with the notebook, and takes no more."""
        self._handle.update(bundle(html), raw=True)
        _close(self._box)


def _close(widget: Any) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
