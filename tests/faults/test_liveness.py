"""Every wait ends, and every answer finds its question, whatever the engine makes of what the protocol leaves open.

`SESSIONLIB_ASKS` is how many questions eight threads ask the embedded engine at once.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sessionlib import Session, SessionEventType, SessionTimeoutError, UnansweredError
from sessionlib.connection import connection as connection_module
from sessionlib.engine import LocalEngine
from sessionlib.protocol import frames, turns
from sessionlib.protocol.frames import Frame
from sessionlib.protocol.turns import QUIET
from tests.support.processes import run_script
from tests.support.script_engine import Connection, Received, ScriptEngine
from tests.support.secrets import SENTINEL_KEY
from tests.support.sessions import created as coming_back
from tests.support.sessions import lose_link, make
from tests.support.toolbox import connect, created, kinds, say, status
from tests.support.turns import agent_message, notification, turn, user_message
from tests.support.virtual_engine import Manners, WilfulEngine
from tests.support.waiting import within

Type = SessionEventType
ASKS = int(os.environ.get("SESSIONLIB_ASKS", "120"))
JOIN = [created, connect]
# What no wait for an idle engine takes longer than, and what a busy machine may add while it does not stand still.
BOUND = 2.0 + 2.0


# ---- posts that share a turn -------------------------------------------------------------------


@pytest.mark.parametrize("join", JOIN)
@pytest.mark.parametrize("count", [2, 3, 5])
def test_posts_that_were_answered_together_leave_the_next_one_its_own_answer(
    engine: ScriptEngine, join: Any, count: int
) -> None:
    posts: list[str] = []

    def answer(conn: Connection, frame: Received) -> None:
        posts.append(frame["content"])
        engine.history = [*engine.history, user_message("s1", f"u{len(posts)}", frame["content"])]
        conn.send(frames.ack("post_message", "s1"))
        if len(posts) >= count:
            batch = posts[:count] if len(posts) == count else posts[-1:]
            text = " ".join(batch)
            engine.history = [*engine.history, agent_message("s1", f"m{len(posts)}", text)]
            conn.send_many(turn("s1", f"m{len(posts)}", [text], ack=None))

    engine.on("post_message", answer)
    with join(engine) as session:
        for number in range(count):
            session.send(f"first {number}")
        for number in range(3):
            reply = session.ask(f"then {number}", timeout=30)
            assert (reply.text, reply.shared_with) == (f"then {number}", 0)


@pytest.mark.parametrize("join", JOIN)
@pytest.mark.parametrize("statuses", [True, False])
def test_all_posts_of_a_turn_get_its_answer_and_know_that_they_share_it(join: Any, statuses: bool) -> None:
    with (
        WilfulEngine(Manners(batches=True, statuses=statuses, work=0.3)) as engine,
        join(engine.script) as session,
        ThreadPoolExecutor(5) as pool,
    ):
        for number in range(3):
            questions = [f"question-{number}-{at}" for at in range(5)]
            replies = list(pool.map(lambda text: session.ask(text, timeout=30), questions))
            for question, reply in zip(questions, replies, strict=True):
                # Without statuses nothing tells when a turn began, and so which posts came before it.
                assert f"<{question}>" in reply.text or (not statuses and reply.shared_with)
                assert reply.shared_with == reply.text.count("<") - 1 or not statuses


def test_eight_threads_that_ask_the_embedded_engine_at_once_get_their_own_answers() -> None:
    questions = [f"question {number:05};" for number in range(ASKS)]
    with (
        LocalEngine() as engine,
        engine.agent(name="Support").create_session() as session,
        ThreadPoolExecutor(8) as pool,
    ):
        replies = list(pool.map(lambda text: session.ask(text, timeout=60), questions))
    answered = Counter(reply.message_id for reply in replies)
    for question, reply in zip(questions, replies, strict=True):
        assert question in reply.text
        assert reply.shared_with == answered[reply.message_id] - 1


# An engine without acks shows nothing of which of several posts it answers: it has one thread to talk to, below.
@pytest.mark.parametrize(("acks", "statuses"), [("first", True), ("late", True), ("first", False), ("late", False)])
@pytest.mark.parametrize("batches", [True, False])
def test_threads_at_once_get_their_own_answers(acks: str, batches: bool, statuses: bool) -> None:
    manners = Manners(batches=batches, acks=acks, statuses=statuses)
    with WilfulEngine(manners) as engine, created(engine.script) as session, ThreadPoolExecutor(4) as pool:
        questions = [f"question-{number}" for number in range(40 if statuses else 12)]
        replies = list(pool.map(lambda text: session.ask(text, timeout=30), questions))
        for question, reply in zip(questions, replies, strict=True):
            # Without statuses nothing shows which posts an engine took together.
            assert question in reply.text or (reply.shared_with and not statuses)


@pytest.mark.parametrize("batches", [True, False])
@pytest.mark.parametrize("statuses", [True, False])
def test_an_engine_without_acks_answers_one_question_after_another(batches: bool, statuses: bool) -> None:
    manners = Manners(batches=batches, acks="none", statuses=statuses)
    with WilfulEngine(manners) as engine, created(engine.script) as session:
        for number in range(10):
            assert session.ask(f"question-{number}", timeout=30).text.strip() == f"<question-{number}>"


def test_a_request_for_approval_in_a_turn_that_may_be_shared_is_handled(engine: ScriptEngine) -> None:
    posts = 0

    def answer(conn: Connection, frame: Received) -> None:
        nonlocal posts
        posts += 1
        if isinstance(frame["content"], dict):
            conn.send_many([frames.ack("post_message", "s1"), say("done"), status("Idle")])
            return
        conn.send(frames.ack("post_message", "s1"))
        if posts == 3:
            asking = {"type": "tool_call_approval", "tool_name": "refund", "tool_call_id": "c1", "arguments": {}}
            conn.send_many([status("Processing"), notification("s1", "r1", asking), status("AwaitingApproval")])

    engine.on("post_message", answer)
    with created(engine) as session:
        session.send("one")
        session.send("two")
        assert session.ask("three", timeout=30, on_approval=lambda request: True).text == "done"


# ---- engines that say little -------------------------------------------------------------------


@pytest.mark.parametrize("join", JOIN)
@pytest.mark.parametrize("told", [["C"], ["d", "C"], ["C", "I"], ["a", "C"]], ids="".join)
def test_an_answer_ends_its_turn_where_nothing_else_does(engine: ScriptEngine, join: Any, told: list[str]) -> None:
    def answer(conn: Connection, frame: Received) -> None:
        text = frame["content"]
        parts = {
            "a": frames.ack("post_message", "s1"),
            "d": frames.message_delta("s1", f"m-{text}", 0, text),
            "C": say(text, f"m-{text}"),
            "I": status("Idle"),
        }
        conn.send_many([parts[part] for part in told])

    engine.on("post_message", answer)
    with join(engine) as session:
        assert [session.ask(f"question {number}", timeout=30).text for number in range(3)] == [
            f"question {number}" for number in range(3)
        ]
        assert "".join(session.stream("last", timeout=30).text_stream) == "last"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has clients look at the history after a short silence."""
    for module in (turns, connection_module):
        monkeypatch.setattr(module, "QUIET", 0.05)


