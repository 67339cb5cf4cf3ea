"""Running the command line once: from its arguments to an exit status."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence

import click

from sessionlib.cli.failures import explain
from sessionlib.cli.main import app
from sessionlib.cli.notes import tell
from sessionlib.cli.options import Debug

__all__ = ["run"]

_INTERRUPTED = 130


def run(args: Sequence[str] | None = None) -> int:
    """Runs the command that the arguments name.

    Args:
        args: The arguments; None takes the process's own.

    Returns:
        The exit status.
    """
    _prepare_streams()
    debug = Debug()
    try:
        status = app.main(args, prog_name="sessionlib", standalone_mode=False, obj=debug)
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except BrokenPipeError:
        return _reader_is_gone()
    except Exception as error:  # noqa: BLE001 - whatever it is, the user gets one line
        return _fail(error, debug)
    return status if isinstance(status, int) else 0


def _prepare_streams() -> None:
    # What cannot be written in the terminal's encoding is shown as well as it can be.
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace")
    # Without a handler, warnings of the library would go to stderr in a form of their own.
    logging.getLogger("sessionlib").addHandler(logging.NullHandler())


def _fail(error: Exception, debug: Debug) -> int:
    told, status = explain(error)
    if debug.on:
        traceback.print_exception(error)
    tell(told)
    return status


def _reader_is_gone() -> int:
    # Python flushes stdout once more at its end, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
