"""Signals, forks and exits: a session never holds up a process, and a process never breaks a session."""

from __future__ import annotations

import signal
import textwrap
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sessionlib import SessionConnectionError, SessionDisconnectedError
from sessionlib.protocol import codec
from sessionlib.testing import FaultProxy
from tests.support.processes import MARKER, Script
from tests.support.script_engine import ScriptEngine
from tests.support.secrets import SENTINEL_KEY
from tests.support.sessions import make
from tests.support.turns import turn
from tests.support.waiting import SLACK, Stalls, eventually, within

OPEN = """
import os, signal, sys, threading, time
from sessionlib import Session, SessionDisconnectedError, ForkedSessionError
def make(**options):
    return Session(session_id="s1", ws_url=sys.argv[1], reconnect_delay=0.01, **options)
def ready():
    print("ready", flush=True)
"""

# For scripts that are interrupted: when that was, and for how long this process has stood still since it was ready.
WATCHED = """
from tests.support.waiting import Stalls
stalls = Stalls().__enter__()
def ready():
    global before
    before = stalls.seconds
    print("ready", flush=True)
def out():
    print("out", time.monotonic(), stalls.seconds - before, flush=True)
"""


def script(body: str, engine: ScriptEngine | FaultProxy) -> Script:
    """Runs a script that can make sessions on an engine."""
    return Script(OPEN + textwrap.dedent(body), engine.ws_url, env={"SESSIONLIB_API_KEY": SENTINEL_KEY})


def run(body: str, engine: ScriptEngine) -> None:
    """Runs such a script to its end, and fails unless it ends well and says nothing."""
    with script(body, engine) as running:
        running.wait().check()


# ---- Ctrl-C --------------------------------------------------------------------------------


def interrupt(running: Script) -> None:
    """Sends Ctrl-C to a script that is watched, and fails unless its call ends at once."""
    with Stalls() as stalls:
        sent = time.monotonic()
        running.send_signal(signal.SIGINT)
        out, stood_still = map(float, running.wait_for("out").split())
    # How long either process stood still is not held against it.
    assert out - sent <= 0.2 + SLACK + stalls.seconds + stood_still


POINTS = {
    # Where it comes, what the engine does there, and what has to work after it.
    "connect": "make().connect(30)",
    "join": "make().connect(30)",
    "resolve": "slow.connect(30)",
    "ask": "session.ask('hi')",
    "listen": "next(session.listen())",
    "stream": "list(session.stream('hi'))",
    "text_stream": "list(session.stream('hi').text_stream)",
    "get_messages": "session.get_messages(timeout=None)",
    "send": "session.send('x' * 50_000_000)",
    "back-off": "session.ask('hi')",
}


@pytest.mark.parametrize("point", POINTS)
def test_ctrl_c_gets_out_at_once_and_twice(engine: ScriptEngine, point: str) -> None:
    mute = threading.Event()
    engine.on("connect_session", lambda conn, frame: (point == "join" and mute.is_set()) or conn.answer(frame))
    engine.on("post_message", lambda conn, frame: None)
    engine.on("get_messages", lambda conn, frame: None)
    if point == "connect":
        engine.handshake = lambda conn, head: conn.sleep(20)
    if point == "join":
        mute.set()
    opened = point not in ("connect", "join", "resolve")
    body = f"""
        import socket
        real = socket.getaddrinfo
        slow = Session(session_id="s1", ws_url="wss://slow.example/v1")
        def getaddrinfo(host, *args, **kwargs):
            if host == "slow.example":
                if kwargs.get("flags"):
                    raise OSError
                time.sleep(20)
            return real(host, *args, **kwargs)
        socket.getaddrinfo = getaddrinfo
        session = make(reconnect_max_delay=60) if {opened} else None
        if session:
            session.connect()
            if {point == "back-off"}:
                session._connection._reader._retries.backoff.base = 60.0
                print("drop", flush=True)
                while session.state != "reconnecting":
                    time.sleep(0.01)
        for _ in range(2):
            try:
                ready()
                {POINTS[point]}
            except KeyboardInterrupt:
                out()
        if session:
            print("state", session.state, flush=True)
            began = time.monotonic()
            session.disconnect()
            assert time.monotonic() - began < 10
        # Nobody waits for the reader of a connect that was interrupted.
        while [t.name for t in threading.enumerate() if t.name.startswith("sessionlib-reader")]:
            time.sleep(0.01)
        print("done", flush=True)
    """
    with FaultProxy("127.0.0.1", engine.port) as proxy, script(WATCHED + textwrap.dedent(body), proxy) as running:
        if point == "back-off":
            running.wait_for("drop")
            engine.stop_listening()
            engine.drop_all()
        if point == "send":
            # Before the script says that it is there: the whole message could have gone by then.
            engine.wait_for("connect_session")
            proxy.upstream.blackhole()
        for _ in range(2):
            running.wait_for(MARKER)
            time.sleep(0.3)
            interrupt(running)
        running.wait_for("done")
        result = running.wait()
        proxy.clear()
    assert (result.rc, result.stderr) == (0, "")


