"""The main job from end to end, offline: a streamed answer, an approval, and the history."""

from __future__ import annotations

import sys

from sessionlib.engine import LocalEngine, tool
from sessionlib.events import SessionEventType


@tool(approval="requires_approval")
def refund(order_id: str, amount: float) -> str:
    """Refund an order.

    Args:
        order_id: The order.
        amount: How much, in euros.
    """
    return f"{amount:.2f} EUR refunded for order {order_id}"


def main() -> None:
    """Opens a session, talks to the agent, lets it run a tool, reads the history and closes."""
    with LocalEngine(tools=[refund]) as engine:
        agent = engine.agent(name="Support", instructions="Help with orders.")
        with agent.create_session() as session:
            for message in ("Hello!", '/tool refund {"order_id": "7", "amount": 12.5}'):
                _say(f"you:   {message}\nagent: ")
                session.send(message)
                for event in session.listen():
                    if event.delta:
                        _say(event.delta)
                    elif event.type is SessionEventType.APPROVAL_REQUEST:
                        _say(f"[approving {event.data['tool_name']} {event.data['arguments']}] ")
                        session.respond(event, approved=True)
                    elif event.is_turn_end:
                        _say("\n")
                        break
            _say("history:\n")
            for entry in session.get_messages():
                _say(f"  {entry.sender.role}: {entry.content_type}: {entry.text}\n")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
