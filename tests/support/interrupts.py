"""Interrupts at a line of the package that a test chooses."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import sessionlib

PACKAGE = str(Path(sessionlib.__file__).parent)
NOP = dis.opmap["NOP"]


class InterruptedHere(BaseException):
    """What the signal handler of an application may raise."""


@cache
def with_ends(code: CodeType) -> dict[int, int]:
    """Returns for the line of each ``with`` where its block begins.

    A line event at its end comes before the exit, where the interpreter lets no signal in: it looks for signals behind
    calls, in front of functions and in loops.
    """
    begins: dict[int, int] = {}
    line = 0
    for instruction in dis.get_instructions(code):
        line = instruction.starts_line or line if sys.version_info < (3, 13) else instruction.line_number or line
        if instruction.opname in ("BEFORE_WITH", "SETUP_WITH", "LOAD_SPECIAL"):
            begins.setdefault(line, instruction.offset)
    return begins


class Interrupter:
    """Raises at the nth line that a call executes in the package, on its own thread."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.where = ""

    def call(self, work: Callable[[], object]) -> None:
        """Calls; what it returns, or was interrupted in, is forgotten."""
        sys.settrace(self._enter)
        try:
            work()
        except InterruptedHere:
            pass
        finally:
            sys.settrace(None)

    def _enter(self, frame: FrameType, event: str, arg: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(PACKAGE) else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        # Nor does it in front of a ``try``, which compiles to nothing, and which no outer handler covers.
        if event == "line" and self._left and frame.f_code.co_code[frame.f_lasti] != NOP:
            begins = with_ends(frame.f_code).get(frame.f_lineno)
            if begins is not None and frame.f_lasti > begins:
                return self._line
            self._left -= 1
            if not self._left:
                self.where = f"{frame.f_code.co_filename.removeprefix(PACKAGE)}:{frame.f_lineno}"
                raise InterruptedHere(self.where)
        return self._line