def test_ctrl_c_while_leaving_leaves_all_the_same(engine: ScriptEngine) -> None:
    engine.on("ws:close", lambda conn, frame: conn.sleep(20))
    body = """
session = make().connect()
session._connection._close_timeout = 5.0  # or it has left by itself when Ctrl-C comes late
for _ in range(2):
    try:
        ready()
        session.disconnect()
    except KeyboardInterrupt:
        out()
session.disconnect()
assert session.state == "disconnected"
while [t.name for t in threading.enumerate() if t.name.startswith("sessionlib-reader")]:
    time.sleep(0.01)
"""
    with script(WATCHED + body, engine) as running:
        running.wait_for(MARKER)
        engine.wait_for("ws:close")
        time.sleep(0.1)
        interrupt(running)
        running.wait().check()


# ---- SIGTERM and exits -----------------------------------------------------------------------


def test_sigterm_ends_a_process_with_a_session_as_it_ends_any(engine: ScriptEngine) -> None:
    with script("session = make().connect(); ready(); next(session.listen())", engine) as running:
        running.wait_for(MARKER)
        with within(2):
            running.send_signal(signal.SIGTERM)
            result = running.wait()
        assert (result.rc, result.stderr) == (-signal.SIGTERM, "")
        engine.wait_idle()


EXITS = {
    "connected": "session = make().connect()",
    "in a with block": "session = make().connect()\nwith session: sys.exit(0)",
    "in the middle of a turn": "session = make().connect()\nturn = session.stream('hi')",
    "a thread listens": (
        "session = make().connect()\n"
        "threading.Thread(target=lambda: list(session.listen()), daemon=True).start()\ntime.sleep(0.1)"
    ),
    "at exit": "import atexit\nsession = make().connect()\natexit.register(session.disconnect)",
    "connected at exit": "import atexit\natexit.register(lambda: make().connect().disconnect())",
    "in a finalizer": (
        "class Holder:\n    def __init__(self): self.session = make().connect()\n"
        "    def __del__(self): self.session.disconnect()\nholder = Holder()"
    ),
    "with handlers": "session = make().connect()\nsession.on_state(print)\nsession.on_approval(lambda r: True)",
    "reconnecting": (
        "session = make().connect()\nsession.send('drop')\nwhile session.state == 'connected': time.sleep(0.01)"
    ),
}


@pytest.mark.parametrize("how", EXITS)
def test_an_exit_with_a_session_is_quick_and_says_nothing(engine: ScriptEngine, how: str) -> None:
    def post(conn, frame):  # type: ignore[no-untyped-def]
        if frame["content"] == "drop":
            engine.stop_listening()
            conn.drop()

    engine.on("post_message", post)
    # A session that nobody disconnected is told by a ResourceWarning, as an open file is; here it is not wanted.
    body = "import warnings; warnings.simplefilter('ignore', ResourceWarning)\n" + EXITS[how]
    with script(
        f"{body}\nready()" if "exit(" not in body else body.replace("with", "ready()\nwith"), engine
    ) as running:
        running.wait_for(MARKER)
        with within(2):
            result = running.wait()
    assert (result.rc, result.stderr) == (0, "")


# ---- forks ---------------------------------------------------------------------------------

CHILDREN = {
    "uses": "session.send('from the child')",
    "asks": "session.ask('from the child', timeout=1)",
    "reads": "session.get_messages(timeout=1)",
    "listens": "list(session.listen(timeout=1))",
    "goes on listening": "next(listener)",
    "goes on with a turn": "turn.result()",
    "leaves": "session.disconnect()",
    "terminates": "session.terminate()",
    "connects": "session.connect()",
}


@pytest.mark.parametrize("how", [*CHILDREN, "exits", "drops it", "opens its own"])
def test_a_fork_leaves_its_parents_session_alone(engine: ScriptEngine, how: str) -> None:
    refused = f"""
    try:
        {CHILDREN.get(how)}
    except ForkedSessionError:
        os._exit(0)
    os._exit(1)"""
    opened = """
    with make() as own:
        own.get_messages(timeout=30)
    os._exit(0)"""
    others = {
        "opens its own": opened,
        "drops it": "\n    del session\n    import gc; gc.collect()\n    sys.exit(0)",
        "exits": "\n    sys.exit(0)",
    }
    body = f"""
import warnings; warnings.simplefilter("ignore")  # of a fork with threads
session = make().connect()
listener = session.listen(event_types=["message_complete"])
turn = session.stream("hi")
pid = os.fork()
if not pid:{others.get(how, refused)}
assert os.waitpid(pid, 0)[1] == 0
for _ in range(100):
    session.get_messages(timeout=30)
assert session.state == "connected"
session.disconnect()
"""
    run(body, engine)
    engine.wait_idle()  # or the last frame may not have been read yet
    # It pings where all of this takes longer than 5 s.
    heard = [frame for frame in engine.received if frame["type"] != "ping_session"]
    first = [frame["type"] for frame in heard if frame.connection == 1]
    assert first == ["connect_session", "post_message", *["get_messages"] * 100, "disconnect_session"]
    assert len(engine.handshakes) == 1 + (how == "opens its own")


