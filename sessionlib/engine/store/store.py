"""Everything an engine keeps, in one database."""

from __future__ import annotations

from sessionlib.engine.store.calls import Calls
from sessionlib.engine.store.database import Database
from sessionlib.engine.store.objects import Objects
from sessionlib.engine.store.sessions import Sessions

__all__ = ["Store"]


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
        """Commits what waits, and gives the file back."""
        self.database.close()
