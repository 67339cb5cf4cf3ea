"""What is delivered, and what a history adds after a lost connection."""

from __future__ import annotations

from typing import Any

import pytest

from sessionlib import SessionEvent
from sessionlib.events import SessionEventType
from sessionlib.protocol import frames, recovery
from sessionlib.protocol.parser import Run, parse_event
from sessionlib.protocol.recovery import PendingPosts, RecoveryTracker
from sessionlib.protocol.turns import PendingPost
from tests.support.script_engine import agent_message, notification, text_content, user_message

_CONTENTS: dict[str, Any] = {
    "E": {"type": "error_message", "error": "no"},
    "T": {"type": "thinking", "content": "hm"},
    "Q": {"type": "tool_call_approval", "tool_name": "refund"},
    "Q?": {"type": "tool_call_approval", "tool_name": "refund", "status": "pending"},
    "Q!": {"type": "tool_call_approval", "tool_name": "refund", "status": "approved"},
    "t": {"type": "tool_call", "tool_name": "refund"},
}


def _content_of(body: str) -> dict[str, Any]:
    if body[0] in "=~":
        return text_content(body[1:], "Complete" if body[0] == "=" else "Streaming")
    if body in _CONTENTS:
        return dict(_CONTENTS[body])
    index = None if body == "Tn" else int(body[1:])
    return {"type": "reasoning", "value": "h", "status": "Streaming", "index": index}


def _event_of(item: str) -> SessionEvent:
    message_id, body = item[:1].replace("6", "66666"), item[1:]
    if item == "p":
        frame = frames.ack("post_message", "s1")
    elif body[0] == ":":
        index = None if body == ":n" else int(body[1:])
        frame = frames.message_delta("s1", message_id, 0, "x" if index is None else "abcdefgh"[index])
        frame["index"] = index
    else:
        frame = notification("s1", message_id, _content_of(body))
    event = parse_event(frame, "s1")
    assert event is not None
    return event


def _shown(event: SessionEvent) -> str:
    data, kind = event.data, SessionEventType
    shown = {
        kind.MESSAGE_DELTA: f":{event.delta}",
        kind.MESSAGE_COMPLETE: f"={event.text}",
        kind.MESSAGE_STREAMING: "~",
        kind.THINKING: f"T{data.get('index', '')}",
        kind.APPROVAL_REQUEST: "Q",
        kind.TOOL_CALL: "t",
        kind.ERROR: "gap" if event.error == "gap" else "E",
        kind.MESSAGE_POSTED: "p" + "!" * (not data.get("success", True)),
        kind.MESSAGES_POSTED: "pp" + "!" * (not data.get("success", True)),
        kind.PARTICIPANT_STATUS: str(data.get("status"))[:1],
    }[event.type]
    return "~" * bool(data.get("recovered")) + (event.message_id or "")[:1] + shown


def _runs_of(events: list[SessionEvent]) -> list[Run]:
    runs: list[Run] = []
    for at, event in enumerate(events):
        index = event.data.get("index") if event.delta is not None else None
        if isinstance(index, int) and event.message_id is not None:
            length = len(event.delta or "")
            last = runs[-1] if runs else None
            if last is not None and last[1:4] == (at, event.message_id, index):
                runs[-1] = Run(last.start, at + 1, event.message_id, index + 1, last.length + length)
            else:
                runs.append(Run(at, at + 1, event.message_id, index + 1, length))
    return runs


def _caught_up(tracker: RecoveryTracker, step: str) -> str:
    items, _, flags = step.partition(";")
    history: list[Any] = []
    for item in filter(None, items.split(",")):
        message_id = item[0].replace("6", "66666")
        is_ours = item[0] == "u"
        history.append(
            user_message("s1", item, item[1:]) if is_ours else agent_message("s1", message_id, _content_of(item[1:]))
        )
    posts = {name: PendingPost(contents=(f"text:{name}",)) for name in "ab"}
    posts["c"] = PendingPost(contents=("text:c", "text:d"))
    posts["B"] = PendingPost(contents=("text:b",))
    posts["B"].first = _event_of("1t")
    pending = PendingPosts(
        acknowledged=[posts[name] for name in "aB" if name in flags],
        unacknowledged=[posts[name] for name in "bc" if name in flags],
        running="R" in flags,
        is_idle=True if "I" in flags else False if "W" in flags else None,
        is_quiet="Q" in flags,
        live=frozenset(filter(str.isdigit, flags)),
        answered="A" in flags,
    )
    missed = tracker.catch_up(["no message", *history], pending)
    tracker.note(missed.events)
    return f"[{' '.join([*map(_shown, missed.events), *('found' for _ in missed.found)])}]"


