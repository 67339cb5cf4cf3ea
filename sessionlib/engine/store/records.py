"""Rows of the database as values, each under a checksum, and what is put into them.

SQLite notices damage to its own structure, never to what is stored in it: a flipped byte in a text would be served as
the text. So every row holds the checksum of its columns, which is compared whenever the row is read.
"""

from __future__ import annotations

import functools
import json
import secrets
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "COLUMNS",
    "UNFINISHED",
    "Message",
    "Posted",
    "Row",
    "SessionRecord",
    "StoredCall",
    "StoredTurn",
    "checksum",
    "each_row",
    "insert",
    "insert_message",
    "new_id",
    "read_message",
    "read_turn",
    "rows",
    "seal",
    "to_json",
    "update",
]

Json = dict[str, Any]
Row = dict[str, Any]

COLUMNS: dict[str, tuple[str, ...]] = {
    "objects": ("id", "kind", "name", "body"),
    "sessions": ("id", "object_type", "object_id", "state", "created_at", "messages", "updated_at"),
    "turns": ("id", "session_id", "state", "step"),
    "messages": ("id", "session_id", "sender", "content", "turn", "step", "created_at"),
    "calls": (
        *("id", "session_id", "turn", "step", "position", "tool", "arguments", "state", "approval_id", "reason"),
        *("decision", "output"),
    ),
    "files": ("id", "session_id", "name", "mime_type", "size", "data"),
}
"""What the checksum of a row covers, in this order; `number` and `sum` come beside it."""
_INSERTS = {
    table: f"INSERT INTO {table} ({', '.join(names)}, sum) VALUES ({'?, ' * len(names)}?)"
    for table, names in COLUMNS.items()
}

# By their number SQLite would read all turns that there ever were; a partial index holds the open ones alone.
UNFINISHED = """AND state != 'ended' AND NOT (
    EXISTS (SELECT 1 FROM calls WHERE turn = turns.number AND state = 'pending')
    AND NOT EXISTS (SELECT 1 FROM calls WHERE turn = turns.number AND state NOT IN ('pending', 'done', 'settled'))
) ORDER BY +number"""
"""What `rows` needs to find the turns that a start takes up: those that are open, and for more than a person."""


def new_id() -> str:
    """Returns an id that cannot be guessed: 128 random bits."""
    # It is all that one needs to join a session, with the key of the engine.
    return secrets.token_hex(16)


@dataclass(frozen=True)
class SessionRecord:
    """A session.

    Attributes:
        state: "open" or "terminated".
    """

    id: str
    object_type: str
    object_id: str
    state: str

    @property
    def sender(self) -> Json:
        """The sender of the agent's or chatbot's messages."""
        return {"object_id": self.object_id, "object_type": self.object_type}


@dataclass(frozen=True)
class StoredTurn:
    """A turn of a session.

    Attributes:
        number: Its place among all turns.
        state: "queued", "running", "waiting" (for a person) or "ended".
        step: How many model steps it has behind it.
    """

    number: int
    id: str
    session_id: str
    state: str
    step: int


@dataclass(frozen=True)
class Message:
    """A message of the history.

    Attributes:
        step: The model step it belongs to; 0 for what the user posted.
    """

    id: str
    session_id: str
    sender: Json
    content: Json
    turn: int = 0
    step: int = 0
    created_at: float = 0.0

    def to_wire(self) -> Json:
        """Returns the message as clients see it."""
        return {
            "id": self.id,
            "session_id": self.session_id,
            "sender": self.sender,
            "content": self.content,
            "created_at": self.created_at,
        }


@dataclass(frozen=True)
class StoredCall:
    """A tool call that a model asked for.

    Attributes:
        position: Its place in its step, from 0.
        state: "pending" (waits for a person), "approved" (may run), "denied", "refused" (cannot run), "started",
            "done" (has its result), or "settled" (the result was sent, in its order).
        approval_id: The message that asks for approval, or None.
        reason: Why it was denied or refused.
        decision: What the model decided about asking, where it had to; else "".
        output: The result, ``{"status", "output", ...}``, or None.
        origin: What the model wants to have back beside the call, or None.
    """

    id: str
    session_id: str
    turn: int
    step: int
    position: int
    tool: str
    arguments: Json
    state: str
    approval_id: str | None = None
    reason: str = ""
    decision: str = ""
    output: Json | None = None
    origin: Json | None = None


@dataclass(frozen=True)
class Posted:
    """A post that is on disk."""

    turn: StoredTurn
    message_ids: list[str] = field(default_factory=list)


