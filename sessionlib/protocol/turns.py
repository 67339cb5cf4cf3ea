"""Which turn an event belongs to, and which of our posts a turn answers.

A turn runs from the status Processing to the next Idle; on an engine that sends no participant status, from the
first thing that it sends after a post to its MESSAGE_COMPLETE or its error (read off the official SDK and its
documentation). Frames name no request and no turn, so which post a turn answers has to be concluded:

* The embedded engine names the turn in its acks and statuses (``turn_id``): that decides.
* The platform documents that posts which are acknowledged before a turn begins are answered by that turn, all
  together; other engines give each post a turn of its own. As long as both readings agree about a post, it is
  known to be answered by the running turn. Where they differ, the turn's events are held for the posts that it
  may answer, until what follows refutes one reading: a turn that the first does not expect, or an engine that
  stays idle where the second expects another turn. What was learned holds for the rest of the session.
* An ack names no post. On an engine that has left one out, none is relied on.
* What these leave open (an ack that never came, an answer that was not seen) the session's history decides. What it
  leaves open too, as after a connection that was lost around several posts, is marked: `PendingPost.is_doubtful`.

No clock here: `TurnTracker.check_delay` returns when it is worth looking at the history, and `TurnTracker.settle` takes
the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sessionlib.events import ParticipantStatus, SessionEvent, SessionEventType, SessionMessage

__all__ = [
    "NEUTRAL",
    "EventOrigin",
    "Fate",
    "PendingPost",
    "TurnHandle",
    "TurnTracker",
    "find_posts",
    "is_content",
    "is_final",
]

Type = SessionEventType
_DELTA = Type.MESSAGE_DELTA
_COMPLETE = Type.MESSAGE_COMPLETE
_STATUS = Type.PARTICIPANT_STATUS
_ERROR = Type.ERROR
_PROCESSING = ParticipantStatus.PROCESSING
_IDLE = ParticipantStatus.IDLE
_POSTED = frozenset({Type.MESSAGE_POSTED, Type.MESSAGES_POSTED})
_POSTS = frozenset({"post_message", "post_messages"})
# These come between a finished answer and its Idle without meaning that the turn goes on.
NEUTRAL = frozenset({Type.PONG, Type.SESSION_CONNECTED, *_POSTED})
_REQUESTS = frozenset({Type.APPROVAL_REQUEST, Type.REAUTH_REQUEST})
# On an engine without statuses.
_LAST_WORDS = frozenset({_COMPLETE, _ERROR})
# How the errors begin that this client reports itself: they are no answers of the engine's.
_OWN_NOTICES = ("gap", "illegal frame")

# Seconds without an event of a turn after which an idle engine is taken at its word; doubled with each look.
QUIET = 0.9
_LONGEST_QUIET = 30.0
# So many looks at the history may miss a post before it counts as lost: the first may overtake its entry.
_LOOKS = 2
# So many posts at most are distinguished from other clients'.
_TOGETHER = 1000
# So many messages are remembered that were no answers though they were complete.
_WORDS = 100


class TurnHandle:
    """One turn, of any client's.

    Attributes:
        announced: Whether a Processing came in it.
        over: Whether it has ended.
        posts: Our posts that it is known to answer; once it has ended, those of which that became known afterwards.
        answered_posts: How many of our posts it is known to answer.
        held: Its events so far, kept for posts that it may answer; None when there are no such posts.
        finals: The ids of its complete messages, in order.
        first: The event that began it.
        last: The event that ended it.
        turn_id: Its id, on an engine that names turns.
        spans_gap: Whether the connection was lost in it, or it may have begun while there was none.
    """

    __slots__ = (
        "announced",
        "answered_posts",
        "finals",
        "first",
        "held",
        "last",
        "over",
        "posts",
        "spans_gap",
        "turn_id",
    )

    def __init__(self, first: SessionEvent | None = None, turn_id: str | None = None) -> None:
        self.announced = False
        self.over = False
        self.posts: list[PendingPost] = []
        self.answered_posts = 0
        self.held: list[SessionEvent] | None = None
        self.finals: list[str] = []
        self.first = first
        self.last: SessionEvent | None = None
        self.turn_id = turn_id
        self.spans_gap = False


class PendingPost:
    """One post of ours, on its way to a turn.

    Attributes:
        makes_turn: Whether the engine answers it with a turn; not so for answers to approval requests.
        contents: What it can be recognised by in the history.
        attended: Whether a reader of its turn handles its requests; see `ApprovalManager`.
        turn: The turn that is known to answer it.
        first: The event that began its turn, once that is known to have begun.
        last: The event that ended its turn, once it has ended.
        refusal: The ERROR by which the engine refused it.
        is_doubtful: Whether the frames leave open which of two turns answers it; it has the later one.
        acknowledged: Whether its ack has come.
        turn_id: The id of its turn, on an engine whose acks name it.
    """

    __slots__ = (
        "_by_batch",
        "_by_order",
        "_engine_was_idle",
        "_is_promised",
        "_latest",
        "_looks",
        "_may_be_answered",
        "_unacknowledged_turn",
        "acknowledged",
        "attended",
        "contents",
        "first",
        "is_doubtful",
        "last",
        "makes_turn",
        "refusal",
        "turn",
        "turn_id",
    )

    def __init__(self, makes_turn: bool = True, contents: tuple[str, ...] = ()) -> None:
        self.makes_turn = makes_turn
        self.contents = contents
        self.attended = False
        self.turn: TurnHandle | None = None
        self.first: SessionEvent | None = None
        self.last: SessionEvent | None = None
        self.refusal: SessionEvent | None = None
        self.acknowledged = False
        self.turn_id: str | None = None
        self.is_doubtful = False
        # The turn that answers it if all posts with an ack share the next turn, and if each has its own.
        self._by_batch: TurnHandle | None = None
        self._by_order: TurnHandle | None = None
        # The last turn that began while it waited: what is left when all turns are over has been answered by that.
        self._latest: TurnHandle | None = None
        # A turn that began before its ack, which may never come.
        self._unacknowledged_turn: TurnHandle | None = None
        # Whether the engine has reported since the post or its ack that it is idle.
        self._engine_was_idle = False
        # Whether its ack has named a turn to come, which an engine that is idle for the moment still owes.
        self._is_promised = False
        # Whether a turn began that answers it or does not: it is not known whether the post had arrived by then.
        self._may_be_answered = False
        self._looks = 0

    @property
    def shared_with(self) -> int:
        """How many other posts of ours its turn answers; at least 1 where it is not known for certain that it does."""
        return 0 if self.turn is None else max(int(self.is_doubtful), self.turn.answered_posts - 1)

    @property
    def is_passed_over(self) -> bool:
        """Whether a whole turn went by after it without its ack, and no other post is known to be answered by that."""
        turn = self._unacknowledged_turn
        return turn is not None and turn.over and turn.announced and not turn.answered_posts

    @property
    def may_have_had_turn(self) -> bool:
        """Whether a turn began and ended before its ack: its own on an engine whose acks are late, or another's."""
        return self._unacknowledged_turn is not None and self._unacknowledged_turn.over

    def claims(self, batches: bool | None) -> tuple[TurnHandle | None, ...]:
        """Returns the turns whose events are held for it.

        Args:
            batches: How the engine is known to answer; see `TurnTracker.batches`.
        """
        if batches is not None:
            return (self._unacknowledged_turn,)
        return self._by_batch, self._by_order, self._latest, self._unacknowledged_turn


