"""Reauthorisation requests: who is told of them, and on which thread."""

from __future__ import annotations

import threading

from sessionlib import Session, SessionEvent
from tests.support.script_engine import Connection, Received, ScriptEngine, notification, turn
from tests.support.secrets import SENTINEL_KEY


def test_who_iterates_over_a_turn_handles_its_reauthorisation_requests(engine: ScriptEngine) -> None:
    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        waiting = notification("s1", "m2", {"type": "reauthorization_request", "integration_name": "Mail"})
        conn.send_many(turn("s1", "m1", ["Done"], between=[waiting]))

    told: list[tuple[SessionEvent, threading.Thread]] = []
    with Session(session_id="s1", api_key=SENTINEL_KEY, ws_url=engine.ws_url) as session:
        session.on_reauth(lambda event: told.append((event, threading.current_thread())))
        events = list(session.stream("Hi"))
    requests = [event for event in events if event.type == "reauth_request"]
    assert told == [(requests[0], threading.main_thread())]
