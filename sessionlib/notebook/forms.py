"""A question in a notebook, as widgets: what is to run, its arguments to edit, and buttons."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets

from sessionlib._util.text import printable
from sessionlib.approvals import ApprovalRequest
from sessionlib.approvals.policies import shown
from sessionlib.content import ApprovalResponse
from sessionlib.display.markup import alarm, in_code, safe_html
from sessionlib.errors import ApprovalAlreadyAnsweredError, SessionError

if TYPE_CHECKING:
    pass

__all__ = ["Field", "Form"]

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
        """Returns what it holds.

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


class Form:
    """Asks about a request; a click answers it, on the thread that runs cells, and once.

    Afterwards, also when another handler has answered, it shows who decided and takes no clicks any more.

    Args:
        request: What is asked.
        answer: Gets the decision of a click; None when `response` is waited for instead.

    Attributes:
        box: The widget.
        request: What is asked.
        pressed: Set once a button was pressed.
        response: The decision; None before.
        outcome: What became of the request, in words; "" before.
    """

    def __init__(self, request: ApprovalRequest, answer: Callable[[ApprovalResponse], None] | None = None) -> None:
        self.request = request
        self.pressed = threading.Event()
        self.response: ApprovalResponse | None = None
        self.outcome = ""
        self._answer = answer
        self._tool = in_code(printable(request.tool_name) or "a tool")
        self._fields = [Field(name, value) for name, value in request.arguments.items()]
        self._reason = ipywidgets.Text(placeholder="reason, if you deny", layout={"width": "16em"})
        self._title = ipywidgets.HTML(f"The agent asks to run {self._tool}:")
        self._outcome = ipywidgets.HTML()
        self._row = ipywidgets.HBox(
            [
                _button("Approve", "success", self._approve),
                _button("Always in this session", "", functools.partial(self._approve, remember="session")),
                _button("Deny", "danger", self._deny),
                self._reason,
            ]
        )
        form = [field.widget for field in self._fields]
        self.box = ipywidgets.VBox([self._title, *form, self._row, self._outcome], layout=_LAYOUT)

    @property
    def is_open(self) -> bool:
        """Whether it takes a click."""
        return bool(self._row.children)

    def settle(self, why: str = "") -> None:
        """Removes the buttons, and shows why: by default, the outcome of the request."""
        if not self.is_open:
            return
        buttons, self._row.children = self._row.children, ()
        self.box.children = [child for child in self.box.children if child is not self._row]
        for widget in (*buttons, self._row):
            widget.close()
        for field in self._fields:
            field.widget.disabled = True
        self._title.value = f"The agent asked to run {self._tool}:"
        self.outcome = why or self.request.outcome
        mark = "✓ " if self.outcome.startswith("approved") else "✗ " if self.outcome.startswith("denied") else ""
        self._outcome.value = f"<b>{mark}{safe_html(self.outcome)}</b>"

    def _approve(self, *, remember: Any = None) -> None:
        try:
            edited = {field.name: field.value() for field in self._fields if field.is_edited}
        except ValueError as error:
            self._outcome.value = alarm(safe_html(error))
            return
        self._press(ApprovalResponse(True, confirm=edited, remember=remember), "approved here")

    def _deny(self) -> None:
        reason = self._reason.value.strip()
        self._press(ApprovalResponse(False, deny_reason=reason), f"denied here: {reason}" if reason else "denied here")

    def _press(self, response: ApprovalResponse, word: str) -> None:
        if not self.request.is_open:
            self.settle()
        elif self._answer is None or self._give(response):
            self.response = response
            self.settle(word)
            self.pressed.set()

    def _give(self, response: ApprovalResponse) -> bool:
        """Answers the request itself; False when that could not be done, which is shown."""
        try:
            self._answer(response)  # type: ignore[misc]
        except ApprovalAlreadyAnsweredError:
            self.settle()
            return False
        except SessionError as error:
            self._outcome.value = alarm(safe_html(error))
            return False
        return True


_LAYOUT = {"border": "1px solid #8884", "padding": "6px 10px", "margin": "4px 0", "max_width": "46em"}


def _button(text: str, style: str, press: Callable[[], None]) -> Any:
    button = ipywidgets.Button(description=text, button_style=style, layout={"width": "auto"})
    button.on_click(lambda _: press())
    return button
