"""What `Session.listen` returns: a blocking iterator over one mailbox."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import NoReturn

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionTimeoutError
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.streams.hub import Hub
from sessionlib.streams.mailbox import Closed

__all__ = ["Listener"]


class Listener:
    """Iterates over a session's events, waiting for each; also a context manager.

    It receives everything from the moment it is made. Dropping it, or `close`, unsubscribes.

    Args:
        hub: Where events come from.
        session_id: Whose they are, for messages.
        event_types: The kinds to receive; None or empty for all.
        maxsize: How many events may wait to be read; 0 for any number.
        timeout: Longest wait for one event, in seconds; None for as long as it takes.
    """

    def __init__(
        self,
        hub: Hub,
        session_id: str | None,
        *,
        event_types: Iterable[SessionEventType | str] | None = None,
        maxsize: int = 1024,
        timeout: float | None = None,
    ) -> None:
        self._hub = hub
        self._session_id = session_id
        self._timeout = timeout
        # The last line: a listener that cannot be made must not leave a mailbox that fills.
        self._mailbox = hub.open(_kinds(event_types), max(0, maxsize))

    def __iter__(self) -> Listener:
        return self

    def __next__(self) -> SessionEvent:
        """Waits for the next event.

        Raises:
            StopIteration: The session was disconnected or terminated here, or the listener closed.
            SessionTimeoutError: No event came within ``timeout``; the listener stays usable.
            SessionDisconnectedError: The connection was lost for good; raised after all that came before.
        """
        # The hot path: what waits is taken without a lock, a deadline or a call of ours.
        try:
            return self._mailbox.take()
        except IndexError:
            pass  # and leave the block: what is raised while waiting must not look like a consequence of this
        return self._wait()

    def _wait(self) -> SessionEvent:
        try:
            return self._mailbox.get(Deadline(self._timeout))
        except Closed:
            # `Closed` is of the mailbox; a `for` loop just ends.
            raise StopIteration from None
        except TimeoutError:
            raise SessionTimeoutError(
                f"no event for {self._timeout} s; go on listening, or disconnect",
                session_id=self._session_id,
            ) from None

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_mailbox"):  # not so when the constructor raised
            # Without a lock: the collector runs at any moment, also inside the hub's.
            self._hub.discarded.append(self._mailbox)

    def __repr__(self) -> str:
        return f"<Listener of session {self._session_id}: {len(self._mailbox)} waiting>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Listener cannot be pickled or copied; call listen() again")

    def close(self) -> None:
        """Unsubscribes; what was not read waits for the next listener if no other is open."""
        self._hub.leave(self._mailbox)


def _kinds(event_types: Iterable[SessionEventType | str] | None) -> frozenset[SessionEventType] | None:
    if not event_types:
        return None
    chosen = [event_types] if isinstance(event_types, str) else event_types
    return frozenset(SessionEventType(kind) for kind in chosen)
