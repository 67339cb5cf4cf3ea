"""Showing HTML below the cell that is being run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from IPython.display import display

__all__ = ["Stage", "below_the_cell", "bundle", "close"]


def below_the_cell(html: str) -> Callable[[str], None]:
    """Shows HTML below the cell; returns the function that replaces it."""
    # With an id, by which an output can be replaced later, also when its cell has ended.
    handle: Any = display(bundle(html), raw=True, display_id=True)  # type: ignore[no-untyped-call]
    return lambda other: handle.update(bundle(other), raw=True)


def bundle(html: str) -> dict[str, str]:
    """Returns HTML as what a cell can show."""
    return {"text/html": html}


class Stage:
    """A place below the cell, to be filled when the cell has ended.

    It holds widgets while they are needed, and HTML before and after: a notebook that is opened again has no widgets,
    and would show an error in their place.
    """

    def __init__(self) -> None:
        import ipywidgets  # the extra may lack it, and plain output below a cell does without

        self._widgets = ipywidgets
        self._box: Any = None
        self._handle: Any = display(bundle(""), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def add(self, widget: Any) -> None:
        """Shows a widget at its end."""
        if self._box is None:
            self._box = self._widgets.VBox([widget])
            self._handle.update(self._box)
        else:
            self._box.children = (*self._box.children, widget)

    def place(self, html: str) -> Callable[[str], None]:
        """Shows HTML at its end; returns the function that replaces it."""
        output = self._widgets.Output()

        def put(other: str) -> None:
            # Set as a value: printing into an Output widget is tied to the cell that runs.
            output.outputs = ({"output_type": "display_data", "data": bundle(other), "metadata": {}},)

        put(html)
        self.add(output)
        return put

    def freeze(self, html: str) -> None:
        """Replaces its widgets by HTML, which is saved with the notebook."""
        self._handle.update(bundle(html), raw=True)
        if self._box is not None:
            close(self._box)
            self._box = None


def close(widget: Any) -> None:
    """Closes a widget and those within."""
    for child in getattr(widget, "children", ()):
        close(child)
    widget.close()
