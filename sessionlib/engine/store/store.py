"""Everything an engine keeps, in one database."""

from __future__ import annotations

import json
import sqlite3

from sessionlib.engine.store.calls import Calls
from sessionlib.engine.store.database import Database
from sessionlib.engine.store.records import Json, insert, new_id, rows, update
from sessionlib.engine.store.sessions import Sessions

__all__ = ["Objects", "Store"]


class Objects:
    """The agents and chatbots that are kept.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, kind: str, name: str, body: Json) -> str:
        """Keeps a new agent or chatbot, and returns its id."""
        object_id = new_id()
        self._database.write(lambda db: insert(db, "objects", object_id, kind, name, json.dumps(body)))
        return object_id

    def update(self, kind: str, object_id: str, name: str, body: Json) -> bool:
        """Changes an agent or chatbot; False when there is none of that id."""

        def work(db: sqlite3.Connection) -> bool:
            found = rows(db, "objects", kind=kind, id=object_id)
            for row in found:
                update(db, "objects", row, name=name, body=json.dumps(body))
            return bool(found)

        return self._database.write(work)

    def delete(self, kind: str, object_id: str) -> bool:
        """Removes an agent or chatbot; False when there is none of that id."""
        delete = "DELETE FROM objects WHERE kind = ? AND id = ?"
        return self._database.write(lambda db: db.execute(delete, (kind, object_id)).rowcount > 0)

    def find(self, kind: str, object_id: str | None = None, name: str | None = None) -> tuple[str, Json] | None:
        """Returns id and body of an agent or chatbot; of several with one name, the newest."""
        match = {"name": name} if object_id is None else {"id": object_id}
        # Names need not be unique.
        newest = "ORDER BY number DESC LIMIT 1"
        found = self._database.read(lambda db: rows(db, "objects", newest, kind=kind, **match))
        return (found[0]["id"], json.loads(found[0]["body"])) if found else None

    def list_all(self, kind: str, limit: int, offset: int) -> list[tuple[str, Json]]:
        """Returns ids and bodies, the oldest first."""
        page = "ORDER BY number LIMIT ? OFFSET ?"
        found = self._database.read(lambda db: rows(db, "objects", page, (limit, offset), kind=kind))
        return [(row["id"], json.loads(row["body"])) for row in found]


class Store:
    """An engine's memory.

    Args:
        path: The database file; None keeps everything in memory.
        busy_seconds: How long to wait while another program keeps the file locked.
        full_check: Whether a large file, too, is read whole before it is used.

    Attributes:
        objects: Agents and chatbots.
        sessions: Sessions, turns, messages and files.
        calls: Tool calls and approvals.
        close: Commits what waits, and closes the file.

    Raises:
        StorageError: The file cannot be used; the kinds of it name the reason.
    """

    def __init__(self, path: str | None = None, *, busy_seconds: float = 5.0, full_check: bool = False) -> None:
        self.database = Database(path, busy_seconds=busy_seconds, full_check=full_check)
        # Views of one database: each groups the statements of its tables, and all share one writer.
        self.objects = Objects(self.database)
        self.sessions = Sessions(self.database)
        self.calls = Calls(self.database)
        self.close = self.database.close