SCRIPTS = {
    "a fork reads its own sessions by a thread of its own": """
import warnings; warnings.simplefilter("ignore")  # of a fork with threads
with make(readers=1) as session:
    pid = os.fork()
    if not pid:
        for _ in range(2):
            with make(readers=1) as own:
                own.get_messages(timeout=30)
        del session
        import gc; gc.collect()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    session.get_messages(timeout=30)
    with make(readers=1) as other:
        other.get_messages(timeout=30)
    session.get_messages(timeout=30)
""",
    "sessions that are forgotten": """
import warnings; warnings.simplefilter("ignore", ResourceWarning)
sessions = [make(readers=1).connect() for _ in range(3)]
""",
    "a forked worker of a pool has sessions": """
import multiprocessing
def work(number):
    with make() as session:
        return len(session.get_messages(timeout=30))
if __name__ == "__main__":
    import warnings; warnings.simplefilter("ignore")
    with make() as session:
        with multiprocessing.get_context("fork").Pool(3) as pool:
            assert pool.map(work, range(9)) == [0] * 9
        session.get_messages(timeout=30)
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_ends_well(engine: ScriptEngine, name: str) -> None:
    run(SCRIPTS[name], engine)


def test_a_script_that_leaves_and_ends_has_the_closing_handshake_finished(engine: ScriptEngine) -> None:
    answered = threading.Event()

    def answer_late(conn: Any, frame: Any) -> None:
        conn.sleep(0.3)  # which raises once the client is gone
        conn.answer_control(frame)
        answered.set()

    engine.on("ws:close", answer_late)
    body = """
import warnings; warnings.simplefilter("ignore", ResourceWarning)
stays, leaves = make(readers=1).connect(), make(readers=1).connect()
leaves._connection._close_timeout = 10.0
leaves.disconnect()
"""
    with script(body, engine) as running:
        running.wait(30).check()
    assert answered.is_set()


# ---- clocks --------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_is_set_changes_nothing(
    engine: ScriptEngine, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    real = time.time
    with make(engine, ping_interval=0.2, pong_timeout=5) as session:
        monkeypatch.setattr(time, "time", lambda: real() + jump)
        with pytest.raises(TimeoutError), within(0.3):
            next(session.listen(event_types=["message_complete"], timeout=0.3))
        time.sleep(0.5)
        assert session.get_messages(timeout=30) == []
        assert len(engine.handshakes) == 1


def test_a_process_that_was_stopped_finds_its_link_alive_or_gets_it_back(engine: ScriptEngine) -> None:
    body = """
session = make(ping_interval=0.2, pong_timeout=0.2).connect()
ready()
time.sleep(2)
session.get_messages(timeout=30)
print("fine", flush=True)
session.disconnect()
"""
    with script(body, engine) as running:
        running.wait_for(MARKER)
        running.send_signal(signal.SIGSTOP)
        time.sleep(1)
        running.send_signal(signal.SIGCONT)
        running.wait_for("fine")
        running.wait().check()


# ---- when the machine has no more ------------------------------------------------------------


def test_a_process_without_descriptors_can_connect_once_it_has_some(engine: ScriptEngine) -> None:
    body = """
import resource
from sessionlib import SessionConnectionError
session = make()
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))
held = []
try:
    while True:
        held.append(open("/dev/null"))
except OSError:
    pass
try:
    session.connect(30)
except SessionConnectionError as error:
    assert "many" in str(error), error
else:
    raise AssertionError("it connected")
assert session.state == "disconnected"
held.pop().close()
with session:
    session.get_messages(timeout=30)
    states = []
    session.on_state(states.append)
    session.send("drop")
    while "reconnecting" not in states:
        time.sleep(0.01)
    session.get_messages(timeout=30)
for file in held:
    file.close()
"""
    engine.on("post_message", lambda conn, frame: conn.drop())
    run(body, engine)


def test_a_process_without_threads_can_connect_once_it_has_some(
    engine: ScriptEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make(engine)
    start = threading.Thread.start
    refused: list[str] = []

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("sessionlib") and len(refused) < 2:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(2):
        with pytest.raises(SessionConnectionError, match="thread"):
            session.connect(30)
        assert session.state == "disconnected"
    with session:
        assert session.get_messages(timeout=30) == []
    assert len(refused) == 2


def test_a_reader_without_memory_ends_the_session_and_says_so(
    engine: ScriptEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make(engine) as session:
        listener = session.listen(timeout=30)

        def loads(data: bytes) -> None:
            raise MemoryError

        monkeypatch.setattr(codec, "bare_loads", loads)
        engine.push_many(turn())
        with pytest.raises(SessionDisconnectedError) as caught:
            list(listener)
        assert isinstance(caught.value.__cause__, MemoryError)
        monkeypatch.undo()
        session.connect(30)
        assert session.get_messages(timeout=30) == []


@pytest.fixture(autouse=True)
def _every_script_has_ended(engine: ScriptEngine) -> Iterator[None]:
    yield
    assert eventually(lambda: not engine.connections), "a script left its connection open"
