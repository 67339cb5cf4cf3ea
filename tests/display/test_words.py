"""Texts, sizes and calls as they are shown to people."""

from __future__ import annotations

import pytest

from sessionlib.display.text import call_text, clean, one_line, size_of


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    assert clean("a\x1b[31mb\x07\x9b2Jc\td\ne\u202ef") == "a[31mb2Jc\td\nef"
    assert one_line("  two\n lines\x00  ") == "two lines"
    assert one_line("x" * 30, 10) == "x" * 9 + "…"
    assert call_text("to\x1bol", {"a\nb": "x\ny", "n": None}) == 'tool(a b="x y", n=null)'


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KB"), (5 << 20, "5.0 MB"), (3 << 30, "3.0 GB")],
)
def test_sizes(count: int, told: str) -> None:
    assert size_of(count) == told