@pytest.mark.parametrize("acks", ["all but the second", "behind their turns"])
def test_acks_that_do_not_come_in_front_leave_each_question_its_answer(
    engine: ScriptEngine, impatient: None, acks: str
) -> None:
    """In a session of others, too, whose turns end so as well: the history tells them apart."""

    def answer(conn: Connection, frame: Received) -> None:
        text, at = frame["content"], frame.number
        engine.history = [*engine.history, user_message("s1", f"u{at}", text), agent_message("s1", f"m{at}", text)]
        ack, told = frames.ack("post_message", "s1"), turn("s1", f"m{at}", [text], ack=None)
        conn.send_many([*told, ack] if acks == "behind their turns" else told if at == 2 else [ack, *told])

    engine.on("post_message", answer)
    with connect(engine) as session:
        for number in range(4):
            assert session.ask(f"question {number}", timeout=30).text == f"question {number}"


def test_a_turn_of_another_client_that_ends_before_an_ack_is_not_its_turn(
    engine: ScriptEngine, impatient: None
) -> None:
    theirs, own = user_message("s1", "u1", "theirs"), user_message("s1", "u2", "ours")

    def answer(conn: Connection, frame: Received) -> None:
        if frame.number == 1:
            conn.send_many(turn("s1", "m0", ["hello"]))
            return
        engine.history = [theirs, agent_message("s1", "m1", "not yours"), own]
        conn.send_many([*turn("s1", "m1", ["not yours"], ack=None), frames.ack("post_message", "s1")])

    def look(conn: Connection, frame: Received) -> None:
        conn.send(frames.history("s1", engine.history))
        if frame.number == 3:  # its own turn is slow to begin
            conn.send_many(turn("s1", "m2", ["yours"], ack=None))

    engine.on("post_message", answer)
    engine.on("get_messages", look)
    with connect(engine) as session:
        assert session.ask("hi", timeout=30).text == "hello"
        assert session.ask("ours", timeout=30).text == "yours"


