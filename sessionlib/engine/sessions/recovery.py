"""Sessions that nobody works on: what was cut is closed and said so, what waited for a person waits again."""

from __future__ import annotations

from sessionlib.engine.sessions.turn import CUT, cut_turn
from sessionlib.engine.store import Store
from sessionlib.engine.store.records import SessionRecord, Turn

__all__ = ["put_in_order"]


def put_in_order(store: Store, session: SessionRecord) -> bool:
    """Brings the turns into order that an earlier engine left open, or whose end could not be kept.

    A turn that waits for a person, or was answered and had not gone on yet, can go on; a tool that had been
    started is never run again, and the model is told so. Queued turns can be answered. All others are closed
    with an error message.

    Args:
        store: What is kept.
        session: The session; nobody works on it.

    Returns:
        Whether there is something to do now, other than to wait for a person.
    """
    for turn in store.sessions.open_turns(session.id):
        if turn.state != "queued" and not _can_go_on(store, turn):
            cut_turn(store, turn, session.sender, CUT)
    first = next(iter(store.sessions.open_turns(session.id)), None)
    if first is None or first.state == "queued":
        return first is not None
    return any(call.state not in ("pending", "done") for call in store.calls.open(first))


def _can_go_on(store: Store, turn: Turn) -> bool:
    # It waits for a person, or for the engine to act on what a person has said.
    calls = store.calls.open(turn)
    states = {call.state for call in calls}
    answered = any(call.approval_id is not None and call.state in ("approved", "denied") for call in calls)
    return "pending" in states or (answered and "started" not in states)
