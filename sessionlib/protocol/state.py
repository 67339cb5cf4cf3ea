"""The states of a session's connection, and which may follow which."""

from __future__ import annotations

from sessionlib._util.models import StrEnum

__all__ = ["SessionState", "may_follow"]


class SessionState(StrEnum):
    """Where a session's connection is."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    DISCONNECTED = "disconnected"
    TERMINATED = "terminated"


_S = SessionState
_NEXT: dict[SessionState, frozenset[SessionState]] = {
    _S.CONNECTING: frozenset({_S.CONNECTED, _S.DISCONNECTED, _S.TERMINATED}),
    _S.CONNECTED: frozenset({_S.RECONNECTING, _S.DISCONNECTED, _S.TERMINATED}),
    _S.RECONNECTING: frozenset({_S.CONNECTED, _S.DISCONNECTED, _S.TERMINATED}),
    _S.DISCONNECTED: frozenset({_S.CONNECTING}),
    _S.TERMINATED: frozenset(),
}


def may_follow(state: SessionState, following: SessionState) -> bool:
    """Whether one state may come directly after another."""
    return following in _NEXT[state]
