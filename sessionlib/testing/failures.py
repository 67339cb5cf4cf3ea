"""Errors of the network as JSON values, and back."""

from __future__ import annotations

from typing import Any

from sessionlib import errors
from sessionlib.errors import ApiError, SessionlibError, api_error

__all__ = ["from_json", "to_json"]

# What a link or a call can fail by, by name; the most specific first.
_KINDS: tuple[type[SessionlibError], ...] = (
    errors.SessionConnectionError,
    errors.SessionDisconnectedError,
    errors.SessionTimeoutError,
    errors.MessageTooLargeError,
    errors.SessionProtocolError,
    errors.ApiTimeoutError,
    errors.ApiConnectionError,
)
_BY_NAME = {kind.__name__: kind for kind in _KINDS}
_FACTS = ("code", "reason", "transient", "close_code", "size", "limit")


def to_json(error: SessionlibError) -> dict[str, Any]:
    """Gives an error's kind and facts."""
    if isinstance(error, ApiError):
        told = {"kind": "ApiError", "status": error.status_code, "retry_after": error.retry_after}
        return {**told, "method": error.method, "path": error.endpoint, "message": error.error_message}
    kind = next((kind for kind in _KINDS if isinstance(error, kind)), errors.SessionDisconnectedError)
    facts = {name: getattr(error, name) for name in _FACTS if getattr(error, name, None) not in (None, "")}
    return {"kind": kind.__name__, "message": error.message, **facts}


def from_json(told: dict[str, Any]) -> SessionlibError:
    """Makes the error that `to_json` told of."""
    if told.get("kind") == "ApiError":
        return api_error(
            int(told["status"]),
            str(told.get("method", "GET")),
            str(told.get("path", "")),
            str(told.get("message", "")),
            told.get("retry_after"),
            handshake=True,
        )
    error = _BY_NAME.get(str(told.get("kind")), errors.SessionDisconnectedError)(str(told.get("message", "")))
    for name in _FACTS:
        if name in told:
            setattr(error, name, told[name])
    return error
