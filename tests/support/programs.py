"""Programs that some tests drive and that pip does not install."""

from __future__ import annotations

import shutil

import pytest

from .profiles import IS_CI

# What each is for, and the names that it goes by.
_PROGRAMS = {
    "tmux": ("the tests on a terminal", ["tmux"]),
    "bash": ("the tests of completion in bash", ["bash"]),
    "zsh": ("the tests of completion in zsh", ["zsh"]),
    "fish": ("the tests of completion in fish", ["fish"]),
    "openssl": ("the tests of a folder of certificates", ["openssl"]),
    "java": ("the tests of Spark", ["java"]),
    "chromium": ("the tests in a browser", ["chromium", "chromium-browser", "google-chrome"]),
}

# What apt-get and brew call the packages of another name than their program.
_PACKAGES = {"java": ("default-jre-headless", "openjdk"), "chromium": ("chromium", "--cask chromium")}


def need(program: str) -> str:
    """Returns the path of a program.

    Where it is not installed, the test is left out, and the run's last lines name the program once for all such
    tests. With ``CI`` set the test fails: there, everything has to run.
    """
    found = _path(program)
    if found is None:
        reason = _reason(program)
        if IS_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


def missing() -> list[str]:
    """Returns, for each program that is not installed, which tests need it and how to get it."""
    return [_reason(program) for program in _PROGRAMS if _path(program) is None]


def _path(program: str) -> str | None:
    return next(filter(None, map(shutil.which, _PROGRAMS[program][1])), None)


def _reason(program: str) -> str:
    debian, brew = _PACKAGES.get(program, (program, program))
    return f"{_PROGRAMS[program][0]} need {program}: apt-get install {debian}, or brew install {brew}"
