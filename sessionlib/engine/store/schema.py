"""The database's layout: one script for each version, each carrying a file from the version before it."""

from __future__ import annotations

__all__ = ["APPLICATION_ID", "SCHEMA"]

APPLICATION_ID = 0x53455353  # "SESS", so that no other program's file is taken for ours

_FIRST = """
CREATE TABLE objects (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX objects_by_name ON objects (kind, name);

CREATE TABLE sessions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    object_type TEXT NOT NULL,
    object_id TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'open',
    created_at REAL NOT NULL
);

CREATE TABLE turns (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    state TEXT NOT NULL,
    step INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX turns_by_session ON turns (session_id, number);
CREATE INDEX turns_open ON turns (state) WHERE state != 'ended';

CREATE TABLE messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    turn INTEGER NOT NULL REFERENCES turns (number),
    step INTEGER NOT NULL,
    sender TEXT NOT NULL,
    content TEXT NOT NULL,
    created_at REAL NOT NULL
);
CREATE INDEX messages_by_session ON messages (session_id, number);

CREATE TABLE calls (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    turn INTEGER NOT NULL REFERENCES turns (number),
    step INTEGER NOT NULL,
    position INTEGER NOT NULL,
    tool TEXT NOT NULL,
    arguments TEXT NOT NULL,
    state TEXT NOT NULL,
    approval_id TEXT UNIQUE,
    reason TEXT NOT NULL DEFAULT '',
    decision TEXT NOT NULL DEFAULT '',
    output TEXT
);
CREATE INDEX calls_by_turn ON calls (turn, step, position);

CREATE TABLE files (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    name TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX files_by_session ON files (session_id);
"""

# What a model is told of a session's past is found by turn, however long the session and its neighbours are.
_SECOND = """
CREATE INDEX messages_by_turn ON messages (session_id, turn, number);
CREATE INDEX calls_by_session ON calls (session_id, turn);
"""

SCHEMA: tuple[str, ...] = (_FIRST, _SECOND)
