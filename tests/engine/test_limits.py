"""What the engine does not take: too large, too many, too slow, malformed. And that others do not notice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import websocket

from sessionlib.engine import Limits, LocalEngine
from sessionlib.protocol import frames
from tests.engine.conftest import refund
from tests.support.engine import (
    Caller,
    Process,
    answer_of,
    approve,
    content_of,
    contents,
    deny,
    eventually,
    file,
    make_agent,
    open_socket,
    raw,
    readable,
    rest,
)
from tests.support.engine_bytes import connect, data_frame, head, status, upgrade, upgraded
from tests.support.threads import in_threads

SMALL = Limits(connections=20, message_bytes=100_000, outbound_bytes=100_000, session_file_bytes=50_000)


@pytest.fixture
def small() -> Iterator[LocalEngine]:
    with LocalEngine(limits=SMALL) as engine:
        yield engine


@pytest.fixture
def hasty() -> Iterator[LocalEngine]:
    """Only for what is too slow: on a busy machine everybody is, now and then."""
    with LocalEngine(limits=Limits(head_seconds=1.0, body_seconds=1.0)) as engine:
        yield engine


# ---- requests ------------------------------------------------------------------------------


JSON = "Content-Type: application/json"
POST = "POST /v1/agent HTTP/1.1"


@pytest.mark.parametrize(
    ("line", "fields", "body", "expected"),
    [
        ("GET /v1/agents HTTP/1.1", ["X: " + "y" * 20_000], b"", 431),
        ("GET /v1/agents HTTP/1.1", ["X: " + "y" * 1_000_000], b"", 431),
        ("GET /" + "x" * 20_000 + " HTTP/1.1", [], b"", 431),
        ("GET /v1/agents HTTP/1.1", [f"X-{number}: y" for number in range(100)], b"", 431),
        (POST, [JSON, "Content-Length: 99999999999"], b"", 413),
        (POST, [JSON, "Transfer-Encoding: chunked"], b"5\r\nhello\r\n", 411),
        (POST, [JSON, "Content-Length: 1"], b'{"name": "x"}', 400),
    ],
    ids=["large field", "endless field", "large path", "many fields", "large body", "chunked body", "longer body"],
)
def test_sizes_of_requests(small: LocalEngine, line: str, fields: list[str], body: bytes, expected: int) -> None:
    assert status(raw(small, head(small, line, *fields) + body)) == expected


def test_what_does_not_arrive_is_not_waited_for(hasty: LocalEngine) -> None:
    cut = head(hasty, POST, JSON, "Content-Length: 10") + b"{}"
    for data in (cut, b"GET /v1/agents HTTP/1.1\r\nHost: ", b""):
        assert status(raw(hasty, data) or b"HTTP/1.1 408 ") == 408, data[:80]


@pytest.mark.parametrize(("size", "answer"), [(100_000_000, b"413 "), (13, b"100 Continue\r\n\r\n")])
def test_a_body_is_refused_or_asked_for_before_it_is_sent(small: LocalEngine, size: int, answer: bytes) -> None:
    with connect(small) as sock:
        sock.sendall(head(small, POST, JSON, f"Content-Length: {size}", "Expect: 100-continue"))
        assert sock.recv(100).startswith(b"HTTP/1.1 " + answer)
        if size == 13:
            sock.sendall(b'{"name": "x"}')
            assert sock.recv(100).startswith(b"HTTP/1.1 200 ")


def test_slow_senders_are_let_go_in_time(hasty: LocalEngine) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(hasty)) for _ in range(5)]
        begun = time.monotonic()
        while any(not readable(sock, 0) for sock in slow):
            for sock in slow:
                with contextlib.suppress(OSError):
                    sock.sendall(b"G")
            time.sleep(0.05)
            assert time.monotonic() - begun < 30
        assert rest(hasty, "GET", "/agents").status_code == 200


def own_fields(engine: LocalEngine) -> bytes:
    return f"Host: 127.0.0.1:{engine.port}\r\nAuthorization: Bearer {engine.api_key}\r\n".encode()


@pytest.mark.parametrize(
    "data",
    [
        *[b"GET /v1/agents HTTP/%s\r\n{h}\r\n" % version for version in (b"0.9", b"1.2", b"2.0", b"1.1 ")],
        *[
            line + b" HTTP/1.1\r\n{h}\r\n"
            for line in (
                b"GET  /v1/agents",
                b"get /v1/agents",
                b"GET v1/agents",
                b"CONNECT evil:80",
                b"OPTIONS *",
            )
        ],
        *(b"GET /v1/agents\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        b"GET /v1/agents HTTP/1.1\n{h}\n",
        *[
            b"GET /v1/agents HTTP/1.1\r\n{h}%s\r\n\r\n" % field
            for field in (b"X: y\nEvil: z", b"X: y\r\n folded", b"X: y\rz", b"X: y\0z", b"X : y", b": y", b"no colon")
        ],
        *[
            b"POST /v1/agent HTTP/1.1\r\n{h}Content-Length: %s\r\n\r\n{}" % length
            for length in (b"2\r\nContent-Length: 3", b"2, 2", b"+2", b"-1", b"2\r\nTransfer-Encoding: chunked")
        ],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_malformed_requests_are_refused_and_the_connection_ends(small: LocalEngine, data: bytes) -> None:
    fields = own_fields(small)
    smuggled = b"DELETE /v1/agent/x HTTP/1.1\r\n" + fields + b"\r\n"
    assert status(raw(small, data.replace(b"{h}", fields) + smuggled)) in (400, 505)


def test_a_reverse_proxy_that_speaks_http_1_0_is_answered(small: LocalEngine) -> None:
    fields = own_fields(small)
    assert status(raw(small, b"GET /v1/agents HTTP/1.0\r\n" + fields + b"\r\n")) == 200
    assert status(raw(small, b"GET /v1/agents HTTP/1.0\r\n\r\n")) == 400
    assert status(raw(small, b"GET /v1/ws/session HTTP/1.0\r\n" + fields + b"\r\n")) == 426


def test_only_the_first_of_many_requests_is_answered(small: LocalEngine) -> None:
    assert status(raw(small, head(small) * 100)) == 200


def test_random_bytes_never_get_past_the_door(small: LocalEngine) -> None:
    drawn = random.Random(3)
    good = head(small)
    for _ in range(150):
        data = bytearray(good)
        for _ in range(drawn.randrange(1, 4)):
            data[drawn.randrange(len(data))] = drawn.randrange(256)
        answer = raw(small, bytes(data) + b"\r\n\r\n")
        assert answer == b"" or 200 <= status(answer) < 506


def test_more_connections_than_there_is_room_for_are_turned_away(small: LocalEngine) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.callback(open_socket(small).shutdown)
        with connect(small) as sock:
            assert sock.recv(100).startswith(b"HTTP/1.1 503 ")
    eventually(lambda: _answers(small))


def test_silent_connections_leave_room_for_clients_and_tools(process: Callable[..., Process], tmp_path: Path) -> None:
    tools = tmp_path / "tools.py"
    tools.write_text("""
