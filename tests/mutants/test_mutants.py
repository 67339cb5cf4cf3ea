"""Which faults a text is given, and that what is no fault is none."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.mutants import reach
from tests.mutants.__main__ import HERE, MODULES, ROOT, equivalents, paths_of
from tests.mutants.mutations import mutants_of

SOURCE = '''
class Shelf:
    """A shelf."""

    def put(self, book, rows=3):
        """Puts a book."""
        logger.debug("put %s", 1 + 1)
        if not self.full and rows < 2:
            self.books.append("a" + book)
        self.count += 1
        return self.count

    def __repr__(self):
        return f"Shelf({1 + 1})"
'''
FAULTS = """
    not self.full and rows < 2 => (not (not self.full and rows < 2))
    not self.full and rows < 2 => ((not self.full) or (rows < 2))
    rows < 2 => (rows) <= (2)
    2 => 3
    self.books.append("a" + book) => pass
    self.count += 1 => pass
    1 => 2
    return self.count => return None
"""


def test_the_faults_of_a_function(tmp_path: Path) -> None:
    (tmp_path / "shelf.py").write_text(SOURCE)
    mutants = mutants_of(tmp_path, "shelf.py")
    found = {f"{mutant.before} => {mutant.after}" for mutant in mutants}
    assert found == {line.strip() for line in FAULTS.strip().splitlines()}
    names = [mutant.name for mutant in mutants]
    assert len(set(names)) == len(names)
    assert "shelf.py:Shelf.put: if not self.full and rows < 2: | 2 => 3" in names


@pytest.mark.parametrize("name", MODULES)
def test_every_fault_is_a_program(name: str, seed: int) -> None:
    for path in paths_of(MODULES[name]):
        source, faults = (ROOT / path).read_bytes(), mutants_of(ROOT, path)
        for mutant in random.Random(seed).sample(faults, min(5, len(faults))):
            compile(mutant.apply(source), mutant.path, "exec")


def test_what_is_argued_to_be_no_fault_can_be_put_in_and_has_a_reason() -> None:
    there_are = {
        mutant.name for name in MODULES for path in paths_of(MODULES[name]) for mutant in mutants_of(ROOT, path)
    }
    assert not equivalents() - there_are
    listed = [line for line in (HERE / "EQUIVALENT.md").read_text("utf-8").splitlines() if line.startswith("- ")]
    assert len(listed) == len(equivalents())
    assert all(line.rpartition("`: ")[2] for line in listed)


def test_what_was_learned_of_another_text_is_looked_up_where_its_lines_are_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, place in {"ROOT": tmp_path, "WORK": tmp_path, "_TEXTS": tmp_path / "texts"}.items():
        monkeypatch.setattr(reach, name, place)
    module, test = tmp_path / "shelf.py", tmp_path / "test_shelf.py"
    module.write_text(SOURCE)
    test.touch()
    digests = {path.name: reach._digest(path.name) for path in (module, test)}
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / digests["shelf.py"]).write_text(SOURCE)
    count = SOURCE.splitlines().index("        self.count += 1") + 1
    # The module was longer for a while.
    learned = {"seconds": 0.1, "failed": False, "lines": {"shelf.py": [count, 99]}}
    known = {"test_shelf.py": {"digests": digests, "tests": {"test_shelf.py::test": learned}}}
    (tmp_path / "reached.json").write_text(json.dumps(known))
    module.write_text(f"import os\n{SOURCE}")
    reached = reach.Reached(["shelf.py"], ["test_shelf.py"])
    found = {mutant.before: reached.by(mutant) for mutant in mutants_of(tmp_path, "shelf.py")}
    assert found["self.count += 1"] == ["test_shelf.py::test"]
    assert found["return self.count"] == []
