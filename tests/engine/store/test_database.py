"""The database file: kept whole, held by one engine, left alone when it is not ours or not sound."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import stat
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sessionlib.engine import (
    DatabaseDamagedError,
    DatabaseInUseError,
    DatabaseVersionError,
    Limits,
    LocalEngine,
    StorageError,
)
from sessionlib.engine.sessions.turn import ENGINE_STOPPED
from sessionlib.engine.store import files
from sessionlib.engine.store.calls import insert_call
from sessionlib.engine.store.database import APPLICATION_ID, SCHEMA, Database
from sessionlib.engine.store.files import LockFile
from sessionlib.engine.store.records import COLUMNS, StoredCall, insert, insert_message, seal
from sessionlib.engine.store.store import Store
from sessionlib.protocol import frames
from tests.support.engine import Caller, Process, answer_of, contents, eventually, file, make_agent, open_socket, rest
from tests.support.threads import in_threads
from tests.support.waiting import SLACK, Stalls, within


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.db"


@pytest.fixture
def written(path: Path) -> Path:
    """A database with something in it."""
    with LocalEngine(path=str(path)) as engine, Caller.on(engine) as caller:
        for number in range(20):
            caller.ask(f"message {number} " + "x" * 500)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def query(path: Path, statement: str) -> list[Any]:
    """The rows of a statement, as another program than an engine gets them."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(statement).fetchall()
        connection.commit()
        return rows


