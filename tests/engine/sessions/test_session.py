"""Turns behind turns: posts that arrive while one ends, and clients that come meanwhile."""

from __future__ import annotations

from sessionlib.engine import Limits, LocalEngine
from sessionlib.protocol import frames
from tests.support.engine import Caller


def test_a_post_at_the_end_of_a_turn_gets_its_turn(caller: Caller) -> None:
    for number in range(300):
        assert caller.ask(f"{number}")[0]["success"]


def test_who_joins_between_two_turns_does_not_take_the_session_for_idle() -> None:
    count = 150
    limits = Limits(frame_burst=1_000_000)  # it asks as fast as it can
    with LocalEngine(limits=limits, batching=False) as engine, Caller.on(engine) as caller:
        for number in range(count):
            caller.say(frames.post_message(caller.session_id, f"message {number}"))
        for _ in range(count):
            caller.until_type("post_message")
        with Caller.on(engine, session_id=caller.session_id) as other:
            joined = other.joined
            while joined["status"] != "Idle":
                other.say(frames.connect_session(caller.session_id))
                joined = other.until_type("connect_session")
            history = other.history()
        assert len([message for message in history if message["sender"].get("object_id")]) == count
