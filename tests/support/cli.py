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
from tests.support.processes import ROOT, Result, Script

AS_MODULE = "import runpy; runpy.run_module('sessionlib', run_name='__main__', alter_sys=True)"
"""What ``python -m sessionlib`` does."""

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


class Cli:
    """Runs the command line as a user does, with a home of its own.

    Args:
        home: A folder for everything that it keeps.
    """

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
        """Runs a command to its end."""
        with self.start(*args, env=env, stdin=stdin) as script:
            return script.wait(timeout)

    def start(self, *args: str, env: Mapping[str, str] | None = None, stdin: str | None = None) -> Script:
        """Runs a command next to the test."""
        return Script(AS_MODULE, *args, env={**self.env, **(env or {})}, stdin=stdin)

    def raw(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs a command on bytes."""
        kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-m", "sessionlib", *args],
            input=stdin,
            capture_output=True,
            env={**kept, **self.env, **(env or {})},
            timeout=100,
            check=False,
        )


class Here:
    """Runs the command line in the test's own process, which takes a tenth of the time.

    Args:
        monkeypatch: Sets the environment and standard input.
        capsys: Catches what is written.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, *args: str, env: Mapping[str, str] | None = None, stdin: str | bytes = b"") -> Result:
        """Runs a command to its end."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        began = time.monotonic()
        with self._monkeypatch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))
            status = run(args)
        told = self._capsys.readouterr()
        return Result(status, told.out, told.err, time.monotonic() - began)
