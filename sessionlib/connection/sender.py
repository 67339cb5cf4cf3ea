"""What goes out over a link: posts of ours, in their order, and requests that get an answer."""

from __future__ import annotations

import threading

from sessionlib import _observing_part, hooks
from sessionlib._observing_part import About
from sessionlib._util.timing import Deadline, acquire
from sessionlib.connection.options import Post
from sessionlib.connection.outgoing import Outgoing, Progress
from sessionlib.connection.replies import ReplyLane
from sessionlib.connection.state import LinkState
from sessionlib.errors import SessionDisconnectedError, SessionTimeoutError
from sessionlib.protocol import codec
from sessionlib.protocol.parser import Frame
from sessionlib.protocol.recovery import summarise
from sessionlib.streams.hub import Hub

__all__ = ["Poster"]


class Poster:
    """Sends for one session, from any thread, waiting while its link is being re-opened.

    Args:
        link: What to write to.
        hub: Where the events of a post's turn go.
        replies: Where answers come in.
        send_timeout: Seconds that a message may take to go out; None for as long as it takes.
        about: Whose posts they are.
    """

    def __init__(self, link: LinkState, hub: Hub, replies: ReplyLane, send_timeout: float | None, about: About) -> None:
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
        outgoing = Outgoing(frame, progress)
        contents = summarise(frame) if makes_turn else (str(frame.get("parent_message_id") or ""),)
        deadline = Deadline(self._send_timeout) if within is None else within.sooner(self._send_timeout)
        try:
            self._link.check_usable()
            stand_in = hooks.stand_in()
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

    def _admit(self, stand_in: hooks.StandIn, frame: Frame, deadline: Deadline) -> None:
        while True:
            transport = self._link.wait_usable(deadline)
            try:
                return stand_in.admit(transport, frame, deadline)
            except SessionDisconnectedError:
                self._link.await_loss(transport, deadline)

    def _post(
        self, outgoing: Outgoing, contents: tuple[str, ...], makes_turn: bool, attend: bool, deadline: Deadline
    ) -> Post:
        while True:
            transport = self._link.transport or self._link.wait_usable(deadline)
            ticket = self._hub.begin_post(makes_turn, contents)
            observer = _observing_part.observer()
            if observer is not None:
                observer.posted(ticket, outgoing.frame, self._about)
            mailbox = self._hub.attend(ticket) if attend else None
            try:
                if outgoing.payload is None:
                    transport.send_pieces(outgoing.pieces(), deadline)
                else:
                    transport.send(outgoing.payload, deadline)
            except BaseException as error:
                if not transport.has_unsent:
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