class EventOrigin(NamedTuple):
    """Where an event comes from.

    Attributes:
        ticket: The post of ours that it belongs to; None when it is none of ours.
        course: The turn that it came in.
    """

    ticket: PendingPost | None
    course: TurnHandle


class Fate(NamedTuple):
    """What is to be reported about a post that no turn will answer.

    Attributes:
        post: The post.
        arrived: Whether the engine has it: its history holds it, or it was acknowledged.
        may_come: Whether an answer may still come, because it is not known what the engine is doing.
    """

    post: PendingPost
    arrived: bool
    may_come: bool = False


class TurnTracker:
    """Follows the turns of one session.

    Args:
        alone: Whether no other client can know the session yet, because it was created here. A turn that begins between
            a post and its ack is then that post's, and no turn is another client's.

    Attributes:
        running: Whether a turn has begun and not ended.
        answered: Whether the last thing that happened in it was a complete message.
        has_statuses: Whether the engine has ever sent a status that begins or ends a turn.
        current: The turn that is running; None between turns.
        batches: Whether one turn answers all posts that were acknowledged before it; None until that is known.
        released: What `take_released` returns.
    """

    __slots__ = (
        "_acks_come_first",
        "_acks_lapse",
        "_acks_seen",
        "_alone",
        "_ended",
        "_has_gap",
        "_has_lost",
        "_has_processing",
        "_has_reported",
        "_held",
        "_idle_since_loss",
        "_is_unsure",
        "_joined_at",
        "_looks",
        "_may_run",
        "_open",
        "_repeats",
        "_sent",
        "_together",
        "_words",
        "answered",
        "batches",
        "current",
        "has_statuses",
        "released",
        "running",
        "steps",
    )

    def __init__(self, alone: bool = False) -> None:
        self.running = False
        self.answered = False
        self.has_statuses = False
        self.current: TurnHandle | None = None
        self.batches: bool | None = None
        # Counts what bears on turns, so that one can see whether anything happened meanwhile.
        self.steps = 0
        self._alone = alone
        # Whether the engine acknowledges posts, and whether it does before their turns begin.
        self._acks_seen = False
        self._acks_come_first = False
        # Whether it has left one out: none is relied on then, as it does not name its post.
        self._acks_lapse = False
        self._has_processing = False
        self._looks = 0
        # `steps` when the session was joined again, and whether the engine reported then what it does.
        self._joined_at = -1
        self._has_reported = True
        # Whether a turn may be running whose beginning was not seen, as there was no connection.
        self._may_run = False
        # Whether a turn has ever ended.
        self._ended = False
        # Whether the engine was idle as the session was joined again, and no post has left since: it only repeats then.
        self._repeats = False
        # Whether a post was abandoned of which the engine may know all the same: the next turn may be that one's.
        self._has_lost = False
        # Whether a turn was running or to come as the connection was lost: of another post, it may not be known which.
        self._has_gap = False
        # Whether a post came beside that: then each turn may be one's or the other's.
        self._is_unsure = False
        # Whether the engine was idle since: then a silence shows that no turn of it is to come.
        self._idle_since_loss = False
        # Posts and answers without an ack, in the order in which they left.
        self._sent: list[PendingPost] = []
        # Posts of which no turn is known yet, in the same order.
        self._open: list[PendingPost] = []
        # These, and the posts that have come since one of them did.
        self._together: list[PendingPost] = []
        # Turns whose events are held for these.
        self._held: list[TurnHandle] = []
        self.released: list[tuple[PendingPost, list[SessionEvent]]] = []
        # The ids of the latest messages that were a word before the answer of their turn.
        self._words: list[str] = []

    # ---- our posts -----------------------------------------------------------------------------

    @property
    def is_blind(self) -> bool:
        """Whether it is not known if posts are being answered: the session was joined again, and no turn has shown."""
        return self._joined_at == self.steps and not self._has_reported and (self.running or bool(self._open))

    @property
    def is_announced(self) -> bool:
        """Whether a turn is running in which a Processing came, so that an Idle will end it."""
        return self.current is not None and self.current.announced

    @property
    def unacknowledged(self) -> list[PendingPost]:
        """Our posts and answers whose acks have not come, in order."""
        return list(self._sent)

    @property
    def unanswered(self) -> list[PendingPost]:
        """Our posts with an ack whose turns have not ended, in order."""
        running = [] if self.current is None else list(self.current.posts)
        return [*running, *(post for post in self._open if post.acknowledged)]

    def post(self, post: PendingPost) -> None:
        """Notes a post that is about to leave."""
        self._sent.append(post)
        if post.makes_turn:
            if not self._open:
                self._together.clear()
            self._together.append(post)
            if len(self._together) > _TOGETHER:
                del self._together[0]
            self._open.append(post)
            self._repeats = False
            if self._has_gap:
                self._is_unsure, self._idle_since_loss = True, False
        self._note_step()

    def withdraw(self, post: PendingPost) -> None:
        """Forgets a post that did not leave, or of which nothing more will come."""
        if post in self._sent:
            self._sent.remove(post)
        self._forget(post)

    def lose(self, post: PendingPost) -> None:
        """Forgets a post of which it is not known whether the engine has it."""
        if post.makes_turn:
            self._has_lost, self._idle_since_loss = True, False
        self.withdraw(post)

    def close(self) -> None:
        """Notes that no more events will come: what was undecided stays so."""
        self._open.clear()
        self._drop_held()

    def take_released(self) -> list[tuple[PendingPost, list[SessionEvent]]]:
        """Returns the events that were held for posts of which it is known now that they are theirs."""
        released, self.released = self.released, []
        return released

    # ---- events --------------------------------------------------------------------------------

    def follow(self, event: SessionEvent) -> tuple[Sequence[PendingPost], list[SessionEvent] | None]:
        """Takes in the next event.

        Returns:
            Our posts that it belongs to, and where it has to be kept for posts that it may belong to.
        """
        kind = event.type
        if kind is _DELTA:
            self.answered = False
        elif kind in _POSTED or (kind is _ERROR and event.data.get("request_type") in _POSTS):
            post = self._acknowledge(event)
            return (() if post is None else (post,)), None
        elif kind is _STATUS:
            return self._follow_status(event)
        elif kind in NEUTRAL:
            return (), None
        elif kind is _ERROR and (refused := self._refuse(event)) is not None:
            return (refused,), None
        else:
            self.answered = kind is _COMPLETE or (kind is _ERROR and event.message_id is not None)
        self.steps += 1
        self._looks = 0
        # Without a Processing, what comes first begins a turn: if there is a post that it can belong to.
        if (
            not self.running
            and (not self._has_processing or self._may_run)
            and self._open
            and not self._repeats
            and not is_own_notice(event)
            and "recovered" not in event.data
        ):
            self._begin(event)
        turn = self.current
        if turn is None:
            return (), None
        if kind in _REQUESTS and turn.held is not None:
            # It waits for an answer that may be one of these posts' readers' to give: take the documented reading.
            self._learn(True)
            for post in [post for post in self._open if post._unacknowledged_turn is turn]:
                if post in self._sent:
                    self._sent.remove(post)
                self._assign(post, turn)
            self._drop_held(turn)
        if kind in _LAST_WORDS:
            if event.message_id is not None:
                turn.finals.append(event.message_id)
            if kind is _ERROR and is_own_notice(event):
                return turn.posts, turn.held
            if not self.has_statuses and (self._ended or not turn.spans_gap):
                return self._end(event)
            if turn.spans_gap:
                # Its Idle may have been lost, if the engine sends any. Silence shows it.
                self._joined_at, self._has_reported = self.steps, self._has_reported and self.has_statuses
            # And so may the Processing of the next turn, which is another post's if one waits.
            may_be_two = len(turn.finals) > 1 and (turn.spans_gap or "recovered" in event.data)
            if may_be_two and (self._open or not self.has_statuses or not self._alone):
                for post in turn.posts:
                    post.is_doubtful = True
                for post in self._open:
                    post._may_be_answered = True
        return turn.posts, turn.held

    def ends_turn(self, event: SessionEvent) -> bool:
        """Whether an event is the last of its turn, on this engine."""
        kind = event.type
        return (kind is _STATUS and event.data.get("status") == _IDLE) or (kind is _COMPLETE and not self.has_statuses)

    def _follow_status(self, event: SessionEvent) -> tuple[Sequence[PendingPost], list[SessionEvent] | None]:
        status = event.data.get("status")
        # What was concluded from the history is no word of the engine's.
        is_word = "recovered" not in event.data
        if self.current is not None and self.current.turn_id is None and "turn_id" in event.data:
            self._name(self.current, _turn_id(event))
        if status == _PROCESSING:
            if self.current is not None and self.answered and self._joined_at == self.steps:
                self._end_unseen(self.current, event)
            self.steps += 1
            if is_word:
                self.has_statuses = self._has_processing = True
            self.answered = False
            if not self.running:
                self._begin(event)
            if self.current is not None:
                self.current.announced = True
        elif status == _IDLE:
            self.steps += 1
            self._looks = 0
            if is_word:
                self.has_statuses = True
                self._may_run = False
                self._idle_since_loss = True
                for post in self._open:
                    post._engine_was_idle = True
            if self.running:
                return self._end(event)
        turn = self.current
        return ((), None) if turn is None else (turn.posts, turn.held)

    def _acknowledge(self, event: SessionEvent) -> PendingPost | None:
        if not self._sent:
            if self._acks_lapse and not self._alone:
                self._acks_seen, self._acks_lapse = True, False  # it was late: the turn before it was another client's
            return None
        if self._acks_lapse and event.type is not _ERROR and "recovered" not in event.data:
            answer = next((post for post in self._sent if not post.makes_turn), None)
            if answer is not None:
                self._sent.remove(answer)
            return answer
        # An ack does not come after the whole of its turn: it is rather that of the next post, and the first had none.
        post = self._sent[0]
        if self._alone and not self._has_lost and not self._is_unsure:
            post = next((other for other in self._sent if not other.is_passed_over), post)
        self._sent.remove(post)
        self._note_step()
        if event.type is _ERROR:
            post.refusal = event
            self._forget(post)
            return post
        post.acknowledged = True
        post._looks = 0
        if "recovered" not in event.data:  # what the history shows is no ack of the engine's
            self._acks_seen = True
            self._acks_come_first |= post.turn is None and post._unacknowledged_turn is None
        elif not self._alone:
            post._may_be_answered = True  # by a turn that began in the gap, or that another client's post began
        post._engine_was_idle = False
        post.turn_id = _turn_id(event)
        post._is_promised = post.turn_id is not None
        turn = post._unacknowledged_turn
        if turn is not None and not turn.over:
            if self._acks_come_first:
                post._unacknowledged_turn = None  # it began before the ack, so it is another post's or client's
            elif self._alone and "recovered" not in event.data:
                self._assign(post, turn)  # this engine acknowledges what a turn answers as it begins
            self._drop_held()
        return post

    def _refuse(self, event: SessionEvent) -> PendingPost | None:
        """Returns the post that an error is about which names neither a request nor a message; None for all others."""
        if event.message_id is not None or event.data.get("request_type") is not None or is_own_notice(event):
            return None
        # The oldest post without an ack has probably just got its answer; and one whose turn has not
        # begun by then will not begin it any more.
        acknowledged = [] if self.running else [post for post in self._open if post.acknowledged]
        post = self._sent[0] if self._sent else acknowledged[0] if acknowledged else None
        if post is not None:
            post.refusal = event
            self.withdraw(post)
        return post

    # ---- turns ---------------------------------------------------------------------------------

    def _begin(self, event: SessionEvent) -> None:
        turn = self.current = TurnHandle(event, _turn_id(event))
        self.running = True
        turn.spans_gap, self._may_run = self._may_run or "recovered" in event.data, False
        if self._alone and self.batches and not self._open:
            self.batches = None  # whose turn is it, if all posts had been answered?
        if len(self._open) == 1 and turn.turn_id is None and not self._has_lost and (self._alone or not turn.spans_gap):
            post = self._open[0]
            if post.acknowledged and post._by_batch is None:
                self._assign(post, turn)  # as nearly always
                return
        waiting = [post for post in self._open if post.acknowledged]
        if turn.turn_id is not None and any(post.turn_id is not None for post in waiting):
            for post in waiting:
                if post.turn_id == turn.turn_id:
                    self._assign(post, turn)
                    post.is_doubtful = False
            return
        if waiting and event.type is _STATUS and "recovered" not in event.data and not self._has_lost:
            if not self._acks_come_first:
                for post in self._open:
                    post._may_be_answered = True
                    post._unacknowledged_turn = post._unacknowledged_turn if post.acknowledged else turn
            self._compare(waiting, turn)
            return
        # It is not known which posts the engine had when it began: the oldest, if no other client can have begun it.
        if self._open and self._alone and not self._has_lost and (waiting or not self._acks_come_first):
            self._assign(self._open[0], turn)
        for post in self._open:
            post._may_be_answered = True
            if post.acknowledged:
                post._latest = turn
            else:
                post._unacknowledged_turn = turn
        self._hold(turn)

    def _name(self, turn: TurnHandle, turn_id: str | None) -> None:
        """Notes the id of a turn whose beginning was not seen: that decides which posts it answers."""
        turn.turn_id = turn_id
        for post in turn.posts:
            post.is_doubtful = post.is_doubtful or post.turn_id not in (None, turn_id)
        for post in [post for post in self._open if turn_id and post.turn_id == turn_id]:
            self._assign(post, turn)
            post.is_doubtful = False

    def _compare(self, waiting: list[PendingPost], turn: TurnHandle) -> None:
        """Assigns a turn that begins to the posts that both readings, or the one that is left, give it to."""
        expected = [post for post in waiting if post._by_batch is None]
        for post in expected:
            post._by_batch = turn
        for post in waiting:
            post._latest = turn
        following = next((post for post in waiting if post._by_order is None), None)
        if following is not None:
            following._by_order = turn
        if self.batches is None and not expected and self._alone:
            self._learn(False)  # no other client can have begun it, so it is one post's own
        if self.batches is not None:
            for mine in expected if self.batches else [following]:
                if mine is not None and mine.turn is None:
                    self._assign(mine, turn)
        else:
            for post in waiting:
                if post._by_batch is turn and post._by_order is turn:
                    self._assign(post, turn)
        self._hold(turn)

    def _end(self, event: SessionEvent) -> tuple[Sequence[PendingPost], list[SessionEvent] | None]:
        turn = self.current
        assert turn is not None
        self.running = self.answered = False
        self._ended = self._idle_since_loss = True
        self._has_gap = self._has_gap and bool(self._open)
        self.current = None
        turn.over, turn.last = True, event
        if len(turn.finals) > 1 and not turn.spans_gap:
            self._words = [*self._words, *turn.finals[:-1]][-_WORDS:]
        for post in turn.posts:
            post.last = event
        # A post refers to its turn: both ways, each turn would be left to the garbage collector.
        owners, turn.posts, held = turn.posts, [], turn.held
        if not self._acks_seen:
            for post in owners:
                if post in self._sent:
                    self._sent.remove(post)
                    self._acks_lapse = True
        if not (self._open or self._held):
            return owners, held  # as nearly always
        says_idle = event.is_turn_end and "recovered" not in event.data
        for post in self._open:
            # Without statuses an answer is no word about posts that came behind it.
            is_left = self.batches is not False and turn in post.claims(self.batches)
            post._engine_was_idle = post._engine_was_idle or says_idle or is_left
        unproven = [post for post in self._open if post._unacknowledged_turn is turn and not post.acknowledged]
        if not unproven:
            self._drop_held()
            return owners, held
        if self._alone and self._acks_seen and not self._acks_come_first:
            # Acks come with the turn that answers: these are still to be answered.
            for post in unproven:
                post._unacknowledged_turn = None
                post._engine_was_idle = False
            self._drop_held()
        elif not self._acks_seen and not owners and turn.turn_id is None:
            # An engine that has let a whole turn pass without an ack sends none.
            if held is not None:
                held.append(event)
                held = None
            self._sent.remove(unproven[0])
            self._acks_lapse = True
            self._assign(unproven[0], turn)
            self._drop_held()
            owners = []
        return owners, held

    def _end_unseen(self, turn: TurnHandle, following: SessionEvent) -> None:
        """Ends a turn that had its answer when the session was joined again, as the next one begins."""
        if following.data.get("turn_id", "") in {turn.turn_id, *(post.turn_id for post in turn.posts)}:
            return  # it is the same one
        end = _recovered_idle(following.session_id)
        owners, held = self._end(end)
        if held is not None:
            held.append(end)
        for post in (*owners, *turn.posts):
            post.is_doubtful = True  # the answer may have been a word before the answer
        # Those of which it became known just now have it with the rest of the turn.
        self.released += [(post, [end]) for post in owners]

    def _assign(self, post: PendingPost, turn: TurnHandle) -> None:
        if post in self._open:
            self._open.remove(post)
        # Another turn may have answered it before, unless this one has nothing else to answer.
        post.is_doubtful = (
            self._is_unsure or self._has_lost or (post._may_be_answered and (bool(self._open) or not self._alone))
        )
        post.turn, post.first = turn, turn.first
        turn.answered_posts += 1
        turn.posts.append(post)
        if turn.held:
            self.released.append((post, list(turn.held)))
        if turn.over:
            post.last = turn.last

    def _learn(self, batches: bool) -> list[PendingPost]:
        """Reads the turns that have passed in one of the two ways from now on; returns the posts that this decides."""
        self.batches = batches
        before = list(self._open)
        for post in before:
            turn = post._by_batch if batches else post._by_order
            if turn is not None and not (turn.over and turn.held is None):
                self._assign(post, turn)
        self._drop_held()
        return [post for post in before if post.turn is not None]

    def _forget(self, post: PendingPost) -> None:
        if post in self._open:
            self._open.remove(post)
            self._drop_held()
            self._note_step()

    def _hold(self, turn: TurnHandle) -> None:
        """Begins to keep the events of a turn, if there are posts that can lay claim to it."""
        if any(turn in post.claims(self.batches) for post in self._open):
            turn.held = []
            self._held.append(turn)

    def _drop_held(self, unclaimed: TurnHandle | None = None) -> None:
        """Stops keeping the events of turns that no post can lay claim to any more, and of one in any case."""
        if not self._held:
            return
        claimed = {turn for post in self._open for turn in post.claims(self.batches)}
        for turn in self._held:
            if turn is unclaimed or turn not in claimed:
                turn.held = None
        self._held = [turn for turn in self._held if turn.held is not None]

    def _note_step(self) -> None:
        """Notes a step of ours, which shows nothing of what the engine does."""
        if self._joined_at == self.steps:
            self._joined_at += 1
        self.steps += 1
        self._looks = 0

    # ---- what the history decides --------------------------------------------------------------

    def check_delay(self) -> float | None:
        """Returns the seconds of silence after which the history should be looked at; None while that is no use."""
        # Between two turns and within one, nothing is left to be found out, nearly always.
        if self._open or (self.running and not self._has_reported):
            # Without a word of the engine's since an acknowledged post, it may just be slow to begin.
            due = (
                not post._is_promised
                and (post._engine_was_idle or post.may_have_had_turn or (self._acks_seen and not post.acknowledged))
                for post in self._open
            )
            if self.is_blind or (not self.running and any(due)):
                return float(min(QUIET * 2 ** min(max(0, self._looks - 1), 6), _LONGEST_QUIET))
        if (self._has_lost or self._is_unsure) and self._idle_since_loss and not self.running and not self._open:
            return QUIET
        return None

    def rejoin(self, is_idle: bool | None, looks: int = 0) -> None:
        """Notes that the session was joined again, and what was found in its history followed.

        Args:
            is_idle: Whether the engine reported that it is idle; None when it reported nothing.
            looks: How many looks at the history there were since.
        """
        self.steps += 1
        self._looks = looks
        self._repeats = bool(is_idle)
        self._idle_since_loss = self._idle_since_loss or bool(is_idle)
        for post in self._open:
            post._engine_was_idle = post._engine_was_idle or bool(is_idle)
            post._is_promised = False  # the turn that its ack named may have passed unseen
        if is_idle:
            self._has_gap = False
        else:
            self._has_gap = self.running or bool(self._open)
            if self.running + len(self._open) > 1:
                self._is_unsure, self._idle_since_loss = True, False
            self._may_run = not self.running and (bool(self._open) or not self._alone)
            if self.current is not None:
                self.current.spans_gap = True
            self._joined_at, self._has_reported = self.steps, is_idle is not None

    def settle(self, history: Sequence[Any] | None) -> list[Fate]:
        """Decides what an idle engine and its history leave no doubt about.

        Args:
            history: The session's messages, oldest first, as the engine sent them since the last event of a turn;
                None when it does not send them.

        Returns:
            The posts that no turn will answer.
        """
        self._looks += 1
        is_in_doubt = self.is_blind
        if self.running:
            owners = [] if self.current is None else self.current.posts
            return [Fate(post, True, may_come=True) for post in owners if is_in_doubt and self._looks == _LOOKS]
        fates = _Look(self, history, is_in_doubt).decide()
        self._drop_held()
        return fates


