"""The fast path and the plain one give the same, over plain sockets and TLS, whole and in any pieces."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from functools import partial
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionlib._util.timing import Deadline
from sessionlib.errors import MessageTooLargeError, SessionDisconnectedError, SessionlibError, SessionProtocolError
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.net.connect import shut
from sessionlib.net.sockets import wait_readable
from sessionlib.protocol import codec, frames
from sessionlib.protocol.client import ClientProtocol, Received
from sessionlib.protocol.parser import Run
from sessionlib.protocol.recovery import RecoveryTracker
from sessionlib.transport.base import NOW
from sessionlib.transport.stream import HUGE_MESSAGE, LARGE_MESSAGE, LARGEST, wrap
from sessionlib.transport.websocket import WebSocketTransport
from tests.support.profiles import scaled
from tests.support.script_engine import ScriptEngine, turn
from tests.support.secured import KINDS, connected
from tests.support.sessions import opened
from tests.support.threads import in_threads
from tests.support.waiting import eventually
from tests.support.ws_bytes import close_frame, fragments, ping_frame, pong_frame, text_frame
from tests.transport.test_frame_writer import unmasked

LIMIT = 4 << 20


@pytest.fixture(params=[True, False], ids=["fast", "plain"], autouse=True)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Which way is gone."""
    monkeypatch.setattr(codec, "fast_path", request.param)
    return bool(request.param)


# ---- bytes to messages -------------------------------------------------------------------------


class Link:
    def __init__(self, transport: WebSocketTransport, far: socket.socket) -> None:
        self.transport = transport
        self.far = far
        self._writing = threading.Thread()
        self._writing.start()

    def write(self, data: bytes, sizes: random.Random | None = None) -> threading.Thread:
        """Begins to write, in one go or in random pieces, once what was begun before is written."""

        def run() -> None:
            at = 0
            while at < len(data):
                size = len(data) if sizes is None else sizes.choice([1, 2, 3, 100, 5000, 100_000])
                self.far.sendall(data[at : at + size])
                at += size

        self._writing.join()
        self._writing = threading.Thread(target=run, daemon=True)
        self._writing.start()
        return self._writing

    def read(self, count: int, timeout: float | None = None) -> list[bytes]:
        read: list[bytes] = []
        while len(read) < count:
            read += map(bytes, self.transport.recv(None if timeout is None else Deadline(timeout)))
        return read

    def poll(self, count: int) -> list[bytes]:
        """Reads so many messages as a thread does that reads many links: without waiting, and when there is reason."""
        read: list[bytes] = []
        assert self.transport.share() == self.transport._stream._sock.fileno()
        while len(read) < count:
            assert self.transport.has_unread or wait_readable(self.transport._stream._sock, Deadline(20))
            read += map(bytes, self.transport.recv(NOW))
        return read

    def release(self) -> None:
        self._writing.join(30)
        self.transport.release()


@pytest.fixture(params=KINDS)
def link(request: pytest.FixtureRequest) -> Iterator[Link]:
    with connected(request.param) as (near, far):
        link = Link(WebSocketTransport(wrap(near), LIMIT), far)
        yield link
        link.release()


SIZES = [0, 1, 2, 3, 4, 125, 126, 127, 128, 65535, 65536]
SIZES += [edge + more for edge in (LARGE_MESSAGE, HUGE_MESSAGE) for more in (-1, 0, 1)] + [LARGEST * 3, 1 << 20]


