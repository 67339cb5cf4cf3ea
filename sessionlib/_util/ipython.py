"""The IPython shell, cell and kernel that this process runs in, without importing IPython."""

from __future__ import annotations

import sys
import threading
from typing import Any

__all__ = ["is_free", "kernel_here", "runs_a_cell", "shell_here", "takes_input", "this_cell"]


def shell_here() -> Any:
    """Returns the IPython shell of this process; None when there is none."""
    # In a notebook IPython is imported already, and importing it anywhere else would take half a second.
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def this_cell() -> int | None:
    """Returns the number of the cell that is being run; None outside of IPython."""
    return getattr(shell_here(), "execution_count", None)


def kernel_here() -> Any:
    """Returns the Jupyter kernel of this process; None when there is none."""
    return getattr(shell_here(), "kernel", None)


def takes_input(kernel: Any) -> bool:
    """Whether a kernel can ask its user for input, which it cannot when a notebook is run as a script."""
    # ipykernel has no public name for what the frontend sent as allow_stdin.
    return bool(getattr(kernel, "_allow_stdin", True))


def runs_a_cell(thread_id: int | None) -> bool:
    """Whether a thread is running a cell's code."""
    # IPython has no flag for it that other threads can read: its frame of `run_code` is on the stack meanwhile.
    frame = sys._current_frames().get(thread_id or 0)
    while frame is not None:
        if frame.f_code.co_name == "run_code" and frame.f_globals.get("__name__") == "IPython.core.interactiveshell":
            return True
        frame = frame.f_back
    return False


def is_free() -> bool:
    """Whether the kernel can handle widget events now: its main thread does so only between cells."""
    return not runs_a_cell(threading.main_thread().ident)
