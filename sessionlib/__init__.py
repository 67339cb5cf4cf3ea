"""A synchronous, blocking client for live AI agent sessions.

A thread of its own reads each session into bounded queues; blocking iterators and calls stand on
top. There is no event loop anywhere, so it works in notebooks, scripts and synchronous code as they are.
"""

from __future__ import annotations

from sessionlib._version import __version__
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
    DeliveryUnknownError,
    ForkedSessionError,
    HandshakeError,
    InsecureTransportError,
    InternalServerError,
    MessageTooLargeError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    SessionConnectionError,
    SessionDisconnectedError,
    SessionError,
    SessionlibError,
    SessionProtocolError,
    SessionTerminatedError,
    SessionTimeoutError,
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
from sessionlib.session import Session
from sessionlib.wire.state import SessionState

__all__ = [
    "ApiConnectionError",
    "ApiError",
    "ApiTimeoutError",
    "ApprovalAlreadyAnsweredError",
    "ApprovalRequiredError",
    "ApprovalResponse",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "DeliveryUnknownError",
    "ForkedSessionError",
    "HandshakeError",
    "InsecureTransportError",
    "InternalServerError",
    "Listener",
    "MessageSender",
    "MessageTooLargeError",
    "NotFoundError",
    "ParticipantStatus",
    "PermissionDeniedError",
    "RateLimitError",
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
    "UnprocessableEntityError",
    "UserSessionMessage",
    "__version__",
]
