"""``sessionlib ask``: one question, one answer."""

from __future__ import annotations

import io
import os
import sys
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import HTTPRedirectHandler, Request, build_opener

import click

from sessionlib._util.optional import extra
from sessionlib._util.timing import Deadline
from sessionlib._version import USER_AGENT
from sessionlib.approvals import ApprovalHandler, ApprovalRequest
from sessionlib.cli.notes import CommandError, warn
from sessionlib.cli.options import Positive, Utf8, Where, approval_options, debug_option, examples, where_options
from sessionlib.cli.output import (
    JsonLinesPrinter,
    NotingPrinter,
    Printer,
    SilentPrinter,
    WaitingForApproval,
    follow,
    settle,
)
from sessionlib.cli.prompt import ask_on_terminal
from sessionlib.cli.target import open_session
from sessionlib.content import FileContent
from sessionlib.display.text import TextPrinter, is_terminal
from sessionlib.errors import ApprovalRequiredError, ReauthRequiredError, SessionTimeoutError
from sessionlib.events import ParticipantStatus, SessionEvent
from sessionlib.reply import Reply
from sessionlib.session import Session
from sessionlib.turn import Turn

__all__ = ["ask"]

_CONNECT_TIMEOUT = _WEBHOOK_TIMEOUT = 30.0
_STDIN = Path("-")


@click.command(
    epilog=examples(
        'sessionlib ask "What can you do?"',
        'sort names.txt | sessionlib ask --file - "Who is missing?" --json',
        'sessionlib ask -x "Write a shell script that counts files" > count.sh',
        'sessionlib ask --continue "And hidden ones?"',
    )
)
@click.argument("text", type=Utf8(), required=False)
@click.option(
    "--file",
    "files",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    multiple=True,
    help="File to send along (repeatable); - for standard input.",
)
@click.option("--json", "form", flag_value="json", help="Print the whole reply as one line of JSON.")
@click.option("--jsonl", "form", flag_value="jsonl", help="Print every event as a line of JSON, as it comes.")
@click.option("--extract", "-x", "form", flag_value="code", help="Print only the last code block of the answer.")
@click.option("--timeout", type=Positive(), metavar="SECONDS", help="How long to wait for the answer.")
@click.option("--verbose", "-v", is_flag=True, help="Note on stderr what the agent does besides answering.")
@click.option("--defer", is_flag=True, help="Stop at an approval with status 3; sessionlib approvals answers it.")
@click.option("--defer-to", metavar="FILE_OR_URL", help="As --defer, and append the request to a file, or POST it.")
@approval_options
@where_options
@debug_option
def ask(
    text: str | None,
    files: tuple[Path, ...],
    form: str | None,
    timeout: float | None,
    verbose: bool,
    defer: bool,
    defer_to: str | None,
    decide: ApprovalHandler,
    where: Where,
) -> None:
    """Ask an agent one thing and print its answer as it streams in.

    Without TEXT, or with - for it, the question is read from standard input. With --file and no TEXT, the files are the
    message.
    """
    defer = defer or defer_to is not None
    if defer and decide is not ask_on_terminal:
        raise click.UsageError("--defer excludes --yes and --deny")
    if defer and not where.keeps_sessions:
        raise click.UsageError("--defer needs an engine that keeps sessions: add --db FILE")
    # A handler that decides nothing leaves the request open, without the session's other handlers being asked.
    handler = (lambda request: None) if defer else decide
    # One for all: connecting, what is left over from before, and the answer.
    deadline = Deadline(timeout)
    content, attached = _message(text, files)
    printer = _printer(form, verbose)
    with open_session(where, deadline.sooner(_CONNECT_TIMEOUT).remaining()) as session:
        if verbose:
            warn(f"session {session.session_id}")
        # A turn that waits for an authorisation would end only with the timeout, and there may be none.
        session.on_reauth(_give_up)
        try:
            # A session that is gone on with may wait for an approval, and a message behind that would wait with it.
            if where.resumes:
                _stop_at(settle(session, printer, handler, quiet_seconds=deadline.remaining()), where, defer_to)
            with session.stream(content, files=attached, timeout=deadline.remaining(), on_approval=handler) as turn:
                reply = None if defer else follow(turn, printer)
                while reply is None:
                    try:
                        reply = _follow_to_gate(turn, printer, where)
                    except ApprovalRequiredError:
                        # With none open any more it was answered elsewhere meanwhile, and the turn goes on.
                        _stop_at(session.pending_approvals(), where, defer_to)
        except SessionTimeoutError as error:
            raise CommandError(f"the answer was not complete within {timeout} s{_go_on(where, session)}") from error
        except ReauthRequiredError as error:
            raise CommandError(f"{error}{_go_on(where, session)}") from error
    # Behind the block: the session is left, and what is printed is the last thing that happens.
    if form == "json":
        print(reply.to_json())
    elif form == "code":
        sys.stdout.write(_last_code_block(reply.text))
    if reply.error is not None:
        raise CommandError(f"the agent reported an error: {reply.error}")


