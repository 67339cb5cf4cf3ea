"""Interrupts at every line: what a signal handler raises leaves no lock taken, no post open, and no answer astray.

`SESSIONLIB_SWEEP` is how many lines apart the interrupts are, from a random one on; 1, or all, takes all of them.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sessionlib import ApprovalAlreadyAnsweredError, Session, SessionEventType
from sessionlib.protocol import frames
from tests.support.interrupts import InterruptedHere, Interrupter
from tests.support.script_engine import Connection, Received, ScriptEngine
from tests.support.sessions import make
from tests.support.turns import notification, turn
from tests.support.waiting import eventually

# The interpreter reports what is raised in a finalizer, and a socket that was just being opened, which the garbage
# collector closes.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

STEP = int(os.environ.get("SESSIONLIB_SWEEP", "17").replace("all", "1"))
ROUNDS = int(os.environ.get("SESSIONLIB_SIGNALS", "60"))


def echo(conn: Connection, frame: Received) -> None:
    """Answers a post by its text; an answer to a request only has its ack."""
    if isinstance(frame["content"], dict):
        conn.send(frames.ack("post_message", "s1"))
    else:
        conn.send_many(turn("s1", f"m-{frame['content']}", [f"<{frame['content']}>"]))


def check(session: Session, name: str) -> None:
    """Asks; the answer is the own one, and nothing is left of what was interrupted."""
    for number in range(2):
        question = f"{name}-{number}"
        assert session.ask(question, timeout=60).text == f"<{question}>", name
    connection = session._connection
    assert connection is not None
    locks = (connection.hub.lock, connection.channel._lock, connection.channel._reporting)
    # The reading thread may be on its way out of them, with the answer here already.
    assert eventually(lambda: not any(lock.locked() for lock in locks)), name
    assert not connection.sender._posting._is_owned(), name  # type: ignore[attr-defined]
    gc.collect()
    # Nor need it have let go of what it delivered last.
    assert eventually(lambda: connection.hub.depths == []), name
    tracker = connection.protocol.turns
    assert eventually(lambda: not tracker.unacknowledged), name
    assert eventually(lambda: not tracker.unanswered), name


def readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sessionlib-reader")]


def lines(seed: int) -> range:
    return range(1 + random.Random(seed).randrange(STEP), 1_000_000, STEP)


@pytest.mark.parametrize("name", ["ask", "send", "listen", "get_messages", "respond"])
def test_an_interrupt_at_any_line_leaves_the_session_as_it_was(engine: ScriptEngine, seed: int, name: str) -> None:
    engine.on("post_message", echo)
    swept = 0
    with make(engine) as session:
        session.ask("warm", timeout=60)
        for at in lines(seed):
            works: dict[str, Callable[[], object]] = {
                "ask": lambda at=at: session.ask(f"interrupted-{at}", timeout=60),  # type: ignore[misc]
                "send": lambda at=at: session.send(f"interrupted-{at}"),  # type: ignore[misc]
                "listen": lambda: session.listen().close(),
                "get_messages": lambda: session.get_messages(timeout=60),
            }
            if name == "respond":
                request = ask_for_approval(engine, session, at)
                works["respond"] = lambda request=request: session.respond(request, approved=True)  # type: ignore[misc]
            interrupter = Interrupter(at)
            interrupter.call(works[name])
            del works
            check(session, f"{name} {at} {interrupter.where}")
            if name == "respond":
                with_answer = None
                try:
                    session.respond(request, approved=True)
                except ApprovalAlreadyAnsweredError as error:
                    with_answer = error
                assert with_answer is not None or interrupter.where
            if not interrupter.where:
                break
            swept += 1
    assert swept
    print(f"{name}: {swept} lines")


def ask_for_approval(engine: ScriptEngine, session: Session, at: int) -> Any:
    """Has the engine ask for an approval; returns the request."""
    content = {"type": "tool_call_approval", "tool_name": "refund", "tool_call_id": f"c{at}", "arguments": {}}
    with session.listen(event_types=[SessionEventType.APPROVAL_REQUEST], timeout=60) as events:
        engine.push(notification("s1", f"r{at}", content))
        return next(events)


@pytest.mark.parametrize("name", ["connect", "disconnect"])
def test_an_interrupt_at_any_line_of_coming_and_going(engine: ScriptEngine, seed: int, name: str) -> None:
    engine.on("post_message", echo)
    swept = 0
    for at in lines(seed):
        session = make(engine)
        if name == "disconnect":
            session.connect(30)
        interrupter = Interrupter(at)
        interrupter.call(session.disconnect if name == "disconnect" else lambda: session.connect(30))  # noqa: B023
        where = f"{name} {at} {interrupter.where}"
        session.disconnect()
        session.connect(30)
        check(session, where)
        session.disconnect()
        # That of the connect that was interrupted is waited for by nobody.
        assert eventually(lambda: not readers()), where
        if not interrupter.where:
            break
        swept += 1
    assert swept
    print(f"{name}: {swept} lines")


def test_signals_at_any_moment_of_a_call_leave_the_session_as_it_was(
    engine: ScriptEngine, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    # Before Python 3.13 `logging.Handler.handle` acquires its lock outside of the ``try`` that releases it: a handler
    # that raises may leave it taken, and whoever logs next waits for ever.
    caplog.set_level(logging.CRITICAL, "sessionlib")
    engine.on("post_message", echo)
    drawn = random.Random(seed)

    struck = 0

    def interrupt(number: int, frame: object) -> None:
        nonlocal struck
        struck += 1
        raise InterruptedHere

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with make(engine) as session:
            for number in range(ROUNDS):
                try:
                    try:
                        signal.setitimer(signal.ITIMER_REAL, drawn.uniform(0.0001, 0.004))
                        while struck == number:  # what is raised in a finalizer ends no call
                            session.ask(f"interrupted-{number}", timeout=60)
                    finally:
                        signal.setitimer(signal.ITIMER_REAL, 0)
                except InterruptedHere:
                    pass
                check(session, f"round {number}")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert struck == ROUNDS
