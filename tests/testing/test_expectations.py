"""What a replay reports when the requests differ from the recorded ones, or are missing, and what it accepts."""

from __future__ import annotations

import hashlib
import json
import random
import re
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
from sessionlib.testing.comparison import differences
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


def mismatch(path: Path, run: Callable[[], object], **options: Any) -> ReplayMismatchError:
    """Runs a replay that has to fail, and returns what it raises."""
    with pytest.raises(ReplayMismatchError) as raised, replay(path, **options):
        run()
    return raised.value


def ask(client: Client, *contents: Any) -> None:
    """Asks each in a session of its own."""
    for content in contents:
        with shop(client) as session:
            session.ask(content)


def sent_in(path: Path) -> list[Any]:
    """The contents of all posts of a recording."""
    lines = map(json.loads, path.read_text("utf-8").splitlines())
    return [line[">"]["content"] for line in lines if line.get(">", {}).get("type") == "post_message"]


# ---- something else ------------------------------------------------------------------------


def test_another_text_is_shown_beside_the_recorded_one(recorded: Path, nowhere: Client) -> None:
    error = mismatch(recorded, lambda: talk(nowhere, "Hello?"))
    assert error.path == str(recorded)
    head, *told = str(error).splitlines()
    assert head == (
        f"{recorded}, line {error.line}: the request differs from the recorded one (connection 1, post_message):"
    )
    assert told == ["    content", '        expected: "Hello!"', '        actual:   "Hello?"']
    line = json.loads(recorded.read_text("utf-8").splitlines()[(error.line or 0) - 1])
    assert line[">"]["content"] == "Hello!"


def test_long_texts_are_shown_from_where_they_differ(live: LocalEngine, tape: Path, nowhere: Client) -> None:
    long = "So it goes, on and on. " * 100
    with record(tape):
        ask(live.client(), f"{long}A{long}")
    told = str(mismatch(tape, lambda: ask(nowhere, f"{long}B{long}")))
    assert "and on. ASo it goes" in told
    assert "and on. BSo it goes" in told
    assert len(told) < 1000


def test_another_kind_of_message_is_shown_whole(recorded: Path, nowhere: Client) -> None:
    def look() -> None:
        with shop(nowhere) as session:
            session.get_messages()

    told = str(mismatch(recorded, look))
    assert 'expected: {"type": "post_message"' in told
    assert 'actual:   {"type": "get_messages"' in told


def test_another_answer_to_an_approval_is_reported(recorded: Path, nowhere: Client) -> None:
    told = str(mismatch(recorded, lambda: talk(nowhere, approved=False)))
    assert "content.value.tool_call_approval.confirm\n        expected: {}\n        actual:   nothing" in told
    assert "tool_call_approval.deny\n        expected: nothing" in told


def test_another_call_is_reported_with_its_query(recorded: Path, nowhere: Client) -> None:
    told = str(mismatch(recorded, lambda: Agent.fetch(name="Shed", client=nowhere)))
    assert re.search(r'query\.name\n.*"Shop"\n.*"Shed"', told)


def _call_more(client: Client) -> None:
    talk(client)
    client.request("DELETE", "/agent/1")


def _connect_more(client: Client) -> None:
    talk(client)
    Session(session_id="s9", client=client).connect()


def _ask_more(client: Client) -> None:
    with shop(client) as session:
        session.on_approval(lambda request: True)
        for text in ("Hello!", REFUND, "Bye"):
            session.ask(text)


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (_call_more, 'a call that was not recorded: {"method": "DELETE"'),
        (_connect_more, "one connection more"),
        (_ask_more, "(?s)after the last recorded one.*Bye"),
    ],
)
def test_more_than_was_recorded_is_reported(
    recorded: Path, nowhere: Client, run: Callable[[Client], None], reason: str
) -> None:
    assert re.search(reason, str(mismatch(recorded, lambda: run(nowhere))))


def test_something_said_too_early_is_reported_when_no_thread_says_the_rest(recorded: Path, nowhere: Client) -> None:
    assert 'expected: "Hello!"' in str(mismatch(recorded, lambda: ask(nowhere, REFUND), patience=PATIENCE))


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
    with record(tape):
        ask(live.client(), path)
    facts = {"sha256": hashlib.sha256(original).hexdigest(), "size": LARGE}
    assert [content["value"]["raw_bytes"] for content in sent_in(tape)] == [facts]
    with replay(tape):
        ask(nowhere, path)
    path.write_bytes(changed)
    told = str(mismatch(tape, lambda: ask(nowhere, path)))
    assert "raw_bytes.sha256" in told
    assert hashlib.sha256(changed).hexdigest() in told
    assert "size" not in told.partition("\n")[2]


