"""A synchronous, blocking client for live AI agent sessions.

A thread of its own reads each session into bounded queues; blocking iterators and calls stand on
top. There is no event loop anywhere, so it works in notebooks, scripts and synchronous code as they are.
"""

from __future__ import annotations

import importlib
import typing

from sessionlib._version import __version__
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
from sessionlib.approvals import ApprovalRecord, ApprovalRequest
from sessionlib.chatbot import Chatbot
from sessionlib.client import Client
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
from sessionlib.policies import approval_policy, approve_all, approve_tools, ask_console, deny_all
from sessionlib.session import Session
from sessionlib.turn import Reply, ToolCall, Turn
from sessionlib.wire.state import SessionState

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
    "IOConfig",
    "InsecureTransportError",
    "InternalServerError",
    "IoConfig",
    "LLMInfo",
    "Listener",
    "LlmInfo",
    "MemoryConfig",
    "MessageSender",
    "MessageTooLargeError",
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
]

# Names whose rooms are loaded when they are first asked for.
_LATER = {"ask_notebook": "sessionlib.notebook"}


def __getattr__(name: str) -> typing.Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
