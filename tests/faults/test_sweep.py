"""A conversation cut at every byte, both ways, by FIN and by RST: nothing lost, doubled, or hung.

Every run of the whole suite takes a sample of the offsets, another one each time; with
``SESSIONLIB_SWEEP=all`` in the environment every offset is taken.
"""

from __future__ import annotations

import os
import random
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pytest

from sessionlib import Session
from sessionlib.engine.sessions import broadcast
from sessionlib.protocol import frames
from sessionlib.testing import FaultProxy
from tests.support.conversations import FRONT, LIMIT, WAYS, Heard, Runs, Way, check, make_engine, one_session
from tests.support.script_engine import Connection, Received, ScriptEngine
from tests.support.sessions import new_session
from tests.support.turns import agent_message, text_content, turn, user_message
from tests.support.ws_bytes import text_frame

SAMPLE = 24
"""Offsets for each way, direction and kind of cut, when not all are taken."""

# Read here, because a test does not see our variables.
ALL = os.environ.get("SESSIONLIB_SWEEP") == "all"


@dataclass
class Stage:
    """An engine behind a proxy, and an agent on it."""

    proxy: FaultProxy
    agent_id: str
    runs: Runs

    def hold(self, way: Way) -> Heard:
        """Holds the conversation in a session of its own."""
        self.runs.count = 0
        session = Session(
            owner_type="agent", owner_id=self.agent_id, api_key="k", ws_url=self.proxy.ws_url, reconnect_delay=0.005
        )
        heard = one_session(session, way)
        check(heard, self.runs.count)
        return heard


@pytest.fixture
def stage(seed: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    # An engine that is held up for a quarter of a second would give up on what was said on the lost link: a post
    # is told to be unknown then, as it should be, and is handled all the same.
    monkeypatch.setattr(broadcast, "_SETTLE_SECONDS", 10.0)
    engine, runs = make_engine()
    with engine:
        agent_id = engine.agent().id
        with FaultProxy("127.0.0.1", engine.port, host=FRONT, port=engine.port, seed=seed) as proxy:
            yield Stage(proxy, agent_id, runs)


def offsets(total: int, rng: random.Random) -> list[int]:
    """Gives where to cut: everywhere, or so many places drawn evenly over the whole."""
    if ALL:
        return list(range(total + 1))
    width = total / SAMPLE
    return sorted({int(rng.uniform(at * width, (at + 1) * width)) for at in range(SAMPLE)})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.timeout(7200 if ALL else 600)
def test_a_cut_at_any_byte_loses_and_doubles_nothing(
    stage: Stage, way: Way, how: Literal["FIN", "RST"], seed: int
) -> None:
    stage.hold(way)
    lengths = {"upstream": stage.proxy.bytes_up, "downstream": stage.proxy.bytes_down}
    failed = []
    for name, total in lengths.items():
        direction = getattr(stage.proxy, name)
        for offset in offsets(total, random.Random(f"{seed}/{name}/{how}/{way.__name__}")):
            direction.limit_data(offset, how, times=1)
            try:
                stage.hold(way)
            except Exception:
                failed.append(f"{name} cut at byte {offset} by {how}:\n{traceback.format_exc()}")
            direction.clear()
    print(f"{sum(len(offsets(total, random.Random())) for total in lengths.values())} offsets")
    assert not failed, f"{len(failed)} offsets failed; the first:\n{failed[0]}"


def test_an_answer_in_one_write_is_whole_wherever_that_ends(engine: ScriptEngine, seed: int) -> None:
    pieces = [f"{number} " for number in range(40)]
    whole = "".join(pieces)
    data = b"".join(map(text_frame, turn(pieces=pieces, ack="post_message")))
    end = len(data)

    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        engine.history = [user_message("s1", "u1", frame["content"]), agent_message("s1", "m1", text_content(whole))]
        conn.send_raw(data[:end])
        conn.drop()

    @engine.on("get_messages")
    def history(conn: Connection, frame: Received) -> None:
        conn.send_many([frames.history("s1", engine.history), frames.participant_status("s1", "Idle")])

    for end in offsets(len(data), random.Random(f"{seed}/burst")):
        engine.history = []
        with new_session(engine, reconnect_delay=0.001) as session:
            events = list(session.stream("go", timeout=LIMIT))
        # A message of which nothing came before the cut comes complete, with no deltas.
        assert "".join(event.delta or "" for event in events) in (whole, ""), end
        assert [event.text for event in events if event.is_complete] == [whole], end
        assert not [event for event in events if event.error], end


def test_the_proxy_really_cuts(stage: Stage) -> None:
    stage.proxy.downstream.limit_data(stage.proxy.bytes_down + 3000, "RST", times=1)
    stage.hold(WAYS[0])
    assert len(stage.proxy.connections) == 2
