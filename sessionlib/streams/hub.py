"""The fan-out: from the reader to one mailbox for each listener, and to the backlog while there is none."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from sessionlib import hooks
from sessionlib.errors import SessionError
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.protocol.turns import NEUTRAL, EventOrigin, PendingPost, TurnTracker
from sessionlib.streams.backlog import Backlog
from sessionlib.streams.mailbox import Mailbox, TimedMailbox
from sessionlib.streams.stats import Counters, SessionStats

__all__ = ["Cut", "Hub", "OnRequest", "Posts", "Request", "TurnReaders"]

Request = tuple[SessionEvent, EventOrigin]
# Takes a request in; gives what there is to do once it is delivered.
OnRequest = Callable[[SessionEvent, EventOrigin], Callable[[], None] | None]
# Where the events of one owner begin among those that arrived, and whose they are.
Cut = tuple[int, PendingPost | None]
_DELTA = SessionEventType.MESSAGE_DELTA
_REQUESTS = frozenset({SessionEventType.APPROVAL_REQUEST, SessionEventType.REAUTH_REQUEST})


class TurnReaders:
    """The mailboxes of the turns that are read; the hub's lock protects them.

    Args:
        tracker: Tells which turn an event belongs to.
        gauges: What counts.
    """

    def __init__(self, tracker: TurnTracker, gauges: Counters) -> None:
        self._tracker = tracker
        self._gauges = gauges
        self._turns: dict[PendingPost, TimedMailbox] = {}
        # Turns whose readers have stopped for the time being: others hear what comes in them as well.
        self._paused: set[PendingPost] = set()

    @property
    def mailboxes(self) -> list[Mailbox]:
        """All of them."""
        return list(self._turns.values())

    def open(self, ticket: PendingPost) -> TimedMailbox:
        """Opens a mailbox for the turn of a post that is about to leave."""
        ticket.attended = True  # nobody else knows it yet
        mailbox = self._turns[ticket] = TimedMailbox()
        return mailbox

    def ticket_of(self, mailbox: Mailbox) -> PendingPost | None:
        """Gives the post whose turn a mailbox is for; None when it is no such mailbox."""
        return next((ticket for ticket, turn in self._turns.items() if turn is mailbox), None)

    def remove(self, ticket: PendingPost) -> bool:
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

    def fail(self, ticket: PendingPost, failure: Callable[[], SessionError]) -> bool:
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
        is_watched, in_pieces = hooks.turn_observer() is not None, False
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
        attended: dict[PendingPost, list[SessionEvent]] = {}
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

    def _look_into(self, event: SessionEvent, owner: PendingPost | None, requests: list[Request]) -> PendingPost | None:
        """Notes what asks for an answer, and what is about an answer of ours; gives whose turn it belongs to."""
        origin = EventOrigin(owner, self._tracker.course)
        if owner is None or owner.makes_turn:
            requests.append((event, origin))
            return owner
        if owner.refusal is event:
            requests.append((event, origin))
        return self._tracker.current  # it matters to the turn that waits for the answer


class Posts(NamedTuple):
    """Our posts that are under way.

    Attributes:
        unanswered: Those with an ack whose turns have not ended.
        unacknowledged: Those without an ack.
        running: Whether a turn is running, ours or another's.
    """

    unanswered: list[PendingPost]
    unacknowledged: list[PendingPost]
    running: bool


class Hub:
    """Gives every event to every open mailbox, in one order.

    Args:
        backlog_size: How many events wait for the next listener while none is open.
        on_request: Gets each event that asks for an answer, and each refusal of an answer, with where it
            comes from, before a reader of its turn does; called on the reading thread with the lock held, it
            notes it and gives what there is to do afterwards. Neither may wait.
        on_left: Gets the post of a turn whose reader was dropped; likewise.
        gauges: What counts; None counts for itself.
        alone: Whether nobody else can know the session yet.
    """

    def __init__(
        self,
        backlog_size: int,
        on_request: OnRequest,
        on_left: Callable[[PendingPost], None] | None = None,
        gauges: Counters | None = None,
        *,
        alone: bool = False,
    ) -> None:
        # Protects the mailboxes, the backlog, the turns and the end.
        self._lock = threading.Lock()
        self._listeners: list[Mailbox] = []
        self._backlog = Backlog(backlog_size)
        self._tracker = TurnTracker(alone)
        self._gauges = gauges or Counters()
        self._turns = TurnReaders(self._tracker, self._gauges)
        # Who still hears the end of a turn that was answered before the last post; None when it is over.
        self._hears_tail: Collection[Mailbox] | None = None
        # Mailboxes whose reader was garbage-collected; the collector may run inside our lock, so it
        # only leaves them here.
        self._abandoned: deque[Mailbox] = deque()
        self._dropped: deque[PendingPost] = deque()
        self._on_request = on_request
        self._on_left = on_left
        self._ended = False
        self._failure: Callable[[], SessionError] | None = None

    @property
    def depths(self) -> list[int]:
        """How many events wait in each open mailbox."""
        with self._lock:
            return [len(mailbox) for mailbox in (*self._listeners, *self._turns.mailboxes)]

    def stats(self) -> SessionStats:
        """Gives what happened so far, and what waits now."""
        with self._lock:
            return self._gauges.stats([*self._listeners, *self._turns.mailboxes], self._backlog.mailbox)

    @property
    def has_backlog(self) -> bool:
        """Whether events wait for the next listener."""
        with self._lock:
            self._reap()
            return len(self._backlog) > 0

    def dispatch(self, events: Sequence[SessionEvent], *, keep: bool = True) -> None:
        """Delivers events, in order; for the reading thread.

        Args:
            events: What arrived.
            keep: Whether they wait in the backlog when no listener is open.
        """
        requests: list[Request] = []
        self._gauges.events += len(events)
        with self._lock:
            if self._abandoned:
                self._reap()
            late, hearers = (None, ()) if self._hears_tail is None else self._late_idle(events, self._hears_tail)
            # First of all: while those who wait wake up, the rest is done.
            for listener in self._listeners:
                listener.put(events if late is None or listener in hearers else _without(late, events))
            cuts = self._turns.follow(events, requests)
            # Entered before the readers of turns have them and look them up.
            noted = [self._on_request(event, origin) for event, origin in requests] if requests else ()
            unattended = self._turns.share_out(events, cuts)
            if keep:
                self._backlog.keep(_without(late, unattended), self._listeners)
        observer = hooks.turn_observer()
        if observer is not None:
            for ticket, event in self._gauges.take_heard():
                observer.on_event(ticket, event)
        for see_to in noted:
            if see_to is not None:
                see_to()
        while self._dropped and self._on_left is not None:
            self._on_left(self._dropped.popleft())

    def open(self, types: Collection[SessionEventType] | None = None, maxsize: int = 0) -> Mailbox:
        """Opens a listener's mailbox, which hears everything from now on.

        It begins with what arrived while no listener was open.

        Args:
            types: The kinds of event it hears; None for all.
            maxsize: How many may wait in it; 0 for any number.
        """
        mailbox = Mailbox(maxsize, types)
        with self._lock:
            self._reap()
            self._backlog.hand_over(mailbox)
            self._listeners.append(mailbox)
            if self._ended:
                mailbox.close(self._failure)
        return mailbox

    def leave(self, mailbox: Mailbox) -> None:
        """Closes a mailbox; what it leaves unread goes back to the backlog unless a listener is open."""
        with self._lock:
            self._reap()
            self._remove(mailbox)

    def pause(self, mailbox: Mailbox) -> None:
        """Lets others hear a turn whose reader has stopped: what waits unread in it, and what comes."""
        with self._lock:
            if self._turns.pause(mailbox) and not self._listeners:
                self._backlog.put(mailbox.waiting())

    def resume(self, mailbox: Mailbox) -> None:
        """Undoes `pause`: what its reader is about to read is not kept for the next listener."""
        with self._lock:
            if self._turns.resume(mailbox):
                self._backlog.discard(mailbox.waiting())

    def abandon(self, mailbox: Mailbox) -> None:
        """Closes a mailbox whose reader is gone; takes no lock, and may run at any moment."""
        self._abandoned.append(mailbox)

    def begin_post(self, makes_turn: bool = True, contents: tuple[str, ...] = ()) -> PendingPost:
        """Notes a post that is about to leave, and forgets what is over.

        Events of turns that have ended are not replayed to listeners to come. Nor is the Idle of a
        turn whose answer is complete but whose Idle is still on its way.

        Args:
            makes_turn: Whether the engine answers with a turn.
            contents: What it can be recognised by in the history.

        Returns:
            The post's ticket; to be given to `withdraw` if it does not leave after all.
        """
        with self._lock:
            if self._abandoned:
                self._reap()
            if makes_turn:
                self._backlog.begin_post(self._listeners, self._tracker.ends_turn)
                if self._tracker.running and self._tracker.answered:
                    self._hears_tail = tuple(self._listeners)
            ticket = self._tracker.post(makes_turn, contents)
            self._gauges.posted(ticket)
            return ticket

    def attend(self, ticket: PendingPost) -> TimedMailbox:
        """Opens a mailbox that hears the ack and the turn of a post that is about to leave, and no more."""
        with self._lock:
            mailbox = self._turns.open(ticket)
            if self._ended:
                mailbox.close(self._failure)
        return mailbox

    def withdraw(self, ticket: PendingPost) -> None:
        """Forgets a post that did not leave."""
        with self._lock:
            self._tracker.withdraw(ticket)
            self._gauges.withdrawn(ticket)
        self._tell_gone([ticket], "not_sent")

    def posts(self) -> Posts:
        """Gives our posts that are under way, and whether a turn is running."""
        with self._lock:
            tracker = self._tracker
            return Posts(tracker.unanswered, tracker.unacknowledged, tracker.running)

    def give_up(self, ticket: PendingPost, failure: Callable[[], SessionError]) -> None:
        """Fails a post whose fate cannot be known: for the reader of its turn, else for every listener."""
        with self._lock:
            self._tracker.withdraw(ticket)
            self._gauges.withdrawn(ticket)
            if ticket.first is not None:
                return  # it arrived, or its turn would not have begun
            if not self._turns.fail(ticket, failure):
                told: Sequence[Mailbox | Backlog] = self._listeners or [self._backlog]
                for each in told:
                    each.trouble(failure)
        self._tell_gone([ticket], "delivery_unknown")

    def end(self, failure: Callable[[], SessionError] | None = None) -> None:
        """Ends every mailbox, now and to come, after what is in it.

        Args:
            failure: Makes the error that its reader gets; None for a normal end.
        """
        with self._lock:
            self._ended = True
            self._failure = failure
            left = self._gauges.tickets
            for mailbox in (*self._listeners, *self._turns.mailboxes):
                mailbox.close(failure)
        self._tell_gone(left, "disconnected" if failure is None else "connection_lost")

    def _tell_gone(self, tickets: Sequence[PendingPost], why: str) -> None:
        observer = hooks.turn_observer()
        if observer is not None:
            for ticket in tickets:
                observer.on_end(ticket, why)

    def _late_idle(
        self, events: Sequence[SessionEvent], hearers: Collection[Mailbox]
    ) -> tuple[SessionEvent | None, Collection[Mailbox]]:
        """Finds the Idle of the turn before the last post, and who still hears it."""
        assert self._lock.locked()
        for event in events:
            if event.type not in NEUTRAL:
                self._hears_tail = None
                # Anything else means that the turn goes on after all, and is for everybody.
                return (event, hearers) if event.is_turn_end else (None, ())
        return None, ()

    def _reap(self) -> None:
        assert self._lock.locked()
        while self._abandoned:
            mailbox = self._abandoned.popleft()
            ticket = self._turns.ticket_of(mailbox)
            if ticket is not None:
                self._dropped.append(ticket)
            self._remove(mailbox)

    def _remove(self, mailbox: Mailbox) -> None:
        assert self._lock.locked()
        ticket = self._turns.ticket_of(mailbox)
        was_heard = False
        if ticket is not None:
            was_heard = self._turns.remove(ticket)
        elif mailbox in self._listeners:
            self._listeners.remove(mailbox)
        else:
            return
        self._gauges.dropped += mailbox.dropped
        mailbox.close()
        if was_heard:
            return
        if self._listeners or (ticket is None and self._backlog.take_shadow()):
            mailbox.discard_through(lambda event: True)  # others have heard it, or it was handed over
        else:
            self._backlog.take_back(mailbox)


def _without(late: SessionEvent | None, events: Sequence[SessionEvent]) -> Sequence[SessionEvent]:
    return events if late is None else [event for event in events if event is not late]
