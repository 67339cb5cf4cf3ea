"""Everything an engine keeps, in one database."""

from __future__ import annotations

import json

from sessionlib.engine.store.calls import Calls
from sessionlib.engine.store.database import Database
from sessionlib.engine.store.records import Json, new_id
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
        row = (object_id, kind, name, json.dumps(body))
        self._database.write(
            lambda db: db.execute("INSERT INTO objects (id, kind, name, body) VALUES (?, ?, ?, ?)", row)
        )
        return object_id

    def update(self, kind: str, object_id: str, name: str, body: Json) -> bool:
        """Changes an agent or chatbot; False when there is none of that id."""
        row = (name, json.dumps(body), kind, object_id)
        update = "UPDATE objects SET name = ?, body = ? WHERE kind = ? AND id = ?"
        return self._database.write(lambda db: db.execute(update, row).rowcount > 0)

    def delete(self, kind: str, object_id: str) -> bool:
        """Removes an agent or chatbot; False when there is none of that id."""
        delete = "DELETE FROM objects WHERE kind = ? AND id = ?"
        return self._database.write(lambda db: db.execute(delete, (kind, object_id)).rowcount > 0)

    def find(self, kind: str, object_id: str | None = None, name: str | None = None) -> tuple[str, Json] | None:
        """Returns id and body of an agent or chatbot; of several with one name, the newest."""
        where, value = ("id", object_id) if object_id is not None else ("name", name)
        select = f"SELECT id, body FROM objects WHERE kind = ? AND {where} = ? ORDER BY number DESC LIMIT 1"
        row = self._database.read(lambda db: db.execute(select, (kind, value)).fetchone())
        return None if row is None else (row[0], json.loads(row[1]))

    def list_all(self, kind: str, limit: int, offset: int) -> list[tuple[str, Json]]:
        """Returns ids and bodies, the oldest first."""
        select = "SELECT id, body FROM objects WHERE kind = ? ORDER BY number LIMIT ? OFFSET ?"
        rows = self._database.read(lambda db: db.execute(select, (kind, limit, offset)).fetchall())
        return [(object_id, json.loads(body)) for object_id, body in rows]


class Store:
    """An engine's memory.

    Args:
        path: The database file; None keeps everything in memory.
        busy_seconds: How long to wait while another program keeps the file locked.

    Attributes:
        objects: Agents and chatbots.
        sessions: Sessions, turns, messages and files.
        calls: Tool calls and approvals.

    Raises:
        StorageError: The file cannot be used; the kinds of it say why.
    """

    def __init__(self, path: str | None = None, *, busy_seconds: float = 5.0) -> None:
        self.database = Database(path, busy_seconds=busy_seconds)
        self.objects = Objects(self.database)
        self.sessions = Sessions(self.database)
        self.calls = Calls(self.database)

    def close(self) -> None:
        """Commits what waits, and returns the file back."""
        self.database.close()
