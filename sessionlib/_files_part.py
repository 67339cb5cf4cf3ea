"""Histories in files: written whole or not at all, and read again."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sessionlib.events import SessionMessage

__all__ = ["read_messages", "write_whole"]


def write_whole(path: Path, text: str, *, replace: bool) -> None:
    """Writes a text file that is there with all of it, or not at all.

    Args:
        path: The file.
        text: Its text.
        replace: Whether a file of that name may be overwritten.

    Raises:
        FileExistsError: It may not, and there is one.
        OSError: It cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a pipe or a device is written to, not replaced
        target.write_text(text, "utf-8", "backslashreplace")
        return
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("x", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if not replace:
            target.open("x").close()
        elif target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def read_messages(path: Path) -> list[SessionMessage]:
    """Reads the messages of a file that was saved as JSON or JSON lines.

    Raises:
        ValueError: It is of another kind, or something in it is no message.
        OSError: It cannot be read.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"{path}: a history is loaded from .jsonl or .json; other forms do not hold all of it")
    return [_message(path, where, told) for where, told in read(path)]


def _message(path: Path, where: str, told: Any) -> SessionMessage:
    try:
        return SessionMessage.from_dict(told() if callable(told) else told)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{path}, {where}: not a message: {error}") from error


def _lines(path: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"line {number}", functools.partial(json.loads, line)


def _list(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        told = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(told, list):
        raise ValueError(f"{path}: a history is a list of messages, not {type(told).__name__}")
    return ((f"message {number}", one) for number, one in enumerate(told, 1))


_READERS: dict[str, Callable[[Path], Iterator[tuple[str, Any]]]] = {".jsonl": _lines, ".json": _list}
