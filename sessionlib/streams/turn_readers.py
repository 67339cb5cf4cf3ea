"""Who reads a turn of its own: the mailbox of each, and the events that go there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sessionlib import _observing_part
from sessionlib.errors import SessionError
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.protocol.turns import Origin, Ticket, TurnTracker
from sessionlib.streams.mailbox import Mailbox, TimedMailbox
from sessionlib.streams.stats import Gauges

__all__ = ["Cut", "OnRequest", "Request", "TurnReaders"]

Request = tuple[SessionEvent, Origin]
# Takes a request in; gives what there is to do once it is delivered.
OnRequest = Callable[[SessionEvent, Origin], Callable[[], None] | None]
# Where the events of one owner begin among those that arrived, and whose they are.
Cut = tuple[int, Ticket | None]
_DELTA = SessionEventType.MESSAGE_DELTA
_REQUESTS = frozenset({SessionEventType.APPROVAL_REQUEST, SessionEventType.REAUTH_REQUEST})


class TurnReaders:
    """The mailboxes of the turns that are read; the hub's lock protects them.

    Args:
        tracker: Tells which turn an event belongs to.
        gauges: What counts.
    """

    def __init__(self, tracker: TurnTracker, gauges: Gauges) -> None:
        self._tracker = tracker
        self._gauges = gauges
        self._turns: dict[Ticket, TimedMailbox] = {}
        # Turns whose readers have stopped for the time being: others hear what comes in them as well.
        self._paused: set[Ticket] = set()

    @property
    def mailboxes(self) -> list[Mailbox]:
        """All of them."""
        return list(self._turns.values())

    def open(self, ticket: Ticket) -> TimedMailbox:
        """Opens a mailbox for the turn of a post that is about to leave."""
        ticket.attended = True  # nobody else knows it yet
        mailbox = self._turns[ticket] = TimedMailbox()
        return mailbox

    def ticket_of(self, mailbox: Mailbox) -> Ticket | None:
        """Gives the post whose turn a mailbox is for; None when it is no such mailbox."""
        return next((ticket for ticket, turn in self._turns.items() if turn is mailbox), None)

    def remove(self, ticket: Ticket) -> bool:
        """Forgets the reader of a turn, and tells whether others have heard what it left unread."""
        del self._turns[ticket]
        was_paused = ticket in self._paused
        self._paused.discard(ticket)
        return was_paused

    def pause(self, mailbox: Mailbox) -> bool:
        """Has others hear what comes for a mailbox; tells whether that is a change."""
        ticket = self.ticket_of(mailbox)
        if ticket is None or ticket in self._paused:
            return False
        self._paused.add(ticket)
        return True

    def resume(self, mailbox: Mailbox) -> bool:
        """Undoes `pause`; tells whether that is a change."""
        ticket = self.ticket_of(mailbox)
        was_paused = ticket in self._paused
        if ticket is not None:
            self._paused.discard(ticket)
        return was_paused

    def fail(self, ticket: Ticket, failure: Callable[[], SessionError]) -> bool:
        """Ends the mailbox of a turn with a failure; False when nobody reads it."""
        if ticket not in self._turns:
            return False
        self._turns[ticket].close(failure)
        return True

    def follow(self, events: Sequence[SessionEvent], requests: list[Request]) -> list[Cut]:
        """Finds out whose turns events belong to.

        Args:
            events: What arrived.
            requests: What is appended to: events that ask for an answer, and refusals of answers.

        Returns:
            What `share_out` goes by.
        """
        # Pieces in a row are one owner's, and only the first of them is followed, for the others would change
        # nothing.
        cuts: list[Cut] = []
        follow, note = self._tracker.follow, self._gauges.note
        is_watched, in_pieces = _observing_part.observer() is not None, False
        for at, event in enumerate(events):
            kind = event.type
            is_piece = kind is _DELTA
            if not (is_piece and in_pieces):
                owner = follow(event)
                note(owner, event, is_watched)
                if kind in _REQUESTS or (owner is not None and not owner.makes_turn):
                    owner = self._look_into(event, owner, requests)
                if self._turns:
                    cuts.append((at, owner))
            in_pieces = is_piece
        return cuts

    def share_out(self, events: Sequence[SessionEvent], cuts: Sequence[Cut]) -> Sequence[SessionEvent]:
        """Gives each event to the reader of its turn, if it has one; gives those that no such reader has got."""
        if not cuts:
            return events
        unattended: list[SessionEvent] = []
        attended: dict[Ticket, list[SessionEvent]] = {}
        ends = [*(at for at, _ in cuts[1:]), len(events)]
        for (start, owner), end in zip(cuts, ends, strict=True):
            owned = events[start:end]
            if owner is not None and owner in self._turns:
                attended.setdefault(owner, []).extend(owned)
            if owner is None or owner not in self._turns or owner in self._paused:
                unattended.extend(owned)
        for owner, owned in attended.items():
            self._turns[owner].put(owned)
        return unattended

    def _look_into(self, event: SessionEvent, owner: Ticket | None, requests: list[Request]) -> Ticket | None:
        """Notes what asks for an answer, and what is about an answer of ours; gives whose turn it belongs to."""
        origin = Origin(owner, self._tracker.course)
        if owner is None or owner.makes_turn:
            requests.append((event, origin))
            return owner
        if owner.refusal is event:
            requests.append((event, origin))
        return self._tracker.current  # it matters to the turn that waits for the answer
