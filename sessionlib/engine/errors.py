"""What the engine raises to the code that starts it, and what it answers to its clients.

::

    SessionlibError
    └── EngineError
        ├── StorageError
        │   ├── DatabaseDamagedError        the file is no sound database of an engine
        │   ├── DatabaseVersionError        the file was written by a newer engine
        │   ├── DatabaseInUseError          another engine holds the file
        │   ├── StorageFullError            no space left
        │   └── StorageBusyError            another program keeps the file locked
        ├── ModelError                      a model cannot be had, or failed
        └── RefusedError                    a request that is reported to the client, with a code
"""

from __future__ import annotations

from typing import Any

from sessionlib.errors import SessionlibError

__all__ = [
    "DatabaseDamagedError",
    "DatabaseInUseError",
    "DatabaseVersionError",
    "EngineError",
    "ModelError",
    "RefusedError",
    "StorageBusyError",
    "StorageError",
    "StorageFullError",
]


class EngineError(SessionlibError):
    """The embedded engine cannot do what was asked."""


class StorageError(EngineError):
    """The engine's database cannot be used.

    Attributes:
        path: The database file, or "" when it is in memory.
        code: A frame's ``code`` for clients.
    """

    # For programs, and on the wire beside the message; clients decide by it.
    code = "storage_failed"

    def __init__(self, message: str = "", *, path: str = "") -> None:
        super().__init__(message)
        # Only for the code that runs the engine: clients get the message and the code.
        self.path = path


class DatabaseDamagedError(StorageError):
    """The file is no sound database of an engine, or a row in it is damaged; it was left as it is."""

    code = "storage_damaged"


class DatabaseVersionError(StorageError):
    """The file was written by a newer engine; it was left as it is."""


class DatabaseInUseError(StorageError):
    """Another engine holds the file.

    Attributes:
        pid: Its process id, or None when it is unknown.
    """

    def __init__(self, message: str = "", *, path: str = "", pid: int | None = None) -> None:
        super().__init__(message, path=path)
        self.pid = pid


class StorageFullError(StorageError):
    """There is no space left for the database; what was asked did not happen."""

    code = "storage_full"


class StorageBusyError(StorageError):
    """Another program keeps the database locked; what was asked did not happen."""

    code = "storage_busy"


class ModelError(EngineError):
    """A model cannot be had, or failed to answer. The message holds no key."""


class RefusedError(EngineError):
    """A request that is refused, with words for the client.

    Attributes:
        code: A word for programs, such as "session_not_found".
        facts: What else the refusal carries.
    """

    def __init__(self, message: str, code: str, **facts: Any) -> None:
        super().__init__(message)
        self.code = code
        # Further fields of the refusal's frame.
        self.facts = facts