@pytest.mark.parametrize("said", [[], ["Processing", "Idle"]])
def test_an_idle_engine_that_does_not_answer_is_an_error_and_no_wait(engine: ScriptEngine, said: list[str]) -> None:
    def answer(conn: Connection, frame: Received) -> None:
        engine.history = [user_message("s1", "u1", frame["content"])]
        conn.send(frames.ack("post_message", "s1"))
        conn.send_many([status(name) for name in said] or [status("Idle")])

    engine.on("post_message", answer)
    with connect(engine) as session:
        with within(BOUND):
            if said:
                assert session.ask("hello", timeout=30).text == ""  # its turn came, and was empty
            else:
                with pytest.raises(UnansweredError, match="idle"):
                    session.ask("hello", timeout=30)
        assert session.get_messages(timeout=30)


def test_a_post_has_a_silence_of_its_own_before_the_history_is_looked_at(engine: ScriptEngine) -> None:
    looks: list[float] = []

    def answer(conn: Connection, frame: Received) -> None:
        if frame.number == 1:
            conn.send_many(turn("s1", "m1", ["one"]))

    def look(conn: Connection, frame: Received) -> None:
        looks.append(time.monotonic())
        conn.send(frames.history("s1", []))
        conn.send_many(turn("s1", "m2", ["two"]))

    engine.on("post_message", answer)
    engine.on("get_messages", look)
    with connect(engine) as session:
        assert session.ask("one", timeout=30).text == "one"
        time.sleep(QUIET / 2)  # a beat is due soon, for the first post
        asked = time.monotonic()  # not when the post came, of which the engine may be late to know
        assert session.ask("two", timeout=30).text == "two"
    assert looks[0] - asked > QUIET * 0.9


def test_an_engine_that_is_slow_to_begin_is_waited_for(engine: ScriptEngine) -> None:
    engine.on("post_message", lambda conn, frame: conn.send(frames.ack("post_message", "s1")))
    with connect(engine) as session:
        running = session.stream("hello", timeout=30)
        assert not running.wait(4)
        engine.push_many(turn(ack=None))
        assert running.result().text == "Hello there"


# ---- after a lost connection -------------------------------------------------------------------


def dropping_in_turns(engine: ScriptEngine, last: str = "our post") -> None:
    """Has an engine begin a turn for each post, and lose the connection in it."""

    def post(conn: Connection, frame: Received) -> None:
        engine.history = [user_message("s1", "u1", frame["content"])]
        if last == "tool call":
            call = {"type": "tool_call", "tool_name": "t", "tool_id": "t", "status": "running"}
            engine.history.append(agent_message("s1", "t1", call))
        conn.send_many([frames.ack("post_message", "s1"), status("Processing")])
        conn.drop()

    engine.on("post_message", post)


