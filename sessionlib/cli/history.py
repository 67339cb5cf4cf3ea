"""``sessionlib history``: the messages of a session."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from sessionlib.cli.options import Where, debug_option, where_options
from sessionlib.cli.target import open_session
from sessionlib.display.text import clean, is_terminal
from sessionlib.history import History

__all__ = ["history"]

_FORMS = {"json": History.to_json, "jsonl": History.to_jsonl, "markdown": History.to_markdown}


@click.command()
@click.argument("session_id", metavar="[ID]", required=False)
@click.option("--json", "form", flag_value="json", help="Print one JSON list, as the engine has the messages.")
@click.option("--jsonl", "form", flag_value="jsonl", help="Print each message as a line of JSON.")
@click.option("--markdown", "form", flag_value="markdown", help="Print Markdown.")
@where_options
@debug_option
def history(session_id: str | None, form: str | None, where: Where) -> None:
    """Print the messages of the session ID, oldest first.

    The session itself knows its agent: --agent is not needed.
    """
    if session_id and where.session and session_id != where.session:
        raise click.UsageError(f"two sessions are named: {session_id} and {where.session}")
    where = replace(where, session=session_id or where.session)
    if where.session is None:
        raise click.UsageError("which session? Give its ID")
    where.check()
    with open_session(where) as session:
        text = _FORMS.get(form or "", History.to_text)(session.history())
    sys.stdout.write(clean(text) if is_terminal(sys.stdout) else text)
