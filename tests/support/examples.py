"""The code that users are shown: in the README, in the package's pages and in the notebooks."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

_MAGIC = re.compile(r"^(\s*)([%!].*)$", re.MULTILINE)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "sessionlib" / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def notebook_code(notebook: Path) -> str:
    """Gives the code of a notebook's cells as one module, without what only IPython understands."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return "\n\n".join(_MAGIC.sub(r"\1pass  # \2", source) for source in sources if not source.startswith("%%")) + "\n"
