"""Tool calls and their approvals: each method is one transaction or one read."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable

from sessionlib.engine.errors import RefusedError
from sessionlib.engine.store.database import Database
from sessionlib.engine.store.records import (
    Json,
    Message,
    Row,
    StoredCall,
    StoredTurn,
    insert,
    insert_message,
    read_turn,
    rows,
    to_json,
    update,
)

__all__ = ["Calls", "insert_call"]

# Within each statement that changes a call: whether its turn is open may change between two transactions.
_TURN_OPEN = "(SELECT state FROM turns WHERE number = calls.turn) != 'ended'"


class Calls:
    """The tool calls that are kept.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, turn: StoredTurn) -> list[StoredCall]:
        """Returns the calls of a turn whose results have not been sent, in order."""
        return self._database.read(lambda db: _open_calls(db, turn))

    def of_turns(self, session_id: str, first: int, last: int) -> list[StoredCall]:
        """Returns the calls of a session's turns from ``first`` to ``last``, in order."""
        # By turn, which has an index: a session may have thousands of calls, of which a model is shown the latest.
        tail = "AND turn BETWEEN ? AND ? ORDER BY turn, step, position"
        found = self._database.read(lambda db: rows(db, "calls", tail, (first, last), session_id=session_id))
        return [_call(row) for row in found]

    def pending(self, session_id: str) -> list[StoredCall]:
        """Returns the calls of a session that wait for a person, in order."""
        # Those of a turn that has ended cannot be answered any more, though they may still be marked as pending.
        tail = f"AND {_TURN_OPEN} ORDER BY number"
        found = self._database.read(lambda db: rows(db, "calls", tail, session_id=session_id, state="pending"))
        return [_call(row) for row in found]

    def find_approval(self, session_id: str, approval_id: str) -> tuple[StoredCall, StoredTurn] | None:
        """Returns the call that an approval request asks for, and its turn, or None."""

        def work(db: sqlite3.Connection) -> tuple[StoredCall, StoredTurn] | None:
            found = rows(db, "calls", session_id=session_id, approval_id=approval_id)
            if not found:
                return None
            # Always there: the schema has a reference from each call to its turn.
            (turn,) = rows(db, "turns", number=found[0]["turn"])
            return _call(found[0]), read_turn(turn)

        return self._database.read(work)

    def answer(
        self, call: StoredCall, approved: bool, arguments: Json, reason: str, sender: Json, content: Json
    ) -> str:
        """Keeps the answer to an approval request, and returns the id of the message that holds it.

        Raises:
            RefusedError: It was answered before, or its turn has ended.
        """

        def work(db: sqlite3.Connection) -> str:
            # In the transaction that answers, so that of two answers at once only one finds it open.
            found = rows(db, "messages", id=call.approval_id)
            if not found:
                # Its messages are gone, with which termination begins.
                raise RefusedError(f"session {call.session_id} was terminated", "session_terminated")
            # The status of the message and not that of the call, which goes on to "started" and "done".
            status = json.loads(found[0]["content"]).get("status")
            if status in ("approved", "denied"):
                raise RefusedError(
                    f"approval request {call.approval_id} was {status} before; the first answer stands",
                    "approval_already_answered",
                    approved=status == "approved",
                )
            if status == "expired" or not rows(db, "calls", f"AND {_TURN_OPEN}", id=call.id):
                raise RefusedError(
                    f"approval request {call.approval_id} is past: its turn has ended", "approval_expired"
                )
            state = "approved" if approved else "denied"
            _change(db, call, state=state, arguments=_arguments(arguments, call.origin), reason=reason)
            # In the message as well: the history shows what was decided, and clients ask no more.
            _mark(db, call, state)
            return insert_message(db, call.session_id, call.turn, call.step, sender, content).id

        return self._database.write(work)

    def start(self, call: StoredCall, turn: StoredTurn, sender: Json, content: Json) -> Message:
        """Keeps that a tool is about to run, before it does: it is never run a second time.

        Raises:
            RefusedError: It has run before, or the turn has ended.
        """

        def work(db: sqlite3.Connection) -> Message:
            # Only from this state: if the engine dies from here on, the call is found as started, and never run
            # again.
            found = rows(db, "calls", f"AND {_TURN_OPEN}", id=call.id, state="approved")
            if not found:
                raise RefusedError(f"tool call {call.id} cannot be started now", "call_not_open")
            update(db, "calls", found[0], state="started")
            return insert_message(db, turn.session_id, turn.number, call.step, sender, content)

        return self._database.write(work)

    def finish(self, call: StoredCall, turn: StoredTurn, sender: Json, content: Json) -> list[Message]:
        """Keeps the result of a call, and returns the results that are sent now: always in the order of the calls."""

        def work(db: sqlite3.Connection) -> list[Message]:
            # In one transaction with what is sent: after a crash, neither is there, or both are.
            _keep_result(db, call, content)
            return _tell_results(db, turn, sender)

        return self._database.write(work)

    def interrupt(
        self, turn: StoredTurn, sender: Json, error: Json, result: Callable[[StoredCall], Json]
    ) -> list[Message]:
        """Ends a turn without an answer: every open call gets a result all the same, and the error is reported.

        Args:
            turn: The turn.
            sender: Who the messages are from.
            error: The content that reports the error.
            result: Returns the content that reports the result of a call that has none.
        """

        def work(db: sqlite3.Connection) -> list[Message]:
            for row in rows(db, "turns", number=turn.number):
                # First, so that an answer that waits for this transaction finds its turn ended.
                update(db, "turns", row, state="ended")
            for call in _open_calls(db, turn):
                if call.state == "pending":
                    # Or clients that join later would show a question which can no longer be answered.
                    _mark(db, call, "expired")
                if call.output is None:
                    _keep_result(db, call, result(call))
            details = _tell_results(db, turn, sender)
            return [*details, insert_message(db, turn.session_id, turn.number, turn.step, sender, error)]

        return self._database.write(work)


