"""Recordings: the traffic of a block is replayed without a network, as often as one likes."""

from __future__ import annotations

import json
import stat
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from sessionlib import (
    Agent,
    ApiConnectionError,
    AuthenticationError,
    Client,
    LlmInfo,
    NotFoundError,
    SessionDisconnectedError,
    SessionEventType,
    Tool,
)
from sessionlib.content import CHUNK
from sessionlib.engine import LocalEngine
from sessionlib.protocol import frames
from sessionlib.testing import FaultProxy, record, replay
from sessionlib.testing.expectations import RecordedConnection
from sessionlib.testing.format import Line
from sessionlib.testing.replayer import ReplayedTransport, Replayer
from tests.support.http_server import Reply, Server
from tests.support.recordings import heard, shop
from tests.support.script_engine import ScriptEngine, refuse, turn, user_message
from tests.support.secrets import SENTINEL_KEY
from tests.support.sessions import resumed_session
from tests.support.waiting import eventually

Type = SessionEventType
Block = Callable[[], None]

REFUND = '/tool refund {"order_id": "7", "amount": 12.5}'
LLM = LlmInfo("provider", "model")


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def frames_in(path: Path, sign: str = ">") -> list[dict[str, Any]]:
    return [line[sign] for line in lines_of(path) if "link" in line and sign in line]


def talk(client: Client) -> list[Any]:
    """A conversation with all that there is: text, a file, a tool, an approval, a denial, the history."""
    told: list[Any] = []
    with shop(client) as session:
        session.on_approval(lambda request: request.arguments["amount"] < 50)
        for content in ("Hello!", '/tool look_up {"order_id": "7"}', REFUND, REFUND.replace("12.5", "99")):
            told.append(heard(session.ask(content).events))
        told.append(heard(session.ask("Look at this", files=[b"\x00\x01" * 500]).events))
        told.append([message.to_dict() for message in session.get_messages()])
    return told


Again = Callable[..., Any]


@pytest.fixture
def again(live: LocalEngine, tape: Path, nowhere: Client) -> Again:
    """Records what a function does with the engine, replays it without one, and compares what both times it returns."""

    def check(run: Callable[..., Any], recorded_with: Any = (), *replayed_with: Any) -> Any:
        with record(tape):
            recorded = run(live.client(), *recorded_with)
        for arguments in replayed_with or [recorded_with]:
            with replay(tape):
                assert run(nowhere, *arguments) == recorded
        return recorded

    return check


def twice(tape: Path, run: Callable[[], Any]) -> Any:
    """Records what a function does, replays it with the same arguments, and returns what both times it returns."""
    with record(tape):
        recorded = run()
    with replay(tape):
        assert run() == recorded
    return recorded


# ---- the same again ------------------------------------------------------------------------


def test_a_conversation_is_heard_again_without_network_engine_and_key(
    live: LocalEngine, tape: Path, nowhere: Client, no_network: Block
) -> None:
    with record(tape):
        recorded = talk(live.client())
    live.close()
    no_network()
    for _ in range(2):
        with replay(tape):
            assert talk(nowhere) == recorded


def test_a_replay_has_no_thread_of_its_own(live: LocalEngine, tape: Path, nowhere: Client) -> None:
    with record(tape), shop(live.client()) as session:
        session.ask("Hello!")
    # The heartbeat ends by itself, and the next session takes one over that has not ended yet.
    assert eventually(lambda: not any(thread.name == "sessionlib-heartbeat" for thread in threading.enumerate()))
    before = set(threading.enumerate())
    with replay(tape), shop(nowhere) as session:
        session.ask("Hello!")
        kinds = {thread.name.split("-")[1] for thread in set(threading.enumerate()) - before}
    assert kinds == {"reader", "heartbeat"}


def test_what_came_of_an_answer_comes_only_after_it(again: Again) -> None:
    def approve_by_hand(client: Client) -> list[Any]:
        with shop(client) as session, session.listen(timeout=30) as events:
            session.send(REFUND)
            seen = []
            for event in events:
                seen.append(event)
                if event.participant_status == "AwaitingApproval":
                    with pytest.raises(TimeoutError), session.listen(timeout=0.05) as more:
                        next(more)
                    session.respond(seen[-2], approved=True)
                if event.is_turn_end:
                    break
        return heard(seen)

    again(approve_by_hand)


