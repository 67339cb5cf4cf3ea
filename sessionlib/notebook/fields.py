"""The fields in which the arguments of a call are edited, each of the kind that its value has in JSON."""

from __future__ import annotations

import json
from typing import Any

import ipywidgets

from sessionlib.approvals.policies import printable, shown

__all__ = ["Field"]

_LONG = 80
# Beyond this, the numbers of a browser are no longer whole.
_MAX_WHOLE = 2**53


class Field:
    """One argument.

    Args:
        name: Its name.
        proposed: The value that the agent proposes.

    Attributes:
        name: Its name.
        widget: The widget.
    """

    def __init__(self, name: str, proposed: object) -> None:
        self.name = name
        self._is_json = not isinstance(proposed, (str, bool, float)) and not _is_whole(proposed)
        self.widget = _widget(proposed)
        self.widget.description = printable(name)
        self.widget.style.description_width = "8em"
        self.widget.layout.width = "auto"
        self._shown = self.widget.value

    @property
    def is_edited(self) -> bool:
        """Whether it holds something else than was proposed."""
        return bool(self.widget.value != self._shown)

    def value(self) -> Any:
        """Gives what it holds.

        Raises:
            ValueError: It should be JSON, and is not.
        """
        if not self._is_json:
            return self.widget.value
        try:
            return json.loads(self.widget.value)
        except ValueError:
            raise ValueError(
                f'{self.name} takes JSON, such as 7, "a text", [1, 2] or {{"a": 1}}; a text needs its quotes'
            ) from None


def _widget(proposed: object) -> Any:
    if isinstance(proposed, bool):
        return ipywidgets.Checkbox(proposed)
    if isinstance(proposed, float):
        return ipywidgets.FloatText(proposed)
    if _is_whole(proposed):
        return ipywidgets.IntText(proposed)
    text = "\n".join(map(printable, proposed.split("\n"))) if isinstance(proposed, str) else shown(proposed)
    return (ipywidgets.Textarea if "\n" in text or len(text) > _LONG else ipywidgets.Text)(text)


def _is_whole(proposed: object) -> bool:
    return isinstance(proposed, int) and not isinstance(proposed, bool) and abs(proposed) <= _MAX_WHOLE
