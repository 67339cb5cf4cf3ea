"""The README: its scripts run and print what it says they print."""

from __future__ import annotations

import re

import pytest

from tests.support.examples import ROOT, blocks
from tests.support.processes import run_script

README = ROOT / "README.md"


def test_the_first_script_is_short() -> None:
    assert len([line for line in blocks(README, "python")[0].splitlines() if line]) <= 12


@pytest.mark.parametrize("number", range(len(blocks(README, "python"))))
def test_a_script_prints_what_the_readme_shows(number: int) -> None:
    result = run_script(blocks(README, "python")[number]).check()
    assert result.stdout.strip() == blocks(README, "text")[number].strip()


def test_its_figures_are_about_those_of_the_benchmarks() -> None:
    # About, as no two runs measure the same, and the README's may be of the run before.
    figures = (ROOT / "tests" / "benchmarks" / "FIGURES.md").read_text("utf-8").replace(",", "")
    (claim,) = re.findall(r"^- .*FIGURES\.md.*$", README.read_text("utf-8"), re.MULTILINE)
    pairs = re.findall(r"([\d.]+) (?:against|instead of) ([\d.]+)( µs| MiB|)", claim.replace(",", ""))
    assert len(pairs) >= 3
    units = {"": "events/s", " µs": "µs p50", " MiB": "MiB peak"}
    for ours, official, unit in pairs:
        for who, figure in (("sessionlib", ours), ("official async SDK", official)):
            measured = re.findall(rf"^  {who} +{units[unit]} +([\d.]+) ", figures, re.MULTILINE)
            assert any(1 / 1.5 < float(value) / float(figure) < 1.5 for value in measured), (who, figure, measured)


def test_every_promise_names_a_test_that_there_is() -> None:
    reliability = ROOT / "sessionlib" / "docs" / "reliability.md"
    cited = re.findall(r"`(\w+/\w+\.py)::(\w+)`", reliability.read_text("utf-8"))
    assert len(cited) >= 10
    for path, name in cited:
        assert f"def {name}(" in (ROOT / "tests" / path).read_text("utf-8"), f"{path}::{name}"