@pytest.mark.parametrize("last", ["tool call", "our post"])
def test_a_turn_without_an_answer_ends_when_the_engine_is_idle(engine: ScriptEngine, last: str) -> None:
    dropping_in_turns(engine, last)

    def join(conn: Connection, frame: Received) -> None:
        conn.send(frames.ack("connect_session", "s1", **({"status": "Idle"} if conn.number > 1 else {})))

    engine.on("connect_session", join)
    with coming_back(engine) as session:
        reply = session.ask("hello", timeout=30)
        assert (reply.status, reply.error) == ("error", "gap")


def test_a_turn_that_ends_unseen_is_found_in_the_history(engine: ScriptEngine) -> None:
    dropping_in_turns(engine)
    with coming_back(engine) as session:
        running = session.stream("hello", timeout=30)
        engine.wait_connected(2)
        engine.wait_for("get_messages")
        engine.history = [*engine.history, agent_message("s1", "m1", "found")]
        assert running.result().text == "found"


@pytest.mark.parametrize("last", ["our post", "tool call"])
def test_an_engine_that_reports_nothing_after_a_rejoin_is_an_error_that_can_be_waited_on(
    engine: ScriptEngine, last: str
) -> None:
    dropping_in_turns(engine, last)
    with coming_back(engine) as session:
        with within(BOUND), pytest.raises(UnansweredError, match="does not report") as caught:
            session.ask("hello", timeout=30)
        running = caught.value.turn
        assert running is not None
        engine.push_many([say("late"), status("Idle")])
        assert running.result(30).text == "late"


def test_a_wait_that_reports_an_error_leaves_it_for_the_read(engine: ScriptEngine) -> None:
    dropping_in_turns(engine)
    with coming_back(engine) as session:
        running = session.stream("hello", timeout=30)
        assert next(running).participant_status == "Processing"
        assert running.wait(30)
        assert running.wait(0)
        with pytest.raises(UnansweredError):
            next(running)
        assert not running.wait(0)


@pytest.mark.parametrize("facts", [{}, {"message_id": "m3"}, {"request_type": "post_message"}], ids=str)
def test_an_error_of_a_running_turn_is_no_refusal_to_join_again(engine: ScriptEngine, facts: dict[str, str]) -> None:
    def join(conn: Connection, frame: Received) -> None:
        if conn.number > 1:
            conn.send({"type": "error", "error": "a tool failed", **facts})
        conn.answer(frame)

    engine.on("connect_session", join)
    with make(engine) as session:
        events = session.listen(timeout=30)
        engine.drop_all()
        assert next(event for event in events if event.type is Type.ERROR).error == "a tool failed"
        assert session.get_messages(timeout=30) == []
        assert session.state == "connected"


ANSWER = turn("s1", "m1", ["Hello", " there"])
FAILURE = [*ANSWER[:3], notification("s1", "m1", {"type": "error_message", "error": "no tea"}), ANSWER[-1]]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    ("told", "first"),
    [(ANSWER, 1), (ANSWER, 2), (ANSWER, 3), (ANSWER, 4), (FAILURE, 2)],
    ids=["turn", "message", "last delta", "whole text", "failure"],
)
def test_what_an_engine_repeats_after_a_rejoin_is_delivered_once(
    engine: ScriptEngine, told: list[Frame], first: int, times: int
) -> None:
    def join(conn: Connection, frame: Received) -> None:
        conn.answer(frame)
        if conn.number > 1:
            engine.history = [user_message("s1", "u1", "Hi"), agent_message("s1", "m1", told[-2]["message"]["content"])]
            conn.send_many(told[first:-1] * times)

    engine.on("connect_session", join)
    engine.on("post_message", lambda conn, frame: conn.send_many(told))
    with make(engine) as session:
        events = session.listen(maxsize=0)
        session.ask("Hi", timeout=30)
        engine.drop_all()
        engine.wait_connected(2)
        engine.wait_for("get_messages")
        session.get_messages(timeout=30)
        session.disconnect()
        delivered = list(events)
    assert kinds(delivered).count("error" if told is FAILURE else "message_complete") == 1
    assert "".join(event.delta or "" for event in delivered) == ("Hello" if told is FAILURE else "Hello there")


