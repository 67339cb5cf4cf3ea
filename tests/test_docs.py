"""The pages of the documentation: what they show runs and prints what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.examples import ROOT, pages
from tests.support.processes import run_script

README = ROOT / "README.md"
DOCS = ROOT / "sessionlib" / "docs"
TASKS = {
    "sessions",
    "approvals",
    "files",
    "batches",
    "notebooks",
    "terminal",
    "engine",
    "testing",
    "observing",
    "porting",
    "reliability",
}
# Its blocks are scripts and tests of their own, and run in test_examples.py.
CUMULATIVE = [page for page in pages() if page.parent == DOCS and page.stem != "testing"]

RUNNER = """
import contextlib, io, json, sys
namespace = {"__name__": "__main__"}
for code in json.load(sys.stdin):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "page", "exec"), namespace)
    print(json.dumps(printed.getvalue()))
"""


def examples(page: Path) -> list[tuple[str, str | None]]:
    """Returns a page's blocks of Python, each with the output that is shown right below it, or None."""
    found = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", page.read_text("utf-8"), re.M | re.S)
    return [(code, output or None) for code, output in found]


@pytest.mark.parametrize("page", [page for page in CUMULATIVE if examples(page)], ids=lambda page: page.stem)
def test_a_page_runs_from_top_to_bottom_and_prints_what_it_shows(page: Path) -> None:
    code = [block for block, _ in examples(page)]
    printed = [json.loads(line) for line in run_script(RUNNER, stdin=json.dumps(code)).check().stdout.splitlines()]
    for (block, shown), output in zip(examples(page), printed, strict=True):
        # As in doctest, three dots stand for what differs from run to run.
        pattern = re.escape((shown or "").strip()).replace(re.escape("..."), ".*")
        assert re.fullmatch(pattern, output.strip(), re.DOTALL), f"{block}\nprints\n{output}"


def test_every_task_has_a_page_that_the_readme_names() -> None:
    linked = re.findall(r"\(sessionlib/docs/([\w-]+)\.md\)", README.read_text("utf-8"))
    assert set(linked) >= TASKS
    assert {page.stem for page in pages() if page.parent == DOCS} == set(linked)


def test_the_readme_is_one_screen_and_then_links() -> None:
    text = README.read_text("utf-8")
    first, _, rest = text.partition("\n## Pages by task\n")
    assert first.count("\n") < 60
    assert rest
    assert text.count("\n") <= 200
