"""`python -m tests.mutants [MODULE ...]`: how many of the faults put into the core modules the tests notice.

The tests run once as they are, to learn which of them reach which line. Then each fault is put into a fork of a process
that has collected them, where those run that reach its line, the module's own first, until one fails. SCORES.md keeps
the last figures, EQUIVALENT.md the faults that are none, each with the reason.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.mutations import mutants_of
from tests.mutants.reach import ROOT, WORK, Reached
from tests.mutants.trial import NOTICED, SURVIVED, Trial

HERE = Path(__file__).parent
MODULES = {
    "mailbox": "streams/mailbox",
    "hub": "streams/hub",
    "backlog": "streams/backlog",
    "connection": "connection/*",
    "protocol": "protocol/*",
    "approvals": "approvals/*",
    "transport": "transport/*",
    "store": "engine/store/*",
}
"""What the names stand for, below ``sessionlib``."""

# The prompt of a terminal is shown in other processes, where a fault of this one is not.
ELSEWHERE = {"sessionlib/approvals/policies.py"}
_TESTS = (
    *("streams/", "connection/", "protocol/", "approvals/", "transport/", "engine/store/", "engine/test_engine.py"),
    *("engine/sessions/", "test_session.py", "test_turn.py", "test_history.py", "test_telemetry.py", "test_chatbot.py"),
    *(
        "testing/",
        "net/",
        "_util/test_typed_answers.py",
        "test_client.py",
        "rest/test_pool.py",
        "engine/server/test_server.py",
    ),
    *(f"faults/test_{name}" for name in ("c", "d", "h", "interrupts", "keeping", "liveness", "networks", "protocol")),
    *(f"faults/test_{name}" for name in ("fuzz", "sweep", "wilful")),
)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(MODULES)} (all)")
    parser.add_argument("--count", type=int, default=60, help="how many faults of each are tried; 0 for all (60)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32), help="for the choice")
    parser.add_argument("--again", action="store_true", help="try only what no test noticed the last time")
    parser.add_argument("--fresh", action="store_true", help="learn again which tests reach which line")
    asked = parser.parse_args()
    print(f"seed: {asked.seed}", flush=True)
    os.nice(10)
    names = asked.modules or list(MODULES)
    tests = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("test_*.py"))]
    tests = [path for path in tests if path.removeprefix("tests/").startswith(_TESTS)]
    faults = {name: [mutant for path in paths_of(MODULES[name]) for mutant in mutants_of(ROOT, path)] for name in names}
    equivalent = equivalents()
    reached = Reached([path for name in names for path in paths_of(MODULES[name])], tests, fresh=asked.fresh)
    if reached.failed:
        print(f"left out, because they fail anyway: {sorted(reached.failed)}")
    tried, nothing = {}, []
    for name in names:
        tried[name] = faults[name]
        if asked.again:
            missed = (WORK / f"missed-{name}").read_text().splitlines()
            tried[name] = [mutant for mutant in faults[name] if mutant.name in missed]
        elif 0 < asked.count < len(tried[name]):
            tried[name] = random.Random(f"{asked.seed}/{name}").sample(tried[name], asked.count)
        # Or whatever keeps the tests from running here would pass for a fault that they notice.
        nothing += [replace(mutant, after=mutant.before) for mutant in tried[name] if reached.by(mutant)][:1]
    trial = Trial([*nothing, *(mutant for name in names for mutant in tried[name])], reached)
    options = ["-q", "-s", "-n", "0", "--timeout", "20", "-m", "", "--hypothesis-seed=1"]
    options += ["-p", "no:randomly", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    pytest.main([*options, *(str(ROOT / test) for test in tests)], plugins=[trial])
    if any(trial.outcomes[mutant] != SURVIVED for mutant in nothing):
        sys.exit("tests fail without any fault")
    for name in names:
        missed = [mutant.name for mutant in tried[name] if trial.outcomes[mutant] != NOTICED]
        argued = equivalent.intersection(missed)
        noticed = len(tried[name]) - len(missed)
        score = noticed / max(1, len(tried[name]) - len(argued))
        row = f"| {name} | {len(faults[name])} | {len(tried[name])} | {len(argued)} | {noticed} | {score:.0%} |"
        print(f"{row} {asked.seed} |", flush=True)
        if not asked.again:
            keep(f"{row} {asked.seed} |")
            (WORK / f"missed-{name}").write_text("\n".join(set(missed) - equivalent))


def keep(row: str) -> None:
    """Puts the score of a module in its place in SCORES.md."""
    file = HERE / "SCORES.md"
    lines = file.read_text("utf-8").splitlines()
    found = {line.split(" | ")[0]: line for line in [*lines, row]}
    head = lines[: next(at for at, line in enumerate(lines) if line.startswith("| ---")) + 1]
    ordered = [found[f"| {name}"] for name in MODULES if f"| {name}" in found]
    file.write_text("\n".join([*head, *ordered, ""]), "utf-8")


def paths_of(place: str) -> list[str]:
    """Returns the files of a module, below the root."""
    found = sorted((ROOT / "sessionlib").glob(f"{place.removesuffix('.py')}.py"))
    paths = [str(path.relative_to(ROOT)) for path in found if path.name != "__init__.py"]
    return [path for path in paths if path not in ELSEWHERE]


def equivalents() -> set[str]:
    """Returns the names of the faults that are none; EQUIVALENT.md has a reason for each."""
    lines = (HERE / "EQUIVALENT.md").read_text("utf-8").splitlines()
    return {line.removeprefix("- `").rpartition("`: ")[0] for line in lines if line.startswith("- `")}


if __name__ == "__main__":
    main()
