"""`python -m tests.mutants [MODULE ...]`: how many of the faults put into the core modules the tests notice.

The tests run once as they are, to learn which of them reach which line. Then each fault runs in a process of its own,
with the tests that reach its line, the fastest first, until one fails. SCORES.md keeps the last figures, EQUIVALENT.md
the faults that are none, each with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType
from typing import Any

from tests.mutants.mutations import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
WORK = ROOT / ".mutants"
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
TESTS = ["streams", "connection", "protocol", "approvals", "transport", "engine/store", "engine/test_engine.py"]
TESTS += [
    "engine/sessions",
    "test_session.py",
    "test_turn.py",
    "test_history.py",
    "test_telemetry.py",
    "testing/test_cassette.py",
]
TESTS += [f"faults/test_{name}.py" for name in ("closing", "consumers", "dialling", "liveness", "networks", "protocol")]
TESTS += ["faults/test_handshakes.py"]
ENOUGH = 24.0
"""Seconds of tests that a fault gets at most."""

AT_ONCE = 2


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(MODULES)} (all)")
    parser.add_argument("--count", type=int, default=50, help="how many faults of each are tried; 0 for all (50)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32), help="for the choice")
    parser.add_argument("--fresh", action="store_true", help="learn again which tests reach which line")
    asked = parser.parse_args()
    print(f"seed: {asked.seed}", flush=True)
    reached = Reached(fresh=asked.fresh)
    equivalent = equivalents()
    for name in asked.modules or MODULES:
        faults = [mutant for path in paths_of(MODULES[name]) for mutant in mutants_of(ROOT, path)]
        tried = faults
        if 0 < asked.count < len(faults):
            tried = random.Random(f"{asked.seed}/{name}").sample(faults, asked.count)
        # Or whatever keeps the tests from running here would pass for a fault that they notice.
        nothing = [replace(mutant, after=mutant.before) for mutant in tried if reached.by(mutant)][:1]
        if set(try_all(nothing, reached).values()) - {"survived"}:
            sys.exit(f"tests fail without any fault; see {WORK}/0.log")
        outcomes = try_all(tried, reached)
        argued = [mutant for mutant in tried if outcomes[mutant] != "noticed" and mutant.name in equivalent]
        noticed = list(outcomes.values()).count("noticed")
        score = noticed / (len(tried) - len(argued))
        keep(f"| {name} | {len(faults)} | {len(tried)} | {len(argued)} | {noticed} | {score:.0%} | {asked.seed} |")


def keep(row: str) -> None:
    """Puts the score of a module in its place in SCORES.md."""
    print(row, flush=True)
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


# ---- which tests --------------------------------------------------------------------------------


class Reached:
    """Which tests reach which lines.

    Args:
        fresh: Whether to learn it again though it is known.
    """

    def __init__(self, *, fresh: bool = False) -> None:
        self._tests: dict[tuple[str, int], set[str]] = defaultdict(set)
        self._seconds: dict[str, float] = {}
        failed: set[str] = set()
        known = WORK / "sources"
        # The lines of another day are not those of today.
        if fresh or not known.exists() or known.read_text() != _digest():
            _learn()
            known.write_text(_digest())
        for file in WORK.glob("*.json"):
            found = json.loads(file.read_text())
            self._seconds |= found["seconds"]
            failed |= set(found["failed"])
            for path, lines in found["lines"].items():
                for line, tests in lines.items():
                    reached = {found["tests"][number] for number in tests}
                    self._tests[str(Path(path).relative_to(ROOT)), int(line)] |= reached
        if failed:
            print(f"left out, because they fail anyway: {sorted(failed)}")
            for tests in self._tests.values():
                tests -= failed

    def by(self, mutant: Mutant) -> list[str]:
        """Returns the tests to run against a fault: those of its own package, then the fastest of each other file."""
        package = mutant.path.removeprefix("sessionlib/").rpartition("/")[0]
        lines = range(mutant.line, mutant.line + mutant.before.count("\n") + 1)
        tests = {test for line in lines for test in self._tests[mutant.path, line]}
        ranks: dict[str, int] = {}
        files: Counter[str] = Counter()
        for test in sorted(tests, key=lambda test: self._seconds.get(test, 0.0)):
            file = test.partition("::")[0]
            ranks[test] = 0 if file.startswith(f"tests/{package}/") else files[file]
            files[file] += 1
        chosen, seconds = [], 0.0
        for test in sorted(ranks, key=lambda test: (ranks[test], self._seconds.get(test, 0.0))):
            seconds += 0.01 + self._seconds.get(test, 0.0)
            if seconds > ENOUGH / 2:
                break
            chosen.append(test)
        return chosen


def _digest() -> str:
    sources = sorted([*(ROOT / "sessionlib").rglob("*.py"), *(ROOT / "tests").rglob("test_*.py")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _learn() -> None:
    WORK.mkdir(exist_ok=True)
    for old in WORK.glob("*.json"):
        old.unlink()
    paths = [str(ROOT / "tests" / path) for path in TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "tests.mutants.reach", "--reach", str(WORK)]
    subprocess.run([*command, "-m", "not slow", "-p", "no:randomly", *paths], cwd=ROOT, check=False)


# ---- trying --------------------------------------------------------------------------------------


@dataclass
class _Try:
    mutant: Mutant
    end: float
    log: Path


def try_all(mutants: list[Mutant], reached: Reached) -> dict[Mutant, str]:
    """Returns what became of each fault: noticed, survived, or out of reach of all tests."""
    # Imported once for all processes that follow; nothing of the package, which they import each on their own.
    for name in ("pytest", "hypothesis.stateful", "websocket", "requests", "orjson", "wsproto", "pydantic", "trustme"):
        importlib.import_module(name)
    outcomes: dict[Mutant, str] = {}
    waiting, running = list(reversed(mutants)), dict[int, _Try]()
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            mutant = waiting.pop()
            tests = reached.by(mutant)
            if tests:
                log = WORK / f"{len(outcomes) + len(running)}.log"
                running[_start(mutant, tests, log)] = _Try(mutant, time.monotonic() + ENOUGH, log)
            else:
                outcomes[mutant] = _tell(mutant, "out of reach")
        for pid, item in list(running.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done or time.monotonic() > item.end:
                with_failure = not done or os.waitstatus_to_exitcode(status) != 0
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                if not done:
                    os.waitpid(pid, 0)
                outcomes[item.mutant] = _tell(item.mutant, "noticed" if with_failure else "survived")
                del running[pid]
        time.sleep(0.02)
    return outcomes


def _tell(mutant: Mutant, outcome: str) -> str:
    print(f"{outcome}: {mutant.name} (line {mutant.line})", flush=True)
    return outcome


def _start(mutant: Mutant, tests: list[str], log: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(ROOT)
        sys.meta_path.insert(0, _Faulty(mutant))
        import pytest

        from tests.support import leaks

        leaks.SETTLE = 3.0
        options = ["-x", "-q", "-n", "0", "--timeout", "20", "-p", "no:randomly", "-p", "no:cacheprovider"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        code = pytest.main([*options, "--hypothesis-seed=1", *tests])
        sys.stdout.flush()
        os._exit(int(code))
    except BaseException:
        traceback.print_exc()
    os._exit(70)


class _Faulty(importlib.machinery.SourceFileLoader):
    """Finds one module, and loads it with a fault."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        super().__init__(mutant.path.removesuffix(".py").replace("/", "."), str(ROOT / mutant.path))

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Returns what loads the module, if it is the one."""
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        """Returns the module, compiled with the fault."""
        return compile(self._mutant.apply(Path(self.path).read_bytes()), self.path, "exec", dont_inherit=True)


if __name__ == "__main__":
    main()
