"""Python functions as tools: their declaration, and how they are run within bounds."""

from sessionlib.engine.tools.declare import LocalTool, tool
from sessionlib.engine.tools.run import Outcome, run_tool

__all__ = ["LocalTool", "Outcome", "run_tool", "tool"]
