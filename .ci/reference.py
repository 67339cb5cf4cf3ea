"""Builds the API reference into build/reference; a warning is an error."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path

import pdoc

MODULES = ["sessionlib", "sessionlib.engine", "sessionlib.testing"]


def main() -> None:
    """Does all of it."""
    warnings.simplefilter("error")
    for module in map(importlib.import_module, MODULES):
        for name in module.__all__:  # pdoc sees no names that are loaded when they are asked for
            setattr(module, name, getattr(module, name))
    pdoc.render.configure(docformat="google")
    where = Path(__file__).parent.parent / "build" / "reference"
    try:
        pdoc.pdoc(*MODULES, output_directory=where)
    except Warning as error:
        sys.exit(f"the API reference: {error}")
    print(f"{len(list(where.rglob('*.html')))} pages in {where}")


if __name__ == "__main__":
    main()
