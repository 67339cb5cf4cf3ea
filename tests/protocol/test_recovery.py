"""What is delivered, and what a history adds after a lost connection."""

from __future__ import annotations

from typing import Any

import pytest

from sessionlib import SessionEvent
from sessionlib.events import SessionEventType
from sessionlib.protocol.parser import parse_event
from sessionlib.protocol.recovery import PendingPosts, RecoveryTracker
from tests.support.script_engine import agent_message, notification, text_content

WHOLE = {"type": "thinking", "content": "Let me see it.", "summary": "Let me see it."}
PARTS = ["Let ", "me ", "see ", "it."]


def part(index: int) -> SessionEvent:
    content = {"type": "reasoning", "value": PARTS[index], "status": "Streaming", "index": index}
    event = parse_event(notification("s1", "t1", content), "s1")
    assert event is not None
    return event


def whole() -> SessionEvent:
    event = parse_event(notification("s1", "t1", WHOLE), "s1")
    assert event is not None
    return event


def texts(events: list[SessionEvent]) -> list[Any]:
    assert all(event.type is SessionEventType.THINKING for event in events)
    return [event.data.get("text") or event.data["content"] for event in events]


def missed(tracker: RecoveryTracker, *history: dict[str, Any]) -> list[SessionEvent]:
    """What a history adds, but statuses; noted as delivered."""
    found = tracker.catch_up([agent_message("s1", "a0", "before"), *history], PendingPosts(running=True)).events
    tracker.note(found)
    return [event for event in found if event.participant_status is None]


def following() -> RecoveryTracker:
    tracker = RecoveryTracker("s1", from_start=True)
    before = parse_event(notification("s1", "a0", text_content("before")), "s1")
    assert before is not None
    tracker.filter([before])
    return tracker


def thinking(tracker: RecoveryTracker, *numbers: int) -> list[Any]:
    return texts(tracker.filter([part(number) for number in numbers]))


def test_a_thought_that_was_broken_off_comes_whole_from_the_history() -> None:
    tracker = following()
    assert thinking(tracker, 0, 1) == PARTS[:2]
    tracker.interrupt()
    thought = {"id": "t1", "session_id": "s1", "sender": {}, "content": WHOLE}
    assert texts(missed(tracker, thought)) == [WHOLE["content"]]
    assert missed(tracker, thought) == []  # once
    assert thinking(tracker, 2, 3) == []
    assert tracker.filter([whole()]) == []


@pytest.mark.parametrize(("after", "delivered"), [((2, 3), PARTS[2:]), ((3,), []), ((0, 1, 2, 3), PARTS[2:])])
def test_parts_of_a_thought_leave_no_hole_before_the_whole(after: tuple[int, ...], delivered: list[str]) -> None:
    tracker = following()
    thinking(tracker, 0, 1)
    tracker.interrupt()
    assert missed(tracker) == []
    assert thinking(tracker, *after) == delivered
    assert texts(tracker.filter([whole()])) == [WHOLE["content"]]


def test_a_thought_that_began_while_there_was_no_connection_is_left_to_its_whole() -> None:
    tracker = following()
    tracker.interrupt()
    assert missed(tracker) == []
    assert thinking(tracker, 2, 3) == []
    assert texts(tracker.filter([whole()])) == [WHOLE["content"]]


def test_a_thought_that_was_delivered_whole_is_not_repeated() -> None:
    tracker = following()
    assert len(tracker.filter([part(0), whole()])) == 2
    tracker.interrupt()
    assert missed(tracker, {"id": "t1", "session_id": "s1", "sender": {}, "content": WHOLE}) == []


def test_a_message_that_is_not_finished_is_left_to_its_whole() -> None:
    tracker = following()
    tracker.interrupt()
    begun = {**text_content("hal"), "status": "Streaming"}
    assert missed(tracker, {**agent_message("s1", "m1", ""), "content": begun}) == []
    finished = parse_event(notification("s1", "m1", text_content("half")), "s1")
    assert finished is not None
    assert [event.text for event in tracker.filter([finished]) if event.is_complete] == ["half"]
