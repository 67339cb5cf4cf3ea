"""Rows of the database as values, and what is put into them."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "MESSAGE",
    "Message",
    "Posted",
    "SessionRecord",
    "StoredCall",
    "StoredTurn",
    "insert_message",
    "new_id",
    "read_message",
    "to_json",
]

Json = dict[str, Any]


def new_id() -> str:
    """Returns an id that cannot be guessed: 128 random bits."""
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


MESSAGE = "id, session_id, sender, content, turn, step, created_at"


def read_message(row: Sequence[Any]) -> Message:
    """Returns the message in a row of `MESSAGE`."""
    return Message(row[0], row[1], json.loads(row[2]), json.loads(row[3]), row[4], row[5], row[6])


def to_json(value: Any) -> str:
    """Returns a value as JSON that can be stored and sent.

    A lone surrogate (``os.fsdecode`` makes them of bytes that are not UTF-8) has no form in UTF-8, and one of
    them would make a whole history unreadable: it becomes U+FFFD. A pair of them is one character, and stays.
    """
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
    message = Message(message_id or new_id(), session_id, sender, content, turn, step, time.time())
    db.execute(
        f"INSERT INTO messages ({MESSAGE}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (message.id, session_id, to_json(sender), text, turn, step, message.created_at),
    )
    return message
