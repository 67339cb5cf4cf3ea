"""Files on their way out, whole or not at all; answers to requests: in time, too late, lost, and of what never left."""

from __future__ import annotations

import base64
import glob
import io
import json
import os
import random
import signal
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sessionlib import Session, SessionState, UserSessionMessage, errors
from sessionlib._util.timing import Deadline
from sessionlib.connection.sender import EncodedPost, Sender
from sessionlib.content import CHUNK, Bytes, File, Stream, encode
from sessionlib.protocol import frames
from sessionlib.protocol.client import PendingCall, PendingCalls
from tests.support.processes import run_script
from tests.support.script_engine import Connection, Received, ScriptEngine, turn
from tests.support.sessions import opened
from tests.support.threads import in_threads
from tests.support.waiting import eventually

LARGE = 5 * CHUNK + 1

Steps = list[tuple[int, int | None]]


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def arrived(frame: Received) -> list[bytes]:
    contents = frame.get("messages") or [frame["content"]]
    return [base64.b64decode(c["value"]["raw_bytes"], validate=True) for c in contents if isinstance(c, dict)]


@pytest.fixture
def session(engine: ScriptEngine) -> Iterator[Session]:
    with opened(engine, reconnect_delay=0.05) as session:
        yield session


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(noise(LARGE))
    return path


def files_of_post(engine: ScriptEngine) -> list[bytes]:
    """Waits for the one post, and returns its files."""
    (frame,) = engine.wait_for("post_message")
    return arrived(frame)


def assert_alone_arrives(session: Session, engine: ScriptEngine) -> None:
    """Sends one more text, and fails unless it is all that arrives."""
    session.send("still here")
    assert [frame["content"] for frame in engine.wait_for("post_message")] == ["still here"]
    assert not engine.frames("post_messages")


@pytest.mark.parametrize("size", [0, 1, 2, 3, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 2, LARGE])
@pytest.mark.parametrize("kind", [bytes, bytearray, Path, io.BytesIO])
def test_every_kind_in_every_size(session: Session, engine: ScriptEngine, tmp_path: Path, kind: Any, size: int) -> None:
    data = noise(size)
    if kind is Path:
        (tmp_path / "file").write_bytes(data)
        session.send(tmp_path / "file")
    else:
        session.send(kind(data), filename="file")
    (frame,) = engine.wait_for("post_message")
    assert arrived(frame) == [data]
    assert frame["content"]["value"]["metadata"] == {"name": "file", "mime_type": "application/octet-stream"}
    assert set(frame) == {"type", "session_id", "content"}


def test_text_between_files_and_files_of_every_size(session: Session, engine: ScriptEngine, large_file: Path) -> None:
    small, large = noise(10), noise(LARGE)
    batch = ["first", large_file, UserSessionMessage("second \x00 ü 😀", files=[small, io.BytesIO(large)]), small]
    session.send_many(batch)
    session.send("third", files=[large_file])
    one, two = engine.wait_for("post_messages", 2)
    assert arrived(one) == [large, small, large, small]
    assert [c for c in one["messages"] if isinstance(c, str)] == ["first", "second \x00 ü 😀"]
    assert (two["messages"][0], arrived(two)) == ("third", [large])


def test_a_text_file_that_is_read_in_pieces(session: Session, engine: ScriptEngine, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("ü😀x" * CHUNK, "utf-8")
    with path.open(encoding="utf-8") as file:
        file.read(1)
        session.send(file)
        assert (file.closed, file.read()) == (False, "")
    assert files_of_post(engine) == [path.read_bytes()[2:]]


def test_pieces_of_odd_lengths_add_up(session: Session, engine: ScriptEngine) -> None:
    class Odd(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 65521))

    session.send(Odd(noise(LARGE)))
    assert files_of_post(engine) == [noise(LARGE)]


def test_a_turn_with_a_large_file(session: Session, engine: ScriptEngine, large_file: Path) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_many(turn()))
    assert session.ask(large_file).text == "Hello there"
    assert files_of_post(engine) == [noise(LARGE)]


def test_a_file_as_it_was_when_it_was_opened_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(noise(LARGE))
    upload = File(path)
    with path.open("ab") as file:
        file.write(b"more")
    assert b"".join(upload.chunks()) == noise(LARGE)
    upload.close()


class Interrupted(io.BytesIO):
    """A source in one of whose pieces something happens, by default in the third."""

    def __init__(self, data: bytes, happens: Callable[[], object], piece: int = 3) -> None:
        super().__init__(data)
        self.happens, self.left = happens, piece

    def read(self, size: int | None = -1) -> bytes:
        self.left -= 1
        if not self.left:
            self.happens()
        return super().read(size)


