"""Text of other people, made fit for a terminal or an error message without altering what can be read.

Dangerous are the controls that a terminal obeys, the bidirectional controls that reorder a line (Unicode TR36, 3.1)
and the default-ignorable code points, which show nothing and can hide anything (TR36, 3.5). Some of the
latter belong to words and emoji, where they stay: ZWNJ in Persian, ZWJ in a family, a selector behind a heart.
"""

from __future__ import annotations

import functools
import re
import unicodedata

__all__ = ["TextCleaner", "cell_width", "clean", "printable", "printable_lines", "skeleton"]

# C0 but for newline and tab, DEL, C1, line separators, lone surrogates, and Default_Ignorable_Code_Point
# of DerivedCoreProperties.txt. The spaces U+00A0, U+202F and U+3000 are none of these.
_UNSAFE = (
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Scripts whose letters join: there ZWJ and ZWNJ are spelling (Unicode 23.2).
_JOINING = (
    r"[\u0620-\u06ff\u0700-\u07ff\u0840-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u17ff\u1807\u1820-\u18aa\u1b00-\u1b7f"
    r"\ua980-\ua9df\ufb50-\ufdff\ufe70-\ufefc]"
)
# Letters with other forms, which a selector behind them chooses (StandardizedVariants.txt).
_VARYING = r"(?<=[\u1820-\u18aa])[\u180b-\u180f]|(?<=[\u1000-\u109f\uaa60-\uaa7f])\ufe00"
_EMOJI = (
    r"[\xa9\xae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u27bf\u2900-\u2bff\u3030\u303d\u3297\u3299"
    r"\U0001f000-\U0001faff]"
)
_HAN = r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_FLAG = r"\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f"
_BELONGS = (
    rf"(?<={_JOINING})[\u200c\u200d]|(?<={_EMOJI})[\u200d\ufe0e\ufe0f]|(?<={_EMOJI}\ufe0f)\u200d"
    rf"|{_VARYING}|[0-9#*]\ufe0f(?=\u20e3)|(?<={_HAN})[\ufe00-\ufe02\U000e0100-\U000e01ef]|{_FLAG}"
)
# What is a blank, or looks like another character, where a person has to distinguish them (TR39, confusables.txt).
_DECEPTIVE = (
    rf"(?P<belongs>{_BELONGS})|{_UNSAFE}|[\n\t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000\u2800]"
    r"|[\u01c3\u0589\u2024\u2044\u2215\u2236\u29f8\ua789\uff00-\uffef\U0001d400-\U0001d7ff]|(?P<run> {3,})"
)
_WORD = r"[^\W\d_]+"
_JOINERS = "\u200c\u200d"  # the pattern has decided about these
_LOOKALIKE = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "GEORGIAN", "LISU", "DESERET")
# ASCII letters and digits, each with what TR39's confusables.txt has for it, but for what NFKC makes plain; the dashes.
_ALIKE = (
    "2\u01a7\u03e8\u14bf\ua644\ua6ef\ua75a 3\u01b7\u021c\u0417\u04e0\u2ccc\ua76a\ua7ab\U000118ca\U00016f3b\U0001d206 "
    "4\u13ce\U000118af 5\u01bc\U000118bb 6\u0431\u13ee\u2cd2\U000118d5 7\U000104d2\U000118c6\U0001d212 8\u0222\u0223"
    "\u09ea\u0a6a\u0b03\U0001031a 9\u09ed\u0a67\u0b68\u0d6d\u2cca\ua76e\U000118ac\U000118cc\U000118d6 _\u02d7\u2010"
    "\u2012\u2013\u2043\u2212\u2796\u2cba a\u0251\u0391\u03b1\u0410\u0430\u13aa\u15c5\u237a\ua4ee\U000102a0\U00016f40"
    " b\u0184\u0392\u0412\u042c\u13cf\u13f4\u1472\u15af\u15f7\ua4d0\ua7b4\U00010282\U000102a1\U00010301 c\u0421\u0441"
    "\u13df\u1d04\u2ca4\u2ca5\ua4da\uabaf\U000102a2\U00010302\U00010415\U0001043d\U0001051c\U000118e9\U000118f2"
    "\U0001f74c d\u0501\u13a0\u13e7\u146f\u15de\u15ea\ua4d2\ua4d3 e\u0395\u0415\u0435\u04bd\u13ac\u212e\u22ff\u2d39"
    "\ua4f0\uab32\U00010286\U000118a6\U000118ae f\u03dc\u0584\u15b4\u1e9d\ua4dd\ua798\ua799\uab35\U00010287\U000102a5"
    "\U00010525\U000118a2\U000118c2\U0001d213 g\u018d\u0261\u050c\u0581\u13c0\u13f3\u1d83\ua4d6 h\u0397\u041d\u04bb"
    "\u0570\u13bb\u13c2\u157c\u2c8e\ua4e7\U000102cf i\u0131\u0269\u026a\u03b9\u0456\u04cf\u13a5\u2373\ua647\uab75"
    "\U000118c3 j\u037f\u03f3\u0408\u0458\u13ab\u148d\ua4d9\ua7b2 k\u039a\u041a\u13e6\u16d5\u2c94\ua4d7\U00010518 l"
    "\u0196\u01c0\u0399\u0406\u04c0\u06f1\u13de\u14aa\u16c1\u2223\u23fd\u2c92\u2cd0\u2d4f\ua4e1\ua4f2\U0001028a"
    "\U00010309\U00010320\U0001041b\U00010526\U000118a3\U000118b2\U00016f16\U00016f28\U0001d22a m\u039c\u03fa\u041c"
    "\u13b7\u15f0\u16d6\u2c98\ua4df\U000102b0\U00010311 n\u039d\u0578\u057c\u2c9a\ua4e0\U00010513 o\u039f\u03bf\u03c3"
    "\u041e\u043e\u0555\u0585\u06f5\u0966\u09e6\u0a66\u0ae6\u0b20\u0b66\u0be6\u0c02\u0c66\u0c82\u0ce6\u0d02\u0d20"
    "\u0d66\u0d82\u0e50\u0ed0\u101d\u1040\u10ff\u12d0\u1d0f\u1d11\u2c9e\u2c9f\u2d54\u3007\ua4f3\uab3d\U00010292"
    "\U000102ab\U00010404\U0001042c\U000104c2\U000104ea\U00010516\U000114d0\U000118b5\U000118c8\U000118d7\U000118e0 p"
    "\u03a1\u03c1\u0420\u0440\u13e2\u146d\u2374\u2ca2\u2ca3\ua4d1\U00010295 q\u051b\u0563\u0566\u2d55 r\u01a6\u0433"
    "\u13a1\u13d2\u1587\u1d26\u2c85\ua4e3\uab47\uab48\uab81\U000104b4\U00016f35\U0001d216 s\u01bd\u0405\u0455\u054f"
    "\u13d5\u13da\ua4e2\ua731\uabaa\U00010296\U00010420\U00010448\U000118c1\U00016f3a t\u03a4\u0422\u13a2\u22a4\u27d9"
    "\u2ca6\ua4d4\U00010297\U000102b1\U00010315\U000118bc\U00016f0a\U0001f768 u\u028b\u03c5\u054d\u057d\u1200\u144c"
    "\u1d1c\u222a\u22c3\ua4f4\ua79f\uab4e\uab52\U000104ce\U000104f6\U000118b8\U000118d8\U00016f42 v\u03bd\u0474\u0475"
    "\u06f7\u13d9\u142f\u1d20\u2228\u22c1\u2d38\ua4e6\ua6df\uaba9\U0001051d\U00011706\U000118a0\U000118c0\U00016f08"
    "\U0001d20d w\u026f\u0461\u051c\u051d\u0561\u13b3\u13d4\u1d21\ua4ea\uab83\U0001170a\U0001170e\U0001170f\U000118e6"
    "\U000118ef x\xd7\u03a7\u0425\u0445\u1541\u157d\u166d\u166e\u16b7\u2573\u292b\u292c\u2a2f\u2cac\u2d5d\ua4eb\ua7b3"
    "\U00010290\U000102b4\U00010317\U00010322\U00010527\U000118ec y\u0263\u028f\u03a5\u03b3\u0423\u0443\u04ae\u04af"
    "\u10e7\u13a9\u13bd\u1d8c\u1eff\u2ca8\ua4ec\uab5a\U000102b2\U000118a4\U000118dc\U00016f43 z\u0396\u13c3\u1d22"
    "\ua4dc\uab93\U000102f5\U000118a9\U000118c4\U000118e5"
)