# ---- the key -----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ConnectionError, RuntimeError, KeyError, StopIteration, SystemExit])
def test_a_key_that_cannot_be_had_for_once_is_asked_for_again(engine: ScriptEngine, error: type[BaseException]) -> None:
    asked: list[int] = []

    def key() -> str:
        asked.append(len(asked))
        if len(asked) == 2:
            raise error("the vault is down")
        return SENTINEL_KEY

    with make(engine, api_key=key) as session:
        lose_link(engine, session)
    assert len(asked) == 3


@pytest.fixture
def blocked(engine: ScriptEngine) -> Iterator[Session]:
    """A session that is being joined again, and asks for a key that does not come."""
    release, asked = threading.Event(), threading.Event()
    keys = [SENTINEL_KEY]

    def key() -> str:
        if keys:
            return keys.pop()
        asked.set()
        release.wait(60)
        return SENTINEL_KEY

    try:
        with make(engine, api_key=key) as session:
            engine.drop_all()
            assert asked.wait(30)
            yield session
    finally:
        release.set()
        for thread in asking():
            thread.join(30)


def asking() -> list[threading.Thread]:
    """The threads that wait for a key."""
    return [thread for thread in threading.enumerate() if thread.name == "sessionlib-key"]


CALLS: dict[str, Callable[[Session], object]] = {
    "ask": lambda session: session.ask("Hi", timeout=0.1),
    "get_messages": lambda session: session.get_messages(timeout=0.1),
    "listen": lambda session: next(session.listen(timeout=0.1)),
    "pending_approvals": lambda session: session.pending_approvals(timeout=0.1),
    "another": lambda session: Session(
        session_id="s2", api_key=session._endpoint.source, ws_url=session._endpoint.ws_url
    ).connect(timeout=0.1),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_deadline_does_not_wait_for_the_key(blocked: Session, name: str) -> None:
    with pytest.raises(SessionTimeoutError):
        CALLS[name](blocked)
    assert asking()


@pytest.mark.parametrize("leave", [Session.disconnect, Session.terminate])
def test_leaving_does_not_wait_for_the_key(blocked: Session, leave: Callable[[Session], None]) -> None:
    leave(blocked)
    assert asking()
    assert not blocked.is_connected


# ---- waiting for ever --------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [30 * 86400, 1e12, 10**400, float("inf")])
def test_a_timeout_may_be_as_long_as_one_likes(engine: ScriptEngine, timeout: float) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_many(turn()))
    kinds_of_time = ("ping_interval", "pong_timeout", "send_timeout", "reconnect_timeout", "reconnect_max_delay")
    session = make(engine, **dict.fromkeys(kinds_of_time, timeout))
    with session.connect(timeout=timeout):
        engine.drop_all()
        engine.wait_connected(2)
        assert session.get_messages(timeout=timeout) == []
        assert session.ask("Hi", timeout=timeout, idle_timeout=timeout).text == "Hello there"


# ---- text that arrives broken ------------------------------------------------------------------

HALVES = [
    ('"ok \\ud83d"', '"\\ude00 end"', "ok 😀 end"),
    ('"\\ud83d"', '"\\ude00"', "😀"),
    ('"a\\ud83d"', '"b"', "a\ufffdb"),
    ('"a"', '"\\ude00b"', "a\ufffdb"),
    ('"a\\ud83d\\ude00"', '"b"', "a😀b"),
    ('"\\ud83d\\udc68\\u200d\\ud83d"', '"\\udc67"', "👨\u200d👧"),
]


