"""A plugin of pytest that writes down which lines each test reaches: `-p tests.mutants.reach --reach FILE`."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

__all__ = ["Reach", "pytest_addoption", "pytest_configure"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--reach``."""
    parser.addoption("--reach", type=Path, help="directory for a file of each process: the tests that reach each line")


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
        self._tracer.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[Any]:
        """Keeps apart what each test reaches."""
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
        numbers = {test: number for number, test in enumerate(self._seconds)}
        lines = {
            path: {line: [numbers[test] for test in tests if test] for line, tests in reached.items()}
            for path in data.measured_files()
            for reached in [data.contexts_by_lineno(path)]
        }
        found = {"tests": list(numbers), "lines": lines, "seconds": self._seconds, "failed": sorted(self._failed)}
        (self._where / f"{os.getpid()}.json").write_text(json.dumps(found))