def test_ids_that_the_client_makes_may_be_others(live: LocalEngine, tape: Path, nowhere: Client) -> None:
    def make(client: Client) -> Agent:
        tools = [Tool("google_search", tool_name=name) for name in ("one", "two")]
        return Agent.fetch(id=Agent.new("Made", LLM, tools=tools, client=client).id, client=client)

    with record(tape):
        recorded = make(live.client())
    with replay(tape):
        replayed = make(nowhere)
    assert replayed.id == recorded.id
    assert {tool.id for tool in replayed.tools}.isdisjoint(tool.id for tool in recorded.tools)


def test_refusals_and_streamed_answers_come_again(server: Server, tape: Path, nowhere: Client) -> None:
    def call(client: Client) -> list[Any]:
        with pytest.raises(NotFoundError) as raised:
            Agent.fetch(name="nobody", client=client)
        with client.stream("POST", "/chatbot/c1/run", json={"text": "Hi"}) as lines:
            return [str(raised.value), list(lines)]

    server.answer(Reply(404, {"error": "no such agent"}), Reply(200, b"one\n\ntwo\n"))
    with Client(SENTINEL_KEY, server.url) as client, record(tape):
        recorded = call(client)
    assert recorded[1] == [b"one", b"two"]
    with replay(tape):
        assert call(nowhere) == recorded


def test_a_stream_that_was_cut_is_cut_again(server: Server, tape: Path, nowhere: Client) -> None:
    def read(client: Client) -> bytes:
        with client.stream("POST", "/chatbot/c1/run", json={}) as lines:
            first = next(lines)
            with pytest.raises(ApiConnectionError):
                next(lines)
        return first

    server.answer(Reply(200, b"one\n", {"Content-Length": "100", "Connection": "close"}))
    with Client(SENTINEL_KEY, server.url) as client, record(tape):
        assert read(client) == b"one"
    with replay(tape):
        assert read(nowhere) == b"one"


def test_a_call_without_an_answer_has_none_again(tape: Path) -> None:
    def call() -> str:
        with Client("a-key", "http://127.0.0.1:9/v1", max_retries=0) as client:
            with pytest.raises(ApiConnectionError) as raised:
                client.request("GET", "/agent")
            return str(raised.value)

    assert "127.0.0.1:9" in twice(tape, call)


def test_a_session_goes_on_after_a_large_upload_was_recorded(again: Again, tape: Path) -> None:
    """A large upload is sent in fragments, on another path than small posts; both take their turn in one order."""
    data = bytes(range(256)) * 4096

    def talk(client: Client) -> list[str]:
        with shop(client) as session:
            return [session.ask(content, timeout=30).text for content in (data, "Still there?", data[:-1], "And now?")]

    again(talk)
    posts = [frame for frame in frames_in(tape) if frame["type"] == "post_message"]
    sizes = [post["content"]["value"]["raw_bytes"]["size"] for post in posts if isinstance(post["content"], dict)]
    assert sizes == [len(data), len(data) - 1]


@pytest.mark.parametrize("reads", [1, 4], ids=["before it was sent", "in the middle"])
def test_a_session_goes_on_after_a_large_upload_that_failed(again: Again, reads: int) -> None:
    """Before anything has left, the connection stays in use; after that, another one takes its place."""

    class Broken:
        def __init__(self) -> None:
            self.left = reads

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            if not self.left:
                raise OSError("the disk is gone")
            return b"x" * CHUNK

    def talk(client: Client) -> str:
        with shop(client) as session:
            with pytest.raises(OSError, match="the disk is gone"):
                session.send(Broken())
            return session.ask("Still there?", timeout=30).text

    again(talk)


# ---- links that break ----------------------------------------------------------------------


def test_a_refused_handshake_is_refused_again(engine: ScriptEngine, tape: Path) -> None:
    def connect() -> str:
        with pytest.raises(AuthenticationError) as raised:
            resumed_session(engine).connect()
        return str(raised.value)

    engine.handshake = refuse(401)
    twice(tape, connect)
    assert len(engine.handshakes) == 1


def test_a_cut_link_is_cut_and_opened_again(live: LocalEngine, tape: Path, no_network: Block) -> None:
    def lose_the_link(client: Client, cut: Callable[[], None]) -> list[Any]:
        told = []
        with shop(client) as session:
            told.append(heard(session.ask("Hello!").events))
            cut()
            told.append(heard(session.ask("Still there?").events))
            told.append([message.to_dict() for message in session.get_messages()])
        return told

    with FaultProxy.in_front_of(live) as proxy:
        client = proxy.client(live.api_key)
        with record(tape):
            recorded = lose_the_link(client, proxy.reset)
        client.close()
    no_network()
    with Client(base_url="http://127.0.0.1:9/v1") as other, replay(tape):
        assert lose_the_link(other, lambda: None) == recorded
    assert len([line for line in lines_of(tape) if "open" in line.get("=", {})]) == 2


def test_a_post_on_a_link_that_is_being_lost_waits_for_the_next_one(
    live: LocalEngine, tape: Path, nowhere: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, release = threading.Event(), ReplayedTransport.release

    def talk(client: Client, lose: Callable[[], object]) -> list[str]:
        with shop(client) as session:
            first = session.ask("Hello!").text
            lose()
            return [first, session.ask("Still there?").text]

    def release_slowly(self: ReplayedTransport) -> None:
        release(self)
        released.set()
        time.sleep(0.2)  # in which the session does not know yet that its link is gone

    with FaultProxy.in_front_of(live) as proxy:
        client = proxy.client(live.api_key)
        with record(tape):
            recorded = talk(client, proxy.reset)
        client.close()
    monkeypatch.setattr(ReplayedTransport, "release", release_slowly)
    with replay(tape):
        assert talk(nowhere, lambda: released.wait(30)) == recorded


def test_a_close_frame_of_the_engine_comes_again(engine: ScriptEngine, tape: Path) -> None:
    engine.on("post_message", lambda conn, frame: conn.close(4321, "over and out"))

    def ask() -> tuple[Any, ...]:
        with resumed_session(engine) as session, session.listen(timeout=30) as events:
            session.send("Hello!")
            with pytest.raises(SessionDisconnectedError) as raised:
                next(events)
        return raised.value.code, raised.value.reason, str(raised.value)

    assert twice(tape, ask)[:2] == (4321, "over and out")


def test_what_is_no_frame_is_none_again(engine: ScriptEngine, tape: Path) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_text("not a frame {"))

    def ask() -> str:
        with resumed_session(engine, reconnect=False) as session, session.listen(timeout=30) as events:
            session.send("Hello!")
            error = next(events).data["error"]
            with pytest.raises(SessionDisconnectedError, match="not JSON"):
                next(events)
        return str(error)

    assert "not JSON" in twice(tape, ask)


# ---- time ----------------------------------------------------------------------------------


def test_keepalives_are_not_in_it_and_are_answered(engine: ScriptEngine, tape: Path) -> None:
    def wait_for_pongs(count: int) -> None:
        with (
            resumed_session(engine, ping_interval=0.02) as session,
            session.listen(event_types=[Type.PONG], timeout=30) as pongs,
        ):
            for _ in range(count):
                next(pongs)

    with record(tape):
        wait_for_pongs(3)
    assert not {"ping_session", "pong"} & {frame["type"] for frame in (*frames_in(tape), *frames_in(tape, "<"))}
    with replay(tape):
        wait_for_pongs(5)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has sessions look at their history soon after the last thing that came."""
    monkeypatch.setattr("sessionlib.connection.connection.QUIET", 0.05)
    monkeypatch.setattr("sessionlib.protocol.turns.QUIET", 0.05)


def talk_and_look_back(engine: ScriptEngine) -> list[Any]:
    with resumed_session(engine) as session:
        told = [heard(session.ask(text).events) for text in ("one", "two", "three")]
        return [*told, session.get_messages()]


@pytest.mark.usefixtures("hasty")
def test_a_sessions_own_look_at_its_history_is_replayed_as_such(engine: ScriptEngine, tape: Path) -> None:
    @engine.on("post_message")
    def answer(conn: Any, frame: Any) -> None:
        if frame["content"] == "two":
            conn.wait_for("get_messages")
            conn.send(frames.history("s1", []))
        conn.send_many(turn())

    with record(tape):
        recorded = talk_and_look_back(engine)
    # One at least, and all that the code did is what comes last: so hasty a session may look more often.
    asked = [line.get("look") for line in lines_of(tape) if line.get(">", {}).get("type") == "get_messages"]
    assert asked == [True] * (len(asked) - 1 or 1) + [None]
    for _ in range(2):
        with replay(tape):
            assert talk_and_look_back(engine) == recorded


def test_a_look_that_a_replay_is_late_for_is_no_request_of_the_recorded_ones(
    engine: ScriptEngine, tape: Path, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine that stands still between a post and what had come next."""
    engine.on("post_message", lambda conn, frame: conn.send_many(turn()))
    with monkeypatch.context() as patience:
        patience.setattr("sessionlib.protocol.turns.QUIET", 60.0)
        with record(tape):
            recorded = talk_and_look_back(engine)
    receive, enqueue, looks = Replayer.receive, ReplayedTransport.enqueue, []

    def receive_late(self: Replayer, connection: RecordedConnection, most: int) -> list[Line]:
        last = connection.sent[connection.sent_count - 1].value
        return [] if last.get("content") == "two" and not looks else receive(self, connection, most)

    def enqueue_noted(self: ReplayedTransport, payload: bytes, *, more: bool = False) -> None:
        enqueue(self, payload, more=more)
        if b'"get_messages"' in payload:
            looks.append(payload)
            with self._replayer.changed:
                self._replayer.changed.notify_all()

    monkeypatch.setattr(Replayer, "receive", receive_late)
    monkeypatch.setattr(ReplayedTransport, "enqueue", enqueue_noted)
    with replay(tape):
        assert talk_and_look_back(engine) == recorded
    assert looks


def test_it_can_be_replayed_in_its_own_time(engine: ScriptEngine, tape: Path) -> None:
    @engine.on("post_message")
    def answer_slowly(conn: Any, frame: Any) -> None:
        first, *rest = turn()
        conn.send(first)
        conn.sleep(0.2)
        conn.send_many(rest)

    def ask() -> float:
        with resumed_session(engine) as session:
            start = time.monotonic()
            session.ask("Hello!")
            return time.monotonic() - start

    with record(tape):
        assert ask() >= 0.2
    with replay(tape, speed=2.0):
        assert ask() >= 0.09
    with replay(tape):
        ask()


# ---- threads and sessions ------------------------------------------------------------------


def test_sessions_opened_in_another_order_find_their_own_recording(again: Again) -> None:
    def ask(client: Client, *order: int) -> dict[int, str]:
        with ExitStack() as stack:
            sessions = {number: stack.enter_context(shop(client)) for number in order}
            return {number: sessions[number].ask(f"This is {number}").text for number in reversed(order)}

    again(ask, (1, 2, 3), (3, 2, 1), (2, 3, 1), (1, 3, 2))


def test_a_map_over_threads_gives_the_same_answers(again: Again) -> None:
    prompts = [f"Question {number}" for number in range(12)]

    def run(client: Client, workers: int) -> list[str]:
        agent = Agent.fetch(name="Shop", client=client)
        return [result.final_message for result in agent.map(prompts, max_workers=workers)]

    again(run, (4,), (4,), (1,), (7,))


def test_threads_that_share_a_session_speak_in_the_recorded_order(again: Again) -> None:
    def share(client: Client, numbers: Iterable[int], threads: int) -> list[str]:
        texts = {}

        def ask(number: int) -> None:
            texts[number] = session.stream(f"From {number}").result(30).text

        with shop(client) as session, ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(ask, number) for number in numbers]:
                done.result(30)
        return [texts[number] for number in sorted(texts)]

    # With fewer threads than requests, so that one of them says several things.
    again(share, (range(8), 3), *[(range(7, -1, -1), 8)] * 5)


def test_two_clients_of_one_session_hear_of_each_other(again: Again) -> None:
    def supervise(client: Client) -> list[Any]:
        with shop(client) as session:
            agent = Agent.fetch(name="Shop", client=client)
            with agent.resume_session(session.session_id or "") as other, other.listen(timeout=30) as events:
                turn = session.stream(REFUND)
                request = next(event for event in events if event.requires_action)
                # What comes of the answer comes to neither before it.
                with pytest.raises(TimeoutError), session.listen(event_types=[Type.TOOL_RESULT], timeout=0.05) as more:
                    next(more)
                other.respond(request, approved=True)
                return heard(event for event in turn if not event.requires_action)

    again(supervise)


def test_a_recovered_gap_is_recovered_again(engine: ScriptEngine, tape: Path) -> None:
    @engine.on("post_message")
    def answer_and_cut(conn: Any, frame: Any) -> None:
        if conn.number > 1:
            conn.send_many(turn())
            return
        engine.history = [user_message("s1", "u1", "Hello!")]
        conn.send(frames.ack("post_message", "s1"))
        conn.reset()

    def ask() -> list[Any]:
        with resumed_session(engine, reconnect_delay=0.01) as session, session.listen(timeout=30) as events:
            session.send("Hello!")
            seen = [next(events) for _ in range(2)]
            session.send("Again")
            for event in events:
                seen.append(event)
                if event.is_turn_end:
                    break
        return heard(seen)

    assert len(twice(tape, ask)) > 4


# ---- what is in the file -------------------------------------------------------------------


def test_only_its_owner_can_read_it(live: LocalEngine, tape: Path) -> None:
    with record(tape), shop(live.client()) as session:
        session.ask("Hello!")
    assert stat.S_IMODE(tape.stat().st_mode) == 0o600
    assert list(tape.parent.iterdir()) == [tape]


def test_a_block_that_raises_leaves_the_recording_as_it_was(live: LocalEngine, tape: Path) -> None:
    tape.parent.mkdir()
    tape.write_text("what was there")
    with suppress(KeyError), record(tape), shop(live.client()):
        raise KeyError
    assert tape.read_text() == "what was there"
    assert list(tape.parent.iterdir()) == [tape]


def test_keys_and_secret_fields_are_not_in_it(server: Server, tape: Path) -> None:
    server.answer(Reply(200, {"id": "a1", "llm": {"api_key": "sk-inner", "name": "m"}, "said": SENTINEL_KEY}))
    with Client(SENTINEL_KEY, server.url) as client, record(tape):
        client.request("POST", "/agent", query={"access-token": "t-4711"}, json={"Password": "pw", "name": "n"})
    text = tape.read_text("utf-8")
    assert not any(secret in text for secret in (SENTINEL_KEY, "sk-inner", "t-4711", '"pw"'))
    assert '"name":"m"' in text
    assert '"name":"n"' in text
    with replay(tape), Client("another", "http://127.0.0.1:9/v1") as client:
        client.request("POST", "/agent", query={"access-token": "x"}, json={"Password": "other", "name": "n"})


def test_a_hook_takes_out_more_and_its_absence_is_no_difference(live: LocalEngine, tape: Path, nowhere: Client) -> None:
    def redact(value: Any) -> Any:
        return json.loads(json.dumps(value).replace("4711-0815", "CARD"))

    with record(tape, redact=redact), shop(live.client()) as session:
        session.ask("My card is 4711-0815")
    assert "4711" not in tape.read_text("utf-8")
    assert "CARD" in tape.read_text("utf-8")
    with replay(tape, redact=redact), shop(nowhere) as session:
        assert "CARD" in session.ask("My card is 4711-0815").text


def test_sessions_of_other_blocks_are_not_in_it(live: LocalEngine, tape: Path) -> None:
    with shop(live.client()) as before:
        with record(tape), shop(live.client()) as session:
            before.ask("Before")
            session.ask("Within")
        with record(tape.with_name("other")):
            pass
        before.ask("After")
    said = [frame["content"] for frame in frames_in(tape) if frame["type"] == "post_message"]
    assert said == ["Within"]
    assert len(lines_of(tape.with_name("other"))) == 2


def test_a_session_that_is_still_open_at_the_end_is_over(live: LocalEngine, tape: Path, nowhere: Client) -> None:
    with record(tape), shop(live.client()) as session:
        session.ask("Hello!")
    with replay(tape):
        session = shop(nowhere).connect()
        session.ask("Hello!")
        events = session.listen(timeout=30)
    with pytest.raises(SessionDisconnectedError, match="is over"):
        next(events)
    session.disconnect()
