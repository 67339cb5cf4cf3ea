"""Programs that some tests drive and that pip does not install."""

from __future__ import annotations

import os
import shutil

import pytest

__all__ = ["need"]

# What each is for, and the names that it goes by.
_PROGRAMS = {
    "tmux": ("the tests on a terminal", ["tmux"]),
    "java": ("the tests of Spark", ["java"]),
    "chromium": ("the tests in JupyterLab", ["chromium", "chromium-browser", "google-chrome"]),
}

# Packages of another name than their program.
_PACKAGES = {"java": "default-jre-headless"}


def need(program: str) -> str:
    """Returns the path of a program.

    Where it is not installed, the test is left out, and the run's last lines name the program once for all such
    tests. With ``CI`` set the test fails: there, everything has to run.
    """
    tests, names = _PROGRAMS[program]
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        reason = f"{tests} need {program}: apt-get install {_PACKAGES.get(program, program)}, or brew install {program}"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found
