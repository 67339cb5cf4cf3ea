"""The fan-out: from the reader to one mailbox for each listener, and to the backlog while there is none."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence

from sessionlib.errors import SessionError
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.mailbox import Mailbox
from sessionlib.wire.turns import TurnTracker

__all__ = ["Hub"]


class Hub:
    """Gives every event to every open mailbox, in one order.

    Args:
        backlog_size: How many events wait for the next listener while none is open.
    """

    def __init__(self, backlog_size: int) -> None:
        # Protects the list of mailboxes, the backlog, the turn and the end.
        self._lock = threading.Lock()
        self._mailboxes: list[Mailbox] = []
        self._backlog = Mailbox(backlog_size)
        self._turn = TurnTracker()
        # Who still hears the end of a turn that was answered before the last post; None when it is over.
        self._hears_tail: Collection[Mailbox] | None = None
        # Mailboxes whose listener was garbage-collected; the collector may run inside our lock, so it
        # only leaves them here.
        self._abandoned: deque[Mailbox] = deque()
        self._ended = False
        self._failure: Callable[[], SessionError] | None = None

    @property
    def depths(self) -> list[int]:
        """How many events wait in each open mailbox."""
        with self._lock:
            return [len(mailbox) for mailbox in self._mailboxes]

    def dispatch(self, events: Sequence[SessionEvent], *, keep: bool = True) -> None:
        """Delivers events, in order; for the reading thread.

        Args:
            events: What arrived.
            keep: Whether they wait in the backlog when no mailbox is open.
        """
        with self._lock:
            self._reap()
            if self._hears_tail is not None:
                events = self._deliver_tail(events)
            for event in events:
                self._turn.follow(event)
            for mailbox in self._mailboxes:
                mailbox.put(events)
            if keep and not self._mailboxes:
                self._backlog.put(_without_repeated_pongs(self._backlog, events))

    def open(
        self, types: Collection[SessionEventType] | None = None, maxsize: int = 0, *, with_backlog: bool = True
    ) -> Mailbox:
        """Opens a mailbox, which hears everything from now on.

        Args:
            types: The kinds of event it hears; None for all.
            maxsize: How many may wait in it; 0 for any number.
            with_backlog: Whether it begins with what arrived while no mailbox was open.
        """
        mailbox = Mailbox(maxsize, types)
        with self._lock:
            self._reap()
            if with_backlog:
                mailbox.take_over(self._backlog)
            self._mailboxes.append(mailbox)
            if self._ended:
                mailbox.close(self._failure)
        return mailbox

    def leave(self, mailbox: Mailbox) -> None:
        """Closes a mailbox; what the last one leaves unread goes back to the backlog."""
        with self._lock:
            self._reap()
            self._remove(mailbox)

    def abandon(self, mailbox: Mailbox) -> None:
        """Closes a mailbox whose listener is gone; takes no lock, and may run at any moment."""
        self._abandoned.append(mailbox)

    def begin_post(self) -> None:
        """Forgets what is over: for the moment before a post leaves.

        Events of turns that have ended are not replayed to listeners to come. Nor is the Idle of a
        turn whose answer is complete but whose Idle is still on its way.
        """
        with self._lock:
            self._reap()
            self._backlog.discard_through(self._turn.ends_turn)
            if self._turn.running and self._turn.answered:
                self._hears_tail = tuple(self._mailboxes)

    def end(self, failure: Callable[[], SessionError] | None = None) -> None:
        """Ends every mailbox, now and to come, after what is in it.

        Args:
            failure: Makes the error that its reader gets; None for a normal end.
        """
        with self._lock:
            self._ended = True
            self._failure = failure
            for mailbox in self._mailboxes:
                mailbox.close(failure)

    @property
    def has_backlog(self) -> bool:
        """Whether events wait for the next listener."""
        with self._lock:
            self._reap()
            return len(self._backlog) > 0

    def _deliver_tail(self, events: Sequence[SessionEvent]) -> Sequence[SessionEvent]:
        """Delivers what still belongs to the turn before the last post; gives the events behind it."""
        assert self._lock.locked()
        hears = self._hears_tail or ()
        for at, event in enumerate(events):
            self._turn.follow(event)
            if self._turn.running and self._turn.answered:
                continue
            self._hears_tail = None
            if not event.is_turn_end:
                return events  # the turn goes on after all, so that all of it is for everybody
            for mailbox in self._mailboxes:
                mailbox.put(events[: at + 1] if mailbox in hears else events[:at])
            if not self._mailboxes:
                self._backlog.put(events[:at])
            return events[at + 1 :]
        return events

    def _reap(self) -> None:
        assert self._lock.locked()
        while self._abandoned:
            self._remove(self._abandoned.popleft())

    def _remove(self, mailbox: Mailbox) -> None:
        assert self._lock.locked()
        if mailbox not in self._mailboxes:
            return
        self._mailboxes.remove(mailbox)
        mailbox.close()
        if not self._mailboxes:
            self._backlog.take_over(mailbox)


def _without_repeated_pongs(backlog: Mailbox, events: Sequence[SessionEvent]) -> Sequence[SessionEvent]:
    # An idle session hears a pong every few seconds; they must not push events out of the backlog.
    if len(events) == 1 and events[0].type is SessionEventType.PONG and backlog.ends_with(SessionEventType.PONG):
        return ()
    return events
