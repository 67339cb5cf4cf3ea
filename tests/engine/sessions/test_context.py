"""The conversation that a model is given."""

from __future__ import annotations

import contextlib

from sessionlib.engine.limits import Limits
from sessionlib.engine.sessions.context import recall
from sessionlib.engine.store import Store


def test_a_turn_of_a_session_that_was_just_terminated_has_no_conversation() -> None:
    with contextlib.closing(Store()) as store:
        session_id = store.sessions.add("agent", "a1")
        content = {"type": "data_type_message", "value": "Hello"}
        turn = store.sessions.post(session_id, {"user_id": "u1"}, [content], (), quota=1000).turn
        assert [message.text for message in recall(store, turn, Limits()).messages] == ["Hello"]
        store.sessions.terminate(session_id)
        assert recall(store, turn, Limits()).messages == ()
