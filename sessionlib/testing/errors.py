"""Errors of recordings and replays."""

from __future__ import annotations

from sessionlib.errors import SessionlibError

__all__ = ["RecordingError", "ReplayMismatchError"]


class RecordingError(SessionlibError):
    """A recording cannot be used: it is missing or damaged, or has the format of another version."""


class ReplayMismatchError(AssertionError):
    """The code sent a request that differs from the recorded one, or did not send one that was recorded.

    An AssertionError, so that no ``except SessionError`` of the code under test catches it.

    Attributes:
        path: The recording's file.
        line: The number of the line with the expected request, from 1; None when none was expected.
    """

    def __init__(self, message: str, *, path: str = "", line: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.line = line
