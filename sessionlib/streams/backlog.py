"""Events kept while no listener is open."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.streams.mailbox import QUEUE_BYTES, Mailbox, weight

__all__ = ["Backlog"]


class StaleListenerBuffer:
    """A second backlog, from a post on, for while the open listeners may be left over from before it.

    A program may hold on to the listener of the last turn while it posts and opens the next one, as
    ``events = session.listen()`` in a loop does. The old one is not read any more, but it is open, so
    that nothing goes to the backlog. When one of them is read after all, this is not needed.
    """

    def __init__(self, listeners: Sequence[Mailbox], size: int) -> None:
        # What the one listener holds from before the post; where there are more, the rest have received it.
        self.before = listeners[0].waiting() if len(listeners) == 1 and len(listeners[0]) else []
        # What came after it: as it came, for as long as it fits, and then in a mailbox that reports the rest.
        self._after: list[SessionEvent] | Mailbox = []
        self._size = size
        self._bytes = 0
        # Whether it is left over shows by counting what is taken: a listener that is in use reads sooner or later.
        self._marks = [(listener, listener.taken) for listener in listeners]

    @property
    def is_needed(self) -> bool:
        """Whether no listener was read since the post."""
        return all(listener.taken == taken for listener, taken in self._marks)

    def put(self, events: Sequence[SessionEvent], size: int) -> None:
        """Notes what came after the post."""
        if isinstance(self._after, list):
            # A plain list: nearly always a listener is read soon, and all this is dropped without having been
            # measured.
            self._after += events
            self._bytes += size
            if len(self._after) > self._size or self._bytes > QUEUE_BYTES:
                self._after = _filled(self._size, self._after)
        else:
            self._after.put(events, size)

    def hand_over(self, mailbox: Mailbox) -> None:
        """Moves what came after the post."""
        after = self._after
        mailbox.transfer_from(_filled(self._size, after) if isinstance(after, list) else after)


class Backlog:
    """Keeps the events that no listener receives for the next one; the hub's lock protects it.

    Args:
        size: How many of them.

    Attributes:
        mailbox: What holds them.
        shadow: What holds what came since the last post, while the open listeners may be left over from before it.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.mailbox = Mailbox(size)
        self.shadow: StaleListenerBuffer | None = None

    def __len__(self) -> int:
        return len(self.mailbox)

    def keep(self, events: Sequence[SessionEvent], listeners: Sequence[Mailbox], size: int) -> None:
        """Has events wait, where no listener is open.

        Args:
            events: What arrived.
            listeners: Who is open.
            size: How many bytes came for the events, about.
        """
        if not listeners:
            # No listener at all: what comes waits for the next one.
            pong = SessionEventType.PONG
            # An idle session receives a pong every few seconds; they must not push events out of the backlog.
            if len(events) != 1 or events[0].type is not pong or not self.mailbox.ends_with(pong):
                self.mailbox.put(events, size)
        elif self.shadow is not None and not self.shadow.is_needed:
            # One of them was read: it is in use, and receives what comes by itself.
            self.shadow = None
        elif self.shadow is not None:
            self.shadow.put(events, size)

    def begin_post(self, listeners: Sequence[Mailbox], ends_turn: Callable[[SessionEvent], bool]) -> None:
        """Forgets the turns that are over, because a post is about to leave.

        Args:
            listeners: Who is open, and may be left over from before the post.
            ends_turn: Whether an event is the last of its turn.
        """
        # What the post is answered with is not to stand behind the answer to an earlier one.
        self.mailbox.discard_through(ends_turn)
        self.shadow = StaleListenerBuffer(listeners, self._size) if listeners else None
        if self.shadow is not None and self.shadow.before:
            # The same for what the left-over listener holds.
            ends = [at for at, event in enumerate(self.shadow.before) if ends_turn(event)]
            del self.shadow.before[: ends[-1] + 1 if ends else 0]

    def hand_over(self, mailbox: Mailbox) -> None:
        """Has a new listener begin with what waits for it."""
        # The backlog first: it is older than what came since the post.
        mailbox.transfer_from(self.mailbox)
        shadow = self._end_shadow()
        if shadow is not None:
            shadow.hand_over(mailbox)

    def take_shadow(self) -> bool:
        """Moves events that closed listeners left unread into the backlog. Returns whether there were any."""
        shadow = self._end_shadow()
        if shadow is not None:
            self.mailbox.transfer_from(_filled(self._size, shadow.before))
            shadow.hand_over(self.mailbox)
        return shadow is not None

    def _end_shadow(self) -> StaleListenerBuffer | None:
        shadow, self.shadow = self.shadow, None
        return shadow if shadow is not None and shadow.is_needed else None


def _filled(size: int, events: Sequence[SessionEvent]) -> Mailbox:
    mailbox = Mailbox(size)
    mailbox.put(events, sum(map(weight, events)))
    return mailbox
