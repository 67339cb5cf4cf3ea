"""The embedded engine: it speaks the session protocol on a socket of this machine, so everything runs offline."""

from sessionlib._util.optional import extra

with extra("engine", "the embedded engine"):
    from sessionlib.engine.engine import LocalEngine
    from sessionlib.engine.errors import (
        DatabaseDamagedError,
        DatabaseInUseError,
        DatabaseVersionError,
        EngineError,
        ModelError,
        StorageBusyError,
        StorageError,
        StorageFullError,
    )
    from sessionlib.engine.limits import Limits
    from sessionlib.engine.serve import serve
    from sessionlib.engine.tools import LocalTool, tool

__all__ = [
    "DatabaseDamagedError",
    "DatabaseInUseError",
    "DatabaseVersionError",
    "EngineError",
    "Limits",
    "LocalEngine",
    "LocalTool",
    "ModelError",
    "StorageBusyError",
    "StorageError",
    "StorageFullError",
    "serve",
    "tool",
]