from sessionlib.engine import tool

@tool
def add(a: int, b: int) -> int:
    "Add."
    return a + b
""")
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128));"
        "from sessionlib.engine.__main__ import main; sys.exit(main())"
    )
    engine = process("--tools", str(tools), script=script).ready()
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(engine))
        with eventually(lambda: _joined(engine)) as caller:
            assert answer_of(caller.ask('/tool add {"a": 1, "b": 2}')).endswith("3")
    engine.stop()
    lines = engine.errors().splitlines()
    assert any("no room" in line or "was refused" in line for line in lines)
    assert len(lines) < 20


def _joined(engine: Process) -> Caller | None:
    try:
        return Caller.on(engine)
    except (OSError, websocket.WebSocketException, AssertionError):  # cut off, or answered with 503
        return None


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the next start of a thread of that kind fail, as when the system has no more to give."""

    def refuse(kind: str) -> None:
        start, left = threading.Thread.start, iter([True])

        def start_or_fail(thread: threading.Thread) -> None:
            if thread.name.startswith(kind) and next(left, False):
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", start_or_fail)

    return refuse


def test_a_connection_without_a_thread_is_turned_away(small: LocalEngine, scarce: Callable[[str], None]) -> None:
    scarce("sessionlib-serve")
    with connect(small) as sock:
        assert sock.recv(100).startswith(b"HTTP/1.1 503 ")
    assert rest(small, "GET", "/agents").status_code == 200


