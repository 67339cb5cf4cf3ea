"""What is known of each prompt of a map: the session it was posted in, and its result.

An executor may run one job twice: Dask after it lost a worker, or a result that was kept there; Ray after a crash. So
each attempt claims its prompt here before it posts it, and only one claim succeeds. A later attempt finds the
session's id, and collects the answer there. In the memory of one process that is a dict; across processes
it is an SQLite file, which is a checkpoint as well when it is kept, and holds the one pace of all of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import platform
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NamedTuple, Protocol

from sessionlib._util.timing import Deadline
from sessionlib.agent.models import ConversationalAgentRunResult
from sessionlib.content import Content
from sessionlib.errors import ConfigurationError, SessionError, SessionTimeoutError
from sessionlib.net.retry import MAX_RETRY_AFTER, Pace, PaceRecord, Throttle

__all__ = [
    "Checkpoint",
    "FileLedger",
    "LedgerEntry",
    "MemoryLedger",
    "PromptLedger",
    "RecordHeldError",
    "RunStoppedError",
    "new_ledger",
    "prompt_key",
]

_fcntl: ModuleType | None
try:
    import fcntl as _fcntl
except ImportError:  # Windows
    _fcntl = None

# Marks the file as one of ours (PRAGMA application_id): "sLmp".
_APPLICATION_ID = 0x734C6D70
_VERSION = 1
# Seconds to wait for another process that writes to the file: many processes write in turn, and not in order.
_BUSY_TIMEOUT = 30.0
# Seconds that the process of the map waits, where it begins, has given a prompt up, or ends.
_CALLERS_PATIENCE = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prompts (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    session_id TEXT NOT NULL,
    claimed_at REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('withdrawn', 'posted', 'unposted', 'ended', 'complete', 'failed')),
    outcome TEXT
);
CREATE TABLE IF NOT EXISTS pace (
    next_at REAL NOT NULL, paused_until REAL NOT NULL, pauses INTEGER NOT NULL, learned REAL NOT NULL,
    learned_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS openings (at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS openings_at ON openings (at);
CREATE TABLE IF NOT EXISTS places (
    id INTEGER PRIMARY KEY, until REAL NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL
);
"""
# Of the run before: a pace may be of another clock, and its places are free.
_BEGIN = """
DELETE FROM prompts WHERE state = 'withdrawn';
DELETE FROM pace;
DELETE FROM openings;
DELETE FROM places;
INSERT INTO pace VALUES (0, 0, 0, 0, 0);
"""
# Seconds for which a place counts as taken whose process may have died on another machine: so many, or those that its
# run may take and a few more.
_LEASE = 3600.0
_PLACE_GRACE = 30.0
# Seconds between two looks for a free place.
_PLACE_POLL = 0.05


class RunStoppedError(SessionError):
    """A run was ended because its result is not wanted any more."""


class RecordHeldError(SessionTimeoutError):
    """Another process is in the middle of a change to the record, and does not end it."""


class LedgerEntry(NamedTuple):
    """What is known of one prompt.

    Attributes:
        session_id: The session in which it was posted, or is about to be; None while it has not been claimed.
        claimed_at: When that was, in seconds since the epoch.
        is_running: Whether an attempt has claimed it and has not come back.
        result: Its result, once it is known.
        failure: Why it can have none, where that is final.
        is_unposted: Whether its session had no message when it was about to be ended.
    """

    session_id: str | None = None
    claimed_at: float = 0.0
    is_running: bool = False
    result: ConversationalAgentRunResult | None = None
    failure: SessionError | None = None
    is_unposted: bool = False


_UNCLAIMED = LedgerEntry()
_WITHDRAWN = LedgerEntry(failure=RunStoppedError("the caller had given the prompt up before it was sent"))


