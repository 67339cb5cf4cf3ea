"""A synchronous, blocking client for live AI agent sessions.

A thread of its own reads each session into bounded queues; blocking iterators and calls stand on
top. There is no event loop anywhere, so it works in notebooks, scripts and synchronous code as they are.
"""

from __future__ import annotations

import importlib
import typing

from sessionlib._version import __version__
from sessionlib.approvals import ApprovalRecord, ApprovalRequest
from sessionlib.content import ApprovalResponse, UserSessionMessage
from sessionlib.errors import (
    ApiConnectionError,
    ApiError,
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
    UnprocessableEntityError,
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
from sessionlib.listener import Listener
from sessionlib.reply import Reply, ToolCall
from sessionlib.session import Session
from sessionlib.stats import SessionStats
from sessionlib.turn import Turn
from sessionlib.wire.state import SessionState

if typing.TYPE_CHECKING:
    from sessionlib.agent import (
        Agent,
        AgentRunResult,
        AgentType,
        BumpLevel,
        ConversationalAgentRunResult,
        IOConfig,
        IoConfig,
        LLMInfo,
        LlmInfo,
        MemoryConfig,
        Tool,
        ToolApprovalConfig,
        ToolInput,
        ToolInputType,
    )
    from sessionlib.chatbot import Chatbot
    from sessionlib.client import Client
    from sessionlib.history import History
    from sessionlib.latency import Latencies, Latency, latencies
    from sessionlib.magics import load_ipython_extension, unload_ipython_extension
    from sessionlib.notebook import LiveReply, ask_notebook
    from sessionlib.policies import approval_policy, approve_all, approve_tools, ask_console, deny_all

__all__ = [
    "Agent",
    "AgentRunResult",
    "AgentType",
    "ApiConnectionError",
    "ApiError",
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
    "MemoryConfig",
    "MessageSender",
    "MessageTooLargeError",
    "MissingExtraError",
    "NotFoundError",
    "ParticipantStatus",
    "PermissionDeniedError",
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
    "UnprocessableEntityError",
    "UserSessionMessage",
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

# Loaded when first asked for: who resumes a session needs none of it.
_LATER = {
    "agent": "Agent AgentRunResult AgentType BumpLevel ConversationalAgentRunResult IOConfig IoConfig LLMInfo "
    "LlmInfo MemoryConfig Tool ToolApprovalConfig ToolInput ToolInputType",
    "chatbot": "Chatbot",
    "client": "Client",
    "history": "History",
    "magics": "load_ipython_extension unload_ipython_extension",
    "latency": "Latencies Latency latencies",
    "notebook": "LiveReply ask_notebook",
    "policies": "approval_policy approve_all approve_tools ask_console deny_all",
}
_ROOM_OF = {name: room for room, names in _LATER.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name in _LATER:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
