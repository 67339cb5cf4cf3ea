"""Tools from a Python file."""

from __future__ import annotations

import runpy
from typing import Any

from sessionlib.engine.errors import EngineError
from sessionlib.engine.tools.schema import LocalTool

__all__ = ["load_tools"]


def load_tools(path: str) -> list[LocalTool[..., Any]]:
    """Gives the tools that a Python file declares.

    Raises:
        EngineError: It cannot be run, or declares none.
    """
    try:
        found = runpy.run_path(path, run_name="sessionlib_tools").values()
    except Exception as error:
        raise EngineError(f"the tools file {path} cannot be run: {type(error).__name__}: {error}") from error
    declared = {id(item): item for item in found if isinstance(item, LocalTool)}
    if not declared:
        raise EngineError(f"the tools file {path} declares no tool; put @tool on its functions")
    return list(declared.values())
