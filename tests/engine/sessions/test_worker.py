"""What the engine gives back: old sessions, and the room that they took in the file."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest

from sessionlib.engine import LocalEngine
from sessionlib.engine.store.database import Database
from tests.engine.conftest import refund
from tests.support.engine import Caller, answer_of, content_of, contents, eventually, file, make_agent, rest

SECOND = 1 / 86400


def query(path: Path, statement: str) -> list[tuple[str]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def sessions_in(path: Path) -> list[str]:
    return [row[0] for row in query(path, "SELECT id FROM sessions ORDER BY number")]


@pytest.mark.parametrize("keep_days", [0, -1.0, float("nan")])
def test_a_time_to_keep_is_positive(keep_days: float) -> None:
    with pytest.raises(ValueError, match="keep_days is a positive number"):
        LocalEngine(keep_days=keep_days)


def test_old_sessions_are_removed_with_all_they_held_unless_they_are_in_use(tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    with LocalEngine(path=str(path), tools=[refund], keep_days=SECOND) as engine:
        agent_id = make_agent(engine)
        with Caller.on(engine, agent_id=agent_id) as used:
            with Caller.on(engine, agent_id=agent_id) as old:
                heard = old.ask(file("old.txt"))
                old.ask_for_approval('/tool refund {"order_id": "7"}')
                file_id = contents(old.history(), "file")[0]["file_id"]
                assert rest(engine, "GET", f"/file/{file_id}").status_code == 200
            used.ask("hello")
            eventually(lambda: sessions_in(path) == [used.session_id], 30)
            assert rest(engine, "GET", f"/file/{file_id}").status_code == 404
            # Joined for longer than sessions are kept, and not removed.
            assert answer_of(used.ask("still here?")) == 'You said: "still here?"'
        assert any(content_of(frame).get("status") == "Complete" for frame in heard)
        eventually(lambda: sessions_in(path) == [], 30)
        with Caller.on(engine, agent_id=agent_id) as caller:
            caller.say({"type": "connect_session", "session_id": old.session_id})
            assert caller.until_type("connect_session")["code"] == "session_not_found"
    for table in ("messages", "turns", "calls", "files"):
        assert query(path, f"SELECT id FROM {table}") == []


def test_without_a_time_to_keep_nothing_is_removed(tmp_path: Path) -> None:
    with LocalEngine(path=str(tmp_path / "engine.db")) as engine, Caller.on(engine) as caller:
        caller.ask("hello")
        assert not any(thread.name == "sessionlib-retention" for thread in threading.enumerate())


def test_a_file_that_cannot_be_made_smaller_is_left_as_it_is(tmp_path: Path) -> None:
    """Without the pointers of an incremental vacuum nothing can be given back, and nothing is tried for ever."""
    path = tmp_path / "engine.db"
    with contextlib.closing(Database(str(path))):
        pass
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA auto_vacuum = NONE; VACUUM")
    with LocalEngine(path=str(path)) as engine, Caller.on(engine) as caller:
        caller.ask(file("large.bin", "A" * 8_000_000))
        caller.terminate()
        with Caller.on(engine) as again:
            assert answer_of(again.ask("hello")).endswith('You said: "hello"')
