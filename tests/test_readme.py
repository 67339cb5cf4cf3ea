"""The README: its scripts run and print what it says they print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.processes import run_script

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_first_script_is_short() -> None:
    assert len([line for line in blocks("python")[0].splitlines() if line]) <= 12


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_a_script_prints_what_the_readme_shows(number: int) -> None:
    result = run_script(blocks("python")[number]).check()
    assert result.stdout.strip() == blocks("text")[number].strip()


def test_its_figures_are_about_those_of_the_benchmarks() -> None:
    # About, as no two runs measure the same, and the README's may be of the run before.
    figures = (README.parent / "tests" / "benchmarks" / "FIGURES.md").read_text("utf-8").replace(",", "")
    (claim,) = re.findall(r"^- .*FIGURES\.md.*$", README.read_text("utf-8"), re.MULTILINE)
    pairs = re.findall(r"([\d.]+) (?:against|instead of) ([\d.]+)( µs| MiB|)", claim.replace(",", ""))
    assert len(pairs) >= 3
    units = {"": "events/s", " µs": "µs p50", " MiB": "MiB peak"}
    for ours, official, unit in pairs:
        for who, figure in (("sessionlib", ours), ("official async SDK", official)):
            measured = re.findall(rf"^  {who} +{units[unit]} +([\d.]+) ", figures, re.MULTILINE)
            assert any(1 / 1.5 < float(value) / float(figure) < 1.5 for value in measured), (who, figure, measured)


def test_every_promise_names_a_test_that_there_is() -> None:
    reliability = README.parent / "sessionlib" / "docs" / "reliability.md"
    cited = re.findall(r"`(\w+/\w+\.py)::(\w+)`", reliability.read_text("utf-8"))
    assert len(cited) >= 10
    for path, name in cited:
        assert f"def {name}(" in (README.parent / "tests" / path).read_text("utf-8"), f"{path}::{name}"


def test_every_name_in_the_porting_table_exists() -> None:
    table = README.read_text("utf-8").partition("## From the async SDK")[2].partition("##")[0]
    imports = re.findall(r"from (sessionlib\.\w+) import (\w+)", table)
    assert imports
    for module, name in imports:
        run_script(f"from {module} import {name}").check()
