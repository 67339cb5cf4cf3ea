"""``sessionlib ask``: one question, one answer."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import click

from sessionlib._util.timing import Deadline
from sessionlib.approvals import ApprovalHandler
from sessionlib.cli.notes import CommandError, tell
from sessionlib.cli.options import Where, approval_options, debug_option, where_options
from sessionlib.cli.output import JsonLinesPrinter, NotingPrinter, Printer, SilentPrinter, follow, settle
from sessionlib.cli.target import open_session
from sessionlib.content import FileContent
from sessionlib.display.text import TextPrinter, is_terminal
from sessionlib.errors import ReauthRequiredError, SessionTimeoutError
from sessionlib.events import SessionEvent
from sessionlib.reply import Reply
from sessionlib.session import Session

__all__ = ["ask"]

_CONNECT_TIMEOUT = 30.0
_STDIN = Path("-")


@click.command()
@click.argument("text", required=False)
@click.option(
    "--file",
    "files",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    multiple=True,
    help="File to send along (repeatable); - for standard input.",
)
@click.option("--json", "form", flag_value="json", help="Print the whole reply as one line of JSON.")
@click.option("--jsonl", "form", flag_value="jsonl", help="Print every event as a line of JSON, as it comes.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="When to give up.")
@click.option("--verbose", "-v", is_flag=True, help="Note on stderr what the agent does besides answering.")
@approval_options
@where_options
@debug_option
def ask(
    text: str | None,
    files: tuple[Path, ...],
    form: str | None,
    timeout: float | None,
    verbose: bool,
    decide: ApprovalHandler,
    where: Where,
) -> None:
    """Ask an agent one thing and print its answer as it streams in.

    With - for TEXT the question is read from standard input; so it is without TEXT, unless there are files.
    """
    deadline = Deadline(timeout)
    content, attached = _message(text, files)
    printer = _printer(form, verbose)
    with open_session(where, deadline.sooner(_CONNECT_TIMEOUT).remaining()) as session:
        if verbose:
            tell(f"session {session.session_id}")
        try:
            if where.session:
                settle(session, printer, decide, quiet_seconds=deadline.remaining())
            reply = _converse(session, content, attached, deadline, printer, decide)
        except SessionTimeoutError as error:
            raise CommandError(f"the answer was not complete within {timeout} s{_go_on(where, session)}") from error
        except ReauthRequiredError as error:
            raise CommandError(f"{error}{_go_on(where, session)}") from error
    if form == "json":
        print(reply.to_json())
    if reply.error is not None:
        raise CommandError(f"the agent reported an error: {reply.error}")


def _converse(
    session: Session,
    content: Any,
    files: list[FileContent],
    deadline: Deadline,
    printer: Printer,
    decide: ApprovalHandler,
) -> Reply:
    session.on_reauth(_give_up)
    turn = session.stream(content, files=files, timeout=deadline.remaining(), on_approval=decide)
    with turn:
        return follow(turn, printer)


def _go_on(where: Where, session: Session) -> str:
    return f"; to go on: {where.to_go_on(session.session_id)}" if where.keeps_sessions else ""


def _give_up(event: SessionEvent) -> None:
    # Nobody may be there to see to it, and a command in a script must not wait for ever.
    raise ReauthRequiredError(
        "the agent waits until an account is authorised again; do that where its tools are set up",
        session_id=event.session_id,
        event=event,
    )


def _printer(form: str | None, verbose: bool) -> Printer:
    printer: Printer = TextPrinter(sys.stdout)
    if form is not None:
        printer = SilentPrinter() if form == "json" else JsonLinesPrinter(sys.stdout)
    return NotingPrinter(printer) if verbose else printer


# ---- the question ------------------------------------------------------------------------------


def _message(text: str | None, files: tuple[Path, ...]) -> tuple[Any, list[FileContent]]:
    attached = [_file(path) for path in files]
    if text is None and attached:
        return attached[0], attached[1:]
    if text is None and is_terminal(sys.stdin):
        raise click.UsageError("nothing to ask: give a TEXT, or pipe it in")
    if text in (None, "-"):
        text = _read_text(used=_STDIN in files)
    if not text or not text.strip():
        raise click.UsageError("nothing to ask: the text is empty")
    return text, attached


def _file(path: Path) -> FileContent:
    if path != _STDIN:
        return path
    data = _read()
    file = io.BytesIO(data)
    # By its name the engine knows what it is.
    file.name = "stdin" if _decode(data) is None else "stdin.txt"
    return file


def _read_text(used: bool) -> str:
    if used:
        raise click.UsageError("standard input cannot be both the text and a file")
    text = _decode(_read())
    if text is None:
        raise click.UsageError("standard input is not UTF-8 text; send it as a file, with --file -")
    return text.rstrip("\n")


def _decode(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _read() -> bytes:
    return b"" if sys.stdin is None else sys.stdin.buffer.read()
