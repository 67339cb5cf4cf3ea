"""The command line; it needs the extra ``[cli]``.

Nothing in the package imports it, and it imports the embedded engine only where a command runs on it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits.

    Args:
        args: The arguments; None takes the process's own.

    Raises:
        SystemExit: Always; 0 when all went well, 1 for an error, 2 for wrong usage, 130 after Ctrl-C.
    """
    try:
        from sessionlib.cli.main import run
    except ModuleNotFoundError as error:
        # Without click there is no command line that could say so in its own way.
        if error.name != "click":
            raise
        sys.exit("sessionlib: the command line needs click; install it with: pip install 'sessionlib[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run(args))
