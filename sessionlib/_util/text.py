"""Text of other people, made fit for a terminal or an error message without altering what can be read.

Dangerous are the controls that a terminal obeys, the bidirectional controls that reorder a line (Unicode TR36, 3.1)
and the default-ignorable code points, which show nothing and can hide anything (TR36, 3.5). Some of the
latter belong to words and emoji, where they stay: ZWNJ in Persian, ZWJ in a family, a selector behind a heart.
"""

from __future__ import annotations

import functools
import re
import unicodedata

__all__ = ["TextCleaner", "cell_width", "clean", "printable"]

# C0 but for newline and tab, DEL, C1, line separators, lone surrogates, and Default_Ignorable_Code_Point
# of DerivedCoreProperties.txt. The spaces U+00A0, U+202F and U+3000 are none of these.
_UNSAFE = (
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Scripts whose letters join: there ZWJ and ZWNJ are spelling (Unicode 23.2).
_JOINING = r"[\u0620-\u06ff\u0700-\u07ff\u0840-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u17ff\ufb50-\ufdff\ufe70-\ufefc]"
_EMOJI = (
    r"[\xa9\xae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u27bf\u2900-\u2bff\u3030\u303d\u3297\u3299"
    r"\U0001f000-\U0001faff]"
)
_HAN = r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_FLAG = r"\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f"
_BELONGS = (
    rf"(?<={_JOINING})[\u200c\u200d]|(?<={_EMOJI})[\u200d\ufe0e\ufe0f]|(?<={_EMOJI}\ufe0f)\u200d"
    rf"|[0-9#*]\ufe0f(?=\u20e3)|(?<={_HAN})[\ufe00-\ufe02\U000e0100-\U000e01ef]|{_FLAG}"
)
# What is a blank, or looks like another character, where a person has to distinguish them (TR39, confusables.txt).
_DECEPTIVE = (
    rf"(?P<belongs>{_BELONGS})|{_UNSAFE}|[\n\t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000\u2800]"
    r"|[\u01c3\u0589\u2024\u2044\u2215\u2236\u29f8\ua789\uff00-\uffef\U0001d400-\U0001d7ff]|(?P<run> {3,})"
)
_WORD = re.compile(r"[^\W\d_]+")
_JOINERS = "\u200c\u200d"  # the pattern has decided about these
_LOOKALIKE = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "GEORGIAN", "LISU", "DESERET")


@functools.cache
def _pattern() -> re.Pattern[str]:
    # Not when the package is imported: it takes as long as five modules.
    return re.compile(rf"(?P<belongs>{_BELONGS})|{_UNSAFE}")


def clean(text: str) -> str:
    """Returns a text without what a terminal would obey or could not show; all that can be read stays."""
    # Printable text has none of it but variation selectors and fillers, so most text costs one search.
    pattern = _pattern()
    return text if pattern.search(text) is None else pattern.sub(_cleaned, text)


def _cleaned(found: re.Match[str]) -> str:
    if found["belongs"]:
        return found[0]
    char = found[0]
    return "\n" if char in "\u2028\u2029" else "\ufffd" if "\ud800" <= char <= "\udfff" else ""


class TextCleaner:
    """`clean` for text that comes in chunks: whether a joiner belongs to a word shows the chunk before it."""

    _CONTEXT = 2  # the longest look behind of the pattern

    def __init__(self) -> None:
        self._tail = ""

    def feed(self, chunk: str) -> str:
        """Returns the next chunk, cleaned."""
        before = clean(self._tail)
        both = self._tail + chunk
        self._tail = both[-self._CONTEXT :]
        return clean(both)[len(before) :]


def printable(text: str) -> str:
    r"""Returns a text in one line in which nothing hides, moves the cursor or passes for something else.

    Such characters are shown as Python's escapes, a run of three or more spaces as ``\x20{3}``, and in a word that
    mixes Latin letters with those of a look-alike script (TR39, 5.1) the latter.
    """
    marked = _WORD.sub(_unmixed, text) if not text.isascii() else text
    shown = re.sub(_DECEPTIVE, _escaped, marked)
    # Private and unassigned characters too: what they look like is unknown.
    return "".join(char if char.isprintable() or char in _JOINERS else _escape(char) for char in shown)


def _escaped(found: re.Match[str]) -> str:
    if found["belongs"]:
        return found[0]
    return rf"\x20{{{len(found[0])}}}" if found["run"] else _escape(found[0])


def _escape(text: str) -> str:
    return text.encode("unicode_escape").decode()


def _unmixed(found: re.Match[str]) -> str:
    word = found[0]
    scripts = [unicodedata.name(char, "?").partition(" ")[0] for char in word]
    if "LATIN" not in scripts:
        return word
    return "".join(_escape(char) if script in _LOOKALIKE else char for char, script in zip(word, scripts, strict=True))


def cell_width(text: str) -> int:
    """Returns the most columns that a terminal may take for a text; terminals differ on what is ambiguous (UAX 11)."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 1 if char == "\ufe0f" else 0  # the selector makes some narrow signs wide
    return 2 if unicodedata.east_asian_width(char) in "WFA" or unicodedata.category(char) == "Cn" else 1
