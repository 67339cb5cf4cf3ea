"""Sessions that are read by a thread each, and by one for all: the same sessions either way."""

from __future__ import annotations

import itertools
import logging
import pickle
import queue
import selectors
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import pytest

from sessionlib import Client, Session, SessionState, errors, hooks
from sessionlib._util.timing import Deadline
from sessionlib.connection import heartbeat
from sessionlib.connection.reader import Shared, SharedReader
from sessionlib.protocol import frames
from tests.support.duplex import PeerGone
from tests.support.script_engine import ScriptEngine, turn
from tests.support.secrets import SENTINEL_KEY
from tests.support.sessions import numbered_deltas, opened, rest_of_turn, resumed_session
from tests.support.waiting import eventually
from tests.support.ws_bytes import ping_frame, text_frame


def reading() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("sessionlib-reader"))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Leaves out the log of every frame, which takes longer than reading it."""
    caplog.set_level(logging.WARNING, "sessionlib")


@pytest.fixture(params=[None, 1], ids=["a thread each", "shared"])
def readers(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def refuse_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Returns what has no thread start any more whose name begins so."""
    start = threading.Thread.start

    def refuse(begin: str) -> None:
        def start_or_fail(thread: threading.Thread) -> None:
            if thread.name.startswith(begin):
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", start_or_fail)

    return refuse


@pytest.fixture
def session(engine: ScriptEngine, readers: int | None) -> Iterator[Session]:
    with opened(engine, readers=readers, reconnect_delay=0.001) as session:
        assert reading() == ["sessionlib-reader-s1" if readers is None else "sessionlib-reader-shared-1"]
        yield session


def answer(conn: Any, frame: Any) -> None:
    conn.send_many(turn())


# ---- one session -------------------------------------------------------------------------------


def test_neither_what_reads_nor_what_pings_keeps_a_program_from_its_end(session: Session) -> None:
    names = ("sessionlib-reader", "sessionlib-heartbeat")
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(names)]
    assert [thread.daemon for thread in threads] == [True, True]


def test_an_answer_and_a_burst(engine: ScriptEngine, session: Session) -> None:
    engine.on("post_message", answer)
    assert session.ask("hi", timeout=30).text == "Hello there"
    numbers = list(map(str, range(3000)))
    engine.on("post_message", lambda conn, frame: conn.send_many(turn(pieces=numbers)))
    assert list(session.stream("hi").text_stream) == numbers


def test_what_came_along_with_the_answer_to_joining_is_read(engine: ScriptEngine, readers: int | None) -> None:
    joined = text_frame(frames.ack("connect_session", "s1"))
    # All in one segment: nothing more comes that a poll could show.
    engine.on("connect_session", lambda conn, frame: conn.send_raw(joined + ping_frame(b"there?")))
    with opened(engine, readers=readers):
        engine.wait_for("ws:pong")


def test_the_connection_breaks_again_and_again(engine: ScriptEngine, session: Session) -> None:
    states = queue.SimpleQueue[SessionState]()
    session.on_state(states.put)
    for number in range(1, 4):
        engine.drop_all()
        assert [states.get(timeout=30), states.get(timeout=30)] == [SessionState.RECONNECTING, SessionState.CONNECTED]
        engine.on("post_message", lambda conn, frame, number=number: conn.send_many(turn(message_id=f"m{number}")))
        assert session.ask("hi", timeout=30).text == "Hello there"
        assert session.stats.reconnects == number
        # The engine answered: the next loss begins with short delays again.
        assert session._connection._reader._retries.backoff.tries == 0
    assert eventually(lambda: len(reading()) == 1)


def test_an_illegal_frame_ends_what_came_before_it_in_order(engine: ScriptEngine, readers: int | None) -> None:
    delta = frames.message_delta("s1", "m1", 0, "whole")
    with opened(engine, readers=readers, reconnect=False) as session, session.listen() as listener:
        engine.push_raw(text_frame(delta) + text_frame("[1, 2]") + text_frame(delta))
        events = [next(listener), next(listener)]
        assert [(event.type, event.session_id) for event in events] == [("message_delta", "s1"), ("error", "s1")]
        with pytest.raises(errors.SessionDisconnectedError):
            next(listener)
    assert engine.wait_for("ws:close")[0]["payload"][:2] == (1002).to_bytes(2, "big")


def test_an_error_that_answers_no_request_is_an_event(engine: ScriptEngine, session: Session) -> None:
    with session.listen(event_types=["error"], timeout=30) as listener:
        other = frames.error("another session's", "get_messages", session_id="s2")
        engine.push_many([other, frames.error("no", "get_messages")])
        assert next(listener).data["error"] == "no"


