"""What users are shown is typed like the package, and speaks of what there is."""

from __future__ import annotations

import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sessionlib import Session
from tests.support.examples import ROOT, blocks, notebook_code, pages
from tests.support.processes import run_script

CONTRIBUTING = ROOT / "sessionlib" / "docs" / "contributing.md"
HOW_IT_WORKS = ROOT / "sessionlib" / "docs" / "how-it-works.md"
PORTING = ROOT / "sessionlib" / "docs" / "porting.md"
TESTING = ROOT / "sessionlib" / "docs" / "testing.md"


def shown() -> dict[str, str]:
    """All Python code that users are shown, by a name for it."""
    scripts = [ROOT / "README.md", TESTING]
    found = {f"{page.stem}_{number}": code for page in scripts for number, code in enumerate(blocks(page, "python"), 1)}
    found |= {page.stem: "\n".join(blocks(page, "python")) for page in pages() if page not in scripts}
    found |= {notebook.stem: notebook_code(notebook) for notebook in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    return {re.sub(r"\W", "_", name): code for name, code in found.items()}


def check_types(files: dict[str, str], where: Path) -> str:
    """Runs mypy, as strict as with the package; gives what it says against them."""
    paths = [where / f"shown_{name}.py" for name in files]
    for path, code in zip(paths, files.values(), strict=True):
        path.write_text(code, "utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "setup.cfg"), *map(str, paths)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=280)
    return ran.stdout + ran.stderr


# ---- types ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_shown_passes_the_strict_type_checker(tmp_path: Path) -> None:
    files = shown()
    assert len(files) >= 2 + 5
    wrong = {"wrong": "from sessionlib import Session\nSession(session_id=7)\n"}  # or this test could not fail
    said = check_types(files | wrong, tmp_path)
    assert re.match(r"\S*shown_wrong\.py:2: error: Argument", said), said
    assert "Found 1 error in 1 file" in said, said


TYPES = """
from dataclasses import dataclass
from typing import TypedDict
from pydantic import BaseModel
from sessionlib import Agent, ConversationalAgentRunResult, Reply, Session
from typing_extensions import assert_type

class A(TypedDict):
    a: int

@dataclass
class B:
    b: int

class C(BaseModel):
    c: int

def plain(reply: Reply, result: ConversationalAgentRunResult) -> None: ...

def typed(session: Session, agent: Agent) -> None:
    plain(session.ask(""), agent.run(""))
    plain(session.ask("", into=A), agent.run("", into=A))
    assert_type(session.ask("").value, None)
    assert_type(session.ask("", into=A, timeout=30).value, A)
    assert_type(session.ask("", into=B).value, B)
    assert_type(session.ask("", into=C).value, C)
    assert_type(session.ask("", into=list[B]).value, list[B])
    assert_type(agent.run("", into=B).value, B)
    for result in agent.map([""], into=C):
        assert_type(result.value, C)
    for outcome in agent.map([""], into=C, on_error="return"):
        assert_type(outcome, ConversationalAgentRunResult[C] | BaseException)
    session.ask("", into=B).value.missing
"""


@pytest.mark.slow
def test_the_type_checker_knows_the_type_of_an_answer(tmp_path: Path) -> None:
    said = check_types({"types": TYPES}, tmp_path)
    assert re.match(r'\S*: error: "B" has no attribute "missing"', said), said
    assert "Found 1 error" in said, said


@pytest.mark.parametrize("number", range(len(blocks(TESTING, "text"))))
def test_a_script_of_the_page_on_testing_prints_what_it_shows(number: int) -> None:
    result = run_script(blocks(TESTING, "python")[number]).check()
    assert result.stdout.strip() == blocks(TESTING, "text")[number].strip()


def test_the_tests_of_the_page_on_testing_pass_when_they_record_and_when_they_replay(tmp_path: Path) -> None:
    (tests,) = blocks(TESTING, "python")[len(blocks(TESTING, "text")) :]
    (tmp_path / "test_support.py").write_text(tests, "utf-8")
    for mode in ("once", "none"):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--session-record={mode}"]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        ran = subprocess.run([*command, "."], capture_output=True, text=True, cwd=tmp_path, timeout=280, env=env)
        assert "2 passed" in ran.stdout, ran.stdout
    assert (tmp_path / "cassettes" / "test_support" / "test_it_is_replayed.jsonl").exists()


# ---- the pages -----------------------------------------------------------------------------


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_every_name_on_a_page_exists(page: Path) -> None:
    names = set(re.findall(r"`((?:[a-z_]+\.)+(?:[a-z_]+|[A-Z]\w+(?:\.\w+)?))`", page.read_text("utf-8")))
    missing = {name for name in names if pydoc.locate(f"sessionlib.{name}") is None and not _is_an_example(name)}
    assert not missing


def _is_an_example(name: str) -> bool:
    """Whether a dotted name is one of a user's variables, or of the standard library."""
    theirs = ["session", "agent", "turn", "event", "asyncio", "history", "reply", "engine", "sessionlib"]
    return name.split(".")[0] in theirs or pydoc.locate(name) is not None or Path(ROOT, name).exists()


def test_the_page_on_threads_names_those_that_there_are() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "sessionlib").rglob("*.py"))
    named = re.findall(r"^\| `(sessionlib-[a-z]+)", HOW_IT_WORKS.read_text("utf-8"), re.MULTILINE)
    assert len(named) == 8
    assert not [name for name in named if f'"{name}' not in sources]
    made = set(re.findall(r'name=f?"(sessionlib-[a-z]+)', _client_sources()))
    assert made <= {*named, "sessionlib-reader"}