class _Look:
    """One look at the history of an engine between two turns, and what it decides.

    Args:
        tracker: Whose posts it decides about.
        history: See `TurnTracker.settle`.
        is_in_doubt: Whether it is not known if the engine is idle.
    """

    def __init__(self, tracker: TurnTracker, history: Sequence[Any] | None, is_in_doubt: bool) -> None:
        self._tracker = tracker
        self._is_in_doubt = is_in_doubt
        self._number = tracker._looks
        # Without the messages that were a word before an answer: these are neither posts nor answers to one.
        self._messages = (
            None
            if history is None
            else [entry for entry in history if isinstance(entry, dict) and entry.get("id") not in tracker._words]
        )
        self._places = {} if self._messages is None else find_posts(self._messages, tracker._open)

    def decide(self) -> list[Fate]:
        """Assigns the answers that it shows; returns the posts that no turn will answer."""
        tracker = self._tracker
        if tracker.batches is None and any(post._by_batch is not None for post in tracker._open):
            self._learn()
        # Of a session that is ours alone, all posts before the first one left have their answers.
        is_sound = tracker._alone and not tracker._has_lost and not tracker._is_unsure
        is_sound = is_sound and not any(post.is_doubtful for post in tracker._together)
        first = tracker._open[0] if is_sound and tracker._open else None
        # Two looks in a row, where the engine does not report that it is idle.
        is_word = (tracker.has_statuses and not self._is_in_doubt) or self._number >= _LOOKS
        fates: list[Fate] = []
        for post in list(tracker._open):
            if self._messages is None and not post._engine_was_idle:
                continue  # it has sent nothing since, and is just slow
            post._looks += 1
            if post in self._places and not post.acknowledged:
                post.acknowledged = True  # it has arrived, whatever became of its ack
                if post in tracker._sent:
                    tracker._sent.remove(post)
            if not self._is_in_doubt and (post._is_promised or (post.acknowledged and not post._engine_was_idle)):
                # An engine that acknowledges a post as it comes has stored it by then: behind the turn that had ended.
                if post.may_have_had_turn and not post._is_promised:
                    self._take_answer(post, is_first=post is first, may_guess=is_word)
                continue
            if self._take_answer(post, is_first=post is first, may_guess=is_word):
                continue
            if self._is_in_doubt and self._number == _LOOKS:
                fates.append(Fate(post, post.acknowledged, may_come=True))
            elif not self._is_in_doubt and post._looks >= _LOOKS and is_word:
                fates.append(Fate(post, post.acknowledged))
        for fate in fates:
            if not fate.may_come:
                tracker.withdraw(fate.post)
        tracker._looks = self._number
        if tracker._idle_since_loss and not tracker._open:
            tracker._has_lost = tracker._is_unsure = False
        for fate in fates:
            if not (fate.arrived or fate.may_come):
                tracker._has_lost, tracker._idle_since_loss = True, False
        return fates

    def _learn(self) -> None:
        """Reads the turns that have passed in one of the two ways; for good, if nothing is doubtful about them."""
        tracker = self._tracker
        # Else a turn may have been for a post without an ack, or for one around a gap.
        is_certain = not (tracker._has_lost or tracker._is_unsure) and all(
            post.acknowledged and not post._may_be_answered for post in tracker._open
        )
        for post in tracker._learn(self._is_batching()):
            post.is_doubtful = post.is_doubtful or not is_certain
        if not is_certain:
            tracker.batches = None

    def _is_batching(self) -> bool:
        """Whether the turns that have passed show that one answers several posts."""
        tracker, messages = self._tracker, self._messages
        if any(post._by_batch is not None and post._by_order is None for post in tracker._open):
            return True  # each would have had a turn of its own by now
        if tracker._alone or messages is None:
            return False
        # Each had one, unless it was another client's: then the history holds what that client posted.
        ours = {content for post in tracker._together for content in post.contents}
        first = min(self._places.values(), default=len(messages))
        users = [details for details in map(SessionMessage.from_dict, messages[first:]) if details.is_user]
        return not all(any(is_content(content, details) for content in ours) for details in users)

    def _take_answer(self, post: PendingPost, *, is_first: bool, may_guess: bool) -> bool:
        """Assigns a post the answer that the history has behind it, with its turn if that was seen.

        Args:
            post: The post.
            is_first: Whether all posts before it are known to have their answers.
            may_guess: Whether an answer is taken that may be another post's; the post is marked then.

        Returns:
            Whether there is one.
        """
        tracker, messages = self._tracker, self._messages
        turn = post._unacknowledged_turn or post._latest
        if turn is not None and not turn.over:
            turn = None
        answer, is_certain = None, False
        if messages is not None and post in self._places:
            place = self._places[post]
            answer, is_certain = _answer_to(messages, place, len(post.contents))
            is_certain = is_certain and (bool(tracker.batches) or is_first or _is_balanced(messages, place))
        if answer is None and (messages is not None or turn is None or not turn.held):
            return False
        if not (is_certain or may_guess):
            return False
        tracker.batches = None if tracker.batches is False else tracker.batches  # so a turn may answer several
        if messages is None:
            tracker._has_lost, tracker._idle_since_loss = True, False  # a turn of its own may yet come
        if post in tracker._sent:
            tracker._sent.remove(post)
        # Only where its events end with the answer, as two turns without an end between them look like one.
        is_its_end = turn is not None and (answer is None or answer.get("id") in turn.finals[-1:])
        if turn is not None and turn.held and is_its_end:
            tracker._assign(post, turn)
        else:
            assert answer is not None
            event, end = _as_events(answer)
            if turn is None or not is_its_end:
                turn = TurnHandle(event)
                turn.over = True
            tracker._assign(post, turn)
            post.last = end
            tracker.released.append((post, [event, end]))
        post.is_doubtful = not is_certain
        return True


