"""A question in a notebook, as widgets: what is to run, its arguments to read and edit, and buttons."""

from __future__ import annotations

import functools
import html
import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import ipywidgets

from sessionlib._util.text import cell_width, printable, printable_lines
from sessionlib.approvals import ApprovalRequest
from sessionlib.approvals.models import ShownRequest
from sessionlib.approvals.policies import quoted, readable_lines
from sessionlib.content import ApprovalResponse
from sessionlib.display.markup import alarm, in_code, safe_html
from sessionlib.display.text import count_of
from sessionlib.errors import ApprovalAlreadyAnsweredError, SessionError
from sessionlib.notebook.display import close

__all__ = ["Field", "Form"]

# Columns and digits that an input shows whole in a window 320 px wide; what is longer is a block of lines that wrap.
_SHORT = 12
_SHORT_NUMBER = 16
# Characters of a name that are shown; there is room for more than in a terminal's lines.
_NAME = 1000
# Arguments that have a field each; more would hold up the kernel while they are made.
_MAX_FIELDS = 50
# Lines of a block, of so many characters, beyond which it is folded.
_ROWS = 16
_COLUMNS = 60
# Beyond this, the numbers of a browser are no longer whole.
_MAX_WHOLE = 2**53
_BLOCK = (
    "font-family: var(--jp-code-font-family, monospace); white-space: pre-wrap; overflow-wrap: anywhere; "
    "word-break: normal; line-height: 1.4; margin: 2px 0; padding: 2px 8px; border-left: 3px solid #8888; "
    "background: none; color: inherit"
)


class Field:
    """One argument: its name, its value, and what edits it.

    A short value is an input. A longer one is a block of text, folded until a person has it shown in full.

    Args:
        name: Its name.
        proposed: The value that the agent proposes.
        on_shown: Called when the whole value has been shown.
        lock: Held while a click is handled.
        head: What is shown as its name, as HTML; by default the name in quotes.

    Attributes:
        name: Its name.
        box: The widget.
        is_shown: Whether the whole value has been on screen.
    """

    def __init__(
        self,
        name: str,
        proposed: object,
        on_shown: Callable[[], None],
        lock: AbstractContextManager[object],
        head: str = "",
    ) -> None:
        self.name = name
        self._proposed = proposed
        self._on_shown = on_shown
        # Texts as they are, all else as JSON, in which its type shows.
        self._text = proposed if isinstance(proposed, str) else json.dumps(proposed, ensure_ascii=False, default=str)
        # Without control characters and direction marks, which could show another value than the one that is sent.
        if not isinstance(proposed, str) and len(self._text) > _COLUMNS:
            self._text = json.dumps(proposed, ensure_ascii=False, default=str, indent=2)
        self._lines = readable_lines(self._text, is_json=not isinstance(proposed, str))
        self._head = head or f"<b>{in_code(quoted(name, _NAME))}</b>"
        if self._is_short():
            self.is_shown = True
            self._input: Any = self._make_input()
            self.box = ipywidgets.VBox([_html(self._head), self._input])
            return
        kind = "text" if isinstance(proposed, str) else "JSON"
        size = f"{kind} of {count_of(len(self._text), 'character')}, {count_of(len(self._lines), 'line')}"
        folded = _first_rows(self._lines)
        self.is_shown = len(folded) == len(self._lines) and folded == self._lines
        self._input = None
        self._body = _html(_block(folded, is_whole=self.is_shown))
        title = printable(name)
        title = title if len(title) <= _SHORT else f"{title[: _SHORT - 1]}…"
        self._more = _button(f"Show all of {title}", self._show, lock, *_PLAIN)

        def edit() -> None:
            self._input = self._make_input()
            self.box.children = [self.box.children[0], self._input]

        self._edit = _button("Edit", edit, lock, *_PLAIN)
        self._row = ipywidgets.HBox([self._edit if self.is_shown else self._more], layout=_ROW)
        self.box = ipywidgets.VBox([_html(f"{self._head} {safe_html(size)}"), self._body, self._row])

    @property
    def is_edited(self) -> bool:
        """Whether it holds something else than was proposed."""
        return self._input is not None and bool(self._input.value != self._before)

    def value(self) -> Any:
        """Returns what it holds.

        Raises:
            ValueError: It should be JSON, and is not.
        """
        if not self.is_edited:
            # The very object: reading it back from a widget could change it, as with 1.0 or a long number.
            return self._proposed
        if not self._is_json:
            return self._input.value
        try:
            return json.loads(self._input.value)
        except ValueError:
            raise ValueError(
                f'{self.name} takes JSON, such as 7, "a text", [1, 2] or {{"a": 1}}; a text needs its quotes'
            ) from None

    def html(self) -> str:
        """Returns its name and value as HTML, for when nothing is asked any more."""
        lines = self._lines if not self.is_edited else printable_lines(str(self._input.value))
        changed = " (changed here)" if self.is_edited else ""
        head = f"{self._head}{changed}"
        block = _block(lines, is_whole=True)
        if len(_first_rows(lines)) == len(lines):
            return f"<div>{head}{block}</div>"
        return f"<details><summary>{head}: {count_of(len(lines), 'line')}</summary>{block}</details>"

    def _is_short(self) -> bool:
        if isinstance(self._proposed, float) or _is_whole(self._proposed):
            return len(self._text) <= _SHORT_NUMBER
        return self._lines == [self._text] and cell_width(self._text) <= _SHORT

    def _make_input(self) -> Any:
        proposed, kind = self._proposed, ipywidgets.Text
        self._is_json = not isinstance(proposed, (str, bool, float)) and not _is_whole(proposed)
        value: Any = self._text
        if isinstance(proposed, bool):
            made = ipywidgets.Checkbox(proposed, description="true", indent=False)
        elif isinstance(proposed, float):
            made = ipywidgets.FloatText(proposed)
        elif _is_whole(proposed):
            # JavaScript's numbers are whole only up to 2**53, hence `_is_whole`.
            made = ipywidgets.IntText(proposed)
        else:
            if not self._is_short():
                kind = ipywidgets.Textarea
                # What cannot be seen as it is, is edited in a form in which it can: JSON in ASCII.
                if "\n".join(self._lines) != self._text:
                    self._is_json, value = True, json.dumps(proposed)
            made = (
                kind(value, rows=min(max(_rows_of(self._lines), 4), 30)) if kind is ipywidgets.Textarea else kind(value)
            )
        made.tooltip = printable(self.name)
        made.layout.width = "auto"
        # As the widget holds it, which may differ from what was proposed though nothing was edited.
        self._before = made.value
        return made

    def _show(self) -> None:
        self._body.value = _block(self._lines, is_whole=True)
        self._row.children = [self._edit]
        self.is_shown = True
        self._on_shown()


