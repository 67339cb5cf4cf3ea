"""Coverage of the client while all tests run, in however many processes: measured, added up, and held to a bound.

It is on where `COVERAGE_PROCESS_START` names the settings: coverage then starts with every Python, before anything of
the package is imported. `SESSIONLIB_COVERAGE` names the directory of its data.
"""

from __future__ import annotations

import io
import os
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

VARIABLES = ("COVERAGE_PROCESS_START", "SESSIONLIB_COVERAGE")

# Python takes twice as long with it: not where the same is repeated a thousand times, nor for what is no client.
_UNTRACED = re.compile(
    r"tests/((benchmarks|cli|engine|interop)/|faults/test_(endurance|frameworks|fuzz|processes|recipes|soak|sweep))"
)


def install(config: pytest.Config) -> None:
    """Follows the tests of this run, if coverage is on."""
    coverage = sys.modules.get("coverage")
    tracer = coverage.Coverage.current() if coverage and VARIABLES[0] in os.environ else None
    if tracer is not None:
        config.pluginmanager.register(Tracing(tracer), "tracing")


class Tracing:
    """Follows the tests of this process, and in the one that reports, adds up what all have found."""

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Leaves out the tests that would tell nothing new."""
        if not _UNTRACED.match(item.nodeid):
            return (yield)
        self._tracer.stop()
        try:
            return (yield)
        finally:
            self._tracer.start()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Reports the figure; one below the bound fails the run, and the lines are listed that no test reaches."""
        if hasattr(config, "workerinput"):
            return
        from coverage import Coverage
        from coverage.exceptions import CoverageWarning

        # Workers have ended by now, and with that written what they found.
        self._tracer.stop()
        self._tracer.save()
        whole = Coverage(config_file=os.environ[VARIABLES[0]])
        with warnings.catch_warnings():
            # A process that a test killed may have left a file that it had only begun.
            warnings.simplefilter("ignore", CoverageWarning)
            whole.combine()
        report = io.StringIO()
        figure = whole.report(file=report, skip_covered=True, show_missing=True)
        bound = whole.get_option("report:fail_under")
        terminalreporter.write_line(f"coverage of the client, by branch: {figure:.1f} % of at least {bound:g} %")
        if figure < bound:
            terminalreporter.write(report.getvalue())
            assert terminalreporter._session is not None
            terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED
