"""What a replay reports when the requests differ from the recorded ones, or are missing, and what it accepts."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sessionlib import Agent, Client, DeliveryUnknownError, Session, SessionDisconnectedError, SessionTimeoutError
from sessionlib.content import CHUNK
from sessionlib.engine import LocalEngine
from sessionlib.testing import RecordingError, ReplayMismatchError, cassette, record, replay
from tests.support.recordings import shop
from tests.support.script_engine import ScriptEngine
from tests.support.sessions import resumed_session
from tests.support.threads import in_threads

REFUND = '/tool refund {"order_id": "7", "amount": 12.5}'
# Several chunks of an upload, and no multiple of one.
LARGE = 5 * CHUNK + 1
# Seconds of patience, all of which a test takes: a thread that has something to say may be late on a busy machine.
PATIENCE = 3.0


@pytest.fixture
def recorded(live: LocalEngine, tape: Path) -> Path:
    """A conversation with an approval and a call besides."""
    with record(tape), shop(live.client()) as session:
        session.on_approval(lambda request: True)
        session.ask("Hello!")
        session.ask(REFUND)
        Agent.list(client=live.client())
    return tape


def talk(client: Client, first: str = "Hello!", second: str = REFUND, *, approved: bool = True) -> None:
    with shop(client) as session:
        session.on_approval(lambda request: approved)
        session.ask(first)
        session.ask(second)
        Agent.list(client=client)


def mismatch(path: Path, run: Callable[[], object], **options: Any) -> str:
    """Runs a replay that has to fail, and gives what it tells."""
    with pytest.raises(ReplayMismatchError) as raised, replay(path, **options):
        run()
    return str(raised.value)


# ---- something else ------------------------------------------------------------------------


def test_another_text_is_shown_beside_the_recorded_one(recorded: Path, nowhere: Client) -> None:
    with pytest.raises(ReplayMismatchError) as raised, replay(recorded):
        talk(nowhere, "Hello?")
    assert raised.value.path == str(recorded)
    told = str(raised.value).splitlines()
    assert told[0] == (
        f"{recorded}, line {raised.value.line}: the request differs from the recorded one (connection 1, post_message):"
    )
    assert told[1:] == ["    content", '        expected: "Hello!"', '        actual:   "Hello?"']
    line = json.loads(recorded.read_text("utf-8").splitlines()[(raised.value.line or 0) - 1])
    assert line[">"]["content"] == "Hello!"


def test_long_texts_are_shown_from_where_they_differ(live: LocalEngine, tape: Path, nowhere: Client) -> None:
    long = "So it goes, on and on. " * 100
    with record(tape), shop(live.client()) as session:
        session.ask(f"{long}A{long}")
    with pytest.raises(ReplayMismatchError) as raised, replay(tape), shop(nowhere) as session:
        session.ask(f"{long}B{long}")
    told = str(raised.value)
    assert "and on. ASo it goes" in told
    assert "and on. BSo it goes" in told
    assert len(told) < 1000


def test_another_kind_of_message_is_shown_whole(recorded: Path, nowhere: Client) -> None:
    with pytest.raises(ReplayMismatchError) as raised, replay(recorded), shop(nowhere) as session:
        session.get_messages()
    told = str(raised.value)
    assert 'expected: {"type": "post_message"' in told
    assert 'actual:   {"type": "get_messages"' in told


def test_another_answer_to_an_approval_is_told(recorded: Path, nowhere: Client) -> None:
    with pytest.raises(ReplayMismatchError) as raised, replay(recorded):
        talk(nowhere, approved=False)
    told = str(raised.value)
    assert "content.value.tool_call_approval.confirm\n        expected: {}\n        actual:   nothing" in told
    assert "tool_call_approval.deny\n        expected: nothing" in told


def test_another_call_is_told_with_its_query(recorded: Path, nowhere: Client) -> None:
    with pytest.raises(ReplayMismatchError, match=r'query\.name\n.*"Shop"\n.*"Shed"'), replay(recorded):
        Agent.fetch(name="Shed", client=nowhere)


def test_more_than_was_recorded_is_told(recorded: Path, nowhere: Client) -> None:
    def call() -> None:
        talk(nowhere)
        nowhere.request("DELETE", "/agent/1")

    def connect() -> None:
        talk(nowhere)
        Session(session_id="s9", client=nowhere).connect()

    def ask() -> None:
        with shop(nowhere) as session:
            session.on_approval(lambda request: True)
            for text in ("Hello!", REFUND, "Bye"):
                session.ask(text)

    assert 'a call that was not recorded: {"method": "DELETE"' in mismatch(recorded, call)
    assert "one connection more" in mismatch(recorded, connect)
    told = mismatch(recorded, ask)
    assert "after the last recorded one" in told
    assert "Bye" in told


def test_something_said_too_early_is_told_when_nobody_says_the_rest(recorded: Path, nowhere: Client) -> None:
    def ask() -> None:
        with shop(nowhere) as session:
            session.ask(REFUND)

    assert 'expected: "Hello!"' in mismatch(recorded, ask, patience=PATIENCE)


def test_a_changed_file_is_told_by_its_digest(live: LocalEngine, tape: Path, nowhere: Client) -> None:
    with record(tape), shop(live.client()) as session:
        session.ask(b"one" * 100_000)
    with pytest.raises(ReplayMismatchError, match=r"raw_bytes\.sha256"), replay(tape), shop(nowhere) as session:
        session.ask(b"two" * 100_000)


@pytest.mark.parametrize("at", [0, 1, LARGE // 2, LARGE - 1])
def test_a_changed_byte_anywhere_in_a_large_file_is_a_mismatch(
    live: LocalEngine, tape: Path, nowhere: Client, at: int
) -> None:
    """The file is digested chunk by chunk: none of them may be left out, whether it comes from memory or from disk."""
    original = random.Random(7).randbytes(LARGE)
    changed = bytearray(original)
    changed[at] ^= 1
    path = tape.with_name("large.bin")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(original)
    with record(tape), shop(live.client()) as session:
        session.ask(path)
    (sent,) = (frame for frame in map(json.loads, tape.read_text("utf-8").splitlines()) if "raw_bytes" in str(frame))
    facts = {"sha256": hashlib.sha256(original).hexdigest(), "size": LARGE}
    assert sent[">"]["content"]["value"]["raw_bytes"] == facts
    with replay(tape), shop(nowhere) as session:
        session.ask(path)
    path.write_bytes(changed)
    with (
        pytest.raises(ReplayMismatchError, match=r"raw_bytes\.sha256") as raised,
        replay(tape),
        shop(nowhere) as session,
    ):
        session.ask(path)
    assert hashlib.sha256(changed).hexdigest() in str(raised.value)
    assert "size" not in str(raised.value).partition("\n")[2]


def test_a_value_that_only_looks_the_same_is_another() -> None:
    from sessionlib.testing.comparison import differences

    assert not list(differences({"a": [1, {"b": 2}], "c": None}, {"c": None, "a": [1.0, {"b": 2}]}))
    for recorded, said in ((1, True), ("1", 1), (None, False), ([1], [1, 2]), ({"a": None}, {}), ({}, [])):
        assert len(list(differences(recorded, said))) == 1, (recorded, said)


# ---- less ----------------------------------------------------------------------------------


def test_what_was_left_unsaid_is_told_on_leaving(recorded: Path, nowhere: Client) -> None:
    with pytest.raises(ReplayMismatchError) as raised, replay(recorded), shop(nowhere) as session:
        session.ask("Hello!")
    told = str(raised.value).splitlines()
    assert told[0].endswith("the code did not send recorded requests:")
    assert len(told) == 4
    assert "connection 1: " in told[1]
    assert "refund" in told[1]
    assert "tool_call_approval" in told[2]
    assert told[3].endswith('GET /agents {"query": {"limit": "50", "offset": "0"}}')


def test_an_end_is_not_taken_for_a_leave(live: LocalEngine, tape: Path, nowhere: Client) -> None:
    with record(tape), shop(live.client()) as session:
        session.terminate()
    with pytest.raises(ReplayMismatchError, match="terminate_session"), replay(tape), shop(nowhere):
        pass
    with record(tape), shop(live.client()):
        pass
    with pytest.raises(ReplayMismatchError, match="terminate_session"), replay(tape), shop(nowhere) as session:
        session.terminate()


def test_code_that_waits_for_what_it_prevents_is_told_so(recorded: Path, nowhere: Client) -> None:
    def approve_nothing() -> None:
        with shop(nowhere) as session, session.listen() as events:
            session.send("Hello!")
            session.send(REFUND)
            for _ in events:
                pass

    told = mismatch(recorded, approve_nothing, patience=PATIENCE)
    assert "no request within 3 s; expected:" in told
    assert "tool_call_approval" in told


def test_all_threads_end_when_one_says_something_else(recorded: Path, nowhere: Client) -> None:
    def say(session: Session) -> None:
        with pytest.raises(ReplayMismatchError):
            session.send("Hello?")

    def listen() -> None:
        with (
            shop(nowhere) as session,
            session.listen() as events,
            pytest.raises(SessionDisconnectedError),
            in_threads(lambda: list(events), lambda: say(session)),
        ):
            pass

    assert 'actual:   "Hello?"' in mismatch(recorded, listen)


# ---- whose exception comes out -------------------------------------------------------------


def test_an_exception_of_the_block_comes_out(recorded: Path, nowhere: Client) -> None:
    def stop_in_between() -> None:
        with replay(recorded), shop(nowhere) as session:
            session.ask("Hello!")
            raise KeyError("mine")

    with pytest.raises(KeyError) as raised:
        stop_in_between()
    if sys.version_info >= (3, 11):
        assert "did not send recorded requests" in raised.value.__notes__[0]


def test_a_mismatch_that_was_swallowed_comes_out_all_the_same(recorded: Path, nowhere: Client) -> None:
    def swallow() -> None:
        with shop(nowhere) as session, suppress(Exception):
            session.ask("Hello?")

    assert 'actual:   "Hello?"' in mismatch(recorded, swallow)


def test_an_exception_that_comes_of_a_mismatch_does_not_hide_it(recorded: Path, nowhere: Client) -> None:
    def go_on() -> None:
        with shop(nowhere) as session:
            with suppress(ReplayMismatchError):
                session.ask("Hello?")
            session.ask("Hello!")  # raises SessionDisconnectedError, because the replay has failed

    assert 'actual:   "Hello?"' in mismatch(recorded, go_on)


def test_a_timeout_of_the_code_under_test_is_its_own(engine: ScriptEngine, tape: Path) -> None:
    for block in (record(tape), replay(tape)):
        with block, resumed_session(engine) as session, pytest.raises(SessionTimeoutError):
            session.ask("Hello?", timeout=0.1)


def test_a_post_of_unknown_fate_is_one_again(tape: Path) -> None:
    with ScriptEngine() as engine:
        engine.on("post_message", lambda conn, frame: conn.reset())
        for block in (record(tape), replay(tape)):
            session = resumed_session(engine, reconnect_delay=0.01)
            with block, session, pytest.raises(DeliveryUnknownError):
                session.ask("Hello!")


# ---- recordings that cannot be used --------------------------------------------------------


def damaged(text: str) -> Iterator[tuple[str, str]]:
    head, *lines, end = text.splitlines(keepends=True)
    yield "", "not a recording"
    yield "{}\n", "not a recording"
    yield '{"interactions": []}', "not a recording"
    yield head.replace('"version":1', '"version":2') + "".join(lines) + end, "version 2.*record it again"
    yield head, "truncated"
    yield head + "".join(lines), "truncated"
    yield text[: len(text) // 2], "truncated|line \\d+ is not one"
    yield head + "".join(lines[:-1]) + end, "lines are missing"
    yield head + "".join(lines) + "\ufffd" + end, "truncated|is not one"
    yield head + '{"t":1,"link":1,"?":{}}\n' + "".join(lines[1:]) + end, "line 2 is not one"


def test_a_recording_that_is_not_whole_is_refused(recorded: Path) -> None:
    text = recorded.read_text("utf-8")
    for changed, told in damaged(text):
        recorded.write_text(changed, "utf-8")
        with pytest.raises(RecordingError, match=told), replay(recorded):
            raise AssertionError("it was taken")
    recorded.write_bytes(b"\xff\xfe")
    with pytest.raises(RecordingError, match="cannot be read"), replay(recorded):
        raise AssertionError("it was taken")


def test_no_recording_is_told_with_what_to_do(tape: Path) -> None:
    told = r"there is no recording .*talk\.jsonl; make it in the mode 'once'"
    with pytest.raises(RecordingError, match=told), replay(tape):
        pass


def test_blocks_do_not_overlap(recorded: Path, tape: Path, nowhere: Client) -> None:
    with replay(recorded):
        with pytest.raises(RuntimeError, match="cannot overlap"), record(tape.with_name("other")):
            pass
        talk(nowhere)
    assert not tape.with_name("other").exists()


# ---- modes ---------------------------------------------------------------------------------


def said_in(path: Path) -> list[Any]:
    lines = map(json.loads, path.read_text("utf-8").splitlines())
    return [line[">"]["content"] for line in lines if line.get(">", {}).get("type") == "post_message"]


def ask(client: Client, *texts: str) -> None:
    for text in texts:
        with shop(client) as session:
            session.ask(text)


def test_once_records_where_there_is_nothing_and_replays_otherwise(
    live: LocalEngine, tape: Path, nowhere: Client
) -> None:
    with cassette(tape, "once") as used:
        assert (used.is_recording, used.is_replaying) == (True, False)
        ask(live.client(), "one")
    with cassette(tape, "once") as used:
        assert (used.is_recording, used.is_replaying) == (False, True)
        ask(nowhere, "one")
    with pytest.raises(ReplayMismatchError), cassette(tape, "once"):
        ask(live.client(), "two")
    assert said_in(tape) == ["one"]


def test_all_records_anew(live: LocalEngine, tape: Path) -> None:
    for text in ("one", "two"):
        with cassette(tape, "all"):
            ask(live.client(), text)
        assert said_in(tape) == [text]


def test_none_records_nothing(tape: Path) -> None:
    with pytest.raises(RecordingError), cassette(tape, "none"):
        pass
    assert not tape.exists()


def test_new_episodes_keeps_what_there_is_and_adds(live: LocalEngine, tape: Path, nowhere: Client) -> None:
    for texts in (("one",), ("one", "two"), ("one",), ("one", "two", "three")):
        with cassette(tape, "new_episodes"):
            ask(live.client(), *texts)
    assert said_in(tape) == ["one", "two", "three"]
    with replay(tape):
        ask(nowhere, "one", "two", "three")
    moments = [json.loads(line).get("t", 0.0) for line in tape.read_text("utf-8").splitlines()]
    assert moments[:-1] == sorted(moments[:-1])


def test_another_mode_is_an_error(tape: Path) -> None:
    mode: Any = "sometimes"
    with pytest.raises(ValueError, match="none, once, new_episodes, all, not 'sometimes'"), cassette(tape, mode):
        pass
