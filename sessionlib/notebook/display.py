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


# Of the two outputs, shows that of the widgets while they live, and else that of the HTML. JupyterLab and its exports
# have such a box for each; what a widget leaves in it, once its kernel has ended, is an error message.
_EITHER = (
    "<style>.jp-OutputArea-child:has(.widget-vbox) + .jp-OutputArea-child:has(.sessionlib-kept), "
    ".jp-OutputArea-child:not(:has(.widget-vbox)):has(+ .jp-OutputArea-child .sessionlib-kept) "
    "{ display: none }</style>"
)


class Stage:
    """A place below the cell, to be filled when the cell has ended.

    It holds widgets while they are needed, and HTML before and after: a notebook that is opened again has no widgets,
    and would show an error in their place. So it is two outputs, of which one is seen at a time.
    """

    def __init__(self) -> None:
        import ipywidgets  # the extra may lack it, and plain output below a cell does without

        self._widgets = ipywidgets
        self._box: Any = None
        self._handle: Any = display(bundle(""), raw=True, display_id=True)  # type: ignore[no-untyped-call]
        self._kept: Any = display(bundle(""), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def add(self, widget: Any) -> None:
        """Shows a widget at its end."""
        if self._box is None:
            self._box = self._widgets.VBox([widget])
            # Where widgets are not drawn, as in a notebook that is not trusted, empty HTML is, and not their names.
            self._handle.update({**self._box._repr_mimebundle_(), **bundle("")}, raw=True)
        else:
            self._box.children = (*self._box.children, widget)

    def keep(self, html: str) -> None:
        """Sets what the notebook shows if it is saved now and opened again, when there are no widgets any more."""
        self._kept.update(bundle(f'{_EITHER}<div class="sessionlib-kept">{html}</div>'), raw=True)

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
        self._kept.update(bundle(""), raw=True)
        if self._box is not None:
            close(self._box)
            self._box = None


def close(widget: Any) -> None:
    """Closes a widget and those within."""
    for child in getattr(widget, "children", ()):
        close(child)
    widget.close()
