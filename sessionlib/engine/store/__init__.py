"""What the engine keeps: SQLite with one writing connection, and the statements that go through it."""

from sessionlib.engine.store.database import Database
from sessionlib.engine.store.store import Store

__all__ = ["Database", "Store"]
