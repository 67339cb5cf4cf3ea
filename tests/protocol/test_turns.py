"""Which turn answers which post, frame by frame, without a socket or a clock."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest

from sessionlib import SessionEvent
from sessionlib.events import SessionEventType, SessionMessage
from sessionlib.protocol import frames
from sessionlib.protocol import turns as turns_module
from sessionlib.protocol.parser import parse_event
from sessionlib.protocol.turns import (
    PendingPost,
    TurnHandle,
    TurnTracker,
    _answer_to,
    _is_balanced,
    find_posts,
    is_content,
    is_final,
)
from tests.support.script_engine import agent_message, notification, text_content, user_message

_FRAMES = {
    "a": frames.ack("post_message", "s1"),
    "x": frames.refusal("post_message", "s1", "no"),
    "e": frames.error("bad"),
    "g": frames.error("gap"),
    "o": frames.pong("s1"),
    "j": frames.ack("connect_session", "s1"),
    "A": frames.participant_status("s1", "AwaitingApproval"),
    "P": frames.participant_status("s1", "Processing"),
    "I": frames.participant_status("s1", "Idle"),
    "Q": notification("s1", "r1", {"type": "tool_call_approval", "tool_name": "refund", "tool_call_id": "c1"}),
    "T": notification("s1", "t1", {"type": "tool_call", "tool_name": "refund"}),
}
_ANSWERS: dict[str, Any] = {"C": text_content("tea"), "E": {"type": "error_message", "error": "no tea"}}
_LETTERS = {SessionEventType.MESSAGE_POSTED: "a", SessionEventType.APPROVAL_REQUEST: "Q", SessionEventType.PONG: "o"}
_IS_IDLE = {"R+": True, "R-": False, "R?": None}


class Script:
    """A tracker, what leaves and comes, in order, and what becomes of it.

    A digit posts, ``&`` answers a request, ``w1`` and ``l1`` withdraw and lose the first post. Frames are a(ck), x, its
    refusal, P(rocessing), I(dle), A(waiting an approval), D(elta), C(omplete), Q, a request, T, a tool call, o, a pong,
    j, the ack of a join, E, an error of the turn, e, one that names nothing, and g, a notice of a gap; a digit behind
    names the turn, a tilde before shows that it was recovered. ``R+``, ``R-`` and ``R?`` join again, with an engine
    that is idle, busy or reports nothing; ``R1`` likewise after a look. ``s`` looks at the history, ``n`` where there
    is none. Into the history alone come ``u``, another client's post, ``v``, an answer, and ``vE``, an error; ``f``
    takes the last post out of it. A dot closes the tracker.
    """

    def __init__(self, script: str) -> None:
        client, *steps = script.split()
        self.tracker = TurnTracker(client == "alone")
        self.history: list[dict[str, Any]] = []
        self._texts = 0
        self.posts: dict[str, PendingPost] = {}
        self._got: dict[PendingPost, str] = {}
        self._fates: dict[PendingPost, str] = {}
        self._stray = ""
        self._ends = False
        for step in steps:
            self._take(step)
            for post, events in self.tracker.take_released():
                self._got[post] += f"[{''.join(map(self._letter, events))}]"

    def _take(self, step: str) -> None:
        tracker = self.tracker
        if step == "&" or step.isdigit():
            post = self.posts[step] = PendingPost(makes_turn=step != "&", contents=(f"text:{step}",))
            self._got[post] = ""
            tracker.post(post)
            self.history += [user_message("s1", f"u-{step}", step)] * post.makes_turn
        elif step in ("s", "n"):
            for post, arrived, may_come in tracker.settle(self.history if step == "s" else None):
                self._fates[post] = "may come or " * may_come + ("unanswered" if arrived else "lost")
        elif step[0] in "wl":
            (tracker.withdraw if step[0] == "w" else tracker.lose)(self.posts[step[1:]])
        elif step == "R1":
            tracker.rejoin(None, looks=1)
        elif step[0] == "R":
            tracker.rejoin(_IS_IDLE[step])
        elif step == "u":
            self.history.append(user_message("s1", f"x{len(self.history)}", "other"))
        elif step[0] == "v":
            self._answer(step[1:] or "C")
        elif step == ".":
            tracker.close()
        elif step == "f":
            last = max(filter(str.isdigit, self.posts), default="")
            self.history = [message for message in self.history if message["id"] != f"u-{last}"]
        else:
            self._follow(step)

    def _answer(self, kind: str) -> frames.Frame:
        self._texts += 1
        self.history.append(agent_message("s1", f"m{self._texts}", _ANSWERS[kind]))
        return notification("s1", f"m{self._texts}", _ANSWERS[kind])

    def _follow(self, step: str) -> None:
        letter, number = step.lstrip("~")[0], step.lstrip("~")[1:]
        if letter in _ANSWERS:
            frame = self._answer(letter)
        elif letter == "D":
            frame = frames.message_delta("s1", f"m{self._texts + 1}", 0, "d")
        else:
            frame = json.loads(json.dumps(_FRAMES[letter]))
        event = parse_event(frame, "s1")
        assert event is not None
        event.data.update(
            {"recovered": True} if step[0] == "~" else {}, **({"turn_id": f"t{number}"} if number else {})
        )
        owners, held = self.tracker.follow(event)
        for owner in owners:
            self._got[owner] += self._letter(event)
        if not owners and letter not in "ao":
            self._stray += self._letter(event)
        if held is not None:
            held.append(event)
        self._ends = self.tracker.ends_turn(event)

    @staticmethod
    def _letter(event: SessionEvent) -> str:
        assert event.session_id == "s1"
        letter = _LETTERS.get(event.type) or event.type.name[0]
        if event.participant_status is not None:
            letter = event.participant_status.name[0]
        elif event.is_complete:
            assert event.text == "tea"
            letter = f"C{str(event.message_id)[1:]}"
        elif event.error is not None:
            letter = {"gap": "g", "bad": "e", "no": "x", "no tea": f"E{str(event.message_id)[1:]}"}[event.error]
        elif event.delta is not None:
            letter = "D"
        return "~" * bool(event.data.get("recovered")) + letter

    def outcome(self) -> str:
        """What each post got, and what is known in the end.

        In brackets stands what was held for a post. Behind its events: ``.`` when its turn has ended, ``<P>`` the first
        event of a turn of which it got another part, ``+1`` how many share it, ``?`` where that is not certain, ``!``
        refused, ``-`` without an ack.
        """
        tracker = self.tracker
        facts = []
        for name, post in self.posts.items():
            assert post.turn is None or post.turn.over == (post.last is not None)
            first = "" if post.first is None else self._letter(post.first)
            marks = "." * (post.last is not None) + f"<{first}>" * (first not in self._got[post])
            marks += f"+{post.shared_with}" * bool(post.shared_with) + "?" * post.is_doubtful
            marks += "!" * (post.refusal is not None) + "-" * (not post.acknowledged)
            facts += [f"{name}={self._got[post]}{marks}", self._fates.get(post, "")]
        delay, current = tracker.check_delay(), tracker.current
        names = {post: name for name, post in self.posts.items()}
        sent, waiting = (
            "".join(map(names.__getitem__, posts)) for posts in (tracker.unacknowledged, tracker.unanswered)
        )
        facts += [
            f"stray={self._stray}" * bool(self._stray),
            "running" * tracker.running,
            "answered" * tracker.answered,
        ]
        facts += ["announced" * tracker.is_announced, "statuses" * tracker.has_statuses, "blind" * tracker.is_blind]
        facts += [{True: "batch", False: "each", None: ""}[tracker.batches], "" if delay is None else f"look@{delay}"]
        facts += [f"sent={sent}" * bool(sent), f"waits={waiting}" * bool(waiting), "ends" * self._ends]
        facts += ["held" * (current is not None and current.held is not None)]
        facts += [f"kept={len(tracker._held)}" * bool(tracker._held)]
        return " ".join(filter(None, facts))


SCRIPTS = {
    # A post has the turn that follows it, on a session that is ours alone and on one that is not.
    "alone 1 a P C I 2 a P C I": "1=aPC1I. 2=aPC2I. statuses ends",
    "shared 1 a P C I 2 a P C I": "1=aPC1I. 2=aPC2I. statuses ends",
    # It runs from its Processing to its Idle and has its answer with a complete message; after more than acks and pongs
    # it goes on, and where it waits for an approval as well.
    "alone 1 a P D D": "1=aPDD running announced statuses waits=1",
    "alone 1 a P D D C": "1=aPDDC1 running answered announced statuses waits=1",
    "alone 1 a P C o a j": "1=aPC1 stray=S running answered announced statuses waits=1",
    "alone 1 a P C D": "1=aPC1D running announced statuses waits=1",
    "alone 1 a P C T": "1=aPC1T running announced statuses waits=1",
    "alone 1 a P C T C": "1=aPC1TC2 running answered announced statuses waits=1",
    "alone 1 a P A": "1=aPA running announced statuses waits=1",
    # What another client's turn, or the one before, still sends is not its.
    "shared P D 1 a C I P C I": "1=aPC2I. stray=PDC1I statuses ends",
    "shared 1 a P D 2 a C I P C I": "1=aPDC1I. 2=aPC2I. statuses ends",
    "shared 1 a P C 2 I a P C I": "1=aPC1I. 2=aPC2I. statuses ends",
    # It may begin before its ack.
    "alone 1 P a C I 2 P a C I": "1=PaC1I. 2=PaC2I. statuses ends",
    # Turn ids decide at once; and the engine owes a turn that an ack has named, however long that takes.
    "alone 1 2 3 a1 a1 a2 P1 C1 I1": "1=aPC1I.+1 2=aPC1I.+1 3=a statuses waits=3 ends",
    "alone 1 2 3 a1 a1 a2 P1 C1 I1 P2": "1=aPC1I.+1 2=aPC1I.+1 3=aP running announced statuses waits=3",
    # An engine that stays idle shows that one turn answers all, and that is remembered.
    "alone 1 2 a a P C I": "1=aPC1I. 2=a statuses look@0.9 waits=2 ends kept=1",
    "alone 1 2 a a P C I s 3 4 a a P": (
        "1=aPC1I.+1 2=a[PC1I].+1 3=aP+1 4=aP+1 running announced statuses batch waits=34"
    ),
    # A turn too many shows that each post has its own: no reply waits for what may still be found out.
    "alone 1 2 3 a a a P C I P C I P C I": "1=aPC1I. 2=aPC2I. 3=aPC3I. statuses each ends",
    # Where other clients post, the history shows whose turn it was.
    "shared 1 2 a a P C I u P C I": "1=aPC1I. 2=a stray=PC2I statuses look@0.9 waits=2 ends kept=2",
    "shared 1 2 a a P C I u P C I s": "1=aPC1I.+1 2=a[PC1I].+1 stray=PC2I statuses batch ends",
    "shared 1 2 a a P C I P C I s": "1=aPC1I. 2=a[PC2I]. stray=PC2I statuses each ends",
    # An engine that shows otherwise is read again.
    "alone 1 2 a a P C I P C I 3 4 a a P C I s s": "1=aPC1I. 2=aPC2I. 3=aPC3I.+1 4=a[~C3~I].<P>+1? statuses ends",
    # An engine without acks is known by its first turn.
    "alone 1 P C I 2 P C I": "1=PC1I.- 2=PC2I.- statuses ends",
    "shared 1 P C I 2 P C I": "1=[PC1I].+1?- 2=[PC2I].+1?- stray=PC1IPC2I statuses ends",
    # An ack within a turn of another client begins nothing, and what was kept of that turn is kept no longer.
    "shared 1 a P C I 2 P": "1=aPC1I. 2=- stray=P running announced statuses sent=2 held kept=1",
    "shared 1 a P C I 2 P a": "1=aPC1I. 2=a stray=P running announced statuses waits=2",
    "shared 1 a P C I 2 P a C I P": "1=aPC1I. 2=aP+1? stray=PC2I running announced statuses waits=2",
    # An ack behind a whole turn is that of the next post.
    "alone 1 a P C I 2 P C I 3 a": "1=aPC1I. 2=- 3=a stray=PC2I statuses look@0.9 sent=2 waits=3 kept=1",
    # What the history does not hold is lost, and what it does not answer unanswered: at the second look.
    "alone 1 a P C I 2 f 3 R+ s": "1=aPC1I. 2=- 3= statuses look@0.9 sent=2 waits=3 ends",
    "alone 1 a P C I 2 f 3 R+ s s": "1=aPC1I. 2=- lost 3= unanswered statuses ends",
    # An answer, and an error, that was never seen is taken from the history.
    "alone 1 a v R+ s 2 a vE R+ s": "1=a[~C1~I]. 2=a[~E2~I].",
    # A request in a turn that may be shared takes the documented reading.
    "alone 1 2 a a P Q": "1=aPQ+1 2=aQ[P]+1 running announced statuses batch waits=12",
    # The end leaves nothing undecided.
    "alone 1 2 a a P C": "1=aPC1 2=a running answered announced statuses waits=12 held kept=1",
    "alone 1 2 a a P C .": "1=aPC1 2=a running answered announced statuses waits=1",
    # Without acks, the first turn answers the first post and the last the last; either may have answered one between.
    "alone 1 2 3 P C I P C I P C I": "1=PC1I.- 2=PC2I.+1?- 3=PC3I.- statuses ends",
    "alone 1 2 3 C C C": "1=C1.- 2=C2.+1?- 3=C3.- ends",
    # A turn too many proves nothing where no Processing shows when it began.
    "alone 1 2 3 4 a a a a C C s s": "1=aC1. 2=aC2.+2? 3=a[C2].+2? 4=a[C2].+2? ends",
    # A turn that began while there was no connection begins with its first event; the next has a Processing to come.
    "alone 1 a P C I 2 a R? C I": "1=aPC1I. 2=aC2I. statuses ends",
    "alone 1 a P C I 2 a R? C I 3 a C P": "1=aPC1I. 2=aC2I. 3=aP stray=C3 running announced statuses waits=3",
    # What the history showed is no status of the engine's.
    "alone ~P ~I 1 C": "1=C1.- stray=~P~I ends",
    # The next turn ends one whose end was missed.
    "alone 1 2 a P C R? a": "1=aPC1 2=a running answered announced statuses blind look@0.9 waits=12",
    "alone 1 2 a P C R? a P": "1=aPC1[~I].+1? 2=aP+1? running announced statuses waits=2",
    # An engine that reports nothing after a rejoin is waited for no longer than two looks.
    "alone 1 a P R?": "1=aP running announced statuses blind look@0.9 waits=1",
    "alone 1 a P R? s": "1=aP running announced statuses blind look@0.9 waits=1",
    "alone 1 a P R? s s C I": "1=aPC1I. may come or unanswered statuses ends",
    # A post that was given up may have the next turn; replies are marked until the engine is silent behind it.
    "alone 1 a P C I 2 l2 3 a P": "1=aPC1I. 2=- 3=a stray=P running announced statuses waits=3 held kept=1",
    "alone 1 a P C I 2 l2 3 a P C I s": "1=aPC1I. 2=- 3=a[PC2I].+1? stray=PC2I statuses ends",
    "alone 1 l1 2 a P C I": "1=- 2=a stray=PC1I statuses look@0.9 waits=2 ends kept=1",
    "alone 1 l1 2 a P C I s 3 a P C I": "1=- 2=a[PC1I].+1? 3=aPC2I. stray=PC1I statuses ends",
    # An idle engine is asked about a post that was given up.
    "alone 1 a P C I 2 l2": "1=aPC1I. 2=- statuses ends",
    "alone 1 a P C I 2 l2 I": "1=aPC1I. 2=- stray=I statuses look@0.9 ends",
    "alone 1 a P C I 2 l2 R+": "1=aPC1I. 2=- statuses look@0.9 ends",
    # A turn whose beginning was lost is known by the id in its end.
    "alone 1 2 a1 a2 3 l3 R? C I1": "1=aI[C1]. 2=a 3=- stray=C1 statuses look@0.9 waits=2 ends kept=1",
    # A second answer behind a rejoin may be that of a post that waits.
    "alone 1 2 a a P C I P C I 3 4 a a R? ~P C C": (
        "1=aPC1I. 2=aPC2I. 3=a~PC3C4+1? 4=a running answered announced statuses blind each look@0.9 waits=34"
    ),
    # What an idle engine repeats behind a rejoin begins no turn; the next one's begins without a Processing, as before.
    "alone 1 R+ C": "1=- stray=C1 answered look@0.9 sent=1 ends",
    "alone 1 R+ C s 2 a C": "1=[~C1~I]. 2=aC2. stray=C1 ends",
    # An ack within a turn is of the next one where acks come first.
    "alone 1 a 2 D a C C": "1=aDC1. 2=aC2. ends",
    # An ack that does not come is looked for; an engine that is slow to answer anything has lost nothing.
    "alone 1 a P C I 2": "1=aPC1I. 2=- statuses look@0.9 sent=2 ends",
    "alone 1 a P C I 2 a": "1=aPC1I. 2=a statuses waits=2",
    "alone 1 a P C I 2 n n n n n": "1=aPC1I. 2=- statuses look@14.4 sent=2 ends",
    "alone 1 a P C I 2 n n n n n a P": "1=aPC1I. 2=aP running announced statuses waits=2",
    # An Idle alone shows that an engine sends statuses.
    "alone 1 a C": "1=aC1. ends",
    "alone 1 a C I 2 a C": "1=aC1. 2=aC2 stray=I running answered statuses waits=2",
    "alone 1 a C I 2 a C I": "1=aC1. 2=aC2I. stray=I statuses ends",
    # A late ack shows that the turn before it was another client's.
    "shared 1 P C I a 2 P C I": "1=[PC1I].+1?- 2=- stray=PC1IPC2I statuses look@0.9 sent=2 ends kept=1",
    # Nor need it have been: where acks come late, a turn that passed before one was that post's, as the history shows.
    "shared 1 a P C I 2 P C I a s": "1=aPC1I. 2=a[PC2I]. stray=PC2I statuses",
    # A turn that ended unseen ends once.
    "alone 1 P C R? P": "1=PC1[~I].+1?- stray=P running announced statuses",
    "shared 1 P C R? P": "1=[PC1~I].+1?- stray=PC1P running announced statuses",
    # And what conversations at random came to.
    "alone 1 s e": "1=e!",
    "shared Q 1 Q": "1=Q+1?- stray=Q running batch waits=1",
    "alone 1 2 R1 s E": (
        "1=E1+1? may come or unanswered 2= may come or unanswered running answered blind look@0.9 waits=12 held kept=1"
    ),
    "alone 1 I": "1=- stray=I statuses look@0.9 sent=1 ends",
    "shared 1 C & a": "1=[C1].+1?- &=a- stray=C1",
    "alone P 1 C I R? s 2 s C D": "1=[~C1~I]. 2=C2D+1? stray=PC1I running statuses waits=2",
    "alone s P1": "stray=P running announced statuses",
    "alone 1 x 2 R- D g w2": "1=x!- 2=Dg- running waits=2",
    "shared 1 ~a 2 P I n": "1=~aPI.+1? 2=[PI].+1?- statuses ends",
    "alone 1 R+ 2 v 3 ~P ~C ~I s": "1=~P~C2~I.- 2= 3= look@0.9 waits=23 ends kept=1",
    "alone 1 T 2 R? s ~I": "1=T~I.- 2=- sent=2 ends",
    "shared 1 P a C I s": "1=a[PC1I]. stray=PC1I statuses ends",
    "alone 1 o R- C E": "1=C1E2+1?- running answered blind look@0.9 sent=1 waits=1",
    "shared 1 2 x ~a C": "1=x!- 2=~aC1.+1? ends",
    "alone 1 a2 D P3": "1=aDP+1? running announced statuses waits=1",
    "alone 1 T R? ~C ~P e": "1=T~C1[~I].+1?- stray=~Pe",
    "alone 1 Q R1 s": "1=Q- may come or unanswered running blind look@1.8 sent=1 waits=1",
    "alone 1 2 3 E s s": "1=E1.+2- 2=[E1].+2? 3=[E1].+2?",
    "shared 1 s s 2 C n": "1= 2=[C1].+1?- stray=C1 look@0.9 waits=1 ends kept=1",
    "shared a 1": "1=- sent=1",
    "shared 1 v 2 E ~C s": "1=[E2].+1?- 2=[~C3~I]. stray=E2~C3 answered ends",
    "alone 1 s 2 D a2": "1=D+1 2=a[D]+1 running waits=12",
    "shared R? 1 C P1": "1=- stray=C1P running announced statuses sent=1 held kept=1",
    "shared 1 T w1": "1=- stray=T running",
    "alone 1 l1 R1 2 3 E ~a": "1=- 2=[E1].+1?- 3=~a stray=E1 look@0.9 waits=3 kept=1",
    "alone R1 R+ 1": "1=- sent=1",
    "shared I ~P C": "stray=I~PC1 running answered announced statuses",
    "shared 1 2 R1 e x": "1=e!- 2=x!-",
    "alone 1 l1 n I": "1=- stray=I statuses look@0.9 ends",
    "alone 1 a3 P3": "1=aP running announced statuses waits=1",
    "alone 1 4 R? s l4 n": "1= 4= blind look@0.9 waits=1",
    "alone 1 R+ s s ~P ~I": "1= unanswered stray=~P~I ends",
    "shared ~P ~C P C": "stray=~P~C1PC2 running answered announced statuses",
    "alone 1 R+ s ~I s": "1= stray=~I look@0.9 waits=1 ends",
    "alone & 1 R? s a s": "&=a 1= blind look@0.9 waits=1",
    "alone 1 2 Q I P": "1=QI.+1- 2=QI.+1- stray=P running announced statuses",
    "alone I 1 a R+ s": "1=a stray=I statuses look@0.9 waits=1",
    "shared 1 R? R+ 2 a P": "1=aP 2=- running announced statuses sent=2 waits=1",
    "shared 1 a3 R+": "1=a look@0.9 waits=1",
    "alone 1 2 s P I s": "1=PI.+1? 2=[PI].+1? statuses ends",
    "alone 1 P C 2 C I s": "1=PC1C2I.- 2=[~C2~I].+1? statuses ends",
    "alone 1 2 a a P C I P I 3 l2 C R+ s": "1=aPC1I. 2=aPI. 3=[~C2~I].+1? stray=C2 answered statuses",
    "shared 1 P a I n R+": "1=a[PI].+1? stray=PI statuses look@0.9 ends",
    "alone ~P C 1 2 C P": "1=P+1?- 2=- stray=~PC1C2 running announced statuses sent=12 waits=1 held kept=1",
    "shared 1 2 a a P I P2 I2 n": "1=aPI. 2=a[PI]. stray=PI statuses each ends",
    "shared 1 C a 2 a": "1=[C1].+1?- 2=a stray=C1 waits=2",
    "alone 1 R1 2 a2 P2": "1=aP 2=- running announced statuses sent=2 waits=1",
    "alone 1 R? I E": "1=E1- stray=I running answered statuses sent=1 waits=1",
    "alone I 2 f s a R+ s": "2=a stray=I statuses look@0.9 waits=2",
    "shared ~P R1 ~I 1 s P": "1=P stray=~P~I running announced statuses waits=1",
    "alone 1 2 f s s ~P": "1= 2=- lost stray=~P running announced waits=1 held kept=1",
    "alone 1 2 3 a a a P I R? s": "1=aPI.+2 2=a[PI].+2? 3=a[PI].+2? statuses ends",
    "alone 1 2 I a n n": "1=a 2=- lost stray=I statuses waits=1",
    "alone 1 2 P I a": "1=PI.- 2=- statuses look@0.9 sent=2 kept=1",
    "alone 1 2 C C": "1=C1.- 2=C2.- ends",
    "alone 1 P a I 2 3 P I s": "1=PaI. 2=PI.- 3= statuses sent=2 waits=3 ends",
    "alone 1 2 Q C 3 4 C": "1=QC1.+1- 2=QC1.+1- 3=C2.- 4=- batch look@0.9 sent=4 ends kept=1",
    "alone 1 2 a a P C R? P": "1=aPC1[~I].+1? 2=aP+1? running announced statuses each waits=2",
    "alone 1 2 P1 a3 I3": "1=PaI. 2=- statuses look@0.9 sent=2 ends",
    "shared 1 2 a a P C R? P Q": "1=aPC1[~I].+1? 2=a[PC1~I].+1? stray=PQ running announced statuses batch",
    "shared 1 2 a a P R? I s 3 e": "1=aPI.+1 2=a[PI].+1? 3=e!- statuses",
    "alone 1 2 P R? C 4 C I s s": "1=PC1C2I.+1?- 2=[~C1~I].+1? 4=[~C2~I].+1? statuses ends",
    "alone 1 2 R? C C I s s": "1=C1C2I.+1?- 2=[C1C2I].+1? statuses ends",
    "alone 1 P a C I 2 3 P 4 a C I n n": "1=PaC1I. 2=PaC2I. 3=- 4=- lost statuses look@1.8 sent=3 ends",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_script_comes_to(script: str) -> None:
    assert Script(script).outcome() == SCRIPTS[script]


def test_looks_at_the_history_become_rarer() -> None:
    scripts = [Script("alone 1 a R?" + looks * " n") for looks in range(8)]
    assert [script.tracker.check_delay() for script in scripts] == [0.9, 0.9, 1.8, 3.6, 7.2, 14.4, 28.8, 30.0]


def test_so_many_posts_are_distinguished_from_other_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "_TOGETHER", 3)
    script = Script("alone 1 2 3 4 5")
    assert script.tracker._together == list(script.posts.values())[2:]


def test_a_turn_that_is_over_leaves_nothing_to_the_garbage_collector() -> None:
    def known() -> int:
        return sum(isinstance(each, (PendingPost, TurnHandle)) for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = known()
        Script("alone 1 a P C I 2 a P C I")
        assert known() == before
    finally:
        gc.enable()


# ---- reading a history -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "answer", "is_certain"),
    [
        ("uA", "A0", True),
        ("uAuA", "A0", True),
        ("uAAuA", "A1", True),
        ("uuA", "A0", False),
        ("uuAA", "A0", False),
        ("uuuAA", "A1", False),
        ("u", None, False),
        ("uu", None, False),
    ],
)
def test_the_answer_to_a_post_in_a_history(history: str, answer: str | None, is_certain: bool) -> None:
    messages = []
    for letter in history:
        at = sum(message["id"].startswith(letter) for message in messages)
        make = agent_message if letter == "A" else user_message
        messages.append(make("s1", f"{letter}{at}", f"{letter}{at}"))
    found, certain = _answer_to(messages, 0, 1)
    assert (None if found is None else found["id"], certain) == (answer, is_certain)


@pytest.mark.parametrize(
    ("history", "place", "is_balanced"),
    [
        ("uA", 2, True),
        ("u", 1, False),
        ("uuA", 3, False),
        ("uAA", 3, True),
        ("uAuAA", 5, True),
        ("uuAA", 4, False),
        ("uAuu", 2, True),
        ("uAuu", 3, False),
        ("AuA", 3, True),
        ("", 0, True),
    ],
)
def test_whether_all_posts_before_a_place_have_their_answers(history: str, place: int, is_balanced: bool) -> None:
    make = {"u": user_message, "A": agent_message}
    # A post may be marked as complete as well, and is no answer.
    messages = [make[letter]("s1", f"{letter}{at}", text_content("tea")) for at, letter in enumerate(history)]
    assert _is_balanced(messages, place) is is_balanced


@pytest.mark.parametrize(
    ("content", "is_answer"),
    [
        (text_content("tea"), True),
        (text_content("te", "Streaming"), False),
        ({"type": "error_message", "error": "no tea"}, True),
        ({"type": "tool_call", "tool_name": "boil"}, False),
        ("Complete", False),
        (None, False),
    ],
)
def test_what_ends_a_turn_in_a_history(content: Any, is_answer: bool) -> None:
    assert is_final({"id": "m1", "content": content}) is is_answer


def test_the_latest_message_of_a_text_is_the_latest_post_of_it() -> None:
    posts = [
        PendingPost(contents=(text,) if text else ()) for text in ("text:tea", "text:milk", "", "text:tea", "text:x")
    ]
    messages = [user_message("s1", f"u{at}", text) for at, text in enumerate(["tea", "milk", "tea", "milk", "tea"])]
    assert find_posts(messages, posts) == {posts[0]: 2, posts[1]: 3, posts[3]: 4}
    assert find_posts([agent_message("s1", "m1", "tea"), *messages[:1]], posts[:1]) == {posts[0]: 1}


@pytest.mark.parametrize(
    ("summary", "content", "is_it"),
    [
        ("text:tea", {"type": "data_type_message", "value": "tea"}, True),
        ("text:tea", {"type": "data_type_message", "value": "teas"}, False),
        ("file:menu.pdf", {"type": "file", "value": [1, {"metadata": {"names": ["a", "menu.pdf"]}}]}, True),
        ("file:menu.pdf", {"type": "file", "value": {"menu.pdf": "other.pdf"}}, False),
        ("file:menu.pdf", None, False),
        ("other:menu.pdf", {"type": "file", "value": "menu.pdf"}, False),
    ],
)
def test_whether_a_message_of_a_history_is_what_was_posted(summary: str, content: Any, is_it: bool) -> None:
    assert is_content(summary, SessionMessage.from_dict(user_message("s1", "u1", content))) is is_it
