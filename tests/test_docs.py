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
    *("sessions", "approvals", "files", "batches", "notebooks", "terminal", "engine", "testing", "observing"),
    *("porting", "reliability"),
}
# Its blocks are scripts and tests of their own, and run in test_examples.py.
CUMULATIVE = [page for page in pages() if page.parent == DOCS and page.stem != "testing"]

RUNNER = """
import contextlib, io, json, sys
namespace = {"__name__": "__main__"}
for code in json.load(sys.stdin):
    printed, noted = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(noted):
        exec(compile(code, "page", "exec"), namespace)
    print(json.dumps([printed.getvalue(), noted.getvalue()]))
"""


def examples(page: Path) -> list[tuple[str, str | None]]:
    """Returns a page's blocks of Python, each with the output that is shown right below it, or None."""
    found = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", page.read_text("utf-8"), re.M | re.S)
    return [(code, output or None) for code, output in found]


def run(page: Path) -> list[tuple[str, str]]:
    """Runs a page from top to bottom; returns what each block prints and what it notes on stderr."""
    code = json.dumps([block for block, _ in examples(page)])
    return [json.loads(line) for line in run_script(RUNNER, stdin=code).check().stdout.splitlines()]


@pytest.mark.parametrize("page", [page for page in CUMULATIVE if examples(page)], ids=lambda page: page.stem)
def test_a_page_runs_from_top_to_bottom_and_prints_what_it_shows(page: Path) -> None:
    for (block, shown), (output, noted) in zip(examples(page), run(page), strict=True):
        assert ("100%" in noted) if "progress=True" in block else not noted, noted
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


# ---- the path of someone who has only the README -------------------------------------------

STEPS = {
    "a streamed answer": ("README.md", ".text_stream", "Demo model: echoes your message."),
    "an approval": ("README.md", "session.on_approval(", "12.50 EUR refunded for order 7"),
    "a file sent": ("send files", "files=[", "You sent: sales.csv"),
    "a batch": ("README.md", "agent.map(", 'complete "three"'),
    "a batch with progress": ("many prompts", "progress=True", "100%"),
    "a recorded test": ("README.md", "with replay(path):", "True"),
    "an approval in another process": ("which tools may run", "session.answer(", "refund gave: 5.00 EUR"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_found_from_the_readme_and_works(step: str) -> None:
    where, code, outcome = STEPS[step]
    page = README
    if where != "README.md":  # a row of the table of tasks, and its link
        (row,) = [line for line in README.read_text("utf-8").splitlines() if line.startswith("| ") and where in line]
        page = ROOT / re.findall(r"\]\(([^)]+)\)", row)[0]
    number, shown = next((number, shown) for number, (block, shown) in enumerate(examples(page)) if code in block)
    # That the README's scripts print what it shows is for test_readme.py.
    assert outcome in (shown or "" if page == README else "".join(run(page)[number]))


def test_the_commands_that_the_whole_check_takes_by_number_are_where_it_looks() -> None:
    commands = re.findall(r"^```sh\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert "sessionlib.quickstart" in commands[0]
    assert commands[1].rstrip().endswith("pytest -q")
    assert all(tool in commands[3] for tool in ("ruff", "mypy", "reference"))
    taken = set(re.findall(r"\breadme (\d)", (ROOT / ".ci" / "run").read_text("utf-8")))
    assert taken == {"1", "2", "4"}
