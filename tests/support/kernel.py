"""A Jupyter kernel and the front end that a person would have, for scripts in interpreters of their own.

What stands here runs beside the tests and not in them, because the client of a kernel leaves event loops
and sockets behind.
"""

from __future__ import annotations

import os
import queue
import re
import tempfile
import time
from typing import Any

from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from traitlets.config import Config

Message = dict[str, Any]

_VIEW = "application/vnd.jupyter.widget-view+json"


def sockets_in(folder: str) -> Config:
    """Returns the setting by which kernels listen on sockets in a folder, whose path has to be short.

    By default they listen on ports that were free a moment before, which another process may have taken by then.
    """
    return Config({"KernelManager": {"transport": "ipc", "ip": os.path.join(folder, "kernel")}})


def run_notebook(notebook: Any, **options: Any) -> None:
    """Runs a notebook from top to bottom and puts what its cells give into it; options are those of the client."""
    with tempfile.TemporaryDirectory(prefix="kernel-") as folder:
        NotebookClient(notebook, config=sockets_in(folder), **options).execute()


class Kernel:
    """A kernel; a context manager.

    Attributes:
        text: What was printed so far.
        prompts: What was asked at prompts so far.
        widgets: The state of each widget that is there, by its id.
        opened: The kinds of all widgets that ever were there.
        shows: What is displayed, by the id of the display, with how it looked one time after another.
        kept: What a notebook was to be saved with while its widgets lived, one after another.
        results: What cells gave as their values.
    """

    def __init__(self, *, stdin: bool = True) -> None:
        self.text = ""
        self.prompts: list[str] = []
        self.widgets: dict[str, Message] = {}
        self.opened: list[str] = []
        self.shows: dict[str, list[str]] = {}
        self.kept: list[str] = []
        self.results: list[Message] = []
        self._stdin = stdin
        self._answers: list[str] = []
        self._views: set[str] = set()
        self._idle: set[str] = set()
        self._replies: dict[str, Message] = {}
        self._sockets = tempfile.TemporaryDirectory(prefix="kernel-")
        self._manager = KernelManager(config=sockets_in(self._sockets.name))
        self._manager.start_kernel(env={**os.environ, "PYTHONPATH": os.getcwd()})
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=200)

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            print("printed:", self.text, "prompts:", self.prompts, "widgets:", self.shown(), sep="\n")
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._sockets.cleanup()

    # ---- cells ---------------------------------------------------------------------------------

    def start(self, code: str, *answers: str) -> str:
        """Begins a cell; prompts are answered in order with what is given here."""
        self._answers += answers
        cell: str = self._client.execute(code, allow_stdin=self._stdin, stop_on_error=False)
        return cell

    def finish(self, cell: str, timeout: float = 90.0) -> None:
        # What a cell shows may come after what it is answered with.
        self.wait(
            lambda: cell in self._replies and cell in self._idle, f"the end of a cell ({self._answers} left)", timeout
        )
        reply = self._replies[cell]
        assert reply["status"] == "ok", "\n".join(reply.get("traceback", [str(reply)]))

    def run(self, code: str, *answers: str) -> None:
        self.finish(self.start(code, *answers))

    def fail(self, code: str) -> None:
        """Runs a cell to its end, which is an error."""
        self.failure(self.start(code))

    def failure(self, cell: str) -> str:
        """Waits for the end of a cell, which is an error; returns what is shown of it."""
        self.wait(lambda: cell in self._replies and cell in self._idle, "the end of a cell")
        assert self._replies[cell]["status"] == "error", "it did not fail"
        return "\n".join(self._replies[cell]["traceback"])

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def wait(self, condition: Any, what: str, timeout: float = 90.0) -> None:
        """Reads what the kernel says until a condition holds."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"no {what} within {timeout} s"
            self._read()

    def wait_for_text(self, text: str) -> None:
        self.wait(lambda: text in self.text, f"{text!r} in the output")

    def see(self, values: str, text: str, *answers: str) -> None:
        """Runs a cell that prints values, and waits until a text is there."""
        self.run(f"print({values})", *answers)
        self.wait_for_text(text)

    @property
    def markdown(self) -> str:
        """What is displayed now, as Markdown."""
        return "\n\n".join(looks[-1] for looks in self.shows.values())

    # ---- widgets -------------------------------------------------------------------------------

    def shown(self) -> list[str]:
        """The texts of the widgets that are there, and what is displayed."""
        texts = [state.get("value") or state.get("description") for state in self.widgets.values()]
        texts += [looks[-1] for looks in self.shows.values()]
        return [text for text in texts if isinstance(text, str) and text]

    def wait_for_button(self, description: str) -> str:
        """Waits until a button is on the screen, and with it all that is shown together with it; returns its id."""

        def seen() -> list[str]:
            return [comm for comm in self._find("description", description) if comm in self._on_screen()]

        # A button is made before what it stands in, and that before it is displayed: none can be pressed until then.
        self.wait(seen, f"button {description!r}")
        return seen()[0]

    def click(self, description: str) -> str:
        button = self.wait_for_button(description)
        self._tell(button, {"method": "custom", "content": {"event": "click"}})
        return button

    def wait_for_end_of(self, widget: str) -> None:
        """Waits until a widget is gone, and with it those that were shown together with it."""
        self.wait(lambda: widget not in self.widgets, "end of a widget")

    def write(self, description: str, value: str) -> None:
        """Waits for the field of that tooltip or placeholder, and writes into it."""

        def seen() -> list[str]:
            fields = self._find("tooltip", description) or self._find("placeholder", description)
            return [field for field in fields if field in self._on_screen()]

        self.wait(seen, f"field {description!r}")
        self._tell(seen()[-1], {"method": "update", "state": {"value": value}, "buffer_paths": []})

    def _find(self, name: str, value: str) -> list[str]:
        return [comm for comm, state in self.widgets.items() if state.get(name) == value]

    def _on_screen(self) -> set[str]:
        """Returns the ids of the widgets that are displayed, by themselves or within others."""
        found, rest = set[str](), list(self._views)
        while rest:
            comm = rest.pop()
            if comm in self.widgets and comm not in found:
                found.add(comm)
                rest += [child.removeprefix("IPY_MODEL_") for child in self.widgets[comm].get("children", ())]
        return found

    def _tell(self, comm: str, data: Message) -> None:
        message = self._client.session.msg("comm_msg", {"comm_id": comm, "data": data})
        self._client.shell_channel.send(message)

    # ---- within --------------------------------------------------------------------------------

    def _read(self) -> None:
        for channel, take in (
            (self._client.iopub_channel, self._heard),
            (self._client.shell_channel, self._replied),
            (self._client.stdin_channel, self._asked),
        ):
            try:
                while True:
                    take(channel.get_msg(timeout=0.02))
            except queue.Empty:
                pass

    def _heard(self, message: Message) -> None:
        content = message["content"]
        if message["msg_type"] in ("display_data", "update_display_data") and _VIEW in content["data"]:
            self._views.add(content["data"][_VIEW]["model_id"])
        if message["msg_type"] == "stream":
            self.text += content["text"]
        elif message["msg_type"] == "comm_open" and content["target_name"] == "jupyter.widget":
            self.widgets[content["comm_id"]] = dict(content["data"]["state"])
            self.opened.append(content["data"]["state"]["_model_name"])
        elif message["msg_type"] == "comm_msg" and content["data"].get("method") == "update":
            self.widgets.setdefault(content["comm_id"], {}).update(content["data"]["state"])
        elif message["msg_type"] == "comm_close":
            self.widgets.pop(content["comm_id"], None)
        elif message["msg_type"] in ("display_data", "update_display_data") and "text/html" in content["data"]:
            html, display = content["data"]["text/html"], content["transient"]["display_id"]
            # What takes the place of widgets in a notebook that is opened again, and is not seen before.
            (self.kept if 'class="sessionlib-kept"' in html else self.shows.setdefault(display, [])).append(html)
        elif message["msg_type"] == "status" and content["execution_state"] == "idle":
            self._idle.add(message["parent_header"].get("msg_id", ""))
        elif message["msg_type"] == "execute_result":
            self.results.append(content["data"])
        elif message["msg_type"] == "error":
            self.text += re.sub(r"\x1b\[[\d;]*m", "", "\n".join(content["traceback"]))

    def _replied(self, message: Message) -> None:
        if message["msg_type"] == "execute_reply":
            self._replies[message["parent_header"]["msg_id"]] = message["content"]

    def _asked(self, message: Message) -> None:
        self.prompts.append(message["content"]["prompt"])
        if self._answers:
            self._client.input(self._answers.pop(0))
