"""The command line in processes of its own, and tools for the embedded engine."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from sessionlib.cli.main import run
from sessionlib.engine import LocalEngine
from tests.support.processes import ROOT, Result, Script
from tests.support.script_engine import ScriptEngine
from tests.support.secrets import SENTINEL_KEY
from tests.support.turns import turn

AS_MODULE = "import runpy; runpy.run_module('sessionlib', run_name='__main__', alter_sys=True)"
"""What ``python -m sessionlib`` does."""

KEY = {"SESSIONLIB_API_KEY": SENTINEL_KEY}
"""The environment with a key that may show nowhere."""

NOTE = "sessionlib: no API key and no URL are configured: using the embedded engine (model demo)\n"
"""What a command says on stderr when nothing is configured."""

SHOP = '''
from __future__ import annotations

import time
from pathlib import Path

from sessionlib.engine import tool


@tool(approval="requires_approval")
def refund(order_id: str, amount: float = 10.0) -> str:
    """Refund an order."""
    return f"refunded {amount:.2f} for order {order_id}"


@tool
def stock(item: str) -> int:
    """Count an item."""
    return len(item)


@tool
def wait(file: str) -> str:
    """Wait for a file beside this one."""
    end = time.monotonic() + 60.0  # so that a test that has failed leaves nothing behind
    while not Path(__file__).with_name(file).exists() and time.monotonic() < end:
        time.sleep(0.01)
    return "waited"
'''
"""A file for ``--tools``."""


def answering(engine: ScriptEngine, *pieces: str, over: bool = True) -> list[str]:
    """Has the engine answer each message with a text, or only begin to; returns the options for its session."""
    told = turn("s1", "m1", pieces, complete=over, idle=over)
    engine.on("post_message", lambda conn, frame: conn.send_many(told))
    return ["--base-url", engine.base_url, "--session", "s1"]


def waits_at_a_gate(local: LocalEngine) -> str:
    """Leaves a session in which a refund waits for an approval; returns its id."""
    with local.agent(name="Other").create_session() as session:
        events = session.listen()
        session.send('/tool refund {"order_id": "7"}')
        next(event for event in events if event.requires_action and event.message_id)
    return str(session.session_id)


class Cli:
    """Runs the command line as a user does, with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "PYTHONWARNINGS": "error",
            "COLUMNS": "100",
        }

    def run(
        self, *args: str, env: Mapping[str, str] | None = None, stdin: str | None = None, timeout: float = 100.0
    ) -> Result:
        with self.start(*args, env=env, stdin=stdin) as script:
            return script.wait(timeout)

    def start(self, *args: str, env: Mapping[str, str] | None = None, stdin: str | None = None) -> Script:
        """Runs a command next to the test."""
        return Script(AS_MODULE, *args, env={**self.env, **(env or {})}, stdin=stdin)

    def shell(self, command: str) -> subprocess.CompletedProcess[bytes]:
        """Runs a command of a shell, in which ``$0`` is Python."""
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **self.env}
        return subprocess.run(
            ["/bin/sh", "-c", command, sys.executable], env=env, capture_output=True, timeout=100, check=False
        )


class Here:
    """Runs the command line in the test's own process, which takes a tenth of the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, *args: str, env: Mapping[str, str] | None = None, stdin: str | bytes = b"") -> Result:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        began = time.monotonic()
        with self._monkeypatch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))
            status = run(args)
        told = self._capsys.readouterr()
        return Result(status, told.out, told.err, time.monotonic() - began)
