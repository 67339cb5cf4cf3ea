"""Sessions, their turns, messages and files: each method is one transaction or one read."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Iterable, Sequence

from sessionlib.engine.errors import RefusedError
from sessionlib.engine.store.calls import insert_call
from sessionlib.engine.store.database import Database
from sessionlib.engine.store.records import (
    UNFINISHED,
    Json,
    Message,
    Posted,
    Row,
    SessionRecord,
    StoredCall,
    StoredTurn,
    each_row,
    insert,
    insert_message,
    new_id,
    read_message,
    read_turn,
    rows,
    update,
)

__all__ = ["File", "Sessions"]

File = tuple[str, str, str, bytes]
"""Id, name, MIME type and content of a file."""


class Sessions:
    """The sessions that are kept.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, object_type: str, object_id: str) -> str:
        """Keeps a new session, and returns its id."""
        session_id, now = new_id(), time.time()
        row = (session_id, object_type, object_id, "open", now, 0, now)
        self._database.write(lambda db: insert(db, "sessions", *row))
        return session_id

    def find(self, session_id: str) -> SessionRecord | None:
        """Returns a session, or None."""
        found = self._database.read(lambda db: rows(db, "sessions", id=session_id))
        names = ("id", "object_type", "object_id", "state")
        return SessionRecord(*(found[0][name] for name in names)) if found else None

    def terminate(self, session_id: str) -> None:
        """Makes a session unusable for good; of what it held, only its id is kept."""

        def work(db: sqlite3.Connection) -> None:
            # Its contents go; the id stays, so that to join it is refused with the right reason.
            _empty(db, session_id)
            for row in rows(db, "sessions", id=session_id):
                update(db, "sessions", row, state="terminated", messages=0, updated_at=time.time())

        self._database.write(work)

    def idle_since(self, before: float, after: int, count: int) -> tuple[list[str], int | None]:
        """Looks through some sessions for those in which nothing was sent for long.

        Args:
            before: When something was last sent in them, at the latest.
            after: The number behind which to look; 0 at first.
            count: How many sessions to look through.

        Returns:
            Their ids, and the number to go on behind; None at the end.
        """
        select = "SELECT number, id, updated_at FROM sessions WHERE number > ? ORDER BY number LIMIT ?"
        # Without checksums, in small parts: nothing is decided by it but what to look at again.
        seen = self._database.read(lambda db: db.execute(select, (after, count)).fetchall())
        return [row[1] for row in seen if row[2] < before], seen[-1][0] if len(seen) == count else None

    def remove(self, session_ids: Sequence[str], before: float) -> int:
        """Removes sessions with all that they held, but for those in which something was sent meanwhile."""

        def work(db: sqlite3.Connection) -> int:
            removed = 0
            for session_id in session_ids:
                # Asked again within the transaction: something may have been sent since it was listed.
                for row in rows(db, "sessions", "AND updated_at < ?", (before,), id=session_id):
                    _empty(db, session_id)
                    removed += db.execute("DELETE FROM sessions WHERE number = ?", (row["number"],)).rowcount
            return removed

        return self._database.write(work)

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
            if not rows(db, "sessions", id=session_id, state="open"):
                raise RefusedError(f"session {session_id} was terminated", "session_terminated")
            turn = into
            if turn is None:
                # In one transaction with its messages: no turn without a post, and no post without a turn.
                turn_id = new_id()
                number = insert(db, "turns", turn_id, session_id, "queued", 0)
                turn = StoredTurn(number, turn_id, session_id, "queued", 0)
            if files:
                sizes = "SELECT COALESCE(SUM(size), 0) FROM files WHERE session_id = ?"
                kept = db.execute(sizes, (session_id,)).fetchone()[0]
                if kept + sum(len(data) for *_, data in files) > quota:
                    raise RefusedError(f"the files of one session may have {quota} bytes in all", "files_too_large")
            for file_id, name, mime_type, data in files:
                insert(db, "files", file_id, session_id, name, mime_type, len(data), data)
            ids = [insert_message(db, session_id, turn.number, 0, sender, content).id for content in contents]
            return Posted(turn, ids)

        return self._database.write(work)

    def history(self, session_id: str) -> list[Message]:
        """Returns all messages of a session, in order."""

        def work(db: sqlite3.Connection) -> list[Row]:
            found = rows(db, "messages", "ORDER BY number", session_id=session_id)
            numbers = [row["number"] for row in found]
            # What a damaged index no longer leads to has no checksum that could differ.
            held = [row["messages"] for row in rows(db, "sessions", id=session_id)] or [0]
            if held != [len(numbers)] or any(one >= next_one for one, next_one in itertools.pairwise(numbers)):
                raise sqlite3.DatabaseError(f"messages of session {session_id} are missing, by its checksum")
            return found

        return [read_message(row) for row in self._database.read(work)]

    def history_part(self, session_id: str, after: str | None, limit: int, size: int) -> tuple[list[Message], bool]:
        """Returns a part of a session's messages, in order, and whether there are more behind it.

        Args:
            session_id: The session.
            after: The message behind which it begins; None for the first part.
            limit: How many messages it may have.
            size: How many bytes it may have; one message may be larger.

        Raises:
            RefusedError: The session has no message ``after``.
        """

        def work(db: sqlite3.Connection) -> tuple[list[Message], bool]:
            first = 0
            if after is not None:
                found = rows(db, "messages", session_id=session_id, id=after)
                if not found:
                    raise RefusedError(f"session {session_id} has no message {after[:80]}", "message_not_found")
                # Messages are ordered by number; the ids are random.
                first = found[0]["number"]
            part: list[Message] = []
            room = size
            tail = "AND number > ? ORDER BY number LIMIT ?"
            # One more than is asked for shows whether there are more.
            for row in each_row(db, "messages", tail, (first, limit + 1), session_id=session_id):
                room -= len(row["content"].encode())
                # One message always comes, however large: else no client would get beyond it.
                if part and (room < 0 or len(part) == limit):
                    return part, True
                part.append(read_message(row))
            return part, False

        return self._database.read(work)

    def find_message(self, message_id: str) -> Message | None:
        """Returns a message, or None."""
        found = self._database.read(lambda db: rows(db, "messages", id=message_id))
        return read_message(found[0]) if found else None

    def recall(self, session_id: str, turn: int, limit: int) -> list[Message]:
        """Returns all messages of a turn, and of the turns before it the newest whole ones, by turn and in order.

        Args:
            session_id: The session.
            turn: The turn.
            limit: How many messages of earlier turns there may be.
        """

        def work(db: sqlite3.Connection) -> list[Message]:
            own = rows(db, "messages", "ORDER BY number", session_id=session_id, turn=turn)
            past = "AND turn < ? ORDER BY turn DESC, number DESC LIMIT ?"
            earlier = rows(db, "messages", past, (turn, limit + 1), session_id=session_id)
            if len(earlier) > limit:
                # The oldest turn is truncated by the limit, and half a turn would mislead a model.
                earlier = [row for row in earlier if row["turn"] != earlier[-1]["turn"]]
            return [read_message(row) for row in (*reversed(earlier), *own)]

        return self._database.read(work)

    def has_notice(self, session_id: str, kind: str) -> bool:
        """Returns whether a notice of a kind was shown in a session."""
        # In SQL, so that the contents of a long session are not read into Python for it.
        select = "SELECT 1 FROM messages WHERE session_id = ? AND json_extract(content, '$.notice') = ? LIMIT 1"
        return self._database.read(lambda db: db.execute(select, (session_id, kind)).fetchone()) is not None

    def add_message(self, turn: StoredTurn, sender: Json, content: Json) -> Message:
        """Stores a message of a running turn."""
        row = (turn.session_id, turn.number, turn.step + 1, sender, content)
        return self._database.write(lambda db: insert_message(db, *row))

    def find_file(self, file_id: str) -> tuple[str, str, bytes] | None:
        """Returns name, MIME type and content of a file, or None."""
        found = self._database.read(lambda db: rows(db, "files", id=file_id))
        return (found[0]["name"], found[0]["mime_type"], found[0]["data"]) if found else None

    def open_turns(self, session_id: str) -> list[StoredTurn]:
        """Returns the turns of a session that have not ended, in order."""
        tail = "AND state != 'ended' ORDER BY number"
        return [
            read_turn(row) for row in self._database.read(lambda db: rows(db, "turns", tail, session_id=session_id))
        ]

    def unfinished(self) -> list[StoredTurn]:
        """Returns the turns of all sessions that an engine has to take up: those that wait for more than a person."""
        return [read_turn(row) for row in self._database.read(lambda db: rows(db, "turns", UNFINISHED))]

    def set_turn(self, turn: int, state: str) -> None:
        """Sets how far a turn is; one that has ended stays so."""

        def work(db: sqlite3.Connection) -> None:
            for row in rows(db, "turns", "AND state != 'ended'", number=turn):
                update(db, "turns", row, state=state)

        self._database.write(work)

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
            for row in rows(db, "turns", number=turn.number):
                # All that a step brings in one transaction: after a crash it has happened, or it has not.
                update(db, "turns", row, step=step, state=state)
            for call in calls:
                insert_call(db, call)
            return [
                insert_message(db, turn.session_id, turn.number, step, sender, content, message_id)
                for message_id, content in contents
            ]

        return self._database.write(work)


def _empty(db: sqlite3.Connection, session_id: str) -> None:
    for table in ("files", "calls", "messages", "turns"):  # in the order of their references
        db.execute(f"DELETE FROM {table} WHERE session_id = ?", (session_id,))
