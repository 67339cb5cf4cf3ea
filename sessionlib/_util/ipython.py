"""Which cell of a notebook, or line of an IPython, is being run."""

from __future__ import annotations

import sys
import threading
from typing import Any

__all__ = ["is_free", "kernel_here", "runs_a_cell", "shell_here", "takes_input", "this_cell"]


def shell_here() -> Any:
    """Returns the IPython that this process runs in; None when it runs in none."""
    # In a notebook IPython is loaded; elsewhere it is not imported for this.
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def this_cell() -> int | None:
    """Returns the number of the cell that is being run; None outside of IPython."""
    return getattr(shell_here(), "execution_count", None)


def kernel_here() -> Any:
    """Returns the Jupyter kernel that this process is; None when it is none."""
    return getattr(shell_here(), "kernel", None)


def takes_input(kernel: Any) -> bool:
    """Whether somebody sits in front of it: not so where notebooks are run as scripts."""
    return bool(getattr(kernel, "_allow_stdin", True))


def runs_a_cell(thread_id: int | None) -> bool:
    """Whether a thread is in the middle of a cell's code."""
    frame = sys._current_frames().get(thread_id or 0)
    while frame is not None:
        if frame.f_code.co_name == "run_code" and frame.f_globals.get("__name__") == "IPython.core.interactiveshell":
            return True
        frame = frame.f_back
    return False


def is_free() -> bool:
    """Whether the kernel can take in a click: its main thread does, between cells."""
    return not runs_a_cell(threading.main_thread().ident)
