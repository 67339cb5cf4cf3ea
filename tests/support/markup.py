"""HTML as a browser sees it."""

from __future__ import annotations

import re
from html.parser import HTMLParser


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
            if name.startswith("on") or (
                name in ("href", "src", "srcset") and not target.startswith(("http://", "https://", "mailto:"))
            ):
                self.harm.append(f"{name}={value}")

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.harm.append(f"comment {data}")
