"""What only notebooks have: turns that stream into cells, approval forms and prompts, and the magics.

IPython and ipywidgets are imported here and nowhere else, and only when they are used. Nothing here may decide
what an agent may do: it shows, asks, and passes the answer on.
"""

from __future__ import annotations

from typing import Any

from sessionlib._util.optional import extra
from sessionlib.notebook.approvals import approvals, ask_notebook
from sessionlib.notebook.live import LiveReply, begin
from sessionlib.notebook.views import show_turn

__all__ = [
    "LiveReply",
    "approvals",
    "ask_notebook",
    "begin",
    "load_ipython_extension",
    "show_turn",
    "unload_ipython_extension",
]


def load_ipython_extension(shell: Any) -> None:
    """Returns an IPython the magics; what ``%load_ext sessionlib`` calls.

    Args:
        shell: The IPython.

    Raises:
        MissingExtraError: IPython is not installed.
    """
    with extra("notebook", "%load_ext sessionlib"):
        from sessionlib.notebook.magics import SessionMagics
    shell.register_magics(SessionMagics)


def unload_ipython_extension(shell: Any) -> None:
    """Leaves the session of the magics; what ``%unload_ext sessionlib`` calls.

    Args:
        shell: The IPython.
    """
    shell.magics_manager.registry["SessionMagics"].close()
