"""Looking at a database file before an engine touches it, so that a damaged one stays as it is."""

from __future__ import annotations

import contextlib
import errno
import operator
import os
import sqlite3
import stat
import struct
import weakref
from collections.abc import Sequence
from typing import BinaryIO, Literal
from urllib.parse import quote

from sessionlib.engine.errors import DatabaseDamagedError, DatabaseInUseError, DatabaseVersionError, StorageError
from sessionlib.engine.store.records import COLUMNS, UNFINISHED, each_row, rows

__all__ = ["APPLICATION_ID", "LockFile", "describe", "inspect"]

APPLICATION_ID = 0x53455353  # "SESS", so that no other program's file is taken for ours

_MAGIC = b"SQLite format 3\x00"
_WAL_MAGICS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_SMALL = 8 * 1024 * 1024
"""Bytes of a file that is always read whole before it is used; it takes a fraction of a second."""
_SUMS_SINCE = 3
"""The version since which rows have checksums."""


def inspect(path: str, schema: Sequence[str], *, full: bool = False) -> int:
    """Looks whether a file is a sound database of an engine, without writing to it.

    Start-up must not grow with the file: of a large one, only its header, its log, its layout and the turns that are
    taken up are read, and all else is compared with its checksum when it is used.

    Args:
        path: The file.
        schema: The scripts that make its layout, one for each version that is known here.
        full: Whether to read all of a large file as well.

    Returns:
        The version of its layout; 0 when there is no file yet.

    Raises:
        DatabaseDamagedError: It is no sound database of an engine.
        DatabaseVersionError: A newer engine wrote it.
        StorageError: It cannot be written to.
    """
    log = path + "-wal"
    if not os.path.exists(path):
        # SQLite would take it for one that a new database has left, and remove what was acknowledged.
        if os.path.isfile(log) and os.path.getsize(log):
            raise DatabaseDamagedError(
                f"{path} is not there, but its log is: {log} holds what was stored last. Restore the database, or "
                "remove its log as well to begin with an empty one",
                path=path,
            )
        return 0
    # From the cheapest look to the dearest; each only reads what the ones before have found to be there.
    _check_kind(path)
    _check_header(path)
    _check_log(path)
    # Read-only: SQLite cannot repair, truncate or check-point anything by it.
    connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)
    try:
        # Bytes 68 to 71 of the header, where SQLite leaves room for a program's own mark.
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise _damaged(path, "it belongs to another program")
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > len(schema):
            raise DatabaseVersionError(
                f"{path} was written by a newer engine (layout {version}, known here: {len(schema)}); it was left as "
                "it is. Update sessionlib, or start with another file",
                path=path,
            )
        with contextlib.closing(sqlite3.connect(":memory:")) as known:
            known.executescript("\n".join(schema[:version]))
            # More is allowed, such as an index that its owner has added.
            if not _layout_of(known) <= _layout_of(connection):
                raise _damaged(path, f"its tables are not those of layout {version}")
        has_sums = version >= _SUMS_SINCE
        # Files from before the checksums have nothing else that could show damage.
        if full or not has_sums or os.path.getsize(path) <= _SMALL:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if found != "ok":
                raise _damaged(path, f"SQLite reports: {found}")
            for table in COLUMNS if has_sums else ():
                # To read a row is to compare it with its checksum.
                for _ in each_row(connection, table):
                    pass
        else:
            for turn in rows(connection, "turns", UNFINISHED):
                rows(connection, "sessions", id=turn["session_id"])
                rows(connection, "calls", turn=turn["number"])
        return version
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        # Names in a damaged schema need not even be text.
        raise _damaged(path, describe(error)) from None
    finally:
        connection.close()


def describe(error: Exception) -> str:
    """Returns what is wrong in a damaged file; never what is stored in it."""
    details = str(error)
    not_text = isinstance(error, UnicodeDecodeError) or "decode" in details
    return "a stored text is no text" if not_text else f"SQLite reports: {details}"


