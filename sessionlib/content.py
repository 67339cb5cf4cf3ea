"""What can be sent: text, files, batches and answers to approval requests; their wire form, and the sources of files.

The wire forms (from the official SDK, ``vectorshift`` 0.1.15): a text is a JSON string; a text with a
MIME type is ``{"type_string": type, "value": text}``; a file is ``{"type_string": "file", "value":
{"raw_bytes": base64, "metadata": {"name", "mime_type"}}}``; an answer to an approval request is
``{"type_string": "response_message", "value": {"tool_call_approval": ...}}``. Until it is sent, a file's
``raw_bytes`` is an `Upload`, which the sender reads and encodes chunk by chunk.
"""

# Annotations are real objects here (no ``from __future__ import annotations``), because dataclasses-json makes
# marshmallow schemas only from those.

import contextlib
import inspect
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional, Protocol, Union

from sessionlib._util.models import JsonModel
from sessionlib.events import SessionMessage

__all__ = [
    "CHUNK",
    "ApprovalResponse",
    "Bytes",
    "Content",
    "File",
    "FileContent",
    "Readable",
    "SendManyItem",
    "Stream",
    "Upload",
    "UserSessionMessage",
]

DEFAULT_MIME_TYPE = "application/octet-stream"
DEFAULT_NAME = "file"
# The official SDK's words.
DEFAULT_DENY_REASON = "User denied tool call."


class Readable(Protocol):
    """A file-like object, in binary or text mode."""

    def read(self) -> Union[str, bytes]:
        """Returns all that is left."""


FileContent = Union[Path, bytes, bytearray, Readable]
Content = Union[str, FileContent]
WireContent = Union[str, dict[str, Any]]


@dataclass
class UserSessionMessage(JsonModel):
    """One message for `Session.send_many`; its fields are the arguments of `Session.send`.

    Attributes:
        content: Text, a path, bytes or a file-like object; None sends only the files.
        files: Files that are sent with it in the same turn.
        mime_type: MIME type of ``content``.
        filename: Name for ``content`` when it is a file.
        references: Kept for code written for the official SDK, which does not send it either.
    """

    content: Optional[Content] = None
    files: Optional[Sequence[FileContent]] = None
    mime_type: Optional[str] = None
    filename: Optional[str] = None
    references: Optional[Mapping[str, Any]] = None


@dataclass
class ApprovalResponse(JsonModel):
    """An answer to an approval request.

    Attributes:
        approved: Whether the tool may run.
        confirm: Arguments by name that replace the proposed ones; None leaves them.
        deny_reason: The reason that the agent receives when the tool may not run.
        remember: "turn" or "session" to answer later requests for the same tool in the same way, for so long; None (the
            default) answers this request only.
    """

    approved: bool
    confirm: Optional[Mapping[str, Any]] = None
    deny_reason: Optional[str] = None
    remember: Optional[Literal["turn", "session"]] = None


SendManyItem = Union[Content, UserSessionMessage, SessionMessage]


def encode(content: object, *, mime_type: Optional[str] = None, filename: Optional[str] = None) -> WireContent:
    """Returns the wire form of one content, with an `Upload` in place of the bytes of a file.

    Args:
        content: Text, a path, bytes, or a file-like object.
        mime_type: Its MIME type; when not given it is guessed: for a path from the path, for other files from the name.
        filename: The file's name; else the path's name or the object's ``name``, else "file".

    Raises:
        TypeError: ``content`` is of a type that cannot be sent.
        OSError: A file cannot be opened.
    """
    if isinstance(content, str):
        return content if mime_type is None else {"type_string": mime_type or "string", "value": content}
    # Before paths and files: bytes are never taken for the name of a file.
    if isinstance(content, (bytes, bytearray, memoryview)):
        return _file(Bytes(content), filename or DEFAULT_NAME, mime_type)
    if isinstance(content, os.PathLike):
        path = Path(content)
        # The file keeps its type under another name, as in the official SDK.
        return _file(File(path), filename or path.name, mime_type or _guess(path.name) or DEFAULT_MIME_TYPE)
    if callable(getattr(content, "read", None)):
        name = getattr(content, "name", None)
        if not isinstance(name, (str, bytes)) or not name:
            name = DEFAULT_NAME  # a file opened by descriptor has a number for a name
        return _file(Stream(content), filename or os.fsdecode(name), mime_type)
    raise TypeError(
        f"cannot send {type(content).__name__}: a content is str, Path, bytes, bytearray or a file-like object"
    )


