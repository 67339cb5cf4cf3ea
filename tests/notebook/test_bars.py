"""Bars of progress in a real kernel: widgets where there are some, else lines of text."""

from __future__ import annotations

import textwrap

from tests.support.processes import run_script

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
    result = run_script(script + textwrap.indent(textwrap.dedent(source), "    "), timeout=100)
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
