"""``sessionlib sessions``, ``history`` and ``approvals``: which there were, what one holds, and what it waits for."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from datetime import datetime

import click

from sessionlib.approvals.policies import full_lines, quoted
from sessionlib.cli.notes import CommandError, known_sessions, warn
from sessionlib.cli.options import Utf8, Where, complete_sessions, debug_option, examples, where_options
from sessionlib.cli.output import NotingPrinter, WaitingForApproval, settle
from sessionlib.cli.target import open_session
from sessionlib.content import ApprovalResponse
from sessionlib.display.text import TextPrinter, call_text, clean, count_of, is_terminal
from sessionlib.history import History

__all__ = ["approvals", "history", "sessions"]

_FORMS = {"json": History.to_json, "jsonl": History.to_jsonl, "markdown": History.to_markdown}


@click.command(epilog=examples("sessionlib sessions", "sessionlib sessions --json"))
@click.option("--json", "as_json", is_flag=True, help="Print each session as a line of JSON.")
@debug_option
def sessions(as_json: bool) -> None:
    """List the sessions that commands have opened, the latest first.

    Only ids, agents, places and times are kept, in the file SESSIONLIB_SESSIONS if that is set; set to nothing, it
    keeps none. Messages stay in the engine: sessionlib history ID prints them.
    """
    # Of this user's commands on this machine: engines have no call that lists sessions.
    known = known_sessions()
    if not known:
        warn("no session is known; those of the embedded engine last only with --db FILE")
    for one in known:
        # Kept in UTC, shown in the time of the machine.
        when = datetime.fromisoformat(one.used_at).astimezone().strftime("%Y-%m-%d %H:%M")
        click.echo(
            json.dumps(asdict(one)) if as_json else clean(f"{one.session_id}  {when}  {one.agent or '-'}  {one.place}")
        )


@click.command(epilog=examples("sessionlib history --continue", "sessionlib history --continue --markdown"))
@click.argument("session_id", metavar="[ID]", required=False, shell_complete=complete_sessions)
@click.option("--json", "form", flag_value="json", help="Print one JSON list, as the engine has the messages.")
@click.option("--jsonl", "form", flag_value="jsonl", help="Print each message as a line of JSON.")
@click.option("--markdown", "form", flag_value="markdown", help="Print Markdown.")
@where_options
@debug_option
def history(session_id: str | None, form: str | None, where: Where) -> None:
    """Print the messages of the session ID, oldest first.

    The session itself knows its agent: --agent is not needed.
    """
    with open_session(_named(where, session_id)) as session:
        text = _FORMS.get(form or "", History.to_text)(session.history())
    # A file gets the text as it is; on a terminal, control characters in it would be obeyed.
    sys.stdout.write(clean(text) if is_terminal(sys.stdout) else text)


@click.command(epilog=examples("sessionlib approvals --continue", "sessionlib approvals --continue --json"))
@click.argument("session_id", metavar="[ID]", required=False, shell_complete=complete_sessions)
@click.option("--approve", metavar="ID", help="Let the tool of this request run.")
@click.option("--deny", metavar="ID", help="Do not let it run.")
@click.option("--reason", type=Utf8(), metavar="TEXT", help="With --deny: what the agent is given as the reason.")
@click.option("--json", "as_json", is_flag=True, help="List each request as a line of JSON.")
@where_options
@debug_option
def approvals(
    session_id: str | None, approve: str | None, deny: str | None, reason: str | None, as_json: bool, where: Where
) -> None:
    """List the approval requests that the session ID waits for, or answer one of them.

    After an answer it follows the agent to the end of its turn, and exits with status 3 if that waits for another
    approval.
    """
    if "" in (approve, deny):
        raise click.UsageError("--approve and --deny take the ID of a request, which is empty")
    if approve and deny:
        raise click.UsageError("--approve and --deny exclude one another")
    if reason is not None and not deny:
        raise click.UsageError("--reason is for --deny")
    where = _named(where, session_id)
    with open_session(where) as session:
        requests = session.pending_approvals()
        if not (approve or deny):
            for request in requests:
                lines = [f"{request.message_id}: {quoted(request.tool_name or 'a tool')}", *full_lines(request)]
                click.echo(request.to_json() if as_json else "\n".join(lines))
            if not requests:
                warn(f"session {session.session_id} waits for no approval")
            return
        named = [request for request in requests if request.message_id == (approve or deny)]
        if not named:
            # `pending_approvals` has looked through the history, so that answered ones are known as well.
            known = any(record.event.message_id == (approve or deny) for record in session.approvals)
            what = "has been answered, or its turn is over" if known else "is no request of this session"
            raise CommandError(f"{approve or deny} {what}; it waits for {count_of(len(requests), 'request')}")
        warn(f"{'approving' if approve else 'denying'} {call_text(named[0].tool_name, named[0].arguments)}")
        answer = ApprovalResponse(bool(approve), deny_reason=reason)
        printer = NotingPrinter(TextPrinter(sys.stdout))
        # Of several requests that wait, the one that is named; the rest stay open.
        left = settle(session, printer, lambda other: answer if other.message_id == named[0].message_id else None)
        record = named[0].record
        if record is None or record.by != "answer":
            raise CommandError(f"the answer to {named[0].message_id} came too late")
        if left:
            raise WaitingForApproval(left, where)


def _named(where: Where, session_id: str | None) -> Where:
    """Returns where a session is that may be named as the argument or as the option."""
    if session_id and where.session and session_id != where.session:
        raise click.UsageError(f"two sessions are named: {session_id} and {where.session}")
    where = replace(where, session=session_id or where.session)
    if not where.resumes:
        raise click.UsageError("which session? Give its ID, or --continue for the last one")
    where.check()
    return where
