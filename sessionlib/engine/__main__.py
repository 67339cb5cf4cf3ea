"""``python -m sessionlib.engine``: serves an engine, as ``sessionlib serve`` does."""

from __future__ import annotations

import argparse
import sys

from sessionlib.engine.errors import EngineError
from sessionlib.engine.serve import serve


def main(arguments: list[str] | None = None) -> int:
    """Serves until it is stopped.

    Args:
        arguments: The command line's, without the program's name.

    Returns:
        The exit status.
    """
    # argparse and not click, which another extra brings.
    parser = argparse.ArgumentParser(prog="python -m sessionlib.engine", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--db", metavar="FILE")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--tools", metavar="FILE.py")
    parser.add_argument("--keep-days", type=float, metavar="DAYS")
    parser.add_argument("--check", action="store_true", dest="full_check")
    parser.add_argument("--allow-remote", action="store_true")
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", dest="allowed_hosts")
    parser.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN", dest="allowed_origins")
    try:
        serve(**vars(parser.parse_args(arguments)), announce=_announce)
    except (EngineError, ValueError, OSError) as error:
        sys.stderr.write(f"sessionlib engine: {error}\n")
        return 1
    return 0


def _announce(text: str) -> None:
    sys.stdout.write(text + "\n")
    # A program that starts the engine waits for the line with its address, through a pipe.
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