def letters(size: int) -> bytes:
    return (b"abcdefghijklmnopqrstuvwxyz%d" % size * (size // 26 + 1))[:size]


def test_messages_of_every_size_one_by_one(link: Link) -> None:
    for size in [*SIZES, LIMIT]:
        link.write(text_frame(letters(size)))
        assert link.read(1) == [letters(size)]


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_messages_of_every_size_at_once(link: Link, timeout: float | None) -> None:
    link.write(b"".join(text_frame(letters(size)) for size in SIZES * 2))
    assert link.read(2 * len(SIZES), timeout) == [letters(size) for size in SIZES * 2]


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("read", [Link.read, Link.poll], ids=["waiting", "without waiting"])
def test_messages_of_every_kind_among_pings_and_pongs(link: Link, seed: int, read: Any, in_pieces: bool) -> None:
    sent, data = [], bytearray()
    for number, size in enumerate(SIZES[:-2]):
        message = letters(size)
        sent += [message] * 3
        whole, long = text_frame(message), text_frame(message, length_form=64)
        between = ping_frame(b"x" * number) + pong_frame(b"y")
        data += between.join([whole, *fragments(message, 3), long])
    data += ping_frame(b"the last one")
    link.write(bytes(data), random.Random(seed) if in_pieces else None)
    assert read(link, len(sent)) == sent


def test_a_read_without_waiting_returns_at_once(link: Link) -> None:
    link.transport.share()
    assert link.transport.recv(NOW) == []
    whole = text_frame(letters(131_072))  # more than that might have to wait for who reads it
    for part in (whole[:1], whole[1:5], whole[5:70_000], whole[70_000:-1]):
        link.far.sendall(part)
        assert wait_readable(link.transport._stream._sock, Deadline(20))
        assert link.transport.recv(NOW) == []
    link.far.sendall(whole[-1:])
    assert link.poll(1) == [letters(131_072)]
    assert link.transport.recv(NOW) == []


@pytest.mark.parametrize(("size", "most"), [(100, 65_536), (LARGE_MESSAGE - 1, 65_536), (16_000, 131_072)])
def test_a_shared_thread_reads_more_at_once_of_large_messages(size: int, most: int) -> None:
    near, far = socket.socketpair()
    data, read = text_frame(letters(size)) * (4 * 131_072 // size + 1), [0]
    with near, far:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        transport = WebSocketTransport(wrap(near), LIMIT)
        transport.share()
        for at in range(0, 4 * 131_072, 131_072):
            far.sendall(data[at : at + 131_072])
            while transport.bytes_received < at + 131_072:
                before = transport.bytes_received
                transport.recv(NOW)
                read.append(transport.bytes_received - before)
        assert max(read) == most


@pytest.mark.parametrize("size", [126, 65536])
def test_a_length_that_comes_behind_its_header(link: Link, size: int) -> None:
    whole = text_frame(letters(size))
    with in_threads(lambda: link.read(1, 20.0)) as results:
        link.far.sendall(whole[:2])
        eventually(lambda: link.transport.bytes_received == 2)
        link.far.sendall(whole[2:])
    assert results == [[letters(size)]]


def test_a_peer_that_ends_while_nothing_waits(link: Link) -> None:
    link.transport.share()
    link.far.sendall(text_frame(b"the last"))
    shut(link.far)
    assert link.poll(1) == [b"the last"]
    with pytest.raises(SessionDisconnectedError):
        link.poll(1)


def test_large_messages_of_several_links_at_once() -> None:
    """They take turns with one buffer, and none may see what another has read."""

    def run(number: int) -> list[bytes]:
        near, far = socket.socketpair()
        link = Link(WebSocketTransport(wrap(near), LIMIT), far)
        sent = [letters(16_384 + (number * 7919 + at * 104_729) % HUGE_MESSAGE) for at in range(40)]
        link.write(b"".join(map(text_frame, sent)))
        read = link.read(len(sent))
        link.release()
        far.close()
        return [message[:40] for message, wanted in zip(read, sent, strict=True) if message != wanted]

    with in_threads(*[partial(run, number) for number in range(4)]) as wrong:
        pass
    assert wrong == [[]] * 4


@pytest.mark.parametrize("size", [LIMIT + 1, 1 << 62])
def test_a_message_that_is_announced_too_large(link: Link, size: int) -> None:
    link.write(text_frame(b"first") + text_frame(b"x" * 100, declared=size, length_form=64))
    assert link.read(1) == [b"first"]
    with pytest.raises(MessageTooLargeError):
        link.read(1)


@pytest.mark.parametrize("size", [LARGE_MESSAGE * 20, HUGE_MESSAGE * 2])
@pytest.mark.parametrize("cut", [1, 3, 9, 1000, LARGE_MESSAGE + 100])
def test_a_message_that_is_cut_off(link: Link, cut: int, size: int) -> None:
    link.write(text_frame(b"whole") + text_frame(letters(size))[:cut]).join()
    link.far.shutdown(socket.SHUT_RDWR)
    assert link.read(1) == [b"whole"]
    with pytest.raises(SessionDisconnectedError):
        link.read(1)


@pytest.mark.parametrize("size", [10, LARGE_MESSAGE * 2, HUGE_MESSAGE * 2])
def test_a_message_that_stops_coming(link: Link, size: int) -> None:
    link.write(text_frame(b"a part", declared=size, length_form=64)).join()
    with pytest.raises(SessionlibError, match=r"within 0\.1 s"):
        link.read(1, timeout=0.1)


ILLEGAL = {
    "masked": text_frame(b"{}", mask=True),
    "reserved bits": text_frame(b"{}", rsv=4),
    "binary": text_frame(b"{}", opcode=2),
    "no start": text_frame(b"{}", opcode=0),
    "unknown": text_frame(b"{}", opcode=3),
    "start in a message": text_frame(b"{", fin=False) + text_frame(b"{}"),
    "long ping": text_frame(b"x" * 126, opcode=9),
    "part of a ping": text_frame(b"x", opcode=9, fin=False),
}


@pytest.mark.parametrize("illegal", ILLEGAL)
def test_what_is_illegal_comes_behind_what_is_not(link: Link, illegal: str) -> None:
    link.write(text_frame(b"first") + ILLEGAL[illegal]).join()
    assert link.read(1) == [b"first"]
    with pytest.raises(SessionProtocolError):
        link.read(1)


def test_a_close_comes_behind_what_was_sent(link: Link) -> None:
    link.write(text_frame(b"first") + close_frame(1001, "bye") + text_frame(b"never")).join()
    assert link.read(1) == [b"first"]
    with pytest.raises(SessionDisconnectedError) as raised:
        link.read(1)
    assert (raised.value.code, raised.value.reason) == (1001, "bye")


# ---- messages to events ------------------------------------------------------------------------

_texts = st.text(max_size=5)
_pieces = st.fixed_dictionaries(
    {"type": st.just("message_delta")},
    optional={
        "session_id": st.sampled_from(["s1", "s1", "s1", "s1", "s2", "", None]),
        "message_id": st.sampled_from(["m1", "m1", "m1", "m2", "", None]),
        "index": st.one_of(st.integers(0, 3), st.none(), st.just("x")),
        "value": st.one_of(_texts, _texts, _texts, st.none()),
    },
)
_others = st.sampled_from(
    [
        *turn("s1", "m1", ["a"]),
        frames.pong("s2"),
        frames.error("no", None, "s1"),
        {"type": "unheard_of"},
        {"type": "message_delta", "session_id": "s1", "message_id": "m1", "index": 0, "value": 7},
    ]
)
_raw = st.sampled_from([b"", b"{", b"7", b"[]", b'"type"', b"null", b"{}", b'{"type":7}', b"\xff", b"[" * 2000])
_payloads = st.one_of(*[_pieces.map(codec.dumps)] * 6, _others.map(codec.dumps), _raw)


def taken(messages: list[bytes], session_id: str | None = "s1") -> tuple[list[SessionEvent], list[Run], str | None]:
    received: list[Received] = []
    failure = None
    try:
        ClientProtocol(session_id).decode(messages, received)
    except SessionProtocolError as error:
        failure = f"{error.close_code} {error}"
    events: list[SessionEvent] = []
    runs: list[Run] = []
    for more, found, _ in received:
        runs += [run._replace(start=run.start + len(events), stop=run.stop + len(events)) for run in found]
        events += more
    return events, runs, failure


_odd_fields = st.sampled_from(
    [
        *[("session_id", value) for value in ("s2", "", None, 7)],
        *[("message_id", value) for value in ("m2", "", None, 7)],
        *[("index", value) for value in (-1, 99, 1.0, True, 0.5, None, "x")],
        *[("value", value) for value in (None, 7, [])],
        ("type", "pong"),
    ]
)


@st.composite
def _bursts(draw: st.DrawFn) -> list[bytes]:
    """A quick answer, as it comes in one read, with one odd message at any place, or one field that is odd."""
    begin, texts = draw(st.integers(0, 3)), draw(st.lists(_texts, min_size=8, max_size=40))
    deltas = [frames.message_delta("s1", "m1", begin + at, text) for at, text in enumerate(texts)]
    at = draw(st.integers(0, len(deltas) - 1))
    if draw(st.booleans()):
        name, value = draw(_odd_fields)
        deltas[at][name] = value
        return list(map(codec.dumps, deltas))
    messages = list(map(codec.dumps, deltas))
    odd = draw(st.one_of(_pieces.map(codec.dumps), _others.map(codec.dumps), _raw))
    return [*messages[:at], odd, *messages[at + draw(st.integers(0, 1)) :]]


@settings(max_examples=scaled(100))
@given(messages=_bursts())
def test_both_ways_make_the_same_of_a_quick_answer(messages: list[bytes]) -> None:
    events, runs, failure = both_ways(messages)
    # Behind what ends the connection nothing is read; else at least half of the answer is in one run.
    assert failure or max(run.stop - run.start for run in runs) >= 4
    assert failure or len(events) >= len(messages) - 1


@given(messages=st.lists(_payloads, max_size=12))
def test_both_ways_make_the_same_of_any_messages(messages: list[bytes]) -> None:
    both_ways(messages)


def both_ways(messages: list[bytes]) -> tuple[list[SessionEvent], list[Run], str | None]:
    """Fails unless the fast path makes of some messages what the plain one does; returns that."""
    codec.fast_path = True
    events, runs, failure = taken(messages)
    codec.fast_path = False
    plain, _, plain_failure = taken(messages)
    assert (events, failure) == (plain, plain_failure)
    assert [type(event) for event in events] == [SessionEvent] * len(events)
    assert known_by(events, runs) == known_by(plain, [])
    for run in runs:
        covered = events[run.start : run.stop]
        kinds = {(event.type, event.message_id) for event in covered}
        assert kinds == {(SessionEventType.MESSAGE_DELTA, run.message_id)}
        assert run.length == sum(len(event.delta or "") for event in covered)
    return events, runs, failure


def known_by(events: list[SessionEvent], runs: list[Run]) -> dict[str, Any]:
    seen = RecoveryTracker("s1", from_start=True)
    return {"passed": seen.filter(events, runs), **vars(seen)}


def test_an_event_of_the_hot_path_is_an_event_like_any_other() -> None:
    (event,), _, _ = taken([codec.dumps(frames.message_delta("s1", "m1", 3, "ü"))])
    assert event == SessionEvent(SessionEventType.MESSAGE_DELTA, "s1", "m1", {"delta": "ü", "index": 3})
    assert (event.delta, SessionEvent.from_dict(event.to_dict())) == ("ü", event)
    with pytest.raises(AttributeError):
        event.data = {}  # type: ignore[misc]


def test_nothing_is_known_of_a_session_without_an_id() -> None:
    events, runs, failure = taken([codec.dumps(frames.message_delta("s1", "m1", 3, "x"))], session_id=None)
    assert (len(events), runs, failure) == (1, [], None)


# ---- all of it ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_long_stream_to_several_listeners(engine: ScriptEngine) -> None:
    pieces = [str(number) * (number % 50) for number in range(5000)] + ["x" * 300_000, "end"]
    engine.on("post_message", lambda conn, frame: conn.send_many(turn(pieces=pieces)))
    with opened(engine) as session:
        listeners = [session.listen(maxsize=0) for _ in range(3)]
        reply = session.ask("go")
        assert reply.text == "".join(pieces)
        assert [event.delta for event in reply.events if event.delta is not None] == pieces
        for listener in listeners:
            heard = takewhile(lambda event: not event.is_turn_end, listener)
            assert [event.delta for event in heard if event.delta is not None] == pieces


# ---- what is answered --------------------------------------------------------------------------


@pytest.mark.parametrize("code", [None, 1000, 1001, 3000])
def test_pings_and_a_close_are_answered_in_kind(link: Link, code: int | None) -> None:
    closing = b"\x88\x00" if code is None else close_frame(code)
    link.far.sendall(ping_frame(b"are you there?") + text_frame(b"{}") + closing)
    assert link.read(1, timeout=20) == [b"{}"]
    with pytest.raises(SessionDisconnectedError):
        link.read(1, timeout=20)
    answers = b""
    while len(answers) < (2 + 4 + 14) + (2 + 4 + 2):
        answers += link.far.recv(100)
    pong, close = answers[:20], answers[20:]
    assert (pong[0], unmasked(pong[6:], pong[2:6])) == (0x8A, b"are you there?")
    assert (close[0], unmasked(close[6:], close[2:6])) == (0x88, (code or 1000).to_bytes(2, "big"))


def test_the_time_of_the_last_bytes_is_kept(link: Link) -> None:
    stream = link.transport._stream
    for data in (text_frame(b"{}"), text_frame(b"x" * 100_000)):
        stream.last_received_at = 0.0
        link.write(data)
        link.read(1, timeout=20)
        assert stream.last_received_at > 0.0
