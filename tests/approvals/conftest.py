from __future__ import annotations

from collections.abc import Iterator

import pytest

from sessionlib import Session
from tests.support.shop import Shop, open_shop


@pytest.fixture
def shop() -> Iterator[Shop]:
    with open_shop() as shop:
        yield shop


@pytest.fixture
def session(shop: Shop) -> Iterator[Session]:
    """A session of the shop."""
    with shop.session() as session:
        yield session
