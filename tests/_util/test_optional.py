"""Bars of progress: on a terminal, and in a real kernel as widgets where there are some, else as lines of text."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from tests.support.processes import run_script
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


CELL = """
from sessionlib.engine import LocalEngine
with LocalEngine() as engine:
    agent = engine.agent(name="Assistant")
    with agent.create_session() as session:
        session.ask(bytes(3 << 20), progress=True)
    list(agent.map([str(number) for number in range(30)], progress=True))
"""


def in_kernel(source: str) -> None:
    """Runs a script with an open kernel in it, called ``kernel``."""
    script = "from tests.support.kernel import Kernel\nwith Kernel() as kernel:\n"
    result = run_script(script + textwrap.indent(textwrap.dedent(source), "    "), timeout=280)
    assert result.rc == 0, f"{result.stdout}\n{result.stderr}"


def test_bars_are_widgets() -> None:
    in_kernel(f"""
        def bars():
            states = [state for state in kernel.widgets.values() if state.get("_model_name") == "FloatProgressModel"]
            return [(state["value"], state["max"], state["bar_style"]) for state in states]

        kernel.run({CELL!r})
        kernel.wait(lambda: bars() == [(3 << 20, 3 << 20, "success"), (30, 30, "success")], "both bars")
        kernel.wait(lambda: any("30/30" in text for text in kernel.shown()), "count")
        assert any("3.00M/3.00M" in text for text in kernel.shown()), kernel.shown()
    """)


def test_without_widgets_bars_are_text() -> None:
    in_kernel(f"""
        kernel.run("import sys; sys.modules['ipywidgets'] = None")
        kernel.run({CELL!r})
        assert kernel.widgets == {{}}
        kernel.wait_for_text("30/30")
        assert "3.00M/3.00M" in kernel.text
        assert "Assistant: 100%" in kernel.text
    """)
