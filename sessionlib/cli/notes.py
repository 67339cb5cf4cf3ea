"""What the command line reports in one line, and what it keeps of a run: which sessions there were."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import click

from sessionlib.display.text import one_line
from sessionlib.errors import SessionlibError

__all__ = [
    "CommandError",
    "KnownSession",
    "explain",
    "in_options",
    "keep_session",
    "known_sessions",
    "state_file",
    "warn",
]


def warn(text: str) -> None:
    """Writes one line to stderr, under the program's name."""
    if sys.stderr is not None:
        # One line without control characters: most of it is text of an engine.
        print(f"sessionlib: {one_line(text)}", file=sys.stderr, flush=True)


class CommandError(click.ClickException):
    """A command cannot go on; its text is all that the user needs to know."""


def explain(error: BaseException) -> tuple[str, int]:
    """Returns the one line that describes an error, and the exit status."""
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "sessionlib"
        return f"{error.format_message()} (see {command} --help)", error.exit_code
    if isinstance(error, click.ClickException):
        return error.format_message(), error.exit_code
    if isinstance(error, SessionlibError):
        return in_options(str(error)) or type(error).__name__, 1
    if isinstance(error, OSError) and error.strerror:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) and not error.filename:
            return f"the output cannot be written: {error.strerror}", 1
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror, 1
    if isinstance(error, (OSError, sqlite3.Error, ValueError)):
        return str(error) or type(error).__name__, 1
    # An error of ours, for which there is no better word.
    return f"unexpected {type(error).__name__}: {error}; --debug shows where it came from", 1


# How the library names what a command names otherwise.
_AS_OPTIONS = (
    ("pass api_key=..., set sessionlib.api_key, or set", "set"),
    (", or pass allow_insecure=True on a network you trust", ""),
    ("; connect() resumes it", ""),
    ("Check base_url.", "Check the base URL."),
    ("pass an api_key and allow_remote=True", "set SESSIONLIB_API_KEY and add --allow-remote"),
)


def in_options(text: str) -> str:
    """Returns an error of the library in the terms of the command line."""
    for argument, option in _AS_OPTIONS:
        text = text.replace(argument, option)
    return text


# ---- the sessions that there were ----------------------------------------------------------

# The file is read and written whole, with each session.
_MAX_KEPT = 100


@dataclass(frozen=True)
class KnownSession:
    """A session that a command has opened.

    Attributes:
        session_id: Its id.
        agent: The name of its agent, where that was known.
        place: The engine's base URL, or the file that an embedded engine keeps it in.
        used_at: When a command last opened it (ISO 8601, UTC).
    """

    session_id: str
    agent: str | None
    place: str
    used_at: str


def known_sessions() -> list[KnownSession]:
    """Returns the sessions that commands have opened, the latest first; 100 at most are kept."""
    file = state_file("SESSIONLIB_SESSIONS", "sessions.jsonl")
    found: dict[tuple[str, str], KnownSession] = {}
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in reversed(file.read_text("utf-8").splitlines() if file else []):
            with contextlib.suppress(ValueError, TypeError):
                known = KnownSession(**json.loads(line))
                # The latest first, so that an older line of the same session does not replace it.
                found.setdefault((known.place, known.session_id), known)
    return list(found.values())[:_MAX_KEPT]


def keep_session(session_id: str, agent: str | None, place: str) -> None:
    """Notes that a session has been opened, in a file for the user alone: no message and no key is in it.

    SESSIONLIB_SESSIONS names another file; set to nothing, it keeps none. A command is not worth failing for it.
    """
    file = state_file("SESSIONLIB_SESSIONS", "sessions.jsonl")
    if file is None:
        return
    before = known_sessions()
    # A session that is resumed by its id alone does not know its agent.
    agent = agent or next((known.agent for known in before if known.session_id == session_id), None)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    kept = [*reversed(before[: _MAX_KEPT - 1]), KnownSession(session_id, agent, place, now)]
    text = "".join(json.dumps(asdict(known)) + "\n" for known in kept)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Replaced as a whole, so that two commands at once leave a file that can be read; its mode is 0600.
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as written:
            written.write(text)
        os.replace(written.name, file)


def state_file(variable: str, name: str) -> Path | None:
    """Returns a file that the command line keeps for its user: that of a variable, which may be set to nothing."""
    named = os.environ.get(variable)
    if named is not None:
        return Path(named) if named else None
    home = os.environ.get("XDG_STATE_HOME")
    return Path(home or Path.home() / ".local" / "state") / "sessionlib" / name
