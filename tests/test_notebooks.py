"""The notebooks run from top to bottom, offline, and give what they are stored with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.notebooks import FOLDER, code_of
from tests.support.processes import run_script

PATHS = sorted(FOLDER.glob("*.ipynb"))
# What is somebody's machine, or new each time.
TRACES = re.compile(
    r"(?<![\w.])/(?:tmp|home|root|work|Users|usr)\b|[A-Z]:\\\\|127\.0\.0\.1|localhost|\b[0-9a-f]{32}\b|0x[0-9a-f]{8}"
)


def stored(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return told


def test_there_are_some() -> None:
    assert len(PATHS) >= 7


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_gives_what_it_is_stored_with(path: Path) -> None:
    result = run_script(f"from tests.support.notebooks import check; check({path.name!r})", timeout=280)
    assert result.rc == 0, f"{result.stderr[-4000:]}\n(python -m tests.support.notebooks stores what they give)"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_small_and_with_all_outputs(path: Path) -> None:
    assert path.stat().st_size < 120_000
    for number, cell in enumerate(code_of(stored(path)), 1):
        assert cell["execution_count"] == number, cell["source"]
        kinds = {output["output_type"] for output in cell["outputs"]}
        assert kinds, f"shows nothing: {cell['source']}"
        assert "error" not in kinds
        assert {output.get("name") for output in cell["outputs"]} <= {None, "stdout"}, cell["outputs"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_tells_nothing_of_the_machine(path: Path) -> None:
    for cell in stored(path)["cells"]:
        told = [cell["source"], *(output for output in cell.get("outputs", ()))]
        pictures = re.sub(r'"image/png": "[^"]*"', "", json.dumps(told))
        assert not TRACES.search(pictures), TRACES.search(pictures)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_teaches(path: Path) -> None:
    cells = stored(path)["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert texts[0].startswith("# ")
    assert len(texts) >= 4
    linked = [found for text in texts for found in re.findall(r"\]\(([\w.]+\.ipynb)\)", text)]
    assert all((FOLDER / name).exists() for name in linked)
    # JupyterLab leaves no space between a block of code and what is below it in the same cell.
    assert not [text for text in texts if re.search(r"^```\n+\S", text.partition("```")[2], re.MULTILINE)]