def test_a_turn_without_a_thread_waits_for_one(small: LocalEngine, scarce: Callable[[str], None]) -> None:
    with Caller.on(small) as caller:
        scarce("sessionlib-turn")
        assert answer_of(caller.ask("hello")).endswith('You said: "hello"')


def _answers(engine: LocalEngine) -> bool:
    try:
        return rest(engine, "GET", "/agents").status_code == 200
    except OSError:
        return False


# ---- names of files ------------------------------------------------------------------------

NAMES = [
    *("../up", "../../../../../../etc/passwd", "/etc/passwd", "//etc/passwd", "file:///etc/passwd", "a/../../up"),
    *("a/b/c", "....//up", ".", "..", "...", "..\\..\\up", "C:\\windows\\system32", "C:up", "\\\\server\\share"),
    *("%2e%2e%2fup", "%2e%2e/up", "..%c0%afup", "..;/up", "~/.bashrc", "~root", "$HOME/x", "`id`", "$(id)"),
    *("CON", "NUL.txt", "aux", "COM1", "x; rm -rf /", "| cat", "trailing.", "trailing ", " leading", "", "x" * 300),
    *("nul\x00byte", "new\nline", "return\r\nHeader: x", "tab\t", "\x1b[31mred", "\u202egpj.exe", "\u2024\u2024/up"),
]


def test_names_of_files_are_only_names(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    database = root / "engine.db"
    before = sorted(os.listdir("/etc"))
    with LocalEngine(path=str(database)) as engine, Caller.on(engine) as caller:
        caller.ask_all([file(name) for name in NAMES])
        kept = contents(caller.history(), "file")
        assert len(kept) == len(NAMES)
        for name, content in zip(NAMES, kept, strict=True):
            assert content["name"].isprintable()
            assert 0 < len(content["name"]) <= 255
            assert content["name"] == name or not name.isprintable() or len(name) > 255 or not name
            answer = rest(engine, "GET", f"/file/{content['file_id']}")
            assert (answer.content, answer.headers["content-disposition"]) == (b"hi", "attachment")
    assert {path.name for path in root.iterdir()} <= {"engine.db", "engine.db-wal", "engine.db-shm", "engine.db.lock"}
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
    assert sorted(os.listdir("/etc")) == before


def test_paths_in_addresses_lead_nowhere(small: LocalEngine) -> None:
    for name in NAMES:
        if name and name.isascii() and name.isprintable() and " " not in name:
            answer = raw(small, head(small, f"GET /v1/file/{name} HTTP/1.1"))
            assert status(answer) in (400, 404), name


# ---- WebSocket -----------------------------------------------------------------------------


def closing(ws: websocket.WebSocket) -> tuple[int, str]:
    """The code and reason with which the engine closes."""
    while True:
        opcode, data = ws.recv_data(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return struct.unpack("!H", data[:2])[0], data[2:].decode()


def test_a_message_may_be_as_large_as_the_limit_and_no_larger(small: LocalEngine) -> None:
    with Caller.on(small) as caller:
        frame = frames.post_message(caller.session_id, "")
        room = SMALL.message_bytes - len(json.dumps(frame))
        assert caller.post("x" * room)["success"]
        caller.until_status("Idle")
        caller.say(frames.post_message(caller.session_id, "x" * (room + 1)))
        assert closing(caller.ws)[0] == 1009


@pytest.mark.parametrize(
    "data",
    [
        data_frame(0x81, SMALL.message_bytes + 1),
        data_frame(0x81, 2**32),
        data_frame(0x81, 2**63 - 1),
        data_frame(0x01, 70_000, b"x" * 70_000) + b"\x89\x80\0\0\0\0" + data_frame(0x80, 70_000),
    ],
)
def test_what_is_announced_as_too_large_is_refused_before_it_is_sent(small: LocalEngine, data: bytes) -> None:
    with upgraded(small) as sock:
        sock.sendall(data)
        reason = b"a message has at most 100000 bytes"
        answer = b"".join(iter(lambda: sock.recv(1000), b""))
        assert answer.removeprefix(b"\x8a\0") == b"\x88" + bytes([len(reason) + 2]) + b"\x03\xf1" + reason


def test_tiny_fragments_take_little_more_room_than_their_bytes(process: Callable[..., Process]) -> None:
    engine = process().ready()
    memory = psutil.Process(engine.popen.pid).memory_info
    with upgraded(engine) as sock:
        tiny = b"\x00\x83\0\0\0\0abc"
        sock.sendall(b"\x01\x80\0\0\0\0" + tiny * 1000 + b"\x89\x80\0\0\0\0")
        assert sock.recv(2) == b"\x8a\0"
        before = memory().rss
        sock.sendall(tiny * 300_000 + b"\x89\x80\0\0\0\0")
        assert sock.recv(2) == b"\x8a\0"
        assert memory().rss - before < 4 << 20


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("Upgrade: websocket", "Connection: Upgrade"),
        ("Upgrade: h2c", "Connection: Upgrade"),
        ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: eA=="),
    ],
)
def test_what_is_no_handshake_is_told_so(small: LocalEngine, fields: tuple[str, ...]) -> None:
    assert status(raw(small, head(small, "GET /v1/ws/session HTTP/1.1", *fields))) == 426
    assert status(raw(small, head(small, "POST /v1/ws/session HTTP/1.1", *fields))) == 405