class PromptLedger(Protocol):
    """The outcome of each prompt of a map; all threads, and where it can be pickled all processes, share it.

    Where processes share it, one that is frozen in the middle of a change leaves it held: methods raise
    `RecordHeldError` then, but for `finish`, `fail` and `close`.
    """

    def entry(self, number: int) -> LedgerEntry:
        """Returns what is known of a prompt."""

    def claim(self, number: int, key: str, session_id: str, instead_of: str | None) -> bool:
        """Records that a prompt is about to be posted, unless another attempt has done so.

        Args:
            number: The prompt's number.
            key: What it consists of, as a digest.
            session_id: Where it will be posted.
            instead_of: The session of an earlier claim that this one replaces; None for the first.

        Returns:
            Whether it may be posted.
        """

    def release(self, number: int) -> None:
        """Takes a claim back: nothing was posted."""

    def note_unposted(self, number: int, session_id: str) -> None:
        """Records that the session of a lost attempt has no message, and is about to be ended."""

    def withdraw(self, number: int) -> LedgerEntry:
        """Has no attempt claim a prompt any more; returns what is known of it."""

    def forget(self, number: int) -> None:
        """Drops a result that the caller has, where it is kept in memory."""

    def finish(self, number: int, result: ConversationalAgentRunResult) -> bool:
        """Records a result, before its session ends; returns whether it is recorded."""

    def fail(self, number: int, error: BaseException) -> None:
        """Records that an attempt has come back without a result."""

    def pace(self, given: Throttle) -> Throttle:
        """Returns the pace of a client, as all that share this ledger keep it."""

    def close(self) -> None:
        """Ends it: no prompt can be claimed any more."""


class MemoryLedger:
    """A `PromptLedger` for the threads of one process."""

    def __init__(self) -> None:
        # Protects the entries.
        self._lock = threading.Lock()
        # Values that are replaced and never changed, so that `entry` can read without the lock.
        self._entries: dict[int, LedgerEntry] = {}
        self._closed = False

    def entry(self, number: int) -> LedgerEntry:
        """See `PromptLedger.entry`."""
        return self._entries.get(number, _UNCLAIMED)

    def claim(self, number: int, key: str, session_id: str, instead_of: str | None) -> bool:
        """See `PromptLedger.claim`."""
        with self._lock:
            if self._closed:
                raise RunStoppedError("the runs were stopped")
            entry = self.entry(number)
            # Another attempt has claimed it, or it was withdrawn: compared and set under one lock.
            if entry.failure is not None or entry.session_id != instead_of:
                return False
            self._entries[number] = LedgerEntry(session_id, time.time(), True)
        return True

    def release(self, number: int) -> None:
        """See `PromptLedger.release`."""
        self._entries.pop(number, None)

    def note_unposted(self, number: int, session_id: str) -> None:
        """Does nothing: the attempt that would read it ends with this process."""

    def withdraw(self, number: int) -> LedgerEntry:
        """See `PromptLedger.withdraw`."""
        with self._lock:
            # Where a claim stands already, that is returned: it can no longer be withdrawn.
            return self._entries.setdefault(number, _WITHDRAWN)

    def forget(self, number: int) -> None:
        """See `PromptLedger.forget`."""
        with self._lock:
            if number in self._entries:
                self._entries[number] = self._entries[number]._replace(result=None)

    def finish(self, number: int, result: ConversationalAgentRunResult) -> bool:
        """See `PromptLedger.finish`."""
        with self._lock:
            self._entries[number] = self.entry(number)._replace(is_running=False, result=result)
        return True

    def fail(self, number: int, error: BaseException) -> None:
        """See `PromptLedger.fail`."""
        with self._lock:
            self._entries[number] = self.entry(number)._replace(is_running=False)

    def pace(self, given: Throttle) -> Throttle:
        """See `PromptLedger.pace`."""
        return given

    def close(self) -> None:
        """See `PromptLedger.close`."""
        with self._lock:
            self._closed = True


