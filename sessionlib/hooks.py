"""What all traffic passes by on its way out, so that it can be recorded, or answered without a network.

It is one for the whole process: a session's threads, and clients made anywhere, pass by it alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, Union

from sessionlib._util.timing import Deadline
from sessionlib.config import Endpoint
from sessionlib.net.connect import Attempt
from sessionlib.transport.base import Transport

if TYPE_CHECKING:
    from sessionlib.rest.calls import Answer, Call, Failure
    from sessionlib.rest.pool import Lines

__all__ = ["Dial", "Exchange", "Outcome", "StandIn", "install", "stand_in"]

Outcome = Union["Answer", "Failure", "Lines"]
Dial = Callable[[str], Transport]
"""Opens a link over the network, with this key."""
Exchange = Callable[[str], Outcome]
"""Makes an HTTP call over the network, with this key."""


class StandIn(Protocol):
    """Stands between this process and the network."""

    def open(self, endpoint: Endpoint, dial: Dial, deadline: Deadline, attempt: Attempt) -> Transport:
        """Opens a link, by ``dial`` or otherwise.

        Raises:
            SessionlibError: It is not to be had, as `open_websocket` tells it.
        """

    def admit(self, link: Transport | None, frame: dict[str, Any], deadline: Deadline) -> None:
        """Waits until a post may be sent over a link; called before it gets its place among others."""

    def exchange(self, call: Call, endpoint: Endpoint, exchange: Exchange) -> Outcome:
        """Makes an HTTP call, by ``exchange`` or otherwise."""


_stand_in: StandIn | None = None


def stand_in() -> StandIn | None:
    """Gives what stands in for the network; None while nothing does."""
    return _stand_in


def install(new: StandIn) -> Callable[[], None]:
    """Puts something in the network's place, for links that are opened and calls that are made from now on.

    Returns:
        The function that takes it away again.

    Raises:
        RuntimeError: Something stands there already.
    """
    global _stand_in
    if _stand_in is not None:
        raise RuntimeError("this process is recorded or replayed already; such blocks cannot overlap")
    _stand_in = new
    return _uninstall


def _uninstall() -> None:
    global _stand_in
    _stand_in = None
