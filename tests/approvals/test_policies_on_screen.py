"""The question on a screen of 80 columns and 24 lines, as a terminal draws it, whatever the arguments are."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from wcwidth import wcwidth

from sessionlib._util.text import printable
from tests.support import profiles
from tests.support.terminal import Terminal

CASES = int(os.environ.get("SESSIONLIB_SCREEN_CASES", profiles.scaled(80)))
SEED = int(os.environ.get("SESSIONLIB_SCREEN_SEED", "1"))

ASKS = """
import json, sys
from types import SimpleNamespace
from sessionlib import ApprovalRequest, SessionEvent, ask_console

# All that a question needs of a session.
approvals = SimpleNamespace(log=SimpleNamespace(is_open=lambda event: True))
session = SimpleNamespace(agent_name="Helper", _approvals=approvals)
for line in open(sys.argv[1]):
    data = {"tool_name": "refund", "arguments": json.loads(line)}
    event = SessionEvent("approval_request", "s1", "r1", data)
    assert ask_console(ApprovalRequest(event, session)).approved is False
print("done")
"""


class Person(Terminal):
    """Reads a screen as a person does, and answers no."""

    def lines(self) -> list[str]:
        """Waits for the question, and returns what stands above it."""
        with self._changed:
            while True:
                text = self._screen.display
                last = max((at for at, line in enumerate(text) if line.strip()), default=0)
                question = next(
                    (at for at in range(last, -1, -1) if text[at].startswith('Run "refund" for agent')), None
                )
                asked = "".join(text[question : last + 1])
                if question is not None and re.search(r"(with a reason|shows them, \[n\]o): *$", asked):
                    return [line.rstrip() for line in text[:question]]
                assert self._changed.wait(60), "\n".join(text)

    def press(self, *keys: str) -> None:
        """Presses keys; what comes of them begins on a screen that is empty."""
        with self._changed:
            self._screen.reset()
        super().press(*keys)


# ---- what is asked about -------------------------------------------------------------------------

# What has hidden or imitated an argument before, and what an alphabet of all characters would seldom hit on.
PIECES = [
    *(
        " ",
        "  ",
        " " * 70,
        "\n",
        "\n\n\n",
        "\t",
        "\r",
        "\x1b[2J",
        "\x1b[1A\x1b[2K",
        "\x08" * 9,
        "\x9b1A",
        "\x00",
        "\u2028",
    ),
    *("\u2800", "\u3164", "\u115f", "\ufe0f", "\U000e0100", "\u200b", "\u202e", "\u2066", "\u00ad", "\ufeff", "\u00a0"),
    *('"', "'", "\\", " = ", ": ", ", ", '  "amount" = 5.0', '\n  "amount" = 5.0\n', "    | ", "\n    | "),
    *("… 3 more lines", 'Run "refund"?', "[y]es, [n]o: y\n", "amount", "\u0430mount", "to", "note", "5.0", "5000"),
    *("x" * 79, "word " * 40, "漢字" * 20, "é", "e\u0301", "نامه", "می\u200cخواهم", "👨‍👩‍👧", "❤\ufe0f"),
    *("\ud7ff", "\ue000", "\U0010ffff", "ａｍｏｕｎｔ"),
]


def text(chance: random.Random, most: int) -> str:
    parts = (
        chance.choice(PIECES)
        if chance.random() < 0.7
        else chr(chance.choice([chance.randrange(128), chance.randrange(0xD800)]))
        for _ in range(chance.randrange(most + 1))
    )
    return "".join(parts)


def value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(9 if depth < 2 else 7)
    if kind == 7:
        return [value(chance, depth + 1) for _ in range(chance.randrange(5))]
    if kind == 8:
        return {text(chance, 3): value(chance, depth + 1) for _ in range(chance.randrange(5))}
    simple = (chance.randrange(-(10**6), 10**6), chance.random() * 10**4, chance.random() < 0.5, None)
    return simple[kind] if kind < 4 else text(chance, (3, 12, 60)[kind - 4])


def arguments(chance: random.Random) -> dict[str, Any]:
    few = chance.random() < 0.9
    names = (
        chance.choice(["amount", "to", "note", text(chance, 4)]) for _ in range(chance.randrange(1, 7 if few else 40))
    )
    return {name: value(chance) for name in names}


def after_name(line: str, name: str, number: int) -> str | None:
    """What is on a line behind a name, in quotes and whole, or cut with its length; None if it begins otherwise."""
    true = "  " + seen(printable(json.dumps(name, ensure_ascii=not unicodedata.is_normalized("NFC", name))))
    if line.startswith(true):
        return line[len(true) :]
    cut = re.match(rf'(  ".{{4,}}?)…" \(([\d,]+) characters, argument {number}\)(.*)', line)
    return cut[3] if cut and true.startswith(cut[1]) and int(cut[2].replace(",", "")) == len(name) else None


def seen(line: str) -> str:
    """The letters of a text without their marks, which a screen keeps with them or, behind a wide one, drops."""
    return "".join(char for char in unicodedata.normalize("NFD", line) if wcwidth(char) > 0)


# ---- what is seen --------------------------------------------------------------------------------


@pytest.mark.timeout(3600)
def test_each_argument_is_seen_once_under_its_true_name_with_its_true_value(tmp_path: Path) -> None:
    cases = [arguments(random.Random(SEED * 10**6 + number)) for number in range(CASES)]
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
    with Person(tmp_path, shlex.join([sys.executable, "-c", ASKS, "cases.jsonl"]), size=(80, 24)) as person:
        for number, case in enumerate(cases):
            check(person, case, f"case {number} of seed {SEED}: {json.dumps(case)}")
        assert person.status() == 0


def check(person: Person, case: dict[str, Any], which: str) -> None:
    found: list[tuple[str, str]] = []
    while True:
        lines = person.lines()
        screen = "\n".join(lines)
        found += [
            (line, lines[at + 1] if at + 1 < len(lines) else "") for at, line in enumerate(lines) if line[:3] == '  "'
        ]
        if len(found) >= len(case):
            break
        person.press("Enter")
    assert len(found) == len(case), f"{which}\n{screen}"
    for number, ((line, below), (name, proposed)) in enumerate(zip(found, case.items(), strict=True), 1):
        rest = after_name(seen(line), name, number)
        assert rest is not None, f"{which}\n{screen}"
        if rest.startswith(" = "):
            shown, before, begins = rest, " = ", json.dumps(proposed, ensure_ascii=False)
        else:
            assert re.match(r": (text|JSON) of [\d,]+ characters?, [\d,]+ lines?", rest), f"{which}\n{screen}"
            text = proposed if isinstance(proposed, str) else json.dumps(proposed, ensure_ascii=False, indent=2)
            shown, before, begins = below, "    | ", text.split("\n")[0]
        begins = before + seen(printable(begins))[:12]
        assert seen(shown).startswith(begins.rstrip()), f"{which}\n{screen}\n{seen(shown)!r} {begins!r}"
    person.press("n", "Enter")
