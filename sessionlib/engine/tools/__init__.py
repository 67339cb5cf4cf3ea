"""Python functions as tools: their declaration, and how they are run within bounds."""

from sessionlib.engine.tools.runner import Outcome, run_tool
from sessionlib.engine.tools.schema import LocalTool, tool

__all__ = ["LocalTool", "Outcome", "run_tool", "tool"]
