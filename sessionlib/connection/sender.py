"""What goes out over a connection: posts of ours, in their order, and requests that get an answer."""

from __future__ import annotations

import binascii
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Union

from sessionlib import hooks
from sessionlib._util.optional import ByteBar
from sessionlib._util.timing import Deadline, held
from sessionlib.connection.state import ConnectionState
from sessionlib.content import CHUNK, ByteChunk, Bytes, File, Stream, Upload
from sessionlib.errors import SessionDisconnectedError, SessionError, SessionTimeoutError
from sessionlib.hooks import SessionInfo
from sessionlib.protocol import codec
from sessionlib.protocol.client import PendingCall, PendingCalls
from sessionlib.protocol.frames import Frame, summarise
from sessionlib.protocol.turns import PendingPost
from sessionlib.streams.hub import Hub
from sessionlib.streams.mailbox import TimedMailbox
from sessionlib.transport.base import BUSY, Transport

__all__ = ["EncodedPost", "Progress", "Sender"]

Progress = Union[bool, Callable[[int, Union[int, None]], object]]

_UPLOADS = (Bytes, File, Stream)
# What goes out in one WebSocket frame, roughly: the base64 text of a chunk, and some JSON around it.
_FRAGMENT = CHUNK // 3 * 4 + 32768


class EncodedPost:
    """One post, encoded.

    Args:
        frame: The post; the ``raw_bytes`` of its files are `Upload`s.
        progress: Called with the number of the files' bytes that have left, and their sum; True shows a bar.

    Attributes:
        frame: The post.
        payload: All of it, when it is small; None when it has to go out in `chunks`.
        uploads: Its files, to be closed.

    Raises:
        TypeError: Something in it has no JSON form.
        ValueError: It holds NaN, an infinity, itself, or text that is not Unicode.
        OSError: A small file cannot be read.
        MissingExtraError: A bar is wanted, and tqdm is not installed.
    """

    def __init__(self, frame: Frame, progress: Progress | None = None) -> None:
        self.frame = frame
        self._done = 0
        self._progress: Callable[[int, int | None], object] | None = None
        self._close_bar: Callable[[], object] | None = None
        self.uploads: list[Upload] = []
        # It needs neither parts nor a bar of progress.
        if isinstance(frame.get("content"), str):  # nearly every post is a text
            try:
                # Copied to a length of its own: orjson's result keeps up to ten times as much, and a connection keeps
                # its last message.
                self.payload: bytes | None = b"".join((codec.dumps_text(frame), b""))
            except TypeError:  # half a surrogate pair, which `dumps` explains better
                self.payload = codec.dumps(frame)
            return
        self._texts, self.uploads = _around_uploads(frame)
        sizes = [upload.size for upload in self.uploads]
        known = [size for size in sizes if size is not None]
        # None for a stream, which is not read to its end only to know its length.
        self._total = sum(known) if len(known) == len(sizes) else None
        self.payload = None
        if self._total is not None and self._total <= CHUNK:
            # Read now, so that a failure is raised before anything is sent.
            self.payload = b"".join(self._parts())
        if self.uploads:
            self._show(progress)

    def chunks(self) -> Iterator[tuple[bytes, bool]]:
        """Yields the payload in fragments, from its start, and for each whether it is the last.

        Raises:
            OSError: A file cannot be read.
            Exception: What the progress callback raised.
        """
        # Made again after a failed try: uploads can be read from their start.
        self._done = 0
        held: list[bytes] = []
        size = 0
        for part in self._parts():
            if held and size + len(part) > _FRAGMENT:
                yield b"".join(held), False
                held, size = [], 0
                self.report()
            held.append(part)
            size += len(part)
        # The last one is known to be the last only now, as a stream does not announce its end.
        yield b"".join(held), True

    def close(self) -> None:
        """Closes its files."""
        for upload in self.uploads:
            upload.close()
        if self._close_bar is not None:
            self._close_bar()

    def _parts(self) -> Iterator[bytes]:
        for text, upload in zip(self._texts, self.uploads, strict=False):
            yield text
            yield from _base64(self._counted(upload.chunks()))
        yield self._texts[-1]

    def _counted(self, chunks: Iterable[ByteChunk]) -> Iterator[ByteChunk]:
        for chunk in chunks:
            yield chunk
            self._done += len(chunk)

    def _show(self, progress: Progress | None) -> None:
        if progress is True:
            bar = ByteBar(self._total)
            self._progress, self._close_bar = bar.show, bar.close
        elif progress:
            if not callable(progress):
                raise TypeError(f"progress takes a callable or True, not {type(progress).__name__}")
            self._progress = progress

    def report(self) -> None:
        """Reports how much of it has left, to those who asked for that."""
        if self._progress is not None:
            self._progress(self._done, self._total)