class FileLedger:
    """A `PromptLedger` in an SQLite file, for many processes. Pickled, it is the path; it is opened when it is used.

    Args:
        path: The file, which exists.
        run: The run that it is of, which is written in the file.
        lasting: Whether it has to survive a loss of power, and not only the end of a process.
        shared: Whether processes on other machines may use it.
    """

    def __init__(self, path: str, run: str, lasting: bool, shared: bool) -> None:
        self.path = path
        self.run = run
        self.lasting = lasting
        self.shared = shared
        # Protects all below: one statement, or transaction, at a time.
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._closed = False
        # When a wait for another process was last given up; for as long again, the next ones do not wait at all.
        self._held_at = -math.inf
        self._pace: tuple[Throttle, _FilePace] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # By a function, so that all jobs that reach one process share one connection.
        return (_shared_ledger, (self.path, self.run, self.lasting, self.shared))

    def entry(self, number: int) -> LedgerEntry:
        """See `PromptLedger.entry`."""
        query = "SELECT session_id, claimed_at, state, outcome FROM prompts WHERE number = ?"
        with self._lock, self._held_is_typed(_BUSY_TIMEOUT) as database:
            row = database.execute(query, (number,)).fetchone()
        if row is None:
            return _UNCLAIMED
        session_id, claimed_at, state, outcome = row
        if state == "withdrawn":
            return _WITHDRAWN
        result = ConversationalAgentRunResult.from_json(outcome) if state == "complete" else None
        failure = SessionError(outcome, session_id=session_id) if state == "failed" else None
        return LedgerEntry(
            session_id, claimed_at, state in ("posted", "unposted"), result, failure, state == "unposted"
        )

    def claim(self, number: int, key: str, session_id: str, instead_of: str | None) -> bool:
        """See `PromptLedger.claim`."""
        now = time.time()
        with self.transaction() as database:
            # Within the transaction, so that no claim succeeds once `close` has returned in another process; where it
            # could not write that, the file is gone by its name.
            if database.execute("SELECT 1 FROM facts WHERE name = 'closed'").fetchone() or not Path(self.path).exists():
                raise RunStoppedError("the runs were stopped")
            if instead_of is None:
                done = database.execute(
                    # The primary key decides between two processes: of both, one inserts.
                    "INSERT INTO prompts VALUES (?, ?, ?, ?, 'posted', NULL) ON CONFLICT (number) DO NOTHING",
                    (number, key, session_id, now),
                )
            else:
                done = database.execute(
                    "UPDATE prompts SET session_id = ?, claimed_at = ?, state = 'posted' "
                    "WHERE number = ? AND session_id = ?",
                    (session_id, now, number, instead_of),
                )
            return done.rowcount == 1

    def release(self, number: int) -> None:
        """See `PromptLedger.release`."""
        with self.transaction() as database:
            database.execute("DELETE FROM prompts WHERE number = ? AND state = 'posted'", (number,))

    def note_unposted(self, number: int, session_id: str) -> None:
        """See `PromptLedger.note_unposted`."""
        with self.transaction() as database:
            database.execute(
                "UPDATE prompts SET state = 'unposted' WHERE number = ? AND session_id = ? AND state != 'complete'",
                (number, session_id),
            )

    def withdraw(self, number: int) -> LedgerEntry:
        """See `PromptLedger.withdraw`. A later run may send it."""
        with self.transaction(patience=_CALLERS_PATIENCE) as database:
            database.execute(
                "INSERT INTO prompts VALUES (?, '', '', 0, 'withdrawn', NULL) ON CONFLICT (number) DO NOTHING",
                (number,),
            )
        return self.entry(number)

    def forget(self, number: int) -> None:
        """Does nothing: the file is what keeps results."""

    def finish(self, number: int, result: ConversationalAgentRunResult) -> bool:
        """See `PromptLedger.finish`."""
        return self._settle(number, "complete", result.to_json())

    def fail(self, number: int, error: BaseException) -> None:
        """See `PromptLedger.fail`."""
        # A refused message is a plain SessionError. All other errors leave something to find out in a later run.
        self._settle(number, "failed" if type(error) is SessionError else "ended", str(error))

    def close(self) -> None:
        """See `PromptLedger.close`. A checkpoint stays open to claims of a later run."""
        if not self.lasting:
            with (
                contextlib.suppress(RunStoppedError, RecordHeldError),
                self.transaction(patience=_CALLERS_PATIENCE) as database,
            ):
                database.execute("INSERT OR IGNORE INTO facts VALUES ('closed', '1')")
        self.disconnect()

    def disconnect(self) -> None:
        """Closes the file for this process alone."""
        with self._lock:
            self._closed = True
            if self._database is not None:
                self._database.close()

    def pace(self, given: Throttle) -> Throttle:
        """See `PromptLedger.pace`. A pace of the user's own stays as it is."""
        if type(given) is not Pace:
            return given
        with self._lock:
            # One for each pace, as its places are counted in the file.
            if self._pace is None or self._pace[0] is not given:
                self._pace = (given, _FilePace(self, given))
            return self._pace[1]

    def _settle(self, number: int, state: str, outcome: str) -> bool:
        # Unrecorded, it counts as under way, and its session is looked into.
        with contextlib.suppress(RecordHeldError), self.transaction() as database:
            # A result that is there stays, whatever happened to an attempt that came later.
            database.execute(
                "UPDATE prompts SET state = ?, outcome = ? WHERE number = ? AND state != 'complete'",
                (state, outcome, number),
            )
            return True
        return False

    @contextlib.contextmanager
    def transaction(self, durable: bool = True, patience: float = _BUSY_TIMEOUT) -> Iterator[sqlite3.Connection]:
        """Context manager around changes that are made together.

        Args:
            durable: Whether they have to survive a loss of power, where the file has to.
            patience: Seconds to wait for another process that writes to the file.

        Raises:
            RecordHeldError: It does not end.
        """
        with self._lock, self._held_is_typed(patience) as database:
            if self.lasting:
                # NORMAL spares the wait for the disk, which comes with the next commit that needs it (sqlite.org/wal).
                database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            # Takes the write lock at once; a read lock that became one later could fail as busy without waiting.
            database.execute("BEGIN IMMEDIATE")
            self._held_at = -math.inf
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:  # not so when the disk is full
                    database.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _held_is_typed(self, patience: float) -> Iterator[sqlite3.Connection]:
        """Context manager around what is done with the connection; call with the lock."""
        if time.monotonic() - self._held_at < patience:
            patience = 0.0
        try:
            database = self._connected()
            database.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")
            yield database
        except sqlite3.OperationalError as error:
            if not _is_held(error):
                raise
            if patience:
                self._held_at = time.monotonic()
            raise RecordHeldError(
                f"the record of the runs, {self.path}, is held by another process, which does not give it back: is a "
                "worker frozen?"
            ) from None

    def _connected(self) -> sqlite3.Connection:
        """Returns the connection; call with the lock."""
        if self._closed:
            raise RunStoppedError("the runs were stopped")
        if self._database is None:
            database = _open(self.path, self.lasting, self.shared)
            try:
                row = database.execute("SELECT value FROM facts WHERE name = 'run'").fetchone()
            except sqlite3.DatabaseError as error:
                if _is_held(error):
                    database.close()
                    raise
                row = None
            # A path may name another file on another machine; the run's id shows whether it is the one that was
            # begun.
            if row != (self.run,):
                database.close()
                raise ConfigurationError(
                    f"{self.path} is not here what it is where agent.map runs: process {os.getpid()} found another "
                    "file. A worker on another machine needs checkpoint=, a path in a directory that all of them share"
                )
            self._database = database
        return self._database


