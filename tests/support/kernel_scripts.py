"""Scripts that drive a kernel, each in an interpreter of its own."""

from __future__ import annotations

import textwrap

from tests.support.processes import Result, run_script
from tests.support.script_engine import ScriptEngine

OPEN = """
import os
from sessionlib import Session, ask_notebook
session = Session(session_id="s1", api_key="k", base_url={url!r}).connect()
undo = session.on_approval(ask_notebook)
"""

LOCAL = """
import os
import time
from sessionlib.engine import LocalEngine, tool
from sessionlib.engine.models import Text, Thinking
import sessionlib

ran = []

@tool(approval="requires_approval")
def refund(order: str, amount: float = 1.0, urgent: bool = False, lines: list = [], count: int = 1) -> str:
    '''Refund an order.'''
    ran.append((order, amount, urgent, lines, count))
    return f"{amount:.2f} EUR refunded for order {order}"

@tool
def double(x: int) -> int:
    '''Double.'''
    return 2 * x

class Says:
    name = "says"

    def __init__(self, *pieces):
        self.pieces = pieces

    def answer(self, question):
        for piece in self.pieces:
            if callable(piece):
                piece(question.stop)
            else:
                yield piece

    def close(self):
        pass

def until(path):
    def wait(stop):
        while not os.path.exists(path) and not stop.stopped:
            time.sleep(0.01)
    return wait

engine = LocalEngine(tools=[refund, double], model=MODEL).start()
session = engine.agent().create_session().connect()
"""


def in_kernel(engine: ScriptEngine, source: str, *, stdin: bool = True) -> Result:
    """Runs a script with an open kernel in it, called ``kernel``, which has an open ``session`` with the engine."""
    return _run(OPEN.format(url=engine.base_url), source, "session.disconnect()", stdin)


def in_local_kernel(source: str, *, model: str = "'demo'") -> Result:
    """Runs a script with an open kernel in it, which has an engine of its own, and an open ``session``.

    Args:
        source: The script.
        model: The engine's model, as Python; ``Says(...)`` gives those pieces, and waits
            for a file where one is ``until(path)``.
    """
    return _run(LOCAL.replace("MODEL", model), source, "session.disconnect(); engine.close()", True)


def _run(begin: str, source: str, end: str, stdin: bool) -> Result:
    script = (
        "from tests.support.kernel import Kernel\n"
        f"with Kernel(stdin={stdin}) as kernel:\n"
        f"    kernel.run({begin!r})\n"
        + textwrap.indent(textwrap.dedent(source), "    ")
        + f"\n    kernel.run({end!r})\n"
    )
    result = run_script(script, timeout=280)
    assert result.rc == 0, f"{result.stdout}\n{result.stderr}"
    return result