def _around_uploads(frame: Frame) -> tuple[list[bytes], list[Upload]]:
    """Returns the JSON text of a frame in the parts around its uploads, and these."""
    uploads: list[Upload] = []
    # Random, so no text in the frame holds it.
    # In hexadecimal digits, which JSON does not escape: it stands in the text as it is.
    mark = os.urandom(16).hex()

    def place(value: object) -> str:
        if not isinstance(value, _UPLOADS):
            raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
        uploads.append(value)
        return mark

    text = codec.dumps(frame, place)
    return text.split(mark.encode()) if uploads else [text], uploads


def _base64(chunks: Iterable[ByteChunk]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        data = memoryview(rest + chunk if rest else chunk)
        # Three bytes become four characters; a rest waits for the next chunk, or there would be padding in the
        # middle.
        whole = len(data) - len(data) % 3
        rest = bytes(data[whole:])
        if whole:
            yield binascii.b2a_base64(data[:whole], newline=False)
    if rest:
        yield binascii.b2a_base64(rest, newline=False)


class Sender:
    """Sends for one session, from any thread, waiting while its connection is being opened again.

    Args:
        channel: What to write to.
        hub: Where the events of a post's turn go.
        calls: The requests without an answer; `Hub.lock` protects them.
        send_timeout: Seconds that a message may take to go out; None for as long as it takes.
        info: Whose posts they are, for a turn observer.
        on_posted: Called when a post has left, unless ``channel.will_look``; must not block.
    """

    def __init__(
        self,
        channel: ConnectionState,
        hub: Hub,
        calls: PendingCalls,
        send_timeout: float | None,
        info: SessionInfo,
        on_posted: Callable[[], object],
    ) -> None:
        self._channel = channel
        self._info = info
        self._hub = hub
        self._calls = calls
        self._send_timeout = send_timeout
        self._on_posted = on_posted
        # Keeps posts in the order of their frames.
        # Both know their owner, for `held`: an interrupt may strike as one is acquired.
        self._posting = threading.RLock()
        # Held for the length of a call, so that calls are one after another, and answers cannot be mixed up.
        self.calling = threading.RLock()
        self._failure: Callable[[], SessionError] | None = None

    def post(
        self,
        frame: Frame,
        *,
        makes_turn: bool = True,
        attend: list[TimedMailbox] | None = None,
        within: Deadline | None = None,
        progress: Progress | None = None,
    ) -> PendingPost:
        """Sends a message, waiting while the connection is being opened again.

        Args:
            frame: A ``post_message`` or ``post_messages``.
            makes_turn: Whether the engine answers it with a turn; what is over before such a post is not
                replayed after it.
            attend: Where a mailbox for that turn is put before the frame leaves, one for each attempt; None for none.
            within: When to stop waiting, if that is before ``send_timeout``.
            progress: Called with the number of the files' bytes that have left, and their sum; True shows a bar.

        Raises:
            SessionDisconnectedError: The session is not connected, or its connection is lost.
            SessionTimeoutError: The message did not go out in time.
            OSError: A file in it cannot be read; when part of it has left, the connection is closed.
        """
        encoded = EncodedPost(frame, progress)
        contents = summarise(frame) if makes_turn else (str(frame.get("parent_message_id") or ""),)
        # One for all that follows: waiting for a connection, for other senders, and for room in the socket.
        deadline = Deadline(self._send_timeout) if within is None else within.sooner(self._send_timeout)
        try:
            # Before the hook, which may wait: a session that was left fails at once.
            self._channel.check_usable()
            hook = hooks.network_hook
            if hook is not None:
                while True:
                    transport = self._channel.wait_usable(deadline)
                    try:
                        hook.admit(transport, frame, deadline)
                        break
                    except SessionDisconnectedError:
                        # A hook's answer may be lost with its connection, as a message is.
                        self._channel.await_loss(transport, deadline)
            with held(self._posting, deadline, BUSY):
                return self._post(encoded, contents, makes_turn, attend, deadline)
        finally:
            if encoded.uploads:
                encoded.close()

    def _post(
        self,
        encoded: EncodedPost,
        contents: tuple[str, ...],
        makes_turn: bool,
        attend: list[TimedMailbox] | None,
        deadline: Deadline,
    ) -> PendingPost:
        while True:
            # Without a lock, as nearly always: a transport that has died meanwhile refuses the message.
            transport = self._channel.transport or self._channel.wait_usable(deadline)
            post: PendingPost | None = None
            message = encoded.payload if encoded.payload is not None else encoded.chunks()
            try:
                # Within, so that an exception out of a signal handler finds the post wherever it strikes.
                # A new one for each try: of the one before, the recovery may still find out something.
                post = PendingPost(makes_turn, contents)
                mailbox = self._hub.begin_post(post, attend is not None)
                if attend is not None and mailbox is not None:
                    attend.append(mailbox)
                observer = hooks.turn_observer
                if observer is not None:
                    observer.on_post(post, encoded.frame, self._info)
                if isinstance(message, bytes):
                    transport.send(message, deadline)
                else:
                    transport.send_chunks(message, deadline)
                # The engine has its silence from here: an upload may have taken minutes.
                self._channel.quiet_since = time.monotonic()
                if not self._channel.will_look:
                    self._on_posted()
                if encoded.uploads:
                    encoded.report()
                return post
            except BaseException as error:
                if post is not None:
                    # Interrupted when it had left, or in the middle: its ack and its turn will come.
                    self._hub.cancel_post(post, has_left=transport.has_left(message))
                if not isinstance(error, SessionDisconnectedError):
                    raise
                # Not all of it left, so that sending it again is safe.
                self._channel.await_loss(transport, deadline)

    def call(self, frame: Frame, deadline: Deadline) -> Frame:
        """Sends a request that may be repeated, and waits for the engine's answer.

        Raises:
            SessionDisconnectedError: The session is not connected, or its connection is lost.
            SessionTimeoutError: No answer came in time.
            SessionError: The engine refused.
        """
        payload = codec.dumps(frame)
        request_type = frame["type"]
        while True:
            transport = self._channel.wait_usable(deadline)
            try:
                with held(self.calling, deadline, f"no answer to {request_type}"):
                    return self._call(request_type, payload, transport, deadline)
            except SessionDisconnectedError:
                self._channel.await_loss(transport, deadline)

    def _call(self, request_type: str, payload: bytes, transport: Transport, deadline: Deadline) -> Frame:
        done = threading.Event()
        call = PendingCall(request_type, done.set)
        has_left = False
        try:
            with self._hub.lock:
                if self._failure is not None:
                    # Under the lock, so that no call can slip in behind `fail_calls`.
                    raise self._failure()
                # Before it leaves, as the reader may get the answer before `send` returns.
                self._calls.begin(call)
            transport.send(payload, deadline)
            has_left = True
            done.wait(deadline.remaining())
        finally:
            with self._hub.lock:
                self._calls.end(call, has_left=has_left)
        if call.reply is not None:
            return call.reply
        # Not by what `wait` returned: an answer may have come in the moment between the two.
        if not done.is_set():
            raise SessionTimeoutError(
                f"no answer to {request_type} within {deadline.timeout} s; try again, or disconnect"
            )
        if isinstance(call.error, SessionError):
            raise call.error
        raise SessionError(f"the engine refused {request_type}: {call.error}")

    def fail_calls(self, failure: Callable[[], SessionError], *, for_good: bool) -> None:
        """Fails every call that waits.

        Args:
            failure: Makes the error that each gets.
            for_good: Whether calls to come get it as well.
        """
        with self._hub.lock:
            if for_good:
                self._failure = failure
            calls = self._calls.clear()
        for call in calls:
            call.error = failure()
            # Outside the lock, which the `done` of a look at the history takes.
            call.done()