def _is_whole(proposed: object) -> bool:
    return isinstance(proposed, int) and not isinstance(proposed, bool) and abs(proposed) <= _MAX_WHOLE


def _rows_of(lines: list[str]) -> int:
    return sum(len(line) // _COLUMNS + 1 for line in lines)


def _first_rows(lines: list[str]) -> list[str]:
    """Returns the beginning of some lines, as much as a folded block shows; all of them if they fit."""
    if _rows_of(lines) <= _ROWS:
        return lines
    kept: list[str] = []
    for line in lines:
        left = _ROWS - 4 - _rows_of(kept)  # with room for what is below, so that folding is worth it
        if left <= 0:
            break
        # Counted in rows as they wrap: one long line may fill the block.
        kept.append(line[: left * _COLUMNS])
    return kept


def _block(lines: list[str], *, is_whole: bool) -> str:
    text = html.escape("\n".join(lines))
    return f'<pre style="{_BLOCK}">{text}{"" if is_whole else "…"}</pre>'


class Form:
    """Asks about a request; a click answers it, on the thread that runs cells, and once.

    Approving works once every value has been shown in full. Afterwards, also when another handler has answered, it
    shows who decided and takes no clicks any more.

    Args:
        request: What is asked.
        answer: Gets the decision of a click; None when `response` is waited for instead.

    Attributes:
        box: The widget.
        request: What is asked.
        pressed: Set once a button was pressed.
        response: The decision; None before.
        outcome: The outcome of the request, in words; "" before.
        html: How it looks once it is over, as HTML that a notebook is saved with; "" before.
    """

    def __init__(self, request: ApprovalRequest, answer: Callable[[ApprovalResponse], None] | None = None) -> None:
        self.request = request
        self.pressed = threading.Event()
        self.response: ApprovalResponse | None = None
        self.outcome = self.html = ""
        self._answer = answer
        # Protects the form: a click comes on the thread that runs cells, at times while another still makes the form.
        self._lock = threading.RLock()
        with self._lock:
            placeholder, layout = "reason, if you deny", {"width": "16em", "max_width": "100%"}
            self._reason = ipywidgets.Text(placeholder=placeholder, layout=layout)
            self._outcome = _html("")
            always = functools.partial(self._approve, remember="session")
            self._approvers = [
                _button("Approve", self._approve, self._lock, "#1b5e20", "white"),
                _button("Always in this session", always, self._lock, *_PLAIN),
            ]
            deny = _button("Deny", self._deny, self._lock, "#b71c1c", "white")
            self._row = ipywidgets.HBox([*self._approvers, deny, self._reason], layout=_ROW)
            self.box = ipywidgets.VBox(layout=_LAYOUT)
            self._fill()

    @property
    def is_open(self) -> bool:
        """Whether it takes a click."""
        return not self.html

    def settle(self, why: str = "") -> None:
        """Removes the buttons, and shows why: by default, the outcome of the request."""
        with self._lock:
            if not self.is_open:
                return
            self.outcome = why or self.request.outcome
            mark = "✓ " if self.outcome.startswith("approved") else "✗ " if self.outcome.startswith("denied") else ""
            self.html = self._as_html(f"{mark}{self.outcome}")
            before, self.box.children = self.box.children, [_html(self.html)]
            # Closed behind the exchange, when they are not shown any more.
            for widget in before:
                close(widget)

    def kept(self) -> str:
        """Returns what a notebook is saved with now, as HTML."""
        with self._lock:
            return self.html or self._as_html("not answered when this was saved")

    def _as_html(self, outcome: str) -> str:
        fields = "".join(field.html() for field in self._fields)
        return _wrapping(f"{self._title('asked')}{fields}<b>{safe_html(outcome)}</b>")

    def _fill(self) -> None:
        self._seen = ShownRequest.read(self.request)
        arguments = list(self.request.arguments.items())
        self._fields = [Field(name, value, self._check_shown, self._lock) for name, value in arguments[:_MAX_FIELDS]]
        self._rest: Field | None = None
        if len(arguments) > _MAX_FIELDS:
            title = count_of(len(arguments) - _MAX_FIELDS, "more argument")
            rest = dict(arguments[_MAX_FIELDS:])
            self._rest = Field(title, rest, self._check_shown, self._lock, f"<b>{safe_html(title)}</b>")
            self._fields.append(self._rest)
        boxes = [field.box for field in self._fields]
        self.box.children = [_html(self._title("asks")), *boxes, self._outcome, self._row]
        self._check_shown()

    def _title(self, verb: str) -> str:
        agent = getattr(self.request.session, "agent_name", None)
        whose = f" for agent {in_code(quoted(agent))}" if agent else ""
        return f"The agent {verb} to run {in_code(quoted(self.request.tool_name or 'a tool', _NAME))}{whose}:"

    def _check_shown(self) -> None:
        folded = [quoted(field.name) for field in self._fields if not field.is_shown]
        for button in self._approvers:
            # What a person has not seen in full, they cannot approve; denying needs nothing.
            button.disabled = bool(folded)
        hint = f"Show all of {' and '.join(folded)} to approve." if folded else ""
        self._outcome.value = _wrapping(safe_html(hint))

    def _approve(self, *, remember: Any = None) -> None:
        if not all(field.is_shown for field in self._fields):
            return
        # A handler or other code may have changed the arguments since the form was made.
        if ShownRequest.read(self.request) != self._seen:
            self._fill()
            self._outcome.value = alarm("The request has changed; this is what it is now.")
            return
        try:
            # Only what was edited: the rest goes out as the model proposed it.
            edited: dict[str, Any] = {}
            for field in self._fields:
                if field.is_edited and field is self._rest:
                    rest = field.value()
                    if not isinstance(rest, dict):
                        raise ValueError(f'{field.name} take a JSON object, such as {{"a": 1}}')
                    edited |= rest
                elif field.is_edited:
                    edited[field.name] = field.value()
        except ValueError as error:
            self._outcome.value = _wrapping(alarm(safe_html(error)))
            return
        self._press(ApprovalResponse(True, confirm=edited, remember=remember), "approved here")

    def _deny(self) -> None:
        reason = self._reason.value.strip()
        self._press(ApprovalResponse(False, deny_reason=reason), f"denied here: {reason}" if reason else "denied here")

    def _press(self, response: ApprovalResponse, word: str) -> None:
        if not self.is_open:
            return  # a second click that was on its way; the first stands
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
            self._outcome.value = _wrapping(alarm(safe_html(error)))
            return False
        return True


_LAYOUT = {"border": "1px solid #8888", "padding": "6px 10px", "margin": "4px 0", "max_width": "46em"}
# Buttons keep their labels, and go into the next line where there is no room.
_ROW = {"flex_flow": "row wrap", "align_items": "center"}
# A grey on which the theme's white and black both stand out would be neither, so these have colours of their own.
_PLAIN = ("#455a64", "white")


def _button(
    text: str, press: Callable[[], None], lock: AbstractContextManager[object], background: str, colour: str
) -> Any:
    # JupyterLab's own green and red have a contrast of 2.8:1 and 3.7:1 to their labels; WCAG AA takes 4.5:1.
    style = {"button_color": background, "text_color": colour}
    button = ipywidgets.Button(description=text, style=style, layout={"width": "auto", "flex": "0 0 auto"})

    def click(_: object) -> None:
        with lock:
            press()

    button.on_click(click)
    return button


def _html(value: str) -> Any:
    return ipywidgets.HTML(_wrapping(value), layout={"width": "auto"})


def _wrapping(value: str) -> str:
    # A name has no spaces where it could be folded, and would reach out of the form.
    return f'<div style="overflow-wrap: anywhere">{value}</div>' if value else ""
