"""A synchronous, blocking client for live AI agent sessions.

A thread of its own reads each session into bounded queues; blocking iterators and calls stand on
top. There is no event loop anywhere, so it works in notebooks, scripts and synchronous code as they are.
"""

from __future__ import annotations

import importlib
import sys
import types
import typing

from sessionlib._version import __version__
from sessionlib.approvals import ApprovalRecord, ApprovalRequest
from sessionlib.content import ApprovalResponse, UserSessionMessage
from sessionlib.errors import (
    AnswerFormatError,
    APIConnectionError,
    ApiConnectionError,
    ApiError,
    APIStatusError,
    ApiStatusError,
    APITimeoutError,
    ApiTimeoutError,
    ApprovalAlreadyAnsweredError,
    ApprovalRequiredError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConversationalRunActionRequiredError,
    DeliveryUnknownError,
    ForkedSessionError,
    HandshakeError,
    InsecureTransportError,
    InternalServerError,
    MessageTooLargeError,
    MissingExtraError,
    NotFoundError,
    PermissionDeniedError,
    PipelineRunFailedError,
    PollTimeoutError,
    RateLimitError,
    ReauthRequiredError,
    SessionConnectionError,
    SessionDisconnectedError,
    SessionError,
    SessionlibError,
    SessionProtocolError,
    SessionTerminatedError,
    SessionTimeoutError,
    TemplateReferenceError,
    UnansweredError,
    UnprocessableEntityError,
    VectorShiftAPIError,
    VectorshiftApiError,
    VectorShiftError,
    VectorshiftError,
)
from sessionlib.events import (
    MessageSender,
    ParticipantStatus,
    SessionEvent,
    SessionEventType,
    SessionMessage,
    SessionMessageRole,
    SessionMessageStatus,
)
from sessionlib.protocol.client import SessionState
from sessionlib.reply import Reply, ToolCall
from sessionlib.session import Session
from sessionlib.streams.listener import Listener
from sessionlib.streams.stats import SessionStats
from sessionlib.turn import Turn

if typing.TYPE_CHECKING:
    from sessionlib.agent import (
        Agent,
        AgentRunResult,
        AgentTools,
        AgentType,
        BumpLevel,
        ConversationalAgentRunResult,
        CustomTool,
        IOConfig,
        IoConfig,
        LLMInfo,
        LlmInfo,
        McpConnectorTool,
        McpServer,
        McpServerTool,
        MemoryConfig,
        Tool,
        ToolApprovalConfig,
        ToolInput,
        ToolInputType,
    )
    from sessionlib.approvals.policies import approval_policy, approve_all, approve_tools, ask_console, deny_all
    from sessionlib.chatbot import Chatbot
    from sessionlib.client import Client
    from sessionlib.config import ApiKey
    from sessionlib.content import SendManyItem as SendManyItem
    from sessionlib.display.latency import Latencies, Latency, latencies
    from sessionlib.history import History
    from sessionlib.notebook import LiveReply, ask_notebook, load_ipython_extension, unload_ipython_extension

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "Agent",
    "AgentRunResult",
    "AgentTools",
    "AgentType",
    "AnswerFormatError",
    "ApiConnectionError",
    "ApiError",
    "ApiStatusError",
    "ApiTimeoutError",
    "ApprovalAlreadyAnsweredError",
    "ApprovalRecord",
    "ApprovalRequest",
    "ApprovalRequiredError",
    "ApprovalResponse",
    "AuthenticationError",
    "BadRequestError",
    "BumpLevel",
    "Chatbot",
    "Client",
    "ConfigurationError",
    "ConversationalAgentRunResult",
    "ConversationalRunActionRequiredError",
    "CustomTool",
    "DeliveryUnknownError",
    "ForkedSessionError",
    "HandshakeError",
    "History",
    "IOConfig",
    "InsecureTransportError",
    "InternalServerError",
    "IoConfig",
    "LLMInfo",
    "Latencies",
    "Latency",
    "Listener",
    "LiveReply",
    "LlmInfo",
    "McpConnectorTool",
    "McpServer",
    "McpServerTool",
    "MemoryConfig",
    "MessageSender",
    "MessageTooLargeError",
    "MissingExtraError",
    "NotFoundError",
    "ParticipantStatus",
    "PermissionDeniedError",
    "PipelineRunFailedError",
    "PollTimeoutError",
    "RateLimitError",
    "ReauthRequiredError",
    "Reply",
    "Session",
    "SessionConnectionError",
    "SessionDisconnectedError",
    "SessionError",
    "SessionEvent",
    "SessionEventType",
    "SessionMessage",
    "SessionMessageRole",
    "SessionMessageStatus",
    "SessionProtocolError",
    "SessionState",
    "SessionStats",
    "SessionTerminatedError",
    "SessionTimeoutError",
    "SessionlibError",
    "TemplateReferenceError",
    "Tool",
    "ToolApprovalConfig",
    "ToolCall",
    "ToolInput",
    "ToolInputType",
    "Turn",
    "UnansweredError",
    "UnprocessableEntityError",
    "UserSessionMessage",
    "VectorShiftAPIError",
    "VectorShiftError",
    "VectorshiftApiError",
    "VectorshiftError",
    "__version__",
    "approval_policy",
    "approve_all",
    "approve_tools",
    "ask_console",
    "ask_notebook",
    "deny_all",
    "latencies",
    "load_ipython_extension",
    "unload_ipython_extension",
]

