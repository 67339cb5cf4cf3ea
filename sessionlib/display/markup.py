"""Texts of agents and people as HTML in which nothing that they wrote can run.

A notebook lets a cell's HTML do anything in its page, and the page can run code in the kernel. So Markdown is rendered
here, without raw HTML and without pictures (loading one sends its address to its server), and connections lead only to
web pages and mail, after a click.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["alarm", "fold", "in_code", "markdown_html", "markdown_tokens", "quiet", "safe_html", "table"]

_MARGINS = "margin: 6px 0"


def safe_html(text: object) -> str:
    """Returns a text as HTML that shows it, whatever is in it, in one line."""
    shown = html.escape(str(text)).replace("\r\n", "\n").replace("\r", "\n")
    # Escaped too, so that a front end that takes formulas or Markdown out of HTML finds none.
    return re.sub(r"[\n`*_\\\[\]$~|]", lambda found: f"&#{ord(found[0])};", shown)


def markdown_html(text: str) -> str:
    """Returns Markdown as HTML without raw HTML, pictures or connections that could run something.

    Where markdown-it-py is missing (the extra ``notebook`` brings it), the text is shown as it was written.
    """
    text = text.replace("\0", "")
    try:
        return str(_renderer().render(text))
    except ImportError:
        return f'<div style="white-space: pre-wrap">{html.escape(text)}</div>'


def markdown_tokens(text: str) -> list[Any]:
    """Returns the tokens of Markdown, as markdown-it-py has them; what looks like HTML is text."""
    tokens: list[Any] = _parser().parse(text)
    return tokens


@functools.cache
def _parser(**options: Any) -> Any:
    from markdown_it import MarkdownIt  # an extra, and heavier than all of this module

    return MarkdownIt("commonmark", {"html": False, **options}).enable(["table", "strikethrough"])


# A block that streams in is drawn again and again, and colours are nine tenths of what that takes.
_MAX_COLOURED = 2000
_PLACE = re.compile(r"https?://|mailto:", re.IGNORECASE)


@functools.cache
def _renderer() -> Any:
    def link_open(renderer: Any, tokens: Sequence[Any], at: int, options: Any, env: Any) -> str:
        address = str(tokens[at].attrs["href"])
        if not _PLACE.match(address):  # [x](), which would lead to the page itself
            return ""
        # Without the title, which would hide the address; the notebook's own is no other server's business.
        return f'<a href="{html.escape(address)}" target="_blank" rel="noopener noreferrer">'

    def link_close(renderer: Any, tokens: Sequence[Any], at: int, options: Any, env: Any) -> str:
        # With the address behind the text, where that is another.
        opened = max(number for number in range(at) if tokens[number].type == "link_open")
        address = str(tokens[opened].attrs["href"])
        if not _PLACE.match(address):
            return ""
        text = "".join(token.content for token in tokens[opened:at])
        return "</a>" if text in (address, address.removeprefix("mailto:")) else f"</a> ({html.escape(address)})"

    # Without the rule for pictures, ![a](b) is an exclamation mark and a connection.
    renderer = _parser(highlight=_highlight).disable("image")
    # By default markdown-it lets relative addresses pass, and these are the notebook server's own.
    renderer.validateLink = lambda url: _PLACE.match(url) is not None
    renderer.add_render_rule("link_open", link_open)
    renderer.add_render_rule("link_close", link_close)
    return renderer


def _highlight(code: str, language: str, attributes: str) -> str:
    """Returns code with the classes of Pygments, whose colours the notebook has; "" where that cannot be."""
    if len(code) > _MAX_COLOURED:
        return ""
    try:
        import pygments
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import get_lexer_by_name
        from pygments.util import ClassNotFound
    except ImportError:
        return ""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return ""
    return f'<pre class="highlight">{pygments.highlight(code, lexer, HtmlFormatter(nowrap=True))}</pre>'


def in_code(text: object) -> str:
    """Returns a text as HTML in the letters of code."""
    return f"<code>{safe_html(text)}</code>"


def quiet(content: str) -> str:
    """Returns HTML in small, pale letters, for what is secondary."""
    return f'<small style="opacity: 0.7">{content}</small>'


def alarm(content: str) -> str:
    """Returns HTML with a mark of warning, for what went wrong."""
    # The theme's own text colour: no one red has a contrast of 4.5:1 (WCAG AA) on light and on dark.
    return f'<div style="border-left: 4px solid #d32f2f; padding-left: 8px; font-weight: 600">{content}</div>'


def fold(summary: str, body: str = "") -> str:
    """Returns one line of HTML that unfolds to show more; just the line where there is no more.

    Args:
        summary: The line, as HTML.
        body: What is below it, as HTML.
    """
    if not body:
        return f'<div style="{_MARGINS}">{quiet(summary)}</div>'
    return f'<details style="{_MARGINS}"><summary>{quiet(summary)}</summary>{body}</details>'


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Returns a table of names and values as HTML.

    Args:
        rows: Each name, as it is, and each value, as HTML.
    """
    cell = 'style="text-align: left; vertical-align: top"'
    lines = [f"<tr><th {cell}>{safe_html(name)}</th><td {cell}>{value}</td></tr>" for name, value in rows]
    return f"<table>{''.join(lines)}</table>"
