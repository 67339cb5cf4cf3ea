from __future__ import annotations

import os

import pytest

from sessionlib.engine.models.llama import weights_path

# On CI the weights are pulled before the tests, so there their absence is a failure.
_NEED_WEIGHTS = ["test_llama_answers.py", "test_openai_servers.py"]
collect_ignore = [] if weights_path().exists() or os.environ.get("CI") else _NEED_WEIGHTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names what was left out."""
    for name in collect_ignore:
        terminalreporter.write_line(f"left out: {name}, whose weights `sessionlib models pull` fetches (100 MB)")
