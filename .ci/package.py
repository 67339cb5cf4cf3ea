"""Builds the package, checks it, and uses it with each extra in an environment of its own."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from environments import DEVELOPERS, ROOT, empty, install, put, requirements, run

# What `pip install sessionlib` may bring along.
MOST_PACKAGES = 15

ASK = """
from sessionlib.engine import LocalEngine
with LocalEngine() as engine, engine.agent(name="Echo").create_session() as session:
    reply = session.ask("Hello")
assert "Hello" in reply.text
"""

# What shows that an extra brings what it is for; those that it is of use with, then the code.
SMOKE = {
    "": (
        [],
        """
import importlib.metadata, subprocess, sys, sessionlib
assert sessionlib.__version__ == importlib.metadata.version("sessionlib")
sessionlib.Session(session_id="s1", api_key="k")
told = subprocess.run([sys.executable, "-m", "sessionlib", "--version"], capture_output=True, text=True)
assert told.returncode == 1 and "sessionlib[cli]" in told.stderr and "Traceback" not in told.stderr, told.stderr
""",
    ),
    "engine": ([], ASK),
    "typed": (
        ["engine"],
        """
from sessionlib.engine import LocalEngine
with LocalEngine() as engine, engine.agent(name="Echo").create_session() as session:
    assert isinstance(session.ask("Hello", into=list[int]).value, list)
""",
    ),
    "openai": (
        ["engine"],
        """
import os
os.environ["OPENAI_API_KEY"] = "k"
from sessionlib.engine import LocalEngine
with LocalEngine(model="openai:any"):
    pass
""",
    ),
    "local": (
        ["engine"],
        """
import tempfile, os
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()
import xllamacpp
from sessionlib.engine import LocalEngine, ModelError
try:
    LocalEngine(model="local").start()
except ModelError as error:
    assert "models pull" in str(error), error
""",
    ),
    "cli": (
        ["engine"],
        """
import subprocess, sys
told = subprocess.run([sys.executable, "-m", "sessionlib", "ask", "Hello"], capture_output=True, text=True)
assert told.returncode == 0 and "Hello" in told.stdout, told.stderr
""",
    ),
    "port": (
        [],
        """
import pathlib, subprocess, sys
from sessionlib.agent.tools import ExaAiTool
assert "query" in ExaAiTool(tool_name="search").inputs
script = pathlib.Path("sdk_script.py")
script.write_text("import vectorshift\\nawait main()\\n")
command = [sys.executable, "-m", "sessionlib", "port", "--write", str(script)]
told = subprocess.run(command, capture_output=True, text=True)
assert script.read_text() == "import sessionlib\\nmain()\\n", told.stderr
script.unlink()
""",
    ),
    "progress": (
        ["engine"],
        ASK.replace('session.ask("Hello")', 'session.ask("Hello", files=[bytes(9)], progress=True)'),
    ),
    "pandas": (["engine"], ASK.replace("    reply", "    frame = session.history().to_dataframe()\n    reply")),
    "plot": (
        ["engine"],
        'import matplotlib\nmatplotlib.use("agg")\n' + ASK + "reply.plot().figure.savefig('turn.png')\n",
    ),
    "dask": (
        ["engine"],
        """
import os
from distributed import Client
from sessionlib.engine import LocalEngine
with LocalEngine() as engine, Client(processes=False, dashboard_address=None) as dask:
    os.environ["SESSIONLIB_API_KEY"] = engine.api_key
    results = list(engine.agent(name="Echo").map(["one", "two"], executor=dask.get_executor()))
assert [result.status for result in results] == ["complete", "complete"]
""",
    ),
    "ray": ([], "import importlib.metadata\nfrom sessionlib.executors import ray\nimportlib.metadata.version('ray')\n"),
    "otel": (
        ["engine"],
        f"from sessionlib.telemetry import instrument\nstop = instrument()\n{ASK}stop()\n",
    ),
    "notebook": (
        [],
        """
import sessionlib.notebook, ipywidgets, IPython
assert sessionlib.ask_notebook is sessionlib.notebook.ask_notebook
""",
    ),
}


def main() -> None:
    """Does all of it."""
    forgotten = set(requirements()) ^ {*SMOKE, *DEVELOPERS}
    if forgotten:
        sys.exit(f"extras without a check, or checks without an extra: {sorted(forgotten)}")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        wheel = _build(work / "dist")
        with ThreadPoolExecutor(2) as pool:
            for told in pool.map(functools.partial(_try, wheel, work), SMOKE):
                print(told, flush=True)


def _try(wheel: Path, work: Path, extra: str) -> str:
    others, code = SMOKE[extra]
    python = empty(work / f"with-{extra}")
    if extra:
        put(python, wheel, [extra, *others])
    else:
        install(python, str(wheel))
    run(python, "-W", "error::ResourceWarning", "-c", code, cwd=work)
    return f"works with [{extra}]" if extra else f"works with nothing but {_count(python)}"


def _build(where: Path) -> Path:
    told = run(Path(sys.executable), "-m", "build", "--outdir", str(where), str(ROOT), cwd=ROOT)
    if "would be ignored" in told:
        sys.exit(told)
    print(run(Path(sys.executable), "-m", "twine", "check", "--strict", *map(str, where.iterdir()), cwd=ROOT), end="")
    return next(where.glob("*.whl"))


def _count(python: Path) -> str:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "list", "--format=freeze"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    if len(listed) - 1 > MOST_PACKAGES:
        sys.exit(f"the base install brings more than {MOST_PACKAGES} packages: {listed}")
    return " ".join(listed)


if __name__ == "__main__":
    main()
