"""After a restart: what was cut is closed and said so, what waited for a person waits again."""

from __future__ import annotations

import logging

from sessionlib.engine import contents
from sessionlib.engine.hub import Hub
from sessionlib.engine.store import Store
from sessionlib.engine.store.records import Call, Turn
from sessionlib.engine.turns import INTERRUPTED

__all__ = ["recover"]

logger = logging.getLogger(__name__)

CUT = "The turn was cut: the engine stopped while it ran. What it had begun was not repeated."


def recover(store: Store, hub: Hub) -> None:
    """Brings the turns that an earlier engine left open into order, and goes on with those that can.

    A turn that waits for a person, or was answered and had not gone on yet, goes on; a tool that had been
    started is never run again, and the model is told so. Queued turns are answered now. All others are
    closed with an error message.
    """
    open_turns = store.sessions.open_turns()
    for turn in open_turns:
        if turn.state != "queued":
            _put_in_order(store, turn)
    first = {turn.session_id: turn for turn in reversed(store.sessions.open_turns())}
    for session_id, turn in reversed(first.items()):
        if not _waits_for_a_person(store, turn):
            hub.resume(session_id)
    if open_turns:
        logger.info("= %d open turns of an earlier run were taken up", len(open_turns))


def _put_in_order(store: Store, turn: Turn) -> None:
    calls = [call for call in store.calls.of_turn(turn.number) if call.state != "settled"]
    started = [call for call in calls if call.state == "started"]
    if not any(_waits(call) for call in calls) or (started and not _pending(calls)):
        _close(store, turn)
        return
    record = store.sessions.find(turn.session_id)
    sender = {"object_id": record.object_id, "object_type": record.object_type} if record else {}
    for call in started:
        store.calls.settle(call, turn, sender, contents.result_content(call, INTERRUPTED))
    store.sessions.set_turn(turn.number, "waiting")


def _waits_for_a_person(store: Store, turn: Turn) -> bool:
    open_calls = [call for call in store.calls.of_turn(turn.number) if call.state != "settled"]
    return bool(open_calls) and open_calls[0].state == "pending"


def _waits(call: Call) -> bool:
    # For a person, or for the engine to act on what a person has said.
    return call.approval_id is not None and call.state in ("pending", "approved", "denied")


def _pending(calls: list[Call]) -> bool:
    return any(call.state == "pending" for call in calls)


def _close(store: Store, turn: Turn) -> None:
    record = store.sessions.find(turn.session_id)
    sender = {"object_id": record.object_id, "object_type": record.object_type} if record else {}
    store.calls.expire(turn.number)
    store.sessions.add_message(turn, sender, contents.error_content(CUT), ends=True)
