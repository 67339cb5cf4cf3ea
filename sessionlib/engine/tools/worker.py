"""The process in which the tools of a file run: ``python -m sessionlib.engine.tools.worker FILE LIMIT``.

One call at a time: a JSON line in, a JSON line out. The process, and whatever its tools have started,
ends when the engine does, however that ends.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from typing import Any

from sessionlib.engine.tools.runner import MARK, call_tool, kill_marked
from sessionlib.engine.tools.schema import load_tools

__all__ = ["main"]


def main(path: str, limit: int) -> None:
    """Runs calls until the engine closes the pipe.

    Args:
        path: The tools file.
        limit: Bytes of a result that are kept.
    """
    # The pipe to the engine is moved away from descriptor 1: what tools write there must not get into it.
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    calls: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    # A daemon, because it waits for the engine's next word for as long as there is an engine.
    threading.Thread(target=_listen, args=(calls,), name="sessionlib-calls", daemon=True).start()
    # On the main thread, where libraries expect to be imported, and may set signal handlers.
    tools = {tool.name: tool for tool in load_tools(path)}
    while True:
        # From a queue: the pipe is read by another thread, which notices at once that the engine is gone.
        call = calls.get()
        tool = tools[call["tool"]]
        outcome = call_tool(tool, tool.validate(call["arguments"]), limit)
        answers.write(json.dumps(vars(outcome)).encode() + b"\n")
        answers.flush()


def _listen(calls: queue.SimpleQueue[dict[str, Any]]) -> None:
    with os.fdopen(os.dup(0), "rb") as pipe:
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)
        os.close(nowhere)
        for line in pipe:
            calls.put(json.loads(line))
    # The engine is gone. What tools have started goes as well: it is in this process's group, or bears its mark.
    kill_marked(os.environ.get(MARK, ""))
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