def checksum(values: Iterable[Any]) -> int:
    """Returns the checksum of a row's columns: CRC-32, which any single flipped byte changes."""
    # The last column may be a file of many megabytes: it is summed as it is, without a copy as text.
    *texts, last = values
    # Separated, so that "ab", "c" and "a", "bc" differ. CRC-32 finds damage; it is no protection against intent.
    total = zlib.crc32("\0".join(map(str, texts)).encode("utf-8", "surrogatepass"))
    return zlib.crc32(last if isinstance(last, bytes) else str(last).encode("utf-8", "surrogatepass"), total)


def rows(db: sqlite3.Connection, table: str, tail: str = "", params: Iterable[Any] = (), **match: Any) -> list[Row]:
    """Reads whole rows, and compares each with its checksum.

    Args:
        db: The connection.
        table: The table.
        tail: What follows the conditions: more of them, or an order.
        params: The parameters in ``tail``.
        **match: Columns and their values; compared here as well, for a damaged index leads to other rows.

    Raises:
        sqlite3.DatabaseError: A row is damaged.
    """
    return list(each_row(db, table, tail, params, **match))


@functools.cache
def _select(table: str, tail: str, *match: str) -> tuple[tuple[str, ...], str]:
    # Cached, as a statement's text is also the key by which sqlite3 keeps it compiled.
    names = ("number", "sum", *COLUMNS[table])
    where = " AND ".join(f"{name} = ?" for name in match) or "1"
    return names, f"SELECT {', '.join(names)} FROM {table} WHERE {where} {tail}"


def each_row(
    db: sqlite3.Connection, table: str, tail: str = "", params: Iterable[Any] = (), **match: Any
) -> Iterator[Row]:
    """Yields what `rows` returns, one row at a time."""
    names, select = _select(table, tail, *match)
    for values in db.execute(select, (*match.values(), *params)):
        row = dict(zip(names, values, strict=True))
        # The second half is for a damaged index, which leads to rows that do not match.
        if row.pop("sum") != checksum(values[2:]) or any(row[name] != value for name, value in match.items()):
            raise sqlite3.DatabaseError(f"row {row['number']} of table {table} does not match its checksum")
        yield row


def seal(db: sqlite3.Connection) -> None:
    """Sets the checksums of all rows: of those that an engine without checksums has stored."""
    for table, columns in COLUMNS.items():
        select = db.execute(f"SELECT number, {', '.join(columns)} FROM {table}")
        sums = ((checksum(values), number) for number, *values in select)
        db.executemany(f"UPDATE {table} SET sum = ? WHERE number = ?", sums)


def insert(db: sqlite3.Connection, table: str, *values: Any) -> int:
    """Stores a row with its checksum, and returns its number."""
    return int(db.execute(_INSERTS[table], (*values, checksum(values))).lastrowid or 0)


def update(db: sqlite3.Connection, table: str, row: Row, **changes: Any) -> None:
    """Changes a row that `rows` has returned."""
    row.update(changes)
    sets = ", ".join(f"{name} = ?" for name in (*changes, "sum"))
    # Of the whole row as it will be, which is why it has to have been read.
    total = checksum(row[name] for name in COLUMNS[table])
    db.execute(f"UPDATE {table} SET {sets} WHERE number = ?", (*changes.values(), total, row["number"]))


def read_message(row: Row) -> Message:
    """Returns the message in a row."""
    content = json.loads(row["content"])
    ids = (row["id"], row["session_id"])
    return Message(*ids, json.loads(row["sender"]), content, row["turn"], row["step"], row["created_at"])


def read_turn(row: Row) -> StoredTurn:
    """Returns the turn in a row."""
    return StoredTurn(row["number"], row["id"], row["session_id"], row["state"], row["step"])


def to_json(value: Any) -> str:
    """Returns a value as JSON that can be stored and sent.

    A lone surrogate (``os.fsdecode`` makes them of bytes that are not UTF-8) has no form in UTF-8, and one of
    them would make a whole history unreadable: it becomes U+FFFD. A pair of them is one character, and stays.
    """
    # As it is, which takes half the room of escapes for most scripts.
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def insert_message(
    db: sqlite3.Connection,
    session_id: str,
    turn: int,
    step: int,
    sender: Json,
    content: Json,
    message_id: str | None = None,
) -> Message:
    """Stores a message, and returns it as stored."""
    text = to_json(content)
    if "�" in text:
        content = json.loads(text)  # cleaned, perhaps: what is sent is what is stored
    # A streamed message has its id from its first delta on.
    message = Message(message_id or new_id(), session_id, sender, content, turn, step, time.time())
    insert(db, "messages", message.id, session_id, to_json(sender), text, turn, step, message.created_at)
    # How many there are shows whether the index has lost one.
    for session in rows(db, "sessions", id=session_id):
        update(db, "sessions", session, messages=session["messages"] + 1, updated_at=message.created_at)
    return message