def test_nothing_is_agreed_to_that_was_offered(small: LocalEngine) -> None:
    with connect(small) as sock:
        sock.sendall(upgrade(small, "Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: chat"))
        answer = sock.recv(1000).lower()
        assert b" 101 " in answer
        assert b"extensions" not in answer
        assert b"protocol:" not in answer


def test_a_flood_of_frames_is_told_then_closed() -> None:
    limits = Limits(frames_per_second=100, frame_burst=50, refusals=30)
    with LocalEngine(limits=limits) as engine, Caller.on(engine) as calm, Caller.on(engine) as flooding:
        with contextlib.suppress(OSError, websocket.WebSocketException):
            for _ in range(5000):
                flooding.say(frames.ping_session("x"))
        codes = set()
        # Not recv_data, which answers a close frame: there may be no engine to answer any more.
        while (frame := flooding.ws.recv_frame()).opcode != websocket.ABNF.OPCODE_CLOSE:
            codes.add(json.loads(frame.data).get("code"))
        assert int.from_bytes(frame.data[:2], "big") == 1008
        assert codes == {None, "rate_limited"}
        calm.ask("undisturbed")


def test_a_client_that_does_not_read_is_closed_and_the_others_go_on(small: LocalEngine) -> None:
    with Caller.on(small) as reading:
        deaf = open_socket(small, sockopt=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)])
        deaf.send(json.dumps(frames.connect_session(reading.session_id)))
        deaf.recv()
        for number in range(100):
            assert len(reading.ask(f"{number} " + "word " * 390)) > 390
        with contextlib.suppress(ConnectionError, websocket.WebSocketException):
            assert closing(deaf) == (1013, "too slow: connect again and read the history")
        deaf.shutdown()
        with Caller.on(small, session_id=reading.session_id) as again:
            assert again.history() == reading.history()
            # Beside a notice that the model was given less than all of it.
            assert sum(message["content"]["type"] == "data_type_message" for message in again.history()) == 200


def test_a_history_larger_than_the_queue_is_sent_whole(small: LocalEngine) -> None:
    with Caller.on(small) as caller:
        for number in range(30):
            assert caller.post(f"{number} " + "x" * 50_000)["success"]
            caller.until_status("Idle")
        assert len(json.dumps(caller.history())) > 10 * SMALL.outbound_bytes


def test_a_silent_client_is_pinged_and_a_dead_one_let_go() -> None:
    limits = Limits(silence_seconds=0.5)
    with LocalEngine(limits=limits) as engine, Caller.on(engine) as caller:
        for _ in range(5):
            opcode, _ = caller.ws.recv_data_frame(control_frame=True)
            assert opcode == websocket.ABNF.OPCODE_PING
        with upgraded(engine) as dead:
            while dead.recv(1000):
                pass
    # Silent for longer than twice the time in all, and for much less than that at once.
    with LocalEngine(limits=Limits(silence_seconds=1.5)) as engine, Caller.on(engine) as caller:
        for _ in range(10):
            time.sleep(0.35)
            caller.ask("still here")


