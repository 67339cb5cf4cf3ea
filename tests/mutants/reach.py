"""Which tests reach which lines, learned once for each test file and kept until it changes.

It is a plugin of pytest as well, which writes that down: `-p tests.mutants.reach --reach DIRECTORY`.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import coverage
import pytest

from tests.mutants.mutations import Mutant

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".mutants"
_TEXTS = WORK / "texts"
_FILES = 12
SECONDS = 12.0
"""Seconds of tests that a fault gets."""


class Reached:
    """Which tests reach which lines.

    Args:
        paths: The modules that are asked about, below the root.
        tests: The files of tests, likewise.
        fresh: Whether to learn it again though it is known.
    """

    def __init__(self, paths: Collection[str], tests: Collection[str], *, fresh: bool = False) -> None:
        file = WORK / "reached.json"
        known: dict[str, Any] = json.loads(file.read_text()) if file.exists() and not fresh else {}
        # A module that has changed since is compared with what it was; only a file of tests that has is run again.
        kept = {path.name for path in _TEXTS.glob("*")}
        stale = [
            test
            for test in tests
            if (digests := known.get(test, {}).get("digests", {})).get(test) != _digest(test)
            or not all(digests.get(path) in kept for path in paths)
        ]
        # What is learned is kept after each few files, so that it can go on where it was stopped.
        for at in range(0, len(stale), _FILES):
            known |= _learn(stale[at : at + _FILES], _core())
            file.write_text(json.dumps(known))
        self.failed: list[str] = []
        self._seconds: dict[str, float] = {}
        self._tests: dict[tuple[str, int], set[str]] = defaultdict(set)
        for test in tests:
            digests = known[test]["digests"]
            for name, found in known[test]["tests"].items():
                if found["failed"]:
                    self.failed.append(name)
                    continue
                self._seconds[name] = found["seconds"]
                for path in found["lines"].keys() & set(paths):
                    places = _places(path, digests[path])
                    # A line that the text does not have is of another one, which it was while the tests ran.
                    for line in {place for former in found["lines"][path] for place in places.get(former, ())}:
                        self._tests[path, line].add(name)

    def by(self, mutant: Mutant) -> list[str]:
        """Returns the tests to run against a fault: those of its module's file and package first, then the fastest."""
        package, _, module = mutant.path.removeprefix("sessionlib/").removesuffix(".py").rpartition("/")
        lines = range(mutant.line, mutant.line + mutant.before.count("\n") + 1)
        reaching = {test for line in lines for test in self._tests[mutant.path, line]}
        ranks: dict[str, tuple[int, int]] = {}
        of_file: dict[str, int] = defaultdict(int)
        of_function: dict[str, int] = defaultdict(int)
        for test in sorted(reaching, key=self.seconds):
            file, function = test.partition("::")[0], test.partition("[")[0]
            # The fastest of each function, then the next of each: hundreds of cases of one would take all the time.
            of_function[function] += 1
            # Of other packages the fastest of each file, then the next of each.
            of_file[file] += 1
            ranks[test] = of_file[file], 1
            if file.startswith(f"tests/{package}/"):
                ranks[test] = -1 if file.endswith(f"/test_{module}.py") else 0, of_function[function]
        chosen, seconds = [], 0.0
        for test in sorted(ranks, key=lambda test: (ranks[test], self.seconds(test))):
            if seconds + self.seconds(test) <= SECONDS:
                seconds += 0.01 + self.seconds(test)
                chosen.append(test)
        return chosen

    def seconds(self, test: str) -> float:
        """How long a test took as it was learned what it reaches."""
        return self._seconds[test]


def _core() -> set[str]:
    from tests.mutants.__main__ import MODULES, paths_of

    return {path for place in MODULES.values() for path in paths_of(place)}


def _digest(path: str) -> str:
    return hashlib.sha256((ROOT / path).read_bytes()).hexdigest()


@functools.cache
def _places(path: str, digest: str) -> dict[int, range]:
    """Returns where each line of an earlier text of a module is now; of what was replaced, all that stands there."""
    before, after = ((_TEXTS / digest).read_text("utf-8").splitlines(), (ROOT / path).read_text("utf-8").splitlines())
    places = {line: range(0) for line in range(1, len(before) + 2)}
    for kind, start, end, now, now_end in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            places |= {line: range(now + line - start, now + line - start + 1) for line in range(start + 1, end + 1)}
        else:
            # What was put in is reached by what reaches the line before it, about.
            places |= {line: range(now, now_end + 1) for line in range(max(start, 1), end + 1)}
    return places


def _learn(tests: Sequence[str], paths: Collection[str]) -> dict[str, Any]:
    _TEXTS.mkdir(parents=True, exist_ok=True)
    for old in WORK.glob("reach-*.json"):
        old.unlink()
    sources = {path: _digest(path) for path in paths}
    for path, digest in sources.items():
        (_TEXTS / digest).write_bytes((ROOT / path).read_bytes())
    known: dict[str, Any] = {test: {"digests": sources | {test: _digest(test)}, "tests": {}} for test in tests}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "tests.mutants.reach", "--reach", str(WORK)]
    command += ["--timeout", "60", "-m", "", "-p", "no:randomly", "--hypothesis-seed=1"]
    subprocess.run([*command, *(str(ROOT / test) for test in tests)], cwd=ROOT, check=False)
    if changed := [path for path, digest in sources.items() if _digest(path) != digest]:
        sys.exit(f"changed while the tests ran, so what they reach is unknown; run it again: {', '.join(changed)}")
    for file in WORK.glob("reach-*.json"):
        for name, found in json.loads(file.read_text()).items():
            lines = {path: lines for path, lines in found["lines"].items() if path in paths}
            known[name.partition("::")[0]]["tests"][name] = found | {"lines": lines}
    return known


# ---- the plugin ---------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--reach``."""
    parser.addoption(
        "--reach", type=Path, help="directory for a file of each process: the lines that each test reaches"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begins to watch."""
    config.pluginmanager.register(Reach(config.option.reach))


class Reach:
    """Watches the tests of one process.

    Args:
        where: The directory for its file.
    """

    def __init__(self, where: Path) -> None:
        self._where = where
        self._seconds: dict[str, float] = defaultdict(float)
        self._failed: set[str] = set()
        self._tracer = coverage.Coverage(data_file=None, config_file=False, source_pkgs=["sessionlib"])
        # Of the process that hands the tests out: it would end before those that run them have written their files.
        self._tracer.set_option("run:disable_warnings", ["module-not-measured", "no-data-collected"])
        self._tracer.start()
        self._traces = sys.gettrace(), threading.gettrace()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[Any]:
        """Keeps apart what each test reaches."""
        # A test that traces by itself leaves none behind, and no line would be noted from there on.
        sys.settrace(self._traces[0])
        threading.settrace(self._traces[1])  # type: ignore[arg-type]
        self._tracer.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self._tracer.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes how long a test takes, and those that fail anyway."""
        self._seconds[report.nodeid] += report.duration
        if not report.passed:
            self._failed.add(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Writes the file."""
        self._tracer.stop()
        data = self._tracer.get_data()
        found: dict[str, Any] = {
            test: {"seconds": seconds, "failed": test in self._failed, "lines": defaultdict(list)}
            for test, seconds in self._seconds.items()
        }
        for file in data.measured_files():
            path = str(Path(file).relative_to(ROOT))
            for line, tests in data.contexts_by_lineno(file).items():
                for test in filter(None, tests):
                    found[test]["lines"][path].append(line)
        (self._where / f"reach-{os.getpid()}.json").write_text(json.dumps(found))
