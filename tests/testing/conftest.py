"""An engine to record, and no network to replay."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionlib.client import Client
from sessionlib.engine import LocalEngine
from tests.support.recordings import TOOLS


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """Where a recording goes."""
    return tmp_path / "recordings" / "talk.jsonl"


@pytest.fixture
def live() -> Iterator[LocalEngine]:
    """An engine with tools and an agent called Shop."""
    with LocalEngine(tools=TOOLS) as engine:
        engine.agent(name="Shop", instructions="Be brief.")
        yield engine


@pytest.fixture
def nowhere() -> Iterator[Client]:
    """A client without a key, of an engine that there is not."""
    with Client(base_url="http://127.0.0.1:9/v1") as client:
        yield client


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What takes the network away, for this thread and all others."""

    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("the network was touched")

    def block() -> None:
        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket.socket, "connect_ex", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)

    return block