def _as_events(answer: dict[str, Any]) -> tuple[SessionEvent, SessionEvent]:
    """Returns an answer of the history, and the end of its turn."""
    content = answer["content"]
    is_error = content.get("type") == "error_message"
    data = {"error": str(content.get("error"))} if is_error else {"text": content.get("value"), "status": "complete"}
    session_id = str(answer.get("session_id") or "")
    kind = _ERROR if is_error else _COMPLETE
    return SessionEvent(kind, session_id, answer.get("id"), {**data, "recovered": True}), _recovered_idle(session_id)


def _recovered_idle(session_id: str) -> SessionEvent:
    return SessionEvent(_STATUS, session_id, None, {"status": str(_IDLE), "recovered": True})


def _turn_id(event: SessionEvent) -> str | None:
    turn_id = event.data.get("turn_id")
    return turn_id if isinstance(turn_id, str) else None


def is_own_notice(event: SessionEvent) -> bool:
    """Whether an ERROR is this client's own, and not the engine's."""
    return event.type is _ERROR and event.message_id is None and str(event.data.get("error")).startswith(_OWN_NOTICES)


# ---- reading a history -----------------------------------------------------------------------


def find_posts(messages: Sequence[dict[str, Any]], posts: Sequence[PendingPost]) -> dict[PendingPost, int]:
    """Finds posts in a history, from its end: the latest message of a text is the latest post of it.

    Args:
        messages: The history, oldest first.
        posts: The posts, in order.

    Returns:
        The places of those that it holds.
    """
    places: dict[PendingPost, int] = {}
    at = len(messages)
    for post in reversed([post for post in posts if post.contents]):
        for place in range(at - 1, -1, -1):
            entry = SessionMessage.from_dict(messages[place])
            # A batch stands in the history as several messages; its first decides.
            if entry.is_user and is_content(post.contents[0], entry):
                places[post] = at = place
                break
    return places