def test_a_value_that_only_looks_the_same_is_another() -> None:
    assert not list(differences({"a": [1, {"b": 2}], "c": None}, {"c": None, "a": [1.0, {"b": 2}]}))
    for recorded, said in ((1, True), ("1", 1), (None, False), ([1], [1, 2]), ({"a": None}, {}), ({}, [])):
        assert len(list(differences(recorded, said))) == 1, (recorded, said)


# ---- less ----------------------------------------------------------------------------------


def test_what_was_left_unsaid_is_reported_on_leaving(recorded: Path, nowhere: Client) -> None:
    head, *told = str(mismatch(recorded, lambda: ask(nowhere, "Hello!"))).splitlines()
    assert head.endswith("the code did not send recorded requests:")
    assert len(told) == 3
    assert "connection 1: " in told[0]
    assert "refund" in told[0]
    assert "tool_call_approval" in told[1]
    assert told[2].endswith('GET /agents {"query": {"limit": "50", "offset": "0"}}')


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

    told = str(mismatch(recorded, approve_nothing, patience=PATIENCE))
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

    assert 'actual:   "Hello?"' in str(mismatch(recorded, listen))


# ---- whose exception comes out -------------------------------------------------------------


def test_an_exception_of_the_block_comes_out(recorded: Path, nowhere: Client) -> None:
    def stop_in_between() -> None:
        with replay(recorded):
            ask(nowhere, "Hello!")
            raise KeyError("mine")

    with pytest.raises(KeyError) as raised:
        stop_in_between()
    if sys.version_info >= (3, 11):
        assert "did not send recorded requests" in raised.value.__notes__[0]


def test_a_mismatch_that_was_swallowed_comes_out_all_the_same(recorded: Path, nowhere: Client) -> None:
    def swallow() -> None:
        with shop(nowhere) as session, suppress(Exception):
            session.ask("Hello?")

    assert 'actual:   "Hello?"' in str(mismatch(recorded, swallow))


def test_an_exception_that_comes_of_a_mismatch_does_not_hide_it(recorded: Path, nowhere: Client) -> None:
    def go_on() -> None:
        with shop(nowhere) as session:
            with suppress(ReplayMismatchError):
                session.ask("Hello?")
            session.ask("Hello!")  # raises SessionDisconnectedError, because the replay has failed

    assert 'actual:   "Hello?"' in str(mismatch(recorded, go_on))


def test_a_timeout_of_the_code_under_test_is_its_own(engine: ScriptEngine, tape: Path) -> None:
    for block in (record(tape), replay(tape)):
        with block, resumed_session(engine) as session, pytest.raises(SessionTimeoutError):
            session.ask("Hello?", timeout=0.1)


def test_a_post_of_unknown_fate_is_one_again(engine: ScriptEngine, tape: Path) -> None:
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
    assert sent_in(tape) == ["one"]


def test_all_records_anew(live: LocalEngine, tape: Path) -> None:
    for text in ("one", "two"):
        with cassette(tape, "all"):
            ask(live.client(), text)
        assert sent_in(tape) == [text]


def test_none_records_nothing(tape: Path) -> None:
    with pytest.raises(RecordingError), cassette(tape, "none"):
        pass
    assert not tape.exists()


def test_new_episodes_keeps_what_there_is_and_adds(live: LocalEngine, tape: Path, nowhere: Client) -> None:
    for texts in (("one",), ("one", "two"), ("one",), ("one", "two", "three")):
        with cassette(tape, "new_episodes"):
            ask(live.client(), *texts)
    assert sent_in(tape) == ["one", "two", "three"]
    with replay(tape):
        ask(nowhere, "one", "two", "three")
    moments = [json.loads(line).get("t", 0.0) for line in tape.read_text("utf-8").splitlines()]
    assert moments[:-1] == sorted(moments[:-1])


def test_another_mode_is_an_error(tape: Path) -> None:
    mode: Any = "sometimes"
    with pytest.raises(ValueError, match="none, once, new_episodes, all, not 'sometimes'"), cassette(tape, mode):
        pass
