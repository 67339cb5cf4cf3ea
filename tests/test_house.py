"""The house: imports flow one way, each third-party name lives in one room, and the surface is what it says."""

from __future__ import annotations

import ast
import graphlib
import importlib
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import sessionlib

PACKAGE = Path(sessionlib.__file__).parent

# Each layer may import from those above it, and from itself. `__main__` and the package's own face stand outside.
LAYERS = [
    ["_version", "errors", "_util", "net"],  # nothing of sessions
    ["config", "events", "content", "display"],  # values, and how they look
    ["protocol"],  # sans-I/O: no socket, thread, lock or clock
    ["transport", "rest"],  # bytes; they never import each other
    ["hooks", "client"],  # the two process-wide seams; HTTP calls through them
    ["streams"],  # from the reader thread to the user's threads
    ["connection"],  # owns every thread and socket of the client
    ["approvals", "history", "reply", "turn"],
    ["session"],
    ["agent", "chatbot", "telemetry", "executors"],
    ["engine", "testing", "pytest_plugin"],
    ["notebook", "cli", "quickstart"],
]
LAYER_OF = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
EDGES = ["engine", "testing", "pytest_plugin", "notebook", "cli", "quickstart"]

# Imports against the layers: inside a function, or for type checkers alone. There are no others.
AGAINST = {
    ("errors", "events"),
    ("errors", "turn"),
    ("errors", "approvals"),
    ("approvals", "session"),
    ("rest", "client"),
    ("rest", "session"),
    ("session", "notebook"),
}

# Each third-party name, and the rooms that may know of it.
HOMES = {
    "websocket": ["transport"],
    "requests": ["rest", "client"],
    "urllib3": ["rest", "client"],
    "certifi": ["net"],
    "dataclasses_json": ["_util"],
    "marshmallow": ["_util"],
    "orjson": ["protocol"],
    "ray": ["executors"],
    "flask": ["engine"],
    "pydantic": ["engine", "_util"],
    "typing_extensions": ["_util"],
    "wsproto": ["engine"],
    "xllamacpp": ["engine"],
    "openai": ["engine"],
    "pandas": ["display", "history"],
    "matplotlib": ["display"],
    "markdown_it": ["display"],
    "pygments": ["display"],
    "tqdm": ["_util"],
    "IPython": ["notebook"],
    "ipywidgets": ["notebook"],
    "click": ["cli"],
    "libcst": ["cli"],
    "dotenv": ["config"],
    "rich": ["cli"],
    "prompt_toolkit": ["cli"],
    "pytest": ["pytest_plugin"],
    "opentelemetry": ["telemetry"],
    "_typeshed": ["rest"],
}

# What `import sessionlib` must not make anybody wait for.
HEAVY = {
    *("aiohttp", "requests", "urllib3", "IPython", "ipywidgets", "flask", "werkzeug", "click", "rich", "marshmallow"),
    *("pandas", "numpy", "matplotlib", "certifi", "dotenv", "libcst"),
}


class Import(NamedTuple):
    """One name that a module imports.

    ``running`` is false where only a type checker sees it, ``loading`` true where it runs as the module is loaded.
    """

    module: str
    line: int
    target: str
    running: bool
    loading: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"

    @property
    def rooms(self) -> tuple[str, str]:
        return room_of(self.module), room_of(self.target)


# ---- reading the package -------------------------------------------------------------------


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name, parsed."""
    return {_dotted(path): ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def _dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports() -> list[Import]:
    return [found for module, tree in trees().items() for found in _imports_of(module, tree)]


def _imports_of(module: str, tree: ast.Module) -> Iterator[Import]:
    unseen = _lines_of(node for node in ast.walk(tree) if isinstance(node, ast.If) and _is_type_checking(node.test))
    later = _lines_of(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            running = node.lineno not in unseen
            for target in _targets(module, node):
                yield Import(module, node.lineno, target, running, running and node.lineno not in later)


def _lines_of(nodes: Iterable[ast.If | ast.FunctionDef]) -> set[int]:
    blocks = [block for node in nodes for block in node.body]
    return {line for block in blocks for line in range(block.lineno, (block.end_lineno or 0) + 1)}


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test).removeprefix("typing.") == "TYPE_CHECKING"


def _targets(module: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    assert not node.level, f"{module}:{node.lineno}: names are imported by the whole path"
    base = node.module or ""
    for alias in node.names:
        name = f"{base}.{alias.name}"
        yield name if name in trees() else base


def room_of(module: str) -> str:
    """The room of a module of the package; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def _is_ours(target: str) -> bool:
    return target.split(".")[0] == "sessionlib"


