"""What a session hears: its events as they come, and its history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sessionlib._lifecycle_part import Lifecycle
from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionProtocolError
from sessionlib.events import SessionEventType, SessionMessage
from sessionlib.protocol import frames
from sessionlib.streams.listener import Listener

if TYPE_CHECKING:
    from sessionlib.history import History

__all__ = ["Hearing"]


class Hearing(Lifecycle):
    """The part of `Session` that listens and looks back."""

    def listen(
        self,
        *,
        event_types: Iterable[SessionEventType | str] | None = None,
        maxsize: int = 1024,
        timeout: float | None = None,
    ) -> Listener:
        """Registers a listener, at once, and gives it: a blocking iterator over the session's events.

        It begins with what arrived since the last `send` while no listener was open. When more than
        ``maxsize`` events wait to be read, further ones are dropped and told by one ERROR event with
        ``data["error"] == "subscriber queue overflow"``.

        Args:
            event_types: The kinds of event to hear; None for all.
            maxsize: How many events may wait to be read; 0 for any number.
            timeout: Longest wait for one event, in seconds, past which the iteration raises
                `SessionTimeoutError` and can go on; None for as long as it takes.

        Raises:
            SessionDisconnectedError: The session is not connected.
            ValueError: ``event_types`` holds something that is no type of event.
        """
        connection = self._connection
        if connection is not None:
            connection.link.check_process()
        if connection is None or not (connection.is_open or connection.hub.has_backlog):
            connection, _ = self._connected()
        return Listener(
            connection.hub, connection.session_id, event_types=event_types, maxsize=maxsize, timeout=timeout
        )

    def get_messages(self, timeout: float | None = 30.0) -> list[SessionMessage]:
        """Gives the session's history, oldest first.

        Args:
            timeout: Seconds that it may take; None for as long as it takes.

        Raises:
            SessionDisconnectedError: The session is not connected, or its link broke.
            SessionTimeoutError: The engine did not answer in time.
            SessionProtocolError: It answered with something else than a list of messages.
            SessionError: It refused.
        """
        connection, session_id = self._connected()
        reply = connection.poster.call(frames.get_messages(session_id), Deadline(timeout))
        messages = reply.get("messages")
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise SessionProtocolError(f"session {session_id}: the history is not a list of messages")
        return [SessionMessage.from_dict(message) for message in messages]

    def history(self, timeout: float | None = 30.0) -> History:
        """Gives the history as a list that can be saved and looked at; arguments and errors as for `get_messages`."""
        from sessionlib.history import History  # with all that files and tables need

        return History(self.get_messages(timeout))
