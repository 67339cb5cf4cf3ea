"""What recordings raise."""

from __future__ import annotations

from sessionlib.errors import SessionlibError

__all__ = ["RecordingError", "ReplayMismatchError"]


class RecordingError(SessionlibError):
    """A recording cannot be used: it is not there, is damaged, or was made by another version."""


class ReplayMismatchError(AssertionError):
    """The code said something else than was recorded, or left something of it unsaid.

    An AssertionError, so that no ``except SessionError`` of the code under test catches it.

    Attributes:
        path: The recording.
        line: The line in it that was to be said next; None when there was none.
    """

    def __init__(self, message: str, *, path: str = "", line: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.line = line
