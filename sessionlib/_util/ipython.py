"""The IPython shell, cell and kernel that this process runs in, without importing IPython."""

from __future__ import annotations

import builtins
import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

__all__ = [
    "in_one_line",
    "is_between_cells",
    "is_free",
    "kernel_here",
    "runs_a_cell",
    "shell_here",
    "takes_input",
    "this_cell",
    "without_input",
]


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


def in_one_line(error: BaseException) -> None:
    """Makes IPython show an interrupt in one line, instead of a page of frames that the user did not write."""
    if isinstance(error, KeyboardInterrupt):
        line = "KeyboardInterrupt: stopped; the session stays open"
        # What IPython asks an exception for; it takes an attribute of the object for a method.
        vars(error)["_render_traceback_"] = lambda *frames: [line]


def takes_input(kernel: Any) -> bool:
    """Whether a kernel can ask its user for input, which it cannot when a notebook is run as a script."""
    # ipykernel has no public name for what the frontend sent as allow_stdin.
    return bool(getattr(kernel, "_allow_stdin", True))


@contextlib.contextmanager
def without_input() -> Iterator[None]:
    """Makes ``input()`` and ``getpass()`` raise RuntimeError for a block that a kernel runs between cells.

    The frontend is asked only while a cell runs. Between cells they read the kernel's own standard input, a pipe that
    nothing is ever written to, and would hold the kernel until it is killed.
    """

    def refuse(*args: object, **options: object) -> NoReturn:
        raise RuntimeError("there is no prompt between cells: decide without input(), or with ask_notebook")

    import getpass  # here, because it is of use in a kernel alone

    before = builtins.input, getpass.getpass
    builtins.input = getpass.getpass = refuse
    try:
        yield
    finally:
        builtins.input, getpass.getpass = before


def is_between_cells() -> bool:
    """Whether this is the kernel's own thread while no cell runs, which must not block on a person."""
    return threading.current_thread() is threading.main_thread() and not runs_a_cell(threading.get_ident())


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
