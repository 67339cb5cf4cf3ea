"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import instructions
from tests.benchmarks.cases import PEERS, WIRE_PEERS, Case, Peer, all_cases
from tests.benchmarks.harness import Outcome, measure, running_engine
from tests.benchmarks.report import chart, figures, instruction_table, table


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, and prints a table.

    Args:
        argv: The arguments; those of the process by default.
    """
    options = _parser().parse_args(argv)
    # A session is a descriptor, of the engine's and of its peer's, which inherit this.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    peers = [peer for peer in PEERS if not options.peers or peer.program in options.peers]
    outcomes = []
    with running_engine() as ws_url:
        for case in _chosen(options, peers):
            outcomes.append(measure(case, ws_url, options.repeats, peers, _tell))
            print(table(outcomes[-1:]), end="\n\n", flush=True)
        counts = _instructions(options, ws_url, peers)
    if options.json:
        options.json.write_text(json.dumps([_plain(outcome) for outcome in outcomes], indent=1))
    if options.chart and not chart(outcomes, options.chart):
        print("No chart: matplotlib is not installed, or there is nothing to compare.", file=sys.stderr)
    if options.figures:
        drawn = chart(outcomes, options.figures.with_suffix(".png"))
        options.figures.write_text(
            figures(outcomes, counts, options.figures.with_suffix(".png").name if drawn else None)
        )
    return 0


def _instructions(options: argparse.Namespace, ws_url: str, peers: Sequence[Peer]) -> dict[str, float]:
    if not options.instructions:
        return {}
    if not instructions.available():
        print("No instruction counts: valgrind is not installed.", file=sys.stderr)
        return {}
    taking_part = [peer for peer in peers if peer in WIRE_PEERS and peer.installed]
    counts = {peer.name: instructions.per_event(peer, ws_url, 110) for peer in taking_part}
    print(instruction_table(counts), end="\n\n", flush=True)
    return counts


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description="Measures sessionlib next to its peers.")
    scenarios = sorted({case.scenario for case in all_cases()})
    parser.add_argument("--quick", action="store_true", help="shorter, and less certain")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each peer (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=scenarios, help="these scenarios")
    parser.add_argument("--peers", nargs="+", choices=sorted({peer.program for peer in PEERS}), help="these peers")
    parser.add_argument("--json", type=Path, help="keep every figure in this file")
    parser.add_argument(
        "--instructions", action="store_true", help="count them per event, with valgrind; takes minutes"
    )
    parser.add_argument("--figures", type=Path, help="write a report with a chart into this Markdown file")
    parser.add_argument("--chart", type=Path, help="draw a chart into this PNG file")
    return parser


def _chosen(options: argparse.Namespace, peers: Sequence[Peer]) -> list[Case]:
    cases = [case for case in all_cases(options.quick) if any(peer in peers and peer.installed for peer in case.peers)]
    return [case for case in cases if not options.only or case.scenario in options.only]


def _plain(outcome: Outcome) -> dict[str, object]:
    runs = {peer.name: figures for peer, figures in outcome.runs.items()}
    failures = {peer.name: reason for peer, reason in outcome.failures.items()}
    return {"case": outcome.case.title, "task": outcome.case.task, "runs": runs, "failures": failures}


def _tell(text: str) -> None:
    # Only where someone is watching: a log has no use for it.
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}\r", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
