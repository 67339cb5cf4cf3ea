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
from pathlib import Path
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
from tests.support.engine import Caller, Process, answer_of, eventually, file, make_agent, open_socket, rest
from tests.support.threads import in_threads
from tests.support.waiting import SLACK, Stalls


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


def check(path: Path) -> list[str]:
    """The ids of the messages in a sound database."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return [row[0] for row in connection.execute("SELECT id FROM messages ORDER BY number")]


def test_everything_is_there_after_a_restart(path: Path) -> None:
    with LocalEngine(path=str(path)) as engine:
        agent_id = make_agent(engine, instructions="Be kind")
        with Caller.on(engine, agent_id=agent_id) as caller:
            caller.ask("hello")
            before = caller.history()
    with LocalEngine(path=str(path)) as engine:
        assert rest(engine, "GET", "/agent", params={"id": agent_id}).json()["object"]["instructions"] == "Be kind"
        with Caller.on(engine, session_id=caller.session_id) as again:
            assert again.history() == before
            assert answer_of(again.ask("and now")) == 'You said: "and now"'


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


def _header(path: Path) -> None:
    _overwrite(path, 0, b"garbage!")


def _page(path: Path) -> None:
    for page in range(1, path.stat().st_size // 4096):
        _overwrite(path, page * 4096, random.Random(page).randbytes(4096))


def _truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 5000)


def _cut_in_the_header(path: Path) -> None:
    os.truncate(path, 50)


def _emptied(path: Path) -> None:
    os.truncate(path, 0)


def _garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(20_000))


def _someone_elses(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")


def _overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize("spoil", [_header, _page, _truncated, _cut_in_the_header, _emptied, _garbage, _someone_elses])
def test_a_damaged_file_is_refused_and_left_as_it_is(written: Path, spoil: Callable[[Path], None]) -> None:
    spoil(written)
    before = digest(written)
    with pytest.raises(DatabaseDamagedError, match=r"engine\.db is not usable") as refused:
        LocalEngine(path=str(written)).start()
    assert refused.value.path == str(written)
    assert digest(written) == before


def test_a_damaged_log_is_refused_and_both_files_left_as_they_are(written: Path, tmp_path: Path) -> None:
    copy, log = tmp_path / "copy.db", tmp_path / "copy.db-wal"
    with LocalEngine(path=str(written)) as engine, Caller.on(engine) as caller:
        caller.ask("only in the log")
        shutil.copy(written, copy)
        shutil.copy(f"{written}-wal", log)
    _overwrite(log, 0, b"garbage!")
    before = digest(copy), digest(log)
    with pytest.raises(DatabaseDamagedError, match="write-ahead log"):
        LocalEngine(path=str(copy)).start()
    assert (digest(copy), digest(log)) == before


def test_what_is_no_file_or_cannot_be_written_is_refused(written: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for bad in (tmp_path / "folder", tmp_path / "nowhere" / "engine.db"):
        with pytest.raises(StorageError):
            LocalEngine(path=str(bad)).start()
    written.chmod(0o444)
    before = digest(written)
    with pytest.raises(StorageError, match="cannot be written to"):
        LocalEngine(path=str(written)).start()
    assert digest(written) == before


def test_as_a_program_it_says_so_in_one_line(written: Path, process: Callable[..., Process]) -> None:
    _header(written)
    engine = process("--db", str(written))
    assert engine.popen.wait(30) == 1
    assert engine.errors().splitlines() == [
        f"sessionlib engine: {written} is not usable: its header is not that of a database. "
        "It was left as it is; restore a copy, or start with another file"
    ]


def test_a_file_of_a_newer_engine_is_refused_and_left_as_it_is(written: Path) -> None:
    with contextlib.closing(sqlite3.connect(written)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = digest(written)
    with pytest.raises(DatabaseVersionError, match="newer engine"):
        LocalEngine(path=str(written)).start()
    assert digest(written) == before


def test_a_file_of_an_older_engine_is_copied_and_carried_over(written: Path) -> None:
    newer = (*SCHEMA, "ALTER TABLE messages ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm';")
    ids = check(written)
    with contextlib.closing(Database(str(written), schema=newer)) as database:
        rows = database.read(lambda db: db.execute("SELECT id, mood FROM messages ORDER BY number").fetchall())
        assert database.read(lambda db: db.execute("PRAGMA user_version").fetchone()) == (len(newer),)
    assert rows == [(message_id, "calm") for message_id in ids]
    assert check(Path(f"{written}.layout-{len(SCHEMA)}")) == ids


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
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(_OLD_ROWS)
        if version > 2:  # by which rows have checksums
            connection.execute("UPDATE sessions SET messages = 2, updated_at = 7.0")
            seal(connection)
            connection.commit()
        # As files were made at first: the space of removed rows was kept for ever.
        connection.executescript("PRAGMA auto_vacuum = NONE; VACUUM")
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    with LocalEngine(path=str(path)) as engine, Caller.on(engine, session_id="s") as caller:
        assert [(m["id"], m["content"]["value"], m["created_at"]) for m in caller.history()] == [
            ("m1", "café", 6.25),
            ("m2", "yes", 7.0),
        ]
        assert rest(engine, "GET", "/file/f").content == b"\x00\xff\x01"
        assert answer_of(caller.ask("and now")) == 'You said: "and now"'
        assert len(caller.history()) == 4
    assert check(Path(f"{path}.layout-{version}")) == ["m1", "m2"]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(SCHEMA),)
        plan = "EXPLAIN QUERY PLAN SELECT * FROM messages WHERE session_id = '' AND turn < 9 ORDER BY turn, number"
        assert "messages_by_turn" in str(connection.execute(plan).fetchall())
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert connection.execute("SELECT messages FROM sessions").fetchall() == [(4,)]


def test_each_reference_has_an_index() -> None:
    """Or each row that is removed costs a look at all rows that could refer to it."""
    with contextlib.closing(Store()) as store:

        def columns(db: sqlite3.Connection, table: str, pragma: str) -> set[str]:
            return {row[3] for row in db.execute(f"PRAGMA {pragma}({table})")}

        def indexed(db: sqlite3.Connection, table: str) -> set[str]:
            names = [row[1] for row in db.execute(f"PRAGMA index_list({table})")]
            return {db.execute(f"PRAGMA index_info({name})").fetchone()[2] for name in names}

        def missing(db: sqlite3.Connection) -> list[tuple[str, set[str]]]:
            return [(table, columns(db, table, "foreign_key_list") - indexed(db, table)) for table in COLUMNS]

        assert store.database.read(missing) == [(table, set()) for table in COLUMNS]
        assert store.database.read(lambda db: columns(db, "messages", "foreign_key_list")) == {"turn", "session_id"}


def test_a_carrying_over_that_fails_changes_nothing(written: Path) -> None:
    ids = check(written)
    with pytest.raises(StorageError):
        Database(str(written), schema=(*SCHEMA, "CREATE TABLE fine (x); CREATE TABLE objects (x);"))
    with contextlib.closing(sqlite3.connect(written)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(SCHEMA),)
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'fine'").fetchall() == []
    assert check(written) == ids


# ---- one engine for each file --------------------------------------------------------------


def test_a_second_engine_is_refused_with_the_holders_pid(path: Path, process: Callable[..., Process]) -> None:
    first = process("--db", str(path)).ready()
    link = path.with_name("link.db")
    link.symlink_to(path)
    for name in (path, link):
        with pytest.raises(DatabaseInUseError, match=str(first.popen.pid)) as refused:
            LocalEngine(path=str(name)).start()
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
            LocalEngine(path=str(path)).start()


def test_many_starts_at_once_have_one_winner(path: Path) -> None:
    for _ in range(100):
        outcomes: list[str] = []
        barrier = threading.Barrier(4)

        def start(outcomes: list[str] = outcomes, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            try:
                database = Database(str(path))
            except DatabaseInUseError:
                outcomes.append("refused")
                barrier.wait()
            else:
                outcomes.append("won")
                barrier.wait()
                database.close()

        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["refused"] * 3 + ["won"]


# ---- what is acknowledged is on disk -------------------------------------------------------


def test_copies_of_the_files_hold_what_was_acknowledged(folder: Path) -> None:
    """A model of lost power: the files as they are, their log torn in what was never acknowledged, or cut."""
    path, copy = folder / "engine.db", folder / "copy" / "engine.db"
    copy.parent.mkdir()
    drawn = random.Random(7)
    acked: list[str] = []
    with LocalEngine(path=str(path)) as engine, Caller.on(engine) as caller:
        first = digest(path)
        for number in range(120):
            acked.append(caller.post(f"message {number}")["message_id"])
            caller.until_status("Idle")
            _copy(path, copy)
            assert set(acked) <= set(check(copy))
            _copy(path, copy)
            with Path(f"{copy}-wal").open("ab") as log:
                log.write(drawn.randbytes(drawn.randrange(1, 9000)))
            assert set(acked) <= set(check(copy))
            if digest(path) == first:  # what is in the file by now is no longer the log's to lose
                _copy(path, copy)
                os.truncate(f"{copy}-wal", drawn.randrange(os.path.getsize(f"{copy}-wal") + 1))
                left = check(copy)
                assert [message["id"] for message in caller.history()][: len(left)] == left
        assert digest(path) != first


def _copy(path: Path, copy: Path) -> None:
    shutil.copy(path, copy)
    shutil.copy(f"{path}-wal", f"{copy}-wal")
    Path(f"{copy}-shm").unlink(missing_ok=True)


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
        kept = [message["content"] for message in again.history()]
    results = [content["status"] for content in kept if content["type"] == "tool_result"]
    assert (results, [content["error"] for content in kept if "error" in content]) == (["error"], [ENGINE_STOPPED])


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
    with (
        contextlib.closing(Database(str(path), busy_seconds=0.5)) as database,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as outside,
    ):
        outside.execute("BEGIN IMMEDIATE")
        outcomes: list[str] = []

        def write() -> None:
            try:
                database.write(lambda db: db.execute("DELETE FROM files"))
            except StorageError as error:
                outcomes.append(error.code)

        threads = [threading.Thread(target=write) for _ in range(40)]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes == ["storage_busy"] * 40
        assert time.monotonic() - begun < 10
        outside.execute("ROLLBACK")
        write()
        assert len(outcomes) == 40


def test_a_write_that_fails_leaves_those_beside_it_alone(path: Path) -> None:
    with contextlib.closing(Database(str(path))) as database:
        gate = threading.Event()
        kept: list[object] = []

        def fails(_: sqlite3.Connection) -> None:
            raise KeyError("its own fault")

        def run(work: Callable[[sqlite3.Connection], object]) -> None:
            gate.wait(30)
            try:
                kept.append(database.write(work))
            except (KeyError, StorageError) as error:
                kept.append(type(error).__name__)

        works: list[Callable[[sqlite3.Connection], object]] = [
            fails,
            lambda db: db.execute("SELECT 1").fetchone(),
            lambda db: db.execute("INSERT INTO nowhere VALUES (1)"),
        ]
        threads = [threading.Thread(target=run, args=(work,)) for work in works * 20]
        for thread in threads:
            thread.start()
        gate.set()
        for thread in threads:
            thread.join()
    assert sorted(map(str, kept)) == ["(1,)"] * 20 + ["KeyError"] * 20 + ["StorageError"] * 20


def _log_with(path: Path, texts: int) -> Path:
    """Copies of the files of an engine that was not closed: the log holds one commit for each text, and more."""
    with LocalEngine(path=str(path)) as engine, Caller.on(engine) as caller:
        for number in range(texts):
            caller.ask(f"message {number}")
        copy = path.parent / "copy.db"
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    return copy


def _frames_of(log: bytes) -> int:
    return (len(log) - 32) // (24 + int.from_bytes(log[8:12], "big"))


@pytest.mark.parametrize("where", ["page number", "salt", "checksum", "page"])
def test_a_damaged_frame_with_others_behind_it_is_refused(path: Path, where: str) -> None:
    """SQLite would take the log to end there, and the acknowledged commits behind it would be gone."""
    copy = _log_with(path, 5)
    log = Path(f"{copy}-wal")
    data = bytearray(log.read_bytes())
    at = 32 + (24 + 4096) * (_frames_of(data) // 3) + {"page number": 3, "salt": 9, "checksum": 17, "page": 1000}[where]
    data[at] ^= 0x10
    log.write_bytes(data)
    before = [Path(f"{copy}{suffix}").read_bytes() for suffix in ("", "-wal")]
    with pytest.raises(DatabaseDamagedError, match="write-ahead log") as caught:
        LocalEngine(path=str(copy)).start()
    assert caught.value.path == str(copy)
    assert [Path(f"{copy}{suffix}").read_bytes() for suffix in ("", "-wal")] == before


@pytest.mark.parametrize("cut", [1, 24, 4096, 4120, 4121])
def test_a_torn_tail_of_the_log_is_no_damage(path: Path, cut: int) -> None:
    copy = _log_with(path, 3)
    log = Path(f"{copy}-wal")
    log.write_bytes(log.read_bytes()[:-cut])
    with LocalEngine(path=str(copy)) as engine:
        assert make_agent(engine)


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
    for at in (0, *range(32, len(log), 24 + 4096)):
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


def test_frames_of_an_earlier_run_of_the_log_are_no_damage(path: Path) -> None:
    """After a checkpoint the log is written again from its start; what it held before stands behind."""
    copy = _log_with(path, 3)
    log = Path(f"{copy}-wal")
    data = log.read_bytes()
    stale = bytearray(data[32 : 32 + 4120])
    stale[8:16] = bytes(8)
    log.write_bytes(data + bytes(stale))
    with LocalEngine(path=str(copy)) as engine:
        assert make_agent(engine)


def test_any_flipped_byte_is_harmless_or_refused(path: Path) -> None:
    copy = _log_with(path, 3)
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = copy.read_bytes()
    chooser = random.Random(5)
    # The schema's page has the most that can break at the start.
    places = [chooser.randrange(4096) for _ in range(150)] + [chooser.randrange(len(whole)) for _ in range(50)]
    refused = 0
    for at in places:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << chooser.randrange(8)
        copy.write_bytes(damaged)
        try:
            LocalEngine(path=str(copy)).start().close()
        except (DatabaseDamagedError, DatabaseVersionError) as error:
            refused += 1
            assert str(copy) in str(error)
            assert copy.read_bytes() == damaged
    assert refused > 50


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


def test_what_is_no_file_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(DatabaseDamagedError, match="it is not a file"):
        files.inspect(str(tmp_path), SCHEMA)


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


def test_of_two_writes_at_once_one_that_fails_spoils_nothing_for_the_other(path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def block(db: sqlite3.Connection) -> None:
        begun.set()
        assert go_on.wait(30)

    def fail(db: sqlite3.Connection) -> None:
        raise sqlite3.IntegrityError("spoilt")

    def write(work: Callable[[sqlite3.Connection], object]) -> object:
        try:
            return database.write(work)
        except StorageError as error:
            return str(error)

    with contextlib.closing(Database(str(path))) as database:
        with in_threads(lambda: write(block)):
            assert begun.wait(30)
            with in_threads(
                lambda: write(fail), lambda: write(lambda db: insert(db, "objects", "1", "a", "b", "{}"))
            ) as both:
                assert eventually(lambda: len(database._jobs) == 2)
                go_on.set()
        assert both == ["the engine's database failed (spoilt)", 1]


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
    path: Path, tmp_path: Path, link: Callable[[Path, str], None], reason: str
) -> None:
    target = tmp_path / "precious.txt"
    target.write_text("precious")
    try:
        link(target, f"{path}.lock")
    except OSError:  # the two are on file systems of their own
        target = path.with_name("precious.txt")
        target.write_text("precious")
        link(target, f"{path}.lock")
    with pytest.raises(StorageError, match=reason):
        LocalEngine(path=str(path)).start()
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
        upload = next(m["content"]["file_id"] for m in caller.history() if m["content"]["type"] == "file")
        assert rest(engine, "GET", f"/file/{upload}").status_code == 200
        caller.terminate()
        assert rest(engine, "GET", f"/file/{upload}").status_code == 404
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for table in ("files", "messages", "turns", "calls"):
            assert connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (0,)
    with LocalEngine(path=str(path)) as engine, contextlib.closing(open_socket(engine)) as sock:
        sock.send(json.dumps(frames.connect_session(caller.session_id)))
        assert json.loads(sock.recv())["code"] == "session_terminated"


def _remove_all(folder: Path) -> None:
    shutil.rmtree(folder)


def _replace(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "engine.db").write_bytes(b"another")


def _remove_log(folder: Path) -> None:
    (folder / "engine.db-wal").unlink()


def _move(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


@pytest.mark.parametrize("remove", [_remove_all, _replace, _remove_log, _move])
def test_nothing_is_acknowledged_into_a_file_that_was_removed(tmp_path: Path, remove: Callable[[Path], None]) -> None:
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
        done = threading.Event()

        def post() -> None:
            for _ in range(150):
                store.sessions.post(session_id, {"type": "user"}, [content], [], 0)
            done.set()

        posting = threading.Thread(target=post)
        posting.start()
        while not done.is_set():
            store.sessions.history(session_id)
        posting.join()
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
def test_a_start_leaves_turns_that_only_wait_for_a_person(calls: list[str], found: bool) -> None:
    """However many they are; they are read when a client joins their session."""
    with contextlib.closing(Store()) as store:
        session_id = store.sessions.add("agent", "a")
        turn = store.sessions.post(session_id, {}, ["x"], [], 0).turn
        store.sessions.set_turn(turn.number, "waiting")
        asked = [
            StoredCall(f"c{place}", session_id, turn.number, 1, place, "x", {}, state)
            for place, state in enumerate(calls)
        ]
        store.database.write(lambda db: [insert_call(db, call) for call in asked])
        assert [turn.session_id for turn in store.sessions.unfinished()] == [session_id] * found
