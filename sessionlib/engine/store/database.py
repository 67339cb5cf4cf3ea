"""One SQLite database, one connection that writes to it, on one thread.

Writes that wait together are committed together, so many clients share the cost of one flush to disk;
each caller returns when its own write is on disk, or has failed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from sessionlib.engine.errors import DatabaseDamagedError, StorageBusyError, StorageError, StorageFullError
from sessionlib.engine.store.files import APPLICATION_ID, LockFile, describe, inspect
from sessionlib.engine.store.records import COLUMNS, seal

__all__ = ["APPLICATION_ID", "SCHEMA", "Database"]


# Never edited once it has been released: a file of each version is compared with the schema of that version.
# AUTOINCREMENT, because the order of messages is that of their numbers, and without it SQLite may use one again.
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

# What a model is notified of a session's past is found by turn, however long the session and its neighbours are.
_SECOND = """
CREATE INDEX messages_by_turn ON messages (session_id, turn, number);
CREATE INDEX calls_by_session ON calls (session_id, turn);
"""

# Checksums of rows, see `records`; and what retention and a history without gaps have to know of a session.
_THIRD = """
ALTER TABLE sessions ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN updated_at REAL NOT NULL DEFAULT 0;
UPDATE sessions SET
    messages = (SELECT COUNT(*) FROM messages WHERE session_id = sessions.id),
    updated_at = COALESCE((SELECT MAX(created_at) FROM messages WHERE session_id = sessions.id), created_at);
