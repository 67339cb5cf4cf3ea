"""``sessionlib serve``: an engine for other programs."""

from __future__ import annotations

import re
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sessionlib import Agent, Client
from tests.support.cli import KEY, Cli
from tests.support.processes import Script
from tests.support.secrets import SENTINEL_KEY


@contextmanager
def serving(cli: Cli, *args: str, env: dict[str, str] | None = KEY) -> Iterator[tuple[Script, str]]:
    """An engine that is served for a block, and its HTTP base."""
    with cli.start("serve", *args, env=env) as script:
        yield script, script.wait_for("sessionlib engine on ").split(" ", 1)[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(cli: Cli, shop: str, tmp_path: Path, number: int) -> None:
    db = tmp_path / "engine.db"
    with serving(cli, "--tools", shop, "--db", str(db)) as (script, base_url):
        asked = cli.run("ask", "--base-url", base_url, '/tool stock {"item": "saw"}', env=KEY).check()
        script.send_signal(number)
        result = script.wait()
    assert asked.stdout.endswith("stock gave: 3\n")
    assert result.rc == 0
    assert "model demo" in result.stdout
    # The log: one line an event.
    first, *events, last = result.stderr.splitlines()
    assert all(re.fullmatch(r"[-0-9]{10} [:,0-9]{12} INFO [=!] .*", line) for line in (first, *events, last))
    assert re.search(rf"= engine on \S+, {db}$", first)
    assert any("was created for agent" in line for line in events)
    assert last.endswith("is stopping")
    assert SENTINEL_KEY not in result.stdout + result.stderr
    assert db.exists()


def test_what_the_model_is_shown_can_be_bounded(cli: Cli) -> None:
    with serving(cli, "--context", "50", "--agent", "Ann") as (_, url), Client(SENTINEL_KEY, base_url=url) as client:
        (agent,) = Agent.list(client=client)
        assert agent.name == "Ann", "it has one from the start"
        with agent.create_session() as session:
            first, second = session.ask("x" * 40), session.ask("y" * 40)
    notices = [[event.data["notice"] for event in one.events if event.data.get("notice")] for one in (first, second)]
    assert notices == [[], ["context"]]


def test_without_a_key_one_is_made_and_kept(cli: Cli) -> None:
    with serving(cli, env=None) as (script, base_url):
        kept = cli.home / "config" / "sessionlib" / "engine.key"
        key = kept.read_text().strip()
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert cli.run("ask", "--base-url", base_url, "Hi", env={"SESSIONLIB_API_KEY": key}).check().stdout
        keyless = cli.run("ask", "--base-url", base_url, "Hi")
        script.send_signal(signal.SIGINT)
        result = script.wait()
    # There is no terminal here to show it on.
    assert key not in result.stdout + result.stderr
    assert keyless.rc == 1
    assert str(kept) in keyless.stderr


def test_what_it_cannot_do_is_one_line(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = cli.run("serve", "--port", str(port), env=KEY)
    remote = cli.run("serve", "--host", "0.0.0.0", env=KEY)
    # From the block for documentation (RFC 5737).
    foreign = cli.run("serve", "--host", "192.0.2.1", "--allow-remote", env=KEY)
    # An address that is taken is an error, one that cannot be or needs another option is wrong usage.
    for result, rc, told in (
        (busy, 1, f"port {port} is in use by another program; without --port a free one is taken"),
        (remote, 2, "0.0.0.0 can be reached from other machines: add --allow-remote to mean it"),
        (foreign, 2, "Invalid value for '--host': 192.0.2.1 is no address of this machine"),
    ):
        assert result.rc == rc
        assert result.stderr.removesuffix("\n").removesuffix(" (see sessionlib serve --help)") == f"sessionlib: {told}"