def _is_balanced(messages: Sequence[dict[str, Any]], place: int) -> bool:
    """Whether no post before a place of a history can be left to answer, though each may have a turn of its own."""
    before = messages[:place]
    are_ours = [SessionMessage.from_dict(message).is_user for message in before]
    # Messages in a row may be one answer.
    answers = [at for at, message in enumerate(before) if is_final(message) and not are_ours[at]]
    return sum(at + 1 not in answers for at in answers) >= sum(are_ours)


def _answer_to(messages: Sequence[dict[str, Any]], place: int, length: int) -> tuple[dict[str, Any] | None, bool]:
    """Returns the answer to a post in a history, and whether it can be no other post's, if one turn may answer several.

    Args:
        messages: The history.
        place: Where the post begins in it.
        length: How many messages it has there.
    """
    are_ours = [SessionMessage.from_dict(message).is_user for message in messages]
    answers = [at for at, message in enumerate(messages) if is_final(message) and not are_ours[at]]
    behind = [at for at in answers if at > place]
    if not behind:
        return None, False
    before = max((at for at in answers if at < place), default=-1)
    ahead, between = sum(are_ours[before + 1 : place]), sum(are_ours[place + length : behind[0]])
    # One answer may stand in several messages, and the last of them is the one that counts.
    following = next((at for at in range(behind[0], len(messages)) if are_ours[at]), len(messages))
    row = [at for at in behind if at < following]
    if ahead or between:
        # As many answers as posts: one to each.
        is_even = len(row) == ahead + 1 + between
        return messages[row[ahead if is_even else -1]], False
    return messages[row[-1]], True


def is_final(message: dict[str, Any]) -> bool:
    """Whether a message of a history is a finished answer, or the error that a turn ended with."""
    content = message.get("content")
    return isinstance(content, dict) and (content.get("status") == "Complete" or content.get("type") == "error_message")


def is_content(summary: str, message: SessionMessage) -> bool:
    """Whether a message of a history is what a post is recognised by; see `frames.summarise`."""
    kind, _, details = summary.partition(":")
    if kind == "text":
        return message.text == details
    return kind == "file" and details in _strings(message.raw.get("content"))


def _strings(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {text for item in inner for text in _strings(item)}
