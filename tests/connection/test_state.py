"""The state of a link, as it is told."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sessionlib import SessionDisconnectedError
from sessionlib.connection.state import ConnectionState, StateObservers
from sessionlib.protocol.client import ClientProtocol, SessionState
from tests.support.script_engine import ScriptEngine
from tests.support.sessions import resumed_session
from tests.support.threads import in_threads
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
    with in_threads(lambda: link.change(SessionState.CONNECTED)):
        assert begun.wait(30)
        with in_threads(lambda: link.change(SessionState.DISCONNECTED)):
            assert eventually(lambda: link.state is SessionState.DISCONNECTED)
            time.sleep(0.05)  # in which it could be told too early
            go_on.set()
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


@contextmanager
def once_logged(text: str, happens: Callable[[], object]) -> Iterator[None]:
    """Has something happen when a line with a text is logged for the first time, on the thread that does so."""
    logger, left = logging.getLogger("sessionlib"), [happens]

    def look(record: logging.LogRecord) -> bool:
        if left and text in record.getMessage():
            left.pop()()
        return True

    logger.addFilter(look)
    try:
        yield
    finally:
        logger.removeFilter(look)


def test_a_session_can_be_joined_again_on_the_thread_that_reads_it(engine: ScriptEngine) -> None:
    session, again = resumed_session(engine, reconnect=False), threading.Event()
    with once_logged("disconnected", lambda: (session.connect(30), again.set())), session:
        engine.drop_all()
        assert again.wait(30)
        assert session.get_messages(timeout=30) == []


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
    def fail() -> None:
        raise error("the disk is full")

    with once_logged("reconnecting", fail), resumed_session(engine) as session, session.listen() as listener:
        engine.drop_all()
        with pytest.raises(SessionDisconnectedError, match="the disk is full"):
            next(listener)


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
