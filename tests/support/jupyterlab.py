"""JupyterLab in a headless browser, for scripts in interpreters of their own.

What stands here runs beside the tests and not in them, because the browser's driver leaves an event loop and
sockets behind. The server listens on this machine alone, with a token, and keeps everything in one folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Locator, Page, sync_playwright

from tests.support.programs import need
from tests.support.waiting import is_up

_QUIET = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}
_THEMES = ("JupyterLab Light", "JupyterLab Dark")


# Of each text: its colour, and the colours behind it as far as they let what is behind them through.
_CONTRAST = r"""output => {
    const parse = text => { const n = text.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
    const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
    const light = colour => {
        const linear = x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
        const [r, g, b] = colour.map(x => linear(x / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const walker = document.createTreeWalker(output, NodeFilter.SHOW_TEXT);
    let lowest = [21, ""];
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest(":disabled")) continue;
        const layers = [];
        let opacity = 1;
        for (let at = element; at; at = at.parentElement) {
            const style = getComputedStyle(at);
            layers.unshift(parse(style.backgroundColor));
            opacity *= Number(style.opacity);
        }
        const behind = layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
        const colour = parse(getComputedStyle(element).color);
        const seen = over([...colour.slice(0, 3), colour[3] * opacity], behind);
        const [high, low] = [light(seen), light(behind)].sort((a, b) => b - a);
        const contrast = (high + 0.05) / (low + 0.05);
        if (contrast < lowest[0]) lowest = [contrast, walker.currentNode.data];
    }
    return lowest;
}"""
_CUT_OFF = """output => {
    const right = output.getBoundingClientRect().right + 1;
    const shown = [...output.querySelectorAll("button, pre, code, input, b, div")].filter(e => e.checkVisibility());
    const cut = e => e.matches("button, input, pre") && e.scrollWidth > e.clientWidth + 1;
    return shown.filter(e => e.getBoundingClientRect().right > right || cut(e))
        .map(e => `${e.tagName} ${e.innerText || e.value}`.slice(0, 200));
}"""


class Lab:
    """A notebook that is open in JupyterLab in a browser; a context manager.

    Attributes:
        page: The page.
        path: The notebook's file.
    """

    def __init__(self, folder: str, *cells: str) -> None:
        self._folder = Path(folder)
        self._token = secrets.token_urlsafe(24)
        self.path = self._folder / "notebook.ipynb"
        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
        nbformat.write(notebook, self.path)
        self._settings = _QUIET
        self._sockets = tempfile.TemporaryDirectory(prefix="kernel-")  # short, as a socket's path has to be
        self._server = self._start()
        self._driver = sync_playwright().start()
        self._browser = self._driver.chromium.launch(executable_path=need("chromium"), args=["--no-sandbox"])
        self.page: Page = self._browser.new_page(viewport={"width": 900, "height": 1000})
        self.page.set_default_timeout(120_000)

    def __enter__(self) -> Lab:
        self.page.goto(f"http://127.0.0.1:{self._port()}/doc/tree/{self.path.name}?token={self._token}")
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)
        self.page.get_by_text("| Idle").wait_for(timeout=120_000)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is not None:
                self.page.screenshot(path=str(self._folder / "failure.png"))
                print(self.page.locator(".jp-Notebook").inner_text(timeout=5000))
            self._browser.close()
            self._driver.stop()
        finally:
            self._stop()

    def output(self, number: int) -> Locator:
        """What stands below a cell."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(number).locator(".jp-Cell-outputWrapper")

    def start(self, number: int) -> None:
        self.page.locator(".jp-Notebook .jp-CodeCell").nth(number).locator(".jp-InputPrompt").click()
        self.page.keyboard.press("Control+Enter")

    def run(self, number: int) -> None:
        self.start(number)
        self.wait_for_end(number)

    def wait_for_end(self, number: int) -> None:
        prompt = self.page.locator(".jp-Notebook .jp-CodeCell").nth(number).locator(".jp-InputPrompt")
        end = time.monotonic() + 200
        while not prompt.inner_text().strip("[]: ").isdigit():
            assert time.monotonic() < end, f"cell {number} does not end: {self.output(number).inner_text()}"
            self.page.wait_for_timeout(50)

    def see(self, number: int, text: str) -> None:
        """Waits until a text stands below a cell."""
        self.output(number).get_by_text(text).first.wait_for()

    def save(self) -> None:
        before = self.path.stat().st_mtime_ns
        self.page.keyboard.press("Control+s")
        end = time.monotonic() + 100
        while self.path.stat().st_mtime_ns == before:
            assert time.monotonic() < end, "the notebook is not saved"
            self.page.wait_for_timeout(50)

    def reopen(self) -> None:
        """Opens the saved notebook with a new kernel, which knows nothing of its widgets."""
        self.page.goto("about:blank")
        for session in self._api("GET", "sessions"):
            self._api("DELETE", f"sessions/{session['id']}")
        self.__enter__()

    def use_theme(self, name: str) -> None:
        """Shows all in "light" or "dark" from now on."""
        theme = _THEMES[name == "dark"]
        self.page.evaluate(
            """async theme => {
                await window.jupyterapp.commands.execute("apputils:change-theme", {theme});
                // A picture covers the page until all of it has the theme.
                const isCovered = () => document.getElementById("jupyterlab-splash");
                while (document.body.dataset.jpThemeName !== theme || isCovered())
                    await new Promise(requestAnimationFrame);
            }""",
            theme,
        )

    def contrast(self, number: int) -> tuple[float, str]:
        """Returns the lowest contrast of a text below a cell to what is behind it, by WCAG 2, and that text."""
        contrast, text = self.output(number).evaluate(_CONTRAST)
        return contrast, text

    def cut_off(self, number: int) -> list[str]:
        """Returns the texts below a cell that do not fit into it or into their own boxes, once it is laid out."""
        end = time.monotonic() + 20
        while True:
            found: list[str] = self.output(number).evaluate(_CUT_OFF)
            if not found or time.monotonic() > end:
                return found
            self.page.wait_for_timeout(50)  # a page takes its time over another size

    # ---- within --------------------------------------------------------------------------------

    def _api(self, method: str, path: str) -> Any:
        url = f"http://127.0.0.1:{self._port()}/api/{path}"
        call = urllib.request.Request(url, headers={"Authorization": f"token {self._token}"}, method=method)
        with urllib.request.urlopen(call, timeout=100) as answer:
            return json.loads(answer.read() or b"null")

    def _start(self) -> subprocess.Popen[bytes]:
        for name, settings in self._settings.items():
            file = self._folder / "settings" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(settings))
        own = {f"JUPYTER_{kind}_DIR": str(self._folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
        own |= {"JUPYTERLAB_SETTINGS_DIR": str(self._folder / "settings"), "JUPYTER_TOKEN": self._token}
        own |= {"IPYTHONDIR": str(self._folder / "ipython")}
        options = ["--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root", f"--ServerApp.root_dir={self._folder}"]
        options.append("--LabApp.expose_app_in_browser=True")  # as window.jupyterapp
        # As `kernel.sockets_in`: no port that another process may take meanwhile.
        options += ["--KernelManager.transport=ipc", f"--KernelManager.ip={self._sockets.name}/kernel"]
        with open(self._folder / "server.log", "wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *options], env={**os.environ, **own}, stdout=log, stderr=log
            )

    def _port(self) -> int:
        end = time.monotonic() + 200
        while True:
            for file in (self._folder / "runtime").glob("jpserver-*.json"):
                with contextlib.suppress(ValueError):  # it is being written
                    port = int(json.loads(file.read_text())["port"])
                    if is_up(port):
                        return port
            log = (self._folder / "server.log").read_text()
            assert self._server.poll() is None, f"the server has ended:\n{log}"
            assert time.monotonic() < end, f"the server does not start:\n{log}"
            time.sleep(0.05)

    def _stop(self) -> None:
        self._server.terminate()
        try:
            self._server.wait(30)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._sockets.cleanup()
