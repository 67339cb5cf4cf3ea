"""What goes out over a link: posts of ours, in their order, and requests that get an answer."""

from __future__ import annotations

import binascii
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Union

from sessionlib import hooks
from sessionlib._util.optional import ByteBar
from sessionlib._util.timing import Deadline, acquire
from sessionlib.connection.options import Post
from sessionlib.connection.replies import ReplyLane
from sessionlib.connection.state import ConnectionState
from sessionlib.content import PIECE, Bytes, File, Piece, Stream, Upload
from sessionlib.errors import SessionDisconnectedError, SessionTimeoutError
from sessionlib.hooks import SessionInfo
from sessionlib.protocol import codec
from sessionlib.protocol.parser import Frame
from sessionlib.protocol.recovery import summarise
from sessionlib.streams.hub import Hub

__all__ = ["EncodedPost", "Progress", "Sender"]

Progress = Union[bool, Callable[[int, Union[int, None]], object]]

_UPLOADS = (Bytes, File, Stream)
# What goes out in one WebSocket frame, roughly: the base64 text of a piece, and some JSON around it.
_FRAGMENT = PIECE // 3 * 4 + 32768


class EncodedPost:
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


class Sender:
    """Sends for one session, from any thread, waiting while its link is being re-opened.

    Args:
        link: What to write to.
        hub: Where the events of a post's turn go.
        replies: Where answers come in.
        send_timeout: Seconds that a message may take to go out; None for as long as it takes.
        about: Whose posts they are.
    """

    def __init__(
        self, link: ConnectionState, hub: Hub, replies: ReplyLane, send_timeout: float | None, about: SessionInfo
    ) -> None:
        self._link = link
        self._about = about
        self._hub = hub
        self._replies = replies
        self._send_timeout = send_timeout
        # Keeps the tickets of posts in the order of their frames.
        self._posting = threading.Lock()

    def post(
        self,
        frame: Frame,
        *,
        makes_turn: bool = True,
        attend: bool = False,
        within: Deadline | None = None,
        progress: Progress | None = None,
    ) -> Post:
        """Sends a message, waiting while the link is being re-opened.

        Args:
            frame: A ``post_message`` or ``post_messages``.
            makes_turn: Whether the engine answers it with a turn; what is over before such a post is not
                replayed after it.
            attend: Whether to open a mailbox for that turn, before the frame leaves.
            within: When to give up, if that is before ``send_timeout``.
            progress: Hears how many bytes of files have left, and of how many; True shows a bar.

        Returns:
            The post's ticket, and the mailbox if one was asked for.

        Raises:
            SessionDisconnectedError: The session is not connected, or its link is lost.
            SessionTimeoutError: The message did not go out in time.
            OSError: A file in it cannot be read; when part of it has left, the link is cut.
        """
        outgoing = EncodedPost(frame, progress)
        contents = summarise(frame) if makes_turn else (str(frame.get("parent_message_id") or ""),)
        deadline = Deadline(self._send_timeout) if within is None else within.sooner(self._send_timeout)
        try:
            self._link.check_usable()
            stand_in = hooks.network_hook()
            if stand_in is not None:
                self._admit(stand_in, frame, deadline)
            if not acquire(self._posting, deadline):
                raise SessionTimeoutError(f"other messages were still being sent after {deadline.timeout} s")
            try:
                return self._post(outgoing, contents, makes_turn, attend, deadline)
            finally:
                self._posting.release()
        finally:
            outgoing.close()

    def _admit(self, stand_in: hooks.NetworkHook, frame: Frame, deadline: Deadline) -> None:
        while True:
            transport = self._link.wait_usable(deadline)
            try:
                return stand_in.admit(transport, frame, deadline)
            except SessionDisconnectedError:
                self._link.await_loss(transport, deadline)

    def _post(
        self, outgoing: EncodedPost, contents: tuple[str, ...], makes_turn: bool, attend: bool, deadline: Deadline
    ) -> Post:
        while True:
            transport = self._link.transport or self._link.wait_usable(deadline)
            ticket = self._hub.begin_post(makes_turn, contents)
            observer = hooks.turn_observer()
            if observer is not None:
                observer.on_post(ticket, outgoing.frame, self._about)
            mailbox = self._hub.attend(ticket) if attend else None
            try:
                if outgoing.payload is None:
                    transport.send_pieces(outgoing.pieces(), deadline)
                else:
                    transport.send(outgoing.payload, deadline)
            except BaseException as error:
                if not transport.has_partial_message:
                    self._hub.withdraw(ticket)
                if mailbox is not None:
                    self._hub.leave(mailbox)
                if not isinstance(error, SessionDisconnectedError):
                    raise
                self._link.await_loss(transport, deadline)  # not all of it left, so that sending it again is safe
            else:
                outgoing.finish()
                return Post(ticket, mailbox)

    def call(self, frame: Frame, deadline: Deadline) -> Frame:
        """Sends a request that may be repeated, and waits for the engine's answer.

        Raises:
            SessionDisconnectedError: The session is not connected, or its link is lost.
            SessionTimeoutError: No answer came in time.
            SessionError: The engine refused.
        """
        payload = codec.dumps(frame)
        while True:
            transport = self._link.wait_usable(deadline)
            try:
                return self._replies.call(frame["type"], lambda: transport.send(payload, deadline), deadline)  # noqa: B023
            except SessionDisconnectedError:
                self._link.await_loss(transport, deadline)
