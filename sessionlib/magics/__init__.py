"""The magics ``%sessionlib`` and ``%%ask``, which ``%load_ext sessionlib`` gives an IPython."""

from __future__ import annotations

from typing import Any

from sessionlib.extras import extra

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: Any) -> None:
    """Gives an IPython the magics; what ``%load_ext sessionlib`` calls.

    Args:
        shell: The IPython.

    Raises:
        MissingExtraError: IPython is not installed.
    """
    with extra("notebook", "%load_ext sessionlib"):
        from sessionlib.magics.commands import SessionMagics
    shell.register_magics(SessionMagics)


def unload_ipython_extension(shell: Any) -> None:
    """Leaves the session of the magics; what ``%unload_ext sessionlib`` calls.

    Args:
        shell: The IPython.
    """
    shell.magics_manager.registry["SessionMagics"].close()