# ---- many at once --------------------------------------------------------------------------


CLIENTS = 25


def test_many_clients_of_one_session_see_one_transcript() -> None:
    """All of them post in turn and answer at once; the first answer stands."""
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(LocalEngine(tools=[refund], batching=False))
        first = stack.enter_context(Caller.on(engine))
        callers = [first]
        callers += [stack.enter_context(Caller.on(engine, session_id=first.session_id)) for _ in range(CLIENTS - 1)]
        told: list[list[dict[str, Any]]] = [[] for _ in callers]

        def hear(number: int) -> None:
            caller = callers[number]
            idle = 0
            while idle < 4 * CLIENTS:
                frame = caller.hear()
                told[number].append(frame)
                idle += frame["type"] == "participant_status" and frame["message"]["status"] == "Idle"
                if content_of(frame).get("type") == "tool_call_approval" and number % 5 == 0:
                    answer = approve() if number % 2 else deny(str(number))
                    caller.say(frames.post_message(caller.session_id, answer, frame["message"]["id"]))

        def post(number: int) -> None:
            for round_number in range(4):
                text = f"{number}/{round_number}" if round_number % 2 else f'/tool refund {{"order_id": "{number}"}}'
                callers[number].say(frames.post_message(first.session_id, text))

        with in_threads(*[partial(work, number) for number in range(CLIENTS) for work in (post, hear)], timeout=250):
            pass
        public = [[frame for frame in heard if frame["type"] in _PUBLIC] for heard in told]
        assert len(public[0]) > 4 * CLIENTS * 4
        assert all(heard == public[0] for heard in public[1:])
        acks = [frame for heard in told for frame in heard if frame["type"] == "post_message" and "approved" in frame]
        # Those who lose the race may hear of it after the last turn has ended.
        assert len([ack for ack in acks if ack["success"]]) <= 2 * CLIENTS
        histories = [caller.history() for caller in callers[:5]]
        assert all(history == histories[0] for history in histories)
        posted = [m["content"].get("value") for m in histories[0] if m["content"]["type"] == "data_type_message"]
        for number in range(CLIENTS):
            own = [text for text in posted if text and text.startswith(f"{number}/")]
            assert own == [f"{number}/1", f"{number}/3"]


_PUBLIC = ("message_delta", "message_notification", "participant_status")


def test_two_hundred_sessions_stream_at_once(engine: LocalEngine) -> None:
    agent_id = make_agent(engine)
    words = " ".join(f"w{number}" for number in range(150))
    barrier = threading.Barrier(200)
    sessions: list[str] = []

    def talk(number: int) -> None:
        with Caller.on(engine, agent_id=agent_id) as caller:
            barrier.wait(60)
            heard = caller.ask(f"{number} {words}")
            deltas = [frame for frame in heard if frame["type"] == "message_delta"]
            assert [frame["index"] for frame in deltas] == list(range(len(deltas)))
            assert len(deltas) > 150
            text = "".join(frame["value"] for frame in deltas)
            assert text.endswith(f'You said: "{number} {words}"')
            assert {frame["session_id"] for frame in heard} == {caller.session_id}
            sessions.append(caller.session_id)

    with in_threads(*[partial(talk, number) for number in range(200)], timeout=250):
        pass
    assert len(set(sessions)) == 200


def test_ids_cannot_be_guessed_and_say_nothing(engine: LocalEngine) -> None:
    with Caller.on(engine) as one, Caller.on(engine) as two:
        ids = {one.session_id, two.session_id, one.ask("x")[0]["message_id"], one.ask("y")[0]["turn_id"]}
        assert len(ids) == 4
        assert all(len(bytes.fromhex(item)) == 16 for item in ids)
        two.say(frames.post_message(one.session_id, "into yours"))
        assert two.hear()["code"] == "not_joined"
        two.say(frames.get_messages(one.session_id))
        assert two.hear()["code"] == "not_joined"
