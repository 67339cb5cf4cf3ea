"""Tool calls and their approvals: each method is one transaction or one read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from sessionlib.engine.errors import RefusedError
from sessionlib.engine.store.database import Database
from sessionlib.engine.store.messages import insert_message
from sessionlib.engine.store.records import Call, Json, Message, Turn

__all__ = ["Calls", "insert_call"]

_TURN = "number, id, session_id, state, step"
_CALL = "id, session_id, turn, step, position, tool, arguments, state, approval_id, reason, decision, output"


class Calls:
    """The tool calls that are kept.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_turn(self, turn: int) -> list[Call]:
        """Gives all calls of a turn, by step and position."""
        select = f"SELECT {_CALL} FROM calls WHERE turn = ? ORDER BY step, position"
        return [_call(row) for row in self._database.read(lambda db: db.execute(select, (turn,)).fetchall())]

    def of_session(self, session_id: str, up_to: int) -> list[Call]:
        """Gives all calls of a session's turns up to ``up_to``, in order."""
        select = f"SELECT {_CALL} FROM calls WHERE session_id = ? AND turn <= ? ORDER BY turn, step, position"
        rows = self._database.read(lambda db: db.execute(select, (session_id, up_to)).fetchall())
        return [_call(row) for row in rows]

    def pending(self, session_id: str) -> list[Call]:
        """Gives the calls of a session that wait for a person, in order."""
        select = (
            f"SELECT {', '.join('calls.' + name for name in _CALL.split(', '))} FROM calls "
            "JOIN turns ON turns.number = calls.turn WHERE calls.session_id = ? AND calls.state = 'pending' "
            "AND turns.state != 'ended' ORDER BY calls.number"
        )
        return [_call(row) for row in self._database.read(lambda db: db.execute(select, (session_id,)).fetchall())]

    def find_approval(self, session_id: str, approval_id: str) -> tuple[Call, Turn] | None:
        """Gives the call that an approval request asks for, and its turn, or None."""

        def work(db: sqlite3.Connection) -> tuple[Call, Turn] | None:
            select = f"SELECT {_CALL} FROM calls WHERE session_id = ? AND approval_id = ?"
            row = db.execute(select, (session_id, approval_id)).fetchone()
            if row is None:
                return None
            call = _call(row)
            turn = db.execute(f"SELECT {_TURN} FROM turns WHERE number = ?", (call.turn,)).fetchone()
            return call, Turn(*turn)

        return self._database.read(work)

    def answer(self, call: Call, approved: bool, arguments: Json, reason: str, sender: Json, content: Json) -> str:
        """Keeps the answer to an approval request, and gives the id of the message that holds it.

        Raises:
            RefusedError: It was answered before, or its turn has ended.
        """

        def work(db: sqlite3.Connection) -> str:
            _check_unanswered(db, call)
            state = "approved" if approved else "denied"
            db.execute(
                "UPDATE calls SET state = ?, arguments = ?, reason = ? WHERE id = ?",
                (state, json.dumps(arguments), reason, call.id),
            )
            db.execute(
                "UPDATE messages SET content = json_set(content, '$.status', ?) WHERE id = ?", (state, call.approval_id)
            )
            return insert_message(db, call.session_id, call.turn, call.step, sender, content).id

        return self._database.write(work)

    def start(self, call: Call, turn: Turn, sender: Json, content: Json) -> Message:
        """Keeps that a tool is about to run, before it does: it is never run a second time.

        Raises:
            RefusedError: It has run before, or the turn has ended.
        """

        def work(db: sqlite3.Connection) -> Message:
            started = db.execute(
                "UPDATE calls SET state = 'started' WHERE id = ? AND state = 'approved' "
                "AND (SELECT state FROM turns WHERE number = calls.turn) != 'ended'",
                (call.id,),
            )
            if not started.rowcount:
                raise RefusedError(f"tool call {call.id} cannot be started now", "call_not_open")
            return insert_message(db, turn.session_id, turn.number, call.step, sender, content)

        return self._database.write(work)

    def settle(self, call: Call, turn: Turn, sender: Json, content: Json) -> Message:
        """Keeps the result of a call."""

        def work(db: sqlite3.Connection) -> Message:
            db.execute("UPDATE calls SET state = 'settled', output = ? WHERE id = ?", (json.dumps(content), call.id))
            return insert_message(db, turn.session_id, turn.number, call.step, sender, content)

        return self._database.write(work)

    def expire(self, turn: int) -> None:
        """Marks the approval requests of an ended turn as past."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE messages SET content = json_set(content, '$.status', 'expired') WHERE id IN "
                "(SELECT approval_id FROM calls WHERE turn = ? AND state = 'pending')",
                (turn,),
            )
            db.execute("UPDATE calls SET state = 'denied' WHERE turn = ? AND state = 'pending'", (turn,))

        self._database.write(work)


def _call(row: Sequence[Any]) -> Call:
    output = None if row[11] is None else json.loads(row[11])
    arguments = json.loads(row[6])
    return Call(*row[:6], arguments, *row[7:11], output)  # type: ignore[call-arg,unused-ignore]


def insert_call(db: sqlite3.Connection, call: Call) -> None:
    """Keeps a new call."""
    row = (call.id, call.session_id, call.turn, call.step, call.position, call.tool, json.dumps(call.arguments))
    rest = (call.state, call.approval_id, call.reason, call.decision, None)
    db.execute(f"INSERT INTO calls ({_CALL}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, *rest))


def _check_unanswered(db: sqlite3.Connection, call: Call) -> None:
    select = "SELECT json_extract(content, '$.status') FROM messages WHERE id = ?"
    told = db.execute(select, (call.approval_id,)).fetchone()[0]
    if told in ("approved", "denied"):
        raise RefusedError(
            f"approval request {call.approval_id} was {told} before; the first answer stands",
            "approval_already_answered",
            approved=told == "approved",
        )
    select = "SELECT turns.state FROM calls JOIN turns ON turns.number = calls.turn WHERE calls.id = ?"
    if told == "expired" or db.execute(select, (call.id,)).fetchone()[0] == "ended":
        raise RefusedError(f"approval request {call.approval_id} is past: its turn has ended", "approval_expired")