def _is_held(error: sqlite3.Error) -> bool:
    # By its text: `sqlite_errorcode` came with Python 3.11, and this runs on 3.10.
    return "locked" in str(error)


def _open(path: str, lasting: bool, shared: bool, patience: float = _BUSY_TIMEOUT) -> sqlite3.Connection:
    try:
        # rw: a worker on another machine must not make a file of its own, in which every claim would succeed.
        database = sqlite3.connect(
            f"{Path(path).absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=patience,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.OperationalError as error:
        raise ConfigurationError(
            f"process {os.getpid()} cannot open {path}, by which the workers of agent.map make sure that no prompt is "
            f"sent twice ({error}): were the runs stopped? A worker on another machine needs checkpoint=, a path in a "
            "directory that all of them share"
        ) from None
    # A write-ahead log is one fsync a commit, but its index is memory that only one machine can share (sqlite.org/wal).
    wanted = "truncate" if shared else "wal"
    try:
        (mode,) = database.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
        # OFF leaves writing to the system, whose memory outlives a process.
        database.execute(f"PRAGMA synchronous = {'FULL' if lasting else 'OFF'}")
    except sqlite3.DatabaseError as error:
        database.close()
        if isinstance(error, sqlite3.OperationalError):  # locked
            raise _unusable(path, error) from None
        raise ConfigurationError(f"{path} is not a checkpoint: {error}") from None
    if mode != wanted:
        database.close()
        raise ConfigurationError(f"{path} cannot be used: its directory allows no journal of the kind {wanted}")
    return database


def _unusable(path: str, error: sqlite3.OperationalError) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be used: {error}; does a process of an earlier run have it? A frozen worker gives it back when "
        "it is killed"
    )