# Such as a small capital, or one with a hook or a stroke, which no normalisation takes away.
_VARIANT = "LATIN (?:SMALL |CAPITAL )?LETTER (?:SMALL CAPITAL |SCRIPT |DOTLESS )?([A-Z])(?: WITH .*)?$"


# Compiled by `re` at its first use: when the package is imported, it would take as long as five modules.
_PATTERN = rf"(?P<belongs>{_BELONGS})|{_UNSAFE}"


def clean(text: str) -> str:
    """Returns a text without what a terminal would obey or could not show; all that can be read stays."""
    # Most text costs no search: printable ASCII has none of it, other printable text variation selectors and fillers.
    if (text.isascii() and text.isprintable()) or re.search(_PATTERN, text) is None:
        return text

    def cleaned(found: re.Match[str]) -> str:
        char = found[0]
        if found["belongs"]:
            return char
        return "\n" if char in "\u2028\u2029" else "\ufffd" if "\ud800" <= char <= "\udfff" else ""

    return re.sub(_PATTERN, cleaned, text)


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

    Such characters are shown as Python's escapes, and a run of three or more spaces as ``\x20{3}``. So are the letters
    of a look-alike script in a word that mixes them with Latin ones (TR39, 5.1), and those of a word that can be read
    as Latin all through (TR39, 4.2), unless the text has other words of that script and no Latin ones beside it.
    """
    return _printable(text, _scripts_of(text))


def printable_lines(text: str) -> list[str]:
    """Returns the lines of a text, each as from `printable`, which gets their scripts from all of the text."""
    scripts = _scripts_of(text)
    return [_printable(line, scripts) for line in text.split("\n")]


def _printable(text: str, scripts: frozenset[str]) -> str:
    marked = text
    if not text.isascii():
        # Between spaces: an address has words of its own, and all of them are read at once.
        marked = re.sub(
            r"\S+", lambda token: _marked(token[0], frozenset() if re.search("[A-Za-z]", token[0]) else scripts), text
        )

    def escaped(found: re.Match[str]) -> str:
        if found["belongs"]:
            return found[0]
        return rf"\x20{{{len(found[0])}}}" if found["run"] else _escape(found[0])

    shown = re.sub(_DECEPTIVE, escaped, marked)
    # Private and unassigned characters too: what they look like is unknown.
    return "".join(char if char.isprintable() or char in _JOINERS else _escape(char) for char in shown)


def _escape(text: str) -> str:
    return text.encode("unicode_escape").decode()


def _scripts_of(text: str) -> frozenset[str]:
    """Returns the look-alike scripts that a text is written in, by the words that cannot be read as Latin."""
    if text.isascii():
        return frozenset()
    words = {word for word in re.findall(_WORD, text) if not word.isascii()}
    return frozenset(
        script for word in words if not _reads_as_latin(word) for script in map(_script, word) if script in _LOOKALIKE
    )


def _marked(token: str, scripts: frozenset[str]) -> str:
    def mark(found: re.Match[str]) -> str:
        word = found[0]
        if word.isascii():
            return word
        of = [_script(char) for char in word]
        if "LATIN" not in of and not (_reads_as_latin(word) and scripts.isdisjoint(of)):
            return word
        return "".join(_escape(char) if script in _LOOKALIKE else char for char, script in zip(word, of, strict=True))

    return re.sub(_WORD, mark, token)


def _script(char: str) -> str:
    return unicodedata.name(char, "?").partition(" ")[0]


def _reads_as_latin(word: str) -> bool:
    # As it is written: unlike its capital, a small Cyrillic EN looks like no H.
    return all(char.isascii() or char in _alike() for char in word)


def skeleton(name: str) -> str:
    """Returns what a name has in common with all that look like it (TR39, 4), whatever their case.

    Names that differ in width, script, accents, invisible characters, blanks or the kind of their dashes have one.
    """
    # Cleaned first, as what is taken out may stand between two characters that make one.
    plain = clean(unicodedata.normalize("NFKD", clean(name)))
    alike, letters = _alike(), []
    for char in plain:
        if char.isspace() or unicodedata.category(char) in ("Mn", "Me"):
            continue
        variant = None if char.isascii() else re.match(_VARIANT, unicodedata.name(char, ""))
        if char.isascii():
            letters.append("_" if char == "-" else char.casefold())
        elif variant:
            letters.append(variant[1].lower())
        else:
            # By its capital if need be: U+043A looks like no letter of ours, but U+041A like K.
            letters.append(alike.get(char) or alike.get(char.upper()) or char.casefold())
    # ASCII has look-alikes of its own; a capital I is a small l, whatever its small letter.
    return "".join(letters).translate(str.maketrans("1i|0", "lllo")).replace("rn", "m")


@functools.cache
def _alike() -> dict[str, str]:
    return {char: group[0] for group in _ALIKE.split(" ") for char in group[1:]}


def cell_width(text: str) -> int:
    """Returns the most columns that a terminal may take for a text; terminals differ on what is ambiguous (UAX 11)."""
    if text.isascii():
        return len(text)
    width = 0
    for char in text:
        category = unicodedata.category(char)
        if category in ("Mn", "Me"):
            width += char == "\ufe0f"  # the selector makes some narrow signs wide
        else:
            width += 2 if unicodedata.east_asian_width(char) in "WFA" or category == "Cn" else 1
    return width