def run_script(path: Path, script: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def check(path: Path) -> list[str]:
    """The ids of the messages in a sound database."""
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert query(path, "PRAGMA foreign_key_check") == []
    return [row[0] for row in query(path, "SELECT id FROM messages ORDER BY number")]


def start(path: Path) -> None:
    LocalEngine(path=str(path)).start().close()


def test_it_is_written_through_a_log_to_the_disk(path: Path) -> None:
    with contextlib.closing(Database(str(path))) as database:
        assert database.read(lambda db: db.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
        assert database.write(lambda db: db.execute("PRAGMA synchronous").fetchone()) == (2,)


def test_what_was_said_is_for_the_owner_alone(path: Path) -> None:
    with contextlib.closing(Database(str(path), schema=SCHEMA[:1])):
        pass
    with LocalEngine(path=str(path)) as engine, Caller.on(engine) as caller:
        caller.ask("a secret")
        names = [f"{path}{end}" for end in ("", "-wal", "-shm", ".layout-1")]
        assert [stat.S_IMODE(os.stat(name).st_mode) for name in names] == [0o600] * 4


# ---- files that are not taken --------------------------------------------------------------


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def _pages(path: Path) -> None:
    for page in range(1, path.stat().st_size // 4096):
        overwrite(path, page * 4096, random.Random(page).randbytes(4096))


def _another_program(path: Path) -> None:
    path.unlink()
    run_script(path, "CREATE TABLE theirs (x)")


_HEADER = (DatabaseDamagedError, r"engine\.db is not usable: its header is not that of a database")
SPOILT: dict[str, tuple[Callable[[Path], object], type[StorageError], str]] = {
    "its header": (lambda path: overwrite(path, 0, b"garbage!"), *_HEADER),
    "truncated in its header": (lambda path: os.truncate(path, 50), *_HEADER),
    "garbage": (lambda path: path.write_bytes(random.Random(1).randbytes(20_000)), *_HEADER),
    "emptied": (lambda path: os.truncate(path, 0), DatabaseDamagedError, "it is empty"),
    "all its pages": (_pages, DatabaseDamagedError, "SQLite reports: "),
    "truncated": (lambda path: os.truncate(path, path.stat().st_size - 5000), DatabaseDamagedError, "SQLite reports: "),
    "free pages": (lambda path: overwrite(path, 36, b"\0\0\0\5"), DatabaseDamagedError, "SQLite reports: .*reelist"),
    "an index": (lambda path: query(path, "DROP INDEX messages_of_turn"), DatabaseDamagedError, "not those of layout"),
    "another program's": (_another_program, DatabaseDamagedError, "it belongs to another program"),
    "a newer engine's": (lambda path: query(path, "PRAGMA user_version = 99"), DatabaseVersionError, "newer engine"),
    "not to be written": (lambda path: path.chmod(0o444), StorageError, "cannot be written to"),
}


@pytest.mark.parametrize(("spoil", "kind", "reason"), SPOILT.values(), ids=SPOILT)
def test_a_file_that_cannot_be_used_is_refused_and_left_as_it_is(
    written: Path, spoil: Callable[[Path], object], kind: type[StorageError], reason: str
) -> None:
    spoil(written)
    before = digest(written)
    with pytest.raises(kind, match=f"(?s){reason}") as refused:
        start(written)
    assert (type(refused.value), refused.value.path) == (kind, str(written))
    assert digest(written) == before


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseDamagedError, match="it is not a file"):
        start(tmp_path)
    with pytest.raises(StorageError):
        start(tmp_path / "nowhere" / "engine.db")


def test_as_a_program_it_says_so_in_one_line(written: Path, process: Callable[..., Process]) -> None:
    overwrite(written, 0, b"garbage!")
    engine = process("--db", str(written))
    assert engine.popen.wait(30) == 1
    assert engine.errors().splitlines() == [
        f"sessionlib engine: {written} is not usable: its header is not that of a database. "
        "It was left as it is; restore a copy, or start with another file"
    ]


_OLD_ROWS = """
INSERT INTO objects (id, kind, name, body) VALUES
    ('a', 'agent', 'Old', '{"name": "Old", "agent_type": "conversational"}');
INSERT INTO sessions (id, object_type, object_id, created_at) VALUES ('s', 'agent', 'a', 5.5);
INSERT INTO turns (id, session_id, state, step) VALUES ('t', 's', 'ended', 1);
INSERT INTO messages (id, session_id, turn, step, sender, content, created_at) VALUES
    ('m1', 's', 1, 0, '{"user_id": "local"}', '{"type": "data_type_message", "value": "café"}', 6.25),
    ('m2', 's', 1, 1, '{"object_id": "a"}', '{"type": "data_type_message", "value": "yes"}', 7.0);
INSERT INTO calls (id, session_id, turn, step, position, tool, arguments, state) VALUES
    ('c', 's', 1, 1, 0, 'x', '{}', 'settled');
INSERT INTO files (id, session_id, name, mime_type, size, data) VALUES ('f', 's', 'n', 'text/plain', 3, x'00ff01');
"""


@pytest.mark.parametrize("version", range(1, len(SCHEMA)))
def test_an_earlier_layout_is_carried_over_to_todays(path: Path, version: int) -> None:
    with contextlib.closing(Database(str(path), schema=SCHEMA[:version])):
        pass
    run_script(path, _OLD_ROWS)
    if version > 2:  # by which rows have checksums
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE sessions SET messages = 2, updated_at = 7.0")
            seal(connection)
    # As files were made at first: the space of removed rows was kept for ever.
    run_script(path, "PRAGMA auto_vacuum = NONE; VACUUM")
    assert query(path, "PRAGMA auto_vacuum") == [(0,)]
    with LocalEngine(path=str(path)) as engine, Caller.on(engine, session_id="s") as caller:
        kept = [(m["id"], m["content"]["value"], m["created_at"]) for m in caller.history()]
        assert kept == [("m1", "café", 6.25), ("m2", "yes", 7.0)]
        assert rest(engine, "GET", "/file/f").content == b"\x00\xff\x01"
        assert answer_of(caller.ask("and now")) == 'You said: "and now"'
        assert len(caller.history()) == 4
    assert check(Path(f"{path}.layout-{version}")) == ["m1", "m2"]
    assert query(path, "PRAGMA user_version") == [(len(SCHEMA),)]
    plan = "EXPLAIN QUERY PLAN SELECT * FROM messages WHERE session_id = '' AND turn < 9 ORDER BY turn, number"
    assert "messages_by_turn" in str(query(path, plan))
    assert query(path, "PRAGMA auto_vacuum") == [(2,)]
    assert query(path, "SELECT messages FROM sessions") == [(4,)]


def test_each_reference_has_an_index(store: Store) -> None:
    """Or each row that is removed costs a look at all rows that could refer to it."""

    def missing(db: sqlite3.Connection) -> dict[str, set[str]]:
        found = {}
        for table in COLUMNS:
            referring = {row[3] for row in db.execute(f"PRAGMA foreign_key_list({table})")}
            indexes = [row[1] for row in db.execute(f"PRAGMA index_list({table})")]
            found[table] = referring - {db.execute(f"PRAGMA index_info({name})").fetchone()[2] for name in indexes}
            assert referring == {"turn", "session_id"} or table != "messages"
        return found

    assert store.database.read(missing) == {table: set() for table in COLUMNS}


def test_a_carrying_over_that_fails_changes_nothing(written: Path) -> None:
    ids = check(written)
    with pytest.raises(StorageError):
        Database(str(written), schema=(*SCHEMA, "CREATE TABLE fine (x); CREATE TABLE objects (x);"))
    assert query(written, "PRAGMA user_version") == [(len(SCHEMA),)]
    assert query(written, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert query(written, "SELECT name FROM sqlite_master WHERE name = 'fine'") == []
    assert check(written) == ids


# ---- one engine for each file --------------------------------------------------------------


def test_a_second_engine_is_refused_with_the_holders_pid(path: Path, process: Callable[..., Process]) -> None:
    first = process("--db", str(path)).ready()
    link = path.with_name("link.db")
    link.symlink_to(path)
    for name in (path, link):
        with pytest.raises(DatabaseInUseError, match=str(first.popen.pid)) as refused:
            start(name)
        assert refused.value.pid == first.popen.pid
    second = process("--db", str(path))
    assert second.popen.wait(30) == 1
    assert f"in use by another engine (process {first.popen.pid})" in second.errors()
    with Caller.on(first) as caller:
        caller.ask("undisturbed")
    first.stop(signal.SIGKILL)
    with LocalEngine(path=str(path)) as third, Caller.on(third, session_id=caller.session_id) as again:
        assert again.history()[0]["content"]["value"] == "undisturbed"
        with pytest.raises(DatabaseInUseError, match=str(os.getpid())):
            start(path)


def test_many_starts_at_once_have_one_winner(path: Path) -> None:
    barrier = threading.Barrier(4)

    def begin() -> str:
        barrier.wait()
        try:
            database = Database(str(path))
        except DatabaseInUseError:
            barrier.wait()
            return "refused"
        barrier.wait()
        database.close()
        return "won"

    for _ in range(100):
        with in_threads(*[begin] * 4) as outcomes:
            pass
        assert sorted(outcomes) == ["refused"] * 3 + ["won"]


# ---- what is acknowledged is on disk -------------------------------------------------------


def test_copies_of_the_files_hold_what_was_acknowledged(folder: Path) -> None:
    """A model of lost power: the files as they are, their log torn in what was never acknowledged, or cut."""
    path, copy = folder / "engine.db", folder / "copy" / "engine.db"
    copy.parent.mkdir()
    drawn = random.Random(7)
    acked: set[str] = set()

    def copied(change: Callable[[Path], object]) -> list[str]:
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
        Path(f"{copy}-shm").unlink(missing_ok=True)
        change(Path(f"{copy}-wal"))
        return check(copy)

    def tear(log: Path) -> None:
        log.write_bytes(log.read_bytes() + drawn.randbytes(drawn.randrange(1, 9000)))

    with LocalEngine(path=str(path)) as engine, Caller.on(engine) as caller:
        first = digest(path)
        for number in range(120):
            acked.add(caller.ask(f"message {number}")[0]["message_id"])
            assert acked <= set(copied(lambda log: None))
            assert acked <= set(copied(tear))
            if digest(path) == first:  # what is in the file by now is no longer the log's to lose
                left = copied(lambda log: os.truncate(log, drawn.randrange(log.stat().st_size + 1)))
                assert [message["id"] for message in caller.history()][: len(left)] == left
        assert digest(path) != first


@pytest.fixture
def narrow(process: Callable[..., Process], path: Path) -> Iterator[Process]:
    """An engine whose disk is full after SIGUSR1, and has room again after SIGUSR2."""
    script = """
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
def fill(*_):
    limit(os.path.getsize(sys.argv[2] + "-wal"))
    open(sys.argv[4] + ".full", "w").close()
def empty(*_):
    limit(resource.RLIM_INFINITY)
    os.unlink(sys.argv[4] + ".full")
signal.signal(signal.SIGUSR1, fill)
signal.signal(signal.SIGUSR2, empty)
from sessionlib.engine.__main__ import main
sys.exit(main())
"""
    tools = path.with_name("tools.py")
    tools.write_text("""
import os, time
from sessionlib.engine import tool

@tool
def large() -> str:
    "Give much, once the disk is full."
    while not os.path.exists(__file__ + ".full"):
        time.sleep(0.01)
    return os.urandom(30_000).hex()
""")
    return process("--db", str(path), "--tools", str(tools), script=script).ready()


def test_a_full_disk_is_an_error_and_no_ack(narrow: Process, path: Path) -> None:
    with Caller.on(narrow) as caller:
        caller.ask("before")
        acked = {message["id"] for message in caller.history()}
        for _ in range(20):
            narrow.popen.send_signal(signal.SIGUSR1)
            eventually(path.with_name("tools.py.full").exists)  # what is kept until then makes all of it slower
            refused = eventually(lambda: _refused(caller, acked), 60)
            assert (refused["type"], refused["code"]) == ("error", "storage_full")
            assert refused["request_type"] == "post_message"
            assert acked <= {message["id"] for message in caller.history()}
            caller.ping()
            # Larger than what was refused just now: a little room may be left.
            large = {"name": "x", "instructions": "x" * 1_000_000}
            assert rest(narrow, "POST", "/agent", json=large).status_code == 507
            _make_room(narrow, path)
            eventually(lambda: rest(narrow, "POST", "/agent", json={"name": "x"}).status_code == 200)
            acked.add(caller.post("after")["message_id"])
            caller.until_status("Idle")
    assert narrow.stop() == 0
    assert acked <= set(check(path))


def test_a_turn_whose_end_could_not_be_kept_is_closed_later(narrow: Process, path: Path) -> None:
    with Caller.on(narrow) as caller:
        caller.say(frames.post_message(caller.session_id, "/tool large"))
        caller.until_content("tool_call")
        narrow.popen.send_signal(signal.SIGUSR1)
        assert caller.until_type("error")["code"] == "storage_full"
        caller.until_status("Idle")
    _make_room(narrow, path)
    with Caller(narrow, caller.session_id) as again:
        eventually(lambda: again.post("go on")["type"] == "post_message")
        again.until_status("Idle")
        assert answer_of(again.heard).endswith('You said: "go on"')
        history = again.history()
    assert [result["status"] for result in contents(history, "tool_result")] == ["error"]
    assert [m["content"]["error"] for m in history if "error" in m["content"]] == [ENGINE_STOPPED]


def _make_room(narrow: Process, path: Path) -> None:
    # What is small may find a little room before the signal has come, and what follows it none.
    full = path.with_name("tools.py.full")
    eventually(full.exists)
    narrow.popen.send_signal(signal.SIGUSR2)
    eventually(lambda: not full.exists())


def _refused(caller: Caller, acked: set[str]) -> dict[str, str] | None:
    # The log is used again from its start now and then, so a small post may still find room in it.
    answer = caller.post("x" * 300_000)
    if answer["type"] == "error":
        return answer
    acked.add(answer["message_id"])
    caller.until_status("Idle")
    return None


def test_another_program_that_locks_the_file_delays_only_writes(path: Path) -> None:
    with (
        LocalEngine(path=str(path), limits=Limits(busy_seconds=3.0)) as engine,
        Caller.on(engine) as writer,
        Caller.on(engine) as reader,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as outside,
    ):
        outside.execute("BEGIN IMMEDIATE")
        writer.say(frames.post_message(writer.session_id, "waits"))
        took = []
        with Stalls() as stalls:
            for _ in range(50):
                begun = time.monotonic()
                assert reader.history() == []
                took.append(time.monotonic() - begun)
        # A tenth of a second, and what a busy machine adds; those that waited for the lock would have taken three.
        assert sorted(took)[-2] < 0.1 + SLACK + stalls.seconds
        refused = writer.hear()
        assert (refused["type"], refused["code"]) == ("error", "storage_busy")
        outside.execute("ROLLBACK")
        writer.ask("goes through")
        assert writer.history()[0]["content"]["value"] == "goes through"


def test_writes_that_wait_for_a_lock_together_give_up_together(path: Path) -> None:
    def write() -> str:
        try:
            database.write(lambda db: db.execute("DELETE FROM files"))
        except StorageError as error:
            return error.code
        return "written"

    with (
        contextlib.closing(Database(str(path), busy_seconds=0.5)) as database,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as outside,
    ):
        outside.execute("BEGIN IMMEDIATE")
        with within(9), in_threads(*[write] * 40) as outcomes:
            pass
        assert outcomes == ["storage_busy"] * 40
        outside.execute("ROLLBACK")
        assert write() == "written"


def log_with(path: Path, texts: int) -> Path:
    """Copies of the files of an engine that was not closed: the log holds one commit for each text, and more."""
    copy = path.parent / "copy.db"
    with LocalEngine(path=str(path)) as engine, Caller.on(engine) as caller:
        for number in range(texts):
            caller.ask(f"message {number}")
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    return copy


def _frames_of(log: bytes) -> int:
    return (len(log) - 32) // (24 + int.from_bytes(log[8:12], "big"))


FRAME = 24 + 4096


@pytest.mark.parametrize(
    ("place", "at"),
    [("header", 0), *[("a frame", at) for at in (3, 9, 17, 1000)]],
    ids=["magic number", "page number", "salt", "checksum", "page"],
)
def test_a_damaged_log_is_refused_and_both_files_left_as_they_are(path: Path, place: str, at: int) -> None:
    """SQLite would take the log to end there, and the acknowledged commits behind it would be gone."""
    copy = log_with(path, 5)
    log = Path(f"{copy}-wal")
    whole = log.read_bytes()
    at += 0 if place == "header" else 32 + FRAME * (_frames_of(whole) // 3)
    overwrite(log, at, bytes([whole[at] ^ 0x10]))
    before = digest(copy), digest(log)
    with pytest.raises(DatabaseDamagedError, match=f"{place} of its write-ahead log") as caught:
        start(copy)
    assert caught.value.path == str(copy)
    assert (digest(copy), digest(log)) == before


@pytest.mark.parametrize(
    "leave",
    [
        lambda log: b"",
        *[lambda log, cut=cut: log[:-cut] for cut in (1, 24, 4096, 4120, 4121)],
        # After a checkpoint the log is written again from its start; what it held before stands behind.
        lambda log: log + log[32:40] + bytes(8) + log[48 : 32 + FRAME],
    ],
    ids=["all", "1", "24", "4096", "4120", "4121", "frames of an earlier run"],
)
def test_a_torn_or_older_tail_of_the_log_is_no_damage(path: Path, leave: Callable[[bytes], bytes]) -> None:
    log = Path(f"{log_with(path, 3)}-wal")
    log.write_bytes(leave(log.read_bytes()))
    start(path.with_name("copy.db"))


@pytest.fixture(scope="module")
def small_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the files of a database that was not closed, whose log has a few frames."""
    path = tmp_path_factory.mktemp("log") / "engine.db"
    with contextlib.closing(Database(str(path))) as database:
        for number in range(2):
            database.write(lambda db, number=number: insert(db, "objects", str(number), "agent", "a", "{}"))
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", path.parent / f"copy.db{suffix}")
    return path.parent / "copy.db"


def _summed(log: bytes, order: str) -> bytearray:
    """A log with salts that are known, and its checksums made again, word by word as SQLite's documentation has it."""
    summed, first, second = bytearray(log), 0, 0
    summed[3] = 0x83 if order == ">" else 0x82
    summed[16:24] = b"saltsalt"
    for at in (0, *range(32, len(log), FRAME)):
        if at:
            summed[at + 8 : at + 16] = b"saltsalt"
        data = summed[at : at + 8] + summed[at + 24 : at + 4120] if at else summed[:24]
        for one, other in struct.iter_unpack(f"{order}2I", data):
            first = (first + one + second) & 0xFFFFFFFF
            second = (second + other + first) & 0xFFFFFFFF
        place = at + 16 if at else 24
        summed[place : place + 8] = struct.pack(">2I", first, second)
    return summed


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize(
    ("flips", "is_refused"),
    [
        ([], False),
        *(([at], True) for at in (0, 7, 8, 15, 16, 20, 23, 24, 29, 2000, 2003, 4119)),
        ([16, 23], False),
        ([16, 2001], False),
        ([8, 2001], False),
        ([2001, 2002], False),
        ([2001, 3002], False),
    ],
)
def test_a_last_frame_with_one_wrong_byte_was_a_commit_and_is_no_torn_tail(
    small_log: Path, tmp_path: Path, flips: list[int], is_refused: bool, order: str
) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(small_log, copy)
    log = Path(f"{small_log}-wal").read_bytes()
    summed = _summed(log, order)
    assert _frames_of(log) > 2
    for at in flips:
        summed[len(log) - 4120 + at] ^= 0x10
    Path(f"{copy}-wal").write_bytes(summed)
    with pytest.raises(DatabaseDamagedError, match="last frame") if is_refused else contextlib.nullcontext():
        assert files.inspect(str(copy), SCHEMA) == len(SCHEMA)


def test_a_lock_names_its_holder_until_it_is_given_back(path: Path) -> None:
    Path(f"{path}.lock").write_bytes(b"12")  # of an engine that was killed
    held = LockFile(str(path))
    with pytest.raises(DatabaseInUseError, match=f"process {os.getpid()}") as caught:
        LockFile(str(path))
    assert (caught.value.pid, caught.value.path) == (os.getpid(), str(path))
    held.close()
    assert Path(f"{path}.lock").read_bytes() == b""
    LockFile(str(path)).close()


def test_a_forked_child_closes_its_copy_of_a_lock_and_leaves_the_pid(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_held", weakref.WeakSet())
    held = LockFile(str(path))
    held._pid += 1  # as in another process than the one that made it
    files._close_inherited()
    LockFile(str(path)).close()
    held.close()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (sqlite3.OperationalError("Could not decode to UTF-8 column 'body'"), "a stored text is no text"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "a stored text is no text"),
        (sqlite3.DatabaseError("malformed"), "SQLite reports: malformed"),
    ],
)
def test_what_is_wrong_in_a_file_is_described_without_what_is_stored_in_it(error: Exception, words: str) -> None:
    assert files.describe(error) == words


@pytest.mark.parametrize("count", [2, 5])
def test_of_writes_at_once_those_that_fail_spoil_nothing_for_the_others(path: Path, count: int) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def block(db: sqlite3.Connection) -> None:
        begun.set()
        assert go_on.wait(30)

    def write(work: Callable[[sqlite3.Connection], object]) -> object:
        try:
            return database.write(work)
        except (KeyError, StorageError) as error:
            return str(error)

    def raises(error: Exception) -> Callable[[sqlite3.Connection], object]:
        def work(db: sqlite3.Connection) -> None:
            raise error

        return work

    works: list[Callable[[sqlite3.Connection], object]] = [
        raises(sqlite3.IntegrityError("spoilt")),
        lambda db: insert(db, "objects", "1", "a", "b", "{}"),
        raises(KeyError("its own fault")),
        lambda db: db.execute("INSERT INTO nowhere VALUES (1)"),
        lambda db: db.execute("SELECT 1").fetchone(),
    ]
    with contextlib.closing(Database(str(path))) as database, in_threads(lambda: write(block)):
        assert begun.wait(30)
        with in_threads(*(partial(write, work) for work in works[:count])) as outcomes:
            assert eventually(lambda: len(database._jobs) == count)
            go_on.set()
    failed = "the engine's database failed ({})"
    expected = [failed.format("spoilt"), 1, "'its own fault'", failed.format("no such table: nowhere"), (1,)]
    assert outcomes == expected[:count]


def test_a_lock_that_cannot_be_made_is_reported_as_what_it_is(path: Path) -> None:
    os.mkdir(f"{path}.lock")
    with pytest.raises(StorageError, match=r"engine\.db cannot be opened: Is a directory"):
        Database(str(path))


def test_a_file_becomes_smaller_as_its_rows_are_removed(path: Path) -> None:
    with contextlib.closing(Database(str(path))) as database:
        database.write(lambda db: insert(db, "objects", "large", "agent", "a", "x" * 4_000_000))
        database.write(lambda db: db.execute("DELETE FROM objects").rowcount)
        # What is free is given back between writes, some of it at a time.
        assert eventually(lambda: database.read(lambda db: db.execute("PRAGMA freelist_count").fetchone()[0]) <= 256)
    assert path.stat().st_size < 2_000_000
    assert check(path) == []


@pytest.mark.parametrize(
    ("link", "reason"),
    [(os.symlink, "lock is a symlink"), (os.link, "another name"), (lambda _, path: os.mkfifo(path), "no plain")],
)
def test_a_lock_file_that_is_a_link_is_refused_and_its_target_left_alone(
    path: Path, link: Callable[[Path, str], None], reason: str
) -> None:
    # Beside it: no file has names on two file systems.
    target = path.with_name("precious.txt")
    target.write_text("precious")
    link(target, f"{path}.lock")
    with pytest.raises(StorageError, match=reason):
        start(path)
    assert target.read_text() == "precious"


def test_a_forked_child_leaves_the_engine_to_its_parent(path: Path, process: Callable[..., Process]) -> None:
    script = f"""
import os, time
from pathlib import Path
from sessionlib.engine import EngineError, LocalEngine
with LocalEngine(path={str(path)!r}) as engine:
    with engine.agent().create_session() as session:
        session.ask("one")
        child = os.fork()
        if child == 0:
            try:
                engine.start()
            except EngineError:
                engine.close()
                time.sleep(60)
                os._exit(7)
        try:
            assert session.ask("two").text == 'You said: "two"'
            assert Path({str(path) + ".lock"!r}).read_text() == str(os.getpid())
        except BaseException:
            os.kill(child, 9)
            raise
# The child lives on, and yet the file is free.
with LocalEngine(path={str(path)!r}) as engine:
    print("again on", engine.base_url, flush=True)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, 9)
    os.waitpid(child, 0)
"""
    running = process(script=script)
    assert running.popen.wait(30) == 0, running.errors()


def test_a_terminated_session_leaves_nothing_behind(path: Path) -> None:
    with LocalEngine(path=str(path)) as engine, Caller.on(engine) as caller:
        caller.ask_all(["secret", file("secret.txt")])
        upload = contents(caller.history(), "file")[0]["file_id"]
        assert rest(engine, "GET", f"/file/{upload}").status_code == 200
        caller.terminate()
        assert rest(engine, "GET", f"/file/{upload}").status_code == 404
    for table in ("files", "messages", "turns", "calls"):
        assert query(path, f"SELECT * FROM {table}") == []
    with LocalEngine(path=str(path)) as engine, contextlib.closing(open_socket(engine)) as sock:
        sock.send(json.dumps(frames.connect_session(caller.session_id)))
        assert json.loads(sock.recv())["code"] == "session_terminated"


def _replace(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "engine.db").write_bytes(b"another")


def _replace_by_a_copy(folder: Path) -> None:
    copy = shutil.copytree(folder, folder.with_name("copy"))
    shutil.rmtree(folder)
    copy.rename(folder)


REMOVED: dict[str, Callable[[Path], object]] = {
    "all of it": shutil.rmtree,
    "replaced": _replace,
    "replaced by a copy": _replace_by_a_copy,
    "its log": lambda folder: (folder / "engine.db-wal").unlink(),
    "moved": lambda folder: folder.rename(folder.with_name("moved")),
}


@pytest.mark.parametrize("remove", REMOVED.values(), ids=REMOVED)
def test_nothing_is_acknowledged_into_a_file_that_was_removed(tmp_path: Path, remove: Callable[[Path], object]) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with LocalEngine(path=str(folder / "engine.db")) as engine, Caller.on(engine) as caller:
        caller.ask("one")
        remove(folder)
        refused = caller.post("two")
        assert (refused["type"], refused["code"]) == ("error", "storage_failed")
        assert "removed or replaced" in refused["error"]


@pytest.mark.parametrize(
    ("script", "command"),
    [(None, []), ("from sessionlib.cli import main; main()", ["serve"])],
    ids=["the engine's module", "the command line"],
)
def test_a_program_logs_to_stderr_what_it_sends_clients_to_the_log_for(
    tmp_path: Path, process: Callable[..., Process], script: str | None, command: list[str]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    running = process(*command, "--db", str(folder / "engine.db"), script=script).ready()
    with Caller(running) as caller:
        caller.ask("one")
        shutil.rmtree(folder)
        assert caller.post("two")["code"] == "storage_failed"
    assert running.stop() == 0
    logged = running.errors()
    assert "WARNING ! post_message was not kept" in logged
    assert "removed or replaced" in logged
    assert running.api_key not in logged
    assert "Traceback" not in logged


def test_what_happens_is_one_line_each_in_the_log(tmp_path: Path, process: Callable[..., Process]) -> None:
    running = process("--db", str(tmp_path / "engine.db")).ready()
    agent_id = make_agent(running)
    with Caller.on(running, agent_id=agent_id) as caller:
        session_id = caller.session_id
        caller.ask("something private")
        assert rest(running, "GET", "/agent", params={"id": "x\ny"}).status_code == 404
        assert rest(running, "GET", "/agents", headers={"Host": "elsewhere"}).status_code == 403
        assert rest(running, "GET", "/agents", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert rest(running, "DELETE", "/agents").status_code == 405
        assert rest(running, "DELETE", f"/agent/{agent_id}").status_code == 200
        caller.ask("nobody answers this, which is private too")
        caller.say(frames.terminate_session(session_id))
        caller.until_type("terminate_session")
    assert running.stop() == 0
    logged = running.errors().splitlines()
    for line in logged:
        assert re.fullmatch(r"[-0-9]{10} [:,0-9]{12} (INFO|WARNING) [=!] .*", line), line
    for event in (
        f"= engine on {urlsplit(running.base_url).netloc}, {tmp_path}",
        f"= session {session_id} was created for agent",
        f"= session {session_id} was terminated",
        "! GET '/v1/agent' was refused with 404: there is no agent x\\ny",
        "! GET '/v1/agents' was refused with 403: this Host is not allowed",
        "! GET '/v1/agents' was refused with 401: the API key is missing or wrong",
        "! DELETE '/v1/agents' was refused with 405: DELETE is not possible here",
        "ended without an answer",
        "is stopping",
    ):
        assert sum(event in line for line in logged) == 1, event
    assert not any(secret in line for line in logged for secret in ("private", running.api_key))


def test_what_a_start_reads_does_not_grow_with_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_SMALL", 0)  # smaller ones are read whole
    read = [read_at_start(path.with_name(f"{sessions}.db"), sessions) for sessions in (100, 1_500)]
    # The trees of pages are higher by one, of which a start goes down a few.
    assert read[1] < read[0] + 5 * 4096 < 80_000, read


def read_at_start(path: Path, sessions: int) -> int:
    """Fills a file with sessions of one answered message; returns how many bytes the next start reads of it."""
    content = {"type": "data_type_message", "value": "x" * 400, "status": "Complete"}

    def fill(db: sqlite3.Connection) -> None:
        for number in range(sessions):
            session_id = f"s{number}"
            insert(db, "sessions", session_id, "agent", "a", "open", 0.0, 0, 0.0)
            turn = insert(db, "turns", f"t{number}", session_id, "ended", 0)
            insert_message(db, session_id, turn, 0, {"type": "user"}, content)

    with contextlib.closing(Store(str(path))) as store:
        store.database.write(fill)

    def read() -> int:
        return int(re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())[1])  # type: ignore[index]

    before = read()
    with contextlib.closing(Store(str(path))) as store:
        assert store.sessions.unfinished() == []
        read_by_then = read()
        assert len(store.sessions.history("s7")) == 1
    return read_by_then - before


def test_a_history_that_grows_while_it_is_read_is_not_damaged(path: Path) -> None:
    content = {"type": "data_type_message", "value": "x"}
    with contextlib.closing(Store(str(path))) as store:
        session_id = store.sessions.add("agent", "a")

        def post() -> None:
            for _ in range(150):
                store.sessions.post(session_id, {"type": "user"}, [content], [], 0)
            done.set()

        done = threading.Event()
        with in_threads(post):
            while not done.is_set():
                store.sessions.history(session_id)
        assert len(store.sessions.history(session_id)) == 150


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        ([], True),
        (["pending"], False),
        (["settled", "done", "pending", "done"], False),
        (["pending", "approved"], True),
        (["pending", "denied"], True),
        (["started", "pending"], True),
        (["done"], True),
        (["settled"], True),
    ],
)
def test_a_start_leaves_turns_that_only_wait_for_a_person(store: Store, calls: list[str], found: bool) -> None:
    """However many they are; they are read when a client joins their session."""
    session_id = store.sessions.add("agent", "a")
    turn = store.sessions.post(session_id, {}, ["x"], [], 0).turn
    store.sessions.set_turn(turn.number, "waiting")
    asked = [
        StoredCall(f"c{place}", session_id, turn.number, 1, place, "x", {}, state) for place, state in enumerate(calls)
    ]
    store.database.write(lambda db: [insert_call(db, call) for call in asked])
    assert [turn.session_id for turn in store.sessions.unfinished()] == [session_id] * found
