"""One engine for each database file: a lock that the system takes back when its holder dies."""

from __future__ import annotations

import os
from typing import BinaryIO

from sessionlib.engine.errors import DatabaseInUseError

__all__ = ["LockFile"]

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
