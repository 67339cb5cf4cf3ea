"""The lane for replies: answers in time, too late, lost, and to requests that never left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sessionlib import SessionDisconnectedError, SessionError, SessionTimeoutError
from sessionlib._util.timing import Deadline
from sessionlib.connection.sender import Sender
from sessionlib.protocol import frames
from sessionlib.protocol.client import PendingCall, PendingCalls
from tests.support.script_engine import Connection, Received, ScriptEngine
from tests.support.sessions import opened
from tests.support.threads import in_threads
from tests.support.waiting import eventually


def history(number: int) -> frames.Frame:
    return frames.history("s1", [{"id": f"m{number}"}])


class Peer:
    """An engine that answers requests as a test says, on the thread that asks."""

    def __init__(self) -> None:
        self.asked = 0
        self._answer: Callable[[int], Any] | None = None
        self._calls = PendingCalls("get_messages")
        self._hub = SimpleNamespace(lock=threading.Lock())
        link = SimpleNamespace(wait_usable=lambda deadline: self, await_loss=self._lose)
        self.sender = Sender(link, self._hub, self._calls, None, None, lambda: None)  # type: ignore[arg-type]

    def _lose(self, transport: object, deadline: Deadline) -> None:
        """Goes on as a session does whose connection is gone: the error is for the caller."""
        raise SessionDisconnectedError("gone")

    def send(self, payload: bytes, deadline: Deadline) -> None:
        """The transport: takes a request."""
        self.asked += 1
        if self._answer is not None:
            self._answer(self.asked)

    def ask(self, answer: Callable[[int], Any] | None = None, timeout: float = 60.0) -> int:
        """Asks for the history and gives the number of the request that was answered."""
        self._answer = answer
        answered = self.sender.call(frames.get_messages("s1"), Deadline(timeout))
        return int(answered["messages"][0]["id"][1:])

    def offer(self, frame: frames.Frame) -> bool:
        """Gives a frame to the calls; tells whether it was an answer."""
        with self._hub.lock:
            matched = self._calls.match(frame)
        if isinstance(matched, PendingCall):
            matched.done()
        return bool(matched)

    def answer(self, number: int) -> None:
        """Answers a request."""
        assert self.offer(history(number))

    def forget(self) -> None:
        """Loses the connection, and with it what was owed."""
        with self._hub.lock:
            self._calls.clear()

    def ask_in_vain(self, answer: Callable[[int], Any] | None = None) -> None:
        """Asks and gives up."""
        with pytest.raises(SessionTimeoutError):
            self.ask(answer, timeout=0.02)

    def ask_and_end(self, *, for_good: bool) -> None:
        """Asks, and has the connection end before the answer."""
        with pytest.raises(SessionDisconnectedError, match="gone"):
            self.ask(lambda number: self.sender.fail_calls(lambda: SessionDisconnectedError("gone"), for_good=for_good))


@pytest.fixture
def peer() -> Peer:
    return Peer()


# ---- in time -----------------------------------------------------------------------------------


def test_an_answer_goes_to_who_asked(peer: Peer) -> None:
    assert [peer.ask(peer.answer) for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    "told", [frames.refusal("get_messages", "s1", "not now"), frames.error("not now", "get_messages")], ids=str
)
def test_a_refusal_is_raised(peer: Peer, told: frames.Frame) -> None:
    with pytest.raises(SessionError, match="get_messages: not now"):
        peer.ask(lambda number: peer.offer(told))
    assert peer.ask(peer.answer) == 2


def test_other_frames_are_no_answers(peer: Peer) -> None:
    for frame in (frames.pong("s1"), frames.error("no", "post_message"), frames.error("no"), {"type": "x"}):
        assert not peer.offer(frame)
    for request_type in (None, 7, ["get_messages"], {}):
        assert not peer.offer({"type": "error", "request_type": request_type})


def test_an_answer_that_nobody_waits_for_is_taken_and_an_error_is_not(peer: Peer) -> None:
    assert peer.offer(history(7))
    assert not peer.offer(frames.error("no", "get_messages"))
    assert peer.ask(peer.answer) == 1


def test_calls_of_one_type_go_one_after_another(peer: Peer) -> None:
    under_way = threading.Lock()

    def send(number: int) -> None:
        assert under_way.acquire(blocking=False)
        time.sleep(0.002)
        under_way.release()
        peer.answer(number)

    with in_threads(*[lambda: [peer.ask(send) for _ in range(5)]] * 8) as results:
        pass
    assert sorted(number for some in results for number in some) == list(range(1, 41))


def test_waiting_for_ones_turn_counts_towards_the_timeout(peer: Peer) -> None:
    go_on = threading.Event()

    def hold(number: int) -> None:
        go_on.wait(30)
        peer.answer(number)

    with in_threads(lambda: peer.ask(hold)) as results:
        assert eventually(lambda: peer.asked)
        before = time.monotonic()
        with pytest.raises(SessionTimeoutError, match=r"0\.1 s"):
            peer.ask(peer.answer, timeout=0.1)
        assert time.monotonic() - before < 5.0
        go_on.set()
    assert results == [1]
    assert peer.ask(peer.answer) == 2  # the one in between was never asked


# ---- too late ----------------------------------------------------------------------------------


def test_a_late_answer_is_thrown_away(peer: Peer) -> None:
    peer.ask_in_vain()
    peer.ask_in_vain()
    peer.answer(1)
    peer.answer(2)
    assert peer.ask(peer.answer) == 3


def test_a_late_answer_is_thrown_away_while_the_next_caller_waits(peer: Peer) -> None:
    peer.ask_in_vain()
    assert peer.ask(lambda number: [peer.answer(1), peer.answer(number)]) == 2


def test_a_late_error_is_thrown_away_too(peer: Peer) -> None:
    peer.ask_in_vain()
    assert peer.offer(frames.error("too slow", "get_messages"))
    assert peer.ask(peer.answer) == 2


def test_a_new_connection_brings_no_late_answers(peer: Peer) -> None:
    peer.ask_in_vain()
    peer.forget()
    assert peer.ask(peer.answer) == 2


# ---- lost --------------------------------------------------------------------------------------


def test_an_answer_that_never_comes_costs_one_more_call_and_no_further_one(peer: Peer) -> None:
    peer.ask_in_vain()  # its answer is lost
    peer.ask_in_vain(peer.answer)  # the answer to this one is taken for that
    assert [peer.ask(peer.answer) for _ in range(3)] == [3, 4, 5]


def test_a_request_that_did_not_leave_has_no_answer_to_wait_for(peer: Peer) -> None:
    def fail(number: int) -> None:
        raise SessionTimeoutError("other messages were still being sent")

    for _ in range(2):
        with pytest.raises(SessionTimeoutError, match="other messages"):
            peer.ask(fail)
    assert peer.ask(peer.answer) == 3


@pytest.mark.slow
def test_a_request_that_waited_in_vain_for_its_turn_to_leave_does_no_harm(engine: ScriptEngine) -> None:
    with opened(engine) as session, in_threads(lambda: session.send(b"x" * 20_000_000)):
        engine.latest.stop_reading()
        time.sleep(0.3)
        for _ in range(2):
            with pytest.raises(SessionTimeoutError):
                session.get_messages(timeout=0.1)
        engine.latest.resume_reading()
        assert session.get_messages(timeout=30) == []


def test_a_request_that_the_engine_forgets_does_no_lasting_harm(engine: ScriptEngine) -> None:
    @engine.on("get_messages")
    def answer(conn: Connection, frame: Received) -> None:
        if frame.number != 1:
            conn.answer(frame)

    with opened(engine) as session:
        for _ in range(2):
            with pytest.raises(SessionTimeoutError):
                session.get_messages(timeout=0.2)
        assert [session.get_messages(timeout=30) for _ in range(3)] == [[], [], []]


# ---- the end -----------------------------------------------------------------------------------


def test_the_end_fails_who_waits_and_who_comes_later(peer: Peer) -> None:
    peer.ask_and_end(for_good=True)
    with pytest.raises(SessionDisconnectedError, match="gone"):
        peer.ask(peer.answer)
    assert peer.asked == 1


def test_a_broken_link_fails_who_waits_alone(peer: Peer) -> None:
    peer.ask_and_end(for_good=False)
    assert peer.ask(peer.answer) == 2
