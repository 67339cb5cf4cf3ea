"""Texts of agents and people as Markdown and HTML in which nothing that they wrote can run.

A notebook gives a cell's Markdown and HTML the run of its page, and the page has the run of the kernel. So
tags that somebody wrote are shown and not obeyed, links lead nowhere but to places, and pictures become links,
because to load one tells its server. What looks like code to us may not to the renderer at hand: code is left
as it is only where nothing in it could do harm as Markdown either.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

__all__ = ["alarm", "fold", "in_code", "quiet", "safe_html", "safe_markdown", "table"]

# Invisible, and no part of any scheme.
_APART = "\u200b"
_MARGINS = "margin: 6px 0"
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_SCHEME = re.compile("(" + r"[\t\n]*".join("javascript") + r")(?=[\s\\]*:)", re.IGNORECASE)
_PICTURE = re.compile(r"!\[(\]?)")
# Ways to write characters so that the tests above do not see them.
_ENTITY = re.compile(r"&(?:#0*[1-9]\d{0,2};?|#x0*[0-9a-f]{1,2};?|(?:lt|colon|tab|newline);)", re.IGNORECASE)
_HARMFUL = re.compile(rf"{_TAG.pattern}|!\[|&(?:#|colon;|tab;|newline;)|{_SCHEME.pattern}", re.IGNORECASE)
_FENCE = re.compile(r"^([ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(`{3,}|~{3,})([^\n]*)$")
_TICKS = re.compile(r"\\.|`+", re.DOTALL)
_BLANK = re.compile(r"\n[ \t]*\n")
_MATH = re.compile(r"(\$\$.+?\$\$|\$[^$\n]+\$)", re.DOTALL)


def safe_html(text: object) -> str:
    """Gives a text as HTML that shows it, whatever is in it; also fit for an HTML line within Markdown."""
    shown = html.escape(str(text)).replace("\r\n", "\n").replace("\r", "\n")
    # Markdown would see to these, and to the ends of lines, even here.
    return re.sub(r"[\n`*_\\\[\]$~|]", lambda found: f"&#{ord(found[0])};", shown)


def safe_markdown(text: str) -> str:
    """Gives Markdown that looks as its writer meant it, and in which nothing can run."""
    return "\n".join(_passages(text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")))


def in_code(text: object) -> str:
    """Gives a text as HTML in the letters of code."""
    return f"<code>{safe_html(text)}</code>"


def quiet(content: str) -> str:
    """Gives HTML in small, pale letters, for what is said on the side."""
    return f'<small style="opacity: 0.7">{content}</small>'


def alarm(content: str) -> str:
    """Gives HTML in a colour of warning, for what went wrong."""
    return f'<div style="color: #b3261e">{content}</div>'


def fold(summary: str, body: str = "") -> str:
    """Gives one line of HTML that unfolds to show more; just the line where there is no more.

    Args:
        summary: The line, as HTML.
        body: What is below it, as HTML.
    """
    if not body:
        return f'<div style="{_MARGINS}">{quiet(summary)}</div>'
    return f'<details style="{_MARGINS}"><summary>{quiet(summary)}</summary>{body}</details>'


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Gives a table of names and values as HTML.

    Args:
        rows: Each name, as it is, and each value, as HTML.
    """
    cell = 'style="text-align: left; vertical-align: top"'
    lines = [f"<tr><th {cell}>{safe_html(name)}</th><td {cell}>{value}</td></tr>" for name, value in rows]
    return f"<table>{''.join(lines)}</table>"


# ---- Markdown ------------------------------------------------------------------------------


def _passages(text: str) -> Iterator[str]:
    """Parts a text into blocks of code and what is between them, each made safe."""
    prose: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        opened = _FENCE.match(line)
        if opened is None or (opened[2][0] == "`" and "`" in opened[3]):
            prose.append(line)
            continue
        if prose:
            yield _safe_prose("\n".join(prose))
            prose = []
        yield _safe_block(opened, lines)
    if prose:
        yield _safe_prose("\n".join(prose))


def _safe_block(opened: re.Match[str], lines: Iterator[str]) -> str:
    """Takes the lines of a block of code, to its end or to that of the text, and makes them safe."""
    lead, fence, info = opened.groups()
    indent = re.sub(r"[^\s>]", " ", lead)
    closing = re.compile(rf"^[ \t>]*{fence}{fence[0]}*[ \t]*$")
    code: list[str] = []
    last = indent + fence
    for line in lines:
        if closing.match(line):
            last = line
            break
        code.append(line)
    if not any(_HARMFUL.search(line) for line in (info, *code)):
        return "\n".join([opened[0], *code, last])
    return f"{lead}<pre>{in_code(chr(10).join(line.removeprefix(indent) for line in code))}</pre>\n"


def _safe_prose(text: str) -> str:
    """Makes Markdown safe that has no blocks of code, but may have code between ticks."""
    return "\n\n".join(map(_safe_part, _BLANK.split(text))) if _HARMFUL.search(text) else text


def _safe_part(text: str) -> str:
    """Makes one paragraph safe: code between ticks cannot reach beyond it."""
    parts: list[str] = []
    at = 0
    for opening, closing in _spans([found for found in _TICKS.finditer(text) if found[0][0] == "`"]):
        words, span = text[at : opening.start()], text[opening.start() : closing.end()]
        parts += [_safe_words(words), _safe_span(span, len(opening[0]))]
        at = closing.end()
    return "".join([*parts, _safe_words(text[at:])])


def _spans(ticks: list[re.Match[str]]) -> Iterator[tuple[re.Match[str], re.Match[str]]]:
    """Pairs each run of ticks with the next one of its length, and passes over what is between them."""
    later: dict[int, list[int]] = {}
    for number in range(len(ticks) - 1, -1, -1):
        later.setdefault(len(ticks[number][0]), []).append(number)
    number = 0
    while number < len(ticks):
        same = later[len(ticks[number][0])]
        while same and same[-1] <= number:
            same.pop()
        if same:
            yield ticks[number], ticks[same[-1]]
        number = (same[-1] if same else number) + 1


def _safe_span(span: str, ticks: int) -> str:
    if not _HARMFUL.search(span):
        return span
    inner = span[ticks:-ticks].replace("\n", " ")
    return in_code(inner[1:-1] if inner[0] == inner[-1] == " " and inner.strip() else inner)


def _safe_words(text: str) -> str:
    plain = _ENTITY.sub(lambda found: found[0] if html.unescape(found[0]) == "&" else html.unescape(found[0]), text)
    linked = _PICTURE.sub(lambda found: "[picture]" if found[1] else "[", plain)
    parts = _MATH.split(_SCHEME.sub(rf"\1{_APART}", linked))
    # In a formula, which is no HTML, a "less than" stays what it is.
    return "".join(_TAG.sub("< " if number % 2 else "&lt;", part) for number, part in enumerate(parts))