# ---- how imports flow ----------------------------------------------------------------------


def test_imports_of_every_form_are_seen() -> None:
    seen = {(found.module, found.target, found.running) for found in imports()}
    assert ("sessionlib.session", "sessionlib.connection.connection", True) in seen
    assert ("sessionlib.connection.connection", "sessionlib.protocol.codec", True) in seen
    assert ("sessionlib.errors", "sessionlib.events", False) in seen


def test_every_module_has_a_layer() -> None:
    unknown = sorted({room_of(module) for module in trees()} - {"", "__main__", *LAYER_OF})
    assert not unknown, f"in no layer: {unknown}"


def test_imports_flow_one_way() -> None:
    upward = [found for found in imports() if _is_against_the_layers(found)]
    late = AGAINST - {("rest", "client")}  # allowed, but not where it runs as the module is loaded
    unexpected = [str(one) for one in upward if one.rooms not in AGAINST or (one.loading and one.rooms in late)]
    assert not unexpected, "\n".join(unexpected)
    used = {found.rooms for found in upward}
    assert used >= AGAINST, f"allowed, but not needed any more: {AGAINST - used}"


def _is_against_the_layers(found: Import) -> bool:
    module, target = found.rooms
    is_upward = module in LAYER_OF and LAYER_OF.get(target, len(LAYERS)) > LAYER_OF[module]
    return _is_ours(found.target) and (is_upward or {module, target} == {"transport", "rest"})


def test_no_import_goes_round_in_a_circle() -> None:
    graph = {module: {i.target for i in imports() if i.module == module and i.loading} for module in trees()}
    graphlib.TopologicalSorter(graph).prepare()  # or it raises a CycleError that names the circle


def test_each_third_party_name_lives_in_its_room() -> None:
    strangers = [
        str(found)
        for found in imports()
        if (top := found.target.split(".")[0]) not in {"sessionlib", "__future__", *sys.stdlib_module_names}
        if room_of(found.module) not in HOMES.get(top, [])
    ]
    assert not strangers, "not at home here (see HOMES):\n" + "\n".join(strangers)


# ---- sizes ---------------------------------------------------------------------------------


def test_nothing_is_monstrous() -> None:
    """Limits on code, not on docstrings; they warn of the monstrous, and nobody splits a class to please them."""
    long = {name: lines for name, lines in _sizes(ast.FunctionDef) if lines > 60}
    large = {name: lines for name, lines in _sizes(ast.ClassDef) if lines > 500}
    assert not long | large


def _sizes(kind: type[ast.FunctionDef] | type[ast.ClassDef]) -> Iterator[tuple[str, int]]:
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, kind):
                yield f"{module}.{node.name}", _lines_of_code(node)


