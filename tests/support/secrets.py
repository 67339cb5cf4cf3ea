"""Keeping watch for an API key where none may be: logs, texts, pickles."""

from __future__ import annotations

import logging
import pickle
import threading
import traceback
from collections.abc import Iterator
from typing import Any

SENTINEL_KEY = "sentinel-0f3c9a7e51d24b86-key"
"""An API key that occurs nowhere else, so that finding it is proof of a leak."""


class LogWatch(logging.Handler):
    """Keeps every log record of the process as the text a file would hold, tracebacks included."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s [%(threadName)s] %(message)s"))
        self._lines: list[str] = []
        self._guard = threading.Lock()  # protects _lines

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        with self._guard:
            self._lines.append(line)

    @property
    def lines(self) -> list[str]:
        with self._guard:
            return list(self._lines)

    def clear(self) -> None:
        with self._guard:
            self._lines.clear()

    def check(self, secret: str = SENTINEL_KEY) -> None:
        """Fails when a secret was logged."""
        guilty = [line.replace(secret, "<the secret>") for line in self.lines if secret in line]
        if guilty:
            raise AssertionError("a secret was logged:\n" + "\n".join(guilty))


def assert_keeps_secret(value: Any, secret: str = SENTINEL_KEY) -> None:
    """Fails when a secret shows in what a program commonly does with an object."""
    found = [name for name, text in traces_of(value) if secret in text]
    assert not found, f"a {type(value).__name__} shows the secret in its {', '.join(found)}"


def traces_of(value: Any) -> Iterator[tuple[str, str]]:
    """Gives the texts that an object leaves, as (name, text)."""
    yield "str", str(value)
    yield "repr", repr(value)
    yield "format", f"{value}"
    yield "pickle", _pickled(value)
    if isinstance(value, BaseException):
        yield "args", repr(value.args)
        yield "attributes", repr(vars(value))
        yield "traceback", "".join(traceback.format_exception(type(value), value, value.__traceback__))


def _pickled(value: Any) -> str:
    # An object that refuses to be pickled keeps its secret.
    try:
        return pickle.dumps(value).decode("latin-1")
    except Exception:
        return ""