def _call(row: Row) -> StoredCall:
    # The row's number is SQLite's, and no part of the value.
    stored = {name: value for name, value in row.items() if name != "number"}
    kept = json.loads(row["arguments"])
    # The arguments alone; or a list of them and what belongs to the model.
    stored["arguments"], stored["origin"] = kept if isinstance(kept, list) else (kept, None)
    stored["output"] = None if row["output"] is None else json.loads(row["output"])
    return StoredCall(**stored)


def _arguments(arguments: Json, origin: Json | None) -> str:
    return to_json(arguments if origin is None else [arguments, origin])


def insert_call(db: sqlite3.Connection, call: StoredCall) -> None:
    """Keeps a new call."""
    place = (call.id, call.session_id, call.turn, call.step, call.position)
    work = (call.tool, _arguments(call.arguments, call.origin), call.state)
    # In the order of `COLUMNS`, as the checksum is made over it.
    insert(db, "calls", *place, *work, call.approval_id, call.reason, call.decision, None)


def _open_calls(db: sqlite3.Connection, turn: StoredTurn) -> list[StoredCall]:
    # "settled" is a call whose result has been sent; "done" is one whose result waits for an earlier one's.
    return [_call(row) for row in rows(db, "calls", "AND state != 'settled' ORDER BY step, position", turn=turn.number)]


def _change(db: sqlite3.Connection, call: StoredCall, **changes: str) -> None:
    for row in rows(db, "calls", id=call.id):
        update(db, "calls", row, **changes)


def _keep_result(db: sqlite3.Connection, call: StoredCall, content: Json) -> None:
    _change(db, call, state="done", output=to_json(content))


def _tell_results(db: sqlite3.Connection, turn: StoredTurn, sender: Json) -> list[Message]:
    # Up to the first call that has no result yet: those behind it wait for it.
    details = []
    for call in itertools.takewhile(lambda call: call.output is not None, _open_calls(db, turn)):
        # In the transaction that stores the message, so that a result is never sent twice.
        _change(db, call, state="settled")
        details.append(insert_message(db, turn.session_id, turn.number, call.step, sender, call.output or {}))
    return details


def _mark(db: sqlite3.Connection, call: StoredCall, status: str) -> None:
    # In the message that asks for approval.
    for row in rows(db, "messages", id=call.approval_id):
        update(db, "messages", row, content=to_json({**json.loads(row["content"]), "status": status}))
