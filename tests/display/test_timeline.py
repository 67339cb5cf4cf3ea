"""What happened in a turn and when: events in time, and the picture of it."""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib import pyplot

from sessionlib import Reply, SessionEvent, SessionEventType, SessionTimeoutError
from sessionlib.display.timeline import Span, Timeline, plot_timeline, timeline_of
from sessionlib.protocol import frames
from sessionlib.protocol.frames import Frame
from tests.support.script_engine import Connection, Received, ScriptEngine, notification, turn
from tests.support.sessions import opened
from tests.support.toolbox import status
from tests.support.waiting import eventually

Type = SessionEventType
DONE = 10.0
AWAITS = (Type.PARTICIPANT_STATUS, {"status": "AwaitingApproval"})
GOES_ON = (Type.PARTICIPANT_STATUS, {"status": "Processing"})
THINKS = (Type.THINKING, {"text": "Hm.", "status": "streaming"})


@pytest.fixture(autouse=True)
def _no_window() -> Iterator[None]:
    with mpl.rc_context({"backend": "agg"}):
        yield
        pyplot.close("all")


def happened(*told: tuple[float, Type, dict[str, Any]], message_id: str = "m1") -> Timeline:
    """The timeline of events at these times, in a turn of ten seconds."""
    events = [SessionEvent(kind, "s1", message_id, data) for _, kind, data in told]
    return timeline_of(events, [at for at, _, _ in told], DONE)


def call(number: int, name: str = "refund") -> dict[str, Any]:
    return {"tool_name": name, "tool_call_id": str(number)}


def spans(timeline: Timeline, kind: str) -> list[tuple[float, float]]:
    return [(span.start, span.end) for span in timeline.spans if span.kind == kind]


# ---- what happened -------------------------------------------------------------------------


def test_text_is_from_its_first_piece_to_its_end() -> None:
    timeline = happened(
        (1.0, Type.MESSAGE_DELTA, {"delta": "a"}),
        (2.0, Type.MESSAGE_DELTA, {"delta": "b"}),
        (9.0, Type.MESSAGE_COMPLETE, {"text": "ab"}),
        (10.0, Type.PARTICIPANT_STATUS, {"status": "Idle"}),
    )
    assert timeline.deltas == [1.0, 2.0]
    assert timeline.spans == [Span("waiting", "", 0.0, 1.0), Span("text", "", 1.0, 9.0), Span("waiting", "", 9.0, 10.0)]


def test_a_call_is_from_the_first_to_the_last_that_is_told_of_it() -> None:
    timeline = happened(
        (1.0, Type.TOOL_CALL, call(1)),
        (2.0, Type.TOOL_CALL, call(2, "search")),
        (4.0, Type.TOOL_RESULT, call(1)),
        (5.0, Type.TOOL_RESULT, call(2, "search")),
    )
    assert [span for span in timeline.spans if span.kind == "tool"] == [
        Span("tool", "refund", 1.0, 4.0),
        Span("tool", "search", 2.0, 5.0),
    ]
    assert spans(timeline, "waiting") == [(0.0, 1.0), (5.0, 10.0)]


@pytest.mark.parametrize(
    ("kind", "told", "expected"),
    [
        ("tool", [(1.0, Type.TOOL_CALL, {"tool_name": "x"}), (3.0, Type.MESSAGE_DELTA, {"delta": "a"})], (1.0, 3.0)),
        ("tool", [(1.0, Type.TOOL_CALL, call(1))], (1.0, DONE)),
        ("approval", [(1.0, Type.APPROVAL_REQUEST, {"tool_name": "x"}), (1.0, *AWAITS), (4.0, *GOES_ON)], (1.0, 4.0)),
        ("authorisation", [(1.0, Type.REAUTH_REQUEST, {})], (1.0, DONE)),
        ("thinking", [(1.0, Type.THINKING, {"text": "Hm."}), (3.0, Type.ERROR, {"error": "gap"})], (1.0, 3.0)),
        (
            "thinking",  # one thought
            [(1.0, *THINKS), (1.5, *THINKS), (2.0, Type.THINKING, {"content": "Hm."}), (3.0, Type.ERROR, {})],
            (1.0, 3.0),
        ),
        ("waiting", [], (0.0, DONE)),
    ],
)
def test_what_is_told_of_once_is_over_when_the_turn_goes_on(
    kind: str, told: list[Any], expected: tuple[float, float]
) -> None:
    timeline = happened(*told)
    assert spans(timeline, kind) == [expected]
    assert timeline.errors == [at for at, what, _ in told if what is Type.ERROR]


def test_nothing_happened() -> None:
    assert timeline_of([], [], 0.0) == Timeline(0.0)


def test_each_of_two_approvals_lasts_until_its_own_answer() -> None:
    timeline = happened(
        (1.0, Type.APPROVAL_REQUEST, call(1)),
        (1.5, Type.APPROVAL_REQUEST, call(2, "delete")),
        (1.5, *AWAITS),
        (3.0, *GOES_ON),
        (3.0, Type.TOOL_CALL, call(1)),
        (4.0, Type.TOOL_RESULT, call(1)),
        (6.0, Type.TOOL_RESULT, call(2, "delete")),
    )
    assert spans(timeline, "approval") == [(1.0, 3.0), (1.5, 6.0)]
    assert [span.name for span in timeline.spans if span.kind == "approval"] == ["refund", "delete"]


# ---- when events came ----------------------------------------------------------------------


