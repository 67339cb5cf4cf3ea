"""Looking at a database file before an engine touches it, so that a damaged one stays as it is."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from sessionlib.engine.errors import DatabaseDamagedError, DatabaseInUseError, DatabaseVersionError, StorageError

__all__ = ["APPLICATION_ID", "LockFile", "inspect"]

APPLICATION_ID = 0x53455353  # "SESS", so that no other program's file is taken for ours

_MAGIC = b"SQLite format 3\x00"
_WAL_MAGICS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


def inspect(path: str, newest: int) -> int:
    """Looks whether a file is a sound database of an engine, without writing to it.

    Args:
        path: The file.
        newest: The newest version that is known here.

    Returns:
        The version of its layout; 0 when there is no file yet.

    Raises:
        DatabaseDamagedError: It is no sound database of an engine.
        DatabaseVersionError: A newer engine wrote it.
        StorageError: It cannot be written to.
    """
    if not os.path.exists(path):
        return 0
    _check_kind(path)
    _check_header(path)
    _check_log(path)
    connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)
    try:
        return _check_pages(connection, path, newest)
    except sqlite3.DatabaseError as error:
        raise _damaged(path, f"SQLite says: {error}") from None
    finally:
        connection.close()


def _damaged(path: str, why: str) -> DatabaseDamagedError:
    return DatabaseDamagedError(
        f"{path} is not usable: {why}. It was left as it is; restore a copy, or start with another file", path=path
    )


def _check_kind(path: str) -> None:
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise _damaged(path, "it is not a file")
    # The mode as well, because the superuser's access() says yes to everything.
    if not os.access(path, os.W_OK) or not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise StorageError(f"{path} cannot be written to; make it writable, or start with another file", path=path)


def _check_header(path: str) -> None:
    with open(path, "rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(_MAGIC):
        raise _damaged(path, "its header is not that of a database" if header else "it is empty")


def _check_log(path: str) -> None:
    # SQLite takes a log it cannot read for an empty one, and the commits in it would be lost in silence.
    try:
        log = Path(path + "-wal").read_bytes()[:32] if os.path.getsize(path + "-wal") else b""
    except FileNotFoundError:
        return
    if log and (len(log) < 32 or log[:4] not in _WAL_MAGICS or not _sums_up(log)):
        raise _damaged(path, "its write-ahead log is damaged")


def _sums_up(header: bytes) -> bool:
    order = "big" if header[:4] == _WAL_MAGICS[1] else "little"
    words = [int.from_bytes(header[at : at + 4], order) for at in range(0, 24, 4)]  # type: ignore[arg-type]
    first = second = 0
    for at in range(0, 6, 2):
        first = (first + words[at] + second) & 0xFFFFFFFF
        second = (second + words[at + 1] + first) & 0xFFFFFFFF
    return header[24:32] == first.to_bytes(4, "big") + second.to_bytes(4, "big")


def _check_pages(connection: sqlite3.Connection, path: str, newest: int) -> int:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise _damaged(path, "it belongs to another program")
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > newest:
        raise DatabaseVersionError(
            f"{path} was written by a newer engine (layout {version}, known here: {newest}); it was left as it is. "
            "Update sessionlib, or start with another file",
            path=path,
        )
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise _damaged(path, f"SQLite says: {found}")
    return version


if os.name == "nt":  # pragma: no cover
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        # Far behind the pid, which others have to be able to read.
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


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
        self._file = open(path, "a+b")  # noqa: SIM115 - held until close
        try:
            _lock(self._file)
        except OSError:
            pid = self._holder()
            self._file.close()
            raise DatabaseInUseError(
                f"{database} is in use by another engine (process {pid or 'unknown'}); stop it, or use another file",
                path=database,
                pid=pid,
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()).encode())
        self._file.flush()

    def close(self) -> None:
        """Gives the database file back."""
        if not self._file.closed:
            self._file.truncate(0)
            self._file.close()

    def _holder(self) -> int | None:
        self._file.seek(0)
        told = self._file.read(20)
        return int(told) if told.isdigit() else None