@pytest.mark.parametrize("burst", [0, 10])
@pytest.mark.parametrize(("first", "second", "whole"), HALVES)
def test_halves_of_a_character_are_joined(
    engine: ScriptEngine, first: str, second: str, whole: str, burst: int
) -> None:
    def raw(index: int, value: str) -> bytes:
        head = '{"type":"message_delta","session_id":"s1","message_id":"m1"'
        return f'{head},"index":{index},"value":{value}}}'.encode()

    def answer(conn: Connection, frame: Received) -> None:
        conn.send_many([frames.ack("post_message", "s1"), status("Processing")])
        for index in range(burst):
            conn.send_text(raw(index, '"."'))
        conn.send_text(raw(burst, first))
        conn.send_text(raw(burst + 1, second))
        conn.send_many([say("." * burst + whole), status("Idle")])

    engine.on("post_message", answer)
    with connect(engine) as session:
        for _ in range(4):  # more than an illegal frame is forgiven
            assert "".join(session.stream("hi", timeout=30).text_stream) == "." * burst + whole
    assert len(engine.handshakes) == 1


ORDERS = [[0, 1, 1, 2], [0, 2, 1, 3], [0, 1, 3, 2], [0, 3, 2, 1], [0, 2, 3], [0, 0, 1, 2]]
LATE = [[1, 0, 2, 3], [1, 2, 3], [3, 2, 1, 0], [1, 2, 0, 3], [2, 3], [0, 1, 0, 1, 2, 3], [0, 1, 0, 2]]
WHOLE_WORDS, HALF_WORDS = ["zero ", "one ", "two ", "three "], ["zero \ud83d", "\ude00 one ", "two\ud83d", "\ude00"]


@pytest.mark.parametrize("words", [WHOLE_WORDS, HALF_WORDS], ids=["words", "halves"])
@pytest.mark.parametrize("order", [*ORDERS, *LATE], ids=str)
def test_deltas_out_of_order_are_put_in_order_or_reported(
    engine: ScriptEngine, order: list[int], words: list[str]
) -> None:
    text = "".join(words).encode("utf-16", "surrogatepass").decode("utf-16")

    def answer(conn: Connection, frame: Received) -> None:
        conn.send_many([frames.ack("post_message", "s1"), status("Processing")])
        for index in order:
            conn.send_text(json.dumps(frames.message_delta("s1", "m1", index, words[index])).encode())
        conn.send_many([say(text), status("Idle")])

    engine.on("post_message", answer)
    with connect(engine) as session:
        running = session.stream("hi", timeout=30)
        streamed = "".join(running.text_stream)
        reply = running.result()
        assert reply.text == text
        assert streamed == text or reply.error == "gap"


# ---- interrupts --------------------------------------------------------------------------------

INTERRUPTED = """
import signal, sys, traceback
from sessionlib import Session

with Session(session_id="s1", api_key="k", base_url=sys.argv[1]) as session:
    events = session.listen()
    running = session.stream("slow")
    def chunks():
        return list(running.text_stream)

    def fail(*args):
        raise MemoryError("a library that limits times")

    for wait in (lambda: next(events), lambda: next(running), chunks, running.result, session.get_messages):
        for handler, error in ((signal.default_int_handler, KeyboardInterrupt), (fail, MemoryError)):
            signal.signal(signal.SIGALRM, handler)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                while True:
                    wait()
            except error as caught:
                assert caught.__context__ is None, traceback.format_exc()
                print("short")
"""


def test_an_interrupted_wait_shows_no_other_error(engine: ScriptEngine) -> None:
    engine.on("post_message", lambda conn, frame: conn.send(frames.ack("post_message", "s1")))
    engine.on("get_messages", lambda conn, frame: None)
    result = run_script(INTERRUPTED, engine.base_url).check()
    assert result.stdout.split() == ["short"] * 10
