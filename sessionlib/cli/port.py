"""``sessionlib port``: scripts and notebooks for the official async SDK, rewritten for this client.

The rewriting is of the syntax tree (libcst), so that all that is not touched stays byte for byte. What `asyncio` did
beside waiting becomes threads: a task is a future of a pool, a gather is its results, a queue is `queue.Queue`.
What has no such counterpart stays as it is and is listed with its line.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from sessionlib._util.optional import extra
from sessionlib.cli.notes import CommandError, tell
from sessionlib.cli.options import debug_option, examples

with extra("port", "sessionlib port"):
    import libcst as cst
    from libcst.metadata import MetadataWrapper, PositionProvider

__all__ = ["Ported", "port", "port_notebook", "port_source"]

SDK, OURS = "vectorshift", "sessionlib"
MAX_SIZE = 10 * 2**20  # bytes; more is data rather than a script
_SKIPPED = {"node_modules", "site-packages", "venv", "__pycache__", "build", "dist"}

# Modules of the SDK that have another name here, or that are a further name of another one.
_MODULES = {f"{SDK}.agent.{name}": f"{OURS}.agent" for name in ("object", "tool", "agent_tools", "extra_tools")} | {
    f"{SDK}.mcp_server": OURS
}
# Asynchronous twins of methods that have a blocking one, as the SDK names them.
_TWINS = {
    "a" + name: name for name in ("fetch", "list", "new", "save", "delete", "run", "upload_files", "list_tools")
} | {
    "arequest": "request",
    "astream_request": "stream_request",
    "enter_async_context": "enter_context",
    "push_async_callback": "callback",
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}
# Names with a synchronous counterpart of another name, wherever they were imported from.
_NAMES = {
    "StopAsyncIteration": "StopIteration",
    "AsyncExitStack": "ExitStack",
    "AsyncGenerator": "Generator",
    "AsyncIterable": "Iterable",
    "AsyncIterator": "Iterator",
    "AbstractAsyncContextManager": "AbstractContextManager",
    "AsyncContextManager": "ContextManager",
    "aiter": "iter",
    "anext": "next",
    "asynccontextmanager": "contextmanager",
}
# What of asyncio has a counterpart with the same methods: a module to import, and its name there.
_COUNTERPARTS = {
    "sleep": ("time", "time.sleep"),
    "Queue": ("queue", "queue.Queue"),
    "LifoQueue": ("queue", "queue.LifoQueue"),
    "PriorityQueue": ("queue", "queue.PriorityQueue"),
    "QueueEmpty": ("queue", "queue.Empty"),
    "QueueFull": ("queue", "queue.Full"),
    "Event": ("threading", "threading.Event"),
    "Lock": ("threading", "threading.Lock"),
    "Condition": ("threading", "threading.Condition"),
    "Semaphore": ("threading", "threading.Semaphore"),
    "BoundedSemaphore": ("threading", "threading.BoundedSemaphore"),
    "TimeoutError": ("", "TimeoutError"),
    "Task": ("concurrent.futures", "concurrent.futures.Future"),
    "Future": ("concurrent.futures", "concurrent.futures.Future"),
    "as_completed": ("concurrent.futures", "concurrent.futures.as_completed"),
}
_REASONS = {
    "CancelledError": "threads are not cancelled: end a blocking call with a timeout, or by disconnecting its session",
    "timeout": "asyncio.timeout has no counterpart: pass timeout= to the call, or to listen()",
    "wait": "use concurrent.futures.wait on the futures",
    "shield": "threads are not cancelled, so there is nothing to shield from",
    "get_event_loop": "there is no event loop here",
    "get_running_loop": "there is no event loop here",
    "new_event_loop": "there is no event loop here",
}
_LIBRARIES = {
    "aiofiles": "aiofiles is asynchronous: use open()",
    "aiohttp": "aiohttp is asynchronous: use requests",
    "aiosqlite": "aiosqlite is asynchronous: use sqlite3",
    "anyio": "anyio is asynchronous: use threads",
    "asyncpg": "asyncpg is asynchronous: use psycopg",
    "httpx": "httpx.AsyncClient is asynchronous: use httpx.Client",
    "motor": "motor is asynchronous: use pymongo",
    "trio": "trio is asynchronous: use threads",
    "websockets": "websockets is asynchronous by default: use websockets.sync",
}
_ALIASES = {"queue": "queues", "threading": "threads", "time": "clock"}
_POOL = "a pool of threads"
_EACH = "future"  # in a loop of its own, whose variable outlives it
_REMOVED = "__removed_by_sessionlib_port__"
_CELL = "# %% sessionlib port: cell "
_MAGIC = "# sessionlib port: magic "


@dataclass(frozen=True)
class Ported:
    """A script as it is for this client.

    Attributes:
        text: The new text.
        undecided: What was left as it is, as (line, reason), in the order of the lines.
    """

    text: str
    undecided: list[tuple[int, str]] = field(default_factory=list)


# ---- the command ---------------------------------------------------------------------------


@click.command(epilog=examples("sessionlib port script.py", "sessionlib port --write script.py notebook.ipynb"))
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--write", is_flag=True, help="Change the files, instead of only showing how.")
@debug_option
def port(paths: tuple[Path, ...], write: bool) -> None:
    """Rewrite scripts and notebooks for the official async SDK, vectorshift, for this client.

    PATHS are Python files, notebooks, or folders of them. The changes are shown on stdout as a diff; what could
    not be decided is listed on stderr, with its line and the reason.
    """
    changed = failed = 0
    for path in _files(paths):
        try:
            before = _read(path)
            if not re.search(rf"\b{SDK}\b", before):
                if path in paths:
                    tell(f"{path}: does not use {SDK}, and is left as it is")
                continue
            notebook = path.suffix == ".ipynb"
            ported, places = port_notebook(before) if notebook else (port_source(before), None)
        except (ValueError, UnicodeError, RecursionError) as error:
            tell(f"{path}: cannot be read: {error}")
            failed += 1
            continue
        changed += _report(path, before, ported, places, write)
    if failed:
        raise CommandError(f"{failed} file{'s' * (failed > 1)} could not be ported")
    if not changed:
        tell("nothing to change")


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            # In place, so that os.walk does not go into them.
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
            yield from (Path(folder, name) for name in sorted(names) if name.endswith((".py", ".ipynb")))


def _read(path: Path) -> str:
    if path.stat().st_size > MAX_SIZE:
        raise ValueError(f"it is larger than {MAX_SIZE} bytes")
    # Line ends stay as they are.
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def _report(path: Path, before: str, ported: Ported, places: dict[int, str] | None, write: bool) -> bool:
    after = ported.text
    shown = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    for line in shown:
        click.echo(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n", nl=False)
    for line_number, reason in ported.undecided:
        place = f"{path}:{line_number}" if places is None else f"{path}, {places.get(line_number, 'a cell')}"
        tell(f"{place}: {reason}")
    if write and after != before:
        _replace(path, after)
        tell(f"{path}: changed")
    return after != before


def _replace(path: Path, text: str) -> None:
    """Writes a file as a whole or not at all; a symbolic link stays one, and its target is written."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(name, target.stat().st_mode & 0o7777)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


