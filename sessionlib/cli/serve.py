"""``sessionlib serve``: the embedded engine as a server of its own."""

from __future__ import annotations

import os

import click

from sessionlib.cli.options import EngineOptions, Positive, Whole, debug_option, engine_options, examples
from sessionlib.cli.target import ensure_agent
from sessionlib.config import is_loopback

__all__ = ["serve"]


@click.command(epilog=examples("sessionlib serve", "sessionlib serve --port 8400 --db shop.db --tools shop.py"))
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=Whole(0, 65535), default=0, help="Port to listen on; any free one by default.")
@click.option("--allow-remote", is_flag=True, help="Let ADDRESS be one that other machines reach.")
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
        raise click.UsageError(f"{host} can be reached from other machines: add --allow-remote to mean it")
    # Here, so that --help needs neither the engine nor its extra.
    from sessionlib.engine import LocalEngine
    from sessionlib.engine import serve as run_engine

    def prepare(started: LocalEngine) -> None:
        # Without an agent no client could begin a session.
        ensure_agent(started, agent)

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


def _announce(text: str) -> None:
    click.echo(text)  # which flushes: the program that started this waits for the line
