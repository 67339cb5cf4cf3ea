"""One flipped byte anywhere in a database or its log: refused with both files left alone, or every content is right."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import websocket

from sessionlib.engine import DatabaseDamagedError, DatabaseVersionError, LocalEngine
from sessionlib.engine.store import files
from tests.engine.conftest import add, refund
from tests.support.engine import KEY, Caller, approve, contents, file, make_agent, open_socket, rest

FLIPS = int(os.environ.get("TEST_FLIPS", "120"))


@dataclass
class Sample:
    """The files of an engine that was killed, and all that it had acknowledged."""

    database: bytes
    log: bytes
    agent: tuple[str, Any] = ("", None)
    histories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    path = tmp_path_factory.mktemp("sample") / "engine.db"
    made = Sample(b"", b"")
    with LocalEngine(path=str(path), tools=[add, refund], api_key=KEY) as engine:
        agent_id = make_agent(engine, name="Long enough to matter", instructions="Be kind. " * 40)
        made.agent = (agent_id, rest(engine, "GET", "/agent", params={"id": agent_id}).json())
        for number in range(12):
            with Caller.on(engine, agent_id=agent_id) as caller:
                caller.ask(f"message {number} caf\u00e9 " + "x" * 40 * number)
                caller.ask('/tool add {"a": 1, "b": 2}')
                data = random.Random(number).randbytes(300 * number)
                caller.ask(file(f"{number}.txt", base64.b64encode(data).decode()))
                if number % 3 == 0:
                    asked = caller.ask_for_approval('/tool refund {"order_id": "7"}')
                    if number % 2 == 0:
                        caller.ask(approve(), asked["id"])
                made.histories[caller.session_id] = caller.history()
                made.uploads |= {kept["file_id"]: data for kept in contents(made.histories[caller.session_id], "file")}
        made.database, made.log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    return made


def outcome_of(path: Path, sample: Sample) -> str:
    """Starts an engine on the files and reads everything: "sound", "refused" at the start, or "reported" later."""
    before = {name: name.read_bytes() for name in (path, Path(f"{path}-wal")) if name.exists()}
    try:
        engine = LocalEngine(path=str(path), tools=[add, refund], api_key=KEY).start()
    except (DatabaseDamagedError, DatabaseVersionError) as error:
        assert str(path) in str(error)
        assert {name: name.read_bytes() for name in before} == before
        return "refused"
    reported = 0
    with engine:
        answer = rest(engine, "GET", "/agent", params={"id": sample.agent[0]})
        reported += check(answer.status_code, answer.json(), sample.agent[1])
        for session_id, history in sample.histories.items():
            with contextlib.closing(open_socket(engine)) as sock:
                sock.send(json.dumps({"type": "connect_session", "session_id": session_id}))
                frame = until(sock, "connect_session")
                if frame.get("success", True) and frame["type"] != "error":
                    sock.send(json.dumps({"type": "get_messages", "session_id": session_id}))
                    frame = until(sock, "get_messages")
                if frame["type"] == "get_messages":
                    assert frame["messages"][: len(history)] == history
                else:
                    assert frame["code"] in ("storage_damaged", "session_not_found")
                    reported += 1
        for file_id, data in sample.uploads.items():
            answer = rest(engine, "GET", f"/file/{file_id}")
            reported += check(answer.status_code, answer.content, data)
    return "reported" if reported else "sound"


def until(sock: websocket.WebSocket, answer: str) -> dict[str, Any]:
    while (frame := json.loads(sock.recv()))["type"] not in (answer, "error"):
        pass
    return dict(frame)


def check(status: int, found: Any, expected: Any) -> int:
    if status == 200:
        assert found == expected
    return int(status != 200)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("whole", [True, False], ids=["read at the start", "read when used"])
@pytest.mark.parametrize("target", ["database", "log"])
def test_any_flipped_byte_is_refused_or_reported_and_never_served(
    sample: Sample, folder: Path, target: str, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not whole:
        monkeypatch.setattr(files, "_SMALL", 0)
    path, chooser = folder / "engine.db", random.Random(len(target) + whole)
    if target == "database":  # with all that the log had in it
        path.write_bytes(sample.database)
        Path(f"{path}-wal").write_bytes(sample.log)
        LocalEngine(path=str(path), tools=[add, refund]).start().close()
        parts = {"": path.read_bytes()}
    else:
        parts = {"": sample.database, "-wal": sample.log}
    outcomes: Counter[str] = Counter()
    for _ in range(FLIPS // 4):
        shutil.rmtree(folder)
        folder.mkdir()
        for suffix, data in parts.items():
            damaged = bytearray(data)
            if suffix == ("-wal" if target == "log" else ""):
                # Half of them in the first pages, which have the most that can break.
                at = chooser.randrange(len(data) if chooser.random() < 0.5 else 12_000)
                damaged[at] ^= chooser.randrange(1, 256)
            Path(f"{path}{suffix}").write_bytes(damaged)
        outcomes[outcome_of(path, sample)] += 1
    print(target, "read at the start" if whole else "read when used", dict(outcomes))
    assert outcomes["refused"] + outcomes["reported"] > FLIPS // 40


def test_a_log_without_its_database_is_refused_and_left_as_it_is(tmp_path: Path, sample: Sample) -> None:
    log = tmp_path / "engine.db-wal"
    log.write_bytes(sample.log)
    with pytest.raises(DatabaseDamagedError, match=r"engine\.db-wal holds what was stored last"):
        LocalEngine(path=str(tmp_path / "engine.db"), api_key=KEY).start()
    assert log.read_bytes() == sample.log