# ---- notebooks -----------------------------------------------------------------------------


def port_notebook(text: str) -> tuple[Ported, dict[int, str]]:
    """Ports the code cells of a notebook, which share their imports, as one script.

    Args:
        text: The notebook's JSON.

    Returns:
        The notebook, and for each line of `Ported.undecided` its place, as "cell 3, line 2".

    Raises:
        ValueError: It is not a notebook, or a cell is not Python.
    """
    notebook = json.loads(text)
    found = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(found, list) or not all(isinstance(cell, dict) for cell in found):
        raise ValueError("it is not a notebook")
    cells = [cell for cell in found if cell.get("cell_type") == "code"]
    lines: list[str] = []
    places: dict[int, str] = {}
    for number, cell in enumerate(cells, 1):
        lines.append(f"{_CELL}{number}")
        source = _source_of(cell)
        whole = source.lstrip().startswith("%%")
        for line_number, line in enumerate(source.split("\n"), 1):
            # A magic or a shell command is not Python: it is kept from the parser.
            hidden = whole or line.lstrip().startswith(("%", "!"))
            lines.append(f"{_MAGIC}{line}" if hidden else line)
            places[len(lines)] = f"cell {number}, line {line_number}"
    ported = port_source("\n".join(lines) + "\n")
    parts = re.split(rf"^{re.escape(_CELL)}\d+\n", ported.text, flags=re.MULTILINE)
    if len(parts) != len(cells) + 1:
        raise ValueError("a cell begins inside of a block of the one before it")
    for cell, part in zip(cells, parts[1:], strict=True):
        source = re.sub(rf"^[ \t]*{re.escape(_MAGIC)}", "", part.removesuffix("\n"), flags=re.MULTILINE)
        source = re.sub(
            rf"^(\s*[%!].*\bpip3? install\b.*)\b{SDK}\b(==[\w.]+)?", rf"\1{OURS}", source, flags=re.MULTILINE
        )
        if source != _source_of(cell):
            cell["source"] = source.splitlines(keepends=True)
    # As Jupyter writes it, so that the diff shows what has changed and nothing else.
    indent = len(re.match(r'\{\n( *)"', text)[1]) if re.match(r'\{\n( *)"', text) else 1  # type: ignore[index]
    after = json.dumps(notebook, indent=indent, ensure_ascii=False) + "\n" * text.endswith("\n")
    return Ported(after, ported.undecided), places


