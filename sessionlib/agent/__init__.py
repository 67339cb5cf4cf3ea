"""Agents: what they are made of, and how to fetch, make, change and run them."""

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
    MemoryConfig,
)
from sessionlib.agent.tool import Tool, ToolApprovalConfig, ToolInput, ToolInputType
from sessionlib.errors import ConversationalRunActionRequiredError

__all__ = [
    "Agent",
    "AgentRunResult",
    "AgentType",
    "BumpLevel",
    "ConversationalAgentRunResult",
    "ConversationalRunActionRequiredError",
    "IOConfig",
    "IoConfig",
    "LLMInfo",
    "LlmInfo",
    "MemoryConfig",
    "Tool",
    "ToolApprovalConfig",
    "ToolInput",
    "ToolInputType",
]
