"""Seeing inside: what a session counts."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from sessionlib import SessionEventType, SessionState
from sessionlib.protocol import frames
from sessionlib.streams.stats import TURNS, QueueStats, RoundTrips, TurnStats
from sessionlib.testing import FaultProxy
from tests.support.script_engine import ScriptEngine, turn
from tests.support.secrets import SENTINEL_KEY
from tests.support.sessions import new_session, numbered_deltas, opened, resumed_session
from tests.support.waiting import eventually

Type = SessionEventType


@pytest.fixture
def answering(engine: ScriptEngine) -> ScriptEngine:
    """An engine that answers every message."""
    engine.on("post_message", lambda conn, frame: conn.send_many(turn()))
    return engine


# ---- numbers -------------------------------------------------------------------------------


def test_nothing_has_happened_before_it_was_connected(engine: ScriptEngine) -> None:
    stats = resumed_session(engine).stats
    assert (stats.messages_in, stats.bytes_out, stats.queues, stats.turns) == (0, 0, (), ())
    assert stats.round_trips == RoundTrips()


def test_messages_and_bytes_are_counted_both_ways(answering: ScriptEngine) -> None:
    with opened(answering) as session:
        session.ask("Hello!")
        stats = session.stats
        connection = answering.latest
    received = [frame for frame in answering.received if frame["type"] in ("connect_session", "post_message")]
    assert stats.messages_out == len(received) == 2
    assert stats.messages_in == 1 + len(turn())
    assert stats.events == len(turn())
    assert 0 < stats.bytes_in <= connection.bytes_sent
    assert stats.bytes_out == sum(frame.size for frame in received)


def test_files_are_counted_as_they_leave(answering: ScriptEngine) -> None:
    answering.on("post_messages", lambda conn, frame: conn.send_many(turn(ack="post_messages")))
    with opened(answering) as session:
        session.ask("Hello!", files=[b"x" * 900_000])
        assert 1_200_000 < session.stats.bytes_out < 1_300_000


def test_turns_tell_how_long_they_took(engine: ScriptEngine) -> None:
    looked = threading.Event()

    @engine.on("post_message")
    def answer(conn: Any, frame: Any) -> None:
        ack, processing, *rest = turn()
        conn.send_many([ack, processing])
        assert looked.wait(30)
        conn.sleep(0.05)
        conn.send(rest[0])
        # However late it is heard, the rest comes so much later.
        assert eventually(lambda: session.stats.turns[-1].first_delta is not None)
        conn.sleep(0.05)
        conn.send_many(rest[1:])

    with opened(engine) as session:
        running = session.stream("Hello!")
        assert session.stats.turns == (TurnStats(),)
        looked.set()
        running.result(30)
        (told,) = session.stats.turns
        session.send("To be heard by a listener")
        assert eventually(lambda: session.stats.turns[-1].duration is not None)
        assert len(session.stats.turns) == 2
    assert 0.05 <= told.first_delta < told.duration
    assert told.duration >= 0.1


def test_only_the_latest_turns_are_remembered(answering: ScriptEngine) -> None:
    with opened(answering) as session:
        for _ in range(TURNS + 5):
            session.ask("Hello!")
        assert len(session.stats.turns) == TURNS


def test_a_post_that_is_refused_or_answers_is_no_turn_that_runs(engine: ScriptEngine) -> None:
    engine.on("post_message", lambda conn, frame: conn.send(frames.refusal("post_message", "s1", "no")))
    with opened(engine) as session:
        session.send("Hello!")
        assert eventually(lambda: all(turn.duration is not None for turn in session.stats.turns))


def test_round_trips_are_those_of_posts_and_pings(engine: ScriptEngine) -> None:
    @engine.on("ping_session")
    def answer(conn: Any, frame: Any) -> None:
        conn.sleep(0.02)
        conn.send(frames.pong("s1"))

    # More seldom than they are answered: of a queue of pings the oldest are forgotten, and the others seem younger.
    with resumed_session(engine, ping_interval=0.1) as session:
        assert eventually(lambda: session.stats.round_trips.count >= 3)
        trips = session.stats.round_trips
    assert 0.02 <= trips.shortest <= trips.mean <= trips.longest
    assert trips.last is not None


def test_queues_tell_how_full_they_are_and_were_and_what_they_lost(engine: ScriptEngine) -> None:
    with opened(engine) as session:
        with session.listen(maxsize=10) as events, session.listen() as others:
            engine.push_many(numbered_deltas(25))
            assert eventually(lambda: session.stats.queues[1].waiting == 25)
            for _ in range(5):
                next(events)
            stats = session.stats
            assert stats.queues == (QueueStats(6, 11, 10, 15), QueueStats(25, 25, 1024, 0))
            assert stats.dropped == 15
            list(zip(range(25), others, strict=False))
        assert session.stats.dropped == 15  # also when the one that lost them is closed
        assert session.stats.queues == ()
        engine.push_many(numbered_deltas(3))
        assert eventually(lambda: session.stats.backlog.waiting >= 3)


def test_links_that_were_opened_again_are_counted(engine: ScriptEngine) -> None:
    with (
        FaultProxy("127.0.0.1", engine.port) as proxy,
        resumed_session(engine, reconnect_delay=0.01) as direct,
    ):
        session = new_session(engine, reconnect_delay=0.01)
        session._endpoint = type(session._endpoint)(proxy.base_url, proxy.ws_url, SENTINEL_KEY)
        with session:
            for count in (1, 2):
                proxy.reset()
                assert eventually(lambda: session.stats.reconnects == count)  # noqa: B023
                assert eventually(lambda: session.state is SessionState.CONNECTED)
        assert direct.stats.reconnects == 0
