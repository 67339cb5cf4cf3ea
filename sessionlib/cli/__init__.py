"""The command line; it needs the extra ``[cli]``.

Nothing in the package imports it, and it imports the embedded engine only where a command runs on it.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits.

    Args:
        args: The arguments; None takes the process's own.

    Raises:
        SystemExit: Always; 0 when all went well, 1 for an error, 2 for wrong usage, 3 where an approval is
            missing, 130 after Ctrl-C.
    """
    before = sys.unraisablehook

    def again_outside(unraisable: sys.UnraisableHookArgs) -> None:
        # Has Ctrl-C come again when its KeyboardInterrupt was raised where Python ignores exceptions: in finalizers and
        # in callbacks of weak references, such as those with which importlib frees its locks.
        if unraisable.exc_type is not KeyboardInterrupt:
            before(unraisable)
            return
        # Not here, where it would be ignored as well. On Windows, os.kill ends the process.
        send = signal.raise_signal if os.name == "nt" else functools.partial(os.kill, os.getpid())
        # By a signal to the process, which Python turns into an exception on the main thread, between two of its
        # instructions.
        again = threading.Timer(0.01, send, (signal.SIGINT,))
        again.daemon = True
        again.start()

    sys.unraisablehook = again_outside
    try:
        from sessionlib.cli.main import run
    except ModuleNotFoundError as error:
        # Without click there is no command line to report it in its own way.
        if error.name != "click":
            raise
        sys.exit("sessionlib: the command line needs click; install it with: pip install 'sessionlib[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run(args))