def outcome(script: str) -> str:
    """What a script comes to: what each step of it delivers.

    It begins with whether the session is new or old. A step is a read, of events with a ``+`` between; with a ``*``,
    their runs are known. The first letter of an event is its message, the rest ``:0`` a delta of an index, ``:n`` of
    none, ``=tea`` a complete text, ``~`` one that is not, E an error, T a thought, T0 a part of one, t a tool call,
    Q a request, ``Q?`` and ``Q!`` one that is pending and answered; p is an ack. ``!`` is a lost connection, ``[`` a
    look at the history: its messages, ``ua`` our post a; behind the semicolon our posts with an ack, a and B, whose
    turn has begun, and without one, b and c, a batch; R(unning), A(nswered), I(dle), W(orking), Q(uiet), and the
    messages that came since. Behind the bar, how many characters of ids are kept.
    """
    age, *steps = script.split()
    tracker = RecoveryTracker("s1", from_start=age == "new")
    shown = []
    for step in steps:
        if step == "!":
            tracker.interrupt()
        elif step[0] == "[":
            shown.append(_caught_up(tracker, step[1:]))
        else:
            events = [_event_of(item) for item in step.rstrip("*").split("+")]
            passed = tracker.filter(list(events), _runs_of(events) if step.endswith("*") else ())
            shown.append("ok" if passed == events else f"({' '.join(map(_shown, passed))})")
    return " ".join([*shown, f"|{tracker._chars}"])


