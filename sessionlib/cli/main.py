"""The command that all subcommands belong to."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import get_completion_class

from sessionlib._version import __version__
from sessionlib.cli.ask import ask
from sessionlib.cli.chat import chat
from sessionlib.cli.doctor import doctor
from sessionlib.cli.map import map_prompts
from sessionlib.cli.notes import explain, warn
from sessionlib.cli.options import Debug, debug_option, examples
from sessionlib.cli.serve import models, serve
from sessionlib.cli.sessions import approvals, history, sessions
from sessionlib.errors import MissingExtraError

__all__ = ["app", "run"]


class _Commands(click.Group):
    """The commands, of which `port` is imported on use: it needs libcst, which is slow to import and an extra."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Returns the names of all commands."""
        return sorted([*super().list_commands(context), "port"])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Returns the command of a name, or None; without libcst, a `port` that raises what is missing."""
        if name != "port":
            return super().get_command(context, name)
        try:
            from sessionlib.cli.port import port
        except MissingExtraError as error:
            missing = error

            def fail() -> None:
                raise missing

            # Whatever follows, what is missing is what is reported.
            options = {"ignore_unknown_options": True, "allow_extra_args": True}
            return click.Command(
                name, callback=fail, context_settings=options, short_help=str(error), add_help_option=False
            )
        return port

    def invoke(self, context: click.Context) -> Any:
        """Runs the command; an option without its argument, too, is reported with the command that has it."""
        try:
            return super().invoke(context)
        except click.UsageError as error:
            command = self.get_command(context, context.invoked_subcommand or "")
            if error.ctx is None and command is not None:
                error.ctx = click.Context(command, context, context.invoked_subcommand)
            raise


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples('sessionlib ask "What can you do?"', "sessionlib chat", "sessionlib ask --help"),
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


@click.command(
    epilog=examples('eval "$(sessionlib completion bash)"', "sessionlib completion fish > sessionlib.fish"),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@debug_option
def completion(shell: str) -> None:
    """Print what makes a shell complete commands, options, files and known sessions.

    For each new shell: put the first example into ~/.bashrc, with zsh instead of bash into ~/.zshrc; for fish, keep
    the file of the second in ~/.config/fish/completions.
    """
    source = get_completion_class(shell)
    assert source is not None  # all that the argument may be
    if shell == "zsh":
        # Where the user's own file has not switched completion on, there is no compdef to register with.
        click.echo("(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }")
    click.echo(source(app, {}, "sessionlib", "_SESSIONLIB_COMPLETE").source())


for command in (ask, chat, map_prompts, sessions, history, approvals, serve, models, doctor, completion):
    app.add_command(command)


_INTERRUPTED = 130


def run(args: Sequence[str] | None = None) -> int:
    """Runs the command that the arguments name.

    Args:
        args: The arguments; None takes the process's own.

    Returns:
        The exit status.
    """
    # What cannot be written in the terminal's encoding is shown as well as it can be.
    for name in ("stdout", "stderr", "stdin"):
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
        elif stream is None and name != "stdin":
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - as long as the process
    # Without a handler, warnings of the library would go to stderr in a form of their own.
    logging.getLogger("sessionlib").addHandler(logging.NullHandler())
    debug = Debug()
    try:
        # Not standalone: click would print errors in its own form, and exit by itself.
        columns = shutil.get_terminal_size().columns
        # By itself click folds help at 50 columns where there are fewer.
        width = max(columns - 2, 20) if columns < 52 else None
        status = app.main(args, prog_name="sessionlib", standalone_mode=False, obj=debug, terminal_width=width)
        # Here, where a reader that is gone can still be noticed.
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader is gone: Python flushes stdout again at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - whatever it is, the user gets one line
        return _fail(error, debug)
    return status if isinstance(status, int) else 0


def _fail(error: Exception, debug: Debug) -> int:
    details, status = explain(error)
    if debug.on:
        traceback.print_exception(error)
    warn(details)
    return status
