"""Approval requests, asked of the person at the terminal wherever input and output of a command go."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from sessionlib.approvals import ApprovalRequest
from sessionlib.approvals.policies import ask_console
from sessionlib.cli.notes import warn
from sessionlib.content import ApprovalResponse
from sessionlib.display.text import is_terminal
from sessionlib.errors import SessionlibError

__all__ = ["STOPPED", "ask_on_terminal"]

STOPPED = "the person has stopped this turn"
"""The reason that an agent gets when a question was answered with Ctrl-C."""

_TERMINAL = "/dev/tty"
_NOBODY = "no person could be asked: there is no terminal to ask on"


def ask_on_terminal(request: ApprovalRequest) -> ApprovalResponse | None:
    """Asks the person at the terminal; where there is none, denies with the reason."""
    with _terminal() as found:
        if found:
            try:
                return ask_console(request)
            except KeyboardInterrupt:
                print()  # what is typed next is no answer to the question
                with contextlib.suppress(SessionlibError):
                    # Denied and not left open: the turn would wait on with no person to answer it.
                    request.deny(STOPPED)
                raise
    warn(f"{request.tool_name or 'a tool'} was denied, because there is no terminal to ask on (--yes approves)")
    return ApprovalResponse(False, deny_reason=_NOBODY)


@contextlib.contextmanager
def _terminal() -> Iterator[bool]:
    """Puts `input` and `print` on the terminal for a block; returns whether there is one."""
    if is_terminal(sys.stdin) and is_terminal(sys.stdout):
        yield True
        return
    with contextlib.ExitStack() as opened:
        found = is_terminal(sys.stdin) or is_terminal(sys.stderr)
        try:
            # The answer goes to a file, or the question came from one; the person still sits there.
            # The process's controlling terminal, whatever its standard streams are.
            keyboard = opened.enter_context(open(_TERMINAL)) if found else None
            display = opened.enter_context(open(_TERMINAL, "w")) if found else None
        except OSError:
            keyboard = display = None
        if keyboard is None or display is None:
            yield False
            return
        opened.enter_context(contextlib.redirect_stdout(display))
        opened.callback(setattr, sys, "stdin", sys.stdin)
        sys.stdin = keyboard
        yield True
