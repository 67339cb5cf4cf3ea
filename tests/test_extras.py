"""With nothing but the base installed: all that needs no extra works, and the rest says which one it needs."""

from __future__ import annotations

import configparser
import importlib.metadata
import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.processes import ROOT, run_script
from tests.support.script_engine import ScriptEngine, agent_message, text_content, turn, user_message

EXTRAS = {
    *("engine", "typed", "otel", "openai", "local", "cli", "port", "progress", "pandas", "plot", "dask", "ray"),
    "notebook",
}
# What some of their libraries are imported as.
IMPORTED = {"ipython": "IPython", "distributed": "dask", "opentelemetry-api": "opentelemetry"}

# Hides libraries as if they were not installed.
HIDE = """
import importlib.abc, sys

class Hidden(importlib.abc.MetaPathFinder):
    names = set({names!r})
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""

WORKS = """
import pickle, sys
from pathlib import Path
import sessionlib
from sessionlib import Agent, Client, History, Session, approve_all, latencies
from sessionlib.testing import record, replay

url, folder = sys.argv[1], Path(sys.argv[2])
client = Client("k", base_url=url)
with Session(session_id="s1", client=client) as session:
    reply = session.ask("Hi", on_approval=approve_all)
    assert reply.text == "Hello there", reply
    assert "".join(session.stream("Hi").text_stream) == "Hello there"
    assert session.ask(b"abc", filename="a.txt", progress=lambda done, total: None).text == "Hello there"
    assert session.ask("Hi", show=True).text == session.chat("Hi").text
    session.send("Hi")
    assert next(event for event in session.listen(timeout=30) if event.is_complete).text == "Hello there"
    history = session.history()
for name in ("talk.jsonl", "talk.json", "talk.md", "talk.txt", "talk.csv"):
    history.save(folder / name)
assert History.load(folder / "talk.jsonl") == history
assert "You asked" in history.to_markdown() and history._repr_html_()
assert len(reply.times) == len(reply.events)
results = list(Agent("a1", agent_type="conversational", client=client).map(["one", "two"]))
assert "2 answers" in repr(latencies(results))
assert pickle.loads(pickle.dumps(results)) == results
for tape in (record, replay):
    with tape(folder / "tape.jsonl"), Session(session_id="s1", client=client) as session:
        assert session.ask("Hi").text == "Hello there"
print("works")
"""

TELLS = """
import sys
from sessionlib import Agent, Client, MissingExtraError, Session, latencies, load_ipython_extension, notebook

client = Client("k", base_url=sys.argv[1])
agent = Agent("a1", agent_type="conversational", client=client)

def needs(attempt):
    try:
        attempt()
    except MissingExtraError as error:
        assert isinstance(error, ImportError)
        print(error.extra, "|", error)

def telemetry():
    from sessionlib.telemetry import instrument
    instrument()

def engine():
    from sessionlib.engine import LocalEngine

with Session(session_id="s1", client=client) as session:
    reply = session.ask("Hi")
    history = session.history()
    needs(history.to_dataframe)
    needs(reply.plot)
    needs(latencies([reply]).plot)
    needs(latencies([reply]).to_dataframe)
    needs(lambda: session.send(b"abc", progress=True))
    needs(lambda: agent.map(["one"], progress=True))
    needs(lambda: session.ask("Hi", into=int))
needs(engine)
needs(telemetry)
needs(lambda: notebook.approvals(None))
needs(lambda: load_ipython_extension(None))
"""

MODELS = """
import sys
from sessionlib.engine import LocalEngine, ModelError

for model in sys.argv[1:]:
    try:
        LocalEngine(model=model).start()
    except ModelError as error:
        print(error)
"""


def _setup() -> configparser.ConfigParser:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return setup


def optional_libraries() -> set[str]:
    """What the extras of the package bring that are not for its own development."""
    extras = dict(_setup()["options.extras_require"])
    brought = {name: re.findall(r"^([\w-]+)", told, re.M) for name, told in extras.items()}
    return {library for name, libraries in brought.items() if name in EXTRAS for library in libraries}


def hide(*names: str) -> str:
    return HIDE.format(names=sorted(names))


def base_only() -> str:
    brought = {IMPORTED.get(name, name) for name in optional_libraries()}
    return hide(*brought, "distributed", "numpy", "pytest", "traitlets", "jupyter_client")


def serve(engine: ScriptEngine) -> str:
    """Has every message answered, and gives where."""
    engine.history = [
        user_message("s1", "u1", "You asked"),
        agent_message("s1", "m1", text_content("Hello there")),
    ]
    for kind in ("post_message", "post_messages"):
        engine.on(kind, lambda conn, frame, kind=kind: conn.send_many(turn(ack=kind)))
    return engine.base_url


def test_every_extra_that_is_named_exists_and_is_tried_here() -> None:
    setup = _setup()
    source = "".join(path.read_text("utf-8") for path in (ROOT / "sessionlib").rglob("*.py"))
    named = set(re.findall(r"""sessionlib\[([a-z]+)\]|\bextra\("([a-z]+)\"""", source)) - {("", "")}
    assert {one or other for one, other in named} <= EXTRAS <= set(setup["options.extras_require"])
    assert {"pandas", "matplotlib", "tqdm", "rich", "wsproto", "ipywidgets"} <= optional_libraries()


def test_the_base_install_is_small() -> None:
    """The package and all that it brings, at most fifteen."""
    brought, left = {"sessionlib"}, [str(one) for one in _setup().get("options", "install_requires").split("\n") if one]
    while left:
        required = Requirement(left.pop())
        name = canonicalize_name(required.name)
        if name not in brought and (required.marker is None or required.marker.evaluate({"extra": ""})):
            brought.add(name)
            left += importlib.metadata.requires(name) or []
    assert len(brought) <= 15, sorted(brought)


def test_the_base_install_talks_listens_and_keeps_what_was_said(engine: ScriptEngine, tmp_path: Path) -> None:
    result = run_script(base_only() + WORKS, serve(engine), str(tmp_path))
    assert (result.rc, result.stderr) == (0, ""), result
    assert result.stdout.endswith("works\n")


def test_what_needs_an_extra_says_which(engine: ScriptEngine) -> None:
    told = run_script(base_only() + TELLS, serve(engine)).check().stdout.splitlines()
    assert [line.partition(" | ")[0] for line in told] == [
        *("pandas", "plot", "plot", "pandas", "progress", "progress", "typed", "engine", "otel"),
        *("notebook", "notebook"),
    ]
    for line in told:
        extra, _, text = line.partition(" | ")
        assert re.fullmatch(rf".+ needs \w+; install it with: pip install 'sessionlib\[{extra}\]'", text), text


def test_the_command_line_says_what_it_needs() -> None:
    source = base_only() + "import runpy; runpy.run_module('sessionlib', run_name='__main__', alter_sys=True)"
    result = run_script(source, "ask", "Hi")
    assert (result.rc, result.stdout) == (1, "")
    assert result.stderr == "sessionlib: the command line needs click; install it with: pip install 'sessionlib[cli]'\n"


def test_models_say_what_they_need(tmp_path: Path) -> None:
    weights = tmp_path / "weights.gguf"
    weights.touch()
    told = run_script(hide("openai", "xllamacpp") + MODELS, "openai:gpt", f"local:{weights}").check().stdout
    assert re.findall(r"pip install 'sessionlib\[(\w+)\]'", told) == ["openai", "local"]
