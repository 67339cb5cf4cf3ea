"""Messages as rows, for all statements that write or read them."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from sessionlib.engine.store.records import Json, Message, new_id

__all__ = ["MESSAGE", "insert_message", "read_message"]

MESSAGE = "id, session_id, sender, content, turn, step, created_at"


def read_message(row: Sequence[Any]) -> Message:
    """Gives the message in a row of `MESSAGE`."""
    return Message(row[0], row[1], json.loads(row[2]), json.loads(row[3]), row[4], row[5], row[6])


def insert_message(
    db: sqlite3.Connection,
    session_id: str,
    turn: int,
    step: int,
    sender: Json,
    content: Json,
    message_id: str | None = None,
) -> Message:
    """Keeps a message, and gives it back as kept."""
    message = Message(message_id or new_id(), session_id, sender, content, turn, step, time.time())
    db.execute(
        f"INSERT INTO messages ({MESSAGE}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (message.id, session_id, json.dumps(sender), json.dumps(content), turn, step, message.created_at),
    )
    return message