# The ledgers that came to this process, of which each job brings the path; one map after another, one is enough.
_ledgers: dict[tuple[int, str, str], FileLedger] = {}
# Protects _ledgers.
_ledgers_lock = threading.Lock()


def _shared_ledger(path: str, run: str, lasting: bool, shared: bool) -> FileLedger:
    place = (os.getpid(), path, run)
    # Jobs of one process arrive on several threads.
    with _ledgers_lock:
        if place not in _ledgers:
            # A connection that was inherited by a fork must be neither used nor closed here (sqlite.org, howtocorrupt).
            for other in [other for other in _ledgers if other[0] == place[0]]:
                if other[1] == path or not Path(other[1]).exists():
                    _ledgers.pop(other).disconnect()
            _ledgers[place] = FileLedger(path, run, lasting, shared)
        return _ledgers[place]


# ---- one pace for many processes ------------------------------------------------------------------------------------


class _FilePace(Pace):
    """The pace of a client in a ledger's file, for all processes that use it."""

    def __init__(self, ledger: FileLedger, given: Pace) -> None:
        # CLOCK_MONOTONIC is the same for all processes of a machine, but not for those of several.
        super().__init__(given.rate, given.max_active, clock=time.time if ledger.shared else time.monotonic)
        self._ledger = ledger

    @contextlib.contextmanager
    def active(self, deadline: Deadline, sleep: Callable[[float], object] = time.sleep) -> Iterator[bool]:
        """See `Pace.active`."""
        if self.max_active is None:
            yield True
            return
        # A file has no way to wake another process, so it is looked at again.
        while (place := self._take_place(deadline)) is None and not deadline.expired:
            sleep(_PLACE_POLL)
        try:
            yield place is not None
        finally:
            if place is not None:
                # What stays behind is free when its time is over, or its process.
                with (
                    contextlib.suppress(RunStoppedError, RecordHeldError),
                    self._ledger.transaction(durable=False) as database,
                ):
                    database.execute("DELETE FROM places WHERE id = ?", (place,))

    def _take_place(self, deadline: Deadline) -> int | None:
        now, host, left = time.time(), platform.node(), deadline.remaining()
        with self._ledger.transaction(durable=False) as database:
            taken = database.execute("SELECT id, until, host, pid FROM places").fetchall()
            # A process that was killed has not given its places back.
            # The pid shows it on this machine at once; on another one, only the time does.
            free = [(one,) for one, until, where, pid in taken if until < now or (where == host and _is_gone(pid))]
            database.executemany("DELETE FROM places WHERE id = ?", free)
            if self.max_active is not None and len(taken) - len(free) >= self.max_active:
                return None
            until = now + (_LEASE if left is None else left + _PLACE_GRACE)
            return database.execute(
                "INSERT INTO places (until, host, pid) VALUES (?, ?, ?)", (until, host, os.getpid())
            ).lastrowid

    @contextlib.contextmanager
    def _record(self) -> Iterator[PaceRecord]:
        with contextlib.ExitStack() as stack:
            try:
                database = stack.enter_context(self._ledger.transaction(durable=False))
            except RecordHeldError:
                # Nothing can be claimed then, but answers of what was posted can be collected, at this process's pace.
                yield stack.enter_context(super()._record())
                return
            record = _FileRecord(database)
            yield record
            record.save()