def _damaged(path: str, why: str) -> DatabaseDamagedError:
    return DatabaseDamagedError(
        f"{path} is not usable: {why}. It was left as it is; restore a copy, or start with another file", path=path
    )


def _check_kind(path: str) -> None:
    mode = os.stat(path).st_mode
    # A device or a pipe would block at the first read.
    if not stat.S_ISREG(mode):
        raise _damaged(path, "it is not a file")
    # The mode as well, because the superuser's access() allows everything.
    if not os.access(path, os.W_OK) or not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise StorageError(f"{path} cannot be written to; make it writable, or start with another file", path=path)


def _check_header(path: str) -> None:
    with open(path, "rb") as file:
        header = file.read(100)
    # SQLite takes an empty file for a new database: what was truncated would look as if it had never held anything.
    if len(header) < 100 or not header.startswith(_MAGIC):
        raise _damaged(path, "its header is not that of a database" if header else "it is empty")


def _check_log(path: str) -> None:
    # SQLite takes a log that it cannot read for an empty one, and ignores all frames behind a damaged one: the
    # commits in them would be lost without a word. The format: https://www.sqlite.org/fileformat2.html#walformat
    try:
        file = open(path + "-wal", "rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        return
    with file:
        header = file.read(32)
        if not header:
            return
        # The order of the words that are summed; the header's own fields are big-endian always.
        order: Literal["big", "little"] = "big" if header[:4] == _WAL_MAGICS[1] else "little"
        sums = _checksum(header[:24], order, (0, 0), _weights(6)) if len(header) == 32 else None
        if sums is None or header[:4] not in _WAL_MAGICS or header[24:] != _as_bytes(sums):
            raise _damaged(path, "the header of its write-ahead log is damaged")
        # The size of a page; a frame is its header of 24 bytes and one page.
        size = int.from_bytes(header[8:12], "big")
        weights = _weights(2 + size // 4)
        bad = b""
        before = sums
        while len(frame := file.read(24 + size)) == 24 + size:
            # Frames of the log's last run have the salts of its header; those of runs before may follow them.
            if frame[8:16] != header[16:24]:
                # Left from an earlier run, unless frames of this run follow.
                bad = bad or frame
                continue
            if bad:
                # A torn tail ends the log; a frame of the same run behind a bad one does not.
                raise _damaged(path, "a frame of its write-ahead log is damaged, and newer ones stand behind it")
            before, sums = sums, _checksum(frame[:8] + frame[24:], order, sums, weights)
            if frame[16:24] != _as_bytes(sums):
                bad = frame
        # A crash leaves a last frame that is torn, and SQLite drops it rightly; one with a single flipped byte was a
        # commit.
        if bad and _is_flipped(bad, header[16:24], order, before if bad[8:16] == header[16:24] else sums, weights):
            raise _damaged(path, "the last frame of its write-ahead log is damaged")


def _weights(words: int) -> list[int]:
    # The checksum is a Fibonacci sequence to which the words are added, so it is a sum of words times numbers of
    # Fibonacci: those for a first word and on, down to 1 and 0 for what is behind the last.
    fibonacci = [0, 1]
    while len(fibonacci) < words + 2:
        fibonacci.append((fibonacci[-1] + fibonacci[-2]) & 0xFFFFFFFF)
    return fibonacci[::-1]


def _checksum(
    data: bytes, order: Literal["big", "little"], sums: tuple[int, int], weights: list[int]
) -> tuple[int, int]:
    # One unpack and two sums in C: word by word, a log of 16 MiB would take far longer.
    words = struct.unpack(f"{'>' if order == 'big' else '<'}{len(data) // 4}I", data)
    above, here, below = weights[0], weights[1], weights[2]
    first = sums[0] * below + sums[1] * here + sum(map(operator.mul, words, weights[2:]))
    second = sums[0] * here + sums[1] * above + sum(map(operator.mul, words, weights[1:]))
    return first & 0xFFFFFFFF, second & 0xFFFFFFFF


def _is_flipped(
    frame: bytes, salts: bytes, order: Literal["big", "little"], sums: tuple[int, int], weights: list[int]
) -> bool:
    # Whether one other byte would make a sound frame of it: then it was whole once, and is no torn tail.
    data = frame[:8] + frame[24:]
    first, second = _checksum(data, order, sums, weights)
    wrong = sum(one != other for one, other in zip(frame[8:24], salts + _as_bytes((first, second)), strict=True))
    if wrong < 2:
        return wrong == 1
    if frame[8:16] != salts:
        return False
    off_first, off_second = (
        (int.from_bytes(frame[at : at + 4], "big") - found) & 0xFFFFFFFF for at, found in ((16, first), (20, second))
    )
    for at in range(0, len(data), 4):
        one, other = weights[at // 4 + 2], weights[at // 4 + 1]
        # Of two numbers of Fibonacci in a row at least one is odd, so it has an inverse.
        change = off_first * pow(one, -1, 1 << 32) if one % 2 else off_second * pow(other, -1, 1 << 32)
        word = int.from_bytes(data[at : at + 4], order)
        if ((change * one) - off_first | (change * other) - off_second) & 0xFFFFFFFF == 0:
            flipped = word ^ ((word + change) & 0xFFFFFFFF)
            if sum(byte != 0 for byte in flipped.to_bytes(4, "big")) == 1:
                return True
    return False


def _as_bytes(sums: tuple[int, int]) -> bytes:
    return struct.pack(">2I", *sums)


def _layout_of(connection: sqlite3.Connection) -> set[tuple[str, ...]]:
    return set(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))


if os.name == "nt":  # pragma: no cover
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        # Far behind the pid, which other processes have to be able to read.
        # Locks on Windows are on ranges of bytes, which no other process can read then.
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        # flock() and not lockf(): POSIX locks end when any descriptor of the file is closed by the process.
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


_held: weakref.WeakSet[LockFile] = weakref.WeakSet()


class LockFile:
    """Holds a database file for this process.

    The file stays when the lock is given back: removing it would let two engines hold two files of one name.

    Args:
        database: Path of the database file.

    Raises:
        DatabaseInUseError: Another engine holds it.
        OSError: The lock file cannot be written.
    """

    def __init__(self, database: str) -> None:
        path = database + ".lock"
        # It may be a symlink that another user has made: its target must not be emptied.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        try:
            number = os.open(path, flags, 0o600)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise StorageError(f"{path} is a symlink; remove it, or use another file", path=database) from None
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            os.close(number)
            raise StorageError(
                f"{path} is no plain file, or has another name as well; remove it, or use another file", path=database
            )
        self._pid = os.getpid()
        self._file = os.fdopen(number, "a+b")
        try:
            _lock(self._file)
        except OSError:
            # What the holder has written; it may have died just now, or not have got as far.
            self._file.seek(0)
            details = self._file.read(20)
            pid = int(details) if details.isdigit() else None
            self._file.close()
            raise DatabaseInUseError(
                f"{database} is in use by another engine (process {pid or 'unknown'}); stop it, or use another file",
                path=database,
                pid=pid,
            ) from None
        # Only now that it is ours: until then, it names the holder.
        self._file.truncate(0)
        self._file.write(str(self._pid).encode())
        self._file.flush()
        _held.add(self)

    def close(self) -> None:
        """Releases the database file; in a forked child only closes its copy, for the lock is the parent's."""
        if not self._file.closed:
            if os.getpid() == self._pid:
                self._file.truncate(0)
            self._file.close()

    def __repr__(self) -> str:
        return f"<LockFile of process {self._pid}>"


def _close_inherited() -> None:
    # A child's copy of the descriptor would hold the lock for as long as the child lives.
    for lock in list(_held):
        lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)
