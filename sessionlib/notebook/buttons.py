"""A question in a notebook, as widgets: what is to run, its arguments to edit, and buttons."""

from __future__ import annotations

import functools
import html
import threading
from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.display import display

from sessionlib.approvals import ApprovalRequest
from sessionlib.content import ApprovalResponse
from sessionlib.policies import parse_argument, printable, shown

__all__ = ["Buttons"]

_LONG = 80


class Buttons:
    """Shows the question at once; a click answers it, on the thread that runs cells.

    Args:
        request: What is asked.

    Attributes:
        pressed: Set once a button was pressed.
        response: What it said; None before.
    """

    def __init__(self, request: ApprovalRequest) -> None:
        self.pressed = threading.Event()
        self.response: ApprovalResponse | None = None
        self._tool = html.escape(printable(request.tool_name) or "a tool")
        self._arguments = request.arguments
        self._fields = {name: _field(name, value) for name, value in self._arguments.items()}
        self._proposed = {name: field.value for name, field in self._fields.items()}
        self._reason = ipywidgets.Text(placeholder="reason, if you deny")
        self._title = ipywidgets.HTML(f"The agent asks to run <b>{self._tool}</b>:")
        self._row = ipywidgets.HBox(
            [
                _button("Approve", "success", self._approve),
                _button("Always in this session", "", functools.partial(self._approve, remember="session")),
                _button("Deny", "danger", self._deny),
                self._reason,
            ]
        )
        self._box = ipywidgets.VBox([self._title, *self._fields.values(), self._row])
        display(self._box)  # type: ignore[no-untyped-call]

    def close(self, why: str) -> None:
        """Takes the buttons away and says why."""
        self._title.value = f"The agent asked to run <b>{self._tool}</b>: {html.escape(why)}."
        self._box.children = (self._title,)
        for widget in (*self._fields.values(), *self._row.children, self._row):
            widget.close()

    def _approve(self, *, remember: Any = None) -> None:
        typed = {name: field.value for name, field in self._fields.items() if field.value != self._proposed[name]}
        confirm = {name: parse_argument(text, self._arguments[name]) for name, text in typed.items()}
        self._press(ApprovalResponse(True, confirm=confirm, remember=remember), "approved")

    def _deny(self) -> None:
        self._press(ApprovalResponse(False, deny_reason=self._reason.value.strip()), "denied")

    def _press(self, response: ApprovalResponse, word: str) -> None:
        if not self.pressed.is_set():
            self.response = response
            self.pressed.set()
            self.close(word)


def _button(text: str, style: str, press: Callable[[], None]) -> Any:
    button = ipywidgets.Button(description=text, button_style=style, layout={"width": "auto"})
    button.on_click(lambda _: press())
    return button


def _field(name: str, value: object) -> Any:
    """Makes the field in which an argument is shown and can be edited."""
    text = "\n".join(map(printable, value.split("\n"))) if isinstance(value, str) else shown(value)
    kind = ipywidgets.Textarea if "\n" in text or len(text) > _LONG else ipywidgets.Text
    return kind(
        value=text, description=printable(name), layout={"width": "90%"}, style={"description_width": "initial"}
    )