class _FileRecord(PaceRecord):
    """The record of a pace in a file, within one transaction."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        (self.next_at, self.paused_until, self.pauses, self.learned, self.learned_at) = database.execute(
            "SELECT next_at, paused_until, pauses, learned, learned_at FROM pace"
        ).fetchone()

    def save(self) -> None:
        """Writes the attributes back."""
        self._database.execute(
            "UPDATE pace SET next_at = ?, paused_until = ?, pauses = ?, learned = ?, learned_at = ?",
            (self.next_at, self.paused_until, self.pauses, self.learned, self.learned_at),
        )

    def opened(self, at: float) -> None:
        """See `PaceRecord.opened`."""
        self._database.execute("INSERT INTO openings VALUES (?)", (at,))
        # No pause that is heeded is longer, so what is older teaches nothing more.
        self._database.execute("DELETE FROM openings WHERE at < ?", (at - MAX_RETRY_AFTER,))

    def take_back(self, at: float) -> None:
        """See `PaceRecord.take_back`."""
        latest = "SELECT rowid FROM openings WHERE at <= ? ORDER BY at DESC LIMIT 1"
        self._database.execute(f"DELETE FROM openings WHERE rowid = ({latest})", (at,))

    def opened_between(self, start: float, end: float) -> int:
        """See `PaceRecord.opened_between`."""
        query = "SELECT count(*) FROM openings WHERE at BETWEEN ? AND ?"
        (count,) = self._database.execute(query, (start, end)).fetchone()
        return int(count)


def _is_gone(pid: int) -> bool:
    if os.name == "nt":  # where 0 is the number of an event, and no question
        return False
    try:
        # Signal 0 asks and does nothing (POSIX kill).
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


# ---- kept for a later run -------------------------------------------------------------------------------------------


class Checkpoint:
    """A `FileLedger` that is kept, with what it may go on with: one agent, the same prompts, one run at a time.

    Args:
        path: The file; it is made where there is none.
        agent_id: The agent.
        shared: Whether processes on other machines may use it.

    Attributes:
        ledger: The ledger.
        known: How many of the first prompts it may know.

    Raises:
        ConfigurationError: It is no checkpoint, one of another agent, or in use by another run.
        OSError: It cannot be opened or made.
    """

    def __init__(self, path: str | os.PathLike[str], agent_id: str, shared: bool) -> None:
        self.path = os.path.abspath(os.fsdecode(path))
        self.known = 0
        # Results may be confidential, as a file of one's own is.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        # Before the database is opened, which would change it under another run.
        self._lock_file = self._lock()
        try:
            run = self._begin(agent_id, shared)
        except BaseException:
            self._lock_file.close()
            raise
        self.ledger = FileLedger(self.path, run, lasting=True, shared=shared)

    def compared(self, prompts: Iterable[Content]) -> Iterable[Content]:
        """Returns the prompts, once those that the checkpoint knows are found to be the same.

        Raises:
            ConfigurationError: They are different.
            TypeError: One cannot be compared with that of a later run.
            OSError: A file among them cannot be read.
        """
        with self.ledger.transaction() as database:
            rows = database.execute("SELECT number, key FROM prompts ORDER BY number").fetchall()
        # Taken only as far as the checkpoint goes: the prompts may have no end.
        rest = iter(prompts)
        known: list[Content] = []
        for number, key in rows:
            while len(known) <= number:
                try:
                    known.append(next(rest))
                except StopIteration:
                    raise ConfigurationError(
                        f"the checkpoint {self.path} is of other prompts: it has number {number}, and there are "
                        f"{len(known)} now. Name another file, or delete it to begin again"
                    ) from None
            if prompt_key(known[number]) != key:
                raise ConfigurationError(
                    f"the checkpoint {self.path} is of other prompts: number {number} was another one. Name another "
                    "file, or delete it to begin again"
                )
        self.known = len(known)
        return chain(known, rest)

    def close(self) -> None:
        """Closes the file; a later run can go on with it."""
        self.ledger.close()
        self._lock_file.close()

    def _lock(self) -> IO[bytes]:
        # In a file of its own: closing any descriptor of a file drops all POSIX locks of the process on it, and so
        # SQLite's. A record lock (lockf) ends with this process, and worker processes do not inherit it.
        lock_file = open(f"{self.path}.lock", "ab")  # noqa: SIM115 - as long as the run
        if _fcntl is not None:
            try:
                _fcntl.lockf(lock_file, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
            except OSError:
                lock_file.close()
                raise ConfigurationError(
                    f"the checkpoint {self.path} is in use by another run; wait for its end, or name another file"
                ) from None
        return lock_file

    def _begin(self, agent_id: str, shared: bool) -> str:
        with contextlib.closing(_open(self.path, True, shared, _CALLERS_PATIENCE)) as database:
            (marked,) = database.execute("PRAGMA application_id").fetchone()
            # None in a new file, which has neither mark nor version yet.
            (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if tables and (marked, version) != (_APPLICATION_ID, _VERSION):
                raise ConfigurationError(
                    f"{self.path} is not a checkpoint, or one of a later version; name another file"
                )
            known = None
            if tables:
                (known,) = database.execute("SELECT value FROM facts WHERE name = 'agent'").fetchone()
            if known not in (None, agent_id):
                raise ConfigurationError(
                    f"the checkpoint {self.path} is of the agent {known}, not of {agent_id}; name another file"
                )
            try:
                return _create(database, agent_id)
            except sqlite3.OperationalError as error:
                raise _unusable(self.path, error) from None


def new_ledger(path: str) -> FileLedger:
    """Returns the ledger of one map alone, in a new file."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.closing(_open(path, lasting=False, shared=False)) as database:
        run = _create(database, "")
    return FileLedger(path, run, lasting=False, shared=False)