def encode_message(
    content: object, *, files: Iterable[object] = (), mime_type: Optional[str] = None, filename: Optional[str] = None
) -> list[WireContent]:
    """Returns the wire form of one message and the files that are sent with it.

    Raises:
        TypeError: Something is of a type that cannot be sent.
        ValueError: There is nothing in it to send.
        OSError: A file cannot be read.
    """
    if files and isinstance(files, (str, bytes, bytearray, os.PathLike)):
        raise TypeError(f"files takes a sequence of files, not one {type(files).__name__}")
    attached = [_attachment(file) for file in files]
    # An engine would begin a turn for nothing.
    if isinstance(content, str) and not content and not attached:
        raise ValueError("cannot send an empty message")
    return [encode(content, mime_type=mime_type, filename=filename), *attached]


def encode_batch(messages: Iterable[object]) -> list[WireContent]:
    """Returns the wire form of a batch: every message's content, then its files.

    Args:
        messages: Contents, `UserSessionMessage` or `SessionMessage` (of which only its text is sent).

    Raises:
        TypeError: Something is of a type that cannot be sent.
        ValueError: There is nothing in it to send.
        OSError: A file cannot be read.
    """
    if isinstance(messages, (str, bytes, bytearray, os.PathLike, UserSessionMessage, SessionMessage)):
        raise TypeError(f"send_many takes a sequence of messages, not one {type(messages).__name__}; use send")
    batch: list[WireContent] = []
    for message in messages:
        if isinstance(message, SessionMessage):
            batch += [message.text] if message.text else []
        elif isinstance(message, UserSessionMessage):
            files = [_attachment(file) for file in message.files or ()]
            if message.content is not None:
                batch.append(encode(message.content, mime_type=message.mime_type, filename=message.filename))
            batch += files
        else:
            batch.append(encode(message))
    if not batch:
        raise ValueError("cannot send an empty batch")
    return batch


def encode_approval(
    approved: bool, confirm: Optional[Mapping[str, Any]] = None, deny_reason: Optional[str] = None
) -> dict[str, Any]:
    """Returns the wire form of an answer to an approval request.

    An argument that belongs to the other answer is ignored, so that one call can serve both.

    Raises:
        TypeError: ``approved`` is not a bool, ``confirm`` not a mapping, or ``deny_reason`` not a str.
    """
    if not isinstance(approved, bool):
        raise TypeError(f"approved takes True or False, not {type(approved).__name__}")
    if confirm is not None and not isinstance(confirm, Mapping):
        raise TypeError(f"confirm takes a mapping of argument names to values, not {type(confirm).__name__}")
    if deny_reason is not None and not isinstance(deny_reason, str):
        raise TypeError(f"deny_reason takes a str, not {type(deny_reason).__name__}")
    answer: dict[str, Any]
    # One of the two: an answer that held both would be read differently by different engines.
    answer = {"confirm": dict(confirm or {})} if approved else {"deny": deny_reason or DEFAULT_DENY_REASON}
    return {"type_string": "response_message", "value": {"tool_call_approval": answer}}


def _attachment(file: object) -> WireContent:
    if isinstance(file, str):
        # Text could be meant as a name or as a content: neither is guessed.
        raise TypeError("files takes Path, bytes or file-like objects; write Path(...) around a file name")
    return encode(file)


def _file(upload: "Upload", name: str, mime_type: Optional[str]) -> dict[str, Any]:
    metadata = {"name": name, "mime_type": mime_type or _guess(name) or DEFAULT_MIME_TYPE}
    return {"type_string": "file", "value": {"raw_bytes": upload, "metadata": metadata}}


def _guess(name: Optional[str]) -> Optional[str]:
    if not name:
        return None
    import mimetypes  # reads files when it is loaded, which most sessions never need

    return mimetypes.guess_type(name)[0]


# ---- sources of bytes ----------------------------------------------------------------------------

# Bytes in a chunk. Divisible by 3, so that the base64 texts of the chunks are, joined, that of the whole.
CHUNK = 3 << 16

