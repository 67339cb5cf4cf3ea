"""Environments of their own for the package's checks, and what setup.cfg says that it needs."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["DEVELOPERS", "ROOT", "empty", "install", "requirements", "run"]

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
