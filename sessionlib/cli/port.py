"""``sessionlib port``: scripts and notebooks for the official async SDK, rewritten for this client.

The rewriting is of the syntax tree (libcst), so that all that is not touched stays byte for byte. What `asyncio` did
beside waiting becomes threads: a task is a future of a pool, a gather is its results, a queue is `queue.Queue`.
What has no such counterpart stays as it is and is listed with its line.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from sessionlib._util.optional import extra
from sessionlib.cli.notes import CommandError, warn
from sessionlib.cli.options import debug_option, examples

with extra("port", "sessionlib port"):
    import libcst as cst
    from libcst import matchers
    from libcst.metadata import MetadataWrapper, PositionProvider, ScopeProvider

    from sessionlib.cli.port_names import (
        AGENT,
        EVENT,
        FUTURE,
        FUTURES,
        GROUP,
        LOOP,
        LOOP_CALLS,
        QUEUE,
        REMOVED_CALLS,
        SDK,
        SESSION,
        SET,
        Survey,
        bare,
        code,
        dotted,
    )

__all__ = ["Ported", "port", "port_notebook", "port_source"]

OURS = "sessionlib"
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
    "aclosing": "closing",
    "AsyncGenerator": "Generator",
    "AsyncIterable": "Iterable",
    "AsyncIterator": "Iterator",
    "AbstractAsyncContextManager": "AbstractContextManager",
    "AsyncContextManager": "ContextManager",
    "aiter": "iter",
    "anext": "next",
    "asynccontextmanager": "contextmanager",
    "AsyncMock": "Mock",
    "IsolatedAsyncioTestCase": "TestCase",
    "asyncSetUp": "setUp",
    "asyncTearDown": "tearDown",
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
    "wait": ("concurrent.futures", "concurrent.futures.wait"),
    "ALL_COMPLETED": ("concurrent.futures", "concurrent.futures.ALL_COMPLETED"),
    "FIRST_COMPLETED": ("concurrent.futures", "concurrent.futures.FIRST_COMPLETED"),
    "FIRST_EXCEPTION": ("concurrent.futures", "concurrent.futures.FIRST_EXCEPTION"),
}
_REASONS = {
    "CancelledError": "threads are not cancelled, so never raised: move what is done here behind the call that ends",
    "timeout": "asyncio.timeout has no counterpart: pass timeout= to the call, or to listen()",
    "create_subprocess_exec": "use subprocess.run, or subprocess.Popen",
    "create_subprocess_shell": "use subprocess.run, or subprocess.Popen",
    "open_connection": "use socket.create_connection",
    "start_server": "use socketserver",
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
_LINE = 88  # as most formatters break lines
_POOL = "a pool of threads"
_POOL_OF_MANY = "concurrent.futures.ThreadPoolExecutor(max_workers=64)"
_EACH = "future"  # in a loop of its own, whose variable outlives it
_REMOVED = "__removed_by_sessionlib_port__"
_CELL = "# %% sessionlib port: cell "
_MAGIC = "# sessionlib port: magic "
_OF_PYTHON = r"(?:time|timeit|capture|prun|debug)\b"
_NO_PYTHON = r"\s*[%!?]|\s*[\w.]+\?{1,2}\s*$|\s*[\w.,\s]+=\s*[%!]"


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
    """Rewrite code for the official async SDK, vectorshift, for this client.

    PATHS are Python files, notebooks, or folders of them. The changes are shown on stdout as a diff; what could
    not be decided is listed on stderr, with its line and the reason.
    """
    changed = failed = 0
    for path in _files(paths):
        try:
            before = _read(path)
            # Before it is parsed, which takes far longer.
            if not re.search(rf"\b{SDK}\b", before):
                if path in paths:
                    warn(f"{path}: does not use {SDK}, and is left as it is")
                continue
            notebook = path.suffix == ".ipynb"
            ported, places = port_notebook(before) if notebook else (port_source(before), None)
        except (ValueError, UnicodeError, RecursionError) as error:
            warn(f"{path}: cannot be read: {'it is not UTF-8 text' if isinstance(error, UnicodeError) else error}")
            failed += 1
            continue
        changed += _report(path, before, ported, places, write)
    if failed:
        raise CommandError(f"{failed} file{'s' * (failed > 1)} could not be ported")
    if not changed:
        warn("nothing to change")


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
        warn(f"{place}: {reason}")
    if write and after != before:
        _replace(path, after)
        warn(f"{path}: changed")
    return after != before


def _replace(path: Path, text: str) -> None:
    """Writes a file as a whole or not at all; a symlink stays one, and its target is written."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        # mkstemp makes files for their owner alone, and a script may be executable.
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
        whole = source.lstrip().startswith("%%") and not re.match(rf"\s*%%{_OF_PYTHON}", source)
        for line_number, line in enumerate(source.split("\n"), 1):
            # A magic, a shell command or a question is not Python: it is kept from the parser.
            lines.append(f"{_MAGIC}{line}" if whole or re.match(_NO_PYTHON, line) else line)
            places[len(lines)] = f"cell {number}, line {line_number}"
    ported = port_source("\n".join(lines) + "\n")
    parts = re.split(rf"^{re.escape(_CELL)}\d+\n", ported.text, flags=re.MULTILINE)
    # The marks of cells are comments, which stay where they are as long as each cell is whole.
    if len(parts) != len(cells) + 1:
        raise ValueError("a cell begins inside of a block of the one before it")
    for cell, part in zip(cells, parts[1:], strict=True):
        source = re.sub(rf"^[ \t]*{re.escape(_MAGIC)}", "", part.removesuffix("\n"), flags=re.MULTILINE)
        source = re.sub(
            rf"^(\s*[%!].*\bpip3? install\b.*)\b{SDK}\b(==[\w.]+)?", rf"\1{OURS}", source, flags=re.MULTILINE
        )
        # These run their line as Python, where an `await` is all that there can be to port.
        source = re.sub(
            rf"^\s*%{_OF_PYTHON}.*", lambda line: re.sub(r"\bawait\s+", "", line[0]), source, flags=re.MULTILINE
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
    survey = Survey(wrapper.resolve(ScopeProvider))
    for _ in range(2):  # a name may be used above of what shows its kind
        wrapper.module.visit(survey)
        survey.follow_arguments()
    survey.find_coroutines()
    porter = _Porter(survey, wrapper.resolve(PositionProvider))
    module = wrapper.module.visit(porter).visit(_Timeouts(porter))
    module = module.visit(_Pruner(module, survey))
    return Ported(_with_imports(module, porter.needed, porter.pool).code, sorted(porter.undecided))


# Methods that take a timeout here, by the kind of what they are called on; "" where the name alone is enough.
_TIMED = {"run": AGENT, "connect": SESSION, "get_messages": ""}


class _Porter(cst.CSTTransformer):
    """Rewrites a module; what it leaves alone is in ``undecided``, what it uses in ``needed``."""

    def __init__(self, survey: Survey, positions: Any) -> None:
        super().__init__()
        self._survey = survey
        self._positions = positions
        self._handled: set[cst.CSTNode] = set()  # names of asyncio that the call around them takes care of
        self._limits: dict[cst.CSTNode, cst.BaseExpression] = {}  # of calls that get a timeout of their own
        self._quoted: set[cst.CSTNode] = set()  # strings in annotations
        self._statements: set[cst.CSTNode] = set()  # calls whose value is not used
        self._event_waits: set[Any] = set()  # those that wait for an event
        self._unwrapped: set[cst.CSTNode] = set()  # blocks that have nothing to do any more
        self.undecided: set[tuple[int, str]] = set()
        self.needed: set[str] = set()  # modules to import, and the pool
        self.waits: set[str] = set()  # whose timeouts may be raised: "call", FUTURE, QUEUE
        self.pool = "background" if "background" not in survey.bound else "_background"

    def _note(self, node: cst.CSTNode, reason: str) -> None:
        self.undecided.add((self._positions[node].start.line, reason))

    # Nothing waits for an event loop any more.

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        kept = [one for one in updated_node.decorators if dotted(one.decorator) != "pytest.mark.asyncio"]
        own = original_node.name.value
        # Protocol methods too: a class with __aenter__ is used with a plain `with` now.
        name = cst.Name(_NAMES.get(own, _TWINS.get(own, own)))
        return updated_node.with_changes(asynchronous=None, decorators=kept, name=name)

    def visit_With(self, node: cst.With) -> None:
        [first, *more] = node.items
        maker = first.item
        if more or not isinstance(maker, cst.Call):
            return
        name = self._survey.asyncio_name(maker.func)
        if name == "Runner":
            # What it ran is called in its place.
            self._unwrapped.add(node)
            self._handled.add(maker.func)
        # Only of a block that has a limit and nothing else.
        if name != "timeout" or first.asname or len(maker.args) != 1 or not isinstance(node.body, cst.IndentedBlock):
            return
        timed: list[cst.CSTNode] = []
        for statement in node.body.body:
            awaits = matchers.findall(statement, matchers.Await())
            calls = [one.expression for one in awaits if isinstance(one, cst.Await)]
            sends = [isinstance(call, cst.Call) and dotted(call.func).rpartition(".")[2] in _SENDS for call in calls]
            if isinstance(statement, cst.For) and self._can_wait(statement.iter, "listen"):
                timed.append(statement.iter)
            elif isinstance(statement, cst.SimpleStatementLine) and len(calls) == 1 and self._takes_timeout(calls[0]):
                timed += calls
            elif not isinstance(statement, cst.SimpleStatementLine) or not all(sends):
                return
        if len(timed) == 1:
            [call] = timed
            self._limits[call] = maker.args[0].value
            # The block goes, and its statements move up: its limit is the call's own now.
            self._unwrapped.add(node)
            self._handled.add(maker.func)
            if self._can_wait(call, "listen"):
                reason = "the limit is for each event now: where it has to be for all of them, look at the clock"
                self._note(node, reason)

    def leave_With(
        self, original_node: cst.With, updated_node: cst.With
    ) -> cst.With | cst.FlattenSentinel[cst.BaseStatement]:
        if original_node not in self._unwrapped:
            return updated_node.with_changes(asynchronous=None)
        first, *rest = updated_node.body.body
        first = first.with_changes(leading_lines=[*updated_node.leading_lines, *first.leading_lines])  # type: ignore[union-attr]
        return cst.FlattenSentinel([first, *rest])

    def leave_For(self, original_node: cst.For, updated_node: cst.For) -> cst.For | cst.SimpleStatementLine:
        passes_on = matchers.matches(updated_node, _PASSES_ON) and code(updated_node.target)
        if passes_on and passes_on == code(updated_node.body.body[0].body[0].value.value):  # type: ignore[union-attr]
            # Which an asynchronous generator cannot, and linters ask for elsewhere.
            line = cst.parse_statement(f"yield from {code(updated_node.iter)}")
            return cst.ensure_type(line, cst.SimpleStatementLine).with_changes(leading_lines=updated_node.leading_lines)
        return updated_node.with_changes(asynchronous=None)

    def leave_CompFor(self, original_node: cst.CompFor, updated_node: cst.CompFor) -> cst.CompFor:
        return updated_node.with_changes(asynchronous=None)

    def leave_Await(self, original_node: cst.Await, updated_node: cst.Await) -> cst.BaseExpression:
        waited, value = original_node.expression, updated_node.expression
        if self._survey.kind_of(waited) == FUTURE:
            # A future's result() waits and raises as `await` did.
            return cst.Call(cst.Attribute(value, cst.Name("result")))
        if isinstance(waited, cst.Name) and not self._survey.is_assigned(waited):
            name = waited.value
            self._note(original_node, f"{name} comes from elsewhere: where it is a task, it takes {name}.result() now")
        # What binds as tightly as `await` needs no parentheses.
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
        if original_node in self._survey.coroutines:
            return cst.Call(updated_node)
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
        if self._survey.is_kind(original_node.value, LOOP) and attr not in (*LOOP_CALLS, *_OF_CLOSING):
            self._note(original_node, f"there is no event loop here: {code(original_node)} has no counterpart")
        module = dotted(original_node.value)
        # Elsewhere an attribute of such a name is a method of its own.
        is_name = module in ("contextlib", "unittest", "mock") or attr.startswith(("Async", "AbstractAsync"))
        changed = _NAMES.get(attr, attr) if is_name else _TWINS.get(attr, attr)
        return updated_node.with_changes(attr=cst.Name(changed))

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        value = updated_node.value
        if original_node.value in self._survey.tasks:
            value = self._submit(value) or self._tasks(value) or value
        return updated_node.with_changes(keyword=original_node.keyword, value=value)

    def leave_Param(self, original_node: cst.Param, updated_node: cst.Param) -> cst.Param:
        return updated_node.with_changes(name=original_node.name)

    def leave_Subscript(self, original_node: cst.Subscript, updated_node: cst.Subscript) -> cst.BaseExpression:
        name = dotted(original_node.value).rpartition(".")[2]
        items = [one.slice for one in updated_node.slice]
        if name in ("Awaitable", "Coroutine") and isinstance(items[-1], cst.Index):
            if original_node in self._survey.coroutines:
                self.needed.add("collections.abc")
                return cst.parse_expression(f"collections.abc.Callable[[], {code(items[-1].value)}]")
            return items[-1].value
        if name == "AsyncGenerator" and len(items) == 2:
            elements = [cst.SubscriptElement(item) for item in (*items, cst.Index(cst.Name("None")))]
            return updated_node.with_changes(slice=elements)
        return updated_node

    def _counterpart(self, original: cst.CSTNode, updated: cst.BaseExpression, name: str) -> cst.BaseExpression:
        if name not in _COUNTERPARTS:
            self._note(original, _REASONS.get(name, f"asyncio.{name} has no counterpart here: use threads"))
            return updated
        return self.counterpart(*_COUNTERPARTS[name])

    def counterpart(self, module: str, name: str) -> cst.BaseExpression:
        """Returns a name of a module of the standard library, which is imported in a way that hides no variable."""
        # A variable of the script may have the module's name, which an import would replace.
        if module:
            alias = _ALIASES.get(module, "") if module in self._survey.bound else ""
            self.needed.add(f"{module} as {alias}" if alias else module)
            name = f"{alias}.{name.partition('.')[2]}" if alias else name
        return cst.parse_expression(name)

    # An annotation in quotes is code as well.

    def visit_Annotation(self, node: cst.Annotation) -> None:
        self._quoted |= set(matchers.findall(node, matchers.SimpleString()))

    def leave_SimpleString(self, original_node: cst.SimpleString, updated_node: cst.SimpleString) -> cst.SimpleString:
        if original_node not in self._quoted:
            return updated_node

        def replace(match: re.Match[str]) -> str:
            found = _COUNTERPARTS.get(match[1])
            return code(self.counterpart(*found)) if found else match[0]

        modules = "|".join(map(re.escape, sorted(self._survey.asyncio)))
        return updated_node.with_changes(value=re.sub(rf"\b(?:{modules})\.(\w+)", replace, updated_node.value))

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign:
        value = updated_node.value
        is_gathered = any(self._survey.is_kind(target.target, FUTURES) for target in original_node.targets)
        if is_gathered and isinstance(value, (cst.ListComp, cst.List)):
            # Coroutines in a list begin as they are gathered; calls would be made here, one after the other.
            return updated_node.with_changes(value=self._tasks(value) or value)
        return updated_node

    # Calls of asyncio become threads of a pool.

    def visit_Call(self, node: cst.Call) -> None:
        name = self._survey.asyncio_name(node.func)
        if name in _CALLS or name in REMOVED_CALLS:
            self._handled.add(node.func)

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        made = self._call(original_node, updated_node)
        if original_node not in self._survey.coroutines:
            return made
        # As with a coroutine, its arguments are evaluated here, and it is run where it is awaited.
        if not isinstance(made, cst.Call):
            return cst.Lambda(cst.Parameters(), made)
        partial = self.counterpart("functools", "functools.partial")
        return cst.Call(partial, [cst.Arg(made.func), *made.args]) if made.args else made.func

    def _call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        name = self._survey.asyncio_name(original_node.func)
        func, args = original_node.func, updated_node.args
        if original_node in self._limits:
            return self._timed(updated_node, self._limits[original_node])
        if name in _CALLS:
            made = _CALLS[name](self, original_node, updated_node)
            if made is None:
                self._note(original_node, f"what asyncio.{name} is called with cannot be seen here")
                return updated_node
            return made
        if loop_call := self._survey.loop_call(original_node):
            if loop_call in ("run_until_complete", "run"):
                return args[0].value
            if loop_call == "time":
                return cst.Call(self.counterpart("time", "time.monotonic"))
            if loop_call == "create_task":
                return self._submit(args[0].value) or updated_node
            return self._pool_call(self.pool, args[1:])
        if not isinstance(func, cst.Attribute):
            return updated_node
        method = func.attr.value
        if method == "create_task" and self._survey.is_kind(func.value, GROUP):
            return self._submit(args[0].value, dotted(func.value)) or updated_node
        if method == "append" and len(args) == 1 and self._survey.is_kind(func.value, FUTURES):
            # Where there is no call, it is a task that was made before.
            submitted = self._submit(args[0].value)
            return updated_node.with_changes(args=[cst.Arg(submitted)]) if submitted else updated_node
        if method == "cancel" and self._survey.kind_of(func.value) == FUTURE:
            session = self._survey.session_of(func.value)
            ends = f"call {session}.disconnect()" if session else "disconnect its session, or let an Event stop it"
            # No rewriting: what else the session is used for, only its author knows.
            self._note(original_node, f"threads are not cancelled: {ends}, or give what it waits for a timeout")
        return updated_node

    def _submit(self, value: cst.BaseExpression, pool: str = "") -> cst.BaseExpression | None:
        """Returns the call that starts a call on a thread; None where there is no call to see."""
        pool = pool or self.pool
        if isinstance(value, cst.ListComp):  # once a gather, which one list of results is made of
            return self._pool_call(pool, [cst.Arg(cst.Lambda(cst.Parameters(), value))])
        if isinstance(value, cst.IfExp):
            body, other = self._submit(value.body, pool), self._submit(value.orelse, pool)
            return value.with_changes(body=body, orelse=other) if body and other else None
        if not isinstance(value, cst.Call):
            return None
        if dotted(value.func) == f"{pool}.submit":  # a task already
            return value
        return self._pool_call(pool, [cst.Arg(value.func), *value.args])

    def _pool_call(self, pool: str, args: Sequence[cst.Arg]) -> cst.Call:
        if pool == self.pool:
            self.needed.add(_POOL)
        spaced = [arg.with_changes(comma=cst.MaybeSentinel.DEFAULT) for arg in args]
        return cst.Call(cst.Attribute(cst.Name(pool), cst.Name("submit")), spaced)

    def _inner(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression | None:
        return call.args[0].value if call.args else None

    def _task(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression | None:
        if call.args and (name := self._survey.never_ends(original.args[0].value)):
            self._note(original, f"{name}() never ends, and threads are not cancelled at the end: let an Event stop it")
        return self._submit(call.args[0].value) if call.args else None

    def _thread(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression | None:
        return cst.Call(call.args[0].value, call.args[1:]) if call.args else None

    def _group(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression:
        self.needed.add("concurrent.futures")
        self._note(original, "an exception of a task is raised by its result() alone: a group does not raise it")
        return cst.parse_expression(_POOL_OF_MANY)

    # Limits go to what waits, where it takes one; else a future is waited for, and its thread goes on.

    def _wait_for(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression | None:
        if len(call.args) != 2:
            return None
        waited, value, limit = original.args[0].value, call.args[0].value, call.args[1].value
        name_of = self._survey.asyncio_name
        if isinstance(waited, cst.Call) and name_of(waited.func) == "shield" and len(waited.args) == 1:
            waited = waited.args[0].value
        if isinstance(waited, cst.Call) and name_of(waited.func) == "gather":
            # To each result of what was a gather: to each turn of a map, to each future of a list.
            if isinstance(value, cst.ListComp) and isinstance(value.elt, cst.Call):
                made: cst.BaseExpression = value.with_changes(elt=self._timed(value.elt, limit, FUTURE))
            elif isinstance(value, cst.Call) and isinstance(mapped := value.args[0].value, cst.Call):
                first, *rest = mapped.args
                if isinstance(first.value, cst.GeneratorExp):
                    first = first.with_changes(value=_in_parentheses(first.value))
                made = value.with_changes(args=[cst.Arg(self._timed(mapped.with_changes(args=[first, *rest]), limit))])
            else:
                return None
            self._note(original, "the limit is for each result now: for all of them together, look at the clock")
            return made
        if self._takes_timeout(waited) and isinstance(value, cst.Call):
            return self._timed(value, limit)
        if self._is_call_on(waited, QUEUE, "get") and isinstance(value, cst.Call):
            return self._timed(value, limit, QUEUE)
        if original in self._statements and self._is_call_on(waited, EVENT, "wait") and isinstance(value, cst.Call):
            self._event_waits.add(original)
            return self._timed(value, limit)
        # On a thread of its own, as only a future can be waited for with a limit.
        future = value if self._survey.kind_of(waited) == FUTURE else self._submit(value)
        if future is None:
            return None
        if future is not value:
            self._note(original, "the call goes on in its thread past the timeout: better pass it timeout= itself")
        self.waits.add(FUTURE)
        return self._timed(cst.Call(cst.Attribute(future, cst.Name("result"))), limit, FUTURE)

    def _timed(self, call: cst.Call, limit: cst.BaseExpression, raises: str = "call") -> cst.Call:
        self.waits.add(raises)
        spaced = [arg.with_changes(comma=cst.MaybeSentinel.DEFAULT) for arg in call.args]
        return call.with_changes(args=[*spaced, cst.Arg(limit, keyword=cst.Name("timeout"), equal=_TIGHT)])

    def _takes_timeout(self, call: cst.CSTNode) -> bool:
        """Whether a call is one of the SDK that takes a timeout here, and has none yet."""
        return any(self._can_wait(call, method) for method in _TIMED)

    def _can_wait(self, call: cst.CSTNode, method: str) -> bool:
        if not isinstance(call, cst.Call) or any(arg.star or _keyword(arg) == "timeout" for arg in call.args):
            return False
        func, kind = call.func, _TIMED.get(method, "")
        if not isinstance(func, cst.Attribute) or func.attr.value not in (method, f"a{method}"):
            return False
        # What is called an agent in a program of agents is one, whatever it comes from.
        is_one = self._survey.is_kind(func.value, kind) or dotted(func.value).rpartition(".")[2].endswith(kind)
        return is_one and not (method == "connect" and call.args)

    def _is_call_on(self, call: cst.CSTNode, kind: str, method: str) -> bool:
        if not isinstance(call, cst.Call) or not isinstance(call.func, cst.Attribute) or call.args:
            return False
        return call.func.attr.value == method and self._survey.is_kind(call.func.value, kind)

    def _on_futures(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression | None:
        """Returns a call that concurrent.futures has with the same arguments."""
        tasks = self._tasks(call.args[0].value) if call.args else None
        self.needed.add("concurrent.futures")
        func = cst.parse_expression(f"concurrent.futures.{self._survey.asyncio_name(original.func)}")
        if any(_keyword(arg) == "timeout" for arg in call.args):
            self.waits.add(FUTURE)
        return cst.Call(func, [call.args[0].with_changes(value=tasks), *call.args[1:]]) if tasks else None

    def _gather(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression | None:
        keywords = {arg.keyword.value: arg.value for arg in call.args if arg.keyword}
        returns = dotted(keywords["return_exceptions"]) == "True" if "return_exceptions" in keywords else False
        given = [arg for arg in call.args if not arg.keyword]
        if len(given) == 1 and given[0].star == "*":
            mapped = self._map(original.args[0].value, given[0].value, returns)
            if mapped is not None:
                return mapped
            tasks = self._tasks(given[0].value)
            if tasks is not None and self._survey.is_kind(original.args[0].value, SET):
                tasks = cst.Call(cst.Name("list"), [cst.Arg(tasks)])  # tasks may leave it as they end
        else:
            tasks = self._tasks(cst.List([cst.Element(arg.value) for arg in given])) if _plain(given) else None
            if tasks is not None and self._survey.differ([arg.value for arg in original.args if not arg.keyword]):
                # Type checkers find no common type of such futures.
                future = self.counterpart(*_COUNTERPARTS["Future"])
                tasks = cst.parse_expression(f"list[{code(future)}]({code(tasks)})")
        if tasks is None:
            return None
        # As gather does with return_exceptions: an exception stands in its place.
        result = "task.exception() or task.result()" if returns else "task.result()"
        return cst.parse_expression(f"[{result} for task in {code(tasks)}]")

    def _tasks(self, value: cst.BaseExpression) -> cst.BaseExpression | None:
        """Returns the expression of a list of futures from that of a list of calls."""
        if isinstance(value, (cst.ListComp, cst.GeneratorExp)):
            submitted = self._submit(value.elt)
            return cst.ListComp(submitted, value.for_in) if submitted else None
        if isinstance(value, (cst.List, cst.Tuple, cst.Set)):
            made = [self._submit(one.value) or one.value for one in value.elements]
            return cst.List([cst.Element(one) for one in made])
        if isinstance(value, cst.Call) and dotted(value.func) == "map" and len(value.args) == 2 and _plain(value.args):
            self.needed.add(_POOL)
            function, items = (code(arg.value) for arg in value.args)
            return cst.parse_expression(f"[{self.pool}.submit({function}, item) for item in {items}]")
        return value if isinstance(value, (cst.Name, cst.Attribute)) else None

    def _map(self, original: cst.BaseExpression, value: cst.BaseExpression, returns: bool) -> cst.BaseExpression | None:
        """Returns ``list(agent.map(prompts))`` for ``[agent.run(prompt) for prompt in prompts]``."""
        if not isinstance(value, (cst.ListComp, cst.GeneratorExp)) or not isinstance(value.elt, cst.Call):
            return None
        call, loop = value.elt, value.for_in
        receiver, _, method = dotted(call.func).rpartition(".")
        named = {arg.keyword.value: arg.value for arg in call.args if arg.keyword}
        given = [arg.value for arg in call.args if not arg.keyword and not arg.star]
        written = original.elt if isinstance(original, (cst.ListComp, cst.GeneratorExp)) else original
        func = written.func if isinstance(written, cst.Call) else None
        is_agents = isinstance(func, cst.Attribute) and self._survey.is_kind(func.value, AGENT)
        if method != "run" or not is_agents or len(given) != 1 or not named.keys() <= _OF_MAP:
            return None
        if loop.ifs or loop.inner_for_in or not isinstance(loop.target, cst.Name):
            return None
        prompts = loop.iter
        if code(given[0]) != loop.target.value:
            prompts = cst.GeneratorExp(given[0], loop, lpar=[], rpar=[])
            if named or returns:  # beside other arguments it needs parentheses
                prompts = _in_parentheses(prompts)
        options = [cst.Arg(one, keyword=cst.Name(name), equal=_TIGHT) for name, one in named.items()]
        if returns:
            options.append(cst.Arg(cst.SimpleString('"return"'), keyword=cst.Name("on_error"), equal=_TIGHT))
        mapped = cst.Call(cst.Attribute(cst.parse_expression(receiver), cst.Name("map")), [cst.Arg(prompts), *options])
        return cst.Call(cst.Name("list"), [cst.Arg(mapped)])

    # Statements that only served the event loop go.

    def visit_Expr(self, node: cst.Expr) -> None:
        self._statements.add(bare(node.value))

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        if len(original_node.body) != 1:
            return updated_node
        if len(updated_node.body) == 2:  # an import of what is here and what is not
            first, second = (updated_node.with_changes(body=[_ended(one)]) for one in updated_node.body)
            return cst.FlattenSentinel([first, second.with_changes(leading_lines=[])])
        [only] = original_node.body
        value = bare(only.value) if isinstance(only, (cst.Expr, cst.Assign)) and only.value else None
        called = dotted(value.func) if isinstance(value, cst.Call) else ""
        func = value.func if isinstance(value, cst.Call) else None
        if called == "nest_asyncio.apply" or code(only) == "import nest_asyncio":
            return _removed(updated_node)
        if isinstance(value, cst.Call) and self._survey.asyncio_name(value.func) in REMOVED_CALLS:
            return _removed(updated_node)
        if (
            isinstance(func, cst.Attribute)
            and func.attr.value in _OF_CLOSING
            and self._survey.is_kind(func.value, LOOP)
        ):
            return _removed(updated_node)
        if value in self._event_waits and isinstance(updated_node.body[0], cst.Expr):
            # An event's wait() returns whether it was set, where asyncio raises.
            block = f"if not {code(updated_node.body[0].value)}:\n    raise TimeoutError\n"
            return cst.parse_statement(block).with_changes(leading_lines=updated_node.leading_lines)
        is_gather = isinstance(value, cst.Call) and self._survey.asyncio_name(value.func) == "gather"
        made = updated_node.body[0]
        if isinstance(made, cst.Assign) and [code(one.target) for one in made.targets] == [code(made.value)]:
            return _removed(updated_node)  # once ``x = await x``
        if not isinstance(only, cst.Expr) or not isinstance(made, cst.Expr):
            return updated_node
        if isinstance(made.value, cst.Name):
            # Waiting for what ran where it was assigned; but a name that the script does not assign is listed.
            is_here = isinstance(only.value, cst.Await) and self._survey.is_assigned(only.value.expression)
            return _removed(updated_node) if is_here else updated_node
        if is_gather and isinstance(made.value, cst.ListComp):
            # Its results are not used: waiting for them reads better as a loop.
            waits = "exception" if "task.exception()" in code(made.value.elt) else "result"
            loop = f"for {_EACH} in {code(made.value.for_in.iter)}:\n    {_EACH}.{waits}()\n"
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

    # Names in an import are not uses of them.

    def visit_Import(self, node: cst.Import) -> bool:
        for alias in node.names:
            self._warn_of(dotted(alias.name), node)
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        self._warn_of(dotted(node.module) if node.module else "", node)
        return False

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import:
        made = []
        for alias in original_node.names:
            name = dotted(alias.name)
            ours = _module_for(name)
            if ours != name and not _exists(ours):
                self._note(original_node, f"{OURS} has no {ours.partition('.')[2] or name}")
            made.append(alias.with_changes(name=cst.parse_expression(ours)) if ours != name else alias)
        return original_node.with_changes(names=made)

    def leave_ImportFrom(self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom) -> _ImportsFrom:
        return _ported_from(original_node, functools.partial(self._note, original_node))

    def _warn_of(self, module: str, node: cst.CSTNode) -> None:
        library = module.partition(".")[0]
        if library in _LIBRARIES and (library != "httpx" or self._survey.uses_async_httpx):
            self._note(node, _LIBRARIES[library])


_PASSES_ON = matchers.For(
    target=matchers.Name(),
    body=matchers.IndentedBlock([matchers.SimpleStatementLine([matchers.Expr(matchers.Yield(matchers.Name()))])]),
    orelse=None,
)
_OF_MAP = {"timeout", "include_deltas"}
_SENDS = ("send", "send_many")
_OF_CLOSING = ("close", "stop", "set_debug")
_TIGHT = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
_CALLS = {
    "run": _Porter._inner,
    "create_task": _Porter._task,
    "ensure_future": _Porter._task,
    "to_thread": _Porter._thread,
    "TaskGroup": _Porter._group,
    "run_coroutine_threadsafe": _Porter._task,
    "shield": _Porter._inner,
    "wait": _Porter._on_futures,
    "wait_for": _Porter._wait_for,
    "as_completed": _Porter._on_futures,
    "gather": _Porter._gather,
}


class _Timeouts(cst.CSTTransformer):
    """Has handlers of timeouts catch what is raised now, which is another class where a future or a queue raises it."""

    def __init__(self, porter: _Porter) -> None:
        super().__init__()
        self._porter = porter
        self._caught: set[cst.CSTNode] = set()

    def visit_ExceptHandler(self, node: cst.ExceptHandler) -> None:
        if node.type is not None:
            self._caught.add(node.type)
            if isinstance(node.type, cst.Tuple):
                self._caught |= {one.value for one in node.type.elements}

    def visit_Call(self, node: cst.Call) -> None:
        if dotted(node.func).rpartition(".")[2] == "suppress":
            self._caught |= {arg.value for arg in node.args}

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        if original_node not in self._caught or original_node.value != "TimeoutError":
            return updated_node
        waits = self._porter.waits
        raised: list[cst.BaseExpression] = [updated_node] if not waits or "call" in waits else []
        if FUTURE in waits:
            raised.append(self._porter.counterpart("concurrent.futures", "concurrent.futures.TimeoutError"))
        if QUEUE in waits:
            raised.append(self._porter.counterpart("queue", "queue.Empty"))
        return raised[0] if len(raised) == 1 else cst.Tuple([cst.Element(one) for one in raised])


class _Pruner(cst.CSTTransformer):
    """Removes imports that nothing uses any more; those that were unused before stay."""

    def __init__(self, module: cst.Module, survey: Survey) -> None:
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
        # Only names that the porting has made idle: the rest may be there for their effects.
        kept = [one for one in first.names if not self._is_idle(one)]
        if len(kept) == len(first.names):
            return updated_node
        if not kept:
            return _removed(updated_node)
        return updated_node.with_changes(body=[first.with_changes(names=_closed(kept))])

    def _is_idle(self, alias: cst.ImportAlias) -> bool:
        name = dotted(alias.asname.name) if alias.asname else dotted(alias.name)
        return name in self._mine and name not in self._used.names

    leave_IndentedBlock = _Porter.leave_IndentedBlock
    leave_Module = _Porter.leave_Module


_ImportsFrom = cst.ImportFrom | cst.FlattenSentinel[cst.BaseSmallStatement]


def _ported_from(node: cst.ImportFrom, note: Callable[[str], None]) -> _ImportsFrom:
    """Returns an import from this package of what it has, and one from the SDK of the rest."""
    module = dotted(node.module) if node.module and not node.relative else ""
    ours = _module_for(module)
    if isinstance(node.names, cst.ImportStar):
        if ours == module:
            return node
        note(f"what this is to import cannot be seen: name what is used of {ours}")
        return node.with_changes(module=cst.parse_expression(ours))
    if ours == module:
        names = [one.with_changes(name=cst.Name(_NAMES.get(dotted(one.name), dotted(one.name)))) for one in node.names]
        unique = list({dotted(one.name): one for one in names}.values())
        unique[-1] = unique[-1].with_changes(comma=node.names[-1].comma)
        return node.with_changes(names=unique) if module != "asyncio" else node
    if module == f"{SDK}.request" and all(_exists(f"{OURS}.errors", dotted(one.name)) for one in node.names):
        ours = f"{OURS}.errors"  # where type checkers find them too
    here = [one for one in node.names if _exists(ours, dotted(one.name))]
    missing = [one for one in node.names if one not in here]
    for one in missing:
        note(f"{OURS} has no {dotted(one.name)}: what it does is outside of sessions")
    changed = node.with_changes(module=cst.parse_expression(ours))
    if not missing or not here:
        return node if missing else changed
    return cst.FlattenSentinel([changed.with_changes(names=_closed(here)), node.with_changes(names=_closed(missing))])


def _from_ours(line: Any) -> Any:
    only = line.body[0] if isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1 else None
    is_one = isinstance(only, cst.ImportFrom) and only.module and not only.lpar and isinstance(only.names, Sequence)
    return only if is_one and dotted(only.module).split(".")[0] == OURS else None  # type: ignore[union-attr]


def _order(name: str) -> tuple[int, str]:
    # As sorters of imports do: constants, classes, all else.
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name.lower())


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
    body: list[Any] = []
    for line in module.body:
        # Imports from one module that follow each other are joined: two of the SDK's modules can be one here.
        one, before = _from_ours(line), _from_ours(body[-1]) if body else None
        if one is None or before is None or dotted(one.module) != dotted(before.module) or line.leading_lines:
            body.append(line)
            continue
        names = {code(alias.with_changes(comma=cst.MaybeSentinel.DEFAULT)) for alias in (*before.names, *one.names)}
        listed = sorted(names, key=_order)
        text = f"from {dotted(one.module)} import {', '.join(listed)}"
        if len(text) > _LINE:
            text = f"from {dotted(one.module)} import (\n    {f',{chr(10)}    '.join(listed)},\n)"
        body[-1] = cst.parse_statement(f"{text}\n").with_changes(leading_lines=body[-1].leading_lines)
    imports = [index for index, one in enumerate(body) if _is_import(one)]
    present = {code(body[index]).strip() for index in imports}
    missing = [line for line in (f"import {name}" for name in sorted(needed)) if line not in present]
    # Before the first import; that of __future__ has to stay ahead, and so has a docstring.
    # `from __future__` has to come before all other code (PEP 236).
    first = next((index for index in imports if "__future__" not in code(body[index])), None)
    if first is None:
        first = imports[-1] + 1 if imports else int(module.get_docstring() is not None)
    last = first
    while last < len(body) and _is_import(body[last]):
        last += 1
    if starts_threads:
        # As many as may wait for one another: the default is a few more than there are processors.
        # In the module, so that its threads live as long as the program, as the event loop did.
        body.insert(last, cst.parse_statement(f"\n{pool} = {_POOL_OF_MANY}\n"))
    for text in missing:
        _insert_import(body, first, text)
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
        return dotted(only.module) if only.module else "."
    return dotted(only.names[0].name) if isinstance(only, cst.Import) else ""


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
        if isinstance(one, cst.SimpleStatementLine) and code(one.with_changes(leading_lines=[])).startswith(_REMOVED):
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
        # By import and not by a list, so that it is true of the version that is installed.
        found = importlib.import_module(module)
        return name is None or hasattr(found, name)
    return False


def _in_parentheses(value: cst.GeneratorExp) -> cst.GeneratorExp:
    return value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def _keyword(arg: cst.Arg) -> str:
    return arg.keyword.value if arg.keyword else ""


def _plain(args: Sequence[cst.Arg]) -> bool:
    return all(not arg.star for arg in args)


def _closed(aliases: Sequence[cst.ImportAlias]) -> list[cst.ImportAlias]:
    return [*aliases[:-1], aliases[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)]


def _ended(statement: Any) -> Any:
    return statement.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)
