"""``sessionlib map``: one answer for each line of a file."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from sessionlib.cli.notes import CommandError, warn
from sessionlib.cli.options import NewFile, Positive, Where, Whole, debug_option, examples, where_options
from sessionlib.cli.target import find_agent, reach
from sessionlib.net.retry import Pace

__all__ = ["map_prompts"]


@click.command(
    "map",
    epilog=examples(
        "sessionlib map prompts.jsonl -o answers.jsonl --checkpoint run.db",
        "sessionlib map prompts.jsonl > answers.jsonl",
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE.jsonl")
@click.option("--output", "-o", type=NewFile(), help="File for the answers.")
@click.option("--checkpoint", type=NewFile(), help="File to go on from when run again.")
@click.option("--workers", type=Whole(min=1), metavar="N", default=8, show_default=True, help="Prompts at a time.")
@click.option("--rate", type=Positive(), metavar="N", help="Sessions opened in a second, at most.")
@click.option(
    "--timeout",
    type=Positive(),
    metavar="SECONDS",
    default=300.0,
    show_default=True,
    help="How long each prompt may take.",
)
@where_options
@debug_option
def map_prompts(
    file: Path,
    output: Path | None,
    checkpoint: Path | None,
    workers: int,
    rate: float | None,
    timeout: float,
    where: Where,
) -> None:
    """Ask an agent each prompt of a file, each in a session of its own.

    A line of FILE.jsonl is a JSON string, or an object with a "prompt". Each answer is a line of JSON, in the order of
    the prompts. With --checkpoint, run the same command again after an interruption: nothing is sent twice.
    """
    if where.resumes:
        raise click.UsageError("--session and --continue are not for map: each prompt has a session of its own")
    # Resolved, as one file may be named in two ways; the answers would overwrite the prompts.
    paths = [path.resolve() for path in (file, output, checkpoint) if path is not None]
    if len(set(paths)) < len(paths):
        raise click.UsageError("the prompts, the answers and the checkpoint are three different files")
    # All of them before the first is sent: a line that is wrong is found now.
    prompts = _read(file)
    failed = 0
    with ExitStack() as stack:
        client = stack.enter_context(reach(where))
        client.pace = Pace(rate)
        agent = find_agent(client, where.agent)
        runs = stack.enter_context(
            agent.map(
                prompts,
                max_workers=workers,
                timeout=timeout,
                on_error="return",
                checkpoint=checkpoint,
                # On a terminal: what is done, prompts a second, and an estimate of the rest.
                progress=sys.stderr is not None and sys.stderr.isatty(),
            )
        )
        # Opened last, so that an error before the first prompt leaves an earlier file as it was.
        out = sys.stdout if output is None else stack.enter_context(output.open("w", encoding="utf-8"))
        for index, outcome in enumerate(runs):
            line: dict[str, Any] = {"index": index, "prompt": prompts[index]}
            if isinstance(outcome, BaseException):
                line.update(status="error", error=str(outcome) or type(outcome).__name__)
            else:
                # By its JSON, in which all values are plain.
                line.update(json.loads(outcome.to_json()))
            failed += line["status"] == "error"
            out.write(json.dumps(line) + "\n")
            # So that an interruption leaves whole lines, and `tail -f` shows them.
            out.flush()
    warn(f"{len(prompts) - failed} of {len(prompts)} prompts answered")
    if failed:
        raise CommandError(f"{failed} of {len(prompts)} prompts have an error in place of an answer")


def _read(file: Path) -> list[str]:
    prompts = []
    try:
        lines = file.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise click.UsageError(f"{file} is not UTF-8 text") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            where = f"{file}, line {number}, character {error.pos + 1}"
            raise click.UsageError(f"{where}: not JSON: {error.msg}") from None
        except (ValueError, RecursionError):
            raise click.UsageError(f"{file}, line {number}: a number that is too long, or too deep a nesting") from None
        prompt = value.get("prompt") if isinstance(value, dict) else value
        if not isinstance(prompt, str) or not prompt:
            raise click.UsageError(f'{file}, line {number}: neither a string nor an object with a "prompt"')
        prompts.append(prompt)
    return prompts
