"""Runs peers in turns, each in a process of its own, against one engine in another."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.cases import Case, Metric, Peer

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 600.0

Figures = dict[str, float]


@dataclass(frozen=True)
class Spread:
    """The repeats of one figure."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Outcome:
    """A case and what was measured: figures of each repeat, by peer.

    Attributes:
        case: The case.
        runs: The figures of each peer's repeats.
        failures: What the peers that failed said last.
    """

    case: Case
    runs: dict[Peer, list[Figures]]
    failures: dict[Peer, str]

    def spread(self, peer: Peer, metric: Metric) -> Spread | None:
        """Gives the median and the extremes of a figure; None when there is none."""
        values = [run[metric.name] for run in self.runs.get(peer, []) if metric.name in run]
        return Spread(statistics.median(values), min(values), max(values)) if values else None

    def ratio(self, peer: Peer, other: Peer, metric: Metric) -> float | None:
        """Says how many times better than another a peer is; 2.0 is twice as good, whichever way is good."""
        ours, theirs = self.spread(peer, metric), self.spread(other, metric)
        if ours is None or theirs is None or not ours.median or not theirs.median:
            return None
        if max(ours.median, theirs.median) < metric.noise:
            return None
        return ours.median / theirs.median if metric.more_is_better else theirs.median / ours.median


@contextmanager
def running_engine() -> Iterator[str]:
    """Runs the blasting engine; gives its WebSocket base."""
    command = [sys.executable, "-m", "tests.benchmarks.engine"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=_environment())
    try:
        assert process.stdout is not None
        port = process.stdout.readline().split()[1]
        yield f"ws://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.communicate()


def measure(case: Case, ws_url: str, repeats: int, peers: Sequence[Peer], tell: Callable[[str], None]) -> Outcome:
    """Has each peer do a case several times, in turns, so that a slow minute hits them all.

    Args:
        case: The case.
        ws_url: Where the engine is.
        repeats: How often each peer does it.
        peers: Who may take part.
        tell: Hears of the progress.
    """
    runs: dict[Peer, list[Figures]] = defaultdict(list)
    failures: dict[Peer, str] = {}
    taking_part = [peer for peer in case.peers if peer in peers and peer.installed]
    for repeat in range(repeats):
        for peer in taking_part[repeat % len(taking_part) :] + taking_part[: repeat % len(taking_part)]:
            if peer in failures:
                continue
            tell(f"{case.title}: {peer.name}, {repeat + 1} of {repeats}")
            try:
                runs[peer].append(_run(case, peer, ws_url))
            except PeerFailed as failure:
                failures[peer] = str(failure)
    return Outcome(case, dict(runs), failures)


class PeerFailed(Exception):
    """A peer did not give figures."""


def _run(case: Case, peer: Peer, ws_url: str) -> Figures:
    try:
        ran = subprocess.run(
            _command(case, peer, ws_url),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            cwd=ROOT,
            env=environment(ws_url),
        )
    except subprocess.TimeoutExpired:
        raise PeerFailed(f"took more than {TIMEOUT:.0f} s") from None
    if ran.returncode:
        raise PeerFailed((ran.stderr.strip().splitlines() or [f"exit status {ran.returncode}"])[-1])
    figures: Figures = json.loads(ran.stdout.splitlines()[-1])
    return figures


def _command(case: Case, peer: Peer, ws_url: str) -> list[str]:
    if case.scenario == "import":
        more = case.task.get("statements", {}).get(peer.program, "")
        return [sys.executable, "tests/benchmarks/peers/importing.py", ", ".join(peer.modules), more]
    task = {"scenario": case.scenario, "ws_url": ws_url, **case.task}
    return [sys.executable, "-m", f"tests.benchmarks.peers.{peer.program}", json.dumps(task)]


def environment(ws_url: str, **extra: str) -> dict[str, str]:
    """Gives the environment of a peer that talks to an engine."""
    return _environment(VECTORSHIFT_WS_URL=ws_url, VECTORSHIFT_API_KEY="benchmark-key", **extra)


def _environment(**extra: str) -> dict[str, str]:
    # Modules are compiled once, as for users; otherwise an import would be measured with its compilation.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPATH": str(ROOT), "NO_PROXY": "*", **extra}
