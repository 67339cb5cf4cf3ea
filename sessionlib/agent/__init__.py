"""Agents: what they are made of, and how to fetch, make, change and run them.

Here live the objects of an agent, their wire forms and the ways to run one. Sessions do not belong here: an agent
opens them, and they know nothing of agents.
"""

import sys
from typing import TYPE_CHECKING

from sessionlib.agent import agent, tools
from sessionlib.agent.agent import Agent
from sessionlib.agent.models import (
    AgentRunResult,
    AgentType,
    BumpLevel,
    ConversationalAgentRunResult,
    IOConfig,
    IoConfig,
    LLMInfo,
    LlmInfo,
    McpServer,
    MemoryConfig,
)
from sessionlib.agent.tool import Tool, ToolApprovalConfig, ToolInput, ToolInputType
from sessionlib.agent.tools import AgentTools, CustomTool, McpConnectorTool, McpServerTool
from sessionlib.errors import ConversationalRunActionRequiredError

if TYPE_CHECKING:
    from sessionlib.agent.tool_classes import *  # noqa: F403 - what __getattr__ below finds

__all__ = [
    "Agent",
    "AgentRunResult",
    "AgentTools",
    "AgentType",
    "BumpLevel",
    "ConversationalAgentRunResult",
    "ConversationalRunActionRequiredError",
    "CustomTool",
    "IOConfig",
    "IoConfig",
    "LLMInfo",
    "LlmInfo",
    "McpConnectorTool",
    "McpServer",
    "McpServerTool",
    "MemoryConfig",
    "Tool",
    "ToolApprovalConfig",
    "ToolInput",
    "ToolInputType",
]

# Module names of the official SDK (``vectorshift`` 0.1.15), so that ported imports need only another package name.
for _theirs, _ours in {"object": agent, "agent_tools": tools, "extra_tools": tools}.items():
    sys.modules[f"{__name__}.{_theirs}"] = _ours

# Hidden from type checkers, for which every name would otherwise be a tool.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> type[Tool]:
        # The SDK has its tools here as well; `tools` makes them when they are asked for.
        if name.endswith("Tool"):
            return getattr(tools, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