def _lines_of_code(node: ast.FunctionDef | ast.ClassDef) -> int:
    """The lines of a definition without its docstrings."""
    lines = (node.end_lineno or 0) - node.lineno + 1
    for inner in ast.walk(node):
        if isinstance(inner, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(inner) is not None:
            lines -= (inner.body[0].end_lineno or 0) - inner.body[0].lineno + 1
    return lines


def test_the_house_is_no_larger_than_it_has_to_be() -> None:
    top = [module for module in trees() if module.count(".") == 1]
    packages = [module for module in top if PACKAGE.joinpath(module.split(".")[1]).is_dir()]
    assert len(packages) <= 14
    assert len(top) - len(packages) + 1 <= 18  # and the package's own face
    assert len(trees()) <= 170


def test_every_class_has_a_name_of_its_own() -> None:
    where: dict[str, list[str]] = {}
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                where.setdefault(node.name, []).append(module)
    assert not {name: modules for name, modules in where.items() if len(modules) > 1}


# ---- where tests stand ---------------------------------------------------------------------

TESTS = Path(__file__).parent
# Folders and files whose tests are of no single module, and what they are of instead.
CROSS_CUTTING = {
    "benchmarks": "measurements, beside other packages",
    "faults": "a session, an engine and a network between them that fails",
    "interop": "the official SDK and its scripts, beside this package",
    "mutants": "faults in the package, and the tests that notice them",
    "support": "the tests' own helpers",
    "notebook/test_in_browser": "what a page of JupyterLab runs of what was shown",
    "notebook/test_in_jupyterlab": "clicks in a page, a kernel and a session",
    "notebook/test_reprs": "what IPython shows of values from all packages",
    "transport/test_conformance": "RFC 6455: handshake, stream and frames together",
    "test_docs": "pages",
    "test_docstrings": "the docstrings of all that is public",
    "test_examples": "code on pages, in the help and in docstrings",
    "test_extras": "the package without what is optional",
    "test_house": "imports, sizes and names of the whole",
    "test_notebooks": "the notebooks",
    "test_prose": "words",
    "test_readme": "the README",
    "test_walks": "how far an event and a call go through all packages",
}
# Modules that are promised through another one, and in whose file.
TESTED_WITH = {
    "__main__": "cli/test_main",
    "_version": "cli/test_main",
    "_util/executor": "approvals/test_manager",
    "_util/ipython": "notebook/test_views",
    "agent/models": "agent/test_agent",
    "agent/run": "agent/test_agent",
    "cli/notes": "cli/test_main",
    "cli/options": "cli/test_main",
    "cli/output": "cli/test_ask",
    "cli/port_names": "cli/test_port",
    "cli/target": "cli/test_ask",
    "connection/options": "connection/test_connection",
    "display/tables": "display/test_latency",
    "engine/__main__": "engine/test_limits",
    "engine/errors": "engine/store/test_database",
    "engine/models/base": "testing/test_model",
    "engine/models/demo": "engine/sessions/test_turn",
    "engine/models/factory": "engine/models/test_openai",
    "engine/serve": "cli/test_serve",
    "engine/server/connection": "engine/server/test_server",
    "engine/server/http": "engine/server/test_server",
    "engine/server/send_queue": "engine/test_limits",
    "engine/sessions/broadcast": "engine/sessions/test_registry",
    "engine/sessions/cancellation": "engine/tools/test_runner",
    "engine/sessions/content": "engine/sessions/test_turn",
    "engine/store/records": "engine/store/test_database",
    "engine/tools/worker": "engine/tools/test_isolated",
    "executors": "agent/test_map",
    "hooks": "streams/test_hub",
    "notebook/display": "notebook/test_views",
    "notebook/live": "notebook/test_forms",
    "notebook/sections": "notebook/test_views",
    "protocol/codec": "protocol/test_parser",
    "reply": "test_turn",
    "rest/deadlines": "rest/test_pool",
    "rest/resource": "agent/test_agent",
    "testing/comparison": "testing/test_expectations",
    "testing/faults/connection": "testing/faults/test_proxy",
    "testing/faults/toxics": "testing/faults/test_proxy",
    "testing/format": "testing/test_cassette",
    "testing/recorder": "testing/test_cassette",
    "transport/base": "transport/test_websocket",
}


def test_tests_stand_where_their_module_does() -> None:
    files = {path.relative_to(TESTS).with_suffix("").as_posix() for path in TESTS.rglob("test_*.py")}
    modules = {path.relative_to(PACKAGE).with_suffix("").as_posix() for path in PACKAGE.rglob("*.py")}
    modules = {module for module in modules if not module.endswith("__init__")}
    own = {module.removesuffix(name) + f"test_{name}": module for module in modules for name in [module.split("/")[-1]]}
    # Where a module's tests are many, each of the files says after its name which of them it has.
    lost = [file for file in files if not any(file == name or file.startswith(f"{name}_") for name in own)]
    argued = {
        file: next((key for key in CROSS_CUTTING if file == key or file.startswith(f"{key}/")), "") for file in lost
    }
    assert "" not in argued.values(), f"of no module's name: {sorted(file for file in lost if not argued[file])}"
    assert set(argued.values()) == set(CROSS_CUTTING), "argued, but not there any more"
    alone = {module for name, module in own.items() if name not in files}
    assert alone == set(TESTED_WITH), f"without a file of their name, or with one by now: {alone ^ set(TESTED_WITH)}"
    assert set(TESTED_WITH.values()) <= files


# ---- no event loop -------------------------------------------------------------------------


def test_nothing_in_the_package_is_asynchronous() -> None:
    kinds = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    found = [
        f"{module}:{node.lineno} {type(node).__name__}"
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, kinds) or (isinstance(node, ast.comprehension) and node.is_async)
    ]
    found += [str(i) for i in imports() if i.target.split(".")[0] in ("asyncio", "aiohttp", "anyio", "trio")]
    assert not found, "\n".join(found)


