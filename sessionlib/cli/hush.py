"""Keeping keys off the screen while something is drawn there."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any, TextIO

__all__ = ["Hush"]


class Hush:
    """Turns the terminal's echo off and on; what is typed meanwhile waits for the next prompt.

    An echoed key, ``^C`` too, would move the cursor away from where the drawing left it. Does nothing
    where there is no termios, or no terminal.

    Args:
        keyboard: Standard input.
    """

    def __init__(self, keyboard: TextIO) -> None:
        self._keyboard = keyboard
        self._before: list[Any] | None = None
        self._termios: Any = None
        with contextlib.suppress(ImportError):
            self._termios = importlib.import_module("termios")

    def begin(self) -> None:
        """Turns the echo off."""
        if self._termios is None or self._before is not None:
            return
        with contextlib.suppress(self._termios.error, OSError):
            before = self._termios.tcgetattr(self._keyboard)
            quiet = [*before[:3], before[3] & ~self._termios.ECHO, *before[4:]]
            self._termios.tcsetattr(self._keyboard, self._termios.TCSADRAIN, quiet)
            self._before = before

    def end(self) -> None:
        """Turns the echo on again, if it was on."""
        before, self._before = self._before, None
        if before is not None:
            with contextlib.suppress(self._termios.error, OSError):
                self._termios.tcsetattr(self._keyboard, self._termios.TCSADRAIN, before)