def _source_of(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(source) if isinstance(source, list) else str(source)


# ---- the syntax tree -----------------------------------------------------------------------


def port_source(text: str) -> Ported:
    """Ports a script.

    Args:
        text: The script for the official SDK.

    Returns:
        The script for this client.

    Raises:
        ValueError: It is not Python.
    """
    try:
        wrapper = MetadataWrapper(cst.parse_module(text))
    except cst.ParserSyntaxError as error:
        raise ValueError(f"line {error.raw_line}: {error.message}") from None
    survey = _Survey()
    wrapper.module.visit(survey)
    porter = _Porter(survey, wrapper.resolve(PositionProvider))
    module = wrapper.module.visit(porter)
    module = module.visit(_Pruner(module, survey))
    return Ported(_with_imports(module, porter.needed, porter.pool).code, sorted(porter.undecided))


class _Survey(cst.CSTVisitor):
    """What the names of a script refer to, as far as their assignments show it.

    Names count for the whole script: scripts that use one name for a task here and for a text there are rare, and
    the diff shows what was made of them.
    """

    def __init__(self) -> None:
        self.asyncio = {"asyncio"}  # names of the module
        self.from_asyncio: dict[str, str] = {}  # other names, by what they are called here
        self.uses_sdk = False  # as `vectorshift.something`
        self.gathered: set[str] = set()  # lists whose items are awaited together
        self.futures: set[str] = set()
        self.agents: set[str] = set()
        self.loops: set[str] = set()
        self.groups: set[str] = set()
        self.assigned: set[str] = set()
        self.bound: set[str] = set()  # all names that are variables or parameters somewhere
        self.waits = False  # whether it has wait_for()

    def visit_Import(self, node: cst.Import) -> None:
        for alias in node.names:
            name = _dotted(alias.name)
            if name == "asyncio" and alias.asname:
                self.asyncio.add(_dotted(alias.asname.name))
            self.uses_sdk |= name.split(".")[0] == SDK and not alias.asname

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        if node.module and _dotted(node.module) == "asyncio" and not isinstance(node.names, cst.ImportStar):
            for alias in node.names:
                name = _dotted(alias.name)
                self.from_asyncio[_dotted(alias.asname.name) if alias.asname else name] = name

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self._assign(_dotted(target.target), node.value)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        if node.value is not None:
            self._assign(_dotted(node.target), node.value)

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:
        self.bound.add(_dotted(node.target))

    def visit_Param(self, node: cst.Param) -> None:
        self.bound.add(node.name.value)

    def visit_For(self, node: cst.For) -> None:
        name, source = _dotted(node.target), _bare(node.iter)
        if (isinstance(source, cst.Call) and self.asyncio_name(source.func) == "as_completed") or _dotted(
            source
        ) in self.gathered:
            self.futures.add(name)
        self.assigned.add(name)
        self.bound.add(name)

    def visit_WithItem(self, node: cst.WithItem) -> None:
        if isinstance(node.item, cst.Call) and self.asyncio_name(node.item.func) == "TaskGroup" and node.asname:
            self.groups.add(_dotted(node.asname.name))

    def visit_Call(self, node: cst.Call) -> None:
        self.waits |= self.asyncio_name(node.func) == "wait_for"
        if self.asyncio_name(node.func) in ("gather", "as_completed", "wait"):
            self.gathered |= {_dotted(arg.value) for arg in node.args if isinstance(arg.value, cst.Name)}

    def _assign(self, name: str, value: cst.BaseExpression) -> None:
        self.assigned.add(name)
        self.bound.add(name)
        value = _bare(value)
        if isinstance(value, cst.ListComp) and self._is_task(value.elt):
            self.gathered.add(name)
        elif isinstance(value, cst.Call):
            called = _dotted(value.func)
            if self._is_task(value):
                self.futures.add(name)
            elif called.split(".")[0] == "Agent":
                self.agents.add(name)
            elif self.asyncio_name(value.func) in ("get_event_loop", "new_event_loop", "get_running_loop"):
                self.loops.add(name)

    def _is_task(self, node: cst.BaseExpression) -> bool:
        if not isinstance(node, cst.Call):
            return False
        return self.asyncio_name(node.func) in _SPAWNING or _dotted(node.func).rpartition(".")[2] == "create_task"

    def asyncio_name(self, node: cst.CSTNode) -> str:
        """Returns what of asyncio an expression names; "" when it names nothing of it."""
        head, _, tail = _dotted(node).partition(".")
        return tail if head in self.asyncio else "" if tail else self.from_asyncio.get(head, "")


_SPAWNING = ("create_task", "ensure_future")
_LOOP_CALLS = ("run_until_complete", "create_task", "run_in_executor", "time")
_REMOVED_CALLS = ("set_event_loop", "set_event_loop_policy", "get_event_loop", "new_event_loop", "get_running_loop")


class _Porter(cst.CSTTransformer):
    """Rewrites a module; what it leaves alone is in ``undecided``, what it uses in ``needed``."""

    def __init__(self, survey: _Survey, positions: Any) -> None:
        super().__init__()
        self._survey = survey
        self._positions = positions
        self._handled: set[cst.CSTNode] = set()  # names of asyncio that the call around them takes care of
        self.undecided: set[tuple[int, str]] = set()
        self.needed: set[str] = set()  # modules to import, and the pool
        self.pool = "background" if "background" not in survey.bound else "_background"

    def _note(self, node: cst.CSTNode, reason: str) -> None:
        self.undecided.add((self._positions[node].start.line, reason))

    # Nothing waits for an event loop any more.

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        kept = [one for one in updated_node.decorators if _dotted(one.decorator) != "pytest.mark.asyncio"]
        name = cst.Name(_TWINS.get(original_node.name.value, original_node.name.value))
        return updated_node.with_changes(asynchronous=None, decorators=kept, name=name)

    def leave_With(self, original_node: cst.With, updated_node: cst.With) -> cst.With:
        return updated_node.with_changes(asynchronous=None)

    def leave_For(self, original_node: cst.For, updated_node: cst.For) -> cst.For:
        return updated_node.with_changes(asynchronous=None)

    def leave_CompFor(self, original_node: cst.CompFor, updated_node: cst.CompFor) -> cst.CompFor:
        return updated_node.with_changes(asynchronous=None)

    def leave_Await(self, original_node: cst.Await, updated_node: cst.Await) -> cst.BaseExpression:
        waited, value = original_node.expression, updated_node.expression
        name = _dotted(waited)
        is_item = isinstance(waited, cst.Subscript) and _dotted(waited.value) in self._survey.gathered
        is_thread = isinstance(waited, cst.Call) and self._loop_call(waited) == "run_in_executor"
        spawned = isinstance(waited, cst.Call) and self._spawns(waited)
        if name in self._survey.futures or is_item or is_thread or spawned:
            return cst.Call(cst.Attribute(value, cst.Name("result")))
        if isinstance(waited, cst.Name) and name not in self._survey.assigned:
            self._note(original_node, f"{name} comes from elsewhere: where it is a task, it takes {name}.result() now")
        if isinstance(value, (cst.Call, cst.Name, cst.Attribute, cst.Subscript, cst.List, cst.ListComp)):
            return value
        return value.with_changes(lpar=[*updated_node.lpar, *value.lpar], rpar=[*value.rpar, *updated_node.rpar])

    # Names: of asyncio, of the SDK, of asynchronous twins. A keyword, a parameter or an attribute is none.

    def visit_Attribute(self, node: cst.Attribute) -> None:
        self._handled.add(node.attr)

    def visit_Arg(self, node: cst.Arg) -> None:
        if node.keyword:
            self._handled.add(node.keyword)

    def visit_Param(self, node: cst.Param) -> None:
        self._handled.add(node.name)

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        name = original_node.value
        if name == SDK and self._survey.uses_sdk:
            return updated_node.with_changes(value=OURS)
        if name in self._survey.from_asyncio and original_node not in self._handled:
            return self._counterpart(original_node, updated_node, self._survey.from_asyncio[name])
        return updated_node.with_changes(value=_NAMES.get(name, name))

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.BaseExpression:
        attr = original_node.attr.value
        known = self._survey.asyncio_name(original_node)
        if known and original_node not in self._handled:
            return self._counterpart(original_node, updated_node, known)
        changed = _NAMES.get(attr, attr) if _dotted(original_node.value) == "contextlib" else _TWINS.get(attr, attr)
        return updated_node.with_changes(attr=cst.Name(changed))

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        return updated_node.with_changes(keyword=original_node.keyword)

    def leave_Param(self, original_node: cst.Param, updated_node: cst.Param) -> cst.Param:
        return updated_node.with_changes(name=original_node.name)

    def leave_Subscript(self, original_node: cst.Subscript, updated_node: cst.Subscript) -> cst.BaseExpression:
        name = _dotted(original_node.value).rpartition(".")[2]
        items = [one.slice for one in updated_node.slice]
        if name in ("Awaitable", "Coroutine") and isinstance(items[-1], cst.Index):
            return items[-1].value
        if name == "AsyncGenerator" and len(items) == 2:
            elements = [cst.SubscriptElement(item) for item in (*items, cst.Index(cst.Name("None")))]
            return updated_node.with_changes(slice=elements)
        return updated_node

    def _counterpart(self, original: cst.CSTNode, updated: cst.BaseExpression, name: str) -> cst.BaseExpression:
        if name not in _COUNTERPARTS:
            self._note(original, _REASONS.get(name, f"asyncio.{name} has no counterpart here: use threads"))
            return updated
        module, there = _COUNTERPARTS[name]
        if name == "TimeoutError" and self._survey.waits:
            # What a future raises, which is another class before Python 3.11.
            module, there = "concurrent.futures", "concurrent.futures.TimeoutError"
        return self._from(module, there)

    def _from(self, module: str, name: str) -> cst.BaseExpression:
        """Returns a name of a module of the standard library, which is imported in a way that hides no variable."""
        if module:
            alias = _ALIASES.get(module, "") if module in self._survey.bound else ""
            self.needed.add(f"{module} as {alias}" if alias else module)
            name = f"{alias}.{name.partition('.')[2]}" if alias else name
        return cst.parse_expression(name)

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign:
        names = {_dotted(target.target) for target in original_node.targets}
        value = updated_node.value
        if names & self._survey.gathered and isinstance(value, (cst.ListComp, cst.List)):
            # Calls that are awaited together later: they start here.
            return updated_node.with_changes(value=self._tasks(value) or value)
        return updated_node

    # Calls of asyncio become threads of a pool.

    def visit_Call(self, node: cst.Call) -> None:
        name = self._survey.asyncio_name(node.func)
        if name in _CALLS or name in _REMOVED_CALLS:
            self._handled.add(node.func)

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        name = self._survey.asyncio_name(original_node.func)
        receiver, _, method = _dotted(original_node.func).rpartition(".")
        args = updated_node.args
        if name in _CALLS:
            made = _CALLS[name](self, original_node, updated_node)
            if made is None:
                self._note(original_node, f"what asyncio.{name} is called with cannot be seen here")
                return updated_node
            return made
        if loop_call := self._loop_call(original_node):
            return self._on_loop(loop_call, updated_node)
        if receiver in self._survey.groups and method == "create_task":
            return self._submit(args[0].value, receiver) or updated_node
        if receiver in self._survey.gathered and method == "append" and len(args) == 1:
            # Where there is no call, it is a task that was made before.
            submitted = self._submit(args[0].value)
            return updated_node.with_changes(args=[cst.Arg(submitted)]) if submitted else updated_node
        if receiver in self._survey.futures and method == "cancel":
            self._note(original_node, _REASONS["CancelledError"])
        return updated_node

    def _loop_call(self, node: cst.Call) -> str:
        func = node.func
        if not isinstance(func, cst.Attribute) or func.attr.value not in _LOOP_CALLS:
            return ""
        is_made_here = isinstance(func.value, cst.Call) and self._survey.asyncio_name(func.value.func) in _REMOVED_CALLS
        return func.attr.value if is_made_here or _dotted(func.value) in self._survey.loops else ""

    def _on_loop(self, method: str, call: cst.Call) -> cst.BaseExpression:
        if method == "run_until_complete":
            return call.args[0].value
        if method == "time":
            return cst.Call(self._from("time", "time.monotonic"))
        if method == "create_task":
            return self._submit(call.args[0].value) or call
        return self._pool_call(self.pool, call.args[1:])

    def _spawns(self, node: cst.Call) -> bool:
        return self._survey.asyncio_name(node.func) in _SPAWNING or self._loop_call(node) == "create_task"

    def _submit(self, value: cst.BaseExpression, pool: str = "") -> cst.BaseExpression | None:
        """Returns the call that starts a call on a thread; None where there is no call to see."""
        pool = pool or self.pool
        if not isinstance(value, cst.Call):
            return None
        if _dotted(value.func) == f"{pool}.submit":  # a task already
            return value
        return self._pool_call(pool, [cst.Arg(value.func), *value.args])

    def _pool_call(self, pool: str, args: Sequence[cst.Arg]) -> cst.Call:
        if pool == self.pool:
            self.needed.add(_POOL)
        spaced = [arg.with_changes(comma=cst.MaybeSentinel.DEFAULT) for arg in args]
        return cst.Call(cst.Attribute(cst.Name(pool), cst.Name("submit")), spaced)

    def _run(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression | None:
        return call.args[0].value if call.args else None

    def _task(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression | None:
        return self._submit(call.args[0].value) if call.args else None

    def _thread(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression | None:
        return cst.Call(call.args[0].value, call.args[1:]) if call.args else None

    def _group(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression:
        self.needed.add("concurrent.futures")
        self._note(original, "an exception of a task is raised by its result() alone: a group does not raise it")
        return cst.parse_expression("concurrent.futures.ThreadPoolExecutor()")

    def _wait_for(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression | None:
        if len(call.args) != 2:
            return None
        waited = call.args[0].value
        future = waited if _dotted(waited) in self._survey.futures else self._submit(waited)
        if future is None:
            return None
        if future is not waited:
            self._note(original, "the call goes on in its thread past the timeout: better pass it timeout= itself")
        timeout = cst.Arg(call.args[1].value, keyword=cst.Name("timeout"), equal=_TIGHT)
        return cst.Call(cst.Attribute(future, cst.Name("result")), [timeout])

    def _completed(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression | None:
        tasks = self._tasks(call.args[0].value) if call.args else None
        self.needed.add("concurrent.futures")
        return cst.Call(cst.parse_expression("concurrent.futures.as_completed"), [cst.Arg(tasks)]) if tasks else None

    def _gather(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression | None:
        keywords = {arg.keyword.value: arg.value for arg in call.args if arg.keyword}
        returns = _dotted(keywords["return_exceptions"]) == "True" if "return_exceptions" in keywords else False
        given = [arg for arg in call.args if not arg.keyword]
        if len(given) == 1 and given[0].star == "*":
            mapped = self._map(given[0].value, returns)
            if mapped is not None:
                return mapped
            tasks = self._tasks(given[0].value)
        else:
            tasks = self._tasks(cst.List([cst.Element(arg.value) for arg in given])) if _plain(given) else None
        if tasks is None:
            return None
        result = "task.exception() or task.result()" if returns else "task.result()"
        return cst.parse_expression(f"[{result} for task in {_code(tasks)}]")

    def _tasks(self, value: cst.BaseExpression) -> cst.BaseExpression | None:
        """Returns the expression of a list of futures from that of a list of calls."""
        if isinstance(value, (cst.ListComp, cst.GeneratorExp)):
            submitted = self._submit(value.elt)
            return cst.ListComp(submitted, value.for_in) if submitted else None
        if isinstance(value, (cst.List, cst.Tuple, cst.Set)):
            made = [self._submit(one.value) or one.value for one in value.elements]
            return cst.List([cst.Element(one) for one in made])
        return value if isinstance(value, cst.Name) else None

    def _map(self, value: cst.BaseExpression, returns: bool) -> cst.BaseExpression | None:
        """Returns ``list(agent.map(prompts))`` for ``[agent.run(prompt) for prompt in prompts]``."""
        if not isinstance(value, (cst.ListComp, cst.GeneratorExp)) or not isinstance(value.elt, cst.Call):
            return None
        call, loop = value.elt, value.for_in
        receiver, _, method = _dotted(call.func).rpartition(".")
        named = {arg.keyword.value: arg.value for arg in call.args if arg.keyword}
        given = [arg.value for arg in call.args if not arg.keyword and not arg.star]
        if method != "run" or receiver not in self._survey.agents or len(given) != 1 or not named.keys() <= _OF_MAP:
            return None
        if loop.ifs or loop.inner_for_in or not isinstance(loop.target, cst.Name):
            return None
        prompts = loop.iter
        if _code(given[0]) != loop.target.value:
            prompts = cst.GeneratorExp(given[0], loop, lpar=[], rpar=[])
            if named or returns:  # beside other arguments it needs parentheses
                prompts = prompts.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        options = [cst.Arg(one, keyword=cst.Name(name), equal=_TIGHT) for name, one in named.items()]
        if returns:
            options.append(cst.Arg(cst.SimpleString('"return"'), keyword=cst.Name("on_error"), equal=_TIGHT))
        mapped = cst.Call(cst.Attribute(cst.Name(receiver), cst.Name("map")), [cst.Arg(prompts), *options])
        return cst.Call(cst.Name("list"), [cst.Arg(mapped)])

    # Statements that only served the event loop go.

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        if len(original_node.body) != 1:
            return updated_node
        if len(updated_node.body) == 2:  # an import of what is here and what is not
            first, second = (updated_node.with_changes(body=[_ended(one)]) for one in updated_node.body)
            return cst.FlattenSentinel([first, second.with_changes(leading_lines=[])])
        [only] = original_node.body
        value = _bare(only.value) if isinstance(only, (cst.Expr, cst.Assign)) and only.value else None
        called = _dotted(value.func) if isinstance(value, cst.Call) else ""
        receiver, _, method = called.rpartition(".")
        if called == "nest_asyncio.apply" or _code(only) == "import nest_asyncio":
            return _removed(updated_node)
        if isinstance(value, cst.Call) and self._survey.asyncio_name(value.func) in _REMOVED_CALLS:
            return _removed(updated_node)
        if receiver in self._survey.loops and method in ("close", "stop", "set_debug"):
            return _removed(updated_node)
        is_gather = isinstance(value, cst.Call) and self._survey.asyncio_name(value.func) == "gather"
        made = updated_node.body[0]
        if (
            isinstance(only, cst.Expr)
            and is_gather
            and isinstance(made, cst.Expr)
            and isinstance(made.value, cst.ListComp)
        ):
            # Its results are not used: waiting for them reads better as a loop.
            waits = "exception" if "task.exception()" in _code(made.value.elt) else "result"
            loop = f"for {_EACH} in {_code(made.value.for_in.iter)}:\n    {_EACH}.{waits}()\n"
            return cst.parse_statement(loop).with_changes(leading_lines=updated_node.leading_lines)
        return updated_node

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        body, footer = _without_removed(updated_node.body, updated_node.footer)
        if not body:
            body = [cst.parse_statement("pass")]
        return updated_node.with_changes(body=body, footer=footer)

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        body, footer = _without_removed(updated_node.body, updated_node.footer)
        return updated_node.with_changes(body=body, footer=footer)

    # Imports of the SDK become imports of this package, where it has what they name.

    def visit_Import(self, node: cst.Import) -> bool:
        return False  # names in an import are not uses of them

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import:
        made = []
        for alias in original_node.names:
            name = _dotted(alias.name)
            self._warn_of(name.split(".")[0], original_node)
            ours = _module_for(name)
            if name.split(".")[0] == SDK and not _exists(ours):
                self._note(original_node, f"{OURS} has no {ours.partition('.')[2] or name}")
            made.append(alias.with_changes(name=cst.parse_expression(ours)) if ours != name else alias)
        return updated_node.with_changes(names=made)

    def leave_ImportFrom(
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.ImportFrom | cst.FlattenSentinel[cst.BaseSmallStatement]:
        if original_node.module is None or original_node.relative or isinstance(original_node.names, cst.ImportStar):
            return original_node
        module = _dotted(original_node.module)
        self._warn_of(module.split(".")[0], original_node)
        if module.split(".")[0] != SDK:
            renamed = {_NAMES.get(_dotted(one.name), _dotted(one.name)): one for one in original_node.names}
            made = [one.with_changes(name=cst.Name(name)) for name, one in renamed.items()]
            made[-1] = made[-1].with_changes(comma=original_node.names[-1].comma)
            return original_node.with_changes(names=made) if module != "asyncio" else original_node
        ours = _module_for(module)
        names = [_dotted(one.name) for one in original_node.names]
        if module == f"{SDK}.request" and all(
            hasattr(importlib.import_module(f"{OURS}.errors"), name) for name in names
        ):
            ours = f"{OURS}.errors"  # where type checkers find them too
        here = [one for one in original_node.names if _exists(ours, _dotted(one.name))]
        missing = [one for one in original_node.names if one not in here]
        for one in missing:
            self._note(original_node, f"{OURS} has no {_dotted(one.name)}: what it does is outside of sessions")
        changed = original_node.with_changes(module=cst.parse_expression(ours))
        if not missing:
            return changed
        if not here:
            return original_node
        return cst.FlattenSentinel(
            [changed.with_changes(names=_closed(here)), original_node.with_changes(names=_closed(missing))]
        )

    def _warn_of(self, library: str, node: cst.CSTNode) -> None:
        if library in _LIBRARIES:
            self._note(node, _LIBRARIES[library])


_OF_MAP = {"timeout", "include_deltas"}
_TIGHT = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
_CALLS = {
    "run": _Porter._run,
    "create_task": _Porter._task,
    "ensure_future": _Porter._task,
    "to_thread": _Porter._thread,
    "TaskGroup": _Porter._group,
    "wait_for": _Porter._wait_for,
    "as_completed": _Porter._completed,
    "gather": _Porter._gather,
}


class _Pruner(cst.CSTTransformer):
    """Removes imports that nothing uses any more; others that were unused before stay."""

    def __init__(self, module: cst.Module, survey: _Survey) -> None:
        super().__init__()
        self._used = _Names()
        module.visit(self._used)
        self._mine = {*survey.asyncio, *survey.from_asyncio, "Awaitable", "Coroutine"}

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement:
        [first, *more] = updated_node.body
        if more or not isinstance(first, (cst.Import, cst.ImportFrom)) or isinstance(first.names, cst.ImportStar):
            return updated_node
        kept = [one for one in first.names if not self._is_idle(one)]
        if len(kept) == len(first.names):
            return updated_node
        if not kept:
            return _removed(updated_node)
        return updated_node.with_changes(body=[first.with_changes(names=_closed(kept))])

    def _is_idle(self, alias: cst.ImportAlias) -> bool:
        name = _dotted(alias.asname.name) if alias.asname else _dotted(alias.name)
        return name in self._mine and name not in self._used.names

    leave_IndentedBlock = _Porter.leave_IndentedBlock
    leave_Module = _Porter.leave_Module


class _Names(cst.CSTVisitor):
    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        node.value.visit(self)
        return False

    def visit_Name(self, node: cst.Name) -> None:
        self.names.add(node.value)


def _with_imports(module: cst.Module, needed: set[str], pool: str) -> cst.Module:
    """Adds the imports that the new code needs, and the pool that it starts threads in."""
    starts_threads = _POOL in needed
    if starts_threads:
        needed = needed - {_POOL} | {"concurrent.futures"}
    body = list(module.body)
    imports = [index for index, one in enumerate(body) if _is_import(one)]
    present = {_code(body[index]).strip() for index in imports}
    lines = [line for line in (f"import {name}" for name in sorted(needed)) if line not in present]
    # Before the first import; that of __future__ has to stay ahead, and so has a docstring.
    first = next((index for index in imports if "__future__" not in _code(body[index])), None)
    if first is None:
        first = imports[-1] + 1 if imports else int(module.get_docstring() is not None)
    last = first
    while last < len(body) and _is_import(body[last]):
        last += 1
    if starts_threads:
        # As many as may wait for one another: the default is a few more than there are processors.
        made = f"\n{pool} = concurrent.futures.ThreadPoolExecutor(max_workers=64)\n"
        body.insert(last, cst.parse_statement(made))
    for line in lines:
        _insert_import(body, first, line)
    return module.with_changes(body=body)


def _insert_import(body: list[Any], first: int, line: str) -> None:
    """Inserts an import of the standard library in alphabetical order, as sorters of imports want it."""
    statement: Any = cst.parse_statement(line)
    head = body[first] if first < len(body) else None
    if head is None or not _is_import(head):
        body.insert(first, statement)
        return
    if _imported(head).split(".")[0] not in sys.stdlib_module_names:
        # A section of its own, above that of other packages.
        body[first] = head.with_changes(leading_lines=[cst.EmptyLine(indent=False)])
        body.insert(first, statement.with_changes(leading_lines=head.leading_lines))
        return
    place = first
    while place < len(body) and isinstance(body[place], cst.SimpleStatementLine):
        is_section = place == first or not body[place].leading_lines
        if (
            not is_section
            or not isinstance(body[place].body[0], cst.Import)
            or _imported(body[place]) > _imported(statement)
        ):
            break
        place += 1
    if place == first:  # comments and blank lines stay above all of them
        body[first] = head.with_changes(leading_lines=[])
        statement = statement.with_changes(leading_lines=head.leading_lines)
    body.insert(place, statement)


def _imported(line: cst.SimpleStatementLine) -> str:
    [only, *_] = line.body
    if isinstance(only, cst.ImportFrom):
        return _dotted(only.module) if only.module else "."
    return _dotted(only.names[0].name) if isinstance(only, cst.Import) else ""


def _is_import(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.SimpleStatementLine) and isinstance(node.body[0], (cst.Import, cst.ImportFrom))


def _removed(line: cst.SimpleStatementLine) -> cst.SimpleStatementLine:
    # Taken out by the block around it, which keeps the comments above it.
    return line.with_changes(body=[cst.Expr(cst.Name(_REMOVED))])


def _without_removed(
    statements: Sequence[Any], footer: Sequence[cst.EmptyLine]
) -> tuple[list[Any], list[cst.EmptyLine]]:
    kept: list[Any] = []
    above: list[cst.EmptyLine] = []
    for one in statements:
        if isinstance(one, cst.SimpleStatementLine) and _code(one.with_changes(leading_lines=[])).startswith(_REMOVED):
            above += one.leading_lines
        elif above:
            lines = [*above, *one.leading_lines]
            # The blank lines above two statements would add up.
            while len(lines) > 1 and not lines[0].comment and not lines[1].comment:
                del lines[0]
            kept.append(one.with_changes(leading_lines=lines))
            above = []
        else:
            kept.append(one)
    return kept, [*above, *footer]


def _module_for(name: str) -> str:
    if name.split(".")[0] != SDK:
        return name
    return _MODULES.get(name, OURS + name.removeprefix(SDK))


def _exists(module: str, name: str | None = None) -> bool:
    with contextlib.suppress(ImportError):
        found = importlib.import_module(module)
        return name is None or hasattr(found, name)
    return False


def _dotted(node: cst.CSTNode) -> str:
    """Returns the text of a name with dots; "" for any other expression."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        head = _dotted(node.value)
        return f"{head}.{node.attr.value}" if head else ""
    return ""


def _bare(node: cst.BaseExpression) -> cst.BaseExpression:
    return node.expression if isinstance(node, cst.Await) else node


def _plain(args: Sequence[cst.Arg]) -> bool:
    return all(not arg.star for arg in args)


def _closed(aliases: Sequence[cst.ImportAlias]) -> list[cst.ImportAlias]:
    return [*aliases[:-1], aliases[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)]


def _ended(statement: Any) -> Any:
    return statement.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)


def _code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)