def test_leaving_in_the_middle_of_a_flood(engine: ScriptEngine, readers: int | None) -> None:
    with flooding(engine), opened(engine, readers=readers) as session, session.listen(maxsize=0) as listener:
        session.send("flood")
        next(listener)
    assert not session.is_connected
    assert eventually(lambda: not reading())


@pytest.mark.parametrize("refused", ["sessionlib-heartbeat", "sessionlib-reader"])
def test_a_session_for_which_there_is_no_thread_is_not_joined(
    engine: ScriptEngine, readers: int | None, refused: str, refuse_threads: Callable[[str], None]
) -> None:
    connection = resumed_session(engine, readers=readers)._new_connection()
    refuse_threads(refused)
    with pytest.raises(
        errors.SessionConnectionError, match="session s1 cannot be read: can't start new thread"
    ) as raised:
        connection.open(Deadline(30))
    refuse_threads("nobody")
    assert raised.value.session_id == "s1"
    assert engine.latest.over.wait(30)
    assert (connection.channel.state, connection._thread, connection._shared) == (SessionState.DISCONNECTED, None, None)
    assert connection not in heartbeat._heartbeat._due
    connection.close()
    assert reading() == []
    # Once there are threads again, nothing is left of that.
    with opened(engine, readers=readers) as session:
        assert session.get_messages(timeout=30) == []


# ---- many sessions -----------------------------------------------------------------------------


@contextmanager
def flooding(engine: ScriptEngine) -> Iterator[None]:
    """Has the engine answer "flood" by deltas without an end, until the block is over."""
    over, data = threading.Event(), b"".join(map(text_frame, numbered_deltas(200)))

    def flood(conn: Any, frame: Any) -> None:
        with suppress(PeerGone):
            while not over.is_set():
                conn.send_raw(data)

    engine.on("post_message", flood)
    try:
        yield
    finally:
        over.set()


def test_none_waits_for_one_that_is_flooded(engine: ScriptEngine, readers: int | None) -> None:
    with (
        flooding(engine),
        opened(engine, readers=readers) as busy,
        opened(engine, readers=readers) as calm,
        busy.listen(maxsize=1) as listener,
    ):
        busy.send("flood")
        next(listener)
        for _ in range(3):
            assert calm.get_messages(timeout=30) == []


class BlockingKey:
    """An ``api_key`` that blocks from the second time on."""

    def __init__(self) -> None:
        self.times, self.asked, self.go_on = 0, threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.times += 1
        if self.times > 1:
            self.asked.set()
            assert self.go_on.wait(60)
        return SENTINEL_KEY


def test_none_waits_for_one_that_cannot_come_back(engine: ScriptEngine, readers: int | None) -> None:
    key = BlockingKey()
    lost = Session(session_id="s1", api_key=key, ws_url=engine.ws_url, readers=readers, reconnect_delay=0.001)
    with lost, opened(engine, readers=readers) as other:
        engine.connections[0].drop()
        assert key.asked.wait(30)
        assert other.get_messages(timeout=30) == []
        key.go_on.set()
        assert lost.get_messages(timeout=30) == []


def test_who_leaves_does_not_wait_for_an_attempt_to_come_back(engine: ScriptEngine, readers: int | None) -> None:
    key = BlockingKey()
    with Session(session_id="s1", api_key=key, ws_url=engine.ws_url, readers=readers, reconnect_delay=0.001) as session:
        session._connection._close_timeout = 60.0
        engine.drop_all()
        assert key.asked.wait(30)
    key.go_on.set()
    assert len(engine.handshakes) == 1


