"""``sessionlib chat``: a conversation, on a terminal or through pipes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from sessionlib._util.optional import extra
from sessionlib.approvals import ApprovalHandler
from sessionlib.cli.commands import COMMANDS
from sessionlib.cli.conversation import Conversation, View
from sessionlib.cli.notes import tell
from sessionlib.cli.options import Where, approval_options, debug_option, where_options
from sessionlib.cli.output import NotingPrinter
from sessionlib.cli.prompt import Keyboard
from sessionlib.cli.target import open_session
from sessionlib.display.telling import TextPrinter
from sessionlib.display.text import is_terminal
from sessionlib.history import History

__all__ = ["chat"]


@click.command()
@approval_options
@where_options
@debug_option
def chat(decide: ApprovalHandler, where: Where) -> int:
    """Talk to an agent, line by line.

    On a terminal /help tells what can be typed, Ctrl-C stops a turn, Ctrl-D quits. Through pipes every
    line is a message, and the answers come as plain text. What is typed is kept for the next chat, in the file
    SESSIONLIB_CHAT_HISTORY if that is set; set to nothing, it keeps none.
    """
    at_terminal = is_terminal(sys.stdin) and is_terminal(sys.stdout)
    view = _view(at_terminal)
    if at_terminal:  # which has to be put right when it is being drawn on
        signal.signal(signal.SIGTERM, _leave)
    with open_session(where) as session:
        conversation = Conversation(session, view, decide, stoppable=at_terminal)
        if at_terminal:
            view.note(f"Session {session.session_id}. /help tells what can be typed here.")
        if where.session:
            conversation.settle()
        if not at_terminal:
            conversation.run(_piped_line)
            return 1 if conversation.failed else 0
        with Keyboard(COMMANDS, _history_file()) as keyboard:
            conversation.run(keyboard.read)
        if where.keeps_sessions:
            view.note(f"To go on: sessionlib chat {where.to_go_on(session.session_id)}")
    return 0


class PlainView(NotingPrinter):
    """A chat through pipes: answers on stdout, everything else on stderr."""

    tick_seconds = None

    def __init__(self) -> None:
        super().__init__(TextPrinter(sys.stdout))

    def tick(self) -> None:
        """Is never wanted."""

    def note(self, text: str) -> None:
        """Says something of our own."""
        for line in text.splitlines():
            tell(line)

    def error(self, text: str) -> None:
        """Says what went wrong."""
        tell(text)

    def messages(self, history: History) -> None:
        """Writes messages of the history."""
        sys.stdout.write(history.to_text())
        sys.stdout.flush()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _view(at_terminal: bool) -> View:
    if at_terminal and os.environ.get("TERM") != "dumb":
        with extra("cli", "a chat on a terminal"):
            from sessionlib.cli.terminal import Screen
        return Screen()
    return PlainView()


def _piped_line() -> str | None:
    line = sys.stdin.readline() if sys.stdin is not None else ""
    return line or None


def _history_file() -> Path | None:
    named = os.environ.get("SESSIONLIB_CHAT_HISTORY")
    if named is not None:
        return Path(named) if named else None
    home = os.environ.get("XDG_STATE_HOME")
    return Path(home or Path.home() / ".local" / "state") / "sessionlib" / "chat_history"