# Imported on first use: most programs need only a few of these.
_LAZY = {
    "agent": "Agent AgentRunResult AgentTools AgentType BumpLevel ConversationalAgentRunResult CustomTool IOConfig "
    "IoConfig LLMInfo LlmInfo McpConnectorTool McpServer McpServerTool MemoryConfig Tool ToolApprovalConfig "
    "ToolInput ToolInputType",
    "approvals.policies": "approval_policy approve_all approve_tools ask_console deny_all",
    "chatbot": "Chatbot",
    "client": "Client",
    "content": "SendManyItem",
    "display.latency": "Latencies Latency latencies",
    "history": "History",
    "notebook": "LiveReply ask_notebook load_ipython_extension unload_ipython_extension",
}
_MODULE_OF = {name: module for module, names in _LAZY.items() for name in names.split()}
# Modules that users reach as attributes, `sessionlib.agent`, without having imported them.
_LAZY_MODULES = {"agent", "chatbot", "client", "history", "notebook"}

# Module names of the official SDK (``vectorshift`` 0.1.15) whose contents have another place here.
_PORTED_MODULES = {
    "request": dict.fromkeys(
        ("request_client", "async_request_client", "RequestClient", "AsyncRequestClient"), "client"
    ),
    "mcp_server": {"McpServer": "agent.models"},
}


class _PortedModule(types.ModuleType):
    """A module of the official SDK by its name there, with what it has found where it is here."""

    def __getattr__(self, name: str) -> object:
        # What `import` and `inspect` ask any module for is no name of the SDK's.
        if name.startswith("__"):
            raise AttributeError(name)
        # All other names in them are errors, which the SDK has in its ``request``.
        place = _PORTED_MODULES[self.__name__.rpartition(".")[2]].get(name, "errors")
        found = getattr(
            importlib.import_module(f"sessionlib.{place}"), name.removeprefix("async_").removeprefix("Async")
        )
        setattr(self, name, found)
        return typing.cast(object, found)


for _name in _PORTED_MODULES:
    sys.modules[f"{__name__}.{_name}"] = _PortedModule(f"{__name__}.{_name}", "See `sessionlib.errors` and `Client`.")


# The key and the HTTP base for all that is given no other: `sessionlib.api_key = "..."`. They are read at
# each use and take precedence over the environment. Only declared, so that they are no names of `import *`.
api_key: ApiKey | None
base_url: str | None


def __getattr__(name: str) -> object:
    # Unset: reading one returns None, while its namespace has nothing that `find_setting` could take
    # for a value.
    if name in ("api_key", "base_url"):
        return None
    if name in _LAZY_MODULES or name in _PORTED_MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    if name in __all__:  # an alias of types has no documentation of its own, and is no part of the surface
        globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
