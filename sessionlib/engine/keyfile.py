"""The key of an engine that was given none: made once, kept where only its owner can read it."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from sessionlib.config import check_key
from sessionlib.engine.errors import EngineError

__all__ = ["KeptKey", "keep_key", "key_path"]


@dataclass(frozen=True)
class KeptKey:
    """A key in a file.

    Attributes:
        key: The key; never in a repr.
        path: The file.
        new: Whether it was made just now.
    """

    key: str = field(repr=False)
    path: Path
    new: bool


def key_path() -> Path:
    """Gives the place of the key file: the user's configuration directory."""
    home = os.environ.get("APPDATA") if os.name == "nt" else os.environ.get("XDG_CONFIG_HOME")
    return Path(home or Path.home() / ".config") / "sessionlib" / "engine.key"


def keep_key(path: Path | None = None) -> KeptKey:
    """Reads the kept key, or makes one and keeps it.

    Args:
        path: The file; in the user's configuration directory when not given.

    Raises:
        EngineError: The file cannot be read or written, or others can read it.
    """
    path = path or key_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            return _make(path)
        return _read(path)
    except OSError as error:
        raise EngineError(f"the key file {path} cannot be used: {error.strerror}") from error


def _make(path: Path) -> KeptKey:
    key = secrets.token_urlsafe(32)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key + "\n")
    return KeptKey(key, path, new=True)


def _read(path: Path) -> KeptKey:
    if os.name != "nt" and path.stat().st_mode & 0o077:
        raise EngineError(f"the key file {path} can be read by others: chmod 600 it, or delete it to get a new key")
    try:
        return KeptKey(check_key(path.read_text().strip()), path, new=False)
    except ValueError:
        raise EngineError(f"the key file {path} holds no key; delete it to get a new one") from None
