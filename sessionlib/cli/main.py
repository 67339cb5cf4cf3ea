"""The command that all others stand under."""

from __future__ import annotations

import click

from sessionlib._version import __version__
from sessionlib.cli.ask import ask
from sessionlib.cli.chat import chat
from sessionlib.cli.doctor import doctor
from sessionlib.cli.history import history
from sessionlib.cli.models import models
from sessionlib.cli.options import debug_option
from sessionlib.cli.serve import serve

__all__ = ["app"]


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="sessionlib", message="%(prog)s %(version)s")
@debug_option
@click.pass_context
def app(context: click.Context) -> None:
    """Talk to live AI agent sessions from the command line.

    The engine and the key come from SESSIONLIB_BASE_URL and SESSIONLIB_API_KEY. Without them, an engine
    embedded in this program answers.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (ask, chat, history, serve, models, doctor):
    app.add_command(command)