ByteChunk = bytes | bytearray | memoryview


class Upload(Protocol):
    """A source of bytes to send.

    Attributes:
        size: The number of bytes; None when it is unknown until they have been read.
    """

    size: int | None

    def chunks(self) -> Iterator[ByteChunk]:
        """Yields the bytes in chunks, from the start; called again when a post is repeated on another connection.

        Raises:
            OSError: They cannot be read, or not a second time, or have changed meanwhile.
        """

    def close(self) -> None:
        """Releases what was opened here."""


class Bytes:
    """Bytes in memory, which are not copied where they are contiguous."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        # No copy: a file of a gigabyte is sent as it lies in memory.
        view = memoryview(data)
        if view.ndim != 1 or view.format != "B" or not view.c_contiguous:
            # A slice with steps, or an array of numbers: base64 needs plain bytes in a row.
            view = memoryview(view.tobytes())
        self._view = view
        self.size: int | None = view.nbytes

    def chunks(self) -> Iterator[ByteChunk]:
        """See `Upload.chunks`."""
        for start in range(0, self._view.nbytes, CHUNK):
            yield self._view[start : start + CHUNK]

    def close(self) -> None:
        """Releases the buffer, so that a bytearray can be resized again."""
        self._view.release()


class File:
    """A file on disk: as many of its bytes as it had when it was opened.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be opened for reading.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Opened now, so that what is sent is the file of this moment; chunks are large enough without a buffer.
        self._file = path.open("rb", buffering=0)
        self._status = os.fstat(self._file.fileno())
        self._is_regular = stat.S_ISREG(self._status.st_mode)
        # Files below /proc report a size of 0 and have contents all the same.
        self.size: int | None = self._status.st_size or None if self._is_regular else None
        self._read = False

    def __del__(self) -> None:
        if hasattr(self, "_file"):  # not so when it could not be opened
            self.close()

    def chunks(self) -> Iterator[ByteChunk]:
        """See `Upload.chunks`; raises as well when the file was changed meanwhile, other than by appending."""
        if self._read:
            if not self._is_regular:
                raise OSError(f"{self._path} cannot be read a second time")
            self._file.seek(0)
        self._read = True
        left = self.size
        while left is None or left > 0:
            chunk = self._file.read(CHUNK if left is None else min(CHUNK, left))
            if not chunk:
                break
            left = None if left is None else left - len(chunk)
            yield chunk
        now = os.fstat(self._file.fileno())
        # A log that is appended to is sent as it was; any other change would send a mixture of two versions.
        changed = now.st_mtime_ns != self._status.st_mtime_ns and now.st_size <= self._status.st_size
        if self._is_regular and (left or changed):
            raise OSError(f"{self._path} was changed while it was being sent")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class Stream:
    """A file-like object, read from its current position to its end, and left open.

    Args:
        source: The object, in binary or in text mode.
    """

    size: int | None = None

    def __init__(self, source: Any) -> None:
        self._source = source
        self._in_pieces = True
        try:
            inspect.signature(source.read).bind(CHUNK)
        except TypeError:  # a `Readable` need only have read() without arguments
            self._in_pieces = False
        except ValueError:  # built in, with no signature to look at
            pass
        self._start: Any = None
        self._read = False

    def chunks(self) -> Iterator[ByteChunk]:
        """See `Upload.chunks`."""
        if not self._read:
            # Where it stands when it is first read, for a post that is repeated on another connection.
            with contextlib.suppress(AttributeError, OSError, ValueError):
                self._start = self._source.tell()
        elif self._start is None:
            raise OSError("a file-like object that cannot seek cannot be read a second time; send it again yourself")
        else:
            self._source.seek(self._start)
        self._read = True
        if not self._in_pieces:
            yield _as_bytes(self._source.read())
            return
        while chunk := _as_bytes(self._source.read(CHUNK)):
            yield chunk

    def close(self) -> None:
        """Does nothing: the caller owns the object."""


def _as_bytes(read: object) -> ByteChunk:
    if isinstance(read, str):
        return read.encode()
    if isinstance(read, (bytes, bytearray, memoryview)):
        return read
    raise TypeError(f"a file-like object returned {type(read).__name__} instead of str or bytes")
