"""Ready-made approval handlers for `Session.on_approval`."""

from __future__ import annotations

import codecs
import contextlib
import errno
import importlib
import json
import os
import re
import select
import signal
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

from sessionlib._util.ipython import is_between_cells, kernel_here
from sessionlib._util.text import cell_width, printable, printable_lines
from sessionlib.approvals import ApprovalHandler, ApprovalRequest
from sessionlib.approvals.models import ShownRequest, resembles
from sessionlib.content import ApprovalResponse
from sessionlib.display.text import count_of, is_terminal

__all__ = ["Policy", "approval_policy", "approve_all", "approve_tools", "ask_console", "deny_all"]

Policy = Literal["allow", "deny", "ask"]

_POLICIES = ("deny", "allow", "ask")
NO_TERMINAL = "no person could be asked: there is no terminal to ask on"
CLOSED = "the person has closed the input at the question (Ctrl-D)"
_CHOICES = "[y]es, [n]o, [v]iew in full, [e]dit the arguments, [a]lways in this session, [d]eny with a reason"
_MAX_NAME = 64  # what most models take as the name of a tool
_CUT = '…" ({}{})'
_MARGIN = "    | "
# Held while a person is asked, so that two sessions do not ask into each other's prompts.
_one_question = threading.Lock()


def approve_all(request: ApprovalRequest) -> bool:
    """Approves every request as proposed."""
    return True


def deny_all(request: ApprovalRequest) -> ApprovalResponse:
    """Denies every request."""
    return ApprovalResponse(False, deny_reason="no tool may run that needs an approval")


def approve_tools(*patterns: str) -> ApprovalHandler:
    """Makes a handler that approves some tools and leaves the rest to the next handler.

    Args:
        patterns: Names of tools, or patterns such as "search_*".
    """

    def approve(request: ApprovalRequest) -> bool | None:
        return True if any(_fits("allow", pattern, request.tool_name) for pattern in patterns) else None

    approve.__qualname__ = "approve_tools"  # by which the record names it
    return approve


def approval_policy(rules: Mapping[str, Policy], *, ask: ApprovalHandler | None = None) -> ApprovalHandler:
    """Makes a handler from rules, one for each tool or pattern.

    Where several rules fit, "deny" comes before "allow" and "allow" before "ask"; where none fits, the
    request is left to the next handler. A rule for "*" is for what no other rule names.

    A name that looks like another gets the stricter rule: "deny" and "ask" also fit names that differ in case, width,
    script, invisible characters or "-" for "_", and "allow" fits a name with other letters than ASCII only where it
    is spelled out.

    Args:
        rules: What to do, by tool name or pattern: "allow", "deny" or "ask".
        ask: Who decides about "ask"; None leaves those to the next handler.

    Raises:
        ValueError: A rule is none of the three.
    """
    for pattern, rule in rules.items():
        if rule not in _POLICIES:
            raise ValueError(f"the rule for {pattern!r} is {rule!r}; it is one of allow, deny and ask")

    def decide(request: ApprovalRequest) -> bool | ApprovalResponse | None:
        fitting = {
            rule for pattern, rule in rules.items() if pattern != "*" and _fits(rule, pattern, request.tool_name)
        }
        # "*" is for what no other rule names, whatever the other rules are.
        otherwise = rules.get("*")
        if otherwise is not None and not _fits(otherwise, "*", request.tool_name):
            otherwise = "ask"
        rule = next((rule for rule in _POLICIES if rule in fitting), otherwise)
        if rule == "deny":
            return ApprovalResponse(False, deny_reason=f"the policy does not allow {request.tool_name}")
        if rule == "allow":
            return True
        return ask(request) if rule == "ask" and ask is not None else None

    decide.__qualname__ = "approval_policy"
    return decide


