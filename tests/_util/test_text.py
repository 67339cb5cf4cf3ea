"""Text of other people on a terminal: nothing acts or hides, and nothing that can be read changes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib import SessionError
from sessionlib._util.text import TextCleaner, cell_width, clean, printable, printable_lines
from sessionlib.errors import api_error

FLAG = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
WORDS = [
    *("12\u202f000\xa0€", "全角\u3000空白", "می\u200cخواهم", "👨\u200d👩\u200d👧", "❤\ufe0f", "1\ufe0f\u20e3"),
    *(
        "葛\U000e0100",
        "e\u0301",
        "\u182d\u180b\u1820",
        "\u1828\u180e\u1820",
        "\u1000\ufe00",
        "\ua9a0\ua9c0\u200c",
        FLAG,
    ),
]
HARM = "\x00\x07\x08\r\x1b\x7f\x85\x9b\xad\u200b\u200e\u202e\u2066\u2060\u3164\ufeff\U000e0041"
TEXTS = st.lists(st.one_of(st.sampled_from([*WORDS, *HARM, "\u200d", "\ufe0f", " " * 5]), st.text(max_size=3))).map(
    "".join
)


@pytest.mark.parametrize("text", WORDS)
def test_what_can_be_read_is_left_as_it_is(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize("char", HARM)
def test_what_acts_or_hides_is_taken_out(char: str) -> None:
    assert clean(f"a{char}b") == "ab"


@pytest.mark.parametrize("text", ["a\u200db", "a\ufe0fb", "a\U000e0100b", "👨\u200d\u200d", "a\U000e0067b"])
def test_joiners_and_selectors_stay_only_where_they_belong(text: str) -> None:
    assert clean(text) != text


@given(TEXTS, st.data())
def test_chunks_are_cleaned_as_the_whole_is(text: str, data: st.DataObject) -> None:
    # A keycap and a flag need what comes behind them, and lose their invisible parts when they are cut.
    text = text.replace(FLAG, "").replace("\u20e3", "")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    chunks = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    cleaner = TextCleaner()
    assert "".join(map(cleaner.feed, chunks)) == clean(text)


@given(TEXTS)
def test_no_control_character_passes(text: str) -> None:
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", clean(text)
    )


@pytest.mark.parametrize("char", "\u2800\u3164\u115f\ufe0f\U000e0100\xa0\u3000\u200b\u202e\t\n\x1b\u2215")
def test_a_person_who_decides_sees_what_is_invisible(char: str) -> None:
    shown = printable(f"a{char}b")
    assert shown.isascii()
    assert len(shown) > 3


def test_a_run_of_spaces_is_counted() -> None:
    assert printable(f"a{' ' * 40}b") == r"a\x20{40}b"
    assert printable("a b  c") == "a b  c"


def test_letters_that_imitate_others_are_marked() -> None:
    assert printable("b\u043ess@example.com") == r"b\u043ess@example.com"
    assert printable("Привет, мир; Tシャツ") == "Привет, мир; Tシャツ"


def test_a_word_that_reads_as_latin_all_through_is_marked_where_nothing_shows_its_script() -> None:
    apple = "\u0430\u0440\u0440\u04cf\u0435"
    assert printable(f"me@{apple}.com, {apple}").isascii()
    assert printable("\u0430") == r"\u0430"
    assert printable('{"\u03bf": 1, "o": 2}') == r'{"\u03bf": 1, "o": 2}'
    # As Russian, Greek and mixed tokens are written.
    for text in ("а с ним оно", "Тест", "USB-кабель", "me@пример.рф", "Ελληνικά και α", "сумма"):
        assert printable(text) == text
    assert printable_lines("Привет\nа\n\x1b") == ["Привет", "а", r"\x1b"]


@given(TEXTS)
def test_a_width_is_never_too_small(text: str) -> None:
    import wcwidth

    shown = printable(text)
    assert cell_width(shown) >= wcwidth.wcswidth(shown)


def test_errors_quote_no_escape_sequence() -> None:
    harm = "no\x1b]52;c;QQ==\x07"
    assert str(SessionError(harm)) == SessionError(harm).message == "no]52;c;QQ=="
    assert "\x1b" not in str(api_error(400, "GET", "/v1/x", harm))
