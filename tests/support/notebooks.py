"""The notebooks of the repository: run in a real kernel, and compared with how they are stored.

``python -m tests.support.notebooks`` runs all of them and stores what they give. Cells that are tagged
"varies" show times, and are compared by the kind of what they show.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat

from tests.support.kernel import run_notebook

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"

Cell = dict[str, Any]


def run(path: Path) -> Any:
    """Runs a notebook from top to bottom, in an empty folder, and gives it with its outputs."""
    notebook = nbformat.read(path, 4)
    os.environ["PYTHONPATH"] = str(FOLDER.parent)
    with tempfile.TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        run_notebook(notebook, timeout=120, resources=where, record_timing=False, coalesce_streams=True)
        assert not os.listdir(folder), f"{path.name} leaves files behind"
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in code_of(notebook):
        for output in cell["outputs"]:
            output.pop("metadata", None)
            if "data" in output:
                output["metadata"] = {}
    return notebook


def code_of(notebook: Any) -> list[Cell]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def shown(cell: Cell) -> list[str]:
    """Gives what a cell shows, in the order in which it does."""
    varies = "varies" in cell["metadata"].get("tags", ())
    told = []
    for output in cell["outputs"]:
        kinds = sorted(output["data"]) if "data" in output else [output.get("name") or output["output_type"]]
        text = output["data"].get("text/plain", "") if "data" in output else output.get("text", "")
        told += kinds if varies or "image/png" in kinds else [*kinds, text]
    return told


def check(name: str) -> None:
    """Runs a notebook and fails unless it gives what is stored."""
    stored = nbformat.read(FOLDER / name, 4)
    for before, after in zip(code_of(stored), code_of(run(FOLDER / name)), strict=True):
        assert shown(after) == shown(before), f"{name}: {before['source']}"
        assert before["execution_count"] == after["execution_count"]


def main(names: list[str]) -> None:
    """Stores what notebooks give; all of them when none is named."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not names or path.name in names:
            nbformat.write(run(path), path)
            print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1:])
