"""Fan-out: from the reading thread to one mailbox for each listener and turn, or to the backlog."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence

from sessionlib import hooks
from sessionlib.errors import SessionError
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.protocol.client import ClientProtocol
from sessionlib.protocol.parser import Run
from sessionlib.protocol.turns import NEUTRAL, EventOrigin, Fate, PendingPost, TurnHandle
from sessionlib.streams import mailbox as mailboxes
from sessionlib.streams.backlog import Backlog
from sessionlib.streams.mailbox import EVENT_BYTES, OVERFLOW, PARTS, Mailbox, TimedMailbox, weight
from sessionlib.streams.stats import TIMED, Counters, SessionStats

__all__ = ["Hub", "OnRequest", "Request"]

Request = tuple[SessionEvent, EventOrigin]
OnRequest = Callable[[SessionEvent, EventOrigin], object]
# An attribute of an enumeration is looked up by a Python function.
_DELTA = SessionEventType.MESSAGE_DELTA
_PONG = SessionEventType.PONG
_REQUESTS = frozenset({SessionEventType.APPROVAL_REQUEST, SessionEventType.REAUTH_REQUEST})


class Hub:
    """Delivers every event to every open mailbox, in one order.

    Args:
        protocol: The session; its turns and calls are protected by `lock`.
        backlog_size: How many events wait for the next listener while none is open.
        on_request: Enters an event that asks for an answer, or the refusal of an answer, before a reader of its turn
            has it; called with the lock held.
        on_delivered: Called with the same, without the lock, once the event is delivered. Neither may block.
        on_left: Called with the post of a turn whose reader was garbage-collected; likewise.
        counters: What counts.

    Attributes:
        lock: Protects the mailboxes, the backlog, the end, and the protocol's turns and calls.
        discarded: Mailboxes whose reader was garbage-collected, to be closed soon. Any thread may append to it at any
            moment, without the lock.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        backlog_size: int,
        on_request: OnRequest,
        on_delivered: OnRequest,
        on_left: Callable[[PendingPost], object],
        counters: Counters,
    ) -> None:
        # Protects the mailboxes here and the protocol's turns and calls: one lock, because one event moves all of
        # them.
        self.lock = threading.Lock()
        self._tracker = protocol.turns
        self._listeners: list[Mailbox] = []
        self._backlog = Backlog(backlog_size)
        self._counters = counters
        self._arrived = 0
        self._readers: dict[PendingPost, TimedMailbox] = {}
        # Turns whose readers have stopped for the time being: listeners get what comes in them as well.
        self._paused: set[PendingPost] = set()
        # Listeners that should still receive the previous turn's Idle; None once it has arrived.
        self._expect_late_idle: Collection[Mailbox] | None = None
        # The collector may run inside our lock, so it only leaves them here.
        self.discarded: list[Mailbox] = []
        self._dropped: list[PendingPost] = []
        self._on_request = on_request
        self._on_delivered = on_delivered
        self._on_left = on_left
        # What was last seen to be held for posts that a turn may answer, and how many bytes had come when it was small.
        self._held: list[SessionEvent] = []
        self._held_from = 0
        self._ended = False
        self._failure: Callable[[], SessionError] | None = None

    @property
    def depths(self) -> list[int]:
        """How many events wait in each open mailbox."""
        with self.lock:
            return [len(mailbox) for mailbox in (*self._listeners, *self._readers.values())]

    def stats(self) -> SessionStats:
        """Returns what happened so far, and what waits now."""
        with self.lock:
            return self._counters.stats([*self._listeners, *self._readers.values()], self._backlog.mailbox)

    @property
    def has_backlog(self) -> bool:
        """Whether events wait for the next listener."""
        with self.lock:
            # A listener that was garbage-collected may have left events, which count.
            self._reap()
            return len(self._backlog) > 0

    # ---- from the reading thread ---------------------------------------------------------------

    def dispatch(self, events: Sequence[SessionEvent], runs: Sequence[Run] = (), *, keep: bool = True) -> None:
        """Delivers events, in order.

        Args:
            events: What arrived.
            runs: Where among them there are deltas of one message in a row, as far as that is known.
            keep: Whether they wait in the backlog when no listener is open.
        """
        requests: list[Request] = []
        # By the reading thread alone, and so without the lock.
        self._counters.events += len(events)
        with self.lock:
            # Looked at first: a call for each dispatch costs more than what it does nearly always.
            if self.discarded:
                self._reap()
            # What came since the last events came for these, or for what is no event.
            arrived = self._counters.bytes_in
            size, self._arrived = arrived - self._arrived, arrived
            late, receivers = (None, ()) if self._expect_late_idle is None else self._late_idle(events)
            # First of all: while those who wait wake up, the rest is done.
            for listener in self._listeners:
                listener.put(events if late is None or listener in receivers else _without(late, events), size)
            unattended = self._share(events, runs, requests, size)
            if keep and (self._backlog.shadow is not None or not self._listeners):
                self._backlog.keep(unattended if late is None else _without(late, unattended), self._listeners, size)
        # Outside the lock: handlers and observers are user code, and may call back into the session.
        if requests or self._counters.observed or self._dropped:
            self._after_delivery(requests)

    def take_pong(self) -> bool:
        """Counts a pong that no listener would receive now, nor a later one, as the backlog ends with one.

        Returns:
            Whether that is so; else it has to be dispatched.
        """
        with self.lock:
            backlog = self._backlog
            if self._listeners or self._readers or self.discarded or not backlog.mailbox.ends_with(_PONG):
                return False
            self._arrived = self._counters.bytes_in
        self._counters.events += 1
        self._counters.note_pong()
        return True

    def settle(self, history: Sequence[object] | None, steps: int) -> list[Fate]:
        """Decides about posts by the history of an engine that is idle; see `TurnTracker.settle`.

        Args:
            history: The session's messages; None when the engine does not send them.
            steps: `TurnTracker.steps` as it was when the history was asked for; if it has changed since, the history
                may be older than what came, and nothing is decided.

        Returns:
            The posts that no turn will answer.
        """
        with self.lock:
            # Something of a turn came while the history was on its way: it is older than what is known.
            if steps != self._tracker.steps:
                return []
            fates = self._tracker.settle(history)
            taken: dict[PendingPost, list[SessionEvent]] = {}
            self._take_released(taken)
            self._put_into_readers(taken, 0)
        self._after_delivery(())
        return fates

    def _share(
        self, events: Sequence[SessionEvent], runs: Sequence[Run], requests: list[Request], size: int
    ) -> Sequence[SessionEvent]:
        """Puts events into the mailboxes of their turns; returns those that no reader of a turn has got."""
        tracker, follow, note = self._tracker, self._tracker.follow, self._counters.note
        # Read once for all of them, so that an observer that comes meanwhile begins with the next read.
        is_watched = hooks.turn_observer is not None
        readers = self._readers
        unattended: list[SessionEvent] = []
        taken: dict[PendingPost, list[SessionEvent]] = {}
        owners: Sequence[PendingPost] = ()
        held: list[SessionEvent] | None = None
        start, in_deltas = 0, False
        for at in _firsts(len(events), runs) if runs else range(len(events)):
            event = events[at]
            kind = event.type
            is_delta = kind is _DELTA
            # Deltas in a row belong together, and only the first of them changes anything.
            if is_delta and in_deltas:
                continue
            if at > start and readers:
                if held is None and len(owners) == 1 and owners[0] in taken and owners[0] not in self._paused:
                    taken[owners[0]].extend(events[start:at])  # as nearly always
                else:
                    # What goes to the same mailboxes goes in one slice, and in one `put` in the end.
                    self._hand_out(events[start:at], owners, held, taken, unattended)
            start, in_deltas = at, is_delta
            owners, held = follow(event)
            for owner in owners:
                # As `Counters.note` asks: what it would do nothing about is most of what comes.
                if kind in TIMED or owner.last is not None or owner.refusal is not None or is_watched:
                    note(owner, event, is_watched)
            if kind is _PONG:
                self._counters.note_pong()
            if kind in _REQUESTS or (owners and not owners[0].makes_turn):
                owners = self._look_into(event, owners, requests)
            if tracker.released:
                self._take_released(taken)
        if not readers:
            return events
        self._hand_out(events[start:], owners, held, taken, unattended)
        self._put_into_readers(taken, size)
        return unattended

    def _hand_out(
        self,
        events: Sequence[SessionEvent],
        owners: Sequence[PendingPost],
        held: list[SessionEvent] | None,
        taken: dict[PendingPost, list[SessionEvent]],
        unattended: list[SessionEvent],
    ) -> None:
        is_attended = False
        for owner in owners:
            if owner in self._readers:
                taken.setdefault(owner, []).extend(events)
                is_attended = is_attended or owner not in self._paused
        if held is not None:
            held.extend(events)
            self._bound_held(held)
        # No reader is at it: then listeners, or the next of them, get it.
        if not is_attended:
            unattended.extend(events)

    def _bound_held(self, held: list[SessionEvent]) -> None:
        """Leaves parts to the messages that repeat them, where they take as much as may wait for one reader."""
        if held is not self._held:
            self._held, self._held_from = held, self._arrived
        if self._arrived - self._held_from + EVENT_BYTES * len(held) <= mailboxes.QUEUE_BYTES:
            return
        kept = [event for event in held if event.type not in PARTS]
        notice = next((event for event in kept if event.error == OVERFLOW), None)
        first = next((at for at, event in enumerate(held) if event.type in PARTS), None)
        if first is not None and notice is None:
            details = {"error": OVERFLOW, "dropped_event_type": str(held[first].type), "dropped": 0}
            notice = SessionEvent(SessionEventType.ERROR, held[first].session_id, None, details)
            kept.insert(first, notice)  # nothing before it was dropped
        if notice is not None:
            notice.data["dropped"] += sum(event.type in PARTS for event in held)
        held[:] = kept
        self._held_from = self._arrived

    def _put_into_readers(self, taken: dict[PendingPost, list[SessionEvent]], size: int) -> None:
        for owner, events in taken.items():
            mailbox = self._readers.get(owner)
            if mailbox is not None:
                mailbox.put(events, size + EVENT_BYTES * len(events))

    def _take_released(self, taken: dict[PendingPost, list[SessionEvent]]) -> None:
        """Takes the events that were held for posts until it was known that they are theirs."""
        is_watched = hooks.turn_observer is not None
        for post, events in self._tracker.take_released():
            for event in events:
                self._counters.note(post, event, is_watched)
            if post in self._readers:
                taken.setdefault(post, []).extend(events)
                self._backlog.mailbox.discard(events)  # where they waited for the next listener

    def _look_into(
        self, event: SessionEvent, owners: Sequence[PendingPost], requests: list[Request]
    ) -> Sequence[PendingPost]:
        """Enters what asks for an answer, and what is about an answer of ours; returns whose turn it belongs to."""
        running = self._tracker.current
        # A post whose turn is being read comes before the first: its reader decides about approvals.
        attended = next((post for post in owners if post.attended), owners[0] if owners else None)
        origin = EventOrigin(attended, running or TurnHandle())
        if not owners or owners[0].makes_turn or owners[0].refusal is event:
            requests.append((event, origin))
            # Entered before the readers of turns have it and look it up.
            self._on_request(event, origin)
        if not owners or owners[0].makes_turn:
            return owners
        return () if running is None else tuple(running.posts)  # it matters to the turn that waits for the answer

    def _after_delivery(self, requests: Iterable[Request]) -> None:
        observer = hooks.turn_observer
        for post, event in self._counters.take_observed():
            if observer is not None:
                observer.on_event(post, event)
        for event, origin in requests:
            self._on_delivered(event, origin)
        # A turn whose reader is gone leaves its approvals to the session's handlers.
        while self._dropped:
            self._on_left(self._dropped.pop(0))

    def _late_idle(self, events: Sequence[SessionEvent]) -> tuple[SessionEvent | None, Collection[Mailbox]]:
        """Finds the Idle of the turn before the last post, and the listeners that still receive it."""
        receivers = self._expect_late_idle
        assert receivers is not None
        for event in events:
            if event.type not in NEUTRAL:
                self._expect_late_idle = None
                # Anything else means that the turn goes on after all, and is for all listeners.
                return (event, receivers) if event.is_turn_end else (None, ())
        return None, ()

    # ---- listeners and readers of turns --------------------------------------------------------

    def open(self, types: Collection[SessionEventType] | None = None, maxsize: int = 0) -> Mailbox:
        """Opens a listener's mailbox, which receives everything from now on.

        It begins with what arrived while no listener was open.

        Args:
            types: The kinds of event that it receives; None for all.
            maxsize: How many may wait in it; 0 for any number.
        """
        mailbox = Mailbox(maxsize, types)
        try:
            with self.lock:
                self._reap()
                # Under one lock with the backlog, or an event could come twice, or between the two.
                self._listeners.append(mailbox)
                self._backlog.hand_over(mailbox)
                if self._ended:
                    mailbox.close(self._failure)
            return mailbox
        except BaseException:
            self.discarded.append(mailbox)  # interrupted before it has a reader
            raise

    def leave(self, mailbox: Mailbox) -> None:
        """Closes a mailbox; what it leaves unread goes back to the backlog unless a listener is open."""
        with self.lock:
            self._reap()
            self._remove(mailbox)

    def pause(self, mailbox: Mailbox) -> None:
        """Lets listeners have a turn whose reader has stopped: what waits unread in it, and what comes."""
        with self.lock:
            post = self._post_of(mailbox)
            if post is not None and post not in self._paused:
                self._paused.add(post)
                self._readers[post].joins = False  # the backlog has the same events
                if not self._listeners:
                    # Copied and not moved: its reader may go on, and then gets it all.
                    waiting = mailbox.waiting()
                    self._backlog.mailbox.put(waiting, sum(map(weight, waiting)))

    def resume(self, mailbox: Mailbox) -> None:
        """Undoes `pause`: what its reader is about to read is not kept for the next listener."""
        with self.lock:
            post = self._post_of(mailbox)
            if post in self._paused:
                self._paused.discard(post)
                self._readers[post].joins = True
                self._backlog.mailbox.discard(mailbox.waiting())

    # ---- posts ---------------------------------------------------------------------------------

    def begin_post(self, post: PendingPost, attend: bool = False) -> TimedMailbox | None:
        """Notes a post that is about to leave, and forgets what is over.

        Events of turns that have ended are not replayed to listeners to come. Nor is the Idle of a
        turn whose answer is complete but whose Idle is still on its way.

        Args:
            post: The post; to be given to `cancel_post` if it does not leave after all.
            attend: Whether to open a mailbox that receives the post's ack and its turn, and no more.

        Returns:
            The mailbox.
        """
        with self.lock:
            if self.discarded:
                self._reap()
            if post.makes_turn:
                # Before the post leaves: what is over is known now, and its answer may come at any moment.
                self._backlog.begin_post(self._listeners, self._tracker.ends_turn)
                if self._tracker.answered and self._tracker.is_announced:
                    self._expect_late_idle = tuple(self._listeners)
            self._tracker.post(post)
            self._counters.posted(post)
            if not attend:
                return None
            post.attended = True  # no other thread knows it yet
            mailbox = self._readers[post] = TimedMailbox()
            if self._ended:
                mailbox.close(self._failure)
            return mailbox

    def cancel_post(self, post: PendingPost, *, has_left: bool = False) -> None:
        """Abandons a post that could not be sent; forgets it, unless it has left all the same."""
        with self.lock:
            mailbox = self._readers.get(post)
            if mailbox is not None:
                self._remove(mailbox)
            if not has_left:
                self._tracker.withdraw(post)
                self._counters.withdrawn(post)
        if not has_left:
            _report_gone([post], "not_sent")

    def fail(self, post: PendingPost, failure: Callable[[], SessionError]) -> None:
        """Fails a post that no turn will answer: for the reader of its turn, else for every listener."""
        with self.lock:
            self._tracker.withdraw(post)
            self._counters.withdrawn(post)
            if post.first is not None:
                return  # it arrived, or its turn would not have begun
            mailbox = self._readers.get(post)
            if mailbox is not None:
                mailbox.close(failure)
            else:
                for each in self._listeners or [self._backlog.mailbox]:
                    # No one waits for the post itself, and an error that no listener sees would be lost.
                    each.push_error(failure)
        _report_gone([post], "delivery_unknown")

    def warn(self, post: PendingPost, failure: Callable[[], SessionError]) -> None:
        """Has the reader of a turn raise once, though its answer may still come."""
        with self.lock:
            mailbox = self._readers.get(post)
            if mailbox is not None:
                mailbox.push_error(failure)

    def end(self, failure: Callable[[], SessionError] | None = None) -> None:
        """Ends every mailbox, now and to come, after what is in it.

        Args:
            failure: Makes the error that its reader gets; None for a normal end.
        """
        with self.lock:
            self._ended = True
            self._failure = failure
            # What was held until it is known whose it is will not become known.
            self._tracker.close()
            left = self._counters.tickets
            for mailbox in (*self._listeners, *self._readers.values()):
                # Behind what is in it: what has come is read before the end is met.
                mailbox.close(failure)
        _report_gone(left, "disconnected" if failure is None else "connection_lost")

    # ---- within, with the lock held ------------------------------------------------------------

    def _post_of(self, mailbox: Mailbox) -> PendingPost | None:
        return next((post for post, reader in self._readers.items() if reader is mailbox), None)

    def _reap(self) -> None:
        assert self.lock.locked()
        while self.discarded:
            mailbox = self.discarded.pop(0)
            post = self._post_of(mailbox)
            if post is not None:
                self._dropped.append(post)
            self._remove(mailbox)

    def _remove(self, mailbox: Mailbox) -> None:
        assert self.lock.locked()
        post = self._post_of(mailbox)
        was_paused = False
        if post is not None:
            del self._readers[post]
            was_paused = post in self._paused
            self._paused.discard(post)
        elif mailbox in self._listeners:
            self._listeners.remove(mailbox)
        else:
            return
        self._counters.dropped += mailbox.dropped
        mailbox.close()
        # They have been copied into the backlog as it paused.
        if was_paused:
            return  # listeners have had what it leaves
        if self._listeners or (post is None and self._backlog.take_shadow()):
            mailbox.discard_through(lambda event: True)  # delivered to other listeners, or it was handed over
        elif post is not None and post.turn is not None and any(other.turn is post.turn for other in self._readers):
            mailbox.discard_through(lambda event: True)  # another reader of the same turn has it
        else:
            self._backlog.mailbox.transfer_from(mailbox)


def _report_gone(posts: Sequence[PendingPost], why: str) -> None:
    observer = hooks.turn_observer
    if observer is not None:
        for post in posts:
            observer.on_end(post, why)


def _firsts(count: int, runs: Sequence[Run]) -> list[int]:
    """Returns the places of so many events, without those of further deltas of a run."""
    firsts: list[int] = []
    behind = 0
    for run in runs:
        firsts += range(behind, run.start + 1)
        behind = run.stop
    firsts += range(behind, count)
    return firsts


def _without(late: SessionEvent, events: Sequence[SessionEvent]) -> Sequence[SessionEvent]:
    return [event for event in events if event is not late]