def test_answers_to_pings_are_read_once_all_pings_have_left_and_hold_nothing_up(
    engine: ScriptEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, asked = threading.Event(), threading.Event()

    def is_busy() -> bool:
        if busy.is_set():
            asked.set()
        return busy.is_set()

    monkeypatch.setattr(heartbeat, "is_busy", is_busy)
    monkeypatch.setattr(heartbeat, "SESSION_PING_INTERVAL", 3600.0)  # no real ping comes in between
    with opened(engine, readers=1) as one, opened(engine, readers=1) as other, one.listen(timeout=30) as listener:
        for at in range(2):
            busy.set()
            one._connection._counters.pinged(0.0)
            engine.connections[0].send(frames.message_delta("s1", "m1", at, "x"))
            assert asked.wait(30)
            if at:
                assert other.get_messages(timeout=30) == []
            else:
                assert one.stats.events == 0
            busy.clear()
            assert next(listener).delta == "x"
            asked.clear()


@pytest.mark.parametrize(("readers", "threads"), [(None, 50), (1, 1), (3, 3)])
def test_fifty_sessions(engine: ScriptEngine, readers: int | None, threads: int) -> None:
    engine.on("post_message", answer)
    with ExitStack() as stack:
        sessions = [stack.enter_context(opened(engine, readers=readers)) for _ in range(50)]
        assert len(reading()) == threads
        for session in sessions:
            session.send("hi")
        assert [rest_of_turn(session)[-1].is_turn_end for session in sessions] == [True] * 50
        # Those that stay are read all the same when others leave.
        for session in sessions[::2]:
            session.disconnect()
        assert [session.get_messages(timeout=30) for session in sessions[1::2]] == [[]] * 25
    assert eventually(lambda: not reading())


def test_without_a_thread_to_join_again_on_a_session_that_shared_one_is_over(
    engine: ScriptEngine, refuse_threads: Callable[[str], None]
) -> None:
    with opened(engine, readers=1) as session, session.listen(timeout=30) as listener:
        connection = session._connection
        refuse_threads("sessionlib-reader-s1")
        engine.drop_all()
        with pytest.raises(errors.SessionDisconnectedError, match="lost its connection"):
            next(listener)
        assert eventually(lambda: connection._read_out.is_set)
        assert connection not in heartbeat._heartbeat._due
        connection.close()  # which has no thread to wait for
        assert session.state == "disconnected"


# ---- leaving one of many -----------------------------------------------------------------------


def test_none_of_many_sessions_waits_for_the_peers_answer_as_it_leaves(engine: ScriptEngine) -> None:
    may_answer = threading.Event()

    def answer_late(conn: Any, frame: Any) -> None:
        assert may_answer.wait(30)
        conn.answer_control(frame)

    engine.on("ws:close", answer_late)
    with opened(engine, readers=1):
        leaving = [resumed_session(engine, readers=1).connect() for _ in range(3)]
        for session in leaving:
            session._connection._close_timeout = 10.0
            session.disconnect()
            session.disconnect()  # which does nothing
        engine.wait_for("ws:close", 3)
        # Each has its answer still to come, and may be joined again before that.
        left = engine.connections[1:]
        assert len(left) == 3
        with leaving[0].connect() as again:
            assert again.get_messages(timeout=30) == []
            may_answer.set()
        for conn in left:
            assert conn.over.wait(30)
            assert conn.close_code == 1000


@pytest.mark.parametrize("is_flooded", [False, True])
def test_a_peer_that_never_answers_is_left_in_time(engine: ScriptEngine, is_flooded: bool) -> None:
    engine.on("ws:close", lambda conn, frame: None)
    with flooding(engine), opened(engine, readers=1) as stays:
        with opened(engine, readers=1) as leaves, leaves.listen(maxsize=0) as listener:
            leaves._connection._close_timeout = 0.01
            if is_flooded:
                leaves.send("flood")
                next(listener)
        assert engine.latest.over.wait(30)
        assert stays.get_messages(timeout=30) == []
        stays._connection._close_timeout = 0.01


def test_who_ends_a_session_for_good_waits_for_that(engine: ScriptEngine) -> None:
    with opened(engine, readers=1), opened(engine, readers=1) as ends:
        ends.terminate()
        assert engine.latest.close_code == 1000


def test_a_session_makes_no_room_for_what_may_never_come() -> None:
    def make(number: int) -> list[Any]:
        sessions = [Session(session_id="s1", api_key="k", ws_url="ws://127.0.0.1:9/v1") for _ in range(number)]
        return [(session, session._new_connection()) for session in sessions]

    made = make(1)  # what is made once for all
    tracemalloc.start()
    try:
        made += make(20)
        each = tracemalloc.get_traced_memory()[0] / 20
    finally:
        tracemalloc.stop()
    # An empty deque alone has 760 bytes, and a session has some twenty queues.
    assert each < 20 * 1024


def test_an_observer_may_leave_a_session_on_the_thread_that_reads_it(
    engine: ScriptEngine, readers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.on("post_message", answer)
    with opened(engine, readers=readers) as one, opened(engine, readers=readers) as other:
        left = threading.Event()

        class Leaver:
            def on_event(self, ticket: Any, event: Any) -> None:
                one.disconnect()
                left.set()

            def __getattr__(self, name: str) -> Any:
                return lambda *args: None

        uninstall = hooks.install_turn_observer(Leaver())
        try:
            other.send("hi")
            assert left.wait(30)
        finally:
            uninstall()
        assert other.get_messages(timeout=30) == []


def test_a_session_that_is_forgotten_is_closed(engine: ScriptEngine, readers: int | None) -> None:
    sessions = [resumed_session(engine, readers=readers).connect()]
    with pytest.warns(ResourceWarning, match="never disconnected"):
        sessions.clear()
    assert eventually(lambda: not reading())


# ---- the option --------------------------------------------------------------------------------


@pytest.mark.parametrize("readers", [0, -1, "shared", 1.5])
def test_a_number_of_readers_that_is_none(readers: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match="readers takes a whole number"):
        Client("k", readers=readers)
    with pytest.raises(errors.ConfigurationError, match="readers takes a whole number"):
        Session(session_id="s1", api_key="k", readers=readers)


def test_the_sessions_of_a_client_are_read_as_it_was_given(engine: ScriptEngine) -> None:
    client = pickle.loads(pickle.dumps(Client(SENTINEL_KEY, engine.base_url, engine.ws_url, readers=2)))
    with Session(session_id="s1", api_key=SENTINEL_KEY, client=client):
        assert reading() == ["sessionlib-reader-shared-1"]


def test_without_a_descriptor_to_poll_with_a_session_has_a_thread_of_its_own(
    engine: ScriptEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(selectors, "DefaultSelector", fail)
    with opened(engine, readers=1) as session:
        assert reading() == ["sessionlib-reader-s1"]
        assert session.get_messages(timeout=30) == []


def test_sockets_that_are_not_the_systems_have_a_thread_each(
    engine: ScriptEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "__module__", "gevent._socket3")
    with opened(engine, readers=1):
        assert reading() == ["sessionlib-reader-s1"]


LOST = RuntimeError("lost")


class Polled:
    """A session of a shared reader, which sees no more of its transport than a descriptor."""

    has_unread = is_released = False

    def __init__(self, reader: SharedReader, descriptor: int, read: Callable[[], Any] = lambda: LOST) -> None:
        self.descriptor = descriptor
        self.lost: list[BaseException] = []
        self.shared = Shared(reader, self, lambda *_: read(), self.lost.append)  # type: ignore[arg-type]

    def share(self) -> int:
        return self.descriptor

    def release(self) -> None:
        self.is_released = True

    def is_lost(self) -> bool:
        return self.lost == [LOST]


@pytest.fixture
def reader() -> Iterator[SharedReader]:
    """A shared reader, whose thread ends by itself."""
    yield SharedReader(7)
    assert eventually(lambda: reading() == [])


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


Pair = tuple[socket.socket, socket.socket]


def test_a_shared_reader_knows_what_it_reads_and_ends_with_the_last(reader: SharedReader, pair: Pair) -> None:
    near, far = pair
    polled = Polled(reader, near.fileno())
    assert polled.shared.descriptor == -1
    assert reader.add(polled.shared)
    assert (len(reader), reading(), reader.is_this_thread) == (1, ["sessionlib-reader-shared-7"], False)
    far.sendall(b"x")
    assert eventually(polled.is_lost)
    assert (polled.is_released, polled.shared.descriptor, len(reader)) == (True, -1, 0)


def test_a_shared_reader_leaves_nothing_open_of_what_it_cannot_read(
    reader: SharedReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    selector = selectors.DefaultSelector()
    monkeypatch.setattr(selectors, "DefaultSelector", lambda: selector)
    assert not reader.add(Polled(reader, -1).shared)
    assert selector.get_map() is None  # it is closed
    assert (len(reader), reading()) == (0, [])


def test_a_shared_reader_reads_on_where_more_has_come_than_it_has_read(reader: SharedReader, pair: Pair) -> None:
    near, far = pair
    reads: list[bytes] = []

    def read() -> BaseException | None:
        """Takes all that a poll would show, and has a rest of it left at first."""
        if not reads:
            reads.append(near.recv(10))
        elif polled.has_unread:
            polled.has_unread = False
            return LOST
        polled.has_unread = True
        return None

    polled = Polled(reader, near.fileno(), read)
    assert reader.add(polled.shared)
    far.sendall(b"x")
    assert eventually(polled.is_lost)


def test_what_had_come_already_is_read_without_a_poll_that_shows_it_and_once(reader: SharedReader, pair: Pair) -> None:
    near, far = pair

    def read() -> BaseException | None:
        is_last, polled.has_unread = not polled.has_unread, False
        return LOST if is_last else None

    polled = Polled(reader, near.fileno(), read)
    polled.has_unread = True
    assert reader.add(polled.shared)
    # Or the thread would never sleep again.
    assert eventually(lambda: not polled.has_unread)
    assert reader._selector.get_map()[near.fileno()].events == selectors.EVENT_READ
    far.sendall(b"x")
    assert eventually(polled.is_lost)


def test_what_is_taken_from_a_shared_reader_in_a_round_is_not_read_in_it(reader: SharedReader) -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    reads: list[int] = []
    may_take, others_came = threading.Event(), threading.Event()

    def read(number: int) -> BaseException | None:
        pairs[number][0].recv(10)
        if number == 2:
            may_take.set()
            assert others_came.wait(30)
            return None
        # Which of the two comes first is the system's choice.
        reads.append(number)
        reader.take(sessions[number])
        reader.take(sessions[1 - number])
        return None

    with ExitStack() as stack:
        for end in itertools.chain(*pairs):
            stack.enter_context(end)
        polled = [Polled(reader, near.fileno(), partial(read, at)) for at, (near, _) in enumerate(pairs)]
        sessions = [one.shared for one in polled]
        assert all(map(reader.add, sessions))
        pairs[2][1].sendall(b"x")
        assert may_take.wait(30)
        for _, far in pairs[:2]:
            far.sendall(b"x")
        others_came.set()
        assert eventually(lambda: len(reader) == 2 and len(reads) == 1)
        # Not the one that is being read.
        (first,) = reads
        assert [session.is_taken for session in (sessions[first], sessions[1 - first])] == [False, True]
        assert (sessions[first].descriptor >= 0, sessions[1 - first].descriptor) == (True, -1)
        sessions[2].read = sessions[first].read = lambda *_: LOST
        for _, far in pairs:
            far.sendall(b"x")
        assert eventually(lambda: polled[2].is_lost() and polled[first].is_lost())
        assert (polled[1 - first].lost, len(reads)) == ([], 1)
        reader.take(sessions[first])  # which does nothing
        assert not sessions[first].is_taken


def test_what_is_taken_in_a_round_holds_up_none_behind_it(
    reader: SharedReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Rounds(selectors.SelectSelector):
        """Finds all that is registered ready, and nothing from then on."""

        finds = [True, False]

        def select(self, timeout: float | None = None) -> Any:
            return [(key, key.events) for key in self.get_map().values()] if self.finds.pop(0) else []

    def read(number: int) -> BaseException | None:
        reads.append(number)
        polled[number].has_unread = len(reads) <= 3
        if len(reads) == 4:
            reader.take(polled[1].shared)
        return None if len(reads) <= 3 else LOST

    run, selector, reads = SharedReader._run, Rounds(), list[int]()
    monkeypatch.setattr(selectors, "DefaultSelector", lambda: selector)
    monkeypatch.setattr(SharedReader, "_run", lambda reader, selector: None)
    polled = [Polled(reader, number, partial(read, number)) for number in range(3)]
    assert all(reader.add(one.shared) for one in polled)
    run(reader, selector)
    assert reads == [0, 1, 2, 0, 2]


@pytest.mark.parametrize("descriptor", [0, 1])
def test_any_descriptor_is_polled_and_taken(
    reader: SharedReader, monkeypatch: pytest.MonkeyPatch, descriptor: int
) -> None:
    # One that asks nothing of what it is given, as a process may have another file under that number.
    monkeypatch.setattr(selectors, "DefaultSelector", selectors.SelectSelector)
    monkeypatch.setattr(SharedReader, "_run", lambda reader, selector: None)
    one, other = Polled(reader, descriptor).shared, Polled(reader, 2).shared
    assert reader.add(one)
    reader.take(one)
    assert (one.is_taken, one.descriptor) == (False, descriptor)  # it is the last
    assert reader.add(other)
    reader.take(one)
    assert (one.is_taken, one.descriptor, len(reader)) == (True, -1, 1)


@pytest.mark.parametrize("descriptor", [0, 1])
def test_any_descriptor_is_polled_no_longer_for_what_had_come(
    reader: SharedReader, monkeypatch: pytest.MonkeyPatch, descriptor: int
) -> None:
    class Ready(selectors.SelectSelector):
        """Finds all that is registered ready, as a process may have another file under a number."""

        def select(self, timeout: float | None = None) -> Any:
            return [(key, key.events) for key in self.get_map().values()]

    def read() -> BaseException:
        events.append(selector.get_map()[descriptor].events)
        return LOST

    events, selector = list[int](), Ready()
    monkeypatch.setattr(selectors, "DefaultSelector", lambda: selector)
    polled = Polled(reader, descriptor, read)
    polled.has_unread = True
    assert reader.add(polled.shared)
    assert eventually(polled.is_lost)
    assert events == [selectors.EVENT_READ]