def _create(database: sqlite3.Connection, agent_id: str) -> str:
    """Creates the tables where they are missing, and begins a run; returns its id."""
    # A new one for each run, so that a worker left over from the run before finds that it is not its own.
    run = uuid.uuid4().hex
    database.executescript(
        f"BEGIN IMMEDIATE; PRAGMA application_id = {_APPLICATION_ID}; "
        f"PRAGMA user_version = {_VERSION}; {_SCHEMA} {_BEGIN} COMMIT;"
    )
    facts = {"agent": agent_id, "run": run}
    database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())
    return run


def prompt_key(prompt: Content) -> str:
    """Returns a digest of a prompt, by which a later run knows it again.

    Raises:
        TypeError: It is neither text, bytes nor a path.
        OSError: Its file cannot be read.
    """
    if isinstance(prompt, str):
        return _digest(b"text", [prompt.encode("utf-8", "surrogatepass")])
    if isinstance(prompt, (bytes, bytearray)):
        return _digest(b"bytes", [bytes(prompt)])
    if isinstance(prompt, os.PathLike):
        with open(prompt, "rb") as file:
            return _digest(
                # With its name, which the model is shown.
                b"file " + os.fsencode(os.path.basename(os.fspath(prompt))),
                iter(lambda: file.read(2**20), b""),
            )
    raise TypeError(
        f"with a checkpoint, a prompt is text, bytes or a path, which can be compared on a later run; not "
        f"{type(prompt).__name__}"
    )


def _digest(kind: bytes, chunks: Iterable[bytes]) -> str:
    # The kind goes in, or a text would be equal to the bytes of it.
    digest = hashlib.sha256(kind + b"\0")
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
