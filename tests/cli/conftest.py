from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionlib.engine import LocalEngine, tool
from tests.support.cli import SHOP, Cli, Here
from tests.support.secrets import SENTINEL_KEY


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command line, in processes of its own, with nothing configured."""
    return Cli(tmp_path)


@pytest.fixture
def here(cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The command line in this process, for what needs none of its own."""
    for name, value in cli.env.items():
        monkeypatch.setenv(name, value)
    return Here(monkeypatch, capsys)


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """A file with tools: refund needs an approval, stock and wait do not."""
    path = tmp_path / "shop.py"
    path.write_text(SHOP)
    return str(path)


@tool(approval="requires_approval")
def refund(order_id: str) -> str:
    """Refund an order."""
    return f"refunded order {order_id}"


@pytest.fixture
def local() -> Iterator[LocalEngine]:
    """An engine that a command is pointed at, with one agent; its key fails the test when it shows."""
    with LocalEngine(tools=[refund], api_key=SENTINEL_KEY) as engine:
        engine.agent(name="Helper")
        yield engine


@pytest.fixture
def configured(local: LocalEngine) -> dict[str, str]:
    """The environment that points a command at the engine."""
    return {"SESSIONLIB_BASE_URL": local.base_url, "SESSIONLIB_API_KEY": SENTINEL_KEY}
