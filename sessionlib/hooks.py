"""What all traffic passes by on its way out, so that it can be recorded, or answered without a network.

It is one for the whole process: a session's threads, and clients made anywhere, pass by it alike.
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
"""Opens a link over the network, with this key."""
Exchange = Callable[[str], Outcome]
"""Makes an HTTP call over the network, with this key."""


class NetworkHook(Protocol):
    """Stands between this process and the network."""

    def open(self, endpoint: Endpoint, dial: Dial, deadline: Deadline, attempt: CancelToken) -> Transport:
        """Opens a link, by ``dial`` or otherwise.

        Raises:
            SessionlibError: It is not to be had, as `open_websocket` tells it.
        """

    def admit(self, link: Transport | None, frame: dict[str, Any], deadline: Deadline) -> None:
        """Waits until a post may be sent over a link; called before it gets its place among others."""

    def exchange(self, call: Call, endpoint: Endpoint, exchange: Exchange) -> Outcome:
        """Makes an HTTP call, by ``exchange`` or otherwise."""


_network_hook: NetworkHook | None = None


def network_hook() -> NetworkHook | None:
    """Gives what stands in for the network; None while nothing does."""
    return _network_hook


def install_network_hook(new: NetworkHook) -> Callable[[], None]:
    """Puts something in the network's place, for links that are opened and calls that are made from now on.

    Returns:
        The function that takes it away again.

    Raises:
        RuntimeError: Something stands there already.
    """
    global _network_hook
    if _network_hook is not None:
        raise RuntimeError("this process is recorded or replayed already; such blocks cannot overlap")
    _network_hook = new
    return _uninstall_network_hook


def _uninstall_network_hook() -> None:
    global _network_hook
    _network_hook = None


@dataclass(frozen=True)
class SessionInfo:
    """Whose turns they are.

    Attributes:
        session_id: Tells the session's id; None before it was created.
        host: Host and port of the engine.
        agent_id: The agent's or chatbot's id; "" when it is not known.
        agent_name: Its name; likewise.
    """

    session_id: Callable[[], str | None]
    host: str
    agent_id: str = ""
    agent_name: str = ""


class TurnObserver(Protocol):
    """Hears of turns; never called with a lock of ours held, and must neither wait nor raise."""

    def on_post(self, ticket: PendingPost, frame: dict[str, Any], about: SessionInfo) -> None:
        """A post is about to leave; called on the thread that sends it."""

    def on_event(self, ticket: PendingPost, event: SessionEvent) -> None:
        """An event of its turn has come that is no further piece of a text; called on the reading thread."""

    def on_end(self, ticket: PendingPost, reason: str) -> None:
        """It did not leave, or nothing more will be heard of it."""


_turn_observer: TurnObserver | None = None


def turn_observer() -> TurnObserver | None:
    """Gives what watches; None while nothing does."""
    return _turn_observer


def install_turn_observer(new: TurnObserver) -> Callable[[], None]:
    """Has something watch all turns that begin from now on.

    Returns:
        The function that ends that.

    Raises:
        RuntimeError: Something watches already.
    """
    global _turn_observer
    if _turn_observer is not None:
        raise RuntimeError("something watches the turns of this process already; end that first")
    _turn_observer = new
    return _uninstall_turn_observer


def _uninstall_turn_observer() -> None:
    global _turn_observer
    _turn_observer = None