def ask_console(request: ApprovalRequest) -> ApprovalResponse | None:
    """Asks on the terminal: yes, no, yes with other arguments, yes for all of the session, or no with a reason.

    One question is asked at a time, whatever the number of sessions. Keys typed before a question is on the screen
    do not answer it, nor does pasted text. Without a person at standard input (it is closed, a pipe or a
    file) it denies with the reason.

    Args:
        request: The request.

    Returns:
        The answer; None where a notebook kernel runs no cell to ask in, as during `Session.chat` with ``wait=False``,
        which then asks with a form.
    """
    if kernel_here() is not None and is_between_cells():
        return None
    with _one_question:
        in_kernel = kernel_here() is not None
        # A kernel's input() asks the front end, and fails where there is none.
        if not in_kernel and (sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty()):
            return ApprovalResponse(False, deny_reason=NO_TERMINAL)
        try:
            with contextlib.ExitStack() as shown_on:
                # On the terminal where standard output goes elsewhere: what is not seen is not approved.
                if not in_kernel and not is_terminal(sys.stdout):
                    screen = shown_on.enter_context(open("/dev/tty", "w"))
                    shown_on.enter_context(contextlib.redirect_stdout(screen))
                return _converse(request)
        except (EOFError, OSError, RuntimeError):  # a notebook kernel without stdin raises a RuntimeError of its own
            return ApprovalResponse(False, deny_reason=NO_TERMINAL)


def shown(value: object) -> str:
    """Returns a proposed argument as JSON in one line, with what is invisible in it marked."""
    return _writable(printable(json.dumps(value, ensure_ascii=False, default=str)))


def readable_lines(text: str, *, is_json: bool) -> list[str]:
    """Returns the lines of a value, with what is invisible in them marked, but for the indentation of JSON."""
    marked = list(map(_writable, printable_lines(text)))
    if not is_json:
        return marked
    # It is ours, as a text in JSON has no lines.
    indented = (len(line) - len(line.lstrip(" ")) for line in text.split("\n"))
    return [" " * n + line.removeprefix(rf"\x20{{{n}}}").lstrip(" ") for n, line in zip(indented, marked, strict=True)]


def quoted(name: str, columns: int = _MAX_NAME, which: str = "") -> str:
    """Returns a name in quotes that it cannot end itself, bounded.

    Args:
        name: The name.
        columns: How much of it is shown, in columns.
        which: What distinguishes it from names that begin as it does; shown with its length, where it is truncated.
    """
    text = _whole(name)
    kept = next(_fold(text, columns + 2))
    return text if kept == text else f"{kept}{_CUT.format(count_of(len(name), 'character'), which)}"


def _whole(name: str) -> str:
    # Two names may differ only in how an accent is encoded (UAX 15), and would look the same.
    return _writable(printable(json.dumps(name, ensure_ascii=not unicodedata.is_normalized("NFC", name))))


def parse_argument(text: str, proposed: object) -> Any:
    """Returns the value that a person has typed in place of a proposed one.

    What was a text stays one; anything else is read as JSON, and is a text if it is none.
    """
    if not isinstance(proposed, str):
        with contextlib.suppress(ValueError):
            return json.loads(text)
    return text


def _fits(rule: Policy, pattern: str, tool_name: str) -> bool:
    if rule == "allow":
        # Letters of another script can pass for any name that a pattern was written for (Unicode TR39, 4).
        return pattern == tool_name or (tool_name.isascii() and fnmatchcase(tool_name, pattern))
    return resembles(tool_name, pattern)


def _converse(request: ApprovalRequest) -> ApprovalResponse:
    while True:
        seen = ShownRequest.read(request)
        try:
            response = _show_and_ask(request)
        except _Closed:
            _say(f"\nDenied: {CLOSED}.")
            return ApprovalResponse(False, deny_reason=CLOSED)
        except _Suspended:
            # All of the pipeline stops, as at a terminal's own Ctrl-Z.
            os.kill(0, signal.SIGTSTP)
            # Another thread may take the signal, a moment later; what follows is for after the stop.
            time.sleep(0.1)
            continue
        except _Continued:
            continue
        if response is None:
            continue
        # A denial needs no second look.
        if not response.approved or ShownRequest.read(request) == seen:
            if not request.is_open:
                _say("This came too late: the request was answered meanwhile.")
            return response
        # What is approved is what was shown.
        _say("The request has changed meanwhile; this is what it is now.")


