"""A turn as Markdown in sections, so that a long one is not drawn from its beginning with every word.

A section that has grown long enough ends where a block of its Markdown does, and is drawn no more. Where no
block ends, it is cut all the same once it is longer than that, so what one drawing sends is bounded.
"""

from __future__ import annotations

import re

from sessionlib.display.markup import safe_markdown
from sessionlib.notebook.lines import Line

__all__ = ["MAX_SECTION", "Section", "cut"]

# Characters from which on a section ends where a block does, and where it ends whatever there is. Notebooks
# fold cells with more than some fifty outputs, so sections are not shorter.
_ENOUGH = 4000
MAX_SECTION = 12000
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_GOES_ON = re.compile(r"[ \t]|[-*+][ \t]|\d{1,9}[.)][ \t]|[>|]|$")


class Section:
    """Some of a turn, in order: pieces of text, and lines.

    Attributes:
        size: Its length in characters.
        fresh: How many of them have not been drawn yet.
    """

    def __init__(self, text: str = "") -> None:
        self.size = self.fresh = 0
        self._blocks: list[list[str] | Line] = []
        if text:
            self.write(text)

    @property
    def is_full(self) -> bool:
        """Whether what comes next belongs into another one."""
        return self.size >= _ENOUGH

    def write(self, text: str) -> None:
        """Adds to the text at its end."""
        if not self._blocks or isinstance(self._blocks[-1], Line):
            self._blocks.append([])
        last = self._blocks[-1]
        assert isinstance(last, list)
        last.append(text)
        self.size += len(text)
        self.fresh += len(text)

    def end_text(self) -> None:
        """Ends the text at its end: what comes next is another message."""
        if self._blocks and isinstance(self._blocks[-1], list):
            self._blocks.append([])

    def put(self, line: Line) -> None:
        """Adds a line, or puts it in the place of the one that it replaces."""
        self.fresh += len(line.html)
        for at, block in enumerate(self._blocks):
            if isinstance(block, Line) and block.key == line.key:
                self._blocks[at] = line
                self.size += len(line.html) - len(block.html)
                return
        self._blocks.append(line)
        self.size += len(line.html)

    def overflow(self) -> Section | None:
        """Cuts off the end of its text that still grows, if there is enough before; gives it as a new section."""
        last = self._blocks[-1] if self._blocks else None
        if not self.is_full or not isinstance(last, list):
            return None
        text = "".join(last)
        self._blocks[-1] = [text]
        head, rest = cut(text)
        if not rest:
            return None
        self._blocks[-1] = [head]
        self.size -= len(rest)
        return Section(rest)

    def markdown(self) -> str:
        """Gives it as Markdown in which nothing of others can run."""
        parts = [block.html if isinstance(block, Line) else safe_markdown("".join(block)) for block in self._blocks]
        return "\n\n".join(part for part in parts if part)


def cut(text: str) -> tuple[str, str]:
    """Parts Markdown before its last block, which may still grow.

    Returns:
        What is before it and the rest; no rest when it is all one block that is not too long.
    """
    fence, at, last = "", 0, 0
    was_blank = False
    for line in text.splitlines(keepends=True):
        if was_blank and not fence and not _GOES_ON.match(line):
            last = at
        fence = _fence_after(line, fence)
        was_blank = not line.strip()
        at += len(line)
    if last:
        return text[:last], text[last:]
    return _cut_anywhere(text, fence) if len(text) > MAX_SECTION else (text, "")


def _fence_after(line: str, fence: str) -> str:
    """Gives the fence that is open after a line; "" for none."""
    found = _FENCE.match(line)
    if found is None:
        return fence
    if not fence:
        return "" if found[1][0] == "`" and "`" in found[2] else found[0].rstrip()
    mark = _FENCE.match(fence)
    closes = mark is not None and found[1].startswith(mark[1]) and not found[2].strip()
    return "" if closes else fence


def _cut_anywhere(text: str, fence: str) -> tuple[str, str]:
    """Parts a block that is too long: at the end of a line, else between words, else in one.

    Args:
        text: The block.
        fence: The line that opened the code at its end; "" when it does not end in code.
    """
    ends = (text.rfind(mark, len(text) // 2, len(text) - 1) + 1 for mark in "\n ")
    at = next((end for end in ends if end), len(text) * 3 // 4)
    return text[:at], f"{fence}\n{text[at:]}" if fence else text[at:]
