"""Sessions, their turns, messages and files: each method is one transaction or one read."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence

from sessionlib.engine.errors import RefusedError
from sessionlib.engine.store.calls import insert_call
from sessionlib.engine.store.database import Database
from sessionlib.engine.store.records import (
    MESSAGE,
    Json,
    Message,
    Posted,
    SessionRecord,
    StoredCall,
    StoredTurn,
    insert_message,
    new_id,
    read_message,
)

__all__ = ["File", "Sessions"]

File = tuple[str, str, str, bytes]
"""Id, name, MIME type and content of a file."""

_TURN = "number, id, session_id, state, step"


class Sessions:
    """The sessions that are kept.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, object_type: str, object_id: str) -> str:
        """Keeps a new session, and returns its id."""
        row = (new_id(), object_type, object_id, time.time())
        insert = "INSERT INTO sessions (id, object_type, object_id, created_at) VALUES (?, ?, ?, ?)"
        self._database.write(lambda db: db.execute(insert, row))
        return row[0]

    def find(self, session_id: str) -> SessionRecord | None:
        """Returns a session, or None."""
        select = "SELECT id, object_type, object_id, state FROM sessions WHERE id = ?"
        row = self._database.read(lambda db: db.execute(select, (session_id,)).fetchone())
        return None if row is None else SessionRecord(*row)

    def terminate(self, session_id: str) -> None:
        """Makes a session unusable for good; of what it held, only its id is kept."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("UPDATE sessions SET state = 'terminated' WHERE id = ?", (session_id,))
            # In the order of their references.
            for table in ("files", "calls", "messages", "turns"):
                db.execute(f"DELETE FROM {table} WHERE session_id = ?", (session_id,))

        self._database.write(work)

    def post(
        self,
        session_id: str,
        sender: Json,
        contents: Sequence[Json],
        files: Sequence[File],
        quota: int,
        into: StoredTurn | None = None,
    ) -> Posted:
        """Stores one post, its files, and the queued turn that will answer it.

        Args:
            session_id: The session.
            sender: Who the messages are from.
            contents: The messages.
            files: The files in them.
            quota: Bytes that all files of the session may have.
            into: A queued turn to put the post into; None makes one.

        Raises:
            RefusedError: The session's files would exceed ``quota``.
        """

        def work(db: sqlite3.Connection) -> Posted:
            state = db.execute("SELECT state FROM sessions WHERE id = ?", (session_id,)).fetchone()
            if state != ("open",):
                raise RefusedError(f"session {session_id} was terminated", "session_terminated")
            turn = into or _insert_turn(db, session_id)
            _insert_files(db, session_id, files, quota)
            ids = [insert_message(db, session_id, turn.number, 0, sender, content).id for content in contents]
            return Posted(turn, ids)

        return self._database.write(work)

    def history(self, session_id: str) -> list[Message]:
        """Returns all messages of a session, in order."""
        select = f"SELECT {MESSAGE} FROM messages WHERE session_id = ? ORDER BY number"
        rows = self._database.read(lambda db: db.execute(select, (session_id,)).fetchall())
        return [read_message(row) for row in rows]

    def find_message(self, message_id: str) -> Message | None:
        """Returns a message, or None."""
        select = f"SELECT {MESSAGE} FROM messages WHERE id = ?"
        row = self._database.read(lambda db: db.execute(select, (message_id,)).fetchone())
        return None if row is None else read_message(row)

    def recall(self, session_id: str, turn: int, limit: int) -> list[Message]:
        """Returns all messages of a turn, and of the turns before it the newest whole ones, by turn and in order.

        Args:
            session_id: The session.
            turn: The turn.
            limit: How many messages of earlier turns there may be.
        """
        select = f"SELECT {MESSAGE} FROM messages WHERE session_id = ? AND turn"

        def work(db: sqlite3.Connection) -> list[Message]:
            own = db.execute(f"{select} = ? ORDER BY number", (session_id, turn)).fetchall()
            past = f"{select} < ? ORDER BY turn DESC, number DESC LIMIT ?"
            earlier = [read_message(row) for row in db.execute(past, (session_id, turn, limit + 1))]
            if len(earlier) > limit:
                earlier = [message for message in earlier if message.turn != earlier[-1].turn]
            return [*reversed(earlier), *map(read_message, own)]

        return self._database.read(work)

    def has_notice(self, session_id: str, kind: str) -> bool:
        """Returns whether a notice of a kind was shown in a session."""
        select = "SELECT 1 FROM messages WHERE session_id = ? AND json_extract(content, '$.notice') = ? LIMIT 1"
        return self._database.read(lambda db: db.execute(select, (session_id, kind)).fetchone()) is not None

    def add_message(self, turn: StoredTurn, sender: Json, content: Json) -> Message:
        """Stores a message of a running turn."""
        row = (turn.session_id, turn.number, turn.step + 1, sender, content)
        return self._database.write(lambda db: insert_message(db, *row))

    def find_file(self, file_id: str) -> tuple[str, str, bytes] | None:
        """Returns name, MIME type and content of a file, or None."""
        select = "SELECT name, mime_type, data FROM files WHERE id = ?"
        row = self._database.read(lambda db: db.execute(select, (file_id,)).fetchone())
        return None if row is None else (row[0], row[1], row[2])

    def open_turns(self, session_id: str | None = None) -> list[StoredTurn]:
        """Returns the turns that have not ended, of one session or of all, in order."""
        select = f"SELECT {_TURN} FROM turns WHERE state != 'ended' AND session_id = COALESCE(?, session_id)"
        rows = self._database.read(lambda db: db.execute(f"{select} ORDER BY number", (session_id,)).fetchall())
        return [StoredTurn(*row) for row in rows]

    def set_turn(self, turn: int, state: str) -> None:
        """Says how far a turn is; one that has ended stays so."""
        update = "UPDATE turns SET state = ? WHERE number = ? AND state != 'ended'"
        self._database.write(lambda db: db.execute(update, (state, turn)))

    def add_step(
        self,
        turn: StoredTurn,
        sender: Json,
        contents: Iterable[tuple[str, Json]],
        calls: Sequence[StoredCall],
        ends: bool,
    ) -> list[Message]:
        """Keeps what one model step gave: messages of known ids, and the tool calls it asked for.

        Args:
            turn: The turn; its step is counted up.
            sender: Who the messages are from.
            contents: Ids and contents of the messages.
            calls: The calls.
            ends: Whether the turn ends with this step.
        """
        contents = list(contents)

        def work(db: sqlite3.Connection) -> list[Message]:
            step = turn.step + 1
            state = "ended" if ends else "running"
            db.execute("UPDATE turns SET step = ?, state = ? WHERE number = ?", (step, state, turn.number))
            for call in calls:
                insert_call(db, call)
            return [
                insert_message(db, turn.session_id, turn.number, step, sender, content, message_id)
                for message_id, content in contents
            ]

        return self._database.write(work)


def _insert_turn(db: sqlite3.Connection, session_id: str) -> StoredTurn:
    turn_id = new_id()
    cursor = db.execute("INSERT INTO turns (id, session_id, state) VALUES (?, ?, 'queued')", (turn_id, session_id))
    return StoredTurn(int(cursor.lastrowid or 0), turn_id, session_id, "queued", 0)


def _insert_files(db: sqlite3.Connection, session_id: str, files: Sequence[File], quota: int) -> None:
    if not files:
        return
    kept = db.execute("SELECT COALESCE(SUM(size), 0) FROM files WHERE session_id = ?", (session_id,)).fetchone()[0]
    if kept + sum(len(data) for *_, data in files) > quota:
        raise RefusedError(f"the files of one session may have {quota} bytes in all", "files_too_large")
    insert = "INSERT INTO files (id, session_id, name, mime_type, size, data) VALUES (?, ?, ?, ?, ?, ?)"
    db.executemany(insert, [(file_id, session_id, name, mime, len(data), data) for file_id, name, mime, data in files])
