"""Tool calls and their approvals: each method is one transaction or one read."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from sessionlib.engine.errors import RefusedError
from sessionlib.engine.store.database import Database
from sessionlib.engine.store.records import Json, Message, StoredCall, StoredTurn, insert_message, to_json

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

    def open(self, turn: StoredTurn) -> list[StoredCall]:
        """Returns the calls of a turn whose results have not been sent, in order."""
        return self._database.read(lambda db: _open_calls(db, turn))

    def of_turns(self, session_id: str, first: int, last: int) -> list[StoredCall]:
        """Returns the calls of a session's turns from ``first`` to ``last``, in order."""
        select = (
            f"SELECT {_CALL} FROM calls WHERE session_id = ? AND turn BETWEEN ? AND ? ORDER BY turn, step, position"
        )
        rows = self._database.read(lambda db: db.execute(select, (session_id, first, last)).fetchall())
        return [_call(row) for row in rows]

    def pending(self, session_id: str) -> list[StoredCall]:
        """Returns the calls of a session that wait for a person, in order."""
        select = (
            f"SELECT {', '.join('calls.' + name for name in _CALL.split(', '))} FROM calls "
            "JOIN turns ON turns.number = calls.turn WHERE calls.session_id = ? AND calls.state = 'pending' "
            "AND turns.state != 'ended' ORDER BY calls.number"
        )
        return [_call(row) for row in self._database.read(lambda db: db.execute(select, (session_id,)).fetchall())]

    def find_approval(self, session_id: str, approval_id: str) -> tuple[StoredCall, StoredTurn] | None:
        """Returns the call that an approval request asks for, and its turn, or None."""

        def work(db: sqlite3.Connection) -> tuple[StoredCall, StoredTurn] | None:
            select = f"SELECT {_CALL} FROM calls WHERE session_id = ? AND approval_id = ?"
            row = db.execute(select, (session_id, approval_id)).fetchone()
            if row is None:
                return None
            call = _call(row)
            turn = db.execute(f"SELECT {_TURN} FROM turns WHERE number = ?", (call.turn,)).fetchone()
            return call, StoredTurn(*turn)

        return self._database.read(work)

    def answer(
        self, call: StoredCall, approved: bool, arguments: Json, reason: str, sender: Json, content: Json
    ) -> str:
        """Keeps the answer to an approval request, and returns the id of the message that holds it.

        Raises:
            RefusedError: It was answered before, or its turn has ended.
        """

        def work(db: sqlite3.Connection) -> str:
            _check_unanswered(db, call)
            state = "approved" if approved else "denied"
            db.execute(
                "UPDATE calls SET state = ?, arguments = ?, reason = ? WHERE id = ?",
                (state, _arguments(arguments, call.origin), reason, call.id),
            )
            _mark(db, call, state)
            return insert_message(db, call.session_id, call.turn, call.step, sender, content).id

        return self._database.write(work)

    def start(self, call: StoredCall, turn: StoredTurn, sender: Json, content: Json) -> Message:
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

    def finish(self, call: StoredCall, turn: StoredTurn, sender: Json, content: Json) -> list[Message]:
        """Keeps the result of a call, and returns the results that are sent now: always in the order of the calls."""

        def work(db: sqlite3.Connection) -> list[Message]:
            _keep_result(db, call, content)
            return _tell_results(db, turn, sender)

        return self._database.write(work)

    def cut(self, turn: StoredTurn, sender: Json, error: Json, result: Callable[[StoredCall], Json]) -> list[Message]:
        """Ends a turn without an answer: every open call gets a result all the same, and the error is reported.

        Args:
            turn: The turn.
            sender: Who the messages are from.
            error: The content that reports the error.
            result: Returns the content that reports the result of a call that has none.
        """

        def work(db: sqlite3.Connection) -> list[Message]:
            db.execute("UPDATE turns SET state = 'ended' WHERE number = ?", (turn.number,))
            for call in _open_calls(db, turn):
                if call.state == "pending":
                    _mark(db, call, "expired")
                if call.output is None:
                    _keep_result(db, call, result(call))
            details = _tell_results(db, turn, sender)
            return [*details, insert_message(db, turn.session_id, turn.number, turn.step, sender, error)]

        return self._database.write(work)


def _call(row: Sequence[Any]) -> StoredCall:
    output = None if row[11] is None else json.loads(row[11])
    kept = json.loads(row[6])
    # The arguments alone; or a list of them and what belongs to the model.
    arguments, origin = kept if isinstance(kept, list) else (kept, None)
    return StoredCall(*row[:6], arguments, *row[7:11], output, origin)  # type: ignore[call-arg,unused-ignore]


def _arguments(arguments: Json, origin: Json | None) -> str:
    return to_json(arguments if origin is None else [arguments, origin])


def insert_call(db: sqlite3.Connection, call: StoredCall) -> None:
    """Keeps a new call."""
    row = (
        call.id,
        call.session_id,
        call.turn,
        call.step,
        call.position,
        call.tool,
        _arguments(call.arguments, call.origin),
    )
    rest = (call.state, call.approval_id, call.reason, call.decision, None)
    db.execute(f"INSERT INTO calls ({_CALL}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, *rest))


def _open_calls(db: sqlite3.Connection, turn: StoredTurn) -> list[StoredCall]:
    select = f"SELECT {_CALL} FROM calls WHERE turn = ? AND state != 'settled' ORDER BY step, position"
    return [_call(row) for row in db.execute(select, (turn.number,))]


def _keep_result(db: sqlite3.Connection, call: StoredCall, content: Json) -> None:
    db.execute("UPDATE calls SET state = 'done', output = ? WHERE id = ?", (to_json(content), call.id))


def _tell_results(db: sqlite3.Connection, turn: StoredTurn, sender: Json) -> list[Message]:
    # Up to the first call that has no result yet: those behind it wait for it.
    details = []
    for call in itertools.takewhile(lambda call: call.output is not None, _open_calls(db, turn)):
        db.execute("UPDATE calls SET state = 'settled' WHERE id = ?", (call.id,))
        details.append(insert_message(db, turn.session_id, turn.number, call.step, sender, call.output or {}))
    return details


def _mark(db: sqlite3.Connection, call: StoredCall, status: str) -> None:
    # In the message that asks for approval.
    update = "UPDATE messages SET content = json_set(content, '$.status', ?) WHERE id = ?"
    db.execute(update, (status, call.approval_id))


def _check_unanswered(db: sqlite3.Connection, call: StoredCall) -> None:
    select = "SELECT json_extract(content, '$.status') FROM messages WHERE id = ?"
    found = db.execute(select, (call.approval_id,)).fetchone()
    if found is None:
        raise RefusedError(f"session {call.session_id} was terminated", "session_terminated")
    details = found[0]
    if details in ("approved", "denied"):
        raise RefusedError(
            f"approval request {call.approval_id} was {details} before; the first answer stands",
            "approval_already_answered",
            approved=details == "approved",
        )
    select = "SELECT turns.state FROM calls JOIN turns ON turns.number = calls.turn WHERE calls.id = ?"
    if details == "expired" or db.execute(select, (call.id,)).fetchone()[0] == "ended":
        raise RefusedError(f"approval request {call.approval_id} is past: its turn has ended", "approval_expired")