SCRIPTS = {
    # A thought that was broken off comes whole from the history, once, and no part of it behind that.
    "new 0=before 1T0 1T1 ! [0=before,1T;R [0=before,1T;R 1T2 1T3 1T": "ok ok ok [~1T] [] () () () |2",
    # Parts of a thought leave no hole before the whole, whatever the engine repeats of it.
    "new 0=before 1T0 1T1 ! [0=before;R 1T2 1T3 1T": "ok ok ok [] ok ok ok |2",
    "new 0=before 1T0 1T1 ! [0=before;R 1T3 1T": "ok ok ok [] () ok |2",
    "new 0=before 1T0 1T1 ! [0=before;R 1T0 1T1 1T2 1T3 1T": "ok ok ok [] () () ok ok ok |2",
    # One that began while there was no connection is left to its whole; one that was delivered whole is not repeated.
    "new 0=before ! [0=before;R 1T2 1T3 1T": "ok [] () () ok |2",
    "new 0=before 1T0 1T ! [0=before,1T;R": "ok ok ok [] |2",
    # A message that is not finished is left to its whole.
    "new 0=before ! [0=before,1~hal;R 1=half": "ok [] ok |2",
    # And what conversations at random came to.
    "new 6:2+6:4+1=a+6:3": "(6:c 1=a 6:d) |5",
    "new [1Q?,1=a,ub,0E;aRI": "[~1Q ~1=a ~I ~P ~0E ~I] |2",
    "old 1:n+1:2+1:2+1=": "(1:x 1:c 1:c gap 1=) |1",
    "new ! 1:1+1=a+1:2": "(~1:a 1=a) |1",
    "old [uc;BRI": "[gap gap ~I] |0",
    "new [ub,3=abc,3=a;ab": "[~p ~P ~3=abc ~I ~P ~3=a found] |1",
    "new 1:0+2Q*": "ok |2",
    "old 1:1+1:1+1:2+1:3+1:4+1=abcdef* 1:-1+1:1+1:0+1:0*": "(1:b 1:b 1:c 1:d 1:e gap 1=abcdef) (1:h 1:a 1:b 1:a) |1",
    "new 1:1+1:2+1=abc* 1:2+1:2+1:3+1=a": "(1:b 1:c gap 1=abc) (1:c 1:d gap 1=a) |1",
    "old 1:4 ! 1=+1=a+1:0": "ok (gap 1=) |1",
    "new 1:0+1:1+1:2+1:2+1=abcd": "(1:a 1:b 1:c ~1:d 1=abcd) |1",
    "new 6:2+1=a [ub,6=a,6=abcd;B": "ok [gap ~P ~6=a ~6=abcd] |5",
    "new ! 3Q+3:0+1T0": "ok |2",
    "old ! 1:1 [2t,ua,1T;aI": "() [~P ~1T gap ~I] |1",
    "new 1:-1 1:3+1=ab+1=a+1:4+1:-2": "ok (~1:b 1=ab 1=a 1:e) |1",
    "old 1E+1:3* ! 1t+1=": "ok (1t) |1",
    "old 1:0 1:0 1:0 p 1:2 1=abcde+1:3+1=ab": "ok ok ok ok () (gap 1=abcde 1:d gap 1=ab) |1",
    "new [;BRAQ": "[] |0",
    "new 1:0 1:2 1:3 1:1+1:3 1=a+2:1 ! [2Q; 2Q": "ok () () (1:b 1:c 1:d) (gap 1=a 2:b) [~P ~2Q] () |2",
    "new 1:0 1:1 1:2 1:2 1=abcd": "ok ok ok () (~1:d 1=abcd) |1",
    "new 1:0+1=a ! 1=a": "ok () |1",
    "new ! 1Tn+1:0 1:1+1:2 1:2+1:3": "ok ok (1:d) |1",
    "old 1:2+1T1+1:3* 1:2": "ok ok |1",
    "old 1:1 1:2+1:-2+1=": "ok (1:c 1:g gap 1=) |1",
    "new [2=a,0=abc;aQW": "[~P ~2=a ~0=abc] |2",
    "new 1:1 1:3 p": "ok () ok |1",
    "old 1=a ! 1E": "ok () |1",
    "new 1:0+1:1+1:0+1:-1+1:-2": "ok |1",
    "new 1T0 2=a 3=a 4=a 5=a 1~ab ! 1:0 1:2+1:4+1:5+1:6 1:1 1:3+1T1": (
        "ok ok ok ok ok ok ok () (1:b 1:c) (1:d 1:e 1:f) |4"
    ),
    "new ! [1Q; 2t 3t 4t 5t 1E": "[~P ~1Q] ok ok ok ok ok |4",
    "old 1:4+1=ab": "ok |1",
    "old 1T0 ! 1:0 1:1+1:1 1T2": "ok ok (1:b) () |1",
    "old 1:0 1:3 1:2+1:3+1:4 1:1": "ok () () (1:b 1:c 1:d 1:e) |1",
    "old ! 1:0+1:-1": "ok |1",
    "old 1:0+1:2 ! 1:1": "(1:a) ok |1",
    "new [uc,uc;c": "[~pp found] |0",
    "new 1:1 1:0+1:4+1=a 1:4+1=ab 1:1+1=*": "ok (1:a gap 1=a) (1:e gap 1=ab) (1:b gap 1=) |1",
    "new 6:1+6:n ! 6:-2 6:2": "ok () () |5",
    "old 2t 3t 4t 5t ! 2:n 1=a [3E,2=a;": "ok ok ok ok () ok [~P ~2=a] |4",
    "old 1:0 ! [1Q; 1Q 1Q": "ok [~P ~1Q] () ok |1",
    "new p+1:2": "ok |1",
    "new 1:0 1:2 1:3 1:2+1:3+1:4 1:n 1:3": "ok () () () ok ok |1",
    "new [1Q; ! 1Q": "[~P ~1Q] ok |1",
    "new 1:0 1:2 1:3 1:1 2:0 2:2 2:3 2:4 2:1": "ok () () (1:b 1:c 1:d) ok () () () (2:b 2:c 2:d 2:e) |2",
    "new 1:2+2:1+2=a+1:3+1:3": "(1:c 2:b 2=a 1:d) |2",
    "old 2:2+2:3+2=a 2:3": "ok ok |1",
    "old 1:1+2:3+2=ab": "(1:b 2:d gap 2=ab) |2",
    "new 1:0 ! 1=a": "ok ok |1",
    "old 1:2 1E+1:3+1:2": "ok ok |1",
}


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has few messages remembered, of few characters, and few deltas kept that came too early."""
    for name, bound in (("_REMEMBERED", 4), ("_REMEMBERED_CHARS", 4), ("_EARLY", 3), ("_EARLY_CHARS", 4)):
        monkeypatch.setattr(recovery, name, bound)


@pytest.mark.usefixtures("small_bounds")
@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_script_comes_to(script: str) -> None:
    assert outcome(script) == SCRIPTS[script]


@pytest.mark.usefixtures("small_bounds")
def test_nothing_is_kept_of_messages_that_are_long_over() -> None:
    tracker = RecoveryTracker("s1", from_start=True)
    for number in range(20):
        message_id = f"{number:03}"
        for body in (":2", ":0", "T0", "Q"):
            event = _event_of(f"1{body}")
            tracker.filter([SessionEvent(event.type, "s1", message_id, event.data)])
        if number % 5 == 4:
            tracker.interrupt()
        tracker.note(tracker.catch_up([agent_message("s1", f"{number:03}q", _CONTENTS["Q"])], PendingPosts()).events)
    sizes = {name: len(kept) for name, kept in vars(tracker).items() if isinstance(kept, dict | set)}
    assert max(sizes.values()) <= 4, sizes
    assert tracker._chars <= 8