def fail() -> None:
    raise OSError("the disk is gone")


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("error", "match", "handshakes", "options"),
    [
        (FileNotFoundError, "nowhere", 1, lambda: {"content": "look", "files": [noise(LARGE), Path("nowhere.txt")]}),
        (OSError, "disk is gone", 1, lambda: {"content": Interrupted(noise(LARGE), fail, piece=1)}),
        (OSError, "disk is gone", 2, lambda: {"content": Interrupted(noise(LARGE), fail)}),
        (KeyboardInterrupt, None, 2, lambda: {"content": Interrupted(noise(LARGE), interrupt)}),
        (ZeroDivisionError, None, 2, lambda: {"content": noise(LARGE), "progress": lambda done, total: 1 // 0}),
    ],
    ids=["no file", "a source that fails at once", "a source that fails in the middle", "Ctrl-C", "progress"],
)
def test_what_fails_arrives_not_even_in_part_and_the_session_goes_on(
    session: Session, engine: ScriptEngine, error: type[BaseException], match: str | None, handshakes: int, options: Any
) -> None:
    with pytest.raises(error, match=match):
        session.send(**options())
    assert_alone_arrives(session, engine)
    # One that had begun to leave has cut the connection.
    assert len(engine.handshakes) == handshakes


def test_without_reconnect_the_session_is_over(engine: ScriptEngine) -> None:
    with opened(engine, reconnect=False) as session:
        with pytest.raises(OSError, match="the disk is gone"):
            session.send(Interrupted(noise(LARGE), fail))
        with pytest.raises(errors.SessionDisconnectedError):
            next(session.listen(timeout=30))
        assert session.state is SessionState.DISCONNECTED
    assert not engine.frames("post_message")


@pytest.mark.parametrize(
    "harm", [lambda path: os.truncate(path, LARGE - 1), lambda path: path.write_bytes(b"y" * LARGE)]
)
def test_a_file_that_changes_in_the_middle_does_not_arrive(
    session: Session, engine: ScriptEngine, large_file: Path, harm: Callable[[Path], object]
) -> None:
    def progress(done: int, total: int | None) -> None:
        if done == CHUNK:
            time.sleep(0.02)  # past the file system's clock tick
            harm(large_file)

    with pytest.raises(OSError, match=r"large\.bin was changed"):
        session.send(large_file, progress=progress)
    assert_alone_arrives(session, engine)


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_a_message_cut_off_by_a_lost_connection_is_read_and_sent_again(
    session: Session, engine: ScriptEngine, tmp_path: Path, kind: str
) -> None:
    path, data, steps = tmp_path / "file", noise(40 * CHUNK), list[int]()
    path.write_bytes(data)

    def progress(done: int, total: int | None) -> None:
        steps.append(done)
        if len(steps) == 2:
            engine.drop_all()

    session.send(path if kind == "file" else io.BytesIO(data), progress=progress)
    assert files_of_post(engine) == [data]
    assert len(engine.handshakes) == 2
    assert (steps.count(CHUNK), steps[-1]) == (2, 40 * CHUNK)


def test_what_cannot_be_read_again_is_told(session: Session, engine: ScriptEngine) -> None:
    class OneWay(Interrupted):
        def tell(self) -> int:
            raise io.UnsupportedOperation

    with pytest.raises(OSError, match="second time"):
        session.send(OneWay(noise(40 * CHUNK), engine.drop_all))
    assert_alone_arrives(session, engine)


def test_pings_go_between_and_messages_wait(engine: ScriptEngine) -> None:
    with opened(engine, ping_interval=0.05, pong_timeout=5.0) as session:
        reading, go_on = threading.Event(), threading.Event()

        def wait() -> None:
            reading.set()
            assert go_on.wait(30)

        def send_behind() -> None:
            assert reading.wait(30)
            session.send("behind it")

        with in_threads(lambda: session.send(Interrupted(noise(LARGE), wait)), send_behind):
            assert reading.wait(30)
            before = len(engine.frames("ws:ping"))
            engine.wait_for("ws:ping", before + 3)
            engine.latest.ping(b"are you there")
            engine.wait_for("ws:pong")
            assert not engine.frames("post_message")
            go_on.set()
        file, text = engine.wait_for("post_message", 2)
        assert arrived(file) == [noise(LARGE)]
        assert text["content"] == "behind it"
        engine.wait_for("ping_session")  # which had to wait as well


def test_many_threads_send_files_at_once(session: Session, engine: ScriptEngine) -> None:
    sizes = [CHUNK * number + number for number in range(1, 7)]
    with in_threads(*[partial(session.send, noise(size)) for size in sizes]):
        pass
    found = [arrived(frame)[0] for frame in engine.wait_for("post_message", len(sizes))]
    assert sorted(found, key=len) == [noise(size) for size in sizes]


def test_progress_of_what_has_a_size_of_what_has_none_and_of_no_file(session: Session, large_file: Path) -> None:
    def steps(*contents: Any) -> Steps:
        noted: Steps = []
        session.send_many(contents, progress=lambda done, total: noted.append((done, total)))
        return noted

    of_all = steps(large_file, b"more")
    assert (of_all[0], of_all[-1]) == ((CHUNK, LARGE + 4), (LARGE + 4, LARGE + 4))
    assert [done for done, _ in of_all] == sorted({done for done, _ in of_all})
    assert steps(io.BytesIO(noise(LARGE)))[-1] == (LARGE, None)
    assert steps(b"x", "text") == [(1, 1)]
    assert steps("text") == []


def test_progress_takes_a_callable_or_true(session: Session, engine: ScriptEngine) -> None:
    with pytest.raises(TypeError, match="progress"):
        session.send(b"x", progress=7)  # type: ignore[arg-type]
    session.send(b"x", progress=False)
    assert len(engine.wait_for("post_message")) == 1


def test_a_bar_needs_tqdm(session: Session, engine: ScriptEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(errors.MissingExtraError, match=r"progress=True needs tqdm; .* 'sessionlib\[progress\]'"):
        session.send(b"x", progress=True)
    assert engine.frames("post_message") == []


def test_a_bytearray_can_be_changed_again_afterwards(session: Session) -> None:
    data = bytearray(noise(LARGE))
    session.send(data)
    data.clear()


def test_a_file_is_closed_afterwards_whatever_happens(session: Session, large_file: Path) -> None:
    def is_open() -> bool:
        return str(large_file) in map(os.path.realpath, glob.glob("/proc/self/fd/*"))  # where the system tells

    session.send(large_file)
    with pytest.raises(ZeroDivisionError) as raised:
        session.send(large_file, progress=lambda done, total: 1 // 0)
    assert not is_open()
    assert raised.traceback  # though the error still holds on to the frames in which the file was read
    with pytest.raises(FileNotFoundError):
        session.send_many([large_file, Path("nowhere.txt")])
    assert not is_open()


@pytest.mark.parametrize(
    "source", [Bytes(b"abc"), Stream(io.BytesIO(b"abc")), Stream(io.StringIO("abc"))], ids=["bytes", "binary", "text"]
)
def test_a_source_can_be_read_twice(source: Any) -> None:
    assert [b"".join(source.chunks()) for _ in range(2)] == [b"abc"] * 2


def test_whatever_looks_like_a_mark_stays_what_it_is() -> None:
    outgoing = EncodedPost({"type": "post_messages", "messages": ["0" * 32, {"value": {"raw_bytes": Bytes(b"abc")}}]})
    assert (outgoing.payload or b"").count(b"YWJj") == 1


def test_a_text_is_held_in_memory_of_its_own_length() -> None:
    frame = {"type": "post_message", "session_id": "s1", "content": "a" * 100_000}
    tracemalloc.start()
    try:
        outgoing = EncodedPost(frame)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 1.1 * len(outgoing.payload or b"")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_size(engine: ScriptEngine, tmp_path: Path) -> None:
    engine.on("post_message", lambda conn, frame: None)
    path = tmp_path / "huge"
    path.write_bytes(bytes(48 << 20))
    source = """
        import re, sys
        from pathlib import Path
        from sessionlib import Session

        def peak():
            status = Path("/proc/self/status")  # where the system tells
            return status.exists() and int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1])

        with Session(session_id="s1", api_key="k", ws_url=sys.argv[1]) as session:
            session.send(b"x" * 1_000_000)
            before = peak()
            session.send(Path(sys.argv[2]))
            print(peak() - before)
    """
    grown = run_script(source, engine.ws_url, str(path)).check().stdout
    assert int(grown) < 24 << 10
    assert len(engine.wait_for("post_message", 2)) == 2


@pytest.mark.parametrize(("size", "is_small"), [(CHUNK - 1, True), (CHUNK, True), (CHUNK + 1, False)])
def test_what_a_chunk_holds_goes_out_in_one_message(size: int, is_small: bool) -> None:
    encoded = EncodedPost(frames.post_message("s1", encode(b"x" * size)))
    assert (encoded.payload is not None) == is_small
    text = encoded.payload or b"".join(chunk for chunk, _ in encoded.chunks())
    assert len(base64.b64decode(json.loads(text)["content"]["value"]["raw_bytes"])) == size
    encoded.close()


@pytest.mark.parametrize(("fields", "contents"), [({"parent_message_id": "r1"}, ("r1",)), ({}, ("",))])
def test_an_answer_is_known_by_the_request_that_it_answers(session: Session, fields: Any, contents: Any) -> None:
    post = session._connection.sender.post(frames.post_message("s1", "yes") | fields, makes_turn=False)
    assert (post.makes_turn, post.contents) == (False, contents)


def test_a_mailbox_is_given_for_each_attempt_to_those_who_want_one(session: Session) -> None:
    mailboxes: list[Any] = []
    posts = [session._connection.sender.post(frames.post_message("s1", "hi"), attend=to) for to in (mailboxes, None)]
    assert ([post.attended for post in posts], len(mailboxes)) == ([True, False], 1)


# ---- answers to requests -----------------------------------------------------------------------


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
        raise errors.SessionDisconnectedError("gone")

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
        """Hands a frame to the calls; returns whether it was an answer."""
        with self._hub.lock:
            matched = self._calls.match(frame)
        if isinstance(matched, PendingCall):
            matched.done()
        return bool(matched)

    def answer(self, number: int) -> None:
        assert self.offer(history(number))

    def forget(self) -> None:
        with self._hub.lock:
            self._calls.clear()

    def ask_in_vain(self, answer: Callable[[int], Any] | None = None) -> None:
        with pytest.raises(errors.SessionTimeoutError):
            self.ask(answer, timeout=0.02)

    def ask_and_end(self, *, for_good: bool) -> None:
        gone = errors.SessionDisconnectedError("gone")
        with pytest.raises(errors.SessionDisconnectedError, match="gone"):
            self.ask(lambda number: self.sender.fail_calls(lambda: gone, for_good=for_good))


@pytest.fixture
def peer() -> Peer:
    return Peer()


def test_an_answer_goes_to_who_asked(peer: Peer) -> None:
    assert [peer.ask(peer.answer) for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("refusal", [frames.refusal("get_messages", "s1", "no"), frames.error("no", "get_messages")])
def test_a_refusal_is_raised(peer: Peer, refusal: frames.Frame) -> None:
    with pytest.raises(errors.SessionError, match="get_messages: no"):
        peer.ask(lambda number: peer.offer(refusal))
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
        with pytest.raises(errors.SessionTimeoutError, match=r"0\.1 s"):
            peer.ask(peer.answer, timeout=0.1)
        assert time.monotonic() - before < 5.0
        go_on.set()
    assert results == [1]
    assert peer.ask(peer.answer) == 2  # the one in between was never asked


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


def test_an_answer_that_never_comes_costs_one_more_call_and_no_further_one(peer: Peer) -> None:
    peer.ask_in_vain()  # its answer is lost
    peer.ask_in_vain(peer.answer)  # the answer to this one is taken for that
    assert [peer.ask(peer.answer) for _ in range(3)] == [3, 4, 5]


def test_a_request_that_did_not_leave_has_no_answer_to_wait_for(peer: Peer) -> None:
    def fail(number: int) -> None:
        raise errors.SessionTimeoutError("other messages were still being sent")

    for _ in range(2):
        with pytest.raises(errors.SessionTimeoutError, match="other messages"):
            peer.ask(fail)
    assert peer.ask(peer.answer) == 3


@pytest.mark.slow
def test_a_request_that_waited_in_vain_for_its_turn_to_leave_does_no_harm(engine: ScriptEngine) -> None:
    with opened(engine) as session, in_threads(lambda: session.send(b"x" * 20_000_000)):
        engine.latest.stop_reading()
        time.sleep(0.3)
        for _ in range(2):
            with pytest.raises(errors.SessionTimeoutError):
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
            with pytest.raises(errors.SessionTimeoutError):
                session.get_messages(timeout=0.2)
        assert [session.get_messages(timeout=30) for _ in range(3)] == [[], [], []]


def test_the_end_fails_who_waits_and_who_comes_later(peer: Peer) -> None:
    peer.ask_and_end(for_good=True)
    with pytest.raises(errors.SessionDisconnectedError, match="gone"):
        peer.ask(peer.answer)
    assert peer.asked == 1


def test_a_broken_link_fails_who_waits_alone(peer: Peer) -> None:
    peer.ask_and_end(for_good=False)
    assert peer.ask(peer.answer) == 2