""" + "\n".join(f"ALTER TABLE {table} ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;" for table in COLUMNS)

# Where a turn is removed, SQLite looks for messages that still refer to it: without an index, through all there are.
_FOURTH = "CREATE INDEX messages_of_turn ON messages (turn);"

# One entry for each version; what is added to the end migrates older files.
SCHEMA: tuple[str, ...] = (_FIRST, _SECOND, _THIRD, _FOURTH)


Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Result]

# So many writes share one flush at most, which bounds how long the first of them waits.
_BATCH = 128
# Pages that may be free in the file: those above it are given back, a few at a time, while nothing is to be written.
_FREE_PAGES = 256
_LOG_BYTES = 16 * 1024 * 1024
"""To what the log is truncated after a large write."""


class _Job(Generic[Result]):
    """One write that waits for its commit."""

    def __init__(self, work: Work[Result]) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: Result | None = None
        self.error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.done.set()


class Database:
    """Opens a database, or makes it.

    Args:
        path: The file; None keeps everything in memory.
        schema: The scripts that make its layout, one for each version.
        busy_seconds: How long to wait while another program keeps the file locked.
        full_check: Whether a large file, too, is read whole before it is used.

    Raises:
        DatabaseInUseError: Another engine holds it.
        DatabaseDamagedError: It is no sound database of an engine.
        DatabaseVersionError: A newer engine wrote it.
        StorageError: It cannot be opened.
    """

    def __init__(
        self,
        path: str | None,
        *,
        schema: Sequence[str] = SCHEMA,
        busy_seconds: float = 5.0,
        full_check: bool = False,
    ) -> None:
        # Resolved, since two names of one file must not have two locks.
        self.path = "" if path is None else os.path.realpath(path)
        self._busy_seconds = busy_seconds
        # Each step that succeeds adds what undoes it: lock, connections, and no file left half made.
        with contextlib.ExitStack() as undo:
            try:
                self._open(schema, undo, full_check)
            except sqlite3.Error as error:
                raise self._translate(error) from error
            except OSError as error:
                raise StorageError(f"{self.path} cannot be opened: {error.strerror}", path=self.path) from error
            self._release = undo.pop_all().close
        # Compared after each commit, before it is acknowledged.
        # Device and inode: a file that was replaced has the same name and another inode.
        self._files = self._identities()
        # Held while the writing connection works; in memory, where it is the reading one too, also by readers.
        self._write_lock = threading.Lock()
        # Held while the reading connection works.
        self._read_lock = threading.Lock() if self.path else self._write_lock
        # Protects the jobs that wait and the closed flag.
        self._changed = threading.Condition()
        self._jobs: deque[_Job[Any]] = deque()
        self._closed = False
        # A daemon, so that an engine that was not closed does not keep the interpreter from ending.
        name = f"sessionlib-store-{os.path.basename(self.path) or 'memory'}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def write(self, work: Work[Result]) -> Result:
        """Does some work in a transaction, and returns when it is committed.

        Args:
            work: Gets the connection; may be called again when the commit of a batch failed.

        Raises:
            StorageFullError: There is no space left.
            StorageBusyError: Another program keeps the file locked.
            DatabaseDamagedError: A row that it reads is damaged.
            StorageError: The database failed otherwise, or is closed.
        """
        job = _Job(work)
        with self._changed:
            if self._closed:
                raise StorageError("the engine's database is closed", path=self.path)
            # Under one lock with the flag, so that nothing is added behind the last batch.
            self._jobs.append(job)
            self._changed.notify()
        # Without a limit: a write that was abandoned here could still be committed, and be sent again.
        job.done.wait()
        error, job.error = job.error, None
        try:
            if isinstance(error, sqlite3.Error):
                raise self._translate(error) from error
            if error is not None:
                raise error
        finally:
            # Its traceback leads to this frame and to the job: in a circle, all that was to be written would
            # stay until the garbage collector comes by.
            del error
        return job.result  # type: ignore[return-value]

    def read(self, work: Work[Result]) -> Result:
        """Does some work that only reads, all of it from one state of the database.

        Raises:
            DatabaseDamagedError: A row is damaged.
            StorageError: The database failed otherwise, or is closed.
        """
        # One reader at a time; in WAL mode it does not wait for the writer, nor the writer for it.
        with self._read_lock:
            try:
                # One state for all its statements: what is committed between two of them could look like damage.
                with _transaction(self._reader, "DEFERRED"):
                    return work(self._reader)
            except sqlite3.Error as error:
                raise self._translate(error) from error

    def close(self) -> None:
        """Commits what waits, and closes the file."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
        # It commits what waits before it ends; the connections are closed when no thread uses them.
        self._thread.join()
        with self._read_lock:
            self._release()

    def _open(self, schema: Sequence[str], undo: contextlib.ExitStack, full_check: bool) -> None:
        if not self.path:
            self._writer = self._reader = self._connect(undo)
            _lay_out(self._writer, schema, 0)
            return
        # Before the file is looked at: another engine may be writing to it.
        undo.callback(LockFile(self.path).close)
        # Before SQLite opens it for writing, which would replay or truncate its log.
        version = inspect(self.path, schema, full=full_check)
        if not version:
            # Made aside and moved into place, so that a file of this name is a whole database or not there.
            part = _make_private(self.path + ".part")
            with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as connection:
                # Takes effect only before the first table is made, or by VACUUM.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                _lay_out(connection, schema, 0)
            # Atomic on one file system (POSIX rename).
            os.replace(part, self.path)
        self._writer = self._connect(undo)
        if 0 < version < len(schema):
            # SQLite's own copy has what is still in the log.
            copy = f"{self.path}.layout-{version}"
            part = _make_private(copy + ".part")
            with contextlib.closing(sqlite3.connect(part)) as target:
                self._writer.backup(target)
            # The copy is whole before the first change: what a newer engine has migrated, an older one cannot open.
            os.replace(part, copy)
            _lay_out(self._writer, schema, version)
            if self._writer.execute("PRAGMA auto_vacuum").fetchone()[0] == 0:
                self._writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
                with contextlib.suppress(sqlite3.OperationalError):  # no room for a second copy: it works as it is
                    self._writer.execute("VACUUM")
        # After the migration: a connection that has read the old schema would have to read it again.
        self._reader = self._connect(undo)

    def _connect(self, undo: contextlib.ExitStack) -> sqlite3.Connection:
        # Autocommit: transactions are begun and ended here, and nowhere else.
        connection = sqlite3.connect(
            self.path or ":memory:", isolation_level=None, check_same_thread=False, timeout=self._busy_seconds
        )
        undo.callback(connection.close)
        # One flush for each commit and not several, and readers that do not wait. It stays in the file.
        connection.execute("PRAGMA journal_mode = WAL")
        # In WAL mode, NORMAL would not flush at a commit: what was acknowledged could be lost with the power.
        connection.execute("PRAGMA synchronous = FULL")
        # Off by default in SQLite, for each connection.
        connection.execute("PRAGMA foreign_keys = ON")
        # Without it, the log keeps the size of the largest write that there ever was.
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        return connection

    def _translate(self, error: Exception) -> StorageError:
        # By its text: `sqlite_errorcode` came with Python 3.11, and this runs on 3.10.
        details = str(error)
        if "full" in details or "disk I/O" in details:
            return StorageFullError(f"no space left for the engine's database ({details})", path=self.path)
        if "locked" in details or "busy" in details:
            return StorageBusyError(f"another program keeps the engine's database locked ({details})", path=self.path)
        if any(word in details for word in ("malformed", "checksum", "decode", "not a database")):
            why = f"{self.path} is damaged: {describe(error)}. Restore a copy, or start with another file"
            return DatabaseDamagedError(why, path=self.path)
        return StorageError(f"the engine's database failed ({details})", path=self.path)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                # All that has come while the batch before was written: the more clients there are, the more share a
                # flush.
                batch = [self._jobs.popleft() for _ in range(min(len(self._jobs), _BATCH))]
            if not batch:  # it is closed, and nothing waits
                return
            self._commit(batch)
            while not self._jobs and self._give_back():
                pass

    def _give_back(self) -> bool:
        # Whether pages were given back to the system. A few at a time: a write that comes meanwhile waits for them.
        if not self.path:
            return False
        with self._write_lock, contextlib.suppress(sqlite3.Error):  # locked or full: after another write
            # Removed rows leave free pages, which SQLite would keep for ever: a file that once was large would stay
            # so.
            free = self._writer.execute("PRAGMA freelist_count").fetchone()[0]
            if free > _FREE_PAGES:
                # As a script: `execute` stops at the first of its rows, which have no columns, and with it at one page.
                self._writer.executescript(f"PRAGMA incremental_vacuum({min(free - _FREE_PAGES, 128)})")
                return bool(self._writer.execute("PRAGMA freelist_count").fetchone()[0] < free)
        return False

    def _commit(self, batch: list[_Job[Any]]) -> None:
        try:
            # One transaction, and so one flush to disk, for all of the batch.
            with self._write_lock, _transaction(self._writer):
                for job in batch:
                    _do(self._writer, job)
        except Exception as error:  # noqa: BLE001 - raised where the write was asked for
            if len(batch) > 1 and not isinstance(self._translate(error), StorageBusyError):
                # One of them spoilt it for all: each on its own.
                for job in batch:
                    self._commit([job])
                return
            for job in batch:
                job.fail(error)
            return
        # After the commit, as only then it is known which file it went to.
        moved = self._files != self._identities()
        for job in batch:
            if moved:
                # SQLite writes on into a file without a name, and what it commits there is lost with the process.
                why = f"{self.path} or its log was removed or replaced while the engine ran; restart it to go on"
                job.fail(StorageError(why, path=self.path))
            else:
                job.done.set()

    def _identities(self) -> list[tuple[int, int] | None]:
        found: list[tuple[int, int] | None] = []
        # SQLite makes the log with the first connection that writes, and goes on with that file to the last.
        for suffix in ("", "-wal") if self.path else ():
            try:
                state = os.stat(self.path + suffix)
                found.append((state.st_dev, state.st_ino))
            except OSError:
                found.append(None)
        return found


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    # By default it takes the write lock now: a transaction that began by reading could fail in the middle, when it
    # cannot wait for one. One that is deferred and only reads takes none.
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some errors, a full disk among them, have rolled it back already; a second ROLLBACK would hide them.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _do(connection: sqlite3.Connection, job: _Job[Any]) -> None:
    # So that one job that is refused does not undo the rest of the batch.
    connection.execute("SAVEPOINT job")
    try:
        job.result, job.error = job.work(connection), None
    except sqlite3.Error:
        raise
    except Exception as error:  # noqa: BLE001 - raised where the write was asked for
        # A refusal of its own: only this job is undone.
        job.error = error
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


def _lay_out(connection: sqlite3.Connection, schema: Sequence[str], version: int) -> None:
    # `executescript` commits what is open, so the transaction is begun within it.
    steps = "\n".join(schema[version:])
    connection.executescript(f"BEGIN IMMEDIATE;\n{steps}")
    try:
        if version < 3 <= len(schema):
            seal(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        # In the same transaction as the tables: a migration that is interrupted leaves the version before.
        connection.execute(f"PRAGMA user_version = {len(schema)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _make_private(path: str) -> str:
    # Messages are for the owner alone; SQLite creates its log with the mode of the file.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    return path
