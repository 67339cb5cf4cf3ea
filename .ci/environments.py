"""Environments of their own for the package's checks, and what setup.cfg says that it needs."""

from __future__ import annotations

import configparser
import csv
import functools
import importlib.metadata
import re
import subprocess
import sys
import venv
import zipfile
from collections import defaultdict
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["DEVELOPERS", "ROOT", "empty", "install", "put", "requirements", "run"]

ROOT = Path(__file__).parent.parent
DEVELOPERS = {"bench", "dev", "docs", "interop", "lint", "package", "test"}
"""The extras for people who work on the package; the other checks use them."""


def empty(where: Path) -> Path:
    """Makes an environment with nothing in it, not even pip; gives its Python."""
    venv.create(where, symlinks=True)
    return where / "bin" / "python"


def install(python: Path, *what: str) -> None:
    """Installs into an environment, with the pip of the one that this runs in."""
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "-qq", *what], check=True)


def put(python: Path, wheel: Path, extras: list[str]) -> None:
    """Puts the wheel into an environment, and what these extras require: linked from the one that this runs in.

    Whether pip can install it shows in the environment of the developers, which has all the extras. This shows in an
    instant that each names what it needs.
    """
    site = next(python.parent.parent.glob("lib/python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    (package,) = importlib.metadata.distributions(path=[str(site)])
    needed, done = [Requirement(f"sessionlib[{','.join(extras)}]")], set()
    while needed:
        one = needed.pop()
        name = canonicalize_name(one.name)
        for extra in {"", *one.extras}.difference(extra for other, extra in done if other == name):
            done.add((name, extra))
            found = package if name == "sessionlib" else importlib.metadata.distribution(name)
            required = map(Requirement, found.requires or ())
            needed += [other for other in required if not other.marker or other.marker.evaluate({"extra": extra})]
    for name in {name for name, _ in done} - {"sessionlib"}:
        found = importlib.metadata.distribution(name)
        # The highest folders that are this package's alone: several have parts of `opentelemetry`.
        for part in {
            next((part for part in _parts(file) if _owners()[part] == {name}), file) for file in _files(found)
        }:
            (site / part).parent.mkdir(parents=True, exist_ok=True)
            (site / part).symlink_to(found.locate_file(part))


@functools.cache
def _owners() -> dict[str, set[str]]:
    """Returns the packages that have files in each folder of the environment that this runs in."""
    owners = defaultdict(set)
    for found in importlib.metadata.distributions():
        name = canonicalize_name(found.metadata["Name"])
        for file in _files(found):
            for part in _parts(file):
                owners[part].add(name)
    return owners


def _files(found: importlib.metadata.Distribution) -> list[str]:
    # As text, because `files` takes a minute to make a path of each.
    rows = csv.reader((found.read_text("RECORD") or "").splitlines())
    return [file for file, *_ in rows if not file.startswith("..")]


def _parts(file: str) -> list[str]:
    return [file[: at.start()] for at in re.finditer("/", file)]


def run(python: Path, *arguments: str, cwd: Path) -> str:
    """Runs Python; gives what it prints, to whatever.

    Raises:
        SystemExit: It failed.
    """
    ran = subprocess.run([python, *arguments], capture_output=True, text=True, timeout=300, cwd=cwd)
    if ran.returncode:
        sys.exit(f"{' '.join(map(str, arguments))}\n{ran.stdout}{ran.stderr}")
    return ran.stdout + ran.stderr


def requirements() -> dict[str, list[tuple[str, str]]]:
    """Gives, for the package ("") and each extra, the names of what it needs and their lowest versions."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    needed = {"": settings["options"]["install_requires"], **settings["options.extras_require"]}
    return {extra: re.findall(r"^([\w.-]+)(?:\[.*?\])?>=([\w.]+)", text, re.M) for extra, text in needed.items()}
