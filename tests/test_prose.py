"""The words: a linter for prose over what users read, and the terms of the field everywhere."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.support.examples import ROOT, pages

# Checks of proselint that are no faults here, and why.
EXCEPTIONS = {
    "typography.symbols.curly_quotes": "what is quoted is typed at keyboards and compared with code",
    "typography.symbols.ellipsis": "three dots stand for what is left out of code",
}

# Words that this field does not use for these things; what to write instead.
TERMS = {
    r"gives|giving": "returns, yields",
    r"tells?|told|telling": "reports, notifies, raises, logs",
    r"hears?|heard": "receives, subscribes",
    r"says?|said|saying": "sends, sent; what a message contains",
    r"sees to|looks after": "handles",
    r"whoever|nobody|everybody": "the caller, no listener, all listeners",
    r"pieces of (?:text|an answer)": "chunks, deltas",
    r"anew|once more": "again",
    r"(?:not )?to be had": "unavailable, available",
    r"lets go|gives up": "closes, releases, abandons",
    r"asks leave|what became of": "requests approval; the outcome",
    r"a link|the link": "a connection",
    r"carried over|laid out": "migrated, created",
    r"what stands there": "contains",
    r"must not wait": "must not block",
}
_TERM = re.compile(rf"\b(?:{'|'.join(TERMS)})\b", re.IGNORECASE)
MOST = 40


def prose_of(markdown: str) -> str:
    """Returns Markdown without code and without the targets of links."""
    text = re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"``.*?``|`[^`]*`", "code", text)
    text = re.sub(r"^(#.*)$", r"\1.", text, flags=re.MULTILINE)  # a heading does not go on in the paragraph below it
    return re.sub(r"\]\([^)]*\)", "]", text)


def read_by_users() -> Iterator[tuple[str, str]]:
    """Yields the name and the prose of everything that is written for users."""
    for page in [*pages(), ROOT / "CHANGELOG.md"]:
        yield page.name, prose_of(page.read_text("utf-8"))
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        yield f"{notebook.stem}.md", prose_of("\n\n".join(texts))


def read_in_the_source() -> Iterator[tuple[str, str]]:
    """Yields the place and the text of each comment and string of the package, without names of code."""
    for path in sorted((ROOT / "sessionlib").rglob("*.py")):
        for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline):
            if token.type in (tokenize.COMMENT, tokenize.STRING):
                text = re.sub(r"``.*?``|`[^`]*`", "code", token.string, flags=re.DOTALL)
                if token.type == tokenize.COMMENT or " " in text:
                    yield f"{path.relative_to(ROOT)}:{token.start[0]}", text


def test_a_linter_for_prose_has_nothing_against_it(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.md"  # or this test could not fail
    wrong.write_text("It is is very unique.\n")
    files = [wrong]
    for name, text in read_by_users():
        files.append(tmp_path / name)
        files[-1].write_text(text, "utf-8")
    command = [sys.executable, "-m", "proselint", "check", *map(str, files)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    hits = re.findall(rf"^{re.escape(str(tmp_path))}/(\S+?):(\d+:\d+): ([\w.]+): (.*)", ran.stdout, re.MULTILINE)
    assert "wrong.md" in {name for name, *_ in hits}, ran.stdout + ran.stderr
    assert not [hit for hit in hits if hit[0] != "wrong.md" and hit[2] not in EXCEPTIONS]


def test_users_read_the_terms_of_the_field() -> None:
    found = [
        f"{name}: {hit[0]}: ...{hit.string[max(0, hit.start() - 40) : hit.end() + 40]}..."
        for name, text in read_by_users()
        for hit in _TERM.finditer(text)
    ]
    assert not found, "\n".join(found)


def test_the_source_is_written_in_the_terms_of_the_field() -> None:
    found = [f"{place}: {hit[0]}" for place, text in read_in_the_source() for hit in _TERM.finditer(text)]
    assert len(found) <= MOST, f"{len(found)} are more than {MOST}:\n" + "\n".join(found)


def test_a_plain_search_for_these_words_finds_little() -> None:
    """Names of code and strings included: methods of files, names of the platform, names that remain for users."""
    files = [path for path in (ROOT / "sessionlib").rglob("*") if path.suffix in (".py", ".pyi", ".json", ".md")]
    shown = re.compile(r"You\|? said")  # by the demo model
    files += [ROOT / "README.md", *(ROOT / "notebooks").glob("*.ipynb")]
    plain = re.compile(
        rf"{_TERM.pattern}|\b(?:say|hear|others|pieces?|links?|cuts?|look after|let go|give up)\b", re.IGNORECASE
    )
    texts = {path: shown.sub("", path.read_text("utf-8")) for path in files}
    found = [f"{path.relative_to(ROOT)}: {hit[0]}" for path in files for hit in plain.finditer(texts[path])]
    assert len(found) <= MOST, f"{len(found)} are more than {MOST}:\n" + "\n".join(found)
