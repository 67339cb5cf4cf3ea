"""Which faults a text is given, and that what is no fault is none."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.mutants.__main__ import MODULES, ROOT, paths_of
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
