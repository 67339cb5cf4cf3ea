"""The lines of a chat that are for the program and not for the agent."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sessionlib.cli.conversation import Conversation

__all__ = ["COMMANDS", "HELP", "Quit", "find_command"]

Command = Callable[["Conversation", str], None]


class Quit(Exception):
    """The person wants to leave."""


def find_command(line: str) -> tuple[Command, str] | None:
    """Gives the command that a line is, and its argument; None for a line that is for the agent.

    A line that begins with a slash and is no command is the agent's, unless it looks like a slip.
    """
    if not line.startswith("/"):
        return None
    name, _, argument = line.partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        meant = difflib.get_close_matches(name, COMMANDS, 1, cutoff=0.75)
        if not meant:
            return None
        command = _slip
        argument = f"{name}: did you mean {meant[0]}? Nothing was sent."
    return command, argument.strip()


def _slip(conversation: Conversation, told: str) -> None:
    conversation.complain(told)


def _help(conversation: Conversation, argument: str) -> None:
    conversation.view.note(HELP)


def _quit(conversation: Conversation, argument: str) -> None:
    raise Quit


def _file(conversation: Conversation, argument: str) -> None:
    conversation.attach(argument)


def _history(conversation: Conversation, argument: str) -> None:
    conversation.show_history()


def _save(conversation: Conversation, argument: str) -> None:
    conversation.save(argument)


COMMANDS: dict[str, Command] = {
    "/file": _file,
    "/history": _history,
    "/save": _save,
    "/help": _help,
    "/quit": _quit,
    "/exit": _quit,
}

HELP = """\
/file PATH   send a file along with the next message
/history     show what was said so far
/save PATH   write it to a file: Markdown, or what .jsonl, .json, .csv or .txt ask for
/help        show this
/quit        leave; so does Ctrl-D
A line that ends with \\ goes on in the next one. Ctrl-C stops the turn."""
