"""How a connection behaves, whom a session is with, and what a connection reports: values and names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sessionlib._util.timing import MAX_WAIT, NEVER
from sessionlib.protocol.client import SessionState
from sessionlib.protocol.turns import PendingPost
from sessionlib.streams.hub import OnRequest

if TYPE_CHECKING:
    import ssl

__all__ = ["Callbacks", "ConnectionOptions", "Owner"]

# The longest times: of what a deadline or a clock is compared with, and of what a thread waits.
_LIMITS = {
    **dict.fromkeys(("reconnect_timeout", "connect_timeout", "ping_interval", "pong_timeout", "send_timeout"), NEVER),
    **dict.fromkeys(("reconnect_delay", "reconnect_max_delay"), MAX_WAIT),
}


# Without what is not used of a dataclass: each method takes 60 microseconds of every import.
@dataclass(frozen=True, eq=False)
class Owner:
    """Whom a new session is with.

    Attributes:
        object_type: "agent" or "chatbot".
        object_id: Its id.
    """

    object_type: str
    object_id: str


@dataclass(frozen=True, eq=False)
class ConnectionOptions:
    """How a connection behaves; times are in seconds.

    Attributes:
        reconnect: Whether a lost connection is opened again.
        reconnect_delay: The longest wait before the first try; it doubles with each.
        reconnect_max_delay: The longest wait before any try.
        reconnect_timeout: How long to go on trying; None for ever.
        connect_timeout: How long one try may take.
        max_message_size: The largest message accepted, in bytes.
        ping_interval: Time of silence after which a WebSocket ping is sent. The session's own pings leave every
            5 s, or every so much if that is less.
        pong_timeout: Time after a ping in which something has to arrive.
        send_timeout: Time that a message may take to go out; None for as long as it takes.
        close_timeout: Time that the engine gets to answer the closing handshake.
        backlog_size: How many events wait for the next listener while none is open.
        tls: What to verify the engine by; None for the system's certificates.
        proxy: URL of the proxy to go through; "" for none; None for what the environment sets.
        proxy_always: Whether ``proxy`` is used for an engine on this machine too.
        headers: Further headers of the opening handshake.
        readers: How many threads read all sessions of the process; None for a thread each.
    """

    reconnect: bool = True
    reconnect_delay: float = 2.0
    reconnect_max_delay: float = 30.0
    reconnect_timeout: float | None = 900.0
    connect_timeout: float = 30.0
    max_message_size: int = 64 * 2**20
    # With `pong_timeout`, a connection that died without a word is noticed within 40 s.
    ping_interval: float = 20.0
    pong_timeout: float = 20.0
    send_timeout: float | None = 60.0
    close_timeout: float = 0.5
    backlog_size: int = 16384
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    # Not in a repr, as it may hold a password, and the headers a token.
    proxy: str | None = field(default=None, repr=False)
    proxy_always: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    readers: int | None = None

    def __post_init__(self) -> None:
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and value > limit:
                object.__setattr__(self, name, limit)


class Callbacks(NamedTuple):
    """What a connection reports to its session, mostly on the reading thread; none of them may block.

    Attributes:
        on_request: Enters an event that asks for an answer, or the refusal of an answer; see `Hub`.
        on_delivered: Gets the same once it is delivered.
        on_left: Gets the post of a turn whose reader was garbage-collected.
        on_lost_answer: Gets the id of a request whose answer may not have arrived.
        on_state: Gets each new state.
    """

    on_request: OnRequest
    on_delivered: OnRequest
    on_left: Callable[[PendingPost], object]
    on_lost_answer: Callable[[str], object]
    on_state: Callable[[SessionState], object]
