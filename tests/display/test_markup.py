"""Markdown and HTML of others: it looks as they meant it, and runs nothing, whichever renderer has it."""

from __future__ import annotations

import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib.display.markup import fold, markdown_html, safe_html, table
from tests.support.markup import Seen
from tests.support.processes import run_script

logging.getLogger("markdown_it").setLevel(logging.INFO)


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


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_runs(attack: str) -> None:
    assert not Seen(markdown_html(attack)).harm


PARTS = st.sampled_from(
    [
        *"`~<>![](){}*_\\&#;:$|-+. \t\n",
        *("```", "~~~", "\n\n", "    ", "> ", "- ", "1. ", "x", "javascript:", "<script>", "<img src=x onerror=y>"),
        *("&#106;", "&lt;", "&colon;", "](", "![", "[x]: ", "java", "script", "-->", "<!--", "</pre>", "</code>"),
    ]
)


@given(st.lists(PARTS, max_size=40).map("".join))
def test_nothing_runs_whatever_is_written(text: str) -> None:
    shown = markdown_html(text)
    assert not Seen(shown).harm
    assert not re.search("<[^>]* style=", shown)


@given(st.text())
def test_html_shows_the_text_and_nothing_else(text: str) -> None:
    seen = Seen(f"<p>{safe_html(text)}</p>")
    assert seen.tags == ["p"]
    assert seen.text == re.sub("\r\n?", "\n", text)


def test_a_line_that_unfolds_has_its_summary_and_its_body() -> None:
    seen = Seen(fold("summary", f"<pre>{safe_html('<b> *x*')}</pre>"))
    assert seen.tags == ["details", "summary", "small", "pre"]
    assert seen.text == "summary<b> *x*"


# ---- how it looks --------------------------------------------------------------------------


def test_markdown_looks_as_its_writer_meant_it() -> None:
    seen = Seen(markdown_html("# Title\n\nSome *text*, **bold** and `code`.\n\n- a\n\n| a |\n| - |\n| `<b>` |"))
    assert seen.tags[:5] == ["h1", "p", "em", "strong", "code"]
    assert {"ul", "li", "table", "th", "td"} <= set(seen.tags)
    assert "<b>" in seen.text


def test_code_with_tags_looks_as_it_was_written() -> None:
    seen = Seen(markdown_html('Use `<div class="a*b">` and\n\n```\n<p>\n  *hi*\n\n</p>\n```\n\nas *here*.'))
    assert seen.tags == ["p", "code", "pre", "code", "p", "em"]
    assert '<div class="a*b">' in seen.text
    assert "<p>\n  *hi*\n\n</p>" in seen.text


def test_a_tag_in_prose_is_shown() -> None:
    seen = Seen(markdown_html("the <b>bold</b> way, x<y, and $a<b$"))
    assert seen.tags == ["p"]
    assert seen.text.strip() == "the <b>bold</b> way, x<y, and $a<b$"


def test_a_link_shows_its_text_and_its_address() -> None:
    assert Seen(markdown_html("[shop](http://evil.example)")).text.strip() == "shop (http://evil.example)"
    assert Seen(markdown_html("<http://a.example>")).text.strip() == "http://a.example"


@pytest.mark.parametrize("marks", ["!", "!!", "\\!!"])
def test_a_picture_becomes_a_link(marks: str) -> None:
    seen = Seen(markdown_html(f"{marks}[x](http://127.0.0.1:9/?q=secret)"))
    assert seen.tags == ["p", "a"]
    assert "x (http://127.0.0.1:9/?q=secret)" in seen.text


def test_addresses_of_the_notebook_server_are_no_links() -> None:
    assert Seen(markdown_html("[x](/api/contents) [y](data:text/html,a) [z](vbscript:a)")).tags == ["p"]


def test_without_the_renderer_the_text_is_shown_as_it_was_written() -> None:
    source = """
        import sys
        sys.modules["markdown_it"] = None
        from sessionlib.display.markup import markdown_html
        print(markdown_html("*a* <b>"))
    """
    assert run_script(source).check().stdout == '<div style="white-space: pre-wrap">*a* &lt;b&gt;</div>\n'


def test_it_takes_no_longer_than_the_text_is_long() -> None:
    nasty = "".join("`" * (1 + number % 300) + "<b " for number in range(3000))
    assert len(markdown_html(nasty)) < 10 * len(nasty)


def test_a_table_shows_names_as_they_are() -> None:
    assert "&lt;b&gt;" in table([("<b>", "<i>value</i>")])
    assert Seen(table([("<b>", "<i>value</i>")])).tags == ["table", "tr", "th", "td", "i"]
