"""When a link that was lost, or could not be had, is worth another try, and how soon."""

from __future__ import annotations

from sessionlib.errors import (
    ApiError,
    SessionConnectionError,
    SessionDisconnectedError,
    SessionProtocolError,
    SessionTimeoutError,
)

__all__ = ["is_transient", "wait_at_least"]

# HTTP statuses of a refused handshake, and WebSocket close codes, that a later try may not meet again.
_TRANSIENT_STATUSES = frozenset({408, 425, 429})
_TRANSIENT_CLOSES = frozenset({None, 1001, 1006, 1011, 1012, 1013, 1014})
_TRY_AGAIN_LATER = 1013


def is_transient(cause: Exception) -> bool:
    """Whether trying again can help."""
    if isinstance(cause, ApiError):
        return cause.status_code in _TRANSIENT_STATUSES or cause.status_code >= 500
    if isinstance(cause, (SessionConnectionError, SessionProtocolError)):
        return cause.transient
    if isinstance(cause, SessionDisconnectedError):
        return cause.code in _TRANSIENT_CLOSES
    return isinstance(cause, SessionTimeoutError)


def wait_at_least(cause: Exception) -> float:
    """Gives the seconds that the server asked to wait before the next try."""
    if isinstance(cause, ApiError):
        return cause.retry_after or 0.0
    return 1.0 if getattr(cause, "code", None) == _TRY_AGAIN_LATER else 0.0
