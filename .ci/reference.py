"""Builds the API reference and the pages by task into build/reference; a warning is an error."""

from __future__ import annotations

import importlib
import re
import sys
import tempfile
import warnings
from pathlib import Path

import pdoc

ROOT = Path(__file__).parent.parent
MODULES = ["sessionlib", "sessionlib.engine", "sessionlib.testing"]


def main() -> None:
    """Does all of it."""
    warnings.simplefilter("error")
    for module in map(importlib.import_module, MODULES):
        for name in module.__all__:  # pdoc sees no names that are loaded when they are asked for
            setattr(module, name, getattr(module, name))
    pdoc.render.configure(docformat="google")
    where = ROOT / "build" / "reference"
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, folder)
        guide = Path(folder, "guide")
        guide.mkdir()
        write_guide(guide)
        try:
            pdoc.pdoc(*MODULES, "guide", output_directory=where)
        except Warning as error:
            sys.exit(f"the API reference: {error}")
    print(f"{len(list(where.rglob('*.html')))} pages in {where}")


def write_guide(folder: Path) -> None:
    """Writes the pages as modules without code, because pdoc renders nothing else."""
    for page in (ROOT / "sessionlib" / "docs").glob("*.md"):
        text = re.sub(r"\]\(([\w-]+)\.md\)", lambda link: f"]({_module(link[1])}.html)", page.read_text("utf-8"))
        (folder / f"{_module(page.stem)}.py").write_text(f"__doc__ = {text!r}\n", "utf-8")
    (folder / "__init__.py").write_text('"""The pages by task."""\n', "utf-8")


def _module(page: str) -> str:
    return page.replace("-", "_")


if __name__ == "__main__":
    main()
