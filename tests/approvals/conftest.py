from __future__ import annotations

from collections.abc import Iterator

import pytest

from sessionlib import Session
from tests.support.shop import Shop, shop

__all__ = ["session", "shop"]


@pytest.fixture
def session(shop: Shop) -> Iterator[Session]:
    """A session of the shop."""
    with shop.session() as session:
        yield session
