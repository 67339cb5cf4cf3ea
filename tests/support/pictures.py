"""The pictures of the documentation: ``python -m tests.support.pictures`` takes them again.

One is a cell in JupyterLab, the other a chat on a terminal. Both need chromium, the second tmux as well.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from tests.support.jupyterlab import Lab
from tests.support.processes import ROOT
from tests.support.programs import need
from tests.support.terminal import Tmux

_DOCS = ROOT / "sessionlib" / "docs"
_SETUP = """
import sys, time
from sessionlib.engine import LocalEngine, tool
from sessionlib.testing import ScriptedModel, call_tool, think

@tool
def find_order(order_id: str) -> str:
    "Find an order."
    return "1 lamp, delivered on Monday"

ANSWER = '''Order **7** was delivered on Monday. You can:

1. send it back within 30 days, or
2. ask for a refund of `12.50 EUR`.
'''
model = ScriptedModel([think("They mean the lamp."), call_tool("find_order", order_id="7")], ANSWER)
engine = LocalEngine(tools=[find_order], model=model).start()
session = engine.agent(name="Support").create_session().connect()
"""
_CELL = 'reply = session.ask("My lamp arrived broken. What can I do? It was order 7.", show=True)'
_SHOP = '''
from sessionlib.engine import tool

@tool(approval="requires_approval")
def refund(order_id: str, amount: float) -> str:
    """Refund an order."""
    return f"{amount:.2f} EUR refunded for order {order_id}"
'''
_SIZE = (84, 22)
_STYLE = "pre { padding: 14px; display: inline-block; line-height: 1.35; font-size: 13px; background: #292929 }"


def notebook(path: Path) -> None:
    """Takes the picture of a cell that has streamed an answer."""
    with tempfile.TemporaryDirectory() as folder, Lab(folder, _SETUP, _CELL) as lab:
        lab.run(0)
        lab.run(1)
        lab.page.wait_for_timeout(500)
        cell = lab.page.locator(".jp-Notebook .jp-CodeCell").nth(1)
        cell.screenshot(path=str(path))


def terminal(path: Path) -> None:
    """Takes the picture of a chat with an approval."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shop.py").write_text(_SHOP)
        env = {"XDG_STATE_HOME": name, "TERM": "screen-256color", "PS1": "$ "}
        with Tmux(folder, "sessionlib chat --local --tools shop.py", env=env, size=_SIZE) as shown:
            shown.wait_for("/help")
            shown.type("Hello! What can **you** do?")
            shown.wait_for("echoes")
            shown.type('/tool refund {"order_id": "7", "amount": 12.5}')
            shown.wait_for("Run")
            shown.type("y")
            shown.wait_for("refunded for order 7")
            text = shown.coloured()
    console = Console(record=True, width=_SIZE[0], file=io.StringIO())
    console.print(Text.from_ansi(text))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=need("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.set_content(console.export_html(theme=SVG_EXPORT_THEME, inline_styles=True) + f"<style>{_STYLE}</style>")
        page.locator("pre").screenshot(path=str(path))
        browser.close()


def main() -> None:
    for take in (notebook, terminal):
        path = _DOCS / f"{take.__name__}.png"
        take(path)
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
