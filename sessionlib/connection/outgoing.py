"""A frame on its way out: one payload, or, with files in it, pieces that are made while they are sent."""

from __future__ import annotations

import binascii
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Union

from sessionlib._uploads_part import PIECE, Bytes, File, Piece, Stream, Upload
from sessionlib._util.progress import ByteBar
from sessionlib.protocol import codec
from sessionlib.protocol.frames import Frame

__all__ = ["Outgoing", "Progress"]

Progress = Union[bool, Callable[[int, Union[int, None]], object]]

_UPLOADS = (Bytes, File, Stream)
# What goes out in one WebSocket frame, roughly: the base64 text of a piece, and some JSON around it.
_FRAGMENT = PIECE // 3 * 4 + 32768


class Outgoing:
    """One post, encoded.

    Args:
        frame: The post; the ``raw_bytes`` of its files are `Upload`s.
        progress: Hears how many of the files' bytes have left, and of how many; True shows a bar.

    Attributes:
        frame: The post.
        payload: All of it, when it is small; None when it has to go out in `pieces`.

    Raises:
        TypeError: Something in it has no JSON form.
        ValueError: It holds NaN, an infinity, itself, or text that is not Unicode.
        OSError: A small file cannot be read.
        MissingExtraError: A bar is wanted, and tqdm is not installed.
    """

    def __init__(self, frame: Frame, progress: Progress | None = None) -> None:
        self.frame = frame
        self._done = 0
        self._told: Callable[[int, int | None], object] | None = None
        self._close_bar: Callable[[], object] | None = None
        self._uploads: list[Upload] = []
        if isinstance(frame.get("content"), str):  # nearly every post is a text
            self.payload: bytes | None = codec.dumps_text(frame)
            return
        self._texts, self._uploads = _around_uploads(frame)
        sizes = [upload.size for upload in self._uploads]
        known = [size for size in sizes if size is not None]
        self._total = sum(known) if len(known) == len(sizes) else None
        self.payload = None
        if self._total is not None and self._total <= PIECE:
            # Read now, so that a failure is told before anything is sent.
            self.payload = b"".join(self._parts())
        if self._uploads:
            self._show(progress)

    def pieces(self) -> Iterator[tuple[bytes, bool]]:
        """Gives the payload in pieces, from its start, and of each whether it is the last.

        Raises:
            OSError: A file cannot be read.
            Exception: What the progress callback raised.
        """
        self._done = 0
        held: list[bytes] = []
        size = 0
        for part in self._parts():
            if held and size + len(part) > _FRAGMENT:
                yield b"".join(held), False
                held, size = [], 0
                self._tell()
            held.append(part)
            size += len(part)
        yield b"".join(held), True

    def finish(self) -> None:
        """Tells that all of it has left."""
        self._tell()

    def close(self) -> None:
        """Lets go of its files."""
        for upload in self._uploads:
            upload.close()
        if self._close_bar is not None:
            self._close_bar()

    def _parts(self) -> Iterator[bytes]:
        for text, upload in zip(self._texts, self._uploads, strict=False):
            yield text
            yield from _base64(self._counted(upload.pieces()))
        yield self._texts[-1]

    def _counted(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            yield piece
            self._done += len(piece)

    def _show(self, progress: Progress | None) -> None:
        if progress is True:
            bar = ByteBar(self._total)
            self._told, self._close_bar = bar.tell, bar.close
        elif progress:
            if not callable(progress):
                raise TypeError(f"progress takes a callable or True, not {type(progress).__name__}")
            self._told = progress

    def _tell(self) -> None:
        if self._told is not None:
            self._told(self._done, self._total)


def _around_uploads(frame: Frame) -> tuple[list[bytes], list[Upload]]:
    """Gives the JSON text of a frame in the parts around its uploads, and these."""
    uploads: list[Upload] = []
    # Nobody can know it, so no text in the frame holds it.
    mark = os.urandom(16).hex()

    def place(value: object) -> str:
        if not isinstance(value, _UPLOADS):
            raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
        uploads.append(value)
        return mark

    text = codec.dumps(frame, place)
    return text.split(mark.encode()) if uploads else [text], uploads


def _base64(pieces: Iterable[Piece]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        data = memoryview(rest + piece if rest else piece)
        cut = len(data) - len(data) % 3
        rest = bytes(data[cut:])
        if cut:
            yield binascii.b2a_base64(data[:cut], newline=False)
    if rest:
        yield binascii.b2a_base64(rest, newline=False)