def test_events_have_the_time_at_which_they_came_and_not_that_at_which_they_were_read(engine: ScriptEngine) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_many(turn(pieces=["a", "b", "c"])))
    with opened(engine) as session:
        began = time.monotonic()
        unread = session.stream("Hi")
        assert eventually(lambda: "7 events waiting" in repr(session))
        all_there = time.monotonic() - began
        reply = unread.result()
    assert len(reply.times) == len(reply.events) == 6
    assert reply.times == sorted(reply.times)
    assert 0 <= reply.times[0] <= reply.times[-1] <= all_there
    assert reply.first_delta == reply.times[1]


def test_a_turn_that_was_left_and_read_again_has_all_times(engine: ScriptEngine) -> None:
    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        first, last = turn()[:3], turn()[3:]
        conn.send_many(first)
        engine.wait_for("get_messages", 1)
        conn.send_many(last)

    with opened(engine) as session:
        unread = session.stream("Hi", timeout=0.2)
        assert eventually(lambda: "3 events waiting" in repr(session))
        with pytest.raises(SessionTimeoutError):
            unread.result()
        left = time.monotonic() - unread.arrivals.began
        session.get_messages()
        reply = unread.result(timeout=10)
    assert len(reply.times) == len(reply.events) == 5
    assert reply.times == sorted(reply.times)
    assert reply.times[1] < left < reply.times[2]


def test_a_reply_from_elsewhere_has_no_times(engine: ScriptEngine) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_many(turn()))
    with opened(engine) as session:
        reply = session.ask("Hi")
        engine.on("post_message", lambda conn, frame: conn.send_many(turn(pieces=[])))
        whole = session.ask("Hi")
    assert (whole.first_delta, len(whole.times)) == (None, 3)
    for same in (pickle.loads(pickle.dumps(reply)), copy.deepcopy(reply)):
        assert same == reply
        assert same.times == reply.times != []
    told = Reply.from_json(reply.to_json())
    assert (told, told.times, told.first_delta) == (reply, [], None)
    with pytest.raises(ValueError, match="it is not known when the events of this reply came"):
        told.plot()
    assert "arrivals" not in reply.to_json()


# ---- the picture ---------------------------------------------------------------------------


def rows(ax: Any) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def test_a_picture_of_a_turn(engine: ScriptEngine, tmp_path: Path) -> None:
    def told(message_id: str, kind: str) -> Frame:
        return notification("s1", message_id, {"type": kind, **call(1)})

    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        if isinstance(frame["content"], str):
            conn.send_many([*turn()[:2], told("m2", "tool_call_approval"), status("AwaitingApproval")])
        else:
            ran = [told("m3", "tool_call"), told("m3", "tool_result")]
            conn.send_many([frames.ack("post_message", "s1"), status("Processing"), *ran, *turn()[2:]])

    with opened(engine) as session:
        reply = session.ask("Hi", on_approval=lambda request: True)
    ax = reply.plot()
    assert {"approval: refund", "tool: refund", "text"} <= set(rows(ax))
    unit = "ms" if reply.duration < 1 else "s"
    assert ax.get_xlabel() == f"time since the message was sent ({unit})"
    assert "2 deltas" in ax.get_title()
    ax.figure.savefig(tmp_path / "turn.png")
    assert (tmp_path / "turn.png").stat().st_size > 5000
    assert reply.plot(ax) is ax


def test_kinds_are_told_apart_without_colours() -> None:
    ax = plot_timeline(timeline_of([], [], 0.0))
    assert ax.get_title() == "A turn of 0 ms, 0 deltas"
    timeline = happened(
        (1.0, Type.THINKING, {}),
        (2.0, Type.APPROVAL_REQUEST, call(1)),
        (4.0, Type.TOOL_CALL, call(1)),
        (5.0, Type.TOOL_RESULT, call(1)),
        (6.0, Type.MESSAGE_DELTA, {"delta": "a"}),
        (8.0, Type.MESSAGE_DELTA, {"delta": "b"}),
        (9.0, Type.ERROR, {"error": "gap"}),
    )
    ax = plot_timeline(timeline)
    assert rows(ax) == ["thinking", "approval: refund", "tool: refund", "text", "waiting"]
    assert {"..", "xx", "//"} <= {patch.get_hatch() for patch in ax.patches}
    assert {" 2 s", " error"} <= {text.get_text() for text in ax.texts}
    assert ax.get_xlabel() == "time since the message was sent (s)"
    assert ax.get_xlim()[1] > DONE


def test_events_too_short_to_be_seen_are_drawn_wide_enough_and_with_their_time() -> None:
    timeline = happened(
        (1.0, Type.THINKING, {}),
        (1.001, Type.TOOL_CALL, call(1)),
        (1.002, Type.TOOL_RESULT, call(1)),
        (6.0, Type.MESSAGE_DELTA, {"delta": "a"}),
    )
    ax = plot_timeline(timeline)
    assert min(patch.get_width() for patch in ax.patches) >= 0.005 * DONE  # type: ignore[attr-defined]
    assert {" 1 ms", " 0 ms"} <= {text.get_text() for text in ax.texts}


def test_lanes_are_in_the_order_in_which_they_begin() -> None:
    timeline = happened(
        (1.0, Type.MESSAGE_DELTA, {"delta": "a"}),
        (2.0, Type.TOOL_CALL, call(2, "search")),
        (3.0, Type.TOOL_RESULT, call(2, "search")),
        (4.0, Type.THINKING, {}),
        (5.0, Type.TOOL_CALL, call(1)),
        (6.0, Type.MESSAGE_DELTA, {"delta": "b"}),
    )
    assert rows(plot_timeline(timeline)) == ["text", "tool: search", "thinking", "tool: refund", "waiting"]
