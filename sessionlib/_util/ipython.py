"""Which cell of a notebook, or line of an IPython, is being run."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["shell_here", "this_cell"]


def shell_here() -> Any:
    """Gives the IPython that this process runs in; None when it runs in none."""
    # Whoever is in a notebook has IPython loaded; nobody else is made to load it.
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def this_cell() -> int | None:
    """Gives the number of the cell that is being run; None outside of IPython."""
    return getattr(shell_here(), "execution_count", None)
