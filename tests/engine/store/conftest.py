from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from sessionlib.engine.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    """A store in memory."""
    with contextlib.closing(Store()) as opened:
        yield opened