def _show_and_ask(request: ApprovalRequest) -> ApprovalResponse | None:
    """Shows a request and asks once; None to ask again."""
    tool = quoted(request.tool_name or "a tool")
    agent = getattr(request.session, "agent_name", None)
    question = f"Run {tool}{f' for agent {quoted(agent)}' if agent else ''}?"
    columns, rows = _size()
    head = list(_fold(f"The agent asks to run {tool}:", columns - 1, words_from=0))
    last = list(_fold(f"{question} {_CHOICES}: ", columns - 1, words_from=0))
    # The heading and the question take some lines; the rest of the screen is for the arguments.
    # In pages, as what scrolls out of a window may be what should have been seen.
    pages = _pages(request.arguments, columns, max(rows - len(head) - len(last) - 2, 3))
    for line in ("", *head):
        _say(line)
    for number, page in enumerate(pages):
        if number:
            left = f"Page {number} of {len(pages)}. More arguments follow: Enter shows them, [n]o: "
            if _read_line(f"{question} {left}").strip().lower() in ("n", "no"):
                return ApprovalResponse(False)
        for line in page:
            _say(line)
    respond = _ANSWERS.get(_read_line(f"{question} {_CHOICES}: ").strip().lower())
    return None if respond is None else respond(request)


def _pages(arguments: Mapping[str, Any], columns: int, rows: int) -> list[list[str]]:
    """Returns the lines that show some arguments, in as many pages as a screen of that size needs."""
    limit = max(rows // max(len(arguments), 1) - 2, 1)
    pages: list[list[str]] = [[]]
    for number, (name, value) in enumerate(arguments.items(), 1):
        lines = _block(number, name, value, columns, limit)
        if pages[-1] and len(pages[-1]) + len(lines) > rows:
            pages.append([])
        pages[-1] += lines
    return pages


def _block(number: int, name: str, value: object, columns: int, limit: int) -> list[str]:
    """Returns one argument as a line, or as a heading and lines behind a margin that no value can write into.

    The lines are folded here: where the terminal folds one, its rest would begin like a line of ours.
    """
    which = f", argument {number}"
    line = f"  {quoted(name, which=which)} = {shown(value)}"
    # Terminals that reorder text from right to left would mix such a name with its value, and keys with values.
    read = name if isinstance(value, str) else line
    mixes = not read.isascii() and any(unicodedata.bidirectional(char) in ("R", "AL") for char in read)
    if cell_width(line) < columns and not mixes:
        return [line]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str, indent=2)
    kind = "text" if isinstance(value, str) else "JSON"
    folded = _behind_margin(readable_lines(text, is_json=kind == "JSON"), columns)
    size = f": {kind} of {count_of(len(text), 'character')}, {count_of(text.count(chr(10)) + 1, 'line')}"
    head = f"  {quoted(name, which=which)}{size}"
    if cell_width(head) >= columns:
        note = _CUT.format(count_of(len(name), "character"), which)
        head = f"  {quoted(name, max(columns - len(size) - len(note) - 5, 6), which)}{size}"
    lines = [head, *folded[:limit]]
    if (more := len(folded) - limit) > 0:
        lines.append(f"    … {count_of(more, 'more line')}; v shows all")
    return lines