def _follow_to_gate(turn: Turn, printer: Printer, where: Where) -> Reply:
    """Shows a turn to its end, as `follow` does, or to the first approval.

    Raises:
        ApprovalRequiredError: It waits for one.
    """
    try:
        for event in turn.attended():
            printer.show(event)
    except ApprovalRequiredError as error:
        if error.request is not None:
            printer.show(error.request.event)
        if not where.is_embedded:
            raise
        # That engine ends with this command: tools that run beside the request are given the time that they need.
        for event in turn:
            printer.show(event)
            if event.participant_status is ParticipantStatus.AWAITING_APPROVAL:
                raise
    finally:
        printer.close()
    return turn.result()


def _stop_at(requests: list[ApprovalRequest], where: Where, target: str | None) -> None:
    """Stops at requests that are left open, once they are where they can be answered from.

    Raises:
        WaitingForApproval: There are some.
        CommandError: They cannot be handed over.
    """
    if not requests:
        return
    stop = WaitingForApproval(requests, where)
    try:
        for request in requests if target is not None else ():
            data = request.to_json().encode()
            if str(target).startswith(("http://", "https://")):
                # With urllib and not the client's pool: the target is no engine, and gets no key.
                headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
                posted = Request(str(target), data, headers, method="POST")
                with build_opener(_NoRedirects).open(posted, timeout=_WEBHOOK_TIMEOUT):
                    pass  # any status that is no success is an error
            else:
                # Arguments are for those who may approve; one write, so that two commands do not mix their lines.
                file = os.open(str(target), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                with open(file, "ab", buffering=0) as lines:
                    lines.write(data + b"\n")
    except (OSError, HTTPException, ValueError) as error:
        reason = f"it could not be handed over to {target}: {_reason(error)}"
        raise CommandError(f"{stop.format_message()}; {reason}") from error
    raise stop


def _reason(error: BaseException) -> str:
    # What a URLError was raised for is in it; the text of a system's error comes without its number.
    cause = getattr(error, "reason", None)
    return _reason(cause) if isinstance(cause, BaseException) else getattr(error, "strerror", None) or str(error)


class _NoRedirects(HTTPRedirectHandler):
    """Refuses redirects: a request goes where the person who runs the command sends it, and nowhere else."""

    def redirect_request(self, *args: Any) -> None:
        """Follows none."""


def _go_on(where: Where, session: Session) -> str:
    return f"; to go on: {where.to_go_on(session.session_id)}" if where.keeps_sessions else ""


def _give_up(event: SessionEvent) -> None:
    # There may be no person to do it, and a command in a script must not block for ever.
    raise ReauthRequiredError(
        "the agent waits until an account is authorised again; do that where its tools are set up",
        session_id=event.session_id,
        event=event,
    )


def _printer(form: str | None, verbose: bool) -> Printer:
    printer: Printer = TextPrinter(sys.stdout)
    if form is not None:
        printer = JsonLinesPrinter(sys.stdout) if form == "jsonl" else SilentPrinter()
    return NotingPrinter(printer) if verbose else printer


def _last_code_block(text: str) -> str:
    with extra("cli", "--extract"):
        from rich.markdown import Markdown
    # By the parser that the chat draws with, so that both see the same blocks.
    blocks = [token.content for token in Markdown(text).parsed if token.type in ("fence", "code_block")]
    if not blocks:
        raise CommandError("the answer has no code block; without --extract it is printed as it is")
    return blocks[-1]


# ---- the question ------------------------------------------------------------------------------


def _message(text: str | None, files: tuple[Path, ...]) -> tuple[Any, list[FileContent]]:
    attached = [_file(path) for path in files]
    if text is None and attached:
        return attached[0], attached[1:]
    if text is None and is_terminal(sys.stdin):
        raise click.UsageError("nothing to ask: give a TEXT, or pipe it in")
    if text in (None, "-"):
        if _STDIN in files:
            raise click.UsageError("standard input cannot be both the text and a file")
        text = _decode(_read())
        if text is None:
            raise click.UsageError("standard input is not UTF-8 text; send it as a file, with --file -")
        # Of echo or an editor; blanks within the text are the user's.
        text = text.rstrip("\n")
    if not text or not text.strip():
        raise click.UsageError("nothing to ask: the text is empty")
    return text, attached


def _file(path: Path) -> FileContent:
    if path != _STDIN:
        return path
    # Read here, since standard input can be read once.
    data = _read()
    file = io.BytesIO(data)
    # By its name the engine knows what it is.
    file.name = "stdin" if _decode(data) is None else "stdin.txt"
    return file


def _decode(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _read() -> bytes:
    # None under pythonw, or where the parent has closed it.
    return b"" if sys.stdin is None else sys.stdin.buffer.read()
