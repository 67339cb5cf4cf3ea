"""What people are shown of a turn: its text once and whole, and a line for all else."""

from __future__ import annotations

import io
from typing import Any

import pytest

from sessionlib import SessionEvent, SessionEventType
from sessionlib.display.text import TextPrinter, call_text, clean, describe, one_line, size_of, time_in_words
from sessionlib.protocol import frames
from tests.support.script_engine import ScriptEngine, turn
from tests.support.sessions import opened

Type = SessionEventType


def event(kind: SessionEventType, message_id: str | None = "m1", **data: Any) -> SessionEvent:
    return SessionEvent(kind, "s1", message_id, data)


def printed(*events: SessionEvent) -> str:
    out = io.StringIO()
    printer = TextPrinter(out)
    for each in events:
        printer.show(each)
    printer.close()
    return out.getvalue()


# ---- the text ------------------------------------------------------------------------------


def piece(text: str) -> SessionEvent:
    return event(Type.MESSAGE_DELTA, delta=text, index=0)


def whole(text: str, message_id: str = "m1") -> SessionEvent:
    return event(Type.MESSAGE_COMPLETE, message_id, text=text, status="complete")


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([piece("Hel"), piece("lo"), whole("Hello")], "Hello\n"),
        ([piece("Hel"), whole("Hello")], "Hello\n"),
        ([piece("lo"), whole("Hello")], "lo\n\nHello\n"),
        ([whole("one"), whole("two", "m2")], "one\ntwo\n"),
        ([piece("Wait"), event(Type.APPROVAL_REQUEST, "m2", tool_name="refund")], "Wait\n"),
    ],
    ids=["pieces and their whole", "more", "something else", "two messages", "a question"],
)
def test_a_text_is_shown_once_and_stands_on_lines_of_its_own(events: list[SessionEvent], text: str) -> None:
    assert printed(*events) == text


def test_an_answer_is_shown_as_it_comes_where_there_is_no_notebook(
    engine: ScriptEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_many(turn("s1", "m1", ["Hel", "lo"])))
    with opened(engine) as session:
        reply = session.ask("hi", show=True)
        assert capsys.readouterr().out == "Hello\n"
        assert session.chat("hi").text == reply.text == "Hello"
    assert "<b>" not in session._repr_html_()
    assert "s1" in session._repr_html_()


# ---- all else ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (event(Type.TOOL_CALL, tool_name="refund", arguments={"amount": 5}), "runs refund"),
        (event(Type.TOOL_CALL, tool_name="refund", arguments="none of it"), "runs refund"),
        (event(Type.TOOL_RESULT, tool_name="refund", output={"paid": True}), 'refund gave: {"paid": true}'),
        (event(Type.TOOL_RESULT, tool_name="refund", status="error", output="no money"), "refund failed: no money"),
        (event(Type.TOOL_RESULT, status="denied", output=""), "a tool was denied"),
        (event(Type.THINKING, summary="hm"), "thinks: hm"),
        (event(Type.SEARCH_RESULT, query="order 7"), "searched order 7"),
        (event(Type.REAUTH_REQUEST, integration_name="Mail"), "Mail is authorised again"),
        (event(Type.ERROR, error="out\nof order"), "error: out of order"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, SessionEvent) else "",
)
def test_an_event_in_one_line(told: SessionEvent, shown: str) -> None:
    line = describe(told)
    assert line is not None
    assert shown in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "told",
    [
        event(Type.THINKING),
        event(Type.THINKING, text="a part", status="streaming"),
        event(Type.PONG),
        event(Type.MESSAGE_DELTA, delta="x"),
    ],
)
def test_what_is_not_worth_a_line(told: SessionEvent) -> None:
    assert describe(told) is None


# ---- waiting for what can be shown ---------------------------------------------------------


def test_a_turn_tells_whether_the_next_event_is_there(engine: ScriptEngine) -> None:
    engine.on("post_message", lambda conn, frame: conn.send(frames.ack("post_message", "s1")))
    with opened(engine) as session:
        running = session.stream("hi")
        session.get_messages(timeout=30)  # behind the ack, which the iteration leaves out and would wait behind
        assert not running.wait(0)
        engine.latest.send_many(turn("s1", "m1", ["Hello"], ack=None))
        assert [each.type for each in running][-1] is Type.PARTICIPANT_STATUS
        assert running.wait(0)
        assert running.duration > 0


# ---- texts, sizes and calls -----------------------------------------------------------------


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    assert clean("a\x1b[31mb\x07\x9b2Jc\td\ne\u202ef") == "a[31mb2Jc\td\nef"
    assert one_line("  two\n lines\x00  ") == "two lines"
    assert one_line("x" * 30, 10) == "x" * 9 + "…"
    assert call_text("to\x1bol", {"a\nb": "x\ny", "n": None}) == 'tool("a b"="x y", n=null)'


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KB"), (5 << 20, "5.0 MB"), (3 << 30, "3.0 GB")],
)
def test_sizes(count: int, told: str) -> None:
    assert size_of(count) == told


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0000123, "0.0123 ms"),
        (0.25, "250 ms"),
        (1.5, "1.5 s"),
        (999.4, "999 s"),
        (999.5, "1,000 s"),
        (7265.0, "7,265 s"),
    ],
)
def test_a_time_has_three_digits_and_no_exponent(seconds: float, words: str) -> None:
    assert time_in_words(seconds) == words
