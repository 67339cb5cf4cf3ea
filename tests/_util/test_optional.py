"""Bars of progress on a terminal, as a person sees them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.terminal import Terminal

SCRIPT = """
    import sys
    from pathlib import Path
    from sessionlib.engine import LocalEngine

    with LocalEngine() as engine:
        agent = engine.agent(name="Assistant")
        with agent.create_session() as session:
            session.send(Path(sys.argv[1]), progress=True)
            session.ask("And?", files=[Path(sys.argv[1])], progress=True)
        list(agent.map(map(str, range(40)), progress=True))
        list(agent.map([str(number) for number in range(30)], progress=True))
    print("done")
"""


def test_uploads_and_maps(tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(3 << 20))
    with Terminal.script(tmp_path, SCRIPT, "large.bin") as terminal:
        assert terminal.status() == 0
        shown = terminal.wait_for("done\n")
    assert shown.count("3.00M/3.00M [00:0") == 2
    assert "Assistant: 40 prompts [00:0" in shown
    assert re.search(r"Assistant: 100%.* 30/30 \[00:0", shown)
