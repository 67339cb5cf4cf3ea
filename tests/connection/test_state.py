"""The state of a link, as it is told."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import Any

import pytest

from sessionlib import SessionDisconnectedError
from sessionlib.connection.state import ConnectionState, StateObservers
from sessionlib.protocol.client import ClientProtocol, SessionState
from tests.support.script_engine import ScriptEngine
from tests.support.sessions import resumed_session
from tests.support.waiting import eventually


def test_changes_that_threads_make_are_told_in_their_order() -> None:
    begun, go_on = threading.Event(), threading.Event()
    told: list[SessionState] = []

    def tell(state: SessionState) -> None:
        if state is SessionState.CONNECTED:
            begun.set()
            assert go_on.wait(30)
        told.append(state)

    link = ConnectionState(ClientProtocol("s1"), "127.0.0.1", tell)
    first = threading.Thread(target=link.change, args=(SessionState.CONNECTED,))
    second = threading.Thread(target=link.change, args=(SessionState.DISCONNECTED,))
    first.start()
    assert begun.wait(30)
    second.start()
    assert eventually(lambda: link.state is SessionState.DISCONNECTED)
    time.sleep(0.05)  # in which it could be told too early
    go_on.set()
    first.join()
    second.join()
    assert told == [SessionState.CONNECTED, SessionState.DISCONNECTED]


def test_a_session_joined_again_tells_how_it_was_lost_first(
    engine: ScriptEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = StateObservers.notify

    def tell_late(self: Any, state: SessionState) -> None:
        if state is SessionState.DISCONNECTED:
            time.sleep(0.2)
        tell(self, state)

    monkeypatch.setattr(StateObservers, "notify", tell_late)
    states: list[SessionState] = []
    session = resumed_session(engine, reconnect=False)
    session.on_state(states.append)
    with session:
        engine.drop_all()
        assert eventually(lambda: session.state is SessionState.DISCONNECTED)
        session.connect()
        assert eventually(lambda: len(states) == 3)
        assert states == [SessionState.CONNECTED, SessionState.DISCONNECTED, SessionState.CONNECTED]


def test_a_session_can_be_joined_again_on_the_thread_that_reads_it(engine: ScriptEngine) -> None:
    logger, again = logging.getLogger("sessionlib"), threading.Event()
    session = resumed_session(engine, reconnect=False)

    def join_again(record: logging.LogRecord) -> bool:
        if "disconnected" in record.getMessage():
            logger.removeFilter(join_again)
            session.connect(30)
            again.set()
        return True

    logger.addFilter(join_again)
    try:
        with session:
            engine.drop_all()
            assert eventually(again.is_set)
            assert session.get_messages(timeout=30) == []
    finally:
        logger.removeFilter(join_again)


def test_a_callback_that_exits_keeps_neither_the_others_nor_approvals_from_running(engine: ScriptEngine) -> None:
    states: list[SessionState] = []
    session = resumed_session(engine, reconnect_delay=0.01)
    session.on_state(sys.exit)
    session.on_state(states.append)
    with session:
        engine.drop_all()
        assert eventually(lambda: len(states) == 3)


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_a_reading_thread_that_fails_fails_the_calls(engine: ScriptEngine, error: type[BaseException]) -> None:
    logger = logging.getLogger("sessionlib")

    def fail(record: logging.LogRecord) -> bool:
        if "reconnecting" in record.getMessage():
            raise error("the disk is full")
        return True

    logger.addFilter(fail)
    try:
        with resumed_session(engine) as session, session.listen() as listener:
            engine.drop_all()
            with pytest.raises(SessionDisconnectedError, match="the disk is full"):
                next(listener)
    finally:
        logger.removeFilter(fail)


def test_a_state_callback_is_a_callable(engine: ScriptEngine) -> None:
    with resumed_session(engine) as session, pytest.raises(TypeError, match="a state callback is a callable, not int"):
        session.on_state(7)  # type: ignore[arg-type]


def test_a_state_callback_is_called_until_it_is_removed() -> None:
    class Now:
        def submit(self, call: Any) -> None:
            call()

    observers, seen = StateObservers(Now()), list[SessionState]()  # type: ignore[arg-type]
    remove = observers.register(seen.append)
    other = observers.register(lambda state: None)
    observers.notify(SessionState.CONNECTED)
    remove()
    remove()  # again, which does no harm
    observers.notify(SessionState.DISCONNECTED)
    other()
    assert (seen, observers._callbacks) == ([SessionState.CONNECTED], [])
