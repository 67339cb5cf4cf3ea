"""One-line notes on stderr."""

from __future__ import annotations

import sqlite3
import sys

import click

from sessionlib.display.text import one_line
from sessionlib.errors import SessionlibError

__all__ = ["CommandError", "explain", "tell"]


def tell(text: str) -> None:
    """Writes one line to stderr, under the program's name."""
    if sys.stderr is not None:
        print(f"sessionlib: {one_line(text)}", file=sys.stderr, flush=True)


class CommandError(click.ClickException):
    """A command cannot go on; its text is all that the user needs to know."""


def explain(error: BaseException) -> tuple[str, int]:
    """Returns what to say about an error, in one line, and the exit status."""
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "sessionlib"
        return f"{error.format_message()} (see {command} --help)", error.exit_code
    if isinstance(error, click.ClickException):
        return error.format_message(), error.exit_code
    if isinstance(error, SessionlibError):
        return str(error) or type(error).__name__, 1
    if isinstance(error, (OSError, sqlite3.Error, ValueError)):
        return _system(error), 1
    return f"unexpected {type(error).__name__}: {error}; --debug shows where it came from", 1


def _system(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__
