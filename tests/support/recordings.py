"""Tools of the engine that is recorded, and what is common to do with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sessionlib import Agent, Client, Session, SessionEvent, SessionEventType
from sessionlib.engine import tool


@tool
def look_up(order_id: str) -> str:
    """Looks an order up."""
    return f"order {order_id}: one kettle"


@tool(approval="requires_approval")
def refund(order_id: str, amount: float) -> str:
    """Refunds an order."""
    return f"{amount:.2f} EUR refunded for order {order_id}"


TOOLS = (look_up, refund)


def shop(client: Client) -> Session:
    """A session with the agent called Shop."""
    return Agent.fetch(name="Shop", client=client).create_session()


def without_pongs(events: Iterable[SessionEvent]) -> list[SessionEvent]:
    """Leaves out what time decides about."""
    return [event for event in events if event.type is not SessionEventType.PONG]


def heard(events: Iterable[SessionEvent]) -> list[dict[str, Any]]:
    """Events as values that can be compared and read."""
    return [event.to_dict() for event in without_pongs(events)]
