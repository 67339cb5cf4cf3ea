"""What one event costs in instructions, which a busy machine does not change.

A peer's stream is run under callgrind with few and with many events; the difference, by the number of
events between them, is what an event costs, start and end left out.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

from tests.benchmarks.cases import Case, Peer
from tests.benchmarks.harness import ROOT, PeerFailed, environment, measure

__all__ = ["available", "per_event"]

TIMEOUT = 500.0
FEW = 2000
MANY = 32_000
_COLLECTED = re.compile(r"Collected : (\d+)")


def available() -> bool:
    """Whether valgrind is there."""
    return shutil.which("valgrind") is not None


def per_event(peer: Peer, ws_url: str, size: int) -> float:
    """Gives the instructions for each event of a stream.

    Args:
        peer: Who reads it.
        ws_url: Where the engine is.
        size: The characters of a delta.

    Raises:
        PeerFailed: It did not run.
    """
    # Compiling modules that have changed would count as the few's.
    measure(Case("throughput", "", (), {"size": size, "count": 1}), ws_url, 1, [peer], lambda text: None)
    few, many = (_instructions(peer, {"size": size, "count": count}, ws_url) for count in (FEW, MANY))
    # A twentieth is streamed before, to warm up.
    return (many - few) / ((MANY - FEW) * 1.05)


def _instructions(peer: Peer, task: dict[str, int], ws_url: str) -> int:
    told = json.dumps({"scenario": "throughput", "ws_url": ws_url, **task})
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += [sys.executable, "-m", f"tests.benchmarks.peers.{peer.program}", told]
    # One order of dicts and sets, so that two runs do the same.
    settings = environment(ws_url, PYTHONHASHSEED="0")
    ran = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, cwd=ROOT, env=settings)
    found = _COLLECTED.search(ran.stderr)
    if ran.returncode or found is None:
        raise PeerFailed((ran.stderr.strip().splitlines() or ["it said nothing"])[-1])
    return int(found[1])