def _client_sources() -> str:
    paths = (ROOT / "sessionlib").rglob("*.py")
    rooms = [path for path in paths if not {"engine", "testing"} & {*path.relative_to(ROOT).parts}]
    return "".join(path.read_text("utf-8") for path in rooms)


def test_the_page_on_locks_names_those_that_there_are() -> None:
    for owner, lock in re.findall(r"^\| `(\w+)\.(\w+)`", HOW_IT_WORKS.read_text("utf-8"), re.MULTILINE):
        assert re.search(rf"class {owner}\b.*?self\.{lock}(: \w+)? = threading\.", _client_sources(), re.DOTALL), owner


def test_the_defaults_on_the_page_are_those_of_the_signatures() -> None:
    parameters = {**_defaults(Session.__init__), **_defaults(Session.listen)}
    told = re.findall(r"(\w+)=(\d+)", HOW_IT_WORKS.read_text("utf-8"))
    assert told
    assert {name: int(value) for name, value in told} == {name: parameters[name] for name, _ in told}


def _defaults(function: object) -> dict[str, object]:
    return dict(getattr(function, "__kwdefaults__", None) or {})


@pytest.mark.parametrize("page", [ROOT / "README.md", PORTING], ids=lambda page: page.stem)
def test_every_import_of_the_pages_on_porting_works(page: Path) -> None:
    imports = re.findall(r"from (sessionlib\.\w+) import ([\w, ]+)", page.read_text("utf-8"))
    assert imports
    for module, names in imports:
        assert all(pydoc.locate(f"{module}.{name.strip()}") for name in names.split(","))


def test_every_link_leads_somewhere() -> None:
    for page in pages():
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_contributors_are_sent_to_files_that_exist() -> None:
    table = CONTRIBUTING.read_text("utf-8").partition("| to add | go to |")[2]
    rows = re.findall(r"^\| (a [\w ]+) \| (.*) \|$", table, re.MULTILINE)
    assert {"a kind of event", "a kind of content", "a model for the engine", "a command"} <= {row for row, _ in rows}
    named = [path for _, where in rows for path in re.findall(r"`(sessionlib/[\w/.]+)`", where)]
    assert not [path for path in named if not (ROOT / path).exists()]
