"""Markdown and HTML of others: it looks as they meant it, and runs nothing, whichever renderer has it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from html.parser import HTMLParser

import mistune
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from sessionlib.display.markup import fold, safe_html, safe_markdown, table

logging.getLogger("markdown_it").setLevel(logging.INFO)


class Trusting(mistune.HTMLRenderer):
    def safe_url(self, url: str) -> str:
        return url


def commonmark() -> MarkdownIt:
    renderer = MarkdownIt("commonmark", {"html": True})
    renderer.validateLink = lambda url: True  # type: ignore[method-assign]
    return renderer


RENDERERS: dict[str, Callable[[str], str]] = {
    "commonmark": commonmark().render,
    # As nbconvert has it. Neither checks links, as not all do.
    "mistune": lambda text: str(mistune.create_markdown(renderer=Trusting(escape=False), plugins=["table"])(text)),
}


class Seen(HTMLParser):
    """What a browser would see in some HTML."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.harm: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in ("script", "img", "iframe", "svg", "style", "object", "embed", "form", "input"):
            self.harm.append(tag)
        for name, value in attrs:
            target = re.sub(r"[\x00-\x20]", "", value or "").lower()
            if name.startswith("on") or (name in ("href", "src") and target.startswith("javascript:")):
                self.harm.append(f"{name}={value}")

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.harm.append(f"comment {data}")


ATTACKS = [
    "<script>alert(1)</script>",
    "Hi <img src=x onerror=alert(1)>",
    "- item\n\n  <script>alert(1)</script>",
    "> ```\n<script>alert(1)</script>\n> ```",
    "1. ```\n   <b>\n   ```\n<script>alert(1)</script>",
    "```\n~~~\n<script>alert(1)</script>",
    "~~~ `\n<script>alert(1)</script>\n~~~",
    "``` a`b\n<script>alert(1)</script>",
    "`a\n\n<script>alert(1)</script>`",
    "\\`<script>alert(1)</script>\\`",
    "`\\`<script>alert(1)</script>`",
    "    ```\n<script>alert(1)</script>\n    ```",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](\njavascript:alert(1))",
    "[x](<java\tscript:alert(1)>)",
    "[x](javascript\\:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](&#106avascript:alert(1))",
    "[x](&#38;#106;avascript:alert(1))",
    "[x](&#x6A;avascript&colon;alert(1))",
    "[x](java&Tab;script:alert(1))",
    "[x]\n\n[x]: javascript:alert(1)",
    "[x]\n\n[x]:\n  javascript:alert(1)",
    "`[x](javascript:alert(1))",
    "\\``[x](javascript:alert(1))`",
    "<javascript:alert(1)>",
    "![pixel](https://example.com/?secret=1)",
    "![](https://example.com/?secret=1)",
    "&#33;[pixel](https://example.com/?secret=1)",
    "![pixel][1]\n\n[1]: https://example.com/",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script>alert(1)</script>",
    "$<img src=x onerror=alert(1)>$",
    "$$\n<script>alert(1)</script>\n$$",
    "<!-- --><script>alert(1)</script>",
    "<?php ?><![CDATA[x]]>",
    "| a | b |\n| - | - |\n| <script>alert(1)</script> | `<img src=x onerror=alert(1)>` |",
]


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_runs(attack: str, renderer: str) -> None:
    assert not Seen(RENDERERS[renderer](safe_markdown(attack))).harm


def test_the_attacks_are_attacks() -> None:
    harmless = [attack for attack in ATTACKS if not any(Seen(render(attack)).harm for render in RENDERERS.values())]
    # These are so only for renderers that read links as browsers do, or take what is between ticks for prose.
    assert len(harmless) <= len(ATTACKS) // 3, harmless


PARTS = st.sampled_from(
    [
        *"`~<>![](){}*_\\&#;:$|-+. \t\n",
        *("```", "~~~", "\n\n", "    ", "> ", "- ", "1. ", "x", "javascript:", "<script>", "<img src=x onerror=y>"),
        *("&#106;", "&lt;", "&colon;", "](", "![", "[x]: ", "java", "script", "-->", "<!--", "</pre>", "</code>"),
    ]
)


@given(st.lists(PARTS, max_size=40).map("".join))
def test_nothing_runs_whatever_is_written(text: str) -> None:
    for render in RENDERERS.values():
        assert not Seen(render(safe_markdown(text))).harm


@given(st.text())
def test_html_shows_the_text_and_nothing_else(text: str) -> None:
    seen = Seen(f"<p>{safe_html(text)}</p>")
    assert seen.tags == ["p"]
    assert seen.text == re.sub("\r\n?", "\n", text)


@given(st.text(alphabet="<>&`*_[]()#$|~ \n\\ab"))
def test_html_shows_the_text_in_markdown_too(text: str) -> None:
    source = f"before\n\n{fold('summary', '<pre>' + safe_html(text) + '</pre>')}\n\nafter *this*"
    for render in RENDERERS.values():
        seen = Seen(render(source))
        assert seen.tags.count("em") == 1
        assert "summary" + text in seen.text.replace("\n\n", "\n", 1) or "summary" + text in seen.text


# ---- what is left as it is -----------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "# Title\n\nSome *text* and `code`, 1 < 2, and a [link](https://example.com).\n\n- a\n- b",
        "```python\nif a < b and c > d:\n    print('x' * 3)\n```",
        "1. first\n   ```sh\n   ls > out\n   ```\n2. second",
        "| a | b |\n| --- | --- |\n| 1 | 2 |",
        "$a < b$ and $$x^2$$",
    ],
)
def test_what_does_no_harm_is_left_as_it_is(text: str) -> None:
    assert safe_markdown(text) == text


def test_code_with_tags_looks_as_it_was_written() -> None:
    text = 'Use `<div class="a*b">` and\n\n```html\n<p>\n  *hi*\n\n</p>\n```\n\nas *here*.'
    seen = Seen(RENDERERS["commonmark"](safe_markdown(text)))
    assert seen.tags == ["p", "code", "pre", "code", "p", "em"]
    assert '<div class="a*b">' in seen.text
    assert "<p>\n  *hi*\n\n</p>" in seen.text


def test_a_tag_in_prose_is_shown() -> None:
    seen = Seen(RENDERERS["commonmark"](safe_markdown("the <b>bold</b> way, x<y, and $a<b$")))
    assert seen.tags == ["p"]
    assert seen.text.strip() == "the <b>bold</b> way, x<y, and $a< b$"


def test_a_block_of_code_is_closed() -> None:
    assert safe_markdown("```python\nx = 1") == "```python\nx = 1\n```"


def test_a_picture_becomes_a_link() -> None:
    assert safe_markdown("![a cat](https://example.com/cat.png)") == "[a cat](https://example.com/cat.png)"


def test_it_takes_no_longer_than_the_text_is_long() -> None:
    nasty = "".join("`" * (1 + number % 300) + "<b " for number in range(3000))
    assert len(safe_markdown(nasty)) < 10 * len(nasty)


def test_a_table_shows_names_as_they_are() -> None:
    assert "&lt;b&gt;" in table([("<b>", "<i>value</i>")])
    assert Seen(table([("<b>", "<i>value</i>")])).tags == ["table", "tr", "th", "td", "i"]
