"""Where the recording of a test lies."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

__all__ = ["tape_of"]

FOLDER = "cassettes"
_LONGEST = 100
_ODD = re.compile(r"[^\w.-]+")


def tape_of(test_file: Path, test: str, path: str | Path | None = None) -> Path:
    """Gives the path of a test's recording.

    Args:
        test_file: The file that the test stands in.
        test: The test's name, with its parameters.
        path: Another path, relative to the test's file.
    """
    if path is not None:
        return test_file.parent / path
    name = _ODD.sub("-", test).strip("-.") or "test"
    if name != test or len(name) > _LONGEST:
        # What was left out may be all that two tests differ in.
        name = f"{name[:_LONGEST]}-{hashlib.sha256(test.encode()).hexdigest()[:8]}"
    return test_file.parent / FOLDER / test_file.stem / f"{name}.jsonl"