@cache
def modules_after(statement: str) -> frozenset[str]:
    """What a fresh interpreter has loaded after a statement."""
    code = f"{statement}; import json, sys; print(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=PACKAGE.parent)
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr, ran.stderr
    return frozenset(json.loads(ran.stdout))


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = modules_after("import sessionlib")
    assert "sessionlib.session" in loaded
    # marshmallow and typing_inspect come with dataclasses_json, which alone is let in.
    allowed = modules_after("import websocket, dataclasses_json, orjson")
    heavy = {name for name in loaded - allowed if name.split(".")[0] in HEAVY}
    edges = {name for name in loaded if room_of(name) in EDGES and _is_ours(name)}
    assert not heavy | edges
    # Of the standard library, what takes longest and is of use to a connection or a terminal alone.
    assert not {"ssl", "getpass"} & loaded


def test_importing_the_package_loads_no_event_loop() -> None:
    loops = {name for name in modules_after("import sessionlib") if name.split(".")[0] in ("asyncio", "selectors")}
    theirs = modules_after("import websocket, dataclasses_json, orjson")
    assert loops <= theirs, "not by what we stand on, so by our doing"
    assert "asyncio" in modules_after("import asyncio")  # or this test could not fail


# ---- the surface ---------------------------------------------------------------------------


def test_all_is_what_can_be_imported() -> None:
    names = sessionlib.__all__
    assert len(set(names)) == len(names)
    assert {name: hasattr(sessionlib, name) for name in names} == dict.fromkeys(names, True)
    reachable = {
        name
        for name in dir(sessionlib)
        if not name.startswith("_") and not isinstance(getattr(sessionlib, name), ModuleType)
    }
    assert reachable - {"annotations"} == set(names) - {"__version__"}


def test_every_module_keeps_its_word() -> None:
    for module in map(importlib.import_module, _importable()):
        missing = [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)]
        assert not missing, f"{module.__name__} does not have what its __all__ names: {missing}"


PORTED = {
    "session": "Session UserSessionMessage SessionError SessionDisconnectedError ApprovalResponse",
    "events": "SessionEvent SessionEventType SessionMessage SessionMessageStatus SessionMessageRole MessageSender "
    "ParticipantStatus",
    "agent": "Agent AgentType LlmInfo MemoryConfig Tool ToolApprovalConfig ToolInput ToolInputType",
    "chatbot": "Chatbot",
}


@pytest.mark.parametrize("room", [room for room in PORTED if f"sessionlib.{room}" in trees()])
def test_a_ported_import_needs_only_the_new_package_name(room: str) -> None:
    module = importlib.import_module(f"sessionlib.{room}")
    for name in PORTED[room].split():
        assert name in module.__all__
        assert getattr(sessionlib, name) is getattr(module, name)


def test_every_module_and_public_name_has_a_docstring() -> None:
    silent = [module for module, tree in trees().items() if not ast.get_docstring(tree)]
    silent += [f"{module}.{name}" for module, tree in trees().items() if _is_public(module) for name in _silent(tree)]
    assert not silent, "\n".join(silent)


def _is_public(module: str) -> bool:
    """The modules at the top, and what the packages among them that users import from show there."""
    return module.count(".") < 2 and not module.startswith("sessionlib._")


def _importable() -> list[str]:
    # An edge may need an extra that is not installed; the modules of the client need none.
    return [name for name in trees() if room_of(name) not in EDGES]


def _silent(tree: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[str]:
    """The public names below a node that have no docstring."""
    for node in tree.body:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef)) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node) and "overload" not in [ast.unparse(mark) for mark in node.decorator_list]:
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _silent(node, f"{prefix}{node.name}.")
