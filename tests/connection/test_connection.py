"""What a connection does by itself, on a clock that a test moves: looks at the history, beats, and leaving."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sessionlib import Session, Turn
from sessionlib._util.timing import Deadline
from sessionlib.connection.connection import Connection
from sessionlib.errors import SessionDisconnectedError, UnansweredError
from sessionlib.protocol import frames
from tests.support.virtual_engine import VirtualEngine, VirtualManners, VirtualNetwork
from tests.support.waiting import eventually

QUIET = 0.9


class Stage:
    """A session with an engine that takes in what it is sent when a test has it do so."""

    def __init__(self, network: VirtualNetwork, session: Session) -> None:
        self.network, self.session = network, session
        assert session._connection is not None
        self.connection: Connection = session._connection
        network.is_prompt = False

    @property
    def sent(self) -> list[str]:
        """The types of what waits for the engine, but pings."""
        return [frame["type"] for frame in self.network.link.to_engine if frame["type"] != "ping_session"]

    def ask(self) -> Turn:
        """Asks something, which the engine acknowledges, and reports that it is idle."""
        turn = self.session.stream("tea?")
        self.network.engine.take_all(self.network.link)
        self.network.engine.queue.clear()
        self.say(frames.participant_status("s1", "Idle"))
        return turn

    def say(self, *told: frames.Frame) -> None:
        """Has the client receive what waits for it, and more."""
        for frame in told:
            self.network.engine.send(frame)
        self.network.link.deliver(len(self.network.link.to_client))
        self.network.await_reader()

    def advance(self, seconds: float) -> None:
        self.network.clock.advance(seconds)


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A session that was joined."""
    with (
        VirtualNetwork(VirtualEngine(VirtualManners())) as network,
        Session(session_id="s1", api_key="key", base_url="http://127.0.0.1:1", ping_interval=60) as session,
    ):
        yield Stage(network, session)
        network.is_prompt = True


def test_an_idle_engine_is_looked_at_once_it_has_been_quiet_for_a_while(stage: Stage) -> None:
    turn = stage.ask()
    stage.advance(QUIET / 2)
    assert stage.sent == []
    stage.advance(QUIET / 2)
    assert stage.sent == ["get_messages"]
    stage.network.engine.history = [
        *stage.network.engine.history,
        {"id": "m1", "content": {"type": "data_type_message", "value": "tea.", "status": "Complete"}},
    ]
    stage.network.engine.take_all(stage.network.link)
    stage.say()
    assert turn.result(timeout=30).text == "tea."
    stage.advance(10 * QUIET)
    assert stage.sent == []


def test_a_look_whose_answer_is_owed_is_not_asked_for_again(stage: Stage) -> None:
    stage.ask()
    for _ in range(2):
        stage.advance(QUIET)
        assert stage.sent == ["get_messages"]
    # It comes at last, and is none of the second look: that one was decided without.
    stage.network.engine.history = [
        *stage.network.engine.history,
        {"id": "m1", "content": {"type": "data_type_message", "value": "tea.", "status": "Complete"}},
    ]
    stage.network.engine.take_all(stage.network.link)
    stage.say()
    assert len(stage.connection.protocol.turns.unanswered) == 1


def test_an_engine_that_owes_the_history_and_is_idle_leaves_no_wait(stage: Stage) -> None:
    turn = stage.ask()
    for _ in range(6):
        stage.advance(QUIET)
    assert stage.sent == ["get_messages"]
    with pytest.raises(UnansweredError):
        turn.result(timeout=30)


@pytest.mark.parametrize(
    "answer",
    [
        frames.error("no", "get_messages"),
        frames.refusal("get_messages", "s1", "no"),
        {"type": "get_messages", "session_id": "s1"},
        {"type": "get_messages", "session_id": "s1", "messages": "none"},
    ],
    ids=["error", "refusal", "nothing", "no list"],
)
def test_an_engine_that_refuses_the_history_is_asked_again_and_leaves_no_wait(stage: Stage, answer: Any) -> None:
    turn = stage.ask()
    for _ in range(2):
        stage.advance(2 * QUIET)
        assert stage.sent == ["get_messages"]
        stage.network.link.to_engine.clear()
        stage.say(answer)
    with pytest.raises(UnansweredError):
        turn.result(timeout=30)


def test_an_answer_that_is_older_than_what_has_come_decides_nothing(stage: Stage) -> None:
    turn = stage.ask()
    stage.advance(QUIET)
    stage.network.engine.take_all(stage.network.link)
    # It was made before these had been sent.
    history = stage.network.link.to_client.pop()
    stage.say(frames.participant_status("s1", "Processing"), frames.message_delta("s1", "m1", 0, "tea."), history)
    assert len(stage.connection.protocol.turns.unanswered) == 1
    answer = {"type": "data_type_message", "value": "tea.", "status": "Complete"}
    stage.say(
        frames.message_notification("s1", {"id": "m1", "content": answer}), frames.participant_status("s1", "Idle")
    )
    assert turn.result(timeout=30).text == "tea."


def test_a_session_that_nothing_refers_to_is_closed_without_waiting(stage: Stage) -> None:
    stage.connection.close_nowait()
    assert stage.network.link.is_dead
    stage.connection.close_nowait()


@pytest.mark.pings
def test_beats_send_pings_and_end_a_silent_connection(stage: Stage) -> None:
    link = stage.network.link
    stage.advance(5.0)
    assert [frame["type"] for frame in link.to_engine] == ["ping_session"]
    link.to_engine.clear()
    stage.network.is_prompt = True
    link.last_received_at = stage.network.clock.now - 1000.0
    stage.advance(5.0)
    assert link.is_dead


def test_a_beat_may_look_a_little_early_and_not_much(stage: Stage) -> None:
    stage.ask()
    now = stage.network.clock.now
    assert stage.connection.beat(now + QUIET * 0.94) == pytest.approx(now + QUIET)
    assert stage.sent == []
    stage.connection.beat(now + QUIET * 0.96)
    assert stage.sent == ["get_messages"]


def test_leaving_fails_the_calls_that_wait_and_those_to_come(stage: Stage) -> None:
    errors: list[BaseException] = []

    def call() -> None:
        try:
            stage.session.get_messages(timeout=60)
        except SessionDisconnectedError as error:
            errors.append(error)

    calling = threading.Thread(target=call, daemon=True)
    calling.start()
    assert eventually(lambda: stage.sent == ["get_messages"])
    stage.session.disconnect()
    calling.join(30)
    assert "is not connected" in str(errors[0])
    with pytest.raises(SessionDisconnectedError):
        stage.connection.sender.call(frames.get_messages("s1"), Deadline(30))


def test_a_post_that_meets_silence_is_looked_for(stage: Stage) -> None:
    engine = stage.network.engine
    turn = stage.session.stream("tea?")
    engine.take_all(stage.network.link)
    engine.begin()
    while engine.turn is not None:
        engine.step()
    stage.say()
    assert turn.result(timeout=30).text == "<tea?>"
    stage.advance(10 * QUIET)
    stage.session.send("more")
    stage.advance(QUIET)
    assert stage.sent == ["post_message", "get_messages"]