def _behind_margin(lines: list[str], columns: int) -> list[str]:
    # So that no value can look like a question or an argument of its own.
    return [_MARGIN + part for line in lines for part in _fold(line, columns - len(_MARGIN) - 1, columns // 2)]


def _fold(text: str, columns: int, words_from: int | None = None) -> Iterator[str]:
    """Yields a text in parts, which together are the text, none of them wider than so many columns.

    Args:
        text: The text.
        columns: The width of a part, at most.
        words_from: How wide a part has to be to end behind a space; None ends them anywhere. One as wide as can be ends
            within a word, so the two can be distinguished.
    """
    start, width, space, until = 0, 0, 0, 0
    for at, char in enumerate(text):
        width += cell_width(char)
        if width > columns:
            end = space if words_from is not None and space > start and until >= words_from else at
            yield text[start:end]
            start, width = end, cell_width(text[end : at + 1])
        if char == " ":
            space, until = at + 1, width
    yield text[start:]


def _size() -> tuple[int, int]:
    columns, rows = 0, 0
    with contextlib.suppress(OSError, ValueError, AttributeError):
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
    # Where a program has opened it, a terminal has the size zero until that sets one.
    return max(columns or 80, 20), max(rows or 24, 8)


def _edited(request: ApprovalRequest) -> ApprovalResponse:
    _say("A new value for each argument; Enter keeps the proposed one.")
    edited = {}
    for number, (name, value) in enumerate(request.arguments.items(), 1):
        text = shown(value)
        text = text if len(text) <= _MAX_NAME else f"{text[:_MAX_NAME]}…"
        title = quoted(name, which=f", argument {number}")
        text = _read_line(f"  {title} [{text}]: ", paste=True).strip()
        if text:
            # Only what was typed: the rest goes out as it was proposed.
            edited[name] = parse_argument(text, value)
    return ApprovalResponse(True, confirm=edited)


def _view(request: ApprovalRequest) -> None:
    _, rows = _size()
    lines = full_lines(request)
    # What is printed below a cell does not scroll out of sight.
    rows = len(lines) + 1 if kernel_here() is not None else rows
    for start in range(0, len(lines), rows - 1):
        if start:
            left = count_of(len(lines) - start, "more line")
            if _read_line(f"{left}: Enter shows them, [q]uit: ").strip().lower() in ("q", "quit"):
                return
        for line in lines[start : start + rows - 1]:
            _say(line)


def full_lines(request: ApprovalRequest) -> list[str]:
    """Returns a request in full, as lines of the terminal's width: its arguments, and the names truncated elsewhere."""
    columns, _ = _size()
    lines: list[str] = []
    for number, (name, value) in enumerate(request.arguments.items(), 1):
        block = _block(number, name, value, columns, sys.maxsize)
        if not block[0].startswith(f"  {_whole(name)}"):
            lines += [f"  The name of argument {number}:", *_behind_margin([_whole(name)], columns)]
        lines += block
    for what, name in (("tool", request.tool_name), ("agent", getattr(request.session, "agent_name", None) or "")):
        if quoted(name) != _whole(name):
            lines += [f"  The name of the {what}:", *_behind_margin([_whole(name)], columns)]
    return lines


_BY_WORD: dict[str, Callable[[ApprovalRequest], ApprovalResponse | None]] = {
    "yes": lambda request: ApprovalResponse(True),
    "no": lambda request: ApprovalResponse(False),
    "view": _view,
    "edit": _edited,
    "always": lambda request: ApprovalResponse(True, remember="session"),
    "deny": lambda request: ApprovalResponse(False, deny_reason=_read_line("Reason: ", paste=True).strip()),
}
_ANSWERS = {name: respond for word, respond in _BY_WORD.items() for name in (word, word[0])}


def _say(line: str) -> None:
    _write(line + "\n")


# ---- one line from a person ----------------------------------------------------------------------


class _Closed(Exception):
    """A person has pressed Ctrl-D."""


class _Suspended(Exception):
    """A person has pressed Ctrl-Z."""


class _Continued(Exception):
    """The process was stopped, and goes on; the screen shows other things by now."""


_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[^\[])")
_PASTE_BEGINS, _PASTE_ENDS = "\x1b[200~", "\x1b[201~"


def _read_line(prompt: str, *, paste: bool = False) -> str:
    """Reads one line that is typed from now on.

    Args:
        prompt: The prompt.
        paste: Whether pasted text counts, as it does for a value; it never ends the line.

    Raises:
        EOFError: The input ended.
        _Closed: Ctrl-D was pressed.
        _Suspended: Ctrl-Z was pressed.
        _Continued: The process had been stopped.
    """
    sys.stdout.flush()
    if kernel_here() is not None:
        return input(prompt)  # asks the front end, and discards stale input itself
    try:
        termios: Any = importlib.import_module("termios")
        keyboard = sys.stdin.fileno()
        before = termios.tcgetattr(keyboard)
    except (ImportError, AttributeError, OSError, ValueError):
        return input(prompt)  # no terminal of this kind, as on Windows or in IDLE
    except Exception as error:
        raise EOFError from error
    # Character by character: the editing of the kernel would show pasted escape sequences, and does not show where a
    # paste begins and ends.
    raw = [*before[:3], before[3] & ~(termios.ICANON | termios.ECHO), *before[4:6], list(before[6])]
    raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
    # Ctrl-Z is a key here, so that the shell gets the terminal as it was before the question.
    suspend, raw[6][termios.VSUSP] = raw[6][termios.VSUSP], bytes([os.fpathconf(keyboard, "PC_VDISABLE")])
    with _signals() as signals:
        try:
            # Discards what was typed before, as getpass does; the prompt comes after that, so nothing typed at
            # it is lost.
            termios.tcsetattr(keyboard, termios.TCSAFLUSH, raw)
            folded = "\n".join(_fold(prompt, _size()[0] - 1, words_from=0))
            _write(f"\x1b[?2004h{folded}")  # bracketed paste: xterm control sequences, "Bracketed Paste Mode"
            line = _edit_line(keyboard, paste, suspend.decode("latin-1").strip("\0"), signals)
            # Also on other threads, which get no signals: bash leaves its own modes where it continues a job.
            if termios.tcgetattr(keyboard)[3] & termios.ICANON:
                raise _Continued
            _write("\n")
            return line
        except termios.error as error:
            # A process in the background is stopped at this call, and then continued in the foreground.
            if error.args[0] != errno.EINTR:
                raise
            raise _Continued from error
        finally:
            _write("\x1b[?2004l")
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """Yields a descriptor from which the numbers of signals can be read, SIGCONT among them, one byte each.

    On a thread other than the main one, where Python handles signals, there are none.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.getsignal(signal.SIGCONT)
    try:
        if before is None or threading.current_thread() is not threading.main_thread():
            yield read
            return
        # A handler runs once `select` has returned; the descriptor wakes it, on whichever thread the signal arrives.
        signal.signal(signal.SIGCONT, before if callable(before) else lambda number, frame: None)
        before_read = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        try:
            yield read
        finally:
            signal.set_wakeup_fd(before_read)
            signal.signal(signal.SIGCONT, before)
    finally:
        os.close(read)
        os.close(write)


def _edit_line(keyboard: int, paste: bool, suspend: str, signals: int) -> str:
    # A read may end within a character.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    line, pending, pasting = "", "", False
    while True:
        data = None
        if keyboard in select.select([keyboard, signals], [], [])[0]:
            data = os.read(keyboard, 1024)
        # Behind the keys: those that were typed before the process went on answer nothing.
        if select.select([signals], [], [], 0)[0] and signal.SIGCONT in os.read(signals, 1024):
            raise _Continued
        if data is None:
            continue
        if not data:
            raise EOFError
        pending += decoder.decode(data)
        while pending:
            if pending[0] == "\x1b":
                found = _ESCAPE.match(pending)
                if found is None:
                    break  # the rest of the sequence is on its way
                pending = pending[found.end() :]
                pasting = found[0] == _PASTE_BEGINS or (pasting and found[0] != _PASTE_ENDS)
                continue
            char, pending = pending[0], pending[1:]
            if char == suspend and not pasting:
                _write("^Z\n")
                raise _Suspended
            if pasting:
                typed = " " if char in "\r\n\t" else char
                char = typed if paste else ""
            if char in ("\r", "\n"):
                return line  # what came behind it in one go is dropped: it was no answer to what is asked next
            if char == "\x04" and not line:
                raise _Closed
            if char in ("\x7f", "\b") and line:
                _write("\b \b" * cell_width(line[-1]))
                line = line[:-1]
            elif char.isprintable():
                line += char
                _write(char)


def _writable(text: str) -> str:
    """Returns a text with escapes for what standard output has no bytes for; before it is folded, as they are wider."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _write(text: str) -> None:
    sys.stdout.write(_writable(text))
    sys.stdout.flush()
