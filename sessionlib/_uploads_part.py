"""Files on their way out, read piece by piece, so that their size is no matter.

A source is opened when it becomes an `Upload`, so that one which cannot be read is an error before
anything is sent, and it can be read again from its start as long as that is possible at all.
"""

from __future__ import annotations

import inspect
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

__all__ = ["PIECE", "Bytes", "File", "Stream", "Upload"]

# Divisible by 3, so that the base64 texts of pieces are the base64 text of the whole.
PIECE = 3 << 16

Piece = bytes | bytearray | memoryview


class Upload(Protocol):
    """Something whose bytes go out.

    Attributes:
        size: Their number; None when that is not known before they have been read.
    """

    size: int | None

    def pieces(self) -> Iterator[Piece]:
        """Gives the bytes in pieces, from the start.

        Raises:
            OSError: They cannot be read, or not a second time, or not all of them are there any more.
        """

    def close(self) -> None:
        """Lets go of what was opened here."""


class Bytes:
    """Bytes in memory, which are not copied."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        if view.ndim != 1 or view.format != "B" or not view.c_contiguous:
            view = memoryview(view.tobytes())
        self._view = view
        self.size: int | None = view.nbytes

    def pieces(self) -> Iterator[Piece]:
        """See `Upload.pieces`."""
        for start in range(0, self._view.nbytes, PIECE):
            yield self._view[start : start + PIECE]

    def close(self) -> None:
        """Lets go of the bytes: a bytearray can be resized again."""
        self._view.release()


class File:
    """A file on disk: as much of it as was there when it was opened.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be opened for reading.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb", buffering=0)
        self._status = os.fstat(self._file.fileno())
        self._is_regular = stat.S_ISREG(self._status.st_mode)
        # A file that says it is empty may be one of /proc, which hold what they do not tell.
        self.size: int | None = self._status.st_size or None if self._is_regular else None
        self._read = False

    def __del__(self) -> None:
        if hasattr(self, "_file"):  # not so when it could not be opened
            self.close()

    def pieces(self) -> Iterator[Piece]:
        """See `Upload.pieces`; also raised when the file was changed meanwhile, but for growing."""
        if self._read:
            self._rewind()
        self._read = True
        left = self.size
        while left is None or left > 0:
            piece = self._file.read(PIECE if left is None else min(PIECE, left))
            if not piece:
                break
            left = None if left is None else left - len(piece)
            yield piece
        self._check(left or 0)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _rewind(self) -> None:
        if not self._is_regular:
            raise OSError(f"{self._path} cannot be read a second time")
        self._file.seek(0)

    def _check(self, missing: int) -> None:
        now = os.fstat(self._file.fileno())
        changed = now.st_mtime_ns != self._status.st_mtime_ns and now.st_size <= self._status.st_size
        if self._is_regular and (missing or changed):
            raise OSError(f"{self._path} was changed while it was being sent")


class Stream:
    """A file-like object, read from where it stands to its end, and left open.

    Args:
        source: The object, in binary or in text mode.
    """

    size: int | None = None

    def __init__(self, source: Any) -> None:
        self._source = source
        self._in_pieces = _takes_size(source.read)
        self._start: Any = None
        self._read = False

    def pieces(self) -> Iterator[Piece]:
        """See `Upload.pieces`."""
        if self._read:
            self._rewind()
        else:
            self._start = _position(self._source)
        self._read = True
        if not self._in_pieces:
            yield _as_bytes(self._source.read())
            return
        while piece := _as_bytes(self._source.read(PIECE)):
            yield piece

    def close(self) -> None:
        """Leaves the object as it is: it is its owner's."""

    def _rewind(self) -> None:
        if self._start is None:
            raise OSError("a file-like object that cannot seek cannot be read a second time; send it again yourself")
        self._source.seek(self._start)


def _takes_size(read: Any) -> bool:
    try:
        inspect.signature(read).bind(PIECE)
    except TypeError:
        return False
    except ValueError:  # built in, with no signature to look at
        return True
    return True


def _position(source: Any) -> Any:
    try:
        return source.tell()
    except (AttributeError, OSError, ValueError):
        return None


def _as_bytes(read: object) -> Piece:
    if isinstance(read, str):
        return read.encode()
    if isinstance(read, (bytes, bytearray, memoryview)):
        return read
    raise TypeError(f"a file-like object gave {type(read).__name__} where str or bytes belong")
