"""Drawing a turn on a terminal: formatted as it streams, each block once, and cheap however long it is."""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Iterator

import pytest
from rich.console import Console
from rich.live import Live

from sessionlib import SessionEvent, SessionEventType
from sessionlib.cli.terminal import Screen, split_blocks


@pytest.fixture(autouse=True)
def _quiet_parser() -> Iterator[None]:
    # The tests log everything, and it says several lines about each line of Markdown.
    parser = logging.getLogger("markdown_it")
    parser.setLevel(logging.WARNING)
    yield
    parser.setLevel(logging.NOTSET)


def terminal(lines: int = 20) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, color_system=None, width=60, height=lines, _environ={"TERM": "xterm"}
    )


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def standing(console: Console) -> list[str]:
    """The lines that stand on the terminal in the end, without empty ones; a cursor may only move up and erase.

    It may be hidden meanwhile, and stay in the row where that is full.
    """
    lines, row = [""], 0
    for sign in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", written(console)):
        if sign == "\n":
            row += 1
            lines += [""] * (row - len(lines) + 1)
        elif sign == "\x1b[2K":
            lines[row] = ""
        elif sign == "\x1b[1A":
            row -= 1
        elif sign != "\r":
            assert sign[0] != "\x1b" or re.fullmatch(r"\x1b\[\?(25|7)[lh]", sign), sign
            lines[row] += "" if sign[0] == "\x1b" else sign
    return [line.strip() for line in lines if line.strip()]


def delta(text: str, message_id: str = "m1") -> SessionEvent:
    return SessionEvent(SessionEventType.MESSAGE_DELTA, "s1", message_id, {"delta": text, "index": 0})


def complete(text: str, message_id: str = "m1") -> SessionEvent:
    return SessionEvent(SessionEventType.MESSAGE_COMPLETE, "s1", message_id, {"text": text, "status": "complete"})


def thought(**data: object) -> SessionEvent:
    return SessionEvent(SessionEventType.THINKING, "s1", "t1", dict(data))


def drawn(*events: SessionEvent) -> Console:
    """A terminal on which these have been shown."""
    console = terminal()
    screen = Screen(console)
    for event in events:
        screen.show(event)
    screen.close()
    return console


def test_a_thought_is_shown_as_it_grows_and_stands_once_in_the_end() -> None:
    console = terminal()
    screen = Screen(console)
    screen.expect("Shop", "working")
    for part in ("Let me ", "see\x1b[2J ", "x" * 100, " enough"):
        screen.show(thought(text=part, status="streaming"))
        screen.tick()
    assert "Shop · thinks: Let me see" in written(console)
    assert "xxx enough" not in standing(console)[-1]  # it ends where the window does
    screen.show(thought(content="Let me see.\nEnough.", summary="Let me see."))
    screen.show(delta("So."))
    screen.close()
    assert standing(console) == ["thinks: Let me see.", "So."]


def status(word: str) -> SessionEvent:
    return SessionEvent(SessionEventType.PARTICIPANT_STATUS, "s1", None, {"status": word})


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        ("", "One paragraph\nof two lines"),
        ("One.\n", "Two."),
        ("# Title\n", "Text"),
        ("- a\n- b\n", "After the list."),
        ("", "- a\n- b\n\n  still the list"),
        ("Before.\n", "```\ncode\n\nmore code"),
        ("```\ncode\n```\n", "After."),
        ("Before.\n", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("> quoted\n", "After."),
    ],
)
def test_markdown_is_split_before_its_last_block(head: str, rest: str) -> None:
    text = f"{head}\n{rest}" if head else rest
    assert split_blocks(text) == (head, rest)


def test_a_turn_is_shown_once_with_what_else_happens() -> None:
    call = {"tool_name": "stock", "arguments": {"item": "saw"}, "status": "running"}
    console = drawn(
        status("Processing"),
        delta("Let me "),
        delta("see."),
        complete("Let me see."),
        SessionEvent(SessionEventType.TOOL_CALL, "s1", "m2", call),
        SessionEvent(SessionEventType.TOOL_RESULT, "s1", "m3", {**call, "status": "complete", "output": 3}),
        SessionEvent(SessionEventType.ERROR, "s1", None, {"error": "one \x1b[31mthing failed"}),
        complete("Three.", "m4"),
        status("Idle"),
    )
    told = ["Let me see.", 'runs stock(item="saw")', "stock gave: 3", "error: one [31mthing failed", "Three."]
    assert standing(console) == told


def test_an_approval_request_leaves_the_terminal_to_the_question() -> None:
    console = terminal()
    screen = Screen(console)
    screen.show(status("Processing"))
    screen.show(delta("Well,"))
    screen.show(SessionEvent(SessionEventType.APPROVAL_REQUEST, "s1", "m2", {"tool_name": "refund"}))
    assert standing(console) == ["Well,"]
    shown = written(console)
    screen.tick()
    assert written(console) == shown


@pytest.mark.parametrize("separator", [" ", "\n\n"])
def test_a_long_answer_is_drawn_now_and_then(separator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = 0
    refresh = Live.refresh

    def counted(live: Live) -> None:
        nonlocal draws
        draws += 1
        refresh(live)

    monkeypatch.setattr(Live, "refresh", counted)
    console = terminal()
    screen = Screen(console)
    words = [f"word{number}{separator}" for number in range(20_000)]
    began, used = time.monotonic(), time.thread_time()
    screen.show(status("Processing"))
    for word in words:
        screen.show(delta(word))
    streamed = time.monotonic() - began
    screen.show(complete("".join(words)))
    screen.show(status("Idle"))
    assert time.thread_time() - used < 20
    # One when it begins, one when it ends, and ten a second in between.
    assert draws <= 10 * streamed + 5
    assert " ".join(standing(console)).split() == "".join(words).split()


@pytest.mark.parametrize(
    "text",
    [
        *("the <b>bold</b> way", "if a <b and c> d", "<div class=x>one</div>", "<!-- a note -->"),
        "- <a href='http://a'>b</a>",
    ],
)
def test_what_looks_like_html_is_text(text: str) -> None:
    assert text.removeprefix("- ") in written(drawn(complete(text)))


def test_a_link_shows_its_text_and_its_target_and_so_does_a_picture() -> None:
    text = "[shop](http://evil.example) and ![pixel](http://evil.example/p) for 12\u202f000\xa0€"
    shown = written(drawn(complete(text)))
    assert "shop (http://evil.example)" in shown
    assert "[picture: pixel] (http://evil.example/p)" in " ".join(shown.split())
    assert "12\u202f000\xa0€" in shown
    assert "\x1b]8" not in shown
