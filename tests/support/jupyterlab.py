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
import time
from pathlib import Path
from types import TracebackType

import nbformat
from playwright.sync_api import Locator, Page, sync_playwright

from tests.support.programs import need
from tests.support.waiting import is_up

__all__ = ["Lab"]

_QUIET = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}


class Lab:
    """A notebook that is open in JupyterLab in a browser; a context manager.

    Args:
        folder: Where everything is kept.
        cells: The notebook's cells of code.

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
        self._server = self._start()
        self._driver = sync_playwright().start()
        self._browser = self._driver.chromium.launch(executable_path=need("chromium"), args=["--no-sandbox"])
        self.page: Page = self._browser.new_page(viewport={"width": 900, "height": 1000})

    def __enter__(self) -> Lab:
        self.page.goto(f"http://127.0.0.1:{self._port()}/doc/tree/{self.path.name}?token={self._token}")
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
        self.page.get_by_text("| Idle").wait_for(timeout=60_000)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
        """Begins a cell."""
        self.page.locator(".jp-Notebook .jp-CodeCell").nth(number).locator(".jp-InputPrompt").click()
        self.page.keyboard.press("Control+Enter")

    def run(self, number: int) -> None:
        """Runs a cell to its end."""
        self.start(number)
        self.wait_for_end(number)

    def wait_for_end(self, number: int) -> None:
        """Waits until a cell has ended.

        Raises:
            AssertionError: It does not.
        """
        prompt = self.page.locator(".jp-Notebook .jp-CodeCell").nth(number).locator(".jp-InputPrompt")
        end = time.monotonic() + 60
        while not prompt.inner_text().strip("[]: ").isdigit():
            assert time.monotonic() < end, f"cell {number} does not end: {self.output(number).inner_text()}"
            self.page.wait_for_timeout(50)

    def see(self, number: int, text: str) -> None:
        """Waits until a text stands below a cell."""
        self.output(number).get_by_text(text).first.wait_for()

    def save(self) -> None:
        """Writes the notebook to its file."""
        before = self.path.stat().st_mtime_ns
        self.page.keyboard.press("Control+s")
        end = time.monotonic() + 20
        while self.path.stat().st_mtime_ns == before:
            assert time.monotonic() < end, "the notebook is not saved"
            self.page.wait_for_timeout(50)

    # ---- within --------------------------------------------------------------------------------

    def _start(self) -> subprocess.Popen[bytes]:
        for name, settings in _QUIET.items():
            file = self._folder / "settings" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(settings))
        own = {f"JUPYTER_{kind}_DIR": str(self._folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
        own |= {"JUPYTERLAB_SETTINGS_DIR": str(self._folder / "settings"), "JUPYTER_TOKEN": self._token}
        own |= {"IPYTHONDIR": str(self._folder / "ipython")}
        options = ["--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root", f"--ServerApp.root_dir={self._folder}"]
        with open(self._folder / "server.log", "wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *options], env={**os.environ, **own}, stdout=log, stderr=log
            )

    def _port(self) -> int:
        end = time.monotonic() + 60
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
            self._server.wait(15)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
