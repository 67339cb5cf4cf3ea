"""Process-wide extension points: a hook for all network traffic (record, replay), an observer of turns (telemetry).

They are process-wide because the code under test or in operation makes its own clients and sessions, on any thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Union

from sessionlib._util.timing import Deadline
from sessionlib.config import Endpoint
from sessionlib.events import SessionEvent
from sessionlib.net.connect import CancelToken
from sessionlib.protocol.turns import PendingPost
from sessionlib.transport.base import Transport

if TYPE_CHECKING:
    from sessionlib.rest.calls import Answer, Call, Failure
    from sessionlib.rest.pool import Lines

__all__ = [
    "Dial",
    "Exchange",
    "NetworkHook",
    "Outcome",
    "SessionInfo",
    "TurnObserver",
    "install_network_hook",
    "install_turn_observer",
    "network_hook",
    "turn_observer",
]

Outcome = Union["Answer", "Failure", "Lines"]
Dial = Callable[[str], Transport]
"""Opens a WebSocket connection over the network, with this key."""
Exchange = Callable[[str], Outcome]
"""Makes an HTTP call over the network, with this key."""


class NetworkHook(Protocol):
    """Intercepts all network traffic of this process; called on the thread that opens, sends or calls."""

    def open(self, endpoint: Endpoint, dial: Dial, deadline: Deadline, attempt: CancelToken) -> Transport:
        """Opens a connection, by ``dial`` or otherwise.

        Args:
            endpoint: The engine's addresses and key.
            dial: Opens a connection over the network.
            deadline: When the attempt has to end.
            attempt: Cancels the attempt when the session is closed meanwhile.

        Raises:
            SessionlibError: It cannot be opened; the same errors as `open_websocket` raises.
        """

    def admit(self, transport: Transport | None, frame: dict[str, Any], deadline: Deadline) -> None:
        """Blocks until a post may be sent; called before its place in the order of posts is fixed.

        A replay makes threads wait here for the recorded order. In `Transport.send` it would be too late: the order in
        which posts are entered decides which turn answers which.
        """

    def exchange(self, call: Call, endpoint: Endpoint, exchange: Exchange) -> Outcome:
        """Makes an HTTP call, by ``exchange`` or otherwise."""


# The installed hook; None for direct access to the network. Read as ``hooks.network_hook``, as every post does.
network_hook: NetworkHook | None = None


def install_network_hook(new: NetworkHook) -> Callable[[], None]:
    """Installs a hook for connections that are opened and calls that are made from now on.

    Returns:
        The function that uninstalls it.

    Raises:
        RuntimeError: Another one is installed.
    """
    global network_hook
    # Nested hooks would have to agree on whose request it is; a test that overlaps two recordings is a mistake.
    if network_hook is not None:
        raise RuntimeError("this process is recorded or replayed already; such blocks cannot overlap")
    # A plain global: it is read with every post, and an attribute of a module is read without a lock.
    network_hook = new

    def uninstall() -> None:
        global network_hook
        network_hook = None

    return uninstall


@dataclass(frozen=True, eq=False)
class SessionInfo:
    """The session whose turns are observed.

    Attributes:
        session_id: Returns the session's id; None before the session was created.
        host: Host and port of the engine.
        agent_id: The agent's or chatbot's id; "" when unknown.
        agent_name: Its name; "" when unknown.
    """

    session_id: Callable[[], str | None]
    host: str
    agent_id: str = ""
    agent_name: str = ""


class TurnObserver(Protocol):
    """Receives the course of every turn; must neither block nor raise. Never called while the package holds a lock."""

    def on_post(self, ticket: PendingPost, frame: dict[str, Any], about: SessionInfo) -> None:
        """A post is about to be sent; called on the sending thread."""

    def on_event(self, ticket: PendingPost, event: SessionEvent) -> None:
        """An event of the post's turn was received; of deltas in a row only the first. Called on the reader thread."""

    def on_end(self, ticket: PendingPost, reason: str) -> None:
        """The post was not sent, or no more events of its turn will be received.

        Args:
            ticket: The post.
            reason: "not_sent", "delivery_unknown", "disconnected" or "connection_lost".
        """


# The installed observer; None when there is none.
turn_observer: TurnObserver | None = None


def install_turn_observer(new: TurnObserver) -> Callable[[], None]:
    """Installs an observer of all turns that begin from now on.

    Returns:
        The function that uninstalls it.

    Raises:
        RuntimeError: Another one is installed.
    """
    global turn_observer
    if turn_observer is not None:
        raise RuntimeError("the turns of this process are observed already; end that first")
    turn_observer = new

    def uninstall() -> None:
        global turn_observer
        turn_observer = None

    return uninstall
